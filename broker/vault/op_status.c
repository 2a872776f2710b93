#include "base/text.h"
#include "vault/egress_hosts.h"
#include "vault/grant_check.h"
#include "vault/policy_advice.h"
#include "vault/response.h"
#include "vault/rows_lease.h"
#include "vault/rows_secret.h"
#include "vault/secret_check.h"
#include "vault/vault.h"
#include "wire/provider_info.h"
#include <stdarg.h>
#include <stdio.h>

static void count(Vault *vault, StatusReply *reply)
{
        uint64_t counts[LEASE_UNRECOVERABLE + 1] = { 0 };
        Failure ignored;

        if (!vault_db_failed(vault, rows_lease_count_states(vault->db, counts), &ignored)) {
                reply->leases = counts[LEASE_LIVE] + counts[LEASE_INTENT];
                reply->pending = counts[LEASE_REVOKING] + counts[LEASE_UNRECOVERABLE];
        }
        (void)vault_db_failed(vault, rows_incident_count(vault->db, &reply->incidents, &(uint64_t){ 0 }), &ignored);
        (void)vault_db_failed(vault, rows_session_count(vault->db, UINT64_MAX, &reply->sessions), &ignored);
        (void)vault_db_failed(vault, rows_secret_count(vault->db, &reply->secrets, NULL), &ignored);
}

int op_status(Vault *vault, Request *request)
{
        RoleRow roles[_ROLE_N];
        char head[AUDIT_HASH_HEX_SIZE] = "", base[AUDIT_HASH_HEX_SIZE] = "";
        StatusReply reply = {
                .version = vault->start.version,
                .started = vault->start.started,
                .store = store_kind_names[vault->store.kind],
                .store_state = vault_store_state(vault),
                .profiles = vault->policy ? policy_count(vault->policy) : 0,
                .audit_head = head,
                .audit_base_head = base,
                .roles.items = roles,
        };
        Failure ignored;

        if (!vault->db)
                return request_fail(request, FAULT_UNAVAILABLE, "The broker is still starting.");
        if (vault_flush_audit(vault) < 0 || response_look(vault) < 0)
                return request_fail(request, FAULT_INTERNAL, NULL);
        count(vault, &reply);
        (void)vault_db_failed(vault, audit_head(vault->audit, &reply.audit_sequence, head), &ignored);
        (void)vault_db_failed(vault, audit_base(vault->audit, &reply.audit_base, base), &ignored);
        reply.audit_path = audit_path(vault->audit);
        reply.audit_state = audit_state(vault->audit);
        for (unsigned role = 0; role < _ROLE_N; role++)
                if (vault->roles[role].pid > 0)
                        roles[reply.roles.n++] = (RoleRow){
                                .role = role_names[role],
                                .pid = vault->roles[role].pid,
                                .restarts = vault->roles[role].restarts,
                                .started = vault->roles[role].started,
                        };
        return request_reply(request, &reply, NULL, 0);
}

/* ---- doctor: one check a reply ---- */

typedef struct Doctor {
        Request *request;
        int r;
} Doctor;

static void say(Doctor *doctor, DoctorStatus status, const char *id, const char *remedy, const char *format, ...)
        PRINTF_LIKE(5, 6);

static void say(Doctor *doctor, DoctorStatus status, const char *id, const char *remedy, const char *format, ...)
{
        char summary[LIMIT_TEXT];
        DoctorRow row = { .id = id, .status = status, .summary = summary, .remedy = remedy };
        DoctorReply reply = { .checks = { .items = &row, .n = 1 } };
        va_list args;

        va_start(args, format);
        (void)vsnprintf(summary, sizeof(summary), format, args);
        va_end(args);
        if (doctor->r == 0 && text_is_utf8(slice_text(summary)))
                doctor->r = request_reply_more(doctor->request, &reply);
}

