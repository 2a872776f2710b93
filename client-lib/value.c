#include "client.h"
#include "base/fd.h"
#include <sys/socket.h>

_Static_assert(MCPCRED_VALUE_MAX == SECRET_MAX, "the header repeats it");

int mcpcred_value_new(mcpcred_value **ret)
{
        mcpcred_value *value = calloc(1, sizeof(*value));

        if (!value)
                return MCPCRED_E_NO_MEMORY;
        if (arena_new(&value->arena, SECRET_MAX) ||
            secret_new(&value->secret, value->arena, SECRET_MAX)) {
                mcpcred_value_free(value);
                return MCPCRED_E_NO_MEMORY;
        }
        *ret = value;
        return MCPCRED_OK;
}

mcpcred_value *mcpcred_value_free(mcpcred_value *value)
{
        if (value) {
                secret_free(value->secret);
                arena_free(value->arena);
                free(value);
        }
        return NULL;
}

int mcpcred_value_append(mcpcred_value *value, const void *data, size_t size)
{
        return secret_append(value->secret, slice(data, size)) ? MCPCRED_E_MISUSE : MCPCRED_OK;
}

int mcpcred_value_read_fd(mcpcred_value *value, int fd)
{
        int r = secret_read_fd(value->secret, fd);

        if (r == SECRET_E_FULL)
                return MCPCRED_E_MISUSE;
        if (r)
                errno = r < 0 ? -r : EAGAIN;
        return r ? MCPCRED_E_SYSTEM : MCPCRED_OK;
}

void mcpcred_value_trim_newline(mcpcred_value *value)
{
        secret_trim_newline(value->secret);
}

void mcpcred_value_truncate(mcpcred_value *value, size_t size)
{
        if (size < secret_size(value->secret))
                secret_set_size(value->secret, size);
}

const void *mcpcred_value_data(const mcpcred_value *value)
{
        return secret_slice(value->secret).data;
}

size_t mcpcred_value_size(const mcpcred_value *value)
{
        return secret_size(value->secret);
}

/* All of it at once: the socket's buffer is made large enough, and the reader may not be there yet.
 */
static int fill(int fd, Slice bytes)
{
        int room = (int)(4 * SECRET_MAX);

        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) < 0)
                return error_errno();
        while (bytes.size > 0) {
                ssize_t n = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno();
                bytes = slice(bytes.data + n, bytes.size - (size_t)n);
        }
        return 0;
}

int value_socket(mcpcred *client, const mcpcred_value *value, int *ret_fd)
{
        _cleanup_(fd_closep) int ours = -1;
        _cleanup_(fd_closep) int theirs = -1;
        int pair[2], r;

        if (mcpcred_value_size(value) == 0)
                return client_fail(client, MCPCRED_E_MISUSE, "The value is empty.");
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return client_fail_errno(client, error_errno(), "make a socket for the value");
        ours = pair[0];
        theirs = pair[1];
        r = fill(ours, secret_slice(value->secret));
        if (r == 0 && (shutdown(theirs, SHUT_WR) < 0 || shutdown(ours, SHUT_WR) < 0))
                r = error_errno();
        if (r < 0)
                return client_fail_errno(client, r, "hand the value over");
        *ret_fd = take_fd(&theirs);
        return 0;
}
