#pragma once
/*
 * A growing byte buffer with a cap that is set once. What it held is wiped when it grows, shrinks
 * or is freed, so it may carry bytes in transit that turn out to be sensitive. The long-term home
 * of a secret is secret.h and not this.
 */
#include "base/error.h"
#include "base/slice.h"

typedef struct Buf {
        uint8_t *data;
        size_t size;     /* bytes in use */
        size_t capacity; /* bytes allocated */
        size_t max;      /* size never exceeds this */
} Buf;

#define BUF_NULL(limit) ((Buf){ .max = (limit) })

/* Appending functions return 0, -ENOBUFS at the cap, or -ENOMEM; on failure nothing is appended. */
int buf_append(Buf *buf, const void *data, size_t size) NODISCARD NONNULL(1);
int buf_append_slice(Buf *buf, Slice bytes) NODISCARD NONNULL(1);
int buf_append_text(Buf *buf, const char *text) NODISCARD NONNULL(1, 2);
int buf_append_u8(Buf *buf, uint8_t value) NODISCARD NONNULL(1);
int buf_append_u16(Buf *buf, uint16_t value) NODISCARD NONNULL(1);
int buf_append_u32(Buf *buf, uint32_t value) NODISCARD NONNULL(1);
int buf_append_u64(Buf *buf, uint64_t value) NODISCARD NONNULL(1);
int buf_printf(Buf *buf, const char *format, ...) NODISCARD NONNULL(1, 2) PRINTF_LIKE(2, 3);
/* Makes room for `size` more bytes and returns where they go; buf_commit() then counts them. */
int buf_reserve(Buf *buf, size_t size, uint8_t **ret) NODISCARD NONNULL(1, 3);
void buf_commit(Buf *buf, size_t size) NONNULL(1);
/* Drops the first `size` bytes (at most what is there), wiping what they occupied. */
void buf_consume(Buf *buf, size_t size) NONNULL(1);
/* Empties the buffer, wiped; the memory is kept. */
void buf_clear(Buf *buf) NONNULL(1);
/* Frees the memory, wiped; the cap stays and the buffer can be used again. */
void buf_deinit(Buf *buf);

/* Valid until the next call that changes the buffer. */
static inline Slice buf_slice(const Buf *buf)
{
        return slice(buf->data, buf->size);
}
