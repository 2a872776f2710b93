#undef NDEBUG
#include "../base/suite.h"
#include "base/ident.h"
#include "scan-naive.h"
#include "scan/pem.h"
#include "scan/token.h"
#include <stdio.h>
#include <unistd.h>

#define FIRST  "zq9hovcjqxelszgnubipwdkryf7"
#define SECOND "zq9hovcjqxelszgnubipwdkryf7-and-more" /* has the first in it */
#define THIRD  "0123456789abcdefcdef0123456789ab"

static const Stored stored[] = { { FIRST, 11, 4 }, { SECOND, 11, 4 }, { THIRD, 14, 4 } };

static Needles *needles;

static void setup(void)
{
        ck_assert_int_ge(sodium_init(), 0);
        needles = needles_of(stored, ARRAY_SIZE(stored), NULL, 0);
}

static void teardown(void)
{
        needles = needles_free(needles);
}

static ScanResult run(const Needles *with, Slice data, size_t portion, bool once)
{
        Portions portions = { data, portion };
        ScanSource source = { .read = read_portion, .userdata = &portions, .size = UINT64_MAX, .once = once };
        ScanResult result = { 0 };
        Scanner *scanner;
        uint64_t bytes;

        ck_assert_int_eq(scanner_new(&scanner, with), 0);
        ck_assert_int_eq(scanner_run(scanner, &source, &result, &bytes), 0);
        ck_assert_uint_eq(bytes, data.size);
        scanner_free(scanner);
        return result;
}

static uint8_t *filled(size_t size)
{
        uint8_t *data = malloc(size);

        ck_assert_ptr_nonnull(data);
        for (size_t i = 0; i < size; i++)
                data[i] = i % 61 == 60 ? '\n' : 'a' + (uint8_t)(i % 23);
        return data;
}

START_TEST(a_value_is_found_at_every_place_and_no_near_miss_is)
{
        for (size_t at = 0; at < 100; at++) {
                char data[160];
                ScanResult result;

                memset(data, 'z', sizeof(data));
                memcpy(data + at, FIRST, strlen(FIRST));
                result = run(needles, slice(data, sizeof(data)), sizeof(data), false);
                ck_assert_uint_eq(result.n, 1);
                ck_assert_uint_eq(result.hits[0].offset, at);
                ck_assert_uint_eq(result.hits[0].size, strlen(FIRST));
                scan_result_clear(&result);
        }
        for (size_t i = 0; i < strlen(FIRST); i++) {
                char data[] = "x" FIRST "x";
                ScanResult result;

                data[1 + i] ^= 1;
                result = run(needles, slice(data, sizeof(data) - 1), 100, false);
                ck_assert_uint_eq(result.n, 0);
                scan_result_clear(&result);
                result = run(needles, slice(FIRST, i), 100, false); /* cut short */
                ck_assert_uint_eq(result.n, 0);
        }
}
END_TEST

START_TEST(values_in_one_another_are_all_found)
{
        const char *data = SECOND SECOND "zq9hovcjqxelszgnubipwdkryf" THIRD;
        ScanResult result = run(needles, slice_text(data), 3, true);

        ck_assert_uint_eq(result.n, 5);
        expect_naive(slice_text(data), stored, ARRAY_SIZE(stored), &result);
        scan_result_clear(&result);
}
END_TEST

/* Where one portion of the buffer ends and the next begins, and wherever reads are cut. */
START_TEST(nothing_falls_between_buffers)
{
        size_t size = 2 * SCAN_BUFFER_SIZE + 5000;
        uint8_t *data = filled(size);
        Slice all = slice(data, size);

        for (size_t at = SCAN_BUFFER_SIZE - 150; at < SCAN_BUFFER_SIZE + 50; at += 7) {
                ScanResult result;

                memcpy(data + at, THIRD, strlen(THIRD));
                memcpy(data + at + SCAN_BUFFER_SIZE, SECOND, strlen(SECOND));
                result = run(needles, all, 1000 + at % 4096, false);
                ck_assert_uint_eq(result.n, 3);
                ck_assert_uint_eq(result.hits[0].offset, at);
                ck_assert_uint_eq(result.hits[2].offset, at + SCAN_BUFFER_SIZE);
                scan_result_clear(&result);
                memset(data + at, 'x', strlen(SECOND));
                memset(data + at + SCAN_BUFFER_SIZE, 'x', strlen(SECOND));
        }
        free(data);
}
END_TEST

