#undef NDEBUG
#include "base/ident.h"
#include "base/token_format.h"
#include "suite.h"
#include <sodium.h>
#include <stdio.h>

/* Prefixes stand apart from what follows them, so that no scanner finds a token in this file. */
typedef struct Vector {
        const char *prefix, *body, *check, *rest;
        TokenKind kind;
        TokenCheck verdict;
} Vector;

#define ZEROS30 "000000000000000000000000000000"

static const Vector vectors[] = {
        /* Digits, padded by none, one and two zeros. */
        { "ghp", "_" ZEROS30, "2C8GjS", "", TOKEN_KIND_GITHUB_CLASSIC, TOKEN_CHECK_FITS },
        { "ghp", "_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "0uCPlr", "", TOKEN_KIND_GITHUB_CLASSIC, TOKEN_CHECK_FITS },
        { "ghp", "_mcpcredPadVector00000000000172", "00GyW3", "", TOKEN_KIND_GITHUB_CLASSIC, TOKEN_CHECK_FITS },
        { "gho", "_" ZEROS30, "2C8GjS", "", TOKEN_KIND_GITHUB_OAUTH, TOKEN_CHECK_FITS },
        { "ghu", "_" ZEROS30, "2C8GjS", "", TOKEN_KIND_GITHUB_USER, TOKEN_CHECK_FITS },
        { "npm", "_" ZEROS30, "2C8GjS", "", TOKEN_KIND_NPM, TOKEN_CHECK_FITS },
        { "ghp", "_" ZEROS30, "2C8GjT", "", TOKEN_KIND_GITHUB_CLASSIC, TOKEN_CHECK_WRONG },
        { "ghp", "_" ZEROS30, "2C8Gj", "", TOKEN_KIND_GITHUB_CLASSIC, TOKEN_CHECK_LENGTH },
        { "ghp", "_" ZEROS30, "2C8GjS", "S", TOKEN_KIND_GITHUB_CLASSIC, TOKEN_CHECK_LENGTH },
        { "ghp", "_" ZEROS30, "2C8Gj-", "", TOKEN_KIND_GITHUB_CLASSIC, TOKEN_CHECK_LENGTH },
        { "github", "_pat_11MCPCREDTESTVECTOR000_mcpcredTestVector00000000000000000000000000", "KWNJMUM3",
          "00000000", TOKEN_KIND_GITHUB_FINE, TOKEN_CHECK_FITS },
        { "github", "_pat_11MCPCREDTESTVECTOR000_mcpcredTestVector00000000000000000000000001", "KWNJMUM3",
          "00000000", TOKEN_KIND_GITHUB_FINE, TOKEN_CHECK_WRONG },
        { "github", "_pat_11MCPCREDTESTVECTOR000_mcpcredTestVector00000000000000000000000000", "KWNJMUM3",
          "0000000", TOKEN_KIND_GITHUB_FINE, TOKEN_CHECK_LENGTH },
        { "github", "_pat_11MCPCREDTESTVECTOR0000mcpcredTestVector00000000000000000000000000", "KWNJMUM3",
          "00000000", TOKEN_KIND_GITHUB_FINE, TOKEN_CHECK_LENGTH },
        { "ghs", "_" ZEROS30, "000000", "", TOKEN_KIND_GITHUB_INSTALLATION, TOKEN_CHECK_NONE },
        { "ghs", "_123_eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiItXyJ9", ".", "c2lnbmF0dXJl-_", TOKEN_KIND_GITHUB_INSTALLATION,
          TOKEN_CHECK_NONE },
        { "ghs", "_123_eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiItXyJ9", "", "c2lnbmF0dXJl", TOKEN_KIND_GITHUB_INSTALLATION,
          TOKEN_CHECK_LENGTH },
        { "glpat", "-mcpcredTestVector00000000000000.01.0v", "1o62o9k", "", TOKEN_KIND_GITLAB, TOKEN_CHECK_FITS },
        { "glpat", "-mcpcredTestVector00000000000000.01.0v", "1o62o9j", "", TOKEN_KIND_GITLAB, TOKEN_CHECK_WRONG },
        { "glpat", "-mcpcredTestVector00000000000000.01.0w", "1o62o9k", "", TOKEN_KIND_GITLAB, TOKEN_CHECK_LENGTH },
        { "glpat", "-mcpcredTestVector00000000000000.02.0v", "1o62o9k", "", TOKEN_KIND_GITLAB, TOKEN_CHECK_LENGTH },
        { "glpat", "-mcpcredTestVector00000000000000.01.0v", "1o62o9", "", TOKEN_KIND_GITLAB, TOKEN_CHECK_LENGTH },
        { "glpat", "-mcpcred_Test-Vector0", "", "", TOKEN_KIND_GITLAB, TOKEN_CHECK_NONE },
        { "glpat", "-mcpcred_Test-Vector", "", "", TOKEN_KIND_GITLAB, TOKEN_CHECK_LENGTH },
        { "cfut", "_mcpcredTestVector00000000000000000000000", "", "", TOKEN_KIND_CLOUDFLARE, TOKEN_CHECK_NONE },
        { "ghx", "_" ZEROS30, "2C8GjS", "", TOKEN_KIND_NONE, TOKEN_CHECK_NONE },
        { "", "", "", "", TOKEN_KIND_NONE, TOKEN_CHECK_NONE },
        { "gh", "", "", "", TOKEN_KIND_NONE, TOKEN_CHECK_NONE },
};

static Slice join(const Vector *vector, char out[256])
{
        int n = snprintf(out, 256, "%s%s%s%s", vector->prefix, vector->body, vector->check, vector->rest);

        return slice(out, (size_t)n);
}

START_TEST(vectors_are_told_apart)
{
        for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
                char text[256];
                TokenFormat format = token_format(join(&vectors[i], text));

                ck_assert_msg(format.kind == vectors[i].kind && format.check == vectors[i].verdict,
                              "vector %zu: kind %d, check %d", i, format.kind, format.check);
        }
}
END_TEST

