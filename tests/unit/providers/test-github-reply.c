#undef NDEBUG
#include "providers/github_reply.h"
#include "providers/json.h"
#include <check.h>
#include <stdio.h>

#define ARENA (64U * 1024U)

static Arena *arena;
static Pool pool;

static void setup(void)
{
        ck_assert_int_eq(arena_new(&arena, ARENA), 0);
        pool = POOL_NULL(64U * 1024U);
}

static void teardown(void)
{
        ck_assert_uint_eq(arena_used(arena), 0);
        pool_deinit(&pool);
        arena_free(arena);
}

/* A token-shaped text is put together here, so that no scanner finds one in the source. */
static void make_token(char *out, size_t size)
{
        size_t n = (size_t)snprintf(out, size, "%s%s_%s", "gh", "s", "1234_");

        memset(out + n, 'x', size - 1 - n);
        out[size - 1] = 0;
}

static void make_reply(char *out, size_t size, const char *token, const char *rest)
{
        snprintf(out, size,
                 "{\"token\":\"%s\",\"expires_at\":\"2026-01-01T01:00:00Z\","
                 "\"permissions\":{\"contents\":\"read\",\"metadata\":\"read\"}%s}",
                 token, rest);
}

#define SELECTED                                                                                   \
        ",\"repository_selection\":\"selected\",\"repositories\":[{\"id\":1,\"full_name\":\"octo/" \
        "hello\","                                                                                 \
        "\"owner\":{\"login\":\"octo\"}},{\"full_name\":\"octo/world\"}],\"single_file\":null"

START_TEST(reads_mint)
{
        char token[521], text[2048];
        ProviderMintReply reply = { 0 };

        make_token(token, sizeof(token));
        make_reply(text, sizeof(text), token, SELECTED);
        ck_assert_int_eq(github_read_mint(slice_text(text), arena, &pool, &reply), 0);
        ck_assert(secret_equal(reply.token, slice_text(token)));
        ck_assert_uint_eq(reply.expires, UINT64_C(1767229200) * USEC_PER_SEC);
        ck_assert_ptr_null(reply.upstream_id);
        ck_assert_uint_eq(reply.granted->repositories.n, 2);
        ck_assert_str_eq(reply.granted->repositories.items[0], "octo/hello");
        ck_assert_str_eq(reply.granted->repositories.items[1], "octo/world");
        ck_assert_uint_eq(reply.granted->permissions.n, 2);
        secret_free(reply.token);
}
END_TEST

START_TEST(all_repositories_are_never_what_was_asked)
{
        char text[2048];
        ProviderMintReply reply = { 0 };

        make_reply(text, sizeof(text), "t", ",\"repository_selection\":\"all\"");
        ck_assert_int_eq(github_read_mint(slice_text(text), arena, &pool, &reply), 0);
        ck_assert_uint_eq(reply.granted->repositories.n, 1);
        ck_assert_str_eq(reply.granted->repositories.items[0], GITHUB_ALL_REPOSITORIES);
        secret_free(reply.token);
}
END_TEST

START_TEST(senseless_mints)
{
        static const char *const bad[] = {
                "",
                "null",
                "[]",
                "{}",
                "{",
                "\"token\"",
                "{}x",
                "{\"token\":\"t\"}",
                "{\"expires_at\":\"2026-01-01T01:00:00Z\"}",
                "{\"token\":\"\",\"expires_at\":\"2026-01-01T01:00:00Z\"}",
                "{\"token\":7,\"expires_at\":\"2026-01-01T01:00:00Z\"}",
                "{\"token\":\"a b\",\"expires_at\":\"2026-01-01T01:00:00Z\"}",
                "{\"token\":\"a\\r\\nX: y\",\"expires_at\":\"2026-01-01T01:00:00Z\"}",
                "{\"token\":\"\\u0000\",\"expires_at\":\"2026-01-01T01:00:00Z\"}",
                "{\"token\":\"\\u00e4\",\"expires_at\":\"2026-01-01T01:00:00Z\"}",
                "{\"token\":\"t\",\"token\":\"u\",\"expires_at\":\"2026-01-01T01:00:00Z\"}",
                "{\"token\":\"t\",\"expires_at\":\"tomorrow\"}",
                "{\"token\":\"t\",\"expires_at\":1767229200}",
                "{\"token\":\"t\",\"expires_at\":\"1970-01-01T00:00:00Z\"}",
                "{\"token\":\"t\",\"expires_at\":\"2026-01-01T01:00:00Z\",\"permissions\":[]}",
                ("{\"token\":\"t\",\"expires_at\":\"2026-01-01T01:00:00Z\",\"permissions\":{\"a\":1}"
                 "}"),
                "{\"token\":\"t\",\"expires_at\":\"2026-01-01T01:00:00Z\",\"repositories\":{}}",
                "{\"token\":\"t\",\"expires_at\":\"2026-01-01T01:00:00Z\",\"repositories\":[1]}",
                "{\"token\":\"t\",\"expires_at\":\"2026-01-01T01:00:00Z\",\"repositories\":[{}]}",
                "{\"error\":\"bad_verification\"}",
        };
        ProviderMintReply reply = { 0 };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(github_read_mint(slice_text(bad[i]), arena, &pool, &reply) ==
                                      REPLY_E_SENSELESS,
                              "%s", bad[i]);
        ck_assert_ptr_null(reply.token);
}
END_TEST

