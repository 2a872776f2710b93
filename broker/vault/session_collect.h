#pragma once
/* Which sessions a revocation ends. */
#include "vault/rows_cutoff.h"
#include "vault/session_set.h"
#include "vault/vault.h"

/*
 * Open sessions that hold something of what the cutoff covers: a grant of it, or a lease. While the store is locked
 * nobody can tell what a session was granted, so `unsure` says whether it counts as holding it. `set` is in order
 * then. DB_E_*.
 */
int session_collect(SessionSet *set, Vault *vault, const CutoffRecord *cutoff, bool unsure) NODISCARD NONNULL(1, 2, 3);
/* Those that were handed the secret's value itself, of this generation. In order; DB_E_*. */
int session_collect_raw(SessionSet *set, Vault *vault, const char *secret, uint64_t generation) NODISCARD NONNULL(1, 2, 3);
