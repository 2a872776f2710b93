#include "egress/grant.h"
#include "egress/inject.h"

/* Rules and hosts at their limits. */
#define POOL_MAX (512U * 1024U)

/* A copy into the grant's own memory, by way of the binary form. */
static int copy_policy(Grant *grant, const EgressPolicy *policy)
{
        Buf bytes = BUF_NULL(POOL_MAX);
        void *copy = NULL;
        int r;

        r = pool_alloc(&grant->pool, sizeof(*grant->policy), &copy);
        if (r == 0)
                r = schema_encode(&schema_egress_policy, policy, &bytes);
        if (r == 0)
                r = schema_decode(&schema_egress_policy, buf_slice(&bytes), NULL, &grant->pool, copy, NULL);
        buf_deinit(&bytes);
        grant->policy = copy;
        return error_fold(r);
}

static int copy_hosts(Grant *grant, const TextList *hosts)
{
        void *items = NULL;
        int r = pool_alloc(&grant->pool, MAX(hosts->n, 1) * sizeof(*hosts->items), &items);

        grant->hosts.items = items;
        for (size_t i = 0; r == 0 && i < hosts->n; i++) {
                r = pool_text(&grant->pool, slice_text(hosts->items[i]), &grant->hosts.items[i]);
                grant->hosts.n = i + 1;
        }
        return r;
}

static int make_rules(Grant *grant, const char **ret_problem)
{
        const EgressPolicy *policy = grant->policy;
        int r;

        /* No time at all would be no limit at all. */
        if (policy->rate > 0 && policy->rate_seconds == 0) {
                *ret_problem = "A rate needs a time.";
                return GRANT_E_INVALID;
        }
        r = guard_init(&grant->guard, policy->addresses.items, policy->addresses.n);
        if (r > 0) {
                *ret_problem = "An entry of `addresses` is no address and no network.";
                return GRANT_E_INVALID;
        }
        if (r == 0)
                r = rule_set_new(&grant->rules, policy->allow.items, policy->allow.n, policy->deny.items,
                                 policy->deny.n);
        if (r > 0) {
                *ret_problem = "A rule makes no sense.";
                return GRANT_E_INVALID;
        }
        return r;
}

static int take_credential(Grant *grant, EgressGrantRequest *request, Arena *arena, const char **ret_problem)
{
        SlotKind slot = (SlotKind)grant->policy->slot;
        Slice secrets[INJECT_SECRETS_MAX];
        Slice value = secret_slice(request->credential);
        size_t n;
        int r;

        if (inject_check_credential(slot, value)) {
                *ret_problem = "The credential cannot stand in the slot that the profile names.";
                return GRANT_E_INVALID;
        }
        n = inject_secrets(slot, value, secrets);
        r = scrub_new(&grant->scrub, arena, secrets, n);
        if (r == SCRUB_E_SECRET) {
                *ret_problem = "The credential cannot be looked for in responses.";
                return GRANT_E_INVALID;
        }
        if (r > 0)
                return GRANT_E_FULL;
        grant->credential = take_ptr(request->credential);
        return r;
}

int grant_new(Grant **ret, EgressGrantRequest *request, Loop *loop, Arena *arena, const char **ret_problem)
{
        _cleanup_(grant_unrefp) Grant *grant = calloc(1, sizeof(*grant));
        int r;

        if (!grant)
                return -ENOMEM;
        grant->refs = 1;
        grant->pool = POOL_NULL(POOL_MAX);
        grant->expires = request->expires;
        r = copy_policy(grant, request->policy);
        if (r == 0)
                r = copy_hosts(grant, &request->hosts);
        if (r == 0)
                r = make_rules(grant, ret_problem);
        if (r == 0)
                r = take_credential(grant, request, arena, ret_problem);
        if (r == 0)
                r = idle_pool_new(&grant->idle, loop);
        if (r)
                return r;
        *ret = take_ptr(grant);
        return 0;
}

Grant *grant_ref(Grant *grant)
{
        grant->refs++;
        return grant;
}

Grant *grant_unref(Grant *grant)
{
        if (!grant || --grant->refs > 0)
                return NULL;
        grant_withdraw(grant);
        idle_pool_free(grant->idle);
        rule_set_free(grant->rules);
        guard_deinit(&grant->guard);
        pool_deinit(&grant->pool);
        free(grant);
        return NULL;
}

void grant_withdraw(Grant *grant)
{
        grant->current = false;
        grant->credential = secret_free(grant->credential);
        grant->scrub = scrub_unref(grant->scrub);
}

bool grant_has_expired(const Grant *grant, uint64_t wall_usec)
{
        return grant->expires > 0 && wall_usec >= grant->expires;
}

bool grant_is_for(const Grant *grant, const HttpAuthority *authority)
{
        for (size_t i = 0; i < grant->hosts.n; i++)
                if (http_host_matches(grant->hosts.items[i], authority))
                        return true;
        return false;
}
