#include "http/body.h"
#include "http/chars.h"
#include <stdio.h>

/* More is no chunk but an overflow somewhere else. */
#define CHUNK_MAX ((uint64_t)INT64_MAX)

/* Where in a chunked body the next byte stands. */
enum {
        STATE_SIZE,      /* in a chunk's size, of which `line` digits were there */
        STATE_EXTENSION, /* behind the ";" */
        STATE_SIZE_LF,
        STATE_DATA,
        STATE_DATA_CR,
        STATE_DATA_LF,
        STATE_TRAILER, /* at the start of a line */
        STATE_TRAILER_NAME,
        STATE_TRAILER_VALUE,
        STATE_TRAILER_LF,
        STATE_END_LF,
        STATE_BROKEN,
};

void http_decoder_init(HttpDecoder *decoder, HttpBody kind, uint64_t length)
{
        *decoder = (HttpDecoder){ .kind = kind, .state = STATE_SIZE };
        if (kind == HTTP_BODY_LENGTH)
                decoder->left = length;
        decoder->done = kind == HTTP_BODY_NONE || (kind == HTTP_BODY_LENGTH && length == 0);
}

static int digit(HttpDecoder *decoder, uint8_t c)
{
        int value = http_hex(c);

        if (value < 0 || decoder->left > CHUNK_MAX >> 4)
                return STATE_BROKEN;
        decoder->left = decoder->left << 4 | (uint64_t)value;
        return STATE_SIZE;
}

/* Within the line of a chunk's size. */
static int size_byte(HttpDecoder *decoder, uint8_t c)
{
        if (decoder->line == HTTP_CHUNK_LINE_MAX)
                return STATE_BROKEN;
        decoder->line++;
        if (decoder->state == STATE_EXTENSION)
                return c == '\r' ? STATE_SIZE_LF : c == ' ' || http_is_visible(c) ? STATE_EXTENSION : STATE_BROKEN;
        if (decoder->line > 1 && c == '\r')
                return STATE_SIZE_LF;
        if (decoder->line > 1 && c == ';')
                return STATE_EXTENSION;
        return digit(decoder, c);
}

/* Behind the last chunk. */
static int trailer_byte(HttpDecoder *decoder, uint8_t c)
{
        if (decoder->trailers == HTTP_TRAILERS_MAX)
                return STATE_BROKEN;
        decoder->trailers++;
        switch (decoder->state) {
        case STATE_TRAILER:
                return c == '\r' ? STATE_END_LF : http_is_token(c) ? STATE_TRAILER_NAME : STATE_BROKEN;
        case STATE_TRAILER_NAME:
                return c == ':' ? STATE_TRAILER_VALUE : http_is_token(c) ? STATE_TRAILER_NAME : STATE_BROKEN;
        case STATE_TRAILER_VALUE:
                return c == '\r' ? STATE_TRAILER_LF : http_is_text(c) ? STATE_TRAILER_VALUE : STATE_BROKEN;
        default:
                return c == '\n' ? STATE_TRAILER : STATE_BROKEN;
        }
}

/* The state behind a byte that is not data. */
static int framing_byte(HttpDecoder *decoder, uint8_t c)
{
        switch (decoder->state) {
        case STATE_SIZE:
        case STATE_EXTENSION:
                return size_byte(decoder, c);
        case STATE_SIZE_LF:
                if (c != '\n')
                        return STATE_BROKEN;
                decoder->line = 0;
                return decoder->left > 0 ? STATE_DATA : STATE_TRAILER;
        case STATE_DATA_CR:
                return c == '\r' ? STATE_DATA_LF : STATE_BROKEN;
        case STATE_DATA_LF:
                return c == '\n' ? STATE_SIZE : STATE_BROKEN;
        case STATE_END_LF:
                decoder->done = c == '\n';
                return c == '\n' ? STATE_END_LF : STATE_BROKEN;
        case STATE_BROKEN:
                return STATE_BROKEN;
        default:
                return trailer_byte(decoder, c);
        }
}

/* Takes up to `left` bytes of data from behind what was used. */
static void take_data(HttpDecoder *decoder, Slice bytes, size_t *used, Slice *ret_data)
{
        size_t size = bytes.size - *used;

        if (size > decoder->left)
                size = (size_t)decoder->left;
        *ret_data = slice(bytes.data + *used, size);
        *used += size;
        decoder->left -= size;
}

static int feed_chunked(HttpDecoder *decoder, Slice bytes, size_t *ret_used, Slice *ret_data)
{
        size_t used = 0;

        while (used < bytes.size && !decoder->done && decoder->state != STATE_DATA) {
                decoder->state = (unsigned)framing_byte(decoder, bytes.data[used]);
                if (decoder->state == STATE_BROKEN)
                        return HTTP_E_FRAMING;
                used++;
        }
        if (used < bytes.size && decoder->state == STATE_DATA) {
                take_data(decoder, bytes, &used, ret_data);
                if (decoder->left == 0)
                        decoder->state = STATE_DATA_CR;
        }
        *ret_used = used;
        return 0;
}

int http_decoder_feed(HttpDecoder *decoder, Slice bytes, size_t *ret_used, Slice *ret_data)
{
        *ret_used = 0;
        *ret_data = SLICE_NULL;
        if (decoder->state == STATE_BROKEN)
                return HTTP_E_FRAMING;
        if (decoder->done || bytes.size == 0)
                return 0;
        if (decoder->kind == HTTP_BODY_CHUNKED)
                return feed_chunked(decoder, bytes, ret_used, ret_data);
        if (decoder->kind == HTTP_BODY_UNTIL_CLOSE) {
                *ret_used = bytes.size;
                *ret_data = bytes;
                return 0;
        }
        take_data(decoder, bytes, ret_used, ret_data);
        decoder->done = decoder->left == 0;
        return 0;
}

int http_decoder_end(HttpDecoder *decoder)
{
        if (decoder->kind == HTTP_BODY_UNTIL_CLOSE)
                decoder->done = true;
        return decoder->done ? 0 : HTTP_E_FRAMING;
}

size_t http_chunk_head(size_t size, char out[20])
{
        return (size_t)snprintf(out, 20, "%zx\r\n", size);
}
