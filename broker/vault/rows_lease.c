#include "vault/rows_lease.h"
#include <sodium.h>

/* The plain form of the column `upstream`. */
static const Field schema_upstream_fields[] = {
        F(LeaseUpstream, base_url, TEXT, FIELD_OPTIONAL, LIMIT_URL, 0),
        F(LeaseUpstream, parameters, MAP, 0, LIMIT_PARAMETERS, LIMIT_TEXT),
};
static SCHEMA(schema_upstream, "LeaseUpstream", LeaseUpstream);

#define UPSTREAM_MAX (32U * 1024U)

#define COLUMNS                                                                                    \
        "sequence, id, session, profile, secret, provider, generation, state, outcome, on_end, "   \
        "created,"                                                                                 \
        " expires, ended, upstream_id, attempts, next_attempt, reason, token IS NOT NULL, kind, principal, side"

_Static_assert(LEASE_INTENT == 0 && LEASE_LIVE == 1 && LEASE_REVOKING == 2 && LEASE_REVOKED == 3 &&
                       LEASE_EXPIRED == 4 && LEASE_FAILED == 5 && LEASE_UNRECOVERABLE == 6,
               "the statements below and the schema say so");
_Static_assert(OUTCOME_PENDING == 2, "the statements of rows_lease_end() say so");

/* ---- sealed columns ---- */

static int seal_column(Db *db, const char *id, const char *column, Slice plain, Buf *out)
{
        int r;

        if (!db_seal(db))
                return DB_E_SEALED;
        r = seal_encrypt(db_seal(db), (SealPlace){ "lease", id, column }, plain, out);
        return r > 0 ? -EINVAL : r;
}

static int seal_upstream(Db *db, const char *id, const LeaseUpstream *upstream, Buf *out)
{
        _cleanup_(buf_deinit) Buf plain = BUF_NULL(UPSTREAM_MAX);
        int r = schema_encode(&schema_upstream, upstream, &plain);

        if (r < 0)
                return r == -ENOBUFS ? -EINVAL : r;
        return seal_column(db, id, "upstream", buf_slice(&plain), out);
}

/* Empty where there is no value to keep. */
static int seal_token(Db *db, const char *id, const LeaseToken *token, Buf *out)
{
        if (!token || !token->value)
                return 0;
        return seal_column(db, id, "token", secret_slice(token->value), out);
}

static DbValue blob_or_null(const Buf *buf)
{
        return buf->size > 0 ? DB_BLOB(buf_slice(buf)) : DB_NULL;
}

/* Finds a sealed column of a lease; the slice is the query's. */
static int find_sealed(Db *db, const char *sql, const char *id, DbQuery **ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r;

        if (!db_seal(db))
                return DB_E_SEALED;
        r = db_query(db, sql, DB_VALUES(DB_TEXT(id)), &query);
        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        if (db_is_null(query, 0))
                return DB_E_NOT_FOUND;
        *ret = take_ptr(query);
        return 0;
}

int rows_lease_token(Db *db, const char *id, Arena *arena, Secret **ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = find_sealed(db, "SELECT token FROM lease WHERE id = ?1", id, &query);

        if (r)
                return r;
        r = seal_decrypt_secret(db_seal(db), (SealPlace){ "lease", id, "token" },
                                db_slice(query, 0), arena, ret);
        return r == SEAL_E_FULL ? DB_E_NO_SPACE : r > 0 ? DB_E_DAMAGED : r;
}

int rows_lease_upstream(Db *db, const char *id, Pool *pool, LeaseUpstream *ret)
{
        _cleanup_(buf_deinit) Buf plain = BUF_NULL(UPSTREAM_MAX);
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = find_sealed(db, "SELECT upstream FROM lease WHERE id = ?1", id, &query);

        if (r)
                return r;
        r = seal_decrypt(db_seal(db), (SealPlace){ "lease", id, "upstream" }, db_slice(query, 0),
                         &plain);
        if (r)
                return r > 0 ? DB_E_DAMAGED : r;
        r = schema_decode(&schema_upstream, buf_slice(&plain), NULL, pool, ret, NULL);
        return r == SCHEMA_E_NO_SPACE ? DB_E_NO_SPACE : r > 0 ? DB_E_DAMAGED : r;
}

