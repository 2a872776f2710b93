#include "support.h"
#include "vault/jwt.h"

#define NOW    (UINT64_C(1700000000) * USEC_PER_SEC)
#define ISSUER "Iv1.0123"

static Secret *key_read(const Fixture *f, const char *name)
{
        const char *directory = getenv("MCPCRED_TEST_KEYS");
        Secret *secret = NULL;
        char path[300];
        int fd;

        ck_assert_ptr_nonnull(directory);
        (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(secret_new(&secret, f->arena, 8192), 0);
        ck_assert_int_eq(secret_read_fd(secret, fd), 0);
        (void)close(fd);
        return secret;
}

/* Signs, and leaves the result beside the key for the script. */
static void sign_with(const Fixture *f, const char *key, const char *out)
{
        _cleanup_(secret_freep) Secret *pem = key_read(f, key), *token = NULL;
        char path[300];

        ck_assert_int_eq(jwt_sign(pem, ISSUER, NOW, f->arena, &token), 0);
        ck_assert_uint_le(secret_size(token), 600);
        (void)snprintf(path, sizeof(path), "%s/%s", getenv("MCPCRED_TEST_KEYS"), out);
        write_file(path, secret_slice(token));
}

START_TEST(both_forms_sign)
{
        size_t used;
        Fixture f;

        fixture_start(&f);
        used = arena_used(f.arena);
        sign_with(&f, "pkcs1.pem", "pkcs1.jwt");
        sign_with(&f, "pkcs8.pem", "pkcs8.jwt");
        ck_assert_uint_eq(arena_used(f.arena), used);
        fixture_stop(&f);
}
END_TEST

START_TEST(fingerprint_is_openssls)
{
        char ours[JWT_FINGERPRINT_SIZE], theirs[64], path[300];
        Fixture f;

        fixture_start(&f);
        (void)snprintf(path, sizeof(path), "%s/fingerprint", getenv("MCPCRED_TEST_KEYS"));
        {
                _cleanup_(secret_freep) Secret *pem = key_read(&f, "pkcs8.pem");
                FILE *file = fopen(path, "re");

                ck_assert_ptr_nonnull(file);
                ck_assert_int_eq(fscanf(file, "%63s", theirs), 1);
                (void)fclose(file);
                ck_assert_int_eq(jwt_key_fingerprint(pem, f.arena, ours), 0);
                ck_assert_str_eq(ours, theirs);
        }
        fixture_stop(&f);
}
END_TEST

static const struct {
        const char *key;
        int code;
} refused[] = {
        { "pkcs8-encrypted.pem", JWT_E_ENCRYPTED },
        { "pkcs1-encrypted.pem", JWT_E_ENCRYPTED },
        { "ec.pem", JWT_E_NOT_RSA },
        { "ec-pkcs8.pem", JWT_E_NOT_RSA },
        { "ed25519.pem", JWT_E_NOT_RSA },
        { "short.pem", JWT_E_TOO_SHORT },
        { "cut.pem", JWT_E_MALFORMED },
        { "public.pem", JWT_E_MALFORMED },
        { "key.der", JWT_E_MALFORMED },
};

START_TEST(other_keys_are_refused)
{
        _cleanup_(secret_freep) Secret *pem = NULL, *token = NULL;
        char fingerprint[JWT_FINGERPRINT_SIZE];
        Fixture f;

        fixture_start(&f);
        pem = key_read(&f, refused[_i].key);
        ck_assert_int_eq(jwt_sign(pem, ISSUER, NOW, f.arena, &token), refused[_i].code);
        ck_assert_ptr_null(token);
        ck_assert_int_eq(jwt_key_fingerprint(pem, f.arena, fingerprint), refused[_i].code);
        ck_assert_int_gt((int)strlen(jwt_strerror(refused[_i].code)), 10);
        pem = secret_free(pem);
        fixture_stop(&f);
}
END_TEST

START_TEST(issuers_are_checked)
{
        static const char *const bad[] = {
                "", "a b", "1\",\"x\":\"", "\xc3\xa9",
                "0123456789012345678901234567890123456789012345678901234567890123456789"
        };
        Secret *pem, *token = NULL;
        Fixture f;

        fixture_start(&f);
        pem = key_read(&f, "pkcs1.pem");
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_int_eq(jwt_sign(pem, bad[i], NOW, f.arena, &token), JWT_E_ISSUER);
        pem = secret_free(pem);
        fixture_stop(&f);
}
END_TEST

/* A damaged key gives an error or a signature, never a crash; and leaves nothing behind. */
START_TEST(damaged_keys_are_survived)
{
        Secret *pem, *token = NULL;
        size_t capacity, used;
        Fixture f;

        fixture_start(&f);
        pem = key_read(&f, "pkcs1.pem");
        used = arena_used(f.arena);
        for (size_t at = 0; at < secret_size(pem); at += 13) {
                uint8_t *byte = secret_buffer(pem, &capacity) + at;

                *byte ^= 1;
                ck_assert_int_ge(jwt_sign(pem, ISSUER, NOW, f.arena, &token), 0);
                token = secret_free(token);
                *byte ^= 1;
        }
        ck_assert_uint_eq(arena_used(f.arena), used);
        pem = secret_free(pem);
        fixture_stop(&f);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("jwt");
        TCase *tests = tcase_create("jwt");

        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, both_forms_sign);
        tcase_add_test(tests, fingerprint_is_openssls);
        tcase_add_loop_test(tests, other_keys_are_refused, 0, (int)ARRAY_SIZE(refused));
        tcase_add_test(tests, issuers_are_checked);
        tcase_add_test(tests, damaged_keys_are_survived);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
