#undef NDEBUG
#include "leak_candidates.h"
#include "../base/suite.h"
#include <string.h>

#define MAX_SEEN 4096U

/* No token, so that nobody who looks for one finds one here. */
#define TOKEN "Quick_Brown-Fox0Jumps1Over2"

typedef struct Seen {
        const char *wanted;
        size_t wanted_size, n;
        bool found;
} Seen;

static int see(void *userdata, LeakText candidate)
{
        Seen *seen = userdata;

        seen->n++;
        ck_assert_uint_gt(candidate.size, 0);
        ck_assert_uint_le(candidate.size, LEAK_VALUE_MAX);
        seen->found = seen->found || (candidate.size == seen->wanted_size &&
                                      memcmp(candidate.data, seen->wanted, candidate.size) == 0);
        return 0;
}

static bool offers(const char *text, const char *wanted)
{
        Seen seen = { .wanted = wanted, .wanted_size = strlen(wanted) };
        bool cut;

        ck_assert_int_eq(leak_candidates(leak_text_of(text), LEAK_VARIANTS_MAX, see, &seen, &cut), 0);
        ck_assert_uint_le(seen.n, LEAK_VARIANTS_MAX + 1);
        return seen.found;
}

START_TEST(forms_of_a_value_are_offered)
{
        static const char *const texts[] = {
                TOKEN,
                "  " TOKEN "\r\n",
                "\"" TOKEN "\"",
                "'" TOKEN "',",
                "`" TOKEN "`;",
                "API_KEY=" TOKEN,
                "export API_KEY='" TOKEN "'",
                "\"apiKey\": \"" TOKEN "\",",
                "api-key: " TOKEN,
                "key => '" TOKEN "'",
                "key := \"" TOKEN "\"",
                "Authorization: Bearer " TOKEN,
                "bearer " TOKEN,
                "Authorization: token " TOKEN,
                "https://user:" TOKEN "@example.com/a",
                "git clone https://" TOKEN "@example.com/a.git",
                "https://example.com/?access_token=" TOKEN "&x=1",
                "secret-token:" TOKEN,
                "curl -H \"X-Api-Key: " TOKEN "\" https://example.com",
                "the token is " TOKEN ".",
                "(" TOKEN ")",
                "{\\\"key\\\":\\\"" TOKEN "\\\"}",
                "Quick_Brown\\u002dFox0Jumps1Over2",
                "Quick_Brown%2DFox0Jumps1Over2",
                "UXVpY2tfQnJvd24tRm94MEp1bXBzMU92ZXIy",          /* in Base64 */
                "Basic dXNlcjpRdWlja19Ccm93bi1Gb3gwSnVtcHMxT3ZlcjI=", /* user:TOKEN */
                "password: UXVpY2tfQnJvd24tRm94MEp1bXBzMU92ZXIy",
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                ck_assert_msg(offers(texts[i], TOKEN), "%s", texts[i]);
        ck_assert(!offers("nothing of the kind", TOKEN));
}
END_TEST

START_TEST(odd_values_are_offered)
{
        ck_assert(offers("PASSWORD=\"a b$c\\\"d\"", "a b$c\"d"));
        ck_assert(offers("mysql://root:p%40ss%2Fword@db/x", "p@ss/word"));
        ck_assert(offers("AWS_SECRET=ab+/cd0123456789==", "ab+/cd0123456789=="));
        ck_assert(offers("  two words  ", "  two words  "));
        ck_assert(offers("x", "x"));
        ck_assert(offers("v1.2.aaaaaaaa-bbbb.cccc_dddd.", "v1.2.aaaaaaaa-bbbb.cccc_dddd"));
}
END_TEST

#define PEM "-----BEGIN X KEY-----\nAAAA\nBBBB\n-----END X KEY-----"

START_TEST(keys_in_pem_are_offered_whole)
{
        ck_assert(offers(PEM "\n", PEM));
        ck_assert(offers("key: |\n" PEM "\nother: 1", PEM));
        ck_assert(offers("-----BEGIN X KEY-----\r\nAAAA\r\nBBBB\r\n-----END X KEY-----\r\n", PEM));
        ck_assert(offers("KEY=\"-----BEGIN X KEY-----\\nAAAA\\nBBBB\\n-----END X KEY-----\"", PEM));
        ck_assert(!offers("-----BEGIN X KEY-----\nAAAA\nBBBB\n", PEM));
}
END_TEST

START_TEST(number_is_bounded_and_said)
{
        static char line[1024 * 1024];
        Seen seen = { .wanted = "", .wanted_size = 0 };
        bool cut;

        for (size_t i = 0; i < sizeof(line); i++)
                line[i] = i % 10 == 9 ? ' ' : (char)('a' + i % 7);
        ck_assert_int_eq(leak_candidates(leak_text(line, sizeof(line)), LEAK_LINE_VARIANTS_MAX, see, &seen, &cut), 0);
        ck_assert(cut);
        ck_assert_uint_le(seen.n, LEAK_LINE_VARIANTS_MAX);
        ck_assert_int_eq(leak_candidates(leak_text_of(TOKEN), LEAK_VARIANTS_MAX, see, &seen, &cut), 0);
        ck_assert(!cut);
}
END_TEST

static int refuse(void *userdata, LeakText candidate)
{
        (void)candidate;
        ++*(unsigned *)userdata;
        return 77;
}

START_TEST(callback_can_stop)
{
        unsigned calls = 0;
        bool cut;

        ck_assert_int_eq(leak_candidates(leak_text_of("KEY=" TOKEN), 64, refuse, &calls, &cut), 77);
        ck_assert_uint_eq(calls, 1);
}
END_TEST

/* What was undone is in memory of just its size, so that a sanitizer sees a byte too many. */
START_TEST(every_cut_and_flip_is_survived)
{
        static const char *const texts[] = { "\\u002d\\n\\", "%2D%", "%", "\"\"", "'", "=", "a=", "://@", "x://:@", "Basic ",
                                             "-----BEGIN -----END -----", "dXNlcjpR\\u0000", "export Bearer token \"x\"" };

        for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
                for (size_t size = 0; size <= strlen(texts[i]); size++)
                        for (size_t bit = 0; bit <= 8 * size; bit++) {
                                char *copy = leak_scratch(size);
                                Seen seen = { .wanted = "" };
                                bool cut;

                                memcpy(copy, texts[i], size);
                                if (bit < 8 * size)
                                        copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << bit % 8));
                                ck_assert_int_eq(leak_candidates(leak_text(copy, size), 64, see, &seen, &cut), 0);
                                leak_scratch_free(copy, size);
                        }
}
END_TEST

