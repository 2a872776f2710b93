#include "support.h"
#include "../base/suite.h"
#include "vault/response_run.h"

#define BIT(action) (1U << (action))
#define ALL ((1U << _LEAK_ACTION_N) - 1U)
#define NOW (1000000 * USEC_PER_SEC)

static const ProviderInfo guided = { .name = "guided", .rotation = PROVIDER_ROTATION_GUIDED, .can_revoke_secret = true };
static const ProviderInfo makes = { .name = "makes", .rotation = PROVIDER_ROTATION_CREATE, .can_revoke_secret = true };
static const ConfigSecret section = { .name = "s", .on_leak = ALL, .revoke_upstream = true };

static SecretRecord secret_at(uint64_t generation)
{
        return (SecretRecord){ .name = "s", .generation = generation, .added = 1 };
}

static IncidentRecord incident(LeakSignal signal, bool issued)
{
        IncidentRecord record = { .signal = signal, .session = "s-1", .profile = "p", .secret = "s", .generation = 2, .time = NOW };

        if (issued)
                memcpy(record.lease, "l-1", 4);
        return record;
}

static void expect(const IncidentRecord *record, ActionState revoke, ActionState end, ActionState upstream, ActionState rotate,
                   ActionState notify)
{
        const ActionState states[] = { revoke, end, upstream, rotate, notify };

        for (size_t i = 0; i < _LEAK_ACTION_N; i++)
                ck_assert_msg(record->actions[i].state == states[i], "%s is %s, not %s", leak_action_names[i],
                              action_state_names[record->actions[i].state], action_state_names[states[i]]);
}

/* Whatever the configuration asks for, and whatever is known of the secret. */
START_TEST(misuse_never_acts_on_a_secret)
{
        static const LeakSignal signals[] = { LEAK_SIGNAL_FOREIGN_HANDLE, LEAK_SIGNAL_WRONG_PLACE, LEAK_SIGNAL_CANARY };
        SecretRecord secret = secret_at(2);

        for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
                for (unsigned known = 0; known < 2; known++) {
                        IncidentRecord record = incident(signals[i], true);
                        ResponseFacts facts = { .now = NOW, .on_profile = ALL, .session_lives = true, .has_notify = true };

                        if (known) {
                                facts.on_secret = &section;
                                facts.secret = &secret;
                                facts.info = &makes;
                                facts.lease_is_real = true;
                        }
                        response_plan(&record, &facts);
                        ck_assert_int_eq(response_target(&record), TARGET_SESSION);
                        expect(&record, ACTION_TODO, ACTION_TODO, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_TODO);
                }
}
END_TEST

START_TEST(what_is_not_asked_for_is_not_there)
{
        IncidentRecord record = incident(LEAK_SIGNAL_CANARY, true);
        const ResponseFacts facts = { .now = NOW, .on_profile = BIT(LEAK_NOTIFY), .session_lives = true };

        response_plan(&record, &facts);
        expect(&record, ACTION_NONE, ACTION_NONE, ACTION_NONE, ACTION_NONE, ACTION_SKIPPED);
}
END_TEST

START_TEST(stored_value_that_is_in_use)
{
        IncidentRecord record = incident(LEAK_SIGNAL_REPORT, false);
        SecretRecord secret = secret_at(2);
        ResponseFacts facts = { .now = NOW, .on_secret = &section, .secret = &secret, .info = &makes, .has_notify = true };

        ck_assert_int_eq(response_target(&record), TARGET_SECRET);
        response_plan(&record, &facts);
        /* The rotation ends the old value, once the new one works. */
        expect(&record, ACTION_TODO, ACTION_TODO, ACTION_SKIPPED, ACTION_TODO, ACTION_TODO);
        facts.info = &guided;
        response_plan(&record, &facts);
        expect(&record, ACTION_TODO, ACTION_TODO, ACTION_TODO, ACTION_PERSON, ACTION_TODO);
        ck_assert(incident_is_open(&record));
}
END_TEST

START_TEST(value_is_revoked_upstream_only_where_that_is_allowed)
{
        const ConfigSecret forbidden = { .name = "s", .on_leak = ALL };
        SecretRecord secret = secret_at(2);
        ResponseFacts facts = { .now = NOW, .on_secret = &forbidden, .secret = &secret, .info = &guided };
        IncidentRecord record = incident(LEAK_SIGNAL_REPORT, false);

        response_plan(&record, &facts);
        expect(&record, ACTION_TODO, ACTION_TODO, ACTION_SKIPPED, ACTION_PERSON, ACTION_SKIPPED);
        ck_assert_ptr_nonnull(strstr(record.actions[LEAK_REVOKE_UPSTREAM].reason, "revoke_upstream"));
}
END_TEST

