#undef NDEBUG
#include "supervisor/child.h"
#include "base/fd.h"
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Seen {
        Loop *loop;
        Log log;
        int log_fd; /* reading end */
        ChildContext context;
        int started, gone;
        bool free_when_gone;
} Seen;

static int on_started(void *userdata, Child *child)
{
        Seen *seen = userdata;

        ck_assert(child_is_running(child));
        seen->started++;
        return 0;
}

static int on_gone(void *userdata, Child *child)
{
        Seen *seen = userdata;

        seen->gone++;
        if (seen->free_when_gone)
                child_free(child);
        return 0;
}

static Child *make(Seen *seen, const char *script, bool restart)
{
        static const char *arguments[4] = { "sh", "-c", NULL, NULL };
        static const char *const environment[] = { "PATH=/usr/bin:/bin", NULL };
        ChildConfig config = {
                .context = &seen->context,
                .name = "sh",
                .executable = "/bin/sh",
                .arguments = arguments,
                .environment = environment,
                .in = &interface_from_worker,
                .out = &interface_to_worker,
                .restart = restart,
                .started = on_started,
                .gone = on_gone,
                .userdata = seen,
        };
        Child *child;
        int ends[2];

        arguments[2] = script;
        *seen = (Seen){ .free_when_gone = false };
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        seen->log_fd = ends[0];
        seen->log.fd = ends[1];
        ck_assert_int_eq(loop_new(&seen->loop, &clock_system), 0);
        seen->context = (ChildContext){ seen->loop, &seen->log, NULL };
        ck_assert_int_eq(child_new(&child, &config), 0);
        ck_assert_int_eq(child_start(child), 0);
        return child;
}

static void run_until(Seen *seen, const int *value, int wanted)
{
        for (int i = 0; i < 20000 && *value < wanted; i++)
                ck_assert_int_eq(loop_dispatch(seen->loop, 20), 0);
        ck_assert_int_eq(*value, wanted);
}

static void log_has(Seen *seen, const char *text)
{
        static char log[65536];
        ssize_t n = read(seen->log_fd, log, sizeof(log) - 1);

        log[n > 0 ? n : 0] = '\0';
        ck_assert_msg(strstr(log, text), "no \"%s\" in: %s", text, log);
}

static void done(Seen *seen)
{
        seen->loop = loop_free(seen->loop);
        fd_close(seen->log_fd);
        fd_close(seen->log.fd);
}

START_TEST(last_words_are_logged)
{
        Seen seen;
        Child *child = make(&seen, "echo one >&2; printf two >&2; exit 4", false);

        run_until(&seen, &seen.gone, 1);
        log_has(&seen, "mcpcredd: sh: one\nmcpcredd: sh: two\nmcpcredd: sh: ended with status 4\n");
        ck_assert(!child_is_running(child));
        child_free(child);
        done(&seen);
}
END_TEST

START_TEST(started_again)
{
        Seen seen;
        Child *child = make(&seen, "exit 0", true);

        run_until(&seen, &seen.started, 3);
        ck_assert_uint_eq(child_restarts(child), 2);
        child_free(child);
        done(&seen);
}
END_TEST

/* Garbage, and a socket that is closed by a process that goes on, both end it. */
START_TEST(killed_for_garbage)
{
        static const char *const scripts[] = { "printf xxxxxxxxxxxx >&3; exec sleep 100",
                                               "exec 3>&-; exec sleep 100" };

        for (size_t i = 0; i < 2; i++) {
                Seen seen;
                Child *child = make(&seen, scripts[i], false);

                run_until(&seen, &seen.gone, 1);
                log_has(&seen, "was killed by signal 9");
                child_free(child);
                done(&seen);
        }
}
END_TEST

START_TEST(freed_in_its_callback)
{
        Seen seen;

        (void)make(&seen, "exit 0", true);
        seen.free_when_gone = true;
        run_until(&seen, &seen.gone, 1);
        ck_assert_int_eq(loop_dispatch(seen.loop, 100), 0);
        done(&seen);
}
END_TEST

