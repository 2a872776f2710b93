#pragma once
/* Whether a profile can be granted with the secret that it names. */
#include "vault/rows_secret.h"
#include "vault/vault.h"

/*
 * What its provider can do, what the profile asks for and where the secret may go have to fit. Fills `ret` (texts
 * are the pool's) or `failure`: NOT_FOUND, UNSUPPORTED, POLICY_DENIED.
 */
bool grant_check(Vault *vault, const ConfigProfile *profile, Pool *pool, SecretRecord *ret, Failure *failure)
        NONNULL(1, 2, 3, 4, 5);
