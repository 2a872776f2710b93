#undef NDEBUG
#include "leak_findings.h"
#include "leak_input.h"
#include "../base/suite.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define TOKEN "Quick_Brown-Fox0Jumps1Over2"

static Findings findings;

static void setup(void)
{
        ck_assert_int_eq(findings_init(&findings), 0);
}

static void teardown(void)
{
        findings_deinit(&findings);
}

static void add(const char *value, const char *place, uint64_t number)
{
        const LeakFinding finding = { .value = leak_text_of(value), .place = place, .rule = "rule", .number = number };

        ck_assert_int_eq(findings_add(&findings, &finding), 0);
}

static void count(void *userdata, const Finding *finding)
{
        *(uint64_t *)userdata += finding->number;
}

/* The number of the value as a candidate. */
static size_t number_of(const char *value)
{
        size_t index;

        ck_assert_int_eq(mcpcred_leak_candidate(findings.leak, value, strlen(value), &index), 0);
        return index;
}

START_TEST(a_value_in_many_findings_is_one_candidate)
{
        uint64_t sum = 0;

        add(TOKEN, "a", 1);
        add("KEY=" TOKEN, "b", 10);
        add("another-one-altogether", "c", 100);
        add("\"" TOKEN "\"", "d", 1000);
        findings_match(&findings, number_of(TOKEN), count, &sum);
        ck_assert_uint_eq(sum, 1011);
        ck_assert_uint_eq(findings_matched(&findings), 3);
        findings_match(&findings, 1000000, count, &sum);
        ck_assert_uint_eq(sum, 1011);
}
END_TEST

START_TEST(a_blanked_line_counts_unless_it_has_a_match)
{
        const LeakFinding line = { .value = leak_text_of(TOKEN " ..."), .is_line = true, .blanked = true, .number = 1 };
        const LeakFinding other = { .value = leak_text_of("REDACTED"), .is_line = true, .blanked = true, .number = 2 };
        uint64_t sum = 0;

        ck_assert_int_eq(findings_add(&findings, &line), 0);
        ck_assert_int_eq(findings_add(&findings, &other), 0);
        add("not-blanked-at-all", "c", 3);
        ck_assert_uint_eq(findings_blanked(&findings), 2);
        findings_match(&findings, number_of(TOKEN), count, &sum);
        ck_assert_uint_eq(sum, 1);
        ck_assert_uint_eq(findings_blanked(&findings), 1);
}
END_TEST

START_TEST(places_that_hold_the_value_are_not_kept)
{
        add(TOKEN, "secrets/" TOKEN ".txt", 1);
        ck_assert_ptr_null(findings.items[0].place);
        add(TOKEN, "https://user:other@example.com/x", 2);
        ck_assert_ptr_null(findings.items[1].place);
        add(TOKEN, "https://example.com/x?token=other#y", 3);
        ck_assert_str_eq(findings.items[2].place, "https://example.com/x");
        add(TOKEN, "src/a.c", 4);
        ck_assert_str_eq(findings.items[3].place, "src/a.c");
        ck_assert_str_eq(findings.items[3].rule, "rule");
}
END_TEST

START_TEST(many_findings_stay_apart)
{
        char value[32];
        uint64_t sum = 0;

        for (unsigned i = 0; i < 20000; i++) {
                (void)snprintf(value, sizeof(value), "value-number-%u", i);
                add(value, NULL, i);
        }
        findings_match(&findings, number_of("value-number-12345"), count, &sum);
        ck_assert_uint_eq(sum, 12345);
        ck_assert_uint_eq(findings_matched(&findings), 1);
}
END_TEST

START_TEST(input_has_a_limit)
{
        LeakInput input;
        int ends[2];

        ck_assert_int_eq(pipe(ends), 0);
        ck_assert_int_eq((int)write(ends[1], "0123456789", 10), 10);
        close(ends[1]);
        ck_assert_int_eq(leak_input_read(&input, ends[0], 9), LEAK_INPUT_E_TOO_LONG);
        close(ends[0]);
        ck_assert_int_eq(pipe(ends), 0);
        ck_assert_int_eq((int)write(ends[1], "0123456789", 10), 10);
        close(ends[1]);
        ck_assert_int_eq(leak_input_read(&input, ends[0], 10), 0);
        ck_assert_uint_eq(input.size, 10);
        leak_input_free(&input);
        ck_assert_int_eq(leak_input_read(&input, ends[1], 10), -EBADF);
        close(ends[0]);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("findings");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, a_value_in_many_findings_is_one_candidate);
        tcase_add_test(tcase, a_blanked_line_counts_unless_it_has_a_match);
        tcase_add_test(tcase, places_that_hold_the_value_are_not_kept);
        tcase_add_test(tcase, many_findings_stay_apart);
        tcase_add_test(tcase, input_has_a_limit);
        return suite_run("cli/leak_findings", tcase);
}
