#pragma once
/*
 * A store in one file, "secrets.sealed" in the state directory, for where there is no Secret
 * Service. sealed_format.h describes its bytes.
 *
 * Each call reads, and where it changes something writes, the whole file: between two calls nothing
 * of it is in memory but the master key. A write goes to "secrets.sealed.new", is synced, takes the
 * name, and the directory is synced: after a crash the file is the old one or the new one.
 *
 * A file that is a symlink, belongs to another user or is open to others is refused. A file whose
 * generation is below one that this process has seen is refused as a rollback; one that was put back
 * while no broker ran is for the vault to find, by its own generations.
 */
#include "keyring/store.h"

#define SEALED_FILE_NAME "secrets.sealed"
#define SEALED_CREDENTIAL_NAME "mcpcred-key"

typedef struct SealedFileConfig {
        Arena *arena;
        const char *directory;   /* exists; copied */
        const char *credentials; /* $CREDENTIALS_DIRECTORY, or NULL; copied */
        uint64_t operations;     /* Argon2id, for a new file */
        uint64_t memory;
} SealedFileConfig;

/*
 * open: KEYRING_ABSENT without a file, KEYRING_LOCKED until it is unlocked (a delivered credential
 * unlocks at once). unlock: WRONG_PASSPHRASE, EXISTS, CONFIG_INVALID for a credential that cannot be
 * used. All: STORE_DAMAGED, ROLLBACK, KEYRING_FAILED for a file that is refused, BUSY when it is full.
 */
int store_sealed_file_new(Store **ret, const SealedFileConfig *config) NODISCARD NONNULL(1, 2);
/* Whether there is something under the file's name, whatever it is. */
bool store_sealed_file_exists(const char *directory);
