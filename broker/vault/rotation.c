#include "vault/rotation.h"
#include "base/text.h"
#include "vault/known_values.h"
#include "vault/proxy_grants.h"
#include <stdarg.h>
#include <stdio.h>

#define POOL_MAX (4U * CHANNEL_FRAME_MAX)

/* ---- the state ---- */

int rotation_advance(Rotation *rotation, RotationStep from, RotationStep to,
                     int (*also)(Rotation *rotation, void *userdata), void *userdata)
{
        Vault *vault = rotation->vault;
        AuditEvent event = rotation_event(rotation);
        int r;

        event.verdict = AUDIT_ALLOW;
        event.reason = to == ROTATION_NONE ? "done" : rotation_step_names[to];
        if (to == ROTATION_PLANNED && rotation->journal.cause[0])
                event.detail = rotation->journal.cause;
        r = db_begin(vault->db);
        if (r == 0 && to == ROTATION_PLANNED)
                r = rows_secret_rotation_plan(vault->db, rotation->name, vault_now(vault));
        else if (r == 0)
                r = rows_secret_rotation_advance(vault->db, rotation->name, from, to, vault_now(vault));
        if (r == 0 && also)
                r = also(rotation, userdata);
        if (r == 0)
                r = audit_append(vault->audit, &event);
        if (r == 0)
                r = vault_commit(vault);
        if (r == 0)
                rotation->journal.attempts = 0;
        return r;
}

int rotation_leave(Rotation *rotation, const char *reason, int (*also)(Rotation *rotation, void *userdata),
                   void *userdata)
{
        Vault *vault = rotation->vault;
        RotationStep to = rotation->has_journal && rotation->journal.stuck ? ROTATION_NEEDS_HUMAN : ROTATION_NONE;
        AuditEvent event = rotation_event(rotation);
        int r;

        if (rotation->abort_asked && !failed(&rotation->why)) {
                event.has_principal = true;
                event.principal = rotation->aborted_by.uid;
        }
        event.verdict = AUDIT_ALLOW;
        event.reason = reason;
        r = db_begin(vault->db);
        if (r == 0)
                r = rows_secret_rotation_abort(vault->db, rotation->name, to, vault_now(vault));
        if (r == 0 && also)
                r = also(rotation, userdata);
        if (r == 0 && to == ROTATION_NONE)
                r = rows_rotation_end(vault->db, rotation->name);
        if (r == 0)
                r = audit_append(vault->audit, &event);
        return r == 0 ? vault_commit(vault) : r;
}

int rotation_needs_human(Rotation *rotation, const char *format, ...)
{
        Vault *vault = rotation->vault;
        RotationRecord *journal = &rotation->journal;
        AuditEvent event = rotation_event(rotation);
        Failure failure, mine;
        va_list args;
        int r;

        va_start(args, format);
        (void)vsnprintf(journal->problem, sizeof(journal->problem), format, args);
        va_end(args);
        text_mend_end(journal->problem);
        journal->next_attempt = 0;
        event.verdict = AUDIT_ERROR;
        event.reason = rotation_step_names[ROTATION_NEEDS_HUMAN];
        event.detail = journal->problem;
        r = db_begin(vault->db);
        if (r == 0)
                r = rows_secret_rotation_abort(vault->db, rotation->name, ROTATION_NEEDS_HUMAN, vault_now(vault));
        if (r == 0)
                r = rows_rotation_attempt(vault->db, rotation->name, journal);
        if (r == 0)
                r = audit_append(vault->audit, &event);
        if (r == 0)
                r = vault_commit(vault);
        if (vault_db_failed(vault, r, &mine))
                return rotation_retry(rotation, &mine);
        role_log(&vault->role, LOG_LEVEL_ERROR, "rotation of %s needs a person: %s", rotation->name, journal->problem);
        failure_set(&failure, FAULT_NEEDS_HUMAN, "%s", journal->problem);
        (void)snprintf(failure.remedy, sizeof(failure.remedy),
                       "Make a new value at the upstream and give it to `mcpcred rotate %s --paste`; or, if the old one "
                       "works after all, `mcpcred rotate %s --abort`.",
                       rotation->name, rotation->name);
        r = 0;
        if (rotation->request)
                r = failure_answer(&failure, take_ptr(rotation->request));
        if (r >= 0 && rotation->aborter)
                r = failure_answer(&failure, take_ptr(rotation->aborter));
        rotation_free(rotation);
        return r < 0 ? r : 0;
}

