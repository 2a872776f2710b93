#undef NDEBUG
/* Which hosts a grant reaches, and which ones its credential. */
#include "vault/egress_hosts.h"
#include "support.h"

#define ROOM 8U

static Pool pool;
static const char *items[ROOM];

static void setup(void)
{
        pool = POOL_NULL(64U * 1024U);
}

static void teardown(void)
{
        pool_deinit(&pool);
}

static TextList allowed(const char **rules, size_t n, bool names_only)
{
        EgressPolicy policy = { .allow = { rules, n } };
        TextList list = { items, 0 };

        ck_assert_int_eq(egress_hosts_allowed(&policy, names_only, ROOM, &pool, &list), 0);
        return list;
}

START_TEST(each_host_is_named_once)
{
        const char *rules[] = {
                "GET,POST api.example.com /v1/**", "GET  api.example.com:443 /v2/**", "*\t*.example.org:8443 /**",
                "GET api.example.com:8443 /x",     "malformed",
        };
        TextList list = allowed(rules, ARRAY_SIZE(rules), false);

        ck_assert_uint_eq(list.n, 3);
        ck_assert_str_eq(list.items[0], "api.example.com");
        ck_assert_str_eq(list.items[1], "*.example.org:8443");
        ck_assert_str_eq(list.items[2], "api.example.com:8443");
        list = allowed(rules, ARRAY_SIZE(rules), true);
        ck_assert_uint_eq(list.n, 2);
        ck_assert_str_eq(list.items[1], "*.example.org");
}
END_TEST

START_TEST(more_hosts_than_there_is_room_for_are_said)
{
        const char *rules[] = { "GET a.x /", "GET b.x /", "GET c.x /" };
        EgressPolicy policy = { .allow = { rules, 3 } };
        TextList list = { items, 0 };

        ck_assert_int_eq(egress_hosts_allowed(&policy, false, 2, &pool, &list), -ENOBUFS);
}
END_TEST

static TextList sealed(SecretRecord record)
{
        TextList list;

        ck_assert_int_eq(egress_hosts_sealed(&record, provider_info(record.provider), &pool, &list), 0);
        return list;
}

START_TEST(stored_key_goes_to_its_own_hosts)
{
        const char *hosts[] = { "api.example.com" };
        TextList list = sealed((SecretRecord){ .provider = "static", .hosts = { hosts, 1 } });

        ck_assert_uint_eq(list.n, 1);
        ck_assert_str_eq(list.items[0], "api.example.com");
}
END_TEST

START_TEST(github_token_goes_where_clones_come_from)
{
        TextList list = sealed((SecretRecord){ .provider = "github_app" });

        ck_assert_uint_eq(list.n, 3);
        ck_assert_str_eq(list.items[0], "api.github.com");
        ck_assert_str_eq(list.items[1], "github.com");
        ck_assert_str_eq(list.items[2], "uploads.github.com");
        list = sealed((SecretRecord){ .provider = "github_app", .base_url = "https://api.github.com:443/" });
        ck_assert_uint_eq(list.n, 3);
}
END_TEST

START_TEST(token_of_another_server_goes_there_alone)
{
        TextList list = sealed((SecretRecord){ .provider = "github_app", .base_url = "https://ghe.example.com:8443/api/v3" });

        ck_assert_uint_eq(list.n, 1);
        ck_assert_str_eq(list.items[0], "ghe.example.com:8443");
        list = sealed((SecretRecord){ .provider = "github_app", .base_url = "https://api.github.com.evil.org" });
        ck_assert_uint_eq(list.n, 1);
        ck_assert_str_eq(list.items[0], "api.github.com.evil.org");
}
END_TEST

static bool meet(const char *a, const char *b)
{
        TextList allowed_list = { &a, 1 }, sealed_list = { &b, 1 };

        return egress_hosts_meet(&allowed_list, &sealed_list);
}

START_TEST(hosts_meet_where_both_name_one)
{
        ck_assert(meet("a.com", "a.com"));
        ck_assert(meet("a.com:443", "a.com"));
        ck_assert(meet("*.a.com", "x.a.com"));
        ck_assert(meet("*.a.com:8443", "x.a.com:8443"));
        ck_assert(!meet("a.com:8443", "a.com"));
        ck_assert(!meet("*.a.com", "a.com"));
        ck_assert(!meet("*.a.com", "x.y.a.com"));
        ck_assert(!meet("*.a.com", "xa.com"));
        ck_assert(!meet("a.com", "b.com"));
        ck_assert(!meet("", "a.com"));
        ck_assert(!meet("*.", "a."));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("egress-hosts");
        TCase *tests = tcase_create("egress-hosts");

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, each_host_is_named_once);
        tcase_add_test(tests, more_hosts_than_there_is_room_for_are_said);
        tcase_add_test(tests, stored_key_goes_to_its_own_hosts);
        tcase_add_test(tests, github_token_goes_where_clones_come_from);
        tcase_add_test(tests, token_of_another_server_goes_there_alone);
        tcase_add_test(tests, hosts_meet_where_both_name_one);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
