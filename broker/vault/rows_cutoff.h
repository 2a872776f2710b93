#pragma once
/*
 * Table cutoff: bulk revocation as one row. It covers every lease that matches and was created up
 * to that moment, intents included, without touching them; they are then worked off in pages
 * (rows_lease_apply_cutoff()). Whoever is about to deliver or use a lease asks
 * rows_cutoff_covers() first.
 */
#include "vault/db.h"
#include "wire/field.h"

typedef enum CutoffKind {
        CUTOFF_ALL,
        CUTOFF_SESSION,
        CUTOFF_PROFILE,
        CUTOFF_SECRET,
        _CUTOFF_N,
} CutoffKind;
extern const char *const cutoff_kind_names[];

typedef struct CutoffRecord {
        uint64_t id; /* grows; insert sets it */
        CutoffKind kind;
        char value[LIMIT_NAME + 1]; /* session id, profile or secret name; "" of CUTOFF_ALL */
        uint64_t sequence; /* leases up to this one are cut; insert sets it to the newest lease */
        uint64_t time;     /* wall time */
        char reason[LIMIT_TEXT + 1];
        bool applied; /* all rows that it covers have been worked off */
} CutoffRecord;

/* Sets record->id and record->sequence. -EINVAL when the value does not go with the kind. */
int rows_cutoff_insert(Db *db, CutoffRecord *record) NODISCARD NONNULL(1, 2);
/* Is a lease of this session, profile, secret and sequence cut off? The oldest cutoff that covers
 * it goes to `ret`, which may be NULL. DB_E_NOT_FOUND: none does. */
int rows_cutoff_covers(Db *db, const char *session, const char *profile, const char *secret,
                       uint64_t sequence, CutoffRecord *ret) NODISCARD NONNULL(1, 2, 3, 4);
/* The oldest one that is still to be worked off. DB_E_NOT_FOUND. */
int rows_cutoff_next(Db *db, CutoffRecord *ret) NODISCARD NONNULL(1, 2);
int rows_cutoff_set_applied(Db *db, uint64_t id) NODISCARD NONNULL(1);
/* Deletes applied ones that no open lease (intent, live) is old enough for. */
int rows_cutoff_prune(Db *db, uint64_t *ret_n) NODISCARD NONNULL(1, 2);
