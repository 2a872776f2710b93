#include "vault/epoch.h"
#include "vault/proxy_grants.h"
#include "vault/revoke_op.h"
#include "vault/session_collect.h"
#include "vault/session_end.h"
#include <stdio.h>

/* How long the answer waits for upstreams to confirm; what is not by then is "pending". Whoever closes
 * a session is often a launcher whose child has just ended, and should not be kept. */
#define SETTLE_USEC (8 * USEC_PER_SEC)
#define SETTLE_CLOSE_USEC (2 * USEC_PER_SEC)

static void op_free(RevokeOp *op)
{
        revoke_watch_free(op->watch);
        timer_free(op->timer);
        (void)cutoff_wait_cancel(&op->worked_off);
        session_set_deinit(&op->holders);
        free(op->listed);
        free(op);
}

static int refuse(RevokeOp *op, const Failure *failure)
{
        AuditEvent event = vault_event(&op->caller, op->operation);
        int r = vault_refuse(op->vault, op->request, event, failure);

        op_free(op);
        return r;
}

/* ---- the answer ---- */

/* What has become of it, which the totals then say too. */
static CredentialOutcome outcome_of(RevokeOp *op, const RevokeListed *listed, const LeaseRecord *lease)
{
        Outcome outcome = lease_outcome(lease);

        op->totals[listed->expected]--;
        op->totals[outcome]++;
        return (CredentialOutcome){
                .lease = lease->id,
                .session = lease->session,
                .profile = lease->profile,
                .secret = lease->secret,
                .outcome = outcome,
                .reason = lease->reason[0] ? lease->reason : NULL,
        };
}

static int answer_last(RevokeOp *op, const RevokeReply *page)
{
        RevokeTotals totals = {
                .none = op->totals[OUTCOME_NONE],
                .confirmed = op->totals[OUTCOME_CONFIRMED],
                .pending = op->totals[OUTCOME_PENDING],
                .impossible_rotate = op->totals[OUTCOME_IMPOSSIBLE_ROTATE],
        };
        RevokeReply reply = *page;

        reply.totals = &totals;
        reply.pending = totals.pending > 0;
        return request_reply(op->request, &reply, NULL, 0);
}

/* Sends page after page; the last reply ends the request. */
static int answer(RevokeOp *op)
{
        CredentialOutcome page[LIMIT_PAGE];
        LeaseRecord *leases = calloc(LIMIT_PAGE, sizeof(*leases));
        RevokeReply reply = { .sessions = op->sessions, .credentials.items = page };
        int r = leases ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < op->n_listed; i++) {
                LeaseRecord *lease = &leases[reply.credentials.n];

                if (rows_lease_get(op->vault->db, op->listed[i].id, lease) != 0)
                        continue;
                page[reply.credentials.n] = outcome_of(op, &op->listed[i], lease);
                if (page[reply.credentials.n].outcome == OUTCOME_PENDING)
                        reply.pending = true;
                if (++reply.credentials.n == LIMIT_PAGE && i + 1 < op->n_listed) {
                        r = request_reply_more(op->request, &reply);
                        reply.credentials.n = 0;
                }
        }
        if (r == 0)
                r = answer_last(op, &reply);
        free(leases);
        op_free(op);
        return r;
}

static int consider(RevokeOp *op)
{
        return op->local_done && op->n_waiting == 0 ? answer(op) : 0;
}

/* Its upstream does not answer others either. */
static bool is_stuck(const RevokeOp *op, const RevokeListed *listed)
{
        return listed->provider && revoker_is_stuck(op->vault->revoker, listed->provider, listed->side);
}

static int on_settled(void *userdata, const char *lease)
{
        RevokeOp *op = userdata;

        for (size_t i = 0; i < op->n_listed; i++) {
                RevokeListed *listed = &op->listed[i];

                if (!listed->waiting || (strcmp(listed->id, lease) != 0 && !is_stuck(op, listed)))
                        continue;
                listed->waiting = false;
                op->n_waiting--;
        }
        return consider(op);
}

