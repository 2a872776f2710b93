#include "vault/vault.h"
#include "base/fd.h"
#include "base/text.h"
#include "vault/cutoff_work.h"
#include "vault/egresses.h"
#include "vault/epoch.h"
#include "vault/known_values.h"
#include "vault/mint.h"
#include "vault/proxy_grants.h"
#include "vault/response.h"
#include "vault/revoker.h"
#include "vault/rows_cutoff.h"
#include "vault/token_turn.h"
#include "vault/waiting_room.h"
#include <stdio.h>

/* Ended sessions and dead leases are kept for a week, for whoever looks into an incident. */
#define KEEP_USEC (7 * 86400 * USEC_PER_SEC)
#define PRUNE_USEC (600 * USEC_PER_SEC)
#define PRUNE_ROWS 1000U

static int on_retry(void *userdata)
{
        return vault_bring_up(userdata);
}

/* What is long over leaves the state; the audit log keeps it. */
static int on_prune(void *userdata)
{
        Vault *vault = userdata;
        uint64_t now = vault_now(vault), before = now - MIN(now, KEEP_USEC), n;
        Failure ignored;

        timer_arm_after(vault->prune, PRUNE_USEC);
        if (!vault->recovered)
                return 0;
        if (!vault_db_failed(vault, rows_lease_prune(vault->db, before, PRUNE_ROWS, &n), &ignored) &&
            !vault_db_failed(vault, rows_session_prune(vault->db, before, PRUNE_ROWS, &n), &ignored))
                (void)vault_db_failed(vault, rows_cutoff_prune(vault->db, &n), &ignored);
        (void)vault_db_failed(vault, known_values_prune(vault), &ignored);
        (void)vault_db_failed(vault, response_prune(vault), &ignored);
        return response_look(vault);
}

static int on_audit_flush(void *userdata)
{
        return vault_flush_audit(userdata);
}

/* Its next process has the store closed. */
static void on_keyring_closed(void *userdata)
{
        Vault *vault = userdata;

        vault->store.ready = false;
}

static int on_reported(void *userdata, const char *profile, const EgressReport *report)
{
        return proxy_report(userdata, report->session, profile, report);
}

int vault_init(Vault *vault)
{
        ProviderPoolConfig providers = {
                .loop = vault->role.loop,
                .arena = vault->role.arena,
                .supervisor = &vault->role.supervisor,
        };
        EgressesConfig egresses = {
                .loop = vault->role.loop,
                .arena = vault->role.arena,
                .supervisor = &vault->role.supervisor,
                .reported = on_reported,
                .userdata = vault,
        };
        int r;

        list_init(&vault->session_edges);
        list_init(&vault->changes);
        list_init(&vault->rotations);
        list_init(&vault->unended);
        list_init(&vault->unclosed);
        vault->next_session = UINT64_MAX;
        vault->problem_pool = POOL_NULL(CHANNEL_FRAME_MAX);
        r = keyring_client_new(&vault->keyring, vault->role.loop, vault->role.arena, &vault->role.supervisor);
        if (r == 0)
                keyring_client_watch(vault->keyring, on_keyring_closed, vault);
        if (r == 0)
                r = provider_pool_new(&vault->providers, &providers);
        if (r == 0)
                r = token_turns_new(&vault->turns, vault);
        if (r == 0)
                r = egresses_new(&vault->egresses, &egresses);
        if (r == 0)
                r = proxy_grants_new(&vault->proxy_grants, vault);
        if (r == 0)
                r = waiting_room_new(&vault->waiting_room, vault);
        if (r == 0)
                r = responses_new(&vault->responses, vault);
        if (r == 0)
                r = rotation_schedule_new(&vault->schedule, vault);
        if (r == 0)
                r = timer_new(&vault->store.retry, vault->role.loop, on_retry, vault);
        if (r == 0)
                r = timer_new(&vault->expiry, vault->role.loop, vault_expire, vault);
        if (r == 0)
                r = timer_new(&vault->audit_flush, vault->role.loop, on_audit_flush, vault);
        if (r == 0)
                r = timer_new(&vault->prune, vault->role.loop, on_prune, vault);
        if (r == 0)
                timer_arm_after(vault->prune, PRUNE_USEC);
        return r;
}

