#undef NDEBUG
#include "http/target.h"
#include "../base/suite.h"

START_TEST(authorities_are_names)
{
        static const struct {
                const char *text;
                const char *host; /* NULL: refused */
                uint16_t port;
        } cases[] = {
                { "example.com", "example.com", 443 },
                { "API.Example.COM:8443", "api.example.com", 8443 },
                { "localhost:1", "localhost", 1 },
                { "a:65535", "a", 65535 },
                { "xn--bcher-kva.example", "xn--bcher-kva.example", 443 },
                { "127.0.0.1.example.com", "127.0.0.1.example.com", 443 },
                { "0x7f.example", "0x7f.example", 443 },
                { "1a", "1a", 443 },
                { "", NULL, 0 },
                { ":443", NULL, 0 },
                { "a:", NULL, 0 },
                { "a:0", NULL, 0 },
                { "a:00443", NULL, 0 },
                { "a:0443", NULL, 0 },
                { "a:65536", NULL, 0 },
                { "a:99999", NULL, 0 },
                { "a:443443", NULL, 0 },
                { "a:4x", NULL, 0 },
                { "a:+1", NULL, 0 },
                { "a:1:2", NULL, 0 },
                { "a.", NULL, 0 },
                { "a.:443", NULL, 0 },
                { ".a", NULL, 0 },
                { "a..b", NULL, 0 },
                { "-a.b", NULL, 0 },
                { "a-.b", NULL, 0 },
                { "a_b.c", NULL, 0 },
                { "u@a", NULL, 0 },
                { "u:p@a", NULL, 0 },
                { "a/b", NULL, 0 },
                { "a%2eb", NULL, 0 },
                { "a b", NULL, 0 },
                { "*.a", NULL, 0 },
                { "b\xc3\xbc" "cher.example", NULL, 0 },
                { "1.2.3.4", NULL, 0 },
                { "1.2.3.4:80", NULL, 0 },
                { "127.1", NULL, 0 },
                { "2130706433", NULL, 0 },
                { "017700000001", NULL, 0 },
                { "0x7f.1", NULL, 0 },
                { "0x7f000001", NULL, 0 },
                { "0X7F.0X1", NULL, 0 },
                { "a.0x", NULL, 0 },
                { "[::1]", NULL, 0 },
                { "[::1]:443", NULL, 0 },
                { "::1", NULL, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                HttpAuthority authority = { .host = "untouched", .port = 7 };
                int r = http_parse_authority(slice_text(cases[i].text), 443, &authority);

                ck_assert_msg(r == (cases[i].host ? 0 : HTTP_E_HOST), "%s", cases[i].text);
                ck_assert_str_eq(authority.host, cases[i].host ? cases[i].host : "untouched");
                ck_assert_uint_eq(authority.port, cases[i].host ? cases[i].port : 7);
        }
        HttpAuthority authority;
        ck_assert_int_eq(http_parse_authority(slice("a\0b", 3), 443, &authority), HTTP_E_HOST);
}
END_TEST

START_TEST(names_have_limits)
{
        HttpAuthority authority;
        char host[HTTP_HOST_MAX + 8];

        for (size_t i = 0; i < sizeof(host); i++)
                host[i] = i % 64 == 63 ? '.' : 'a';
        ck_assert_int_eq(http_parse_authority(slice(host, HTTP_HOST_MAX), 1, &authority), 0);
        ck_assert_uint_eq(strlen(authority.host), HTTP_HOST_MAX);
        ck_assert_int_eq(http_parse_authority(slice(host, HTTP_HOST_MAX + 1), 1, &authority), HTTP_E_HOST);
        host[63] = 'a';
        ck_assert_int_eq(http_parse_authority(slice(host, 63), 1, &authority), 0);
        ck_assert_int_eq(http_parse_authority(slice(host, 64), 1, &authority), HTTP_E_HOST);
}
END_TEST

START_TEST(absolute_targets_are_split)
{
        static const struct {
                const char *text;
                int r;
                bool secure;
                const char *host;
                uint16_t port;
                const char *rest;
        } cases[] = {
                { "http://a", 0, false, "a", 80, "/" },
                { "HTTPS://A.b", 0, true, "a.b", 443, "/" },
                { "https://a:8443/b?c=d", 0, true, "a", 8443, "/b?c=d" },
                { "http://a/http://b@c", 0, false, "a", 80, "/http://b@c" },
                { "https://a?b", HTTP_E_TARGET },
                { "https://a#b", HTTP_E_TARGET },
                { "https://u@a/", HTTP_E_HOST },
                { "https://u:p@a/", HTTP_E_HOST },
                { "https:///a", HTTP_E_HOST },
                { "https://", HTTP_E_HOST },
                { "https://a:/", HTTP_E_HOST },
                { "https://a\\b/", HTTP_E_HOST },
                { "https://[::1]/", HTTP_E_HOST },
                { "https://1.2.3.4/", HTTP_E_HOST },
                { "https:/a", HTTP_E_TARGET },
                { "ws://a/", HTTP_E_TARGET },
                { "/a", HTTP_E_TARGET },
                { "", HTTP_E_TARGET },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                HttpAuthority authority;
                bool secure;
                Slice rest;
                int r = http_parse_absolute(slice_text(cases[i].text), &secure, &authority, &rest);

                ck_assert_msg(r == cases[i].r, "%s: %d", cases[i].text, r);
                if (r)
                        continue;
                ck_assert_int_eq(secure, cases[i].secure);
                ck_assert_str_eq(authority.host, cases[i].host);
                ck_assert_uint_eq(authority.port, cases[i].port);
                ck_assert(slice_is_text(rest, cases[i].rest));
        }
}
END_TEST

typedef struct TargetCase {
        const char *text;
        const char *path;  /* NULL: refused */
        const char *query; /* NULL: none */
} TargetCase;

static void check_target(const TargetCase *c)
{
        Buf path = BUF_NULL(1024), query = BUF_NULL(1024);
        bool has_query = !c->query;
        int r = http_canonical_target(slice_text(c->text), &path, &query, &has_query);

        ck_assert_msg(r == (c->path ? 0 : HTTP_E_TARGET), "%s: %d", c->text, r);
        if (c->path) {
                ck_assert_str_eq((const char *)path.data, c->path);
                ck_assert_uint_eq(path.size, strlen(c->path));
                ck_assert_int_eq(has_query, c->query != NULL);
                ck_assert_str_eq((const char *)query.data, c->query ? c->query : "");
                ck_assert_uint_eq(query.size, c->query ? strlen(c->query) : 0);
        }
        buf_deinit(&path);
        buf_deinit(&query);
}

START_TEST(targets_have_one_form)
{
        static const TargetCase cases[] = {
                { "/", "/", NULL },
                { "/?", "/", "" },
                { "/a/b/", "/a/b/", NULL },
                { "/A?B", "/A", "B" },
                { "/a?b?c/../d//e", "/a", "b?c/../d//e" },
                { "/%41%7a%30%7E%2d%5f", "/Az0~-_", NULL },
                { "/v1/x%3agenerate", "/v1/x:generate", NULL },
                { "/%21%24%26%27%28%29%2c%3d%40", "/!$&'(),=@", NULL },
                { "/*+;a%2a%2b%3b", "/*+;a%2A%2B%3B", NULL },
                { "/a[b]|{c}\"<>^`", "/a%5Bb%5D%7C%7Bc%7D%22%3C%3E%5E%60", NULL },
                { "/a%5b%20", "/a%5B%20", NULL },
                { "/%c3%a9", "/%C3%A9", NULL },
                { "/%252e%2525", "/%252e%2525", NULL },
                { "/.a/..b/...", "/.a/..b/...", NULL },
                { "/a.;b", "/a.;b", NULL },
                { "/?a[b]=%41%5b&c=%2f%26%3d+%2b", "/", "a%5Bb%5D=A%5B&c=%2F%26%3D+%2B" },
                { "/?%ff%0a\\", "/", "%FF%0A%5C" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                check_target(&cases[i]);
}
END_TEST

START_TEST(targets_of_two_readings_are_refused)
{
        static const char *const bad[] = {
                "",       "a",       "?a",      "*",        "//",       "/a//b",   "//a",       "/a//",
                "/.",     "/..",     "/a/..",   "/a/../b",  "/./a",     "/a/.",    "/%2e",      "/%2E%2e/a",
                "/a%2fb", "/a%2Fb",  "/a%5cb",  "/a\\b",    "/a%00",    "/a%0d%0a", "/a%1f",    "/a%7f",
                "/a%",    "/a%4",    "/a%zz",   "/a%4g",    "/a#b",     "/a?b#c",  "/a?%",      "/a?%0g",
                "/a?%00", "/a b",    "/a?b c",  "/\xc3\xa9", "/a?\xe9", "/%ff",    "/%c0%af",   "/%e0%80%af",
                "/a%c3",  "/..;/a",  "/a/..;b=c", "/.;a/b", "/;a",      "/;/a",    "/a/;b",     "/\x7f",
                "/\t",    "/a?\x01",
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                check_target(&(TargetCase){ bad[i], NULL, NULL });
}
END_TEST

START_TEST(targets_have_limits)
{
        Buf path = BUF_NULL(9), query = BUF_NULL(5);
        static char text[HTTP_TARGET_MAX + 2];
        bool has_query;

        ck_assert_int_eq(http_canonical_target(slice_text("/1234567?1234"), &path, &query, &has_query), 0);
        ck_assert_str_eq((const char *)path.data, "/1234567");
        ck_assert_int_eq(http_canonical_target(slice_text("/1234567?12345"), &path, &query, &has_query),
                         HTTP_E_TOO_LARGE);
        ck_assert_int_eq(http_canonical_target(slice_text("/12345678"), &path, &query, &has_query),
                         HTTP_E_TOO_LARGE);
        /* Encoded it is longer. */
        ck_assert_int_eq(http_canonical_target(slice_text("/123456["), &path, &query, &has_query),
                         HTTP_E_TOO_LARGE);
        buf_deinit(&path);
        path.max = sizeof(text);
        memset(text, 'a', sizeof(text));
        text[0] = '/';
        ck_assert_int_eq(http_canonical_target(slice(text, HTTP_TARGET_MAX), &path, &query, &has_query), 0);
        ck_assert_int_eq(http_canonical_target(slice(text, HTTP_TARGET_MAX + 1), &path, &query, &has_query),
                         HTTP_E_TOO_LARGE);
        buf_deinit(&path);
        buf_deinit(&query);
}
END_TEST

/* Refused, or in a form that is its own canonical form. */
static void check_canonical(Slice target)
{
        Buf path = BUF_NULL(1024), query = BUF_NULL(1024), again = BUF_NULL(1024), rest = BUF_NULL(1024);
        bool has_query, has_again;

        if (!http_canonical_target(target, &path, &query, &has_query)) {
                Buf whole = BUF_NULL(4096);

                ck_assert_int_eq(buf_append(&whole, path.data, path.size), 0);
                if (has_query)
                        ck_assert_int_eq(buf_append_text(&whole, "?"), 0);
                ck_assert_int_eq(buf_append(&whole, query.data, query.size), 0);
                ck_assert_int_eq(http_canonical_target(buf_slice(&whole), &again, &rest, &has_again), 0);
                ck_assert(slice_equal(buf_slice(&path), buf_slice(&again)));
                ck_assert(slice_equal(buf_slice(&query), buf_slice(&rest)));
                ck_assert_int_eq(has_query, has_again);
                buf_deinit(&whole);
        }
        buf_deinit(&path);
        buf_deinit(&query);
        buf_deinit(&again);
        buf_deinit(&rest);
}

START_TEST(flipped_and_cut_targets_are_canonical_or_refused)
{
        static const char text[] = "/repos/%41b/c%c3%a9[d];e:f*/g?h=%2f&i[]=j+k%20";
        uint8_t bytes[sizeof(text) - 1];

        memcpy(bytes, text, sizeof(bytes));
        for (size_t size = 0; size <= sizeof(bytes); size++)
                check_canonical(slice(bytes, size));
        for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
                bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
                check_canonical(slice(bytes, sizeof(bytes)));
                bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
}
END_TEST

START_TEST(hosts_match_patterns)
{
        static const struct {
                const char *pattern;
                const char *authority;
                bool matches;
        } cases[] = {
                { "a.b", "a.b:443", true },
                { "A.b", "a.B:443", true },
                { "a.b:443", "a.b:443", true },
                { "a.b", "a.b:80", false },
                { "a.b:80", "a.b:80", true },
                { "a.b:8", "a.b:80", false },
                { "a.b:080", "a.b:80", false },
                { "a.b:", "a.b:443", false },
                { "a.b", "xa.b:443", false },
                { "a.b", "a.bx:443", false },
                { "*.b", "a.b:443", true },
                { "*.b:80", "a.b:80", true },
                { "*.b", "a.b:80", false },
                { "*.b", "b:443", false },
                { "*.b", "x.a.b:443", false },
                { "*.a.b", "x.a.b:443", true },
                { "*", "a.b:443", false },
                { "*.", "a.b:443", false },
                { "*b", "ab:443", false },
                { "", "a.b:443", false },
                { ":443", "a.b:443", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                HttpAuthority authority;

                ck_assert_int_eq(http_parse_authority(slice_text(cases[i].authority), 1, &authority), 0);
                ck_assert_msg(http_host_matches(cases[i].pattern, &authority) == cases[i].matches, "%s %s",
                              cases[i].pattern, cases[i].authority);
        }
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("target");

        tcase_add_test(tcase, authorities_are_names);
        tcase_add_test(tcase, names_have_limits);
        tcase_add_test(tcase, absolute_targets_are_split);
        tcase_add_test(tcase, targets_have_one_form);
        tcase_add_test(tcase, targets_of_two_readings_are_refused);
        tcase_add_test(tcase, targets_have_limits);
        tcase_add_test(tcase, flipped_and_cut_targets_are_canonical_or_refused);
        tcase_add_test(tcase, hosts_match_patterns);
        return suite_run("target", tcase);
}
