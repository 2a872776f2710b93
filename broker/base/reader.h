#pragma once
/*
 * A bounded cursor over borrowed bytes. Every getter either succeeds whole or leaves the cursor
 * where it was and returns READER_E_SHORT. Integers are little-endian.
 */
#include "base/error.h"
#include "base/slice.h"

typedef struct Reader {
        const uint8_t *at;
        size_t left;
} Reader;

enum {
        _READER_E_SUCCESS,
        READER_E_SHORT, /* fewer bytes are left than were asked for */
};

void reader_init(Reader *reader, Slice bytes) NONNULL(1);
int reader_u8(Reader *reader, uint8_t *ret) NODISCARD NONNULL(1, 2);
int reader_u16(Reader *reader, uint16_t *ret) NODISCARD NONNULL(1, 2);
int reader_u32(Reader *reader, uint32_t *ret) NODISCARD NONNULL(1, 2);
int reader_u64(Reader *reader, uint64_t *ret) NODISCARD NONNULL(1, 2);
/* The slice borrows from what the reader was initialised with. */
int reader_bytes(Reader *reader, size_t size, Slice *ret) NODISCARD NONNULL(1, 3);

static inline size_t reader_left(const Reader *reader)
{
        return reader->left;
}
