/*
 * What becomes of the old value. It is in use nowhere behind a handle any more; but a session that was handed it raw
 * has it still, and gets some time, unless a person says that there is none.
 */
#include "vault/rotation.h"
#include "vault/rows_lease.h"
#include "vault/secret_revocation.h"
#include <stdio.h>

/* Whoever waits is told what the upstream said of it, if that is soon. */
#define CONFIRM_USEC  (10 * USEC_PER_SEC)
#define PAGE_POOL_MAX (4U * CHANNEL_FRAME_MAX)

typedef struct Retirement {
        SecretRevocation revocation;
        bool revoke;
        uint64_t holders; /* live leases by which it was handed out raw */
        uint64_t grace;   /* seconds */
} Retirement;

/* ---- who was handed it ---- */

typedef int (*HolderSeen)(Rotation *rotation, const LeaseRecord *lease);

/* Those of before this generation. */
static int each_holder(Rotation *rotation, uint64_t generation, HolderSeen seen, uint64_t *ret_n)
{
        uint64_t after = 0, count = 0;
        LeaseRecord *leases;
        Failure ignored;
        size_t n = LIMIT_PAGE;
        int r = 0;

        while (r >= 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(PAGE_POOL_MAX);

                r = rows_lease_list_raw(rotation->vault->db, rotation->name, generation - 1, after, LIMIT_PAGE, &pool,
                                        &leases, &n);
                if (vault_db_failed(rotation->vault, r, &ignored))
                        n = 0;
                r = 0;
                for (size_t i = 0; r >= 0 && i < n; i++) {
                        after = leases[i].sequence;
                        count++;
                        r = seen ? seen(rotation, &leases[i]) : 0;
                }
                pool_deinit(&pool);
        }
        if (ret_n)
                *ret_n = count;
        return r;
}

static int end_holder(Rotation *rotation, const LeaseRecord *lease)
{
        return session_end(rotation->vault, lease->session, "the secret that it was handed was rotated", NULL, NULL);
}

/* ---- what is decided ---- */

/* A person's rotation of what only a person can make again: that it may be revoked for good is for the owner to say. */
static bool may_revoke(const Rotation *rotation, const ProviderInfo *info)
{
        if (!info->can_revoke_secret || rotation->journal.kind == ROTATION_REPLACE)
                return false;
        return info->rotation != PROVIDER_ROTATION_GUIDED ||
               policy_secret(rotation->vault->policy, rotation->name)->revoke_upstream;
}

static uint64_t grace_of(const Rotation *rotation, uint64_t holders)
{
        if (rotation->journal.now)
                return 0;
        if (rotation->journal.grace > 0)
                return rotation->journal.grace;
        return holders > 0 ? policy_secret(rotation->vault->policy, rotation->name)->grace : 0;
}

static int write_retirement(Rotation *rotation, void *userdata)
{
        Retirement *retirement = userdata;

        return retirement->revoke ? secret_revocation_insert(rotation->vault, &retirement->revocation, rotation->revocation)
                                  : 0;
}

static int tell_retirement(Rotation *rotation, const LoadedSecret *secret, const Retirement *retirement)
{
        unsigned long long holders = retirement->holders, grace = retirement->grace;
        uint64_t generation = secret->record.generation;

        if (rotation->journal.now && holders > 0)
                return rotation_tell(rotation, "old_revoked", generation, "%llu session%s that had the old value itself %s.%s",
                                     holders, holders == 1 ? "" : "s", holders == 1 ? "was ended" : "were ended",
                                     retirement->revoke ? " The upstream is asked to revoke it." : "");
        if (rotation->journal.kind == ROTATION_REPLACE)
                return rotation_tell(rotation, "old_revoked", generation,
                                     "The upstream ended the old value when it made the new one.");
        if (!retirement->revoke)
                return 0; /* what to do by hand is the last word */
        if (grace > 0)
                return rotation_tell(rotation, "old_revoked", generation, "The old value lives on for %llu s%s.", grace,
                                     holders > 0 ? ", since a session has it itself" : "");
        return rotation_tell(rotation, "old_revoked", generation, "The upstream is asked to revoke the old value.");
}