/* ---- changes ---- */

/* The URL itself is sealed. What the owner has added are few, and 62 bits tell them apart. */
static uint64_t side_of(const char *base_url)
{
        uint8_t hash[crypto_generichash_BYTES];
        uint64_t side;

        if (!base_url || !*base_url)
                return 0;
        (void)crypto_generichash(hash, sizeof(hash), (const uint8_t *)base_url, strlen(base_url), NULL, 0);
        memcpy(&side, hash, sizeof(side));
        return side >> 2 | 1;
}

int rows_lease_insert(Db *db, LeaseRecord *record, const LeaseUpstream *upstream,
                      const LeaseToken *token)
{
        _cleanup_(buf_deinit) Buf sealed_upstream = BUF_NULL(UPSTREAM_MAX + SEAL_OVERHEAD);
        _cleanup_(buf_deinit) Buf sealed_token = BUF_NULL(SECRET_MAX + SEAL_OVERHEAD);
        const char *upstream_id =
                token && token->upstream_id ? token->upstream_id : record->upstream_id;
        bool dying = record->kind == LEASE_SECRET;
        int r;

        if (dying != (record->state == LEASE_REVOKING) || (dying && !token) ||
            (!dying && record->state != LEASE_LIVE && (record->state != LEASE_INTENT || token)))
                return -EINVAL;
        record->side = side_of(upstream->base_url);
        r = seal_upstream(db, record->id, upstream, &sealed_upstream);
        if (r == 0)
                r = seal_token(db, record->id, token, &sealed_token);
        if (r == 0)
                r = db_run(db,
                           "INSERT INTO lease (id, session, profile, secret, provider, generation, "
                           "state,"
                           " outcome, on_end, created, expires, ended, upstream_id, attempts, "
                           "next_attempt,"
                           " reason, token_hash, token, upstream, kind, side, principal) VALUES (?1, ?2,"
                           " ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?18, ?12, 0, ?19, ?13, ?14, ?15,"
                           " ?16, ?17, ?20, coalesce((SELECT uid FROM session WHERE id = ?2), -1))",
                           DB_VALUES(DB_TEXT(record->id), DB_TEXT(record->session),
                                     DB_TEXT(record->profile), DB_TEXT(record->secret),
                                     DB_TEXT(record->provider), DB_U64(record->generation),
                                     DB_U64(record->state), DB_U64(record->outcome),
                                     DB_U64(record->on_end), DB_U64(record->created),
                                     DB_U64(token ? token->expires : record->expires),
                                     DB_TEXT(upstream_id), DB_TEXT(record->reason),
                                     token && token->hash.size > 0 ? DB_BLOB(token->hash) : DB_NULL,
                                     blob_or_null(&sealed_token),
                                     DB_BLOB(buf_slice(&sealed_upstream)), DB_U64(record->kind),
                                     DB_U64(record->ended), DB_U64(record->next_attempt), DB_U64(record->side)),
                           NULL);
        if (r == 0)
                record->sequence = db_last_sequence(db);
        return r;
}

/* The columns that a token fills in, as parameters 2 to 5; `more` are those behind. */
static int write_token(Db *db, const char *sql, const char *id, const LeaseToken *token,
                       DbValue more, DbValue last)
{
        _cleanup_(buf_deinit) Buf sealed = BUF_NULL(SECRET_MAX + SEAL_OVERHEAD);
        int r;

        if (token->hash.size != 0 && token->hash.size != SEAL_HASH_SIZE)
                return -EINVAL;
        r = seal_token(db, id, token, &sealed);
        if (r)
                return r;
        return db_run_one(db, sql,
                          DB_VALUES(DB_TEXT(id), DB_U64(token->expires),
                                    DB_TEXT(token->upstream_id ? token->upstream_id : ""),
                                    token->hash.size > 0 ? DB_BLOB(token->hash) : DB_NULL,
                                    blob_or_null(&sealed), more, last));
}