void vault_deinit(Vault *vault)
{
        vault->waiting_room = waiting_room_free(vault->waiting_room);
        vault->watchers = watchers_free(vault->watchers);
        vault->gate = channel_free(vault->gate);
        vault->journal = audit_journal_free(vault->journal);
        session_edges_free(vault);
        vault->keyring = keyring_client_free(vault->keyring);
        vault->providers = provider_pool_free(vault->providers);
        rotations_free(vault);
        vault->schedule = rotation_schedule_free(vault->schedule);
        vault->proxy_grants = proxy_grants_free(vault->proxy_grants);
        vault->egresses = egresses_free(vault->egresses);
        vault->turns = token_turns_free(vault->turns);
        if (vault->audit && (audit_tick(vault->audit, true) < 0 || audit_flush(vault->audit) < 0))
                role_log(&vault->role, LOG_LEVEL_ERROR, "audit: the last lines follow at the next start");
        session_end_forget(vault);
        vault->responses = responses_free(vault->responses);
        mint_forget_unclosed(vault);
        vault->cutoff_work = cutoff_work_free(vault->cutoff_work);
        vault->revoker = revoker_free(vault->revoker);
        vault->epoch = epoch_free(vault->epoch);
        vault->audit = audit_free(vault->audit);
        vault->db = db_free(vault->db);
        vault->seal = seal_free(vault->seal);
        vault->store.key = secret_free(vault->store.key);
        vault->store.retry = timer_free(vault->store.retry);
        vault->expiry = timer_free(vault->expiry);
        vault->audit_flush = timer_free(vault->audit_flush);
        vault->prune = timer_free(vault->prune);
        vault->policy = policy_unref(vault->policy);
        vault->next_policy = policy_unref(vault->next_policy);
        pool_deinit(&vault->problem_pool);
}

/* ---- the gate: what control clients ask ---- */

typedef struct Operation {
        int (*run)(Vault *vault, Request *request);
        bool everybody;   /* for any caller that the gate lets in; otherwise for the owner alone */
        bool needs_store; /* waits until the store is open or has said why it cannot be */
} Operation;

/* Looking and revoking go on without the store. */
static const Operation operations[] = {
        [BROKER_OPEN_SESSION] = { op_open_session, true, true },
        [BROKER_CLOSE_SESSION] = { op_close_session, true, false }, /* of the caller's own sessions */
        [BROKER_GET_TOKEN] = { op_get_token, true, true },          /* likewise */
        [BROKER_ADD_SECRET] = { op_add_secret, false, true },
        [BROKER_REMOVE_SECRET] = { op_remove_secret, false, true },
        [BROKER_LIST_SECRETS] = { op_list_secrets, false, false },
        [BROKER_LIST_SESSIONS] = { op_list_sessions, false, false },
        [BROKER_LIST_LEASES] = { op_list_leases, false, false },
        [BROKER_LIST_PROFILES] = { op_list_profiles, true, false },
        [BROKER_ROTATE] = { op_rotate, false, true },
        [BROKER_REVOKE] = { op_revoke, false, false }, /* but see needs_store() */
        [BROKER_STATUS] = { op_status, true, false },
        [BROKER_DOCTOR] = { op_doctor, false, false },
        [BROKER_RELOAD] = { op_reload, false, false },
        [BROKER_LOCK] = { op_lock, false, true },
        [BROKER_UNLOCK] = { op_unlock, false, true },
        [BROKER_REPORT_LEAK] = { op_report_leak, false, true },
        [BROKER_SCAN_PATTERNS] = { op_scan_patterns, false, true },
        [BROKER_VERIFY_WEBHOOK] = { op_verify_webhook, false, true },
        [BROKER_WATCH] = { op_watch, false, false },
        [BROKER_METRICS] = { op_metrics, false, false },
        [BROKER_HASH_TOKEN] = { op_hash_token, false, true },
        [BROKER_LIST_INCIDENTS] = { op_list_incidents, false, false },
        [BROKER_CLOSE_INCIDENT] = { op_close_incident, false, false },
};
_Static_assert(ARRAY_SIZE(operations) == _BROKER_N, "each method has its operation");

bool vault_is_owner(const Vault *vault, const Caller *caller)
{
        return caller->uid == vault->start.owner_uid || caller->uid == 0;
}

