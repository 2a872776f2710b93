#include "http/head.h"
#include "http/chars.h"
#include "http/parts.h"
#include <strings.h>

/* More is no body but an overflow somewhere else. */
#define LENGTH_MAX ((uint64_t)INT64_MAX)

/* Of a table: most names are told apart by their size. */
typedef struct Name {
        size_t size;
        const char *text;
} Name;

#define NAME(text) { sizeof(text) - 1, text }

/* Whoever believes one of these does something else than the rules have decided on. */
static const Name overrides[] = {
        NAME("X-HTTP-Method-Override"), NAME("X-HTTP-Method"), NAME("X-Method-Override"), NAME("X-Method"),
        NAME("X-HTTP-Override"), NAME("X-Original-URL"), NAME("X-Original-URI"), NAME("X-Original-Host"),
        NAME("X-Original-Method"), NAME("X-Rewrite-URL"), NAME("X-Rewrite-URI"), NAME("X-Override-URL"),
        NAME("X-HTTP-Path-Override"), NAME("X-HTTP-Host-Override"), NAME("X-Forwarded-Host"),
        NAME("X-Forwarded-Server"), NAME("X-Forwarded-URI"), NAME("X-Forwarded-URL"),
        NAME("X-Forwarded-Path"), NAME("X-Forwarded-Prefix"), NAME("X-Forwarded-Method"), NAME("X-Host"),
};

/* RFC 9110 section 7.6.1, framing, and what speaks of other hops. */
static const Name hop_by_hop[] = {
        NAME("Connection"), NAME("Keep-Alive"), NAME("TE"), NAME("Trailer"), NAME("Transfer-Encoding"),
        NAME("Content-Length"), NAME("Upgrade"), NAME("Host"), NAME("Expect"), NAME("HTTP2-Settings"),
        NAME("Via"), NAME("Forwarded"), NAME("X-Real-IP"), NAME("Alt-Svc"), NAME("Proxy"),
};
static const char *const hop_by_hop_prefixes[] = { "Proxy-", "X-Forwarded-" };

static const HttpErrorInfo infos[] = {
        [HTTP_E_SYNTAX] = { 400, "syntax", "The message is not well-formed HTTP/1.1." },
        [HTTP_E_TOO_LARGE] = { 431, "too-large", "The head of the message is larger than is taken." },
        [HTTP_E_VERSION] = { 505, "version", "Only HTTP/1.1 is spoken here." },
        [HTTP_E_FRAMING] = { 400, "framing", "Where the body of the message ends is ambiguous." },
        [HTTP_E_HOST] = { 400, "host", "The message does not name exactly one valid host." },
        [HTTP_E_TARGET] = { 400, "target", "The request target is not in canonical form." },
        [HTTP_E_OVERRIDE] = { 400, "override", "A header overrides method, URL or host for some servers." },
};

const HttpErrorInfo *http_error_info(HttpError error)
{
        bool known = (size_t)error < ARRAY_SIZE(infos) && infos[error].reason;

        return &infos[known ? error : HTTP_E_SYNTAX];
}

size_t http_head_end(Slice bytes)
{
        size_t at = 0;

        if (bytes.size == 0)
                return 0;
        if (!http_is_token(bytes.data[0]))
                return 1;
        for (unsigned lines = 0; lines < HTTP_HEADERS_MAX + 2; lines++) {
                const uint8_t *end = memchr(bytes.data + at, '\n', MIN(bytes.size, HTTP_HEAD_MAX) - at);
                size_t next;

                if (!end)
                        return bytes.size < HTTP_HEAD_MAX ? 0 : HTTP_HEAD_MAX;
                next = (size_t)(end - bytes.data) + 1;
                /* The empty line; or a bare LF, behind which nothing is worth waiting for. */
                if (next - at == 2 || end[-1] != '\r')
                        return next;
                at = next;
        }
        return at;
}

bool http_name_is(Slice name, const char *text)
{
        /* Most differ in their first letter. */
        if (name.size > 0 && http_lower(name.data[0]) != http_lower((uint8_t)text[0]))
                return false;
        return strlen(text) == name.size && strncasecmp((const char *)name.data, text, name.size) == 0;
}

const HttpHeader *http_find(const HttpHead *head, const char *name, size_t *ret_n)
{
        const HttpHeader *found = NULL;
        size_t n = 0;

        for (size_t i = 0; i < head->n_headers; i++)
                if (http_name_is(head->headers[i].name, name)) {
                        found = &head->headers[i];
                        n++;
                }
        if (ret_n)
                *ret_n = n;
        return n == 1 ? found : NULL;
}

