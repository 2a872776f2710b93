#include "vault/revoker.h"
#include "vault/revoke_attempt.h"
#include "wire/provider_info.h"
#include <sodium.h>
#include <stdio.h>

/*
 * Attempts at once, over all providers; the provider pool has more room, for those who wait for a token. Of one
 * upstream only as many as it takes (wire/provider_info.h); and of one that does not answer, a single one,
 * so that it keeps no room from the others.
 */
#define ATTEMPTS_MAX 10U
/* Beyond these, an upstream gets an attempt only if it has none: one that is silent must not wait out its
 * time in everybody's place. */
#define ATTEMPTS_SHARED 6U
_Static_assert(ATTEMPTS_MAX < PROVIDER_POOL_RUNNING, "there is room for those who wait for a token");
#define RETRY_FIRST_USEC (1 * USEC_PER_SEC)
#define RETRY_MOST_USEC (300 * USEC_PER_SEC)
/* Of what does not die by itself, and is asked for as long as it takes. */
#define RETRY_FOREVER_MOST_USEC (3600 * USEC_PER_SEC)
/* An upstream whose attempts fail one after the other is left alone for a while, all of it. */
#define HOLD_FIRST_USEC (500 * USEC_PER_MSEC)
#define HOLD_MOST_USEC (60 * USEC_PER_SEC)
/* So many in a row, and nobody should wait for those that are to follow. */
#define STUCK_FAILURES 2U
/* While the store is locked, the sealed value cannot be read; likewise for a state that cannot be written. */
#define RETRY_LOCKED_USEC (10 * USEC_PER_SEC)
/* An expiry within its margin, or a state that cannot be written. */
#define OVERDUE_USEC (2 * USEC_PER_SEC)
/* The wall clock may be set; nothing here is looked at less often. */
#define LOOK_USEC (60 * USEC_PER_SEC)
/* An upstream's clock may be behind ours. */
#define EXPIRY_MARGIN_USEC (60 * USEC_PER_SEC)
#define PAGE_POOL_MAX (4U * CHANNEL_FRAME_MAX)
#define HOUR_USEC (3600 * USEC_PER_SEC)
/* Of the calls that an upstream counts, for one question: enough to find the one value of a list that it does not take. */
#define CALLS_OF_ONE 12U

/* What is known of one upstream of a provider, in this run. As many as the owner has added. */
typedef struct Side {
        List link;
        const ProviderInfo *info;
        uint64_t number; /* LeaseRecord's */
        unsigned running;
        unsigned failures;   /* in a row, of attempts that did not get an answer */
        uint64_t not_before; /* boot clock */
        uint64_t hour;       /* boot clock: the first of `calls`, which are those that the upstream counts */
        uint64_t calls;
} Side;

typedef struct Attempt {
        List link;
        Revoker *revoker;
        Side *side;
        size_t n;
        LeaseRecord leases[];
} Attempt;

struct RevokeWatch {
        List link;
        RevokeSettled settled;
        void *userdata;
};

struct Revoker {
        Vault *vault;
        Timer *timer;
        List attempts;
        size_t n_attempts;
        List watches;
        List sides; /* Side; the first is looked at first, in turn */
        uint64_t not_before; /* boot clock: the state could not be written, so nothing is begun until then */
        uint64_t looked;   /* wall time: what was due then was begun, as far as there was room */
        bool more_expired; /* than one page */
        bool looking; /* on the stack: what wakes it again is seen by the loop in there */
        bool again;
};

static int on_timer(void *userdata)
{
        return revoker_wake(userdata);
}

int revoker_new(Revoker **ret, Vault *vault)
{
        Revoker *revoker = calloc(1, sizeof(*revoker));
        int r;

        if (!revoker)
                return -ENOMEM;
        revoker->vault = vault;
        list_init(&revoker->attempts);
        list_init(&revoker->watches);
        list_init(&revoker->sides);
        r = timer_new(&revoker->timer, vault->role.loop, on_timer, revoker);
        if (r < 0) {
                free(revoker);
                return r;
        }
        *ret = revoker;
        return 0;
}

