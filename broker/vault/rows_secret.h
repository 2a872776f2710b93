#pragma once
/*
 * Table secret: what the state knows of each secret. Not its value, which is in the keyring; and
 * its binding is the keyring item's, of which this is a copy for listings and for the comparison at
 * load.
 */
#include "vault/db.h"
#include "wire/field.h"

typedef enum RotationStep {
        ROTATION_NONE,        /* no rotation is under way */
        ROTATION_PLANNED,     /* intent: the item may or may not have a next value yet */
        ROTATION_STORED,      /* the next value is in the item and was read back */
        ROTATION_VERIFIED,    /* the upstream accepts it */
        ROTATION_SWITCHED,    /* next is current, the old one is previous; generation has moved */
        ROTATION_OLD_REVOKED, /* the old one is dead upstream; the item still has it as previous */
        _ROTATION_N,
} RotationStep;
extern const char *const rotation_step_names[];

typedef struct SecretRecord {
        char name[LIMIT_NAME + 1];
        char provider[LIMIT_NAME + 1];
        const char *base_url; /* NULL: none; the pool's */
        TextList hosts;       /* the pool's */
        TextMap parameters;   /* the pool's */
        uint64_t generation;
        uint64_t added;   /* wall time */
        uint64_t rotated; /* wall time; 0: never */
        RotationStep step;
        uint64_t step_time;       /* wall time of the step */
        uint64_t next_generation; /* that the rotation leads to; 0 without one */
} SecretRecord;

/* DB_E_EXISTS. -EINVAL when a field exceeds the limits of wire/field.h. */
int rows_secret_insert(Db *db, const SecretRecord *record) NODISCARD NONNULL(1, 2);
/* Everything but the name, for `add --replace`. DB_E_NOT_FOUND. */
int rows_secret_replace(Db *db, const SecretRecord *record) NODISCARD NONNULL(1, 2);
/* DB_E_NOT_FOUND, DB_E_DAMAGED, DB_E_NO_SPACE. */
int rows_secret_get(Db *db, const char *name, Pool *pool, SecretRecord *ret) NODISCARD
        NONNULL(1, 2, 3, 4);
/* Its provider alone. DB_E_NOT_FOUND. */
int rows_secret_provider(Db *db, const char *name, char ret[LIMIT_NAME + 1]) NODISCARD NONNULL(1, 2, 3);
/* DB_E_NOT_FOUND. Leases keep their own copy of the upstream. */
int rows_secret_remove(Db *db, const char *name) NODISCARD NONNULL(1, 2);
/*
 * A page in order of name, behind `after` (NULL or "": from the start), at most `max`. Zero rows is
 * the end. Array and texts are the pool's.
 */
int rows_secret_list(Db *db, const char *after, size_t max, Pool *pool, SecretRecord **ret,
                     size_t *ret_n) NODISCARD NONNULL(1, 4, 5, 6);
/* How many there are, and how many are in a rotation. Either may be NULL. */
int rows_secret_count(Db *db, uint64_t *ret, uint64_t *ret_rotating) NODISCARD NONNULL(1);

/*
 * Steps of a rotation. Each is a compare-and-set: DB_E_NOT_FOUND when the secret is not at the step
 * that this one follows, so that a resumed and a repeated step cannot race.
 */
/* NONE to PLANNED; next_generation becomes generation + 1. */
int rows_secret_rotation_plan(Db *db, const char *name, uint64_t now) NODISCARD NONNULL(1, 2);
/* From `from` to `to`, the next step. To SWITCHED moves generation on and sets `rotated`; from
 * OLD_REVOKED goes to NONE. */
int rows_secret_rotation_advance(Db *db, const char *name, RotationStep from, RotationStep to,
                                 uint64_t now) NODISCARD NONNULL(1, 2);
/* PLANNED, STORED or VERIFIED back to NONE; the generation stays. */
int rows_secret_rotation_abort(Db *db, const char *name, uint64_t now) NODISCARD NONNULL(1, 2);
