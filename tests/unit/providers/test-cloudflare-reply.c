#undef NDEBUG
#include "providers/cloudflare_reply.h"
#include "wire/field.h"
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

#define RESULT(text) "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":" text "}"
#define POLICY(effect, resources)                                                                                \
        "{\"id\":\"p1\",\"effect\":\"" effect "\",\"resources\":" resources                                              \
        ",\"permission_groups\":[{\"id\":\"g1\",\"name\":\"DNS Read\",\"meta\":{}},{\"id\":\"g2\"}]}"
#define ZONE "{\"com.cloudflare.api.account.zone.z1\":\"*\"}"
#define TOKEN(policies, rest)                                                                                     \
        RESULT("{\"id\":\"t1\",\"name\":\"mcpcred\",\"status\":\"active\",\"issued_on\":\"2026-01-01T00:00:00Z\","           \
               "\"expires_on\":\"2026-01-02T00:00:00Z\",\"condition\":{\"request_ip\":{\"in\":[\"10.0.0.0/8\"]}},"            \
               "\"policies\":" policies rest "}")

static CloudflareToken token;

static int read(const char *text, bool value)
{
        return cloudflare_read_token(slice_text(text), value ? arena : NULL, &token);
}

START_TEST(reads_a_token)
{
        const json_t *policy;

        ck_assert_int_eq(read(TOKEN("[" POLICY("allow", ZONE) "]", ""), false), 0);
        ck_assert_str_eq(token.id, "t1");
        ck_assert_str_eq(token.name, "mcpcred");
        ck_assert(token.active && token.condition);
        ck_assert_uint_eq(token.expires - token.issued, 24 * 3600 * USEC_PER_SEC);
        policy = json_array_get(token.policies, 0);
        ck_assert_ptr_null(json_object_get(policy, "id"));
        ck_assert_uint_eq(json_array_size(json_object_get(policy, "permission_groups")), 2);
        cloudflare_token_deinit(&token);
}
END_TEST

START_TEST(reads_what_verify_says)
{
        ck_assert_int_eq(read(RESULT("{\"id\":\"t1\",\"status\":\"active\"}"), false), 0);
        ck_assert(token.active && !token.policies && !token.condition);
        ck_assert_uint_eq(token.expires, 0);
        ck_assert_int_eq(read(RESULT("{\"id\":\"t1\",\"status\":\"disabled\"}"), false), 0);
        ck_assert(!token.active);
}
END_TEST

START_TEST(reads_a_value_only_where_one_is_made)
{
        ck_assert_int_eq(read(TOKEN("[" POLICY("allow", ZONE) "]", ",\"value\":\"abc\""), false), 0);
        ck_assert_ptr_null(token.value);
        cloudflare_token_deinit(&token);
        ck_assert_int_eq(read(TOKEN("[" POLICY("allow", ZONE) "]", ",\"value\":\"abc\""), true), 0);
        ck_assert(secret_equal(token.value, slice_text("abc")));
        cloudflare_token_deinit(&token);
        ck_assert_int_eq(read(TOKEN("[" POLICY("allow", ZONE) "]", ""), true), REPLY_E_SENSELESS);
}
END_TEST

