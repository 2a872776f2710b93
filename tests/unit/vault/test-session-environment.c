#undef NDEBUG
/* The variables of a session's child, against lists written out by hand. */
#include "vault/session_environment.h"
#include "support.h"

#define HANDLE_A "handle-a"
#define HANDLE_B "handle-b"

typedef struct Variable {
        const char *name, *value;
} Variable;

static Arena *arena;
static Secret *session, *handle_a, *handle_b;
static Environment environment;
static TextPair pairs[] = { { "HEADER", "Authorization: Bearer {handle}" }, { "PLAIN", "x" }, { "TWICE", "{handle}/{handle}" } };

static Secret *new_secret(const char *text)
{
        Secret *secret;

        ck_assert_int_eq(secret_from_bytes(&secret, arena, slice_text(text)), 0);
        return secret;
}

static void setup(void)
{
        ck_assert_int_eq(arena_new(&arena, 256U * 1024U), 0);
        session = new_secret("own-secret");
        handle_a = new_secret(HANDLE_A);
        handle_b = new_secret(HANDLE_B);
}

static void teardown(void)
{
        environment_clear(&environment);
        secret_free(session);
        secret_free(handle_a);
        secret_free(handle_b);
        ck_assert_uint_eq(arena_used(arena), 0);
        arena = arena_free(arena);
}

static EnvironmentAsk ask_for(const EnvironmentGrant *grants, size_t n)
{
        return (EnvironmentAsk){
                .socket = "/run/s/broker.sock",
                .session = session,
                .ca = "/run/s/ca.pem",
                .ca_bundle = "/run/s/ca-bundle.pem",
                .grants = grants,
                .n_grants = n,
        };
}

static const Secret *value_of(const char *name)
{
        for (size_t i = 0; i < environment.n; i++)
                if (strcmp(environment.entries[i].name, name) == 0)
                        return environment.entries[i].value;
        return NULL;
}

/* These and no others. */
static void expect(const Variable *expected, size_t n)
{
        size_t size = 0;

        for (size_t i = 0; i < n; i++) {
                const Secret *value = value_of(expected[i].name);

                ck_assert_msg(value != NULL, "%s is not set", expected[i].name);
                ck_assert_msg(secret_equal(value, slice_text(expected[i].value)), "%s is \"%.*s\"", expected[i].name,
                              (int)secret_size(value), (const char *)secret_slice(value).data);
        }
        for (size_t i = 0; i < environment.n; i++) {
                bool known = false;

                for (size_t j = 0; j < n; j++)
                        known = known || strcmp(environment.entries[i].name, expected[j].name) == 0;
                ck_assert_msg(known, "%s is set too", environment.entries[i].name);
                size += strlen(environment.entries[i].name) + secret_size(environment.entries[i].value);
        }
        ck_assert_uint_eq(environment.n, n);
        ck_assert_uint_eq(environment.size, size);
}

#define PROXY_VARIABLES(url)                                                                                    \
        { "HTTP_PROXY", url }, { "HTTPS_PROXY", url }, { "ALL_PROXY", url }, { "FTP_PROXY", url },              \
        { "GRPC_PROXY", url }, { "http_proxy", url }, { "https_proxy", url }, { "all_proxy", url },             \
        { "ftp_proxy", url }, { "grpc_proxy", url }, { "DOCKER_HTTP_PROXY", url }, { "DOCKER_HTTPS_PROXY", url }, \
        { "NO_PROXY", "localhost,127.0.0.1,::1" }, { "no_proxy", "localhost,127.0.0.1,::1" },                   \
        { "NODE_USE_ENV_PROXY", "1" }, { "CLOUDSDK_PROXY_TYPE", "http" },                                       \
        { "CLOUDSDK_PROXY_ADDRESS", "127.0.0.1" }, { "CLOUDSDK_PROXY_PORT", "3128" }
