#include "vault/secret_check.h"
#include "base/text.h"
#include "vault/rows_rotation.h"
#include "wire/provider_info.h"
#include <stdio.h>

#define DAY_USEC (86400 * USEC_PER_SEC)
/* Time enough to make another one. */
#define EXPIRY_NEAR_USEC (14 * DAY_USEC)
/* What the broker does by itself is being done. */
#define LATE_USEC (3600 * USEC_PER_SEC)
/* A step that waits longer is worth a word. */
#define STEP_LONG_USEC (60 * USEC_PER_SEC)

typedef struct Check {
        Vault *vault;
        const SecretRecord *record;
        uint64_t now;
        char id[LIMIT_LABEL];
        char summary[LIMIT_TEXT];
        char remedy[LIMIT_TEXT];
        DoctorStatus status;
} Check;

static uint64_t days(uint64_t usec)
{
        return usec / DAY_USEC;
}

static uint64_t since(const SecretRecord *record)
{
        return MAX(record->added, record->rotated);
}

static uint64_t age(const Check *check)
{
        uint64_t from = since(check->record);

        return check->now > from ? check->now - from : 0;
}

static const char *plural(uint64_t n)
{
        return n == 1 ? "" : "s";
}

/* A rotation that waits for a person, or has waited for long. */
static bool check_rotation(Check *check)
{
        const SecretRecord *record = check->record;
        RotationRecord journal = { .attempts = 0 };
        char when[TEXT_TIME_SIZE];
        Failure ignored;
        int r;

        if (record->step == ROTATION_NONE)
                return false;
        r = rows_rotation_get(check->vault->db, record->name, &journal);
        if (r != DB_E_NOT_FOUND)
                (void)vault_db_failed(check->vault, r, &ignored);
        if (record->step == ROTATION_NEEDS_HUMAN) {
                check->status = DOCTOR_FAIL;
                (void)snprintf(check->summary, sizeof(check->summary), "Secret %s needs a person: %.400s", record->name,
                               journal.problem[0] ? journal.problem : "its rotation could not be finished.");
                (void)snprintf(check->remedy, sizeof(check->remedy),
                               "Make a new value at the upstream: `mcpcred rotate %s --paste`. If the old one works after "
                               "all: `mcpcred rotate %s --abort`.",
                               record->name, record->name);
                return true;
        }
        if (check->now < record->step_time + STEP_LONG_USEC)
                return false;
        check->status = DOCTOR_WARN;
        text_time(record->step_time, when);
        (void)snprintf(check->summary, sizeof(check->summary), "The rotation of %s is \"%s\" since %s%s%.300s",
                       record->name, rotation_step_names[record->step], when, journal.problem[0] ? ": " : ".",
                       journal.problem);
        (void)snprintf(check->remedy, sizeof(check->remedy), "It is tried again by itself; `mcpcred rotate %s --abort` "
                                                             "drops it.",
                       record->name);
        return true;
}

static bool check_expiry(Check *check)
{
        const SecretRecord *record = check->record;
        char when[TEXT_TIME_SIZE];
        uint64_t left;

        if (record->expires == 0 || record->expires > check->now + EXPIRY_NEAR_USEC)
                return false;
        left = record->expires > check->now ? record->expires - check->now : 0;
        text_time(record->expires, when);
        check->status = left > 0 ? DOCTOR_WARN : DOCTOR_FAIL;
        (void)snprintf(check->summary, sizeof(check->summary), "Secret %s %s at its upstream at %s.", record->name,
                       left > 0 ? "expires" : "expired", when);
        (void)snprintf(check->remedy, sizeof(check->remedy), "`mcpcred rotate %s`.", record->name);
        return true;
}

static bool check_due(Check *check)
{
        const SecretRecord *record = check->record;
        const ProviderInfo *info = provider_info(record->provider);
        bool by_itself = info && info->rotation != PROVIDER_ROTATION_GUIDED;
        uint64_t due = rotation_due(check->vault, record), late;

        if (due > check->now || (by_itself && record->schedule_failures == 0 && check->now - due < LATE_USEC))
                return false;
        late = days(check->now - due);
        check->status = DOCTOR_WARN;
        (void)snprintf(check->summary, sizeof(check->summary), "Secret %s is due for rotation, %llu day%s over%s",
                       record->name, (unsigned long long)late, plural(late),
                       record->schedule_failures > 0 ? "; it was tried and failed, see `mcpcred audit tail`." : ".");
        if (by_itself)
                (void)snprintf(check->remedy, sizeof(check->remedy), "The broker does that by itself; `mcpcred rotate %s` "
                                                                     "does it now, and says what is wrong.",
                               record->name);
        else
                (void)snprintf(check->remedy, sizeof(check->remedy), "`mcpcred rotate %s`; it says what to do.",
                               record->name);
        return true;
}

static void check_age(Check *check)
{
        const char *name = check->record->name;
        uint64_t most = check->vault->policy ? policy_secret(check->vault->policy, name)->max_age : 0;
        uint64_t old = days(age(check));

        most = most > 0 ? most : SECRET_MAX_AGE_SEC;
        check->status = age(check) / USEC_PER_SEC > most ? DOCTOR_WARN : DOCTOR_OK;
        (void)snprintf(check->summary, sizeof(check->summary), "Secret %s is %llu day%s old.", name,
                       (unsigned long long)old, plural(old));
        if (check->status == DOCTOR_WARN)
                (void)snprintf(check->remedy, sizeof(check->remedy),
                               "`mcpcred rotate %s`; `max_age` in [secret %s] says what is old.", name, name);
}

static void check_one(Vault *vault, const SecretRecord *record, SecretSay say, void *userdata)
{
        Check check = { .vault = vault, .record = record, .now = vault_now(vault) };

        (void)snprintf(check.id, sizeof(check.id), "secret.%s", record->name);
        if (!check_rotation(&check) && !check_expiry(&check) && !check_due(&check))
                check_age(&check);
        text_mend_end(check.summary);
        say(userdata, check.status, check.id, check.summary, check.remedy[0] ? check.remedy : NULL);
}

void secret_check_all(Vault *vault, SecretSay say, void *userdata)
{
        char after[LIMIT_NAME + 1] = "";
        SecretRecord *records;
        Failure ignored;
        size_t n = LIMIT_PAGE;

        while (n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(64U * CHANNEL_FRAME_MAX);

                if (vault_db_failed(vault, rows_secret_list(vault->db, after, LIMIT_PAGE, &pool, &records, &n), &ignored))
                        n = 0;
                for (size_t i = 0; i < n; i++) {
                        memcpy(after, records[i].name, sizeof(after));
                        check_one(vault, &records[i], say, userdata);
                }
                pool_deinit(&pool);
        }
}
