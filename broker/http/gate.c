#include "http/chars.h"
#include "http/parts.h"

/* What is left of the head. */
typedef struct Cursor {
        const uint8_t *at;
        size_t left;
} Cursor;

/* The next line without its CRLF. A CR or LF anywhere but there is an error, as is a missing end. */
static int take_line(Cursor *cursor, Slice *ret)
{
        const uint8_t *end = memchr(cursor->at, '\n', cursor->left);
        size_t size;

        if (!end || end == cursor->at || end[-1] != '\r')
                return HTTP_E_SYNTAX;
        size = (size_t)(end - cursor->at) - 1;
        if (memchr(cursor->at, '\r', size))
                return HTTP_E_SYNTAX;
        *ret = slice(cursor->at, size);
        cursor->at += size + 2;
        cursor->left -= size + 2;
        return 0;
}

/* Bytes of the line up to the next space, which is dropped; all of it where there is none. */
static Slice take_word(Slice *line)
{
        const uint8_t *end = line->size > 0 ? memchr(line->data, ' ', line->size) : NULL;
        size_t size = end ? (size_t)(end - line->data) : line->size;
        Slice word = slice(line->data, size);

        if (end)
                size++;
        *line = slice(line->data + size, line->size - size);
        return word;
}

static bool all(Slice bytes, bool (*is)(uint8_t c))
{
        for (size_t i = 0; i < bytes.size; i++)
                if (!is(bytes.data[i]))
                        return false;
        return true;
}

/* "HTTP/1.0" or "HTTP/1.1". */
static int read_version(Slice word, unsigned *ret_minor)
{
        if (word.size != 8 || memcmp(word.data, "HTTP/", 5) != 0 || !http_is_digit(word.data[5]) ||
            word.data[6] != '.' || !http_is_digit(word.data[7]))
                return HTTP_E_SYNTAX;
        if (word.data[5] != '1' || word.data[7] > '1')
                return HTTP_E_VERSION;
        *ret_minor = (unsigned)(word.data[7] - '0');
        return 0;
}

static int read_target(Slice target)
{
        if (target.size == 0)
                return HTTP_E_SYNTAX;
        if (target.size > HTTP_TARGET_MAX)
                return HTTP_E_TOO_LARGE;
        for (size_t i = 0; i < target.size; i++) {
                if (target.data[i] >= 0x80)
                        return HTTP_E_TARGET;
                if (!http_is_visible(target.data[i]))
                        return HTTP_E_SYNTAX;
        }
        return 0;
}

static int read_request_line(Slice line, HttpHead *ret)
{
        bool has_version;
        int r;

        ret->method = take_word(&line);
        if (ret->method.size == 0 || !all(ret->method, http_is_token))
                return HTTP_E_SYNTAX;
        if (ret->method.size > HTTP_METHOD_MAX)
                return HTTP_E_TOO_LARGE;
        has_version = line.size > 0 && memchr(line.data, ' ', line.size);
        ret->target = take_word(&line);
        r = read_target(ret->target);
        if (r)
                return r;
        if (!has_version)
                return HTTP_E_VERSION; /* HTTP/0.9 has none */
        return read_version(line, &ret->minor);
}

static int read_status_line(Slice line, HttpHead *ret)
{
        Slice word = take_word(&line);
        int r = read_version(word, &ret->minor);

        if (r)
                return r;
        word = take_word(&line);
        if (word.size != 3 || !all(word, http_is_digit) || word.data[0] < '1' || word.data[0] > '5' ||
            !all(line, http_is_text))
                return HTTP_E_SYNTAX;
        ret->status = (unsigned)((word.data[0] - '0') * 100 + (word.data[1] - '0') * 10 + (word.data[2] - '0'));
        return 0;
}

static bool is_request_text(uint8_t c)
{
        return c == ' ' || http_is_visible(c);
}

static Slice trim(Slice value)
{
        while (value.size > 0 && http_is_blank(value.data[0]))
                value = slice(value.data + 1, value.size - 1);
        while (value.size > 0 && http_is_blank(value.data[value.size - 1]))
                value.size--;
        return value;
}

static int read_header(Slice line, bool (*is_text)(uint8_t c), HttpHead *ret)
{
        const uint8_t *colon = memchr(line.data, ':', line.size);
        HttpHeader header;

        if (!colon)
                return HTTP_E_SYNTAX;
        header.name = slice(line.data, (size_t)(colon - line.data));
        header.value = trim(slice(colon + 1, line.size - header.name.size - 1));
        if (header.name.size == 0 || !all(header.name, http_is_token) || !all(header.value, is_text))
                return HTTP_E_SYNTAX;
        if (header.name.size > HTTP_HEADER_NAME_MAX || header.value.size > HTTP_HEADER_VALUE_MAX ||
            ret->n_headers == HTTP_HEADERS_MAX)
                return HTTP_E_TOO_LARGE;
        ret->headers[ret->n_headers++] = header;
        return 0;
}

static int read_head(Slice bytes, int (*read_first)(Slice line, HttpHead *ret), bool (*is_text)(uint8_t c),
                     HttpHead *ret)
{
        Cursor cursor = { bytes.data, bytes.size };
        Slice line;
        int r;

        if (bytes.size > HTTP_HEAD_MAX)
                return HTTP_E_TOO_LARGE;
        if (bytes.size == 0)
                return HTTP_E_SYNTAX;
        r = take_line(&cursor, &line);
        if (!r)
                r = read_first(line, ret);
        while (!r) {
                r = cursor.left > 0 ? take_line(&cursor, &line) : HTTP_E_SYNTAX;
                if (!r && line.size == 0)
                        break;
                if (!r)
                        r = read_header(line, is_text, ret);
        }
        /* Too long to be whole: what is missing is its end. */
        if (r == HTTP_E_SYNTAX && bytes.size == HTTP_HEAD_MAX && !memchr(cursor.at, '\n', cursor.left))
                return HTTP_E_TOO_LARGE;
        return !r && cursor.left > 0 ? HTTP_E_SYNTAX : r;
}

int http_gate_request(Slice bytes, HttpHead *ret)
{
        return read_head(bytes, read_request_line, is_request_text, ret);
}

int http_gate_response(Slice bytes, HttpHead *ret)
{
        return read_head(bytes, read_status_line, http_is_text, ret);
}
