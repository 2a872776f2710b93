#include "base/fd.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

int fd_close(int fd)
{
        const struct linger off = { 0 };
        int saved = errno;

        if (fd >= 0) {
                (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
                (void)close(fd);
        }
        errno = saved;
        return -1;
}

void fd_close_all(int *fds, size_t n)
{
        for (size_t i = 0; i < n; i++)
                fds[i] = fd_close(fds[i]);
}

bool fd_is_stream_socket(int fd)
{
        int type = 0, domain = 0;
        socklen_t size = sizeof(type);

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
               getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

int fd_set_nonblock(int fd)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return error_errno();
        return 0;
}

int fd_set_cloexec(int fd, bool cloexec)
{
        int flags = fcntl(fd, F_GETFD);

        if (flags < 0 || fcntl(fd, F_SETFD, cloexec ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC) < 0)
                return error_errno();
        return 0;
}

int fd_write_all(int fd, const void *data, size_t size)
{
        const uint8_t *at = data;

        while (size > 0) {
                ssize_t n = write(fd, at, size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno();
                at += n;
                size -= (size_t)n;
        }
        return 0;
}

int fd_read_file_at(int directory, const char *path, size_t max, char **ret)
{
        _cleanup_(fd_closep) int fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_(freep) char *text = NULL;
        size_t size = 0;

        if (fd < 0)
                return error_errno();
        text = malloc(max + 1);
        if (!text)
                return -ENOMEM;
        for (;;) {
                ssize_t n = read(fd, text + size, max + 1 - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno();
                if (n == 0)
                        break;
                size += (size_t)n;
                if (size > max)
                        return -EFBIG;
        }
        text[size] = '\0';
        *ret = take_ptr(text);
        return 0;
}
