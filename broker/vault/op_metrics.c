/*
 * Counts and ages in Prometheus' text format. Labels are names from the configuration and words of ours: there is no
 * id among them, so that their number is bounded and nothing that is secret shows.
 */
#include "vault/rows_incident.h"
#include "vault/rows_lease.h"
#include "vault/rows_secret.h"
#include "vault/vault.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define PAGE_POOL_MAX (64U * CHANNEL_FRAME_MAX)
#define LINE_MAX_SIZE 512U

typedef struct Metrics {
        Vault *vault;
        Request *request;
        char text[LIMIT_METRICS + 1]; /* whole lines */
        size_t size;
        uint64_t now;
        int r;
} Metrics;

/* Sends what is there; the stream goes on. */
static void send_part(Metrics *metrics)
{
        const MetricsReply reply = { .text = metrics->text };

        if (metrics->r == 0 && metrics->size > 0)
                metrics->r = request_reply_more(metrics->request, &reply);
        metrics->size = 0;
}

static void line(Metrics *metrics, const char *format, ...) PRINTF_LIKE(2, 3);

static void line(Metrics *metrics, const char *format, ...)
{
        char text[LINE_MAX_SIZE];
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        if (n < 0 || (size_t)n >= sizeof(text))
                return; /* none is as long; a part of one would be a lie */
        if (metrics->size + (size_t)n + 1 > LIMIT_METRICS)
                send_part(metrics);
        memcpy(metrics->text + metrics->size, text, (size_t)n);
        metrics->size += (size_t)n;
        metrics->text[metrics->size++] = '\n';
        metrics->text[metrics->size] = '\0';
}

static void family(Metrics *metrics, const char *name, const char *type, const char *help)
{
        line(metrics, "# HELP %s %s", name, help);
        line(metrics, "# TYPE %s %s", name, type);
}

static void one(Metrics *metrics, const char *name, const char *type, const char *help, uint64_t value)
{
        family(metrics, name, type, help);
        line(metrics, "%s %" PRIu64, name, value);
}

/* A quoted label's value. */
static const char *quoted(const char *text, char *out, size_t size)
{
        size_t n = 0;

        for (; *text && n + 2 < size; text++) {
                if (*text == '\\' || *text == '"')
                        out[n++] = '\\';
                out[n++] = *text == '\n' ? ' ' : *text;
        }
        out[n] = '\0';
        return out;
}

/* ---- the broker ---- */

static void broker(Metrics *metrics)
{
        Vault *vault = metrics->vault;
        uint64_t sequence = 0, sessions = 0, secrets = 0;
        char head[AUDIT_HASH_HEX_SIZE], version[2 * LIMIT_NAME + 1];
        Failure ignored;

        (void)vault_db_failed(vault, audit_head(vault->audit, &sequence, head), &ignored);
        (void)vault_db_failed(vault, rows_session_count(vault->db, UINT64_MAX, &sessions), &ignored);
        (void)vault_db_failed(vault, rows_secret_count(vault->db, &secrets, NULL), &ignored);
        family(metrics, "mcpcred_build_info", "gauge", "The version that runs.");
        line(metrics, "mcpcred_build_info{version=\"%s\"} 1", quoted(vault->start.version, version, sizeof(version)));
        one(metrics, "mcpcred_start_time_seconds", "gauge", "When the broker was started, in Unix time.",
            vault->start.started / USEC_PER_SEC);
        one(metrics, "mcpcred_store_ready", "gauge", "1: the store of secrets is open.", vault->store.ready);
        one(metrics, "mcpcred_audit_ready", "gauge", "1: the audit log can be written; else nothing is issued.",
            audit_ready(vault->audit));
        one(metrics, "mcpcred_audit_sequence", "gauge", "Sequence of the audit log's last line.", sequence);
        one(metrics, "mcpcred_profiles", "gauge", "Profiles in force.",
            vault->policy ? policy_count(vault->policy) : 0);
        one(metrics, "mcpcred_secrets", "gauge", "Stored secrets.", secrets);
        one(metrics, "mcpcred_sessions", "gauge", "Open sessions.", sessions);
}

static void roles(Metrics *metrics)
{
        family(metrics, "mcpcred_role_restarts_total", "counter", "How often a part of the broker was started again.");
        for (unsigned role = 0; role < _ROLE_N; role++)
                if (metrics->vault->roles[role].pid > 0)
                        line(metrics, "mcpcred_role_restarts_total{role=\"%s\"} %" PRIu64, role_names[role],
                             metrics->vault->roles[role].restarts);
}

