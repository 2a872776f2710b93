/* The audit log over several files: it rotates without losing the chain, and what is missing is missed. */
#include "support.h"
#include "vault/audit.h"
#include "vault/rows_meta.h"
#include "vault/rows_outbox.h"

#define WALL (UINT64_C(1700000000) * USEC_PER_SEC)
#define MAX_SIZE 2000U

typedef struct LogFixture {
        Fixture base;
        TestClock clock;
        Audit *audit;
        uint64_t max_size, keep;
} LogFixture;

static void open_audit(LogFixture *f)
{
        ck_assert_int_eq(audit_new(&f->audit, f->base.db, f->base.directory, &f->clock.clock), 0);
        audit_configure(f->audit, f->max_size, f->keep);
}

static void start(LogFixture *f, uint64_t keep)
{
        *f = (LogFixture){ .clock = TEST_CLOCK(WALL), .max_size = MAX_SIZE, .keep = keep };
        fixture_start(&f->base);
        open_audit(f);
}

static void stop(LogFixture *f)
{
        f->audit = audit_free(f->audit);
        fixture_stop(&f->base);
}

static void reopen(LogFixture *f)
{
        f->audit = audit_free(f->audit);
        fixture_close(&f->base);
        fixture_open(&f->base);
        open_audit(f);
}

static uint64_t append(LogFixture *f)
{
        AuditEvent event = { .session = "s-1", .operation = "token.mint", .verdict = AUDIT_ALLOW };

        ck_assert_int_eq(audit_append(f->audit, &event), 0);
        return event.sequence;
}

static void fill(LogFixture *f, unsigned lines)
{
        for (unsigned i = 0; i < lines; i++) {
                (void)append(f);
                ck_assert_int_eq(audit_flush(f->audit), 0);
        }
}

static AuditFiles list(const LogFixture *f)
{
        AuditFiles files;

        ck_assert_int_eq(audit_files_list(f->base.directory, &files), 0);
        return files;
}

static size_t count(const LogFixture *f)
{
        AuditFiles files = list(f);
        size_t n = files.n;

        audit_files_deinit(&files);
        return n;
}

/* As `mcpcred audit verify` does it: each file follows the one before, from what was given up to the head. */
static const char *verify(LogFixture *f)
{
        AuditReport report = { 0 };
        AuditFiles files = list(f);
        uint8_t head[AUDIT_HASH_SIZE];
        uint64_t sequence;
        int r = rows_meta_get_u64(f->base.db, META_AUDIT_BASE, &report.sequence);

        if (r == 0)
                ck_assert_int_eq(rows_meta_get_bytes(f->base.db, META_AUDIT_BASE_HEAD, report.head, sizeof(report.head)), 0);
        for (size_t i = 0; i <= files.n && !report.reason; i++) {
                uint64_t size;
                int fd;

                ck_assert_int_eq(audit_file_open(f->base.directory, i < files.n ? files.first[i] : 0, &fd, &size), 0);
                ck_assert_int_eq(audit_verify_file(fd, &report), 0);
                (void)close(fd);
        }
        audit_files_deinit(&files);
        ck_assert_int_eq(rows_meta_get_u64(f->base.db, META_AUDIT_SEQUENCE, &sequence), 0);
        ck_assert_int_eq(rows_meta_get_bytes(f->base.db, META_AUDIT_HEAD, head, sizeof(head)), 0);
        audit_report_expect(&report, sequence, head);
        return report.reason;
}

static const char *former(const LogFixture *f, size_t index, char path[160])
{
        char name[AUDIT_FILE_NAME_SIZE];
        AuditFiles files = list(f);

        ck_assert_uint_lt(index, files.n);
        audit_file_name(files.first[index], name);
        audit_files_deinit(&files);
        return fixture_path(&f->base, name, path, 160);
}

START_TEST(audit_file_rotates_without_losing_the_chain)
{
        LogFixture f;

        start(&f, 0);
        fill(&f, 60);
        ck_assert_uint_gt(count(&f), 5);
        ck_assert_ptr_null(verify(&f));
        reopen(&f);
        ck_assert_str_eq(audit_state(f.audit), "ready");
        fill(&f, 60);
        ck_assert_uint_gt(count(&f), 10);
        ck_assert_ptr_null(verify(&f));
        stop(&f);
}
END_TEST

