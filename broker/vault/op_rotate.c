/*
 * Rotation, guided: a person makes the new value upstream and pastes it; here it is stored as next,
 * verified, and switched to. Each step is in the state before the next is begun, and each begins by
 * loading the item again, so that a rotation that was cut off anywhere goes on from what is there:
 *
 *   planned   no next value is known to be stored: without the value at hand, dropped
 *   stored    the item has it as next: verify
 *   verified  the item may have switched already, or not yet: see that it has
 *   switched  the item still has the old value as previous: drop it
 *
 * The old value stays in the item until the switch is in the state, and until then dropping the
 * rotation leaves everything as it was.
 *
 * An abort takes over from the rotation that is under way, but never while that waits for the keyring:
 * what it would load could be overtaken by what is just being stored.
 */
#include "base/fd.h"
#include "vault/change.h"
#include "vault/proxy_grants.h"
#include "vault/secret_load.h"
#include "vault/value_reader.h"
#include "vault/vault.h"
#include <stdio.h>

typedef struct RotateOp {
        Vault *vault;
        Request *request; /* NULL: resumed at a start */
        char name[LIMIT_NAME + 1];
        Change change;
        Caller caller;
        ValueReader *reader;
        Secret *value; /* the new one, until it is stored */
        bool abort;
        bool first; /* the first load of a rotation that was asked for */
        bool verifying; /* waits for the upstream alone */
        bool abandoned; /* an abort has taken over */
        struct RotateOp *aborter; /* waits to take over */
} RotateOp;

static int step(RotateOp *op);
static int begin(RotateOp *op);

static void op_free(RotateOp *op)
{
        change_end(&op->change);
        value_reader_free(op->reader);
        secret_free(op->value);
        free(op);
}

/* Ends the operation; an abort that waits for it has its turn. */
static int end(RotateOp *op)
{
        RotateOp *aborter = op->aborter;

        op_free(op);
        return aborter ? begin(aborter) : 0;
}

static AuditEvent event_of(const RotateOp *op)
{
        AuditEvent event = vault_event(op->request ? &op->caller : NULL, "secret.rotate");

        event.secret = op->name;
        return event;
}

static int fail(RotateOp *op, const Failure *failure)
{
        int r = 0;

        if (op->request)
                r = vault_refuse(op->vault, op->request, event_of(op), failure);
        else
                role_log(&op->vault->role, LOG_LEVEL_WARNING, "rotation of %s: %s", op->name, failure->message);
        return r < 0 ? r : end(op);
}

static int fail_aborted(RotateOp *op)
{
        Failure failure;

        failure_set(&failure, FAULT_BUSY, "The rotation was aborted.");
        failure.remedy[0] = '\0';
        return fail(op, &failure);
}

/* Tells the caller of a step; `last` ends the request and the operation. */
static int tell(RotateOp *op, const char *name, const char *message, uint64_t generation, bool last)
{
        RotateReply reply = { .step = name, .message = message, .generation = generation };
        int r = 0;

        if (op->request)
                r = last ? request_reply(op->request, &reply, NULL, 0) : request_reply_more(op->request, &reply);
        return r < 0 || !last ? r : end(op);
}

/* A step in the state, with its line in the log. */
static int advance(RotateOp *op, RotationStep from, RotationStep to, const char *reason)
{
        Vault *vault = op->vault;
        AuditEvent event = event_of(op);
        int r;

        event.verdict = AUDIT_ALLOW;
        event.reason = reason;
        r = db_begin(vault->db);
        if (r == 0 && to == ROTATION_PLANNED)
                r = rows_secret_rotation_plan(vault->db, op->name, vault_now(vault));
        else if (r == 0 && to == ROTATION_NONE && from != ROTATION_OLD_REVOKED)
                r = rows_secret_rotation_abort(vault->db, op->name, vault_now(vault));
        else if (r == 0)
                r = rows_secret_rotation_advance(vault->db, op->name, from, to, vault_now(vault));
        if (r == 0)
                r = audit_append(vault->audit, &event);
        return r == 0 ? vault_commit(vault) : r;
}

/* ---- keeping the item ---- */

static int store_item(RotateOp *op, const SecretItem *item, KeyringItemDone done)
{
        _cleanup_(secret_freep) Secret *text = NULL;
        Failure failure;
        int r;

        r = secret_item_encode(item, op->vault->role.arena, &text);
        if (r) {
                failure_set(&failure, FAULT_BUSY, "The broker's memory for secrets is full.");
                return fail(op, &failure);
        }
        return keyring_client_store(op->vault->keyring, op->name, text, done, op);
}

