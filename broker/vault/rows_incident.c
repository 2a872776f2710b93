#include "vault/rows_incident.h"
#include <stdio.h>

const char *const action_state_names[] = { "none", "todo", "begun", "done", "failed", "skipped", "needs-person", NULL };
_Static_assert(ARRAY_SIZE(action_state_names) == _ACTION_STATE_N + 1, "one name a state");
_Static_assert(_LEAK_ACTION_N == 5 && LEAK_ROTATE == 3, "the table has one pair of columns an action");
_Static_assert(ACTION_TODO == 1 && ACTION_BEGUN == 2 && ACTION_DONE == 3 && ACTION_PERSON == 6, "the statements say so");

#define ACTIONS "state_0, reason_0, state_1, reason_1, state_2, reason_2, state_3, reason_3, state_4, reason_4"
#define COLUMNS "sequence, id, key, time, signal, session, profile, secret, lease, generation, source, count, closed, " ACTIONS
#define FIRST_ACTION 13

bool incident_is_open(const IncidentRecord *record)
{
        for (size_t i = 0; i < _LEAK_ACTION_N; i++)
                if (action_is_open(record->actions[i].state))
                        return true;
        return false;
}

bool incident_needs_person(const IncidentRecord *record)
{
        bool needs = false;

        for (size_t i = 0; i < _LEAK_ACTION_N; i++) {
                if (record->actions[i].state == ACTION_TODO || record->actions[i].state == ACTION_BEGUN)
                        return false;
                needs = needs || record->actions[i].state == ACTION_PERSON;
        }
        return needs;
}

int rows_incident_insert(Db *db, IncidentRecord *record)
{
        const IncidentAction *a = record->actions;
        int r;

        record->closed = incident_is_open(record) ? 0 : record->time;
        r = db_run(db,
                   "INSERT INTO incident (id, key, time, signal, session, profile, secret, lease, generation, source,"
                   " count, closed, " ACTIONS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
                   " ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
                   DB_VALUES(DB_TEXT(record->id), DB_TEXT(record->key), DB_U64(record->time), DB_U64(record->signal),
                             DB_TEXT(record->session), DB_TEXT(record->profile), DB_TEXT(record->secret),
                             DB_TEXT(record->lease), DB_U64(record->generation), DB_CUT(record->source, LIMIT_LABEL),
                             DB_U64(record->count), DB_U64(record->closed), DB_U64(a[0].state),
                             DB_CUT(a[0].reason, LIMIT_LABEL), DB_U64(a[1].state), DB_CUT(a[1].reason, LIMIT_LABEL),
                             DB_U64(a[2].state), DB_CUT(a[2].reason, LIMIT_LABEL), DB_U64(a[3].state),
                             DB_CUT(a[3].reason, LIMIT_LABEL), DB_U64(a[4].state), DB_CUT(a[4].reason, LIMIT_LABEL)),
                   NULL);
        if (r == 0)
                record->sequence = db_last_sequence(db);
        return r;
}

static int read_texts(DbQuery *query, IncidentRecord *record)
{
        const struct {
                int column;
                char *out;
                size_t size;
        } texts[] = {
                { 1, record->id, sizeof(record->id) },
                { 2, record->key, sizeof(record->key) },
                { 5, record->session, sizeof(record->session) },
                { 6, record->profile, sizeof(record->profile) },
                { 7, record->secret, sizeof(record->secret) },
                { 8, record->lease, sizeof(record->lease) },
                { 10, record->source, sizeof(record->source) },
        };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
                r = db_text(query, texts[i].column, texts[i].out, texts[i].size);
        return r;
}

static int read_actions(DbQuery *query, IncidentAction actions[_LEAK_ACTION_N])
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < _LEAK_ACTION_N; i++) {
                int column = FIRST_ACTION + 2 * (int)i;

                if (db_u64(query, column) >= _ACTION_STATE_N)
                        return DB_E_DAMAGED;
                actions[i].state = (ActionState)db_u64(query, column);
                r = db_text(query, column + 1, actions[i].reason, sizeof(actions[i].reason));
        }
        return r;
}

static int read_row(DbQuery *query, IncidentRecord *record)
{
        int r;

        *record = (IncidentRecord){
                .sequence = db_u64(query, 0),
                .time = db_u64(query, 3),
                .signal = (LeakSignal)db_u64(query, 4),
                .generation = db_u64(query, 9),
                .count = db_u64(query, 11),
                .closed = db_u64(query, 12),
        };
        if (db_u64(query, 4) >= _LEAK_SIGNAL_N)
                return DB_E_DAMAGED;
        r = read_texts(query, record);
        return r ? r : read_actions(query, record->actions);
}

