#undef NDEBUG
#include "supervisor/backoff.h"
#include "supervisor/log.h"
#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

START_TEST(grows_and_resets)
{
        Backoff backoff = { 0 };
        uint64_t wait = 0, last = 0;

        backoff_started(&backoff, 0);
        ck_assert_uint_eq(backoff_next(&backoff, 1), BACKOFF_FIRST_USEC);
        ck_assert_uint_eq(backoff_next(&backoff, 2), 2 * BACKOFF_FIRST_USEC);
        for (int i = 0; i < 100; i++, last = wait) {
                wait = backoff_next(&backoff, 3);
                ck_assert_uint_ge(wait, last);
        }
        ck_assert_uint_eq(wait, BACKOFF_MAX_USEC);
        backoff_started(&backoff, 100);
        ck_assert_uint_eq(backoff_next(&backoff, 100 + BACKOFF_HEALTHY_USEC - 1), BACKOFF_MAX_USEC);
        ck_assert_uint_eq(backoff_next(&backoff, 100 + BACKOFF_HEALTHY_USEC), BACKOFF_FIRST_USEC);
}
END_TEST

START_TEST(log_is_one_clean_line)
{
        int ends[2];
        char text[512];
        ssize_t n;
        Log log = { .minimum = LOG_LEVEL_INFO };

        ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        log.fd = ends[1];
        log_line(&log, LOG_LEVEL_DEBUG, "vault", "not written");
        log_line(&log, LOG_LEVEL_ERROR, "vault", "a\nb\x1b[1m %s \xff", "\xc3\xa4\xe2\x80\xae");
        log.priorities = true;
        log_line(&log, LOG_LEVEL_WARNING, "gate", "\xc3\xa4");
        n = read(ends[0], text, sizeof(text) - 1);
        ck_assert_int_gt(n, 0);
        text[n] = '\0';
        ck_assert_str_eq(text, "mcpcredd: vault: a?b?[1m \xc3\xa4??? ?\n<4>mcpcredd: gate: \xc3\xa4\n");
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("backoff");
        TCase *tests = tcase_create("all");
        SRunner *r = srunner_create(suite);
        int failed;

        suite_add_tcase(suite, tests);
        tcase_add_test(tests, grows_and_resets);
        tcase_add_test(tests, log_is_one_clean_line);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
