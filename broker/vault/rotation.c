#include "vault/rotation.h"
#include "base/text.h"
#include "vault/known_values.h"
#include "vault/proxy_grants.h"
#include <stdarg.h>
#include <stdio.h>

/* Between attempts. */
#define RETRY_FIRST_USEC (1 * USEC_PER_SEC)
#define RETRY_MOST_USEC  (300 * USEC_PER_SEC)
/* Whoever waits hears something at least so often, and is let go after so long. */
#define BEAT_USEC     (10 * USEC_PER_SEC)
#define PATIENCE_USEC (120 * USEC_PER_SEC)
#define POOL_MAX      (4U * CHANNEL_FRAME_MAX)

/* An upstream that is being asked. The rotation may leave before it answers. */
struct RotationAsk {
        Rotation *rotation; /* NULL: it has left */
        RotationAnswer answer;
        bool can_leave; /* nothing comes of the answer but the answer */
};

/* ---- life ---- */

static int on_timer(void *userdata)
{
        Rotation *rotation = userdata;

        if (!rotation->waiting)
                return 0;
        rotation->waiting = false;
        return rotation_step(rotation);
}

static void arm_beat(Rotation *rotation)
{
        if (rotation->request || rotation->aborter)
                timer_arm_after(rotation->beat, BEAT_USEC);
        else
                timer_disarm(rotation->beat);
}

static int let_go(Rotation *rotation, Request **request)
{
        char message[2 * LIMIT_TEXT];
        RotateReply reply = { .step = "waiting", .message = message, .pending = true };

        (void)snprintf(message, sizeof(message), "It goes on without you. It waits for this: %s",
                       rotation->waits_for[0] ? rotation->waits_for : "the upstream's answer.");
        text_mend_end(message);
        return *request ? request_reply(take_ptr(*request), &reply, NULL, 0) : 0;
}

static int on_beat(void *userdata)
{
        Rotation *rotation = userdata;
        const RotateReply reply = {
                .step = "waiting",
                .message = rotation->waits_for[0] ? rotation->waits_for : "Waiting for the upstream.",
        };
        int r = 0;

        if (vault_boot(rotation->vault) >= rotation->patience) {
                r = let_go(rotation, &rotation->request);
                return r < 0 ? r : let_go(rotation, &rotation->aborter);
        }
        if (rotation->request)
                r = request_reply_more(rotation->request, &reply);
        if (r == 0 && rotation->aborter)
                r = request_reply_more(rotation->aborter, &reply);
        arm_beat(rotation);
        return r;
}

int rotation_new(Rotation **ret, Vault *vault, Request *request, const char *name)
{
        Rotation *rotation = calloc(1, sizeof(*rotation));
        int r;

        if (!rotation)
                return -ENOMEM;
        rotation->vault = vault;
        rotation->pool = POOL_NULL(POOL_MAX);
        rotation->patience = vault_boot(vault) + PATIENCE_USEC;
        (void)snprintf(rotation->name, sizeof(rotation->name), "%s", name);
        list_init(&rotation->change.link);
        list_init(&rotation->link);
        r = timer_new(&rotation->timer, vault->role.loop, on_timer, rotation);
        if (r == 0)
                r = timer_new(&rotation->beat, vault->role.loop, on_beat, rotation);
        if (r < 0) {
                rotation_free(rotation);
                return r;
        }
        list_append(&vault->rotations, &rotation->link);
        rotation->request = request;
        arm_beat(rotation);
        *ret = rotation;
        return 0;
}

void rotation_free(Rotation *rotation)
{
        change_end(&rotation->change);
        list_remove(&rotation->link);
        if (rotation->ask)
                rotation->ask->rotation = NULL;
        rotation->watch = revoke_watch_free(rotation->watch);
        timer_free(rotation->timer);
        timer_free(rotation->beat);
        value_reader_free(rotation->reader);
        secret_free(rotation->value);
        pool_deinit(&rotation->pool);
        free(rotation);
}

