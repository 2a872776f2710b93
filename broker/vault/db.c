#include "vault/db.h"
#include "base/fd.h"
#include "vault/db_schema.h"
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME      "state.db"
#define APPLICATION_ID 0x6d637063 /* "mcpc" */
/* Statements of the tree; each is a literal, so their number is known when it is built. */
#define QUERIES_MAX 192U
/* No value here is near this; it bounds what a damaged file can make us allocate. */
#define VALUE_MAX (1024 * 1024)

struct DbQuery {
        Db *db;
        const char *sql;
        sqlite3_stmt *statement;
        bool running;
};

struct Db {
        sqlite3 *sqlite;
        const Seal *seal;
        DbQuery queries[QUERIES_MAX];
        size_t n_queries;
};

/* ---- errors ---- */

static bool means_full(int error)
{
        return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* SQLite tells ENOSPC apart by itself, but not quotas; a failed commit leaves no errno with the
 * connection (seen with 3.40), so the files are asked. */
static bool is_disk_full(Db *db)
{
        sqlite3_file *journal = NULL;
        int of_database = 0, of_journal = 0;

        (void)sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_LAST_ERRNO, &of_database);
        (void)sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER,
                                   (void *)&journal);
        if (journal && journal->pMethods)
                (void)journal->pMethods->xFileControl(journal, SQLITE_FCNTL_LAST_ERRNO,
                                                      &of_journal);
        return means_full(sqlite3_system_errno(db->sqlite)) || means_full(of_database) ||
               means_full(of_journal);
}

/* What SQLite answered, in this module's words. */
static int db_error(Db *db, int rc)
{
        switch (rc & 0xff) {
        case SQLITE_OK:
        case SQLITE_ROW:
                return 0;
        case SQLITE_DONE:
                return DB_E_DONE;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_FULL:
                return DB_E_FULL;
        case SQLITE_IOERR:
                return is_disk_full(db) ? DB_E_FULL : DB_E_IO;
        case SQLITE_CANTOPEN:
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
                return DB_E_IO;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_FORMAT:
                return DB_E_DAMAGED;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return DB_E_IN_USE;
        case SQLITE_CONSTRAINT:
                return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
                                       rc == SQLITE_CONSTRAINT_ROWID
                               ? DB_E_EXISTS
                               : -EINVAL;
        case SQLITE_TOOBIG:
                return -EINVAL;
        default:
                return -ENOTRECOVERABLE;
        }
}

const char *db_last_error(const Db *db)
{
        return db->sqlite ? sqlite3_errmsg(db->sqlite) : "not open";
}

const char *db_strerror(int r)
{
        static const char *const sentences[] = {
                [DB_E_NOT_FOUND] = "there is no such row",
                [DB_E_EXISTS] = "there is such a row",
                [DB_E_DONE] = "there are no further rows",
                [DB_E_FULL] = "the disk that holds the state is full",
                [DB_E_IO] = "the state cannot be read or written",
                [DB_E_DAMAGED] = "the state is damaged",
                [DB_E_NEWER] = "the state was written by a later version",
                [DB_E_IN_USE] = "another process has the state open",
                [DB_E_SEALED] = "the key of the state is not loaded",
                [DB_E_NO_SPACE] = "there is no room for the row in memory",
        };

        if (r <= 0 || r >= (int)ARRAY_SIZE(sentences))
                return "the state failed";
        return sentences[r];
}

/* ---- statements ---- */

static int exec(Db *db, const char *sql)
{
        return db_error(db, sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL));
}

static int query_prepare(Db *db, const char *sql, DbQuery **ret)
{
        DbQuery *query;
        int r;

        for (size_t i = 0; i < db->n_queries; i++)
                if (db->queries[i].sql == sql) {
                        *ret = &db->queries[i];
                        return 0;
                }
        if (db->n_queries == QUERIES_MAX)
                return -ENOBUFS;
        query = &db->queries[db->n_queries];
        *query = (DbQuery){ .db = db, .sql = sql };
        r = db_error(db, sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                            &query->statement, NULL));
        if (r)
                return r;
        db->n_queries++;
        *ret = query;
        return 0;
}

