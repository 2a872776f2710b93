/* What a session's process asks once it runs, and again after something it was connected with has died. */
#include "vault/egress_hosts.h"
#include "vault/proxy_grants.h"
#include "vault/rows_lease.h"
#include "vault/rows_secret.h"
#include "vault/vault.h"
#include <sodium.h>

/* The process keeps its clients waiting for ten seconds. What is not in force by then is connected when it is. */
#define SETTLE_USEC (8 * USEC_PER_SEC)

typedef struct ConfigureOp {
        Vault *vault;
        Request *request; /* NULL: answered */
        Pool pool;
        SessionRecord session;
        SessionProxy proxy;
        uint64_t process;
        Timer *timer;
        unsigned waiting; /* for grants, and for the loop that asks for them */
} ConfigureOp;

static void op_free(ConfigureOp *op)
{
        timer_free(op->timer);
        session_proxy_clear(&op->proxy);
        pool_deinit(&op->pool);
        free(op);
}

static int refuse(ConfigureOp *op, const Failure *failure)
{
        AuditEvent event = vault_event(NULL, "session.configure");
        Request *request = take_ptr(op->request);

        event.session = op->session.id[0] ? op->session.id : NULL;
        return vault_refuse(op->vault, request, event, failure);
}

/* ---- the answer ---- */

/* Where its credential may go; none where the secret is gone, as then the session is about to be. */
static int sealed_hosts(ConfigureOp *op, const GrantRecord *grant, TextList *ret)
{
        const ProviderInfo *info;
        SecretRecord secret;
        int r;

        r = rows_secret_get(op->vault->db, grant->secret, &op->pool, &secret);
        if (r)
                return r == DB_E_NOT_FOUND ? 0 : r;
        info = provider_info(secret.provider);
        return info ? egress_hosts_sealed(&secret, info, &op->pool, ret) : 0;
}

static int describe(ConfigureOp *op, const GrantRecord *grant, Secret *handle, SessionGrant *ret)
{
        void *items;
        int r;

        *ret = (SessionGrant){
                .profile = grant->profile,
                .handle = handle,
                .slot = grant->egress->slot,
                .slot_name = grant->egress->slot_name,
                .slot_prefix = grant->egress->slot_prefix,
                .concurrent = grant->egress->concurrent,
                .websocket = grant->egress->websocket,
                .url_host = grant->deliver == DELIVER_ENDPOINT ? grant->url_host : NULL,
        };
        r = pool_alloc(&op->pool, LIMIT_RULES * sizeof(const char *), &items);
        if (r < 0)
                return r;
        ret->hosts.items = items;
        r = egress_hosts_allowed(grant->egress, false, LIMIT_RULES, &op->pool, &ret->hosts);
        return r < 0 ? r : sealed_hosts(op, grant, &ret->credential_hosts);
}

/* Grants that could not be put in force are told too: what is sent to them fails, and all else works. */
static int fill(ConfigureOp *op, SessionGrant grants[LIMIT_GRANTS], SessionConfigureReply *reply)
{
        const GrantRecord *records = op->session.grants.items;
        int r = 0;

        reply->grants.items = grants;
        for (size_t i = 0; r == 0 && i < op->session.grants.n; i++) {
                Secret *handle = records[i].egress ? session_proxy_handle(&op->proxy, records[i].profile) : NULL;

                if (handle)
                        r = describe(op, &records[i], handle, &grants[reply->grants.n++]);
        }
        return r;
}

/* It may have ended since it was looked up. */
static bool is_still_usable(ConfigureOp *op, Failure *failure)
{
        Pool pool = POOL_NULL(SESSION_POOL_MAX);
        SessionRecord now;

        if (!vault_db_failed(op->vault, rows_session_get(op->vault->db, op->session.id, &pool, &now), failure))
                (void)session_is_usable(op->vault, &now, failure);
        pool_deinit(&pool);
        return !failed(failure);
}

static int answer(ConfigureOp *op)
{
        SessionConfigureReply reply = { .expires = op->session.expires };
        SessionGrant grants[LIMIT_GRANTS];
        Failure failure = { 0 };
        Request *request;

        timer_disarm(op->timer);
        if (!is_still_usable(op, &failure) || vault_db_failed(op->vault, fill(op, grants, &reply), &failure))
                return refuse(op, &failure);
        if (reply.grants.n > 0) {
                reply.certificate = op->proxy.certificate;
                reply.key = op->proxy.key;
        }
        request = take_ptr(op->request);
        return request_reply(request, &reply, NULL, 0);
}

