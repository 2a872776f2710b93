/* What the actions do. Each is durable in the transaction that says it is done, or can be done twice. */
#include "vault/cutoff_work.h"
#include "vault/egresses.h"
#include "vault/epoch.h"
#include "vault/proxy_grants.h"
#include "vault/response_run.h"
#include "vault/revoker.h"
#include "vault/rows_lease.h"
#include "vault/secret_load.h"
#include "vault/session_collect.h"
#include "vault/secret_revocation.h"
#include "vault/session_end.h"
#include <stdio.h>

/* A command that takes longer is not waited for; the supervisor has its own limit. */
#define NOTIFY_USEC (60 * USEC_PER_SEC)
#define NOTIFY_JSON_MAX 8192U

static void reason_of(const ResponseRun *run, char *out, size_t size)
{
        (void)snprintf(out, size, "leak: %s", leak_signal_sentence(run->record.signal));
}

/* ---- revoke ---- */

/* The last part of the action that was waited for. */
static int on_part(void *userdata)
{
        ResponseRun *run = userdata;

        return --run->waiting > 0 ? 0 : response_step(run, ACTION_DONE, NULL);
}

/* All that lives of a session, or of one of its grants. */
static int end_leases(Vault *vault, const char *session, const char *profile, const char *reason)
{
        LeaseFilter filter = { .what = { .session = session, .profile = profile }, .states = 1U << LEASE_LIVE };
        uint64_t after = 0;
        LeaseRecord *leases;
        size_t n = LIMIT_PAGE;
        int r = 0;

        while (r == 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);

                r = rows_lease_list(vault->db, &filter, after, LIMIT_PAGE, &pool, &leases, &n);
                for (size_t i = 0; r == 0 && i < n; i++) {
                        after = leases[i].sequence;
                        r = rows_lease_end(vault->db, leases[i].id, vault_now(vault), reason);
                }
                pool_deinit(&pool);
        }
        return r;
}

/* From here on none of its leases is used; their rows follow in the background. Whether sessions end is for the next
 * action to say. */
static int cut_secret(Vault *vault, const char *secret, const char *reason)
{
        CutoffRecord cutoff = { .time = vault_now(vault), .step = CUTOFF_SESSIONS_ENDED };
        const Selection what = { .secret = secret };

        cutoff_set(&cutoff, &what);
        (void)snprintf(cutoff.reason, sizeof(cutoff.reason), "%s", reason);
        return rows_cutoff_insert(vault->db, &cutoff);
}

/* Another value is in use since: there is nothing to cut but this one's grace, and who was handed it. */
static int look_if_former(ResponseRun *run)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord secret;
        int r;

        run->of_former = false;
        if (response_target(&run->record) != TARGET_SECRET)
                return 0;
        r = rows_secret_get(run->vault->db, run->record.secret, &pool, &secret);
        run->of_former = r == 0 && response_is_of_former(&run->record, &secret);
        pool_deinit(&pool);
        return r == DB_E_NOT_FOUND ? 0 : r;
}

static int write_revocation(ResponseRun *run)
{
        const IncidentRecord *record = &run->record;
        Vault *vault = run->vault;
        char reason[LIMIT_LABEL];
        int r;

        reason_of(run, reason, sizeof(reason));
        r = look_if_former(run);
        if (r == 0)
                r = db_begin(vault->db);
        if (r)
                return r;
        switch (response_target(record)) {
        case TARGET_SESSION:
                r = end_leases(vault, record->session, NULL, reason);
                break;
        case TARGET_LEASE:
                r = end_leases(vault, record->session, record->profile, reason);
                break;
        case TARGET_SECRET:
                r = run->of_former ? rows_lease_end_grace(vault->db, record->secret, record->generation, vault_now(vault))
                                   : cut_secret(vault, record->secret, reason);
                break;
        }
        if (r == 0)
                r = response_write(vault, &run->record, LEAK_REVOKE, ACTION_DONE,
                                   run->of_former ? "the former value's grace is over" : NULL);
        return r == 0 ? epoch_commit(vault->epoch) : r;
}

/* Durable first; then from the egresses whatever was in force. */
static int act_revoke(ResponseRun *run)
{
        const IncidentRecord *record = &run->record;
        const Selection of_secret = { .secret = record->secret };
        Vault *vault = run->vault;
        Failure failure = { 0 };
        int r;

        if (vault_db_failed(vault, write_revocation(run), &failure)) {
                run->record.actions[LEAK_REVOKE].state = ACTION_TODO;
                return response_step(run, ACTION_FAILED, failure.message);
        }
        run->waiting = 3;
        cutoff_work_wake(vault->cutoff_work);
        if (run->of_former)
                r = on_part(run);
        else if (response_target(record) == TARGET_SECRET)
                r = proxy_grants_cut(vault->proxy_grants, &of_secret, on_part, run);
        else
                r = egresses_cut(vault->egresses, record->session,
                                 response_target(record) == TARGET_LEASE ? record->profile : NULL, on_part, run);
        if (r == 0)
                r = epoch_move(vault->epoch, on_part, run);
        if (r == 0)
                r = revoker_wake(vault->revoker);
        return r < 0 ? r : on_part(run);
}

