/* The JSON form of messages: what is read, what is refused and why, what is written. */
#undef NDEBUG
#include "wire/json.h"
#include "base/clock.h"
#include "wire/msg_broker.h"
#include "wire/msg_session.h"
#include <check.h>

static Arena *arena;
static Pool pool = POOL_NULL(1024 * 1024);
static SchemaError error;

static void setup(void)
{
        ck_assert_int_eq(arena_new(&arena, 256 * 1024), 0);
}

static void teardown(void)
{
        ck_assert_uint_eq(arena_used(arena), 0);
        pool_deinit(&pool);
        arena = arena_free(arena);
}

static const Schema *request_of(unsigned method)
{
        return interface_broker.methods[method].request;
}

static int read_text(const Schema *schema, const char *text, void *body)
{
        return json_read(schema, slice_text(text), 0, arena, &pool, body, &error);
}

static void refused(unsigned method, const char *text, const char *field, const char *reason)
{
        uint8_t body[1024];

        ck_assert_uint_le(request_of(method)->size, sizeof(body));
        ck_assert_msg(read_text(request_of(method), text, body) == SCHEMA_E_INVALID, "%s", text);
        ck_assert_str_eq(error.field, field);
        ck_assert_str_eq(error.reason, reason);
        for (size_t i = 0; i < request_of(method)->size; i++)
                ck_assert_uint_eq(body[i], 0);
}

static const char whole[] =
        "{\"grants\":[{\"profile\":\"one\"},{\"profile\":\"two\",\"scope\":{\"repositories\":[\"octo/hello\"],"
        "\"permissions\":{\"contents\":\"read\",\"issues\":\"write\"}}}],\"label\":\"\\u00e9\\ud83d\\ude00\","
        "\"lifetime\":9007199254740992,\"lifeline\":\"lifetime\",\"want_descriptor\":true,"
        "\"command\":[\"npx\",\"-y\"]}";

START_TEST(test_read_whole)
{
        OpenSessionRequest body;
        const GrantRequest *grants;

        ck_assert_int_eq(read_text(request_of(BROKER_OPEN_SESSION), whole, &body), 0);
        grants = body.grants.items;
        ck_assert_uint_eq(body.grants.n, 2);
        ck_assert_str_eq(grants[0].profile, "one");
        ck_assert_ptr_null(grants[0].scope);
        ck_assert_str_eq(grants[1].scope->repositories.items[0], "octo/hello");
        ck_assert_uint_eq(grants[1].scope->permissions.n, 2);
        ck_assert_str_eq(body.label, "\xc3\xa9\xf0\x9f\x98\x80");
        ck_assert_uint_eq(body.lifetime, JSON_INTEGER_MAX);
        ck_assert_uint_eq(body.lifeline, LIFELINE_LIFETIME);
        ck_assert(body.want_descriptor);
        ck_assert_str_eq(body.command.items[1], "-y");
        ck_assert_ptr_null(body.caller);
        schema_clear(request_of(BROKER_OPEN_SESSION), &body);
}
END_TEST

START_TEST(test_absent_and_null)
{
        OpenSessionRequest body;

        ck_assert_int_eq(read_text(request_of(BROKER_OPEN_SESSION), "{\"grants\":[],\"label\":null,\"lifetime\":null}",
                                   &body), 0);
        ck_assert_ptr_null(body.label);
        ck_assert_uint_eq(body.lifeline, LIFELINE_CONNECTION);
        refused(BROKER_OPEN_SESSION, "{}", "grants", "is missing");
        refused(BROKER_OPEN_SESSION, "{\"grants\":null}", "grants", "is missing");
        refused(BROKER_GET_TOKEN, "{}", "session", "is missing");
        /* No parameters at all are an empty object. */
        ck_assert_int_eq(json_read_tree(request_of(BROKER_STATUS), NULL, 0, arena, &pool, &body, &error), 0);
}
END_TEST

START_TEST(test_wrong_types)
{
        refused(BROKER_OPEN_SESSION, "{\"grants\":{}}", "grants", "is not an array");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[1]}", "grants[0]", "is not an object");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[{\"profile\":1}]}", "grants[0].profile", "is not a string");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[{\"profile\":\"p\",\"scope\":[]}]}", "grants[0].scope",
                "is not an object");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[{\"profile\":\"p\",\"scope\":{\"permissions\":[]}}]}",
                "grants[0].scope.permissions", "is not an object");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[{\"profile\":\"p\",\"scope\":{\"permissions\":{\"a\":1}}}]}",
                "grants[0].scope.permissions.a", "is not a string");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[],\"lifetime\":\"1\"}", "lifetime", "is not an integer");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[],\"lifetime\":1.0}", "lifetime", "is not an integer");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[],\"lifetime\":-1}", "lifetime", "is not between 0 and 2^53");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[],\"lifetime\":9007199254740993}", "lifetime",
                "is not between 0 and 2^53");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[],\"lifeline\":\"pidfd\"}", "lifeline",
                "is not one of its values");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[],\"lifeline\":1}", "lifeline", "is not a string");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[],\"want_descriptor\":1}", "want_descriptor",
                "is not a boolean");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[],\"command\":[null]}", "command[0]", "is not a string");
}
END_TEST