void rotations_free(Vault *vault)
{
        LIST_FOREACH(node, &vault->rotations) {
                Rotation *rotation = container_of(node, Rotation, link);

                /* Nobody answers any more: what is asked for here goes nowhere. */
                if (rotation->request && request_fail(take_ptr(rotation->request), FAULT_UNAVAILABLE, NULL) < 0)
                        rotation->request = NULL;
                if (rotation->aborter && request_fail(take_ptr(rotation->aborter), FAULT_UNAVAILABLE, NULL) < 0)
                        rotation->aborter = NULL;
                free(take_ptr(rotation->ask));
                rotation_free(rotation);
        }
}

Rotation *rotation_find(const Vault *vault, const char *name)
{
        const Change *change = change_find(vault, name);

        return change ? change->rotation : NULL;
}

int rotation_begin(Rotation *rotation)
{
        Failure failure;

        if (!change_begin(rotation->vault, &rotation->change, rotation->name, &failure))
                return rotation_fail(rotation, &failure);
        rotation->change.rotation = rotation;
        return rotation->reader ? 0 : rotation_step(rotation);
}

/* ---- telling ---- */

AuditEvent rotation_event(const Rotation *rotation)
{
        AuditEvent event = vault_event(rotation->asked ? &rotation->caller : NULL, "secret.rotate");

        event.secret = rotation->name;
        return event;
}

int rotation_tell(Rotation *rotation, const char *step, uint64_t generation, const char *format, ...)
{
        char message[2 * LIMIT_TEXT];
        RotateReply reply = { .step = step, .message = message, .generation = generation };
        va_list args;

        va_start(args, format);
        (void)vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        text_mend_end(message);
        return rotation->request ? request_reply_more(rotation->request, &reply) : 0;
}

int rotation_finish(Rotation *rotation, const char *step, uint64_t generation, bool pending, const char *message)
{
        RotateReply reply = { .step = step, .message = message, .generation = generation, .pending = pending };
        int r = 0;

        if (rotation->request)
                r = request_reply(take_ptr(rotation->request), &reply, NULL, 0);
        if (r >= 0 && rotation->aborter)
                r = request_reply(take_ptr(rotation->aborter), &reply, NULL, 0);
        rotation_free(rotation);
        return r < 0 ? r : 0;
}

/* What nobody waits for is in the log all the same, and not tried again at once. */
static int note_failure(Rotation *rotation, const Failure *failure)
{
        Vault *vault = rotation->vault;
        AuditEvent event = rotation_event(rotation);

        role_log(&vault->role, LOG_LEVEL_WARNING, "rotation of %s: %s", rotation->name, failure->message);
        event.verdict = AUDIT_ERROR;
        event.reason = fault_info(failure->fault)->name;
        event.detail = failure->message;
        if (!rotation->asked)
                rotation_schedule_failed(vault, rotation->name);
        return vault_audit_refusal(vault, &event);
}

int rotation_fail(Rotation *rotation, const Failure *failure)
{
        int r;

        if (rotation->request)
                r = vault_refuse(rotation->vault, take_ptr(rotation->request), rotation_event(rotation), failure);
        else
                r = note_failure(rotation, failure);
        if (r >= 0 && rotation->aborter)
                r = failure_answer(failure, take_ptr(rotation->aborter));
        rotation_free(rotation);
        return r < 0 ? r : 0;
}

/* ---- waiting ---- */

static uint64_t backoff(uint64_t attempts, const Failure *failure)
{
        uint64_t wait = RETRY_FIRST_USEC;

        for (uint64_t i = 1; i < attempts && wait < RETRY_MOST_USEC; i++)
                wait *= 2;
        return MAX(MIN(wait, RETRY_MOST_USEC), failure->retry_after_usec);
}

int rotation_wait(Rotation *rotation, uint64_t usec, const char *what)
{
        (void)snprintf(rotation->waits_for, sizeof(rotation->waits_for), "%s", what);
        text_mend_end(rotation->waits_for);
        rotation->waiting = true;
        timer_arm_after(rotation->timer, usec);
        return 0;
}

