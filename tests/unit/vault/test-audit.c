#include "support.h"
#include "vault/audit.h"
#include "vault/rows_meta.h"
#include "vault/rows_outbox.h"
#include <signal.h>
#include <sys/resource.h>

#define WALL (UINT64_C(1700000000) * USEC_PER_SEC)

typedef struct AuditFixture {
        Fixture base;
        TestClock clock;
        Audit *audit;
        char path[128];
} AuditFixture;

static void audit_open(AuditFixture *f)
{
        ck_assert_int_eq(audit_new(&f->audit, f->base.db, f->base.directory, &f->clock.clock), 0);
}

static void audit_start(AuditFixture *f)
{
        *f = (AuditFixture){ .clock = TEST_CLOCK(WALL) };
        fixture_start(&f->base);
        (void)fixture_path(&f->base, "audit.log", f->path, sizeof(f->path));
        audit_open(f);
        ck_assert_str_eq(audit_state(f->audit), "ready");
}

static void audit_stop(AuditFixture *f)
{
        f->audit = audit_free(f->audit);
        fixture_stop(&f->base);
}

static void append(AuditFixture *f, AuditVerdict verdict, const char *session)
{
        AuditEvent event = { .has_principal = true,
                             .principal = 1000,
                             .session = session,
                             .operation = "token.mint",
                             .verdict = verdict };

        ck_assert_int_eq(audit_append(f->audit, &event), 0);
}

static uint64_t head_sequence(AuditFixture *f)
{
        char hash[AUDIT_HASH_HEX_SIZE];
        uint64_t sequence;

        ck_assert_int_eq(audit_head(f->audit, &sequence, hash), 0);
        return sequence;
}

/* The file is whole, and is what the state's head says. */
static void check_file(AuditFixture *f, uint64_t lines)
{
        uint8_t head[AUDIT_HASH_SIZE];
        int fd = open(f->path, O_RDONLY | O_CLOEXEC);
        AuditReport report = { 0 };

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(audit_verify_file(fd, &report), 0);
        (void)close(fd);
        ck_assert_msg(report.bad_line == 0, "line %u: %s", (unsigned)report.bad_line,
                      report.reason);
        ck_assert_uint_eq(report.lines, lines);
        ck_assert_int_eq(rows_meta_get_bytes(f->base.db, META_AUDIT_HEAD, head, sizeof(head)), 0);
        audit_report_expect(&report, head_sequence(f), head);
        ck_assert_uint_eq(report.bad_line, 0);
}

