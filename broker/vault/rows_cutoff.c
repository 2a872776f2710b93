#include "vault/rows_cutoff.h"
#include "vault/rows_lease.h"
#include <stdio.h>

_Static_assert(CUTOFF_APPLIED == 2, "the statements below and the schema say 2");

#define COLUMNS                                                                                                      \
        "id, session, profile, secret, provider, principal, since, sequence, session_sequence, time, reason, progress," \
        " step"

void cutoff_set(CutoffRecord *record, const Selection *selection)
{
        const Selection *s = selection;

        (void)snprintf(record->session, sizeof(record->session), "%s", s->session ? s->session : "");
        (void)snprintf(record->profile, sizeof(record->profile), "%s", s->profile ? s->profile : "");
        (void)snprintf(record->secret, sizeof(record->secret), "%s", s->secret ? s->secret : "");
        (void)snprintf(record->provider, sizeof(record->provider), "%s", s->provider ? s->provider : "");
        record->has_principal = s->has_principal;
        record->principal = s->principal;
        record->since = s->since;
}

static const char *any_if_empty(const char *text)
{
        return text[0] ? text : NULL;
}

Selection cutoff_selection(const CutoffRecord *record)
{
        return (Selection){
                .session = any_if_empty(record->session),
                .profile = any_if_empty(record->profile),
                .secret = any_if_empty(record->secret),
                .provider = any_if_empty(record->provider),
                .has_principal = record->has_principal,
                .principal = record->principal,
                .since = record->since,
        };
}

/* The highest that was ever given out, of rows that are gone too. */
static int newest(Db *db, const char *table, uint64_t *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, "SELECT seq FROM sqlite_sequence WHERE name = ?1", DB_VALUES(DB_TEXT(table)), &query);

        if (r == 0)
                r = db_step(query);
        if (r == DB_E_DONE) {
                *ret = 0; /* there never was one */
                return 0;
        }
        if (r == 0)
                *ret = db_u64(query, 0);
        return r;
}

int rows_cutoff_insert(Db *db, CutoffRecord *record)
{
        Selection what = cutoff_selection(record);
        uint64_t lease, session;
        int r;

        /* Read and written by the one connection there is, so no row comes in between. */
        r = newest(db, "lease", &lease);
        if (r == 0)
                r = newest(db, "session", &session);
        if (r == 0)
                r = db_run(db,
                           "INSERT INTO cutoff (session, profile, secret, provider, principal, since, sequence,"
                           " session_sequence, time, reason, progress, step)"
                           " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11)",
                           DB_VALUES(DB_TEXT(what.session), DB_TEXT(what.profile), DB_TEXT(what.secret),
                                     DB_TEXT(what.provider), what.has_principal ? DB_U64(what.principal) : DB_NULL,
                                     DB_U64(what.since), DB_U64(lease), DB_U64(session), DB_U64(record->time),
                                     DB_TEXT(record->reason), DB_U64(record->step)),
                           NULL);
        if (r)
                return r;
        record->id = db_last_sequence(db);
        record->sequence = lease;
        record->session_sequence = session;
        record->progress = 0;
        return 0;
}

static int read_row(DbQuery *query, CutoffRecord *ret)
{
        CutoffRecord record = {
                .id = db_u64(query, 0),
                .has_principal = !db_is_null(query, 5),
                .principal = db_u64(query, 5),
                .since = db_u64(query, 6),
                .sequence = db_u64(query, 7),
                .session_sequence = db_u64(query, 8),
                .time = db_u64(query, 9),
                .progress = db_u64(query, 11),
                .step = (CutoffStep)db_u64(query, 12),
        };
        int r = db_text(query, 1, record.session, sizeof(record.session));

        if (r == 0)
                r = db_text(query, 2, record.profile, sizeof(record.profile));
        if (r == 0)
                r = db_text(query, 3, record.secret, sizeof(record.secret));
        if (r == 0)
                r = db_text(query, 4, record.provider, sizeof(record.provider));
        if (r == 0)
                r = db_text(query, 10, record.reason, sizeof(record.reason));
        if (r == 0 && db_u64(query, 12) >= _CUTOFF_STEP_N)
                r = DB_E_DAMAGED;
        if (r == 0)
                *ret = record;
        return r;
}

static int read_one(Db *db, const char *sql, const DbValue *values, size_t n, CutoffRecord *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        CutoffRecord record;
        int r = db_query(db, sql, values, n, &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        r = read_row(query, &record);
        if (r == 0 && ret)
                *ret = record;
        return r;
}

int rows_cutoff_covers(Db *db, const LeaseRecord *lease, CutoffRecord *ret)
{
        /* Those that are as young as an open lease are few: see rows_cutoff_prune(). */
        static const char sql[] = "SELECT " COLUMNS " FROM cutoff WHERE sequence >= ?1"
                                  " AND (session IS NULL OR session = ?2)"
                                  " AND (profile IS NULL OR profile = ?3)"
                                  " AND (secret IS NULL OR secret = ?4)"
                                  " AND (provider IS NULL OR provider = ?5)"
                                  " AND (principal IS NULL OR principal = ?6)"
                                  " AND since <= ?7 ORDER BY id LIMIT 1";

        return read_one(db, sql,
                        DB_VALUES(DB_U64(lease->sequence), DB_TEXT(lease->session), DB_TEXT(lease->profile),
                                  DB_TEXT(lease->secret), DB_TEXT(lease->provider), DB_U64(lease->principal),
                                  DB_U64(lease->created)),
                        ret);
}

int rows_cutoff_next(Db *db, CutoffStep step, uint64_t after, CutoffRecord *ret)
{
        return read_one(db,
                        "SELECT " COLUMNS " FROM cutoff WHERE step <> 2 AND step = ?1 AND id > ?2 ORDER BY id LIMIT 1",
                        DB_VALUES(DB_U64(step), DB_U64(after)), ret);
}

int rows_cutoff_set_progress(Db *db, const CutoffRecord *record)
{
        return db_run_one(db, "UPDATE cutoff SET progress = ?2, step = ?3 WHERE id = ?1",
                          DB_VALUES(DB_U64(record->id), DB_U64(record->progress), DB_U64(record->step)));
}

int rows_cutoff_prune(Db *db, uint64_t *ret_n)
{
        return db_run(db,
                      "DELETE FROM cutoff WHERE step = 2 AND sequence < coalesce("
                      "(SELECT min(sequence) FROM lease WHERE state = 0), 9223372036854775807)",
                      NULL, 0, ret_n);
}
