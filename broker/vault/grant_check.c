#include "vault/grant_check.h"
#include "vault/egress_hosts.h"
#include "wire/provider_info.h"

/* A rule may let requests pass to other hosts too; but one that lets none pass with the credential is a mistake. */
static void check_hosts(const ConfigProfile *profile, const SecretRecord *secret, const ProviderInfo *info,
                        Failure *failure)
{
        Pool pool = POOL_NULL(2U * LIMIT_RULES * LIMIT_RULE);
        const char *items[LIMIT_RULES];
        TextList allowed = { items, 0 }, sealed = { 0 };
        int r;

        r = egress_hosts_allowed(profile->egress, false, LIMIT_RULES, &pool, &allowed);
        if (r == 0)
                r = egress_hosts_sealed(secret, info, &pool, &sealed);
        if (r < 0)
                failure_set(failure, FAULT_INTERNAL, NULL);
        else if (!egress_hosts_meet(&allowed, &sealed))
                failure_set(failure, FAULT_POLICY_DENIED,
                            "Profile %s allows no request to a host that secret %s may be sent to (%.200s%s), which is "
                            "sealed with the secret; change `allow`, or add the secret again with its hosts.",
                            profile->name, profile->secret, sealed.n > 0 ? sealed.items[0] : "none",
                            sealed.n > 1 ? ", ..." : "");
        pool_deinit(&pool);
}

/* The first of what policy_exposes() wants that the profile has not. */
static const char *missing_to_expose(const ConfigProfile *profile)
{
        return profile->deliver != DELIVER_ENV ? "`deliver = env`"
               : !profile->expose_secret       ? "`expose_secret = yes`"
                                               : "`command`, what it is handed to";
}

static void check_delivery(const ConfigProfile *profile, const SecretRecord *secret, const ProviderInfo *info,
                           Failure *failure)
{
        if (info->webhook_key) {
                failure_set(failure, FAULT_POLICY_DENIED,
                            "Secret %s is a webhook's key, which no session can have; profile %s needs another secret.",
                            profile->secret, profile->name);
        } else if (policy_leaves(profile)) {
                if (profile->egress)
                        check_hosts(profile, secret, info, failure);
                else
                        failure_set(failure, FAULT_INTERNAL, "Profile %s has no rules.", profile->name);
        } else if (!info->can_mint && !policy_exposes(profile)) {
                failure_set(failure, FAULT_POLICY_DENIED,
                            "Secret %s cannot be minted from, so it goes by `deliver = proxy`. To hand it out raw, profile "
                            "%s lacks %s.",
                            profile->secret, profile->name, missing_to_expose(profile));
        }
}

bool grant_check(Vault *vault, const ConfigProfile *profile, Pool *pool, SecretRecord *ret, Failure *failure)
{
        const ProviderInfo *info;
        const char *problem, *field;
        int r;

        r = rows_secret_get(vault->db, profile->secret, pool, ret);
        if (r == DB_E_NOT_FOUND) {
                failure_set(failure, FAULT_NOT_FOUND,
                            "Profile %s needs secret %s, and there is none; `mcpcred add %s` stores it.", profile->name,
                            profile->secret, profile->secret);
                return false;
        }
        if (vault_db_failed(vault, r, failure))
                return false;
        info = provider_info(ret->provider);
        if (!info)
                failure_set(failure, FAULT_UNSUPPORTED, "This build has no provider %s.", ret->provider);
        else if ((problem = provider_check_scope(info, profile->scope, &field)))
                failure_set(failure, FAULT_POLICY_DENIED, "Profile %s: %s", profile->name, problem);
        else
                check_delivery(profile, ret, info, failure);
        return !failed(failure);
}
