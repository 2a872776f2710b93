/* The listings: page after page of rows, each page one reply. None shows anything secret. */
#include "base/text.h"
#include "vault/grant_check.h"
#include "vault/rows_lease.h"
#include "vault/rows_rotation.h"
#include "vault/rows_secret.h"
#include "vault/vault.h"
#include "wire/provider_info.h"

#define PAGE_POOL_MAX (64U * CHANNEL_FRAME_MAX)
/* Rows of these carry lists, so fewer fit into one frame. */
#define WIDE_PAGE 3U
#define NARROW_PAGE 48U

/* Answers a listing that the state failed at. */
static int list_failed(Vault *vault, Request *request, int r)
{
        Failure failure;

        (void)vault_db_failed(vault, r, &failure);
        return failure_answer(&failure, request);
}

/* Sends a page that was read with `r`; unless `more` follow, the request is over, also by a failure. */
static int send_page(Vault *vault, Request *request, const void *reply, bool more, int r)
{
        if (r)
                return list_failed(vault, request, r);
        return more ? request_reply_more(request, reply) : request_reply(request, reply, NULL, 0);
}

static bool is_starting(Vault *vault, Request *request, int *ret)
{
        if (vault->db && vault->policy)
                return false;
        *ret = request_fail(request, FAULT_UNAVAILABLE, "The broker is still starting.");
        return true;
}

static int secret_row(Vault *vault, const SecretRecord *record, Pool *pool, SecretRow *row)
{
        LeaseFilter filter = { .what.secret = record->name, .states = LEASE_STATES_OPEN };
        uint64_t due = rotation_due(vault, record);
        RotationRecord journal = { .attempts = 0 };
        int r = 0;

        *row = (SecretRow){
                .name = record->name,
                .provider = record->provider,
                .base_url = record->base_url,
                .hosts = record->hosts,
                .parameters = record->parameters,
                .generation = record->generation,
                .added = record->added,
                .rotated = record->rotated,
                .rotation = record->step == ROTATION_NONE ? NULL : rotation_step_names[record->step],
                .due = due == UINT64_MAX ? 0 : due,
                .expires = record->expires,
        };
        if (record->step != ROTATION_NONE)
                r = rows_rotation_get(vault->db, record->name, &journal);
        if (r == 0 && journal.problem[0])
                r = pool_text(pool, slice_text(journal.problem), &row->problem);
        return r == 0 || r == DB_E_NOT_FOUND ? rows_lease_count(vault->db, &filter, &row->leases) : r;
}

int op_list_secrets(Vault *vault, Request *request)
{
        char after[LIMIT_NAME + 1] = "";
        SecretRow rows[WIDE_PAGE];
        ListSecretsReply reply = { .secrets.items = rows };
        SecretRecord *records;
        bool more = true;
        size_t n = 0;
        int r = 0;

        if (is_starting(vault, request, &r))
                return r;
        while (r == 0 && more) {
                Pool pool = POOL_NULL(PAGE_POOL_MAX);

                r = rows_secret_list(vault->db, after, WIDE_PAGE, &pool, &records, &n);
                for (size_t i = 0; r == 0 && i < n; i++)
                        r = secret_row(vault, &records[i], &pool, &rows[i]);
                if (r == 0 && n > 0)
                        memcpy(after, records[n - 1].name, sizeof(after));
                reply.secrets.n = n;
                more = r == 0 && n == WIDE_PAGE;
                r = send_page(vault, request, &reply, more, r);
                pool_deinit(&pool);
        }
        return r;
}

static int session_row(const SessionRecord *record, Pool *pool, SessionRow *row)
{
        const GrantRecord *grants = record->grants.items;
        void *names;
        int r;

        r = pool_alloc(pool, record->grants.n * sizeof(const char *), &names);
        if (r < 0)
                return r;
        *row = (SessionRow){
                .session = record->id,
                .label = record->label[0] ? record->label : NULL,
                .uid = record->uid,
                .profiles = { .items = names, .n = record->grants.n },
                .state = record->state,
                .opened = record->opened,
                .expires = record->expires,
                .ended = record->ended,
                .end_reason = record->end_reason[0] ? record->end_reason : NULL,
                .lifeline = record->lifeline,
        };
        for (size_t i = 0; i < record->grants.n; i++)
                row->profiles.items[i] = grants[i].profile;
        return 0;
}

int op_list_sessions(Vault *vault, Request *request)
{
        const ListRequest *body = request->body;
        bool all = body->all;
        SessionRow rows[NARROW_PAGE];
        ListSessionsReply reply = { .sessions.items = rows };
        SessionRecord *records;
        uint64_t after = 0;
        bool more = true;
        size_t n = 0;
        int r = 0;

        if (is_starting(vault, request, &r))
                return r;
        while (r == 0 && more) {
                Pool pool = POOL_NULL(SESSION_PAGE_POOL_MAX);

                r = rows_session_list(vault->db, all, after, NARROW_PAGE, &pool, &records, &n);
                for (size_t i = 0; r == 0 && i < n; i++) {
                        after = records[i].sequence;
                        r = session_row(&records[i], &pool, &rows[i]);
                }
                reply.sessions.n = n;
                more = r == 0 && n == NARROW_PAGE;
                r = send_page(vault, request, &reply, more, r);
                pool_deinit(&pool);
        }
        return r;
}