/* A token's hash is made with a key from the store. */
static bool needs_store(const Request *request)
{
        if (request->id == BROKER_REVOKE)
                return ((const RevokeRequest *)request->body)->token_hash != NULL;
        return operations[request->id].needs_store;
}

static int run_operation(void *userdata, Request *request)
{
        const Operation *operation = &operations[request->id];
        const Caller *caller = ((const StatusRequest *)request->body)->caller; /* first in each of them */
        Vault *vault = userdata;
        Failure failure;

        if (!operation->everybody && !vault_is_owner(vault, caller)) {
                failure_set(&failure, FAULT_NOT_ALLOWED, "%s is for the owner of the broker.", request->method->name);
                return vault_refuse(vault, request, vault_event(caller, request->method->name), &failure);
        }
        return operation->run(vault, request);
}

static int on_gate(void *userdata, UNUSED Channel *channel, Request *request)
{
        Vault *vault = userdata;

        return waiting_room_enter(vault->waiting_room, run_operation, vault, request, needs_store(request));
}

static int on_gate_closed(void *userdata, Channel *channel, UNUSED const char *reason)
{
        Vault *vault = userdata;

        if (vault->gate == channel)
                vault->gate = NULL;
        channel_free(channel);
        return 0;
}

static int attach_gate(Vault *vault, int fd)
{
        ChannelConfig config = {
                .loop = vault->role.loop,
                .arena = vault->role.arena,
                .fd = fd,
                .in = &interface_broker,
                .handler = on_gate,
                .closed = on_gate_closed,
                .userdata = vault,
        };

        vault->gate = channel_free(vault->gate);
        return channel_new(&vault->gate, &config);
}

static int on_attach(Vault *vault, Request *request)
{
        const AttachRequest *body = request->body;
        Empty reply = { 0 };
        int r;

        if (request->n_fds != 1 || (body->peer == ROLE_SESSION && !ident_is_valid(body->session, 's')))
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        switch (body->peer) {
        case ROLE_GATE:
                r = attach_gate(vault, take_fd(&request->fds[0]));
                break;
        case ROLE_SESSION:
                r = session_edge_attach(vault, take_fd(&request->fds[0]), body->session);
                break;
        case ROLE_KEYRING:
                r = keyring_client_attach(vault->keyring, take_fd(&request->fds[0]));
                vault->store.ready = false; /* a new process has the store closed */
                if (r == 0)
                        r = vault_bring_up(vault);
                break;
        default:
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        }
        return r < 0 ? r : request_reply(request, &reply, NULL, 0);
}

/* ---- the supervisor ---- */

static int on_start(Vault *vault, Request *request)
{
        const StartRequest *body = request->body;
        VaultStart *start = &vault->start;
        Empty reply = { 0 };
        int r;

        if (start->received)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        start->received = true;
        (void)snprintf(start->version, sizeof(start->version), "%s", body->version);
        (void)snprintf(start->runtime_directory, sizeof(start->runtime_directory), "%s", body->runtime_directory);
        (void)snprintf(start->config_directory, sizeof(start->config_directory), "%s", body->config_directory);
        (void)snprintf(start->epoch, sizeof(start->epoch), "%s", body->epoch ? body->epoch : "");
        (void)snprintf(start->boot_id, sizeof(start->boot_id), "%s", body->boot_id ? body->boot_id : "");
        start->owner_uid = body->owner_uid;
        start->started = body->started;
        r = vault_bring_up(vault);
        return r < 0 ? r : request_reply(request, &reply, NULL, 0);
}

static int on_configure_begin(Vault *vault, Request *request)
{
        Empty reply = { 0 };
        int r;

        vault->next_policy = policy_unref(vault->next_policy);
        r = policy_new(&vault->next_policy, request->body);
        return r < 0 ? r : request_reply(request, &reply, NULL, 0);
}

static int on_configure_profile(Vault *vault, Request *request)
{
        Empty reply = { 0 };
        int r;

        if (!vault->next_policy)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        r = policy_add(vault->next_policy, request->body);
        if (r == -ENOBUFS || r == -ENOTRECOVERABLE)
                return request_fail(request, FAULT_CONFIG_INVALID, "There are too many profiles.");
        return r < 0 ? r : request_reply(request, &reply, NULL, 0);
}