static void check_store(Doctor *doctor, Vault *vault)
{
        const VaultStore *store = &vault->store;

        if (store->ready)
                say(doctor, DOCTOR_OK, "store", NULL, "The store (%s) is open.", store_kind_names[store->kind]);
        else
                say(doctor, failed(&store->problem) ? DOCTOR_FAIL : DOCTOR_WARN, "store",
                    store->problem.remedy[0] ? store->problem.remedy : NULL, "%s",
                    failed(&store->problem) ? store->problem.message : "The store is being opened.");
        if (store->kind == STORE_MEMORY)
                say(doctor, DOCTOR_WARN, "store.memory", "Set `store = auto` in the configuration.",
                    "Secrets are kept in memory alone and are lost when the broker stops.");
}

static void check_audit(Doctor *doctor, Vault *vault)
{
        const char *state = audit_state(vault->audit);
        char file[AUDIT_FILE_NAME_SIZE];
        Failure ignored;
        bool gap;

        (void)vault_db_failed(vault, audit_gap(vault->audit, &gap, file), &ignored);
        if (strcmp(state, "ready") == 0 && !gap)
                say(doctor, DOCTOR_OK, "audit", NULL, "The audit log can be written.");
        else if (strcmp(state, "ready") == 0)
                say(doctor, DOCTOR_FAIL, "audit", "Put the file back if you have it; what is there is checked by `mcpcred audit verify`.",
                    "Audit log: lines before %s are missing, and the broker did not give them up.", file);
        else
                say(doctor, DOCTOR_FAIL, "audit", "`mcpcred audit verify` names the line; keep a copy of the file.",
                    "Audit log: %s", state);
}

static void check_config(Doctor *doctor, Vault *vault)
{
        for (size_t i = 0; i < vault->problems.n; i++)
                say(doctor, DOCTOR_FAIL, "config", "Correct the line, then `mcpcred reload`. Until then the old "
                    "configuration is in force.", "%s", vault->problems.items[i]);
        if (vault->problems.n == 0 && vault->policy)
                say(doctor, DOCTOR_OK, "config", NULL, "%zu profiles are in force.", policy_count(vault->policy));
}

typedef struct EgressCheck {
        Doctor *doctor;
        const char *id;
} EgressCheck;

static void on_advice(void *userdata, const char *summary, const char *remedy)
{
        const EgressCheck *check = userdata;

        say(check->doctor, DOCTOR_WARN, check->id, remedy, "%s", summary);
}

/* `secret` is NULL where it is not stored. */
static void check_egress(Doctor *doctor, const ConfigProfile *profile, const SecretRecord *secret, Pool *pool,
                         const char *id)
{
        const ProviderInfo *info = secret ? provider_info(secret->provider) : NULL;
        EgressCheck check = { .doctor = doctor, .id = id };
        const Advice advice = { .userdata = &check, .say = on_advice };
        TextList sealed = { .n = 0 };
        int r = info ? egress_hosts_sealed(secret, info, pool, &sealed) : 0;

        if (r == 0)
                r = policy_advise(profile, info ? &sealed : NULL, &advice);
        if (r < 0)
                say(doctor, DOCTOR_FAIL, id, NULL, "The rules of profile %s cannot be looked at: %s (%s).",
                    profile->name, strerror(-r), profile->source);
}

/* What opening a session would be refused for; of the hosts of rules, check_egress() says more. */
static void check_grant(Doctor *doctor, Vault *vault, const ConfigProfile *profile, const ProviderInfo *info,
                        const char *id)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord secret;
        Failure failure = { 0 };
        const char *field;

        if ((!policy_leaves(profile) || (info->can_mint && provider_check_scope(info, profile->scope, &field))) &&
            !grant_check(vault, profile, &pool, &secret, &failure))
                say(doctor, DOCTOR_WARN, id, "Until that is corrected, no session of the profile is opened.", "%s (%s)",
                    failure.message, profile->source);
        pool_deinit(&pool);
}

