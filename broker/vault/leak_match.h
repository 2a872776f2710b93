#pragma once
/* What a candidate is that was reported as leaked, found by its hash: only what was issued or is stored here counts. */
#include "vault/rows_lease.h"
#include "vault/rows_secret_value.h"
#include "vault/vault.h"

/* More live leases of one value are not told one by one. */
#define LEAK_MATCHES_MAX LIMIT_PAGE

typedef struct LeakFound {
        const char *kind;  /* "secret", "credential", "handle", "canary" */
        const char *state; /* of the lease, or which value of the secret it is */
        char secret[LIMIT_NAME + 1];
        char profile[LIMIT_NAME + 1];       /* "" of a secret */
        char session[IDENT_ID_SIZE + 1];    /* "" of a secret */
        char lease[IDENT_ID_SIZE + 1];      /* "" of a secret */
        uint64_t generation;
        uint64_t issued; /* wall time; 0: not known */
} LeakFound;

/*
 * The secrets that have or had the value; if there are none, the live leases of it, or else the last lease. A stored
 * key that is in use is found as a secret alone: what is done about that covers its leases. `hash` is that of
 * seal_token_hash_hex(). Up to LEAK_MATCHES_MAX. DB_E_*.
 */
int leak_match(Vault *vault, const uint8_t hash[SEAL_HASH_SIZE], LeakFound ret[LEAK_MATCHES_MAX], size_t *ret_n)
        NODISCARD NONNULL(1, 4);
/* What is known of one lease. */
void leak_found_lease(const LeaseRecord *lease, LeakFound *ret) NONNULL(1, 2);