START_TEST(lines_reach_the_file)
{
        struct stat st;
        AuditFixture f;

        audit_start(&f);
        ck_assert_int_eq(stat(f.path, &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        ck_assert_int_eq(db_begin(f.base.db), 0);
        for (unsigned i = 0; i < 500; i++)
                append(&f, AUDIT_ALLOW, "s-1");
        ck_assert_int_eq(db_commit(f.base.db), 0);
        ck_assert_int_eq(stat(f.path, &st), 0);
        ck_assert_int_eq(st.st_size, 0);
        ck_assert_int_eq(audit_flush(f.audit), 0);
        ck_assert_int_eq(audit_flush(f.audit), 0);
        check_file(&f, 500);
        audit_stop(&f);
}
END_TEST

/* Promise 8: the line stands or falls with what it describes. */
START_TEST(line_belongs_to_its_transaction)
{
        AuditFixture f;

        audit_start(&f);
        append(&f, AUDIT_ALLOW, "s-1");
        ck_assert_int_eq(db_begin(f.base.db), 0);
        append(&f, AUDIT_ALLOW, "s-2");
        ck_assert_int_eq(audit_flush(f.audit), -EBUSY);
        db_rollback(f.base.db);
        ck_assert_int_eq(db_begin(f.base.db), 0);
        append(&f, AUDIT_ERROR, "s-3");
        append(&f, AUDIT_ALLOW, "s-4");
        ck_assert_int_eq(db_commit(f.base.db), 0);
        ck_assert_uint_eq(head_sequence(&f), 3);
        ck_assert_int_eq(audit_flush(f.audit), 0);
        check_file(&f, 3);
        audit_stop(&f);
}
END_TEST

static void reopen(AuditFixture *f)
{
        f->audit = audit_free(f->audit);
        fixture_close(&f->base);
        fixture_open(&f->base);
        audit_open(f);
}

/*
 * A crash of the flush: any number of bytes of the outbox is in the file, and the outbox is still
 * all there. Every such file must become the same whole log.
 */
START_TEST(every_crash_point_is_recovered)
{
        _cleanup_(buf_deinit) Buf whole = BUF_NULL(65536), line = BUF_NULL(AUDIT_LINE_MAX);
        size_t outbox_from, at[4];
        uint64_t sequence;
        AuditFixture f;

        audit_start(&f);
        for (unsigned i = 0; i < 3; i++)
                append(&f, AUDIT_ALLOW, "s-1");
        ck_assert_int_eq(audit_flush(f.audit), 0);
        for (unsigned i = 0; i < 3; i++)
                append(&f, AUDIT_ALLOW, "s-2");
        read_file(f.path, &whole);
        outbox_from = whole.size;
        for (unsigned i = 0; i < 3; i++) {
                at[i] = whole.size;
                ck_assert_int_eq(rows_outbox_next(f.base.db, 3 + i, &sequence, &whole), 0);
        }
        at[3] = whole.size;
        for (size_t n = outbox_from; n <= whole.size; n += 13) {
                write_file(f.path, slice(whole.data, n));
                f.audit = audit_free(f.audit);
                ck_assert_int_eq(rows_outbox_remove(f.base.db, 6), 0);
                for (unsigned i = 0; i < 3; i++)
                        ck_assert_int_eq(
                                rows_outbox_insert(f.base.db, 4 + i,
                                                   slice(whole.data + at[i], at[i + 1] - at[i])),
                                0);
                audit_open(&f);
                ck_assert_str_eq(audit_state(f.audit), "ready");
                ck_assert_int_eq(rows_outbox_next(f.base.db, 0, &sequence, &line), DB_E_NOT_FOUND);
                check_file(&f, 6);
        }
        audit_stop(&f);
}
END_TEST

/* Cut back into what was flushed, so that the outbox cannot mend it. */
static void make_log(AuditFixture *f, Buf *whole, size_t starts[7])
{
        size_t n = 0;

        audit_start(f);
        for (unsigned i = 0; i < 6; i++)
                append(f, AUDIT_ALLOW, "s-1");
        ck_assert_int_eq(audit_flush(f->audit), 0);
        read_file(f->path, whole);
        starts[n++] = 0;
        for (size_t i = 0; i < whole->size; i++)
                if (whole->data[i] == '\n')
                        starts[n++] = i + 1;
        ck_assert_uint_eq(n, 7);
}

START_TEST(cut_file_is_noticed)
{
        _cleanup_(buf_deinit) Buf whole = BUF_NULL(65536);
        size_t starts[7];
        AuditFixture f;

        make_log(&f, &whole, starts);
        write_file(f.path, slice(whole.data, starts[4]));
        reopen(&f);
        ck_assert_str_eq(audit_state(f.audit), "tampered: line 5: lines are missing at the end");
        ck_assert(audit_ready(f.audit));
        /* It goes on behind the gap, and stays known over a restart. */
        append(&f, AUDIT_ALLOW, "s-1");
        ck_assert_int_eq(audit_flush(f.audit), 0);
        reopen(&f);
        ck_assert_str_eq(audit_state(f.audit), "tampered: line 5: lines are missing before it");
        /* With the right file back nothing is left to report. */
        {
                _cleanup_(buf_deinit) Buf now = BUF_NULL(65536);

                read_file(f.path, &now);
                ck_assert_int_eq(buf_append(&whole, now.data + starts[4], now.size - starts[4]), 0);
        }
        write_file(f.path, buf_slice(&whole));
        reopen(&f);
        ck_assert_str_eq(audit_state(f.audit), "ready");
        check_file(&f, 7);
        audit_stop(&f);
}
END_TEST

START_TEST(missing_file_is_noticed)
{
        _cleanup_(buf_deinit) Buf whole = BUF_NULL(65536);
        size_t starts[7];
        AuditFixture f;

        make_log(&f, &whole, starts);
        ck_assert_int_eq(unlink(f.path), 0);
        reopen(&f);
        ck_assert_str_eq(audit_state(f.audit), "tampered: line 1: lines are missing at the end");
        audit_stop(&f);
}
END_TEST

/* Also while it runs. */
START_TEST(exchanged_file_is_noticed)
{
        _cleanup_(buf_deinit) Buf whole = BUF_NULL(65536);
        size_t starts[7];
        AuditFixture f;

        make_log(&f, &whole, starts);
        ck_assert_int_eq(unlink(f.path), 0);
        write_file(f.path, slice(whole.data, starts[3]));
        append(&f, AUDIT_ALLOW, "s-1");
        ck_assert_int_eq(audit_flush(f.audit), 0);
        ck_assert_str_eq(audit_state(f.audit), "tampered: line 4: lines are missing at the end");
        audit_stop(&f);
}
END_TEST

START_TEST(edited_file_is_noticed)
{
        _cleanup_(buf_deinit) Buf whole = BUF_NULL(65536);
        size_t starts[7];
        char expected[80];
        AuditFixture f;

        make_log(&f, &whole, starts);
        for (unsigned line = 0; line < 6; line++) {
                uint8_t *byte = whole.data + starts[line] + 40;

                *byte ^= 1;
                write_file(f.path, buf_slice(&whole));
                reopen(&f);
                (void)snprintf(expected, sizeof(expected), "tampered: line %u: it was edited",
                               line + 1);
                ck_assert_str_eq(audit_state(f.audit), expected);
                *byte ^= 1;
        }
        audit_stop(&f);
}
END_TEST

/* A chain that was computed anew is sound in itself; the head in the state knows better. */
START_TEST(rewritten_file_is_noticed)
{
        _cleanup_(buf_deinit) Buf whole = BUF_NULL(65536), forged = BUF_NULL(65536);
        uint8_t head[AUDIT_HASH_SIZE] = { 0 };
        size_t starts[7];
        AuditFixture f;

        make_log(&f, &whole, starts);
        for (unsigned i = 1; i <= 6; i++) {
                AuditEvent event = { .sequence = i, .time = WALL, .operation = "nothing.happened" };

                ck_assert_int_eq(audit_line_format(&event, head, head, &forged), 0);
        }
        write_file(f.path, buf_slice(&forged));
        reopen(&f);
        ck_assert_str_eq(audit_state(f.audit),
                         "tampered: line 6: it is not the line that was written");
        audit_stop(&f);
}
END_TEST

START_TEST(older_state_is_noticed)
{
        _cleanup_(buf_deinit) Buf whole = BUF_NULL(65536);
        size_t starts[7];
        AuditFixture f;

        make_log(&f, &whole, starts);
        append(&f, AUDIT_ALLOW, "s-1");
        ck_assert_int_eq(audit_flush(f.audit), 0);
        {
                uint8_t sequence_6_head[AUDIT_HASH_SIZE], prev[AUDIT_HASH_SIZE];
                uint64_t sequence;

                ck_assert_int_eq(
                        audit_line_parse(slice(whole.data + starts[5], starts[6] - starts[5] - 1),
                                         &sequence, prev, sequence_6_head),
                        0);
                ck_assert_int_eq(rows_meta_set_u64(f.base.db, META_AUDIT_SEQUENCE, 6), 0);
                ck_assert_int_eq(
                        rows_meta_set_bytes(f.base.db, META_AUDIT_HEAD, slice(sequence_6_head, 32)),
                        0);
        }
        reopen(&f);
        ck_assert_str_eq(audit_state(f.audit), "tampered: line 7: it is ahead of the state");
        audit_stop(&f);
}
END_TEST

START_TEST(rubbish_at_the_end_is_noticed)
{
        _cleanup_(buf_deinit) Buf whole = BUF_NULL(65536);
        size_t starts[7];
        AuditFixture f;

        make_log(&f, &whole, starts);
        ck_assert_int_eq(buf_append_text(&whole, "{\"sequence\":7,\"time"), 0);
        write_file(f.path, buf_slice(&whole));
        reopen(&f);
        ck_assert_str_eq(audit_state(f.audit), "tampered: line 7: it is cut short");
        append(&f, AUDIT_ALLOW, "s-1");
        ck_assert_int_eq(audit_flush(f.audit), 0);
        audit_stop(&f);
}
END_TEST

/* Promise 8: what cannot be written stops issuing; the line waits in the state. */
START_TEST(unwritable_log_is_not_ready)
{
        AuditFixture f;

        audit_start(&f);
        ck_assert_int_eq(unlink(f.path), 0);
        ck_assert_int_eq(symlink("/dev/null", f.path), 0);
        append(&f, AUDIT_ALLOW, "s-1");
        ck_assert_int_eq(audit_flush(f.audit), 0);
        ck_assert(!audit_ready(f.audit));
        ck_assert_int_eq(strncmp(audit_state(f.audit), "the log cannot be written: ", 27), 0);
        append(&f, AUDIT_ALLOW, "s-1");
        ck_assert_int_eq(unlink(f.path), 0);
        ck_assert_int_eq(audit_flush(f.audit), 0);
        ck_assert(audit_ready(f.audit));
        ck_assert_str_eq(audit_state(f.audit), "ready");
        check_file(&f, 2);
        audit_stop(&f);
}
END_TEST

static void set_file_limit(rlim_t limit)
{
        struct rlimit now;

        ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &now), 0);
        now.rlim_cur = MIN(limit, now.rlim_max);
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &now), 0);
}