/* Its environment and descriptors are what we gave it and nothing else. */
START_TEST(nothing_inherited)
{
        Seen seen;
        Child *child;

        ck_assert_int_ge(open("/dev/null", O_RDONLY), 3); /* not close-on-exec */
        child = make(&seen, "ls /proc/self/fd | tr '\\n' ' ' >&2; env | sort | tr '\\n' ' ' >&2",
                     false);
        run_until(&seen, &seen.gone, 1);
        log_has(&seen, "0 1 2 3 4 PATH=/usr/bin:/bin PWD="); /* 4 is of ls itself */
        child_free(child);
        done(&seen);
}
END_TEST

START_TEST(floods_are_bounded)
{
        Seen seen;
        Child *child = make(
                &seen, "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done", false);
        static char log[1 << 20];
        size_t lines = 0;
        ssize_t n;

        ck_assert_int_ge(fcntl(seen.log.fd, F_SETPIPE_SZ, 1 << 20), 0);
        run_until(&seen, &seen.gone, 1);
        n = read(seen.log_fd, log, sizeof(log) - 1);
        for (ssize_t i = 0; i < n; i++)
                lines += log[i] == '\n';
        ck_assert_uint_ge(lines, 100);
        ck_assert_uint_le(lines, 1500); /* 200 each second, however slow the machine is */
        child_free(child);
        done(&seen);
}
END_TEST

/* A file with so many notices of one size, each of which says "word". Returns that size. */
static size_t write_notices(const char *path, unsigned n)
{
        const Method *log = &interface_from_worker.methods[FROM_WORKER_LOG];
        const LogNotice notice = { .level = LOG_LEVEL_INFO, .text = "word" };
        Buf frame = BUF_NULL(CHANNEL_FRAME_MAX);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        size_t size;

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(buf_append_u16(&frame, FROM_WORKER_LOG), 0);
        ck_assert_int_eq(buf_append_u16(&frame, 0), 0); /* a request */
        ck_assert_int_eq(buf_append_u32(&frame, 0), 0);
        ck_assert_int_eq(schema_encode(log->request, &notice, &frame), 0);
        for (unsigned i = 0; i < n; i++)
                ck_assert_int_eq(fd_write_all(fd, frame.data, frame.size), 0);
        size = frame.size;
        buf_deinit(&frame);
        fd_close(fd);
        return size;
}

/* More than one round of the loop, and its end is there before any of it is looked at. */
START_TEST(what_it_said_last_is_heard)
{
        char path[] = "/tmp/test-child-XXXXXX", script[128];
        static char log[65536];
        siginfo_t info;
        Seen seen;
        Child *child;
        ssize_t size;
        unsigned n = 0;

        fd_close(mkstemp(path));
        (void)snprintf(script, sizeof(script), "dd bs=%zu if=%s 2>/dev/null >&3", write_notices(path, 60), path);
        child = make(&seen, script, false);
        ck_assert_int_eq(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT), 0);
        run_until(&seen, &seen.gone, 1);
        size = read(seen.log_fd, log, sizeof(log) - 1);
        log[size > 0 ? size : 0] = 0;
        for (const char *at = log; (at = strstr(at, "sh: word\n")); at++)
                n++;
        ck_assert_uint_eq(n, 60);
        child_free(child);
        done(&seen);
        (void)unlink(path);
}
END_TEST

START_TEST(missing_executable)
{
        Seen seen;
        Child *child = make(&seen, "exec /nonexistent/mcpcred", false);

        run_until(&seen, &seen.gone, 1);
        log_has(&seen, "ended with status 127");
        child_free(child);
        done(&seen);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("child");
        TCase *tests = tcase_create("all");
        SRunner *r = srunner_create(suite);
        int failed;

        suite_add_tcase(suite, tests);
        tcase_add_test(tests, last_words_are_logged);
        tcase_add_test(tests, started_again);
        tcase_add_test(tests, killed_for_garbage);
        tcase_add_test(tests, freed_in_its_callback);
        tcase_add_test(tests, nothing_inherited);
        tcase_add_test(tests, floods_are_bounded);
        tcase_add_test(tests, what_it_said_last_is_heard);
        tcase_add_test(tests, missing_executable);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
