#include "vault/rows_secret_value.h"

int rows_secret_value_note(Db *db, const uint8_t hash[SEAL_HASH_SIZE], const char *secret, uint64_t generation,
                           uint64_t now)
{
        return db_run(db,
                      "INSERT INTO secret_value (hash, secret, generation, noted, removed) VALUES (?1, ?2, ?3, ?4, 0)"
                      " ON CONFLICT (hash, secret) DO UPDATE SET generation = CASE WHEN removed = 0"
                      " THEN MAX(generation, excluded.generation) ELSE excluded.generation END, removed = 0",
                      DB_VALUES(DB_BLOB(slice(hash, SEAL_HASH_SIZE)), DB_TEXT(secret), DB_U64(generation), DB_U64(now)),
                      NULL);
}

int rows_secret_value_find(Db *db, const uint8_t hash[SEAL_HASH_SIZE],
                           SecretValueRecord ret[SECRET_VALUE_SHARED_MAX], size_t *ret_n)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        size_t n = 0;
        int r = db_query(db, "SELECT secret, generation, noted, removed FROM secret_value WHERE hash = ?1 ORDER BY secret",
                         DB_VALUES(DB_BLOB(slice(hash, SEAL_HASH_SIZE))), &query);

        while (r == 0 && n < SECRET_VALUE_SHARED_MAX) {
                r = db_step(query);
                if (r)
                        break;
                ret[n] = (SecretValueRecord){
                        .generation = db_u64(query, 1),
                        .noted = db_u64(query, 2),
                        .removed = db_u64(query, 3),
                };
                r = db_text(query, 0, ret[n].secret, sizeof(ret[n].secret));
                n++;
        }
        if (r == DB_E_DONE)
                r = 0;
        if (r == 0)
                *ret_n = n;
        return r;
}

int rows_secret_value_has(Db *db, const char *secret, uint64_t generation, bool *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, "SELECT 1 FROM secret_value WHERE secret = ?1 AND generation = ?2 AND removed = 0",
                         DB_VALUES(DB_TEXT(secret), DB_U64(generation)), &query);

        if (r == 0)
                r = db_step(query);
        *ret = r == 0;
        return r == DB_E_DONE ? 0 : r;
}

int rows_secret_value_set_removed(Db *db, const char *secret, uint64_t now)
{
        return db_run(db, "UPDATE secret_value SET removed = ?2 WHERE secret = ?1 AND removed = 0",
                      DB_VALUES(DB_TEXT(secret), DB_U64(now)), NULL);
}

int rows_secret_value_prune(Db *db, uint64_t before, size_t max, uint64_t *ret_n)
{
        return db_run(db,
                      "DELETE FROM secret_value WHERE (hash, secret) IN (SELECT hash, secret FROM secret_value"
                      " WHERE removed > 0 AND removed < ?1 LIMIT ?2)",
                      DB_VALUES(DB_U64(before), DB_U64(max)), ret_n);
}
