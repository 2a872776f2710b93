#include "vault/response_run.h"
#include "base/text.h"
#include "vault/change.h"
#include "vault/rows_lease.h"
#include "vault/session_collect.h"
#include <stdio.h>

/* As long as values of removed secrets are known. */
#define KEEP_USEC (400 * 86400 * USEC_PER_SEC)
#define PRUNE_ROWS 1000U
#define PAGE 16U

struct ResponseWatch {
        List link;
        int (*settled)(void *userdata);
        void *userdata;
};

/* ---- runs and those who wait for them ---- */

int responses_new(Responses **ret, Vault *vault)
{
        Responses *responses = calloc(1, sizeof(*responses));

        if (!responses)
                return -ENOMEM;
        responses->vault = vault;
        list_init(&responses->runs);
        list_init(&responses->watches);
        *ret = responses;
        return 0;
}

void response_call_over(ResponseRun *run)
{
        run->vault->responses->n_misuse_calls -= run->misuse_call;
        run->misuse_call = false;
}

static void run_free(ResponseRun *run)
{
        if (run->call)
                call_cancel(run->call);
        response_call_over(run);
        list_remove(&run->link);
        free(run);
}

Responses *responses_free(Responses *responses)
{
        if (!responses)
                return NULL;
        while (!list_empty(&responses->runs))
                run_free(container_of(responses->runs.next, ResponseRun, link));
        while (!list_empty(&responses->watches))
                response_watch_free(container_of(responses->watches.next, ResponseWatch, link));
        free(responses);
        return NULL;
}

static ResponseRun *find_run(const Vault *vault, const char *incident)
{
        LIST_FOREACH(node, &vault->responses->runs) {
                ResponseRun *run = container_of(node, ResponseRun, link);

                if (strcmp(run->record.id, incident) == 0)
                        return run;
        }
        return NULL;
}

bool response_is_running(const Vault *vault, const char *incident)
{
        const ResponseRun *run = find_run(vault, incident);

        return run && !run->settled;
}

int response_watch_new(ResponseWatch **ret, Vault *vault, int (*settled)(void *userdata), void *userdata)
{
        ResponseWatch *watch = calloc(1, sizeof(*watch));

        if (!watch)
                return -ENOMEM;
        watch->settled = settled;
        watch->userdata = userdata;
        list_append(&vault->responses->watches, &watch->link);
        *ret = watch;
        return 0;
}

ResponseWatch *response_watch_free(ResponseWatch *watch)
{
        if (!watch)
                return NULL;
        list_remove(&watch->link);
        free(watch);
        return NULL;
}

int response_settle(ResponseRun *run)
{
        int r = 0;

        if (run->settled)
                return 0;
        run->settled = true;
        LIST_FOREACH(node, &run->vault->responses->watches) {
                ResponseWatch *watch = container_of(node, ResponseWatch, link);

                if (r == 0)
                        r = watch->settled(watch->userdata);
        }
        return r;
}

/* ---- the log ---- */

static AuditEvent event_of(const IncidentRecord *record)
{
        return (AuditEvent){
                .request = record->id,
                .session = record->session[0] ? record->session : NULL,
                .profile = record->profile[0] ? record->profile : NULL,
                .secret = record->secret[0] ? record->secret : NULL,
                .lease = record->lease[0] ? record->lease : NULL,
        };
}

static int audit_action(Vault *vault, const IncidentRecord *record, LeakAction action)
{
        const IncidentAction *place = &record->actions[action];
        AuditEvent event = event_of(record);
        char operation[32];

        (void)snprintf(operation, sizeof(operation), "leak.%s", leak_action_names[action]);
        event.operation = operation;
        event.verdict = place->state == ACTION_FAILED ? AUDIT_ERROR : AUDIT_ALLOW;
        event.reason = action_state_names[place->state];
        event.detail = place->reason;
        return vault_audit_revocation(vault, &event);
}

