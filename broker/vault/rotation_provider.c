/*
 * The provider makes the new value. It is asked once a rotation, under a label that is durable before: when its answer
 * is lost, what it may have made is ended by that label where both values live on; where making one kills the other,
 * the old one is asked for. While that is not known, nothing is made.
 */
#include "vault/rotation.h"
#include "base/text.h"
#include "vault/known_values.h"
#include "vault/secret_revocation.h"
#include <stdio.h>

/* A request of ours may still be on its way when its answer is given up: one look says nothing yet. */
#define SETTLE_USEC (2 * USEC_PER_SEC)
#define PROBES      2U

/* ---- before the upstream is asked ---- */

static int write_begin(Rotation *rotation, UNUSED void *userdata)
{
        return rows_rotation_begin(rotation->vault->db, rotation->name, &rotation->journal);
}

static int plan(Rotation *rotation, const LoadedSecret *secret)
{
        RotationRecord *journal = &rotation->journal;
        Ident ident = ident_new('r');
        Failure failure = { 0 };
        int r;

        journal->kind = secret->info->rotation == PROVIDER_ROTATION_REPLACE ? ROTATION_REPLACE : ROTATION_CREATE;
        journal->began = vault_now(rotation->vault);
        (void)snprintf(journal->label, sizeof(journal->label), "mcpcred-%s", ident.text);
        (void)snprintf(journal->old_secret_id, sizeof(journal->old_secret_id), "%s",
                       secret->record.secret_id ? secret->record.secret_id : "");
        if (vault_db_failed(rotation->vault,
                            rotation_advance(rotation, ROTATION_NONE, ROTATION_PLANNED, write_begin, NULL), &failure))
                return rotation_fail(rotation, &failure);
        rotation->first = false;
        rotation->may_ask = true;
        r = rotation_tell(rotation, "planned", secret->record.generation, "%s: a new value is asked for%s.",
                          secret->info->title,
                          journal->kind == ROTATION_REPLACE ? "; the old one dies when it is made" : "");
        return r < 0 ? r : rotation_step(rotation);
}

/* The store takes what it has: it will take the new value, which is there only once. */
static int on_proven(void *userdata, Secret *value, const Failure *failure)
{
        Rotation *rotation = userdata;

        secret_free(value);
        if (failed(failure))
                return rotation_fail(rotation, failure);
        rotation->proven = true;
        return rotation_step(rotation);
}

static int prove_store(Rotation *rotation, LoadedSecret *secret)
{
        _cleanup_(secret_freep) Secret *text = NULL;
        SecretItem item = secret->item;
        Failure failure;

        item.next = NULL;
        if (secret_item_encode(&item, rotation->vault->role.arena, &text)) {
                failure_set(&failure, FAULT_BUSY, "The broker's memory for secrets is full.");
                return rotation_fail(rotation, &failure);
        }
        return keyring_client_store(rotation->vault->keyring, rotation->name, text, on_proven, rotation);
}

static int on_old_verified(Rotation *rotation, void *body, const Failure *failure)
{
        SecretRecord said = { .generation = 0 };
        Failure mine = *failure;

        if (mine.fault == FAULT_UPSTREAM_ROOT_INVALID) {
                failure_set(&mine, FAULT_UPSTREAM_ROOT_INVALID,
                            "The upstream refuses the value that is in use, so it cannot be asked for a new one with it.");
                (void)snprintf(mine.remedy, sizeof(mine.remedy),
                               "Make a new value there and give it to `mcpcred rotate %s --paste`.", rotation->name);
        }
        if (failed(&mine))
                return rotation_fail(rotation, &mine);
        if (rotation_keep_said(body, &rotation->pool, &said) < 0)
                failure_set(&mine, FAULT_BUSY, NULL);
        else
                (void)vault_db_failed(rotation->vault, rows_secret_note(rotation->vault->db, rotation->name, &said),
                                      &mine);
        if (failed(&mine))
                return rotation_fail(rotation, &mine);
        rotation->checked = true;
        return rotation_step(rotation);
}

/* Comes back here, with the secret loaded anew, until all is done that comes before the intent. */
int rotation_provider_begin(Rotation *rotation, LoadedSecret *secret)
{
        ProviderVerifyRequest verify = { 0 };
        Failure failure;

        if (secret->info->rotation == PROVIDER_ROTATION_GUIDED) {
                failure_set(&failure, FAULT_INVALID_PARAMETER,
                            "A new value of this has to be made by a person; it comes as one descriptor.");
                return rotation_fail(rotation, &failure);
        }
        if (secret->info->can_verify && !rotation->checked)
                return rotation_ask(rotation, secret, secret->item.current, PROVIDER_VERIFY, &verify, on_old_verified);
        if (secret->info->rotation == PROVIDER_ROTATION_REPLACE && !rotation->proven)
                return prove_store(rotation, secret);
        return plan(rotation, secret);
}

