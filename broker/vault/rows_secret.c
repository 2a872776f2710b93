#include "vault/rows_secret.h"

/* The columns that only listings look into, as one encoded value. */
typedef struct Binding {
        const char *base_url;
        TextList hosts;
        TextMap parameters;
} Binding;

static const Field schema_binding_fields[] = {
        F(Binding, base_url, TEXT, FIELD_OPTIONAL, LIMIT_URL, 0),
        F(Binding, hosts, TEXTS, 0, LIMIT_HOSTS, LIMIT_TEXT),
        F(Binding, parameters, MAP, 0, LIMIT_PARAMETERS, LIMIT_TEXT),
};
static SCHEMA(schema_binding, "Binding", Binding);

#define BINDING_MAX (64U * 1024U)

typedef struct Rights {
        TextList rights;
} Rights;

static const Field schema_rights_fields[] = {
        F(Rights, rights, TEXTS, 0, LIMIT_RIGHTS, LIMIT_LABEL),
};
static SCHEMA(schema_rights, "Rights", Rights);

const char *const rotation_step_names[] = { "none",     "planned",     "created",     "stored", "verified",
                                            "switched", "old_revoked", "needs_human", NULL };
_Static_assert(ARRAY_SIZE(rotation_step_names) == _ROTATION_N + 1, "one name a step");

#define COLUMNS                                                                                    \
        "name, provider, binding, generation, added, rotated, step, step_time, next_generation,"   \
        " secret_id, expires, rights, schedule_failures, schedule_next, reminded"

/* NULL where they are not known. */
static int encode_rights(const SecretRecord *record, Buf *out)
{
        const Rights body = { record->rights };
        int r = record->rights_known ? schema_encode(&schema_rights, &body, out) : 0;

        return r == -ENOBUFS ? -EINVAL : r;
}

static DbValue rights_or_null(const Buf *rights)
{
        return rights->size > 0 ? DB_BLOB(buf_slice(rights)) : DB_NULL;
}

static DbValue id_or_empty(const SecretRecord *record)
{
        return DB_TEXT(record->secret_id ? record->secret_id : "");
}

static int write_row(Db *db, const char *sql, const SecretRecord *record)
{
        _cleanup_(buf_deinit) Buf binding = BUF_NULL(BINDING_MAX);
        _cleanup_(buf_deinit) Buf rights = BUF_NULL(BINDING_MAX);
        const Binding body = { record->base_url, record->hosts, record->parameters };
        int r = schema_encode(&schema_binding, &body, &binding);

        if (r == 0)
                r = encode_rights(record, &rights);
        if (r < 0)
                return r == -ENOBUFS ? -EINVAL : r;
        return db_run_one(db, sql,
                          DB_VALUES(DB_TEXT(record->name), DB_TEXT(record->provider),
                                    DB_BLOB(buf_slice(&binding)), DB_U64(record->generation),
                                    DB_U64(record->added), DB_U64(record->rotated),
                                    DB_U64(record->step), DB_U64(record->step_time),
                                    DB_U64(record->next_generation), id_or_empty(record),
                                    DB_U64(record->expires), rights_or_null(&rights),
                                    DB_U64(record->schedule_failures), DB_U64(record->schedule_next),
                                    DB_U64(record->reminded)));
}

int rows_secret_insert(Db *db, const SecretRecord *record)
{
        return write_row(
                db, "INSERT INTO secret (" COLUMNS ")"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
                record);
}

int rows_secret_replace(Db *db, const SecretRecord *record)
{
        return write_row(
                db,
                "UPDATE secret SET provider = ?2, binding = ?3, generation = ?4, added = ?5,"
                " rotated = ?6, step = ?7, step_time = ?8, next_generation = ?9, secret_id = ?10, expires = ?11,"
                " rights = ?12, schedule_failures = ?13, schedule_next = ?14, reminded = ?15 WHERE name = ?1",
                record);
}

