#include "vault/revoke_many.h"
#include "base/text.h"
#include "wire/provider_info.h"

#define POOL_MAX (2U * CHANNEL_FRAME_MAX)
/* Bytes of values in one call, the first one aside: a good part of a frame, and of the provider process's arena. */
#define VALUES_MAX (CHANNEL_FRAME_MAX / 4U)

typedef struct Many {
        Vault *vault;
        Pool pool;
        LeaseUpstream binding; /* the pool's */
        const char *provider;
        ProviderSecretValue values[LIMIT_TOGETHER];
        Failure failures[LIMIT_TOGETHER];
        size_t n;
        RevokeAttemptDone done;
        void *userdata;
} Many;

/* 0 or DB_E_*, -errno. */
static int load(Vault *vault, const LeaseRecord *lease, Pool *pool, LeaseUpstream *ret_binding, Secret **ret_value)
{
        int r = rows_lease_upstream(vault->db, lease->id, pool, ret_binding);

        return r ? r : rows_lease_token(vault->db, lease->id, vault->role.arena, ret_value);
}

/* What cannot be read goes alone, so that it is in nobody's way. */
static bool fits(Vault *vault, const LeaseRecord *lease, const LeaseUpstream *first, size_t *bytes)
{
        _cleanup_(secret_freep) Secret *value = NULL;
        Pool pool = POOL_NULL(POOL_MAX);
        LeaseUpstream binding;
        bool fit = lease->kind == LEASE_SECRET && load(vault, lease, &pool, &binding, &value) == 0 &&
                   text_is_same(binding.base_url, first->base_url) && secret_slice(value).size <= VALUES_MAX - *bytes;

        if (fit)
                *bytes += secret_slice(value).size;
        pool_deinit(&pool);
        return fit;
}

static void swap(LeaseRecord *a, LeaseRecord *b)
{
        LeaseRecord third = *a;

        *a = *b;
        *b = third;
}

size_t revoke_many_fitting(Vault *vault, LeaseRecord *leases, size_t n)
{
        size_t most = provider_info(leases[0].provider)->revoke_together, bytes = 0, taken = 1;
        Pool pool = POOL_NULL(POOL_MAX);
        _cleanup_(secret_freep) Secret *value = NULL;
        LeaseUpstream first;

        if (load(vault, &leases[0], &pool, &first, &value) == 0)
                for (size_t i = 1; i < n && taken < most; i++)
                        if (fits(vault, &leases[i], &first, &bytes))
                                swap(&leases[taken++], &leases[i]);
        pool_deinit(&pool);
        return taken;
}

/* `calls`: that counted. */
static int finish(Many *many, const Failure *upstream, uint64_t calls)
{
        RevokeAnswer answer = { .failures = many->failures, .upstream = upstream, .calls = calls };
        int r = many->done(many->userdata, &answer);

        for (size_t i = 0; i < many->n; i++)
                secret_free(many->values[i].secret);
        pool_deinit(&many->pool);
        free(many);
        return r;
}

/* The same for all of them. */
static int fail(Many *many, const Failure *failure, uint64_t calls)
{
        for (size_t i = 0; i < many->n; i++)
                many->failures[i] = *failure;
        return finish(many, failure, calls);
}

static void tell(const Many *many, ProviderEnd end, Failure *failure)
{
        switch (end) {
        case PROVIDER_END_DEAD:
                break;
        case PROVIDER_END_TAKEN:
                failure_set(failure, FAULT_UPSTREAM_UNKNOWN,
                            "The upstream took the revocation, but was not seen to refuse the value yet.");
                break;
        case PROVIDER_END_REFUSED:
                failure_set(failure, FAULT_UPSTREAM_DENIED,
                            "%s: it is not taken as a value that can be revoked; delete it in its settings.",
                            provider_info(many->provider)->title);
                break;
        case PROVIDER_END_OPEN:
                failure_set(failure, FAULT_UPSTREAM_RATE_LIMITED,
                            "The upstream refused a list that has this value, and cannot be asked about its parts yet.");
                break;
        }
}

static int on_revoked(void *userdata, void *body, const Failure *failure)
{
        Many *many = userdata;
        const ProviderRevokeSecretsReply *reply = body;
        const ProviderSecretEnd *ends;
        Failure mine;

        if (failed(failure))
                return fail(many, failure, 1); /* perhaps */
        if (reply->ends.n != many->n) {
                failure_set(&mine, FAULT_UPSTREAM_UNKNOWN, "The provider process's answer is of another list.");
                return fail(many, &mine, 1);
        }
        ends = reply->ends.items;
        for (size_t i = 0; i < many->n; i++)
                tell(many, (ProviderEnd)ends[i].end, &many->failures[i]);
        return finish(many, failure, reply->calls);
}

static int ask(Many *many, uint64_t calls_max)
{
        Upstream upstream = { .provider = many->provider, .base_url = many->binding.base_url };
        ProviderRevokeSecretsRequest request = {
                .upstream = &upstream,
                .secrets = { many->values, many->n },
                .calls_max = calls_max,
        };

        return provider_pool_run(many->vault->providers, many->provider, PROVIDER_REVOKE_SECRETS, &request, on_revoked,
                                 many);
}

int revoke_many(Vault *vault, const RevokeQuestion *question, RevokeAttemptDone done, void *userdata)
{
        Many *many = calloc(1, sizeof(*many));
        Failure failure;
        int r = 0;

        if (!many)
                return -ENOMEM;
        *many = (Many){
                .vault = vault,
                .pool = POOL_NULL(POOL_MAX),
                .provider = provider_info(question->leases[0].provider)->name,
                .n = question->n,
                .done = done,
                .userdata = userdata,
        };
        /* The binding is that of the last, as that of each. */
        for (size_t i = 0; r == 0 && i < many->n; i++)
                r = load(vault, &question->leases[i], &many->pool, &many->binding, &many->values[i].secret);
        return vault_db_failed(vault, r, &failure) ? fail(many, &failure, 0) : ask(many, question->calls_max);
}