Revoker *revoker_free(Revoker *revoker)
{
        if (!revoker)
                return NULL;
        LIST_FOREACH(node, &revoker->attempts)
                free(container_of(node, Attempt, link));
        LIST_FOREACH(node, &revoker->sides)
                free(container_of(node, Side, link));
        timer_free(revoker->timer);
        free(revoker);
        return NULL;
}

int revoke_watch_new(RevokeWatch **ret, Revoker *revoker, RevokeSettled settled, void *userdata)
{
        RevokeWatch *watch = calloc(1, sizeof(*watch));

        if (!watch)
                return -ENOMEM;
        watch->settled = settled;
        watch->userdata = userdata;
        list_append(&revoker->watches, &watch->link);
        *ret = watch;
        return 0;
}

RevokeWatch *revoke_watch_free(RevokeWatch *watch)
{
        if (!watch)
                return NULL;
        list_remove(&watch->link);
        free(watch);
        return NULL;
}

/* A watch may free itself and others, so the ring is walked anew after each call. */
static int tell_watches(Revoker *revoker, const char *lease)
{
        List told;
        int r = 0;

        list_init(&told);
        while (r == 0 && !list_empty(&revoker->watches)) {
                RevokeWatch *watch = container_of(revoker->watches.next, RevokeWatch, link);

                list_remove(&watch->link);
                list_append(&told, &watch->link);
                r = watch->settled(watch->userdata, lease);
        }
        while (!list_empty(&told)) {
                List *node = told.next;

                list_remove(node);
                list_append(&revoker->watches, node);
        }
        return r;
}

static bool is_under_way(const Revoker *revoker, const char *lease)
{
        LIST_FOREACH(node, &revoker->attempts) {
                const Attempt *attempt = container_of(node, Attempt, link);

                for (size_t i = 0; i < attempt->n; i++)
                        if (strcmp(attempt->leases[i].id, lease) == 0)
                                return true;
        }
        return false;
}

/* Between three quarters of it and five, so that what failed together does not come back together. */
static uint64_t with_jitter(uint64_t wait)
{
        return wait - wait / 4 + randombytes_uniform((uint32_t)MIN(wait / 2, UINT32_MAX - 1) + 1);
}

static uint64_t backed_off(uint64_t first, uint64_t most, uint64_t failures)
{
        uint64_t wait = first;

        for (uint64_t i = 0; i < failures && wait < most; i++)
                wait *= 2;
        return with_jitter(MIN(wait, most));
}

static uint64_t retry_after(const LeaseRecord *lease, const Failure *failure)
{
        uint64_t most = lease->expires == UINT64_MAX ? RETRY_FOREVER_MOST_USEC : RETRY_MOST_USEC;

        if (failure->fault == FAULT_KEYRING_LOCKED)
                return RETRY_LOCKED_USEC;
        return MAX(backed_off(RETRY_FIRST_USEC, most, lease->attempts), failure->retry_after_usec);
}

/* It has had its say, though perhaps it could not do this one. */
static bool has_answered(Fault fault)
{
        return fault == FAULT_NONE || fault == FAULT_UPSTREAM_GONE || fault == FAULT_UPSTREAM_DENIED ||
               fault == FAULT_UPSTREAM_NO_TARGET || fault == FAULT_UPSTREAM_BAD_SCOPE ||
               fault == FAULT_UPSTREAM_ROOT_INVALID;
}

/* It did not answer, will not for a while, or could not be reached; anything else is our own trouble. */
static bool is_silent(Fault fault)
{
        return fault == FAULT_UPSTREAM_UNREACHABLE || fault == FAULT_UPSTREAM_UNKNOWN ||
               fault == FAULT_UPSTREAM_RATE_LIMITED || fault == FAULT_UNAVAILABLE || fault == FAULT_TIMEOUT;
}

