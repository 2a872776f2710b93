#pragma once
/*
 * The hosts of a grant: those that its rules let pass, and those that its credential may be sent to, which
 * are sealed with the secret and which no configuration can add to. Pure.
 */
#include "base/pool.h"
#include "vault/rows_secret.h"
#include "wire/egress_policy.h"
#include "wire/provider_info.h"

/*
 * What the rules of `allow` name, each once, in their order: "host", "*.suffix", with ":port" where it is not
 * 443. With `names_only` without the port, for certificates and resolvers. Appends to `ret`, whose array has
 * room for `max`; texts are the pool's. -ENOBUFS when there are more.
 */
int egress_hosts_allowed(const EgressPolicy *policy, bool names_only, size_t max, Pool *pool, TextList *ret) NODISCARD
        NONNULL(1, 4, 5);
/*
 * Where the credential made of this secret may go. Of a stored key its hosts; of what is minted the host
 * that minted it, and for GitHub's own the hosts that take the same token. Array and texts are the pool's
 * or the record's.
 */
int egress_hosts_sealed(const SecretRecord *secret, const ProviderInfo *info, Pool *pool, TextList *ret) NODISCARD
        NONNULL(1, 2, 3, 4);
/* Is there a host in both? `sealed` has no wildcards. */
bool egress_hosts_meet(const TextList *allowed, const TextList *sealed) NONNULL(1, 2);
