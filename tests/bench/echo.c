/*
 * What a call costs that does nothing: a message up to its NUL comes in on a stream socket, goes over a
 * SOCK_SEQPACKET socket to another process and comes back, and an answer of a given size goes out.
 * These are the hops of a call to a session's socket, without the broker.
 *
 *   echo FD SIZE      serves the connected descriptor until its other end is closed
 */
#include "base/error.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE_MAX (64U * 1024U)

/* Both processes wait as an event loop does. */
static int watch(int fd)
{
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN };

        if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                return -1;
        return epoll;
}

static ssize_t wait_and_receive(int epoll, int fd, char *data, size_t size)
{
        struct epoll_event event;

        if (epoll_wait(epoll, &event, 1, -1) != 1)
                return -1;
        return recv(fd, data, size, 0);
}

static int serve_back(int fd)
{
        char data[MESSAGE_MAX];
        int epoll = watch(fd);
        ssize_t n;

        while ((n = wait_and_receive(epoll, fd, data, sizeof(data))) > 0)
                if (send(fd, data, (size_t)n, MSG_NOSIGNAL) != n)
                        return 1;
        return n < 0;
}

static int serve_front(int client, int back, size_t size)
{
        char data[MESSAGE_MAX];
        int from_client = watch(client), from_back = watch(back);
        size_t filled = 0;
        ssize_t n;

        while ((n = wait_and_receive(from_client, client, data + filled, sizeof(data) - filled)) > 0) {
                filled += (size_t)n;
                if (data[filled - 1] != '\0')
                        continue;
                if (send(back, data, filled, MSG_NOSIGNAL) < 0 ||
                    wait_and_receive(from_back, back, data, sizeof(data)) <= 0)
                        return 1;
                memset(data, ' ', size);
                data[size - 1] = '\0';
                if (send(client, data, size, MSG_NOSIGNAL) != (ssize_t)size)
                        return 1;
                filled = 0;
        }
        return n < 0;
}

int main(int argc, char **argv)
{
        uint64_t fd, size;
        int pair[2], status;

        if (argc != 3 || text_parse_u64(argv[1], &fd) || fd > 1024 || text_parse_u64(argv[2], &size) || size < 1 ||
            size > MESSAGE_MAX)
                return 2;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return 1;
        switch (fork()) {
        case -1:
                return 1;
        case 0:
                (void)close(pair[0]);
                (void)close((int)fd);
                return serve_back(pair[1]);
        default:
                (void)close(pair[1]);
                status = serve_front((int)fd, pair[0], (size_t)size);
                (void)close(pair[0]);
                (void)wait(NULL);
                return status;
        }
}
