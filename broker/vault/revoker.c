#include "vault/revoker.h"
#include "vault/secret_load.h"
#include <stdio.h>

/* Attempts at once; the provider pool has more room, for those who wait for a token. */
#define ATTEMPTS_MAX 4U
#define RETRY_FIRST_USEC (1 * USEC_PER_SEC)
#define RETRY_MOST_USEC (300 * USEC_PER_SEC)
/* While the store is locked, the sealed value cannot be read; likewise for a state that cannot be written. */
#define RETRY_LOCKED_USEC (10 * USEC_PER_SEC)
/* What is overdue but was not begun: an expiry within its margin, or a state that cannot be written. */
#define OVERDUE_USEC (2 * USEC_PER_SEC)
/* An upstream's clock may be behind ours. */
#define EXPIRY_MARGIN_USEC (60 * USEC_PER_SEC)
#define PAGE_POOL_MAX (4U * CHANNEL_FRAME_MAX)

typedef struct Attempt {
        List link;
        Revoker *revoker;
        LeaseRecord lease;
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
        uint64_t not_before; /* boot clock: the state could not be written, so nothing is begun until then */
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
        LIST_FOREACH(node, &revoker->attempts)
                if (strcmp(container_of(node, Attempt, link)->lease.id, lease) == 0)
                        return true;
        return false;
}

static uint64_t retry_after(const LeaseRecord *lease, const Failure *failure)
{
        uint64_t wait = RETRY_FIRST_USEC;

        if (failure->fault == FAULT_KEYRING_LOCKED)
                return RETRY_LOCKED_USEC;
        for (uint64_t i = 0; i < lease->attempts && wait < RETRY_MOST_USEC; i++)
                wait *= 2;
        return MAX(MIN(wait, RETRY_MOST_USEC), failure->retry_after_usec);
}

/* Writes down how an attempt went. */
static int record(Revoker *revoker, const LeaseRecord *lease, const Failure *failure)
{
        Vault *vault = revoker->vault;
        bool done = !failed(failure) || failure->fault == FAULT_UPSTREAM_GONE;
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
                r = rows_lease_finish(vault->db, lease->id, LEASE_REVOKED, OUTCOME_CONFIRMED, vault_now(vault),
                                      lease->reason[0] ? lease->reason : "revoked");
        else if (r == 0)
                r = rows_lease_retry(vault->db, lease->id, vault_now(vault) + retry_after(lease, failure),
                                     failure->message);
        if (r == DB_E_NOT_FOUND)
                r = 0; /* it expired meanwhile */
        if (r == 0)
                r = vault_audit_revocation(vault, &event);
        return r == 0 ? vault_commit(vault) : r;
}

static int settle(Attempt *attempt, const Failure *failure)
{
        Revoker *revoker = attempt->revoker;
        char lease[IDENT_ID_SIZE + 1];
        Failure ignored;
        int r;

        (void)snprintf(lease, sizeof(lease), "%s", attempt->lease.id);
        list_remove(&attempt->link);
        revoker->n_attempts--;
        /* What could not be written down is due again at once; the upstream must not be asked in a loop. */
        if (vault_db_failed(revoker->vault, record(revoker, &attempt->lease, failure), &ignored))
                revoker->not_before = vault_boot(revoker->vault) + RETRY_LOCKED_USEC;
        free(attempt);
        r = tell_watches(revoker, lease);
        return r < 0 ? r : revoker_wake(revoker);
}

static int on_revoked(void *userdata, void *body, const Failure *failure)
{
        const ProviderRevokeReply *reply = body;
        Failure mine = *failure;

        /* A confirmation is a probe that was refused; asking once more does no harm. */
        if (!failed(&mine) && !reply->probed)
                failure_set(&mine, FAULT_UPSTREAM_UNKNOWN,
                            "The upstream took the revocation, but could not be asked whether it refuses the token.");
        return settle(userdata, &mine);
}

/* Asks the upstream. The lease carries all that is needed, sealed. */
static int attempt_start(Attempt *attempt)
{
        Vault *vault = attempt->revoker->vault;
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        _cleanup_(secret_freep) Secret *token = NULL;
        LeaseUpstream binding = { 0 };
        Failure failure = { 0 };
        int r;

        r = rows_lease_upstream(vault->db, attempt->lease.id, &pool, &binding);
        if (r == 0)
                r = rows_lease_token(vault->db, attempt->lease.id, vault->role.arena, &token);
        if (r == DB_E_NOT_FOUND && attempt->lease.upstream_id[0])
                r = 0;
        if (vault_db_failed(vault, r, &failure)) {
                pool_deinit(&pool);
                return settle(attempt, &failure);
        }
        Upstream upstream = {
                .provider = attempt->lease.provider,
                .base_url = binding.base_url,
                .parameters = binding.parameters,
        };
        ProviderRevokeRequest request = {
                .upstream = &upstream,
                .token = token,
                .upstream_id = attempt->lease.upstream_id[0] ? attempt->lease.upstream_id : NULL,
        };
        r = provider_pool_run(vault->providers, attempt->lease.provider, PROVIDER_REVOKE, &request, on_revoked, attempt);
        pool_deinit(&pool);
        return r;
}

/* Starts what is due, as far as there is room. */
static int start_due(Revoker *revoker)
{
        Pool pool = POOL_NULL(PAGE_POOL_MAX);
        LeaseRecord *leases;
        Failure failure;
        size_t n = 0;
        int r;

        if (revoker->n_attempts >= ATTEMPTS_MAX || vault_boot(revoker->vault) < revoker->not_before)
                return 0;
        r = rows_lease_list_due(revoker->vault->db, vault_now(revoker->vault), 2 * ATTEMPTS_MAX, &pool, &leases, &n);
        if (vault_db_failed(revoker->vault, r, &failure))
                n = 0;
        r = 0;
        for (size_t i = 0; r == 0 && i < n && revoker->n_attempts < ATTEMPTS_MAX; i++) {
                Attempt *attempt;

                if (is_under_way(revoker, leases[i].id))
                        continue;
                attempt = calloc(1, sizeof(*attempt));
                if (!attempt) {
                        r = -ENOMEM;
                        break;
                }
                list_init(&attempt->link);
                attempt->revoker = revoker;
                attempt->lease = leases[i];
                list_append(&revoker->attempts, &attempt->link);
                revoker->n_attempts++;
                r = attempt_start(attempt);
        }
        pool_deinit(&pool);
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
        (void)vault_db_failed(vault, r, &failure);
        pool_deinit(&pool);
        return 0;
}

static int arm(Revoker *revoker)
{
        Vault *vault = revoker->vault;
        uint64_t wake, now = vault_now(vault);
        Failure failure;

        if (vault_db_failed(vault, rows_lease_next_wake(vault->db, &wake), &failure))
                wake = now + RETRY_LOCKED_USEC;
        if (wake == UINT64_MAX)
                timer_disarm(revoker->timer);
        else if (revoker->n_attempts < ATTEMPTS_MAX) /* else the end of an attempt wakes it */
                timer_arm_after(revoker->timer, wake > now ? MIN(wake - now, 60 * USEC_PER_SEC) : OVERDUE_USEC);
        return 0;
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
                r = finish_expired(revoker);
                if (r == 0)
                        r = start_due(revoker);
        } while (r == 0 && revoker->again);
        revoker->looking = false;
        return r == 0 ? arm(revoker) : r;
}