/* ---- the item ---- */

int rotation_store(Rotation *rotation, const SecretItem *item, KeyringItemDone done)
{
        _cleanup_(secret_freep) Secret *text = NULL;
        Failure failure;

        if (secret_item_encode(item, rotation->vault->role.arena, &text)) {
                failure_set(&failure, FAULT_BUSY, "The broker's memory for secrets is full.");
                return rotation_retry(rotation, &failure);
        }
        return keyring_client_store(rotation->vault->keyring, rotation->name, text, done, rotation);
}

static int note_value(Rotation *rotation, void *userdata)
{
        const SecretRecord *record = userdata;

        return known_values_note(rotation->vault, rotation->name, record->next_generation, rotation->value);
}

static int on_next_stored(void *userdata, Secret *value, const Failure *failure)
{
        Rotation *rotation = userdata;
        bool guided = rotation->journal.kind == ROTATION_GUIDED;
        Pool pool = POOL_NULL(POOL_MAX);
        SecretRecord record;
        Failure mine = *failure;
        int r;

        secret_free(value);
        if (!failed(&mine)) {
                r = rows_secret_get(rotation->vault->db, rotation->name, &pool, &record);
                if (r == 0 && record.step != ROTATION_STORED) /* dropping it may have been cut off */
                        r = rotation_advance(rotation, record.step, ROTATION_STORED, note_value, &record);
                pool_deinit(&pool);
                (void)vault_db_failed(rotation->vault, r, &mine);
        }
        if (!failed(&mine)) {
                rotation->value = secret_free(rotation->value);
                return rotation_step(rotation);
        }
        if (!guided)
                return rotation_retry(rotation, &mine);
        /* Whoever made it has it still. */
        rotation->value = secret_free(rotation->value);
        rotation->dropping = true;
        rotation->why = mine;
        return rotation_step(rotation);
}

int rotation_store_next(Rotation *rotation, LoadedSecret *secret)
{
        SecretItem item = secret->item;

        item.next = rotation->value;
        return rotation_store(rotation, &item, on_next_stored);
}

/* ---- leaving it ---- */

/* What whoever waits for a rotation is told that somebody else has aborted. */
static void aborted_failure(const Rotation *rotation, Failure *ret)
{
        failure_set(ret, FAULT_BUSY, "The rotation was aborted.");
        (void)snprintf(ret->remedy, sizeof(ret->remedy), "`mcpcred rotate %s` begins another.", rotation->name);
}

static int on_dropped(void *userdata, Secret *value, const Failure *failure)
{
        Rotation *rotation = userdata;
        bool made = rotation->has_journal && rotation->journal.kind == ROTATION_CREATE;
        const char *told = rotation->journal.stuck ? "The rotation was dropped; a person is needed as before."
                                                   : "The rotation was dropped; the old value is in use as before.";
        Failure why = rotation->why, mine = *failure;
        RotateReply reply = { .step = "aborted", .message = told };
        int r;

        secret_free(value);
        if (failed(&mine) ||
            vault_db_failed(rotation->vault,
                            rotation_leave(rotation, failed(&why) ? "rejected" : "aborted",
                                           made ? rotation_provider_end_made : NULL, NULL),
                            &mine))
                return rotation_retry(rotation, &mine);
        r = revoker_wake(rotation->vault->revoker);
        if (r >= 0 && rotation->aborter)
                r = request_reply(take_ptr(rotation->aborter), &reply, NULL, 0);
        if (r < 0)
                return r;
        if (rotation->journal.kind == ROTATION_GUIDED && why.fault == FAULT_UPSTREAM_ROOT_INVALID)
                (void)snprintf(why.remedy, sizeof(why.remedy),
                               "The old value is in use as before. Check the new one, and repeat `mcpcred rotate %s` with it.",
                               rotation->name);
        if (failed(&why))
                return rotation_fail(rotation, &why);
        if (!rotation->request)
                return rotation_finish(rotation, "aborted", 0, false, told);
        aborted_failure(rotation, &why);
        return rotation_fail(rotation, &why);
}

int rotation_drop(Rotation *rotation, LoadedSecret *secret, const Failure *why)
{
        SecretItem item = secret->item;
        Failure none = { 0 };

        rotation->dropping = true;
        rotation->why = *why;
        if (!item.next)
                return on_dropped(rotation, NULL, &none);
        item.next = NULL;
        return rotation_store(rotation, &item, on_dropped);
}