/* Answers as soon as there is nothing more to wait for. */
static int step(ConfigureOp *op)
{
        int r = 0;

        if (--op->waiting > 0)
                return 0;
        if (op->request)
                r = answer(op);
        op_free(op);
        return r;
}

static int on_supplied(void *userdata, UNUSED const Failure *failure)
{
        return step(userdata); /* a failure is in the log, and the process has its own back-off */
}

static int on_deadline(void *userdata)
{
        ConfigureOp *op = userdata;

        return op->request ? answer(op) : 0;
}

/* ---- the start ---- */

static void load(ConfigureOp *op, const char *session, Failure *failure)
{
        Vault *vault = op->vault;
        int r;

        r = rows_session_get(vault->db, session, &op->pool, &op->session);
        if (r == DB_E_NOT_FOUND)
                failure_set(failure, FAULT_NOT_FOUND, "There is no such session.");
        else if (!vault_db_failed(vault, r, failure) && session_is_usable(vault, &op->session, failure))
                r = rows_session_proxy(vault->db, session, vault->role.arena, &op->pool, &op->proxy);
        if (!failed(failure) && r != DB_E_NOT_FOUND)
                (void)vault_db_failed(vault, r, failure);
}

static bool is_by_proxy(const ConfigureOp *op, const GrantRecord *grant)
{
        return grant->egress && session_proxy_handle(&op->proxy, grant->profile);
}

static bool stands(const ConfigureOp *op, const GrantRecord *grant)
{
        return proxy_grants_stands(op->vault->proxy_grants, op->session.id, grant->profile, op->process);
}

/* What stands is left alone, since connecting it anew would break what is under way there. Where all of it seems
 * to stand the session knows better. */
static int supply(ConfigureOp *op)
{
        const GrantRecord *grants = op->session.grants.items;
        bool all = true;
        int r = 0;

        for (size_t i = 0; i < op->session.grants.n; i++)
                all = all && (!is_by_proxy(op, &grants[i]) || stands(op, &grants[i]));
        for (size_t i = 0; r >= 0 && i < op->session.grants.n; i++) {
                if (!is_by_proxy(op, &grants[i]) || (!all && stands(op, &grants[i])))
                        continue;
                op->waiting++;
                r = proxy_grants_supply(op->vault->proxy_grants, op->session.id, grants[i].profile, op->process,
                                        on_supplied, op);
        }
        return r;
}

int op_session_configure(Vault *vault, const char *session, uint64_t process, Request *request)
{
        ConfigureOp *op = calloc(1, sizeof(*op));
        Failure failure = { 0 };
        int r;

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->request = request;
        op->process = process;
        op->pool = POOL_NULL(2 * SESSION_POOL_MAX);
        op->waiting = 1; /* this function itself */
        r = timer_new(&op->timer, vault->role.loop, on_deadline, op);
        if (r < 0) {
                free(op);
                return r;
        }
        if (vault_may_issue(vault, &failure))
                load(op, session, &failure);
        if (failed(&failure)) {
                r = refuse(op, &failure);
                op_free(op);
                return r;
        }
        timer_arm_after(op->timer, SETTLE_USEC);
        r = supply(op);
        return r < 0 ? r : step(op);
}

/* ---- who asks on the path socket ---- */

int op_session_prove(Vault *vault, const char *session, Request *request)
{
        const SessionProveRequest *body = request->body;
        AuditEvent event = vault_event(NULL, "session.prove");
        Pool pool = POOL_NULL(SESSION_POOL_MAX);
        uint8_t hash[SEAL_HASH_SIZE];
        SessionRecord record = { .sequence = 0 };
        Failure failure = { 0 };
        Empty reply = { 0 };
        int r;

        if (vault_may_issue(vault, &failure)) {
                r = rows_session_get(vault->db, session, &pool, &record);
                if (r == DB_E_NOT_FOUND)
                        failure_set(&failure, FAULT_NOT_FOUND, "There is no such session.");
                else if (!vault_db_failed(vault, r, &failure) && session_is_usable(vault, &record, &failure)) {
                        seal_token_hash(vault->seal, secret_slice(body->session), hash);
                        if (!body->session || sodium_memcmp(hash, record.secret_hash, sizeof(hash)) != 0)
                                failure_set(&failure, FAULT_NOT_ALLOWED,
                                            "On this socket the session's own secret (MCPCRED_SESSION) is asked for.");
                }
        }
        pool_deinit(&pool);
        if (!failed(&failure))
                return request_reply(request, &reply, NULL, 0);
        event.session = record.id[0] ? record.id : NULL;
        r = proxy_presented(vault, body->session);
        return r < 0 ? r : vault_refuse(vault, request, event, &failure);
}
