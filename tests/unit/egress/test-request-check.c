#undef NDEBUG
#include "egress/request_check.h"
#include "../base/suite.h"
#include <string.h>

static EgressRequest get(const char *path)
{
        return (EgressRequest){ .method = "GET", .host = "api.example.com", .port = 443, .path = path };
}

static bool passes(const EgressRequest *request)
{
        HttpAuthority authority;

        return request_check(request, &authority) == NULL;
}

static bool path_passes(const char *path)
{
        EgressRequest request = get(path);

        return passes(&request);
}

static bool query_passes(const char *query)
{
        EgressRequest request = get("/");

        request.query = query;
        return passes(&request);
}

static bool header_passes(const char *name, const char *value)
{
        HeaderField field = { name, value };
        EgressRequest request = get("/");

        request.headers = (RecordList){ &field, 1 };
        return passes(&request);
}

START_TEST(canonical_requests_pass)
{
        EgressRequest request = get("/v1/things");
        HttpAuthority authority;

        ck_assert_ptr_null(request_check(&request, &authority));
        ck_assert_str_eq(authority.host, "api.example.com");
        ck_assert_uint_eq(authority.port, 443);
        ck_assert(path_passes("/"));
        ck_assert(path_passes("/a/"));
        ck_assert(path_passes("/%2A/b*c"));
        ck_assert(query_passes(""));
        ck_assert(query_passes("a=b&c=%20d"));
        ck_assert(header_passes("x-a", ""));
        ck_assert(header_passes("x-a", "a b\tc"));
}
END_TEST

START_TEST(a_marker_is_looked_at_as_what_will_stand_there)
{
        ck_assert(path_passes("/bot\x01/getMe"));
        ck_assert(path_passes("/\x01"));
        ck_assert(query_passes("key=\x01"));
        ck_assert(header_passes("authorization", "Bearer \x01"));
        ck_assert(header_passes("authorization", "\x01"));
        ck_assert(!path_passes("/\x01/../x"));
        ck_assert(!path_passes("\x01"));
        ck_assert(!header_passes("x-\x01", "a"));
        ck_assert(!header_passes("x-a", "\x01\n\x01"));
}
END_TEST

START_TEST(paths_that_are_read_in_two_ways_are_refused)
{
        static const char *const paths[] = {
                "", "a", "//", "/a//b", "/.", "/..", "/a/./b", "/a/../b", "/a/..", "/a\\b", "/%2e%2e/", "/%2E/", "/%2F",
                "/%2f", "/%5C", "/%00", "/%41", "/%2a", "/%", "/%2", "/%zz", "/a?b", "/a#b", "/a b", "/a\tb", "/a\x7f",
                "/caf\xc3\xa9", "/..;/a", "*", "https://api.example.com/",
        };

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
                ck_assert_msg(!path_passes(paths[i]), "%s", paths[i]);
        ck_assert(!query_passes("a b"));
        ck_assert(!query_passes("a#b"));
        ck_assert(!query_passes("%41"));
        ck_assert(!query_passes("%"));
        ck_assert(!query_passes("a\r\nb"));
}
END_TEST

START_TEST(hosts_and_ports_are_exact)
{
        static const char *const hosts[] = {
                "", "API.example.com", "api.example.com.", "api.example.com:443", "1.2.3.4", "0x7f.1", "127.1", "[::1]",
                "a_b.com", "a..b", "-a.com", "user@api.example.com", "api.example.com/", "a b", "caf\xc3\xa9.com",
        };
        EgressRequest request = get("/");

        for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
                request.host = hosts[i];
                ck_assert_msg(!passes(&request), "%s", hosts[i]);
        }
        request = get("/");
        request.port = 0;
        ck_assert(!passes(&request));
        request.port = 65536 + 443;
        ck_assert(!passes(&request));
        request.port = 8443;
        ck_assert(passes(&request));
}
END_TEST

START_TEST(headers_about_the_connection_are_refused)
{
        static const char *const names[] = {
                "", "host", "connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade",
                "expect", "proxy-authorization", "proxy-connection", "x-A", "x a", "x:", "x\r\ny", "x\xc3\xa9",
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                ck_assert_msg(!header_passes(names[i], "a"), "%s", names[i]);
        ck_assert(!header_passes("x-a", "a\r\nx-b: c"));
        ck_assert(!header_passes("x-a", "a\nb"));
        ck_assert(!header_passes("x-a", "a\x02"));
}
END_TEST

START_TEST(methods_and_bodies_make_sense)
{
        static const char *const methods[] = { "", "CONNECT", "TRACE", "GE T", "GET\r\n", "G\xc3\xa9T" };
        EgressRequest request;

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                request = get("/");
                request.method = methods[i];
                ck_assert_msg(!passes(&request), "%s", methods[i]);
        }
        request = get("/");
        request.length = 1;
        ck_assert(!passes(&request));
        request.body = BODY_STREAM;
        ck_assert(!passes(&request));
        request.body = BODY_LENGTH;
        ck_assert(passes(&request));
        request.upgrade = true;
        ck_assert(!passes(&request));
        request = get("/");
        request.expect = true;
        ck_assert(!passes(&request));
}
END_TEST

/* Whatever one bit of a target does, what passes is written as it was judged. */
START_TEST(flipped_bits_never_pass_as_something_else)
{
        static const char original[] = "/repos/octo/hello%20x/issues/1";
        char path[sizeof(original)];

        for (size_t bit = 0; bit < (sizeof(original) - 1) * 8; bit++) {
                memcpy(path, original, sizeof(path));
                path[bit / 8] = (char)(path[bit / 8] ^ (1 << (bit % 8)));
                if (!path_passes(path))
                        continue;
                ck_assert(path[0] == '/' && !strchr(path, '?') && !strchr(path, '#') && !strchr(path, '\\'));
                ck_assert(!strstr(path, "//") && !strstr(path, "/../") && !strstr(path, "%2F"));
        }
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("request-check");

        tcase_add_test(tcase, canonical_requests_pass);
        tcase_add_test(tcase, a_marker_is_looked_at_as_what_will_stand_there);
        tcase_add_test(tcase, paths_that_are_read_in_two_ways_are_refused);
        tcase_add_test(tcase, hosts_and_ports_are_exact);
        tcase_add_test(tcase, headers_about_the_connection_are_refused);
        tcase_add_test(tcase, methods_and_bodies_make_sense);
        tcase_add_test(tcase, flipped_bits_never_pass_as_something_else);
        return suite_run("egress/request-check", tcase);
}
