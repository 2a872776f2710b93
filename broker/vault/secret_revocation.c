#include "vault/secret_revocation.h"
#include "vault/rows_lease.h"
#include <stdio.h>

bool secret_revocation_allows(Vault *vault, const Secret *value, Failure *failure)
{
        uint8_t hash[SEAL_HASH_SIZE];
        bool ending = false;
        int r = DB_E_SEALED;

        if (vault->seal) {
                seal_token_hash(vault->seal, secret_slice(value), hash);
                r = rows_lease_is_ending_secret(vault->db, hash, &ending);
        }
        if (vault_db_failed(vault, r, failure))
                return false;
        if (ending)
                failure_set(failure, FAULT_INVALID_PARAMETER,
                            "This value was given up before, and the upstream will be asked to revoke it; that cannot be taken "
                            "back. Make a new one.");
        return !ending;
}

int secret_revocation_insert(Vault *vault, const SecretRevocation *revocation, char ret_lease[IDENT_ID_SIZE + 1])
{
        const SecretRecord *secret = revocation->secret;
        uint8_t hash[SEAL_HASH_SIZE];
        LeaseUpstream upstream = { .base_url = secret->base_url, .parameters = secret->parameters };
        LeaseToken token = {
                .hash = slice(hash, sizeof(hash)),
                .value = revocation->value,
                .upstream_id = revocation->secret_id,
                .expires = UINT64_MAX, /* it does not die by itself: the upstream is asked until it confirms */
        };
        LeaseRecord lease = {
                .kind = LEASE_SECRET,
                .generation = revocation->generation,
                .state = LEASE_REVOKING,
                .outcome = OUTCOME_PENDING,
                .on_end = OUTCOME_PENDING,
                .created = vault_now(vault),
                .ended = vault_now(vault),
                .next_attempt = MAX(revocation->not_before, vault_now(vault)),
        };
        int r;

        if (!vault->seal)
                return DB_E_SEALED;
        seal_token_hash(vault->seal, secret_slice(revocation->value), hash);
        (void)snprintf(lease.id, sizeof(lease.id), "%s", ident_new('l').text);
        (void)snprintf(lease.secret, sizeof(lease.secret), "%s", secret->name);
        (void)snprintf(lease.provider, sizeof(lease.provider), "%s", secret->provider);
        (void)snprintf(lease.reason, sizeof(lease.reason), "%s", revocation->reason);
        r = rows_lease_insert(vault->db, &lease, &upstream, &token);
        if (r == 0)
                (void)snprintf(ret_lease, sizeof(lease.id), "%s", lease.id);
        return r;
}