/* ---- created ---- */

static int write_created(Rotation *rotation, void *userdata)
{
        const SecretRecord *record = userdata;
        RotationRecord journal = rotation->journal;
        int r;

        journal.expires = rotation->made.expires;
        memcpy(journal.secret_id, rotation->made.secret_id, sizeof(journal.secret_id));
        if (rotation->made.old_secret_id[0])
                memcpy(journal.old_secret_id, rotation->made.old_secret_id, sizeof(journal.old_secret_id));
        r = rows_rotation_created(rotation->vault->db, rotation->name, &journal, rotation->value);
        return r ? r : known_values_note(rotation->vault, rotation->name, record->next_generation, rotation->value);
}

/* It is in the keyring, while the state cannot be written. */
static int on_kept(void *userdata, Secret *value, const Failure *failure)
{
        Rotation *rotation = userdata;
        Failure mine;

        secret_free(value);
        if (failed(failure))
                return rotation_retry(rotation, failure);
        failure_set(&mine, FAULT_AUDIT_UNAVAILABLE, "The new value is in the store; the state cannot be written.");
        return rotation_retry(rotation, &mine);
}

/* The value is here, and nowhere else: it goes to the state before anything is asked of the keyring, which may not
 * answer. Where the state does not take it, it goes to the keyring. `secret` is NULL as long as that was not loaded. */
static int keep(Rotation *rotation, const LoadedSecret *secret)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        SecretRecord record;
        SecretItem item;
        Failure failure;
        int r;

        r = rows_secret_get(rotation->vault->db, rotation->name, &pool, &record);
        if (r == 0)
                r = rotation_advance(rotation, ROTATION_PLANNED, ROTATION_CREATED, write_created, &record);
        pool_deinit(&pool);
        if (!vault_db_failed(rotation->vault, r, &failure)) {
                r = rotation_tell(rotation, "created", 0, "The upstream made a new value; it is kept sealed.");
                return r < 0 ? r : rotation_step(rotation);
        }
        if (!secret)
                return rotation_step(rotation);
        item = secret->item;
        item.next = rotation->value;
        return rotation_store(rotation, &item, on_kept);
}

int rotation_provider_created(Rotation *rotation, LoadedSecret *secret)
{
        Failure failure;
        int r = 0;

        if (!rotation->value)
                r = rows_rotation_value(rotation->vault->db, rotation->name, rotation->vault->role.arena,
                                        &rotation->value);
        if (r == DB_E_NOT_FOUND || r == DB_E_DAMAGED) {
                db_rollback(rotation->vault->db);
                return rotation_needs_human(rotation, "The state has lost the value that the upstream made for this "
                                                      "rotation (%s): it is damaged, or another copy.",
                                            rotation->journal.label);
        }
        if (vault_db_failed(rotation->vault, r, &failure))
                return rotation_retry(rotation, &failure);
        if (secret_equal(secret->item.current, secret_slice(rotation->value))) {
                /* Nobody is to end it as what was made for this rotation. */
                if (vault_db_failed(rotation->vault, rows_rotation_forget_value(rotation->vault->db, rotation->name), &failure))
                        return rotation_retry(rotation, &failure);
                return rotation_needs_human(rotation, "What the upstream gave as a new value is the old one.");
        }
        return rotation_store_next(rotation, secret);
}

int rotation_provider_end_made(Rotation *rotation, void *userdata)
{
        const RotationRecord *journal = userdata ? userdata : &rotation->journal;
        Vault *vault = rotation->vault;
        _cleanup_(secret_freep) Secret *value = NULL;
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        char lease[IDENT_ID_SIZE + 1];
        SecretRevocation revocation = {
                .secret_id = journal->secret_id[0] ? journal->secret_id : NULL,
                .reason = "made for a rotation that was dropped",
        };
        const ProviderInfo *info;
        SecretRecord record;
        int r;

        r = rows_rotation_value(vault->db, rotation->name, vault->role.arena, &value);
        if (r == DB_E_NOT_FOUND)
                return 0; /* nothing was made, or the label has ended it */
        if (r == 0)
                r = rows_secret_get(vault->db, rotation->name, &pool, &record);
        if (r)
                return r;
        info = provider_info(record.provider);
        if (!info || !info->can_revoke_secret)
                return 0;
        revocation.secret = &record;
        revocation.value = value;
        revocation.generation = record.generation + 1;
        return secret_revocation_insert(vault, &revocation, lease);
}

