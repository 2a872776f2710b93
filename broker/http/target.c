#include "http/target.h"
#include "base/text.h"
#include "http/chars.h"
#include <strings.h>

#define LABEL_MAX 63U
#define PORT_HTTP 80
#define PORT_HTTPS 443

/* 1 to 65535, without leading zeros. */
static bool read_port(Slice text, uint16_t *ret)
{
        uint32_t port = 0;

        if (text.size == 0 || text.size > 5 || text.data[0] == '0')
                return false;
        for (size_t i = 0; i < text.size; i++) {
                if (!http_is_digit(text.data[i]))
                        return false;
                port = port * 10 + (uint32_t)(text.data[i] - '0');
        }
        *ret = (uint16_t)port;
        return port <= UINT16_MAX;
}

static bool is_label(const char *label, size_t size)
{
        if (size == 0 || size > LABEL_MAX || label[0] == '-' || label[size - 1] == '-')
                return false;
        for (size_t i = 0; i < size; i++)
                if (!http_is_alnum((uint8_t)label[i]) && label[i] != '-')
                        return false;
        return true;
}

/* What some resolvers read as (the end of) an address: "1", "017", "0x7f". No such top-level name exists. */
static bool is_number(const char *label)
{
        size_t digits = strspn(label, "0123456789");

        if (!label[digits])
                return true;
        if (label[0] != '0' || label[1] != 'x')
                return false;
        return !label[2 + strspn(label + 2, "0123456789abcdef")];
}

static bool is_host(const char *host)
{
        for (;;) {
                size_t size = strcspn(host, ".");

                if (!is_label(host, size))
                        return false;
                if (!host[size])
                        return !is_number(host);
                host += size + 1;
        }
}

int http_parse_authority(Slice text, uint16_t default_port, HttpAuthority *ret)
{
        const uint8_t *colon = text.size > 0 ? memchr(text.data, ':', text.size) : NULL;
        size_t size = colon ? (size_t)(colon - text.data) : text.size;
        HttpAuthority authority = { .port = default_port };

        if (size == 0 || size > HTTP_HOST_MAX)
                return HTTP_E_HOST;
        for (size_t i = 0; i < size; i++)
                authority.host[i] = (char)http_lower(text.data[i]);
        if (memchr(authority.host, '\0', size) || !is_host(authority.host))
                return HTTP_E_HOST;
        if (colon && !read_port(slice(colon + 1, text.size - size - 1), &authority.port))
                return HTTP_E_HOST;
        *ret = authority;
        return 0;
}

static bool take_scheme(Slice *target, const char *scheme)
{
        size_t size = strlen(scheme);

        if (target->size < size || strncasecmp((const char *)target->data, scheme, size) != 0)
                return false;
        *target = slice(target->data + size, target->size - size);
        return true;
}

int http_parse_absolute(Slice target, bool *ret_secure, HttpAuthority *ret, Slice *ret_rest)
{
        size_t size = 0;
        bool secure;
        int r;

        secure = take_scheme(&target, "https://");
        if (!secure && !take_scheme(&target, "http://"))
                return HTTP_E_TARGET;
        while (size < target.size && !strchr("/?#", target.data[size]))
                size++;
        if (size < target.size && target.data[size] != '/')
                return HTTP_E_TARGET;
        r = http_parse_authority(slice(target.data, size), secure ? PORT_HTTPS : PORT_HTTP, ret);
        if (r)
                return r;
        *ret_secure = secure;
        *ret_rest = size < target.size ? slice(target.data + size, target.size - size) : slice("/", 1);
        return 0;
}

/* How a byte of a path or query is written in canonical form, where one has two forms. */
typedef struct Alphabet {
        const char *plain;  /* beside letters and digits: never percent-encoded */
        const char *either; /* means one thing as it is and another one encoded: stays as it came */
} Alphabet;

/* "*" is of rules, "+" a space to some, and ";" sets off what some servers drop. */
static const Alphabet path_alphabet = { "-._~!$&'(),:=@", "*+;" };
static const Alphabet query_alphabet = { "-._~", "!$&'()*+,;:=@/?" };

static bool is_in(uint8_t c, const char *set)
{
        return c && strchr(set, c);
}

static int append_encoded(Buf *out, uint8_t c)
{
        static const char digits[] = "0123456789ABCDEF";
        const char text[3] = { '%', digits[c >> 4], digits[c & 15] };

        return buf_append(out, text, sizeof(text));
}

/* `encoded`: it came as "%XX". */
static int append_canonical(Buf *out, uint8_t c, bool encoded, const Alphabet *alphabet)
{
        if (http_is_alnum(c) || is_in(c, alphabet->plain) || (!encoded && is_in(c, alphabet->either)))
                return buf_append_u8(out, c);
        return append_encoded(out, c);
}

