#undef NDEBUG
#include "supervisor/notify.h"
#include "base/fd.h"
#include "supervisor/notify_command.h"
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Seen {
        Loop *loop;
        Log log;
        int log_fd; /* reading end */
        Notifier *notifier;
        char directory[64], script[96], out[96];
        const char *words[3];
        TextList command;
        uint64_t status[NOTIFY_MAX + 1];
        unsigned n;
} Seen;

static int on_done(void *userdata, uint64_t status)
{
        Seen *seen = userdata;

        seen->status[seen->n++] = status;
        return 0;
}

static void write_script(const Seen *seen, const char *text, mode_t mode)
{
        int fd = open(seen->script, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(fd_write_all(fd, text, strlen(text)), 0);
        ck_assert_int_eq(fchmod(fd, mode), 0);
        ck_assert_int_eq(close(fd), 0);
}

static void setup(Seen *seen, const char *script, uint64_t term_usec)
{
        NotifierConfig config = { .dbus_address = "unix:path=/x", .term_usec = term_usec, .kill_usec = term_usec };
        int ends[2];

        *seen = (Seen){ .directory = "/tmp/test-notify-XXXXXX" };
        ck_assert_ptr_nonnull(mkdtemp(seen->directory));
        (void)snprintf(seen->script, sizeof(seen->script), "%s/script", seen->directory);
        (void)snprintf(seen->out, sizeof(seen->out), "%s/out", seen->directory);
        write_script(seen, script, 0700);
        seen->words[0] = seen->script;
        seen->words[1] = seen->out;
        seen->command = (TextList){ seen->words, 2 };
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        seen->log_fd = ends[0];
        seen->log = (Log){ .fd = ends[1] };
        ck_assert_int_eq(loop_new(&seen->loop, &clock_system), 0);
        config.loop = seen->loop;
        config.log = &seen->log;
        ck_assert_int_eq(notifier_new(&seen->notifier, &config), 0);
}

static void teardown(Seen *seen)
{
        notifier_free(seen->notifier);
        loop_free(seen->loop);
        (void)unlink(seen->script);
        (void)unlink(seen->out);
        ck_assert_int_eq(rmdir(seen->directory), 0);
        fd_close(seen->log_fd);
        fd_close(seen->log.fd);
}

static void run(Seen *seen, const char *json)
{
        ck_assert_int_eq(notifier_run(seen->notifier, &seen->command, "i1234", json, on_done, seen), 0);
}

static void wait_for(Seen *seen, unsigned n)
{
        while (seen->n < n)
                ck_assert_int_eq(loop_dispatch(seen->loop, 10000), 0);
}

static char *slurp(const Seen *seen)
{
        char *text;

        ck_assert_int_eq(fd_read_file_at(AT_FDCWD, seen->out, 65536, &text), 0);
        return text;
}

static const char *log_text(const Seen *seen)
{
        static char text[32768];
        ssize_t n = read(seen->log_fd, text, sizeof(text) - 1);

        text[n > 0 ? n : 0] = '\0';
        return text;
}

START_TEST(notify_gets_json_on_stdin)
{
        Seen seen;
        char *text;

        setup(&seen, "#!/bin/sh\ncat >\"$1\"\n", 0);
        run(&seen, "{\"incident\":\"i1234\"}");
        wait_for(&seen, 1);
        ck_assert_uint_eq(seen.status[0], 0);
        text = slurp(&seen);
        ck_assert_str_eq(text, "{\"incident\":\"i1234\"}\n");
        free(text);
        ck_assert_uint_eq(notifier_count(seen.notifier), 0);
        teardown(&seen);
}
END_TEST

/* Whatever the broker was started with, and whatever it has open, the command does not get. */
START_TEST(notify_has_a_small_environment_and_no_descriptors)
{
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC), stray = fcntl(null, F_DUPFD, 100); /* inheritable */
        char *text, number[16];
        Seen seen;

        ck_assert_int_eq(setenv("STRAY", "x", 1), 0);
        setup(&seen, "#!/bin/sh\n{ env | cut -d= -f1 | sort | tr '\\n' ' '; pwd; ls /proc/$$/fd | tr '\\n' ' '; } >\"$1\"\n", 0);
        run(&seen, "{}");
        wait_for(&seen, 1);
        text = slurp(&seen);
        ck_assert_ptr_null(strstr(text, "STRAY"));
        ck_assert_ptr_nonnull(strstr(text, "DBUS_SESSION_BUS_ADDRESS "));
        ck_assert_ptr_nonnull(strstr(text, "MCPCRED_INCIDENT "));
        ck_assert_ptr_nonnull(strstr(text, "/\n0 1 "));
        (void)snprintf(number, sizeof(number), " %d ", stray); /* 10 and 11 are the shell's own */
        ck_assert_msg(!strstr(text, number), "%s", text);
        free(text);
        fd_close(null);
        fd_close(stray);
        teardown(&seen);
}
END_TEST