int response_write(Vault *vault, IncidentRecord *record, LeakAction action, ActionState state, const char *reason)
{
        int r = rows_incident_set_action(vault->db, record, action, state, reason, vault_now(vault));

        return r == 0 ? audit_action(vault, record, action) : r;
}

int response_write_alone(Vault *vault, IncidentRecord *record, LeakAction action, ActionState state, const char *reason)
{
        int r = db_begin(vault->db);

        if (r == 0)
                r = response_write(vault, record, action, state, reason);
        return r == 0 ? vault_commit(vault) : r;
}

/* The incident itself, and what will not be done. */
static int write_incident(Vault *vault, IncidentRecord *record)
{
        AuditEvent event = event_of(record);
        int r = rows_incident_insert(vault->db, record);

        event.operation = "leak.incident";
        event.verdict = AUDIT_ALLOW;
        event.reason = leak_signal_names[record->signal];
        event.detail = record->source;
        if (r == 0)
                r = vault_audit_revocation(vault, &event);
        for (LeakAction action = 0; r == 0 && action < _LEAK_ACTION_N; action++)
                if (record->actions[action].state != ACTION_NONE && record->actions[action].state != ACTION_TODO)
                        r = audit_action(vault, record, action);
        return r;
}

/* ---- one action after the other ---- */

static int go_on(ResponseRun *run)
{
        const IncidentAction *actions = run->record.actions;
        int r;

        while (run->at < _LEAK_ACTION_N && actions[run->at].state != ACTION_TODO)
                run->at++;
        if (run->at < _LEAK_ACTION_N)
                return response_act(run);
        r = response_settle(run);
        run_free(run);
        return r;
}

int response_step(ResponseRun *run, ActionState state, const char *reason)
{
        Vault *vault = run->vault;
        Failure ignored;
        int r = 0;

        if (run->record.actions[run->at].state != state) /* else it was part of the action's own transaction */
                r = response_write_alone(vault, &run->record, run->at, state, reason);
        /* What cannot be written now is done once more after the next start. */
        (void)vault_db_failed(vault, r, &ignored);
        run->at++;
        return go_on(run);
}

int response_pause(ResponseRun *run)
{
        int r = response_settle(run);

        run_free(run);
        return r;
}

static int start(Vault *vault, const IncidentRecord *record)
{
        ResponseRun *run = calloc(1, sizeof(*run));

        if (!run)
                return -ENOMEM;
        run->vault = vault;
        run->record = *record;
        list_append(&vault->responses->runs, &run->link);
        return go_on(run);
}

/* ---- what is known ---- */

/* Where the profile of a session is not known, all of its profiles have their say. */
static uint64_t on_leak_of_session(Vault *vault, const SessionRecord *session)
{
        const GrantRecord *grants = session->grants.items;
        uint64_t bits = 0;

        for (size_t i = 0; i < session->grants.n; i++) {
                const ConfigProfile *profile = vault->policy ? policy_find(vault->policy, grants[i].profile) : NULL;

                bits |= profile ? profile->on_leak : LEAK_ACTIONS_DEFAULT;
        }
        return session->grants.n > 0 ? bits : LEAK_ACTIONS_DEFAULT;
}

static int look_at_session(Vault *vault, const IncidentRecord *record, ResponseFacts *facts)
{
        const ConfigProfile *profile = vault->policy && record->profile[0] ? policy_find(vault->policy, record->profile) : NULL;
        Pool pool = POOL_NULL(SESSION_POOL_MAX);
        SessionRecord session = { .state = SESSION_LIVE };
        int r = 0;

        facts->on_profile = profile ? profile->on_leak : LEAK_ACTIONS_DEFAULT;
        if (record->session[0]) {
                r = rows_session_get(vault->db, record->session, &pool, &session);
                facts->session_lives = (r == 0 && session.state != SESSION_ENDED) || r == DB_E_SEALED;
                if (r == 0 && !record->profile[0])
                        facts->on_profile = on_leak_of_session(vault, &session);
        }
        pool_deinit(&pool);
        return r == DB_E_NOT_FOUND || r == DB_E_SEALED ? 0 : r;
}

