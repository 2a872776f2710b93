#include "egress/inflate.h"
#include <sodium.h>
#include <strings.h>
#include <zlib.h>

/* zlib's: 15 bits of window, plus what tells it which frame to expect. */
#define WINDOW_GZIP (15 + 16)
#define WINDOW_ZLIB 15
#define WINDOW_RAW  (-15)

/* Room for the output of few bytes. */
#define ROOM_MIN 4096U

typedef enum InflateState {
        STATE_START,  /* nothing is decided: deflate waits for two bytes */
        STATE_STREAM,
        STATE_MEMBER, /* a member of gzip ended: another one, or the end */
        STATE_END,
} InflateState;

struct Inflate {
        InflateCoding coding;
        InflateState state;
        z_stream zlib;
        bool open;          /* zlib has memory */
        bool more;          /* the last call filled its output */
        uint8_t head[2];    /* of deflate, to tell zlib's frame from none */
        size_t head_size;
        uint64_t in, out;
        unsigned members;
};

InflateCoding inflate_coding(Slice value)
{
        static const struct {
                const char *name;
                InflateCoding coding;
        } names[] = { { "", INFLATE_IDENTITY },
                      { "identity", INFLATE_IDENTITY },
                      { "gzip", INFLATE_GZIP },
                      { "x-gzip", INFLATE_GZIP },
                      { "deflate", INFLATE_DEFLATE } };

        while (value.size > 0 && (value.data[0] == ' ' || value.data[0] == '\t'))
                value = slice(value.data + 1, value.size - 1);
        while (value.size > 0 && (value.data[value.size - 1] == ' ' || value.data[value.size - 1] == '\t'))
                value.size--;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (value.size == strlen(names[i].name) &&
                    (value.size == 0 || strncasecmp((const char *)value.data, names[i].name, value.size) == 0))
                        return names[i].coding;
        return INFLATE_UNKNOWN;
}

/* ---- zlib's memory ---- */

typedef struct Block {
        size_t size;
        max_align_t data[];
} Block;

static void *block_alloc(UNUSED void *context, unsigned n, unsigned size)
{
        size_t total;
        Block *block;

        if (__builtin_mul_overflow((size_t)n, (size_t)size, &total) || total > SIZE_MAX - sizeof(*block))
                return NULL;
        block = calloc(1, sizeof(*block) + total);
        if (!block)
                return NULL;
        block->size = total;
        return block->data;
}

static void block_free(UNUSED void *context, void *data)
{
        Block *block;

        if (!data)
                return;
        block = (Block *)(void *)((uint8_t *)data - offsetof(Block, data));
        sodium_memzero(block->data, block->size);
        free(block);
}

static int from_zlib(int r)
{
        return r == Z_MEM_ERROR ? -ENOMEM : INFLATE_E_DAMAGED;
}

static int open_stream(Inflate *stream, int window)
{
        int r;

        stream->zlib.zalloc = block_alloc;
        stream->zlib.zfree = block_free;
        r = inflateInit2(&stream->zlib, window);
        if (r != Z_OK)
                return from_zlib(r);
        stream->open = true;
        return 0;
}

int inflate_new(Inflate **ret, InflateCoding coding)
{
        _cleanup_(inflate_freep) Inflate *stream = NULL;
        int r = 0;

        if (coding >= INFLATE_UNKNOWN)
                return -EINVAL;
        stream = calloc(1, sizeof(*stream));
        if (!stream)
                return -ENOMEM;
        stream->coding = coding;
        if (coding == INFLATE_GZIP)
                r = open_stream(stream, WINDOW_GZIP);
        if (r)
                return error_fold(r);
        *ret = take_ptr(stream);
        return 0;
}

Inflate *inflate_free(Inflate *stream)
{
        if (!stream)
                return NULL;
        if (stream->open)
                (void)inflateEnd(&stream->zlib);
        sodium_memzero(stream, sizeof(*stream));
        free(stream);
        return NULL;
}

/* ---- one call ---- */

/* RFC 1950: method 8, a window of at most 32 KiB, and a check over both bytes. */
static bool is_zlib_head(const uint8_t head[2])
{
        return (head[0] & 15) == Z_DEFLATED && head[0] >> 4 <= 7 && (head[0] * 256U + head[1]) % 31 == 0;
}

static bool is_bomb(const Inflate *stream)
{
        return stream->out > INFLATE_FREE && stream->out / INFLATE_RATIO_MAX > stream->in;
}

