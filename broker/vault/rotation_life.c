/* What a rotation is between its steps: who waits for it, what it waits for, and how it is left. */
#include "base/text.h"
#include "vault/rotation.h"
#include <stdarg.h>
#include <stdio.h>

/* Between attempts. */
#define RETRY_FIRST_USEC (1 * USEC_PER_SEC)
#define RETRY_MOST_USEC  (300 * USEC_PER_SEC)
/* Whoever waits hears something at least so often, and is let go after so long. */
#define BEAT_USEC     (10 * USEC_PER_SEC)
#define PATIENCE_USEC (120 * USEC_PER_SEC)
#define POOL_MAX (4U * CHANNEL_FRAME_MAX)

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

/* ---- an abort joins ---- */

int rotation_join(Rotation *running, Request *request)
{
        running->aborter = request;
        running->aborted_by = *((const RotateRequest *)request->body)->caller;
        running->abort_asked = true;
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