static void expect_lines(Slice data, const ScanResult *result)
{
        for (size_t i = 0; i < result->n; i++) {
                uint64_t line = 1, column = 1;

                for (size_t j = 0; j < result->hits[i].offset; j++) {
                        column = data.data[j] == '\n' ? 1 : column + 1;
                        line += data.data[j] == '\n';
                }
                ck_assert_uint_eq(result->hits[i].line, line);
                ck_assert_uint_eq(result->hits[i].column, column);
        }
}

/* As a stream, from the buffer, and by a second look; in parts too. */
START_TEST(lines_and_columns_are_right_in_every_way)
{
        static const size_t places[] = { 0, 61, 500, 262130, 262160, 300000, 524280, 529000 };
        size_t size = 2 * SCAN_BUFFER_SIZE + 5000;
        uint8_t *data = filled(size);
        char path[] = "/tmp/mcpcred-test-XXXXXX";
        ScanResult stream, whole = { 0 }, file = { 0 }, parts = { 0 }, part = { 0 };
        Scanner *scanner;
        int fd = mkstemp(path);

        ck_assert_int_ge(fd, 0);
        (void)unlink(path);
        for (size_t i = 0; i < ARRAY_SIZE(places); i++)
                memcpy(data + places[i], FIRST, strlen(FIRST));
        ck_assert_int_eq(write(fd, data, size), (ssize_t)size);
        stream = run(needles, slice(data, size), 5000, true);
        file = run(needles, slice(data, size), 1 << 20, false);
        ck_assert_uint_eq(file.hits[0].line, 0);
        ck_assert_int_eq(scan_locate(fd, &file), 0);
        ck_assert_int_eq(scanner_new(&scanner, needles), 0);
        scanner_run_bytes(scanner, slice(data, size), &whole);
        for (size_t from = 0; from < size; from += 100003)
                ck_assert_int_eq(scanner_run_part(scanner, fd, from, MIN(from + 100003, size), &parts), 0);
        ck_assert_int_eq(scan_locate(fd, &parts), 0);
        ck_assert_int_eq(scanner_run_part(scanner, fd, 0, size, &part), 0);
        ck_assert_int_eq(scan_locate(fd, &part), 0);
        scanner_free(scanner);
        for (unsigned i = 0; i < 5; i++) {
                ScanResult *result = (ScanResult *[]){ &stream, &file, &whole, &parts, &part }[i];

                ck_assert_uint_eq(result->n, ARRAY_SIZE(places));
                ck_assert(!result->binary);
                expect_lines(slice(data, size), result);
                scan_result_clear(result);
        }
        (void)close(fd);
        free(data);
}
END_TEST

START_TEST(a_file_that_became_shorter_is_no_error_of_memory)
{
        ScanResult result = run(needles, slice_text("\n" FIRST), 10, false);
        FILE *empty = tmpfile();

        ck_assert_int_eq(scan_locate(fileno(empty), &result), -ENODATA);
        scan_result_clear(&result);
        (void)fclose(empty);
}
END_TEST

/* ---- tokens ---- */

static void token_of(const char *prefix, uint32_t number, char out[64])
{
        char check[IDENT_CHECK_DIGITS + 1];
        int n = snprintf(out, 64, "%s%032u", prefix, number);

        ident_check_digits(slice(out + 6, 32), check);
        (void)snprintf(out + n, 64 - (size_t)n, "%s", check);
}

static void expect_cuts(const char *text, size_t prefix, size_t n, const size_t *expected)
{
        size_t cuts[TOKEN_CUTS_MAX], got = token_cuts(slice_text(text), prefix, cuts);

        ck_assert_msg(got == n, "%s: %zu", text, got);
        for (size_t i = 0; i < n; i++) {
                bool any = false;

                for (size_t j = 0; j < got; j++)
                        any = any || cuts[j] == expected[i];
                ck_assert_msg(any, "%s: no cut at %zu", text, expected[i]);
        }
}

START_TEST(a_token_ends_where_its_kind_does)
{
        char text[128], token[64];

        token_of(IDENT_HANDLE_PREFIX, 7, token);
        expect_cuts(token, 6, 1, (size_t[]){ 44 });
        (void)snprintf(text, sizeof(text), "%s_more.", token);
        expect_cuts(text, 6, 1, (size_t[]){ 44 });
        token[20] ^= 1; /* the checksum does not fit */
        expect_cuts(token, 6, 0, NULL);
        expect_cuts("mcpch_short", 6, 0, NULL);
        expect_cuts("ghs_0123456789abcdefghijklmnopqrstuvwxyz", 4, 1, (size_t[]){ 40 });
        expect_cuts("ghs_0123456789abcdefghijklmnopqrstuvwxyz.", 4, 1, (size_t[]){ 40 });
        expect_cuts("ghs_0123456789abcdefghijklmnopqrstuvwxyz_tail", 4, 2, (size_t[]){ 40, 45 });
        expect_cuts("ghs_123_aaaaaaaaaa.bbbb-bbbb.cccc_cc", 4, 2, (size_t[]){ 18, 36 });
        expect_cuts("ghs_words", 4, 0, NULL);
        expect_cuts("xyz-0123456789-abc.def..", 4, 3, (size_t[]){ 14, 18, 22 });
}
END_TEST