static void check_profile(Doctor *doctor, Vault *vault, const ConfigProfile *profile)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        const ProviderInfo *info;
        SecretRecord secret;
        char id[LIMIT_LABEL];
        int r;

        (void)snprintf(id, sizeof(id), "profile.%s", profile->name);
        r = rows_secret_get(vault->db, profile->secret, &pool, &secret);
        if (r == DB_E_NOT_FOUND)
                say(doctor, DOCTOR_WARN, id, "Store it with `mcpcred add`.", "Profile %s needs secret %s, which is not stored.",
                    profile->name, profile->secret);
        info = r == 0 ? provider_info(secret.provider) : NULL;
        if (info)
                check_grant(doctor, vault, profile, info, id);
        if (info && !info->can_mint && profile->scope &&
            (profile->scope->repositories.n > 0 || profile->scope->permissions.n > 0))
                say(doctor, DOCTOR_WARN, id, "Leave them out, and say in `allow` what may be asked for.",
                    "Profile %s has repositories or permissions, and secret %s is a stored key, which they do not "
                    "narrow (%s).",
                    profile->name, profile->secret, profile->source);
        if (policy_exposes(profile) && !(info && info->can_mint))
                say(doctor, DOCTOR_WARN, id, "Prefer a provider that mints, or the proxy, where there is one.",
                    "Profile %s hands secret %s itself to %s (%s): only rotating it ends what was handed out.",
                    profile->name, profile->secret, profile->command.items[0], profile->source);
        if (policy_leaves(profile) && doctor->r == 0 && (r == 0 || r == DB_E_NOT_FOUND))
                check_egress(doctor, profile, r == 0 ? &secret : NULL, &pool, id);
        pool_deinit(&pool);
}

/* What a section wants of its secret, and cannot have. */
static void check_section(Doctor *doctor, Vault *vault, const ConfigSecret *section)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        const ConfigureRequest *settings = policy_settings(vault->policy);
        SecretRecord secret;
        char id[LIMIT_LABEL];
        int r = rows_secret_get(vault->db, section->name, &pool, &secret);

        (void)snprintf(id, sizeof(id), "secret.%s.section", section->name);
        if (r == DB_E_NOT_FOUND)
                say(doctor, DOCTOR_WARN, id, "Correct its name, or store it with `mcpcred add`.",
                    "There is a section for secret %s, which is not stored (%s).", section->name, section->source);
        if (section->on_leak & UINT64_C(1) << LEAK_NOTIFY && section->on_leak != LEAK_ACTIONS_DEFAULT &&
            !settings->has_notify)
                say(doctor, DOCTOR_WARN, id, "Set `notify` in [broker].",
                    "Secret %s has notify in on_leak, and there is no command for it (%s).", section->name,
                    section->source);
        pool_deinit(&pool);
}

static void on_secret(void *userdata, DoctorStatus status, const char *id, const char *summary, const char *remedy)
{
        say(userdata, status, id, remedy, "%s", summary);
}

static void check_pending(Doctor *doctor, Vault *vault)
{
        uint64_t counts[LEASE_UNRECOVERABLE + 1] = { 0 };
        Failure ignored;

        if (vault_db_failed(vault, rows_lease_count_states(vault->db, counts), &ignored))
                return;
        if (counts[LEASE_REVOKING] > 0)
                say(doctor, DOCTOR_WARN, "leases.pending", "`mcpcred leases` says what each attempt met.",
                    "%llu credentials are still to be revoked by their upstream.",
                    (unsigned long long)counts[LEASE_REVOKING]);
        if (counts[LEASE_UNRECOVERABLE] > 0)
                say(doctor, DOCTOR_WARN, "leases.unrecoverable", "Nothing was delivered; they die by themselves.",
                    "%llu credentials may be alive upstream whose value nobody has.",
                    (unsigned long long)counts[LEASE_UNRECOVERABLE]);
}

