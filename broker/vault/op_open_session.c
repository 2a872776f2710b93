#include "base/fd.h"
#include "base/text.h"
#include "vault/mint.h"
#include "vault/vault.h"
#include "wire/provider_info.h"
#include "vault/rows_secret.h"
#include <stdio.h>

#define CREATE_USEC (10 * USEC_PER_SEC)
/* The gate has told the client by then that it took too long, and soon forgets the call. */
#define OPEN_USEC (90 * USEC_PER_SEC)
/* What the reply has room for: the rest is paths of 4 KiB, and a hundred bytes a grant. */
#define VALUES_MAX (CHANNEL_FRAME_MAX - 32U * 1024U)

/* What one grant of the session came to. */
typedef struct OpenGrant {
        struct OpenOp *op;
        GrantRecord *record;
        Secret *token;
        uint64_t expires;
        char path[LIMIT_PATH + 1];
} OpenGrant;

typedef struct OpenOp {
        Vault *vault;
        Request *request;
        Policy *policy; /* that it was decided by */
        Ident request_id;
        Pool pool;
        SessionRecord session;
        OpenGrant grants[LIMIT_GRANTS];
        size_t n_grants;
        uint64_t started; /* boot clock */
        unsigned waiting; /* for the supervisor and for upstreams */
        Failure failure;  /* the first one */
        Secret *session_secret;
        char directory[LIMIT_PATH + 1];
        char socket[LIMIT_PATH + 1];
        int descriptor; /* the client's end of the session's socket */
} OpenOp;

static void op_free(OpenOp *op)
{
        for (size_t i = 0; i < op->n_grants; i++)
                secret_free(op->grants[i].token);
        secret_free(op->session_secret);
        fd_close(op->descriptor);
        policy_unref(op->policy);
        pool_deinit(&op->pool);
        free(op);
}

static AuditEvent event_of(const OpenOp *op)
{
        const OpenSessionRequest *body = op->request->body;
        AuditEvent event = vault_event(body->caller, "session.open");

        event.request = op->request_id.text;
        /* One that is not in the state never was: lines about it are those of its caller alone. */
        event.session = op->session.sequence > 0 ? op->session.id : NULL;
        return event;
}

static int refuse(OpenOp *op)
{
        AuditEvent event = event_of(op);
        int r;

        r = vault_refuse(op->vault, op->request, event, &op->failure);
        op_free(op);
        return r;
}

/* ---- what is asked, against the policy ---- */

/* A profile that this version, or this secret, cannot serve. */
static bool is_servable(OpenOp *op, const ConfigProfile *profile)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord secret;
        const ProviderInfo *info;
        const char *problem, *field;
        int r;

        if (!policy_can_deliver(profile)) {
                failure_set(&op->failure, FAULT_UNSUPPORTED,
                            "Profile %s delivers by %s, which this version does not have yet; set `deliver = env`, "
                            "`file` or `socket`.",
                            profile->name, delivery_names[profile->deliver]);
                return false;
        }
        r = rows_secret_get(op->vault->db, profile->secret, &pool, &secret);
        info = r == 0 ? provider_info(secret.provider) : NULL;
        if (r == DB_E_NOT_FOUND)
                failure_set(&op->failure, FAULT_NOT_FOUND, "Profile %s needs secret %s, and there is none; `mcpcred add %s` stores it.",
                            profile->name, profile->secret, profile->secret);
        else if (vault_db_failed(op->vault, r, &op->failure))
                ;
        else if (!info)
                failure_set(&op->failure, FAULT_UNSUPPORTED, "This build has no provider %s.", secret.provider);
        else if (info->can_mint && (problem = provider_check_scope(info, profile->scope, &field)))
                failure_set(&op->failure, FAULT_POLICY_DENIED, "Profile %s: %s", profile->name, problem);
        else if (!info->can_mint && !policy_exposes(profile))
                failure_set(&op->failure, FAULT_POLICY_DENIED,
                            "Secret %s cannot be minted from. It is handed out raw only by a profile with `deliver = "
                            "env`, `expose_secret = yes` and a pinned `command`; profile %s is not one.",
                            profile->secret, profile->name);
        pool_deinit(&pool);
        return !failed(&op->failure);
}

static int add_grant(OpenOp *op, const ConfigProfile *profile, const Scope *asked)
{
        GrantRecord *record = (GrantRecord *)op->session.grants.items + op->n_grants;
        Scope *scope;
        void *memory;
        int r;

        r = pool_alloc(&op->pool, sizeof(*scope), &memory);
        if (r < 0)
                return r;
        scope = memory;
        if (!policy_narrow(profile, asked, scope, &op->failure))
                return 0;
        /* Borrowed from the policy and the request; mint and rows copy what they keep. */
        *record = (GrantRecord){
                .profile = profile->name,
                .secret = profile->secret,
                .scope = scope,
                .deliver = profile->deliver,
                .ttl = profile->ttl,
                .env = profile->env,
                .expose_secret = profile->expose_secret,
                .command = profile->command,
        };
        op->grants[op->n_grants].op = op;
        op->grants[op->n_grants].record = record;
        op->n_grants++;
        op->session.grants.n = op->n_grants;
        return 0;
}

