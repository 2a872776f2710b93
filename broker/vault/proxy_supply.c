#include "vault/proxy_supply.h"
#include "vault/egress_hosts.h"
#include "vault/egresses.h"
#include "vault/mint.h"
#include "vault/revoker.h"
#include "vault/rows_lease.h"
#include "vault/secret_load.h"
#include "vault/token_turn.h"
#include <stdio.h>

/* A minted credential is renewed this long before it expires, or when a fifth of its life is left. */
#define RENEW_USEC (600 * USEC_PER_SEC)
#define RENEW_PART 5U
/* What is given out again must still be of use. */
#define REUSE_MIN_USEC (60 * USEC_PER_SEC)

_Static_assert(EGRESS_POLICY_SIZE_MAX + LIMIT_HOSTS * 264U + SECRET_ITEM_VALUE_MAX + 256U <= CHANNEL_FRAME_MAX,
               "a grant with the largest policy, all hosts and the longest credential is one message");

typedef struct Supply {
        Vault *vault;
        char session_id[IDENT_ID_SIZE + 1];
        char profile[LIMIT_NAME + 1];
        uint64_t join;
        bool fresh;
        Pool pool; /* of the two below; filled anew by each look */
        SessionRecord session;
        const GrantRecord *grant;
        char secret[LIMIT_NAME + 1];
        Supplied supplied;
        SupplyDone done;
        void *userdata;
} Supply;

static AuditEvent event_of(const Supply *op, const char *operation)
{
        return (AuditEvent){
                .session = op->session.id[0] ? op->session.id : NULL,
                .profile = op->grant ? op->grant->profile : NULL,
                .secret = op->grant ? op->grant->secret : NULL,
                .operation = operation,
        };
}

static void op_free(Supply *op)
{
        pool_deinit(&op->pool);
        free(op);
}

static int fail(Supply *op, const Failure *failure)
{
        Vault *vault = op->vault;
        AuditEvent event = event_of(op, "proxy.supply");
        int r;

        event.verdict = AUDIT_ERROR;
        event.reason = fault_info(failure->fault)->name;
        event.detail = failure->message;
        r = vault_audit_refusal(vault, &event);
        if (r == 0)
                r = op->done(op->userdata, &op->supplied, failure);
        op_free(op);
        return r;
}

/* ---- whether it may be ---- */

static const GrantRecord *find_grant(const SessionRecord *session, const char *profile)
{
        const GrantRecord *grants = session->grants.items;

        for (size_t i = 0; i < session->grants.n; i++)
                if (grants[i].egress && strcmp(grants[i].profile, profile) == 0)
                        return &grants[i];
        return NULL;
}

/* Looks the session, the grant and the handle up in the state as it is now. */
static bool look(Supply *op, Failure *failure)
{
        Vault *vault = op->vault;
        LeaseRecord handle;
        int r;

        pool_deinit(&op->pool);
        op->grant = NULL;
        op->session = (SessionRecord){ .sequence = 0 };
        op->supplied.final = false;
        if (!vault_may_issue(vault, failure))
                return false;
        r = rows_session_get(vault->db, op->session_id, &op->pool, &op->session);
        if (r == DB_E_NOT_FOUND)
                failure_set(failure, FAULT_NOT_FOUND, "There is no such session.");
        else if (!vault_db_failed(vault, r, failure) && session_is_usable(vault, &op->session, failure))
                op->grant = find_grant(&op->session, op->profile);
        if (!op->grant) {
                op->supplied.final = r == 0 || r == DB_E_NOT_FOUND;
                if (!failed(failure))
                        failure_set(failure, FAULT_POLICY_DENIED, "The session was not given that profile.");
                return false;
        }
        r = rows_lease_get_live(vault->db, op->session_id, op->profile, LEASE_HANDLE, &handle);
        op->supplied.final = r == DB_E_NOT_FOUND;
        if (r == DB_E_NOT_FOUND)
                failure_set(failure, FAULT_REVOKED, "The handle was revoked.");
        else
                (void)vault_db_failed(vault, r, failure);
        return !failed(failure);
}

/* ---- the last step ---- */

static int on_in_force(void *userdata, const Failure *failure)
{
        Supply *op = userdata;
        int r;

        if (failed(failure))
                return fail(op, failure);
        r = op->done(op->userdata, &op->supplied, failure);
        op_free(op);
        return r;
}

