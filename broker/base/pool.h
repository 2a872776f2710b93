#pragma once
/*
 * Memory that is given out piece by piece and freed all at once, wiped: what one decoded message
 * points at. Capped, because a message of a peer decides how much is asked for.
 */
#include "base/error.h"
#include "base/slice.h"

typedef struct PoolChunk PoolChunk;

typedef struct Pool {
        PoolChunk *chunks;
        size_t used; /* bytes given out so far */
        size_t max;
} Pool;

#define POOL_NULL(limit) ((Pool){ .max = (limit) })

/* Zeroed and aligned for any type. -ENOBUFS at the cap, -ENOMEM. */
int pool_alloc(Pool *pool, size_t size, void **ret) NODISCARD NONNULL(1, 3);
/* A copy with a NUL behind it. */
int pool_text(Pool *pool, Slice text, const char **ret) NODISCARD NONNULL(1, 3);
int pool_bytes(Pool *pool, Slice bytes, Slice *ret) NODISCARD NONNULL(1, 3);
void pool_deinit(Pool *pool);
