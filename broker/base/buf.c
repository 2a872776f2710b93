#include "base/buf.h"
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

/* The first allocation: most messages fit. */
#define BUF_CAPACITY_MIN 256U

int buf_reserve(Buf *buf, size_t size, uint8_t **ret)
{
        size_t capacity = buf->capacity;
        uint8_t *data;

        if (size > buf->max || buf->size > buf->max - size)
                return -ENOBUFS;
        if (size > capacity - buf->size || capacity == 0) {
                if (capacity == 0)
                        capacity = BUF_CAPACITY_MIN;
                while (capacity < buf->size + size)
                        capacity *= 2;
                data = malloc(capacity);
                if (!data)
                        return -ENOMEM;
                if (buf->size > 0)
                        memcpy(data, buf->data, buf->size);
                if (buf->data)
                        sodium_memzero(buf->data, buf->capacity);
                free(buf->data);
                buf->data = data;
                buf->capacity = capacity;
        }
        *ret = buf->data + buf->size;
        return 0;
}

void buf_commit(Buf *buf, size_t size)
{
        buf->size += size;
}

int buf_append(Buf *buf, const void *data, size_t size)
{
        uint8_t *room;
        int r;

        r = buf_reserve(buf, size, &room);
        if (r < 0)
                return r;
        if (size > 0)
                memcpy(room, data, size);
        buf->size += size;
        return 0;
}

int buf_append_slice(Buf *buf, Slice bytes)
{
        return buf_append(buf, bytes.data, bytes.size);
}

int buf_append_text(Buf *buf, const char *text)
{
        return buf_append(buf, text, strlen(text));
}

/* Appends `size` (at most 8) bytes, least significant first. */
static int buf_append_integer(Buf *buf, uint64_t value, size_t size)
{
        uint8_t bytes[8];

        for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)(value >> (8 * i));
        return buf_append(buf, bytes, size);
}

int buf_append_u8(Buf *buf, uint8_t value)
{
        if (buf->size >= buf->capacity || buf->size >= buf->max)
                return buf_append_integer(buf, value, 1);
        buf->data[buf->size++] = value;
        return 0;
}

int buf_append_u16(Buf *buf, uint16_t value)
{
        return buf_append_integer(buf, value, 2);
}

int buf_append_u32(Buf *buf, uint32_t value)
{
        return buf_append_integer(buf, value, 4);
}

int buf_append_u64(Buf *buf, uint64_t value)
{
        return buf_append_integer(buf, value, 8);
}

int buf_printf(Buf *buf, const char *format, ...)
{
        va_list args;
        uint8_t *room;
        int n, r;

        va_start(args, format);
        n = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (n < 0)
                return -EINVAL;
        r = buf_reserve(buf, (size_t)n + 1, &room);
        if (r < 0)
                return r;
        va_start(args, format);
        (void)vsnprintf((char *)room, (size_t)n + 1, format, args);
        va_end(args);
        buf->size += (size_t)n;
        return 0;
}

void buf_consume(Buf *buf, size_t size)
{
        if (size > buf->size)
                size = buf->size;
        if (size == 0)
                return;
        memmove(buf->data, buf->data + size, buf->size - size);
        sodium_memzero(buf->data + (buf->size - size), size);
        buf->size -= size;
}

void buf_clear(Buf *buf)
{
        if (buf->data)
                sodium_memzero(buf->data, buf->size);
        buf->size = 0;
}

void buf_deinit(Buf *buf)
{
        if (!buf)
                return;
        if (buf->data)
                sodium_memzero(buf->data, buf->capacity);
        free(buf->data);
        *buf = BUF_NULL(buf->max);
}
