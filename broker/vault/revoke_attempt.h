#pragma once
/* One question to one upstream: that it ends what a lease stands for. The lease carries all that is needed, sealed. */
#include "vault/rows_lease.h"
#include "vault/vault.h"

/* No failure: it is certain. FAULT_UPSTREAM_GONE: it was dead already. FAULT_KEYRING_LOCKED: what is sealed cannot be
 * read now. */
typedef int (*RevokeAttemptDone)(void *userdata, const Failure *failure);

/* `lease` is of the state "revoking". `done` may be called from within. */
int revoke_attempt(Vault *vault, const LeaseRecord *lease, RevokeAttemptDone done, void *userdata) NODISCARD
        NONNULL(1, 2, 3);
