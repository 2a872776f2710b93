#pragma once
/*
 * Connections of one grant that wait for its next request to the same host and port. They are never
 * handed to another grant: no connection carries two credentials.
 */
#include "egress/connection.h"

/* Beyond it the one that has waited longest is closed. */
#define IDLE_POOL_MAX  8U
#define IDLE_POOL_USEC (60U * USEC_PER_SEC)

typedef struct IdlePool IdlePool;

int idle_pool_new(IdlePool **ret, Loop *loop) NODISCARD NONNULL(1, 2);
/* Closes them all. */
IdlePool *idle_pool_free(IdlePool *pool);
/* NULL: there is none that still stands. The caller sets an owner. */
Connection *idle_pool_take(IdlePool *pool, const HttpAuthority *authority) NONNULL(1, 2);
/* Takes the connection over in any case; what cannot be kept is closed. */
int idle_pool_put(IdlePool *pool, Connection *connection) NODISCARD NONNULL(1, 2);
/* connection_sever() for each. */
void idle_pool_sever(IdlePool *pool) NONNULL(1);
size_t idle_pool_size(const IdlePool *pool) NONNULL(1);

DEFINE_CLEANUP(IdlePool *, idle_pool_free);
