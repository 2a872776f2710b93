#include "vault/rows_meta.h"

static const char sql_get[] = "SELECT value FROM meta WHERE key = ?1";
static const char sql_set[] = "INSERT INTO meta (key, value) VALUES (?1, ?2)"
                              " ON CONFLICT (key) DO UPDATE SET value = excluded.value";
static const char sql_unset[] = "DELETE FROM meta WHERE key = ?1";

/* Positions the query on the row. DB_E_NOT_FOUND. */
static int meta_find(Db *db, const char *key, DbQuery **ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, sql_get, DB_VALUES(DB_TEXT(key)), &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        *ret = take_ptr(query);
        return 0;
}

int rows_meta_get_text(Db *db, const char *key, char *out, size_t size)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = meta_find(db, key, &query);

        return r ? r : db_text(query, 0, out, size);
}

int rows_meta_get_u64(Db *db, const char *key, uint64_t *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = meta_find(db, key, &query);

        if (r == 0)
                *ret = db_u64(query, 0);
        return r;
}

int rows_meta_get_bytes(Db *db, const char *key, uint8_t *out, size_t size)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = meta_find(db, key, &query);

        return r ? r : db_blob(query, 0, out, size);
}

static int meta_set(Db *db, const char *key, DbValue value)
{
        return db_run(db, sql_set, DB_VALUES(DB_TEXT(key), value), NULL);
}

int rows_meta_set_text(Db *db, const char *key, const char *value)
{
        return strlen(value) > META_TEXT_MAX ? -EINVAL : meta_set(db, key, DB_TEXT(value));
}

int rows_meta_set_u64(Db *db, const char *key, uint64_t value)
{
        return meta_set(db, key, DB_U64(value));
}

int rows_meta_set_bytes(Db *db, const char *key, Slice value)
{
        return meta_set(db, key, DB_BLOB(value));
}

int rows_meta_unset(Db *db, const char *key)
{
        return db_run(db, sql_unset, DB_VALUES(DB_TEXT(key)), NULL);
}
