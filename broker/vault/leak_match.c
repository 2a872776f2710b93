#include "vault/leak_match.h"
#include "vault/known_values.h"
#include <stdio.h>

/* Of LeaseKind, as reports name it. A stored key that is in use is a secret. */
static const char *const kinds[_LEASE_KIND_N] = {
        [LEASE_CREDENTIAL] = "credential",
        [LEASE_HANDLE] = "handle",
        [LEASE_STORED] = "secret",
        [LEASE_SECRET] = "secret",
        [LEASE_CANARY] = "canary",
};

static int find_secrets(Vault *vault, const uint8_t hash[SEAL_HASH_SIZE], LeakFound *ret, size_t *ret_n)
{
        SecretValueRecord values[SECRET_VALUE_SHARED_MAX];
        int r = rows_secret_value_find(vault->db, hash, values, ret_n);

        for (size_t i = 0; r == 0 && i < *ret_n; i++) {
                Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
                SecretRecord record;

                r = rows_secret_get(vault->db, values[i].secret, &pool, &record);
                ret[i] = (LeakFound){
                        .kind = "secret",
                        .state = known_values_state(&values[i], r == 0 ? &record : NULL),
                        .generation = values[i].generation,
                        .issued = values[i].noted,
                };
                memcpy(ret[i].secret, values[i].secret, sizeof(ret[i].secret));
                pool_deinit(&pool);
                if (r == DB_E_NOT_FOUND)
                        r = 0;
        }
        return r;
}

void leak_found_lease(const LeaseRecord *lease, LeakFound *ret)
{
        *ret = (LeakFound){
                .kind = kinds[lease->kind],
                .state = lease_state_names[lease->state],
                .generation = lease->generation,
                .issued = lease->created,
        };
        (void)snprintf(ret->secret, sizeof(ret->secret), "%s", lease->secret);
        (void)snprintf(ret->profile, sizeof(ret->profile), "%s", lease->profile);
        (void)snprintf(ret->session, sizeof(ret->session), "%s", lease->session);
        (void)snprintf(ret->lease, sizeof(ret->lease), "%s", lease->id);
}

static int find_leases(Vault *vault, const uint8_t hash[SEAL_HASH_SIZE], LeakFound *ret, size_t *ret_n)
{
        Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);
        LeaseRecord *leases, last;
        size_t n = 0;
        int r;

        r = rows_lease_list_by_token(vault->db, hash, 0, LEAK_MATCHES_MAX, &pool, &leases, &n);
        for (size_t i = 0; r == 0 && i < n; i++)
                leak_found_lease(&leases[i], &ret[i]);
        pool_deinit(&pool);
        if (r == 0 && n == 0) {
                r = rows_lease_get_by_token(vault->db, hash, &last);
                if (r == 0)
                        leak_found_lease(&last, &ret[n++]);
                else if (r == DB_E_NOT_FOUND)
                        r = 0;
        }
        *ret_n = n;
        return r;
}

int leak_match(Vault *vault, const uint8_t hash[SEAL_HASH_SIZE], LeakFound ret[LEAK_MATCHES_MAX], size_t *ret_n)
{
        int r = find_secrets(vault, hash, ret, ret_n);

        return r || *ret_n > 0 ? r : find_leases(vault, hash, ret, ret_n);
}
