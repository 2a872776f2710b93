#include "vault/rows_rotation.h"

enum { OPTION_NOW = 1, OPTION_ALLOW_WIDER = 2, OPTION_STUCK = 4, _OPTIONS = 8 };

static uint64_t options_of(const RotationRecord *record)
{
        return (record->now ? OPTION_NOW : 0U) | (record->allow_wider ? OPTION_ALLOW_WIDER : 0U) |
               (record->stuck ? OPTION_STUCK : 0U);
}

int rows_rotation_begin(Db *db, const char *secret, const RotationRecord *record)
{
        return db_run(db,
                      "INSERT OR REPLACE INTO rotation (secret, kind, label, cause, began, grace, options, secret_id,"
                      " old_secret_id, expires, attempts, next_attempt, problem, value)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, NULL)",
                      DB_VALUES(DB_TEXT(secret), DB_U64(record->kind), DB_TEXT(record->label),
                                DB_CUT(record->cause, LIMIT_TEXT), DB_U64(record->began), DB_U64(record->grace),
                                DB_U64(options_of(record)), DB_TEXT(record->secret_id),
                                DB_TEXT(record->old_secret_id), DB_U64(record->expires), DB_U64(record->attempts),
                                DB_U64(record->next_attempt), DB_CUT(record->problem, LIMIT_TEXT)),
                      NULL);
}

static int read_texts(DbQuery *query, RotationRecord *record)
{
        int r = db_text(query, 1, record->label, sizeof(record->label));

        if (r == 0)
                r = db_text(query, 2, record->cause, sizeof(record->cause));
        if (r == 0)
                r = db_text(query, 6, record->secret_id, sizeof(record->secret_id));
        if (r == 0)
                r = db_text(query, 7, record->old_secret_id, sizeof(record->old_secret_id));
        if (r == 0)
                r = db_text(query, 11, record->problem, sizeof(record->problem));
        return r;
}

int rows_rotation_get(Db *db, const char *secret, RotationRecord *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        RotationRecord record;
        uint64_t options;
        int r = db_query(db,
                         "SELECT kind, label, cause, began, grace, options, secret_id, old_secret_id, expires,"
                         " attempts, next_attempt, problem, value IS NOT NULL FROM rotation WHERE secret = ?1",
                         DB_VALUES(DB_TEXT(secret)), &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        options = db_u64(query, 5);
        if (db_u64(query, 0) >= _ROTATION_KIND_N || options >= _OPTIONS)
                return DB_E_DAMAGED;
        record = (RotationRecord){
                .kind = (RotationKind)db_u64(query, 0),
                .began = db_u64(query, 3),
                .grace = db_u64(query, 4),
                .now = options & OPTION_NOW,
                .allow_wider = options & OPTION_ALLOW_WIDER,
                .stuck = options & OPTION_STUCK,
                .expires = db_u64(query, 8),
                .attempts = db_u64(query, 9),
                .next_attempt = db_u64(query, 10),
                .has_value = db_u64(query, 12) != 0,
        };
        r = read_texts(query, &record);
        if (r == 0)
                *ret = record;
        return r;
}

static SealPlace place_of(const char *secret)
{
        return (SealPlace){ "rotation", secret, "value" };
}

int rows_rotation_created(Db *db, const char *secret, const RotationRecord *record, const Secret *value)
{
        _cleanup_(buf_deinit) Buf sealed = BUF_NULL(SECRET_MAX + SEAL_OVERHEAD);
        int r;

        if (!db_seal(db))
                return DB_E_SEALED;
        r = seal_encrypt(db_seal(db), place_of(secret), secret_slice(value), &sealed);
        if (r)
                return r > 0 ? -EINVAL : r;
        return db_run_one(db,
                          "UPDATE rotation SET value = ?2, secret_id = ?3, old_secret_id = ?4, expires = ?5,"
                          " attempts = 0, next_attempt = 0, problem = '' WHERE secret = ?1",
                          DB_VALUES(DB_TEXT(secret), DB_BLOB(buf_slice(&sealed)), DB_TEXT(record->secret_id),
                                    DB_TEXT(record->old_secret_id), DB_U64(record->expires)));
}

int rows_rotation_value(Db *db, const char *secret, Arena *arena, Secret **ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r;

        if (!db_seal(db))
                return DB_E_SEALED;
        r = db_query(db, "SELECT value FROM rotation WHERE secret = ?1", DB_VALUES(DB_TEXT(secret)), &query);
        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        if (db_is_null(query, 0))
                return DB_E_NOT_FOUND;
        r = seal_decrypt_secret(db_seal(db), place_of(secret), db_slice(query, 0), arena, ret);
        return r == SEAL_E_FULL ? DB_E_NO_SPACE : r > 0 ? DB_E_DAMAGED : r;
}

int rows_rotation_forget_value(Db *db, const char *secret)
{
        return db_run(db, "UPDATE rotation SET value = NULL WHERE secret = ?1", DB_VALUES(DB_TEXT(secret)), NULL);
}

int rows_rotation_attempt(Db *db, const char *secret, const RotationRecord *record)
{
        return db_run_one(db,
                          "UPDATE rotation SET attempts = ?2, next_attempt = ?3, problem = ?4 WHERE secret = ?1",
                          DB_VALUES(DB_TEXT(secret), DB_U64(record->attempts), DB_U64(record->next_attempt),
                                    DB_CUT(record->problem, LIMIT_TEXT)));
}

int rows_rotation_end(Db *db, const char *secret)
{
        return db_run(db, "DELETE FROM rotation WHERE secret = ?1", DB_VALUES(DB_TEXT(secret)), NULL);
}