/* ---- verified: the switch ---- */

static int write_switch(Rotation *rotation, UNUSED void *userdata)
{
        Db *db = rotation->vault->db;
        SecretRecord said = rotation->said;
        int r;

        if (!said.secret_id && rotation->journal.secret_id[0])
                said.secret_id = rotation->journal.secret_id;
        if (said.expires == 0)
                said.expires = rotation->journal.expires;
        r = rows_secret_note(db, rotation->name, &said);
        return r == 0 ? rows_rotation_forget_value(db, rotation->name) : r;
}

static int on_switched(void *userdata, Secret *value, const Failure *failure)
{
        Rotation *rotation = userdata;
        Failure mine = *failure;

        secret_free(value);
        if (failed(&mine) ||
            vault_db_failed(rotation->vault,
                            rotation_advance(rotation, ROTATION_VERIFIED, ROTATION_SWITCHED, write_switch, NULL), &mine))
                return rotation_retry(rotation, &mine);
        proxy_grants_refresh(rotation->vault->proxy_grants, rotation->name);
        rotation_schedule_wake(rotation->vault->schedule);
        return rotation_step(rotation);
}

static int switch_over(Rotation *rotation, LoadedSecret *secret)
{
        SecretItem item = secret->item;
        Failure none = { 0 };

        if (item.generation == secret->record.next_generation)
                return on_switched(rotation, NULL, &none); /* done by an earlier run */
        item.previous = secret->item.current;
        item.current = secret->item.next;
        item.next = NULL;
        item.generation = secret->record.next_generation;
        return rotation_store(rotation, &item, on_switched);
}

/* ---- old_revoked: the end ---- */

static int write_end(Rotation *rotation, UNUSED void *userdata)
{
        return rows_rotation_end(rotation->vault->db, rotation->name);
}

static int on_previous_dropped(void *userdata, Secret *value, const Failure *failure)
{
        Rotation *rotation = userdata;
        Failure mine = *failure;

        secret_free(value);
        if (failed(&mine) ||
            vault_db_failed(rotation->vault,
                            rotation_advance(rotation, ROTATION_OLD_REVOKED, ROTATION_NONE, write_end, NULL), &mine))
                return rotation_retry(rotation, &mine);
        return rotation_conclude(rotation);
}

static int drop_previous(Rotation *rotation, LoadedSecret *secret)
{
        SecretItem item = secret->item;
        int r = rotation_end_holders(rotation, secret->record.generation);

        if (r < 0)
                return r;
        item.previous = NULL;
        return rotation_store(rotation, &item, on_previous_dropped);
}

/* ---- where it stands ---- */

static int abort_step(Rotation *rotation, LoadedSecret *secret)
{
        Request *aborter = rotation->aborter;
        RotationStep step = secret->record.step;
        Failure none = { 0 }, failure;
        int r;

        if (step == ROTATION_NEEDS_HUMAN)
                return rotation_provider_look_again(rotation, secret);
        if (step == ROTATION_PLANNED && rotation->journal.kind != ROTATION_GUIDED && rotation->has_journal)
                return rotation_provider_planned(rotation, secret);
        rotation->abort = false;
        if (rotation_has_switched(step) || secret->item.generation != secret->record.generation)
                return rotation_step(rotation); /* the new value is in use already: it can only be finished */
        if (rotation->has_journal && rotation->journal.kind == ROTATION_REPLACE) {
                rotation->aborter = NULL;
                failure_set(&failure, FAULT_BUSY,
                            "The upstream ended the old value of %s when it made the new one: the rotation can only go "
                            "on, which it does by itself.",
                            rotation->name);
                failure.remedy[0] = '\0';
                r = aborter ? failure_answer(&failure, aborter) : 0;
                return r < 0 ? r : rotation_step(rotation);
        }
        return rotation_drop(rotation, secret, &none);
}

/* There is nothing in the state; somebody may have asked for one a moment ago, and that is dropped. */
static int abort_unbegun(Rotation *rotation, uint64_t generation)
{
        RotateReply reply = { .step = "none", .message = "No rotation is under way.", .generation = generation };
        Failure failure;
        int r;

        if (rotation->request) {
                reply.step = "aborted";
                reply.message = "It was only being prepared; the old value is in use as before.";
        }
        r = rotation->aborter ? request_reply(take_ptr(rotation->aborter), &reply, NULL, 0) : 0;
        if (r < 0)
                return r;
        if (!rotation->request) {
                rotation_free(rotation);
                return 0;
        }
        aborted_failure(rotation, &failure);
        return rotation_fail(rotation, &failure);
}

