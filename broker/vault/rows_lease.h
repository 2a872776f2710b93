#pragma once
/*
 * Table lease: one row for everything that was asked of an upstream or handed out, from before the
 * upstream is asked until it is certainly dead. `sequence` grows with every insert and never comes
 * twice, which cutoffs rest on.
 */
#include "base/ident.h"
#include "vault/db.h"
#include "vault/rows_cutoff.h"
#include "wire/field.h"
#include "wire/msg_broker.h"

typedef struct LeaseRecord {
        uint64_t sequence; /* insert sets it */
        char id[IDENT_ID_SIZE + 1];
        char session[IDENT_ID_SIZE + 1];
        char profile[LIMIT_NAME + 1];
        char secret[LIMIT_NAME + 1];
        char provider[LIMIT_NAME + 1];
        LeaseKind kind;
        uint64_t generation; /* of the secret it was made with */
        LeaseState state;
        Outcome outcome;
        /* What ending it here leaves: PENDING, the upstream is to be asked; NONE, nothing to do;
         * IMPOSSIBLE_ROTATE. Insert takes it. */
        Outcome on_end;
        uint64_t created; /* wall time */
        uint64_t expires; /* wall time; of an intent: when what may have been made dies at the
                             latest */
        uint64_t ended;   /* wall time; 0: not yet over here */
        char upstream_id[LIMIT_TEXT + 1];
        uint64_t attempts;
        uint64_t next_attempt; /* wall time; of LEASE_REVOKING */
        char reason[LIMIT_TEXT + 1];
        bool has_token; /* a sealed value is kept: rows_lease_token() */
        uint64_t principal; /* uid of whoever opened the session; insert looks it up; UINT64_MAX: not known */
        uint64_t side;      /* one upstream of the provider, by its base URL, 0 its own; insert sets it */
} LeaseRecord;

/* Where it came from, kept sealed with the lease so that it can be revoked without the secret. */
typedef struct LeaseUpstream {
        const char *base_url; /* NULL: the provider's own */
        TextMap parameters;
} LeaseUpstream;

/* What an upstream gave. */
typedef struct LeaseToken {
        Slice hash; /* SEAL_HASH_SIZE bytes of seal_token_hash(), or empty */
        const Secret
                *value; /* kept sealed until it is revoked; NULL where revoking does not need it */
        const char *upstream_id; /* NULL: none */
        uint64_t expires;
} LeaseToken;

/* State INTENT (or LIVE, for what no upstream is asked for; then `token` may be given, else NULL; or
 * REVOKING of LEASE_SECRET, whose `token` is what is to die, at `next_attempt` first).
 * Sets record->sequence. DB_E_EXISTS, DB_E_SEALED. */
int rows_lease_insert(Db *db, LeaseRecord *record, const LeaseUpstream *upstream,
                      const LeaseToken *token) NODISCARD NONNULL(1, 2, 3);
/* INTENT to LIVE. DB_E_NOT_FOUND when it is not an intent any more: then what came must be revoked
 * and not delivered (rows_lease_set_token() keeps it for that). DB_E_SEALED. */
int rows_lease_set_live(Db *db, const char *id, const LeaseToken *token) NODISCARD NONNULL(1, 2, 3);
/* An intent that came back after its cutoff or after its session: straight to REVOKING. From
 * INTENT, REVOKING or UNRECOVERABLE, else DB_E_NOT_FOUND. */
int rows_lease_set_token(Db *db, const char *id, const LeaseToken *token, uint64_t now,
                         const char *reason) NODISCARD NONNULL(1, 2, 3, 5);
/* LIVE is over here: to REVOKING, due at once, when on_end is PENDING, else to REVOKED with on_end
 * as its outcome and the sealed columns gone. DB_E_NOT_FOUND when it is not live. */
int rows_lease_end(Db *db, const char *id, uint64_t now, const char *reason) NODISCARD
        NONNULL(1, 2, 4);
