#include "supervisor/lifeline.h"
#include "base/fd.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct LifelineWatch {
        int fd;
        bool is_socket;
        ino_t inode; /* of the socket */
        Source *source;
        int (*gone)(void *userdata);
        void *userdata;
};

static int classify(LifelineWatch *lifeline)
{
        _cleanup_(freep) char *info = NULL;
        char path[64];
        struct stat st;
        int domain, type, r;
        socklen_t size = sizeof(int);

        lifeline->is_socket = getsockopt(lifeline->fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0;
        if (!lifeline->is_socket && errno != ENOTSOCK)
                return error_errno();
        /* Whatever it is, its file system is asked nothing: that could be one of whoever sent it. */
        if (!lifeline->is_socket) {
                (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", lifeline->fd);
                r = fd_read_file_at(AT_FDCWD, path, 4096, &info);
                return r < 0 ? r : strstr(info, "\nPid:") ? 0 : LIFELINE_E_KIND;
        }
        if (fstat(lifeline->fd, &st) < 0)
                return error_errno();
        lifeline->inode = st.st_ino;
        size = sizeof(int);
        if (getsockopt(lifeline->fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
                return error_errno();
        if (domain != AF_UNIX || (type != SOCK_STREAM && type != SOCK_SEQPACKET))
                return LIFELINE_E_KIND;
        size = sizeof(int);
        if (getsockopt(lifeline->fd, SOL_SOCKET, SO_ACCEPTCONN, &type, &size) < 0)
                return error_errno();
        return type ? LIFELINE_E_KIND : 0; /* a listener has no other end */
}

static int on_event(void *userdata, UNUSED uint32_t events)
{
        LifelineWatch *lifeline = userdata;

        lifeline->source = source_free(lifeline->source); /* it stays ready: once is enough */
        return lifeline->gone(lifeline->userdata);
}

int lifeline_new(LifelineWatch **ret, Loop *loop, int fd, int (*gone)(void *userdata),
                 void *userdata)
{
        _cleanup_(lifeline_freep) LifelineWatch *lifeline = calloc(1, sizeof(*lifeline));
        int r;

        if (!lifeline) {
                fd_close(fd);
                return -ENOMEM;
        }
        lifeline->fd = fd;
        lifeline->gone = gone;
        lifeline->userdata = userdata;
        r = classify(lifeline);
        if (r)
                return r;
        r = source_new(&lifeline->source, loop, fd, lifeline->is_socket ? EPOLLRDHUP : EPOLLIN,
                       on_event, lifeline);
        if (r < 0)
                return r;
        *ret = take_ptr(lifeline);
        return 0;
}

LifelineWatch *lifeline_free(LifelineWatch *lifeline)
{
        if (!lifeline)
                return NULL;
        source_free(lifeline->source);
        fd_close(lifeline->fd);
        free(lifeline);
        return NULL;
}

int lifeline_socket(const LifelineWatch *lifeline)
{
        return lifeline->is_socket ? lifeline->fd : -1;
}

bool lifeline_same(const LifelineWatch *a, const LifelineWatch *b)
{
        return a->is_socket && b->is_socket && a->inode == b->inode;
}
