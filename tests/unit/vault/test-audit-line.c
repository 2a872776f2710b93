#include "support.h"
#include "wire/audit_line.h"
#include <jansson.h>

#define N_LINES 6U

static void append_line(Buf *log, uint64_t sequence, uint8_t head[AUDIT_HASH_SIZE])
{
        AuditEvent event = {
                .sequence = sequence,
                .time = 1700000000 * USEC_PER_SEC + sequence,
                .request = "r-0123456789abcdef",
                .has_principal = true,
                .principal = 1000,
                .session = "s-0123456789abcdef",
                .profile = "github-triage",
                .secret = "github",
                .operation = "token.mint",
                .verdict = AUDIT_ALLOW,
        };

        ck_assert_int_eq(audit_line_format(&event, head, head, log), 0);
}

/* A log of N_LINES lines; starts[i] is where line i + 1 begins, starts[N_LINES] the end. */
static void make_log(Buf *log, size_t starts[N_LINES + 1], uint8_t head[AUDIT_HASH_SIZE])
{
        memset(head, 0, AUDIT_HASH_SIZE);
        for (size_t i = 0; i < N_LINES; i++) {
                starts[i] = log->size;
                append_line(log, i + 1, head);
        }
        starts[N_LINES] = log->size;
}

static AuditReport verify(Slice log)
{
        FILE *file = tmpfile();
        AuditReport report = { 0 };

        ck_assert_ptr_nonnull(file);
        if (log.size > 0)
                ck_assert_uint_eq(fwrite(log.data, 1, log.size, file), log.size);
        rewind(file);
        ck_assert_int_eq(audit_verify_file(fileno(file), &report), 0);
        (void)fclose(file);
        return report;
}

START_TEST(line_has_its_form)
{
        static const char expected[] =
                "{\"sequence\":1,\"time\":\"2023-11-14T22:13:20.000001Z\",\"request\":\"r-"
                "0123456789abcdef\","
                "\"principal\":1000,\"session\":\"s-0123456789abcdef\",\"profile\":\"github-"
                "triage\","
                "\"secret\":\"github\",\"operation\":\"token.mint\",\"verdict\":\"allow\",\"prev\":"
                "\""
                "0000000000000000000000000000000000000000000000000000000000000000\",\"hash\":\"";
        _cleanup_(buf_deinit) Buf log = BUF_NULL(AUDIT_LINE_MAX);
        uint8_t head[AUDIT_HASH_SIZE] = { 0 };

        append_line(&log, 1, head);
        ck_assert_uint_eq(log.size, sizeof(expected) - 1 + 64 + 3);
        ck_assert_mem_eq(log.data, expected, sizeof(expected) - 1);
        ck_assert_mem_eq(log.data + log.size - 3, "\"}\n", 3);
}
END_TEST