static int on_first(Rotation *rotation, LoadedSecret *secret)
{
        RotationRecord stands;
        Failure failure;

        if (rotation->abort && secret->record.step == ROTATION_NONE)
                return abort_unbegun(rotation, secret->record.generation);
        if (rotation_is_under_way(secret->record.step)) {
                failure_set(&failure, FAULT_BUSY,
                            "A rotation of %s is under way (%s). Wait for it, or drop it with `mcpcred rotate --abort %s`.",
                            rotation->name, rotation_step_names[secret->record.step], rotation->name);
                return rotation_fail(rotation, &failure);
        }
        if (secret->record.step == ROTATION_NEEDS_HUMAN && !rotation->value) {
                failure_set(&failure, FAULT_NEEDS_HUMAN, "%s",
                            rows_rotation_get(rotation->vault->db, rotation->name, &stands) == 0
                                    ? stands.problem
                                    : "The last rotation could not be finished.");
                return rotation_fail(rotation, &failure);
        }
        return rotation->value ? rotation_guided_begin(rotation, secret) : rotation_provider_begin(rotation, secret);
}

static int dispatch(Rotation *rotation, LoadedSecret *secret)
{
        Failure none = { 0 };

        switch (secret->record.step) {
        case ROTATION_PLANNED:
                if (rotation->has_journal && rotation->journal.kind != ROTATION_GUIDED)
                        return rotation_provider_planned(rotation, secret);
                return rotation->value ? rotation_store_next(rotation, secret) : rotation_drop(rotation, secret, &none);
        case ROTATION_CREATED:
                return rotation_provider_created(rotation, secret);
        case ROTATION_STORED:
                if (secret->item.next)
                        return rotation_verify(rotation, secret);
                return rotation->journal.has_value ? rotation_provider_created(rotation, secret)
                                                   : rotation_drop(rotation, secret, &none);
        case ROTATION_VERIFIED:
                /* An `add --replace` that was cut off waits here too, without a next value. */
                return secret->item.next || secret->item.generation == secret->record.next_generation
                               ? switch_over(rotation, secret)
                               : rotation_drop(rotation, secret, &none);
        case ROTATION_SWITCHED:
                return rotation_retire_old(rotation, secret);
        case ROTATION_OLD_REVOKED:
                return drop_previous(rotation, secret);
        default:
                return rotation_finish(rotation, "done", secret->record.generation, false, "The rotation is over.");
        }
}

/* It comes right by itself, or by what is done about the store. */
static bool is_passing_of_store(const Failure *failure)
{
        return failure->fault == FAULT_UNAVAILABLE || failure->fault == FAULT_BUSY || failure->fault == FAULT_TIMEOUT ||
               failure->fault == FAULT_INTERNAL ||
               failure->fault == FAULT_KEYRING_ABSENT || failure->fault == FAULT_KEYRING_LOCKED ||
               failure->fault == FAULT_KEYRING_HUNG || failure->fault == FAULT_KEYRING_FAILED ||
               failure->fault == FAULT_AUDIT_UNAVAILABLE;
}

static int on_loaded(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        Rotation *rotation = userdata;
        RotationRecord journal;
        Failure mine = *failure;
        int r;

        if (failed(&mine))
                return rotation->first || !is_passing_of_store(&mine) ? rotation_fail(rotation, &mine)
                                                                      : rotation_retry(rotation, &mine);
        if (rotation->first && (!rotation->abort || secret->record.step == ROTATION_NONE))
                return on_first(rotation, secret);
        rotation->first = false;
        r = rows_rotation_get(rotation->vault->db, rotation->name, &journal);
        rotation->has_journal = r == 0;
        if (r == 0) {
                journal.attempts = rotation->journal.attempts;
                rotation->journal = journal;
        } else if (r != DB_E_NOT_FOUND && vault_db_failed(rotation->vault, r, &mine)) {
                return rotation_retry(rotation, &mine);
        }
        if (rotation->dropping && secret->record.step != ROTATION_NONE)
                return rotation_drop(rotation, secret, &rotation->why);
        return rotation->abort ? abort_step(rotation, secret) : dispatch(rotation, secret);
}

int rotation_step(Rotation *rotation)
{
        return secret_load(rotation->vault, rotation->name, on_loaded, rotation);
}