/* ---- planned ---- */

static int on_next_stored(void *userdata, Secret *value, const Failure *failure)
{
        RotateOp *op = userdata;
        Failure mine = *failure;

        secret_free(value);
        op->value = secret_free(op->value);
        if (failed(&mine) ||
            vault_db_failed(op->vault, advance(op, ROTATION_PLANNED, ROTATION_STORED, "stored"), &mine))
                return fail(op, &mine);
        return step(op);
}

static int store_next(RotateOp *op, LoadedSecret *secret)
{
        SecretItem item = secret->item;

        item.next = op->value;
        return store_item(op, &item, on_next_stored);
}

/* ---- dropping it ---- */

static int on_dropped(void *userdata, Secret *value, const Failure *failure)
{
        RotateOp *op = userdata;
        Failure mine = *failure;

        secret_free(value);
        if (failed(&mine) || vault_db_failed(op->vault, advance(op, ROTATION_PLANNED, ROTATION_NONE, "aborted"), &mine))
                return fail(op, &mine);
        return tell(op, "aborted", "The rotation was dropped; the old value is in use as before.", 0, true);
}

static int drop(RotateOp *op, LoadedSecret *secret)
{
        SecretItem item = secret->item;

        item.next = NULL;
        return store_item(op, &item, on_dropped);
}

/* ---- stored ---- */

typedef struct Rejected {
        RotateOp *op;
        Failure why;
} Rejected;

/* The upstream does not accept the new value: the rotation is dropped, and the caller hears why. */
static int on_rejected_dropped(void *userdata, Secret *value, const Failure *failure)
{
        Rejected *rejected = userdata;
        RotateOp *op = rejected->op;
        Failure why = rejected->why, mine = *failure;

        secret_free(value);
        free(rejected);
        if (!failed(&mine))
                (void)vault_db_failed(op->vault, advance(op, ROTATION_STORED, ROTATION_NONE, "rejected"), &mine);
        return fail(op, &why);
}

static int on_rejected_loaded(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        Rejected *rejected = userdata;
        RotateOp *op = rejected->op;
        _cleanup_(secret_freep) Secret *text = NULL;
        SecretItem item;

        if (!failed(failure)) {
                item = secret->item;
                item.next = NULL;
                if (secret_item_encode(&item, op->vault->role.arena, &text) == 0)
                        return keyring_client_store(op->vault->keyring, op->name, text, on_rejected_dropped, rejected);
        }
        return on_rejected_dropped(rejected, NULL, failure);
}

static int on_verified(void *userdata, void *body, const Failure *failure)
{
        RotateOp *op = userdata;
        const ProviderVerifyReply *reply = body;
        char message[2 * LIMIT_TEXT];
        Failure mine = *failure;
        Rejected *rejected;
        int r;

        op->verifying = false;
        if (op->abandoned)
                return fail_aborted(op);
        if (failed(&mine)) {
                rejected = calloc(1, sizeof(*rejected));
                if (!rejected)
                        return -ENOMEM;
                *rejected = (Rejected){ .op = op, .why = mine };
                return secret_load(op->vault, op->name, on_rejected_loaded, rejected);
        }
        if (vault_db_failed(op->vault, advance(op, ROTATION_STORED, ROTATION_VERIFIED, "verified"), &mine))
                return fail(op, &mine);
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without a body there is a failure */
        if (reply->checked)
                (void)snprintf(message, sizeof(message), "The upstream accepts the new value%s%s.",
                               reply->identity ? ": " : "", reply->identity ? reply->identity : "");
        else
                (void)snprintf(message, sizeof(message), "This provider cannot be asked whether the new value works.");
        r = tell(op, "verified", message, 0, false);
        return r < 0 ? r : step(op);
}

static int verify(RotateOp *op, LoadedSecret *secret)
{
        _cleanup_(secret_freep) Secret *proof = NULL;
        ProviderVerifyReply unchecked = { 0 };
        Upstream upstream = {
                .provider = secret->info->name,
                .base_url = secret->record.base_url,
                .parameters = secret->record.parameters,
        };
        ProviderVerifyRequest request = { .upstream = &upstream };
        Failure failure = { 0 };
        int r;

        r = tell(op, "stored", "The new value is stored beside the old one.", 0, false);
        if (r < 0)
                return r;
        if (!secret->info->can_verify)
                return on_verified(op, &unchecked, &failure);
        if (!secret_proof(op->vault, secret->info, &secret->record.parameters, secret->item.next, &proof, &failure))
                return on_verified(op, NULL, &failure);
        upstream.proof = proof;
        op->verifying = true;
        return provider_pool_run(op->vault->providers, secret->info->name, PROVIDER_VERIFY, &request, on_verified, op);
}