/* The byte at `*at`, which is moved behind it. */
static int take_byte(Slice text, size_t *at, uint8_t *ret, bool *ret_encoded)
{
        uint8_t c = text.data[*at];

        *ret_encoded = c == '%';
        if (c != '%') {
                (*at)++;
                *ret = c;
                return http_is_visible(c) && c != '#' ? 0 : HTTP_E_TARGET;
        }
        if (text.size - *at < 3 || http_hex(text.data[*at + 1]) < 0 || http_hex(text.data[*at + 2]) < 0)
                return HTTP_E_TARGET;
        *ret = (uint8_t)(http_hex(text.data[*at + 1]) << 4 | http_hex(text.data[*at + 2]));
        *at += 3;
        return *ret ? 0 : HTTP_E_TARGET;
}

/* What a path may not have in either form, or not encoded: servers differ over what these are. */
static bool is_dangerous(uint8_t c, bool encoded)
{
        return c < ' ' || c == 0x7f || c == '\\' || (encoded && (c == '/' || c == '.'));
}

/* An empty segment, or dots; also with parameters behind it ("..;x"), which some servers drop. */
static bool is_bad_segment(Slice segment, bool last)
{
        const uint8_t *end = segment.size > 0 ? memchr(segment.data, ';', segment.size) : NULL;
        size_t size = end ? (size_t)(end - segment.data) : segment.size;

        if (size == 0)
                return !last || segment.size > 0;
        return slice_is_text(slice(segment.data, size), ".") || slice_is_text(slice(segment.data, size), "..");
}

static int check_segments(Slice path)
{
        size_t start = 1;

        for (size_t i = 1; i <= path.size; i++) {
                if (i < path.size && path.data[i] != '/')
                        continue;
                if (is_bad_segment(slice(path.data + start, i - start), i == path.size))
                        return HTTP_E_TARGET;
                start = i + 1;
        }
        return 0;
}

static int canonical_path(Slice text, Buf *out, Buf *decoded)
{
        int r;

        if (text.size == 0 || text.data[0] != '/')
                return HTTP_E_TARGET;
        for (size_t at = 0; at < text.size;) {
                bool encoded;
                uint8_t c;

                r = take_byte(text, &at, &c, &encoded);
                if (r)
                        return r;
                if (is_dangerous(c, encoded))
                        return HTTP_E_TARGET;
                r = c == '/' ? buf_append_u8(out, c) : append_canonical(out, c, encoded, &path_alphabet);
                if (r < 0 || (r = buf_append_u8(decoded, c)) < 0)
                        return r;
        }
        if (!text_is_utf8(buf_slice(decoded)))
                return HTTP_E_TARGET; /* an overlong form of something else, to some */
        return check_segments(buf_slice(out));
}

static int canonical_query(Slice text, Buf *out)
{
        int r = 0;

        for (size_t at = 0; at < text.size && !r;) {
                bool encoded;
                uint8_t c;

                r = take_byte(text, &at, &c, &encoded);
                if (!r)
                        r = append_canonical(out, c, encoded, &query_alphabet);
        }
        return r;
}

static int terminate(Buf *buf)
{
        uint8_t *room;
        int r = buf_reserve(buf, 1, &room);

        if (r < 0)
                return r;
        *room = '\0';
        return 0;
}

int http_canonical_target(Slice target, Buf *path, Buf *query, bool *ret_has_query)
{
        const uint8_t *mark = target.size > 0 ? memchr(target.data, '?', target.size) : NULL;
        size_t size = mark ? (size_t)(mark - target.data) : target.size;
        Buf decoded = BUF_NULL(HTTP_TARGET_MAX);
        int r = 0;

        buf_clear(path);
        buf_clear(query);
        if (target.size > HTTP_TARGET_MAX)
                r = HTTP_E_TOO_LARGE;
        if (!r)
                r = canonical_path(slice(target.data, size), path, &decoded);
        if (!r && mark)
                r = canonical_query(slice(mark + 1, target.size - size - 1), query);
        if (!r)
                r = terminate(path);
        if (!r)
                r = terminate(query);
        buf_deinit(&decoded);
        if (!r)
                *ret_has_query = mark;
        return r == -ENOBUFS ? HTTP_E_TOO_LARGE : r;
}

/* The port behind a pattern's host; 443 where there is none. */
static bool has_port(const char *text, uint16_t port)
{
        size_t i = strlen(text);

        if (i == 0)
                return port == PORT_HTTPS;
        /* From the last digit on. */
        while (i > 1 && port > 0 && text[i - 1] == (char)('0' + port % 10)) {
                port /= 10;
                i--;
        }
        return i == 1 && port == 0 && text[0] == ':' && text[1];
}

bool http_host_matches(const char *pattern, const HttpAuthority *authority)
{
        const char *host = authority->host;
        size_t size;

        if (pattern[0] == '*' && pattern[1] == '.') {
                host = strchr(host, '.');
                pattern++;
                if (!host)
                        return false;
        }
        size = strcspn(pattern, ":");
        return size > 0 && size == strlen(host) && strncasecmp(pattern, host, size) == 0 &&
               has_port(pattern + size, authority->port);
}