START_TEST(test_unknown_and_private)
{
        refused(BROKER_STATUS, "{\"colour\":1}", "colour", "is not a field of this message");
        refused(BROKER_STATUS, "{\"caller\":{\"uid\":0,\"pid\":1}}", "caller", "is not a field of this message");
        refused(BROKER_STATUS, "{\"a\\nb\\u00e9\":1}", "a?b??", "is not a field of this message");
        refused(BROKER_OPEN_SESSION, "{\"grants\":[{\"profile\":\"p\",\"x\":1}]}", "grants[0].x",
                "is not a field of this message");
}
END_TEST

START_TEST(test_by_path_is_never_read)
{
        SessionTokenRequest body;

        ck_assert_int_eq(read_text(interface_session.methods[0].request, "{\"by_path\":false}", &body),
                         SCHEMA_E_INVALID);
        ck_assert_str_eq(error.field, "by_path");
}
END_TEST

START_TEST(test_malformed)
{
        refused(BROKER_STATUS, "", "", "is cut short");
        refused(BROKER_STATUS, "{", "", "is cut short");
        refused(BROKER_STATUS, "{}x", "", "has bytes behind its end");
        refused(BROKER_STATUS, "[]", "", "is not an object");
        refused(BROKER_STATUS, "null", "", "is not JSON");
        refused(BROKER_STATUS, "{\"a\":1,\"a\":1}", "", "has a key twice");
        refused(BROKER_LIST_LEASES, "{\"all\":true,\"\\u0061ll\":true}", "", "has a key twice");
        refused(BROKER_STATUS, "{\"a\":\"\xff\"}", "", "is not UTF-8 without NUL");
        refused(BROKER_STATUS, "{\"a\":\"\xc0\x80\"}", "", "is not UTF-8 without NUL");
        refused(BROKER_STATUS, "{\"a\":\"\xed\xa0\x80\"}", "", "is not UTF-8 without NUL");
        refused(BROKER_GET_TOKEN, "{\"session\":\"a\\u0000b\"}", "", "contains a NUL character");
        refused(BROKER_GET_TOKEN, "{\"session\":\"\\ud800\"}", "", "is not JSON");
        refused(BROKER_GET_TOKEN, "{\"session\":\"a\nb\"}", "", "is not JSON");
        refused(BROKER_STATUS, "{\"a\":NaN}", "", "is not JSON");
        refused(BROKER_STATUS, "{\"a\":01}", "", "is not JSON");
        refused(BROKER_STATUS, "{\"a\":99999999999999999999}", "", "has a number that is too large");
        refused(BROKER_STATUS, "{\"a\":1e999}", "", "has a number that is too large");
        ck_assert_int_eq(json_read(request_of(BROKER_STATUS), slice("{\0}", 3), 0, arena, &pool, &(StatusRequest){ 0 },
                                   &error), SCHEMA_E_INVALID);
}
END_TEST

START_TEST(test_depth)
{
        char text[64] = "{\"a\":";

        memset(text + 5, '[', JSON_DEPTH_MAX);
        refused(BROKER_STATUS, text, "", "is nested too deeply");
        text[5 + JSON_DEPTH_MAX - 1] = '\0';
        refused(BROKER_STATUS, text, "", "is cut short");
        /* Brackets in a string do not count, nor does a quote behind a backslash. */
        refused(BROKER_STATUS, "{\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[\":1}", "????????????????????????""?", "is not a field of this message");
}
END_TEST