START_TEST(full_disk_cuts_a_line_and_it_is_completed)
{
        struct stat st;
        bool ready;
        int r;
        AuditFixture f;

        audit_start(&f);
        (void)signal(SIGXFSZ, SIG_IGN);
        for (unsigned i = 0; i < 3; i++)
                append(&f, AUDIT_ALLOW, "s-1");
        set_file_limit(
                700); /* within the third line; also of Check's own file, so no assertion here */
        r = audit_flush(f.audit);
        ready = audit_ready(f.audit);
        set_file_limit(RLIM_INFINITY);
        ck_assert_int_eq(r, 0);
        ck_assert(!ready);
        ck_assert_int_eq(stat(f.path, &st), 0);
        ck_assert_int_eq(st.st_size, 700);
        ck_assert_int_eq(audit_flush(f.audit), 0);
        ck_assert(audit_ready(f.audit));
        check_file(&f, 3);
        audit_stop(&f);
}
END_TEST

START_TEST(full_state_is_not_ready)
{
        char detail[AUDIT_TEXT_MAX + 1];
        AuditEvent event = { .operation = "x", .verdict = AUDIT_ALLOW, .detail = detail };
        int r = 0;
        AuditFixture f;

        audit_start(&f);
        (void)signal(SIGXFSZ, SIG_IGN);
        memset(detail, 'x', AUDIT_TEXT_MAX);
        detail[AUDIT_TEXT_MAX] = '\0';
        set_file_limit(256U * 1024U);
        for (unsigned i = 0; i < 2000 && r == 0; i++)
                r = audit_append(f.audit, &event);
        ck_assert_int_eq(r, DB_E_FULL);
        ck_assert(!audit_ready(f.audit));
        ck_assert_str_eq(audit_state(f.audit), db_strerror(DB_E_FULL));
        set_file_limit(RLIM_INFINITY);
        ck_assert_int_eq(audit_flush(f.audit), 0);
        ck_assert(audit_ready(f.audit));
        check_file(&f, head_sequence(&f));
        audit_stop(&f);
}
END_TEST

