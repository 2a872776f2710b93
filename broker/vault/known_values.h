#pragma once
/*
 * Table secret_value: the keyed hash of every value that a secret has or had, so that one that shows up
 * somewhere is recognised, the old ones too. Nothing leads from it back to a value.
 *
 * What is hashed is the value's canonical form: line ends are "\n", and there is none at its end. A private key
 * so is the same with and without its last newline, and as a Windows editor wrote it. Whoever reports a leak
 * brings what was found into this form before it is hashed (docs/protocol.md).
 */
#include "vault/rows_secret_value.h"
#include "vault/secret_load.h"
#include "vault/vault.h"

/* The canonical form of a value, if it is not in that already: `ret` is NULL then. DB_E_NO_SPACE. */
int known_values_canonical(Slice value, Arena *arena, Secret **ret) NODISCARD NONNULL(2, 3);
/* Inside the transaction that makes the value known (add, replace, the step of a rotation that stores it). Values that
 * were noted before are no error. DB_E_*. */
int known_values_note(Vault *vault, const char *secret, uint64_t generation, const Secret *value) NODISCARD
        NONNULL(1, 2, 4);
/* Whether the value is, or ever was, one of any secret's: then it is nothing new. DB_E_*. */
int known_values_has(Vault *vault, const Secret *value, bool *ret) NODISCARD NONNULL(1, 2, 3);
/* Inside the transaction that removes the secret. DB_E_*. */
int known_values_removed(Vault *vault, const char *secret) NODISCARD NONNULL(1, 2);
/* The values of a secret that was loaded, where they are not noted yet: it was added by an older version, or by a
 * step that a crash cut off. What cannot be written now is the next load's. */
void known_values_catch_up(Vault *vault, const LoadedSecret *secret) NONNULL(1, 2);
/* Loads each secret whose value is not noted yet, one after the other. The store is open. */
int known_values_catch_up_all(Vault *vault) NODISCARD NONNULL(1);
/* Which value of its secret it is: "current", "next", "previous", or "old". `record` NULL: the secret is gone. */
const char *known_values_state(const SecretValueRecord *value, const SecretRecord *record) NONNULL(1);
/* Forgets what belonged to secrets that are long gone. DB_E_*. */
int known_values_prune(Vault *vault) NODISCARD NONNULL(1);
