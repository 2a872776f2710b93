#include "vault/rows_session.h"

typedef struct GrantList {
        RecordList grants;
} GrantList;

static const Field schema_grant_fields[] = {
        F(GrantRecord, profile, TEXT, 0, LIMIT_NAME, 0),
        F(GrantRecord, secret, TEXT, 0, LIMIT_NAME, 0),
        F_RECORD(GrantRecord, scope, FIELD_OPTIONAL, schema_scope),
        F_ENUM(GrantRecord, deliver, 0, delivery_names),
        F(GrantRecord, ttl, U64, 0, 0, 0),
        F(GrantRecord, env, TEXT, FIELD_OPTIONAL, 128, 0),
        F(GrantRecord, expose_secret, BOOL, 0, 0, 0),
        F(GrantRecord, command, TEXTS, 0, LIMIT_ARGV, LIMIT_PATH),
        F_RECORD(GrantRecord, egress, FIELD_OPTIONAL, schema_egress_policy),
        F(GrantRecord, env_url, TEXT, FIELD_OPTIONAL, 128, 0),
        F(GrantRecord, url_host, TEXT, FIELD_OPTIONAL, 260, 0),
        F(GrantRecord, url_path, TEXT, FIELD_OPTIONAL, 256, 0),
        F(GrantRecord, variables, MAP, 0, LIMIT_VARIABLES, LIMIT_TEXT),
};
static SCHEMA(schema_grant, "Grant", GrantRecord);

static const Field schema_grants_fields[] = {
        F_RECORDS(GrantList, grants, 0, LIMIT_GRANTS, schema_grant),
};
static SCHEMA(schema_grants, "Grants", GrantList);

static const Field schema_handle_fields[] = {
        F(HandleRecord, profile, TEXT, 0, LIMIT_NAME, 0),
        F(HandleRecord, handle, SECRET, 0, 128, 0),
};
static SCHEMA(schema_handle, "Handle", HandleRecord);

static const Field schema_proxy_fields[] = {
        F_RECORDS(SessionProxy, handles, 0, LIMIT_GRANTS, schema_handle),
        F(SessionProxy, certificate, BYTES, 0, 32768, 0),
        F(SessionProxy, key, SECRET, 0, 512, 0),
};
static SCHEMA(schema_proxy, "Proxy", SessionProxy);

#define PROXY_MAX (64U * 1024U)

/* One value of the database at most. Sixteen grants with 500 repositories each would be more than
 * any message can carry. */
#define GRANTS_MAX (768U * 1024U)

#define COLUMNS                                                                                    \
        "sequence, id, uid, label, state, opened, expires, deadline, ended, end_reason, lifeline," \
        " secret_hash, grants"

_Static_assert(SESSION_ENDED == 2, "the statements below and the schema say 2");

static SealPlace grants_place(const char *id)
{
        return (SealPlace){ "session", id, "grants" };
}

static SealPlace proxy_place(const char *id)
{
        return (SealPlace){ "session", id, "proxy" };
}

static int seal_grants(Db *db, const SessionRecord *record, Buf *out)
{
        _cleanup_(buf_deinit) Buf plain = BUF_NULL(GRANTS_MAX);
        const GrantList body = { record->grants };
        int r;

        if (!db_seal(db))
                return DB_E_SEALED;
        r = schema_encode(&schema_grants, &body, &plain);
        if (r < 0)
                return r == -ENOBUFS ? DB_E_NO_SPACE : r;
        r = seal_encrypt(db_seal(db), grants_place(record->id), buf_slice(&plain), out);
        return r > 0 ? -EINVAL : r;
}

/* Nothing where there is no proxy side. */
static int seal_proxy(Db *db, const char *id, const SessionProxy *proxy, Buf *out)
{
        _cleanup_(buf_deinit) Buf plain = BUF_NULL(PROXY_MAX);
        int r;

        if (!proxy)
                return 0;
        r = schema_encode(&schema_proxy, proxy, &plain);
        if (r < 0)
                return r == -ENOBUFS ? -EINVAL : r;
        r = seal_encrypt(db_seal(db), proxy_place(id), buf_slice(&plain), out);
        return r > 0 ? -EINVAL : r;
}

/* Without any: of a session that an earlier version opened (db_schema.c), and that was granted nothing that
 * is still of use. */
