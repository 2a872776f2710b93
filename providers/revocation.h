#pragma once
/*
 * What an upstream says of a revocation is believed only as far as a probe bears it out: a stray 401 on the way
 * would otherwise leave a live token that counts as dead, and a 404 also comes from a wrong base URL.
 */
#include "providers/provider.h"

typedef enum Life {
        LIFE_DEAD,
        LIFE_ALIVE,
        LIFE_UNKNOWN,
} Life;

/* Asks something harmless with the token. A Fault of it is no failure of the revocation; -errno is. */
typedef int (*LifeProbe)(Operation *operation, const Secret *token);

typedef struct Revocation {
        const char *upstream; /* for a person */
        LifeProbe probe;      /* 0: it lives; FAULT_UPSTREAM_ROOT_INVALID: it is dead; else nobody knows */
} Revocation;

/* What the probe says now. */
int revocation_life(Operation *operation, const Revocation *revocation, const Secret *token, Life *ret) NODISCARD
        NONNULL(1, 2, 3, 4);
/*
 * After the upstream took it, or said that it is gone: asks until the token is dead, a few times. `doubtful`: what
 * it said may also mean that nothing at that address knows how to revoke. 0 with the reply filled, a Fault, -errno.
 */
int revocation_confirm(Operation *operation, const Revocation *revocation, const Secret *token, bool doubtful,
                       ProviderRevokeReply *reply) NODISCARD NONNULL(1, 2, 3, 5);