int rows_lease_set_live(Db *db, const char *id, const LeaseToken *token)
{
        return write_token(
                db,
                "UPDATE lease SET state = 1, expires = ?2, upstream_id = ?3, token_hash = ?4,"
                " token = ?5, reason = coalesce(?6, ?7, '') WHERE id = ?1 AND state = 0",
                /* cppcheck-suppress unknownEvaluationOrder -- the two are constants */
                id, token, DB_NULL, DB_NULL);
}

int rows_lease_set_token(Db *db, const char *id, const LeaseToken *token, uint64_t now,
                         const char *reason)
{
        return write_token(
                db,
                "UPDATE lease SET state = 2, outcome = 2, expires = ?2, upstream_id = ?3,"
                " token_hash = ?4, token = ?5, ended = ?6, next_attempt = ?6, reason = ?7"
                " WHERE id = ?1 AND state IN (0, 2, 6)",
                id, token, DB_U64(now), DB_CUT(reason, LIMIT_TEXT));
}

/* What ending a live lease does to its row; ?2 is the time and ?3 the reason. */
#define SET_ENDED                                                                                  \
        " SET state = CASE on_end WHEN 2 THEN 2 ELSE 3 END, outcome = on_end, ended = ?2,"         \
        " next_attempt = CASE on_end WHEN 2 THEN ?2 ELSE 0 END, reason = ?3,"                      \
        " token = CASE on_end WHEN 2 THEN token ELSE NULL END,"                                    \
        " upstream = CASE on_end WHEN 2 THEN upstream ELSE NULL END "

int rows_lease_end(Db *db, const char *id, uint64_t now, const char *reason)
{
        return db_run_one(db, "UPDATE lease" SET_ENDED "WHERE id = ?1 AND state = 1",
                          DB_VALUES(DB_TEXT(id), DB_U64(now), DB_CUT(reason, LIMIT_TEXT)));
}

int rows_lease_retry(Db *db, const char *id, uint64_t next_attempt, const char *reason)
{
        return db_run_one(db,
                          "UPDATE lease SET attempts = attempts + 1, next_attempt = ?2, reason = ?3"
                          " WHERE id = ?1 AND state = 2",
                          DB_VALUES(DB_TEXT(id), DB_U64(next_attempt), DB_CUT(reason, LIMIT_TEXT)));
}

int rows_lease_finish(Db *db, const char *id, LeaseState state, Outcome outcome, uint64_t now,
                      const char *reason)
{
        bool final = state == LEASE_REVOKED || state == LEASE_EXPIRED || state == LEASE_FAILED;

        if (!final && state != LEASE_UNRECOVERABLE)
                return -EINVAL;
        if (!final)
                return db_run_one(
                        db,
                        "UPDATE lease SET state = 6, outcome = ?2, ended = ?3, reason = ?4"
                        " WHERE id = ?1 AND state IN (0, 1, 2)",
                        DB_VALUES(DB_TEXT(id), DB_U64(outcome), DB_U64(now),
                                  DB_CUT(reason, LIMIT_TEXT)));
        return db_run_one(
                db,
                "UPDATE lease SET state = ?2, outcome = ?3, ended = ?4, reason = ?5, token = NULL,"
                " upstream = NULL WHERE id = ?1 AND state IN (0, 1, 2, 6)",
                DB_VALUES(DB_TEXT(id), DB_U64(state), DB_U64(outcome), DB_U64(now),
                          DB_CUT(reason, LIMIT_TEXT)));
}

/* The sequence of the live row that is `max` rows behind `after`, if there are so many. */
static int window_end(Db *db, const CutoffRecord *cutoff, size_t max, uint64_t *ret)
{
        static const char by_secret[] = "SELECT sequence FROM lease WHERE secret = ?4 AND state = 1"
                                        " AND sequence > ?1 AND sequence <= ?2"
                                        " ORDER BY sequence LIMIT 1 OFFSET ?3";
        static const char by_state[] = "SELECT sequence FROM lease WHERE state = 1"
                                       " AND sequence > ?1 AND sequence <= ?2 AND ?4 IS NULL"
                                       " ORDER BY sequence LIMIT 1 OFFSET ?3";
        _cleanup_(db_finishp) DbQuery *query = NULL;
        Selection what = cutoff_selection(cutoff);
        int r = db_query(db, what.secret ? by_secret : by_state,
                         DB_VALUES(DB_U64(cutoff->progress), DB_U64(cutoff->sequence),
                                   DB_U64(max - 1), DB_TEXT(what.secret)),
                         &query);

        if (r == 0)
                r = db_step(query);
        if (r == DB_E_DONE) {
                *ret = cutoff->sequence;
                return 0;
        }
        if (r == 0)
                *ret = db_u64(query, 0);
        return r;
}

