#pragma once
/*
 * The state: one SQLite database, <state>/state.db, that this process alone has open. WAL with
 * synchronous=FULL: what db_commit() answered 0 for survives a power loss.
 *
 * The rows_*.h files, one a table, are the only ones that hold SQL. Their functions return the
 * positive codes below, which are common to all tables. They work inside or outside a transaction;
 * outside, each call is one by itself.
 */
#include "base/error.h"
#include "base/pool.h"
#include "base/slice.h"
#include "vault/seal.h"

typedef struct Db Db;
typedef struct DbQuery DbQuery;

enum {
        _DB_E_SUCCESS,
        DB_E_NOT_FOUND, /* no such row, or it is not in the state that the change starts from */
        DB_E_EXISTS,    /* there is a row with this key */
        DB_E_DONE,      /* db_step(): no further row */
        DB_E_FULL,      /* the disk or the quota is full; the transaction was rolled back */
        DB_E_IO,        /* the disk failed, or the files cannot be opened or written */
        DB_E_DAMAGED,   /* not a database, not ours, altered, or a sealed column does not open */
        DB_E_NEWER,     /* written by a later version of this program */
        DB_E_IN_USE,    /* another process has it open */
        DB_E_SEALED,    /* a sealed column is needed, and there is no key: see db_set_seal() */
        DB_E_NO_SPACE,  /* the pool's or arena's cap is reached */
};

/*
 * Opens or creates <directory>/state.db, mode 0600, checks it and brings it to this version's
 * schema. A symbolic link in the file's place is refused. DB_E_DAMAGED, DB_E_NEWER, DB_E_IN_USE,
 * DB_E_FULL, DB_E_IO.
 */
int db_open(Db **ret, const char *directory) NODISCARD NONNULL(1, 2);
/* Rolls back what is open. Accepts NULL. */
Db *db_free(Db *db);

/* The key for sealed columns; borrowed until it is replaced or the database is freed. NULL: the
 * keyring is locked, and what needs the key returns DB_E_SEALED. */
void db_set_seal(Db *db, const Seal *seal) NONNULL(1);
const Seal *db_seal(const Db *db) NONNULL(1);

/*
 * One transaction at a time: beginning a second one is a defect (-EALREADY). DB_E_FULL and DB_E_IO
 * of any call inside may have rolled it back; then, and whenever a call failed, db_rollback().
 * When db_commit() fails, the transaction was rolled back.
 */
int db_begin(Db *db) NODISCARD NONNULL(1);
int db_commit(Db *db) NODISCARD NONNULL(1);
/* Harmless without a transaction. */
void db_rollback(Db *db) NONNULL(1);
bool db_in_transaction(const Db *db) NONNULL(1);
/* Rows that were changed since the database was opened: as long as it stays, nothing has been written. */
uint64_t db_changes(const Db *db) NONNULL(1);
/* `_cleanup_(db_rollbackp) Db *open = db;` after db_begin() rolls back on every way out but the one
 * behind db_commit(). */
static inline void db_rollbackp(Db **db)
{
        if (*db)
                db_rollback(*db);
}

/* SQLite's own words on the last failure, for the log. Holds no value of any row. */
const char *db_last_error(const Db *db) NONNULL(1);
/* A sentence for a positive code. */
const char *db_strerror(int r);

/* ---- for rows_*.c and audit.c alone ---- */

typedef enum DbKind {
        DB_KIND_NULL,
        DB_KIND_U64,
        DB_KIND_TEXT,
        DB_KIND_BLOB,
} DbKind;

typedef struct DbValue {
        DbKind kind;
        uint64_t number;
        Slice bytes;
} DbValue;

/* Integers go up to INT64_MAX (-ERANGE); UINT64_MAX, "never", is stored as INT64_MAX and comes back
 * as UINT64_MAX. A NULL text or a blob without data is NULL. Borrowed until the next db_query(). */
#define DB_NULL    ((DbValue){ .kind = DB_KIND_NULL })
#define DB_U64(v)  ((DbValue){ .kind = DB_KIND_U64, .number = (v) })
#define DB_TEXT(v) db_text_value(v)
#define DB_BLOB(v) db_blob_value(v)
/* A text of which what is beyond `max` bytes may be lost, cut at a character's end: sentences. */
#define DB_CUT(v, max) db_cut_value(v, max)
#define DB_VALUES(...)                                                                             \
        (const DbValue[]){ __VA_ARGS__ }, ARRAY_SIZE(((const DbValue[]){ __VA_ARGS__ }))

DbValue db_cut_value(const char *text, size_t max) NONNULL(1);
static inline DbValue db_text_value(const char *text)
{
        return (DbValue){ .kind = text ? DB_KIND_TEXT : DB_KIND_NULL, .bytes = slice_text(text) };
}

static inline DbValue db_blob_value(Slice bytes)
{
        return (DbValue){ .kind = bytes.data ? DB_KIND_BLOB : DB_KIND_NULL, .bytes = bytes };
}

/* Runs a statement without rows. `ret_changes` may be NULL. `sql` is a literal: prepared statements
 * are kept by its address. */
int db_run(Db *db, const char *sql, const DbValue *values, size_t n,
           uint64_t *ret_changes) NODISCARD NONNULL(1, 2);
/* The same for a statement that must change exactly one row, else DB_E_NOT_FOUND. */
int db_run_one(Db *db, const char *sql, const DbValue *values, size_t n) NODISCARD NONNULL(1, 2);
/* Room for a page of rows. -EINVAL for a page of none or of more than DB_PAGE_MAX; DB_E_NO_SPACE.
 */
#define DB_PAGE_MAX 4096U
int db_pool_array(Pool *pool, size_t n, size_t size, void **ret) NODISCARD NONNULL(1, 4);
/* The integer key of the row that was inserted last. */
uint64_t db_last_sequence(Db *db) NONNULL(1);
/* Starts a query. It must be finished before the same statement is used again; the pointer is
 * borrowed from the database. */
int db_query(Db *db, const char *sql, const DbValue *values, size_t n, DbQuery **ret) NODISCARD
        NONNULL(1, 2, 5);
/* 0 when a row is there, DB_E_DONE after the last. */
int db_step(DbQuery *query) NODISCARD NONNULL(1);
void db_finish(DbQuery *query);
DEFINE_CLEANUP(DbQuery *, db_finish);

/* Of the current row; `column` counts from 0. NULL reads as 0, "" and an empty slice. */
uint64_t db_u64(DbQuery *query, int column) NONNULL(1);
/* Copies; DB_E_DAMAGED when it does not fit or holds a NUL. */
int db_text(DbQuery *query, int column, char *out, size_t size) NODISCARD NONNULL(1, 3);
/* DB_E_DAMAGED unless it has exactly this size. */
int db_blob(DbQuery *query, int column, uint8_t *out, size_t size) NODISCARD NONNULL(1, 3);
/* Borrowed until the next db_step() or db_finish(). */
Slice db_slice(DbQuery *query, int column) NONNULL(1);
bool db_is_null(DbQuery *query, int column) NONNULL(1);

DEFINE_CLEANUP(Db *, db_free);