static int look_at_lease(Vault *vault, const IncidentRecord *record, ResponseFacts *facts)
{
        LeaseRecord lease;
        int r = record->lease[0] ? rows_lease_get(vault->db, record->lease, &lease) : DB_E_NOT_FOUND;

        facts->lease_lives = r == 0 && lease.state == LEASE_LIVE;
        facts->lease_is_real = r == 0 && lease.kind != LEASE_HANDLE && lease.kind != LEASE_CANARY;
        return r == DB_E_NOT_FOUND ? 0 : r;
}

/* Who still has a value that was replaced. */
static int look_at_former(Vault *vault, const IncidentRecord *record, ResponseFacts *facts)
{
        _cleanup_(session_set_deinit) SessionSet holders = SESSION_SET_NULL;
        uint64_t dying = 0;
        int r;

        r = session_collect_raw(&holders, vault, record->secret, record->generation);
        if (r == 0)
                r = rows_lease_count_dying(vault->db, record->secret, record->generation, &dying);
        facts->former_held = holders.n > 0;
        facts->former_dies = dying > 0;
        return r;
}

/* `secret` and `last` are where `facts` points to. */
static int look_at_secret(Vault *vault, const IncidentRecord *record, Pool *pool, SecretRecord *secret,
                          IncidentRecord *last, ResponseFacts *facts)
{
        static const ConfigSecret defaults = { .on_leak = LEAK_ACTIONS_DEFAULT };
        int r;

        if (record->generation == 0 ||
            (record->signal != LEAK_SIGNAL_REPORT && record->signal != LEAK_SIGNAL_EGRESS))
                return 0;
        facts->on_secret = vault->policy ? policy_secret(vault->policy, record->secret) : &defaults;
        r = rows_secret_get(vault->db, record->secret, pool, secret);
        if (r == 0) {
                facts->secret = secret;
                facts->info = provider_info(secret->provider);
                r = response_is_of_former(record, secret) ? look_at_former(vault, record, facts) : 0;
        }
        if (r == 0) {
                r = rows_incident_last_rotation(vault->db, record->secret, last);
                if (r == 0)
                        facts->last_rotation = last;
        }
        return r == DB_E_NOT_FOUND ? 0 : r;
}

static int plan(Vault *vault, IncidentRecord *record)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        ResponseFacts facts = {
                .now = record->time,
                .has_notify = vault->policy && policy_settings(vault->policy)->has_notify,
        };
        IncidentRecord last;
        SecretRecord secret;
        int r;

        r = look_at_session(vault, record, &facts);
        if (r == 0)
                r = look_at_lease(vault, record, &facts);
        if (r == 0)
                r = look_at_secret(vault, record, &pool, &secret, &last, &facts);
        if (r == 0)
                response_plan(record, &facts);
        pool_deinit(&pool);
        return r;
}

/* ---- an incident ---- */

static void copy(char *out, size_t size, const char *text)
{
        (void)snprintf(out, size, "%s", text ? text : "");
        text_mend_end(out);
}

/* The same leak, as far as acting on it goes: the value of a secret, what was issued, or the session at fault with one of
 * its grants: another grant can ask for more, and its secret is another one. */
static void set_key(IncidentRecord *record)
{
        const char *signal = leak_signal_names[record->signal];

        switch (response_target(record)) {
        case TARGET_SECRET:
                (void)snprintf(record->key, sizeof(record->key), "secret %s %llu", record->secret,
                               (unsigned long long)record->generation);
                break;
        case TARGET_LEASE:
                (void)snprintf(record->key, sizeof(record->key), "lease %s", record->lease);
                break;
        case TARGET_SESSION:
                (void)snprintf(record->key, sizeof(record->key), "%s %s %s %llu", signal, record->session,
                               record->profile, (unsigned long long)record->generation);
                break;
        }
}