/* As servers compare that hand headers on as environment variables: "_" is "-" to them. */
static bool begins_loosely(Slice name, const char *text)
{
        for (size_t i = 0; text[i]; i++) {
                if (i == name.size)
                        return false;
                if (http_lower(name.data[i] == '_' ? '-' : name.data[i]) != http_lower((uint8_t)text[i]))
                        return false;
        }
        return true;
}

static bool is_loosely(Slice name, const char *text)
{
        return name.size == strlen(text) && begins_loosely(name, text);
}

static bool is_one_of(Slice name, const Name *names, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (names[i].size == name.size && begins_loosely(name, names[i].text))
                        return true;
        return false;
}

/* The next element of a comma-separated list, without white space; false at the end. */
static bool take_element(Slice *list, Slice *ret)
{
        const uint8_t *comma;
        size_t size;

        if (list->size == 0)
                return false;
        comma = memchr(list->data, ',', list->size);
        size = comma ? (size_t)(comma - list->data) : list->size;
        *ret = slice(list->data, size);
        if (comma)
                size++;
        *list = slice(list->data + size, list->size - size);
        while (ret->size > 0 && http_is_blank(ret->data[0]))
                *ret = slice(ret->data + 1, ret->size - 1);
        while (ret->size > 0 && http_is_blank(ret->data[ret->size - 1]))
                ret->size--;
        return true;
}

/* Does a Connection header name it? */
static bool connection_names(const HttpHead *head, Slice option)
{
        for (size_t i = 0; i < head->n_headers; i++) {
                Slice list = head->headers[i].value, element;

                if (!http_name_is(head->headers[i].name, "Connection"))
                        continue;
                while (take_element(&list, &element))
                        if (element.size == option.size && option.size > 0 &&
                            strncasecmp((const char *)element.data, (const char *)option.data, option.size) == 0)
                                return true;
        }
        return false;
}

bool http_is_hop_by_hop(const HttpHead *head, Slice name)
{
        if (is_one_of(name, hop_by_hop, ARRAY_SIZE(hop_by_hop)))
                return true;
        for (size_t i = 0; i < ARRAY_SIZE(hop_by_hop_prefixes); i++)
                if (begins_loosely(name, hop_by_hop_prefixes[i]))
                        return true;
        return connection_names(head, name);
}

static int check_connection(const HttpHead *head)
{
        size_t n = 0;

        for (size_t i = 0; i < head->n_headers; i++) {
                Slice list = head->headers[i].value, element;

                if (!http_name_is(head->headers[i].name, "Connection"))
                        continue;
                while (take_element(&list, &element)) {
                        if (++n > HTTP_CONNECTION_MAX)
                                return HTTP_E_TOO_LARGE;
                        for (size_t k = 0; k < element.size; k++)
                                if (!http_is_token(element.data[k]))
                                        return HTTP_E_SYNTAX;
                }
        }
        return 0;
}

/* Digits alone, and no leading zero: some read an octal number then. */
static int read_length(Slice value, uint64_t *ret)
{
        uint64_t length = 0;

        if (value.size == 0 || (value.size > 1 && value.data[0] == '0'))
                return HTTP_E_FRAMING;
        for (size_t i = 0; i < value.size; i++)
                if (!http_is_digit(value.data[i]) || __builtin_mul_overflow(length, (uint64_t)10, &length) ||
                    __builtin_add_overflow(length, (uint64_t)(value.data[i] - '0'), &length))
                        return HTTP_E_FRAMING;
        if (length > LENGTH_MAX)
                return HTTP_E_FRAMING;
        *ret = length;
        return 0;
}

/* What the two headers say about a body, one of them at most. HTTP_BODY_NONE: neither is there. */
static int read_framing(HttpHead *head, bool is_request)
{
        size_t n_coding, n_length;
        const HttpHeader *coding = http_find(head, "Transfer-Encoding", &n_coding);
        const HttpHeader *length = http_find(head, "Content-Length", &n_length);

        head->body = HTTP_BODY_NONE;
        if (n_coding + n_length == 0)
                return 0;
        if (n_coding + n_length > 1)
                return HTTP_E_FRAMING;
        if (length) {
                head->body = HTTP_BODY_LENGTH;
                head->has_length = true;
                return read_length(length->value, &head->length);
        }
        if (head->minor == 0)
                return HTTP_E_FRAMING;
        if (is_request ? !slice_is_text(coding->value, "chunked") : !http_name_is(coding->value, "chunked"))
                return HTTP_E_FRAMING;
        head->body = HTTP_BODY_CHUNKED;
        return 0;
}

