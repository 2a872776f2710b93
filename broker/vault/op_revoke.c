#include "vault/epoch.h"
#include "vault/proxy_grants.h"
#include "vault/revoke_op.h"
#include <stdio.h>

/* How long the answer waits for upstreams to confirm; what is not by then is "pending". Whoever closes
 * a session is often a launcher whose child has just ended, and should not be kept. */
#define SETTLE_USEC (8 * USEC_PER_SEC)
#define SETTLE_CLOSE_USEC (2 * USEC_PER_SEC)

static void op_free(RevokeOp *op)
{
        revoke_watch_free(op->watch);
        timer_free(op->timer);
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

static Outcome outcome_of(const LeaseRecord *lease)
{
        switch (lease->state) {
        case LEASE_LIVE:
        case LEASE_INTENT:
        case LEASE_REVOKING:
        case LEASE_UNRECOVERABLE:
                return lease->on_end == OUTCOME_IMPOSSIBLE_ROTATE ? OUTCOME_IMPOSSIBLE_ROTATE : OUTCOME_PENDING;
        default:
                return lease->outcome;
        }
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
                page[reply.credentials.n] = (CredentialOutcome){
                        .lease = lease->id,
                        .session = lease->session,
                        .profile = lease->profile,
                        .secret = lease->secret,
                        .outcome = outcome_of(lease),
                        .reason = lease->reason[0] ? lease->reason : NULL,
                };
                if (page[reply.credentials.n].outcome == OUTCOME_PENDING)
                        reply.pending = true;
                if (++reply.credentials.n == LIMIT_PAGE && i + 1 < op->n_listed) {
                        r = request_reply_more(op->request, &reply);
                        reply.credentials.n = 0;
                }
        }
        if (r == 0)
                r = request_reply(op->request, &reply, NULL, 0);
        free(leases);
        op_free(op);
        return r;
}

static int consider(RevokeOp *op)
{
        return op->local_done && op->n_waiting == 0 ? answer(op) : 0;
}

static int on_settled(void *userdata, const char *lease)
{
        RevokeOp *op = userdata;

        for (size_t i = 0; i < op->n_listed; i++)
                if (op->listed[i].waiting && strcmp(op->listed[i].id, lease) == 0) {
                        op->listed[i].waiting = false;
                        op->n_waiting--;
                }
        return consider(op);
}

static int on_deadline(void *userdata)
{
        RevokeOp *op = userdata;

        op->n_waiting = 0;
        return consider(op);
}

