#include "vault/response_plan.h"
#include "base/clock.h"
#include <stdarg.h>
#include <stdio.h>

#define BIT(action) (1U << (action))
/* What acts on a session, and what acts on the secret. */
#define OF_SESSION (BIT(LEAK_REVOKE) | BIT(LEAK_END_SESSION))
#define OF_SECRET (BIT(LEAK_REVOKE_UPSTREAM) | BIT(LEAK_ROTATE))

const char *leak_signal_sentence(LeakSignal signal)
{
        static const char *const sentences[_LEAK_SIGNAL_N] = {
                [LEAK_SIGNAL_REPORT] = "what it was given was reported as leaked",
                [LEAK_SIGNAL_EGRESS] = "the real credential came out of its sandbox",
                [LEAK_SIGNAL_FOREIGN_HANDLE] = "a handle of another session was used in it",
                [LEAK_SIGNAL_WRONG_PLACE] = "its handle was sent where none may stand",
                [LEAK_SIGNAL_CANARY] = "a canary was used",
        };

        return sentences[signal];
}

ResponseTarget response_target(const IncidentRecord *record)
{
        if (record->signal != LEAK_SIGNAL_REPORT)
                return TARGET_SESSION;
        return record->lease[0] ? TARGET_LEASE : TARGET_SECRET;
}

bool response_is_of_secret(const IncidentRecord *record)
{
        return (record->signal == LEAK_SIGNAL_REPORT || record->signal == LEAK_SIGNAL_EGRESS) && !record->lease[0] &&
               record->generation > 0;
}

bool response_is_misuse(const IncidentRecord *record)
{
        return record->signal != LEAK_SIGNAL_REPORT &&
               (record->signal != LEAK_SIGNAL_EGRESS || (!record->lease[0] && record->generation == 0));
}

static void set(IncidentRecord *record, LeakAction action, ActionState state, const char *format, ...) PRINTF_LIKE(4, 5);

static void set(IncidentRecord *record, LeakAction action, ActionState state, const char *format, ...)
{
        IncidentAction *place = &record->actions[action];
        va_list args;

        place->state = state;
        va_start(args, format);
        (void)vsnprintf(place->reason, sizeof(place->reason), format, args);
        va_end(args);
}

static bool is_todo(const IncidentRecord *record, LeakAction action)
{
        return record->actions[action].state == ACTION_TODO;
}

static void skip(IncidentRecord *record, LeakAction action, const char *reason)
{
        if (is_todo(record, action))
                set(record, action, ACTION_SKIPPED, "%s", reason);
}

/* What the configuration asks for: the profile's part about what was given to a session, the secret's about its value. */
static uint64_t asked(const IncidentRecord *record, const ResponseFacts *facts)
{
        uint64_t of_secret = facts->on_secret ? facts->on_secret->on_leak : 0;

        if (!response_is_of_secret(record))
                return facts->on_profile;
        if (response_target(record) == TARGET_SECRET)
                return of_secret;
        return facts->on_profile | (of_secret & (OF_SECRET | BIT(LEAK_NOTIFY)));
}

/* ---- the secret's part ---- */

bool response_is_of_former(const IncidentRecord *record, const SecretRecord *secret)
{
        return !secret || record->generation < secret->generation;
}

static bool is_replaced(const IncidentRecord *record, const ResponseFacts *facts)
{
        return response_is_of_former(record, facts->secret);
}

static void plan_rotation(IncidentRecord *record, const ResponseFacts *facts)
{
        const IncidentRecord *last = facts->last_rotation;

        if (!is_todo(record, LEAK_ROTATE))
                return;
        if (last && last->generation == record->generation && last->time >= facts->secret->added &&
            last->actions[LEAK_ROTATE].state == ACTION_BEGUN)
                set(record, LEAK_ROTATE, ACTION_BEGUN, "by incident %s", last->id);
        else if (last && facts->now < last->time + ROTATE_COOLDOWN_USEC)
                set(record, LEAK_ROTATE, ACTION_PERSON, "it was rotated for a leak a moment ago; run: mcpcred rotate %s",
                    record->secret);
        else if (!facts->info || facts->info->rotation == PROVIDER_ROTATION_GUIDED)
                set(record, LEAK_ROTATE, ACTION_PERSON, "run: mcpcred rotate %s", record->secret);
}

