/* Varlink calls, replies and errors, both ways. */
#undef NDEBUG
#include "wire/varlink.h"
#include "base/clock.h"
#include "wire/msg_broker.h"
#include <check.h>

static Arena *arena;
static Pool pool = POOL_NULL(1024 * 1024);
static SchemaError error;

static void setup(void)
{
        ck_assert_int_eq(arena_new(&arena, 64 * 1024), 0);
}

static void teardown(void)
{
        ck_assert_uint_eq(arena_used(arena), 0);
        pool_deinit(&pool);
        arena = arena_free(arena);
}

/* What is in the buffer, whose last byte must be the only NUL. */
static Slice message_of(const Buf *out)
{
        ck_assert_ptr_eq(memchr(out->data, 0, out->size), out->data + out->size - 1);
        return slice(out->data, out->size - 1);
}

static void refused(const char *text, const char *field, const char *reason)
{
        VarlinkCall call;

        ck_assert_msg(varlink_call_parse(&call, slice_text(text), &error) == SCHEMA_E_INVALID, "%s", text);
        ck_assert_str_eq(error.field, field);
        ck_assert_str_eq(error.reason, reason);
}

START_TEST(test_call_round_trip)
{
        const Method *method = &interface_broker.methods[BROKER_REVOKE];
        RevokeRequest body = { .session = "s-0123456789abcdef", .dry_run = true }, back;
        Buf out = BUF_NULL(4096);
        VarlinkCall call;
        const char *name;

        ck_assert_int_eq(varlink_call_write(&out, "io.mcpcred.Broker", method, &body, true, false), 0);
        ck_assert_int_eq(varlink_call_parse(&call, message_of(&out), &error), 0);
        ck_assert(varlink_method_of(call.method, "io.mcpcred.Broker", &name));
        ck_assert_str_eq(name, "Revoke");
        ck_assert(!varlink_method_of(call.method, "io.mcpcred", &name));
        ck_assert(!varlink_method_of("Revoke", "", &name));
        ck_assert(call.more && !call.oneway);
        ck_assert_int_eq(varlink_call_read(&call, method->request, arena, &pool, &back, &error), 0);
        ck_assert_str_eq(back.session, body.session);
        ck_assert(back.dry_run && !back.all);
        varlink_call_clear(&call);
        buf_deinit(&out);
}
END_TEST

START_TEST(test_calls_refused)
{
        refused("{}", "method", "is missing");
        refused("{\"method\":1}", "method", "is not a string");
        refused("{\"method\":\"a.B\",\"parameters\":[]}", "parameters", "is not an object");
        refused("{\"method\":\"a.B\",\"more\":1}", "more", "is not a boolean");
        refused("{\"method\":\"a.B\",\"more\":true,\"oneway\":true}", "oneway", "excludes more");
        refused("{\"method\":\"a.B\",\"upgrade\":true}", "", "has a member that varlink calls do not have");
        refused("{\"method\":\"a.B\",\"method\":\"a.C\"}", "", "has a key twice");
        refused("nonsense", "", "is not JSON");
}
END_TEST

START_TEST(test_reply_round_trip)
{
        StoreReply body = { .store = "memory", .store_state = "ready" }, back;
        const Schema *schema = interface_broker.methods[BROKER_LOCK].reply;
        Buf out = BUF_NULL(4096);
        VarlinkReply reply;

        ck_assert_int_eq(varlink_reply_write(&out, schema, &body, true), 0);
        ck_assert_int_eq(varlink_reply_parse(&reply, message_of(&out), &error), 0);
        ck_assert(reply.continues);
        ck_assert_int_eq(reply.fault, FAULT_NONE);
        ck_assert_ptr_null(reply.error);
        ck_assert_int_eq(varlink_reply_read(&reply, schema, arena, &pool, &back, &error), 0);
        ck_assert_str_eq(back.store_state, "ready");
        varlink_reply_clear(&reply);
        buf_deinit(&out);
}
END_TEST

START_TEST(test_reply_of_a_newer_broker)
{
        VarlinkReply reply;

        ck_assert_int_eq(varlink_reply_parse(&reply, slice_text("{\"parameters\":{},\"colour\":1}"), &error), 0);
        varlink_reply_clear(&reply);
        ck_assert_int_eq(varlink_reply_parse(&reply, slice_text("{\"error\":\"io.mcpcred.Broker.Newer\"}"), &error), 0);
        ck_assert_int_eq(reply.fault, FAULT_INTERNAL);
        ck_assert_str_eq(reply.error, "io.mcpcred.Broker.Newer");
        varlink_reply_clear(&reply);
        ck_assert_int_eq(varlink_reply_parse(&reply, slice_text("{\"error\":1}"), &error), SCHEMA_E_INVALID);
        ck_assert_int_eq(varlink_reply_parse(&reply, slice_text("{\"error\":\"x.None\"}"), &error), 0);
        ck_assert_int_eq(reply.fault, FAULT_INTERNAL);
        varlink_reply_clear(&reply);
}
END_TEST