/* ---- verified ---- */

static int on_switched(void *userdata, Secret *value, const Failure *failure)
{
        RotateOp *op = userdata;
        Failure mine = *failure;

        secret_free(value);
        if (failed(&mine) ||
            vault_db_failed(op->vault, advance(op, ROTATION_VERIFIED, ROTATION_SWITCHED, "switched"), &mine))
                return fail(op, &mine);
        proxy_grants_refresh(op->vault->proxy_grants, op->name);
        return step(op);
}

static int switch_over(RotateOp *op, LoadedSecret *secret)
{
        SecretItem item = secret->item;
        Failure none = { 0 };

        if (item.generation == secret->record.next_generation)
                return on_switched(op, NULL, &none); /* done by an earlier run */
        item.previous = secret->item.current;
        item.current = secret->item.next;
        item.next = NULL;
        item.generation = secret->record.next_generation;
        return store_item(op, &item, on_switched);
}

/* ---- switched ---- */

static int on_previous_dropped(void *userdata, Secret *value, const Failure *failure)
{
        RotateOp *op = userdata;
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        const char *message = "The new value is in use.";
        const ProviderInfo *info;
        SecretRecord record = { .generation = 0 };
        Failure mine = *failure;
        int r;

        secret_free(value);
        if (failed(&mine) ||
            vault_db_failed(op->vault, advance(op, ROTATION_SWITCHED, ROTATION_OLD_REVOKED, "old-dropped"), &mine) ||
            vault_db_failed(op->vault, advance(op, ROTATION_OLD_REVOKED, ROTATION_NONE, "done"), &mine))
                return fail(op, &mine);
        if (rows_secret_get(op->vault->db, op->name, &pool, &record) == 0) {
                info = provider_info(record.provider);
                message = info && info->rotate_delete ? info->rotate_delete : message;
        }
        r = tell(op, "done", message, record.generation, true);
        pool_deinit(&pool);
        return r;
}

static int drop_previous(RotateOp *op, LoadedSecret *secret)
{
        SecretItem item = secret->item;
        int r;

        r = tell(op, "switched", "The new value is in use; live sessions did not notice.", secret->record.generation,
                 false);
        if (r < 0)
                return r;
        item.previous = NULL;
        return store_item(op, &item, on_previous_dropped);
}

/* ---- where it stands ---- */

static int on_first(RotateOp *op, LoadedSecret *secret)
{
        Failure failure;

        op->first = false;
        if (op->abort) {
                if (secret->record.step == ROTATION_NONE)
                        return tell(op, "none", "No rotation is under way.", secret->record.generation, true);
                if (secret->record.step < ROTATION_SWITCHED && secret->item.generation == secret->record.generation)
                        return drop(op, secret);
                return step(op); /* the new value is in use already: it can only be finished */
        }
        if (secret->record.step != ROTATION_NONE) {
                failure_set(&failure, FAULT_BUSY,
                            "A rotation of %s is under way (%s). Wait for it, or drop it with `mcpcred rotate --abort %s`.",
                            op->name, rotation_step_names[secret->record.step], op->name);
                return fail(op, &failure);
        }
        if (!secret_value_is_valid(secret->info, op->value, op->vault->role.arena, &failure))
                return fail(op, &failure);
        if (secret_equal(secret->item.current, secret_slice(op->value))) {
                failure_set(&failure, FAULT_INVALID_PARAMETER, "This is the value that is in use already.");
                return fail(op, &failure);
        }
        if (vault_db_failed(op->vault, advance(op, ROTATION_NONE, ROTATION_PLANNED, "planned"), &failure))
                return fail(op, &failure);
        return step(op);
}

static int on_loaded(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        RotateOp *op = userdata;

        if (failed(failure))
                return fail(op, failure);
        if (op->first)
                return on_first(op, secret);
        switch (secret->record.step) {
        case ROTATION_PLANNED:
                return op->value ? store_next(op, secret) : drop(op, secret);
        case ROTATION_STORED:
                return secret->item.next ? verify(op, secret) : drop(op, secret);
        case ROTATION_VERIFIED:
                /* An `add --replace` that was cut off waits here too, without a next value. */
                return secret->item.next || secret->item.generation == secret->record.next_generation
                               ? switch_over(op, secret)
                               : drop(op, secret);
        case ROTATION_SWITCHED:
                return drop_previous(op, secret);
        default:
                return tell(op, "done", "The rotation is over.", secret->record.generation, true);
        }
}

