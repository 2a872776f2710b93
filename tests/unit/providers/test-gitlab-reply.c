#undef NDEBUG
#include "providers/gitlab_reply.h"
#include "sweep.h"

static Arena *arena;
static Pool pool;

static void setup(void)
{
        ck_assert_int_eq(arena_new(&arena, SWEEP_ARENA), 0);
        pool = POOL_NULL(64U * 1024U);
}

static void teardown(void)
{
        ck_assert_uint_eq(arena_used(arena), 0);
        pool_deinit(&pool);
        arena_free(arena);
}

#define TOKEN(rest)                                                                                                  \
        "{\"id\":42,\"name\":\"mcpcred\",\"revoked\":false,\"created_at\":\"2026-01-01T10:00:00.123Z\",\"scopes\":[\"api\"," \
        "\"self_rotate\"],\"user_id\":7,\"active\":true,\"expires_at\":\"2026-02-01\"" rest "}"
#define DAY (24 * 3600 * USEC_PER_SEC)

START_TEST(reads_a_token)
{
        GitlabToken token;

        ck_assert_int_eq(gitlab_read_token(slice_text(TOKEN("")), NULL, &pool, &token), 0);
        ck_assert_uint_eq(token.id, 42);
        ck_assert_str_eq(token.name, "mcpcred");
        ck_assert_uint_eq(token.scopes.n, 2);
        ck_assert_str_eq(token.scopes.items[1], "self_rotate");
        ck_assert_uint_eq(token.expires, UINT64_C(1769904000) * USEC_PER_SEC);
        ck_assert_uint_eq(token.expires % DAY, 0);
        ck_assert_uint_eq(token.created / DAY * DAY + 31 * DAY, token.expires);
        ck_assert_uint_eq(token.access_level, 0);
        ck_assert_ptr_null(token.value);
}
END_TEST

START_TEST(reads_a_value_only_where_one_is_made)
{
        GitlabToken token;

        ck_assert_int_eq(gitlab_read_token(slice_text(TOKEN(",\"token\":\"abc\"")), NULL, &pool, &token), 0);
        ck_assert_ptr_null(token.value);
        ck_assert_int_eq(gitlab_read_token(slice_text(TOKEN("")), arena, &pool, &token), REPLY_E_SENSELESS);
        ck_assert_int_eq(gitlab_read_token(slice_text(TOKEN(",\"token\":\"a b\"")), arena, &pool, &token), REPLY_E_SENSELESS);
        ck_assert_int_eq(gitlab_read_token(slice_text(TOKEN(",\"token\":\"abc\",\"access_level\":30")), arena, &pool, &token),
                         0);
        ck_assert(secret_equal(token.value, slice_text("abc")));
        ck_assert_uint_eq(token.access_level, 30);
        secret_free(token.value);
}
END_TEST

START_TEST(senseless_tokens)
{
        static const char *const bad[] = {
                "",
                "[]",
                "{}",
                "{\"id\":0,\"name\":\"a\",\"scopes\":[]}",
                "{\"id\":\"1\",\"name\":\"a\",\"scopes\":[]}",
                "{\"id\":1,\"scopes\":[]}",
                "{\"id\":1,\"name\":\"a\\u0007\",\"scopes\":[]}",
                "{\"id\":1,\"name\":\"a\"}",
                "{\"id\":1,\"name\":\"a\",\"scopes\":{}}",
                "{\"id\":1,\"name\":\"a\",\"scopes\":[1]}",
                "{\"id\":1,\"name\":\"a\",\"scopes\":[\"a b\"]}",
                "{\"id\":1,\"name\":\"a\",\"scopes\":[\"\"]}",
                "{\"id\":1,\"name\":\"a\",\"scopes\":[],\"expires_at\":\"2026-02-30T\"}",
                "{\"id\":1,\"name\":\"a\",\"scopes\":[],\"expires_at\":\"tomorrow!!\"}",
                "{\"id\":1,\"name\":\"a\",\"scopes\":[],\"expires_at\":\"1970-01-01\"}",
                "{\"id\":1,\"name\":\"a\",\"scopes\":[],\"access_level\":\"40\"}",
                "{\"id\":1,\"id\":2,\"name\":\"a\",\"scopes\":[]}",
        };
        GitlabToken token;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(gitlab_read_token(slice_text(bad[i]), NULL, &pool, &token) == REPLY_E_SENSELESS, "%s", bad[i]);
        ck_assert_int_eq(gitlab_read_token(slice_text("{\"id\":1,\"name\":\"a\",\"scopes\":[],\"expires_at\":null}"), NULL,
                                           &pool, &token),
                         0);
        ck_assert_uint_eq(token.expires, 0);
}
END_TEST