bool http_is_override(Slice name)
{
        return is_one_of(name, overrides, ARRAY_SIZE(overrides));
}

/* Names that a server behind another could take for what they are not. */
static int check_names(const HttpHead *head)
{
        for (size_t i = 0; i < head->n_headers; i++) {
                Slice name = head->headers[i].name;

                if (http_is_override(name))
                        return HTTP_E_OVERRIDE;
                if (!memchr(name.data, '_', name.size))
                        continue;
                if (is_loosely(name, "Content-Length") || is_loosely(name, "Transfer-Encoding"))
                        return HTTP_E_FRAMING;
        }
        return 0;
}

static bool begins(Slice text, const char *prefix)
{
        size_t size = strlen(prefix);

        return text.size >= size && strncasecmp((const char *)text.data, prefix, size) == 0;
}

static int read_form(HttpHead *head)
{
        Slice target = head->target;

        if (memchr(target.data, '#', target.size))
                return HTTP_E_TARGET;
        if (slice_is_text(head->method, "CONNECT"))
                head->form = HTTP_TARGET_AUTHORITY;
        else if (target.data[0] == '/')
                head->form = HTTP_TARGET_ORIGIN;
        else if (begins(target, "http://") || begins(target, "https://"))
                head->form = HTTP_TARGET_ABSOLUTE;
        else if (slice_is_text(target, "*") && slice_is_text(head->method, "OPTIONS"))
                head->form = HTTP_TARGET_ASTERISK;
        else
                return HTTP_E_TARGET;
        return 0;
}

/* "host", "host:port", "[v6]:port". */
static int split_host(Slice text, Slice *ret_host, Slice *ret_port)
{
        size_t size = 0;

        if (text.size > 0 && text.data[0] == '[') {
                const uint8_t *end = memchr(text.data, ']', text.size);

                if (!end)
                        return HTTP_E_HOST;
                size = (size_t)(end - text.data) + 1;
                for (size_t i = 1; i + 1 < size; i++)
                        if (http_hex(text.data[i]) < 0 && text.data[i] != ':' && text.data[i] != '.')
                                return HTTP_E_HOST;
        } else {
                while (size < text.size && (http_is_alnum(text.data[size]) || strchr("-._", text.data[size])) &&
                       text.data[size])
                        size++;
        }
        *ret_host = slice(text.data, size);
        *ret_port = slice(text.data + size, text.size - size);
        if (size == 0)
                return HTTP_E_HOST;
        if (ret_port->size == 0)
                return 0;
        if (ret_port->data[0] != ':')
                return HTTP_E_HOST;
        *ret_port = slice(ret_port->data + 1, ret_port->size - 1);
        for (size_t i = 0; i < ret_port->size; i++)
                if (!http_is_digit(ret_port->data[i]))
                        return HTTP_E_HOST;
        return ret_port->size == 0 || ret_port->size > 5 ? HTTP_E_HOST : 0;
}

/* The part of the target that names host and port, and the port that goes without saying. */
static Slice target_authority(const HttpHead *head, const char **ret_port)
{
        Slice text = head->target;
        size_t size = 0, skip;

        *ret_port = NULL;
        if (head->form == HTTP_TARGET_AUTHORITY)
                return text;
        *ret_port = begins(text, "https://") ? "443" : "80";
        skip = begins(text, "https://") ? 8 : 7;
        text = slice(text.data + skip, text.size - skip);
        while (size < text.size && text.data[size] != '/' && text.data[size] != '?')
                size++;
        return slice(text.data, size);
}

/* Host and target, where the target names one too, have to name the same. */
static int check_same_host(const HttpHead *head)
{
        Slice host, port, target_host, target_port;
        const char *port_default;
        int r = split_host(target_authority(head, &port_default), &target_host, &target_port);

        if (r)
                return r;
        if (head->form == HTTP_TARGET_AUTHORITY && target_port.size == 0)
                return HTTP_E_TARGET;
        if (head->host.size == 0)
                return 0; /* HTTP/1.0 */
        r = split_host(head->host, &host, &port);
        if (r)
                return r;
        if (host.size != target_host.size ||
            strncasecmp((const char *)host.data, (const char *)target_host.data, host.size) != 0)
                return HTTP_E_HOST;
        if (!port_default)
                /* Some clients leave the port of a tunnel out of its Host. */
                return port.size > 0 && !slice_equal(port, target_port) ? HTTP_E_HOST : 0;
        if (port.size == 0)
                port = slice_text(port_default);
        if (target_port.size == 0)
                target_port = slice_text(port_default);
        return slice_equal(port, target_port) ? 0 : HTTP_E_HOST;
}

