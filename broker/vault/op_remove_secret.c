#include "vault/epoch.h"
#include "vault/known_values.h"
#include "vault/revoker.h"
#include "vault/rows_secret.h"
#include "vault/vault.h"
#include <stdio.h>

typedef struct RemoveOp {
        Vault *vault;
        Request *request;
        unsigned waiting;
        RemoveSecretReply reply;
} RemoveOp;

static AuditEvent event_of(const RemoveOp *op)
{
        const RemoveSecretRequest *body = op->request->body;
        AuditEvent event = vault_event(body->caller, "secret.remove");

        event.secret = body->name;
        return event;
}

static int refuse(RemoveOp *op, const Failure *failure)
{
        int r = vault_refuse(op->vault, op->request, event_of(op), failure);

        free(op);
        return r;
}

static int on_removed(void *userdata, Secret *value, const Failure *failure)
{
        RemoveOp *op = userdata;
        int r;

        secret_free(value);
        if (failed(failure)) /* the row is gone, the item is not: said, and `add` takes it over */
                return refuse(op, failure);
        r = request_reply(op->request, &op->reply, NULL, 0);
        free(op);
        return r;
}

static int on_step(void *userdata)
{
        RemoveOp *op = userdata;
        const RemoveSecretRequest *body = op->request->body;

        if (--op->waiting > 0)
                return 0;
        return keyring_client_remove(op->vault->keyring, body->name, on_removed, op);
}

static bool uses(const SessionRecord *session, const char *secret)
{
        const GrantRecord *grants = session->grants.items;

        for (size_t i = 0; i < session->grants.n; i++)
                if (strcmp(grants[i].secret, secret) == 0)
                        return true;
        return false;
}

/* Ends, or only counts, the sessions that use the secret. */
static int end_users(RemoveOp *op, const char *secret, bool count_only)
{
        uint64_t after = 0;
        SessionRecord *sessions;
        Failure ignored;
        size_t n = LIMIT_PAGE;
        int r = 0;

        while (r >= 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(SESSION_PAGE_POOL_MAX);

                if (vault_db_failed(op->vault, rows_session_list(op->vault->db, false, after, LIMIT_PAGE, &pool,
                                                                 &sessions, &n),
                                    &ignored))
                        n = 0;
                for (size_t i = 0; r >= 0 && i < n; i++) {
                        after = sessions[i].sequence;
                        if (!uses(&sessions[i], secret))
                                continue;
                        op->reply.sessions++;
                        if (count_only)
                                continue;
                        op->waiting++;
                        r = session_end(op->vault, sessions[i].id, "its secret was removed", on_step, op);
                }
                pool_deinit(&pool);
        }
        return r;
}

/* The cutoff and the row in one transaction: what is minted meanwhile is revoked when it comes. */
static int write_rows(RemoveOp *op, const char *name)
{
        Vault *vault = op->vault;
        CutoffRecord cutoff = { .kind = CUTOFF_SECRET, .time = vault_now(vault), .reason = "its secret was removed" };
        AuditEvent event = event_of(op);
        uint64_t n = LIMIT_PAGE;
        int r;

        (void)snprintf(cutoff.value, sizeof(cutoff.value), "%s", name);
        event.verdict = AUDIT_ALLOW;
        r = db_begin(vault->db);
        if (r == 0)
                r = rows_secret_remove(vault->db, name);
        if (r == 0)
                r = known_values_removed(vault, name);
        if (r == 0)
                r = rows_cutoff_insert(vault->db, &cutoff);
        while (r == 0 && n == LIMIT_PAGE)
                r = rows_lease_apply_cutoff(vault->db, &cutoff, cutoff.time, LIMIT_PAGE, &n);
        if (r == 0)
                r = rows_cutoff_set_applied(vault->db, cutoff.id);
        if (r == 0)
                r = audit_append(vault->audit, &event);
        return r == 0 ? vault_commit(vault) : r;
}

int op_remove_secret(Vault *vault, Request *request)
{
        const RemoveSecretRequest *body = request->body;
        RemoveOp *op = calloc(1, sizeof(*op));
        LeaseFilter filter = { .secret = body->name, .states = LEASE_STATES_OPEN };
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        Failure failure = { 0 };
        SecretRecord record;
        int r;

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->request = request;
        if (vault_may_issue(vault, &failure)) {
                r = rows_secret_get(vault->db, body->name, &pool, &record);
                if (r == DB_E_NOT_FOUND)
                        failure_set(&failure, FAULT_NOT_FOUND, "There is no secret of that name.");
                else if (!vault_db_failed(vault, r, &failure))
                        (void)vault_db_failed(vault, rows_lease_count(vault->db, &filter, &op->reply.leases), &failure);
        }
        pool_deinit(&pool);
        if (failed(&failure))
                return refuse(op, &failure);
        if (body->dry_run) {
                r = end_users(op, body->name, true);
                if (r == 0)
                        r = request_reply(request, &op->reply, NULL, 0);
                free(op);
                return r;
        }
        if (vault_db_failed(vault, write_rows(op, body->name), &failure))
                return refuse(op, &failure);
        op->waiting = 2; /* the epoch, and this function itself */
        r = end_users(op, body->name, false);
        if (r == 0)
                r = epoch_move(vault->epoch, on_step, op);
        if (r == 0)
                r = revoker_wake(vault->revoker);
        return r < 0 ? r : on_step(op);
}
