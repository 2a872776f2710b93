#include "base/reader.h"

void reader_init(Reader *reader, Slice bytes)
{
        *reader = (Reader){ bytes.data, bytes.size };
}

int reader_bytes(Reader *reader, size_t size, Slice *ret)
{
        if (size > reader->left)
                return READER_E_SHORT;
        *ret = slice(reader->at, size);
        if (size > 0)
                reader->at += size;
        reader->left -= size;
        return 0;
}

/* Reads `size` (at most 8) bytes, least significant first. */
static int reader_integer(Reader *reader, size_t size, uint64_t *ret)
{
        uint64_t value = 0;
        Slice bytes;
        int r;

        r = reader_bytes(reader, size, &bytes);
        if (r)
                return r;
        for (size_t i = size; i-- > 0;)
                value = value << 8 | bytes.data[i];
        *ret = value;
        return 0;
}

int reader_u8(Reader *reader, uint8_t *ret)
{
        uint64_t value;
        int r = reader_integer(reader, 1, &value);

        if (r == 0)
                *ret = (uint8_t)value;
        return r;
}

int reader_u16(Reader *reader, uint16_t *ret)
{
        uint64_t value;
        int r = reader_integer(reader, 2, &value);

        if (r == 0)
                *ret = (uint16_t)value;
        return r;
}

int reader_u32(Reader *reader, uint32_t *ret)
{
        uint64_t value;
        int r = reader_integer(reader, 4, &value);

        if (r == 0)
                *ret = (uint32_t)value;
        return r;
}

int reader_u64(Reader *reader, uint64_t *ret)
{
        return reader_integer(reader, 8, ret);
}
