#pragma once
/*
 * The signature of a webhook's body, HMAC-SHA256 with a stored key. The body goes through in parts and is not kept.
 */
#include "base/secret.h"
#include "wire/msg_broker.h"

/* GitHub sends at most 25 MB; a body beyond this is none. */
#define WEBHOOK_BODY_MAX (32U * 1024U * 1024U)

typedef struct Webhook Webhook;

enum {
        _WEBHOOK_E_SUCCESS,
        WEBHOOK_E_FULL, /* the arena has no room */
};

/* `timestamp` belongs to WEBHOOK_GITGUARDIAN, whose key begins with it, and is "" otherwise. Everything secret of it
 * lives in the arena. WEBHOOK_E_FULL or -ENOMEM. */
int webhook_new(Webhook **ret, Arena *arena, WebhookScheme scheme, const Secret *key, const char *timestamp) NODISCARD
        NONNULL(1, 2, 4, 5);
/* Wipes. */
Webhook *webhook_free(Webhook *webhook);
void webhook_update(Webhook *webhook, Slice part) NONNULL(1);
/* Whether the header's value, "sha256=" and 64 hex digits, is the signature of what went through; compared in constant
 * time. Once. */
bool webhook_matches(Webhook *webhook, const char *signature) NODISCARD NONNULL(1, 2);

DEFINE_CLEANUP(Webhook *, webhook_free);