static int open_grants(Db *db, Slice sealed, Pool *pool, SessionRecord *record)
{
        _cleanup_(buf_deinit) Buf plain = BUF_NULL(GRANTS_MAX);
        GrantList body;
        int r;

        if (sealed.size == 0)
                return 0;
        r = seal_decrypt(db_seal(db), grants_place(record->id), sealed, &plain);
        if (r)
                return r > 0 ? DB_E_DAMAGED : r;
        r = schema_decode(&schema_grants, buf_slice(&plain), NULL, pool, &body, NULL);
        if (r > 0)
                return r == SCHEMA_E_NO_SPACE ? DB_E_NO_SPACE : DB_E_DAMAGED;
        if (r == 0)
                record->grants = body.grants;
        return r;
}

int rows_session_insert(Db *db, SessionRecord *record, const SessionProxy *proxy)
{
        _cleanup_(buf_deinit) Buf grants = BUF_NULL(GRANTS_MAX + SEAL_OVERHEAD);
        _cleanup_(buf_deinit) Buf sealed_proxy = BUF_NULL(PROXY_MAX + SEAL_OVERHEAD);
        int r = seal_grants(db, record, &grants);

        if (r == 0)
                r = seal_proxy(db, record->id, proxy, &sealed_proxy);
        if (r == 0)
                r = db_run(
                        db,
                        "INSERT INTO session (id, uid, label, state, opened, expires, deadline, "
                        "ended,"
                        " end_reason, lifeline, secret_hash, grants, proxy)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                        DB_VALUES(DB_TEXT(record->id), DB_U64(record->uid), DB_TEXT(record->label),
                                  DB_U64(record->state), DB_U64(record->opened),
                                  DB_U64(record->expires), DB_U64(record->deadline),
                                  DB_U64(record->ended), DB_TEXT(record->end_reason),
                                  DB_U64(record->lifeline),
                                  DB_BLOB(slice(record->secret_hash, sizeof(record->secret_hash))),
                                  DB_BLOB(buf_slice(&grants)),
                                  DB_BLOB(buf_slice(&sealed_proxy))),
                        NULL);
        if (r == 0)
                record->sequence = db_last_sequence(db);
        return r;
}

static int read_texts(DbQuery *query, SessionRecord *record)
{
        int r = db_text(query, 1, record->id, sizeof(record->id));

        if (r == 0)
                r = db_text(query, 3, record->label, sizeof(record->label));
        if (r == 0)
                r = db_text(query, 9, record->end_reason, sizeof(record->end_reason));
        if (r == 0)
                r = db_blob(query, 11, record->secret_hash, sizeof(record->secret_hash));
        return r;
}

static int read_row(Db *db, DbQuery *query, Pool *pool, SessionRecord *ret)
{
        SessionRecord record = {
                .sequence = db_u64(query, 0),
                .uid = db_u64(query, 2),
                .state = (SessionState)db_u64(query, 4),
                .opened = db_u64(query, 5),
                .expires = db_u64(query, 6),
                .deadline = db_u64(query, 7),
                .ended = db_u64(query, 8),
                .lifeline = (Lifeline)db_u64(query, 10),
        };
        int r = read_texts(query, &record);

        if (r == 0 && (db_u64(query, 4) > SESSION_ENDED || db_u64(query, 10) > LIFELINE_LIFETIME))
                r = DB_E_DAMAGED;
        if (r == 0 && db_seal(db))
                r = open_grants(db, db_slice(query, 12), pool, &record);
        if (r == 0)
                *ret = record;
        return r;
}

int rows_session_get(Db *db, const char *id, Pool *pool, SessionRecord *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r;

        if (!db_seal(db))
                return DB_E_SEALED;
        r = db_query(db, "SELECT " COLUMNS " FROM session WHERE id = ?1", DB_VALUES(DB_TEXT(id)),
                     &query);
        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        return read_row(db, query, pool, ret);
}

int rows_session_proxy(Db *db, const char *id, Arena *arena, Pool *pool, SessionProxy *ret)
{
        _cleanup_(buf_deinit) Buf plain = BUF_NULL(PROXY_MAX);
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r;

        if (!db_seal(db))
                return DB_E_SEALED;
        r = db_query(db, "SELECT proxy FROM session WHERE id = ?1 AND proxy IS NOT NULL",
                     DB_VALUES(DB_TEXT(id)), &query);
        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        r = seal_decrypt(db_seal(db), proxy_place(id), db_slice(query, 0), &plain);
        if (r)
                return r > 0 ? DB_E_DAMAGED : r;
        r = schema_decode(&schema_proxy, buf_slice(&plain), arena, pool, ret, NULL);
        return r == SCHEMA_E_NO_SPACE ? DB_E_NO_SPACE : r > 0 ? DB_E_DAMAGED : r;
}