/* One turn of zlib over these bytes. */
static int run(Inflate *stream, Slice bytes, size_t *ret_used, Buf *out)
{
        uint8_t *room;
        unsigned given = (unsigned)MIN(bytes.size, (size_t)INFLATE_CHUNK);
        size_t room_size = given == 0 ? INFLATE_CHUNK : MIN((size_t)INFLATE_CHUNK, MAX(8U * given, ROOM_MIN)), made;
        int r, z;

        r = buf_reserve(out, room_size, &room);
        if (r < 0)
                return r;
        stream->zlib.next_in = (z_const Bytef *)(uintptr_t)bytes.data;
        stream->zlib.avail_in = given;
        stream->zlib.next_out = room;
        stream->zlib.avail_out = (unsigned)room_size;
        z = inflate(&stream->zlib, Z_NO_FLUSH);
        *ret_used = given - stream->zlib.avail_in;
        made = room_size - stream->zlib.avail_out;
        buf_commit(out, made);
        stream->in += *ret_used;
        stream->out += made;
        stream->more = z == Z_OK && stream->zlib.avail_out == 0;
        if (z == Z_STREAM_END)
                stream->state = stream->coding == INFLATE_GZIP ? STATE_MEMBER : STATE_END;
        else if (z != Z_OK && z != Z_BUF_ERROR) /* the latter: nothing to do without more bytes */
                return from_zlib(z);
        return is_bomb(stream) ? INFLATE_E_BOMB : 0;
}

/* The first two bytes, whatever the chunks were, tell which of its two forms a deflate has. */
static int start_deflate(Inflate *stream, Slice bytes, size_t *ret_used, Buf *out)
{
        size_t used = 0, ignored;
        int r;

        while (stream->head_size < sizeof(stream->head) && used < bytes.size)
                stream->head[stream->head_size++] = bytes.data[used++];
        if (stream->head_size < sizeof(stream->head)) {
                *ret_used = used;
                return 0;
        }
        r = stream->open ? 0 : open_stream(stream, is_zlib_head(stream->head) ? WINDOW_ZLIB : WINDOW_RAW);
        if (r == 0)
                r = run(stream, slice(stream->head, sizeof(stream->head)), &ignored, out);
        if (r < 0) { /* no room: nothing was taken */
                stream->head_size -= used;
                return r;
        }
        if (r == 0 && stream->state == STATE_START)
                stream->state = STATE_STREAM;
        *ret_used = used;
        return r;
}

/* Another member, or what is none. */
static int start_member(Inflate *stream, Slice bytes)
{
        if (stream->state == STATE_MEMBER && bytes.data[0] != 0x1f)
                return INFLATE_E_TRAILING;
        if (stream->members++ == INFLATE_MEMBERS_MAX)
                return INFLATE_E_BOMB;
        if (stream->state == STATE_MEMBER && inflateReset(&stream->zlib) != Z_OK)
                return INFLATE_E_DAMAGED;
        stream->state = STATE_STREAM;
        return 0;
}

int inflate_feed(Inflate *stream, Slice bytes, size_t *ret_used, Buf *out)
{
        int r;

        *ret_used = 0;
        if (bytes.size == 0 && !stream->more)
                return 0;
        if (stream->coding == INFLATE_IDENTITY) {
                size_t n = MIN(bytes.size, (size_t)INFLATE_CHUNK);

                r = buf_append(out, bytes.data, n);
                *ret_used = r == 0 ? n : 0;
                return r;
        }
        if (stream->state == STATE_END)
                return INFLATE_E_TRAILING;
        if (stream->state == STATE_START && stream->coding == INFLATE_DEFLATE)
                return start_deflate(stream, bytes, ret_used, out);
        if (stream->state != STATE_STREAM) {
                r = start_member(stream, bytes);
                if (r)
                        return r;
        }
        return run(stream, bytes, ret_used, out);
}

bool inflate_has_more(const Inflate *stream)
{
        return stream->more;
}

int inflate_end(const Inflate *stream)
{
        bool untouched = stream->state == STATE_START && stream->head_size == 0;

        if (stream->coding == INFLATE_IDENTITY || untouched)
                return 0;
        return stream->state == STATE_MEMBER || stream->state == STATE_END ? 0 : INFLATE_E_TRUNCATED;
}

const char *inflate_strerror(int r)
{
        static const char *const sentences[] = {
                [INFLATE_E_DAMAGED] = "the compressed body is damaged",
                [INFLATE_E_TRUNCATED] = "the compressed body ends too early",
                [INFLATE_E_TRAILING] = "there are bytes behind the compressed body",
                [INFLATE_E_BOMB] = "the compressed body expands too far",
        };

        if (r <= 0 || r >= (int)ARRAY_SIZE(sentences))
                return "the body cannot be decompressed";
        return sentences[r];
}
