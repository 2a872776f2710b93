#include "vault/revoke_attempt.h"
#include "base/text.h"
#include "vault/revoke_many.h"
#include "vault/secret_load.h"

#define POOL_MAX (2U * CHANNEL_FRAME_MAX)

typedef struct Attempt {
        Vault *vault;
        LeaseRecord lease;
        Pool pool;
        LeaseUpstream binding; /* the pool's */
        Secret *value;         /* NULL: it is not known any more */
        RevokeAttemptDone done;
        void *userdata;
} Attempt;

static int finish(Attempt *attempt, const Failure *failure)
{
        RevokeAnswer answer = { .failures = failure, .upstream = failure };
        int r = attempt->done(attempt->userdata, &answer);

        secret_free(attempt->value);
        pool_deinit(&attempt->pool);
        free(attempt);
        return r;
}

/* A confirmation is a probe that was refused; asking once more does no harm. */
static int on_revoked(void *userdata, void *body, const Failure *failure)
{
        const ProviderRevokeReply *reply = body;
        Failure mine = *failure;

        if (!failed(&mine) && !reply->probed)
                failure_set(&mine, FAULT_UPSTREAM_UNKNOWN,
                            "The upstream took the revocation, but could not be asked whether it refuses the token.");
        return finish(userdata, &mine);
}

static int ask(Attempt *attempt, ProviderMethod method, const void *request)
{
        return provider_pool_run(attempt->vault->providers, attempt->lease.provider, method, request, on_revoked,
                                 attempt);
}

static Upstream upstream_of(const Attempt *attempt)
{
        return (Upstream){
                .provider = attempt->lease.provider,
                .base_url = attempt->binding.base_url,
                .parameters = attempt->binding.parameters,
        };
}

static const char *upstream_id(const Attempt *attempt)
{
        return attempt->lease.upstream_id[0] ? attempt->lease.upstream_id : NULL;
}

static int ask_of_token(Attempt *attempt)
{
        Upstream upstream = upstream_of(attempt);
        ProviderRevokeRequest request = {
                .upstream = &upstream,
                .token = attempt->value,
                .upstream_id = upstream_id(attempt),
        };

        return ask(attempt, PROVIDER_REVOKE, &request);
}

/* `proof` NULL: the value alone has to do. */
static int ask_of_secret(Attempt *attempt, Secret *proof)
{
        Upstream upstream = upstream_of(attempt);
        ProviderRevokeSecretRequest request = {
                .upstream = &upstream,
                .secret = attempt->value,
                .secret_id = upstream_id(attempt),
        };

        upstream.proof = proof;
        return ask(attempt, PROVIDER_REVOKE_SECRET, &request);
}

/* What is stored under the name now may be another upstream's, and must not go to this one. */
static bool is_same_upstream(const Attempt *attempt, const SecretRecord *record)
{
        return strcmp(record->provider, attempt->lease.provider) == 0 &&
               text_is_same(record->base_url, attempt->binding.base_url);
}

static int on_loaded(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        Attempt *attempt = userdata;
        _cleanup_(secret_freep) Secret *proof = NULL;
        Failure mine = *failure;

        if (mine.fault == FAULT_NOT_FOUND)
                return ask_of_secret(attempt, NULL);
        if (failed(&mine))
                return finish(attempt, &mine);
        if (is_same_upstream(attempt, &secret->record) &&
            !secret_proof(attempt->vault, secret->info, &secret->record.parameters, secret->item.current, &proof,
                          &mine))
                return finish(attempt, &mine);
        return ask_of_secret(attempt, proof);
}

static int begin_secret(Attempt *attempt)
{
        const ProviderInfo *info = provider_info(attempt->lease.provider);
        Failure failure;

        if (!info || !info->can_revoke_secret) {
                failure_set(&failure, FAULT_UNSUPPORTED, "This build cannot end a secret of provider %s.",
                            attempt->lease.provider);
                return finish(attempt, &failure);
        }
        if (info->proof == PROVIDER_PROOF_NONE)
                return ask_of_secret(attempt, NULL);
        return secret_load(attempt->vault, attempt->lease.secret, on_loaded, attempt);
}

static bool takes_many(const LeaseRecord *lease)
{
        const ProviderInfo *info = provider_info(lease->provider);

        return lease->kind == LEASE_SECRET && info && info->revoke_together > 0;
}

static int ask_alone(Vault *vault, const LeaseRecord *lease, RevokeAttemptDone done, void *userdata)
{
        Attempt *attempt = calloc(1, sizeof(*attempt));
        Failure failure = { 0 };
        int r;

        if (!attempt)
                return -ENOMEM;
        attempt->vault = vault;
        attempt->lease = *lease;
        attempt->pool = POOL_NULL(POOL_MAX);
        attempt->done = done;
        attempt->userdata = userdata;
        r = rows_lease_upstream(vault->db, lease->id, &attempt->pool, &attempt->binding);
        if (r == 0)
                r = rows_lease_token(vault->db, lease->id, vault->role.arena, &attempt->value);
        if (r == DB_E_NOT_FOUND && upstream_id(attempt))
                r = 0;
        if (vault_db_failed(vault, r, &failure))
                return finish(attempt, &failure);
        return lease->kind == LEASE_SECRET ? begin_secret(attempt) : ask_of_token(attempt);
}

size_t revoke_attempt_together(Vault *vault, LeaseRecord *leases, size_t n)
{
        return takes_many(&leases[0]) ? revoke_many_fitting(vault, leases, n) : 1;
}

int revoke_attempt(Vault *vault, const RevokeQuestion *question, RevokeAttemptDone done, void *userdata)
{
        return takes_many(question->leases) ? revoke_many(vault, question, done, userdata)
                                            : ask_alone(vault, question->leases, done, userdata);
}
