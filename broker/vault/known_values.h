#pragma once
/*
 * Table secret_value: the keyed hash of every value that a secret has or had, so that one that shows up
 * somewhere is recognised, the old ones too. Nothing leads from it back to a value.
 */
#include "vault/vault.h"

/* Inside the transaction that makes the value known (add, replace, the step of a rotation that stores it). Values that
 * were noted before are no error. DB_E_*. */
int known_values_note(Vault *vault, const char *secret, uint64_t generation, const Secret *value) NODISCARD
        NONNULL(1, 2, 4);
