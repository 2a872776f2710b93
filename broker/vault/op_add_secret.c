#include "base/fd.h"
#include "base/text.h"
#include "vault/known_values.h"
#include "vault/proxy_grants.h"
#include "vault/rotation.h"
#include "vault/rows_meta.h"
#include "vault/secret_revocation.h"
#include "vault/vault.h"
#include <stdio.h>

typedef struct AddOp {
        Vault *vault;
        Request *request;
        const ProviderInfo *info;
        Change change;
        ValueReader *reader;
        Secret *value;
        SecretBinding binding; /* borrows from the request */
        bool replaces;         /* there is a row */
        bool takes_over;       /* from a change that was cut off */
        bool was_stuck;        /* a rotation of it needed a person */
        uint64_t generation;
        char identity[LIMIT_TEXT + 1];
        SecretRecord said; /* by the upstream, of the value; of the pool */
        Pool pool;
} AddOp;

static const AddSecretRequest *body_of(const AddOp *op)
{
        return op->request->body;
}

static AuditEvent event_of(const AddOp *op)
{
        AuditEvent event = vault_event(body_of(op)->caller, op->replaces ? "secret.replace" : "secret.add");

        event.secret = text_is_name(body_of(op)->name) ? body_of(op)->name : NULL;
        return event;
}

static void op_free(AddOp *op)
{
        change_end(&op->change);
        value_reader_free(op->reader);
        secret_free(op->value);
        pool_deinit(&op->pool);
        free(op);
}

static int refuse(AddOp *op, const Failure *failure)
{
        int r = vault_refuse(op->vault, op->request, event_of(op), failure);

        op_free(op);
        return r;
}

/* ---- what was sent ---- */

/* Lower-case LDH labels, as TLS and the URL will have it; and, if it is not 443, a port. */
static bool is_host(const char *host)
{
        size_t label = 0;
        uint64_t port;

        for (; *host && *host != ':'; host++) {
                bool alnum = (*host >= 'a' && *host <= 'z') || (*host >= '0' && *host <= '9');

                if (*host == '.') {
                        if (label == 0)
                                return false;
                        label = 0;
                } else if (alnum || (*host == '-' && label > 0)) {
                        label++;
                } else {
                        return false;
                }
        }
        if (label == 0 || !*host)
                return label > 0;
        return host[1] != '0' && text_parse_u64(host + 1, &port) == 0 && port <= UINT16_MAX && port != 443;
}

static void invalid(Failure *failure, const char *field, const char *what)
{
        failure_set(failure, FAULT_INVALID_PARAMETER, "%s", what);
        (void)snprintf(failure->field, sizeof(failure->field), "%s", field);
}

static void check_request(AddOp *op, Failure *failure)
{
        const AddSecretRequest *body = body_of(op);
        const char *problem, *field = "parameters";

        op->info = provider_info(body->provider);
        if (!text_is_name(body->name))
                invalid(failure, "name", "A name is lower-case letters, digits, '.', '_' and '-', and starts with a letter or digit.");
        else if (!op->info)
                invalid(failure, "provider", "There is no such provider; `mcpcred add --help` lists them.");
        else if (op->request->n_fds != 1)
                invalid(failure, "value", "The value comes as one descriptor.");
        else if ((problem = provider_check_parameters(op->info, &body->parameters, &field)))
                invalid(failure, field ? field : "parameters", problem);
        else if (body->base_url && (problem = provider_check_base_url(body->base_url)))
                invalid(failure, "base_url", problem);
        else if (op->info->needs_hosts && body->hosts.n == 0)
                invalid(failure, "hosts", "A stored key needs the hosts that it may be sent to.");
        for (size_t i = 0; !failed(failure) && i < body->hosts.n; i++)
                if (!is_host(body->hosts.items[i]))
                        invalid(failure, "hosts", "A host is lower-case letters, digits, '-' and '.', and ':' with a port if it is not 443.");
        if (failed(failure))
                return;
        op->binding = (SecretBinding){
                /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without one it has failed above */
                .provider = op->info->name,
                .base_url = body->base_url ? body->base_url : op->info->base_url,
                .hosts = body->hosts,
                .parameters = body->parameters,
        };
        if (secret_item_check_binding(&op->binding))
                invalid(failure, "hosts", "Hosts and parameters are too long together.");
}