static int on_deadline(void *userdata)
{
        RevokeOp *op = userdata;

        for (size_t i = 0; i < op->n_listed; i++)
                op->listed[i].waiting = false;
        op->n_waiting = 0;
        /* A state that cannot be written keeps nobody: what is over here is over, whatever the rows say yet. */
        return cutoff_wait_cancel(&op->worked_off) ? revoke_step(op) : consider(op);
}

/* Will its upstream be asked for the first time while the answer waits? */
static bool is_worth_waiting_for(const RevokeOp *op, RevokeListed *listed)
{
        LeaseRecord lease;

        if (!op->vault->seal || rows_lease_get(op->vault->db, listed->id, &lease) != 0)
                return false;
        listed->provider = provider_info(lease.provider);
        listed->side = lease.side;
        return lease.state == LEASE_REVOKING && lease.attempts == 0 && lease.next_attempt <= vault_now(op->vault) &&
               listed->provider && !is_stuck(op, listed);
}

/* Everything here is over; what the upstreams say is waited for, but not for ever. */
static int local_done(RevokeOp *op)
{
        if (failed(&op->failure))
                return refuse(op, &op->failure);
        op->local_done = true;
        for (size_t i = 0; i < op->n_listed; i++) {
                if (!op->listed[i].waiting || is_worth_waiting_for(op, &op->listed[i]))
                        continue;
                op->listed[i].waiting = false;
                op->n_waiting--;
        }
        timer_arm_after(op->timer, op->settle_usec);
        return consider(op);
}

int revoke_step(void *userdata)
{
        RevokeOp *op = userdata;

        return --op->ending > 0 ? 0 : local_done(op);
}

void revoke_list(RevokeOp *op, const char *lease, Outcome expected)
{
        RevokeListed *listed = &op->listed[op->n_listed];

        op->totals[expected]++;
        if (op->n_listed == REVOKE_LISTED_MAX)
                return;
        (void)snprintf(listed->id, sizeof(listed->id), "%s", lease);
        listed->expected = expected;
        listed->waiting = !op->dry_run && expected == OUTCOME_PENDING;
        op->n_listed++;
        op->n_waiting += listed->waiting;
}

/* ---- what is affected ---- */

/* Named as far as there is room; the rest of them is counted by the state. */
static int list_leases(RevokeOp *op, const LeaseFilter *filter)
{
        uint64_t after = 0, all[OUTCOME_IMPOSSIBLE_ROTATE + 1] = { 0 };
        bool full = false;
        size_t n = LIMIT_PAGE;
        LeaseRecord *leases;
        int r = 0;

        while (r == 0 && n == LIMIT_PAGE && !full) {
                Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);

                r = rows_lease_list(op->vault->db, filter, after, LIMIT_PAGE, &pool, &leases, &n);
                for (size_t i = 0; r == 0 && i < n && !full; i++) {
                        after = leases[i].sequence;
                        revoke_list(op, leases[i].id, lease_outcome(&leases[i]));
                        full = op->n_listed == REVOKE_LISTED_MAX;
                }
                pool_deinit(&pool);
        }
        if (r == 0 && full)
                r = rows_lease_tally(op->vault->db, filter, all);
        for (size_t i = 0; r == 0 && full && i < ARRAY_SIZE(all); i++)
                op->totals[i] = all[i];
        return r;
}

/* What else ends with a session: all that the selection does not name. */
static int list_beyond(RevokeOp *op, const char *session, const LeaseFilter *filter)
{
        uint64_t after = 0;
        size_t n = LIMIT_PAGE;
        LeaseRecord *leases;
        int r = 0;

        while (r == 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);

                r = rows_lease_list_beyond(op->vault->db, session, filter, after, LIMIT_PAGE, &pool, &leases, &n);
                for (size_t i = 0; r == 0 && i < n; i++) {
                        after = leases[i].sequence;
                        revoke_list(op, leases[i].id, lease_outcome(&leases[i]));
                }
                pool_deinit(&pool);
        }
        return r;
}

/* A session that holds something of it ends whole: what its sandbox was started with is gone, and it could not tell
 * which of its variables died. */