START_TEST(limits_of_a_mint)
{
        static char token[REPLY_TOKEN_MAX + 2], text[REPLY_TOKEN_MAX + 1024];
        ProviderMintReply reply = { 0 };

        make_token(token, sizeof(token));
        make_reply(text, sizeof(text), token, "");
        ck_assert_int_eq(github_read_mint(slice_text(text), arena, &pool, &reply),
                         REPLY_E_SENSELESS);
        make_token(token, sizeof(token) - 1);
        make_reply(text, sizeof(text), token, "");
        ck_assert_int_eq(github_read_mint(slice_text(text), arena, &pool, &reply), 0);
        ck_assert_uint_eq(reply.granted->repositories.n, 0);
        secret_free(reply.token);
}
END_TEST

START_TEST(no_room)
{
        char text[2048];
        ProviderMintReply reply = { 0 };
        Pool small = POOL_NULL(16);

        make_reply(text, sizeof(text), "t", SELECTED);
        ck_assert_int_eq(github_read_mint(slice_text(text), arena, &small, &reply),
                         REPLY_E_NO_SPACE);
        pool_deinit(&small);
}
END_TEST

START_TEST(too_deep)
{
        char text[256] = "{\"token\":\"t\",\"expires_at\":\"2026-01-01T01:00:00Z\",\"x\":";
        size_t n = strlen(text);
        json_t *json = NULL;

        memset(text + n, '[', 64);
        memset(text + n + 64, ']', 64);
        text[n + 128] = '}';
        ck_assert_int_eq(json_read(slice_text(text), &json), JSON_E_INVALID);
        /* Brackets in a text do not count. */
        ck_assert_int_eq(json_read(slice_text("{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[\"}"), &json),
                         0);
        json_decref(json);
}
END_TEST

START_TEST(reads_app)
{
        GithubApp app;

        ck_assert_int_eq(
                github_read_app(slice_text("{\"id\":1001,\"slug\":\"octo-mcp\",\"name\":\"Octo\","
                                           "\"client_id\":\"Iv1.00000000000003e9\"}"),
                                &app),
                0);
        ck_assert_uint_eq(app.id, 1001);
        ck_assert_str_eq(app.name, "octo-mcp");
        ck_assert_str_eq(app.client_id, "Iv1.00000000000003e9");
        ck_assert_int_eq(github_read_app(slice_text("{\"id\":1,\"name\":\"Octo\"}"), &app), 0);
        ck_assert_str_eq(app.client_id, "");
        ck_assert_int_eq(github_read_app(slice_text("{\"id\":-1,\"name\":\"Octo\"}"), &app),
                         REPLY_E_SENSELESS);
        ck_assert_int_eq(github_read_app(slice_text("{\"id\":\"1\",\"name\":\"Octo\"}"), &app),
                         REPLY_E_SENSELESS);
        ck_assert_int_eq(github_read_app(slice_text("{\"id\":1,\"name\":\"\\u001b[2J\"}"), &app),
                         REPLY_E_SENSELESS);
}
END_TEST

START_TEST(long_names_are_cut_at_a_character)
{
        char text[1024] = "{\"id\":1,\"name\":\"a";
        GithubApp app;

        for (unsigned i = 0; i < 150; i++)
                strcat(text, "\xc3\xa4");
        strcat(text, "\"}");
        ck_assert_int_eq(github_read_app(slice_text(text), &app), 0);
        ck_assert_uint_eq(strlen(app.name), REPLY_TEXT_MAX - 1);
        ck_assert_int_eq((uint8_t)app.name[REPLY_TEXT_MAX - 2], 0xa4);
}
END_TEST