/* Whether the name is free, or may be replaced. */
static void check_existing(AddOp *op, Failure *failure)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord record;
        int r;

        r = rows_secret_get(op->vault->db, body_of(op)->name, &pool, &record);
        if (r == 0) {
                op->replaces = true;
                op->generation = record.generation + 1;
                if (!body_of(op)->replace)
                        failure_set(failure, FAULT_EXISTS,
                                    "There is a secret %s already.",
                                    record.name);
                /* Nothing in this process is at it any more: what was cut off may not be able to go on,
                 * as when the item has the new binding already, and a replacement needs nothing of it. */
                op->takes_over = record.step != ROTATION_NONE;
                op->was_stuck = record.step == ROTATION_NEEDS_HUMAN;
                if (rotation_has_switched(record.step))
                        failure_set(failure, FAULT_BUSY, "Secret %s is being rotated; `mcpcred rotate --abort %s` "
                                    "finishes that.", record.name, record.name);
        } else if (r != DB_E_NOT_FOUND) {
                (void)vault_db_failed(op->vault, r, failure);
        }
        pool_deinit(&pool);
}

/* ---- the last steps, backwards ---- */

static int write_row(AddOp *op)
{
        Vault *vault = op->vault;
        uint64_t now = vault_now(vault);
        SecretRecord record = {
                .base_url = op->binding.base_url,
                .hosts = op->binding.hosts,
                .parameters = op->binding.parameters,
                .generation = op->generation,
                .added = now,
                .rotated = 0,
                .step = ROTATION_NONE,
                .secret_id = op->said.secret_id,
                .expires = op->said.expires,
                .rights_known = op->said.rights_known,
                .rights = op->said.rights,
        };
        AuditEvent event = event_of(op);
        int r;

        event.verdict = AUDIT_ALLOW;
        event.detail = op->identity[0] ? op->identity : NULL;
        (void)snprintf(record.name, sizeof(record.name), "%s", body_of(op)->name);
        (void)snprintf(record.provider, sizeof(record.provider), "%s", op->info->name);
        r = db_begin(vault->db);
        if (r == 0)
                r = op->replaces ? rows_secret_replace(vault->db, &record) : rows_secret_insert(vault->db, &record);
        if (r == 0)
                r = rows_rotation_end(vault->db, record.name);
        if (r == 0)
                r = known_values_note(vault, record.name, op->generation, op->value);
        if (r == 0)
                r = rows_meta_set_text(vault->db, META_CONFIG_DIRECTORY, vault->start.config_directory);
        if (r == 0)
                r = audit_append(vault->audit, &event);
        return r == 0 ? vault_commit(vault) : r;
}

static int on_stored(void *userdata, Secret *value, const Failure *failure)
{
        AddOp *op = userdata;
        AddSecretReply reply = { .generation = op->generation };
        Failure mine = *failure;
        int r;

        secret_free(value);
        if (failed(&mine) || vault_db_failed(op->vault, write_row(op), &mine))
                return refuse(op, &mine);
        if (op->replaces)
                proxy_grants_refresh(op->vault->proxy_grants, body_of(op)->name);
        rotation_schedule_wake(op->vault->schedule);
        reply.identity = op->identity[0] ? op->identity : NULL;
        r = request_reply(op->request, &reply, NULL, 0);
        op_free(op);
        return r;
}

/* The item goes to the keyring before the state that depends on it; the state expects it meanwhile. */
static int expect_next(AddOp *op)
{
        RotationRecord stuck = { .kind = ROTATION_GUIDED, .stuck = true };
        const char *name = body_of(op)->name;
        uint64_t now = vault_now(op->vault);
        int r;

        if (!op->replaces)
                return 0;
        r = db_begin(op->vault->db);
        if (r == 0 && op->takes_over)
                r = rows_secret_rotation_abort(op->vault->db, name, ROTATION_NONE, now);
        if (r == 0)
                r = op->was_stuck ? rows_rotation_begin(op->vault->db, name, &stuck)
                                  : rows_rotation_end(op->vault->db, name);
        if (r == 0)
                r = rows_secret_rotation_plan(op->vault->db, name, now);
        if (r == 0)
                r = rows_secret_rotation_advance(op->vault->db, name, ROTATION_PLANNED, ROTATION_STORED, now);
        if (r == 0)
                r = rows_secret_rotation_advance(op->vault->db, name, ROTATION_STORED, ROTATION_VERIFIED, now);
        return r == 0 ? vault_commit(op->vault) : r;
}