static int find_affected(RevokeOp *op)
{
        LeaseFilter filter = {
                .what = cutoff_selection(&op->cutoff),
                .states = LEASE_STATES_OPEN,
                .up_to = op->cutoff.sequence,
        };
        bool in_part = selection_is_partial(&filter.what);
        int r;

        r = session_collect(&op->holders, op->vault, &op->cutoff, true);
        if (r == 0)
                r = list_leases(op, &filter);
        for (size_t i = 0; r == 0 && in_part && i < op->holders.n; i++)
                r = list_beyond(op, op->holders.ids[i], &filter);
        op->sessions = op->holders.n;
        return r;
}

/* ---- the revocation of many ---- */

/* Durable before anything is cut: it also covers intents whose answer is still to come. In a transaction that is
 * open. */
static int write_cutoff_in(RevokeOp *op)
{
        AuditEvent event = vault_event(&op->caller, op->operation);
        Selection what = cutoff_selection(&op->cutoff);
        int r;

        op->cutoff.time = vault_now(op->vault);
        (void)snprintf(op->cutoff.reason, sizeof(op->cutoff.reason), "%s", op->reason);
        event.verdict = AUDIT_ALLOW;
        event.session = what.session;
        event.profile = what.profile;
        event.secret = what.secret;
        event.reason = revoke_reason(&what, op->detail, sizeof(op->detail));
        event.detail = op->detail[0] ? op->detail : NULL;
        r = rows_cutoff_insert(op->vault->db, &op->cutoff);
        return r == 0 ? vault_audit_revocation(op->vault, &event) : r;
}

static int write_cutoff(RevokeOp *op)
{
        int r = db_begin(op->vault->db);

        if (r == 0)
                r = write_cutoff_in(op);
        return r == 0 ? vault_commit(op->vault) : r;
}

static void explain(Failure *failure)
{
        if (failed(failure))
                failure_set(failure, failure->fault,
                            "The sessions are ended here, but the state cannot be written; their credentials are revoked "
                            "when it can.");
}

/* Both ways meet here: what the egresses had is gone, and the state says that the sessions are over. */
static int end_holders(RevokeOp *op)
{
        return op->cut && op->written ? session_ends_cut(op->vault, &op->holders, revoke_step, op) : 0;
}

static int on_egresses_cut(void *userdata)
{
        RevokeOp *op = userdata;

        op->cut = true;
        return end_holders(op);
}

/* The egresses cut what they know of while the sessions are looked through and written down: that takes longer. */
static int revoke_many(RevokeOp *op, const Selection *what)
{
        Failure *failure = &op->failure;
        int r;

        cutoff_set(&op->cutoff, what);
        op->cutoff.sequence = op->cutoff.session_sequence = UINT64_MAX;
        if (op->dry_run) {
                (void)vault_db_failed(op->vault, find_affected(op), failure);
                return 0;
        }
        /* Written, or said that it was not: what is here is ended all the same, and made up for in the state as soon as
         * that can be written. */
        if (vault_db_failed(op->vault, write_cutoff(op), failure)) {
                explain(failure);
                op->cutoff.id = 0;
                op->cutoff.sequence = op->cutoff.session_sequence = UINT64_MAX;
        }
        op->ending++;
        r = proxy_grants_cut(op->vault->proxy_grants, what, on_egresses_cut, op);
        if (r < 0)
                return r;
        if (vault_db_failed(op->vault, find_affected(op), failure))
                explain(failure);
        r = session_ends_write(op->vault, &op->holders, &op->cutoff, op->reason, failure);
        if (r < 0)
                return r;
        explain(failure);
        /* What no upstream is asked for is over with the cutoff; its rows follow. */
        if (op->cutoff.step == CUTOFF_SESSIONS_ENDED && op->n_waiting > 0) {
                op->ending++;
                op->worked_off = (CutoffWait){ .id = op->cutoff.id, .done = revoke_step, .userdata = op };
                cutoff_work_wait(op->vault->cutoff_work, &op->worked_off);
                timer_arm_after(op->timer, op->settle_usec);
        }
        op->written = true;
        return end_holders(op);
}

