/*
 * `rotate_every`: what a provider can make is rotated when it is due, with a jitter so that a dozen secrets of one day
 * do not meet, and with back-off where that fails. Of what a person has to make, the log says once that it is due, for
 * whoever follows it, and doctor says it until it is done.
 */
#include "vault/rotation.h"
#include <stdio.h>

/* The wall clock may be set; nothing is looked at less often, or more often. */
#define LOOK_MOST_USEC  (3600 * USEC_PER_SEC)
#define LOOK_LEAST_USEC (10 * USEC_PER_SEC)
#define JITTER_MOST_USEC (3600 * USEC_PER_SEC)
#define RETRY_FIRST_USEC (60 * USEC_PER_SEC)
#define RETRY_MOST_USEC  (86400 * USEC_PER_SEC)

struct RotationSchedule {
        Vault *vault;
        Timer *timer;
};

/* The same for one value of one secret at every look. */
static uint64_t jitter(const SecretRecord *record, uint64_t most)
{
        uint64_t hash = 14695981039346656037ULL ^ record->generation;

        for (const char *p = record->name; *p; p++)
                hash = (hash ^ (uint8_t)*p) * 1099511628211ULL;
        return most > 0 ? hash % most : 0;
}

/* An expiry that the upstream set comes first: at three quarters of the way to it. */
uint64_t rotation_due(const Vault *vault, const SecretRecord *record)
{
        uint64_t every = vault->policy ? policy_secret(vault->policy, record->name)->rotate_every : 0;
        uint64_t since = MAX(record->added, record->rotated), wait;

        if (every == 0)
                return UINT64_MAX;
        wait = MIN(every, UINT32_MAX) * USEC_PER_SEC;
        if (record->expires > since)
                wait = MIN(wait, (record->expires - since) / 4 * 3);
        return since + wait + jitter(record, MIN(wait / 20, JITTER_MOST_USEC));
}

/* ---- what is due ---- */

static void remind(Vault *vault, const SecretRecord *record)
{
        SecretRecord schedule = *record;
        AuditEvent event = vault_event(NULL, "secret.rotate.due");
        Failure ignored;
        int r;

        if (record->reminded == record->generation)
                return;
        schedule.reminded = record->generation;
        event.secret = record->name;
        event.verdict = AUDIT_ALLOW;
        event.reason = "rotate_every";
        event.detail = "a person has to make the new value";
        r = db_begin(vault->db);
        if (r == 0)
                r = rows_secret_schedule(vault->db, record->name, &schedule);
        if (r == 0)
                r = audit_append(vault->audit, &event);
        if (r == 0)
                r = vault_commit(vault);
        if (!vault_db_failed(vault, r, &ignored))
                role_log(&vault->role, LOG_LEVEL_WARNING, "secret %s is due for rotation: `mcpcred rotate %s`",
                         record->name, record->name);
}

/* When this one is to be looked at again; UINT64_MAX: something else will say so. */
static uint64_t look_at(Vault *vault, const SecretRecord *record, uint64_t now)
{
        const ProviderInfo *info = provider_info(record->provider);
        uint64_t due = rotation_due(vault, record);
        Failure failure;

        if (due == UINT64_MAX || record->step != ROTATION_NONE || !info)
                return UINT64_MAX;
        if (due > now)
                return due;
        if (info->rotation == PROVIDER_ROTATION_GUIDED) {
                remind(vault, record);
                return UINT64_MAX;
        }
        if (record->schedule_next > now)
                return record->schedule_next;
        if (!rotate_begin(vault, record->name, "rotate_every", false, &failure) && failure.fault != FAULT_BUSY)
                role_log(&vault->role, LOG_LEVEL_WARNING, "secret %s is due for rotation: %s", record->name,
                         failure.message);
        return now; /* soon: whether it came to something */
}

static int on_timer(void *userdata)
{
        RotationSchedule *schedule = userdata;
        Vault *vault = schedule->vault;
        uint64_t now = vault_now(vault), next = now + LOOK_MOST_USEC;
        char after[LIMIT_NAME + 1] = "";
        SecretRecord *records;
        Failure ignored;
        size_t n = LIMIT_PAGE;

        /* Each is told here when it has changed. */
        if (!vault->db || !vault->policy || !vault_may_issue(vault, &ignored))
                return 0;
        while (n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(64U * CHANNEL_FRAME_MAX);

                if (vault_db_failed(vault, rows_secret_list(vault->db, after, LIMIT_PAGE, &pool, &records, &n), &ignored))
                        n = 0;
                for (size_t i = 0; i < n; i++) {
                        memcpy(after, records[i].name, sizeof(after));
                        next = MIN(next, look_at(vault, &records[i], now));
                }
                pool_deinit(&pool);
        }
        timer_arm_after(schedule->timer, MAX(next - MIN(next, now), LOOK_LEAST_USEC));
        return 0;
}

void rotation_schedule_wake(RotationSchedule *schedule)
{
        timer_arm_after(schedule->timer, 0);
}

void rotation_schedule_failed(Vault *vault, const char *name)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        uint64_t wait = RETRY_FIRST_USEC;
        SecretRecord record;
        Failure ignored;
        int r;

        r = rows_secret_get(vault->db, name, &pool, &record);
        if (r == 0) {
                for (uint64_t i = 0; i < record.schedule_failures && wait < RETRY_MOST_USEC; i++)
                        wait *= 2;
                record.schedule_failures++;
                record.schedule_next = vault_now(vault) + MIN(wait, RETRY_MOST_USEC);
                r = rows_secret_schedule(vault->db, name, &record);
        }
        if (r != DB_E_NOT_FOUND)
                (void)vault_db_failed(vault, r, &ignored);
        pool_deinit(&pool);
}

int rotation_schedule_new(RotationSchedule **ret, Vault *vault)
{
        RotationSchedule *schedule = calloc(1, sizeof(*schedule));
        int r;

        if (!schedule)
                return -ENOMEM;
        schedule->vault = vault;
        r = timer_new(&schedule->timer, vault->role.loop, on_timer, schedule);
        if (r < 0) {
                free(schedule);
                return r;
        }
        *ret = schedule;
        return 0;
}

RotationSchedule *rotation_schedule_free(RotationSchedule *schedule)
{
        if (!schedule)
                return NULL;
        timer_free(schedule->timer);
        free(schedule);
        return NULL;
}
