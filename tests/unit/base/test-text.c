#undef NDEBUG
#include "base/clock.h"
#include "base/text.h"
#include "suite.h"

#define AT_MOST(n)                                                                                 \
        (&"0123456789012345678901234567890123456789012345678901234567890123456789"[70 - (n)])

START_TEST(utf8)
{
        static const char *const good[] = { "",
                                            "a",
                                            "\xc2\x80",
                                            "\xdf\xbf",
                                            "\xe0\xa0\x80",
                                            "\xed\x9f\xbf",
                                            "\xee\x80\x80",
                                            "\xef\xbf\xbf",
                                            "\xf0\x90\x80\x80",
                                            "\xf4\x8f\xbf\xbf" };
        static const char *const bad[] = { "\x80",
                                           "\xc0\x80",
                                           "\xc1\xbf",
                                           "\xc2",
                                           "\xc2 ",
                                           "\xe0\x80\x80",
                                           "\xe0\x9f\xbf",
                                           "\xed\xa0\x80",
                                           "\xed\xbf\xbf",
                                           "\xf0\x80\x80\x80",
                                           "\xf0\x8f\xbf\xbf",
                                           "\xf4\x90\x80\x80",
                                           "\xf5\x80\x80\x80",
                                           "\xff",
                                           "a\xe2\x82",
                                           "\xf8\x88\x80\x80\x80" };

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                ck_assert_msg(text_is_utf8(slice_text(good[i])), "good %zu", i);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(!text_is_utf8(slice_text(bad[i])), "bad %zu", i);
        ck_assert(!text_is_utf8(slice("a\0b", 3)));
        ck_assert(text_is_utf8(SLICE_NULL));
}
END_TEST

START_TEST(names)
{
        ck_assert(text_is_name("a") && text_is_name("0") && text_is_name("git.hub_app-1"));
        ck_assert(text_is_name(AT_MOST(64)));
        ck_assert(!text_is_name(AT_MOST(65)));
        ck_assert(!text_is_name("") && !text_is_name(NULL) && !text_is_name("A") &&
                  !text_is_name(".a"));
        ck_assert(!text_is_name("-a") && !text_is_name("_a") && !text_is_name("a/b") &&
                  !text_is_name("a b"));
        ck_assert(!text_is_name("a\n") && !text_is_name("\xc3\xa4"));
}
END_TEST

START_TEST(environment_names)
{
        ck_assert(text_is_env_name("PATH") && text_is_env_name("_") && text_is_env_name("a1_B"));
        ck_assert(!text_is_env_name("") && !text_is_env_name(NULL) && !text_is_env_name("1A"));
        ck_assert(!text_is_env_name("A=B") && !text_is_env_name("A-B") && !text_is_env_name("A "));
}
END_TEST

START_TEST(same)
{
        char other[] = "a";

        ck_assert(text_is_same(NULL, NULL) && text_is_same("a", other) && text_is_same("", ""));
        ck_assert(!text_is_same(NULL, "") && !text_is_same("", NULL) && !text_is_same("a", "b") && !text_is_same("a", "ab"));
}
END_TEST

START_TEST(printable)
{
        ck_assert(text_is_printable("") && text_is_printable("a b~") &&
                  text_is_printable("\xc3\xa4"));
        ck_assert(!text_is_printable("\n") && !text_is_printable("a\x1b[0m") &&
                  !text_is_printable("\x7f") && !text_is_printable("a\xc2\x9b" "31m"));
        ck_assert(text_is_printable("\xc2\xa0") && text_is_printable("\xc2"));
}
END_TEST