static int step(RotateOp *op)
{
        if (op->aborter)
                return fail_aborted(op);
        return secret_load(op->vault, op->name, on_loaded, op);
}

/* ---- the start ---- */

/* From here on no other change of the secret is under way. */
static int begin(RotateOp *op)
{
        Failure failure;

        if (!change_begin(op->vault, &op->change, op->name, &failure))
                return fail(op, &failure);
        op->change.rotation = op;
        return op->reader ? 0 : step(op);
}

/* An abort: at once where nothing is under way, or only the upstream is waited for; else in its turn. */
static int begin_abort(RotateOp *op)
{
        Change *change = change_find(op->vault, op->name);
        RotateOp *running = change ? change->rotation : NULL;

        if (!running || running->aborter)
                return begin(op);
        if (!running->verifying) {
                running->aborter = op;
                return 0;
        }
        running->abandoned = true;
        change_end(&running->change);
        return begin(op);
}

static RotateOp *op_new(Vault *vault, Request *request, const char *name)
{
        RotateOp *op = calloc(1, sizeof(*op));

        if (!op)
                return NULL;
        op->vault = vault;
        op->request = request;
        (void)snprintf(op->name, sizeof(op->name), "%s", name);
        list_init(&op->change.link);
        return op;
}

static int on_value(void *userdata, Secret *value, const Failure *failure)
{
        RotateOp *op = userdata;

        op->reader = NULL;
        op->value = value;
        return failed(failure) ? fail(op, failure) : step(op);
}

static int answer_plan(Vault *vault, Request *request, const char *name)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        RotateReply reply = { .step = "plan" };
        const ProviderInfo *info;
        SecretRecord record;
        Failure failure;
        int r;

        r = rows_secret_get(vault->db, name, &pool, &record);
        if (r == DB_E_NOT_FOUND) {
                r = request_fail(request, FAULT_NOT_FOUND, "There is no secret of that name.");
        } else if (vault_db_failed(vault, r, &failure)) {
                r = failure_answer(&failure, request);
        } else {
                info = provider_info(record.provider);
                reply.message = info && info->rotate_create ? info->rotate_create : "Make a new value at the upstream.";
                reply.generation = record.generation;
                r = request_reply(request, &reply, NULL, 0);
        }
        pool_deinit(&pool);
        return r;
}

int op_rotate(Vault *vault, Request *request)
{
        const RotateRequest *body = request->body;
        Failure failure = { 0 };
        RotateOp *op;
        int r;

        if (!vault_may_issue(vault, &failure))
                return failure_answer(&failure, request);
        if (body->plan)
                return answer_plan(vault, request, body->name);
        op = op_new(vault, request, body->name);
        if (!op)
                return -ENOMEM;
        op->caller = *body->caller;
        op->abort = body->abort;
        op->first = true;
        if (body->abort)
                return begin_abort(op);
        if (request->n_fds != 1) {
                failure_set(&failure, FAULT_INVALID_PARAMETER, "The new value comes as one descriptor.");
                return fail(op, &failure);
        }
        r = value_reader_new(&op->reader, vault->role.loop, vault->role.arena, take_fd(&request->fds[0]),
                             SECRET_ITEM_VALUE_MAX, on_value, op);
        if (r) {
                value_reader_failure(&failure, r);
                return fail(op, &failure);
        }
        return begin(op);
}

bool rotate_begin(UNUSED Vault *vault, UNUSED const char *name, UNUSED const char *reason, UNUSED bool now,
                  Failure *failure)
{
        failure_set(failure, FAULT_UNSUPPORTED, NULL);
        return false;
}

int rotate_resume_all(Vault *vault)
{
        Pool pool = POOL_NULL(64U * CHANNEL_FRAME_MAX);
        char after[LIMIT_NAME + 1] = "";
        SecretRecord *records;
        Failure ignored;
        size_t n = LIMIT_PAGE;
        int r = 0;

        while (r == 0 && n == LIMIT_PAGE) {
                if (vault_db_failed(vault, rows_secret_list(vault->db, after, LIMIT_PAGE, &pool, &records, &n), &ignored))
                        n = 0;
                for (size_t i = 0; r == 0 && i < n; i++) {
                        RotateOp *op;

                        memcpy(after, records[i].name, sizeof(after));
                        if (records[i].step == ROTATION_NONE || change_find(vault, records[i].name))
                                continue;
                        op = op_new(vault, NULL, records[i].name);
                        r = op ? begin(op) : -ENOMEM;
                }
                pool_deinit(&pool);
        }
        return r;
}
