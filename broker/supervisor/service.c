#include "supervisor/service.h"
#include "base/fd.h"
#include "base/text.h"
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTEN_FDS_START 3

void service_notify(const char *state)
{
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_(fd_closep) int fd = -1;
        size_t n;

        if (!path || (path[0] != '/' && path[0] != '@'))
                return;
        n = strlen(path);
        if (n >= sizeof(address.sun_path))
                return;
        memcpy(address.sun_path, path, n);
        if (path[0] == '@')
                address.sun_path[0] = '\0';
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return;
        if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, &address,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
                return;
}

static int check_listener(int fd)
{
        int domain, type, listening;
        socklen_t size = sizeof(int);

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
                return -EINVAL;
        size = sizeof(int);
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
                return -EINVAL;
        size = sizeof(int);
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
                return -EINVAL;
        return domain == AF_UNIX && type == SOCK_STREAM && listening ? 0 : -EINVAL;
}

int service_take_listener(int *ret)
{
        const char *count = getenv("LISTEN_FDS"), *owner = getenv("LISTEN_PID");
        const int on = 1;
        uint64_t n, pid;
        int fd, r;

        *ret = -1;
        if (!count || !owner || text_parse_u64(owner, &pid) || pid != (uint64_t)getpid())
                return 0;
        if (text_parse_u64(count, &n) || n != 1)
                return -EINVAL;
        r = check_listener(LISTEN_FDS_START);
        if (r < 0)
                return r;
        fd = fcntl(LISTEN_FDS_START, F_DUPFD_CLOEXEC, 10);
        if (fd < 0)
                return error_errno();
        (void)close(LISTEN_FDS_START);
        r = fd_set_nonblock(fd);
        if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
                r = error_errno();
        if (r < 0)
                fd_close(fd);
        else
                *ret = fd;
        (void)unsetenv("LISTEN_FDS");
        (void)unsetenv("LISTEN_PID");
        return r;
}

/* The parent's part: exits with what the child becomes. */
static _Noreturn void wait_ready(int fd, pid_t pid)
{
        char byte;
        ssize_t n;

        do
                n = read(fd, &byte, 1);
        while (n < 0 && errno == EINTR);
        if (n == 1)
                _exit(0);
        (void)waitpid(pid, NULL, 0);
        _exit(1);
}

int service_detach(int *ret_fd)
{
        int ends[2];
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_errno();
        pid = fork();
        if (pid < 0) {
                fd_close_all(ends, 2);
                return error_errno();
        }
        if (pid > 0) {
                fd_close(ends[1]);
                wait_ready(ends[0], pid);
        }
        fd_close(ends[0]);
        *ret_fd = ends[1];
        (void)setsid();
        return chdir("/") < 0 ? error_errno() : 0;
}

void service_ready(int fd)
{
        if (fd >= 0 && write(fd, "", 1) < 0)
                return;
        fd_close(fd);
}

int service_fix_descriptors(void)
{
        int fd;

        do {
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
                if (fd < 0)
                        return error_errno();
        } while (fd <= STDERR_FILENO && fd_set_cloexec(fd, false) == 0);
        fd_close(fd);
        return 0;
}