/* Behind each of its steps: the name moved and no new file; a new file that is empty; and with lines in the outbox. */
START_TEST(rotation_survives_a_crash_at_each_step)
{
        for (unsigned step = 0; step < 4; step++) {
                char log[160], name[AUDIT_FILE_NAME_SIZE], moved[160];
                LogFixture f;

                start(&f, 0);
                f.max_size = 0;
                audit_configure(f.audit, 0, 0);
                fill(&f, 5);
                (void)fixture_path(&f.base, AUDIT_FILE_NAME, log, sizeof(log));
                audit_file_name(1, name);
                (void)fixture_path(&f.base, name, moved, sizeof(moved));
                if (step >= 2)
                        (void)append(&f);
                ck_assert_int_eq(rename(log, moved), 0);
                if (step % 2)
                        ck_assert_int_eq(close(open(log, O_CREAT | O_WRONLY | O_EXCL, 0600)), 0);
                reopen(&f);
                ck_assert_str_eq(audit_state(f.audit), "ready");
                ck_assert_ptr_null(verify(&f));
                fill(&f, 3);
                ck_assert_ptr_null(verify(&f));
                stop(&f);
        }
}
END_TEST

START_TEST(oldest_files_are_given_up_and_then_removed)
{
        char base[AUDIT_HASH_HEX_SIZE];
        uint64_t sequence;
        AuditFiles files;
        LogFixture f;

        start(&f, 2);
        fill(&f, 80);
        ck_assert_uint_eq(count(&f), 2);
        ck_assert_ptr_null(verify(&f));
        ck_assert_int_eq(audit_base(f.audit, &sequence, base), 0);
        files = list(&f);
        ck_assert_uint_eq(files.first[0], sequence + 1);
        audit_files_deinit(&files);
        reopen(&f);
        ck_assert_str_eq(audit_state(f.audit), "ready");
        ck_assert_ptr_null(verify(&f));
        stop(&f);
}
END_TEST

/* The state gave it up, and the crash came before the file was gone. */
START_TEST(crash_before_a_removal_is_made_good)
{
        AuditCursor cursor = { .next = 1 };
        _cleanup_(buf_deinit) Buf line = BUF_NULL(AUDIT_LINE_MAX);
        uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
        uint64_t lost, sequence;
        AuditFiles files;
        LogFixture f;

        start(&f, 0);
        fill(&f, 60);
        files = list(&f);
        /* The hash after the first file's last line, as the second one's first line has it. */
        cursor.next = files.first[1];
        ck_assert_int_eq(audit_read(f.audit, &cursor, SIZE_MAX, &line, &lost), 0);
        ck_assert_int_eq(audit_line_parse(slice(line.data, (size_t)((uint8_t *)memchr(line.data, '\n', line.size) - line.data)),
                                          &sequence, prev, hash), 0);
        ck_assert_uint_eq(sequence, files.first[1]);
        ck_assert_int_eq(rows_meta_set_u64(f.base.db, META_AUDIT_BASE, sequence - 1), 0);
        ck_assert_int_eq(rows_meta_set_bytes(f.base.db, META_AUDIT_BASE_HEAD, slice(prev, sizeof(prev))), 0);
        reopen(&f);
        ck_assert_uint_eq(count(&f), files.n - 1);
        ck_assert_str_eq(audit_state(f.audit), "ready");
        ck_assert_ptr_null(verify(&f));
        audit_files_deinit(&files);
        stop(&f);
}
END_TEST

START_TEST(deleted_old_file_is_detected)
{
        char path[160];
        LogFixture f;

        for (unsigned i = 0; i < 3; i++) {
                start(&f, 0);
                fill(&f, 60);
                ck_assert_uint_gt(count(&f), 3);
                ck_assert_int_eq(unlink(former(&f, i == 2 ? count(&f) - 1 : i, path)), 0);
                ck_assert_str_eq(verify(&f), "lines are missing before it");
                reopen(&f);
                /* At a start the ends are looked at, and not all of it. */
                if (i == 0)
                        ck_assert_ptr_nonnull(strstr(audit_state(f.audit), "files before it are missing"));
                if (i == 2)
                        ck_assert_ptr_nonnull(strstr(audit_state(f.audit), "lines are missing"));
                stop(&f);
        }
}
END_TEST