static void plan_upstream(IncidentRecord *record, const ResponseFacts *facts)
{
        if (!is_todo(record, LEAK_REVOKE_UPSTREAM))
                return;
        if (!facts->info || !facts->info->can_revoke_secret)
                skip(record, LEAK_REVOKE_UPSTREAM, "its provider has no way to do that");
        else if (!facts->on_secret->revoke_upstream)
                skip(record, LEAK_REVOKE_UPSTREAM, "the configuration does not allow it: revoke_upstream = no");
        else if (is_todo(record, LEAK_ROTATE) || record->actions[LEAK_ROTATE].state == ACTION_BEGUN)
                skip(record, LEAK_REVOKE_UPSTREAM, "the rotation ends it, once the new value works");
}

/* Of a value that was replaced: its grace, and who was handed it. */
static void plan_former(IncidentRecord *record, const ResponseFacts *facts)
{
        if (facts->former_dies && is_todo(record, LEAK_REVOKE_UPSTREAM)) {
                set(record, LEAK_REVOKE, ACTION_TODO, "%s", "");
                skip(record, LEAK_REVOKE_UPSTREAM, "its end there is under way since it was replaced");
        }
        if (!facts->former_dies)
                skip(record, LEAK_REVOKE, "the value is not in use any more");
        if (!facts->former_held)
                skip(record, LEAK_END_SESSION, "the value is not in use any more");
}

static void plan_secret(IncidentRecord *record, const ResponseFacts *facts)
{
        if (is_replaced(record, facts)) {
                if (response_target(record) == TARGET_SECRET)
                        plan_former(record, facts);
                skip(record, LEAK_ROTATE, facts->secret ? "it was replaced since" : "the secret was removed");
        } else {
                plan_rotation(record, facts);
        }
        plan_upstream(record, facts);
}

/* ---- what was issued ---- */

static void plan_issued(IncidentRecord *record, const ResponseFacts *facts)
{
        if (response_target(record) == TARGET_LEASE && is_todo(record, LEAK_REVOKE_UPSTREAM))
                set(record, LEAK_REVOKE, ACTION_TODO, "%s", "");
        skip(record, LEAK_REVOKE_UPSTREAM, "what was issued is revoked upstream with its lease");
        if (!facts->on_secret || !facts->lease_is_real)
                skip(record, LEAK_ROTATE, "a handle says nothing of the secret");
        else if (is_replaced(record, facts))
                skip(record, LEAK_ROTATE, facts->secret ? "it was replaced since" : "the secret was removed");
        else
                plan_rotation(record, facts);
}

/* ---- the session's part ---- */

static void plan_session(IncidentRecord *record, const ResponseFacts *facts)
{
        ResponseTarget target = response_target(record);

        if (target == TARGET_LEASE && !facts->lease_lives)
                skip(record, LEAK_REVOKE, "it was over already");
        if (target == TARGET_SECRET || facts->session_lives)
                return;
        skip(record, LEAK_END_SESSION, "the session has ended");
        if (target == TARGET_SESSION)
                skip(record, LEAK_REVOKE, "the session has ended");
}

void response_plan(IncidentRecord *record, const ResponseFacts *facts)
{
        uint64_t wanted = asked(record, facts);

        for (LeakAction action = 0; action < _LEAK_ACTION_N; action++)
                record->actions[action] =
                        (IncidentAction){ .state = wanted & BIT(action) ? ACTION_TODO : ACTION_NONE };
        if (response_is_of_secret(record)) {
                plan_secret(record, facts);
        } else if (!response_is_misuse(record)) {
                plan_issued(record, facts);
        } else if (record->signal == LEAK_SIGNAL_EGRESS) {
                skip(record, LEAK_REVOKE_UPSTREAM, "so short a value can be guessed");
                skip(record, LEAK_ROTATE, "so short a value can be guessed");
        } else {
                skip(record, LEAK_REVOKE_UPSTREAM, "a session's misuse says nothing of the secret");
                skip(record, LEAK_ROTATE, "a session's misuse says nothing of the secret");
        }
        plan_session(record, facts);
        if (!facts->has_notify)
                skip(record, LEAK_NOTIFY, "no command is configured (notify)");
}