static bool is_clash(const OpenOp *op, const ConfigProfile *profile)
{
        for (size_t i = 0; i < op->n_grants; i++) {
                const GrantRecord *other = op->grants[i].record;

                if (strcmp(other->profile, profile->name) == 0 ||
                    (other->env && profile->env && profile->deliver == DELIVER_ENV && other->deliver == DELIVER_ENV &&
                     strcmp(other->env, profile->env) == 0))
                        return true;
        }
        return false;
}

static int decide(OpenOp *op)
{
        const OpenSessionRequest *body = op->request->body;
        const GrantRequest *asked = body->grants.items;
        void *memory;
        int r;

        op->policy = policy_ref(op->vault->policy);
        r = pool_alloc(&op->pool, LIMIT_GRANTS * sizeof(GrantRecord), &memory);
        if (r < 0)
                return r;
        op->session.grants.items = memory;
        if (body->grants.n == 0)
                failure_set(&op->failure, FAULT_INVALID_PARAMETER, "A session needs at least one profile.");
        for (size_t i = 0; r == 0 && !failed(&op->failure) && i < body->grants.n; i++) {
                const ConfigProfile *profile = policy_find(op->policy, asked[i].profile);

                if (!profile)
                        failure_set(&op->failure, FAULT_NOT_FOUND,
                                    "There is no profile %s in the configuration; `mcpcred reload` reads it again.",
                                    text_is_name(asked[i].profile) ? asked[i].profile : "of that name");
                else if (is_clash(op, profile))
                        failure_set(&op->failure, FAULT_INVALID_PARAMETER,
                                    "Profile %s is asked for twice, or two profiles set the same variable.",
                                    profile->name);
                else if (policy_admits(profile, body->caller, &body->command, &op->failure) && is_servable(op, profile))
                        r = add_grant(op, profile, asked[i].scope);
        }
        return r;
}

/* The lifetime: what was asked for, within each profile's and the configuration's. */
static void decide_lifetime(OpenOp *op)
{
        const OpenSessionRequest *body = op->request->body;
        uint64_t limit = policy_settings(op->policy)->max_lifetime, lifetime;

        for (size_t i = 0; i < op->n_grants; i++)
                limit = MIN(limit, op->grants[i].record->ttl);
        lifetime = body->lifetime ? body->lifetime : limit;
        if (lifetime > limit) {
                failure_set(&op->failure, FAULT_POLICY_DENIED,
                            "A lifetime of %llu seconds is longer than the %llu that the profiles give.",
                            (unsigned long long)lifetime, (unsigned long long)limit);
                return;
        }
        op->session.opened = vault_now(op->vault);
        op->session.expires = op->session.opened + lifetime * USEC_PER_SEC;
        op->session.deadline = vault_boot(op->vault) + lifetime * USEC_PER_SEC;
}

static void decide_number(OpenOp *op)
{
        uint64_t n, limit = policy_settings(op->policy)->max_sessions;

        if (vault_db_failed(op->vault, rows_session_count(op->vault->db, op->session.uid, &n), &op->failure))
                return;
        if (n >= limit)
                failure_set(&op->failure, FAULT_BUSY, "Uid %llu has %llu sessions open, which is the limit.",
                            (unsigned long long)op->session.uid, (unsigned long long)n);
}

/* ---- the end ---- */

static int on_undone(void *userdata)
{
        return refuse(userdata);
}

/* Something failed: what was already issued is revoked before the caller hears of it. */
static int undo(OpenOp *op)
{
        char reason[LIMIT_TEXT + 1];

        (void)snprintf(reason, sizeof(reason), "it could not be opened: %.400s", op->failure.message);
        return session_end(op->vault, op->session.id, reason, on_undone, op);
}

static void fill_environment(OpenOp *op, const Secret *socket, EnvironmentEntry *entries, size_t *ret_n)
{
        size_t n = 0;

        entries[n++] = (EnvironmentEntry){ .name = "MCPCRED_SOCK", .value = (Secret *)(uintptr_t)socket };
        entries[n++] = (EnvironmentEntry){ .name = "MCPCRED_SESSION", .value = op->session_secret };
        for (size_t i = 0; i < op->n_grants; i++)
                if (op->grants[i].record->deliver == DELIVER_ENV && op->grants[i].record->env)
                        entries[n++] = (EnvironmentEntry){ .name = op->grants[i].record->env, .value = op->grants[i].token };
        *ret_n = n;
}

