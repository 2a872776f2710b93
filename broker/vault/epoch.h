#pragma once
/*
 * The epoch binds the state to the runtime directory: a random word that is in both. It moves at
 * every start and behind every revocation, so a state that was restored from an older copy carries
 * an older word, and everything it holds is ended.
 *
 * State first, file second: the state also remembers the word that is known to be in the file, so a
 * crash between the two is not mistaken for a restored copy.
 */
#include "vault/vault.h"

typedef int (*EpochDone)(void *userdata);

int epoch_new(Epoch **ret, Vault *vault) NODISCARD NONNULL(1, 2);
Epoch *epoch_free(Epoch *epoch);
/* Whether the state is the one that the runtime directory last saw. Looks at vault->start. DB_E_*. */
int epoch_matches(Epoch *epoch, bool *ret) NODISCARD NONNULL(1, 2);
/* vault_commit(), with the state's part of the move that is to follow in the same transaction, so that a revocation
 * is one commit. The move sees for itself whether anything was written since. */
int epoch_commit(Epoch *epoch) NODISCARD NONNULL(1);
/* Moves on. `done` when the new word is in the state and in the file; the moves that are asked for
 * while one is under way share the next. `done` may be NULL. */
int epoch_move(Epoch *epoch, EpochDone done, void *userdata) NODISCARD NONNULL(1);
