#pragma once
/* The end of many sessions in one go (session_end.c); that of one is in vault.h. */
#include "vault/rows_cutoff.h"
#include "vault/session_set.h"
#include "vault/vault.h"

/*
 * Writes down that all of these have ended, in one transaction, and that the cutoff that ends them (may be NULL) has
 * no open session any more: its leases are worked off in the background, others of the sessions end here. Where it
 * cannot be written, `failure` says so; the sessions count as over, and it is written when it can be. In order.
 */
int session_ends_write(Vault *vault, const SessionSet *sessions, CutoffRecord *cutoff, const char *reason,
                       Failure *failure) NODISCARD NONNULL(1, 2, 4, 5);
/* Behind that: at the egresses, then their processes. The ids are taken over. `done` (may be NULL) as with
 * session_end(). */
int session_ends_cut(Vault *vault, SessionSet *sessions, SessionEndDone done, void *userdata) NODISCARD NONNULL(1, 2);
