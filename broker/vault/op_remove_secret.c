#include "vault/known_values.h"
#include "vault/rows_lease.h"
#include "vault/rows_rotation.h"
#include "vault/session_collect.h"
#include "vault/session_end.h"
#include <stdio.h>

typedef struct RemoveOp {
        Vault *vault;
        Request *request;
        CutoffRecord cutoff;
        SessionSet users; /* sessions that hold something of it */
        RemoveSecretReply reply;
} RemoveOp;

static const char reason[] = "its secret was removed";

static void op_free(RemoveOp *op)
{
        session_set_deinit(&op->users);
        free(op);
}

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

        op_free(op);
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
        op_free(op);
        return r;
}

static int on_ended(void *userdata)
{
        RemoveOp *op = userdata;
        const RemoveSecretRequest *body = op->request->body;

        return keyring_client_remove(op->vault->keyring, body->name, on_removed, op);
}

/* The cutoff and the row in one transaction: what is minted meanwhile is revoked when it comes. */
static int write_rows(RemoveOp *op, const char *name)
{
        Vault *vault = op->vault;
        AuditEvent event = event_of(op);
        int r;

        op->cutoff.time = vault_now(vault);
        (void)snprintf(op->cutoff.reason, sizeof(op->cutoff.reason), "%s", reason);
        event.verdict = AUDIT_ALLOW;
        r = db_begin(vault->db);
        if (r == 0)
                r = rows_secret_remove(vault->db, name);
        if (r == 0)
                r = rows_rotation_end(vault->db, name);
        if (r == 0)
                r = known_values_removed(vault, name);
        if (r == 0)
                r = rows_cutoff_insert(vault->db, &op->cutoff);
        if (r == 0)
                r = audit_append(vault->audit, &event);
        return r == 0 ? vault_commit(vault) : r;
}

/* What a provider may have made for it could not be ended any more. */
static bool is_being_made(Vault *vault, const SecretRecord *record, Failure *failure)
{
        RotationRecord journal;
        int r;

        if (!rotation_is_under_way(record->step) || rotation_has_switched(record->step))
                return false;
        r = rows_rotation_get(vault->db, record->name, &journal);
        if (r == DB_E_NOT_FOUND || (r == 0 && journal.kind == ROTATION_GUIDED))
                return false;
        if (!vault_db_failed(vault, r, failure))
                failure_set(failure, FAULT_BUSY,
                            "Secret %s is being rotated. Wait for it, or drop it with `mcpcred rotate --abort %s`.",
                            record->name, record->name);
        return true;
}

/* What there is of it, before anything is changed. */
static void look(RemoveOp *op, const char *name, Failure *failure)
{
        LeaseFilter filter = { .what.secret = name, .states = LEASE_STATES_OPEN };
        Vault *vault = op->vault;
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord record;
        int r;

        if (!vault_may_issue(vault, failure))
                return;
        r = rows_secret_get(vault->db, name, &pool, &record);
        if (r == DB_E_NOT_FOUND)
                failure_set(failure, FAULT_NOT_FOUND, "There is no secret of that name.");
        else if (!vault_db_failed(vault, r, failure))
                (void)is_being_made(vault, &record, failure);
        pool_deinit(&pool);
        if (failed(failure))
                return;
        cutoff_set(&op->cutoff, &filter.what);
        op->cutoff.sequence = op->cutoff.session_sequence = UINT64_MAX;
        r = rows_lease_count(vault->db, &filter, &op->reply.leases);
        if (r == 0)
                r = session_collect(&op->users, vault, &op->cutoff, true);
        op->reply.sessions = op->users.n;
        (void)vault_db_failed(vault, r, failure);
}

int op_remove_secret(Vault *vault, Request *request)
{
        const RemoveSecretRequest *body = request->body;
        RemoveOp *op = calloc(1, sizeof(*op));
        Failure failure = { 0 };
        int r;

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->request = request;
        look(op, body->name, &failure);
        if (failed(&failure))
                return refuse(op, &failure);
        if (body->dry_run) {
                r = request_reply(request, &op->reply, NULL, 0);
                op_free(op);
                return r;
        }
        if (vault_db_failed(vault, write_rows(op, body->name), &failure))
                return refuse(op, &failure);
        r = session_ends_write(vault, &op->users, &op->cutoff, reason, &failure);
        return r < 0 ? r : session_ends_cut(vault, &op->users, on_ended, op);
}
