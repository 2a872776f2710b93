#pragma once
/*
 * One mint at a time for each grant of a session: whoever asks meanwhile gets what it brings. After
 * several failures in a row, or when the upstream says so, the next attempt has to wait and the last
 * failure is the answer. A sandbox that asks over and over thus costs the upstream's patience, which
 * others need too, no more than one that asks now and then.
 */
#include "vault/mint.h"

typedef struct TokenTurns TokenTurns;

int token_turns_new(TokenTurns **ret, Vault *vault) NODISCARD NONNULL(1, 2);
/* Calls nobody back. Accepts NULL. */
TokenTurns *token_turns_free(TokenTurns *turns);
/* As mint_start(); `done` may be called from within. */
int token_turn_take(TokenTurns *turns, const MintAsk *ask, MintDone done, void *userdata) NODISCARD
        NONNULL(1, 2, 3);