int rows_lease_apply_cutoff(Db *db, CutoffRecord *cutoff, uint64_t now, size_t max, uint64_t *ret_n)
{
        /* ?1 and ?4 bound the sequence; each finds its rows by an index. */
#define APPLY_REST                                                                                 \
        " AND sequence > ?1 AND sequence <= ?4 AND (?6 IS NULL OR profile = ?6)"                   \
        " AND (?8 IS NULL OR provider = ?8) AND (?9 IS NULL OR principal = ?9)"                    \
        " AND created >= ?10)"
        static const char by_session[] =
                "UPDATE lease" SET_ENDED "WHERE sequence IN (SELECT sequence FROM lease"
                " WHERE session = ?5 AND state = 1 AND (?7 IS NULL OR secret = ?7)" APPLY_REST;
        static const char by_secret[] =
                "UPDATE lease" SET_ENDED "WHERE sequence IN (SELECT sequence FROM lease"
                " WHERE secret = ?7 AND state = 1 AND ?5 IS NULL" APPLY_REST;
        static const char by_state[] =
                "UPDATE lease" SET_ENDED "WHERE sequence IN (SELECT sequence FROM lease"
                " WHERE state = 1 AND ?5 IS NULL AND ?7 IS NULL" APPLY_REST;
        Selection what = cutoff_selection(cutoff);
        uint64_t end = cutoff->sequence, n = 0;
        int r = 0;

        if (max == 0)
                return -EINVAL;
        if (!what.session) /* one session has few */
                r = window_end(db, cutoff, max, &end);
        if (r == 0)
                r = db_run(db, what.session ? by_session : what.secret ? by_secret : by_state,
                           DB_VALUES(DB_U64(cutoff->progress), DB_U64(now), DB_TEXT(cutoff->reason),
                                     DB_U64(end), DB_TEXT(what.session), DB_TEXT(what.profile),
                                     DB_TEXT(what.secret), DB_TEXT(what.provider),
                                     what.has_principal ? DB_U64(what.principal) : DB_NULL,
                                     DB_U64(what.since)),
                           &n);
        if (r)
                return r;
        cutoff->progress = end;
        if (ret_n)
                *ret_n = n;
        return 0;
}

int rows_lease_prune(Db *db, uint64_t before, size_t max, uint64_t *ret_n)
{
        return db_run(db,
                      "DELETE FROM lease WHERE sequence IN (SELECT sequence FROM lease"
                      " INDEXED BY lease_over WHERE state IN (3, 4, 5) AND ended < ?1"
                      " ORDER BY ended LIMIT ?2)",
                      DB_VALUES(DB_U64(before), DB_U64(max)), ret_n);
}

/* ---- reading ---- */

static int read_texts(DbQuery *query, LeaseRecord *record)
{
        const struct {
                int column;
                char *out;
                size_t size;
        } texts[] = {
                { 1, record->id, sizeof(record->id) },
                { 2, record->session, sizeof(record->session) },
                { 3, record->profile, sizeof(record->profile) },
                { 4, record->secret, sizeof(record->secret) },
                { 5, record->provider, sizeof(record->provider) },
                { 13, record->upstream_id, sizeof(record->upstream_id) },
                { 16, record->reason, sizeof(record->reason) },
        };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
                r = db_text(query, texts[i].column, texts[i].out, texts[i].size);
        return r;
}

