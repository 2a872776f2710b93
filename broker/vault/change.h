#pragma once
/* One change of a secret at a time in this process: adding, replacing and rotating it write the same
 * item and the same row in several steps. */
#include "vault/vault.h"

typedef struct Change {
        List link; /* in Vault.changes while it is under way */
        char name[LIMIT_NAME + 1];
        Rotation *rotation; /* that it is, or NULL; whoever begins it sets it */
} Change;

/* False with `failure` (FAULT_BUSY) when another change of this secret is under way. */
bool change_begin(Vault *vault, Change *change, const char *name, Failure *failure) NONNULL(1, 2, 3, 4);
/* Harmless on one that was not begun. */
void change_end(Change *change) NONNULL(1);
/* NULL: none is under way. */
Change *change_find(const Vault *vault, const char *name) NONNULL(1, 2);
