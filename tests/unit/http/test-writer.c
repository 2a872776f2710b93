#undef NDEBUG
#include "http/writer.h"
#include "../base/suite.h"
#include <stdio.h>

START_TEST(a_request_is_written)
{
        Buf out = BUF_NULL(1024);

        ck_assert_int_eq(http_write_request_line(&out, "GET", "/a", NULL, "example.com", 443), 0);
        ck_assert_int_eq(http_write_header(&out, slice_text("Accept"), slice_text("*/*")), 0);
        ck_assert_int_eq(http_write_header(&out, slice_text("Empty"), SLICE_NULL), 0);
        ck_assert_int_eq(http_write_framing(&out, HTTP_BODY_LENGTH, 3), 0);
        ck_assert_int_eq(http_write_end(&out), 0);
        ck_assert(slice_is_text(buf_slice(&out), "GET /a HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nEmpty: \r\n"
                                                 "Content-Length: 3\r\n\r\n"));
        buf_clear(&out);
        ck_assert_int_eq(http_write_request_line(&out, "PUT", "/", "", "a", 8443), 0);
        ck_assert_int_eq(http_write_framing(&out, HTTP_BODY_CHUNKED, 0), 0);
        ck_assert(slice_is_text(buf_slice(&out), "PUT /? HTTP/1.1\r\nHost: a:8443\r\nTransfer-Encoding: chunked\r\n"));
        buf_deinit(&out);
}
END_TEST

START_TEST(a_response_is_written)
{
        Buf out = BUF_NULL(1024);

        for (unsigned status = 100; status <= 599; status++) {
                char line[32];
                HttpHead head;

                buf_clear(&out);
                ck_assert_int_eq(http_write_status_line(&out, status), 0);
                snprintf(line, sizeof(line), "HTTP/1.1 %u ", status);
                ck_assert_uint_gt(out.size, strlen(line) + 2);
                ck_assert_mem_eq(out.data, line, strlen(line));
                ck_assert_int_eq(http_write_framing(&out, HTTP_BODY_NONE, 0), 0);
                ck_assert_int_eq(http_write_framing(&out, HTTP_BODY_UNTIL_CLOSE, 0), 0);
                ck_assert_int_eq(http_write_end(&out), 0);
                ck_assert_int_eq(http_parse_response(buf_slice(&out), false, &head), 0);
                ck_assert_uint_eq(head.status, status);
                ck_assert_uint_eq(head.n_headers, 0);
        }
        buf_deinit(&out);
}
END_TEST

START_TEST(what_breaks_a_line_is_not_written)
{
        static const struct {
                const char *method, *path, *query, *host;
                uint16_t port;
        } bad[] = {
                { "", "/", NULL, "a", 443 },
                { "G T", "/", NULL, "a", 443 },
                { "GET\r\n", "/", NULL, "a", 443 },
                { "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", "/", NULL, "a", 443 },
                { "GET", "", NULL, "a", 443 },
                { "GET", "a", NULL, "a", 443 },
                { "GET", "/ HTTP/1.1", NULL, "a", 443 },
                { "GET", "/\r\nA: b", NULL, "a", 443 },
                { "GET", "/\x01", NULL, "a", 443 },
                { "GET", "/\xc3\xa9", NULL, "a", 443 },
                { "GET", "/a?b", NULL, "a", 443 },
                { "GET", "/a#b", NULL, "a", 443 },
                { "GET", "/", "a b", "a", 443 },
                { "GET", "/", "a\nb", "a", 443 },
                { "GET", "/", "a#b", "a", 443 },
                { "GET", "/", NULL, "", 443 },
                { "GET", "/", NULL, "a\r\nB: c", 443 },
                { "GET", "/", NULL, "a:1", 443 },
                { "GET", "/", NULL, "u@a", 443 },
                { "GET", "/", NULL, "a", 0 },
        };
        static const char *const names[] = { "", "a b", "a:", "a\r\n", "a\x80", " a" };
        static const char *const values[] = { "\r", "\n", "a\r\nB: c", "\x01", "\x7f", "a\x0b" };
        static char longest[HTTP_HEADER_VALUE_MAX + 1];
        Buf out = BUF_NULL(1024);

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(http_write_request_line(&out, bad[i].method, bad[i].path, bad[i].query, bad[i].host,
                                                      bad[i].port) == -EINVAL, "%zu", i);
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                ck_assert_int_eq(http_write_header(&out, slice_text(names[i]), slice_text("a")), -EINVAL);
        for (size_t i = 0; i < ARRAY_SIZE(values); i++)
                ck_assert_int_eq(http_write_header(&out, slice_text("a"), slice_text(values[i])), -EINVAL);
        ck_assert_int_eq(http_write_header(&out, slice("a\0", 2), slice_text("a")), -EINVAL);
        ck_assert_int_eq(http_write_header(&out, slice_text("a"), slice("a\0b", 3)), -EINVAL);
        memset(longest, 'a', sizeof(longest));
        ck_assert_int_eq(http_write_header(&out, slice_text("a"), slice(longest, sizeof(longest))), -EINVAL);
        ck_assert_int_eq(http_write_header(&out, slice(longest, HTTP_HEADER_NAME_MAX + 1), slice_text("a")), -EINVAL);
        ck_assert_int_eq(http_write_status_line(&out, 99), -EINVAL);
        ck_assert_int_eq(http_write_status_line(&out, 600), -EINVAL);
        ck_assert_int_eq(http_write_framing(&out, HTTP_BODY_LENGTH, UINT64_MAX), -EINVAL);
        ck_assert_uint_eq(out.size, 0);
        buf_deinit(&out);
}
END_TEST

START_TEST(a_full_buffer_gets_nothing_of_a_line)
{
        for (size_t max = 0; max < 40; max++) {
                Buf out = BUF_NULL(max);
                int r = http_write_request_line(&out, "GET", "/abc", "def", "example.com", 8443);

                ck_assert_int_eq(r, -ENOBUFS);
                ck_assert_uint_eq(out.size, 0);
                if (max < 6)
                        ck_assert_int_eq(http_write_header(&out, slice_text("a"), slice_text("b")), -ENOBUFS);
                buf_deinit(&out);
        }
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("writer");

        tcase_add_test(tcase, a_request_is_written);
        tcase_add_test(tcase, a_response_is_written);
        tcase_add_test(tcase, what_breaks_a_line_is_not_written);
        tcase_add_test(tcase, a_full_buffer_gets_nothing_of_a_line);
        return suite_run("writer", tcase);
}
