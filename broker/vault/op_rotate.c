/* Who begins a rotation: a client, the schedule, the answer to a leak, and a start that finds one. */
#include "base/fd.h"
#include "base/text.h"
#include "vault/rotation.h"
#include <stdio.h>

#define POOL_MAX (4U * CHANNEL_FRAME_MAX)

/* ---- asked for ---- */

static int on_value(void *userdata, Secret *value, const Failure *failure)
{
        Rotation *rotation = userdata;

        rotation->reader = NULL;
        rotation->value = value;
        return failed(failure) ? rotation_fail(rotation, failure) : rotation_step(rotation);
}

static int begin_abort(Vault *vault, Request *request, const char *name)
{
        Rotation *rotation = rotation_find(vault, name);
        int r;

        if (rotation && rotation->aborter)
                return request_fail(request, FAULT_BUSY, "It is being aborted already.");
        if (rotation)
                return rotation_join(rotation, request);
        r = rotation_new(&rotation, vault, NULL, name);
        if (r < 0)
                return r;
        rotation->caller = *((const RotateRequest *)request->body)->caller;
        rotation->asked = true;
        rotation->first = true;
        r = rotation_join(rotation, request);
        return r < 0 ? r : rotation_begin(rotation);
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