static void fill(Vault *vault, const LeakEvidence *evidence, IncidentRecord *record)
{
        *record = (IncidentRecord){
                .time = vault_now(vault),
                .signal = evidence->signal,
                .generation = evidence->generation,
                .count = 1,
        };
        copy(record->id, sizeof(record->id), ident_new('i').text);
        copy(record->session, sizeof(record->session), evidence->session);
        copy(record->profile, sizeof(record->profile), evidence->profile);
        copy(record->secret, sizeof(record->secret), evidence->secret);
        copy(record->lease, sizeof(record->lease), evidence->lease);
        copy(record->source, sizeof(record->source), evidence->source);
        set_key(record);
}

/* A secret that was removed and added anew counts its generations from the start. */
static int is_of_this_secret(Vault *vault, const IncidentRecord *former, bool *ret)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord secret;
        int r;

        *ret = true;
        if (response_target(former) != TARGET_SECRET)
                return 0;
        r = rows_secret_get(vault->db, former->secret, &pool, &secret);
        if (r == 0)
                *ret = secret.generation > former->generation || former->time >= secret.added;
        pool_deinit(&pool);
        return r == DB_E_NOT_FOUND ? 0 : r;
}

/* DB_E_NOT_FOUND: nobody has reported the same yet. */
static int find_former(Vault *vault, const char *key, IncidentRecord *ret)
{
        bool same = false;
        int r = rows_incident_find(vault->db, key, ret);

        if (r == 0)
                r = is_of_this_secret(vault, ret, &same);
        return r == 0 && !same ? DB_E_NOT_FOUND : r;
}

/* Even where nothing can be written, what is at fault must not go on. */
static int end_unwritten(Vault *vault, const IncidentRecord *record)
{
        uint64_t ends = 1U << LEAK_REVOKE | 1U << LEAK_END_SESSION;
        ResponseFacts facts = { 0 };
        char reason[LIMIT_LABEL];

        db_rollback(vault->db);
        if (!record->session[0] || look_at_session(vault, record, &facts) != 0 || !(facts.on_profile & ends))
                return 0;
        (void)snprintf(reason, sizeof(reason), "leak: %s", leak_signal_sentence(record->signal));
        return session_end(vault, record->session, reason, NULL, NULL);
}

static int begin_new(Vault *vault, IncidentRecord *record)
{
        int r = plan(vault, record), failed_with;

        if (r == 0)
                r = db_begin(vault->db);
        if (r == 0)
                r = write_incident(vault, record);
        if (r == 0)
                r = vault_commit(vault);
        if (r == 0) {
                role_log(&vault->role, LOG_LEVEL_WARNING, "leak: %s, incident %s", leak_signal_names[record->signal],
                         record->id);
                return start(vault, record);
        }
        failed_with = r;
        r = end_unwritten(vault, record);
        return r < 0 ? r : failed_with;
}

int response_begin(Vault *vault, const LeakEvidence *evidence, char ret_incident[IDENT_ID_SIZE + 1])
{
        IncidentRecord record, former;
        int r;

        fill(vault, evidence, &record);
        r = find_former(vault, record.key, &former);
        if (r == 0) {
                copy(ret_incident, IDENT_ID_SIZE + 1, former.id);
                r = rows_incident_count_again(vault->db, former.id);
                return r || find_run(vault, former.id) ? r : start(vault, &former);
        }
        if (r != DB_E_NOT_FOUND)
                return r;
        copy(ret_incident, IDENT_ID_SIZE + 1, record.id);
        return begin_new(vault, &record);
}

int response_consider(Vault *vault, const LeakEvidence *evidence, IncidentRecord *ret)
{
        IncidentRecord former;
        int r;

        fill(vault, evidence, ret);
        r = find_former(vault, ret->key, &former);
        if (r == 0)
                *ret = former;
        if (r == DB_E_NOT_FOUND) {
                r = plan(vault, ret);
                ret->id[0] = 0; /* there is none */
        }
        return r;
}