static int query_bind(DbQuery *query, int at, const DbValue *value)
{
        sqlite3_stmt *statement = query->statement;
        uint64_t number = value->number == UINT64_MAX ? INT64_MAX : value->number;

        switch (value->kind) {
        case DB_KIND_NULL:
                return db_error(query->db, sqlite3_bind_null(statement, at));
        case DB_KIND_U64:
                if (number > INT64_MAX)
                        return -ERANGE;
                return db_error(query->db,
                                sqlite3_bind_int64(statement, at, (sqlite3_int64)number));
        case DB_KIND_TEXT:
                return db_error(query->db,
                                sqlite3_bind_text64(statement, at, (const char *)value->bytes.data,
                                                    value->bytes.size, SQLITE_STATIC, SQLITE_UTF8));
        case DB_KIND_BLOB:
                return db_error(query->db, sqlite3_bind_blob64(statement, at, value->bytes.data,
                                                               value->bytes.size, SQLITE_STATIC));
        }
        return -EINVAL;
}

int db_query(Db *db, const char *sql, const DbValue *values, size_t n, DbQuery **ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        DbQuery *found;
        int r = query_prepare(db, sql, &found);

        if (r)
                return r;
        if (found->running)
                return -EALREADY;
        query = found;
        query->running = true;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = query_bind(query, (int)i + 1, &values[i]);
        if (r == 0)
                *ret = take_ptr(query);
        return r;
}

int db_step(DbQuery *query)
{
        return db_error(query->db, sqlite3_step(query->statement));
}

void db_finish(DbQuery *query)
{
        if (!query)
                return;
        /* What these return is the failure that db_step() has told already. */
        (void)sqlite3_reset(query->statement);
        (void)sqlite3_clear_bindings(query->statement);
        query->running = false;
}

int db_run(Db *db, const char *sql, const DbValue *values, size_t n, uint64_t *ret_changes)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, sql, values, n, &query);

        if (r == 0)
                r = db_step(query);
        if (r != DB_E_DONE)
                return r == 0 ? -EINVAL : r;
        if (ret_changes)
                *ret_changes = (uint64_t)sqlite3_changes64(db->sqlite);
        return 0;
}

int db_run_one(Db *db, const char *sql, const DbValue *values, size_t n)
{
        uint64_t changes;
        int r = db_run(db, sql, values, n, &changes);

        return r == 0 && changes == 0 ? DB_E_NOT_FOUND : r;
}

DbValue db_cut_value(const char *text, size_t max)
{
        size_t size = strnlen(text, max + 1);

        if (size > max)
                for (size = max; size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80;)
                        size--;
        return (DbValue){ .kind = DB_KIND_TEXT, .bytes = slice(text, size) };
}

int db_pool_array(Pool *pool, size_t n, size_t size, void **ret)
{
        int r;

        if (n == 0 || n > DB_PAGE_MAX)
                return -EINVAL;
        r = pool_alloc(pool, n * size, ret);
        return r == -ENOBUFS ? DB_E_NO_SPACE : r;
}

uint64_t db_last_sequence(Db *db)
{
        return (uint64_t)sqlite3_last_insert_rowid(db->sqlite);
}

uint64_t db_u64(DbQuery *query, int column)
{
        sqlite3_int64 value = sqlite3_column_int64(query->statement, column);

        return value == INT64_MAX ? UINT64_MAX : (uint64_t)value;
}

Slice db_slice(DbQuery *query, int column)
{
        const void *data = sqlite3_column_blob(query->statement, column);

        return slice(data, data ? (size_t)sqlite3_column_bytes(query->statement, column) : 0);
}