static int on_configure_secret(Vault *vault, Request *request)
{
        Empty reply = { 0 };
        int r;

        if (!vault->next_policy)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        r = policy_add_secret(vault->next_policy, request->body);
        if (r == -ENOBUFS || r == -ENOTRECOVERABLE)
                return request_fail(request, FAULT_CONFIG_INVALID, "There are too many sections for secrets.");
        return r < 0 ? r : request_reply(request, &reply, NULL, 0);
}

static int on_configure_commit(Vault *vault, Request *request)
{
        Empty reply = { 0 };
        int r;

        if (!vault->next_policy)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        policy_unref(vault->policy);
        vault->policy = take_ptr(vault->next_policy);
        pool_deinit(&vault->problem_pool);
        vault->problems = (TextList){ 0 };
        rotation_schedule_wake(vault->schedule);
        if (vault->audit)
                vault_configure_audit(vault);
        r = vault_bring_up(vault);
        if (r == 0)
                r = waiting_room_look(vault->waiting_room);
        return r < 0 ? r : request_reply(request, &reply, NULL, 0);
}

static int on_config_problems(Vault *vault, Request *request)
{
        const ConfigProblems *body = request->body;
        void *items;
        int r;

        pool_deinit(&vault->problem_pool);
        vault->problems = (TextList){ 0 };
        r = pool_alloc(&vault->problem_pool, body->problems.n * sizeof(const char *), &items);
        if (r == 0)
                vault->problems.items = items;
        for (size_t i = 0; r == 0 && i < body->problems.n; i++) {
                r = pool_text(&vault->problem_pool, slice_text(body->problems.items[i]), &vault->problems.items[i]);
                if (r == 0)
                        vault->problems.n = i + 1;
        }
        request_done(request);
        return r == -ENOBUFS ? 0 : r;
}

static int on_lifeline_gone(Vault *vault, Request *request)
{
        const SessionNotice *body = request->body;
        int r;

        r = vault->db ? session_end(vault, body->session, "its lifeline is gone", NULL, NULL) : 0;
        request_done(request);
        return r;
}

static int on_role(Vault *vault, Request *request)
{
        const RoleNotice *body = request->body;

        for (unsigned role = 0; role < _ROLE_N; role++)
                if (strcmp(role_names[role], body->role) == 0)
                        vault->roles[role] = (RoleStatus){ body->pid, body->restarts, body->started };
        request_done(request);
        return 0;
}

/* No client is left by now: what is in the log is all that this run writes. */
static int on_stop(Vault *vault, Request *request)
{
        Empty reply = { 0 };
        Failure ignored;
        int r = vault->audit ? audit_tick(vault->audit, true) : 0;

        if (r < 0)
                return r;
        (void)vault_db_failed(vault, r, &ignored);
        r = vault->audit ? vault_flush_audit(vault) : 0;
        if (r < 0)
                return r;
        return vault->journal ? audit_journal_finish(vault->journal, request) : request_reply(request, &reply, NULL, 0);
}

int vault_on_supervisor(void *userdata, UNUSED Channel *channel, Request *request)
{
        Vault *vault = userdata;

        switch ((ToVaultMethod)request->id) {
        case TO_VAULT_ATTACH:
                return on_attach(vault, request);
        case TO_VAULT_START:
                return on_start(vault, request);
        case TO_VAULT_CONFIGURE_BEGIN:
                return on_configure_begin(vault, request);
        case TO_VAULT_CONFIGURE_PROFILE:
                return on_configure_profile(vault, request);
        case TO_VAULT_CONFIGURE_SECRET:
                return on_configure_secret(vault, request);
        case TO_VAULT_CONFIGURE_COMMIT:
                return on_configure_commit(vault, request);
        case TO_VAULT_CONFIG_PROBLEMS:
                return on_config_problems(vault, request);
        case TO_VAULT_LIFELINE_GONE:
                return on_lifeline_gone(vault, request);
        case TO_VAULT_ROLE:
                return on_role(vault, request);
        case TO_VAULT_STOP:
                return on_stop(vault, request);
        }
        return -ENOTRECOVERABLE;
}