/* ---- end-session ---- */

/* In the transaction that ends it. */
static int write_end(void *userdata)
{
        ResponseRun *run = userdata;

        return response_write(run->vault, &run->record, LEAK_END_SESSION, ACTION_DONE, NULL);
}

static int on_session_ended(void *userdata)
{
        ResponseRun *run = userdata;
        IncidentRecord written;
        bool ended = rows_incident_get(run->vault->db, run->record.id, &written) == 0 &&
                     written.actions[LEAK_END_SESSION].state == ACTION_DONE;

        if (ended)
                return response_step(run, ACTION_DONE, NULL);
        run->record.actions[LEAK_END_SESSION].state = ACTION_TODO; /* what was begun to be written was rolled back */
        return response_step(run, ACTION_SKIPPED, "the session has ended");
}

static int end_one(ResponseRun *run)
{
        Failure failure = { 0 };
        char reason[LIMIT_LABEL];

        reason_of(run, reason, sizeof(reason));
        return session_end_also(run->vault, run->record.session, reason, write_end, on_session_ended, run, &failure);
}

static int on_holders_ended(void *userdata)
{
        ResponseRun *run = userdata;
        char reason[LIMIT_LABEL];

        (void)snprintf(reason, sizeof(reason), "%zu session%s", run->n_ended, run->n_ended == 1 ? "" : "s");
        return response_step(run, ACTION_DONE, reason);
}

static bool holds(const SessionRecord *session, const char *secret)
{
        const GrantRecord *grants = session->grants.items;

        for (size_t i = 0; i < session->grants.n; i++)
                if (strcmp(grants[i].secret, secret) == 0)
                        return true;
        return false;
}

/* Those that were open when the leak was reported: what is opened since was opened in its knowledge. */
static int collect_holders(const ResponseRun *run, SessionSet *set)
{
        uint64_t after = 0;
        SessionRecord *sessions;
        size_t n = LIMIT_PAGE;
        int r = 0;

        while (r == 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(SESSION_PAGE_POOL_MAX);

                n = 0;
                r = rows_session_list(run->vault->db, false, after, LIMIT_PAGE, &pool, &sessions, &n);
                for (size_t i = 0; r == 0 && i < n; i++) {
                        after = sessions[i].sequence;
                        if (sessions[i].opened <= run->record.time && holds(&sessions[i], run->record.secret))
                                r = session_set_add(set, sessions[i].id);
                }
                pool_deinit(&pool);
        }
        session_set_sort(set);
        return r;
}

static int end_holders(ResponseRun *run)
{
        _cleanup_(session_set_deinit) SessionSet set = SESSION_SET_NULL;
        Failure failure = { 0 };
        char reason[LIMIT_LABEL];
        int r = look_if_former(run);

        reason_of(run, reason, sizeof(reason));
        if (r == 0)
                r = run->of_former ? session_collect_raw(&set, run->vault, run->record.secret, run->record.generation)
                                   : collect_holders(run, &set);
        if (vault_db_failed(run->vault, r, &failure))
                return response_step(run, ACTION_FAILED, failure.message);
        run->n_ended = set.n;
        r = session_ends_write(run->vault, &set, NULL, reason, &failure);
        return r < 0 ? r : session_ends_cut(run->vault, &set, on_holders_ended, run);
}

/* ---- revoke-upstream ---- */

static const Secret *value_of(const LoadedSecret *secret, uint64_t generation)
{
        const SecretItem *item = &secret->item;

        if (generation == item->generation)
                return item->current;
        if (generation == item->generation + 1)
                return item->next;
        return generation + 1 == item->generation ? item->previous : NULL;
}

static int write_secret_revocation(ResponseRun *run, const LoadedSecret *secret, const Secret *value)
{
        char lease[IDENT_ID_SIZE + 1], reason[LIMIT_LABEL];
        SecretRevocation revocation = {
                .secret = &secret->record,
                .generation = run->record.generation,
                .value = value,
                .reason = reason,
        };
        int r;

        reason_of(run, reason, sizeof(reason));
        r = db_begin(run->vault->db);
        if (r == 0)
                r = secret_revocation_insert(run->vault, &revocation, lease);
        if (r)
                return r;
        (void)snprintf(reason, sizeof(reason), "lease %s", lease);
        r = response_write(run->vault, &run->record, LEAK_REVOKE_UPSTREAM, ACTION_DONE, reason);
        return r == 0 ? vault_commit(run->vault) : r;
}