static int read_row(DbQuery *query, LeaseRecord *record)
{
        *record = (LeaseRecord){
                .sequence = db_u64(query, 0),
                .generation = db_u64(query, 6),
                .state = (LeaseState)db_u64(query, 7),
                .outcome = (Outcome)db_u64(query, 8),
                .on_end = (Outcome)db_u64(query, 9),
                .created = db_u64(query, 10),
                .expires = db_u64(query, 11),
                .ended = db_u64(query, 12),
                .attempts = db_u64(query, 14),
                .next_attempt = db_u64(query, 15),
                .has_token = db_u64(query, 17) != 0,
                .kind = (LeaseKind)db_u64(query, 18),
                .principal = db_u64(query, 19),
                .side = db_u64(query, 20),
        };
        if (db_u64(query, 7) > LEASE_UNRECOVERABLE || db_u64(query, 18) >= _LEASE_KIND_N ||
            db_u64(query, 8) > OUTCOME_IMPOSSIBLE_ROTATE ||
            db_u64(query, 9) > OUTCOME_IMPOSSIBLE_ROTATE)
                return DB_E_DAMAGED;
        return read_texts(query, record);
}

static int read_one(Db *db, const char *sql, DbValue key, LeaseRecord *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, sql, &key, 1, &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        return read_row(query, ret);
}

int rows_lease_get(Db *db, const char *id, LeaseRecord *ret)
{
        return read_one(db, "SELECT " COLUMNS " FROM lease WHERE id = ?1", DB_TEXT(id), ret);
}

int rows_lease_get_by_token(Db *db, const uint8_t hash[SEAL_HASH_SIZE], LeaseRecord *ret)
{
        return read_one(db,
                        "SELECT " COLUMNS
                        " FROM lease WHERE token_hash = ?1 AND token_hash IS NOT NULL"
                        " ORDER BY sequence DESC LIMIT 1",
                        DB_BLOB(slice(hash, SEAL_HASH_SIZE)), ret);
}

static int read_page(Db *db, const char *sql, const DbValue *values, size_t n_values, size_t max,
                     Pool *pool, LeaseRecord **ret, size_t *ret_n)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        void *records;
        size_t n = 0;
        int r = db_pool_array(pool, max, sizeof(LeaseRecord), &records);

        if (r == 0)
                r = db_query(db, sql, values, n_values, &query);
        while (r == 0 && n < max) {
                r = db_step(query);
                if (r == 0)
                        r = read_row(query, (LeaseRecord *)records + n);
                if (r == 0)
                        n++;
        }
        if (r && r != DB_E_DONE)
                return r;
        *ret = records;
        *ret_n = n;
        return 0;
}

int rows_lease_get_live(Db *db, const char *session, const char *profile, LeaseKind kind,
                        LeaseRecord *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db,
                         "SELECT " COLUMNS " FROM lease WHERE session = ?1 AND profile = ?2"
                         " AND kind = ?3 AND state = 1 ORDER BY sequence DESC LIMIT 1",
                         DB_VALUES(DB_TEXT(session), DB_TEXT(profile), DB_U64(kind)), &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        return read_row(query, ret);
}

int rows_lease_list_by_token(Db *db, const uint8_t hash[SEAL_HASH_SIZE], uint64_t after, size_t max,
                             Pool *pool, LeaseRecord **ret, size_t *ret_n)
{
        return read_page(db,
                         "SELECT " COLUMNS
                         " FROM lease WHERE token_hash = ?1 AND token_hash IS NOT NULL"
                         " AND state = 1 AND sequence > ?2 ORDER BY sequence LIMIT ?3",
                         DB_VALUES(DB_BLOB(slice(hash, SEAL_HASH_SIZE)), DB_U64(after), DB_U64(max)),
                         max, pool, ret, ret_n);
}

int rows_lease_is_ending_secret(Db *db, const uint8_t hash[SEAL_HASH_SIZE], bool *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db,
                         "SELECT 1 FROM lease WHERE token_hash = ?1 AND token_hash IS NOT NULL AND kind = ?2 AND state = ?3",
                         DB_VALUES(DB_BLOB(slice(hash, SEAL_HASH_SIZE)), DB_U64(LEASE_SECRET), DB_U64(LEASE_REVOKING)),
                         &query);

        if (r == 0)
                r = db_step(query);
        *ret = r == 0;
        return r == DB_E_DONE ? 0 : r;
}

_Static_assert(OUTCOME_IMPOSSIBLE_ROTATE == 3, "the statement below says so");

