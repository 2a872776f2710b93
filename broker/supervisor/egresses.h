#pragma once
/*
 * The egress processes: one a profile in use, started and stopped by the vault. One that dies is not
 * started again by itself, since it would have nothing: the vault gives it its grants.
 */
#include "supervisor/child.h"

/* Profiles in use at once. Each is a process with libcurl and a CA bundle: some 4 MiB of its own. */
#define EGRESSES_MAX 64U

typedef struct Egresses Egresses;

enum {
        _EGRESSES_E_SUCCESS,
        EGRESSES_E_BUSY, /* EGRESSES_MAX are running */
};

typedef struct EgressesConfig {
        const ChildContext *context;
        const char *executable;
        const char *const *arguments; /* read at each start */
        const char *const *environment;
} EgressesConfig;

int egresses_new(Egresses **ret, const EgressesConfig *config) NODISCARD NONNULL(1, 2);
/* Kills all of them. Whoever waits for an end is told. */
Egresses *egresses_free(Egresses *egresses);
/* One that serves the profile already is killed. `ret_fd` is the vault's end of the edge to the new
 * one, the caller's to close. EGRESSES_E_BUSY. */
int egresses_start(Egresses *egresses, const char *profile, int *ret_fd) NODISCARD NONNULL(1, 2, 3);
/* Kills it. `done` is called when it is reaped: from then on nothing of it reaches anybody. From within
 * if there is none. */
int egresses_stop(Egresses *egresses, const char *profile, int (*done)(void *userdata), void *userdata)
        NODISCARD NONNULL(1, 2, 3);
void egresses_stop_all(Egresses *egresses) NONNULL(1);
/* The one that serves the profile and is not being stopped, or NULL. */
Child *egresses_find(Egresses *egresses, const char *profile) NONNULL(1, 2);

DEFINE_CLEANUP(Egresses *, egresses_free);