/* Whatever text comes in, one line of valid JSON comes out. */
START_TEST(strange_text_stays_one_line)
{
        char detail[] = "a\"b\\c\nd\x1b[31m\x7f\xc2\x9b\xff\xc3\xa9", reason[2000];
        AuditEvent event = { .sequence = 1,
                             .operation = "x",
                             .verdict = AUDIT_ERROR,
                             .reason = reason,
                             .detail = detail };
        _cleanup_(buf_deinit) Buf log = BUF_NULL(AUDIT_LINE_MAX);
        uint8_t head[AUDIT_HASH_SIZE] = { 0 };
        json_t *json;

        for (size_t i = 0; i + 2 < sizeof(reason); i += 2)
                memcpy(reason + i, "\xc3\xa9", 3);
        memmove(reason + 1, reason, sizeof(reason) - 1);
        reason[0] = 'x'; /* the cut falls into a character */
        reason[sizeof(reason) - 1] = '\0';
        ck_assert_int_eq(audit_line_format(&event, head, head, &log), 0);
        ck_assert_ptr_eq(memchr(log.data, '\n', log.size), log.data + log.size - 1);
        json = json_loadb((const char *)log.data, log.size, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_ptr_nonnull(json);
        ck_assert_uint_eq(json_string_length(json_object_get(json, "reason")), AUDIT_TEXT_MAX - 1);
        ck_assert_str_eq(json_string_value(json_object_get(json, "detail")),
                         "a\"b\\c\nd\x1b[31m\x7f\xc2\x9b\xef\xbf\xbd\xc3\xa9");
        json_decref(json);
        ck_assert_uint_eq(verify(buf_slice(&log)).lines, 1);
}
END_TEST

static int read_line(Slice line, AuditFields *ret, Pool *pool)
{
        uint8_t *exact = malloc(line.size > 0 ? line.size : 1); /* so that a byte too far is noticed */
        int r;

        ck_assert_ptr_nonnull(exact);
        if (line.size > 0)
                memcpy(exact, line.data, line.size);
        r = audit_line_read(slice(exact, line.size), pool, ret);
        ck_assert(r == 0 || r == AUDIT_LINE_E_INVALID);
        free(exact);
        return r;
}

/* Who shows the file on a terminal, or in an editor, sees the order in which it was written. */
START_TEST(what_changes_the_look_of_a_line_is_escaped)
{
        Buf out = BUF_NULL(4096);

        ck_assert_int_eq(audit_line_append_text(&out, "detail", "a\xe2\x80\xae" "b\xe2\x81\xa6" "c\xe2\x80\xa8" "d\xc3\xa9", 100), 0);
        ck_assert_int_eq(buf_append_u8(&out, 0), 0);
        ck_assert_str_eq((const char *)buf_slice(&out).data, ",\"detail\":\"a\\u202eb\\u2066c\\u2028d\xc3\xa9\"");
        buf_deinit(&out);
}
END_TEST

START_TEST(what_was_written_is_read)
{
        AuditEvent event = { .sequence = 7, .time = 1700000000 * USEC_PER_SEC + 5, .request = "r-1", .has_principal = true,
                             .principal = 0, .session = "s-1", .operation = "token.mint", .verdict = AUDIT_DENY,
                             .reason = "a\"b\\c\nd", .token = "blake2b:0", .detail = "\x1b[31m\x7f\xc2\x9b\xff\xc3\xa9\xe2\x80\xae" };
        _cleanup_(buf_deinit) Buf log = BUF_NULL(AUDIT_LINE_MAX);
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(1U << 20);
        uint8_t head[AUDIT_HASH_SIZE] = { 0 };
        AuditFields fields;

        ck_assert_int_eq(audit_line_format(&event, head, head, &log), 0);
        ck_assert_int_eq(read_line(slice(log.data, log.size - 1), &fields, &pool), 0);
        ck_assert_uint_eq(fields.sequence, 7);
        ck_assert_uint_eq(fields.time, event.time);
        ck_assert_str_eq(fields.request, "r-1");
        ck_assert_str_eq(fields.principal, "0");
        ck_assert_str_eq(fields.session, "s-1");
        ck_assert_ptr_null(fields.profile);
        ck_assert_str_eq(fields.operation, "token.mint");
        ck_assert_str_eq(fields.verdict, "deny");
        ck_assert_str_eq(fields.reason, event.reason);
        ck_assert_str_eq(fields.token, "blake2b:0");
        ck_assert_str_eq(fields.detail, "\x1b[31m\x7f\xc2\x9b\xef\xbf\xbd\xc3\xa9\xe2\x80\xae");
        /* Cut at every byte it is no line; with any bit turned it is one or none, and nothing worse. */
        for (size_t i = 0; i + 1 < log.size; i++)
                ck_assert_int_eq(read_line(slice(log.data, i), &fields, &pool), AUDIT_LINE_E_INVALID);
        for (size_t bit = 0; bit < 8 * (log.size - 1); bit++) {
                Pool own = POOL_NULL(1U << 16);

                log.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
                (void)read_line(slice(log.data, log.size - 1), &fields, &own);
                log.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
                pool_deinit(&own);
        }
}
END_TEST

START_TEST(longest_event_fits)
{
        char text[AUDIT_TEXT_MAX + 1];
        AuditEvent event = {
                .sequence = UINT64_MAX,
                .time = UINT64_MAX,
                .request = text,
                .has_principal = true,
                .principal = UINT64_MAX,
                .session = text,
                .profile = text,
                .secret = text,
                .lease = text,
                .operation = text,
                .verdict = AUDIT_DENY,
                .reason = text,
                .token = text,
                .detail = text,
        };
        _cleanup_(buf_deinit) Buf log = BUF_NULL(AUDIT_LINE_MAX);
        uint8_t head[AUDIT_HASH_SIZE] = { 0 };

        memset(text, 0xff, AUDIT_TEXT_MAX);
        text[AUDIT_TEXT_MAX] = '\0';
        ck_assert_int_eq(audit_line_format(&event, head, head, &log), 0);
        event.verdict = _AUDIT_VERDICT_N;
        ck_assert_int_eq(audit_line_format(&event, head, head, &log), -EINVAL);
}
END_TEST

START_TEST(good_log_is_good)
{
        _cleanup_(buf_deinit) Buf log = BUF_NULL(65536);
        uint8_t head[AUDIT_HASH_SIZE];
        size_t starts[N_LINES + 1];
        AuditReport report = { 0 };

        make_log(&log, starts, head);
        report = verify(buf_slice(&log));
        ck_assert_uint_eq(report.bad_line, 0);
        ck_assert_uint_eq(report.lines, N_LINES);
        ck_assert_uint_eq(report.sequence, N_LINES);
        ck_assert_mem_eq(report.head, head, sizeof(head));
        audit_report_expect(&report, N_LINES, head);
        ck_assert_uint_eq(report.bad_line, 0);
        report = verify(SLICE_NULL);
        ck_assert_uint_eq(report.bad_line, 0);
        ck_assert_uint_eq(report.lines, 0);
}
END_TEST

/* Every bit of every line, but for a newline's, which joins two lines. */
START_TEST(edit_is_found_in_its_line)
{
        _cleanup_(buf_deinit) Buf log = BUF_NULL(65536);
        uint8_t head[AUDIT_HASH_SIZE];
        size_t starts[N_LINES + 1];

        make_log(&log, starts, head);
        for (size_t line = 0; line < N_LINES; line++)
                for (size_t at = starts[line]; at < starts[line + 1]; at++) {
                        uint8_t before = log.data[at];

                        log.data[at] ^= (uint8_t)(1U << at % 7);
                        ck_assert_uint_eq(verify(buf_slice(&log)).bad_line, line + 1);
                        log.data[at] = before;
                }
}
END_TEST

static void take_lines(Buf *out, const Buf *log, const size_t starts[N_LINES + 1],
                       const size_t *lines, size_t n)
{
        buf_clear(out);
        for (size_t i = 0; i < n; i++)
                ck_assert_int_eq(buf_append(out, log->data + starts[lines[i] - 1],
                                            starts[lines[i]] - starts[lines[i] - 1]),
                                 0);
}

START_TEST(lines_out_of_place_are_found)
{
        static const struct {
                size_t lines[8], n, bad;
        } cases[] = {
                { { 1, 2, 4, 5, 6 }, 5, 3 },       /* one is cut out */
                { { 2, 3, 4, 5, 6 }, 5, 1 },       /* the start is */
                { { 1, 2, 4, 3, 5, 6 }, 6, 3 },    /* two are exchanged */
                { { 1, 2, 3, 3, 4, 5, 6 }, 7, 4 }, /* one is there twice */
                { { 1, 2, 3, 4, 5, 6, 1 }, 7, 7 }, /* and at the end */
        };
        _cleanup_(buf_deinit) Buf log = BUF_NULL(65536), changed = BUF_NULL(65536);
        uint8_t head[AUDIT_HASH_SIZE];
        size_t starts[N_LINES + 1];

        make_log(&log, starts, head);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                take_lines(&changed, &log, starts, cases[i].lines, cases[i].n);
                ck_assert_uint_eq(verify(buf_slice(&changed)).bad_line, cases[i].bad);
        }
}
END_TEST