START_TEST(blanked_values_are_known)
{
        static const char *const blanked[] = { "REDACTED", " REDACTED ", "[REDACTED]", "***", "********", "gh**********",
                                               "ghp_1234...", "ghp\xe2\x80\xa6", "-----BEGIN RSA PRIVATE KEY-----\n" };
        static const char *const others[] = { "", "*", "..", "a.b", TOKEN, "REDACTED_NOT", "p*ss*word", "-----BEGIN ",
                                              "-----BEGIN X-----\nAAAA\n-----END X-----", "-----BEGIN X-----\nAAAA" };

        for (size_t i = 0; i < sizeof(blanked) / sizeof(*blanked); i++)
                ck_assert_msg(leak_is_redacted(leak_text_of(blanked[i])), "%s", blanked[i]);
        for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
                ck_assert_msg(!leak_is_redacted(leak_text_of(others[i])), "%s", others[i]);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("candidates");

        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, forms_of_a_value_are_offered);
        tcase_add_test(tcase, odd_values_are_offered);
        tcase_add_test(tcase, keys_in_pem_are_offered_whole);
        tcase_add_test(tcase, number_is_bounded_and_said);
        tcase_add_test(tcase, callback_can_stop);
        tcase_add_test(tcase, every_cut_and_flip_is_survived);
        tcase_add_test(tcase, blanked_values_are_known);
        return suite_run("cli/leak_candidates", tcase);
}