START_TEST(value_that_was_replaced_ends_where_somebody_has_it_still)
{
        SecretRecord secret = secret_at(3);
        ResponseFacts facts = { .now = NOW, .on_secret = &section, .secret = &secret, .info = &makes, .has_notify = true };
        IncidentRecord record = incident(LEAK_SIGNAL_REPORT, false);

        response_plan(&record, &facts);
        expect(&record, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_TODO, ACTION_SKIPPED, ACTION_TODO);
        facts.former_held = true;
        response_plan(&record, &facts);
        expect(&record, ACTION_SKIPPED, ACTION_TODO, ACTION_TODO, ACTION_SKIPPED, ACTION_TODO);
        facts.former_held = false;
        facts.former_dies = true; /* sooner, then */
        response_plan(&record, &facts);
        expect(&record, ACTION_TODO, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_TODO);
        facts.former_dies = false;
        facts.secret = NULL; /* removed */
        facts.info = NULL;
        response_plan(&record, &facts);
        expect(&record, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_TODO);
}
END_TEST

START_TEST(one_rotation_in_ten_minutes)
{
        SecretRecord secret = secret_at(2);
        IncidentRecord last = incident(LEAK_SIGNAL_REPORT, false), record = incident(LEAK_SIGNAL_REPORT, false);
        ResponseFacts facts = { .now = NOW, .on_secret = &section, .secret = &secret, .info = &makes, .last_rotation = &last };

        last.generation = 1;
        last.time = NOW - ROTATE_COOLDOWN_USEC + 1;
        last.actions[LEAK_ROTATE].state = ACTION_DONE;
        response_plan(&record, &facts);
        ck_assert_int_eq(record.actions[LEAK_ROTATE].state, ACTION_PERSON);
        last.time = NOW - ROTATE_COOLDOWN_USEC;
        response_plan(&record, &facts);
        ck_assert_int_eq(record.actions[LEAK_ROTATE].state, ACTION_TODO);
        /* One that is under way for the same value is the same. */
        last = incident(LEAK_SIGNAL_REPORT, false);
        last.actions[LEAK_ROTATE].state = ACTION_BEGUN;
        response_plan(&record, &facts);
        ck_assert_int_eq(record.actions[LEAK_ROTATE].state, ACTION_BEGUN);
}
END_TEST

START_TEST(what_was_issued_acts_on_its_session_and_rotates_where_the_profile_says)
{
        SecretRecord secret = secret_at(2);
        ResponseFacts facts = {
                .now = NOW,
                .on_profile = ALL,
                .on_secret = &section,
                .secret = &secret,
                .info = &makes,
                .session_lives = true,
                .lease_lives = true,
                .lease_is_real = true,
                .has_notify = true,
        };
        IncidentRecord record = incident(LEAK_SIGNAL_REPORT, true);

        ck_assert_int_eq(response_target(&record), TARGET_LEASE);
        response_plan(&record, &facts);
        expect(&record, ACTION_TODO, ACTION_TODO, ACTION_SKIPPED, ACTION_TODO, ACTION_TODO);
        facts.lease_is_real = false; /* a handle */
        response_plan(&record, &facts);
        expect(&record, ACTION_TODO, ACTION_TODO, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_TODO);
        facts.lease_lives = facts.session_lives = false;
        response_plan(&record, &facts);
        expect(&record, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_SKIPPED, ACTION_TODO);
        /* The secret's section has no say in it. */
        facts.on_profile = BIT(LEAK_NOTIFY);
        response_plan(&record, &facts);
        expect(&record, ACTION_NONE, ACTION_NONE, ACTION_NONE, ACTION_NONE, ACTION_TODO);
}
END_TEST

/* The session's part is its profile's, the secret's part the secret's, and other sessions have none. */
START_TEST(value_out_of_a_sandbox)
{
        SecretRecord secret = secret_at(2);
        ResponseFacts facts = {
                .now = NOW,
                .on_profile = BIT(LEAK_END_SESSION),
                .on_secret = &section,
                .secret = &secret,
                .info = &makes,
                .session_lives = true,
                .has_notify = true,
        };
        IncidentRecord record = incident(LEAK_SIGNAL_EGRESS, false);

        ck_assert_int_eq(response_target(&record), TARGET_SESSION);
        response_plan(&record, &facts);
        expect(&record, ACTION_NONE, ACTION_TODO, ACTION_SKIPPED, ACTION_TODO, ACTION_TODO);
}
END_TEST