static int reply(OpenOp *op)
{
        _cleanup_(secret_freep) Secret *socket = NULL;
        EnvironmentEntry entries[LIMIT_GRANTS + 2];
        GrantReply grants[LIMIT_GRANTS];
        OpenSessionReply body = {
                .session = op->session.id,
                .expires = op->session.expires,
                .environment.items = entries,
                .grants = { .items = grants, .n = op->n_grants },
                .socket = op->socket,
                .directory = op->directory,
        };
        int r;

        r = secret_from_bytes(&socket, op->vault->role.arena, slice_text(op->socket));
        if (r) {
                failure_set(&op->failure, FAULT_BUSY, NULL);
                return undo(op);
        }
        fill_environment(op, socket, entries, &body.environment.n);
        for (size_t i = 0; i < op->n_grants; i++)
                grants[i] = (GrantReply){
                        .profile = op->grants[i].record->profile,
                        .deliver = op->grants[i].record->deliver,
                        .expires = op->grants[i].expires,
                        .path = op->grants[i].path[0] ? op->grants[i].path : NULL,
                };
        r = request_reply(op->request, &body, &op->descriptor, op->descriptor >= 0 ? 1 : 0);
        op_free(op);
        return r;
}

static int make_live(OpenOp *op)
{
        AuditEvent event = event_of(op);
        int r;

        event.verdict = AUDIT_ALLOW;
        event.reason = "live";
        r = db_begin(op->vault->db);
        if (r == 0)
                r = rows_session_set_live(op->vault->db, op->session.id);
        if (r == 0)
                r = audit_append(op->vault->audit, &event);
        if (r == 0)
                r = vault_commit(op->vault);
        if (r == DB_E_NOT_FOUND) {
                db_rollback(op->vault->db);
                failure_set(&op->failure, FAULT_REVOKED, "The session was revoked while it was being opened.");
                return undo(op);
        }
        if (vault_db_failed(op->vault, r, &op->failure))
                return undo(op);
        vault_note_deadline(op->vault, op->session.deadline);
        return reply(op);
}

static size_t size_of_values(const OpenOp *op)
{
        size_t size = 0;

        for (size_t i = 0; i < op->n_grants; i++)
                if (op->grants[i].record->deliver == DELIVER_ENV)
                        size += secret_size(op->grants[i].token);
        return size;
}

/* Somebody must still be there to learn of the session. */
static void check_answer(OpenOp *op)
{
        if (failed(&op->failure))
                return;
        if (!request_is_live(op->request))
                failure_set(&op->failure, FAULT_UNAVAILABLE, "The client was gone before its session was open.");
        else if (vault_boot(op->vault) - op->started > OPEN_USEC)
                failure_set(&op->failure, FAULT_TIMEOUT, "The session took too long to open.");
        else if (size_of_values(op) > VALUES_MAX)
                failure_set(&op->failure, FAULT_INVALID_PARAMETER,
                            "The credentials are too long for one answer; open a session for each profile.");
}

static int write_files(OpenOp *op);

/* One thing that was waited for is there. */
static int advance(OpenOp *op)
{
        if (--op->waiting > 0)
                return 0;
        check_answer(op);
        return failed(&op->failure) ? undo(op) : write_files(op);
}

/* One file is there, or write_files() is through. */
static int advance_files(OpenOp *op)
{
        if (--op->waiting > 0)
                return 0;
        check_answer(op);
        return failed(&op->failure) ? undo(op) : make_live(op);
}

static int on_written(void *userdata, const Reply *answer)
{
        OpenGrant *grant = userdata;
        OpenOp *op = grant->op;

        if (answer->fault == FAULT_NONE)
                (void)snprintf(grant->path, sizeof(grant->path), "%s", ((WriteFileReply *)answer->body)->path);
        else if (!failed(&op->failure))
                failure_from_reply(&op->failure, answer);
        return advance_files(op);
}

static int write_files(OpenOp *op)
{
        int r = 0;

        op->waiting = 1; /* this function itself */
        for (size_t i = 0; r >= 0 && i < op->n_grants; i++) {
                WriteFileRequest request = {
                        .session = op->session.id,
                        .name = op->grants[i].record->profile,
                        .content = op->grants[i].token,
                };

                if (op->grants[i].record->deliver != DELIVER_FILE)
                        continue;
                op->waiting++;
                r = channel_call(op->vault->role.supervisor, VAULT_WRITE_FILE, &request, NULL, 0, CREATE_USEC,
                                 on_written, &op->grants[i], NULL);
        }
        return r < 0 ? r : advance_files(op);
}

/* ---- the start ---- */