START_TEST(no_room)
{
        Pool small = POOL_NULL(16);
        GitlabToken token;

        ck_assert_int_eq(gitlab_read_token(slice_text(TOKEN("")), NULL, &small, &token), REPLY_E_NO_SPACE);
        pool_deinit(&small);
}
END_TEST

START_TEST(reads_a_project)
{
        GitlabProject project;

        ck_assert_int_eq(gitlab_read_project(slice_text("{\"id\":12,\"path_with_namespace\":\"octo/tools/deep\"}"), &pool,
                                             &project),
                         0);
        ck_assert_uint_eq(project.id, 12);
        ck_assert_str_eq(project.path, "octo/tools/deep");
        ck_assert_int_eq(gitlab_read_project(slice_text("{\"id\":12}"), &pool, &project), REPLY_E_SENSELESS);
        ck_assert_int_eq(gitlab_read_project(slice_text("{\"id\":12,\"path_with_namespace\":\"\"}"), &pool, &project),
                         REPLY_E_SENSELESS);
        ck_assert_int_eq(gitlab_read_project(slice_text("{\"path_with_namespace\":\"a/b\"}"), &pool, &project),
                         REPLY_E_SENSELESS);
}
END_TEST

static uint64_t access_level(const char *first, const char *second)
{
        TextPair pairs[] = { { "api", first }, { "registry", second } };

        return gitlab_access_level(&(TextMap){ pairs, 2 });
}

START_TEST(levels_are_roles)
{
        ck_assert_uint_eq(access_level("read", "read"), GITLAB_REPORTER);
        ck_assert_uint_eq(access_level("read", "write"), GITLAB_DEVELOPER);
        ck_assert_uint_eq(access_level("admin", "read"), GITLAB_MAINTAINER);
        ck_assert_str_eq(gitlab_scopes("api", "read")[0], "read_api");
        ck_assert_str_eq(gitlab_scopes("api", "admin")[0], "api");
        ck_assert_ptr_null(gitlab_scopes("api", "admin")[1]);
        ck_assert_str_eq(gitlab_scopes("registry", "write")[1], "read_registry");
        ck_assert_ptr_null(gitlab_scopes("sudo", "read"));
}
END_TEST

static const char *permission(uint64_t level, uint64_t asked, const char *scope, const char *key)
{
        const char *scopes[] = { scope };
        GitlabToken token = { .scopes = { scopes, 1 }, .access_level = level };
        TextMap map;

        ck_assert_int_eq(gitlab_permissions(&token, asked, &pool, &map), 0);
        return text_map_get(&map, key);
}

/* What is more than was asked for gets a name that nobody asks for. */
START_TEST(wider_tokens_show)
{
        ck_assert_str_eq(permission(20, 20, "read_api", "api"), "read");
        ck_assert_ptr_null(permission(20, 20, "read_api", "access_level"));
        ck_assert_str_eq(permission(30, 30, "api", "api"), "write");
        ck_assert_str_eq(permission(40, 40, "api", "api"), "admin");
        ck_assert_str_eq(permission(30, 20, "read_api", "access_level"), "admin");
        ck_assert_str_eq(permission(0, 20, "read_api", "access_level"), "admin");
        ck_assert_str_eq(permission(20, 20, "sudo", "sudo"), "admin");
}
END_TEST

static void try_all(Slice bytes)
{
        GitlabToken token = { 0 };
        GitlabProject project;
        Pool own = POOL_NULL(64U * 1024U);
        TextMap map;

        if (gitlab_read_token(bytes, arena, &own, &token) == 0) {
                ck_assert_ptr_nonnull(token.value);
                ck_assert_int_eq(gitlab_permissions(&token, 20, &own, &map), 0);
        } else {
                ck_assert_ptr_null(token.value);
        }
        secret_free(token.value);
        (void)!gitlab_read_project(bytes, &own, &project);
        pool_deinit(&own);
}

START_TEST(every_cut_and_flip)
{
        sweep(try_all, TOKEN(",\"token\":\"abc\",\"access_level\":20,\"path_with_namespace\":\"octo/hello\""));
}
END_TEST

int main(void)
{
        TCase *tests = tcase_create("gitlab_reply");

        json_global_init();
        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, reads_a_token);
        tcase_add_test(tests, reads_a_value_only_where_one_is_made);
        tcase_add_test(tests, senseless_tokens);
        tcase_add_test(tests, no_room);
        tcase_add_test(tests, reads_a_project);
        tcase_add_test(tests, levels_are_roles);
        tcase_add_test(tests, wider_tokens_show);
        tcase_add_test(tests, every_cut_and_flip);
        return sweep_suite("providers/gitlab_reply", tests);
}