int rows_lease_list_raw(Db *db, const char *secret, uint64_t generation, uint64_t after, size_t max, Pool *pool,
                        LeaseRecord **ret, size_t *ret_n)
{
        return read_page(db,
                         "SELECT " COLUMNS
                         " FROM lease WHERE secret = ?1 AND state = 1 AND sequence > ?3 AND on_end = 3"
                         " AND generation <= ?2 ORDER BY sequence LIMIT ?4",
                         DB_VALUES(DB_TEXT(secret), DB_U64(generation), DB_U64(after), DB_U64(max)), max, pool, ret,
                         ret_n);
}

_Static_assert(LEASE_SECRET == 3, "the statements below say so");

int rows_lease_count_dying(Db *db, const char *secret, uint64_t generation, uint64_t *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db,
                         "SELECT count(*) FROM lease WHERE secret = ?1 AND state = 2 AND kind = 3 AND generation = ?2",
                         DB_VALUES(DB_TEXT(secret), DB_U64(generation)), &query);

        if (r == 0)
                r = db_step(query);
        if (r == 0)
                *ret = db_u64(query, 0);
        return r;
}

int rows_lease_end_grace(Db *db, const char *secret, uint64_t generation, uint64_t now)
{
        return db_run(db,
                      "UPDATE lease SET next_attempt = ?3 WHERE secret = ?1 AND state = 2 AND kind = 3"
                      " AND generation = ?2 AND attempts = 0 AND next_attempt > ?3",
                      DB_VALUES(DB_TEXT(secret), DB_U64(generation), DB_U64(now)), NULL);
}

/* ?1 after, ?2 up to, ?3 states, ?4 session, ?5 secret, ?6 profile, ?7 provider, ?8 principal, ?9 since, ?10 how many. */
#define FILTER_STATES  "(?3 = 0 OR (?3 >> state) & 1)"
#define FILTER_REST                                                                                \
        " AND (?6 IS NULL OR profile = ?6) AND (?7 IS NULL OR provider = ?7)"                      \
        " AND (?8 IS NULL OR principal = ?8) AND created >= ?9"
#define FILTER_BY_SESSION                                                                          \
        " FROM lease WHERE session = ?4 AND sequence > ?1 AND sequence <= ?2 AND " FILTER_STATES   \
        " AND (?5 IS NULL OR secret = ?5)" FILTER_REST
#define FILTER_BY_SECRET                                                                           \
        " FROM lease WHERE secret = ?5 AND sequence > ?1 AND sequence <= ?2 AND " FILTER_STATES    \
        " AND ?4 IS NULL" FILTER_REST
#define FILTER_ALL                                                                                 \
        " FROM lease WHERE sequence > ?1 AND sequence <= ?2 AND " FILTER_STATES                    \
        " AND ?4 IS NULL AND ?5 IS NULL" FILTER_REST
#define FILTER_VALUES(filter, after)                                                               \
        DB_U64(after), DB_U64((filter)->up_to ? (filter)->up_to : UINT64_MAX),                     \
                DB_U64((filter)->states), DB_TEXT((filter)->what.session),                         \
                DB_TEXT((filter)->what.secret), DB_TEXT((filter)->what.profile),                   \
                DB_TEXT((filter)->what.provider),                                                  \
                (filter)->what.has_principal ? DB_U64((filter)->what.principal) : DB_NULL,         \
                DB_U64((filter)->what.since)
#define IN_ORDER " ORDER BY sequence LIMIT ?10"

int rows_lease_list(Db *db, const LeaseFilter *filter, uint64_t after, size_t max, Pool *pool,
                    LeaseRecord **ret, size_t *ret_n)
{
        static const char by_session[] = "SELECT " COLUMNS FILTER_BY_SESSION IN_ORDER;
        static const char by_secret[] = "SELECT " COLUMNS FILTER_BY_SECRET IN_ORDER;
        static const char all[] = "SELECT " COLUMNS FILTER_ALL IN_ORDER;

        return read_page(db,
                         filter->what.session  ? by_session
                         : filter->what.secret ? by_secret
                                               : all,
                         DB_VALUES(FILTER_VALUES(filter, after), DB_U64(max)), max, pool, ret, ret_n);
}

