#include "http/writer.h"
#include "http/chars.h"
#include <stdio.h>

typedef struct Reason {
        unsigned status;
        const char *text;
} Reason;

static const Reason reasons[] = {
        { 100, "Continue" },
        { 101, "Switching Protocols" },
        { 103, "Early Hints" },
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 207, "Multi-Status" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 402, "Payment Required" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 407, "Proxy Authentication Required" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 422, "Unprocessable Content" },
        { 426, "Upgrade Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
};

static bool all(Slice bytes, bool (*is)(uint8_t c))
{
        for (size_t i = 0; i < bytes.size; i++)
                if (!is(bytes.data[i]))
                        return false;
        return true;
}

bool http_name_is_valid(Slice name)
{
        return name.size > 0 && name.size <= HTTP_HEADER_NAME_MAX && all(name, http_is_token);
}

bool http_value_is_valid(Slice value)
{
        return value.size <= HTTP_HEADER_VALUE_MAX && all(value, http_is_text);
}

static bool is_host(uint8_t c)
{
        return http_is_alnum(c) || c == '-' || c == '.';
}

static bool is_path(uint8_t c)
{
        return http_is_visible(c) && c != '#' && c != '?';
}

static bool is_query(uint8_t c)
{
        return http_is_visible(c) && c != '#';
}

/* All of it or nothing. */
static int append_all(Buf *out, const char *const *texts, size_t n)
{
        size_t size = 0;
        uint8_t *room;
        int r;

        for (size_t i = 0; i < n; i++)
                size += strlen(texts[i]);
        r = buf_reserve(out, size, &room);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                size_t length = strlen(texts[i]);

                memcpy(room, texts[i], length);
                room += length;
        }
        buf_commit(out, size);
        return 0;
}

int http_write_request_line(Buf *out, const char *method, const char *path, const char *query, const char *host,
                            uint16_t port)
{
        char port_text[8] = "";

        if (!*method || strlen(method) > HTTP_METHOD_MAX || !all(slice_text(method), http_is_token))
                return -EINVAL;
        if (*path != '/' || !all(slice_text(path), is_path) || !all(slice_text(query), is_query))
                return -EINVAL;
        if (!*host || !all(slice_text(host), is_host) || port == 0)
                return -EINVAL;
        if (port != 443)
                snprintf(port_text, sizeof(port_text), ":%u", (unsigned)port);
        const char *const texts[] = {
                method, " ", path, query ? "?" : "", query ? query : "", " HTTP/1.1\r\nHost: ", host, port_text, "\r\n",
        };
        return append_all(out, texts, ARRAY_SIZE(texts));
}

int http_write_status_line(Buf *out, unsigned status)
{
        const char *text = status < 200   ? "Interim"
                           : status < 300 ? "Success"
                           : status < 400 ? "Redirection"
                           : status < 500 ? "Client Error"
                                          : "Server Error";
        char digits[] = { (char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10), (char)('0' + status % 10), '\0' };

        if (status < 100 || status > 599)
                return -EINVAL;
        for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
                if (reasons[i].status == status) {
                        text = reasons[i].text;
                        break;
                }
        const char *const texts[] = { "HTTP/1.1 ", digits, " ", text, "\r\n" };
        return append_all(out, texts, ARRAY_SIZE(texts));
}

int http_write_header(Buf *out, Slice name, Slice value)
{
        uint8_t *room;
        int r;

        if (!http_name_is_valid(name) || !http_value_is_valid(value))
                return -EINVAL;
        r = buf_reserve(out, name.size + value.size + 4, &room);
        if (r < 0)
                return r;
        memcpy(room, name.data, name.size);
        room += name.size;
        *room++ = ':';
        *room++ = ' ';
        if (value.size > 0)
                memcpy(room, value.data, value.size);
        room[value.size] = '\r';
        room[value.size + 1] = '\n';
        buf_commit(out, name.size + value.size + 4);
        return 0;
}

int http_write_framing(Buf *out, HttpBody body, uint64_t length)
{
        char digits[21], *first = digits + sizeof(digits) - 1;

        if (body == HTTP_BODY_CHUNKED)
                return buf_append_text(out, "Transfer-Encoding: chunked\r\n");
        if (body != HTTP_BODY_LENGTH)
                return 0;
        if (length > (uint64_t)INT64_MAX)
                return -EINVAL;
        *first = '\0';
        do {
                *--first = (char)('0' + length % 10);
                length /= 10;
        } while (length > 0);
        const char *const texts[] = { "Content-Length: ", first, "\r\n" };
        return append_all(out, texts, ARRAY_SIZE(texts));
}

int http_write_end(Buf *out)
{
        return buf_append_text(out, "\r\n");
}