START_TEST(cut_file_is_detected)
{
        char path[160];
        struct stat st;
        LogFixture f;

        start(&f, 0);
        fill(&f, 60);
        (void)former(&f, count(&f) - 1, path);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(truncate(path, st.st_size - 10), 0);
        ck_assert_str_eq(verify(&f), "it is cut short");
        reopen(&f);
        ck_assert_ptr_nonnull(strstr(audit_state(f.audit), "tampered: audit.log."));
        /* It goes on, and does not forget. */
        fill(&f, 20);
        reopen(&f);
        ck_assert_ptr_nonnull(strstr(audit_state(f.audit), "tampered: audit.log."));
        ck_assert(audit_ready(f.audit));
        stop(&f);
}
END_TEST

/* What was found about the file that is written to is about a former one once that has its name. */
START_TEST(what_was_found_moves_with_its_file)
{
        char log[160];
        LogFixture f;
        int fd;

        start(&f, 2);
        fill(&f, 3);
        fd = open(fixture_path(&f.base, AUDIT_FILE_NAME, log, sizeof(log)), O_WRONLY);
        ck_assert_int_eq(pwrite(fd, "X", 1, 60), 1);
        (void)close(fd);
        reopen(&f);
        ck_assert_int_eq(strncmp(audit_state(f.audit), "tampered: line 1: ", 18), 0);
        fill(&f, 10);
        ck_assert_int_eq(strncmp(audit_state(f.audit), "tampered: audit.log.1: line 1: ", 31), 0);
        reopen(&f);
        ck_assert_int_eq(strncmp(audit_state(f.audit), "tampered: audit.log.1: line 1: ", 31), 0);
        stop(&f);
}
END_TEST

/* ---- reading it again ---- */

/* Reads on in pieces of `room` bytes until there is no more; every line in order. */
static uint64_t read_on(LogFixture *f, AuditCursor *cursor, size_t room, uint64_t *ret_lost)
{
        uint64_t lines = 0, lost;

        for (;;) {
                _cleanup_(buf_deinit) Buf out = BUF_NULL(room);
                uint64_t before = cursor->next, sequence;
                uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
                Slice left;

                ck_assert_int_eq(audit_read(f->audit, cursor, 5, &out, &lost), 0);
                *ret_lost += lost;
                before += lost;
                if (out.size == 0)
                        return lines;
                for (left = buf_slice(&out); left.size > 0; lines++, before++) {
                        const uint8_t *newline = memchr(left.data, '\n', left.size);

                        ck_assert_ptr_nonnull(newline);
                        ck_assert_int_eq(audit_line_parse(slice(left.data, (size_t)(newline - left.data)), &sequence, prev, hash), 0);
                        ck_assert_uint_eq(sequence, before);
                        left = slice(newline + 1, left.size - (size_t)(newline + 1 - left.data));
                }
                ck_assert_uint_eq(cursor->next, before);
        }
}

START_TEST(reader_gets_each_line_once_over_files_and_outbox)
{
        LogFixture f;

        start(&f, 0);
        fill(&f, 100);
        for (unsigned i = 0; i < 7; i++)
                (void)append(&f); /* in the outbox alone */
        for (uint64_t from = 1; from <= 108; from++) {
                AuditCursor cursor = { .next = from };
                uint64_t lost = 0;

                ck_assert_uint_eq(read_on(&f, &cursor, AUDIT_LINE_MAX, &lost), 108 - from);
                ck_assert_uint_eq(lost, 0);
        }
        {
                AuditCursor cursor = { .next = 1 };
                uint64_t lost = 0, lines = read_on(&f, &cursor, 4 * AUDIT_LINE_MAX, &lost);

                /* And goes on where it was, whatever becomes of the files. */
                for (unsigned i = 0; i < 50; i++) {
                        fill(&f, i % 3);
                        (void)append(&f);
                        lines += read_on(&f, &cursor, AUDIT_LINE_MAX, &lost);
                        ck_assert_uint_eq(lines + 1, cursor.next);
                }
                ck_assert_uint_eq(lost, 0);
        }
        stop(&f);
}
END_TEST