/* What leaks have led to and is not over. */
static void check_leaks(Doctor *doctor, Vault *vault)
{
        Pool pool = POOL_NULL(LIMIT_PAGE * sizeof(IncidentRecord) + 4096U);
        IncidentRecord *records;
        Failure ignored;
        size_t n = 0;

        if (vault_db_failed(vault, rows_incident_list(vault->db, true, 0, LIMIT_PAGE, &pool, &records, &n), &ignored))
                n = 0;
        for (size_t i = 0; i < n; i++) {
                bool person = incident_needs_person(&records[i]);
                char id[LIMIT_LABEL], remedy[LIMIT_TEXT];

                (void)snprintf(id, sizeof(id), "leak.%s", records[i].id);
                if (records[i].actions[LEAK_ROTATE].state == ACTION_PERSON)
                        (void)snprintf(remedy, sizeof(remedy), "`mcpcred rotate %s`; the incident closes by itself then.",
                                       records[i].secret);
                else
                        (void)snprintf(remedy, sizeof(remedy), "`mcpcred leak list` says what is left; `mcpcred leak close %s` "
                                       "when that is done.", records[i].id);
                say(doctor, person ? DOCTOR_FAIL : DOCTOR_WARN, id, person ? remedy : NULL, "A leak%s%s %s (signal: %s).",
                    records[i].secret[0] ? " of secret " : "", records[i].secret,
                    person ? "needs a person" : "is being dealt with", leak_signal_names[records[i].signal]);
        }
        pool_deinit(&pool);
}

int op_doctor(Vault *vault, Request *request)
{
        Doctor doctor = { .request = request };
        DoctorReply last = { 0 };

        if (!vault->db)
                return request_fail(request, FAULT_UNAVAILABLE, "The broker is still starting.");
        if (vault_flush_audit(vault) < 0)
                return request_fail(request, FAULT_INTERNAL, NULL);
        check_store(&doctor, vault);
        check_audit(&doctor, vault);
        check_config(&doctor, vault);
        for (size_t i = 0; vault->policy && i < policy_count(vault->policy); i++)
                check_profile(&doctor, vault, policy_at(vault->policy, i));
        for (size_t i = 0; vault->policy && i < policy_secret_count(vault->policy); i++)
                check_section(&doctor, vault, policy_secret_at(vault->policy, i));
        secret_check_all(vault, on_secret, &doctor);
        check_pending(&doctor, vault);
        if (doctor.r == 0)
                doctor.r = response_look(vault); /* a rotation may just have ended some */
        check_leaks(&doctor, vault);
        return doctor.r < 0 ? doctor.r : request_reply(request, &last, NULL, 0);
}

/* ---- reload ---- */

typedef struct ReloadOp {
        Request *request;
        Vault *vault;
} ReloadOp;

static int on_reloaded(void *userdata, const Reply *answer)
{
        ReloadOp *op = userdata;
        const ReloadConfigReply *body = answer->body;
        ReloadReply reply = { 0 };
        Failure failure;
        int r;

        if (answer->fault != FAULT_NONE) {
                failure_from_reply(&failure, answer);
                r = failure_answer(&failure, op->request);
        } else if (body->problems.n > 0) {
                failure_set(&failure, FAULT_CONFIG_INVALID, "%s%s", body->problems.items[0],
                            body->problems.n > 1 ? " (and further problems)" : "");
                r = failure_answer(&failure, op->request);
        } else {
                reply.profiles = body->profiles;
                r = request_reply(op->request, &reply, NULL, 0);
        }
        free(op);
        return r;
}

int op_reload(Vault *vault, Request *request)
{
        ReloadOp *op = calloc(1, sizeof(*op));
        Empty nothing = { 0 };

        if (!op)
                return -ENOMEM;
        op->request = request;
        op->vault = vault;
        return channel_call(vault->role.supervisor, VAULT_RELOAD, &nothing, NULL, 0, 10 * USEC_PER_SEC, on_reloaded, op,
                            NULL);
}