/* ghr_ has 70 letters and its six digits, which no vector above covers. */
START_TEST(refresh_tokens_are_longer)
{
        char text[128] = "ghr";
        char digits[IDENT_CHECK_DIGITS + 1];

        text[3] = '_';
        memset(text + 4, '7', 70);
        ident_check_digits(slice(text + 4, 70), digits);
        memcpy(text + 74, digits, IDENT_CHECK_DIGITS);
        ck_assert_int_eq(token_format(slice(text, 80)).check, TOKEN_CHECK_FITS);
        text[40] = '8';
        ck_assert_int_eq(token_format(slice(text, 80)).check, TOKEN_CHECK_WRONG);
}
END_TEST

START_TEST(handles_are_tokens_too)
{
        Arena *arena = NULL;
        Secret *handle = NULL;
        bool has_checksum = false;

        ck_assert_int_ge(sodium_init(), 0);
        ck_assert_int_eq(arena_new(&arena, 4096), 0);
        ck_assert_int_eq(ident_token_new(&handle, arena, IDENT_HANDLE_PREFIX), 0);
        ck_assert_int_eq(token_format(secret_slice(handle)).kind, TOKEN_KIND_MCPCRED_HANDLE);
        ck_assert(token_checksum_fits(secret_slice(handle), &has_checksum) && has_checksum);
        secret_free(handle);
        arena_free(arena);
}
END_TEST

/* Whatever is changed of a token with a reliable checksum, it does not fit any more. */
START_TEST(flipped_and_cut_tokens_do_not_fit)
{
        for (size_t v = 0; v < ARRAY_SIZE(vectors); v++) {
                char text[256];
                Slice whole = join(&vectors[v], text);

                if (vectors[v].verdict != TOKEN_CHECK_FITS)
                        continue;
                for (size_t n = 0; n < whole.size; n++)
                        ck_assert_int_ne(token_format(slice(text, n)).check, TOKEN_CHECK_FITS);
                /* The last eight letters of a fine-grained one are under no checksum that is known. */
                if (vectors[v].kind == TOKEN_KIND_GITHUB_FINE)
                        continue;
                for (size_t i = 0; i < whole.size * 8; i++) {
                        text[i / 8] = (char)(text[i / 8] ^ 1 << i % 8);
                        /* A flip may make "gho_" of "ghp_"; the checksum leaves the prefix out. */
                        if (i / 8 >= 6)
                                ck_assert_int_ne(token_format(whole).check, TOKEN_CHECK_FITS);
                        text[i / 8] = (char)(text[i / 8] ^ 1 << i % 8);
                }
        }
}
END_TEST

START_TEST(scanners_learn_what_bears_a_match_out)
{
        for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
                char text[256];
                bool has_checksum = true, fits = token_checksum_fits(join(&vectors[i], text), &has_checksum);
                TokenCheck check = vectors[i].verdict;

                ck_assert_int_eq(fits, vectors[i].kind != TOKEN_KIND_NONE &&
                                               (check == TOKEN_CHECK_FITS || check == TOKEN_CHECK_NONE));
                ck_assert_int_eq(has_checksum, check == TOKEN_CHECK_FITS || check == TOKEN_CHECK_WRONG);
        }
}
END_TEST

START_TEST(kinds_have_names_and_prefixes)
{
        for (unsigned kind = 0; kind < _TOKEN_KIND_N; kind++) {
                const char *prefix = token_kind_prefix((TokenKind)kind);

                ck_assert_ptr_nonnull(token_kind_name((TokenKind)kind));
                ck_assert_int_eq(prefix != NULL, kind != TOKEN_KIND_NONE);
                if (prefix)
                        ck_assert_int_eq(token_format(slice_text(prefix)).kind, kind);
        }
}
END_TEST

int main(void)
{
        TCase *tests = tcase_create("token_format");

        tcase_add_test(tests, vectors_are_told_apart);
        tcase_add_test(tests, refresh_tokens_are_longer);
        tcase_add_test(tests, handles_are_tokens_too);
        tcase_add_test(tests, flipped_and_cut_tokens_do_not_fit);
        tcase_add_test(tests, scanners_learn_what_bears_a_match_out);
        tcase_add_test(tests, kinds_have_names_and_prefixes);
        return suite_run("base/token_format", tests);
}
