#undef NDEBUG
#include "providers/response.h"
#include <check.h>

static ResponseHead read_lines(const char *const *lines)
{
        ResponseHead head = { 0 };

        for (; *lines; lines++)
                response_head_line(&head, slice_text(*lines));
        return head;
}

#define HEAD(...) read_lines((const char *const[]){ __VA_ARGS__, NULL })

START_TEST(status_line)
{
        ck_assert_uint_eq(HEAD("HTTP/1.1 200 OK\r\n").status, 200);
        ck_assert_uint_eq(HEAD("HTTP/1.1 204\r\n").status, 204);
        ck_assert_uint_eq(HEAD("HTTP/2 404 ").status, 404);
        ck_assert(HEAD("HTTP/1.1 20 OK").malformed);
        ck_assert(HEAD("HTTP/1.1 2000 OK").malformed);
        ck_assert(HEAD("HTTP/1.1 099 No").malformed);
        ck_assert(HEAD("HTTP/1.1 600 No").malformed);
        ck_assert(HEAD("HTTP/1.1 +20 No").malformed);
        ck_assert(HEAD("HTTP/").malformed);
        ck_assert(!HEAD("HTTP/1.1 200 OK").malformed);
}
END_TEST

START_TEST(interim_response_is_forgotten)
{
        ResponseHead head = HEAD("HTTP/1.1 103 Early Hints\r\n", "Retry-After: 5\r\n", "\r\n",
                                 "HTTP/1.1 201 Created\r\n", "Content-Type: application/json\r\n");

        ck_assert_uint_eq(head.status, 201);
        ck_assert(!head.has_retry_after);
        ck_assert_str_eq(head.content_type, "application/json");
}
END_TEST

START_TEST(header_values)
{
        ResponseHead head = HEAD(
                "HTTP/1.1 403 Forbidden", "CONTENT-TYPE:  Application/JSON; charset=utf-8 \r\n",
                "x-ratelimit-remaining: 0", "X-RateLimit-Reset: 1767225600",
                "Date: Thu, 01 Jan 2026 00:00:00 GMT", "Retry-After : 5", "Retry-After-Not: 7");

        ck_assert_str_eq(head.content_type, "application/json");
        ck_assert(head.has_remaining && head.remaining == 0);
        ck_assert(head.has_reset);
        ck_assert_uint_eq(head.reset_usec, UINT64_C(1767225600) * USEC_PER_SEC);
        ck_assert_uint_eq(head.date_usec, UINT64_C(1767225600) * USEC_PER_SEC);
        ck_assert(
                !head.has_retry_after); /* white space before the colon is no header of that name */
}
END_TEST

START_TEST(what_github_says_of_the_token)
{
        static const char *const bad[] = {
                "2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01 00:00:00", "2026-01-01 00:00:00 ", "2026-01-01 00:00:00 CET",
                "2026-01-01 00:00:00 +1", "2026-13-01 00:00:00 UTC", "1970-01-01 00:00:00 UTC", "2026-01-01 00:00:00 UTC and more",
        };
        ResponseHead head = HEAD("HTTP/1.1 200 OK", "X-OAuth-Scopes: repo, read:org",
                                 "github-authentication-token-expiration: 2026-01-01 00:00:00 UTC");
        char line[RESPONSE_SCOPES_MAX + 64] = "X-OAuth-Scopes: ";

        ck_assert(head.has_oauth_scopes);
        ck_assert_str_eq(head.oauth_scopes, "repo, read:org");
        ck_assert_uint_eq(head.token_expires_usec, UINT64_C(1767225600) * USEC_PER_SEC);
        head = HEAD("HTTP/1.1 200 OK", "X-OAuth-Scopes:", "GitHub-Authentication-Token-Expiration: 2026-01-01 02:00:00 +0200");
        ck_assert(head.has_oauth_scopes && !*head.oauth_scopes);
        ck_assert_uint_eq(head.token_expires_usec, UINT64_C(1767225600) * USEC_PER_SEC);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                uint64_t usec;

                ck_assert_msg(response_parse_expiration(slice_text(bad[i]), &usec) == RESPONSE_E_INVALID, "%s", bad[i]);
        }
        /* Half a list would be a wrong one. */
        memset(line + strlen(line), 'x', RESPONSE_SCOPES_MAX);
        head = HEAD("HTTP/1.1 200 OK", line);
        ck_assert(!head.has_oauth_scopes);
        head = HEAD("HTTP/1.1 200 OK", "X-OAuth-Scopes: a\x01" "b");
        ck_assert(!head.has_oauth_scopes);
}
END_TEST