bool db_is_null(DbQuery *query, int column)
{
        return sqlite3_column_type(query->statement, column) == SQLITE_NULL;
}

int db_text(DbQuery *query, int column, char *out, size_t size)
{
        Slice text = db_slice(query, column);

        if (text.size >= size || (text.size > 0 && memchr(text.data, '\0', text.size)))
                return DB_E_DAMAGED;
        if (text.size > 0)
                memcpy(out, text.data, text.size);
        out[text.size] = '\0';
        return 0;
}

int db_blob(DbQuery *query, int column, uint8_t *out, size_t size)
{
        Slice bytes = db_slice(query, column);

        if (bytes.size != size || !bytes.data)
                return DB_E_DAMAGED;
        memcpy(out, bytes.data, size);
        return 0;
}

/* ---- transactions ---- */

bool db_in_transaction(const Db *db)
{
        return sqlite3_get_autocommit(db->sqlite) == 0;
}

uint64_t db_changes(const Db *db)
{
        return (uint64_t)sqlite3_total_changes64(db->sqlite);
}

int db_begin(Db *db)
{
        return db_in_transaction(db) ? -EALREADY : db_run(db, "BEGIN IMMEDIATE", NULL, 0, NULL);
}

void db_rollback(Db *db)
{
        /* Queries that are still running keep nothing: their next step fails. */
        if (db_in_transaction(db))
                (void)exec(db, "ROLLBACK");
}

int db_commit(Db *db)
{
        int r;

        if (!db_in_transaction(db))
                return -EINVAL;
        r = db_run(db, "COMMIT", NULL, 0, NULL);
        if (r)
                db_rollback(db);
        return r;
}

/* ---- opening ---- */

/* One number or text that a pragma answers with. */
static int pragma_u64(Db *db, const char *sql, uint64_t *ret)
{
        sqlite3_stmt *statement = NULL;
        int r = db_error(db, sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL));

        if (r == 0)
                r = db_error(db, sqlite3_step(statement));
        if (r == 0)
                *ret = (uint64_t)sqlite3_column_int64(statement, 0);
        (void)sqlite3_finalize(statement);
        return r == DB_E_DONE ? DB_E_DAMAGED : r;
}

static int pragma_expect(Db *db, const char *sql, const char *expected)
{
        sqlite3_stmt *statement = NULL;
        const char *answer;
        int r = db_error(db, sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL));

        if (r == 0)
                r = db_error(db, sqlite3_step(statement));
        if (r == 0) {
                answer = (const char *)sqlite3_column_text(statement, 0);
                if (!answer || strcmp(answer, expected) != 0)
                        r = DB_E_DAMAGED;
        }
        (void)sqlite3_finalize(statement);
        return r == DB_E_DONE ? DB_E_DAMAGED : r;
}

/* SQLite would create it with the umask's mode, and give its mode to the journal beside it. */
static int file_prepare(const char *path)
{
        _cleanup_(fd_closep) int fd =
                open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
        struct stat st;

        if (fd < 0)
                return means_full(errno) ? DB_E_FULL : DB_E_IO;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return DB_E_IO;
        if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
                return DB_E_IO;
        return 0;
}

