#include "link.h"
#include "base/clock.h"
#include "base/fd.h"
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define READ_SIZE 16384U

static int wait_for(int fd, short events, uint64_t until)
{
        for (;;) {
                struct pollfd poller = { .fd = fd, .events = events };
                uint64_t now = clock_boot(&clock_system);
                int r;

                if (now >= until)
                        return LINK_E_DEADLINE;
                r = poll(&poller, 1, (int)MIN((until - now + 999) / 1000, UINT64_C(60000)));
                if (r > 0)
                        return 0;
                if (r < 0 && errno != EINTR)
                        return error_errno();
        }
}

static int closed_or_errno(void)
{
        return errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? LINK_E_CLOSED
                                                                          : error_errno();
}

static ssize_t send_some(int fd, Slice bytes, int attach)
{
        struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.size };
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (attach >= 0) {
                message.msg_control = &control;
                message.msg_controllen = sizeof(control.space);
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(&control.header), &attach, sizeof(int));
        }
        return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int link_send(Link *link, Slice message, int fd, uint64_t until)
{
        while (message.size > 0) {
                ssize_t n = send_some(link->fd, message, fd);
                int r;

                if (n > 0) {
                        message = slice(message.data + n, message.size - (size_t)n);
                        fd = -1; /* it went with the first byte */
                        continue;
                }
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno != EAGAIN)
                        return closed_or_errno();
                r = wait_for(link->fd, POLLOUT, until);
                if (r)
                        return r;
        }
        return 0;
}

/* Keeps the first descriptor and closes all others. Says whether there were others. */
static bool take_descriptors(Link *link, struct msghdr *message)
{
        bool surplus = (message->msg_flags & MSG_CTRUNC) != 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
                        if (link->received < 0) {
                                link->received = fd;
                        } else {
                                (void)fd_close(fd);
                                surplus = true;
                        }
                }
        }
        return surplus;
}

static int receive_some(Link *link)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(4 * sizeof(int))];
        } control;
        struct iovec iov = { .iov_len = READ_SIZE };
        struct msghdr message = { .msg_iov = &iov,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof(control.space) };
        uint8_t *at;
        ssize_t n;
        int r;

        r = buf_reserve(&link->in, READ_SIZE, &at);
        if (r == -ENOBUFS)
                return LINK_E_INVALID;
        if (r < 0)
                return r;
        iov.iov_base = at;
        n = recvmsg(link->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0)
                return errno == EINTR || errno == EAGAIN ? 0 : closed_or_errno();
        if (n == 0)
                return LINK_E_CLOSED;
        buf_commit(&link->in, (size_t)n);
        return take_descriptors(link, &message) ? LINK_E_INVALID : 0;
}

int link_receive(Link *link, uint64_t until, Slice *ret)
{
        size_t searched = 0;
        int r;

        link_forget(link);
        for (;;) {
                Slice all = buf_slice(&link->in);
                const uint8_t *end = all.size > searched
                                             ? memchr(all.data + searched, 0, all.size - searched)
                                             : NULL;

                if (end) {
                        *ret = slice(all.data, (size_t)(end - all.data));
                        link->consumed = ret->size + 1;
                        return 0;
                }
                searched = all.size;
                r = wait_for(link->fd, POLLIN, until);
                if (r == 0)
                        r = receive_some(link);
                if (r)
                        return r;
        }
}

bool link_is_idle(const Link *link)
{
        char byte;

        return link->in.size == link->consumed && link->received < 0 &&
               recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
               (errno == EAGAIN || errno == EINTR);
}

void link_forget(Link *link)
{
        buf_consume(&link->in, link->consumed);
        link->consumed = 0;
}

void link_close(Link *link)
{
        if (!link->borrowed)
                (void)fd_close(link->fd);
        (void)fd_close(link->received);
        buf_deinit(&link->in);
        *link = LINK_NULL;
}