START_TEST(rows_come_back_and_close_with_their_last_action)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(1U << 20);
        IncidentRecord record = incident(LEAK_SIGNAL_EGRESS, true), back, *list;
        uint64_t open, person, n_pruned;
        size_t n;
        Fixture f;

        fixture_start(&f);
        memcpy(record.id, "i-1", 4);
        memcpy(record.key, "egress s-1", 11);
        record.count = 1;
        record.actions[LEAK_REVOKE].state = ACTION_TODO;
        record.actions[LEAK_ROTATE] = (IncidentAction){ ACTION_PERSON, "run: x" };
        ck_assert_int_eq(rows_incident_insert(f.db, &record), 0);
        ck_assert_int_eq(rows_incident_insert(f.db, &record), DB_E_EXISTS);
        ck_assert_int_eq(rows_incident_find(f.db, "egress s-1", &back), 0);
        ck_assert_str_eq(back.id, "i-1");
        ck_assert_str_eq(back.actions[LEAK_ROTATE].reason, "run: x");
        ck_assert_uint_eq(back.closed, 0);
        ck_assert(!incident_needs_person(&back));
        ck_assert_int_eq(rows_incident_set_action(f.db, &back, LEAK_REVOKE, ACTION_DONE, NULL, 50), 0);
        ck_assert(incident_needs_person(&back));
        ck_assert_int_eq(rows_incident_count(f.db, &open, &person), 0);
        ck_assert_uint_eq(open, 1);
        ck_assert_uint_eq(person, 1);
        ck_assert_int_eq(rows_incident_last_rotation(f.db, "s", &back), DB_E_NOT_FOUND);
        ck_assert_int_eq(rows_incident_get(f.db, "i-1", &back), 0);
        ck_assert_int_eq(rows_incident_set_action(f.db, &back, LEAK_ROTATE, ACTION_DONE, "ok", 60), 0);
        ck_assert_int_eq(rows_incident_last_rotation(f.db, "s", &back), 0);
        ck_assert_uint_eq(back.closed, 60);
        ck_assert_int_eq(rows_incident_list(f.db, true, 0, 16, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 0);
        ck_assert_int_eq(rows_incident_list(f.db, false, 0, 16, &pool, &list, &n), 0);
        ck_assert_uint_eq(n, 1);
        ck_assert_int_eq(rows_incident_count_again(f.db, "i-1"), 0);
        ck_assert_int_eq(rows_incident_get(f.db, "i-1", &back), 0);
        ck_assert_uint_eq(back.count, 2);
        ck_assert_int_eq(rows_incident_prune(f.db, 60, 10, &n_pruned), 0);
        ck_assert_uint_eq(n_pruned, 0);
        ck_assert_int_eq(rows_incident_prune(f.db, 61, 10, &n_pruned), 0);
        ck_assert_uint_eq(n_pruned, 1);
        fixture_stop(&f);
}
END_TEST

START_TEST(document_escapes_what_others_wrote)
{
        _cleanup_(buf_deinit) Buf json = BUF_NULL(8192);
        IncidentRecord record = incident(LEAK_SIGNAL_REPORT, true);

        memcpy(record.id, "i-1", 4);
        (void)snprintf(record.source, sizeof(record.source), "a \"quoted\"\n\\ source");
        record.actions[LEAK_REVOKE].state = ACTION_DONE;
        ck_assert_int_eq(response_json(&record, &json), 0);
        ck_assert_int_eq(buf_append_u8(&json, 0), 0);
        ck_assert_ptr_nonnull(strstr((const char *)json.data, "\"evidence\":\"a \\\"quoted\\\"\\u000a\\\\ source\""));
        ck_assert_ptr_nonnull(strstr((const char *)json.data, "{\"action\":\"revoke\",\"state\":\"done\"}"));
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("response");

        tcase_add_test(tcase, misuse_never_acts_on_a_secret);
        tcase_add_test(tcase, what_is_not_asked_for_is_not_there);
        tcase_add_test(tcase, stored_value_that_is_in_use);
        tcase_add_test(tcase, value_is_revoked_upstream_only_where_that_is_allowed);
        tcase_add_test(tcase, value_that_was_replaced_ends_where_somebody_has_it_still);
        tcase_add_test(tcase, one_rotation_in_ten_minutes);
        tcase_add_test(tcase, what_was_issued_acts_on_its_session_and_rotates_where_the_profile_says);
        tcase_add_test(tcase, value_out_of_a_sandbox);
        tcase_add_test(tcase, rows_come_back_and_close_with_their_last_action);
        tcase_add_test(tcase, document_escapes_what_others_wrote);
        return suite_run("response", tcase);
}