static int on_created(void *userdata, const Reply *answer)
{
        OpenOp *op = userdata;
        const CreateSessionReply *body = answer->body;

        if (answer->fault != FAULT_NONE) {
                if (!failed(&op->failure))
                        failure_from_reply(&op->failure, answer);
                return advance(op);
        }
        (void)snprintf(op->directory, sizeof(op->directory), "%s", body->directory);
        (void)snprintf(op->socket, sizeof(op->socket), "%s", body->socket);
        if (answer->n_fds == 1)
                op->descriptor = take_fd(&answer->fds[0]);
        return advance(op);
}

static int on_token(void *userdata, Secret *token, uint64_t expires, UNUSED const char *lease, const Failure *failure)
{
        OpenGrant *grant = userdata;

        grant->token = token;
        grant->expires = expires;
        if (failed(failure) && !failed(&grant->op->failure))
                grant->op->failure = *failure;
        return advance(grant->op);
}

static int start(OpenOp *op)
{
        const OpenSessionRequest *body = op->request->body;
        CreateSessionRequest create = {
                .session = op->session.id,
                .uid = op->session.uid,
                .lifeline = body->lifeline,
                .want_descriptor = body->want_descriptor,
        };
        int r;

        op->waiting = 2; /* the supervisor, and this function itself */
        r = channel_call(op->vault->role.supervisor, VAULT_CREATE_SESSION, &create, op->request->fds, op->request->n_fds,
                         CREATE_USEC, on_created, op, NULL);
        for (size_t i = 0; r >= 0 && i < op->n_grants; i++) {
                MintAsk ask = {
                        .session = op->session.id,
                        .session_expires = op->session.expires,
                        .grant = op->grants[i].record,
                        .uid = op->session.uid,
                        .request = op->request_id.text,
                        .may_expose = op->grants[i].record->deliver == DELIVER_ENV &&
                                      op->grants[i].record->command.n > 0,
                };

                if (ask.grant->deliver != DELIVER_ENV && ask.grant->deliver != DELIVER_FILE)
                        continue;
                op->waiting++;
                r = mint_start(op->vault, &ask, on_token, &op->grants[i]);
        }
        return r < 0 ? r : advance(op);
}

/* The session is in the state before anything of it exists elsewhere. */
static int insert(OpenOp *op)
{
        const OpenSessionRequest *body = op->request->body;
        AuditEvent event = event_of(op);
        int r;

        event.verdict = AUDIT_ALLOW;
        event.reason = "opening";
        event.session = op->session.id;
        event.profile = op->grants[0].record->profile;
        event.detail = body->label;
        r = ident_token_new(&op->session_secret, op->vault->role.arena, IDENT_SESSION_PREFIX);
        if (r) {
                failure_set(&op->failure, FAULT_BUSY, "The broker's memory for secrets is full.");
                return 0;
        }
        seal_token_hash(op->vault->seal, secret_slice(op->session_secret), op->session.secret_hash);
        r = db_begin(op->vault->db);
        if (r == 0)
                r = rows_session_insert(op->vault->db, &op->session, NULL);
        if (r == 0)
                r = audit_append(op->vault->audit, &event);
        if (r == 0)
                r = vault_commit(op->vault);
        (void)vault_db_failed(op->vault, r, &op->failure);
        return 0;
}

int op_open_session(Vault *vault, Request *request)
{
        const OpenSessionRequest *body = request->body;
        OpenOp *op = calloc(1, sizeof(*op));
        int r = 0;

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->request = request;
        op->request_id = ident_new('r');
        op->pool = POOL_NULL(CHANNEL_FRAME_MAX);
        op->descriptor = -1;
        op->started = vault_boot(vault);
        (void)snprintf(op->session.id, sizeof(op->session.id), "%s", ident_new('s').text);
        (void)snprintf(op->session.label, sizeof(op->session.label), "%s", body->label ? body->label : "");
        op->session.uid = body->caller->uid;
        op->session.state = SESSION_OPENING;
        op->session.lifeline = body->lifeline;
        if (body->label && !text_is_printable(body->label))
                failure_set(&op->failure, FAULT_INVALID_PARAMETER, "The label has control characters.");
        else if ((body->lifeline == LIFELINE_LIFETIME) != (request->n_fds == 0))
                failure_set(&op->failure, FAULT_INVALID_PARAMETER,
                            "A lifeline needs its descriptor, and a lifetime alone takes none.");
        else if (vault_may_issue(vault, &op->failure) && vault_config_fits(vault, &op->failure))
                r = decide(op);
        if (r == 0 && !failed(&op->failure))
                decide_lifetime(op);
        if (r == 0 && !failed(&op->failure))
                decide_number(op);
        if (r == 0 && !failed(&op->failure))
                r = insert(op);
        if (r < 0) {
                op_free(op);
                return r;
        }
        return failed(&op->failure) ? refuse(op) : start(op);
}