static int on_old_item(void *userdata, Secret *old, const Failure *failure)
{
        AddOp *op = userdata;
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        _cleanup_(secret_freep) Secret *text = NULL;
        SecretItem item = { 0 };
        Failure mine = *failure;
        int r;

        /* An item that the state does not know, of an earlier state: generations only grow. */
        if (old && secret_item_decode(old, op->vault->role.arena, &pool, &item) == 0)
                op->generation = MAX(op->generation, item.generation + 1);
        secret_item_clear(&item);
        pool_deinit(&pool);
        secret_free(old);
        if (failed(&mine) || vault_db_failed(op->vault, expect_next(op), &mine))
                return refuse(op, &mine);
        item = (SecretItem){ .binding = &op->binding, .generation = op->generation, .current = op->value };
        r = secret_item_encode(&item, op->vault->role.arena, &text);
        if (r) {
                failure_set(&mine, FAULT_BUSY, "The broker's memory for secrets is full.");
                return refuse(op, &mine);
        }
        return keyring_client_store(op->vault->keyring, body_of(op)->name, text, on_stored, op);
}

static int store(AddOp *op)
{
        return keyring_client_load(op->vault->keyring, body_of(op)->name, on_old_item, op);
}

static int on_verified(void *userdata, void *body, const Failure *failure)
{
        AddOp *op = userdata;
        const ProviderVerifyReply *reply = body;

        if (failed(failure))
                return refuse(op, failure);
        if (reply->identity)
                (void)snprintf(op->identity, sizeof(op->identity), "%s", reply->identity);
        if (rotation_keep_said(reply, &op->pool, &op->said) < 0)
                role_log(&op->vault->role, LOG_LEVEL_WARNING, "secret %s: its upstream says more of it than is kept",
                         body_of(op)->name);
        return store(op);
}

static int verify(AddOp *op)
{
        _cleanup_(secret_freep) Secret *proof = NULL;
        Upstream upstream = {
                .provider = op->info->name,
                .base_url = op->binding.base_url,
                .parameters = op->binding.parameters,
        };
        ProviderVerifyRequest request = { .upstream = &upstream };
        Failure failure;

        if (!secret_proof(op->vault, op->info, &op->binding.parameters, op->value, &proof, &failure))
                return refuse(op, &failure);
        upstream.proof = proof;
        return provider_pool_run(op->vault->providers, op->info->name, PROVIDER_VERIFY, &request, on_verified, op);
}

static int on_value(void *userdata, Secret *value, const Failure *failure)
{
        AddOp *op = userdata;
        Failure mine = *failure;

        op->reader = NULL;
        op->value = value;
        if (failed(&mine) || !secret_value_is_valid(op->info, value, op->vault->role.arena, &mine) ||
            !secret_revocation_allows(op->vault, value, &mine))
                return refuse(op, &mine);
        return body_of(op)->verify && op->info->can_verify ? verify(op) : store(op);
}

int op_add_secret(Vault *vault, Request *request)
{
        AddOp *op = calloc(1, sizeof(*op));
        Failure failure = { 0 };
        int r;

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->request = request;
        op->generation = 1;
        op->pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        list_init(&op->change.link);
        /* Replacing one says that this configuration is the right one from now on. */
        if (vault_may_issue(vault, &failure) &&
            (((const AddSecretRequest *)request->body)->replace || vault_config_fits(vault, &failure)))
                check_request(op, &failure);
        if (!failed(&failure) && change_begin(vault, &op->change, ((const AddSecretRequest *)request->body)->name, &failure))
                check_existing(op, &failure);
        if (failed(&failure))
                return refuse(op, &failure);
        r = value_reader_new(&op->reader, vault->role.loop, vault->role.arena, take_fd(&request->fds[0]),
                             SECRET_ITEM_VALUE_MAX, on_value, op);
        if (r) {
                value_reader_failure(&failure, r);
                return refuse(op, &failure);
        }
        return 0;
}
