#pragma once
/*
 * What follows a cutoff in the background: the rows of the leases that it covers are worked off a page at a time, so
 * that nobody waits for a hundred thousand of them, over restarts.
 */
#include "base/list.h"
#include "vault/rows_cutoff.h"
#include "vault/vault.h"

/* Somebody who waits until one is worked off. Embedded; linked until `done` is called or cutoff_wait_cancel(). */
typedef struct CutoffWait {
        List link;
        uint64_t id; /* of the cutoff */
        int (*done)(void *userdata);
        void *userdata;
} CutoffWait;

int cutoff_work_new(CutoffWork **ret, Vault *vault) NODISCARD NONNULL(1, 2);
/* Calls nobody back. */
CutoffWork *cutoff_work_free(CutoffWork *work);
/* There is something to work off. */
void cutoff_work_wake(CutoffWork *work) NONNULL(1);
/* Not called from within. */
void cutoff_work_wait(CutoffWork *work, CutoffWait *wait) NONNULL(1, 2);
/* False, and harmless, on one that does not wait. */
bool cutoff_wait_cancel(CutoffWait *wait) NONNULL(1);