#define CA_VARIABLES(path)                                                                                      \
        { "NODE_EXTRA_CA_CERTS", "/run/s/ca.pem" }, { "SSL_CERT_FILE", path }, { "CURL_CA_BUNDLE", path },      \
        { "REQUESTS_CA_BUNDLE", path }, { "PIP_CERT", path }, { "GIT_SSL_CAINFO", path },                       \
        { "AWS_CA_BUNDLE", path }, { "CARGO_HTTP_CAINFO", path }, { "DENO_CERT", path },                        \
        { "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", path }, { "NIX_SSL_CERT_FILE", path }
#define OWN_VARIABLES { "MCPCRED_SOCK", "/run/s/broker.sock" }, { "MCPCRED_SESSION", "own-secret" }

START_TEST(sandboxed_child_has_the_proxy_and_our_ca_alone)
{
        static const Variable expected[] = {
                OWN_VARIABLES, { "API_KEY", HANDLE_A }, PROXY_VARIABLES("http://127.0.0.1:3128"),
                { "RSYNC_PROXY", "127.0.0.1:3128" }, CA_VARIABLES("/run/s/ca.pem"),
        };
        GrantRecord record = { .profile = "p", .deliver = DELIVER_PROXY, .env = "API_KEY" };
        EnvironmentGrant grant = { &record, handle_a };
        EnvironmentAsk ask = ask_for(&grant, 1);

        ask.proxy = "127.0.0.1:3128";
        ask.sandboxed = true;
        ck_assert_int_eq(environment_compose(&ask, arena, &environment), 0);
        expect(expected, ARRAY_SIZE(expected));
}
END_TEST

START_TEST(child_on_the_host_shows_the_handle_and_keeps_its_roots)
{
        static const Variable expected[] = {
                OWN_VARIABLES, { "API_KEY", HANDLE_A }, PROXY_VARIABLES("http://mcpcred:" HANDLE_A "@127.0.0.1:3128"),
                { "GIT_HTTP_PROXY_AUTHMETHOD", "basic" }, { "CLOUDSDK_PROXY_USERNAME", "mcpcred" },
                { "CLOUDSDK_PROXY_PASSWORD", HANDLE_A }, CA_VARIABLES("/run/s/ca-bundle.pem"),
        };
        GrantRecord record = { .profile = "p", .deliver = DELIVER_PROXY, .env = "API_KEY" };
        EnvironmentGrant grant = { &record, handle_a };
        EnvironmentAsk ask = ask_for(&grant, 1);

        ask.proxy = "127.0.0.1:3128";
        ck_assert_int_eq(environment_compose(&ask, arena, &environment), 0);
        expect(expected, ARRAY_SIZE(expected));
}
END_TEST

START_TEST(proxy_at_a_socket_is_named_by_no_variable)
{
        static const Variable expected[] = {
                OWN_VARIABLES, { "API_KEY", HANDLE_A }, CA_VARIABLES("/run/s/ca-bundle.pem"),
        };
        GrantRecord record = { .profile = "p", .deliver = DELIVER_PROXY, .env = "API_KEY" };
        EnvironmentGrant grant = { &record, handle_a };
        EnvironmentAsk ask = ask_for(&grant, 1);

        ck_assert_int_eq(environment_compose(&ask, arena, &environment), 0);
        expect(expected, ARRAY_SIZE(expected));
}
END_TEST

