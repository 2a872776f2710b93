#undef NDEBUG
#include "supervisor/lifeline.h"
#include "base/fd.h"
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int count(void *userdata)
{
        ++*(int *)userdata;
        return 0;
}

START_TEST(sockets)
{
        Loop *loop;
        LifelineWatch *a, *b;
        int pair[2], gone = 0;

        ck_assert_int_eq(loop_new(&loop, &clock_system), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        ck_assert_int_eq(lifeline_new(&a, loop, dup(pair[0]), count, &gone), 0);
        ck_assert_int_eq(lifeline_new(&b, loop, pair[0], count, &gone), 0);
        ck_assert(lifeline_same(a, b));
        ck_assert_int_ge(lifeline_socket(a), 0);
        ck_assert_int_eq(send(pair[1], "x", 1, 0), 1);
        ck_assert_int_eq(loop_dispatch(loop, 10), 0);
        ck_assert_int_eq(gone, 0);
        fd_close(pair[1]);
        for (int i = 0; i < 3; i++)
                ck_assert_int_eq(loop_dispatch(loop, 10), 0);
        ck_assert_int_eq(gone, 2); /* once each */
        lifeline_free(a);
        lifeline_free(b);
        loop_free(loop);
}
END_TEST

START_TEST(process)
{
        Loop *loop;
        LifelineWatch *watch;
        int gone = 0;
        pid_t pid = fork();

        if (pid == 0) {
                pause();
                _exit(0);
        }
        ck_assert_int_eq(loop_new(&loop, &clock_system), 0);
        ck_assert_int_eq(
                lifeline_new(&watch, loop, (int)syscall(SYS_pidfd_open, pid, 0), count, &gone), 0);
        ck_assert_int_lt(lifeline_socket(watch), 0);
        ck_assert_int_eq(loop_dispatch(loop, 10), 0);
        ck_assert_int_eq(gone, 0);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(loop_dispatch(loop, 5000), 0);
        ck_assert_int_eq(gone, 1);
        lifeline_free(watch);
        loop_free(loop);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

START_TEST(other_kinds)
{
        Loop *loop;
        LifelineWatch *watch;
        int pair[2], gone = 0;

        ck_assert_int_eq(loop_new(&loop, &clock_system), 0);
        ck_assert_int_eq(pipe(pair), 0);
        ck_assert_int_eq(lifeline_new(&watch, loop, pair[0], count, &gone), LIFELINE_E_KIND);
        ck_assert_int_lt(fcntl(pair[0], F_GETFD), 0); /* it was closed */
        ck_assert_int_eq(lifeline_new(&watch, loop, open("/dev/null", O_RDONLY), count, &gone),
                         LIFELINE_E_KIND);
        ck_assert_int_eq(lifeline_new(&watch, loop, socket(AF_UNIX, SOCK_DGRAM, 0), count, &gone),
                         LIFELINE_E_KIND);
        ck_assert_int_eq(lifeline_new(&watch, loop, socket(AF_INET, SOCK_STREAM, 0), count, &gone),
                         LIFELINE_E_KIND);
        fd_close(pair[1]);
        loop_free(loop);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("lifeline");
        TCase *tests = tcase_create("all");
        SRunner *r = srunner_create(suite);
        int failed;

        suite_add_tcase(suite, tests);
        tcase_add_test(tests, sockets);
        tcase_add_test(tests, process);
        tcase_add_test(tests, other_kinds);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