static void leases(Metrics *metrics)
{
        uint64_t counts[LEASE_UNRECOVERABLE + 1] = { 0 };
        Failure ignored;

        (void)vault_db_failed(metrics->vault, rows_lease_count_states(metrics->vault->db, counts), &ignored);
        family(metrics, "mcpcred_leases", "gauge", "Leases by state; what is over is kept for a week.");
        for (unsigned state = 0; state <= LEASE_UNRECOVERABLE; state++)
                line(metrics, "mcpcred_leases{state=\"%s\"} %" PRIu64, lease_state_names[state], counts[state]);
        one(metrics, "mcpcred_revocations_pending", "gauge", "Credentials that their upstream has yet to revoke.",
            counts[LEASE_REVOKING]);
}

static void incidents(Metrics *metrics)
{
        uint64_t open = 0, person = 0;
        Failure ignored;

        (void)vault_db_failed(metrics->vault, rows_incident_count(metrics->vault->db, &open, &person), &ignored);
        one(metrics, "mcpcred_incidents_open", "gauge", "Leaks that are not dealt with to the end.", open);
        one(metrics, "mcpcred_incidents_need_person", "gauge", "Of these, those that wait for a person.", person);
}

/* ---- each secret ---- */

typedef void (*SecretLine)(Metrics *metrics, const SecretRecord *record);

static void each_secret(Metrics *metrics, SecretLine write)
{
        Vault *vault = metrics->vault;
        char after[LIMIT_NAME + 1] = "";
        SecretRecord *records;
        Failure ignored;
        size_t n = LIMIT_PAGE;

        while (n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(PAGE_POOL_MAX);

                if (vault_db_failed(vault, rows_secret_list(vault->db, after, LIMIT_PAGE, &pool, &records, &n), &ignored))
                        n = 0;
                for (size_t i = 0; i < n; i++) {
                        memcpy(after, records[i].name, sizeof(after));
                        write(metrics, &records[i]);
                }
                pool_deinit(&pool);
        }
}

static uint64_t seconds_after(uint64_t later, uint64_t earlier)
{
        return later > earlier ? (later - earlier) / USEC_PER_SEC : 0;
}

static void age(Metrics *metrics, const SecretRecord *record)
{
        line(metrics, "mcpcred_secret_age_seconds{secret=\"%s\"} %" PRIu64, record->name,
             seconds_after(metrics->now, MAX(record->added, record->rotated)));
}

static void expiry(Metrics *metrics, const SecretRecord *record)
{
        if (record->expires > 0)
                line(metrics, "mcpcred_secret_expires_timestamp_seconds{secret=\"%s\"} %" PRIu64, record->name,
                     record->expires / USEC_PER_SEC);
}

static void overdue(Metrics *metrics, const SecretRecord *record)
{
        uint64_t due = rotation_due(metrics->vault, record);

        if (due != UINT64_MAX)
                line(metrics, "mcpcred_secret_rotation_overdue_seconds{secret=\"%s\"} %" PRIu64, record->name,
                     seconds_after(metrics->now, due));
}

static void step(Metrics *metrics, const SecretRecord *record)
{
        line(metrics, "mcpcred_secret_rotation{secret=\"%s\",step=\"%s\"} 1", record->name,
             rotation_step_names[record->step]);
}

static void secrets(Metrics *metrics)
{
        family(metrics, "mcpcred_secret_age_seconds", "gauge", "Since the value was stored or rotated.");
        each_secret(metrics, age);
        family(metrics, "mcpcred_secret_expires_timestamp_seconds", "gauge", "When its upstream lets it expire, where that "
                                                                             "is known.");
        each_secret(metrics, expiry);
        family(metrics, "mcpcred_secret_rotation_overdue_seconds", "gauge", "How long it has been due for rotation, where "
                                                                            "rotate_every is set.");
        each_secret(metrics, overdue);
        family(metrics, "mcpcred_secret_rotation", "gauge", "The step that its rotation is at: none, ..., needs_human.");
        each_secret(metrics, step);
}

int op_metrics(Vault *vault, Request *request)
{
        Metrics metrics = { .vault = vault, .request = request, .now = vault_now(vault) };
        const MetricsReply last = { .text = metrics.text };

        if (!vault->db)
                return request_fail(request, FAULT_UNAVAILABLE, "The broker is still starting.");
        if (vault_flush_audit(vault) < 0)
                return request_fail(request, FAULT_INTERNAL, NULL);
        broker(&metrics);
        roles(&metrics);
        leases(&metrics);
        incidents(&metrics);
        secrets(&metrics);
        return metrics.r < 0 ? metrics.r : request_reply(request, &last, NULL, 0);
}