static int read_one(Db *db, const char *sql, const char *value, IncidentRecord *ret)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db, sql, DB_VALUES(DB_TEXT(value)), &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r == DB_E_DONE ? DB_E_NOT_FOUND : r;
        return read_row(query, ret);
}

int rows_incident_get(Db *db, const char *id, IncidentRecord *ret)
{
        return read_one(db, "SELECT " COLUMNS " FROM incident WHERE id = ?1", id, ret);
}

int rows_incident_find(Db *db, const char *key, IncidentRecord *ret)
{
        return read_one(db, "SELECT " COLUMNS " FROM incident WHERE key = ?1 ORDER BY sequence DESC LIMIT 1", key, ret);
}

int rows_incident_last_rotation(Db *db, const char *secret, IncidentRecord *ret)
{
        return read_one(db,
                        "SELECT " COLUMNS " FROM incident WHERE secret = ?1 AND state_3 IN (2, 3)"
                        " ORDER BY sequence DESC LIMIT 1",
                        secret, ret);
}

int rows_incident_count_again(Db *db, const char *id)
{
        return db_run_one(db, "UPDATE incident SET count = count + 1 WHERE id = ?1", DB_VALUES(DB_TEXT(id)));
}

int rows_incident_set_action(Db *db, IncidentRecord *record, LeakAction action, ActionState state, const char *reason,
                             uint64_t now)
{
        static const char *const statements[_LEAK_ACTION_N] = {
                "UPDATE incident SET state_0 = ?2, reason_0 = ?3, closed = ?4 WHERE id = ?1",
                "UPDATE incident SET state_1 = ?2, reason_1 = ?3, closed = ?4 WHERE id = ?1",
                "UPDATE incident SET state_2 = ?2, reason_2 = ?3, closed = ?4 WHERE id = ?1",
                "UPDATE incident SET state_3 = ?2, reason_3 = ?3, closed = ?4 WHERE id = ?1",
                "UPDATE incident SET state_4 = ?2, reason_4 = ?3, closed = ?4 WHERE id = ?1",
        };
        IncidentAction *place = &record->actions[action];

        place->state = state;
        (void)snprintf(place->reason, sizeof(place->reason), "%s", reason ? reason : "");
        record->closed = incident_is_open(record) ? 0 : record->closed ? record->closed : MAX(now, 1);
        return db_run_one(db, statements[action],
                          DB_VALUES(DB_TEXT(record->id), DB_U64(state), DB_CUT(place->reason, LIMIT_LABEL),
                                    DB_U64(record->closed)));
}

int rows_incident_list(Db *db, bool open_only, uint64_t after, size_t max, Pool *pool, IncidentRecord **ret, size_t *ret_n)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        void *rows = NULL;
        size_t n = 0;
        int r = db_pool_array(pool, max, sizeof(IncidentRecord), &rows);

        if (r == 0)
                r = db_query(db,
                             open_only ? "SELECT " COLUMNS " FROM incident WHERE closed = 0 AND sequence > ?1"
                                         " ORDER BY sequence LIMIT ?2"
                                       : "SELECT " COLUMNS " FROM incident WHERE sequence > ?1"
                                         " ORDER BY sequence LIMIT ?2",
                             DB_VALUES(DB_U64(after), DB_U64(max)), &query);
        *ret = rows;
        while (r == 0 && n < max) {
                r = db_step(query);
                if (r == 0)
                        r = read_row(query, &(*ret)[n++]);
        }
        if (r && r != DB_E_DONE)
                return r;
        *ret_n = n;
        return 0;
}

int rows_incident_count(Db *db, uint64_t *ret_open, uint64_t *ret_person)
{
        _cleanup_(db_finishp) DbQuery *query = NULL;
        int r = db_query(db,
                         "SELECT COUNT(*), COALESCE(SUM(6 IN (state_0, state_1, state_2, state_3, state_4)), 0)"
                         " FROM incident WHERE closed = 0",
                         NULL, 0, &query);

        if (r == 0)
                r = db_step(query);
        if (r)
                return r;
        *ret_open = db_u64(query, 0);
        *ret_person = db_u64(query, 1);
        return 0;
}

int rows_incident_prune(Db *db, uint64_t before, size_t max, uint64_t *ret_n)
{
        return db_run(db,
                      "DELETE FROM incident WHERE sequence IN (SELECT sequence FROM incident"
                      " WHERE closed > 0 AND closed < ?1 ORDER BY closed LIMIT ?2)",
                      DB_VALUES(DB_U64(before), DB_U64(max)), ret_n);
}