START_TEST(senseless_tokens)
{
        static const char *const bad[] = {
                "",
                "{}",
                RESULT("null"),
                RESULT("[]"),
                "{\"success\":false,\"result\":{\"id\":\"t1\",\"status\":\"active\"}}",
                "{\"success\":1,\"result\":{\"id\":\"t1\",\"status\":\"active\"}}",
                "{\"result\":{\"id\":\"t1\",\"status\":\"active\"}}",
                RESULT("{\"id\":\"t1\"}"),
                RESULT("{\"id\":\"../x\",\"status\":\"active\"}"),
                RESULT("{\"id\":7,\"status\":\"active\"}"),
                RESULT("{\"id\":\"t1\",\"status\":\"active\",\"expires_on\":7}"),
                RESULT("{\"id\":\"t1\",\"status\":\"active\",\"expires_on\":\"soon\"}"),
                RESULT("{\"id\":\"t1\",\"status\":\"active\",\"name\":7}"),
                TOKEN("[]", ""),
                TOKEN("{}", ""),
                TOKEN("[{}]", ""),
                TOKEN("[" POLICY("al low", ZONE) "]", ""),
                TOKEN("[" POLICY("allow", "{}") "]", ""),
                TOKEN("[" POLICY("allow", "[]") "]", ""),
                TOKEN("[{\"effect\":\"allow\",\"resources\":" ZONE ",\"permission_groups\":[]}]", ""),
                TOKEN("[{\"effect\":\"allow\",\"resources\":" ZONE ",\"permission_groups\":[{\"id\":\"a/b\"}]}]", ""),
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(read(bad[i], false) == REPLY_E_SENSELESS, "%s", bad[i]);
}
END_TEST

static bool rights(const char *text, TextList *list)
{
        bool known;

        ck_assert_int_eq(read(text, false), 0);
        ck_assert_int_eq(cloudflare_rights(token.policies, &pool, list, &known), 0);
        cloudflare_token_deinit(&token);
        return known;
}

START_TEST(rights_are_permissions_on_resources)
{
        TextList list;

        ck_assert(rights(TOKEN("[" POLICY("allow", ZONE) "]", ""), &list));
        ck_assert_uint_eq(list.n, 2);
        ck_assert_str_eq(list.items[0], "DNS Read: account.zone.z1");
        ck_assert_str_eq(list.items[1], "g2: account.zone.z1");
        ck_assert(rights(TOKEN("[" POLICY("allow", "{\"com.cloudflare.api.account.a1\":{\"com.cloudflare.api.account.zone.*\":"
                                                   "\"*\"}}") "]",
                               ""),
                         &list));
        ck_assert_str_eq(list.items[0], "DNS Read: account.a1 account.zone.*");
}
END_TEST

/* A list of what is allowed says too much where something is denied, and too little where it is cut. */
START_TEST(rights_that_a_list_cannot_say_are_not_known)
{
        static char many[2048] = "{";
        char text[4096];
        TextList list;

        ck_assert(!rights(TOKEN("[" POLICY("allow", ZONE) "," POLICY("deny", ZONE) "]", ""), &list));
        for (unsigned i = 0; i < 130; i++) {
                char one[32];

                (void)snprintf(one, sizeof(one), "%s\"r%u\":\"*\"", i ? "," : "", i);
                strcat(many, one);
        }
        strcat(many, "}");
        (void)snprintf(text, sizeof(text), TOKEN("[" POLICY("allow", "%s") "]", ""), many);
        ck_assert(!rights(text, &list));
        ck_assert_uint_eq(list.n, LIMIT_RIGHTS);
        (void)snprintf(text, sizeof(text), TOKEN("[" POLICY("allow", "{\"%0200d\":\"*\"}") "]", ""), 7);
        ck_assert(!rights(text, &list));
        ck_assert(!rights(TOKEN("[" POLICY("allow", "{\"com.cloudflare.api.account.a1\":{}}") "]", ""), &list));
}
END_TEST

START_TEST(pages_are_searched_by_the_whole_name)
{
        CloudflarePage page;
        char text[8192] = "{\"success\":true,\"result\":[";

        ck_assert_int_eq(cloudflare_read_page(slice_text(RESULT("[{\"id\":\"a\",\"name\":\"x\"},{\"id\":\"b\",\"name\":\"x1\"},"
                                                                "{\"id\":\"c\"},{\"id\":\"d\",\"name\":\"x\"}]")),
                                              "x", &page),
                         0);
        ck_assert(page.last);
        ck_assert_uint_eq(page.n, 2);
        ck_assert_str_eq(page.ids[0], "a");
        ck_assert_str_eq(page.ids[1], "d");
        for (unsigned i = 0; i < CLOUDFLARE_PAGE; i++)
                strcat(text, i ? ",{\"id\":\"a\",\"name\":\"x\"}" : "{\"id\":\"a\",\"name\":\"x\"}");
        strcat(text, "]}");
        ck_assert_int_eq(cloudflare_read_page(slice_text(text), "x", &page), 0);
        ck_assert(!page.last);
        ck_assert_uint_eq(page.n, CLOUDFLARE_PAGE);
        strcpy(strrchr(text, ']'), ",{\"id\":\"a\"}]}");
        ck_assert_int_eq(cloudflare_read_page(slice_text(text), "x", &page), REPLY_E_SENSELESS);
        ck_assert_int_eq(cloudflare_read_page(slice_text(RESULT("{}")), "x", &page), REPLY_E_SENSELESS);
        ck_assert_int_eq(cloudflare_read_page(slice_text(RESULT("[{\"id\":\"/\"}]")), "x", &page), REPLY_E_SENSELESS);
}
END_TEST

static void try_all(Slice bytes)
{
        CloudflareToken one = { 0 };
        CloudflarePage page;
        Pool own = POOL_NULL(64U * 1024U);
        TextList list;
        bool known;

        if (cloudflare_read_token(bytes, arena, &one) == 0) {
                ck_assert_ptr_nonnull(one.value);
                if (one.policies)
                        ck_assert_int_eq(cloudflare_rights(one.policies, &own, &list, &known), 0);
        } else {
                ck_assert_ptr_null(one.value);
        }
        cloudflare_token_deinit(&one);
        (void)!cloudflare_read_page(bytes, "x", &page);
        pool_deinit(&own);
}

START_TEST(every_cut_and_flip)
{
        sweep(try_all, TOKEN("[" POLICY("allow", ZONE) "]", ",\"value\":\"abc\""));
        sweep(try_all, RESULT("[{\"id\":\"a\",\"name\":\"x\"},{\"id\":\"b\"}]"));
}
END_TEST

int main(void)
{
        TCase *tests = tcase_create("cloudflare_reply");

        json_global_init();
        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, reads_a_token);
        tcase_add_test(tests, reads_what_verify_says);
        tcase_add_test(tests, reads_a_value_only_where_one_is_made);
        tcase_add_test(tests, senseless_tokens);
        tcase_add_test(tests, rights_are_permissions_on_resources);
        tcase_add_test(tests, rights_that_a_list_cannot_say_are_not_known);
        tcase_add_test(tests, pages_are_searched_by_the_whole_name);
        tcase_add_test(tests, every_cut_and_flip);
        return sweep_suite("providers/cloudflare_reply", tests);
}
