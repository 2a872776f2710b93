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
        ROTATION_PLANNED,     /* intent: the upstream may or may not have made a value, the item have a next one */
        ROTATION_CREATED,     /* the upstream's new value is sealed in table rotation */
        ROTATION_STORED,      /* the next value is in the item and was read back */
        ROTATION_VERIFIED,    /* the upstream accepts it */
        ROTATION_SWITCHED,    /* next is current, the old one is previous; generation has moved */
        ROTATION_OLD_REVOKED, /* the old one's death is in table lease; the item still has it as previous */
        ROTATION_NEEDS_HUMAN, /* the old one is dead and the new one lost, or of no use: a person has to say */
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
        /* What the upstream said of the value in use. */
        const char *secret_id; /* its name for it; NULL: none is known; the pool's */
        uint64_t expires;      /* wall time; 0: never, or not known */
        bool rights_known;
        TextList rights; /* the pool's */
        /* Of `rotate_every`. */
        uint64_t schedule_failures; /* in a row */
        uint64_t schedule_next;     /* wall time before which it is not tried again */
        uint64_t reminded;          /* generation that a person was reminded of; 0: none */
} SecretRecord;

/* A rotation goes on by itself from here, or is about to end. */
static inline bool rotation_is_under_way(RotationStep step)
{
        return step != ROTATION_NONE && step != ROTATION_NEEDS_HUMAN;
}
/* The new value is in use: it can only be finished. */
static inline bool rotation_has_switched(RotationStep step)
{
        return step == ROTATION_SWITCHED || step == ROTATION_OLD_REVOKED;
}

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
/* How many there are, and how many are in a rotation, one that needs a person among them. Either may be NULL. */
int rows_secret_count(Db *db, uint64_t *ret, uint64_t *ret_rotating) NODISCARD NONNULL(1);

/*
 * Steps of a rotation. Each is a compare-and-set: DB_E_NOT_FOUND when the secret is not at the step
 * that this one follows, so that a resumed and a repeated step cannot race.
 */
/* NONE or NEEDS_HUMAN to PLANNED; next_generation becomes generation + 1. */
int rows_secret_rotation_plan(Db *db, const char *name, uint64_t now) NODISCARD NONNULL(1, 2);
/* From `from` to `to`, the next step; from PLANNED also to STORED, for a value that a person made. To SWITCHED moves
 * generation on, sets `rotated` and forgets what the schedule has tried; from OLD_REVOKED goes to NONE. */
int rows_secret_rotation_advance(Db *db, const char *name, RotationStep from, RotationStep to,
                                 uint64_t now) NODISCARD NONNULL(1, 2);
/* What is not switched yet, and NEEDS_HUMAN, back to NONE; or what is not switched to NEEDS_HUMAN. The generation
 * stays. */
int rows_secret_rotation_abort(Db *db, const char *name, RotationStep to, uint64_t now) NODISCARD NONNULL(1, 2);

/* Keeps the members of `said` that are what the upstream said of the value in use. */
int rows_secret_note(Db *db, const char *name, const SecretRecord *said) NODISCARD NONNULL(1, 2, 3);
/* Likewise those of `rotate_every`. */
int rows_secret_schedule(Db *db, const char *name, const SecretRecord *schedule) NODISCARD NONNULL(1, 2, 3);