START_TEST(candidates_are_cut_at_every_place_and_hashed)
{
        const char *prefixes[] = { IDENT_HANDLE_PREFIX, "ghs_" };
        Needles *with = needles_of(stored, 1, prefixes, 2);
        char token[64], data[256];

        token_of(IDENT_HANDLE_PREFIX, 1, token);
        for (size_t at = 0; at < 70; at++) {
                int n = snprintf(data, sizeof(data), "%.*s%s\" ghs_ ghs_ghs_ mcpch_", (int)at,
                                 "######################################################################", token);
                ScanResult result = run(with, slice(data, (size_t)n), 1, true);
                uint8_t hash[32];

                ck_assert_uint_eq(result.n, 1);
                ck_assert_uint_eq(result.n_candidates, 1);
                ck_assert_uint_eq(result.hits[0].value, SCAN_CANDIDATE);
                ck_assert_uint_eq(result.hits[0].offset, at);
                (void)crypto_hash_sha256(hash, (const uint8_t *)token, 44);
                ck_assert_mem_eq(hash, result.hits[0].hash, 32);
                scan_result_clear(&result);
        }
        needles_free(with);
}
END_TEST

/* ---- what is made to cost time ---- */

static void fill_with(uint8_t *data, size_t size, const char *text)
{
        for (size_t i = 0; i < size; i++)
                data[i] = (uint8_t)text[i % strlen(text)];
}

START_TEST(a_file_of_look_alikes_costs_a_bounded_time_and_says_so)
{
        static const char *const texts[] = { "lszg", "ghs_", "ghs_0123456789abcdef-", "-----BEGIN RSA PRIVATE KEY-----",
                                             "-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN A-----\nB\n-----END A-----\n",
                                             "mcpch_" };
        const char *prefixes[] = { "mcpch_", "ghs_", "-----BEGIN " };
        Needles *with = needles_of(stored, ARRAY_SIZE(stored), prefixes, 3);
        size_t size = 4 * SCAN_BUFFER_SIZE + 11;
        uint8_t *data = malloc(size);

        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                ScanResult result;

                fill_with(data, size, texts[i]);
                result = run(with, slice(data, size), size, true);
                ck_assert_uint_le(result.n, 2 * SCAN_HITS_MAX);
                ck_assert_uint_le(result.work, SCAN_WORK_BASE + SCAN_WORK_PER_BYTE * size);
                ck_assert_msg((result.unchecked > 0) == (i == 0 || i == 2 || i == 5), "%zu: %llu, %zu", i,
                              (unsigned long long)result.unchecked, result.n);
                scan_result_clear(&result);
        }
        free(data);
        needles_free(with);
}
END_TEST

START_TEST(what_cannot_be_looked_for_is_refused)
{
        uint8_t key[NEEDLES_KEY_SIZE] = { 0 };
        NeedleValue value = { .anchor = slice_text("abcd"), .offset = 4, .length = 8 };
        const char *prefix = "ab";
        Needles *with;

        ck_assert_int_eq(needles_new(&with, key, &value, 1, NULL, 0), 0);
        needles_free(with);
        value.offset = 5; /* beyond its end */
        ck_assert_int_eq(needles_new(&with, key, &value, 1, NULL, 0), -EINVAL);
        value.offset = SIZE_MAX;
        ck_assert_int_eq(needles_new(&with, key, &value, 1, NULL, 0), -EINVAL);
        value = (NeedleValue){ .anchor = slice_text("abcd"), .length = NEEDLE_LENGTH_MAX + 1 };
        ck_assert_int_eq(needles_new(&with, key, &value, 1, NULL, 0), -EINVAL);
        ck_assert_int_eq(needles_new(&with, key, NULL, 0, &prefix, 1), -EINVAL);
        ck_assert_int_eq(needles_new(&with, key, NULL, 0, NULL, 0), -EINVAL);
}
END_TEST

/* ---- PEM ---- */

#define HEAD "-----BEGIN RSA " "PRIVATE KEY-----"
#define TAIL "-----END RSA " "PRIVATE KEY-----"
#define BLOCK HEAD "\nMIIabc/+=\nxyz==\n" TAIL