/* ---- what is left of earlier ones ---- */

/* A crash came before it was planned, or it was given up. */
static int rotation_is_missing(Vault *vault, IncidentRecord *record, bool starting)
{
        char reason[LIMIT_LABEL];

        if (starting) {
                record->actions[LEAK_ROTATE].state = ACTION_TODO;
                return 0;
        }
        (void)snprintf(reason, sizeof(reason), "the rotation was given up; run: mcpcred rotate %s", record->secret);
        return response_write_alone(vault, record, LEAK_ROTATE, ACTION_PERSON, reason);
}

/* The rotation that an incident waits for. */
static int look_at_rotation(Vault *vault, IncidentRecord *record, bool starting)
{
        IncidentAction *rotate = &record->actions[LEAK_ROTATE];
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord secret;
        int r;

        if (rotate->state != ACTION_BEGUN && rotate->state != ACTION_PERSON)
                return 0;
        r = rows_secret_get(vault->db, record->secret, &pool, &secret);
        if (r == DB_E_NOT_FOUND)
                r = response_write_alone(vault, record, LEAK_ROTATE, ACTION_SKIPPED, "the secret was removed");
        else if (r == 0 && secret.generation > record->generation)
                r = response_write_alone(vault, record, LEAK_ROTATE, ACTION_DONE, "the secret has another value now");
        else if (r == 0 && rotate->state == ACTION_BEGUN && secret.step == ROTATION_NONE &&
                 !change_find(vault, record->secret))
                r = rotation_is_missing(vault, record, starting);
        pool_deinit(&pool);
        return r;
}

static int look_at_open(Vault *vault, bool starting)
{
        uint64_t after = 0;
        IncidentRecord *records;
        Failure ignored;
        size_t n = PAGE;
        int r = 0;

        while (r == 0 && n == PAGE) {
                Pool pool = POOL_NULL(PAGE * sizeof(IncidentRecord) + 4096U);

                n = 0;
                if (vault_db_failed(vault, rows_incident_list(vault->db, true, after, PAGE, &pool, &records, &n), &ignored))
                        n = 0;
                for (size_t i = 0; r == 0 && i < n; i++) {
                        after = records[i].sequence;
                        if (find_run(vault, records[i].id) ||
                            vault_db_failed(vault, look_at_rotation(vault, &records[i], starting), &ignored))
                                continue;
                        /* The command knows the incident by its id, so that it may hear of it twice. */
                        if (starting && records[i].actions[LEAK_NOTIFY].state == ACTION_BEGUN)
                                records[i].actions[LEAK_NOTIFY].state = ACTION_TODO;
                        if (starting && incident_is_open(&records[i]))
                                r = start(vault, &records[i]);
                }
                pool_deinit(&pool);
        }
        return r;
}

int response_resume_all(Vault *vault)
{
        return look_at_open(vault, true);
}

int response_look(Vault *vault)
{
        return vault->recovered ? look_at_open(vault, false) : 0;
}

int response_close(Vault *vault, const Caller *caller, const char *incident)
{
        AuditEvent event = vault_event(caller, "leak.close");
        IncidentRecord record;
        int r = rows_incident_get(vault->db, incident, &record);

        if (r)
                return r;
        event.request = record.id;
        event.secret = record.secret[0] ? record.secret : NULL;
        event.verdict = AUDIT_ALLOW;
        r = db_begin(vault->db);
        for (LeakAction action = 0; r == 0 && action < _LEAK_ACTION_N; action++)
                if (action_is_open(record.actions[action].state))
                        r = response_write(vault, &record, action, ACTION_SKIPPED, "a person has closed the incident");
        if (r == 0)
                r = vault_audit_revocation(vault, &event);
        return r == 0 ? vault_commit(vault) : r;
}

int response_prune(Vault *vault)
{
        uint64_t now = vault_now(vault), n;

        return rows_incident_prune(vault->db, now - MIN(now, KEEP_USEC), PRUNE_ROWS, &n);
}
