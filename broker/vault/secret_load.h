#pragma once
/* One secret, out of the keyring and checked against the state. */
#include "vault/rows_secret.h"
#include "vault/secret_item.h"
#include "vault/vault.h"
#include "wire/provider_info.h"

typedef struct LoadedSecret {
        SecretRecord record;
        const ProviderInfo *info;
        SecretItem item; /* values can be taken out */
        Pool pool;
} LoadedSecret;

/* `secret` is valid during the callback, NULL with a failure: NOT_FOUND, ROLLBACK (the keyring has
 * another generation or binding than the state, or no item), STORE_DAMAGED, KEYRING_*. */
typedef int (*SecretLoadDone)(void *userdata, LoadedSecret *secret, const Failure *failure);

int secret_load(Vault *vault, const char *name, SecretLoadDone done, void *userdata) NODISCARD
        NONNULL(1, 2, 3);
/*
 * What proves to the upstream that we may ask, made from `value` (the current one, or the next of a
 * rotation) in the way that `info->proof` names. The caller's; NULL where the provider takes none. False
 * with `failure`.
 */
bool secret_proof(Vault *vault, const ProviderInfo *info, const TextMap *parameters, const Secret *value,
                  Secret **ret, Failure *failure) NONNULL(1, 2, 3, 4, 5, 6);
/* Whether the value has the form that the provider's secrets have. */
bool secret_value_is_valid(const ProviderInfo *info, const Secret *value, Arena *arena, Failure *failure)
        NONNULL(1, 2, 3, 4);