/* ---- the answer ---- */

/* Nothing happened at the upstream, for certain. */
static bool is_refusal(const Failure *failure)
{
        switch (failure->fault) {
        case FAULT_BUSY:
        case FAULT_UNAVAILABLE:
        case FAULT_INVALID_PARAMETER:
        case FAULT_UNSUPPORTED:
        case FAULT_UPSTREAM_ROOT_INVALID:
        case FAULT_UPSTREAM_DENIED:
        case FAULT_UPSTREAM_NO_TARGET:
        case FAULT_UPSTREAM_BAD_SCOPE:
        case FAULT_UPSTREAM_RATE_LIMITED:
        case FAULT_UPSTREAM_UNREACHABLE:
                return true;
        default:
                return false;
        }
}

/* Whoever wants to abort it has what he wants. */
static int tell_aborter(Rotation *rotation, const char *told)
{
        const RotateReply reply = { .step = "aborted", .message = told };

        return rotation->aborter ? request_reply(take_ptr(rotation->aborter), &reply, NULL, 0) : 0;
}

static int refused(Rotation *rotation, const Failure *failure)
{
        Failure mine;
        int r;

        if (vault_db_failed(rotation->vault, rotation_leave(rotation, "refused", NULL, NULL), &mine)) {
                rotation->dropping = true;
                rotation->why = *failure;
                return rotation_retry(rotation, &mine);
        }
        r = tell_aborter(rotation, "The upstream made nothing; the old value is in use as before.");
        return r < 0 ? r : rotation_fail(rotation, failure);
}

/* What came as a value may be none, or nothing new: to end that, should the rotation be dropped, would be to end what is in
 * use. Then it is as lost as one that did not come. */
static bool is_of_use(const Rotation *rotation)
{
        Pool pool = POOL_NULL(2U * CHANNEL_FRAME_MAX);
        const ProviderInfo *info = NULL;
        SecretRecord record;
        Failure ignored;
        bool valid, known = false;

        if (rows_secret_get(rotation->vault->db, rotation->name, &pool, &record) == 0)
                info = provider_info(record.provider);
        pool_deinit(&pool);
        valid = !info || secret_value_is_valid(info, rotation->value, rotation->vault->role.arena, &ignored);
        if (valid && vault_db_failed(rotation->vault, known_values_has(rotation->vault, rotation->value, &known), &ignored))
                known = false; /* it is compared with the one in use once more, before it is stored */
        return valid && !known;
}

static int lost(Rotation *rotation, const char *why)
{
        int r = rotation_tell(rotation, "lost", 0, "The upstream's answer is lost: %s It is being found out what came of it.",
                              why);

        return r < 0 ? r : rotation_step(rotation);
}

static int on_rotated(Rotation *rotation, void *body, const Failure *failure)
{
        ProviderRotateReply *reply = body;

        if (failed(failure))
                return is_refusal(failure) ? refused(rotation, failure) : lost(rotation, failure->message);
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without a body there is a failure */
        rotation->value = take_ptr(reply->secret);
        rotation->made.expires = reply->expires;
        (void)snprintf(rotation->made.secret_id, sizeof(rotation->made.secret_id), "%s",
                       reply->secret_id ? reply->secret_id : "");
        (void)snprintf(rotation->made.old_secret_id, sizeof(rotation->made.old_secret_id), "%s",
                       reply->old_secret_id ? reply->old_secret_id : "");
        if (is_of_use(rotation))
                return keep(rotation, NULL);
        rotation->value = secret_free(rotation->value);
        return lost(rotation, "what came as a new value is none.");
}

/* ---- a lost answer ---- */

/* As if nothing had been asked. */
static int over(Rotation *rotation, const char *told)
{
        Failure failure;
        int r;

        rotation->journal.stuck = false; /* the old value works, whatever was */
        if (vault_db_failed(rotation->vault, rotation_leave(rotation, "lost", NULL, NULL), &failure))
                return rotation_retry(rotation, &failure);
        r = tell_aborter(rotation, told);
        if (r < 0)
                return r;
        failure_set(&failure, FAULT_UPSTREAM_UNKNOWN, "The upstream's answer was lost. %s", told);
        (void)snprintf(failure.remedy, sizeof(failure.remedy), "Rotate it again.");
        return rotation_fail(rotation, &failure);
}