static size_t normal(const char *text, char *out, size_t *ret_raw)
{
        static uint8_t buffer[PEM_MAX];
        size_t n = pem_normal(slice_text(text), buffer, ret_raw);

        memcpy(out, buffer, n);
        out[n] = '\0';
        return n;
}

START_TEST(a_block_is_the_same_in_whatever_it_was_pasted_into)
{
        static const char *const forms[] = {
                BLOCK,
                BLOCK "\n and more",
                HEAD "\r\nMIIabc/+=\r\nxyz==\r\n" TAIL "\r\n",
                HEAD "\\nMIIabc/+=\\nxyz==\\n" TAIL "\\n\"",
                HEAD "\\\\nMIIabc/+=\\\\nxyz==\\\\n" TAIL,
                HEAD "\\r\\nMIIabc/+=\\r\\nxyz==\\r\\n" TAIL,
                HEAD "\n    MIIabc/+=\n    xyz==\n\t" TAIL,
        };

        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                char out[256];
                size_t raw;

                ck_assert_uint_gt(normal(forms[i], out, &raw), 0);
                ck_assert_str_eq(out, BLOCK);
                ck_assert_mem_eq(forms[i] + raw - 5, "-----", 5);
        }
}
END_TEST

START_TEST(what_is_no_whole_block_is_none)
{
        static const char *const forms[] = {
                "", HEAD, HEAD "\nMII", HEAD "\n" HEAD "\nMII\n" TAIL, HEAD "\nMI\"I\n" TAIL, HEAD "\nMI\1I\n" TAIL,
                HEAD "\\xMII\n" TAIL, HEAD "\nMII\n-----BEND RSA-----", HEAD "\nMII\\",
        };
        char out[256], *whole = malloc(PEM_RAW_MAX + 100);
        size_t raw;

        for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
                ck_assert_msg(normal(forms[i], out, &raw) == 0, "%s", forms[i]);
        for (size_t i = 0; i < strlen(BLOCK); i++) { /* cut short */
                static uint8_t buffer[PEM_MAX];

                ck_assert_uint_eq(pem_normal(slice(BLOCK, i), buffer, &raw), 0);
        }
        memset(whole, 'A', PEM_RAW_MAX + 99); /* one that is too long */
        memcpy(whole, HEAD "\n", strlen(HEAD) + 1);
        strcpy(whole + PEM_RAW_MAX, TAIL);
        ck_assert_uint_eq(normal(whole, out, &raw), 0);
        free(whole);
}
END_TEST

START_TEST(a_block_that_is_stored_is_found_and_another_is_a_candidate)
{
        const Stored key = { BLOCK, 0, 15 };
        const char *prefix = HEAD;
        Needles *with = needles_of(&key, 1, &prefix, 1);
        const char *data = "a\n" HEAD "\\nMIIabc/+=\\nxyz==\\n" TAIL "\n" HEAD "\nMIIabc/+=\nxyz=A\n" TAIL;
        ScanResult result = run(with, slice_text(data), 5, true);
        uint8_t hash[32];

        ck_assert_uint_eq(result.n, 2);
        ck_assert_uint_eq(result.hits[0].value, 0);
        ck_assert_uint_eq(result.hits[0].offset, 2);
        ck_assert_uint_eq(result.hits[0].line, 2);
        (void)crypto_hash_sha256(hash, (const uint8_t *)BLOCK, strlen(BLOCK));
        ck_assert_mem_eq(hash, result.hits[0].hash, 32);
        ck_assert_uint_eq(result.hits[1].value, SCAN_CANDIDATE);
        scan_result_clear(&result);
        needles_free(with);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("scan");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_value_is_found_at_every_place_and_no_near_miss_is);
        tcase_add_test(tcase, values_in_one_another_are_all_found);
        tcase_add_test(tcase, nothing_falls_between_buffers);
        tcase_add_test(tcase, lines_and_columns_are_right_in_every_way);
        tcase_add_test(tcase, a_file_that_became_shorter_is_no_error_of_memory);
        tcase_add_test(tcase, a_token_ends_where_its_kind_does);
        tcase_add_test(tcase, candidates_are_cut_at_every_place_and_hashed);
        tcase_add_test(tcase, a_file_of_look_alikes_costs_a_bounded_time_and_says_so);
        tcase_add_test(tcase, what_cannot_be_looked_for_is_refused);
        tcase_add_test(tcase, a_block_is_the_same_in_whatever_it_was_pasted_into);
        tcase_add_test(tcase, what_is_no_whole_block_is_none);
        tcase_add_test(tcase, a_block_that_is_stored_is_found_and_another_is_a_candidate);
        return suite_run("scan", tcase);
}