static int read_host(HttpHead *head)
{
        size_t n_loose = 0, n;
        const HttpHeader *host = http_find(head, "Host", &n);
        Slice name, port;
        int r;

        for (size_t i = 0; i < head->n_headers; i++)
                n_loose += is_loosely(head->headers[i].name, "Host");
        if (n > 1 || n_loose != n || (n == 0 && head->minor > 0))
                return HTTP_E_HOST;
        if (host) {
                head->host = host->value;
                r = split_host(host->value, &name, &port);
                if (r)
                        return r;
        }
        if (head->form == HTTP_TARGET_ABSOLUTE || head->form == HTTP_TARGET_AUTHORITY)
                return check_same_host(head);
        return 0;
}

/* Nothing behind the head of these is a body: what would be one belongs to somebody else. */
static int check_method(HttpHead *head)
{
        if (slice_is_text(head->method, "TRACE") || slice_is_text(head->method, "TRACK"))
                return HTTP_E_SYNTAX; /* would have the upstream send the credential back */
        if (!slice_is_text(head->method, "CONNECT"))
                return 0;
        if (head->body == HTTP_BODY_CHUNKED || head->length > 0)
                return HTTP_E_FRAMING;
        head->body = HTTP_BODY_NONE;
        return 0;
}

static int read_expect(HttpHead *head)
{
        size_t n;
        const HttpHeader *expect = http_find(head, "Expect", &n);

        if (n == 0)
                return 0;
        if (!expect || !http_name_is(expect->value, "100-continue"))
                return HTTP_E_SYNTAX;
        head->expect = head->minor > 0 && (head->body == HTTP_BODY_CHUNKED || head->length > 0);
        return 0;
}

static int read_connection(HttpHead *head)
{
        size_t n;
        const HttpHeader *upgrade = http_find(head, "Upgrade", &n);
        int r = check_connection(head);

        if (r)
                return r;
        if (n > 1)
                return HTTP_E_SYNTAX;
        if (upgrade && head->minor > 0 && connection_names(head, slice_text("upgrade")))
                head->upgrade = upgrade->value;
        head->keep_alive = head->minor > 0 && !connection_names(head, slice_text("close"));
        return 0;
}

static int read_request(Slice bytes, HttpHead *ret)
{
        int r;

        if ((r = http_gate_request(bytes, ret)) || (r = check_names(ret)) || (r = read_framing(ret, true)) ||
            (r = read_form(ret)) || (r = read_host(ret)) || (r = check_method(ret)) || (r = read_expect(ret)) ||
            (r = read_connection(ret)))
                return r;
        /* Who asks for an upgrade and sends a body all the same gets an ordinary answer. */
        if (ret->body == HTTP_BODY_CHUNKED || ret->length > 0)
                ret->upgrade = SLICE_NULL;
        return http_opinion(bytes, true, false, ret);
}

/* A head has room for many headers: it is cleared once and not copied. */
int http_parse_request(Slice bytes, HttpHead *ret)
{
        int r;

        memset(ret, 0, sizeof(*ret));
        r = read_request(bytes, ret);
        if (r)
                memset(ret, 0, sizeof(*ret));
        return r;
}

/* Which responses have a body at all (RFC 9112 section 6.3). */
static void settle_body(HttpHead *head, bool head_request)
{
        bool none = head->status < 200 || head->status == 204;

        if (!none && !head_request && head->status != 304) {
                if (head->body == HTTP_BODY_NONE)
                        head->body = HTTP_BODY_UNTIL_CLOSE;
                if (head->body == HTTP_BODY_UNTIL_CLOSE)
                        head->keep_alive = false;
                return;
        }
        /* A length of these would be one of a body that must not come; it may come nevertheless. */
        if (none && (head->body == HTTP_BODY_CHUNKED || head->length > 0))
                head->keep_alive = false;
        if (none) {
                head->has_length = false;
                head->length = 0;
        }
        head->body = HTTP_BODY_NONE;
}

int http_parse_response(Slice bytes, bool head_request, HttpHead *ret)
{
        int r;

        memset(ret, 0, sizeof(*ret));
        if ((r = http_gate_response(bytes, ret)) == 0 && (r = read_framing(ret, false)) == 0 &&
            (r = read_connection(ret)) == 0) {
                settle_body(ret, head_request);
                r = http_opinion(bytes, false, head_request, ret);
        }
        if (r)
                memset(ret, 0, sizeof(*ret));
        return r;
}
