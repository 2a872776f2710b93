#include "support.h"
#include <sodium.h>

static const SealPlace place = { "lease", "l-1", "token" };

static void seal_text(const Fixture *f, const char *text, Buf *out)
{
        ck_assert_int_eq(seal_encrypt(f->seal, place, slice_text(text), out), 0);
}

START_TEST(value_comes_back)
{
        _cleanup_(buf_deinit) Buf sealed = BUF_NULL(4096), plain = BUF_NULL(4096);
        _cleanup_(secret_freep) Secret *secret = NULL;
        Fixture f;

        fixture_start(&f);
        seal_text(&f, "value", &sealed);
        ck_assert_uint_eq(sealed.size, 5 + SEAL_OVERHEAD);
        ck_assert_int_eq(seal_decrypt(f.seal, place, buf_slice(&sealed), &plain), 0);
        ck_assert(slice_is_text(buf_slice(&plain), "value"));
        ck_assert_int_eq(seal_decrypt_secret(f.seal, place, buf_slice(&sealed), f.arena, &secret),
                         0);
        ck_assert(secret_equal(secret, slice_text("value")));
        secret = secret_free(secret);
        fixture_stop(&f);
}
END_TEST

START_TEST(moved_value_does_not_open)
{
        static const SealPlace others[] = {
                { "lease", "l-2", "token" },
                { "lease", "l-1", "upstream" },
                { "session", "l-1", "token" },
                { "leasel", "-1", "token" }, /* the same letters, cut elsewhere */
        };
        _cleanup_(buf_deinit) Buf sealed = BUF_NULL(4096), plain = BUF_NULL(4096);
        Fixture f;

        fixture_start(&f);
        seal_text(&f, "value", &sealed);
        for (size_t i = 0; i < ARRAY_SIZE(others); i++)
                ck_assert_int_eq(seal_decrypt(f.seal, others[i], buf_slice(&sealed), &plain),
                                 SEAL_E_DAMAGED);
        ck_assert_uint_eq(plain.size, 0);
        fixture_stop(&f);
}
END_TEST

START_TEST(any_change_does_not_open)
{
        _cleanup_(buf_deinit) Buf sealed = BUF_NULL(4096), plain = BUF_NULL(4096);
        _cleanup_(secret_freep) Secret *secret = NULL;
        Fixture f;

        fixture_start(&f);
        seal_text(&f, "some longer value", &sealed);
        for (size_t i = 0; i < sealed.size * 8; i++) {
                sealed.data[i / 8] ^= (uint8_t)(1U << i % 8);
                ck_assert_int_eq(seal_decrypt(f.seal, place, buf_slice(&sealed), &plain),
                                 SEAL_E_DAMAGED);
                sealed.data[i / 8] ^= (uint8_t)(1U << i % 8);
        }
        for (size_t n = 0; n < sealed.size; n++)
                ck_assert_int_eq(
                        seal_decrypt_secret(f.seal, place, slice(sealed.data, n), f.arena, &secret),
                        SEAL_E_DAMAGED);
        ck_assert_ptr_null(secret);
        fixture_stop(&f);
}
END_TEST

START_TEST(another_root_key_does_not_open)
{
        _cleanup_(buf_deinit) Buf sealed = BUF_NULL(4096), plain = BUF_NULL(4096);
        _cleanup_(secret_freep) Secret *root = NULL, *short_root = NULL;
        _cleanup_(seal_freep) Seal *other = NULL;
        Fixture f;

        fixture_start(&f);
        seal_text(&f, "value", &sealed);
        ck_assert_int_eq(seal_root_new(&root, f.arena), 0);
        ck_assert_uint_eq(secret_size(root), SEAL_ROOT_SIZE);
        ck_assert_int_eq(seal_new(&other, f.arena, root), 0);
        ck_assert_int_eq(seal_decrypt(other, place, buf_slice(&sealed), &plain), SEAL_E_DAMAGED);
        other = seal_free(other);
        ck_assert_int_eq(secret_from_bytes(&short_root, f.arena, slice(sealed.data, 31)), 0);
        ck_assert_int_eq(seal_new(&other, f.arena, short_root), SEAL_E_ROOT);
        root = secret_free(root);
        short_root = secret_free(short_root);
        fixture_stop(&f);
}
END_TEST

