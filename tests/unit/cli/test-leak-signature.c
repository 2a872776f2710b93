#undef NDEBUG
/* GitHub's documented sample: a signature whose r has a leading zero and whose s is a byte shorter. */
#include "leak_signature.h"
#include "../base/suite.h"
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define KEY_ID "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c"
#define BODY   "[{\"source\":\"commit\",\"token\":\"some_token\",\"type\":\"some_type\",\"url\":\"https://example.com/base-repo-url/\"}]"

static const char key_text[] = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAdAjPuDPRcXU22YxgBrz+zoN19MzuR"
                               "yW87qEt9/AmtoNP5GrobzUvQSyJFVw==";
static const char signature[] = "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4"
                                "xg==";

static char keys[4096];

/* The answer of the API with this key, and another one in front. */
static const char *keys_with(const char *key, const char *id)
{
        int n = snprintf(keys, sizeof(keys),
                         "{\"public_keys\":[{\"key_identifier\":\"other\",\"key\":\"-----BEGIN PUBLIC KEY-----\\n%s\\n-----END "
                         "PUBLIC KEY-----\\n\",\"is_current\":true},{\"key_identifier\":\"%s\",\"key\":\"-----BEGIN PUBLIC "
                         "KEY-----\\n%s\\n-----END PUBLIC KEY-----\\n\",\"is_current\":false}]}",
                         key_text, id, key);

        ck_assert_int_lt(n, (int)sizeof(keys));
        return keys;
}

static int check(const char *body, size_t size, const char *key, const char *sig)
{
        return leak_signature_check(leak_text(body, size), leak_text_of(keys_with(key, KEY_ID)), KEY_ID, sig);
}

START_TEST(githubs_documented_sample_verifies)
{
        ck_assert_uint_eq(strlen(BODY), 104);
        ck_assert_int_eq(check(BODY, strlen(BODY), key_text, signature), 0);
}
END_TEST

START_TEST(a_flipped_bit_of_the_body_does_not)
{
        char body[] = BODY;

        for (size_t bit = 0; bit < 8 * strlen(BODY); bit += 9) {
                body[bit / 8] = (char)(body[bit / 8] ^ (1 << bit % 8));
                ck_assert_int_eq(check(body, strlen(BODY), key_text, signature), LEAK_SIGNATURE_E_FORGED);
                body[bit / 8] = (char)(body[bit / 8] ^ (1 << bit % 8));
        }
        ck_assert_int_eq(check(BODY "\n", strlen(BODY) + 1, key_text, signature), LEAK_SIGNATURE_E_FORGED);
        ck_assert_int_eq(check(BODY, strlen(BODY) - 1, key_text, signature), LEAK_SIGNATURE_E_FORGED);
        ck_assert_int_eq(check("", 0, key_text, signature), LEAK_SIGNATURE_E_FORGED);
}
END_TEST

static size_t decode(const char *text, unsigned char out[256])
{
        size_t n;

        ck_assert_int_eq(sodium_base642bin(out, 256, text, strlen(text), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL), 0);
        return n;
}

static const char *encode(const unsigned char *data, size_t size)
{
        static char text[512];

        return sodium_bin2base64(text, sizeof(text), data, size, sodium_base64_VARIANT_ORIGINAL);
}

START_TEST(a_flipped_bit_of_the_signature_does_not)
{
        unsigned char der[256];
        size_t size = decode(signature, der);
        char text[sizeof(signature)];

        for (size_t bit = 0; bit < 8 * size; bit++) {
                der[bit / 8] ^= (unsigned char)(1 << bit % 8);
                ck_assert_int_eq(check(BODY, strlen(BODY), key_text, encode(der, size)), LEAK_SIGNATURE_E_FORGED);
                der[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        /* Nor is another way to write the same bytes taken. */
        memcpy(text, signature, sizeof(text));
        text[sizeof(text) - 4]++;
        ck_assert_int_eq(check(BODY, strlen(BODY), key_text, text), LEAK_SIGNATURE_E_FORGED);
        for (size_t cut = 0; cut < size; cut++)
                ck_assert_int_eq(check(BODY, strlen(BODY), key_text, encode(der, cut)), LEAK_SIGNATURE_E_FORGED);
        der[size] = 0;
        ck_assert_int_eq(check(BODY, strlen(BODY), key_text, encode(der, size + 1)), LEAK_SIGNATURE_E_FORGED);
        ck_assert_int_eq(check(BODY, strlen(BODY), key_text, ""), LEAK_SIGNATURE_E_FORGED);
        ck_assert_int_eq(check(BODY, strlen(BODY), key_text, "no Base64"), LEAK_SIGNATURE_E_FORGED);
}
END_TEST

START_TEST(a_flipped_bit_of_the_key_does_not)
{
        unsigned char der[256];
        size_t size = decode(key_text, der);

        for (size_t bit = 0; bit < 8 * size; bit++) {
                der[bit / 8] ^= (unsigned char)(1 << bit % 8);
                ck_assert_int_gt(check(BODY, strlen(BODY), encode(der, size), signature), 0);
                der[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
}
END_TEST

/* Made for this test and used for nothing. */
static const char p384[] = "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEhb4kkKHt8i5KPi6D+aO2KjS3S/IGyKBP9PMBX1yl1qOU0yxHnqCH2bhKsSKfOS79"
                           "J1GbjrIcrupjAQ0fP6RkEFklItpkVm3CsN/E0yIk6njTEZLaIwmMbrlQTsuDi3wQ";

START_TEST(keys_that_do_not_help_are_told_apart)
{
        const LeakText body = leak_text_of(BODY);

        ck_assert_int_eq(leak_signature_check(body, leak_text_of(keys_with(key_text, KEY_ID)), "absent", signature),
                         LEAK_SIGNATURE_E_NO_KEY);
        ck_assert_int_eq(leak_signature_check(body, leak_text_of(keys_with(key_text, "other")), "other", signature),
                         LEAK_SIGNATURE_E_KEYS); /* twice */
        ck_assert_int_eq(leak_signature_check(body, leak_text_of("{\"public_keys\":[]}"), KEY_ID, signature),
                         LEAK_SIGNATURE_E_NO_KEY);
        ck_assert_int_eq(leak_signature_check(body, leak_text_of("{\"message\":\"rate limited\"}"), KEY_ID, signature),
                         LEAK_SIGNATURE_E_KEYS);
        ck_assert_int_eq(leak_signature_check(body, leak_text_of("{\"public_keys\":[7]}"), KEY_ID, signature),
                         LEAK_SIGNATURE_E_KEYS);
        ck_assert_int_eq(leak_signature_check(body, leak_text_of(""), KEY_ID, signature), LEAK_SIGNATURE_E_KEYS);
        ck_assert_int_eq(check(BODY, strlen(BODY), p384, signature), LEAK_SIGNATURE_E_KEY_KIND);
        ck_assert_int_eq(check(BODY, strlen(BODY), "AAAA", signature), LEAK_SIGNATURE_E_KEY_KIND);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("signature");

        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, githubs_documented_sample_verifies);
        tcase_add_test(tcase, a_flipped_bit_of_the_body_does_not);
        tcase_add_test(tcase, a_flipped_bit_of_the_signature_does_not);
        tcase_add_test(tcase, a_flipped_bit_of_the_key_does_not);
        tcase_add_test(tcase, keys_that_do_not_help_are_told_apart);
        return suite_run("cli/leak_signature", tcase);
}
