#include "support.h"
#include "vault/audit.h"
#include "vault/rows_lease.h"
#include "vault/rows_meta.h"
#include <signal.h>
#include <sys/wait.h>

/* Promise 5 and 6 at the store: what was answered is there after kill -9, and the log fits it. */

#define ROUNDS 20U

static void insert_one(const Fixture *f, Audit *audit, uint64_t number)
{
        LeaseRecord record = { .session = "s-1",
                               .profile = "p",
                               .secret = "github",
                               .provider = "github-app",
                               .state = LEASE_INTENT,
                               .on_end = OUTCOME_PENDING,
                               .expires = 1 };
        LeaseUpstream upstream = { 0 };
        AuditEvent event = { .operation = "lease.intent",
                             .verdict = AUDIT_ALLOW,
                             .lease = record.id };

        (void)snprintf(record.id, sizeof(record.id), "l-%016llu", (unsigned long long)number);
        if (db_begin(f->db) || rows_lease_insert(f->db, &record, &upstream, NULL) ||
            audit_append(audit, &event) || db_commit(f->db))
                _exit(1);
}

/* Inserts until it is killed, telling each number that was committed. */
static _Noreturn void child(Fixture *f, int out, uint64_t first)
{
        Audit *audit = NULL;

        fixture_open(f);
        if (audit_new(&audit, f->db, f->directory, &clock_system))
                _exit(2);
        for (uint64_t number = first;; number++) {
                insert_one(f, audit, number);
                if (write(out, &number, sizeof(number)) != sizeof(number))
                        _exit(3);
                if (number % 3 == 0 && audit_flush(audit))
                        _exit(4);
        }
}

/* Kills after `acks` answers, and returns the last one. */
static uint64_t run_and_kill(Fixture *f, uint64_t first, unsigned acks)
{
        uint64_t number = first - 1;
        int pipes[2], status;
        pid_t pid;

        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
                child(f, pipes[1], first);
        (void)close(pipes[1]);
        for (unsigned i = 0; i < acks; i++)
                ck_assert_int_eq(read(pipes[0], &number, sizeof(number)), sizeof(number));
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        while (read(pipes[0], &number, sizeof(number)) == sizeof(number))
                ;
        (void)close(pipes[0]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        return number;
}

static uint64_t check_state(Fixture *f, uint64_t acknowledged)
{
        _cleanup_(audit_freep) Audit *audit = NULL;
        char hash[AUDIT_HASH_HEX_SIZE], path[128];
        uint8_t head[AUDIT_HASH_SIZE];
        uint64_t rows, sequence;
        LeaseFilter all = { 0 };
        AuditReport report = { 0 };
        int fd;

        fixture_open(f);
        ck_assert_int_eq(rows_lease_count(f->db, &all, &rows), 0);
        ck_assert_msg(rows == acknowledged || rows == acknowledged + 1, "%u rows, %u acknowledged",
                      (unsigned)rows, (unsigned)acknowledged);
        ck_assert_int_eq(audit_new(&audit, f->db, f->directory, &clock_system), 0);
        ck_assert_str_eq(audit_state(audit), "ready");
        ck_assert_int_eq(audit_head(audit, &sequence, hash), 0);
        ck_assert_uint_eq(sequence, rows);
        fd = open(fixture_path(f, "audit.log", path, sizeof(path)), O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(audit_verify_file(fd, &report), 0);
        (void)close(fd);
        ck_assert_int_eq(rows_meta_get_bytes(f->db, META_AUDIT_HEAD, head, sizeof(head)), 0);
        audit_report_expect(&report, sequence, head);
        ck_assert_msg(report.bad_line == 0, "line %u: %s", (unsigned)report.bad_line,
                      report.reason);
        audit = audit_free(audit);
        fixture_close(f);
        return rows;
}

START_TEST(killed_writer_loses_nothing)
{
        Fixture f = { 0 };
        uint64_t rows = 0;

        fixture_make_directory(&f);
        for (unsigned round = 0; round < ROUNDS; round++)
                rows = check_state(&f, run_and_kill(&f, rows + 1, 5 + round * 3));
        ck_assert_uint_gt(rows, ROUNDS * 5);
        fixture_remove_directory(&f);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("crash");
        TCase *tests = tcase_create("crash");

        tcase_set_timeout(tests, 100);
        tcase_add_test(tests, killed_writer_loses_nothing);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