static int configure_connection(Db *db)
{
        static const struct {
                int option, value;
        } options[] = {
                { SQLITE_DBCONFIG_DEFENSIVE, 1 },
                { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
                { SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
                { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
                { SQLITE_DBCONFIG_DQS_DDL, 0 },
                { SQLITE_DBCONFIG_DQS_DML, 0 },
                { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
                int now = -1;

                if (sqlite3_db_config(db->sqlite, options[i].option, options[i].value, &now) !=
                            SQLITE_OK ||
                    now != options[i].value)
                        return -ENOTSUP;
        }
        (void)sqlite3_limit(db->sqlite, SQLITE_LIMIT_LENGTH, VALUE_MAX);
        (void)sqlite3_limit(db->sqlite, SQLITE_LIMIT_ATTACHED, 0);
        return exec(db, "PRAGMA locking_mode = EXCLUSIVE;"
                        "PRAGMA cell_size_check = ON;"
                        "PRAGMA mmap_size = 0;"
                        "PRAGMA temp_store = MEMORY;"
                        "PRAGMA secure_delete = ON;"
                        "PRAGMA journal_size_limit = 4194304;");
}

/* Is it ours, and of a version that is known? Nothing has been written yet. */
static int check_identity(Db *db, uint64_t *ret_version)
{
        uint64_t application, objects, version;
        int r = pragma_u64(db, "SELECT count(*) FROM sqlite_schema", &objects);

        if (r == 0)
                r = pragma_u64(db, "PRAGMA application_id", &application);
        if (r == 0)
                r = pragma_u64(db, "PRAGMA user_version", &version);
        if (r)
                return r;
        if (application != APPLICATION_ID && (application != 0 || version != 0 || objects != 0))
                return DB_E_DAMAGED;
        if (application == APPLICATION_ID && version == 0)
                return DB_E_DAMAGED;
        if (version > db_n_migrations)
                return DB_E_NEWER;
        *ret_version = version;
        return 0;
}

static int migrate(Db *db, uint64_t version)
{
        char pragma[80];
        int r;

        (void)snprintf(pragma, sizeof(pragma),
                       "PRAGMA application_id = %d; PRAGMA user_version = %zu;", APPLICATION_ID,
                       db_n_migrations);
        /* Also without a step to take: it takes the lock, so that who comes second is told now. */
        r = db_begin(db);
        for (uint64_t i = version; r == 0 && i < db_n_migrations; i++)
                r = exec(db, db_migrations[i]);
        if (r == 0 && version < db_n_migrations)
                r = exec(db, pragma);
        if (r) {
                db_rollback(db);
                return r;
        }
        return db_commit(db);
}

static int open_checked(Db *db, const char *path)
{
        uint64_t version;
        int r = file_prepare(path);

        if (r)
                return r;
        r = sqlite3_open_v2(path, &db->sqlite,
                            SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX |
                                    SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE,
                            NULL);
        if (!db->sqlite)
                return -ENOMEM;
        r = db_error(db, r);
        if (r == 0)
                r = configure_connection(db);
        if (r == 0)
                r = check_identity(db, &version);
        if (r == 0)
                r = pragma_expect(db, "PRAGMA journal_mode = WAL", "wal");
        if (r == 0)
                r = exec(db, "PRAGMA synchronous = FULL");
        if (r == 0)
                r = migrate(db, version);
        if (r == 0)
                r = pragma_expect(db, "PRAGMA quick_check(1)", "ok");
        return r;
}

int db_open(Db **ret, const char *directory)
{
        /* SQLITE_OPEN_NOFOLLOW refuses a link anywhere in the path; those above the state are the
         * administrator's business. */
        _cleanup_(freep) char *real = realpath(directory, NULL);
        _cleanup_(freep) char *path = NULL;
        _cleanup_(db_freep) Db *db = NULL;
        int r;

        if (!real)
                return errno == ENOMEM ? -ENOMEM : DB_E_IO;
        if (asprintf(&path, "%s/" FILE_NAME, real) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        db = calloc(1, sizeof(*db));
        if (!db)
                return -ENOMEM;
        r = open_checked(db, path);
        if (r == 0)
                *ret = take_ptr(db);
        return r;
}

Db *db_free(Db *db)
{
        if (!db)
                return NULL;
        for (size_t i = 0; i < db->n_queries; i++)
                (void)sqlite3_finalize(db->queries[i].statement);
        (void)sqlite3_close_v2(db->sqlite);
        free(db);
        return NULL;
}

void db_set_seal(Db *db, const Seal *seal)
{
        db->seal = seal;
}

const Seal *db_seal(const Db *db)
{
        return db->seal;
}
