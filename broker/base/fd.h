#pragma once
/* Descriptors: -1 when unset, close-on-exec at creation. */
#include "base/error.h"
#include "base/macros.h"

/* Closes what is >= 0 and returns -1. A socket's linger is switched off first, since closing one
 * that another process set up to linger would block (measured: seconds). errno is kept. */
int fd_close(int fd);
static inline void fd_closep(int *fd)
{
        *fd = fd_close(*fd);
}
void fd_close_all(int *fds, size_t n);
/* Whether it is a Unix stream socket: reading anything else may block, or lie. */
bool fd_is_stream_socket(int fd);
int fd_set_nonblock(int fd) NODISCARD;
int fd_set_cloexec(int fd, bool cloexec) NODISCARD;
/* Writes all of it to a blocking descriptor. */
int fd_write_all(int fd, const void *data, size_t size) NODISCARD;
/*
 * Reads a small file whole, NUL-terminated. -EFBIG when it has more than `max` bytes. For /proc and
 * configuration; never for secrets.
 */
int fd_read_file_at(int directory, const char *path, size_t max, char **ret) NODISCARD;
