#undef NDEBUG
#include "http/head.h"
#include "http/writer.h"
#include "../base/suite.h"

static void parse_request(const char *text, HttpHead *ret)
{
        int r = http_parse_request(slice_text(text), ret);

        ck_assert_msg(r == 0, "%d: %s", r, text);
}

static void parse_response(const char *text, bool head_request, HttpHead *ret)
{
        int r = http_parse_response(slice_text(text), head_request, ret);

        ck_assert_msg(r == 0, "%d: %s", r, text);
}

START_TEST(requests_of_clients_are_read)
{
        HttpHead head;

        parse_request("GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\nUser-Agent: curl/7.88.1\r\n"
                      "Accept: */*\r\nProxy-Connection: Keep-Alive\r\n\r\n", &head);
        ck_assert(slice_is_text(head.method, "GET"));
        ck_assert(slice_is_text(head.target, "http://example.com/a?b"));
        ck_assert(slice_is_text(head.host, "example.com"));
        ck_assert_int_eq(head.form, HTTP_TARGET_ABSOLUTE);
        ck_assert_uint_eq(head.n_headers, 4);
        ck_assert(slice_is_text(head.headers[1].name, "User-Agent"));
        ck_assert(slice_is_text(head.headers[1].value, "curl/7.88.1"));
        ck_assert_int_eq(head.body, HTTP_BODY_NONE);
        ck_assert(head.keep_alive && !head.expect && !head.has_length && head.upgrade.size == 0);

        parse_request("CONNECT api.example.com:443 HTTP/1.0\r\n\r\n", &head);
        ck_assert_int_eq(head.form, HTTP_TARGET_AUTHORITY);
        ck_assert_uint_eq(head.host.size, 0);
        ck_assert_uint_eq(head.minor, 0);
        ck_assert(!head.keep_alive);

        parse_request("OPTIONS * HTTP/1.1\r\nhOST:  a \t\r\nConnection: foo, Close\r\n\r\n", &head);
        ck_assert_int_eq(head.form, HTTP_TARGET_ASTERISK);
        ck_assert(slice_is_text(head.host, "a"));
        ck_assert(!head.keep_alive);

        parse_request("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-Continue\r\n\r\n", &head);
        ck_assert_int_eq(head.form, HTTP_TARGET_ORIGIN);
        ck_assert_int_eq(head.body, HTTP_BODY_LENGTH);
        ck_assert_uint_eq(head.length, 12);
        ck_assert(head.expect && head.has_length);

        parse_request("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                      "Expect: 100-continue\r\n\r\n", &head);
        ck_assert_int_eq(head.body, HTTP_BODY_CHUNKED);
        ck_assert(head.expect && !head.has_length);

        parse_request("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n", &head);
        ck_assert_int_eq(head.body, HTTP_BODY_LENGTH);
        ck_assert(!head.expect && head.length == 0);
}
END_TEST

START_TEST(an_upgrade_is_asked_for_without_a_body)
{
        HttpHead head;

        parse_request("GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                      "Connection: keep-alive, Upgrade\r\n\r\n", &head);
        ck_assert(slice_is_text(head.upgrade, "websocket"));
        ck_assert(head.keep_alive);
        parse_request("GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", &head);
        ck_assert_uint_eq(head.upgrade.size, 0);
        parse_request("GET /a HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", &head);
        ck_assert_uint_eq(head.upgrade.size, 0);
        parse_request("POST /a HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n"
                      "Content-Length: 1\r\n\r\n", &head);
        ck_assert_uint_eq(head.upgrade.size, 0);
        parse_response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\n\r\n", false, &head);
        ck_assert(slice_is_text(head.upgrade, "websocket"));
        ck_assert_int_eq(head.body, HTTP_BODY_NONE);
}
END_TEST

START_TEST(a_response_has_the_body_that_its_status_has)
{
        static const struct {
                const char *text;
                HttpBody body;
                bool has_length, keep_alive;
        } cases[] = {
                { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_BODY_LENGTH, true, true },
                { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BODY_CHUNKED, false, true },
                { "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", HTTP_BODY_LENGTH, true, false },
                { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", HTTP_BODY_LENGTH, true, false },
                { "HTTP/1.1 100 Continue\r\n\r\n", HTTP_BODY_NONE, false, true },
                { "HTTP/1.1 204 No Content\r\n\r\n", HTTP_BODY_NONE, false, true },
                { "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", HTTP_BODY_NONE, false, true },
                { "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", HTTP_BODY_NONE, false, false },
                { "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BODY_NONE, false, false },
                { "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", HTTP_BODY_NONE, true, true },
        };
        HttpHead head;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                parse_response(cases[i].text, false, &head);
                ck_assert_int_eq(head.body, cases[i].body);
                ck_assert_int_eq(head.has_length, cases[i].has_length);
                ck_assert_int_eq(head.keep_alive, cases[i].keep_alive);
                parse_response(cases[i].text, true, &head);
                ck_assert_int_eq(head.body, HTTP_BODY_NONE);
                ck_assert_int_eq(head.has_length, cases[i].has_length);
        }
        parse_response("HTTP/1.1 200 OK\r\n\r\n", false, &head);
        ck_assert_int_eq(head.body, HTTP_BODY_UNTIL_CLOSE);
        ck_assert(!head.keep_alive);
        parse_response("HTTP/1.1 200 OK\r\n\r\n", true, &head);
        ck_assert_int_eq(head.body, HTTP_BODY_NONE);
        ck_assert(head.keep_alive);
}
END_TEST

START_TEST(the_end_of_a_head_is_found_as_it_comes)
{
        static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        const size_t end = strlen(text) - 18;

        for (size_t size = 0; size < strlen(text); size++)
                ck_assert_uint_eq(http_head_end(slice(text, size)), size < end ? 0 : end);
}
END_TEST

START_TEST(nobody_waits_for_the_end_of_what_is_no_head)
{
        static char text[HTTP_HEAD_MAX + 1];
        Buf lines = BUF_NULL(HTTP_HEAD_MAX);
        HttpHead head;
        size_t end;

        ck_assert_uint_eq(http_head_end(slice_text("\x16\x03\x01")), 1);
        ck_assert_uint_eq(http_head_end(slice_text(" G")), 1);
        ck_assert_uint_eq(http_head_end(slice_text("GET / HTTP/1.1\nHo")), 15);
        memset(text, 'a', sizeof(text));
        ck_assert_uint_eq(http_head_end(slice(text, HTTP_HEAD_MAX - 1)), 0);
        for (size_t size = HTTP_HEAD_MAX; size <= sizeof(text); size++) {
                end = http_head_end(slice(text, size));
                ck_assert_uint_eq(end, HTTP_HEAD_MAX);
                ck_assert_int_eq(http_parse_request(slice(text, end), &head), HTTP_E_TOO_LARGE);
        }
        ck_assert_int_eq(buf_append_text(&lines, "GET / HTTP/1.1\r\nHost: a\r\n"), 0);
        for (unsigned i = 0; i < HTTP_HEADERS_MAX; i++)
                ck_assert_int_eq(buf_append_text(&lines, "A: b\r\n"), 0);
        end = http_head_end(buf_slice(&lines));
        ck_assert_uint_eq(end, lines.size);
        ck_assert_int_eq(http_parse_request(slice(lines.data, end), &head), HTTP_E_TOO_LARGE);
        buf_deinit(&lines);
}
END_TEST

/* A request with `n` headers besides Host, of these sizes. */
static int parse_sized(size_t target, size_t n, size_t name, size_t value)
{
        static char text[HTTP_HEAD_MAX];
        Buf buf = BUF_NULL(2 * HTTP_HEAD_MAX);
        HttpHead head;
        int r;

        memset(text, 'a', sizeof(text));
        text[0] = '/';
        ck_assert_int_eq(buf_append_text(&buf, "GET "), 0);
        ck_assert_int_eq(buf_append(&buf, text, target), 0);
        ck_assert_int_eq(buf_append_text(&buf, " HTTP/1.1\r\nHost: a\r\n"), 0);
        for (size_t i = 0; i < n; i++) {
                ck_assert_int_eq(buf_append(&buf, text + 1, name), 0);
                ck_assert_int_eq(buf_append_text(&buf, ":"), 0);
                ck_assert_int_eq(buf_append(&buf, text + 1, value), 0);
                ck_assert_int_eq(buf_append_text(&buf, "\r\n"), 0);
        }
        ck_assert_int_eq(buf_append_text(&buf, "\r\n"), 0);
        r = http_parse_request(slice(buf.data, http_head_end(buf_slice(&buf))), &head);
        buf_deinit(&buf);
        return r;
}

START_TEST(heads_have_limits)
{
        ck_assert_int_eq(parse_sized(1, HTTP_HEADERS_MAX - 1, 1, 1), 0);
        ck_assert_int_eq(parse_sized(1, HTTP_HEADERS_MAX, 1, 1), HTTP_E_TOO_LARGE);
        ck_assert_int_eq(parse_sized(1, 1, HTTP_HEADER_NAME_MAX, 1), 0);
        ck_assert_int_eq(parse_sized(1, 1, HTTP_HEADER_NAME_MAX + 1, 1), HTTP_E_TOO_LARGE);
        ck_assert_int_eq(parse_sized(1, 1, 1, HTTP_HEADER_VALUE_MAX), 0);
        ck_assert_int_eq(parse_sized(1, 1, 1, HTTP_HEADER_VALUE_MAX + 1), HTTP_E_TOO_LARGE);
        ck_assert_int_eq(parse_sized(HTTP_TARGET_MAX, 0, 0, 0), 0);
        ck_assert_int_eq(parse_sized(HTTP_TARGET_MAX + 1, 0, 0, 0), HTTP_E_TOO_LARGE);
        ck_assert_int_eq(parse_sized(1, 3, 1, HTTP_HEADER_VALUE_MAX - 16), 0);
        ck_assert_int_eq(parse_sized(1, 3, 1, HTTP_HEADER_VALUE_MAX), HTTP_E_TOO_LARGE);
}
END_TEST

/* Of a Connection header with `n` elements. */
static int parse_connection(size_t n)
{
        Buf buf = BUF_NULL(4096);
        HttpHead head;
        int r;

        ck_assert_int_eq(buf_append_text(&buf, "GET / HTTP/1.1\r\nHost: a\r\nConnection: x"), 0);
        while (--n > 0)
                ck_assert_int_eq(buf_append_text(&buf, ", x"), 0);
        ck_assert_int_eq(buf_append_text(&buf, "\r\n\r\n"), 0);
        r = http_parse_request(buf_slice(&buf), &head);
        buf_deinit(&buf);
        return r;
}

START_TEST(connection_has_a_limit)
{
        ck_assert_int_eq(parse_connection(HTTP_CONNECTION_MAX), 0);
        ck_assert_int_eq(parse_connection(HTTP_CONNECTION_MAX + 1), HTTP_E_TOO_LARGE);
}
END_TEST

START_TEST(headers_are_found_by_name)
{
        const HttpHeader *found;
        HttpHead head;
        size_t n;

        parse_request("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\nx: 3\r\n\r\n", &head);
        found = http_find(&head, "y", &n);
        ck_assert_ptr_nonnull(found);
        ck_assert(slice_is_text(found->value, "2"));
        ck_assert_uint_eq(n, 1);
        ck_assert_ptr_null(http_find(&head, "x", &n));
        ck_assert_uint_eq(n, 2);
        ck_assert_ptr_null(http_find(&head, "z", &n));
        ck_assert_uint_eq(n, 0);
        ck_assert_ptr_null(http_find(&head, "X", NULL));
        ck_assert(http_name_is(slice_text("aB"), "Ab"));
        ck_assert(!http_name_is(slice_text("ab"), "abc"));
        ck_assert(!http_name_is(slice_text("abc"), "ab"));
}
END_TEST

START_TEST(headers_of_the_connection_stay_behind)
{
        static const char *const behind[] = {
                "connection", "KEEP-ALIVE", "te", "Trailer", "Transfer-Encoding", "Content-Length", "Upgrade", "Host",
                "Expect", "Proxy-Authorization", "Proxy-Connection", "proxy-anything", "Proxy", "Via", "Forwarded",
                "X-Forwarded-For", "x_forwarded_proto", "Content_Length", "HTTP2-Settings", "X-Mine", "x-yours",
        };
        static const char *const onwards[] = {
                "Authorization", "Content-Type", "Accept", "X-Mine2", "X", "Hosts", "Proximity", "Content-Lengths", "",
        };
        HttpHead head;

        parse_request("GET / HTTP/1.1\r\nHost: a\r\nConnection: x-mine\r\nX-Mine: 1\r\n"
                      "Connection:,X-YOURS ,\r\n\r\n", &head);
        for (size_t i = 0; i < ARRAY_SIZE(behind); i++)
                ck_assert_msg(http_is_hop_by_hop(&head, slice_text(behind[i])), "%s", behind[i]);
        for (size_t i = 0; i < ARRAY_SIZE(onwards); i++)
                ck_assert_msg(!http_is_hop_by_hop(&head, slice_text(onwards[i])), "%s", onwards[i]);
}
END_TEST

static const char request[] = "POST https://a.example:8443/b?c HTTP/1.1\r\nHost: a.example:8443\r\nAccept: */*\r\n"
                              "Content-Length: 12\r\nConnection: close, x\r\nExpect: 100-continue\r\n\r\n";
static const char response[] = "HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=b\r\n\r\n";

START_TEST(a_head_that_is_cut_short_is_not_read)
{
        HttpHead head;

        for (size_t size = 0; size < sizeof(request) - 1; size++) {
                ck_assert_uint_eq(http_head_end(slice(request, size)), 0);
                ck_assert_int_ne(http_parse_request(slice(request, size), &head), 0);
        }
        for (size_t size = 0; size < sizeof(response) - 1; size++) {
                ck_assert_uint_eq(http_head_end(slice(response, size)), 0);
                ck_assert_int_ne(http_parse_response(slice(response, size), false, &head), 0);
        }
}
END_TEST

static bool is_within(Slice part, Slice whole)
{
        return part.size == 0 || (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

/* Each bit in turn: what is accepted all the same can be written again, header by header. */
static void flip(const char *text, size_t size, bool is_request)
{
        uint8_t bytes[512];

        ck_assert_uint_le(size, sizeof(bytes));
        memcpy(bytes, text, size);
        for (size_t bit = 0; bit < size * 8; bit++) {
                HttpHead head;
                int r;

                bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
                r = is_request ? http_parse_request(slice(bytes, size), &head)
                               : http_parse_response(slice(bytes, size), false, &head);
                ck_assert_int_ge(r, 0);
                ck_assert_int_le(r, HTTP_E_OVERRIDE);
                for (size_t i = 0; !r && i < head.n_headers; i++) {
                        ck_assert(http_name_is_valid(head.headers[i].name));
                        ck_assert(http_value_is_valid(head.headers[i].value));
                        ck_assert(is_within(head.headers[i].name, slice(bytes, size)));
                        ck_assert(is_within(head.headers[i].value, slice(bytes, size)));
                }
                bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
}

START_TEST(bit_flips_are_refused_or_well_formed)
{
        flip(request, sizeof(request) - 1, true);
        flip(response, sizeof(response) - 1, false);
}
END_TEST

START_TEST(each_refusal_has_a_word)
{
        for (int error = HTTP_E_SYNTAX; error <= HTTP_E_OVERRIDE; error++) {
                const HttpErrorInfo *info = http_error_info((HttpError)error);

                ck_assert_uint_ge(info->status, 400);
                ck_assert_uint_le(info->status, 505);
                ck_assert_uint_eq(strspn(info->reason, "abcdefghijklmnopqrstuvwxyz-"), strlen(info->reason));
                ck_assert_int_eq(info->sentence[strlen(info->sentence) - 1], '.');
        }
        ck_assert_ptr_nonnull(http_error_info((HttpError)99)->reason);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("head");

        tcase_add_test(tcase, requests_of_clients_are_read);
        tcase_add_test(tcase, an_upgrade_is_asked_for_without_a_body);
        tcase_add_test(tcase, a_response_has_the_body_that_its_status_has);
        tcase_add_test(tcase, the_end_of_a_head_is_found_as_it_comes);
        tcase_add_test(tcase, nobody_waits_for_the_end_of_what_is_no_head);
        tcase_add_test(tcase, heads_have_limits);
        tcase_add_test(tcase, connection_has_a_limit);
        tcase_add_test(tcase, headers_are_found_by_name);
        tcase_add_test(tcase, headers_of_the_connection_stay_behind);
        tcase_add_test(tcase, a_head_that_is_cut_short_is_not_read);
        tcase_add_test(tcase, bit_flips_are_refused_or_well_formed);
        tcase_add_test(tcase, each_refusal_has_a_word);
        return suite_run("head", tcase);
}
