#include "vault/rows_outbox.h"

int rows_outbox_insert(Db *db, uint64_t sequence, Slice line)
{
        const DbValue text = { .kind = DB_KIND_TEXT, .bytes = line };

        return db_run(db, "INSERT INTO audit_outbox (sequence, line) VALUES (?1, ?2)",
                      DB_VALUES(DB_U64(sequence), text), NULL);
}

int rows_outbox_next(Db *db, uint64_t after, uint64_t *ret_sequence, Buf *out)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        Slice line;
        int r = db_query(db,
                         "SELECT sequence, line FROM audit_outbox WHERE sequence > ?1"
                         " ORDER BY sequence LIMIT 1",
                         DB_VALUES(DB_U64(after)), &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        line = db_slice(query, 1);
        r = buf_append(out, line.data, line.size);
        if (r < 0)
                return r == -ENOBUFS ? DB_E_NO_SPACE : r;
        *ret_sequence = db_u64(query, 0);
        return 0;
}

int rows_outbox_remove(Db *db, uint64_t sequence)
{
        return db_run(db, "DELETE FROM audit_outbox WHERE sequence <= ?1",
                      DB_VALUES(DB_U64(sequence)), NULL);
}