void session_proxy_clear(SessionProxy *proxy)
{
        schema_clear(&schema_proxy, proxy);
}

static HandleRecord *find_handle(const SessionProxy *proxy, const char *profile)
{
        HandleRecord *handles = proxy->handles.items;

        for (size_t i = 0; i < proxy->handles.n; i++)
                if (strcmp(handles[i].profile, profile) == 0)
                        return &handles[i];
        return NULL;
}

Secret *session_proxy_handle(const SessionProxy *proxy, const char *profile)
{
        const HandleRecord *record = find_handle(proxy, profile);

        return record ? record->handle : NULL;
}

Secret *session_proxy_take(SessionProxy *proxy, const char *profile)
{
        HandleRecord *record = find_handle(proxy, profile);

        return record ? take_ptr(record->handle) : NULL;
}

int rows_session_set_live(Db *db, const char *id)
{
        return db_run_one(db, "UPDATE session SET state = 1 WHERE id = ?1 AND state = 0",
                          DB_VALUES(DB_TEXT(id)));
}

int rows_session_end(Db *db, const char *id, uint64_t now, const char *reason)
{
        return db_run_one(db,
                          "UPDATE session SET state = 2, ended = ?2, end_reason = ?3, proxy = NULL"
                          " WHERE id = ?1 AND state <> 2",
                          DB_VALUES(DB_TEXT(id), DB_U64(now), DB_CUT(reason, LIMIT_TEXT)));
}

int rows_session_end_all(Db *db, uint64_t now, const char *reason, uint64_t *ret_n)
{
        return db_run(db,
                      "UPDATE session SET state = 2, ended = ?1, end_reason = ?2, proxy = NULL"
                      " WHERE state <> 2",
                      DB_VALUES(DB_U64(now), DB_CUT(reason, LIMIT_TEXT)), ret_n);
}

int rows_session_list(Db *db, bool all, uint64_t after, size_t max, Pool *pool, SessionRecord **ret,
                      size_t *ret_n)
{
        static const char every[] = "SELECT " COLUMNS " FROM session WHERE sequence > ?1"
                                    " ORDER BY sequence LIMIT ?2";
        static const char open[] =
                "SELECT " COLUMNS " FROM session WHERE sequence > ?1 AND state <> 2"
                " ORDER BY sequence LIMIT ?2";
        _cleanup_(db_finishp) DbQuery *query = NULL;
        void *records;
        size_t n = 0;
        int r = db_pool_array(pool, max, sizeof(SessionRecord), &records);

        if (r == 0)
                r = db_query(db, all ? every : open, DB_VALUES(DB_U64(after), DB_U64(max)), &query);
        while (r == 0 && n < max) {
                r = db_step(query);
                if (r == 0)
                        r = read_row(db, query, pool, (SessionRecord *)records + n);
                if (r == 0)
                        n++;
        }
        if (r && r != DB_E_DONE)
                return r;
        *ret = records;
        *ret_n = n;
        return 0;
}

int rows_session_count(Db *db, uint64_t uid, uint64_t *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = uid == UINT64_MAX
                        ? db_query(db, "SELECT count(*) FROM session WHERE state <> 2", NULL, 0,
                                   &query)
                        : db_query(db, "SELECT count(*) FROM session WHERE state <> 2 AND uid = ?1",
                                   DB_VALUES(DB_U64(uid)), &query);

        if (r == 0)
                r = db_step(query);
        if (r == 0)
                *ret = db_u64(query, 0);
        return r;
}

bool rows_session_exists(Db *db, const char *id)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, "SELECT 1 FROM session WHERE id = ?1", DB_VALUES(DB_TEXT(id)), &query);

        return r == 0 && db_step(query) == 0;
}

bool rows_session_any(Db *db, uint64_t uid)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, "SELECT 1 FROM session WHERE uid = ?1 LIMIT 1", DB_VALUES(DB_U64(uid)), &query);

        return r == 0 && db_step(query) == 0;
}

int rows_session_prune(Db *db, uint64_t before, size_t max, uint64_t *ret_n)
{
        return db_run(db,
                      "DELETE FROM session WHERE sequence IN (SELECT s.sequence FROM session AS s"
                      " WHERE s.state = 2 AND s.ended < ?1"
                      " AND NOT EXISTS (SELECT 1 FROM lease WHERE lease.session = s.id)"
                      " ORDER BY s.ended LIMIT ?2)",
                      DB_VALUES(DB_U64(before), DB_U64(max)), ret_n);
}