/* A credential that outlives its session needs no successor. */
static uint64_t when_to_renew(const Supply *op, uint64_t life)
{
        uint64_t renew = op->supplied.expires - MIN(op->supplied.expires, MIN(life / RENEW_PART, RENEW_USEC));

        return op->supplied.expires >= op->session.expires ? UINT64_MAX : renew;
}

/* The look before was made just now. */
static int put_in_force(Supply *op, const SecretRecord *secret, Secret *credential)
{
        Failure failure = { 0 };
        EgressGrantRequest request = {
                .session = op->session_id,
                .policy = op->grant->egress,
                .credential = credential,
                .expires = MIN(op->supplied.expires, op->session.expires),
        };
        const ProviderInfo *info = provider_info(secret->provider);
        int r;

        if (!info) {
                failure_set(&failure, FAULT_UNSUPPORTED, "This build has no provider %s.", secret->provider);
                return fail(op, &failure);
        }
        (void)snprintf(op->supplied.provider, sizeof(op->supplied.provider), "%s", secret->provider);
        op->supplied.principal = op->session.uid;
        r = egress_hosts_sealed(secret, info, &op->pool, &request.hosts);
        if (r < 0) {
                failure_set(&failure, FAULT_INTERNAL, "The hosts of secret %s cannot be told.", op->secret);
                return fail(op, &failure);
        }
        return egresses_grant(op->vault->egresses, op->profile, &request, op->join, on_in_force, op);
}

/* ---- a stored key ---- */

/* That it is in use behind this handle; a key that was rotated has another lease than its predecessor. */
static int write_use(Supply *op, const SecretRecord *secret, const Secret *value)
{
        Vault *vault = op->vault;
        uint8_t hash[SEAL_HASH_SIZE];
        LeaseToken token = { .hash = slice(hash, sizeof(hash)), .expires = op->session.expires };
        LeaseUpstream upstream = { .base_url = secret->base_url, .parameters = secret->parameters };
        AuditEvent event = event_of(op, "secret.use");
        LeaseRecord old, lease = {
                .kind = LEASE_STORED,
                .generation = secret->generation,
                .state = LEASE_LIVE,
                .on_end = OUTCOME_NONE,
                .created = vault_now(vault),
        };
        bool rotated;
        int r;

        r = rows_lease_get_live(vault->db, op->session_id, op->profile, LEASE_STORED, &old);
        if (r == 0 && old.generation == secret->generation) {
                (void)snprintf(op->supplied.lease, sizeof(op->supplied.lease), "%s", old.id);
                return 0;
        }
        if (r && r != DB_E_NOT_FOUND)
                return r;
        seal_token_hash(vault->seal, secret_slice(value), hash);
        (void)snprintf(lease.id, sizeof(lease.id), "%s", ident_new('l').text);
        (void)snprintf(lease.session, sizeof(lease.session), "%s", op->session_id);
        (void)snprintf(lease.profile, sizeof(lease.profile), "%s", op->profile);
        (void)snprintf(lease.secret, sizeof(lease.secret), "%s", op->secret);
        (void)snprintf(lease.provider, sizeof(lease.provider), "%s", secret->provider);
        (void)snprintf(op->supplied.lease, sizeof(op->supplied.lease), "%s", lease.id);
        event.verdict = AUDIT_ALLOW;
        event.lease = lease.id;
        rotated = r == 0;
        r = db_begin(vault->db);
        if (r == 0 && rotated)
                r = rows_lease_end(vault->db, old.id, vault_now(vault), "rotated");
        if (r == 0)
                r = rows_lease_insert(vault->db, &lease, &upstream, &token);
        if (r == 0)
                r = audit_append(vault->audit, &event);
        return r == 0 ? vault_commit(vault) : r;
}

static int on_loaded(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        Supply *op = userdata;
        Failure mine = *failure;

        if (failed(&mine) || !look(op, &mine))
                return fail(op, &mine);
        if (vault_db_failed(op->vault, write_use(op, &secret->record, secret->item.current), &mine))
                return fail(op, &mine);
        op->supplied.expires = op->session.expires;
        op->supplied.renew = UINT64_MAX;
        return put_in_force(op, &secret->record, secret->item.current);
}

/* ---- a minted credential ---- */