START_TEST(test_limits)
{
        static char text[JSON_REQUEST_MAX + 2];
        Buf long_text = BUF_NULL(sizeof(text));

        memset(text, ' ', sizeof(text) - 1);
        memcpy(text, "{}", 2);
        refused(BROKER_STATUS, text, "", "is too long");
        text[JSON_REQUEST_MAX] = '\0';
        ck_assert_int_eq(read_text(request_of(BROKER_STATUS), text, &(StatusRequest){ 0 }), 0);

        ck_assert_int_eq(buf_append_text(&long_text, "{\"session\":\"s-123456789012345678\"}"), 0);
        ck_assert_int_eq(buf_append_u8(&long_text, 0), 0);
        refused(BROKER_GET_TOKEN, (const char *)long_text.data, "session", "is too long");
        buf_clear(&long_text);
        ck_assert_int_eq(buf_append_text(&long_text, "{\"grants\":["), 0);
        for (unsigned i = 0; i < 17; i++)
                ck_assert_int_eq(buf_append_text(&long_text, i ? ",{\"profile\":\"p\"}" : "{\"profile\":\"p\"}"), 0);
        ck_assert_int_eq(buf_append(&long_text, "]}", 3), 0);
        refused(BROKER_OPEN_SESSION, (const char *)long_text.data, "grants", "has too many items");
        buf_deinit(&long_text);
}
END_TEST

START_TEST(test_path_never_overflows)
{
        char text[1024] = "{\"";

        memset(text + 2, 'k', 900);
        memcpy(text + 902, "\":1}", 5);
        ck_assert_int_eq(read_text(request_of(BROKER_STATUS), text, &(StatusRequest){ 0 }), SCHEMA_E_INVALID);
        ck_assert_uint_eq(strlen(error.field), sizeof(error.field) - 1);
}
END_TEST

START_TEST(test_pool_and_arena_caps)
{
        Pool small = POOL_NULL(64);
        OpenSessionRequest body;
        SessionTokenRequest token;
        Arena *tiny;

        ck_assert_int_eq(json_read(request_of(BROKER_OPEN_SESSION), slice_text(whole), 0, arena, &small, &body, &error),
                         SCHEMA_E_NO_SPACE);
        pool_deinit(&small);
        ck_assert_int_eq(json_read(interface_session.methods[0].request, slice_text("{\"session\":\"x\"}"), 0, NULL,
                                   &pool, &token, &error), SCHEMA_E_INVALID);
        ck_assert_str_eq(error.reason, "carries a secret where none is expected");
        ck_assert_int_eq(arena_new(&tiny, 1), 0);
        for (unsigned i = 0; i < 100000; i++) {
                void *data;

                if (arena_alloc(tiny, 64, &data) == ARENA_E_FULL)
                        break;
        }
        ck_assert_int_eq(json_read(interface_session.methods[0].request, slice_text("{\"session\":\"x\"}"), 0, tiny,
                                   &pool, &token, &error), SCHEMA_E_NO_SPACE);
        arena_free(tiny);
}
END_TEST

/* Every prefix is refused, and no changed bit does worse than to be refused. */
START_TEST(test_sweep)
{
        const Schema *schema = request_of(BROKER_OPEN_SESSION);
        OpenSessionRequest body;
        char copy[sizeof(whole)];

        for (size_t n = 0; n < strlen(whole); n++) {
                ck_assert_int_eq(json_read(schema, slice(whole, n), 0, arena, &pool, &body, &error), SCHEMA_E_INVALID);
                pool_deinit(&pool);
        }
        for (size_t bit = 0; bit < 8 * strlen(whole); bit++) {
                int r;

                memcpy(copy, whole, sizeof(whole));
                copy[bit / 8] ^= (char)(1 << bit % 8);
                r = json_read(schema, slice(copy, strlen(whole)), 0, arena, &pool, &body, &error);
                ck_assert(r == 0 || r == SCHEMA_E_INVALID);
                ck_assert(r == 0 || error.reason[0]);
                schema_clear(schema, &body);
                pool_deinit(&pool);
        }
}
END_TEST

START_TEST(test_round_trip)
{
        const Schema *schema = request_of(BROKER_OPEN_SESSION);
        Buf out = BUF_NULL(4096), again = BUF_NULL(4096);
        OpenSessionRequest body, back;

        ck_assert_int_eq(read_text(schema, whole, &body), 0);
        body.caller = &(Caller){ .uid = 1000 };
        ck_assert_int_eq(json_write(schema, &body, &out), 0);
        ck_assert_ptr_null(memmem(out.data, out.size, "caller", 6));
        ck_assert_int_eq(json_read(schema, buf_slice(&out), 0, arena, &pool, &back, &error), 0);
        ck_assert_int_eq(json_write(schema, &back, &again), 0);
        ck_assert(slice_equal(buf_slice(&out), buf_slice(&again)));
        buf_deinit(&out);
        buf_deinit(&again);
}
END_TEST

