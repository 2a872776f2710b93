#pragma once
/*
 * Table secret_value: the keyed hash of every value that a secret has or had, and of which generation it is.
 * Those of a removed secret stay for a while, since its value may turn up later than that.
 */
#include "base/ident.h"
#include "vault/db.h"
#include "wire/field.h"

typedef struct SecretValueRecord {
        char secret[LIMIT_NAME + 1];
        uint64_t generation;
        uint64_t noted;   /* wall time */
        uint64_t removed; /* wall time of the secret's removal; 0: it is there, or its name is again */
} SecretValueRecord;

/* How many secrets may have one and the same value and still all be named. */
#define SECRET_VALUE_SHARED_MAX 16U

/* The same once more is no error: the later generation counts, and a removal is forgotten. */
int rows_secret_value_note(Db *db, const uint8_t hash[SEAL_HASH_SIZE], const char *secret, uint64_t generation,
                           uint64_t now) NODISCARD NONNULL(1, 3);
/* The secrets that have or had this value, at most SECRET_VALUE_SHARED_MAX. */
int rows_secret_value_find(Db *db, const uint8_t hash[SEAL_HASH_SIZE],
                           SecretValueRecord ret[SECRET_VALUE_SHARED_MAX], size_t *ret_n) NODISCARD NONNULL(1, 4);
/* Is a value of this generation noted? */
int rows_secret_value_has(Db *db, const char *secret, uint64_t generation, bool *ret) NODISCARD NONNULL(1, 2, 4);
/* The secret is removed. */
int rows_secret_value_set_removed(Db *db, const char *secret, uint64_t now) NODISCARD NONNULL(1, 2);
/* Deletes those of secrets that were removed before `before`, at most `max` rows. */
int rows_secret_value_prune(Db *db, uint64_t before, size_t max, uint64_t *ret_n) NODISCARD NONNULL(1, 4);
