#pragma once
/*
 * One question to one upstream: that it ends what a lease stands for, or several, where it takes that. The leases carry all
 * that is needed, sealed.
 */
#include "vault/rows_lease.h"
#include "vault/vault.h"

typedef struct RevokeAnswer {
        /* One a lease, in their order. No failure: it is certain. FAULT_UPSTREAM_GONE: it was dead already.
         * FAULT_KEYRING_LOCKED: what is sealed cannot be read now. */
        const Failure *failures;
        const Failure *upstream; /* of the question itself: what it says of the upstream */
        uint64_t calls;          /* that it counts (ProviderInfo.revoke_hourly) */
} RevokeAnswer;

typedef int (*RevokeAttemptDone)(void *userdata, const RevokeAnswer *answer);

typedef struct RevokeQuestion {
        const LeaseRecord *leases; /* of the state "revoking", of one provider */
        size_t n;                  /* as revoke_attempt_together() said */
        uint64_t calls_max;        /* that the upstream counts; at least one */
} RevokeQuestion;

/*
 * How many of these, the first of which is taken in any case, go in one question: they are moved to the front. All are
 * of one provider.
 */
size_t revoke_attempt_together(Vault *vault, LeaseRecord *leases, size_t n) NODISCARD NONNULL(1, 2);
/* `done` may be called from within. */
int revoke_attempt(Vault *vault, const RevokeQuestion *question, RevokeAttemptDone done, void *userdata) NODISCARD
        NONNULL(1, 2, 3);