/* Who follows the log gets what is committed, and that alone: what is open can still be undone. */
START_TEST(rolled_back_line_is_never_read)
{
        _cleanup_(buf_deinit) Buf out = BUF_NULL(AUDIT_LINE_MAX);
        AuditCursor cursor = { .next = 1 };
        uint64_t lost = 0, undone;
        LogFixture f;

        start(&f, 4);
        ck_assert_uint_eq(append(&f), 1);
        ck_assert_int_eq(db_begin(f.base.db), 0);
        undone = append(&f);
        ck_assert_int_eq(audit_read(f.audit, &cursor, 5, &out, &lost), -EBUSY);
        ck_assert_uint_eq(out.size, 0);
        db_rollback(f.base.db);
        ck_assert_uint_eq(read_on(&f, &cursor, AUDIT_LINE_MAX, &lost), 1);
        /* The next line has the number that the undone one would have had, and is not taken for known. */
        ck_assert_uint_eq(append(&f), undone);
        ck_assert_uint_eq(read_on(&f, &cursor, AUDIT_LINE_MAX, &lost), 1);
        ck_assert_uint_eq(cursor.next, undone + 1);
        ck_assert_uint_eq(lost, 0);
        stop(&f);
}
END_TEST

/* In one large file the place is found by halves. */
START_TEST(reader_finds_its_place_in_a_large_file)
{
        LogFixture f;

        start(&f, 0);
        f.max_size = 0;
        audit_configure(f.audit, 0, 0);
        ck_assert_int_eq(db_begin(f.base.db), 0);
        for (unsigned i = 0; i < 5000; i++)
                (void)append(&f);
        ck_assert_int_eq(db_commit(f.base.db), 0);
        ck_assert_int_eq(audit_flush(f.audit), 0);
        for (uint64_t from = 1; from <= 5000; from += 333) {
                AuditCursor cursor = { .next = from };
                _cleanup_(buf_deinit) Buf out = BUF_NULL(AUDIT_LINE_MAX);
                char expected[64];
                uint64_t lost;

                ck_assert_int_eq(audit_read(f.audit, &cursor, SIZE_MAX, &out, &lost), 0);
                ck_assert_uint_eq(lost, 0);
                (void)snprintf(expected, sizeof(expected), "{\"sequence\":%u,", (unsigned)from);
                ck_assert_int_eq(strncmp((const char *)out.data, expected, strlen(expected)), 0);
        }
        stop(&f);
}
END_TEST

START_TEST(reader_is_told_what_is_gone)
{
        AuditCursor slow = { .next = 1 };
        uint64_t lost = 0, lines, head;
        char path[160];
        LogFixture f;

        start(&f, 2);
        fill(&f, 80); /* and most of it was removed */
        lines = read_on(&f, &slow, AUDIT_LINE_MAX, &lost);
        head = append(&f);
        ck_assert_uint_gt(lost, 20);
        ck_assert_uint_gt(lines, 4);
        ck_assert_uint_eq(lost + lines, head - 1);
        /* A line that was edited is not passed on, and those behind it are. */
        {
                AuditCursor cursor = { .next = lost + 1 };
                uint64_t missing = 0;
                int fd = open(former(&f, 0, path), O_WRONLY);

                ck_assert_int_eq(pwrite(fd, "X", 1, 60), 1);
                (void)close(fd);
                ck_assert_uint_eq(read_on(&f, &cursor, AUDIT_LINE_MAX, &missing), lines);
                ck_assert_uint_eq(missing, 1);
        }
        /* And so is a file that somebody took away. */
        {
                AuditCursor cursor = { .next = lost + 1 };
                uint64_t missing = 0, got;

                ck_assert_int_eq(unlink(former(&f, 1, path)), 0);
                got = read_on(&f, &cursor, AUDIT_LINE_MAX, &missing);
                ck_assert_uint_gt(missing, 2);
                ck_assert_uint_eq(got + missing, lines + 1);
        }
        stop(&f);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("audit-files");
        TCase *tests = tcase_create("audit-files");

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, audit_file_rotates_without_losing_the_chain);
        tcase_add_test(tests, rotation_survives_a_crash_at_each_step);
        tcase_add_test(tests, oldest_files_are_given_up_and_then_removed);
        tcase_add_test(tests, crash_before_a_removal_is_made_good);
        tcase_add_test(tests, deleted_old_file_is_detected);
        tcase_add_test(tests, cut_file_is_detected);
        tcase_add_test(tests, what_was_found_moves_with_its_file);
        tcase_add_test(tests, reader_gets_each_line_once_over_files_and_outbox);
        tcase_add_test(tests, rolled_back_line_is_never_read);
        tcase_add_test(tests, reader_finds_its_place_in_a_large_file);
        tcase_add_test(tests, reader_is_told_what_is_gone);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
