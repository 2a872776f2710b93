#include "base/text.h"
#include "vault/grant_check.h"
#include "vault/open_session.h"

/* Names in a session's directory that are not a profile's. */
static const char *const own_files[] = { "broker.sock", "proxy.sock", "ca.pem", "ca-bundle.pem" };

static const OpenSessionRequest *body_of(const OpenOp *op)
{
        return op->request->body;
}

/* Borrowed from the policy and the request; mint and rows copy what they keep. */
static GrantRecord record_of(const ConfigProfile *profile, Scope *scope)
{
        bool by_proxy = policy_leaves(profile);

        return (GrantRecord){
                .profile = profile->name,
                .secret = profile->secret,
                .scope = scope,
                .deliver = profile->deliver,
                .ttl = profile->ttl,
                .env = profile->env,
                .expose_secret = profile->expose_secret,
                .command = profile->command,
                .egress = by_proxy ? profile->egress : NULL,
                .env_url = profile->env_url,
                .url_host = profile->url_host,
                .url_path = profile->url_path,
                .variables = profile->variables,
        };
}

static bool is_clash(const OpenOp *op, const GrantRecord *record)
{
        for (size_t i = 0; i < op->n_grants; i++)
                if (strcmp(op->grants[i].record->profile, record->profile) == 0 ||
                    environment_clash(op->grants[i].record, record))
                        return true;
        return false;
}

static bool is_own_file(const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(own_files); i++)
                if (strcmp(own_files[i], name) == 0)
                        return true;
        return false;
}

/* What the way that it is delivered by asks of the launcher. */
static void check_delivery(OpenOp *op, const ConfigProfile *profile)
{
        if (profile->deliver == DELIVER_ENDPOINT && !body_of(op)->proxy)
                failure_set(&op->failure, FAULT_INVALID_PARAMETER,
                            "Profile %s is an endpoint, and the launcher did not say at which address its child finds it.",
                            profile->name);
        else if (profile->deliver == DELIVER_FILE && is_own_file(profile->name))
                failure_set(&op->failure, FAULT_INVALID_PARAMETER,
                            "Profile %s cannot be delivered as a file: the session has one of that name.", profile->name);
}

static int add_grant(OpenOp *op, const ConfigProfile *profile, const Scope *asked)
{
        GrantRecord *record = (GrantRecord *)op->session.grants.items + op->n_grants;
        OpenGrant *grant = &op->grants[op->n_grants];
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord secret;
        Scope *scope;
        void *memory;
        int r;

        r = pool_alloc(&op->pool, sizeof(*scope), &memory);
        if (r < 0)
                return r;
        scope = memory;
        if (grant_check(op->vault, profile, &pool, &secret, &op->failure) &&
            policy_narrow(profile, asked, scope, &op->failure)) {
                *record = record_of(profile, scope);
                *grant = (OpenGrant){ .op = op, .record = record, .generation = secret.generation };
                memcpy(grant->provider, secret.provider, sizeof(grant->provider));
                if (is_clash(op, record)) {
                        failure_set(&op->failure, FAULT_INVALID_PARAMETER,
                                    "Profile %s is asked for twice, or two profiles set the same variable.",
                                    profile->name);
                } else {
                        op->session.grants.n = ++op->n_grants;
                        op->by_proxy = op->by_proxy || record->egress;
                }
        }
        pool_deinit(&pool);
        return 0;
}

static int decide_grants(OpenOp *op)
{
        const OpenSessionRequest *body = body_of(op);
        const GrantRequest *asked = body->grants.items;
        void *memory;
        int r;

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
                else if (policy_admits(profile, body->caller, &body->command, &op->failure))
                        check_delivery(op, profile);
                if (profile && !failed(&op->failure))
                        r = add_grant(op, profile, asked[i].scope);
        }
        return r;
}

/* The lifetime: what was asked for, within each profile's and the configuration's. */
static void decide_lifetime(OpenOp *op)
{
        uint64_t limit = policy_settings(op->policy)->max_lifetime, lifetime;

        for (size_t i = 0; i < op->n_grants; i++)
                limit = MIN(limit, op->grants[i].record->ttl);
        lifetime = body_of(op)->lifetime ? body_of(op)->lifetime : limit;
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

int open_decide(OpenOp *op)
{
        int r;

        op->policy = policy_ref(op->vault->policy);
        r = decide_grants(op);
        if (r == 0 && !failed(&op->failure))
                decide_lifetime(op);
        if (r == 0 && !failed(&op->failure))
                decide_number(op);
        return r;
}