START_TEST(senseless_numbers_are_absent)
{
        ResponseHead head = HEAD("HTTP/1.1 403 Forbidden", "x-ratelimit-remaining: -1",
                                 "x-ratelimit-reset: 1e9", "Retry-After: 99999999999999999999999",
                                 "Date: yesterday");

        ck_assert(!head.has_remaining && !head.has_reset && !head.has_retry_after);
        ck_assert_uint_eq(head.date_usec, 0);
        head = HEAD("HTTP/1.1 403 Forbidden", "x-ratelimit-reset: 999999999999999999",
                    "Retry-After: ", "Date:");
        ck_assert(!head.has_reset && !head.has_retry_after);
}
END_TEST

START_TEST(long_content_type_is_cut)
{
        char line[300] = "Content-Type: ";
        ResponseHead head = { 0 };

        memset(line + strlen(line), 'a', 250);
        response_head_line(&head, slice_text(line));
        ck_assert_uint_eq(strlen(head.content_type), RESPONSE_CONTENT_TYPE_MAX - 1);
        response_head_line(&head, slice_text("Content-Type: a\tb\x1b[2J"));
        ck_assert_str_eq(head.content_type, "a?b?[2j");
}
END_TEST

START_TEST(too_many_lines)
{
        ResponseHead head = { 0 };

        for (unsigned i = 0; i < RESPONSE_LINES_MAX; i++)
                response_head_line(&head, slice_text("X: y"));
        ck_assert(!head.malformed);
        response_head_line(&head, slice_text("HTTP/1.1 200 OK")); /* starting over does not help */
        ck_assert(head.malformed);
}
END_TEST

START_TEST(dates)
{
        static const char *const same[] = {
                "Sun, 06 Nov 1994 08:49:37 GMT",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                "Sun Nov  6 08:49:37 1994",
        };
        static const char *const bad[] = {
                "",
                "GMT",
                "Sun, 06 Nov 1994 08:49:37",
                "Sun, 06 Nov 1994 08:49:37 GMT+1",
                "Sun, 06 Nov 1994 25:49:37 GMT",
                "Sun, 32 Nov 1994 08:49:37 GMT",
                "1994-11-06T08:49:37Z",
                "Sun, 06 Nov 1901 08:49:37 GMT",
        };
        uint64_t time = 0;

        for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
                ck_assert_int_eq(response_parse_date(slice_text(same[i]), &time), 0);
                ck_assert_uint_eq(time, UINT64_C(784111777) * USEC_PER_SEC);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(response_parse_date(slice_text(bad[i]), &time) == RESPONSE_E_INVALID,
                              "%s", bad[i]);
        ck_assert_int_eq(response_parse_date(slice("Sun, 06 Nov 1994 08:49:37 GMT\0", 30), &time),
                         RESPONSE_E_INVALID);
}
END_TEST

#define NOW (UINT64_C(1767225600) * USEC_PER_SEC) /* 2026-01-01T00:00:00Z */

static uint64_t wait_of(ResponseHead head)
{
        return response_retry_after(&head, NOW) / USEC_PER_SEC;
}