START_TEST(denials_are_counted_beyond_the_rate)
{
        AuditFixture f;

        audit_start(&f);
        ck_assert_uint_eq(audit_next_tick(f.audit), UINT64_MAX);
        for (unsigned i = 0; i < 100; i++)
                append(&f, AUDIT_DENY, "s-1");
        ck_assert_uint_eq(head_sequence(&f), AUDIT_DENIALS_PER_MINUTE);
        append(&f, AUDIT_DENY, "s-2");
        append(&f, AUDIT_ALLOW, "s-1");
        ck_assert_uint_eq(head_sequence(&f), AUDIT_DENIALS_PER_MINUTE + 2);
        ck_assert_uint_eq(audit_next_tick(f.audit), f.clock.boot + 60 * USEC_PER_SEC);
        ck_assert_int_eq(audit_tick(f.audit, false), 0);
        ck_assert_uint_eq(head_sequence(&f), AUDIT_DENIALS_PER_MINUTE + 2);
        f.clock.boot += 60 * USEC_PER_SEC;
        ck_assert_int_eq(audit_tick(f.audit, false), 0);
        ck_assert_uint_eq(head_sequence(&f), AUDIT_DENIALS_PER_MINUTE + 3);
        append(&f, AUDIT_DENY, "s-1");
        ck_assert_uint_eq(head_sequence(&f), AUDIT_DENIALS_PER_MINUTE + 4);
        ck_assert_int_eq(audit_flush(f.audit), 0);
        {
                _cleanup_(buf_deinit) Buf log = BUF_NULL(65536);

                read_file(f.path, &log);
                ck_assert_ptr_nonnull(memmem(log.data, log.size, "80 further denials", 18));
        }
        audit_stop(&f);
}
END_TEST