START_TEST(what_notify_returned_is_told)
{
        Seen seen;

        setup(&seen, "#!/bin/sh\nexit 3\n", 0);
        run(&seen, "{}");
        wait_for(&seen, 1);
        ck_assert_uint_eq(seen.status[0], 3);
        write_script(&seen, "#!/bin/sh\nkill -9 $$\n", 0700);
        run(&seen, "{}");
        wait_for(&seen, 2);
        ck_assert_uint_eq(seen.status[1], 128 + SIGKILL);
        write_script(&seen, "#!/no/such/interpreter\n", 0700);
        run(&seen, "{}");
        wait_for(&seen, 3);
        ck_assert_uint_eq(seen.status[2], NOTIFY_CANNOT_RUN);
        teardown(&seen);
}
END_TEST

/* It ignores SIGTERM, and so does what it started. */
START_TEST(stuck_notify_is_killed)
{
        Seen seen;
        char *text;
        int pid;

        setup(&seen, "#!/bin/sh\ntrap '' TERM\nsleep 1000 & echo $! >\"$1\"\nwhile :; do sleep 1000; done\n", 200000);
        run(&seen, "{}");
        wait_for(&seen, 1);
        ck_assert_uint_eq(seen.status[0], 128 + SIGKILL);
        text = slurp(&seen);
        pid = atoi(text);
        ck_assert_int_gt(pid, 1);
        /* A zombie until somebody reaps it: what it must not do is run. */
        for (int i = 0; i < 500 && kill(pid, 0) == 0; i++) {
                char path[64], *status;
                int r;

                (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
                r = fd_read_file_at(AT_FDCWD, path, 65536, &status);
                if (r < 0)
                        break;
                r = strstr(status, "State:\tZ") != NULL;
                free(status);
                if (r)
                        break;
                ck_assert_int_lt(i, 499);
                (void)usleep(10000);
        }
        free(text);
        teardown(&seen);
}
END_TEST

START_TEST(notify_that_ends_when_told_is_not_killed)
{
        Seen seen;

        setup(&seen, "#!/bin/sh\ntrap 'exit 7' TERM\nwhile :; do sleep 0.05; done\n", 200000);
        run(&seen, "{}");
        wait_for(&seen, 1);
        ck_assert_uint_eq(seen.status[0], 7);
        teardown(&seen);
}
END_TEST

START_TEST(only_so_many_run_at_once)
{
        Seen seen;

        setup(&seen, "#!/bin/sh\nexec sleep 1000\n", 0);
        for (unsigned i = 0; i < NOTIFY_MAX; i++)
                run(&seen, "{}");
        ck_assert_int_eq(notifier_run(seen.notifier, &seen.command, "i", "{}", on_done, &seen), NOTIFIER_E_BUSY);
        ck_assert_uint_eq(notifier_count(seen.notifier), NOTIFY_MAX);
        ck_assert_uint_eq(seen.n, 0);
        teardown(&seen); /* and does not wait for them */
}
END_TEST

START_TEST(output_is_logged_up_to_a_limit)
{
        const char *text;
        Seen seen;

        setup(&seen, "#!/bin/sh\nprintf 'one\\033[2J line\\n'\nyes 0123456789 | head -c 100000 >&2\n", 0);
        run(&seen, "{}");
        wait_for(&seen, 1);
        ck_assert_uint_eq(seen.status[0], 0);
        text = log_text(&seen);
        ck_assert_ptr_nonnull(strstr(text, "notify: one?[2J line"));
        ck_assert_ptr_nonnull(strstr(text, "dropped"));
        ck_assert_uint_lt(strlen(text), 4 * NOTIFY_OUTPUT_MAX);
        teardown(&seen);
}
END_TEST

/* What it prints may be of a report that a stranger wrote. */
START_TEST(output_does_nothing_to_a_terminal)
{
        const char *text;
        Seen seen;

        setup(&seen, "#!/bin/sh\nprintf 'a\\302\\23331m b\\342\\200\\256 c\\303\\251\\n'\nprintf 'd\\2339\\n'\n", 0);
        run(&seen, "{}");
        wait_for(&seen, 1);
        text = log_text(&seen);
        ck_assert_ptr_nonnull(strstr(text, "notify: a??31m b??? c\xc3\xa9\n"));
        ck_assert_ptr_nonnull(strstr(text, "notify: d?9\n"));
        teardown(&seen);
}
END_TEST

/* As ssh does it: whoever can write it could run what he likes as the owner. */
START_TEST(command_that_others_can_write_is_refused)
{
        char link[128];
        Seen seen;

        setup(&seen, "#!/bin/sh\n", 0);
        ck_assert_ptr_null(notify_check_command(seen.script));
        ck_assert_int_eq(chmod(seen.script, 0722), 0);
        ck_assert_ptr_nonnull(notify_check_command(seen.script));
        run(&seen, "{}"); /* and it was changed behind the configuration's back */
        ck_assert_uint_eq(seen.status[0], NOTIFY_CANNOT_RUN);
        ck_assert_int_eq(chmod(seen.script, 0600), 0);
        ck_assert_ptr_nonnull(notify_check_command(seen.script));
        ck_assert_int_eq(chmod(seen.script, 0700), 0);
        ck_assert_int_eq(chmod(seen.directory, 0777), 0);
        ck_assert_ptr_nonnull(notify_check_command(seen.script));
        (void)snprintf(link, sizeof(link), "%s.link", seen.directory);
        ck_assert_int_eq(symlink(seen.script, link), 0);
        ck_assert_ptr_nonnull(notify_check_command(link));
        ck_assert_int_eq(chmod(seen.directory, 0700), 0);
        ck_assert_ptr_null(notify_check_command(link));
        ck_assert_int_eq(unlink(link), 0);
        ck_assert_ptr_nonnull(notify_check_command(link));
        ck_assert_ptr_nonnull(notify_check_command(seen.directory));
        teardown(&seen);
}
END_TEST

/* Whoever can put another link in its place chooses what is run, though all that it can lead to is the owner's. */
START_TEST(links_that_others_can_change_are_not_followed)
{
        char link[128], far[160], open_directory[128];
        Seen seen;

        setup(&seen, "#!/bin/sh\n", 0);
        (void)snprintf(open_directory, sizeof(open_directory), "%s/open", seen.directory);
        (void)snprintf(link, sizeof(link), "%s/open/link", seen.directory);
        (void)snprintf(far, sizeof(far), "%s/far", seen.directory);
        ck_assert_int_eq(mkdir(open_directory, 0700), 0);
        ck_assert_int_eq(symlink("../script", link), 0);
        ck_assert_int_eq(symlink("open/link", far), 0);
        ck_assert_ptr_null(notify_check_command(link));
        ck_assert_ptr_null(notify_check_command(far));
        ck_assert_int_eq(chmod(open_directory, 0777), 0);
        ck_assert_ptr_nonnull(notify_check_command(link));
        ck_assert_ptr_nonnull(notify_check_command(far));
        ck_assert_int_eq(chmod(open_directory, 01777), 0);
        ck_assert_ptr_null(notify_check_command(far));
        if (geteuid() == 0) {
                ck_assert_int_eq(lchown(link, 12345, 12345), 0);
                ck_assert_ptr_nonnull(notify_check_command(link));
                ck_assert_ptr_nonnull(notify_check_command(far));
        }
        ck_assert_ptr_nonnull(notify_check_command("script"));
        ck_assert_int_eq(unlink(far), 0);
        ck_assert_int_eq(symlink("far", far), 0);
        ck_assert_ptr_nonnull(notify_check_command(far));
        ck_assert_int_eq(unlink(far), 0);
        ck_assert_int_eq(unlink(link), 0);
        ck_assert_int_eq(rmdir(open_directory), 0);
        teardown(&seen);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("notify");
        TCase *tests = tcase_create("all");
        SRunner *runner;
        int failed;

        suite_add_tcase(suite, tests);
        tcase_set_timeout(tests, 30);
        tcase_add_test(tests, notify_gets_json_on_stdin);
        tcase_add_test(tests, notify_has_a_small_environment_and_no_descriptors);
        tcase_add_test(tests, what_notify_returned_is_told);
        tcase_add_test(tests, stuck_notify_is_killed);
        tcase_add_test(tests, notify_that_ends_when_told_is_not_killed);
        tcase_add_test(tests, only_so_many_run_at_once);
        tcase_add_test(tests, output_is_logged_up_to_a_limit);
        tcase_add_test(tests, output_does_nothing_to_a_terminal);
        tcase_add_test(tests, command_that_others_can_write_is_refused);
        tcase_add_test(tests, links_that_others_can_change_are_not_followed);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? 1 : 0;
}