START_TEST(reads_installation)
{
        GithubInstallation one;

        ck_assert_int_eq(
                github_read_installation(
                        slice_text("{\"account\":{\"login\":\"octo\"},\"suspended_at\":null}"),
                        &one),
                0);
        ck_assert(!one.suspended);
        ck_assert_int_eq(
                github_read_installation(
                        slice_text("{\"account\":{\"login\":\"octo\"},\"suspended_at\":\"2026\"}"),
                        &one),
                0);
        ck_assert(one.suspended);
        ck_assert_str_eq(one.account, "octo");
        ck_assert_int_eq(github_read_installation(slice_text("{\"account\":\"octo\"}"), &one),
                         REPLY_E_SENSELESS);
        ck_assert_int_eq(github_read_installation(slice_text("{}"), &one), REPLY_E_SENSELESS);
}
END_TEST

START_TEST(reads_user)
{
        char login[REPLY_TEXT_MAX];

        ck_assert_int_eq(github_read_user(slice_text("{\"login\":\"octocat\",\"id\":1}"), login), 0);
        ck_assert_str_eq(login, "octocat");
        ck_assert_int_eq(github_read_user(slice_text("{\"login\":\"\"}"), login), REPLY_E_SENSELESS);
        ck_assert_int_eq(github_read_user(slice_text("{\"login\":7}"), login), REPLY_E_SENSELESS);
        ck_assert_int_eq(github_read_user(slice_text("[]"), login), REPLY_E_SENSELESS);
}
END_TEST

START_TEST(reads_scopes)
{
        TextList list;

        ck_assert_int_eq(github_read_scopes("repo, read:org,gist", &pool, &list), 0);
        ck_assert_uint_eq(list.n, 3);
        ck_assert_str_eq(list.items[1], "read:org");
        ck_assert_str_eq(list.items[2], "gist");
        ck_assert_int_eq(github_read_scopes("", &pool, &list), 0);
        ck_assert_uint_eq(list.n, 0);
        ck_assert_int_eq(github_read_scopes(" ,, a , ", &pool, &list), 0);
        ck_assert_uint_eq(list.n, 1);
        ck_assert_int_eq(github_read_scopes("a,b,c,d,e", &pool, &list), 0);
        ck_assert_uint_eq(list.n, 5);
}
END_TEST

START_TEST(messages)
{
        static const char *const dropped[] = {
                "",
                "x",
                "{}",
                "{\"message\":1}",
                "{\"message\":\"a\\nb\"}",
                "{\"message\":{\"scopes\":[\"a\"]}}",
                "{\"errors\":[]}",
                "{\"message\":\"\\u00e4\"}",
                "{\"message\":\"see xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
                "{\"message\":\"Bad: ghs_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
        };
        char text[REPLY_TEXT_MAX];

        reply_message(slice_text("{\"message\":\"Not Found\",\"status\":\"404\"}"), text);
        ck_assert_str_eq(text, "Not Found");
        reply_message(slice_text("{\"error\":\"invalid_token\",\"error_description\":\"Token was revoked.\"}"), text);
        ck_assert_str_eq(text, "Token was revoked.");
        reply_message(slice_text("{\"error\":\"404 Not Found\"}"), text);
        ck_assert_str_eq(text, "404 Not Found");
        reply_message(slice_text("{\"success\":false,\"errors\":[{\"code\":1000,\"message\":\"Invalid API Token\"}]}"), text);
        ck_assert_str_eq(text, "Invalid API Token");
        for (size_t i = 0; i < ARRAY_SIZE(dropped); i++) {
                reply_message(slice_text(dropped[i]), text);
                ck_assert_str_eq(text, "");
        }
}
END_TEST

static Fault classify(unsigned status, ResponseHead head, const char *body, uint64_t *wait)
{
        head.status = status;
        return github_classify(&head, slice_text(body), USEC_PER_SEC, wait);
}

START_TEST(statuses)
{
        static const struct {
                unsigned status;
                Fault fault;
        } table[] = {
                { 200, FAULT_NONE },
                { 201, FAULT_NONE },
                { 204, FAULT_NONE },
                { 301, FAULT_UPSTREAM_UNKNOWN },
                { 400, FAULT_UPSTREAM_BAD_SCOPE },
                { 401, FAULT_UPSTREAM_ROOT_INVALID },
                { 403, FAULT_UPSTREAM_DENIED },
                { 404, FAULT_UPSTREAM_NO_TARGET },
                { 410, FAULT_UPSTREAM_NO_TARGET },
                { 418, FAULT_UPSTREAM_UNKNOWN },
                { 422, FAULT_UPSTREAM_BAD_SCOPE },
                { 429, FAULT_UPSTREAM_RATE_LIMITED },
                { 500, FAULT_UPSTREAM_UNKNOWN },
                { 502, FAULT_UPSTREAM_UNKNOWN },
                { 503, FAULT_UPSTREAM_UNKNOWN },
        };
        uint64_t wait;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                ck_assert_uint_eq(classify(table[i].status, (ResponseHead){ 0 }, "", &wait),
                                  table[i].fault);
                ck_assert_uint_eq(wait, table[i].status == 429 ? 60 * USEC_PER_SEC : 0);
        }
}
END_TEST