START_TEST(endpoint_is_a_base_url_at_the_proxy)
{
        GrantRecord records[] = {
                { .profile = "ai", .deliver = DELIVER_ENDPOINT, .env = "OPENAI_API_KEY", .env_url = "OPENAI_BASE_URL",
                  .url_host = "api.openai.com", .url_path = "/v1" },
                { .profile = "other", .deliver = DELIVER_ENDPOINT, .env = "KEY", .env_url = "BASE", .url_host = "a.b" },
        };
        EnvironmentGrant grants[] = { { &records[0], handle_a }, { &records[1], handle_b } };
        EnvironmentAsk ask = ask_for(grants, 2);

        ask.proxy = "127.0.0.1:3128";
        ask.sandboxed = true;
        ck_assert_int_eq(environment_compose(&ask, arena, &environment), 0);
        ck_assert(secret_equal(value_of("OPENAI_BASE_URL"), slice_text("http://127.0.0.1:3128/ai/v1")));
        ck_assert(secret_equal(value_of("OPENAI_API_KEY"), slice_text(HANDLE_A)));
        ck_assert(secret_equal(value_of("BASE"), slice_text("http://127.0.0.1:3128/other")));
        ck_assert(secret_equal(value_of("KEY"), slice_text(HANDLE_B)));
}
END_TEST

START_TEST(session_without_proxy_has_none_of_it)
{
        static const Variable expected[] = { OWN_VARIABLES, { "TOKEN", HANDLE_A } };
        GrantRecord records[] = {
                { .profile = "a", .deliver = DELIVER_ENV, .env = "TOKEN" },
                { .profile = "b", .deliver = DELIVER_SOCKET, .env = "IGNORED" },
                { .profile = "c", .deliver = DELIVER_FILE, .env = "IGNORED" },
        };
        EnvironmentGrant grants[] = { { &records[0], handle_a }, { &records[1], NULL }, { &records[2], handle_b } };
        EnvironmentAsk ask = ask_for(grants, 3);

        ask.proxy = "127.0.0.1:3128";
        ask.sandboxed = true;
        ck_assert_int_eq(environment_compose(&ask, arena, &environment), 0);
        expect(expected, ARRAY_SIZE(expected));
}
END_TEST

START_TEST(variables_of_a_profile_get_its_handle_and_win)
{
        TextPair own[] = { { "NO_PROXY", "internal" }, { "MCPCRED_SOCK", "/elsewhere" } };
        GrantRecord records[] = {
                { .profile = "a", .deliver = DELIVER_PROXY, .variables = { pairs, ARRAY_SIZE(pairs) } },
                { .profile = "b", .deliver = DELIVER_PROXY, .variables = { own, ARRAY_SIZE(own) } },
        };
        EnvironmentGrant grants[] = { { &records[0], handle_a }, { &records[1], handle_b } };
        EnvironmentAsk ask = ask_for(grants, 2);

        ask.proxy = "127.0.0.1:3128";
        ck_assert_int_eq(environment_compose(&ask, arena, &environment), 0);
        ck_assert(secret_equal(value_of("HEADER"), slice_text("Authorization: Bearer " HANDLE_A)));
        ck_assert(secret_equal(value_of("PLAIN"), slice_text("x")));
        ck_assert(secret_equal(value_of("TWICE"), slice_text(HANDLE_A "/" HANDLE_A)));
        ck_assert(secret_equal(value_of("NO_PROXY"), slice_text("internal")));
        ck_assert(secret_equal(value_of("no_proxy"), slice_text("localhost,127.0.0.1,::1")));
        /* Where the session is found is not the profile's to say. */
        ck_assert(secret_equal(value_of("MCPCRED_SOCK"), slice_text("/run/s/broker.sock")));
}
END_TEST

/* A credential that is delivered raw must not find its way into a variable that looks like a handle's. */
START_TEST(only_a_handle_fills_a_variable)
{
        GrantRecord record = { .profile = "a", .deliver = DELIVER_ENV, .env = "TOKEN", .variables = { pairs, 1 } };
        EnvironmentGrant grant = { &record, handle_a };
        EnvironmentAsk ask = ask_for(&grant, 1);

        ck_assert_int_eq(environment_compose(&ask, arena, &environment), 0);
        ck_assert(secret_equal(value_of("HEADER"), slice_text("Authorization: Bearer {handle}")));
}
END_TEST