/* What a caller can repeat at will is no way to fill the disk, whatever it is refused for. */
START_TEST(refusals_are_counted_like_denials)
{
        AuditFixture f;

        audit_start(&f);
        for (unsigned i = 0; i < 100; i++) {
                AuditEvent event = { .session = "s-1",
                                     .operation = "token.get",
                                     .verdict = AUDIT_ERROR,
                                     .refusal = true };

                ck_assert_int_eq(audit_append(f.audit, &event), 0);
        }
        ck_assert_uint_eq(head_sequence(&f), AUDIT_DENIALS_PER_MINUTE);
        for (unsigned i = 0; i < 30; i++)
                append(&f, AUDIT_ERROR, "s-1");
        ck_assert_uint_eq(head_sequence(&f), AUDIT_DENIALS_PER_MINUTE + 30);
        ck_assert_int_eq(audit_tick(f.audit, true), 0);
        ck_assert_uint_eq(head_sequence(&f), AUDIT_DENIALS_PER_MINUTE + 31);
        audit_stop(&f);
}
END_TEST

/* Many keys push the oldest out, with its summary; none is lost. */
START_TEST(many_sessions_lose_no_denial)
{
        char session[20];
        AuditFixture f;

        audit_start(&f);
        for (unsigned k = 0; k < 200; k++) {
                (void)snprintf(session, sizeof(session), "s-%u", k);
                f.clock.boot++;
                ck_assert_int_eq(db_begin(f.base.db), 0);
                for (unsigned i = 0; i < AUDIT_DENIALS_PER_MINUTE + 1; i++)
                        append(&f, AUDIT_DENY, session);
                ck_assert_int_eq(db_commit(f.base.db), 0);
        }
        ck_assert_int_eq(audit_tick(f.audit, true), 0);
        ck_assert_uint_eq(head_sequence(&f), 200 * (AUDIT_DENIALS_PER_MINUTE + 1));
        ck_assert_uint_eq(audit_next_tick(f.audit), UINT64_MAX);
        audit_stop(&f);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("audit");
        TCase *tests = tcase_create("audit");

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, lines_reach_the_file);
        tcase_add_test(tests, line_belongs_to_its_transaction);
        tcase_add_test(tests, every_crash_point_is_recovered);
        tcase_add_test(tests, cut_file_is_noticed);
        tcase_add_test(tests, missing_file_is_noticed);
        tcase_add_test(tests, exchanged_file_is_noticed);
        tcase_add_test(tests, edited_file_is_noticed);
        tcase_add_test(tests, rewritten_file_is_noticed);
        tcase_add_test(tests, older_state_is_noticed);
        tcase_add_test(tests, rubbish_at_the_end_is_noticed);
        tcase_add_test(tests, unwritable_log_is_not_ready);
        tcase_add_test(tests, full_disk_cuts_a_line_and_it_is_completed);
        tcase_add_test(tests, full_state_is_not_ready);
        tcase_add_test(tests, denials_are_counted_beyond_the_rate);
        tcase_add_test(tests, refusals_are_counted_like_denials);
        tcase_add_test(tests, many_sessions_lose_no_denial);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