static int settle(Rotation *rotation, const char *told)
{
        if (++rotation->probes < PROBES)
                return rotation_wait(rotation, SETTLE_USEC, "Whether the lost request still arrives at the upstream.");
        return over(rotation, told);
}

static int on_abandoned(Rotation *rotation, void *body, const Failure *failure)
{
        const ProviderAbandonReply *reply = body;

        if (failed(failure) && rotation_is_passing(failure))
                return rotation_retry(rotation, failure);
        if (failed(failure))
                return rotation_needs_human(rotation,
                                            "The upstream's answer was lost, and it does not say what it made: %s Look "
                                            "there for a key labelled %s and delete it.",
                                            failure->message, rotation->journal.label);
        if (reply->ended > 0)
                rotation->probes = MAX(rotation->probes, PROBES - 1); /* that was it */
        return settle(rotation, "What it made, if anything, is ended; the old value is in use as before.");
}

static int on_probed(Rotation *rotation, UNUSED void *body, const Failure *failure)
{
        if (!failed(failure))
                return settle(rotation, "It still accepts the old value, so nothing was made; that is in use as before.");
        if (failure->fault == FAULT_UPSTREAM_ROOT_INVALID)
                return rotation_needs_human(rotation,
                                            "The upstream's answer to a rotation was lost, and it refuses the old value "
                                            "now: it made a new one that nobody has.");
        return rotation_retry(rotation, failure);
}

static int find_out(Rotation *rotation, LoadedSecret *secret)
{
        ProviderAbandonRequest abandon = { .label = rotation->journal.label };
        ProviderVerifyRequest verify = { 0 };

        if (rotation->journal.kind == ROTATION_CREATE)
                return rotation_ask(rotation, secret, secret->item.current, PROVIDER_ABANDON, &abandon, on_abandoned);
        if (!secret->info->can_verify)
                return rotation_needs_human(rotation, "The upstream's answer to a rotation was lost, and there is no way "
                                                      "to ask it whether the old value still works.");
        return rotation_ask(rotation, secret, secret->item.current, PROVIDER_VERIFY, &verify, on_probed);
}

/* ---- planned ---- */

int rotation_provider_planned(Rotation *rotation, LoadedSecret *secret)
{
        ProviderRotateRequest request = { .label = rotation->journal.label };

        if (!rotation->value) /* the state could not be written when it came */
                rotation->value = take_ptr(secret->item.next);
        if (rotation->value)
                return keep(rotation, secret);
        if (!rotation->may_ask)
                return find_out(rotation, secret);
        rotation->may_ask = false;
        return rotation_ask(rotation, secret, secret->item.current, PROVIDER_ROTATE, &request, on_rotated);
}

/* ---- a person has looked ---- */

static int accept_old(Rotation *rotation, const char *told)
{
        Failure failure;
        int r;

        rotation->journal.stuck = false;
        if (vault_db_failed(rotation->vault,
                            rotation_leave(rotation, "aborted", rotation_provider_end_made, &rotation->journal), &failure))
                return rotation_fail(rotation, &failure);
        r = revoker_wake(rotation->vault->revoker);
        return r < 0 ? r : rotation_finish(rotation, "aborted", 0, false, told);
}

static int on_looked(Rotation *rotation, UNUSED void *body, const Failure *failure)
{
        Failure mine = *failure;

        if (!failed(&mine))
                return accept_old(rotation, "The upstream accepts the old value; it is in use as before.");
        if (mine.fault == FAULT_UPSTREAM_ROOT_INVALID) {
                failure_set(&mine, FAULT_NEEDS_HUMAN, "The upstream refuses the old value, as before.");
                (void)snprintf(mine.remedy, sizeof(mine.remedy),
                               "Make a new value there and give it to `mcpcred rotate %s --paste`.", rotation->name);
        }
        return rotation_fail(rotation, &mine);
}

int rotation_provider_look_again(Rotation *rotation, LoadedSecret *secret)
{
        ProviderVerifyRequest verify = { 0 };

        if (!secret->info->can_verify)
                return accept_old(rotation, "The old value is in use as before; whether it works cannot be asked.");
        return rotation_ask(rotation, secret, secret->item.current, PROVIDER_VERIFY, &verify, on_looked);
}
