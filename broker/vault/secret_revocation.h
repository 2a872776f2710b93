#pragma once
/*
 * The death of a secret's own value at its upstream: the old one of a rotation, or one that leaked. It is a lease of
 * kind LEASE_SECRET in the state "revoking", with the value sealed in it, so that the revoker works it off like any
 * other: with back-off, over restarts, until the upstream confirms it.
 */
#include "vault/rows_secret.h"
#include "vault/vault.h"

typedef struct SecretRevocation {
        const SecretRecord *secret; /* provider, base URL and parameters are taken along */
        uint64_t generation;   /* of the value */
        const Secret *value;
        const char *secret_id; /* what the upstream calls it; NULL: it has no name for it */
        uint64_t not_before;   /* wall time, for a grace; 0: now */
        const char *reason;
} SecretRevocation;

/* Whether a value may be stored: not while its death is under way, which would come to the one in use. */
bool secret_revocation_allows(Vault *vault, const Secret *value, Failure *failure) NODISCARD NONNULL(1, 2, 3);
/* In the transaction that is open; revoker_wake() behind the commit. `ret_lease` gets its id. DB_E_*. */
int secret_revocation_insert(Vault *vault, const SecretRevocation *revocation, char ret_lease[IDENT_ID_SIZE + 1]) NODISCARD
        NONNULL(1, 2, 3);