int rotation_retry(Rotation *rotation, const Failure *failure)
{
        Vault *vault = rotation->vault;
        RotationRecord *journal = &rotation->journal;
        uint64_t wait;
        Failure ignored;
        int r = 0;

        wait = backoff(++journal->attempts, failure);
        journal->next_attempt = vault_now(vault) + wait;
        (void)snprintf(journal->problem, sizeof(journal->problem), "%s", failure->message);
        text_mend_end(journal->problem);
        if (rotation->has_journal) /* for people; it goes on without */
                (void)vault_db_failed(vault, rows_rotation_attempt(vault->db, rotation->name, journal), &ignored);
        if (rotation->dropping && rotation->request && failed(&rotation->why)) {
                r = vault_refuse(vault, take_ptr(rotation->request), rotation_event(rotation), &rotation->why);
        } else {
                r = rotation_tell(rotation, "waiting", 0, "%s", failure->message);
        }
        return r < 0 ? r : rotation_wait(rotation, wait, failure->message);
}

bool rotation_is_passing(const Failure *failure)
{
        switch (failure->fault) {
        case FAULT_BUSY:
        case FAULT_UNAVAILABLE:
        case FAULT_TIMEOUT:
        case FAULT_INTERNAL:
        case FAULT_UPSTREAM_RATE_LIMITED:
        case FAULT_UPSTREAM_UNREACHABLE:
        case FAULT_UPSTREAM_UNKNOWN:
                return true;
        default:
                return false;
        }
}

/* ---- asking an upstream ---- */

static int on_answer(void *userdata, void *body, const Failure *failure)
{
        RotationAsk *ask = userdata;
        RotationAsk copy = *ask;

        free(ask);
        if (!copy.rotation)
                return 0;
        copy.rotation->ask = NULL;
        return copy.answer(copy.rotation, body, failure);
}

int rotation_ask(Rotation *rotation, LoadedSecret *secret, const Secret *proven_by, ProviderMethod method,
                 void *request, RotationAnswer answer)
{
        _cleanup_(secret_freep) Secret *proof = NULL;
        Upstream upstream = {
                .provider = secret->info->name,
                .base_url = secret->record.base_url,
                .parameters = secret->record.parameters,
        };
        Upstream **at = request; /* the first member of each */
        Failure failure;

        if (!secret_proof(rotation->vault, secret->info, &secret->record.parameters, proven_by, &proof, &failure))
                return answer(rotation, NULL, &failure);
        rotation->ask = calloc(1, sizeof(*rotation->ask));
        if (!rotation->ask)
                return -ENOMEM;
        *rotation->ask = (RotationAsk){ rotation, answer, method == PROVIDER_VERIFY };
        upstream.proof = proof;
        *at = &upstream;
        (void)snprintf(rotation->waits_for, sizeof(rotation->waits_for), "Waiting for the upstream (%s) to answer.",
                       secret->info->title);
        return provider_pool_run(rotation->vault->providers, secret->info->name, method, request, on_answer,
                                 rotation->ask);
}

/* Nothing is lost where an answer is not waited for. */
static bool leave_ask(Rotation *rotation)
{
        if (!rotation->ask || !rotation->ask->can_leave)
                return false;
        rotation->ask->rotation = NULL;
        rotation->ask = NULL;
        return true;
}

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
        if (failed(&why))
                return rotation_fail(rotation, &why);
        if (!rotation->request)
                return rotation_finish(rotation, "aborted", 0, false, told);
        failure_set(&why, FAULT_BUSY, "The rotation was aborted.");
        why.remedy[0] = '\0';
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

static int nothing_to_abort(Rotation *rotation, uint64_t generation)
{
        RotateReply reply = { .step = "none", .message = "No rotation is under way.", .generation = generation };
        Failure failure;
        int r;

        r = rotation->aborter ? request_reply(take_ptr(rotation->aborter), &reply, NULL, 0) : 0;
        if (r < 0)
                return r;
        if (!rotation->request) {
                rotation_free(rotation);
                return 0;
        }
        failure_set(&failure, FAULT_BUSY, "The rotation was aborted.");
        failure.remedy[0] = '\0';
        return rotation_fail(rotation, &failure);
}