static LeaseRow lease_row(const LeaseRecord *record)
{
        return (LeaseRow){
                .lease = record->id,
                .kind = record->kind,
                .session = record->session,
                .profile = record->profile,
                .secret = record->secret,
                .generation = record->generation,
                .state = record->state,
                .outcome = record->outcome,
                .created = record->created,
                .expires = record->expires == UINT64_MAX ? 0 : record->expires,
                .attempts = record->attempts,
                .reason = record->reason[0] ? record->reason : NULL,
        };
}

int op_list_leases(Vault *vault, Request *request)
{
        const ListLeasesRequest *body = request->body;
        LeaseFilter filter = {
                .what = {
                        .session = body->session,
                        .profile = body->profile,
                        .secret = body->secret,
                        .provider = body->provider,
                        .has_principal = body->principal,
                        .since = body->since,
                },
                .states = body->all ? 0 : LEASE_STATES_OPEN,
        };
        LeaseRow rows[NARROW_PAGE];
        ListLeasesReply reply = { .leases.items = rows };
        LeaseRecord *records;
        uint64_t after = 0;
        bool more = true;
        size_t n = 0;
        int r = 0;

        if (is_starting(vault, request, &r))
                return r;
        if (body->principal && text_parse_u64(body->principal, &filter.what.principal) != 0)
                return request_fail(request, FAULT_INVALID_PARAMETER, "`principal` is not the decimal number of a user.");
        while (r == 0 && more) {
                Pool pool = POOL_NULL(PAGE_POOL_MAX);

                r = rows_lease_list(vault->db, &filter, after, NARROW_PAGE, &pool, &records, &n);
                for (size_t i = 0; r == 0 && i < n; i++) {
                        after = records[i].sequence;
                        rows[i] = lease_row(&records[i]);
                }
                reply.leases.n = n;
                more = r == 0 && n == NARROW_PAGE;
                r = send_page(vault, request, &reply, more, r);
                pool_deinit(&pool);
        }
        return r;
}

/* Why a session of this profile could not be opened now; NULL if it could. */
static const char *profile_problem(const ConfigProfile *profile, const ProviderInfo *info)
{
        const char *field, *problem;

        if (!policy_can_deliver(profile))
                return "it says nothing of what may be asked for: it needs a preset, or slot and allow";
        if (!info)
                return "its secret is not stored yet";
        if (info->webhook_key)
                return "its secret is a webhook's key, which no session can have";
        problem = provider_check_scope(info, profile->scope, &field);
        if (problem || info->can_mint)
                return problem;
        if (policy_leaves(profile) || policy_exposes(profile))
                return NULL;
        return "a stored key goes by deliver = proxy; expose_secret in mcpcred.conf(5) hands it out raw";
}

static size_t list_actions(uint64_t bits, const char *out[_LEAK_ACTION_N])
{
        size_t n = 0;

        for (unsigned action = 0; action < _LEAK_ACTION_N; action++)
                if (bits & UINT64_C(1) << action)
                        out[n++] = leak_action_names[action];
        return n;
}

static int profile_row(Vault *vault, const ConfigProfile *profile, const char *actions[_LEAK_ACTION_N], ProfileRow *row)
{
        Pool pool = POOL_NULL(PAGE_POOL_MAX);
        const ProviderInfo *info = NULL;
        const char *problem;
        SecretRecord secret;
        Failure failure = { 0 };
        int r;

        r = rows_secret_get(vault->db, profile->secret, &pool, &secret);
        if (r == 0)
                info = provider_info(secret.provider);
        problem = profile_problem(profile, info);
        if (!problem && !grant_check(vault, profile, &pool, &secret, &failure))
                problem = "no rule allows a host that its secret may be sent to";
        pool_deinit(&pool);
        *row = (ProfileRow){
                .name = profile->name,
                .secret = profile->secret,
                .provider = info ? info->name : NULL,
                .deliver = profile->deliver,
                .ttl = profile->ttl,
                .env = profile->env,
                .scope = profile->scope,
                .expose_secret = profile->expose_secret,
                .preset = profile->preset,
                .egress = profile->egress,
                .env_url = profile->env_url,
                .url_host = profile->url_host,
                .url_path = profile->url_path,
                .variables = profile->variables,
                .command = profile->command,
                .caller_unit = profile->caller_unit,
                .on_leak = { actions, list_actions(profile->on_leak, actions) },
                .canary = profile->canary,
                .source = profile->source,
                .problem = problem,
        };
        return r == DB_E_NOT_FOUND ? 0 : r;
}

/* One row a reply: a profile may name hundreds of repositories. */
int op_list_profiles(Vault *vault, Request *request)
{
        const char *actions[_LEAK_ACTION_N];
        ProfileRow row;
        ListProfilesReply reply = { .profiles = { .items = &row, .n = 1 } };
        int r = 0;

        if (is_starting(vault, request, &r))
                return r;
        for (size_t i = 0; r == 0 && i < policy_count(vault->policy); i++) {
                r = profile_row(vault, policy_at(vault->policy, i), actions, &row);
                if (r)
                        return list_failed(vault, request, r);
                r = request_reply_more(request, &reply);
        }
        reply.profiles.n = 0;
        return r == 0 ? request_reply(request, &reply, NULL, 0) : r;
}
