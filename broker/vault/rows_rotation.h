#pragma once
/*
 * Table rotation: the journal of a rotation that is under way, beyond its step (rows_secret.h): how it is done, under
 * which label the upstream was asked, and its new value, sealed, from the moment that it came until it is in use. A
 * row lives as long as the step is not "none"; `add --replace`, which goes through the steps too, has none.
 */
#include "vault/db.h"
#include "wire/field.h"

typedef enum RotationKind {
        ROTATION_GUIDED,  /* a person made the value */
        ROTATION_CREATE,  /* the provider makes it, and the old one lives on */
        ROTATION_REPLACE, /* the provider makes it, which kills the old one */
        _ROTATION_KIND_N,
} RotationKind;

typedef struct RotationRecord {
        RotationKind kind;
        char label[LIMIT_LABEL + 1]; /* unique to the rotation; "" of a guided one */
        char cause[LIMIT_TEXT + 1];  /* "" where a person asked for it */
        uint64_t began;              /* wall time */
        uint64_t grace;              /* seconds that were asked for; 0: as the secret's section says */
        bool now;                    /* no grace, and who was handed the old value ends */
        bool allow_wider;            /* a person says that the new value may do more */
        bool stuck;                  /* it began where a person was needed: dropping it leads back there */
        char secret_id[LIMIT_TEXT + 1];     /* what the upstream calls the new value */
        char old_secret_id[LIMIT_TEXT + 1]; /* and the old one */
        uint64_t expires;      /* of the new value, wall time; 0: never, or not known */
        uint64_t attempts;     /* failed in a row at this step */
        uint64_t next_attempt; /* wall time; 0: none waits */
        char problem[LIMIT_TEXT + 1]; /* what the last one met, or why a person is needed */
        bool has_value; /* what the upstream made is kept sealed: until it is in use. rows_rotation_value() */
} RotationRecord;

/* Begins the journal, or begins it anew; a value that was there is gone. */
int rows_rotation_begin(Db *db, const char *secret, const RotationRecord *record) NODISCARD NONNULL(1, 2, 3);
/* DB_E_NOT_FOUND, DB_E_DAMAGED. */
int rows_rotation_get(Db *db, const char *secret, RotationRecord *ret) NODISCARD NONNULL(1, 2, 3);
/* What the upstream gave: the value, and of `record` the names and the expiry. DB_E_SEALED, DB_E_NOT_FOUND. */
int rows_rotation_created(Db *db, const char *secret, const RotationRecord *record, const Secret *value) NODISCARD
        NONNULL(1, 2, 3, 4);
/* DB_E_NOT_FOUND: none is kept. DB_E_SEALED, DB_E_DAMAGED, DB_E_NO_SPACE. */
int rows_rotation_value(Db *db, const char *secret, Arena *arena, Secret **ret) NODISCARD NONNULL(1, 2, 3, 4);
/* The value is in use and in the keyring. Harmless where none is kept. */
int rows_rotation_forget_value(Db *db, const char *secret) NODISCARD NONNULL(1, 2);
/* Keeps attempts, next_attempt and problem. DB_E_NOT_FOUND. */
int rows_rotation_attempt(Db *db, const char *secret, const RotationRecord *record) NODISCARD NONNULL(1, 2, 3);
/* Harmless where there is none. */
int rows_rotation_end(Db *db, const char *secret) NODISCARD NONNULL(1, 2);