/* What one attempt met says something of all that are to follow. */
static void note(Side *side, const Failure *failure, uint64_t boot)
{
        uint64_t wait;

        side->running--;
        if (has_answered(failure->fault))
                side->failures = 0;
        if (!is_silent(failure->fault))
                return;
        wait = side->failures > 0 ? backed_off(HOLD_FIRST_USEC, HOLD_MOST_USEC, side->failures) : 0;
        side->failures++;
        wait = MAX(wait, failure->retry_after_usec);
        side->not_before = MAX(side->not_before, boot + wait);
}

/* How many of the calls that the upstream counts it still takes in this hour. */
static uint64_t calls_left(const Side *side, uint64_t boot)
{
        uint64_t most = side->info->revoke_hourly;

        if (most == 0)
                return CALLS_OF_ONE;
        return boot - side->hour >= HOUR_USEC ? most : most - MIN(side->calls, most);
}

static void note_calls(Side *side, uint64_t calls, uint64_t boot)
{
        if (side->info->revoke_hourly == 0 || calls == 0)
                return;
        if (side->calls == 0 || boot - side->hour >= HOUR_USEC) {
                side->hour = boot;
                side->calls = 0;
        }
        side->calls += calls;
        if (calls_left(side, boot) == 0)
                side->not_before = MAX(side->not_before, side->hour + HOUR_USEC);
}

static bool is_done(const Failure *failure)
{
        return !failed(failure) || failure->fault == FAULT_UPSTREAM_GONE;
}

/* Writes down how an attempt went. */
static int record(Revoker *revoker, const LeaseRecord *lease, const Failure *failure)
{
        /* Behind a failed attempt the row says what that met, which is no reason any more. */
        const char *reason = lease->attempts == 0 && lease->reason[0] ? lease->reason : "revoked";
        Vault *vault = revoker->vault;
        bool done = is_done(failure);
        AuditEvent event = {
                .session = lease->session,
                .profile = lease->profile,
                .secret = lease->secret,
                .lease = lease->id,
                .operation = "lease.revoke",
                .verdict = done ? AUDIT_ALLOW : AUDIT_ERROR,
                .reason = done ? "confirmed" : fault_info(failure->fault)->name,
                .detail = done ? NULL : failure->message,
        };
        int r;

        r = db_begin(vault->db);
        if (r == 0 && done)
                r = rows_lease_finish(vault->db, lease->id, LEASE_REVOKED, OUTCOME_CONFIRMED, vault_now(vault), reason);
        else if (r == 0)
                r = rows_lease_retry(vault->db, lease->id, vault_now(vault) + retry_after(lease, failure),
                                     failure->message);
        if (r == DB_E_NOT_FOUND)
                r = 0; /* it expired meanwhile */
        if (r == 0)
                r = vault_audit_revocation(vault, &event);
        return r == 0 ? vault_commit(vault) : r;
}

static int on_attempted(void *userdata, const RevokeAnswer *answer)
{
        Attempt *attempt = userdata;
        Revoker *revoker = attempt->revoker;
        uint64_t boot = vault_boot(revoker->vault);
        Failure ignored;
        int r = 0;

        list_remove(&attempt->link);
        revoker->n_attempts--;
        note(attempt->side, answer->upstream, boot);
        note_calls(attempt->side, answer->calls, boot);
        for (size_t i = 0; r >= 0 && i < attempt->n; i++) {
                /* What could not be written down is due again at once; the upstream must not be asked in a loop. */
                if (vault_db_failed(revoker->vault, record(revoker, &attempt->leases[i], &answer->failures[i]), &ignored))
                        revoker->not_before = boot + RETRY_LOCKED_USEC;
                r = tell_watches(revoker, attempt->leases[i].id);
        }
        free(attempt);
        return r < 0 ? r : revoker_wake(revoker);
}

static unsigned room(const Revoker *revoker, const Side *side)
{
        unsigned limit = side->info->revoke_parallel ? side->info->revoke_parallel : REVOKE_PARALLEL_DEFAULT;
        size_t most = side->running > 0 ? ATTEMPTS_SHARED : ATTEMPTS_MAX;
        size_t left = most - MIN(revoker->n_attempts, most);

        if (vault_boot(revoker->vault) < side->not_before)
                return 0;
        if (side->failures > 0)
                limit = 1;
        return side->running < limit && left > 0 ? limit - side->running : 0;
}