START_TEST(cut_end_is_found_by_the_head)
{
        _cleanup_(buf_deinit) Buf log = BUF_NULL(65536);
        uint8_t head[AUDIT_HASH_SIZE], zeros[AUDIT_HASH_SIZE] = { 0 };
        size_t starts[N_LINES + 1];
        AuditReport report = { 0 };

        make_log(&log, starts, head);
        /* Within a line the cut shows by itself. */
        for (size_t n = starts[3] + 1; n < starts[4]; n++)
                ck_assert_uint_eq(verify(slice(log.data, n)).bad_line, 4);
        report = verify(slice(log.data, starts[4]));
        ck_assert_uint_eq(report.bad_line, 0);
        audit_report_expect(&report, N_LINES, head);
        ck_assert_uint_eq(report.bad_line, 5);
        report = verify(buf_slice(&log));
        audit_report_expect(&report, 4, head);
        ck_assert_uint_eq(report.bad_line, 5);
        /* A chain computed anew fits itself and no head. */
        report = verify(buf_slice(&log));
        audit_report_expect(&report, N_LINES, zeros);
        ck_assert_uint_ne(report.bad_line, 0);
}
END_TEST

START_TEST(endless_line_is_bounded)
{
        uint8_t *bytes = calloc(1, 1024 * 1024);

        ck_assert_ptr_nonnull(bytes);
        memset(bytes, 'x', 1024 * 1024);
        ck_assert_uint_eq(verify(slice(bytes, 1024 * 1024)).bad_line, 1);
        free(bytes);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("audit-line");
        TCase *tests = tcase_create("audit-line");

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, line_has_its_form);
        tcase_add_test(tests, strange_text_stays_one_line);
        tcase_add_test(tests, what_changes_the_look_of_a_line_is_escaped);
        tcase_add_test(tests, what_was_written_is_read);
        tcase_add_test(tests, longest_event_fits);
        tcase_add_test(tests, good_log_is_good);
        tcase_add_test(tests, edit_is_found_in_its_line);
        tcase_add_test(tests, lines_out_of_place_are_found);
        tcase_add_test(tests, cut_end_is_found_by_the_head);
        tcase_add_test(tests, endless_line_is_bounded);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
