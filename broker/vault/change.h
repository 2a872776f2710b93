#pragma once
/* One change of a secret at a time in this process: adding, replacing and rotating it write the same
 * item and the same row in several steps. */
#include "vault/vault.h"

typedef struct Change {
        List link; /* in Vault.changes while it is under way */
        char name[LIMIT_NAME + 1];
} Change;

/* False with `failure` (FAULT_BUSY) when another change of this secret is under way. */
bool change_begin(Vault *vault, Change *change, const char *name, Failure *failure) NONNULL(1, 2, 3, 4);
/* Harmless on one that was not begun. */
void change_end(Change *change) NONNULL(1);
bool change_is_under_way(const Vault *vault, const char *name) NONNULL(1, 2);