static int start_one(Revoker *revoker, Side *side, const LeaseRecord *leases, size_t n)
{
        Attempt *attempt = calloc(1, sizeof(*attempt) + n * sizeof(*leases));
        RevokeQuestion question = { .n = n };

        if (!attempt)
                return -ENOMEM;
        list_init(&attempt->link);
        attempt->revoker = revoker;
        attempt->side = side;
        attempt->n = n;
        memcpy(attempt->leases, leases, n * sizeof(*leases));
        question.leases = attempt->leases;
        question.calls_max = MIN(calls_left(side, vault_boot(revoker->vault)), CALLS_OF_ONE);
        list_append(&revoker->attempts, &attempt->link);
        revoker->n_attempts++;
        side->running++;
        return revoke_attempt(revoker->vault, &question, on_attempted, attempt);
}

/* Those that nobody is asked about, at the front. */
static size_t leave_out_running(const Revoker *revoker, LeaseRecord *leases, size_t n)
{
        size_t left = 0;

        for (size_t i = 0; i < n; i++)
                if (!is_under_way(revoker, leases[i].id) && left++ != i)
                        leases[left - 1] = leases[i];
        return left;
}

/* Starts what is due of one side, as far as there is room. */
static int start_side(Revoker *revoker, Side *side)
{
        Pool pool = POOL_NULL(PAGE_POOL_MAX);
        Vault *vault = revoker->vault;
        size_t together = MAX(side->info->revoke_together, 1U), n = 0;
        LeaseRecord *leases;
        Failure failure;
        int r;

        if (room(revoker, side) == 0)
                return 0;
        /* Those under way are among the first. */
        r = rows_lease_list_due(vault->db, side->info->name, side->number, revoker->looked,
                                (side->running + room(revoker, side)) * together, &pool, &leases, &n);
        if (vault_db_failed(vault, r, &failure))
                n = 0;
        r = 0;
        n = n > 0 ? leave_out_running(revoker, leases, n) : 0;
        for (size_t i = 0, taken; r == 0 && i < n && room(revoker, side) > 0; i += taken) {
                taken = revoke_attempt_together(vault, &leases[i], n - i);
                r = start_one(revoker, side, &leases[i], taken);
        }
        pool_deinit(&pool);
        return r;
}

static Side *find_side(const Revoker *revoker, const ProviderInfo *info, uint64_t number)
{
        LIST_FOREACH(node, &revoker->sides) {
                Side *side = container_of(node, Side, link);

                if (side->info == info && side->number == number)
                        return side;
        }
        return NULL;
}

/* Those of one provider of which something waits. */
static int find_sides(Revoker *revoker, const ProviderInfo *info)
{
        uint64_t number = 0;
        Failure failure;
        int r;

        for (; (r = rows_lease_next_side(revoker->vault->db, info->name, number, &number)) == 0; number++) {
                Side *side = find_side(revoker, info, number);

                if (side)
                        continue;
                side = calloc(1, sizeof(*side));
                if (!side)
                        return -ENOMEM;
                *side = (Side){ .info = info, .number = number };
                list_init(&side->link);
                list_append(&revoker->sides, &side->link);
        }
        if (r != DB_E_NOT_FOUND)
                (void)vault_db_failed(revoker->vault, r, &failure);
        return 0;
}

/* Each side in turn, so that the one with the most to do is not always the first. */
static int start_due(Revoker *revoker)
{
        List *first;
        int r = 0;

        /* Sealed values cannot be read; opening the store wakes this again. */
        if (!revoker->vault->seal || vault_boot(revoker->vault) < revoker->not_before)
                return 0;
        for (size_t i = 0; r == 0 && i < n_provider_infos; i++)
                r = find_sides(revoker, &provider_infos[i]);
        LIST_FOREACH(node, &revoker->sides)
                if (r == 0)
                        r = start_side(revoker, container_of(node, Side, link));
        first = revoker->sides.next;
        if (first != &revoker->sides) {
                list_remove(first);
                list_append(&revoker->sides, first);
        }
        return r;
}

