#include "vault/egress_hosts.h"
#include "vault/open_session.h"
#include "vault/rows_lease.h"
#include <stdio.h>

/* What all grants' hosts may take in the answer to Configure, where each grant has its own list. */
#define HOSTS_SIZE_MAX (64U * 1024U)

/* Names for the certificate and the launcher; and what Configure will have to carry. */
static void collect_hosts(OpenOp *op)
{
        Pool pool = POOL_NULL(2U * HOSTS_SIZE_MAX);
        int r = 0;

        op->hosts.items = op->host_items;
        for (size_t i = 0; r == 0 && i < op->n_grants; i++) {
                const EgressPolicy *policy = op->grants[i].record->egress;
                const char *items[LIMIT_RULES];
                TextList own = { items, 0 };

                if (!policy)
                        continue;
                r = egress_hosts_allowed(policy, true, OPEN_HOSTS_MAX, &op->pool, &op->hosts);
                if (r == 0)
                        r = egress_hosts_allowed(policy, false, LIMIT_RULES, &pool, &own);
        }
        if (r < 0 || pool.used > HOSTS_SIZE_MAX)
                failure_set(&op->failure, FAULT_INVALID_PARAMETER,
                            "The profiles allow too many hosts for one session; open a session for each profile.");
        pool_deinit(&pool);
}

static void make_handles(OpenOp *op)
{
        for (size_t i = 0; i < op->n_grants && !failed(&op->failure); i++) {
                OpenGrant *grant = &op->grants[i];

                if (!open_grant_is_by_proxy(grant))
                        continue;
                if (ident_token_new(&grant->token, op->vault->role.arena, IDENT_HANDLE_PREFIX))
                        failure_set(&op->failure, FAULT_BUSY, "The broker's memory for secrets is full.");
                grant->expires = op->session.expires;
        }
}

static int make_certificate(OpenOp *op)
{
        CertificateAsk ask = {
                .session = op->session.id,
                .hosts = op->hosts,
                .now = op->session.opened,
                .expires = op->session.expires,
        };
        int r;

        r = certificate_make(&ask, op->vault->role.arena, &op->certificate);
        if (r > 0)
                failure_set(&op->failure, r == CERTIFICATE_E_FULL ? FAULT_BUSY : FAULT_INVALID_PARAMETER,
                            "There is no certificate for this session: %s.", certificate_strerror(r));
        return r < 0 ? r : 0;
}

const char *open_grant_canary(const OpenGrant *grant)
{
        const ConfigProfile *profile = policy_find(grant->op->policy, grant->record->profile);

        return profile ? profile->canary : NULL;
}

/* Handles like the others, but no session's process is told of them. */
static void make_canaries(OpenOp *op)
{
        for (size_t i = 0; i < op->n_grants && !failed(&op->failure); i++)
                if (open_grant_canary(&op->grants[i]) &&
                    ident_token_new(&op->grants[i].canary, op->vault->role.arena, IDENT_HANDLE_PREFIX))
                        failure_set(&op->failure, FAULT_BUSY, "The broker's memory for secrets is full.");
}

int open_proxy_make(OpenOp *op)
{
        make_canaries(op);
        if (!op->by_proxy || failed(&op->failure))
                return 0;
        collect_hosts(op);
        if (!failed(&op->failure))
                make_handles(op);
        return failed(&op->failure) ? 0 : make_certificate(op);
}

/* By its hash, whoever finds the handle somewhere can find whose it is. */
static int audit_issue(OpenOp *op, const LeaseRecord *lease, const Secret *value)
{
        const OpenSessionRequest *body = op->request->body;
        AuditEvent event = vault_event(body->caller, "handle.issue");
        char hash[SEAL_AUDIT_HASH_SIZE];

        seal_audit_hash(op->vault->seal, secret_slice(value), hash);
        event.request = op->request_id.text;
        event.session = lease->session;
        event.profile = lease->profile;
        event.secret = lease->secret;
        event.lease = lease->id;
        event.verdict = AUDIT_ALLOW;
        event.reason = lease->kind == LEASE_CANARY ? "canary" : NULL;
        event.token = hash;
        return audit_append(op->vault->audit, &event);
}

/* As long as this row lives, the handle stands for something. */
static int insert_lease(OpenOp *op, const OpenGrant *grant, LeaseKind kind, const Secret *value)
{
        uint8_t hash[SEAL_HASH_SIZE];
        LeaseToken token = { .hash = slice(hash, sizeof(hash)), .expires = op->session.expires };
        LeaseUpstream nowhere = { 0 };
        LeaseRecord lease = {
                .kind = kind,
                .generation = grant->generation,
                .state = LEASE_LIVE,
                .on_end = OUTCOME_NONE,
                .created = op->session.opened,
        };
        int r;

        seal_token_hash(op->vault->seal, secret_slice(value), hash);
        (void)snprintf(lease.id, sizeof(lease.id), "%s", ident_new('l').text);
        (void)snprintf(lease.session, sizeof(lease.session), "%s", op->session.id);
        (void)snprintf(lease.profile, sizeof(lease.profile), "%s", grant->record->profile);
        (void)snprintf(lease.secret, sizeof(lease.secret), "%s", grant->record->secret);
        (void)snprintf(lease.provider, sizeof(lease.provider), "%s", grant->provider);
        r = rows_lease_insert(op->vault->db, &lease, &nowhere, &token);
        return r == 0 ? audit_issue(op, &lease, value) : r;
}

int open_proxy_insert(OpenOp *op)
{
        SessionProxy proxy = {
                .handles.items = op->handles,
                .certificate = buf_slice(&op->certificate.leaf),
                .key = op->certificate.key,
        };
        int r;

        for (size_t i = 0; i < op->n_grants; i++)
                if (open_grant_is_by_proxy(&op->grants[i]))
                        op->handles[proxy.handles.n++] = (HandleRecord){
                                .profile = op->grants[i].record->profile,
                                .handle = op->grants[i].token,
                        };
        r = rows_session_insert(op->vault->db, &op->session, op->by_proxy ? &proxy : NULL);
        for (size_t i = 0; r == 0 && i < op->n_grants; i++) {
                const OpenGrant *grant = &op->grants[i];

                if (open_grant_is_by_proxy(grant))
                        r = insert_lease(op, grant, LEASE_HANDLE, grant->token);
                if (r == 0 && grant->canary)
                        r = insert_lease(op, grant, LEASE_CANARY, grant->canary);
        }
        return r;
}

void open_proxy_deinit(OpenOp *op)
{
        certificate_deinit(&op->certificate);
}