START_TEST(rate_limits)
{
        uint64_t wait;

        ck_assert_uint_eq(classify(403, (ResponseHead){ .has_remaining = true }, "", &wait),
                          FAULT_UPSTREAM_RATE_LIMITED);
        ck_assert_uint_eq(classify(403,
                                   (ResponseHead){ .has_retry_after = true,
                                                   .retry_after_usec = 5 * USEC_PER_SEC },
                                   "", &wait),
                          FAULT_UPSTREAM_RATE_LIMITED);
        ck_assert_uint_eq(wait, 5 * USEC_PER_SEC);
        ck_assert_uint_eq(classify(403, (ResponseHead){ .has_remaining = true, .remaining = 4000 },
                                   "{\"message\":\"You have exceeded a secondary rate limit.\"}",
                                   &wait),
                          FAULT_UPSTREAM_RATE_LIMITED);
        ck_assert_uint_eq(wait, 60 * USEC_PER_SEC);
        ck_assert_uint_eq(classify(403, (ResponseHead){ .has_remaining = true, .remaining = 4000 },
                                   "{\"message\":\"Resource not accessible by integration\"}",
                                   &wait),
                          FAULT_UPSTREAM_DENIED);
        /* A limit that is used up says nothing of a 404. */
        ck_assert_uint_eq(classify(404, (ResponseHead){ .has_remaining = true }, "", &wait),
                          FAULT_UPSTREAM_NO_TARGET);
}
END_TEST

static void try_all(const uint8_t *bytes, size_t size)
{
        uint8_t *exact = malloc(size > 0 ? size : 1);
        char message[REPLY_TEXT_MAX];
        ProviderMintReply reply = { 0 };
        GithubInstallation one;
        GithubApp app_reply;
        Pool own = POOL_NULL(64U * 1024U);

        ck_assert_ptr_nonnull(exact);
        memcpy(exact, bytes, size);
        if (github_read_mint(slice(exact, size), arena, &own, &reply) == 0) {
                ck_assert_ptr_nonnull(reply.token);
                ck_assert_uint_gt(reply.expires, 0);
        } else {
                ck_assert_ptr_null(reply.token);
        }
        secret_free(reply.token);
        (void)!github_read_app(slice(exact, size), &app_reply);
        (void)!github_read_installation(slice(exact, size), &one);
        (void)!github_read_user(slice(exact, size), message);
        reply_message(slice(exact, size), message);
        pool_deinit(&own);
        free(exact);
}

START_TEST(sweep)
{
        char text[2048];
        size_t size;

        make_reply(text, sizeof(text), "abc",
                   SELECTED ",\"message\":\"x\",\"id\":1,\"slug\":\"a\"");
        size = strlen(text);
        for (size_t cut = 0; cut <= size; cut++)
                try_all((const uint8_t *)text, cut);
        for (size_t bit = 0; bit < size * 8; bit++) {
                text[bit / 8] ^= (char)(1U << (bit % 8));
                try_all((const uint8_t *)text, size);
                text[bit / 8] ^= (char)(1U << (bit % 8));
        }
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("providers/github_reply");
        TCase *tests = tcase_create("github_reply");
        SRunner *runner;
        int failed;

        json_global_init();
        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, reads_mint);
        tcase_add_test(tests, all_repositories_are_never_what_was_asked);
        tcase_add_test(tests, senseless_mints);
        tcase_add_test(tests, limits_of_a_mint);
        tcase_add_test(tests, no_room);
        tcase_add_test(tests, too_deep);
        tcase_add_test(tests, reads_app);
        tcase_add_test(tests, long_names_are_cut_at_a_character);
        tcase_add_test(tests, reads_installation);
        tcase_add_test(tests, reads_user);
        tcase_add_test(tests, reads_scopes);
        tcase_add_test(tests, messages);
        tcase_add_test(tests, statuses);
        tcase_add_test(tests, rate_limits);
        tcase_add_test(tests, sweep);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed > 0;
}