START_TEST(characters_that_are_not_seen)
{
        static const uint32_t unseen[] = { 0x1b, 0x7f, 0x80, 0x9b, 0xad, 0x61c, 0x180e, 0x200b, 0x200e, 0x2028, 0x202e, 0x2060,
                                           0x2066, 0x2069, 0xfeff };
        static const uint32_t seen[] = { ' ', '~', 0xa0, 0xe9, 0x5d0, 0x200d, 0x20ac, 0x1f600 };
        uint32_t c = 7;

        for (size_t i = 0; i < ARRAY_SIZE(unseen); i++)
                ck_assert_msg(text_is_control(unseen[i]) && unseen[i] <= 0xffff, "%x", unseen[i]);
        for (size_t i = 0; i < ARRAY_SIZE(seen); i++)
                ck_assert_msg(!text_is_control(seen[i]), "%x", seen[i]);
        ck_assert_uint_eq(text_character("a", &c), 1);
        ck_assert_uint_eq(c, 'a');
        ck_assert_uint_eq(text_character("\xe2\x80\xae" "b", &c), 3);
        ck_assert_uint_eq(c, 0x202e);
        ck_assert_uint_eq(text_character("\xf0\x9f\x98\x80", &c), 4);
        ck_assert_uint_eq(c, 0x1f600);
        ck_assert_uint_eq(text_character("", &c), 0);
        ck_assert_uint_eq(text_character("\xe2\x80", &c), 0);
        ck_assert_uint_eq(text_character("\xff", &c), 0);
        ck_assert_uint_eq(c, 0x1f600);
}
END_TEST

START_TEST(hex)
{
        uint8_t bytes[3];
        char out[7];

        text_hex(slice("\x00\x9f\xff", 3), out);
        ck_assert_str_eq(out, "009fff");
        ck_assert_int_eq(text_unhex("009fff", bytes, 3), 0);
        ck_assert_mem_eq(bytes, "\x00\x9f\xff", 3);
        ck_assert_int_eq(text_unhex("009ff", bytes, 3), TEXT_E_INVALID);
        ck_assert_int_eq(text_unhex("009fff0", bytes, 3), TEXT_E_INVALID);
        ck_assert_int_eq(text_unhex("009FFF", bytes, 3), TEXT_E_INVALID);
        ck_assert_int_eq(text_unhex("00 fff", bytes, 3), TEXT_E_INVALID);
        ck_assert_int_eq(text_unhex("", bytes, 0), 0);
}
END_TEST

START_TEST(times_are_written)
{
        char whole[TEXT_TIME_SIZE], fine[TEXT_TIME_USEC_SIZE];

        text_time(0, whole);
        ck_assert_str_eq(whole, "1970-01-01T00:00:00Z");
        text_time(UINT64_C(1769903999999999), whole);
        ck_assert_str_eq(whole, "2026-01-31T23:59:59Z");
        text_time_usec(UINT64_C(1769903999000042), fine);
        ck_assert_str_eq(fine, "2026-01-31T23:59:59.000042Z");
        text_time(UINT64_MAX, whole); /* beyond what the form can say */
        ck_assert_str_eq(whole, "9999-12-31T23:59:59Z");
}
END_TEST

START_TEST(times_are_read)
{
        static const struct {
                const char *text;
                uint64_t usec;
        } good[] = {
                { "1970-01-01T00:00:00Z", 0 },
                { "2026-01-31T23:59:59Z", UINT64_C(1769903999000000) },
                { "2026-01-31t23:59:59z", UINT64_C(1769903999000000) },
                { "2026-01-31 23:59:59Z", UINT64_C(1769903999000000) },
                { "2026-02-01T01:29:59+01:30", UINT64_C(1769903999000000) },
                { "2026-01-31T18:59:59-05:00", UINT64_C(1769903999000000) },
                { "2026-01-31T23:59:59.5Z", UINT64_C(1769903999500000) },
                { "2026-01-31T23:59:59.123456789Z", UINT64_C(1769903999123456) },
                { "2024-02-29T00:00:00Z", UINT64_C(1709164800000000) },
                { "2016-12-31T23:59:60Z", UINT64_C(1483228800000000) },
        };
        static const char *const bad[] = {
                "",
                "2026",
                "2026-01-31",
                "2026-01-31T23:59:59",
                "2026-01-31T23:59Z",
                "2026-13-01T00:00:00Z",
                "2026-00-01T00:00:00Z",
                "2026-01-00T00:00:00Z",
                "2026-01-32T00:00:00Z",
                "2026-01-01T24:00:00Z",
                "2026-01-01T00:60:00Z",
                "2026-01-01T00:00:61Z",
                "1969-12-31T23:59:59Z",
                "2026-01-31T23:59:59.Z",
                "2026-01-31T23:59:59ZZ",
                "2026-01-31T23:59:59+24:00",
                "2026-01-31T23:59:59+01:60",
                "2026-01-31T23:59:59+0100",
                "+026-01-31T23:59:59Z",
                "2026-1-31T23:59:59Z",
                " 2026-01-31T23:59:59Z",
                "1970-01-01T00:00:00+01:00",
                "2026-02-29T00:00:00Z",
                "2026-02-30T00:00:00Z",
                "2026-04-31T00:00:00Z",
        };
        uint64_t usec;

        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                ck_assert_msg(text_parse_time(good[i].text, &usec) == 0, "%s", good[i].text);
                ck_assert_uint_eq(usec, good[i].usec);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(text_parse_time(bad[i], &usec) == TEXT_E_INVALID, "%s", bad[i]);
}
END_TEST

