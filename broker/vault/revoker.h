#pragma once
/*
 * Upstream revocation in the background: leases in state REVOKING are worked off, of each provider as many at once
 * as its upstream takes, with back-off, over restarts, until the upstream confirms or the credential has expired
 * anyway. What an upstream says of its limits holds for all that is to be revoked there; one that does not answer, or
 * tells lies, keeps nothing from the others, those of the same provider (another base URL) included.
 */
#include "vault/rows_lease.h"
#include "vault/vault.h"
#include "wire/provider_info.h"

typedef struct RevokeWatch RevokeWatch;

/* An attempt for this lease is over; its row says how. */
typedef int (*RevokeSettled)(void *userdata, const char *lease);

int revoker_new(Revoker **ret, Vault *vault) NODISCARD NONNULL(1, 2);
Revoker *revoker_free(Revoker *revoker);
/* Looks for work now and sets the timer for what is due later. Called after every change of leases. */
int revoker_wake(Revoker *revoker) NODISCARD NONNULL(1);
/* The upstream of that `side` (LeaseRecord.side: a provider's own, or one of another base URL) gave no answer twice in a row,
 * or said that it takes no more for now: nobody should wait for what is to be revoked there. */
bool revoker_is_stuck(const Revoker *revoker, const ProviderInfo *info, uint64_t side) NONNULL(1, 2);
/* Calls `settled` after each attempt, until it is freed. */
int revoke_watch_new(RevokeWatch **ret, Revoker *revoker, RevokeSettled settled, void *userdata) NODISCARD
        NONNULL(1, 2, 3);
RevokeWatch *revoke_watch_free(RevokeWatch *watch);