static int on_first(Rotation *rotation, LoadedSecret *secret)
{
        RotationRecord stands;
        Failure failure;

        if (rotation->abort && secret->record.step == ROTATION_NONE)
                return nothing_to_abort(rotation, secret->record.generation);
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

/* ---- asked for ---- */

static int on_value(void *userdata, Secret *value, const Failure *failure)
{
        Rotation *rotation = userdata;

        rotation->reader = NULL;
        rotation->value = value;
        return failed(failure) ? rotation_fail(rotation, failure) : rotation_step(rotation);
}

/* At once where only an answer is waited for, or a while; else where it comes to a step. */
static int join_abort(Rotation *running, Request *request)
{
        running->aborter = request;
        running->abort = true;
        running->patience = vault_boot(running->vault) + PATIENCE_USEC;
        arm_beat(running);
        if (running->waiting) {
                running->waiting = false;
                timer_disarm(running->timer);
                return rotation_step(running);
        }
        return leave_ask(running) ? rotation_step(running) : 0;
}

static int begin_abort(Vault *vault, Request *request, const char *name)
{
        Rotation *rotation = rotation_find(vault, name);
        int r;

        if (rotation && rotation->aborter)
                return request_fail(request, FAULT_BUSY, "It is being aborted already.");
        if (rotation)
                return join_abort(rotation, request);
        r = rotation_new(&rotation, vault, NULL, name);
        if (r < 0)
                return r;
        rotation->aborter = request;
        rotation->abort = true;
        rotation->caller = *((const RotateRequest *)request->body)->caller;
        rotation->asked = true;
        rotation->first = true;
        arm_beat(rotation);
        return rotation_begin(rotation);
}

static int answer_plan(Vault *vault, Request *request, const char *name)
{
        Pool pool = POOL_NULL(POOL_MAX);
        RotateReply reply = { .step = "plan" };
        const ProviderInfo *info;
        SecretRecord record;
        Failure failure;
        int r;

        r = rows_secret_get(vault->db, name, &pool, &record);
        if (r == DB_E_NOT_FOUND) {
                r = request_fail(request, FAULT_NOT_FOUND, "There is no secret of that name.");
        } else if (vault_db_failed(vault, r, &failure)) {
                r = failure_answer(&failure, request);
        } else {
                info = provider_info(record.provider);
                reply.message = info && info->rotate_create ? info->rotate_create : "Make a new value at the upstream.";
                reply.generation = record.generation;
                reply.made_by_provider = info && info->rotation != PROVIDER_ROTATION_GUIDED &&
                                         record.step != ROTATION_NEEDS_HUMAN;
                r = request_reply(request, &reply, NULL, 0);
        }
        pool_deinit(&pool);
        return r;
}

static int begin_asked(Vault *vault, Request *request)
{
        const RotateRequest *body = request->body;
        Rotation *rotation;
        Failure failure;
        int r;

        r = rotation_new(&rotation, vault, request, body->name);
        if (r < 0)
                return r;
        rotation->caller = *body->caller;
        rotation->asked = true;
        rotation->first = true;
        rotation->journal.now = body->now;
        rotation->journal.grace = body->grace;
        rotation->journal.allow_wider = body->allow_wider;
        if (request->n_fds == 0)
                return rotation_begin(rotation);
        r = value_reader_new(&rotation->reader, vault->role.loop, vault->role.arena, take_fd(&request->fds[0]),
                             SECRET_ITEM_VALUE_MAX, on_value, rotation);
        if (r) {
                value_reader_failure(&failure, r);
                return rotation_fail(rotation, &failure);
        }
        return rotation_begin(rotation);
}

int op_rotate(Vault *vault, Request *request)
{
        const RotateRequest *body = request->body;
        Failure failure = { 0 };

        if (!vault_may_issue(vault, &failure))
                return failure_answer(&failure, request);
        if (body->plan)
                return answer_plan(vault, request, body->name);
        if (body->abort)
                return begin_abort(vault, request, body->name);
        if (body->now && body->grace > 0)
                return request_fail(request, FAULT_INVALID_PARAMETER, "`now` and `grace` exclude each other.");
        if (body->grace > ROTATION_GRACE_MAX_SEC)
                return request_fail(request, FAULT_INVALID_PARAMETER, "The old value may live on for 30 days at most.");
        return begin_asked(vault, request);
}

/* ---- not asked for ---- */

bool rotate_begin(Vault *vault, const char *name, const char *reason, bool now, Failure *failure)
{
        Pool pool = POOL_NULL(POOL_MAX);
        const ProviderInfo *info = NULL;
        Rotation *rotation;
        SecretRecord record;
        int r;

        *failure = (Failure){ 0 };
        if (!vault_may_issue(vault, failure))
                return false;
        r = rows_secret_get(vault->db, name, &pool, &record);
        if (!vault_db_failed(vault, r, failure))
                info = provider_info(record.provider);
        pool_deinit(&pool);
        if (failed(failure))
                return false;
        if (!info || info->rotation == PROVIDER_ROTATION_GUIDED)
                failure_set(failure, FAULT_UNSUPPORTED, "A new value of %s has to be made by a person: `mcpcred rotate %s`.",
                            name, name);
        else if (record.step == ROTATION_NEEDS_HUMAN)
                failure_set(failure, FAULT_NEEDS_HUMAN, "An earlier rotation of %s needs a person.", name);
        else if (record.step != ROTATION_NONE || change_find(vault, name))
                failure_set(failure, FAULT_BUSY, "Secret %s is being changed already.", name);
        if (failed(failure))
                return false;
        r = rotation_new(&rotation, vault, NULL, name);
        if (r == 0) {
                rotation->first = true;
                rotation->journal.now = now;
                (void)snprintf(rotation->journal.cause, sizeof(rotation->journal.cause), "%s", reason);
                text_mend_end(rotation->journal.cause);
                r = rotation_begin(rotation);
        }
        if (r < 0)
                failure_set(failure, FAULT_INTERNAL, NULL);
        return r == 0;
}

static int resume(Vault *vault, const SecretRecord *record)
{
        Change *change = change_find(vault, record->name);
        Rotation *rotation = change ? change->rotation : NULL;
        int r;

        if (rotation && rotation->waiting)
                timer_arm_after(rotation->timer, 0);
        if (change || !rotation_is_under_way(record->step))
                return 0;
        r = rotation_new(&rotation, vault, NULL, record->name);
        return r < 0 ? r : rotation_begin(rotation);
}

int rotate_resume_all(Vault *vault)
{
        Pool pool = POOL_NULL(64U * CHANNEL_FRAME_MAX);
        char after[LIMIT_NAME + 1] = "";
        SecretRecord *records;
        Failure ignored;
        size_t n = LIMIT_PAGE;
        int r = 0;

        while (r == 0 && n == LIMIT_PAGE) {
                if (vault_db_failed(vault, rows_secret_list(vault->db, after, LIMIT_PAGE, &pool, &records, &n), &ignored))
                        n = 0;
                for (size_t i = 0; r == 0 && i < n; i++) {
                        memcpy(after, records[i].name, sizeof(after));
                        r = resume(vault, &records[i]);
                }
                pool_deinit(&pool);
        }
        rotation_schedule_wake(vault->schedule);
        return r;
}

bool rotate_needs_store(const Vault *vault, Failure *failure)
{
        LIST_FOREACH(node, &vault->rotations) {
                const Rotation *rotation = container_of(node, Rotation, link);

                if (!rotation->value && (!rotation->ask || rotation->ask->can_leave))
                        continue;
                failure_set(failure, FAULT_BUSY,
                            "Secret %s is being rotated, and its new value is not stored yet; try again in a moment.",
                            rotation->name);
                return true;
        }
        return false;
}
