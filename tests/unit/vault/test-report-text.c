#include "../base/suite.h"
#include "base/text.h"
#include "vault/report_text.h"
#include "wire/field.h"
#include <string.h>

static char out[LIMIT_TEXT];

static const char *text_of(EgressReport report)
{
        memset(out, 'x', sizeof(out));
        report_text(&report, out);
        ck_assert_ptr_nonnull(memchr(out, 0, sizeof(out)));
        ck_assert(text_is_utf8(slice_text(out)));
        return out;
}

START_TEST(in_words)
{
        ck_assert_str_eq(text_of((EgressReport){ .method = "POST", .host = "h.test", .path = "/a", .reason = "No.", .count = 7 }),
                         "POST h.test/a: No. (7 times)");
        ck_assert_str_eq(text_of((EgressReport){ .method = "GET", .host = "h.test", .path = "/", .reason = "No.", .count = 1 }),
                         "GET h.test/: No.");
        ck_assert_str_eq(text_of((EgressReport){ .host = "h.test", .reason = "No.", .count = 1 }), "h.test: No.");
        ck_assert_str_eq(text_of((EgressReport){ .reason = "More.", .count = 2 }), "More. (2 times)");
}
END_TEST

/* Whoever chooses the path does not choose what is logged about it. */
START_TEST(a_long_path_hides_nothing)
{
        char path[LIMIT_TEXT + 1];
        const EgressReport report = { .method = "GET", .host = "h.test", .path = path, .reason = "Denied.", .count = 12 };

        /* Characters of two bytes, each of which may be where it is cut. */
        for (size_t size = 1; size < sizeof(path); size += 2) {
                const char *end = ": Denied. (12 times)";

                for (size_t i = 1; i < size; i++)
                        path[i] = i % 2 ? '\xc3' : '\xa9';
                path[0] = '/';
                path[size] = 0;
                (void)text_of(report);
                ck_assert_str_eq(out + strlen(out) - strlen(end), end);
        }
}
END_TEST

START_TEST(a_long_sentence_leaves_the_host)
{
        char reason[LIMIT_TEXT + 1];
        const EgressReport report = { .method = "GET", .host = "h.test", .path = "/a", .reason = reason, .count = UINT64_MAX };

        memset(reason, 'r', sizeof(reason) - 1);
        reason[sizeof(reason) - 1] = 0;
        ck_assert_ptr_nonnull(strstr(text_of(report), "GET h.test/a: r"));
        ck_assert_ptr_nonnull(strstr(out, " (18446744073709551615 times)"));
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("report-text");

        tcase_add_test(tcase, in_words);
        tcase_add_test(tcase, a_long_path_hides_nothing);
        tcase_add_test(tcase, a_long_sentence_leaves_the_host);
        return suite_run("report-text", tcase);
}