START_TEST(full_memory_leaves_nothing_behind)
{
        GrantRecord record = { .profile = "p", .deliver = DELIVER_PROXY, .env = "API_KEY" };
        EnvironmentGrant grant = { &record, handle_a };
        EnvironmentAsk ask = ask_for(&grant, 1);
        Secret *fillers[128];
        size_t n = 0;
        Arena *small;

        ask.proxy = "127.0.0.1:3128";
        ck_assert_int_eq(arena_new(&small, 4096), 0);
        for (int r = 0; r == 0;) {
                size_t used = arena_used(small);

                r = environment_compose(&ask, small, &environment);
                if (r == 0) {
                        environment_clear(&environment);
                        ck_assert_uint_lt(n, ARRAY_SIZE(fillers));
                        ck_assert_int_eq(secret_new(&fillers[n++], small, 64), 0);
                        continue;
                }
                ck_assert_int_eq(r, ENVIRONMENT_E_FULL);
                ck_assert_uint_eq(environment.n, 0);
                ck_assert_uint_eq(arena_used(small), used);
        }
        while (n > 0)
                secret_free(fillers[--n]);
        small = arena_free(small);
}
END_TEST

START_TEST(same_variable_twice_is_a_clash)
{
        TextPair pair = { "TOKEN", "x" };
        GrantRecord env = { .profile = "a", .deliver = DELIVER_ENV, .env = "TOKEN" };
        GrantRecord proxy = { .profile = "b", .deliver = DELIVER_PROXY, .env = "TOKEN" };
        GrantRecord socket = { .profile = "c", .deliver = DELIVER_SOCKET, .env = "TOKEN" };
        GrantRecord url = { .profile = "d", .deliver = DELIVER_ENDPOINT, .env = "KEY", .env_url = "TOKEN" };
        GrantRecord variable = { .profile = "e", .deliver = DELIVER_PROXY, .variables = { &pair, 1 } };

        ck_assert(environment_clash(&env, &proxy));
        ck_assert(environment_clash(&env, &url));
        ck_assert(environment_clash(&url, &variable));
        ck_assert(environment_clash(&variable, &env));
        ck_assert(!environment_clash(&env, &socket));
        ck_assert(!environment_clash(&socket, &variable));
}
END_TEST

START_TEST(proxy_address_is_nothing_but_one)
{
        static const char *const good[] = { "127.0.0.1:3128", "[::1]:80", "localhost:65535", "proxy.internal:1" };
        static const char *const bad[] = {
                "",          ":80",         "127.0.0.1",   "127.0.0.1:",   "127.0.0.1:0",  "a:65536",     "a:000080",
                "[::1]",     "[]:80",       "::1:80",      "a@b:80",       "a/b:80",       "a:80/x",      "a:80\n",
                "http://a:80", "a b:80",    "[::1:80",     "[g::]:80",     "a:8 0",        "a#:80",
        };

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                ck_assert_msg(environment_proxy_is_valid(good[i]), "%s", good[i]);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(!environment_proxy_is_valid(bad[i]), "%s", bad[i]);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("session-environment");
        TCase *tests = tcase_create("session-environment");

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, sandboxed_child_has_the_proxy_and_our_ca_alone);
        tcase_add_test(tests, child_on_the_host_shows_the_handle_and_keeps_its_roots);
        tcase_add_test(tests, proxy_at_a_socket_is_named_by_no_variable);
        tcase_add_test(tests, endpoint_is_a_base_url_at_the_proxy);
        tcase_add_test(tests, session_without_proxy_has_none_of_it);
        tcase_add_test(tests, variables_of_a_profile_get_its_handle_and_win);
        tcase_add_test(tests, only_a_handle_fills_a_variable);
        tcase_add_test(tests, full_memory_leaves_nothing_behind);
        tcase_add_test(tests, same_variable_twice_is_a_clash);
        tcase_add_test(tests, proxy_address_is_nothing_but_one);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
