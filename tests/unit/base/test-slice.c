#undef NDEBUG
#include "base/slice.h"
#include "suite.h"

START_TEST(split_gives_each_part_once_the_empty_ones_too)
{
        static const char *const parts[] = { "", "a", "", "b", "" };
        Slice rest = slice_text("/a//b/"), part;

        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                ck_assert(slice_split(&rest, '/', &part));
                ck_assert(slice_is_text(part, parts[i]));
        }
        ck_assert_ptr_null(rest.data);
        ck_assert(!slice_split(&rest, '/', &part));
        rest = slice_text("");
        ck_assert(slice_split(&rest, '/', &part));
        ck_assert_uint_eq(part.size, 0);
        ck_assert(!slice_split(&rest, '/', &part));
}
END_TEST

START_TEST(skip_takes_the_prefix_or_nothing)
{
        Slice text = slice_text("Basic x");

        ck_assert(!slice_skip(&text, "Bearer "));
        ck_assert(!slice_skip(&text, "Basic x and more"));
        ck_assert(slice_is_text(text, "Basic x"));
        ck_assert(slice_skip(&text, "Basic "));
        ck_assert(slice_is_text(text, "x"));
        ck_assert(slice_skip(&text, ""));
}
END_TEST

START_TEST(trim_takes_blanks_at_the_ends_alone)
{
        ck_assert(slice_is_text(slice_trim(slice_text(" \t a\t b \t")), "a\t b"));
        ck_assert_uint_eq(slice_trim(slice_text(" \t ")).size, 0);
        ck_assert_uint_eq(slice_trim(SLICE_NULL).size, 0);
        ck_assert(slice_is_text(slice_trim(slice_text("\n")), "\n"));
}
END_TEST

START_TEST(compare_is_by_bytes_then_by_length)
{
        ck_assert_int_eq(slice_compare(slice_text("a"), slice_text("a")), 0);
        ck_assert_int_eq(slice_compare(SLICE_NULL, slice_text("")), 0);
        ck_assert_int_lt(slice_compare(slice_text("a"), slice_text("aa")), 0);
        ck_assert_int_gt(slice_compare(slice_text("b"), slice_text("aa")), 0);
        ck_assert_int_gt(slice_compare(slice_text("\xff"), slice_text("a")), 0);
        ck_assert_int_gt(slice_compare(slice_text("a"), SLICE_NULL), 0);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("slice");

        tcase_add_test(tcase, split_gives_each_part_once_the_empty_ones_too);
        tcase_add_test(tcase, skip_takes_the_prefix_or_nothing);
        tcase_add_test(tcase, trim_takes_blanks_at_the_ends_alone);
        tcase_add_test(tcase, compare_is_by_bytes_then_by_length);
        return suite_run("slice", tcase);
}
