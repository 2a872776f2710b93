#include "client.h"
#include "base/fd.h"
#include "wire/field.h"
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(test_lists_grow_and_keep_their_order)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(1024 * 1024);
        TextList list = { 0 };
        char text[16];

        for (unsigned i = 0; i < 500; i++) {
                (void)snprintf(text, sizeof(text), "o/%u", i);
                ck_assert_int_eq(texts_append(&pool, &list, text, 500), 0);
        }
        ck_assert_int_eq(texts_append(&pool, &list, "one more", 500), -E2BIG);
        for (unsigned i = 0; i < 500; i++) {
                (void)snprintf(text, sizeof(text), "o/%u", i);
                ck_assert_str_eq(list.items[i], text);
        }
}
END_TEST

START_TEST(test_maps_replace)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(4096);
        TextMap map = { 0 };

        ck_assert_int_eq(map_append(&pool, &map, "a", "1", 2), 0);
        ck_assert_int_eq(map_append(&pool, &map, "b", "2", 2), 0);
        ck_assert_int_eq(map_append(&pool, &map, "a", "3", 2), 0);
        ck_assert_int_eq(map_append(&pool, &map, "c", "4", 2), -E2BIG);
        ck_assert_uint_eq(map.n, 2);
        ck_assert_str_eq(map.items[0].value, "3");
}
END_TEST

/* A mistake on the way makes the request one that cannot be sent, whoever checks what. */
START_TEST(test_mistakes_are_remembered)
{
        OpenRequest open;
        mcpcred_open *request;

        ck_assert_int_eq(mcpcred_open_new(&request), 0);
        ck_assert_int_eq(open_request_get(request, &open), MCPCRED_E_MISUSE); /* no grant */
        ck_assert_int_eq(mcpcred_open_repository(request, "o/n"), MCPCRED_E_MISUSE);
        ck_assert_int_eq(mcpcred_open_grant(request, "p"), 0);
        ck_assert_int_eq(open_request_get(request, &open), MCPCRED_E_MISUSE);
        request = mcpcred_open_free(request);

        ck_assert_int_eq(mcpcred_open_new(&request), 0);
        for (unsigned i = 0; i < LIMIT_GRANTS; i++)
                ck_assert_int_eq(mcpcred_open_grant(request, "p"), 0);
        ck_assert_int_eq(open_request_get(request, &open), 0);
        ck_assert_int_eq(mcpcred_open_grant(request, "p"), MCPCRED_E_MISUSE);
        ck_assert_int_eq(open_request_get(request, &open), MCPCRED_E_MISUSE);
        mcpcred_open_free(request);
}
END_TEST

START_TEST(test_scope_belongs_to_the_last_grant)
{
        OpenRequest open;
        const GrantRequest *grants;
        mcpcred_open *request;

        ck_assert_int_eq(mcpcred_open_new(&request), 0);
        ck_assert_int_eq(mcpcred_open_grant(request, "a"), 0);
        ck_assert_int_eq(mcpcred_open_grant(request, "b"), 0);
        ck_assert_int_eq(mcpcred_open_repository(request, "o/n"), 0);
        ck_assert_int_eq(mcpcred_open_permission(request, "contents", "read"), 0);
        ck_assert_int_eq(open_request_get(request, &open), 0);
        grants = open.body.grants.items;
        ck_assert_ptr_null(grants[0].scope);
        ck_assert_str_eq(grants[1].scope->repositories.items[0], "o/n");
        ck_assert_str_eq(grants[1].scope->permissions.items[0].value, "read");
        mcpcred_open_free(request);
}
END_TEST

START_TEST(test_long_command_is_left_out)
{
        const char *words[64];
        OpenRequest open;
        mcpcred_open *request;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                words[i] = "word";
        ck_assert_int_eq(mcpcred_open_new(&request), 0);
        ck_assert_int_eq(mcpcred_open_grant(request, "a"), 0);
        ck_assert_int_eq(mcpcred_open_command(request, 32, words), 0);
        ck_assert_int_eq(open_request_get(request, &open), 0);
        ck_assert_uint_eq(open.body.command.n, 32);
        ck_assert_int_eq(mcpcred_open_command(request, 33, words), 0);
        ck_assert_int_eq(open_request_get(request, &open), 0);
        ck_assert_uint_eq(open.body.command.n, 0);
        mcpcred_open_free(request);
}
END_TEST

START_TEST(test_value_goes_through_a_socket)
{
        static uint8_t big[MCPCRED_VALUE_MAX], got[MCPCRED_VALUE_MAX + 1];
        mcpcred *client;
        mcpcred_value *value;
        size_t n = 0;
        ssize_t more;
        int fd;

        memset(big, 'k', sizeof(big));
        ck_assert_int_eq(mcpcred_new(&client), 0);
        ck_assert_int_eq(mcpcred_value_new(&value), 0);
        ck_assert_int_eq(value_socket(client, value, &fd), MCPCRED_E_MISUSE); /* empty */
        ck_assert_int_eq(mcpcred_value_append(value, big, sizeof(big)), 0);
        ck_assert_int_eq(mcpcred_value_append(value, big, 1), MCPCRED_E_MISUSE);
        ck_assert_int_eq(value_socket(client, value, &fd), 0);
        while ((more = read(fd, got + n, sizeof(got) - n)) > 0)
                n += (size_t)more;
        ck_assert_uint_eq(n, sizeof(big));
        ck_assert_int_eq(memcmp(got, big, n), 0);
        ck_assert_int_lt(write(fd, "x", 1), 0); /* shut down both ways */
        (void)close(fd);
        mcpcred_value_free(value);
        mcpcred_free(client);
}
END_TEST

START_TEST(test_mark_cannot_be_taken_off)
{
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                struct rlimit limit;

                if (mcpcred_is_marked() || mcpcred_child_mark() || !mcpcred_is_marked() ||
                    mcpcred_child_mark())
                        _exit(1);
                if (getrlimit(RLIMIT_RTTIME, &limit) < 0 || limit.rlim_max == RLIM_INFINITY ||
                    limit.rlim_max < (rlim_t)1 << 60)
                        _exit(2);
                /* Lower is a mark too. */
                limit.rlim_cur = limit.rlim_max = 1000000;
                if (setrlimit(RLIMIT_RTTIME, &limit) < 0 || !mcpcred_is_marked())
                        _exit(3);
                _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("client-lib/request");
        TCase *test = tcase_create("request");
        SRunner *runner;
        int failed;

        (void)signal(SIGPIPE, SIG_IGN);
        tcase_add_test(test, test_lists_grow_and_keep_their_order);
        tcase_add_test(test, test_maps_replace);
        tcase_add_test(test, test_mistakes_are_remembered);
        tcase_add_test(test, test_scope_belongs_to_the_last_grant);
        tcase_add_test(test, test_long_command_is_left_out);
        tcase_add_test(test, test_value_goes_through_a_socket);
        tcase_add_test(test, test_mark_cannot_be_taken_off);
        suite_add_tcase(suite, test);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? 0 : 1;
}