/* What has outlived itself is over, whatever the upstream said or did not say. */
static int finish_expired(Revoker *revoker)
{
        Vault *vault = revoker->vault;
        Pool pool = POOL_NULL(PAGE_POOL_MAX);
        uint64_t now = vault_now(vault);
        LeaseRecord *leases;
        Failure failure;
        size_t n = 0;
        int r;

        r = rows_lease_list_expired(vault->db, now - MIN(now, EXPIRY_MARGIN_USEC), LIMIT_PAGE, &pool, &leases, &n);
        if (r == 0 && n > 0)
                r = db_begin(vault->db);
        for (size_t i = 0; r == 0 && i < n; i++) {
                AuditEvent event = {
                        .session = leases[i].session,
                        .profile = leases[i].profile,
                        .secret = leases[i].secret,
                        .lease = leases[i].id,
                        .operation = "lease.expire",
                        .verdict = AUDIT_ALLOW,
                };
                bool raw = leases[i].on_end == OUTCOME_IMPOSSIBLE_ROTATE;

                r = rows_lease_finish(vault->db, leases[i].id, raw ? LEASE_REVOKED : LEASE_EXPIRED,
                                      raw ? OUTCOME_IMPOSSIBLE_ROTATE : OUTCOME_NONE, now, "its lifetime is over");
                if (r == 0)
                        r = audit_append(vault->audit, &event);
        }
        if (r == 0 && n > 0)
                r = vault_commit(vault);
        revoker->more_expired = !vault_db_failed(vault, r, &failure) && n == LIMIT_PAGE;
        pool_deinit(&pool);
        return 0;
}

/* Wall time at which something of the side is to be begun. */
static int next_of_side(Revoker *revoker, const Side *side, uint64_t *wake)
{
        Vault *vault = revoker->vault;
        uint64_t now = revoker->looked, boot = vault_boot(vault), hold = MAX(side->not_before, revoker->not_before);
        uint64_t next;
        int r;

        /* What is due already waits for an attempt that is under way, or for the end of a hold. */
        r = rows_lease_next_attempt(vault->db, side->info->name, side->number, boot < hold ? 0 : now, &next);
        if (r == 0 && next != UINT64_MAX)
                *wake = MIN(*wake, boot < hold ? MAX(next, now + (hold - boot)) : next);
        return r;
}

static int arm(Revoker *revoker)
{
        Vault *vault = revoker->vault;
        uint64_t now = revoker->looked, wake = UINT64_MAX, expiry;
        Failure failure;
        int r;

        r = rows_lease_next_expiry(vault->db, &expiry);
        LIST_FOREACH(node, &revoker->sides)
                if (r == 0 && vault->seal)
                        r = next_of_side(revoker, container_of(node, Side, link), &wake);
        if (vault_db_failed(vault, r, &failure))
                wake = now + RETRY_LOCKED_USEC;
        else if (revoker->more_expired)
                wake = now;
        else if (expiry != UINT64_MAX)
                wake = MIN(wake, MAX(expiry, now + OVERDUE_USEC));
        if (wake == UINT64_MAX)
                timer_disarm(revoker->timer);
        else
                timer_arm_after(revoker->timer, wake > now ? MIN(wake - now, LOOK_USEC) : 0);
        return 0;
}

bool revoker_is_stuck(const Revoker *revoker, const ProviderInfo *info, uint64_t side)
{
        const Side *found = find_side(revoker, info, side);

        return found && found->failures >= STUCK_FAILURES;
}

int revoker_wake(Revoker *revoker)
{
        int r = 0;

        if (!revoker->vault->recovered)
                return 0;
        if (revoker->looking) {
                revoker->again = true;
                return 0;
        }
        revoker->looking = true;
        do {
                revoker->again = false;
                revoker->looked = vault_now(revoker->vault);
                r = finish_expired(revoker);
                if (r == 0)
                        r = start_due(revoker);
        } while (r == 0 && revoker->again);
        revoker->looking = false;
        return r == 0 ? arm(revoker) : r;
}
