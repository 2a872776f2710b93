#undef NDEBUG
#include "base/ident.h"
#include "suite.h"
#include <sodium.h>

static Arena *arena;

static void setup(void)
{
        ck_assert_int_ge(sodium_init(), 0);
        ck_assert_int_eq(arena_new(&arena, 4096), 0);
}

static void teardown(void)
{
        arena = arena_free(arena);
}

START_TEST(identifiers_are_valid_and_differ)
{
        Ident a = ident_new('s'), b = ident_new('s');

        ck_assert(ident_is_valid(a.text, 's') && ident_is_valid(b.text, 's'));
        ck_assert_str_ne(a.text, b.text);
        ck_assert(!ident_is_valid(a.text, 'l') && !ident_is_valid(a.text + 1, 's') &&
                  !ident_is_valid(NULL, 's'));
        ck_assert(!ident_is_valid("", 's') && !ident_is_valid("s-0123456789abcde/", 's'));
        ck_assert(ident_is_valid("s-0123456789abcdef", 's') &&
                  !ident_is_valid("s-0123456789abcdef0", 's'));
}
END_TEST

/* CRC-32 of "123456789" is cbf43926, the check value of the algorithm. */
START_TEST(check_digits_are_crc32_in_base62)
{
        char digits[IDENT_CHECK_DIGITS + 1];
        uint64_t value = 0;

        ident_check_digits(slice_text("123456789"), digits);
        for (size_t i = 0; i < IDENT_CHECK_DIGITS; i++) {
                static const char alphabet[] =
                        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
                const char *at = strchr(alphabet, digits[i]);

                ck_assert_ptr_nonnull(at);
                value = value * 62 + (uint64_t)(at - alphabet);
        }
        ck_assert_uint_eq(value, 0xcbf43926);
}
END_TEST

START_TEST(token_is_wellformed)
{
        Secret *token = NULL;

        ck_assert_int_eq(ident_token_new(&token, arena, IDENT_HANDLE_PREFIX), 0);
        ck_assert_uint_eq(secret_size(token), IDENT_TOKEN_SIZE);
        ck_assert(ident_token_is_wellformed(secret_slice(token), IDENT_HANDLE_PREFIX));
        ck_assert(!ident_token_is_wellformed(secret_slice(token), IDENT_SESSION_PREFIX));
        ck_assert(!ident_token_is_wellformed(SLICE_NULL, IDENT_HANDLE_PREFIX));
        secret_free(token);
}
END_TEST

/* A CRC finds every single changed byte, and so must this. */
START_TEST(changed_or_cut_token_is_not)
{
        uint8_t copy[IDENT_TOKEN_SIZE + 1];
        Secret *token = NULL;

        ck_assert_int_eq(ident_token_new(&token, arena, IDENT_SESSION_PREFIX), 0);
        for (size_t i = 0; i < IDENT_TOKEN_SIZE; i++) {
                ck_assert(!ident_token_is_wellformed(slice(secret_slice(token).data, i),
                                                     IDENT_SESSION_PREFIX));
                for (unsigned bit = 0; bit < 8; bit++) {
                        memcpy(copy, secret_slice(token).data, IDENT_TOKEN_SIZE);
                        copy[i] ^= (uint8_t)(1U << bit);
                        ck_assert(!ident_token_is_wellformed(slice(copy, IDENT_TOKEN_SIZE),
                                                             IDENT_SESSION_PREFIX));
                }
        }
        memcpy(copy, secret_slice(token).data, IDENT_TOKEN_SIZE);
        copy[IDENT_TOKEN_SIZE] = '0';
        ck_assert(!ident_token_is_wellformed(slice(copy, sizeof(copy)), IDENT_SESSION_PREFIX));
        secret_free(token);
}
END_TEST

START_TEST(full_arena_is_said)
{
        Secret *tokens[65] = { 0 };
        size_t n = 0;
        int r;

        while ((r = ident_token_new(&tokens[n], arena, IDENT_HANDLE_PREFIX)) == 0)
                ck_assert_uint_lt(++n, ARRAY_SIZE(tokens));
        ck_assert_int_eq(r, SECRET_E_FULL);
        while (n > 0)
                secret_free(tokens[--n]);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("ident");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, identifiers_are_valid_and_differ);
        tcase_add_test(tcase, check_digits_are_crc32_in_base62);
        tcase_add_test(tcase, token_is_wellformed);
        tcase_add_test(tcase, changed_or_cut_token_is_not);
        tcase_add_test(tcase, full_arena_is_said);
        return suite_run("ident", tcase);
}
