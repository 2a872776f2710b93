#pragma once
/* The provider processes: one an operation of the vault's, few at once, none for ever. */
#include "supervisor/child.h"

/* Operations at once. Each is a process with libcurl and a CA bundle in memory: some 10 MiB. */
#define PROVIDERS_MAX 16U
/* No operation takes this long; the vault has its own, shorter deadlines. */
#define PROVIDERS_LIFE_USEC (5 * 60 * USEC_PER_SEC)

/* After an operation one more process is started and waits for the next, because starting one and
 * reading the CA certificates takes some 25 ms of whoever waits. Not at once, so that it does not
 * compete with the operation that is running; and one that nobody wants is not kept for ever. */
#define PROVIDERS_SPARE_DELAY_USEC (100 * USEC_PER_MSEC)
#define PROVIDERS_SPARE_USEC (5 * 60 * USEC_PER_SEC)

typedef struct Providers Providers;

enum {
        _PROVIDERS_E_SUCCESS,
        PROVIDERS_E_BUSY, /* PROVIDERS_MAX are running */
};

typedef struct ProvidersConfig {
        const ChildContext *context;
        const char *executable;
        const char *const *arguments; /* read at each start */
        const char *const *environment;
        uint64_t life_usec; /* 0: PROVIDERS_LIFE_USEC */
} ProvidersConfig;

int providers_new(Providers **ret, const ProvidersConfig *config) NODISCARD NONNULL(1, 2);
Providers *providers_free(Providers *providers);
/* `ret_fd` is the vault's end of the edge to it, the caller's to close. PROVIDERS_E_BUSY. */
int providers_start(Providers *providers, pid_t *ret_pid, int *ret_fd) NODISCARD NONNULL(1, 2, 3);
/* A process that is not one of these is not touched. */
void providers_stop(Providers *providers, pid_t pid) NONNULL(1);
void providers_stop_all(Providers *providers) NONNULL(1);
/* Lets the one that waits go: what it was started with has changed. */
void providers_drop_spare(Providers *providers) NONNULL(1);

DEFINE_CLEANUP(Providers *, providers_free);
