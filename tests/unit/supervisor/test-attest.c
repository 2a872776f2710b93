#undef NDEBUG
#include "supervisor/attest.h"
#include <check.h>
#include <string.h>
#include <unistd.h>

#define LIMITS                                                                                     \
        "Limit                     Soft Limit           Hard Limit           Units     \n"         \
        "Max cpu time              unlimited            unlimited            seconds   \n"

START_TEST(mark)
{
        ck_assert_int_eq(attest_parse_mark(LIMITS "Max realtime timeout      unlimited            "
                                                  "unlimited            us        \n"),
                         0);
        ck_assert_int_eq(attest_parse_mark(LIMITS "Max realtime timeout      unlimited            "
                                                  "1000000000000        us        \n"),
                         1);
        ck_assert_int_eq(attest_parse_mark(LIMITS "Max realtime timeout      5                    "
                                                  "6                    us        \n"),
                         1);
        /* A soft limit alone is no mark: whoever set it can take it off again. */
        ck_assert_int_eq(attest_parse_mark(LIMITS "Max realtime timeout      5                    "
                                                  "unlimited            us        \n"),
                         0);
        ck_assert_int_lt(attest_parse_mark(LIMITS), 0);
        ck_assert_int_lt(attest_parse_mark(""), 0);
        ck_assert_int_lt(attest_parse_mark(LIMITS "Max realtime timeout"), 0);
        ck_assert_int_lt(attest_parse_mark(LIMITS "Max realtime timeout      unlimited\n"), 0);
        ck_assert_int_lt(
                attest_parse_mark(
                        LIMITS
                        "Max realtime timeout      unlimited            huge                 us\n"),
                0);
}
END_TEST

START_TEST(status_field)
{
        static const char status[] =
                "Name:\tNSpid: 1\nUmask:\t0022\nNSpid:\t12\t1\nUid:\t1\t2\t3\t4\n";

        /* A process's name cannot pass for a field: the kernel escapes its newlines. */
        ck_assert_int_eq(strncmp(attest_status_field(status, "NSpid"), "12\t1\n", 5), 0);
        ck_assert_int_eq(strncmp(attest_status_field(status, "Uid"), "1\t2", 3), 0);
        ck_assert_ptr_null(attest_status_field(status, "Pid"));
        ck_assert_ptr_null(attest_status_field("", "Pid"));
}
END_TEST

static void unit_is(const char *cgroup, const char *expected)
{
        char unit[ATTEST_UNIT_SIZE];

        attest_parse_unit(cgroup, unit);
        ck_assert_str_eq(unit, expected);
}

START_TEST(unit)
{
        unit_is("0::/system.slice/foo.service\n", "foo.service");
        unit_is("0::/system.slice/foo.service/mine.service\n", "foo.service");
        unit_is("0::/user.slice/user-1000.slice/session-2.scope\n", "session-2.scope");
        unit_is("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.scope\n",
                "app-x.scope");
        unit_is("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service/"
                "user@1.service/y.service\n",
                "x.service");
        unit_is("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "init.scope");
        unit_is("0::/user.slice/user-1000.slice/user@1000.service\n", "");
        unit_is("12:cpu:/other.service\n0::/a.slice/b.service\n", "b.service");
        unit_is("12:cpu:/other.service\n", "");
        unit_is("0::/\n", "");
        unit_is("0::/docker/abc/x.service\n", "");
        unit_is("0::/.service\n", "");
        unit_is("", "");
        unit_is("0::", "");
}
END_TEST

START_TEST(self)
{
        const AttestPeer peer = { .uid = geteuid(), .pid = getpid(), .pidfd = -1 };
        const AttestPeer nobody = { .uid = geteuid(), .pid = 0, .pidfd = -1 };
        AttestResult result;

        ck_assert_int_eq(attest_peer(&result, &peer, 0), 0);
        ck_assert_int_eq(attest_peer(&result, &peer, getpid()), ATTEST_E_OURS);
        ck_assert_int_eq(attest_peer(&result, &peer, getppid()), getppid() > 1 ? ATTEST_E_OURS : 0);
        ck_assert_int_eq(attest_peer(&result, &nobody, 0), ATTEST_E_PID_NS);
        for (int code = ATTEST_E_GONE; code <= ATTEST_E_OURS; code++)
                ck_assert_str_ne(attest_error(code), attest_error(-1));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("attest");
        TCase *tests = tcase_create("all");
        SRunner *r = srunner_create(suite);
        int failed;

        suite_add_tcase(suite, tests);
        tcase_add_test(tests, mark);
        tcase_add_test(tests, status_field);
        tcase_add_test(tests, unit);
        tcase_add_test(tests, self);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