/* ?1 session, ?2 states, ?3 profile, ?4 secret, ?5 provider, ?6 principal, ?7 since, ?8 up to */
int rows_lease_list_beyond(Db *db, const char *session, const LeaseFilter *filter, uint64_t after,
                           size_t max, Pool *pool, LeaseRecord **ret, size_t *ret_n)
{
        static const char sql[] =
                "SELECT " COLUMNS " FROM lease WHERE session = ?1 AND sequence > ?9"
                " AND (?2 = 0 OR (?2 >> state) & 1)"
                " AND NOT ((?3 IS NULL OR profile = ?3) AND (?4 IS NULL OR secret = ?4)"
                " AND (?5 IS NULL OR provider = ?5) AND (?6 IS NULL OR principal = ?6)"
                " AND created >= ?7 AND sequence <= ?8) ORDER BY sequence LIMIT ?10";
        const Selection *what = &filter->what;

        return read_page(db, sql,
                         DB_VALUES(DB_TEXT(session), DB_U64(filter->states), DB_TEXT(what->profile),
                                   DB_TEXT(what->secret), DB_TEXT(what->provider),
                                   what->has_principal ? DB_U64(what->principal) : DB_NULL,
                                   DB_U64(what->since),
                                   DB_U64(filter->up_to ? filter->up_to : UINT64_MAX),
                                   DB_U64(after), DB_U64(max)),
                         max, pool, ret, ret_n);
}

bool selection_takes(const Selection *what, const LeaseRecord *lease)
{
        return (!what->session || strcmp(what->session, lease->session) == 0) &&
               (!what->profile || strcmp(what->profile, lease->profile) == 0) &&
               (!what->secret || strcmp(what->secret, lease->secret) == 0) &&
               (!what->provider || strcmp(what->provider, lease->provider) == 0) &&
               (!what->has_principal || what->principal == lease->principal) &&
               lease->created >= what->since;
}

bool selection_is_partial(const Selection *what)
{
        return what->profile || what->secret || what->provider || what->since > 0;
}

Outcome lease_outcome(const LeaseRecord *lease)
{
        switch (lease->state) {
        case LEASE_LIVE:
        case LEASE_INTENT:
                return lease->on_end;
        case LEASE_REVOKING:
        case LEASE_UNRECOVERABLE:
                return OUTCOME_PENDING;
        default:
                return lease->outcome;
        }
}

int rows_lease_tally(Db *db, const LeaseFilter *filter, uint64_t tally[OUTCOME_IMPOSSIBLE_ROTATE + 1])
{
        static const char by_session[] =
                "SELECT state, on_end, outcome, count(*)" FILTER_BY_SESSION " GROUP BY 1, 2, 3";
        static const char by_secret[] =
                "SELECT state, on_end, outcome, count(*)" FILTER_BY_SECRET " GROUP BY 1, 2, 3";
        static const char all[] =
                "SELECT state, on_end, outcome, count(*)" FILTER_ALL " GROUP BY 1, 2, 3";
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db,
                         filter->what.session  ? by_session
                         : filter->what.secret ? by_secret
                                               : all,
                         DB_VALUES(FILTER_VALUES(filter, 0)), &query);

        if (r)
                return r;
        while ((r = db_step(query)) == 0) {
                const LeaseRecord like = {
                        .state = (LeaseState)db_u64(query, 0),
                        .on_end = (Outcome)db_u64(query, 1),
                        .outcome = (Outcome)db_u64(query, 2),
                };
                Outcome outcome = lease_outcome(&like);

                if (outcome > OUTCOME_IMPOSSIBLE_ROTATE)
                        return DB_E_DAMAGED;
                tally[outcome] += db_u64(query, 3);
        }
        return r == DB_E_DONE ? 0 : r;
}

int rows_lease_count(Db *db, const LeaseFilter *filter, uint64_t *ret)
{
        /* The value of a secret that is dying is nobody's. */
#define ISSUED " AND kind <> 3"
        static const char by_session[] = "SELECT count(*)" FILTER_BY_SESSION ISSUED;
        static const char by_secret[] = "SELECT count(*)" FILTER_BY_SECRET ISSUED;
        static const char all[] = "SELECT count(*)" FILTER_ALL ISSUED;
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db,
                         filter->what.session  ? by_session
                         : filter->what.secret ? by_secret
                                               : all,
                         DB_VALUES(FILTER_VALUES(filter, 0)), &query);

        if (r == 0)
                r = db_step(query);
        if (r == 0)
                *ret = db_u64(query, 0);
        return r;
}