START_TEST(times_survive_both_ways)
{
        for (uint64_t usec = 0; usec < UINT64_C(253402300800) * USEC_PER_SEC;
             usec += UINT64_C(77777777777777)) {
                char text[TEXT_TIME_USEC_SIZE];
                uint64_t back;

                text_time_usec(usec, text);
                ck_assert_int_eq(text_parse_time(text, &back), 0);
                ck_assert_uint_eq(back, usec);
        }
}
END_TEST

START_TEST(durations)
{
        static const struct {
                const char *text;
                uint64_t seconds;
        } good[] = { { "1", 1 },      { "90", 90 },    { "90s", 90 },
                     { "30m", 1800 }, { "8h", 28800 }, { "7d", 604800 } };
        static const char *const bad[] = { "",
                                           "0",
                                           "0s",
                                           "s",
                                           "-1",
                                           "+1",
                                           "1.5h",
                                           "1w",
                                           "1 h",
                                           "1hh",
                                           " 1",
                                           "18446744073709551616",
                                           "18446744073709551615",
                                           "1d2h",
                                           "999999999999999999999999" };
        uint64_t usec;

        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                ck_assert_int_eq(text_parse_duration(good[i].text, &usec), 0);
                ck_assert_uint_eq(usec, good[i].seconds * USEC_PER_SEC);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(text_parse_duration(bad[i], &usec) == TEXT_E_INVALID, "%s", bad[i]);
}
END_TEST

START_TEST(numbers)
{
        uint64_t value;

        ck_assert(text_parse_u64("0", &value) == 0 && value == 0);
        ck_assert(text_parse_u64("18446744073709551615", &value) == 0 && value == UINT64_MAX);
        ck_assert_int_eq(text_parse_u64("18446744073709551616", &value), TEXT_E_INVALID);
        ck_assert_int_eq(text_parse_u64("", &value), TEXT_E_INVALID);
        ck_assert_int_eq(text_parse_u64("-1", &value), TEXT_E_INVALID);
        ck_assert_int_eq(text_parse_u64("0x1", &value), TEXT_E_INVALID);
        ck_assert_int_eq(text_parse_u64("1 ", &value), TEXT_E_INVALID);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("text");

        tcase_add_test(tcase, utf8);
        tcase_add_test(tcase, names);
        tcase_add_test(tcase, environment_names);
        tcase_add_test(tcase, same);
        tcase_add_test(tcase, printable);
        tcase_add_test(tcase, characters_that_are_not_seen);
        tcase_add_test(tcase, hex);
        tcase_add_test(tcase, times_are_written);
        tcase_add_test(tcase, times_are_read);
        tcase_add_test(tcase, times_survive_both_ways);
        tcase_add_test(tcase, durations);
        tcase_add_test(tcase, numbers);
        return suite_run("text", tcase);
}