/* SHA-256 of "abc": FIPS 180-4's example. */
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

START_TEST(token_is_found_by_value_and_by_hash)
{
        uint8_t by_value[SEAL_HASH_SIZE], by_hash[SEAL_HASH_SIZE];
        char hex[SEAL_SHA256_HEX_SIZE], upper[] = ABC;
        Fixture f;

        fixture_start(&f);
        seal_sha256_hex(slice_text("abc"), hex);
        ck_assert_str_eq(hex, ABC);
        seal_token_hash(f.seal, slice_text("abc"), by_value);
        ck_assert_int_eq(seal_token_hash_hex(f.seal, hex, by_hash), 0);
        ck_assert_mem_eq(by_value, by_hash, sizeof(by_hash));
        for (size_t i = 0; upper[i]; i++)
                if (upper[i] >= 'a')
                        upper[i] = (char)(upper[i] - 32);
        ck_assert_int_eq(seal_token_hash_hex(f.seal, upper, by_hash), 0);
        ck_assert_mem_eq(by_value, by_hash, sizeof(by_hash));
        ck_assert_int_eq(seal_token_hash_hex(f.seal, hex + 1, by_hash), SEAL_E_HEX);
        hex[7] = 'g';
        ck_assert_int_eq(seal_token_hash_hex(f.seal, hex, by_hash), SEAL_E_HEX);
        ck_assert_int_eq(seal_token_hash_hex(f.seal, "", by_hash), SEAL_E_HEX);
        fixture_stop(&f);
}
END_TEST

/* The format, computed apart: what is stored must mean the same in the next version. */
START_TEST(hashes_are_as_documented)
{
        uint8_t root[SEAL_ROOT_SIZE] = { 1, 2, 3 }, key[32], sha[32], expected[32], got[32],
                audit[16];
        char text[SEAL_AUDIT_HASH_SIZE], by_hex[SEAL_AUDIT_HASH_SIZE], hex[33], sha_hex[SEAL_SHA256_HEX_SIZE];
        Fixture f;

        fixture_start(&f);
        crypto_hash_sha256(sha, (const uint8_t *)"abc", 3);
        crypto_kdf_derive_from_key(key, sizeof(key), 2, "tokhash_", root);
        crypto_generichash(expected, sizeof(expected), sha, sizeof(sha), key, sizeof(key));
        seal_token_hash(f.seal, slice_text("abc"), got);
        ck_assert_mem_eq(got, expected, sizeof(got));
        crypto_kdf_derive_from_key(key, sizeof(key), 3, "auditkey", root);
        crypto_generichash(audit, sizeof(audit), sha, sizeof(sha), key, sizeof(key));
        seal_audit_hash(f.seal, slice_text("abc"), text);
        sodium_bin2hex(hex, sizeof(hex), audit, sizeof(audit));
        ck_assert_int_eq(strncmp(text, "blake2b:", 8), 0);
        ck_assert_str_eq(text + 8, hex);
        seal_sha256_hex(slice_text("abc"), sha_hex);
        ck_assert_int_eq(seal_audit_hash_hex(f.seal, sha_hex, by_hex), 0);
        ck_assert_str_eq(by_hex, text);
        sha_hex[63] = 'g';
        ck_assert_int_eq(seal_audit_hash_hex(f.seal, sha_hex, by_hex), SEAL_E_HEX);
        fixture_stop(&f);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("seal");
        TCase *tests = tcase_create("seal");

        tcase_add_test(tests, value_comes_back);
        tcase_add_test(tests, moved_value_does_not_open);
        tcase_add_test(tests, any_change_does_not_open);
        tcase_add_test(tests, another_root_key_does_not_open);
        tcase_add_test(tests, token_is_found_by_value_and_by_hash);
        tcase_add_test(tests, hashes_are_as_documented);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