/* Everything here is over; what the upstreams say is waited for, but not for ever. */
static int local_done(RevokeOp *op)
{
        LeaseRecord lease;

        if (failed(&op->failure))
                return refuse(op, &op->failure);
        op->local_done = true;
        for (size_t i = 0; i < op->n_listed; i++) {
                if (!op->listed[i].waiting)
                        continue;
                if (rows_lease_get(op->vault->db, op->listed[i].id, &lease) == 0 && lease.state == LEASE_REVOKING &&
                    lease.attempts == 0)
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

void revoke_list(RevokeOp *op, const char *lease)
{
        RevokeListed *listed = &op->listed[op->n_listed];

        if (op->n_listed == REVOKE_LISTED_MAX)
                return;
        (void)snprintf(listed->id, sizeof(listed->id), "%s", lease);
        listed->waiting = true;
        op->n_listed++;
        op->n_waiting++;
}

/* ---- what is affected ---- */

static int list_leases(RevokeOp *op, LeaseFilter filter)
{
        uint64_t after = 0;
        size_t n = LIMIT_PAGE;
        LeaseRecord *leases;
        int r = 0;

        filter.states = LEASE_STATES_OPEN;
        while (r == 0 && n == LIMIT_PAGE && op->n_listed < REVOKE_LISTED_MAX) {
                Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);

                r = rows_lease_list(op->vault->db, &filter, after, LIMIT_PAGE, &pool, &leases, &n);
                for (size_t i = 0; r == 0 && i < n && op->n_listed < REVOKE_LISTED_MAX; i++) {
                        after = leases[i].sequence;
                        revoke_list(op, leases[i].id);
                }
                pool_deinit(&pool);
        }
        return r;
}

/* While the store is locked nobody can tell what a session was granted, so it counts as holding it. */
static bool holds(const RevokeOp *op, const SessionRecord *session, const RevokeRequest *selector)
{
        const GrantRecord *grants = session->grants.items;

        if (selector->all || !op->vault->seal)
                return true;
        for (size_t i = 0; i < session->grants.n; i++)
                if ((selector->profile && strcmp(grants[i].profile, selector->profile) == 0) ||
                    (selector->secret && strcmp(grants[i].secret, selector->secret) == 0))
                        return true;
        return false;
}

/* A session that holds a revoked grant ends whole: what its sandbox was started with is gone, and it
 * could not tell which of its variables died. */
static int end_holders(RevokeOp *op, const RevokeRequest *selector, Failure *failure)
{
        uint64_t after = 0;
        size_t n = LIMIT_PAGE;
        SessionRecord *sessions;
        int r = 0;

        while (r >= 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(SESSION_PAGE_POOL_MAX);

                r = rows_session_list(op->vault->db, false, after, LIMIT_PAGE, &pool, &sessions, &n);
                if (vault_db_failed(op->vault, r, failure))
                        n = 0;
                r = 0;
                for (size_t i = 0; r >= 0 && i < n; i++) {
                        after = sessions[i].sequence;
                        if (!holds(op, &sessions[i], selector))
                                continue;
                        op->sessions++;
                        if (op->dry_run)
                                continue;
                        op->ending++;
                        r = session_end(op->vault, sessions[i].id, "revoked", revoke_step, op);
                }
                pool_deinit(&pool);
        }
        return r;
}

/* Durable before anything is cut: it also covers intents whose answer is still to come. In a transaction that is
 * open. */
static int write_cutoff_in(RevokeOp *op, CutoffKind kind, const char *value)
{
        CutoffRecord cutoff = { .kind = kind, .time = vault_now(op->vault), .reason = "revoked" };
        AuditEvent event = vault_event(&op->caller, op->operation);
        uint64_t n = LIMIT_PAGE;
        int r;

        (void)snprintf(cutoff.value, sizeof(cutoff.value), "%s", value ? value : "");
        event.verdict = AUDIT_ALLOW;
        event.session = kind == CUTOFF_SESSION ? value : NULL;
        event.profile = kind == CUTOFF_PROFILE ? value : NULL;
        event.secret = kind == CUTOFF_SECRET ? value : NULL;
        event.reason = cutoff_kind_names[kind];
        r = rows_cutoff_insert(op->vault->db, &cutoff);
        if (r == 0 && kind != CUTOFF_SESSION) {
                while (r == 0 && n == LIMIT_PAGE)
                        r = rows_lease_apply_cutoff(op->vault->db, &cutoff, cutoff.time, LIMIT_PAGE, &n);
                if (r == 0)
                        r = rows_cutoff_set_applied(op->vault->db, cutoff.id);
        }
        return r == 0 ? vault_audit_revocation(op->vault, &event) : r;
}

static int write_cutoff(RevokeOp *op, CutoffKind kind, const char *value)
{
        int r = db_begin(op->vault->db);

        if (r == 0)
                r = write_cutoff_in(op, kind, value);
        return r == 0 ? vault_commit(op->vault) : r;
}

static int write_cutoff_of_session(void *userdata)
{
        RevokeOp *op = userdata;

        return write_cutoff_in(op, CUTOFF_SESSION, op->session);
}

static void explain(Failure *failure)
{
        if (failed(failure))
                failure_set(failure, failure->fault,
                            "The sessions are ended here, but the state cannot be written; their credentials are revoked "
                            "when it can.");
}

/* Written, or said that it was not: what is here is ended all the same, and made up for in the state
 * (session_end()) as soon as that can be written. */
static void try_cutoff(RevokeOp *op, CutoffKind kind, const char *value, Failure *failure)
{
        if (vault_db_failed(op->vault, write_cutoff(op, kind, value), failure))
                explain(failure);
}

static int revoke_session(RevokeOp *op, const char *session, Failure *failure)
{
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
        if (vault_db_failed(op->vault, list_leases(op, (LeaseFilter){ .session = session }), failure) || op->dry_run)
                return 0;
        op->ending++;
        if (op->sessions == 0) {
                try_cutoff(op, CUTOFF_SESSION, session, failure);
                return session_end(op->vault, session, op->reason, revoke_step, op);
        }
        (void)snprintf(op->session, sizeof(op->session), "%s", session);
        r = session_end_also(op->vault, session, op->reason, write_cutoff_of_session, revoke_step, op, failure);
        explain(failure);
        return r;
}

/* Nothing of it leaves any more; what is left is to end who had it, and to ask the upstreams. */
static int end_many(RevokeOp *op, const RevokeRequest *selector)
{
        int r;

        r = end_holders(op, selector, &op->failure);
        if (r < 0 || op->dry_run)
                return r;
        op->ending++;
        r = epoch_move(op->vault->epoch, revoke_step, op);
        return r < 0 ? r : revoker_wake(op->vault->revoker);
}

static int on_many_cut(void *userdata)
{
        RevokeOp *op = userdata;
        int r = end_many(op, op->request->body);

        return r < 0 ? r : revoke_step(op);
}

/* The egresses first: to write down the end of a thousand sessions takes longer than to cut them. */
static int revoke_many(RevokeOp *op, const RevokeRequest *selector)
{
        CutoffKind kind = selector->profile ? CUTOFF_PROFILE : selector->secret ? CUTOFF_SECRET : CUTOFF_ALL;
        LeaseFilter filter = { .profile = selector->profile, .secret = selector->secret };
        const char *value = selector->profile ? selector->profile : selector->secret;

        if (vault_db_failed(op->vault, list_leases(op, filter), &op->failure))
                return 0;
        if (op->dry_run)
                return end_many(op, selector);
        try_cutoff(op, kind, value, &op->failure);
        op->ending++;
        return proxy_grants_cut(op->vault->proxy_grants, selector->profile, selector->secret, on_many_cut, op);
}

static int op_start(Vault *vault, Request *request, const RevokeRequest *selector, bool close)
{
        RevokeOp *op = calloc(1, sizeof(*op));
        Failure *failure;
        unsigned n = (selector->session != NULL) + (selector->profile != NULL) + (selector->secret != NULL) +
                     (selector->token_hash != NULL) + selector->all;
        int r;

        if (!op)
                return -ENOMEM;
        failure = &op->failure;
        op->vault = vault;
        op->request = request;
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
        if (!vault->recovered)
                failure_set(failure, FAULT_UNAVAILABLE, "The broker is still starting.");
        else if (n != 1)
                failure_set(failure, FAULT_INVALID_PARAMETER,
                            "Say what to revoke by exactly one of session, profile, secret, token_hash and all.");
        else if (selector->session)
                r = revoke_session(op, selector->session, failure);
        else if (selector->token_hash)
                r = revoke_token(op, selector->token_hash, failure);
        else
                r = revoke_many(op, selector);
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