/* Its binding in the state, which says where it may go. */
static int give(Supply *op, Secret *token, uint64_t life)
{
        Failure failure = { 0 };
        SecretRecord secret;
        int r;

        r = rows_secret_get(op->vault->db, op->secret, &op->pool, &secret);
        if (vault_db_failed(op->vault, r, &failure))
                return fail(op, &failure);
        op->supplied.minted = true;
        op->supplied.renew = when_to_renew(op, life);
        return put_in_force(op, &secret, token);
}

/* The handle went while it was being minted: it is given to nobody. */
static int drop_minted(Supply *op, const char *lease, const Failure *failure)
{
        Vault *vault = op->vault;
        Failure ignored;
        int r;

        r = rows_lease_end(vault->db, lease, vault_now(vault), "revoked while it was being minted");
        if (r != DB_E_NOT_FOUND) /* its session took it along */
                (void)vault_db_failed(vault, r, &ignored);
        r = revoker_wake(vault->revoker);
        return r < 0 ? r : fail(op, failure);
}

static int on_minted(void *userdata, Secret *token, uint64_t expires, const char *lease, const Failure *failure)
{
        _cleanup_(secret_freep) Secret *owned = token;
        Supply *op = userdata;
        Failure mine = *failure;

        if (failed(&mine))
                return fail(op, &mine);
        if (!look(op, &mine))
                return drop_minted(op, lease, &mine);
        (void)snprintf(op->supplied.lease, sizeof(op->supplied.lease), "%s", lease);
        op->supplied.expires = expires;
        return give(op, owned, expires - MIN(expires, vault_now(op->vault)));
}

/* One that is there already, as when a process was started anew. */
static int find_token(Supply *op, const SecretRecord *secret, LeaseRecord *lease, Secret **ret)
{
        Vault *vault = op->vault;
        int r;

        *ret = NULL;
        r = rows_lease_get_live(vault->db, op->session_id, op->profile, LEASE_CREDENTIAL, lease);
        if (r == 0 && lease->has_token && lease->generation == secret->generation &&
            lease->expires > vault_now(vault) + REUSE_MIN_USEC)
                r = rows_lease_token(vault->db, lease->id, vault->role.arena, ret);
        return r == DB_E_NOT_FOUND ? 0 : r;
}

static int supply_minted(Supply *op, const SecretRecord *secret)
{
        _cleanup_(secret_freep) Secret *token = NULL;
        Failure failure = { 0 };
        LeaseRecord lease;
        MintAsk ask = {
                .session = op->session_id,
                .session_expires = op->session.expires,
                .grant = op->grant,
                .uid = op->session.uid,
        };

        if (!op->fresh && vault_db_failed(op->vault, find_token(op, secret, &lease, &token), &failure))
                return fail(op, &failure);
        if (!token)
                return token_turn_take(op->vault->turns, &ask, on_minted, op);
        (void)snprintf(op->supplied.lease, sizeof(op->supplied.lease), "%s", lease.id);
        op->supplied.expires = lease.expires;
        return give(op, token, lease.expires - MIN(lease.expires, lease.created));
}

int proxy_supply(Vault *vault, const SupplyAsk *ask, SupplyDone done, void *userdata)
{
        Supply *op = calloc(1, sizeof(*op));
        Failure failure = { 0 };
        const ProviderInfo *info;
        SecretRecord secret;
        int r;

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->pool = POOL_NULL(SESSION_POOL_MAX);
        op->join = ask->join;
        op->fresh = ask->fresh;
        op->done = done;
        op->userdata = userdata;
        (void)snprintf(op->session_id, sizeof(op->session_id), "%s", ask->session);
        (void)snprintf(op->profile, sizeof(op->profile), "%s", ask->profile);
        if (!look(op, &failure))
                return fail(op, &failure);
        (void)snprintf(op->secret, sizeof(op->secret), "%s", op->grant->secret);
        op->supplied.secret = op->secret;
        r = rows_secret_get(vault->db, op->secret, &op->pool, &secret);
        if (vault_db_failed(vault, r, &failure))
                return fail(op, &failure);
        info = provider_info(secret.provider);
        if (!info) {
                failure_set(&failure, FAULT_UNSUPPORTED, "This build has no provider %s.", secret.provider);
                return fail(op, &failure);
        }
        return info->can_mint ? supply_minted(op, &secret) : secret_load(vault, op->secret, on_loaded, op);
}