static int read_binding(DbQuery *query, int column, Pool *pool, SecretRecord *record)
{
        Binding body;
        int r = schema_decode(&schema_binding, db_slice(query, column), NULL, pool, &body, NULL);

        if (r > 0)
                return r == SCHEMA_E_NO_SPACE ? DB_E_NO_SPACE : DB_E_DAMAGED;
        if (r < 0)
                return r;
        record->base_url = body.base_url;
        record->hosts = body.hosts;
        record->parameters = body.parameters;
        return 0;
}

/* What the upstream said. */
static int read_said(DbQuery *query, Pool *pool, SecretRecord *record)
{
        Slice id = db_slice(query, 9);
        Rights body;
        int r = id.size > 0 ? pool_text(pool, id, &record->secret_id) : 0;

        if (r < 0)
                return r == -ENOBUFS ? DB_E_NO_SPACE : r;
        record->expires = db_u64(query, 10);
        if (db_is_null(query, 11))
                return 0;
        r = schema_decode(&schema_rights, db_slice(query, 11), NULL, pool, &body, NULL);
        if (r)
                return r == SCHEMA_E_NO_SPACE ? DB_E_NO_SPACE : r > 0 ? DB_E_DAMAGED : r;
        record->rights_known = true;
        record->rights = body.rights;
        return 0;
}

static int read_row(DbQuery *query, Pool *pool, SecretRecord *ret)
{
        SecretRecord record = {
                .generation = db_u64(query, 3),
                .added = db_u64(query, 4),
                .rotated = db_u64(query, 5),
                .step = (RotationStep)db_u64(query, 6),
                .step_time = db_u64(query, 7),
                .next_generation = db_u64(query, 8),
                .schedule_failures = db_u64(query, 12),
                .schedule_next = db_u64(query, 13),
                .reminded = db_u64(query, 14),
        };
        int r = db_text(query, 0, record.name, sizeof(record.name));

        if (r == 0)
                r = db_text(query, 1, record.provider, sizeof(record.provider));
        if (r == 0)
                r = read_binding(query, 2, pool, &record);
        if (r == 0)
                r = read_said(query, pool, &record);
        if (r == 0 && db_u64(query, 6) >= _ROTATION_N)
                r = DB_E_DAMAGED;
        if (r == 0)
                *ret = record;
        return r;
}

int rows_secret_get(Db *db, const char *name, Pool *pool, SecretRecord *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, "SELECT " COLUMNS " FROM secret WHERE name = ?1",
                         DB_VALUES(DB_TEXT(name)), &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        return read_row(query, pool, ret);
}

int rows_secret_provider(Db *db, const char *name, char ret[LIMIT_NAME + 1])
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, "SELECT provider FROM secret WHERE name = ?1", DB_VALUES(DB_TEXT(name)), &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        return db_text(query, 0, ret, LIMIT_NAME + 1);
}

int rows_secret_remove(Db *db, const char *name)
{
        return db_run_one(db, "DELETE FROM secret WHERE name = ?1", DB_VALUES(DB_TEXT(name)));
}

int rows_secret_list(Db *db, const char *after, size_t max, Pool *pool, SecretRecord **ret,
                     size_t *ret_n)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        void *records;
        size_t n = 0;
        int r = db_pool_array(pool, max, sizeof(SecretRecord), &records);

        if (r == 0)
                r = db_query(
                        db, "SELECT " COLUMNS " FROM secret WHERE name > ?1 ORDER BY name LIMIT ?2",
                        DB_VALUES(DB_TEXT(after ? after : ""), DB_U64(max)), &query);
        while (r == 0 && n < max) {
                r = db_step(query);
                if (r == 0)
                        r = read_row(query, pool, (SecretRecord *)records + n);
                if (r == 0)
                        n++;
        }
        if (r && r != DB_E_DONE)
                return r;
        *ret = records;
        *ret_n = n;
        return 0;
}

