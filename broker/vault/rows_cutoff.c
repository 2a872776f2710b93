#include "vault/rows_cutoff.h"

const char *const cutoff_kind_names[] = { "all", "session", "profile", "secret", NULL };
_Static_assert(ARRAY_SIZE(cutoff_kind_names) == _CUTOFF_N + 1, "one name a kind");
_Static_assert(CUTOFF_ALL == 0 && CUTOFF_SESSION == 1 && CUTOFF_PROFILE == 2 && CUTOFF_SECRET == 3,
               "the statement of rows_cutoff_covers() says so");

#define COLUMNS "id, kind, value, sequence, time, reason, applied"

static int newest_lease(Db *db, uint64_t *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, "SELECT seq FROM sqlite_sequence WHERE name = 'lease'", NULL, 0,
                         &query);

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
        uint64_t sequence;
        int r;

        if ((unsigned)record->kind >= _CUTOFF_N ||
            (record->kind == CUTOFF_ALL) != !record->value[0])
                return -EINVAL;
        /* Read and written by the one connection there is, so no lease comes in between. */
        r = newest_lease(db, &sequence);
        if (r == 0)
                r = db_run(db,
                           "INSERT INTO cutoff (kind, value, sequence, time, reason, applied)"
                           " VALUES (?1, ?2, ?3, ?4, ?5, 0)",
                           DB_VALUES(DB_U64(record->kind), DB_TEXT(record->value), DB_U64(sequence),
                                     DB_U64(record->time), DB_TEXT(record->reason)),
                           NULL);
        if (r)
                return r;
        record->id = db_last_sequence(db);
        record->sequence = sequence;
        record->applied = false;
        return 0;
}

static int read_row(DbQuery *query, CutoffRecord *ret)
{
        CutoffRecord record = {
                .id = db_u64(query, 0),
                .kind = (CutoffKind)db_u64(query, 1),
                .sequence = db_u64(query, 3),
                .time = db_u64(query, 4),
                .applied = db_u64(query, 6) != 0,
        };
        int r = db_text(query, 2, record.value, sizeof(record.value));

        if (r == 0)
                r = db_text(query, 5, record.reason, sizeof(record.reason));
        if (r == 0 && db_u64(query, 1) >= _CUTOFF_N)
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

int rows_cutoff_covers(Db *db, const char *session, const char *profile, const char *secret,
                       uint64_t sequence, CutoffRecord *ret)
{
        /* Each part is one look into the index; the newest cutoff of a kind and value covers most.
         */
        static const char sql[] =
                "SELECT " COLUMNS " FROM cutoff WHERE id IN ("
                " SELECT min(id) FROM cutoff WHERE kind = 0 AND value = '' AND sequence >= ?1"
                " UNION ALL SELECT min(id) FROM cutoff WHERE kind = 1 AND value = ?2 AND sequence "
                ">= ?1"
                " UNION ALL SELECT min(id) FROM cutoff WHERE kind = 2 AND value = ?3 AND sequence "
                ">= ?1"
                " UNION ALL SELECT min(id) FROM cutoff WHERE kind = 3 AND value = ?4 AND sequence "
                ">= ?1"
                ") ORDER BY id LIMIT 1";

        return read_one(
                db, sql,
                DB_VALUES(DB_U64(sequence), DB_TEXT(session), DB_TEXT(profile), DB_TEXT(secret)),
                ret);
}

int rows_cutoff_next(Db *db, CutoffRecord *ret)
{
        return read_one(db, "SELECT " COLUMNS " FROM cutoff WHERE applied = 0 ORDER BY id LIMIT 1",
                        NULL, 0, ret);
}

int rows_cutoff_set_applied(Db *db, uint64_t id)
{
        return db_run_one(db, "UPDATE cutoff SET applied = 1 WHERE id = ?1", DB_VALUES(DB_U64(id)));
}

int rows_cutoff_prune(Db *db, uint64_t *ret_n)
{
        return db_run(db,
                      "DELETE FROM cutoff WHERE applied = 1 AND sequence < coalesce("
                      "(SELECT min(first) FROM ("
                      "SELECT min(sequence) AS first FROM lease WHERE state = 0"
                      " UNION ALL SELECT min(sequence) FROM lease WHERE state = 1)),"
                      " 9223372036854775807)",
                      NULL, 0, ret_n);
}
