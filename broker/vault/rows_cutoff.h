#pragma once
/*
 * Table cutoff: bulk revocation as one row. It covers every lease that matches and was created up to that moment,
 * intents included, without touching them; they are then worked off in pages (rows_lease_apply_cutoff(),
 * cutoff_work.h). Whoever is about to deliver or use a lease asks rows_cutoff_covers() first.
 *
 * Sessions that hold what it covers end whole. It says up to which session too, so that a process that was killed
 * between the two is made up for by the next (cutoff_work_recover()) without ending what was opened since.
 */
#include "base/ident.h"
#include "vault/db.h"
#include "wire/field.h"

struct LeaseRecord;

/* What a revocation, or a listing, takes: all that is set must match. */
typedef struct Selection {
        const char *session, *profile, *secret, *provider; /* NULL: any */
        bool has_principal;
        uint64_t principal; /* uid of whoever opened the session */
        uint64_t since;     /* wall time: created at or after it; 0: ever */
} Selection;

typedef enum CutoffStep {
        CUTOFF_WRITTEN,        /* sessions that hold something of it may still be open */
        CUTOFF_SESSIONS_ENDED, /* its leases are still to be worked off */
        CUTOFF_APPLIED,
        _CUTOFF_STEP_N,
} CutoffStep;

typedef struct CutoffRecord {
        uint64_t id; /* grows; insert sets it */
        /* "": any */
        char session[IDENT_ID_SIZE + 1];
        char profile[LIMIT_NAME + 1];
        char secret[LIMIT_NAME + 1];
        char provider[LIMIT_NAME + 1];
        bool has_principal;
        uint64_t principal;
        uint64_t since;
        uint64_t sequence;         /* leases up to this one are cut; insert sets it to the newest lease */
        uint64_t session_sequence; /* sessions up to this one; likewise */
        uint64_t time;             /* wall time */
        char reason[LIMIT_TEXT + 1];
        uint64_t progress; /* leases up to this one have been worked off */
        CutoffStep step;   /* insert takes it */
} CutoffRecord;

/* Texts that do not fit are cut, and then match nothing: check them before. */
void cutoff_set(CutoffRecord *record, const Selection *selection) NONNULL(1, 2);
/* Borrows from the record. */
Selection cutoff_selection(const CutoffRecord *record) NONNULL(1);

/* Sets record->id and both sequences; no lease is worked off yet. */
int rows_cutoff_insert(Db *db, CutoffRecord *record) NODISCARD NONNULL(1, 2);
/* Is this lease cut off? The oldest cutoff that covers it goes to `ret`, which may be NULL. DB_E_NOT_FOUND: none
 * does. */
int rows_cutoff_covers(Db *db, const struct LeaseRecord *lease, CutoffRecord *ret) NODISCARD NONNULL(1, 2);
/* The oldest one at this step, which is not the last, behind the id `after` (0: from the start). DB_E_NOT_FOUND. */
int rows_cutoff_next(Db *db, CutoffStep step, uint64_t after, CutoffRecord *ret) NODISCARD NONNULL(1, 4);
/* Step and progress, as the record says. */
int rows_cutoff_set_progress(Db *db, const CutoffRecord *record) NODISCARD NONNULL(1, 2);
/* Deletes applied ones that no intent is old enough for: all else that they covered is over. */
int rows_cutoff_prune(Db *db, uint64_t *ret_n) NODISCARD NONNULL(1, 2);