/* An attempt to revoke upstream failed: counts it and says when the next is due. From REVOKING. */
int rows_lease_retry(Db *db, const char *id, uint64_t next_attempt, const char *reason) NODISCARD
        NONNULL(1, 2, 4);
/* To a final state (REVOKED, EXPIRED, FAILED) or UNRECOVERABLE (its `expires` stays), from any that
 * is not final. The sealed columns are overwritten with NULL, except for UNRECOVERABLE.
 * DB_E_NOT_FOUND when it is over already. */
int rows_lease_finish(Db *db, const char *id, LeaseState state, Outcome outcome, uint64_t now,
                      const char *reason) NODISCARD NONNULL(1, 2, 6);

int rows_lease_get(Db *db, const char *id, LeaseRecord *ret) NODISCARD NONNULL(1, 2, 3);
/* The newest with this hash (seal_token_hash()). DB_E_NOT_FOUND. */
int rows_lease_get_by_token(Db *db, const uint8_t hash[SEAL_HASH_SIZE], LeaseRecord *ret) NODISCARD
        NONNULL(1, 3);
/* The live one of this session and profile that is of the kind, the newest. DB_E_NOT_FOUND. */
int rows_lease_get_live(Db *db, const char *session, const char *profile, LeaseKind kind,
                        LeaseRecord *ret) NODISCARD NONNULL(1, 2, 3, 5);
/* All with this hash that are live, a page behind the sequence `after`: a stored key may be in use in many
 * sessions. */
int rows_lease_list_by_token(Db *db, const uint8_t hash[SEAL_HASH_SIZE], uint64_t after, size_t max,
                             Pool *pool, LeaseRecord **ret, size_t *ret_n) NODISCARD NONNULL(1, 5, 6, 7);
/* Whether an upstream is being asked to revoke a secret's value with this hash. */
int rows_lease_is_ending_secret(Db *db, const uint8_t hash[SEAL_HASH_SIZE], bool *ret) NODISCARD NONNULL(1, 3);
/* The live ones by which a value of the secret itself, of a generation up to this one, was handed out raw; a page
 * behind the sequence `after`. */
int rows_lease_list_raw(Db *db, const char *secret, uint64_t generation, uint64_t after, size_t max, Pool *pool,
                        LeaseRecord **ret, size_t *ret_n) NODISCARD NONNULL(1, 2, 6, 7, 8);
/* How many values of a secret, of this generation, are dying: LEASE_SECRET that is REVOKING. */
int rows_lease_count_dying(Db *db, const char *secret, uint64_t generation, uint64_t *ret) NODISCARD NONNULL(1, 2, 4);
/* Their grace is over: what was not asked for yet is due now. What waits for its upstream goes on waiting. */
int rows_lease_end_grace(Db *db, const char *secret, uint64_t generation, uint64_t now) NODISCARD NONNULL(1, 2);
/* The value that revoking needs. DB_E_NOT_FOUND: none is kept. DB_E_SEALED, DB_E_DAMAGED. */
int rows_lease_token(Db *db, const char *id, Arena *arena, Secret **ret) NODISCARD
        NONNULL(1, 2, 3, 4);
/* DB_E_NOT_FOUND when it is over and the copy is gone. Texts are the pool's. */
int rows_lease_upstream(Db *db, const char *id, Pool *pool, LeaseUpstream *ret) NODISCARD
        NONNULL(1, 2, 3, 4);

/* What a listing takes: all that is set must match. */
typedef struct LeaseFilter {
        Selection what;
        uint32_t states; /* 1U << LeaseState, or'd; 0: any */
        uint64_t up_to;  /* highest sequence; 0: no limit */
} LeaseFilter;
#define LEASE_STATES_OPEN                                                                          \
        (1U << LEASE_INTENT | 1U << LEASE_LIVE | 1U << LEASE_REVOKING | 1U << LEASE_UNRECOVERABLE)

