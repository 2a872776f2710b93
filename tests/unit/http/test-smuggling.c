/* Heads that two readers could read differently, and why each is refused. */
#undef NDEBUG
#include "http/head.h"
#include "../base/suite.h"
#include <stdio.h>

typedef struct Case {
        const char *text;
        HttpError error; /* 0: it is accepted */
        size_t size;     /* where the text has a NUL within */
} Case;

/* A request line and a Host, for what is about other headers. */
#define POST "POST /a HTTP/1.1\r\nHost: example.com\r\n"
#define OK   "HTTP/1.1 200 OK\r\n"
#define END  "\r\n"

static const Case request_lines[] = {
        { "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0 },
        { "GET / HTTP/1.0\r\n\r\n", 0 },
        { "GET / HTTP/1.0\r\nHost: a\r\n\r\n", 0 },
        { "GET /\r\n\r\n", HTTP_E_VERSION },
        { "GET / HTTP/0.9\r\nHost: a\r\n\r\n", HTTP_E_VERSION },
        { "GET / HTTP/1.2\r\nHost: a\r\n\r\n", HTTP_E_VERSION },
        { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", HTTP_E_VERSION },
        { "PRI * HTTP/2.0\r\n\r\n", HTTP_E_VERSION },
        { "GET / HTTP/1.10\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET / HTTP/1,1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET / http/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET / ICE/1.0\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET /\x0bHTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { " GET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "get / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "UNHEARDOF / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "DESCRIBE / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET / HTTP/1.1\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET / HTTP/1.1\rHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX, 28 },
        { "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_SYNTAX },
        { "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_TARGET },
        { "GET /\x85 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_TARGET },
        { "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_TARGET },
        { "GET a HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_TARGET },
        { "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_TARGET },
        { "GET * HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_TARGET },
        { "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0 },
        { "GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_TARGET },
        { "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_TARGET },
        { "GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_TARGET },
        { "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_HOST },
        { "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_TARGET },
};

static const Case hosts[] = {
        { "GET / HTTP/1.1\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost:\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: a:\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: a:4x\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: a:443443\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", HTTP_E_HOST },
        { "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0 },
        { "GET / HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n", 0 },
        { "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 0 },
        { "GET http://a/ HTTP/1.1\r\nHost: A:80\r\n\r\n", 0 },
        { "GET http://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n", HTTP_E_HOST },
        { "GET https://a HTTP/1.1\r\nHost: a:443\r\n\r\n", 0 },
        { "GET https://a:8443?b HTTP/1.1\r\nHost: a:8443\r\n\r\n", 0 },
        { "GET https://a:8443/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_HOST },
        { "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", HTTP_E_HOST },
        { "GET http://a/ HTTP/1.1\r\n\r\n", HTTP_E_HOST },
        { "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_HOST },
        { "GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_HOST },
        { "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_E_HOST },
        { "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 0 },
        { "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 0 },
        { "CONNECT a:443 HTTP/1.0\r\n\r\n", 0 },
        { "CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", HTTP_E_HOST },
        { "CONNECT a:443 HTTP/1.1\r\nHost: a:444\r\n\r\n", HTTP_E_HOST },
        { "CONNECT u@a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", HTTP_E_HOST },
};

static const Case headers[] = {
        { POST "A: b\r\n" END, 0 },
        { POST "A:\r\n" END, 0 },
        { POST "A:b\r\n" END, 0 },
        { POST "A:\t b \t\r\n" END, 0 },
        { POST "A: b\n" END, HTTP_E_SYNTAX },
        { POST "A: b\r\r\n" END, HTTP_E_SYNTAX },
        { POST "A: b\rc\r\n" END, HTTP_E_SYNTAX },
        { POST "A: b\r\n\n", HTTP_E_SYNTAX },
        { POST "\n", HTTP_E_SYNTAX },
        { POST "A: b\r\n c\r\n" END, HTTP_E_SYNTAX },
        { POST "A: b\r\n\tc\r\n" END, HTTP_E_SYNTAX },
        { POST "A:\r\n b\r\n" END, HTTP_E_SYNTAX },
        { POST "Transfer-Encoding:\r\n chunked\r\n" END, HTTP_E_SYNTAX },
        { "POST /a HTTP/1.1\r\n Host: a\r\nHost: a\r\n" END, HTTP_E_SYNTAX },
        { "POST /a HTTP/1.1\r\n\tX: a\r\nHost: a\r\n" END, HTTP_E_SYNTAX },
        { POST ": b\r\n" END, HTTP_E_SYNTAX },
        { POST "A\r\n" END, HTTP_E_SYNTAX },
        { POST "A b: c\r\n" END, HTTP_E_SYNTAX },
        { POST "A : b\r\n" END, HTTP_E_SYNTAX },
        { POST "A\t: b\r\n" END, HTTP_E_SYNTAX },
        { POST "A\x0b: b\r\n" END, HTTP_E_SYNTAX },
        { POST "A(: b\r\n" END, HTTP_E_SYNTAX },
        { POST "A\x80: b\r\n" END, HTTP_E_SYNTAX },
        { POST "A: b\x01\r\n" END, HTTP_E_SYNTAX },
        { POST "A: b\x0b\r\n" END, HTTP_E_SYNTAX },
        { POST "A: b\x7f\r\n" END, HTTP_E_SYNTAX },
        { POST "A: b\tc\r\n" END, HTTP_E_SYNTAX },
        { POST "A: \xc3\xa9\r\n" END, HTTP_E_SYNTAX },
        { POST "A: b\x8d\x8a\r\n" END, HTTP_E_SYNTAX },
        { POST "A: \0\r\n" END, HTTP_E_SYNTAX, sizeof(POST) - 1 + 8 },
        { POST "A\0: b\r\n" END, HTTP_E_SYNTAX, sizeof(POST) - 1 + 9 },
        { POST "A: b\r\n" END "GET / HTTP/1.1\r\n\r\n", HTTP_E_SYNTAX },
};

static const Case framing[] = {
        { POST "Content-Length: 3\r\n" END, 0 },
        { POST "Content-Length: 0\r\n" END, 0 },
        { POST "Content-Length: 9223372036854775807\r\n" END, 0 },
        { POST "Transfer-Encoding: chunked\r\n" END, 0 },
        { POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 3\r\nContent-Length: 4\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 3\r\ncontent-length: 3\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 3, 3\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 3,\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: +3\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: -3\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 0x3\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 3 3\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 3.0\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 1e1\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 03\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 3;\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: \"3\"\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: x\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length:\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 9223372036854775808\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 18446744073709551619\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length: 99999999999999999999999\r\n" END, HTTP_E_FRAMING },
        { POST "Content-Length : 3\r\n" END, HTTP_E_SYNTAX },
        { POST "Content_Length: 3\r\n" END, HTTP_E_FRAMING },
        { POST "content_length: 3\r\nContent-Length: 3\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer_Encoding: chunked\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: Chunked\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: xchunked\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: chunked, identity\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: identity, chunked\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: gzip, chunked\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: chunked, chunked\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: identity\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: \"chunked\"\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: chunked;a=b\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding:\r\n" END, HTTP_E_FRAMING },
        { POST "Transfer-Encoding: chunked\x0b\r\n" END, HTTP_E_SYNTAX },
        { POST "Transfer-Encoding : chunked\r\n" END, HTTP_E_SYNTAX },
        { POST "Transfer-Encoding\x01: chunked\r\n" END, HTTP_E_SYNTAX },
        { POST "X: a\nTransfer-Encoding: chunked\r\n" END, HTTP_E_SYNTAX },
        { "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_E_FRAMING },
        { "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 3\r\n\r\n", HTTP_E_FRAMING },
        { "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 0\r\n\r\n", 0 },
        { "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_E_FRAMING },
};

static const Case overrides[] = {
        { POST "X-HTTP-Method-Override: PUT\r\n" END, HTTP_E_OVERRIDE },
        { POST "x-http-method: PUT\r\n" END, HTTP_E_OVERRIDE },
        { POST "X-METHOD-OVERRIDE: PUT\r\n" END, HTTP_E_OVERRIDE },
        { POST "X_HTTP_Method_Override: PUT\r\n" END, HTTP_E_OVERRIDE },
        { POST "X-Original-URL: /b\r\n" END, HTTP_E_OVERRIDE },
        { POST "X-Original_URL: /b\r\n" END, HTTP_E_OVERRIDE },
        { POST "X-Rewrite-URL: /b\r\n" END, HTTP_E_OVERRIDE },
        { POST "X-Forwarded-Host: b\r\n" END, HTTP_E_OVERRIDE },
        { POST "X-Forwarded-Prefix:\r\n" END, HTTP_E_OVERRIDE },
        { POST "X-Host: b\r\n" END, HTTP_E_OVERRIDE },
        { POST "HOST_: b\r\n" END, 0 },
        { POST "X-Hostile: b\r\n" END, 0 },
        { POST "Expect: 100-continue\r\nContent-Length: 1\r\n" END, 0 },
        { POST "Expect: 200-ok\r\n" END, HTTP_E_SYNTAX },
        { POST "Expect: 100-continue\r\nExpect: 100-continue\r\n" END, HTTP_E_SYNTAX },
        { POST "Connection: close, keep alive\r\n" END, HTTP_E_SYNTAX },
        { POST "Connection: \"close\"\r\n" END, HTTP_E_SYNTAX },
        { POST "Connection: , close ,,\r\n" END, 0 },
        { POST "Upgrade: a\r\nUpgrade: b\r\n" END, HTTP_E_SYNTAX },
};

static const Case responses[] = {
        { OK END, 0 },
        { "HTTP/1.1 200 \r\n" END, 0 },
        { "HTTP/1.1 200\r\n" END, 0 },
        { "HTTP/1.0 200 OK\r\n" END, 0 },
        { "HTTP/1.1 599 N\xc3\xa9\t!\r\n" END, 0 },
        { "HTTP/1.1 600 OK\r\n" END, HTTP_E_SYNTAX },
        { "HTTP/1.1 099 OK\r\n" END, HTTP_E_SYNTAX },
        { "HTTP/1.1 20 OK\r\n" END, HTTP_E_SYNTAX },
        { "HTTP/1.1 2000 OK\r\n" END, HTTP_E_SYNTAX },
        { "HTTP/1.1  200 OK\r\n" END, HTTP_E_SYNTAX },
        { "HTTP/1.1 +20 OK\r\n" END, HTTP_E_SYNTAX },
        { "HTTP/1.1 200 O\x01K\r\n" END, HTTP_E_SYNTAX },
        { "HTTP/1.1 200 OK\n" END, HTTP_E_SYNTAX },
        { "HTTP/2 200\r\n" END, HTTP_E_SYNTAX },
        { "HTTP/2.0 200 OK\r\n" END, HTTP_E_VERSION },
        { "ICY 200 OK\r\n" END, HTTP_E_SYNTAX },
        { OK "A: \xff\tb\r\n" END, 0 },
        { OK "A: b\r\n c\r\n" END, HTTP_E_SYNTAX },
        { OK "A : b\r\n" END, HTTP_E_SYNTAX },
        { OK "A: b\x01\r\n" END, HTTP_E_SYNTAX },
        { OK ": b\r\n" END, HTTP_E_SYNTAX },
        { OK "A: b\n" END, HTTP_E_SYNTAX },
        { OK "Transfer-Encoding: chunked\r\n" END, 0 },
        { OK "Transfer-Encoding: Chunked\r\n" END, 0 },
        { OK "Transfer-Encoding: gzip, chunked\r\n" END, HTTP_E_FRAMING },
        { OK "Transfer-Encoding: identity\r\n" END, HTTP_E_FRAMING },
        { OK "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n" END, HTTP_E_FRAMING },
        { OK "Content-Length: 3\r\nContent-Length: 3\r\n" END, HTTP_E_FRAMING },
        { OK "Content-Length: 3, 3\r\n" END, HTTP_E_FRAMING },
        { OK "Content-Length: -1\r\n" END, HTTP_E_FRAMING },
        { "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n" END, HTTP_E_FRAMING },
        { OK "Content_Length: 3\r\nX-Forwarded-Host: a\r\n" END, 0 },
};

static void run(const Case *cases, size_t n, bool is_request)
{
        for (size_t i = 0; i < n; i++) {
                size_t size = cases[i].size > 0 ? cases[i].size : strlen(cases[i].text);
                HttpHead *head = malloc(sizeof(*head));
                uint8_t *bytes = malloc(size); /* of just this size, for the sanitizer */
                int r;

                memcpy(bytes, cases[i].text, size);
                r = is_request ? http_parse_request(slice(bytes, size), head)
                               : http_parse_response(slice(bytes, size), false, head);
                ck_assert_msg(r == (int)cases[i].error, "case %zu gives %d and not %d: %s", i, r,
                              (int)cases[i].error, cases[i].text);
                /* What is whole or hopeless is seen to be; nobody waits for more. */
                ck_assert_msg(http_head_end(slice(bytes, size)) > 0, "case %zu: %s", i, cases[i].text);
                if (!cases[i].error)
                        ck_assert_uint_eq(http_head_end(slice(bytes, size)), size);
                free(bytes);
                free(head);
        }
}

START_TEST(request_lines_of_two_readings_are_refused)
{
        run(request_lines, ARRAY_SIZE(request_lines), true);
}
END_TEST

START_TEST(a_request_names_one_host)
{
        run(hosts, ARRAY_SIZE(hosts), true);
}
END_TEST

START_TEST(header_lines_of_two_readings_are_refused)
{
        run(headers, ARRAY_SIZE(headers), true);
}
END_TEST

START_TEST(framing_of_two_readings_is_refused)
{
        run(framing, ARRAY_SIZE(framing), true);
}
END_TEST

START_TEST(headers_that_override_are_refused)
{
        run(overrides, ARRAY_SIZE(overrides), true);
}
END_TEST

START_TEST(responses_of_two_readings_are_refused)
{
        run(responses, ARRAY_SIZE(responses), false);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("smuggling");

        tcase_add_test(tcase, request_lines_of_two_readings_are_refused);
        tcase_add_test(tcase, a_request_names_one_host);
        tcase_add_test(tcase, header_lines_of_two_readings_are_refused);
        tcase_add_test(tcase, framing_of_two_readings_is_refused);
        tcase_add_test(tcase, headers_that_override_are_refused);
        tcase_add_test(tcase, responses_of_two_readings_are_refused);
        return suite_run("smuggling", tcase);
}
