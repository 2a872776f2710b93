#include "vault/rows_lease.h"
#include "vault/token_turn.h"
#include "vault/vault.h"
#include <sodium.h>
#include <stdio.h>

typedef struct TokenOp {
        Vault *vault;
        Request *request;
        Pool pool;
        SessionRecord session;
        const GrantRecord *grant;
        AuditEvent event;
        char name[LIMIT_ID + 1]; /* of the session */
} TokenOp;

static int finish(TokenOp *op, Secret *token, uint64_t expires, const Failure *failure)
{
        TokenReply reply = { .token = token, .expires = expires };
        int r;

        if (failed(failure)) {
                /* Any text can be asked for; a session is one that exists. */
                if (!op->session.id[0])
                        op->event.session = NULL;
                r = vault_refuse(op->vault, op->request, op->event, failure);
        } else {
                reply.profile = op->grant->profile;
                r = request_reply(op->request, &reply, NULL, 0);
        }
        secret_free(token);
        pool_deinit(&op->pool);
        free(op);
        return r;
}

static int on_token(void *userdata, Secret *token, uint64_t expires, UNUSED const char *lease, const Failure *failure)
{
        return finish(userdata, token, expires, failure);
}

/* The grant that is asked for; without a name, the only one. */
static const GrantRecord *find_grant(const SessionRecord *session, const char *profile, Failure *failure)
{
        const GrantRecord *grants = session->grants.items;

        if (!profile && session->grants.n == 1)
                return &grants[0];
        if (!profile) {
                failure_set(failure, FAULT_INVALID_PARAMETER, "The session has several profiles: name one.");
                return NULL;
        }
        for (size_t i = 0; i < session->grants.n; i++)
                if (strcmp(grants[i].profile, profile) == 0)
                        return &grants[i];
        failure_set(failure, FAULT_POLICY_DENIED, "The session was not given that profile.");
        return NULL;
}

static void check_session(TokenOp *op, const char *profile, Failure *failure)
{
        const SessionRecord *session = &op->session;
        int r;

        r = rows_session_get(op->vault->db, op->name, &op->pool, &op->session);
        if (r == DB_E_NOT_FOUND)
                failure_set(failure, FAULT_NOT_FOUND, "There is no such session.");
        else if (!vault_db_failed(op->vault, r, failure) && session_is_usable(op->vault, session, failure))
                op->grant = find_grant(session, profile, failure);
}

/* What stands for the credential, which is the broker's own: nobody is asked, and nothing is given out. */
static int answer_handle(TokenOp *op)
{
        Vault *vault = op->vault;
        SessionProxy proxy = { 0 };
        Failure failure = { 0 };
        Secret *handle = NULL;
        LeaseRecord lease;
        int r;

        r = rows_lease_get_live(vault->db, op->session.id, op->grant->profile, LEASE_HANDLE, &lease);
        if (r == DB_E_NOT_FOUND) {
                failure_set(&failure, FAULT_REVOKED, "The handle was revoked.");
        } else {
                if (r == 0)
                        r = rows_session_proxy(vault->db, op->session.id, vault->role.arena, &op->pool, &proxy);
                if (!vault_db_failed(vault, r, &failure))
                        handle = session_proxy_take(&proxy, op->grant->profile);
                if (!failed(&failure) && !handle)
                        failure_set(&failure, FAULT_INTERNAL, NULL);
        }
        session_proxy_clear(&proxy);
        return finish(op, handle, op->session.expires, &failure);
}

static int answer(TokenOp *op)
{
        Failure failure = { 0 };
        Secret *token = NULL;
        uint64_t expires = 0;
        MintAsk ask = {
                .session = op->session.id,
                .session_expires = op->session.expires,
                .grant = op->grant,
                .uid = op->session.uid,
        };
        int r;

        if (op->grant->egress)
                return answer_handle(op);
        r = mint_find(op->vault, op->session.id, op->grant->profile, &token, &expires);
        if (vault_db_failed(op->vault, r, &failure) || token)
                return finish(op, token, expires, &failure);
        return token_turn_take(op->vault->turns, &ask, on_token, op);
}

static TokenOp *op_new(Vault *vault, Request *request, const char *session, AuditEvent event)
{
        TokenOp *op = calloc(1, sizeof(*op));

        if (!op)
                return NULL;
        op->vault = vault;
        op->request = request;
        op->pool = POOL_NULL(SESSION_POOL_MAX);
        (void)snprintf(op->name, sizeof(op->name), "%s", session);
        op->event = event;
        op->event.session = op->name;
        return op;
}

int op_get_token(Vault *vault, Request *request)
{
        const GetTokenRequest *body = request->body;
        TokenOp *op = op_new(vault, request, body->session, vault_event(body->caller, "token.get"));
        Failure failure = { 0 };

        if (!op)
                return -ENOMEM;
        if (vault_may_issue(vault, &failure))
                check_session(op, body->profile, &failure);
        if (op->session.id[0] && op->session.uid != body->caller->uid && !vault_is_owner(vault, body->caller))
                failure_set(&failure, FAULT_NOT_FOUND, "There is no such session.");
        return failed(&failure) ? finish(op, NULL, 0, &failure) : answer(op);
}

/* On the path socket the session's own secret is asked for; a descriptor is proof by itself. */
static void check_secret(TokenOp *op, const SessionTokenRequest *body, Failure *failure)
{
        uint8_t hash[SEAL_HASH_SIZE];

        if (!body->by_path)
                return;
        seal_token_hash(op->vault->seal, secret_slice(body->session), hash);
        if (!body->session || sodium_memcmp(hash, op->session.secret_hash, sizeof(hash)) != 0)
                failure_set(failure, FAULT_NOT_ALLOWED,
                            "On this socket the session's own secret (MCPCRED_SESSION) is asked for.");
}

int op_session_token(Vault *vault, const char *session, Request *request)
{
        const SessionTokenRequest *body = request->body;
        TokenOp *op = op_new(vault, request, session, vault_event(NULL, "token.get"));
        Failure failure = { 0 };
        int r = 0;

        if (!op)
                return -ENOMEM;
        if (vault_may_issue(vault, &failure))
                check_session(op, body->profile, &failure);
        if (op->session.id[0] && vault->seal) {
                Failure identity = { 0 };

                check_secret(op, body, &identity);
                if (failed(&identity)) {
                        failure = identity; /* tells nothing else to whoever lacks it */
                        r = proxy_presented(vault, body->session);
                }
                if (r < 0)
                        return r;
        }
        return failed(&failure) ? finish(op, NULL, 0, &failure) : answer(op);
}