int rows_secret_count(Db *db, uint64_t *ret, uint64_t *ret_rotating)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, "SELECT count(*), count(*) FILTER (WHERE step <> 0) FROM secret", NULL,
                         0, &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r;
        if (ret)
                *ret = db_u64(query, 0);
        if (ret_rotating)
                *ret_rotating = db_u64(query, 1);
        return 0;
}

_Static_assert(ROTATION_NONE == 0 && ROTATION_PLANNED == 1 && ROTATION_VERIFIED == 4 && ROTATION_OLD_REVOKED == 6 &&
                       ROTATION_NEEDS_HUMAN == 7,
               "the statements below say so");

int rows_secret_rotation_plan(Db *db, const char *name, uint64_t now)
{
        return db_run_one(
                db,
                "UPDATE secret SET step = 1, step_time = ?2, next_generation = generation + 1"
                " WHERE name = ?1 AND step IN (0, 7)",
                DB_VALUES(DB_TEXT(name), DB_U64(now)));
}

static bool follows(RotationStep from, RotationStep to)
{
        if (from == ROTATION_PLANNED && to == ROTATION_STORED)
                return true;
        if (from == ROTATION_OLD_REVOKED)
                return to == ROTATION_NONE;
        return from > ROTATION_NONE && from < ROTATION_OLD_REVOKED && to == from + 1;
}

int rows_secret_rotation_advance(Db *db, const char *name, RotationStep from, RotationStep to,
                                 uint64_t now)
{
        if (!follows(from, to))
                return -EINVAL;
        if (to == ROTATION_SWITCHED)
                return db_run_one(
                        db,
                        "UPDATE secret SET step = ?3, step_time = ?4, generation = next_generation,"
                        " rotated = ?4, schedule_failures = 0, schedule_next = 0 WHERE name = ?1 AND step = ?2",
                        DB_VALUES(DB_TEXT(name), DB_U64(from), DB_U64(to), DB_U64(now)));
        if (to == ROTATION_NONE)
                return db_run_one(db,
                                  "UPDATE secret SET step = 0, step_time = ?2, next_generation = 0"
                                  " WHERE name = ?1 AND step = 6",
                                  DB_VALUES(DB_TEXT(name), DB_U64(now)));
        return db_run_one(
                db, "UPDATE secret SET step = ?3, step_time = ?4 WHERE name = ?1 AND step = ?2",
                DB_VALUES(DB_TEXT(name), DB_U64(from), DB_U64(to), DB_U64(now)));
}

int rows_secret_rotation_abort(Db *db, const char *name, RotationStep to, uint64_t now)
{
        if (rotation_is_under_way(to))
                return -EINVAL;
        return db_run_one(db,
                          "UPDATE secret SET step = ?3, step_time = ?2, next_generation = 0"
                          " WHERE name = ?1 AND step IN (1, 2, 3, 4, 7) AND step <> ?3",
                          DB_VALUES(DB_TEXT(name), DB_U64(now), DB_U64(to)));
}

int rows_secret_note(Db *db, const char *name, const SecretRecord *said)
{
        _cleanup_(buf_deinit) Buf rights = BUF_NULL(BINDING_MAX);
        int r = encode_rights(said, &rights);

        if (r < 0)
                return r;
        return db_run_one(db, "UPDATE secret SET secret_id = ?2, expires = ?3, rights = ?4 WHERE name = ?1",
                          DB_VALUES(DB_TEXT(name), id_or_empty(said), DB_U64(said->expires),
                                    rights_or_null(&rights)));
}

int rows_secret_schedule(Db *db, const char *name, const SecretRecord *schedule)
{
        return db_run_one(db,
                          "UPDATE secret SET schedule_failures = ?2, schedule_next = ?3, reminded = ?4 WHERE name = ?1",
                          DB_VALUES(DB_TEXT(name), DB_U64(schedule->schedule_failures),
                                    DB_U64(schedule->schedule_next), DB_U64(schedule->reminded)));
}