/* ---- of one session: the cutoff and its end are one transaction ---- */

static int write_cutoff_of_session(void *userdata)
{
        RevokeOp *op = userdata;

        op->cutoff.step = CUTOFF_APPLIED;
        return write_cutoff_in(op);
}

static int revoke_session(RevokeOp *op, const char *session, Failure *failure)
{
        LeaseFilter filter = { .what.session = session, .states = LEASE_STATES_OPEN };
        Pool pool = POOL_NULL(SESSION_POOL_MAX);
        SessionRecord record = { .state = SESSION_LIVE };
        int r;

        r = rows_session_get(op->vault->db, session, &pool, &record);
        pool_deinit(&pool);
        if (r == DB_E_SEALED)
                r = 0;
        if (r == DB_E_NOT_FOUND || (r == 0 && record.uid != op->caller.uid && !vault_is_owner(op->vault, &op->caller))) {
                failure_set(failure, FAULT_NOT_FOUND, "There is no session %s.",
                            ident_is_valid(session, 's') ? session : "of that id");
                return 0;
        }
        if (vault_db_failed(op->vault, r, failure))
                return 0;
        op->sessions = record.state == SESSION_ENDED ? 0 : 1;
        if (vault_db_failed(op->vault, list_leases(op, &filter), failure) || op->dry_run || op->sessions == 0)
                return 0; /* what has ended is over, and its intents know */
        cutoff_set(&op->cutoff, &filter.what);
        op->ending++;
        (void)snprintf(op->session, sizeof(op->session), "%s", session);
        r = session_end_also(op->vault, session, op->reason, write_cutoff_of_session, revoke_step, op, failure);
        explain(failure);
        return r;
}

static bool is_session_alone(const Selection *what)
{
        return what->session && !what->profile && !what->secret && !what->provider && !what->has_principal &&
               what->since == 0;
}

static int op_begin(RevokeOp *op, const RevokeRequest *request)
{
        Failure *failure = &op->failure;
        Selection what = { .session = request->session };

        if (!op->vault->recovered) {
                failure_set(failure, FAULT_UNAVAILABLE, "The broker is still starting.");
                return 0;
        }
        /* CloseSession is for everybody, and tells nobody whether there is another one's. */
        if (!op->close && !revoke_select(op, request, &what, failure))
                return 0;
        if (request->token_hash)
                return revoke_token(op, request->token_hash, &what, failure);
        return is_session_alone(&what) ? revoke_session(op, what.session, failure) : revoke_many(op, &what);
}

static int op_start(Vault *vault, Request *request, const RevokeRequest *selector, bool close)
{
        RevokeOp *op = calloc(1, sizeof(*op));
        int r;

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->request = request;
        op->close = close;
        op->operation = close ? "session.close" : "revoke";
        op->reason = close ? "closed" : "revoked";
        op->settle_usec = close ? SETTLE_CLOSE_USEC : SETTLE_USEC;
        op->caller = *selector->caller;
        op->dry_run = selector->dry_run;
        op->listed = calloc(REVOKE_LISTED_MAX, sizeof(*op->listed));
        op->ending = 1; /* this function itself */
        r = op->listed ? timer_new(&op->timer, vault->role.loop, on_deadline, op) : -ENOMEM;
        if (r == 0 && vault->recovered)
                r = revoke_watch_new(&op->watch, vault->revoker, on_settled, op);
        if (r < 0) {
                op_free(op);
                return r;
        }
        r = op_begin(op, selector);
        if (r < 0)
                return r;
        /* What was begun here goes on even when the answer is a failure. */
        return revoke_step(op);
}

int op_revoke(Vault *vault, Request *request)
{
        return op_start(vault, request, request->body, false);
}

int op_close_session(Vault *vault, Request *request)
{
        const CloseSessionRequest *body = request->body;
        RevokeRequest selector = { .caller = body->caller, .session = body->session };

        return op_start(vault, request, &selector, true);
}
