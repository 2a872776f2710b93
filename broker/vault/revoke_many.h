#pragma once
/*
 * Values of secrets that one call ends, at an upstream that takes a list of them and wants no proof: what was to be revoked
 * while it was asked goes together, and costs one of the calls that it counts.
 */
#include "vault/revoke_attempt.h"

/* As revoke_attempt_together(), of a provider with revoke_together. */
size_t revoke_many_fitting(Vault *vault, LeaseRecord *leases, size_t n) NODISCARD NONNULL(1, 2);
/* As revoke_attempt(). */
int revoke_many(Vault *vault, const RevokeQuestion *question, RevokeAttemptDone done, void *userdata) NODISCARD
        NONNULL(1, 2, 3);