START_TEST(test_write_token)
{
        TokenReply reply = { .profile = "a\"\\/\n\x01\x7f\xc3\xa9", .expires = UINT64_C(1767225599) * USEC_PER_SEC }, back;
        Buf out = BUF_NULL(4096);

        ck_assert_int_eq(secret_from_bytes(&reply.token, arena, slice_text("to\"ken")), 0);
        ck_assert_int_eq(json_write(&schema_token_reply, &reply, &out), 0);
        ck_assert_int_eq(buf_append_u8(&out, 0), 0);
        ck_assert_str_eq((const char *)out.data,
                         "{\"profile\":\"a\\\"\\\\/\\n\\u0001\\u007f\xc3\xa9\",\"token\":\"to\\\"ken\","
                         "\"expires\":\"2025-12-31T23:59:59Z\"}");
        ck_assert_int_eq(json_read(&schema_token_reply, slice(out.data, out.size - 1), JSON_LENIENT, arena, &pool, &back,
                                   &error), 0);
        ck_assert(secret_equal(back.token, slice_text("to\"ken")));
        ck_assert_uint_eq(back.expires, reply.expires);
        schema_clear(&schema_token_reply, &back);
        schema_clear(&schema_token_reply, &reply);
        buf_deinit(&out);
}
END_TEST

START_TEST(test_lenient_ignores_unknown)
{
        const char *text = "{\"profile\":\"p\",\"token\":\"t\",\"colour\":{\"a\":[1]}}";
        TokenReply back;

        ck_assert_int_eq(read_text(&schema_token_reply, text, &back), SCHEMA_E_INVALID);
        ck_assert_int_eq(json_read(&schema_token_reply, slice_text(text), JSON_LENIENT, arena, &pool, &back, &error), 0);
        schema_clear(&schema_token_reply, &back);
        /* What is known must still be right. */
        ck_assert_int_eq(json_read(&schema_token_reply, slice_text("{\"profile\":1,\"token\":\"t\"}"), JSON_LENIENT,
                                   arena, &pool, &back, &error), SCHEMA_E_INVALID);
}
END_TEST

START_TEST(test_write_refuses_what_does_not_fit)
{
        Buf out = BUF_NULL(4096), small = BUF_NULL(8);
        GrantReply reply = { .profile = NULL };
        ReloadReply count = { .profiles = JSON_INTEGER_MAX + 1 };
        const Schema *reload = interface_broker.methods[BROKER_RELOAD].reply;

        ck_assert_int_eq(json_write(&schema_grant_reply, &reply, &out), -EINVAL);
        reply.profile = "\xff";
        ck_assert_int_eq(json_write(&schema_grant_reply, &reply, &out), -EINVAL);
        reply.profile = "p";
        reply.deliver = 77;
        ck_assert_int_eq(json_write(&schema_grant_reply, &reply, &out), -EINVAL);
        ck_assert_int_eq(json_write(reload, &count, &out), -EINVAL);
        count.profiles = 1;
        ck_assert_int_eq(json_write(reload, &count, &small), -ENOBUFS);
        buf_deinit(&out);
        buf_deinit(&small);
}
END_TEST

START_TEST(test_required_lists_are_written_empty)
{
        ListLeasesReply reply = { 0 };
        Buf out = BUF_NULL(64);

        ck_assert_int_eq(json_write(interface_broker.methods[BROKER_LIST_LEASES].reply, &reply, &out), 0);
        ck_assert(slice_is_text(buf_slice(&out), "{\"leases\":[]}"));
        buf_deinit(&out);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("json");
        TCase *tcase = tcase_create("json");
        SRunner *r;
        int failed;

        if (json_setup() < 0)
                return 1;
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, test_read_whole);
        tcase_add_test(tcase, test_absent_and_null);
        tcase_add_test(tcase, test_wrong_types);
        tcase_add_test(tcase, test_unknown_and_private);
        tcase_add_test(tcase, test_by_path_is_never_read);
        tcase_add_test(tcase, test_malformed);
        tcase_add_test(tcase, test_depth);
        tcase_add_test(tcase, test_limits);
        tcase_add_test(tcase, test_path_never_overflows);
        tcase_add_test(tcase, test_pool_and_arena_caps);
        tcase_add_test(tcase, test_sweep);
        tcase_add_test(tcase, test_round_trip);
        tcase_add_test(tcase, test_write_token);
        tcase_add_test(tcase, test_lenient_ignores_unknown);
        tcase_add_test(tcase, test_write_refuses_what_does_not_fit);
        tcase_add_test(tcase, test_required_lists_are_written_empty);
        suite_add_tcase(suite, tcase);
        r = srunner_create(suite);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed ? 1 : 0;
}