bool rows_lease_any(Db *db, const LeaseFilter *filter)
{
        static const char by_session[] = "SELECT 1" FILTER_BY_SESSION " LIMIT 1";
        static const char by_secret[] = "SELECT 1" FILTER_BY_SECRET " LIMIT 1";
        static const char all[] = "SELECT 1" FILTER_ALL " LIMIT 1";
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db,
                         filter->what.session  ? by_session
                         : filter->what.secret ? by_secret
                                               : all,
                         DB_VALUES(FILTER_VALUES(filter, 0)), &query);

        return r == 0 && db_step(query) == 0;
}

int rows_lease_next_side(Db *db, const char *provider, uint64_t from, uint64_t *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db,
                         "SELECT side FROM lease INDEXED BY lease_due WHERE state = 2 AND provider = ?1"
                         " AND side >= ?2 ORDER BY side LIMIT 1",
                         DB_VALUES(DB_TEXT(provider), DB_U64(from)), &query);

        if (r == 0)
                r = db_step(query);
        if (r == 0)
                *ret = db_u64(query, 0);
        return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
}

int rows_lease_list_due(Db *db, const char *provider, uint64_t side, uint64_t now, size_t max, Pool *pool,
                        LeaseRecord **ret, size_t *ret_n)
{
        return read_page(db,
                         "SELECT " COLUMNS " FROM lease WHERE state = 2 AND provider = ?1 AND side = ?4"
                         " AND next_attempt <= ?2 ORDER BY next_attempt LIMIT ?3",
                         DB_VALUES(DB_TEXT(provider), DB_U64(now), DB_U64(max), DB_U64(side)), max, pool, ret, ret_n);
}

int rows_lease_next_attempt(Db *db, const char *provider, uint64_t side, uint64_t after, uint64_t *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db,
                         "SELECT coalesce(min(next_attempt), ?3) FROM lease WHERE state = 2"
                         " AND provider = ?1 AND side = ?4 AND next_attempt > ?2",
                         DB_VALUES(DB_TEXT(provider), DB_U64(after), DB_U64(UINT64_MAX), DB_U64(side)), &query);

        if (r == 0)
                r = db_step(query);
        if (r == 0)
                *ret = db_u64(query, 0);
        return r;
}

/* Left to itself SQLite takes another index, and reads all that lives. */
#define BY_EXPIRY "INDEXED BY lease_expiry"

int rows_lease_list_expired(Db *db, uint64_t now, size_t max, Pool *pool, LeaseRecord **ret,
                            size_t *ret_n)
{
        return read_page(db,
                         "SELECT " COLUMNS " FROM lease " BY_EXPIRY
                         " WHERE state IN (1, 2, 6) AND expires <= ?1"
                         " ORDER BY expires LIMIT ?2",
                         DB_VALUES(DB_U64(now), DB_U64(max)), max, pool, ret, ret_n);
}

int rows_lease_next_expiry(Db *db, uint64_t *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db,
                         "SELECT expires FROM lease " BY_EXPIRY " WHERE state IN (1, 2, 6)"
                         " ORDER BY expires LIMIT 1",
                         NULL, 0, &query);

        if (r == 0)
                r = db_step(query);
        if (r == 0 || r == DB_E_DONE)
                *ret = r == 0 ? db_u64(query, 0) : UINT64_MAX;
        return r == DB_E_DONE ? 0 : r;
}

int rows_lease_count_states(Db *db, uint64_t counts[LEASE_UNRECOVERABLE + 1])
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, "SELECT state, count(*) FROM lease GROUP BY state", NULL, 0, &query);

        if (r)
                return r;
        memset(counts, 0, sizeof(*counts) * (LEASE_UNRECOVERABLE + 1));
        while ((r = db_step(query)) == 0)
                if (db_u64(query, 0) <= LEASE_UNRECOVERABLE)
                        counts[db_u64(query, 0)] = db_u64(query, 1);
        return r == DB_E_DONE ? 0 : r;
}