START_TEST(how_long_to_wait)
{
        static const char status[] = "HTTP/1.1 403 Forbidden";

        ck_assert_uint_eq(wait_of(HEAD(status)), 60);
        ck_assert_uint_eq(wait_of(HEAD(status, "Retry-After: 17")), 17);
        /* More microseconds than 64 bits hold: 18446744073710 s are half a second behind their end. */
        ck_assert_uint_eq(wait_of(HEAD(status, "Retry-After: 18446744073710")), 24 * 3600);
        ck_assert_uint_eq(wait_of(HEAD(status, "Retry-After: 0")), 1);
        ck_assert_uint_eq(wait_of(HEAD(status, "Retry-After: 999999999999")), 24 * 3600);
        ck_assert_uint_eq(wait_of(HEAD(status, "Retry-After: Thu, 01 Jan 2026 00:01:30 GMT")), 90);
        ck_assert_uint_eq(wait_of(HEAD(status, "Retry-After: Wed, 31 Dec 2025 00:01:30 GMT")), 1);
        ck_assert_uint_eq(wait_of(HEAD(status, "Retry-After: soon")), 60);
        ck_assert_uint_eq(
                wait_of(HEAD(status, "x-ratelimit-remaining: 0", "x-ratelimit-reset: 1767225645")),
                45);
        ck_assert_uint_eq(wait_of(HEAD(status, "x-ratelimit-remaining: 4000",
                                       "x-ratelimit-reset: 1767225645")),
                          60);
        ck_assert_uint_eq(wait_of(HEAD(status, "x-ratelimit-remaining: 0")), 60);
        /* Retry-After is the more precise word. */
        ck_assert_uint_eq(wait_of(HEAD(status, "x-ratelimit-remaining: 0",
                                       "x-ratelimit-reset: 1767225645", "Retry-After: 7")),
                          7);
}
END_TEST

START_TEST(upstream_clock_counts)
{
        static const char status[] = "HTTP/1.1 403 Forbidden",
                          date[] = "Date: Thu, 01 Jan 2026 02:00:00 GMT";

        ck_assert_uint_eq(wait_of(HEAD(status, date, "Retry-After: Thu, 01 Jan 2026 02:00:20 GMT")),
                          20);
        ck_assert_uint_eq(wait_of(HEAD(status, date, "x-ratelimit-remaining: 0",
                                       "x-ratelimit-reset: 1767232830")),
                          30);
}
END_TEST

START_TEST(sweep)
{
        static const char *const lines[] = {
                "HTTP/1.1 403 Forbidden\r\n",
                "Content-Type: application/json\r\n",
                "Retry-After: 120\r\n",
                "Retry-After: Thu, 01 Jan 2026 00:01:30 GMT\r\n",
                "x-ratelimit-remaining: 0\r\n",
                "x-ratelimit-reset: 1767225645\r\n",
                "Date: Thu, 01 Jan 2026 02:00:00 GMT\r\n",
        };

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                size_t size = strlen(lines[i]);

                for (size_t bit = 0; bit < size * 8; bit++) {
                        uint8_t *copy =
                                malloc(size); /* exact, so that a sanitizer sees a byte too many */
                        ResponseHead head = { 0 };

                        ck_assert_ptr_nonnull(copy);
                        memcpy(copy, lines[i], size);
                        copy[bit / 8] ^= (uint8_t)(1U << (bit % 8));
                        response_head_line(&head, slice(copy, size));
                        ck_assert(head.status <= 599);
                        ck_assert(response_retry_after(&head, NOW) <= 24 * 3600 * USEC_PER_SEC);
                        ck_assert(response_retry_after(&head, NOW) >= USEC_PER_SEC);
                        free(copy);
                }
                for (size_t cut = 0; cut < size; cut++) {
                        uint8_t *copy = malloc(cut + 1);
                        ResponseHead head = { 0 };

                        ck_assert_ptr_nonnull(copy);
                        memcpy(copy + 1, lines[i], cut);
                        response_head_line(&head, slice(copy + 1, cut));
                        free(copy);
                }
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("providers/response");
        TCase *tests = tcase_create("response");
        SRunner *runner;
        int failed;

        tcase_add_test(tests, status_line);
        tcase_add_test(tests, interim_response_is_forgotten);
        tcase_add_test(tests, header_values);
        tcase_add_test(tests, what_github_says_of_the_token);
        tcase_add_test(tests, senseless_numbers_are_absent);
        tcase_add_test(tests, long_content_type_is_cut);
        tcase_add_test(tests, too_many_lines);
        tcase_add_test(tests, dates);
        tcase_add_test(tests, how_long_to_wait);
        tcase_add_test(tests, upstream_clock_counts);
        tcase_add_test(tests, sweep);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed > 0;
}
