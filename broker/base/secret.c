#include "base/secret.h"
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

struct Secret {
        Arena *arena;
        uint8_t *data;
        size_t size;
        size_t capacity;
};

int secret_new(Secret **ret, Arena *arena, size_t capacity)
{
        _cleanup_(secret_freep) Secret *secret = NULL;
        void *data;
        int r;

        if (capacity > SECRET_MAX)
                return SECRET_E_TOO_LONG;
        secret = calloc(1, sizeof(*secret));
        if (!secret)
                return -ENOMEM;
        secret->arena = arena;
        r = arena_alloc(arena, capacity, &data);
        if (r == ARENA_E_FULL)
                return SECRET_E_FULL;
        if (r)
                return error_fold(r);
        secret->data = data;
        secret->capacity = capacity;
        *ret = take_ptr(secret);
        return 0;
}

int secret_from_bytes(Secret **ret, Arena *arena, Slice bytes)
{
        int r = secret_new(ret, arena, bytes.size);

        return r ? r : secret_append(*ret, bytes);
}

Secret *secret_free(Secret *secret)
{
        if (!secret)
                return NULL;
        arena_release(secret->arena, secret->data, secret->capacity);
        free(secret);
        return NULL;
}

int secret_append(Secret *secret, Slice bytes)
{
        if (bytes.size > secret->capacity - secret->size)
                return SECRET_E_FULL;
        if (bytes.size > 0)
                memcpy(secret->data + secret->size, bytes.data, bytes.size);
        secret->size += bytes.size;
        return 0;
}

static ssize_t read_some(int fd, bool is_socket, void *out, size_t size)
{
        return is_socket ? recv(fd, out, size, MSG_DONTWAIT) : read(fd, out, size);
}

static int read_all(Secret *secret, int fd, bool is_socket)
{
        for (;;) {
                size_t room = secret->capacity - secret->size;
                uint8_t extra;
                ssize_t n;

                /* With no room left, one byte more tells "just fits" from "too long". */
                n = room > 0 ? read_some(fd, is_socket, secret->data + secret->size, room)
                             : read_some(fd, is_socket, &extra, 1);
                if (n == 0)
                        return 0;
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? SECRET_E_AGAIN : error_errno();
                if (room == 0) {
                        sodium_memzero(&extra, sizeof(extra));
                        return SECRET_E_FULL;
                }
                secret->size += (size_t)n;
        }
}

int secret_read_fd(Secret *secret, int fd)
{
        return read_all(secret, fd, false);
}

int secret_receive(Secret *secret, int fd)
{
        return read_all(secret, fd, true);
}

void secret_trim_newline(Secret *secret)
{
        if (secret->size > 0 && secret->data[secret->size - 1] == '\n') {
                secret->data[--secret->size] = 0;
                if (secret->size > 0 && secret->data[secret->size - 1] == '\r')
                        secret->data[--secret->size] = 0;
        }
}

Slice secret_slice(const Secret *secret)
{
        return secret ? slice(secret->data, secret->size) : SLICE_NULL;
}

size_t secret_size(const Secret *secret)
{
        return secret ? secret->size : 0;
}

uint8_t *secret_buffer(Secret *secret, size_t *ret_capacity)
{
        *ret_capacity = secret->capacity;
        return secret->data;
}

void secret_set_size(Secret *secret, size_t size)
{
        if (size < secret->size)
                sodium_memzero(secret->data + size, secret->size - size);
        secret->size = MIN(size, secret->capacity);
}

bool secret_equal(const Secret *secret, Slice bytes)
{
        return secret && secret->size == bytes.size &&
               (bytes.size == 0 || sodium_memcmp(secret->data, bytes.data, bytes.size) == 0);
}