/* A page in order of creation, behind the sequence `after` (0: from the start), at most `max`. Zero
 * rows is the end. The array is the pool's; 64 rows take about 100 KiB. */
int rows_lease_list(Db *db, const LeaseFilter *filter, uint64_t after, size_t max, Pool *pool,
                    LeaseRecord **ret, size_t *ret_n) NODISCARD NONNULL(1, 2, 5, 6, 7);
/* Those of one session that the filter does not take, though their state is one of its: what else ends with the session.
 */
int rows_lease_list_beyond(Db *db, const char *session, const LeaseFilter *filter, uint64_t after,
                           size_t max, Pool *pool, LeaseRecord **ret, size_t *ret_n) NODISCARD
        NONNULL(1, 2, 3, 6, 7, 8);
/* Without values of secrets that are dying, which are nobody's. */
int rows_lease_count(Db *db, const LeaseFilter *filter, uint64_t *ret) NODISCARD NONNULL(1, 2, 3);
/* Is there one? False too where the state cannot be read. */
bool rows_lease_any(Db *db, const LeaseFilter *filter) NONNULL(1, 2);
/* Adds up by what lease_outcome() says of each. */
int rows_lease_tally(Db *db, const LeaseFilter *filter,
                     uint64_t tally[OUTCOME_IMPOSSIBLE_ROTATE + 1]) NODISCARD NONNULL(1, 2, 3);
bool selection_takes(const Selection *what, const LeaseRecord *lease) NONNULL(1, 2);
/* May it take one lease of a session, and leave another? */
bool selection_is_partial(const Selection *what) NONNULL(1);
/* What ended it, or what will be once it is ended here: PENDING, if its upstream is still to confirm. */
Outcome lease_outcome(const LeaseRecord *lease) NONNULL(1);
/* The lowest side from `from` on of which there is something REVOKING. DB_E_NOT_FOUND. */
int rows_lease_next_side(Db *db, const char *provider, uint64_t from, uint64_t *ret) NODISCARD NONNULL(1, 2, 4);
/* REVOKING of this provider and side whose next_attempt has come, earliest first. */
int rows_lease_list_due(Db *db, const char *provider, uint64_t side, uint64_t now, size_t max, Pool *pool,
                        LeaseRecord **ret, size_t *ret_n) NODISCARD NONNULL(1, 2, 6, 7, 8);
/* When the next one behind `after` comes; UINT64_MAX: never. */
int rows_lease_next_attempt(Db *db, const char *provider, uint64_t side, uint64_t after, uint64_t *ret) NODISCARD
        NONNULL(1, 2, 5);
/* Open ones (see above, not intents) whose `expires` has come, earliest first. */
int rows_lease_list_expired(Db *db, uint64_t now, size_t max, Pool *pool, LeaseRecord **ret,
                            size_t *ret_n) NODISCARD NONNULL(1, 4, 5, 6);
/* When that listing will have something; UINT64_MAX: never. */
int rows_lease_next_expiry(Db *db, uint64_t *ret) NODISCARD NONNULL(1, 2);
/* Of all states at once. */
int rows_lease_count_states(Db *db, uint64_t counts[LEASE_UNRECOVERABLE + 1]) NODISCARD
        NONNULL(1, 2);

/* Works off a part of a cutoff: what rows_lease_end() does, for the live rows that it covers, looking at `max` live
 * rows at most; record->progress says how far that was, and rows_cutoff_set_progress() keeps it. It is done when
 * that is record->sequence. `ret_n` (may be NULL): rows that were changed. Intents are left to whoever waits for
 * them. */
int rows_lease_apply_cutoff(Db *db, CutoffRecord *cutoff, uint64_t now, size_t max,
                            uint64_t *ret_n) NODISCARD NONNULL(1, 2);
/* Deletes what was over before `before`, at most `max` rows. */
int rows_lease_prune(Db *db, uint64_t before, size_t max, uint64_t *ret_n) NODISCARD NONNULL(1, 4);