int rotation_retire_old(Rotation *rotation, LoadedSecret *secret)
{
        Vault *vault = rotation->vault;
        Retirement retirement = {
                .revocation = {
                        .secret = &secret->record,
                        .generation = secret->record.generation - 1,
                        .value = secret->item.previous,
                        .secret_id = rotation->journal.old_secret_id[0] ? rotation->journal.old_secret_id : NULL,
                        .reason = "rotated",
                },
                .revoke = secret->item.previous && may_revoke(rotation, secret->info),
        };
        Failure failure;
        int r;

        r = each_holder(rotation, secret->record.generation, NULL, &retirement.holders);
        if (r < 0)
                return r;
        retirement.grace = grace_of(rotation, retirement.holders);
        if (retirement.grace > 0)
                retirement.revocation.not_before = vault_now(vault) + retirement.grace * USEC_PER_SEC;
        r = rotation_tell(rotation, "switched", secret->record.generation,
                          "The new value is in use; sessions that have a handle did not notice.");
        if (r < 0)
                return r;
        if (vault_db_failed(vault,
                            rotation_advance(rotation, ROTATION_SWITCHED, ROTATION_OLD_REVOKED, write_retirement,
                                             &retirement),
                            &failure))
                return rotation_retry(rotation, &failure);
        rotation->grace = retirement.revoke ? retirement.grace : 0;
        r = revoker_wake(vault->revoker);
        if (r >= 0)
                r = tell_retirement(rotation, secret, &retirement);
        return r < 0 ? r : rotation_step(rotation);
}

int rotation_end_holders(Rotation *rotation, uint64_t generation)
{
        return rotation->journal.now ? each_holder(rotation, generation, end_holder, NULL) : 0;
}

/* ---- the last word ---- */

static const char *by_hand(const ProviderInfo *info)
{
        return info && info->rotate_delete ? info->rotate_delete : "Delete the old value at the upstream.";
}

static int conclude(Rotation *rotation)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        LeaseRecord lease = { .state = LEASE_REVOKING };
        SecretRecord record = { .generation = 0 };
        const char *message = "The new value is in use.";
        bool pending = false;
        Failure ignored;
        int r;

        (void)vault_db_failed(rotation->vault,
                              rows_secret_get(rotation->vault->db, rotation->name, &pool, &record), &ignored);
        if (rotation->revocation[0]) {
                (void)vault_db_failed(rotation->vault,
                                      rows_lease_get(rotation->vault->db, rotation->revocation, &lease), &ignored);
                pending = lease.state == LEASE_REVOKING;
                message = !pending               ? "The new value is in use, and the old one is dead."
                          : rotation->grace > 0 ? "The new value is in use; the old one will be revoked when its time is over."
                                                 : "The new value is in use; the upstream has yet to confirm that the old "
                                                   "one is dead.";
        } else if (rotation->journal.kind == ROTATION_GUIDED) {
                message = by_hand(provider_info(record.provider));
        }
        r = rotation_finish(rotation, "done", record.generation, pending, message);
        pool_deinit(&pool);
        return r;
}

/* An attempt of the revoker's is over. */
static int on_settled(void *userdata, const char *lease)
{
        Rotation *rotation = userdata;

        return strcmp(lease, rotation->revocation) == 0 ? conclude(rotation) : 0;
}

static int on_patience_over(void *userdata)
{
        return conclude(userdata);
}

int rotation_conclude(Rotation *rotation)
{
        LeaseRecord lease;
        int r;

        change_end(&rotation->change);
        if (!rotation->request || !rotation->revocation[0] || rotation->grace > 0 ||
            rows_lease_get(rotation->vault->db, rotation->revocation, &lease) != 0 || lease.state != LEASE_REVOKING)
                return conclude(rotation);
        r = revoke_watch_new(&rotation->watch, rotation->vault->revoker, on_settled, rotation);
        if (r < 0)
                return r;
        rotation->timer = timer_free(rotation->timer);
        r = timer_new(&rotation->timer, rotation->vault->role.loop, on_patience_over, rotation);
        if (r == 0)
                timer_arm_after(rotation->timer, CONFIRM_USEC);
        return r;
}
