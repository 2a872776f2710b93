#pragma once
/*
 * Runs provider processes: one an operation, a bounded number at once, the rest in order behind them.
 */
#include "vault/failure.h"
#include "wire/msg_provider.h"
#include "wire/msg_supervisor.h"

/* Processes at once: each is a TLS connection of one upstream's. */
#define PROVIDER_POOL_RUNNING 12U
/* Operations that wait; beyond it the caller is told to come back. */
#define PROVIDER_POOL_WAITING 512U
/* How long one waits for a process at most: who asked is served by somebody else's failure, or asks again. */
#define PROVIDER_POOL_PATIENCE (60 * USEC_PER_SEC)

typedef struct ProviderPool ProviderPool;
typedef struct ProviderJob ProviderJob;

/*
 * `body` is the reply struct of the method, valid during the callback, NULL with a failure. A process
 * that died, or was silent, is FAULT_UPSTREAM_UNKNOWN once the operation had been sent to it, and
 * FAULT_UNAVAILABLE before. One that waited too long for a process is FAULT_BUSY: nobody was asked.
 */
typedef int (*ProviderDone)(void *userdata, void *body, const Failure *failure);

typedef struct ProviderPoolConfig {
        Loop *loop;
        Arena *arena;
        Channel **supervisor; /* where the current channel is found; borrowed */
} ProviderPoolConfig;

int provider_pool_new(ProviderPool **ret, const ProviderPoolConfig *config) NODISCARD NONNULL(1, 2);
ProviderPool *provider_pool_free(ProviderPool *pool);
/*
 * Queues an operation. The body is encoded at once and kept wiped-on-free, so the caller's struct
 * and its secrets need not outlive the call. FAULT_BUSY comes through `done`, from within.
 */
int provider_pool_run(ProviderPool *pool, const char *provider, ProviderMethod method, const void *body,
                      ProviderDone done, void *userdata) NODISCARD NONNULL(1, 2, 4, 5);
/* Jobs running and waiting. */
size_t provider_pool_load(const ProviderPool *pool) NONNULL(1);

DEFINE_CLEANUP(ProviderPool *, provider_pool_free);
