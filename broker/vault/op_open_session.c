#include "base/fd.h"
#include "base/text.h"
#include "vault/mint.h"
#include "vault/open_session.h"
#include <stdio.h>

#define CREATE_USEC (10 * USEC_PER_SEC)
/* The gate has told the client by then that it took too long, and soon forgets the call. */
#define OPEN_USEC (90 * USEC_PER_SEC)
/* What the reply has room for: the rest is paths of 4 KiB, and a hundred bytes a grant. */
#define VALUES_MAX (CHANNEL_FRAME_MAX - 48U * 1024U)
/* What surrounds one entry or host in it. */
#define ENTRY_SIZE 24U
#define CA_FILE    "ca.pem"
#define CA_BUNDLE  "ca-bundle.pem"

static void op_free(OpenOp *op)
{
        for (size_t i = 0; i < op->n_grants; i++) {
                secret_free(op->grants[i].token);
                secret_free(op->grants[i].canary);
        }
        secret_free(op->session_secret);
        environment_clear(&op->environment);
        open_proxy_deinit(op);
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

static int reply(OpenOp *op)
{
        GrantReply grants[LIMIT_GRANTS];
        OpenSessionReply body = {
                .session = op->session.id,
                .expires = op->session.expires,
                .environment = { .items = op->environment.entries, .n = op->environment.n },
                .grants = { .items = grants, .n = op->n_grants },
                .socket = op->socket,
                .directory = op->directory,
                .proxy_socket = op->proxy_socket[0] ? op->proxy_socket : NULL,
                .ca = op->ca[0] ? op->ca : NULL,
                .ca_bundle = op->ca_bundle[0] ? op->ca_bundle : NULL,
                .hosts = op->hosts,
        };
        int r;

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

/* One transaction with the line about it. DB_E_NOT_FOUND: it is not being opened any more. */
static int set_live(OpenOp *op)
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
        return r == 0 ? vault_commit(op->vault) : r;
}

/* One that was live from the start may have been ended since. */
static int check_live(OpenOp *op)
{
        Pool pool = POOL_NULL(SESSION_POOL_MAX);
        SessionRecord now;
        int r = rows_session_get(op->vault->db, op->session.id, &pool, &now);

        if (r == 0 && (now.state != SESSION_LIVE || session_is_unended(op->vault, op->session.id)))
                r = DB_E_NOT_FOUND;
        pool_deinit(&pool);
        return r;
}

static int make_live(OpenOp *op)
{
        int r = op->at_once ? check_live(op) : set_live(op);

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

/* Somebody must still be there to learn of the session. */
static void check_answer(OpenOp *op)
{
        if (failed(&op->failure))
                return;
        if (!request_is_live(op->request))
                failure_set(&op->failure, FAULT_UNAVAILABLE, "The client was gone before its session was open.");
        else if (vault_boot(op->vault) - op->started > OPEN_USEC)
                failure_set(&op->failure, FAULT_TIMEOUT, "The session took too long to open.");
}

static size_t size_of_hosts(const OpenOp *op)
{
        size_t size = 0;

        for (size_t i = 0; i < op->hosts.n; i++)
                size += strlen(op->hosts.items[i]) + ENTRY_SIZE;
        return size;
}

/* All that the child is told of is there now. */
static int compose(OpenOp *op)
{
        const OpenSessionRequest *body = op->request->body;
        EnvironmentGrant grants[LIMIT_GRANTS];
        EnvironmentAsk ask = {
                .socket = op->socket,
                .session = op->session_secret,
                .proxy = body->proxy,
                .sandboxed = body->sandboxed,
                .ca = op->ca[0] ? op->ca : NULL,
                .ca_bundle = op->ca_bundle[0] ? op->ca_bundle : NULL,
                .grants = grants,
                .n_grants = op->n_grants,
        };
        int r;

        for (size_t i = 0; i < op->n_grants; i++)
                grants[i] = (EnvironmentGrant){
                        .record = op->grants[i].record,
                        .value = op->grants[i].token,
                        .canary_name = open_grant_canary(&op->grants[i]),
                        .canary = op->grants[i].canary,
                };
        r = environment_compose(&ask, op->vault->role.arena, &op->environment);
        if (r < 0)
                return r;
        if (r == ENVIRONMENT_E_FULL)
                failure_set(&op->failure, FAULT_BUSY, "The broker's memory for secrets is full.");
        else if (r > 0 || op->environment.size + op->environment.n * ENTRY_SIZE + size_of_hosts(op) > VALUES_MAX)
                failure_set(&op->failure, FAULT_INVALID_PARAMETER,
                            "The credentials are too long for one answer; open a session for each profile.");
        return 0;
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
        int r = 0;

        if (--op->waiting > 0)
                return 0;
        check_answer(op);
        if (!failed(&op->failure))
                r = compose(op);
        if (r < 0)
                return r;
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
        (void)snprintf(op->proxy_socket, sizeof(op->proxy_socket), "%s", body->proxy_socket ? body->proxy_socket : "");
        if (answer->n_fds == 1)
                op->descriptor = take_fd(&answer->fds[0]);
        return advance(op);
}

static int on_ca_written(void *userdata, const Reply *answer)
{
        OpenOp *op = userdata;

        if (answer->fault != FAULT_NONE) {
                if (!failed(&op->failure))
                        failure_from_reply(&op->failure, answer);
                return advance(op);
        }
        (void)snprintf(op->ca, sizeof(op->ca), "%s", ((WriteFileReply *)answer->body)->path);
        if (((OpenSessionRequest *)op->request->body)->sandboxed)
                return advance(op);
        if (snprintf(op->ca_bundle, sizeof(op->ca_bundle), "%s/" CA_BUNDLE, op->directory) >=
            (int)sizeof(op->ca_bundle))
                failure_set(&op->failure, FAULT_INTERNAL, NULL);
        return advance(op);
}

/* The CA is no secret; files are written of one all the same. Where the child trusts nothing else, the host's roots
 * are of no use. */
static int write_ca(OpenOp *op)
{
        _cleanup_(secret_freep) Secret *content = NULL;
        const OpenSessionRequest *body = op->request->body;
        WriteFileRequest request = {
                .session = op->session.id,
                .name = CA_FILE,
                .certificate = true,
                .bundle = body->sandboxed ? NULL : CA_BUNDLE,
        };

        if (!op->by_proxy)
                return 0;
        if (secret_from_bytes(&content, op->vault->role.arena, buf_slice(&op->certificate.ca))) {
                failure_set(&op->failure, FAULT_BUSY, "The broker's memory for secrets is full.");
                return 0;
        }
        request.content = content;
        op->waiting++;
        return channel_call(op->vault->role.supervisor, VAULT_WRITE_FILE, &request, NULL, 0, CREATE_USEC, on_ca_written,
                            op, NULL);
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

/* The launcher is about to hand over its port; while it makes its child, the process comes up and asks for its
 * grants. Behind what the answer waits for, since making a process takes the supervisor a while. */
static int start_process(OpenOp *op)
{
        const OpenSessionRequest *body = op->request->body;
        SessionNotice notice = { .session = op->session.id };

        if (!op->at_once || !body->want_descriptor || !body->proxy)
                return 0;
        return channel_notify(op->vault->role.supervisor, VAULT_START_SESSION, &notice);
}

static int start(OpenOp *op)
{
        const OpenSessionRequest *body = op->request->body;
        CreateSessionRequest create = {
                .session = op->session.id,
                .uid = op->session.uid,
                .lifeline = body->lifeline,
                .want_descriptor = body->want_descriptor,
                .proxy = op->by_proxy,
        };
        int r;

        op->waiting = 2; /* the supervisor, and this function itself */
        r = channel_call(op->vault->role.supervisor, VAULT_CREATE_SESSION, &create, op->request->fds, op->request->n_fds,
                         CREATE_USEC, on_created, op, NULL);
        if (r >= 0)
                r = write_ca(op); /* answered after the other */
        if (r >= 0)
                r = start_process(op);
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
        event.reason = op->at_once ? "live" : "opening";
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
                r = audit_append(op->vault->audit, &event);
        if (r == 0)
                r = open_proxy_insert(op);
        if (r == 0)
                r = vault_commit(op->vault);
        if (vault_db_failed(op->vault, r, &op->failure) && r == DB_E_NO_SPACE)
                failure_set(&op->failure, FAULT_INVALID_PARAMETER,
                            "The profiles are too long for one session; open a session for each.");
        return 0;
}

/*
 * With handles alone there is nothing to wait for between two commits. What a vault that dies in the middle leaves
 * is held by the client's lifeline; where a client has none, it is left as one that was being opened.
 */
static bool is_at_once(const OpenOp *op)
{
        for (size_t i = 0; i < op->n_grants; i++)
                if (op->grants[i].record->deliver == DELIVER_ENV || op->grants[i].record->deliver == DELIVER_FILE)
                        return false;
        return op->by_proxy && op->session.lifeline != LIFELINE_LIFETIME;
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
        op->pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        op->descriptor = -1;
        op->started = vault_boot(vault);
        (void)snprintf(op->session.id, sizeof(op->session.id), "%s", ident_new('s').text);
        (void)snprintf(op->session.label, sizeof(op->session.label), "%s", body->label ? body->label : "");
        op->session.uid = body->caller->uid;
        op->session.lifeline = body->lifeline;
        if (body->label && !text_is_printable(body->label))
                failure_set(&op->failure, FAULT_INVALID_PARAMETER, "The label has control characters.");
        else if ((body->lifeline == LIFELINE_LIFETIME) != (request->n_fds == 0))
                failure_set(&op->failure, FAULT_INVALID_PARAMETER,
                            "A lifeline needs its descriptor, and a lifetime alone takes none.");
        else if (body->proxy && !environment_proxy_is_valid(body->proxy))
                failure_set(&op->failure, FAULT_INVALID_PARAMETER, "The proxy's address is a host and a port.");
        else if (vault_may_issue(vault, &op->failure) && vault_config_fits(vault, &op->failure))
                r = open_decide(op);
        op->at_once = is_at_once(op);
        op->session.state = op->at_once ? SESSION_LIVE : SESSION_OPENING;
        if (r == 0 && !failed(&op->failure))
                r = open_proxy_make(op);
        if (r == 0 && !failed(&op->failure))
                r = insert(op);
        if (r < 0) {
                op_free(op);
                return r;
        }
        return failed(&op->failure) ? refuse(op) : start(op);
}
