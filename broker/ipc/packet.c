#include "ipc/packet.h"
#include "base/fd.h"
#include <sys/socket.h>

typedef union Control {
        struct cmsghdr align;
        char data[CMSG_SPACE(sizeof(int) * PACKET_FDS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
} Control;

static void take_control(struct msghdr *message, Packet *packet)
{
        for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
                if (c->cmsg_level != SOL_SOCKET)
                        continue;
                if (c->cmsg_type == SCM_RIGHTS) {
                        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

                        for (size_t i = 0; i < n; i++) {
                                int fd;

                                memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                                if (packet->n_fds < PACKET_FDS_MAX)
                                        packet->fds[packet->n_fds++] = fd;
                                else
                                        fd_close(fd);
                        }
                } else if (c->cmsg_type == SCM_CREDENTIALS) {
                        struct ucred sender;

                        memcpy(&sender, CMSG_DATA(c), sizeof(sender));
                        packet->has_sender = true;
                        packet->sender_pid = sender.pid;
                        packet->sender_uid = sender.uid;
                }
        }
}

static int receive(int fd, void *data, size_t capacity, size_t control_size, Packet *ret)
{
        struct iovec iov = { data, capacity };
        Control control;
        struct msghdr message = {
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = control_size,
        };
        ssize_t n;

        *ret = (Packet){ 0 };
        n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0)
                return error_errno();
        take_control(&message, ret);
        ret->size = (size_t)n;
        ret->truncated = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
        return n > 0 || ret->n_fds > 0 ? 1 : 0;
}

int packet_receive(int fd, void *data, size_t capacity, Packet *ret)
{
        return receive(fd, data, capacity, sizeof(Control), ret);
}

int packet_receive_bare(int fd, void *data, size_t capacity, Packet *ret)
{
        return receive(fd, data, capacity, CMSG_SPACE(sizeof(struct ucred)), ret);
}

int packet_send(int fd, Slice bytes, const int *fds, size_t n_fds, size_t *ret_sent)
{
        struct iovec iov = { (void *)(uintptr_t)bytes.data, bytes.size };
        Control control = { 0 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        if (n_fds > PACKET_FDS_MAX)
                return -EINVAL;
        if (n_fds > 0) {
                struct cmsghdr *c;

                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                c = CMSG_FIRSTHDR(&message);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
        }
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
                return error_errno();
        if (ret_sent)
                *ret_sent = (size_t)n;
        return 0;
}
