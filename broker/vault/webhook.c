#include "vault/webhook.h"
#include "base/text.h"
#include <sodium.h>
#include <string.h>

#define MAC_SIZE crypto_auth_hmacsha256_BYTES

struct Webhook {
        Secret *state; /* crypto_auth_hmacsha256_state: of it the key's halves can be told */
};

static crypto_auth_hmacsha256_state *state_of(Webhook *webhook)
{
        size_t capacity;

        _Static_assert(_Alignof(crypto_auth_hmacsha256_state) <= 64, "the arena's alignment");
        return (crypto_auth_hmacsha256_state *)(void *)secret_buffer(webhook->state, &capacity);
}

static int from_secret(int r)
{
        return r > 0 ? WEBHOOK_E_FULL : r;
}

static int begin(Webhook *webhook, Arena *arena, WebhookScheme scheme, const Secret *key, const char *timestamp)
{
        _cleanup_(secret_freep) Secret *whole = NULL;
        Slice prefix = scheme == WEBHOOK_GITGUARDIAN ? slice_text(timestamp) : slice("", 0);
        int r;

        r = secret_new(&webhook->state, arena, sizeof(crypto_auth_hmacsha256_state));
        if (r == 0)
                r = secret_new(&whole, arena, prefix.size + secret_size(key) + 1);
        if (r == 0)
                r = secret_append(whole, prefix);
        if (r == 0)
                r = secret_append(whole, secret_slice(key));
        if (r)
                return from_secret(r);
        (void)crypto_auth_hmacsha256_init(state_of(webhook), secret_slice(whole).data, secret_size(whole));
        secret_set_size(webhook->state, sizeof(crypto_auth_hmacsha256_state));
        return 0;
}

int webhook_new(Webhook **ret, Arena *arena, WebhookScheme scheme, const Secret *key, const char *timestamp)
{
        _cleanup_(webhook_freep) Webhook *webhook = calloc(1, sizeof(*webhook));
        int r;

        if (!webhook)
                return -ENOMEM;
        r = begin(webhook, arena, scheme, key, timestamp);
        if (r == 0)
                *ret = take_ptr(webhook);
        return r;
}

Webhook *webhook_free(Webhook *webhook)
{
        if (webhook) {
                secret_free(webhook->state);
                free(webhook);
        }
        return NULL;
}

void webhook_update(Webhook *webhook, Slice part)
{
        (void)crypto_auth_hmacsha256_update(state_of(webhook), part.data, part.size);
}

bool webhook_matches(Webhook *webhook, const char *signature)
{
        static const char prefix[] = "sha256=";
        uint8_t ours[MAC_SIZE], theirs[MAC_SIZE];
        bool matches = false;

        (void)crypto_auth_hmacsha256_final(state_of(webhook), ours);
        if (strncmp(signature, prefix, strlen(prefix)) == 0 &&
            text_unhex(signature + strlen(prefix), theirs, sizeof(theirs)) == 0)
                matches = sodium_memcmp(ours, theirs, sizeof(ours)) == 0;
        sodium_memzero(ours, sizeof(ours));
        return matches;
}
