#undef NDEBUG
#include "vault/webhook.h"
#include "../base/suite.h"
#include <sodium.h>
#include <string.h>

/* GitHub's documented sample. */
#define KEY       "It's a Secret to Everybody"
#define BODY      "Hello, World!"
#define SIGNATURE "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

static Arena *arena;

static void setup(void)
{
        ck_assert_int_ge(sodium_init(), 0);
        ck_assert_int_eq(arena_new(&arena, 64U * 1024U), 0);
}

static void teardown(void)
{
        ck_assert_uint_eq(arena_used(arena), 0);
        arena = arena_free(arena);
}

static bool matches(WebhookScheme scheme, const char *timestamp, const char *key, const char *body, const char *signature)
{
        _cleanup_(secret_freep) Secret *secret = NULL;
        _cleanup_(webhook_freep) Webhook *webhook = NULL;

        ck_assert_int_eq(secret_from_bytes(&secret, arena, slice(key, strlen(key))), 0);
        ck_assert_int_eq(webhook_new(&webhook, arena, scheme, secret, timestamp), 0);
        for (size_t i = 0; i < strlen(body); i++) /* in parts */
                webhook_update(webhook, slice(body + i, 1));
        return webhook_matches(webhook, signature);
}

START_TEST(githubs_documented_sample_verifies)
{
        ck_assert(matches(WEBHOOK_GITHUB, "", KEY, BODY, SIGNATURE));
}
END_TEST

START_TEST(a_flipped_bit_does_not)
{
        char body[] = BODY, key[] = KEY, signature[] = SIGNATURE;

        for (size_t bit = 0; bit < 8 * strlen(BODY); bit++) {
                body[bit / 8] = (char)(body[bit / 8] ^ (1 << bit % 8));
                if (body[bit / 8])
                        ck_assert(!matches(WEBHOOK_GITHUB, "", KEY, body, SIGNATURE));
                body[bit / 8] = (char)(body[bit / 8] ^ (1 << bit % 8));
        }
        for (size_t bit = 0; bit < 8 * strlen(KEY); bit++) {
                key[bit / 8] = (char)(key[bit / 8] ^ (1 << bit % 8));
                if (key[bit / 8])
                        ck_assert(!matches(WEBHOOK_GITHUB, "", key, BODY, SIGNATURE));
                key[bit / 8] = (char)(key[bit / 8] ^ (1 << bit % 8));
        }
        for (size_t at = 0; at < strlen(SIGNATURE); at++) {
                signature[at] = signature[at] == '0' ? '1' : '0';
                ck_assert(!matches(WEBHOOK_GITHUB, "", KEY, BODY, signature));
                signature[at] = SIGNATURE[at];
                signature[at + 1] = '\0';
                ck_assert_int_eq(matches(WEBHOOK_GITHUB, "", KEY, BODY, signature), at + 1 == strlen(SIGNATURE));
                signature[at + 1] = SIGNATURE[at + 1];
        }
        ck_assert(!matches(WEBHOOK_GITHUB, "", KEY, BODY, SIGNATURE "00"));
        ck_assert(!matches(WEBHOOK_GITHUB, "", KEY, BODY, ""));
}
END_TEST

/* HMAC with the key "1700000000" KEY, by another implementation. */
START_TEST(gitguardians_key_begins_with_the_timestamp)
{
        static const char expected[] = "sha256=a0f9c411746115f8d3f26c44825fb97c8749ecbcff6a27dd423b3ee912455fdc";

        ck_assert(matches(WEBHOOK_GITGUARDIAN, "1700000000", KEY, BODY, expected));
        ck_assert(!matches(WEBHOOK_GITGUARDIAN, "1700000001", KEY, BODY, expected));
        ck_assert(!matches(WEBHOOK_GITHUB, "1700000000", KEY, BODY, expected));
        ck_assert(!matches(WEBHOOK_GITGUARDIAN, "1700000000", KEY, BODY, SIGNATURE));
}
END_TEST

START_TEST(a_full_arena_is_said)
{
        _cleanup_(secret_freep) Secret *key = NULL;
        _cleanup_(secret_freep) Secret *rest = NULL;
        Webhook *webhook = NULL;

        ck_assert_int_eq(secret_from_bytes(&key, arena, slice_text(KEY)), 0);
        for (size_t size = 64U * 1024U; !rest; size -= 64)
                (void)!secret_new(&rest, arena, size);
        ck_assert_int_eq(webhook_new(&webhook, arena, WEBHOOK_GITHUB, key, ""), WEBHOOK_E_FULL);
        ck_assert_ptr_null(webhook);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("webhook");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, githubs_documented_sample_verifies);
        tcase_add_test(tcase, a_flipped_bit_does_not);
        tcase_add_test(tcase, gitguardians_key_begins_with_the_timestamp);
        tcase_add_test(tcase, a_full_arena_is_said);
        return suite_run("vault/webhook", tcase);
}