static int on_loaded(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        ResponseRun *run = userdata;
        const Secret *value = secret ? value_of(secret, run->record.generation) : NULL;
        Failure mine = *failure;
        int r;

        if (mine.fault == FAULT_UNAVAILABLE || mine.fault == FAULT_KEYRING_LOCKED)
                return response_pause(run);
        if (!failed(&mine) && !value)
                return response_step(run, ACTION_SKIPPED, "the value is not stored any more; revoke it at the upstream");
        if (failed(&mine) || vault_db_failed(run->vault, write_secret_revocation(run, secret, value), &mine)) {
                run->record.actions[LEAK_REVOKE_UPSTREAM].state = ACTION_TODO;
                return response_step(run, ACTION_PERSON, mine.message);
        }
        r = revoker_wake(run->vault->revoker);
        return r < 0 ? r : response_step(run, ACTION_DONE, NULL);
}

/* ---- rotate ---- */

/* "Begun" before it is: whoever finds it so after a crash looks how far it came. That it cannot be written stops
 * nothing. */
static int begin_durably(ResponseRun *run)
{
        Failure ignored;
        int r = response_write_alone(run->vault, &run->record, run->at, ACTION_BEGUN, NULL);

        (void)vault_db_failed(run->vault, r, &ignored);
        return r < 0 ? r : 0;
}

static int act_rotate(ResponseRun *run)
{
        const char *name = run->record.secret;
        char reason[LIMIT_TEXT];
        Failure failure = { 0 };
        int r = begin_durably(run);

        if (r < 0)
                return r;
        (void)snprintf(reason, sizeof(reason), "leak, incident %s", run->record.id);
        if (rotate_begin(run->vault, name, reason, true, &failure))
                return response_step(run, ACTION_BEGUN, NULL);
        (void)snprintf(reason, sizeof(reason), "run: mcpcred rotate %s; %.300s", name, failure.message);
        return response_step(run, ACTION_PERSON, reason);
}

/* ---- notify ---- */

static int on_notified(void *userdata, const Reply *reply)
{
        ResponseRun *run = userdata;
        const NotifyReply *body = reply->body;
        char reason[LIMIT_LABEL];

        run->call = NULL;
        response_call_over(run);
        if (reply->fault == FAULT_UNAVAILABLE) /* the end of this process, or the supervisor's */
                return response_pause(run);
        if (reply->fault != FAULT_NONE)
                return response_step(run, ACTION_FAILED, reply->message ? reply->message : fault_info(reply->fault)->sentence);
        if (body->status == 0)
                return response_step(run, ACTION_DONE, NULL);
        (void)snprintf(reason, sizeof(reason), "the command ended with status %llu", (unsigned long long)body->status);
        return response_step(run, ACTION_FAILED, reason);
}

/* NULL, or why not. */
static const char *may_not_notify(Responses *responses, bool misuse)
{
        uint64_t now = vault_boot(responses->vault);

        if (now >= responses->minute) {
                responses->minute = now + 60 * USEC_PER_SEC;
                memset(responses->n_notified, 0, sizeof(responses->n_notified));
        }
        if (misuse && responses->n_misuse_calls >= NOTIFY_MISUSE_AT_ONCE)
                return "the command runs for what other sessions have done, and takes its time";
        return responses->n_notified[misuse]++ < NOTIFY_PER_MINUTE ? NULL
                                                                    : "the command has run often enough in this minute";
}

static int act_notify(ResponseRun *run)
{
        Buf json = BUF_NULL(NOTIFY_JSON_MAX);
        NotifyRequest request = { .incident = run->record.id };
        bool misuse = response_is_misuse(&run->record);
        const char *hindrance = may_not_notify(run->vault->responses, misuse);
        Call *call = NULL;
        int r;

        if (hindrance)
                return response_step(run, ACTION_SKIPPED, hindrance);
        r = begin_durably(run);
        if (r == 0)
                r = response_settle(run);
        if (r == 0)
                r = response_json(&run->record, &json);
        if (r == 0)
                r = buf_append_u8(&json, 0);
        if (r == 0) {
                request.json = (const char *)json.data;
                run->misuse_call = misuse;
                run->vault->responses->n_misuse_calls += misuse;
                r = channel_call(run->vault->role.supervisor, VAULT_NOTIFY, &request, NULL, 0, NOTIFY_USEC, on_notified, run,
                                 &call);
                if (call) /* else it is over, and the run may be */
                        run->call = call;
        } else if (r == -ENOBUFS || r == -EINVAL) {
                r = response_step(run, ACTION_FAILED, "there is too much to say");
        }
        buf_deinit(&json);
        return r;
}

int response_act(ResponseRun *run)
{
        switch (run->at) {
        case LEAK_REVOKE:
                return act_revoke(run);
        case LEAK_END_SESSION:
                return response_target(&run->record) == TARGET_SECRET ? end_holders(run) : end_one(run);
        case LEAK_REVOKE_UPSTREAM:
                return secret_load(run->vault, run->record.secret, on_loaded, run);
        case LEAK_ROTATE:
                return act_rotate(run);
        case LEAK_NOTIFY:
                return act_notify(run);
        case _LEAK_ACTION_N:
                break;
        }
        return -ENOTRECOVERABLE;
}