/* Each fault comes back as itself, with all that was said of it. */
START_TEST(test_every_fault)
{
        for (unsigned code = FAULT_NONE + 1; code < _FAULT_N; code++) {
                FaultBody fault = {
                        .fault = code, .message = "what \"happened\"", .remedy = "do this", .field = "grants[0]",
                        .retry_after_usec = 1500 * USEC_PER_MSEC,
                };
                Buf out = BUF_NULL(4096);
                VarlinkReply reply;

                ck_assert_int_eq(varlink_error_write(&out, "io.mcpcred.Broker", &fault), 0);
                ck_assert_int_eq(varlink_reply_parse(&reply, message_of(&out), &error), 0);
                ck_assert_int_eq(reply.fault, code);
                ck_assert_str_eq(reply.details.message, fault.message);
                ck_assert_str_eq(reply.details.remedy, fault.remedy);
                ck_assert_str_eq(reply.details.field, fault.field);
                ck_assert_uint_eq(reply.details.retry_after_usec, 2 * USEC_PER_SEC);
                varlink_reply_clear(&reply);
                buf_deinit(&out);
        }
}
END_TEST

START_TEST(test_error_defaults)
{
        FaultBody fault = { .fault = FAULT_METHOD_NOT_FOUND, .field = "io.mcpcred.Broker.Fly", .message = "\xff" };
        Buf out = BUF_NULL(4096);

        ck_assert_int_eq(varlink_error_write(&out, "io.mcpcred.Broker", &fault), 0);
        ck_assert_str_eq((const char *)out.data,
                         "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{"
                         "\"method\":\"io.mcpcred.Broker.Fly\",\"message\":\"\","
                         "\"remedy\":\"Client and broker may be of different versions.\"}}");
        buf_deinit(&out);
}
END_TEST

START_TEST(test_join)
{
        const Schema *schema = interface_broker.methods[BROKER_REVOKE].reply;
        CredentialOutcome rows[] = {
                { .lease = "l-1", .session = "s", .profile = "p", .secret = "x" },
                { .lease = "l-2", .session = "s", .profile = "p", .secret = "x" },
        };
        RevokeReply page = { .credentials = { rows, 2 } }, last = { .sessions = 3, .pending = true }, back;
        VarlinkJoin join = { 0 };
        Buf out = BUF_NULL(4096);
        VarlinkReply reply;

        ck_assert_int_eq(varlink_join_add(&join, schema, &page), 0);
        ck_assert_int_eq(varlink_join_write(&join, &out, schema, &last), 0);
        ck_assert_int_eq(varlink_reply_parse(&reply, message_of(&out), &error), 0);
        ck_assert_int_eq(varlink_reply_read(&reply, schema, arena, &pool, &back, &error), 0);
        ck_assert_uint_eq(back.credentials.n, 2);
        ck_assert_uint_eq(back.sessions, 3);
        ck_assert(back.pending);
        varlink_reply_clear(&reply);
        buf_clear(&out);
        page.credentials.n = 1;
        ck_assert_int_eq(varlink_join_add(&join, schema, &page), 0);
        ck_assert_int_eq(varlink_join_write(&join, &out, schema, &page), 0);
        ck_assert_int_eq(varlink_reply_parse(&reply, message_of(&out), &error), 0);
        ck_assert_int_eq(varlink_reply_read(&reply, schema, arena, &pool, &back, &error), 0);
        ck_assert_uint_eq(back.credentials.n, 4);
        varlink_reply_clear(&reply);
        varlink_join_deinit(&join);
        buf_deinit(&out);
}
END_TEST

START_TEST(test_sweep)
{
        static const char text[] = "{\"method\":\"io.mcpcred.Broker.Status\",\"parameters\":{},\"more\":true}";
        static const char answer[] = "{\"error\":\"io.mcpcred.Broker.Busy\",\"parameters\":{\"message\":\"m\","
                                     "\"retry_after\":3},\"continues\":false}";
        char copy[sizeof(answer)];

        for (size_t n = 0; n < strlen(text); n++) {
                VarlinkCall call;

                ck_assert_int_eq(varlink_call_parse(&call, slice(text, n), &error), SCHEMA_E_INVALID);
        }
        for (size_t bit = 0; bit < 8 * strlen(text); bit++) {
                VarlinkCall call = { 0 };

                memcpy(copy, text, sizeof(text));
                copy[bit / 8] ^= (char)(1 << bit % 8);
                if (varlink_call_parse(&call, slice(copy, strlen(text)), &error) == 0)
                        ck_assert_ptr_nonnull(call.method);
                varlink_call_clear(&call);
        }
        for (size_t bit = 0; bit < 8 * strlen(answer); bit++) {
                VarlinkReply reply = { 0 };

                memcpy(copy, answer, sizeof(answer));
                copy[bit / 8] ^= (char)(1 << bit % 8);
                if (varlink_reply_parse(&reply, slice(copy, strlen(answer)), &error) == 0)
                        ck_assert(!reply.error == (reply.fault == FAULT_NONE));
                varlink_reply_clear(&reply);
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("varlink");
        TCase *tcase = tcase_create("varlink");
        SRunner *r;
        int failed;

        if (json_setup() < 0)
                return 1;
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, test_call_round_trip);
        tcase_add_test(tcase, test_calls_refused);
        tcase_add_test(tcase, test_reply_round_trip);
        tcase_add_test(tcase, test_reply_of_a_newer_broker);
        tcase_add_test(tcase, test_every_fault);
        tcase_add_test(tcase, test_error_defaults);
        tcase_add_test(tcase, test_join);
        tcase_add_test(tcase, test_sweep);
        suite_add_tcase(suite, tcase);
        r = srunner_create(suite);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed ? 1 : 0;
}
