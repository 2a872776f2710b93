#undef NDEBUG
#include "supervisor/config.h"
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include "base/fd.h"
#include "wire/field.h"

static const char *corpus;

static Config *load(const char *text, Problems *problems)
{
        Config *config = NULL;
        int r = config_parse(&config, "f", slice_text(text), problems);

        ck_assert_int_eq(r, config ? 0 : CONFIG_E_INVALID);
        ck_assert(problems_any(problems) == (config == NULL));
        return config;
}

/* Refused with exactly this one problem. */
static void refused(const char *text, const char *problem)
{
        Problems problems = PROBLEMS_NULL;

        ck_assert_ptr_null(load(text, &problems));
        ck_assert_msg(problems.n == 1, "%s: %zu problems, the first is %s", text, problems.n,
                      problems.n > 0 ? problems.items[0] : "-");
        ck_assert_msg(strncmp(problems.items[0], problem, strlen(problem)) == 0,
                      "%s: %s and not %s", text, problems.items[0], problem);
        problems_deinit(&problems);
}

START_TEST(everything)
{
        static const char text[] = "\xef\xbb\xbf; a comment\n"
                                   "[broker]\r\n"
                                   "store = memory\r\n"
                                   "max_sessions=7\n"
                                   "max_lifetime = 2h\n"
                                   "ca_file = /etc/ca.pem\n"
                                   "landlock = optional ; for this kernel\n"
                                   "\n"
                                   "[profile github-triage] # why\n"
                                   "\tsecret = github\n"
                                   "  repositories = octo/hello , octo/.github\n"
                                   "repositories = octo/tools/deep\n"
                                   "repositories = octo/world\n"
                                   "permissions = contents:read, issues: write\n"
                                   "ttl = 30m\n"
                                   "deliver = env\n"
                                   "env = GITHUB_PERSONAL_ACCESS_TOKEN\n"
                                   "expose_secret = no\n"
                                   "command = npx -y \"server github\"\n"
                                   "caller_uid = 1000,0\n"
                                   "caller_unit = app-foo.service\n";
        Problems problems = PROBLEMS_NULL;
        _cleanup_(config_freep) Config *config = load(text, &problems);
        const ConfigProfile *profile;

        ck_assert_ptr_nonnull(config);
        ck_assert_uint_eq(config->broker.store, STORE_MEMORY);
        ck_assert_uint_eq(config->broker.max_sessions, 7);
        ck_assert_uint_eq(config->broker.max_lifetime, 7200);
        ck_assert_str_eq(config->ca_file, "/etc/ca.pem");
        ck_assert(!config->require_landlock);
        ck_assert_uint_eq(config->n_profiles, 1);
        profile = &config->profiles[0];
        ck_assert_str_eq(profile->name, "github-triage");
        ck_assert_str_eq(profile->source, "f:9");
        ck_assert_str_eq(profile->secret, "github");
        ck_assert_uint_eq(profile->scope->repositories.n, 4);
        ck_assert_str_eq(profile->scope->repositories.items[1], "octo/.github");
        ck_assert_str_eq(profile->scope->repositories.items[2], "octo/tools/deep"); /* of GitLab's */
        ck_assert_str_eq(profile->scope->repositories.items[3], "octo/world");
        ck_assert_uint_eq(profile->scope->permissions.n, 2);
        ck_assert_str_eq(profile->scope->permissions.items[1].key, "issues");
        ck_assert_str_eq(profile->scope->permissions.items[1].value, "write");
        ck_assert_uint_eq(profile->ttl, 1800);
        ck_assert_uint_eq(profile->deliver, DELIVER_ENV);
        ck_assert_str_eq(profile->env, "GITHUB_PERSONAL_ACCESS_TOKEN");
        ck_assert_uint_eq(profile->command.n, 3);
        ck_assert_str_eq(profile->command.items[2], "server github");
        ck_assert_uint_eq(profile->caller_uids.n, 2);
        ck_assert_str_eq(profile->caller_unit, "app-foo.service");
}
END_TEST

START_TEST(defaults)
{
        Problems problems = PROBLEMS_NULL;
        _cleanup_(config_freep) Config *config = load("[profile a]\nsecret=s\npreset=openai\n", &problems);

        ck_assert_uint_eq(config->broker.store, STORE_AUTO);
        ck_assert_uint_eq(config->broker.max_sessions, CONFIG_MAX_SESSIONS_DEFAULT);
        ck_assert(config->require_landlock);
        ck_assert_uint_eq(config->profiles[0].deliver, DELIVER_PROXY);
        ck_assert_uint_eq(config->profiles[0].ttl, CONFIG_TTL_DEFAULT);
        ck_assert_ptr_nonnull(config->profiles[0].scope);
}
END_TEST

/* ---- the way out ---- */

static const EgressPolicy *policy(const Config *config, const char *name)
{
        for (size_t i = 0; config && i < config->n_profiles; i++)
                if (strcmp(config->profiles[i].name, name) == 0)
                        return config->profiles[i].egress;
        ck_abort_msg("there is no profile %s", name);
        return NULL;
}

static bool has(const TextList *list, const char *text)
{
        for (size_t i = 0; i < list->n; i++)
                if (strcmp(list->items[i], text) == 0)
                        return true;
        return false;
}

START_TEST(every_key_of_the_way_out)
{
        static const char text[] = "[broker]\n"
                                   "upstream_proxy = http://proxy.corp:3128\n"
                                   "[profile a]\n"
                                   "secret = s\n"
                                   "allow = GET api.example.com /v1/** ; and no more\n"
                                   "allow = POST api.example.com:8443 /v1/x\n"
                                   "deny = * api.example.com /v1/keys/**\n"
                                   "slot = header X-API-Key Token\n"
                                   "rate = 60/min\n"
                                   "max_uses = 100\n"
                                   "max_body = 10M\n"
                                   "concurrent = 4\n"
                                   "scrub = strict\n"
                                   "websocket = yes\n"
                                   "cookies = yes\n"
                                   "addresses = 10.1.2.0/24, FD00:1::/64\n"
                                   "addresses = 127.0.0.1\n"
                                   "env = API_KEY\n"
                                   "set = HEADERS={\"a\":\"Bearer {handle}\"}\n"
                                   "set = EMPTY=\n";
        Problems problems = PROBLEMS_NULL;
        _cleanup_(config_freep) Config *config = load(text, &problems);
        const EgressPolicy *p = policy(config, "a");

        ck_assert_str_eq(config->upstream_proxy, "http://proxy.corp:3128");
        ck_assert_uint_eq(p->allow.n, 2);
        ck_assert_str_eq(p->allow.items[0], "GET api.example.com /v1/**");
        ck_assert_uint_eq(p->deny.n, 1);
        ck_assert_uint_eq(p->slot, SLOT_HEADER);
        ck_assert_str_eq(p->slot_name, "x-api-key");
        ck_assert_str_eq(p->slot_prefix, "Token ");
        ck_assert(p->rate == 60 && p->rate_seconds == 60 && p->max_uses == 100 && p->concurrent == 4);
        ck_assert_uint_eq(p->max_body, 10U << 20);
        ck_assert_uint_eq(p->scrub, SCRUB_STRICT);
        ck_assert(p->websocket && p->cookies);
        ck_assert_uint_eq(p->addresses.n, 3);
        ck_assert_str_eq(p->addresses.items[1], "fd00:1::/64");
        ck_assert_str_eq(p->addresses.items[2], "127.0.0.1/32");
        ck_assert_str_eq(text_map_get(&config->profiles[0].variables, "HEADERS"), "{\"a\":\"Bearer {handle}\"}");
        ck_assert_str_eq(text_map_get(&config->profiles[0].variables, "EMPTY"), "");
        ck_assert_ptr_null(config->profiles[0].env_url);
}
END_TEST

START_TEST(a_preset_is_enough)
{
        Problems problems = PROBLEMS_NULL;
        _cleanup_(config_freep) Config *config = load("[profile a]\npreset = openai\nsecret = s\n", &problems);
        const EgressPolicy *p = policy(config, "a");

        ck_assert_uint_eq(p->slot, SLOT_BEARER);
        ck_assert(has(&p->allow, "* api.openai.com /v1/**"));
        ck_assert(has(&p->deny, "* api.openai.com /v1/organization/**"));
        ck_assert_str_eq(config->profiles[0].env, "OPENAI_API_KEY");
        ck_assert_ptr_null(config->profiles[0].env_url);
}
END_TEST

START_TEST(what_a_profile_says_goes_before_its_preset)
{
        static const char text[] = "[profile a]\nsecret = s\npreset = github\n"
                                   "slot = bearer\n"
                                   "allow = GET api.github.com /user\n"
                                   "deny = GET api.github.com /user/emails\n"
                                   "env = MY_TOKEN\n";
        Problems problems = PROBLEMS_NULL;
        _cleanup_(config_freep) Config *config = load(text, &problems);
        const EgressPolicy *p = policy(config, "a");

        ck_assert_uint_eq(p->slot, SLOT_BEARER);
        ck_assert_uint_eq(p->allow.n, 1);
        ck_assert(has(&p->deny, "GET api.github.com /user/emails"));
        ck_assert(has(&p->deny, "* github.com /login/**"));
        ck_assert_str_eq(config->profiles[0].env, "MY_TOKEN");
        ck_assert_uint_eq(config->profiles[0].variables.n, 0);
}
END_TEST

START_TEST(repositories_are_of_github)
{
        static const char text[] = "[profile a]\nsecret = s\nrepositories = octo/hello\nset = GH_TOKEN=x\n"
                                   "[profile b]\nsecret = s\npermissions = contents:read\npreset = gitlab\n"
                                   "[profile c]\nsecret = s\nrepositories = octo/hello\nslot = bearer\n"
                                   "allow = GET ghe.example /api/v3/**\n"
                                   "[profile d]\nsecret = s\nrepositories = octo/hello\n"
                                   "allow = GET api.github.com /repos/octo/hello/**\n";
        Problems problems = PROBLEMS_NULL;
        _cleanup_(config_freep) Config *config = load(text, &problems);
        const TextMap *variables = &config->profiles[0].variables;

        ck_assert_uint_eq(policy(config, "a")->slot, SLOT_AUTHORIZATION);
        ck_assert_str_eq(config->profiles[0].env, "GITHUB_PERSONAL_ACCESS_TOKEN");
        ck_assert_str_eq(text_map_get(variables, "GITHUB_TOKEN"), "{handle}");
        ck_assert_str_eq(text_map_get(variables, "GH_TOKEN"), "x");
        ck_assert(has(&policy(config, "b")->allow, "* gitlab.com /api/v4/**"));
        ck_assert_uint_eq(policy(config, "c")->deny.n, 0);
        ck_assert_uint_eq(policy(config, "d")->allow.n, 1);
        ck_assert(has(&policy(config, "d")->deny, "* github.com /login/**"));
}
END_TEST

START_TEST(each_slot)
{
        static const struct {
                const char *text;
                SlotKind kind;
                const char *name, *prefix;
        } cases[] = {
                { "bearer", SLOT_BEARER, NULL, NULL },
                { "basic", SLOT_BASIC, NULL, NULL },
                { "authorization", SLOT_AUTHORIZATION, NULL, NULL },
                { "header X-Key", SLOT_HEADER, "x-key", NULL },
                { "header  Authorization \t Bot", SLOT_HEADER, "authorization", "Bot " },
                { "header Cookie \"session=\"", SLOT_HEADER, "cookie", "session=" },
                { "header Authorization \"Token token=\"", SLOT_HEADER, "authorization", "Token token=" },
                { "query api_key", SLOT_QUERY, "api_key", NULL },
                { "path", SLOT_PATH, NULL, NULL },
                { "path bot", SLOT_PATH, NULL, "bot" },
                { "form token", SLOT_FORM, "token", NULL },
                { "sigv4", SLOT_SIGV4, NULL, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Problems problems = PROBLEMS_NULL;
                char text[256];

                (void)snprintf(text, sizeof(text), "[profile a]\nsecret=s\nallow=GET a.b /\nslot = %s\n",
                               cases[i].text);
                {
                        _cleanup_(config_freep) Config *config = load(text, &problems);
                        const EgressPolicy *p = policy(config, "a");

                        ck_assert_uint_eq(p->slot, cases[i].kind);
                        ck_assert_pstr_eq(p->slot_name, cases[i].name);
                        ck_assert_pstr_eq(p->slot_prefix, cases[i].prefix);
                }
        }
}
END_TEST

START_TEST(an_endpoint_has_a_variable_and_stands_for_a_host)
{
        static const char text[] = "[profile a]\nsecret = s\npreset = openai\ndeliver = endpoint\n"
                                   "[profile b]\nsecret = s\npreset = openai\ndeliver = endpoint\n"
                                   "url_host = eu.api.openai.com:8443\nenv_url = BASE\n"
                                   "[profile c]\nsecret = s\npreset = slack\ndeliver = endpoint\n"
                                   "env_url = SLACK_URL\nurl_host = slack.com\nurl_path = /api\n";
        Problems problems = PROBLEMS_NULL;
        _cleanup_(config_freep) Config *config = load(text, &problems);
        const ConfigProfile *a = &config->profiles[0], *b = a + 1, *c = a + 2;

        ck_assert_str_eq(a->env_url, "OPENAI_BASE_URL");
        ck_assert_str_eq(a->url_host, "api.openai.com");
        ck_assert_str_eq(a->url_path, "/v1");
        ck_assert_str_eq(b->env_url, "BASE");
        ck_assert_str_eq(b->url_host, "eu.api.openai.com:8443");
        ck_assert_ptr_null(b->url_path);
        ck_assert_str_eq(c->url_path, "/api");
}
END_TEST

START_TEST(other_deliveries_have_no_policy)
{
        Problems problems = PROBLEMS_NULL;
        _cleanup_(config_freep) Config *config = load("[profile a]\nsecret=s\ndeliver=file\n", &problems);

        ck_assert_ptr_null(policy(config, "a"));
}
END_TEST

#define P "[profile a]\nsecret=s\n"
#define Q P "preset=openai\n"

START_TEST(each_problem)
{
        static const char *const cases[][2] = {
                { "[nonsense]\n", "f:1: unknown section [nonsense]" },
                { "[broker x]\n", "f:1: unknown section [broker x]" },
                { "[profile]\nsecret=s\n", "f:1: a profile's name" },
                { "[profile A]\nsecret=s\n", "f:1: a profile's name" },
                { "[profile a b]\nsecret=s\n", "f:1: a profile's name" },
                { "[profile a\n", "f:1: a section's name ends with" },
                { "[broker] trailing\n", "f:1: something follows" },
                { "[]\n", "f:1: a section needs a name" },
                { "store = memory\n", "f:1: a key stands before any section" },
                { "[broker]\nstore\n", "f:2: is neither" },
                { "[broker]\nstore: memory\n", "f:2: is neither" },
                { "[broker]\nstore = memory\nstore = memory\n", "f:3: \"store\" is given twice" },
                { "[broker]\nstore = memory\n[broker]\nstore = memory\n",
                  "f:4: \"store\" is given twice" },
                { "[broker]\nStore = memory\n", "f:2: unknown key \"Store\" in [broker]" },
                { "[broker]\nsecret = x\n", "f:2: unknown key \"secret\" in [broker]" },
                { "[broker]\nstore =\n", "f:2: store = : is auto" },
                { "[broker]\nmax_sessions = 0\n", "f:2: max_sessions = 0: is a number" },
                { "[broker]\nmax_sessions = 4097\n", "f:2: max_sessions" },
                { "[broker]\nmax_sessions = 99999999999999999999\n", "f:2: max_sessions" },
                { "[broker]\nmax_lifetime = 0\n", "f:2: max_lifetime = 0: is a duration" },
                { "[broker]\nmax_lifetime = 99d\n", "f:2: max_lifetime = 99d: is too long" },
                { "[broker]\nca_file = ca.pem\n", "f:2: ca_file = ca.pem: is an absolute path" },
                { "[broker]\nlandlock = no\n", "f:2: landlock = no: is" },
                { "[broker]\ngroup = x\n", "f:2: group = x: has a meaning in system mode" },
                { "[profile a]\npreset=openai\n", "f:1: profile \"a\" needs \"secret\"" },
                { Q Q, "f:4: profile \"a\" is at f:1 already" },
                { P "colour = red\n", "f:3: unknown key \"colour\" in [profile]" },
                { "[profile a]\nsecret = A\n", "f:2: secret = A: is a name" },
                { P "repositories = \n", "f:3: repositories = : is empty" },
                { P "repositories = octo\n", "f:3: repositories = octo: is a list" },
                { P "repositories = octo//b\n", "f:3: repositories" },
                { P "repositories = octo/a/\n", "f:3: repositories" },
                { P "repositories = octo\n", "f:3: repositories" },
                { P "repositories = octo/..\n", "f:3: repositories" },
                { P "repositories = octo/*\n", "f:3: repositories" },
                { P "repositories = o/a,,o/b\n",
                  "f:3: repositories = o/a,,o/b: has an empty item" },
                { P "repositories = o/a, o/a\n", "f:3: repositories = o/a, o/a: names the same" },
                { P "permissions = contents\n", "f:3: permissions" },
                { P "permissions = contents:all\n", "f:3: permissions" },
                { P "permissions = a:read\npermissions = a:write\n",
                  "f:4: permissions = a:write: names the same" },
                { P "ttl = -1\n", "f:3: ttl" },
                { P "ttl = 5 m\n", "f:3: ttl" },
                { P "ttl = 1h\nttl = 1h\n", "f:4: \"ttl\" is given twice" },
                { P "deliver = mail\n", "f:3: deliver" },
                { P "deliver = env\n", "f:1: profile \"a\" has deliver = env" },
                { P "env = 1X\n", "f:3: env" },
                { P "env = LD_PRELOAD\n", "f:3: env = LD_PRELOAD: is a variable that" },
                { P "env = MCPCRED_FD\n", "f:3: env = MCPCRED_FD: is a variable that" },
                { P "expose_secret = maybe\n", "f:3: expose_secret" },
                { P "expose_secret = yes\n", "f:1: profile \"a\": expose_secret" },
                { P "command = \"a\n", "f:3: command = \"a: has a quotation mark" },
                { P "command = \n", "f:3: command = : is empty" },
                { P "caller_uid = root\n", "f:3: caller_uid" },
                { P "caller_uid = 4294967295\n", "f:3: caller_uid" },
                { P "caller_unit = a/b.service\n", "f:3: caller_unit" },
                { P "caller_unit = .service\n", "f:3: caller_unit" },
                { Q "ttl = 1h\x01\n", "f:4: has a control character" },
                { Q "; \xff\n", "f:4: is not UTF-8" },
                { Q "ttl = \xc3\x28\n", "f:4: is not UTF-8" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                refused(cases[i][0], cases[i][1]);
}
END_TEST

START_TEST(each_problem_of_the_way_out)
{
        static const char *const cases[][2] = {
                { "[broker]\nupstream_proxy = https://p:1\n",
                  "f:2: upstream_proxy = https://p:1: is http://HOST:PORT" },
                { "[broker]\nupstream_proxy = http://p\n", "f:2: upstream_proxy" },
                { "[broker]\nupstream_proxy = http://p:0\n", "f:2: upstream_proxy" },
                { "[broker]\nupstream_proxy = http://u:x@p:1\n", "f:2: upstream_proxy" },
                { "[broker]\nupstream_proxy = http://p:1/\n", "f:2: upstream_proxy" },
                { "[broker]\nupstream_proxy = http://[::1:1\n", "f:2: upstream_proxy" },
                { P, "f:1: profile \"a\" is delivered by proxy and needs \"preset\"" },
                { P "deliver = endpoint\npreset = slack\nenv_url = U\n",
                  "f:1: profile \"a\" has deliver = endpoint and needs \"url_host\"" },
                { P "deliver = endpoint\npreset = slack\nurl_host = slack.com\n",
                  "f:1: profile \"a\" has deliver = endpoint and needs \"env_url\"" },
                { P "preset = generic\n", "f:1: profile \"a\" needs \"allow\"" },
                { P "slot = bearer\n", "f:1: profile \"a\" needs \"allow\"" },
                { P "allow = GET a.b /\n", "f:1: profile \"a\" needs \"slot\"" },
                { P "preset = gihub\n", "f:3: preset = gihub: is none" },
                { P "preset = github\npreset = github\n", "f:4: \"preset\" is given twice" },
                { Q "allow = GET a.b\n", "f:4: allow = GET a.b: a rule is METHODS" },
                { Q "allow = GET 10.0.0.1 /\n", "f:4: allow = GET 10.0.0.1 /: its host" },
                { Q "allow = GET a.b /../x\n", "f:4: allow = GET a.b /../x: no request has" },
                { Q "allow = GET a.b /\nallow = GET a.b /\n", "f:5: allow = GET a.b /: names the same" },
                { Q "deny = * * /\n", "f:4: deny" },
                { Q "slot = cookie\n", "f:4: slot = cookie: is bearer, basic" },
                { Q "slot = none\n", "f:4: slot" },
                { Q "slot = bearer x\n", "f:4: slot = bearer x: takes nothing" },
                { Q "slot = header\n", "f:4: slot = header: needs the name" },
                { Q "slot = header a:b\n", "f:4: slot" },
                { Q "slot = header Host\n", "f:4: slot = header Host: is a header that no key" },
                { Q "slot = header x \"y\n", "f:4: slot = header x \"y: has a quotation mark" },
                { Q "slot = query\n", "f:4: slot = query: needs one name" },
                { Q "slot = query a b\n", "f:4: slot" },
                { Q "slot = path a/b\n", "f:4: slot" },
                { Q "rate = 60\n", "f:4: rate" },
                { Q "rate = 0/s\n", "f:4: rate" },
                { Q "rate = 60/week\n", "f:4: rate" },
                { Q "max_uses = 0\n", "f:4: max_uses" },
                { Q "max_body = M\n", "f:4: max_body" },
                { Q "max_body = 0K\n", "f:4: max_body" },
                { Q "max_body = 10T\n", "f:4: max_body" },
                { Q "max_body = 18446744073709551615G\n", "f:4: max_body" },
                { Q "concurrent = 257\n", "f:4: concurrent" },
                { Q "scrub = no\n", "f:4: scrub" },
                { Q "websocket = maybe\n", "f:4: websocket" },
                { Q "cookies = maybe\n", "f:4: cookies" },
                { Q "addresses = 10.0.0.1/24\n", "f:4: addresses = 10.0.0.1/24: has a network with bits" },
                { Q "addresses = 10.0.0/24\n", "f:4: addresses" },
                { Q "addresses = 10.0.0.0/33\n", "f:4: addresses" },
                { Q "addresses = localhost\n", "f:4: addresses" },
                { Q "set = X\n", "f:4: set = X: is NAME=VALUE" },
                { Q "set = 1X=y\n", "f:4: set" },
                { Q "set = PATH=/x\n", "f:4: set = PATH=/x: is a variable that" },
                { Q "set = https_proxy=x\n", "f:4: set" },
                { Q "set = A=1\nset = A=2\n", "f:5: set = A=2: names the same" },
                { Q "env_url = X\n", "f:1: profile \"a\": env_url is for deliver = endpoint" },
                { Q "deliver = endpoint\nurl_host = *.a.b\n", "f:5: url_host" },
                { Q "deliver = endpoint\nurl_host = https://a.b\n", "f:5: url_host" },
                { Q "deliver = endpoint\nurl_path = /v1/\n", "f:5: url_path" },
                { Q "deliver = endpoint\nurl_path = v1\n", "f:5: url_path" },
                { P "deliver = file\nallow = GET a.b /\n",
                  "f:1: profile \"a\": allow is for deliver = proxy or endpoint" },
                { P "deliver = socket\nurl_path = /x\n", "f:1: profile \"a\": url_path is for deliver = endpoint" },
                { P "deliver = endpoint\nexpose_secret = yes\n", "f:1: profile \"a\": expose_secret" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                refused(cases[i][0], cases[i][1]);
}
END_TEST

/* ---- leaks and ages ---- */

#define BIT(action) (UINT64_C(1) << (action))

START_TEST(every_key_about_leaks)
{
        static const char text[] = "[broker]\n"
                                   "notify = /usr/bin/logger -t \"a leak\"\n"
                                   "audit_max_size = 1M\n"
                                   "audit_keep = 3\n"
                                   "[secret github]\n"
                                   "rotate_every = 30d\n"
                                   "max_age = 90d\n"
                                   "grace = 10m\n"
                                   "on_leak = notify,rotate , revoke-upstream\n"
                                   "revoke_upstream = yes\n"
                                   "[secret quiet]\n"
                                   "on_leak = none\n"
                                   "[secret usual]\n"
                                   Q "on_leak = end-session, revoke\n"
                                     "canary = AWS_SECRET_ACCESS_KEY\n"
                                     "[profile b]\nsecret=s\npreset=slack\non_leak = none\n";
        Problems problems = PROBLEMS_NULL;
        _cleanup_(config_freep) Config *config = load(text, &problems);

        ck_assert_ptr_nonnull(config);
        ck_assert_uint_eq(config->notify.n, 3);
        ck_assert_str_eq(config->notify.items[2], "a leak");
        ck_assert(config->broker.has_notify);
        ck_assert_uint_eq(config->broker.audit_max_size, 1024 * 1024);
        ck_assert_uint_eq(config->broker.audit_keep, 3);
        ck_assert_uint_eq(config->n_secrets, 3);
        ck_assert_str_eq(config->secrets[0].name, "github");
        ck_assert_str_eq(config->secrets[0].source, "f:5");
        ck_assert_uint_eq(config->secrets[0].rotate_every, 30 * 86400);
        ck_assert_uint_eq(config->secrets[0].max_age, 90 * 86400);
        ck_assert_uint_eq(config->secrets[0].grace, 600);
        ck_assert_uint_eq(config->secrets[0].on_leak, BIT(LEAK_NOTIFY) | BIT(LEAK_ROTATE) | BIT(LEAK_REVOKE_UPSTREAM));
        ck_assert(config->secrets[0].revoke_upstream);
        ck_assert_uint_eq(config->secrets[1].on_leak, 0);
        ck_assert_uint_eq(config->secrets[2].on_leak, LEAK_ACTIONS_DEFAULT);
        ck_assert(!config->secrets[2].revoke_upstream);
        ck_assert_uint_eq(config->secrets[2].grace, 600);
        ck_assert_uint_eq(config->profiles[0].on_leak, BIT(LEAK_END_SESSION) | BIT(LEAK_REVOKE));
        ck_assert_str_eq(config->profiles[0].canary, "AWS_SECRET_ACCESS_KEY");
        ck_assert_uint_eq(config->profiles[1].on_leak, 0);
}
END_TEST

START_TEST(what_leaks_do_by_default)
{
        Problems problems = PROBLEMS_NULL;
        _cleanup_(config_freep) Config *config = load(Q, &problems);

        ck_assert_uint_eq(config->profiles[0].on_leak, LEAK_ACTIONS_DEFAULT);
        ck_assert_ptr_null(config->profiles[0].canary);
        ck_assert(!config->broker.has_notify);
        ck_assert_uint_eq(config->broker.audit_max_size, CONFIG_AUDIT_MAX_SIZE_DEFAULT);
        ck_assert_uint_eq(config->broker.audit_keep, CONFIG_AUDIT_KEEP_DEFAULT);
}
END_TEST

#define S "[secret a]\n"

START_TEST(each_problem_about_leaks)
{
        static const char *const cases[][2] = {
                { "[secret]\n", "f:1: a secret's name" },
                { "[secret A]\n", "f:1: a secret's name" },
                { S S, "f:2: secret \"a\" is at f:1 already" },
                { S "ttl = 1h\n", "f:2: unknown key \"ttl\" in [secret]" },
                { S "grace = 1h\ngrace = 1h\n", "f:3: \"grace\" is given twice" },
                { S "rotate_every = 59m\n", "f:2: rotate_every = 59m: is too short" },
                { S "rotate_every = 30x\n", "f:2: rotate_every = 30x: is a duration" },
                { S "rotate_every = 9999d\n", "f:2: rotate_every = 9999d: is too long" },
                { S "max_age = 1m\n", "f:2: max_age = 1m: is too short" },
                { S "grace = 31d\n", "f:2: grace = 31d: is too long" },
                { S "rotate_every = 1h\ngrace = 1h\n", "f:1: secret \"a\": grace is shorter" },
                { S "rotate_every = 2h\nmax_age = 1h\n", "f:1: secret \"a\": max_age is not shorter" },
                { S "on_leak =\n", "f:2: on_leak = : is empty" },
                { S "on_leak = none, revoke\n", "f:2: on_leak = none, revoke: has none beside" },
                { S "revoke_upstream = 1\n", "f:2: revoke_upstream = 1: is" },
                { Q "on_leak = revoke, revoke\n", "f:4: on_leak = revoke, revoke: names the same" },
                { Q "on_leak = revoke, none\n", "f:4: on_leak = revoke, none: has none beside" },
                { Q "on_leak = revoke-all\n", "f:4: on_leak = revoke-all: is a list of" },
                { Q "on_leak = revoke\non_leak = notify\n", "f:5: \"on_leak\" is given twice" },
                { Q "canary = 1X\n", "f:4: canary = 1X: is the name of" },
                { Q "canary = PATH\n", "f:4: canary = PATH: is a variable that" },
                { Q "canary = HTTPS_PROXY\n", "f:4: canary = HTTPS_PROXY: is a variable that" },
                { Q "canary = OPENAI_API_KEY\n", "f:1: profile \"a\": canary = OPENAI_API_KEY: is a variable that" },
                { Q "env = A\ncanary = A\n", "f:1: profile \"a\": canary = A: is a variable that" },
                { Q "set = A=1\ncanary = A\n", "f:1: profile \"a\": canary = A: is a variable that" },
                { P "preset = github\ncanary = GH_TOKEN\n", "f:1: profile \"a\": canary = GH_TOKEN: is a variable that" },
                { Q "deliver = endpoint\ncanary = OPENAI_BASE_URL\n", "f:1: profile \"a\": canary" },
                { "[broker]\nnotify = mail me\n", "f:2: notify = mail me: begins with the absolute" },
                { "[broker]\nnotify =\n", "f:2: notify = : is empty" },
                { "[broker]\nnotify = /bin/x \"y\n", "f:2: notify = /bin/x \"y: has a quotation mark" },
                { "[broker]\naudit_max_size = 1K\n", "f:2: audit_max_size = 1K: is too small" },
                { "[broker]\naudit_max_size = 17G\n", "f:2: audit_max_size = 17G: is too large" },
                { "[broker]\naudit_max_size = big\n", "f:2: audit_max_size = big: is a number of bytes" },
                { "[broker]\naudit_keep = 0\n", "f:2: audit_keep = 0: is a number of files" },
                { "[broker]\naudit_keep = 1001\n", "f:2: audit_keep" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                refused(cases[i][0], cases[i][1]);
}
END_TEST

/* As many and as long ones as a file can have: the message that gives them to egress has room for them. */
START_TEST(the_largest_policy_fits_a_grant)
{
        static char text[64 * 1024];
        size_t n = (size_t)snprintf(text, sizeof(text), "[profile a]\nsecret=s\nslot=bearer\n");
        Problems problems = PROBLEMS_NULL;
        Buf buf = BUF_NULL(EGRESS_POLICY_SIZE_MAX);

        for (unsigned i = 0; i < LIMIT_RULES; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "allow=GET a.b /%0180u\ndeny=GET a.b /%0180u\n", i, i);
        {
                _cleanup_(config_freep) Config *config = load(text, &problems);

                ck_assert_ptr_nonnull(config);
                ck_assert_uint_eq(policy(config, "a")->deny.n, LIMIT_RULES);
                ck_assert_int_eq(schema_encode(&schema_egress_policy, policy(config, "a"), &buf), 0);
                ck_assert_uint_gt(buf.size, 2 * LIMIT_RULES * 190);
        }
        buf_deinit(&buf);
}
END_TEST

START_TEST(nul_byte)
{
        static const char text[] = P "ttl = 1\0h\n";
        Problems problems = PROBLEMS_NULL;
        Config *config = NULL;

        ck_assert_int_eq(config_parse(&config, "f", slice(text, sizeof(text) - 1), &problems),
                         CONFIG_E_INVALID);
        ck_assert_str_eq(problems.items[0], "f:3: is not UTF-8 text");
        problems_deinit(&problems);
}
END_TEST

/* A long line is refused and never cut; the same list fits in several lines. */
START_TEST(long_line)
{
        char text[4096] = Q "repositories = ";
        size_t head = strlen(text);

        for (int i = 0; i < 60; i++)
                (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%so/r%d",
                               i > 0 ? "," : "", i);
        refused(text, "f:4: the line is too long");
        text[head] = '\0';
        for (int i = 0; i < 60; i++)
                (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%so/r%d\n",
                               i > 0 ? "repositories = " : "", i);
        {
                Problems problems = PROBLEMS_NULL;
                _cleanup_(config_freep) Config *config = load(text, &problems);

                ck_assert_uint_eq(config->profiles[0].scope->repositories.n, 60);
        }
        /* inih cuts section names at 49 bytes: two that differ later must stay two. */
        (void)snprintf(text, sizeof(text),
                       "[profile %063d1]\nsecret=s\ndeliver=file\n[profile %063d2]\nsecret=s\npreset=slack\n", 0, 0);
        {
                Problems problems = PROBLEMS_NULL;
                _cleanup_(config_freep) Config *config = load(text, &problems);

                ck_assert_uint_eq(config->n_profiles, 2);
        }
}
END_TEST

START_TEST(too_many)
{
        static char text[64 * 1024];
        Problems problems = PROBLEMS_NULL;
        Config *config;

        text[0] = '\0';
        for (unsigned i = 0; i <= CONFIG_PROFILES_MAX; i++)
                (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                               "[profile p%u]\nsecret=s\npreset=github\n", i);
        refused(text, "f:769: there are more than 256 profiles");
        text[0] = '\0';
        for (unsigned i = 0; i < 200; i++)
                (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "[nonsense%u]\n",
                               i);
        ck_assert_int_eq(config_parse(&config, "f", slice_text(text), &problems), CONFIG_E_INVALID);
        ck_assert_uint_eq(problems.n, PROBLEMS_MAX);
        ck_assert_str_eq(problems.items[PROBLEMS_MAX - 1], "there are further problems");
        problems_deinit(&problems);
}
END_TEST

/* Each list is within its limits, and all of them together are more than a message. */
START_TEST(too_large_for_a_message)
{
        static char text[512 * 1024];
        size_t n = (size_t)snprintf(text, sizeof(text), "%s", Q);

        for (unsigned i = 0; i < LIMIT_REPOSITORIES; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "repositories = octo/%0170u\n", i);
        for (unsigned i = 0; i < 100; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n,
                                      "allow = GET a.b /%0160u\ndeny = GET a.b /%0160u\n", i, i);
        refused(text, "f:1: profile \"a\" is too large");
}
END_TEST

static void parse_any(const uint8_t *data, size_t size)
{
        _cleanup_(config_freep) Config *config = NULL;
        Problems problems = PROBLEMS_NULL;
        uint8_t *exact = malloc(size > 0 ? size : 1);
        int r;

        if (size > 0)
                memcpy(exact, data, size);
        r = config_parse(&config, "f", slice(exact, size), &problems);
        ck_assert(r == 0 || r == CONFIG_E_INVALID);
        ck_assert((config != NULL) == (r == 0));
        /* What passed can be sent to the vault: every text fits the schema of the message. */
        for (size_t i = 0; config && i < config->n_profiles; i++) {
                Buf buf = BUF_NULL(1024 * 1024);

                ck_assert_int_eq(
                        schema_encode(
                                interface_to_vault.methods[TO_VAULT_CONFIGURE_PROFILE].request,
                                &config->profiles[i], &buf),
                        0);
                buf_deinit(&buf);
        }
        for (size_t i = 0; config && i < config->n_secrets; i++) {
                Buf buf = BUF_NULL(1024 * 1024);

                ck_assert_int_eq(schema_encode(&schema_config_secret, &config->secrets[i], &buf), 0);
                buf_deinit(&buf);
        }
        problems_deinit(&problems);
        free(exact);
}

/* Each file of the corpus, cut at every byte, and with every bit turned. */
START_TEST(sweep)
{
        DIR *dir = opendir(corpus);
        const struct dirent *entry;
        unsigned files = 0;

        ck_assert_ptr_nonnull(dir);
        while ((entry = readdir(dir))) {
                _cleanup_(freep) char *text = NULL;
                size_t size;

                if (entry->d_name[0] == '.')
                        continue;
                ck_assert_int_eq(fd_read_file_at(dirfd(dir), entry->d_name, 4096, &text), 0);
                size = strlen(text);
                for (size_t i = 0; i <= size; i++)
                        parse_any((const uint8_t *)text, i);
                for (size_t i = 0; i < size * 8; i++) {
                        text[i / 8] = (char)(text[i / 8] ^ (1 << i % 8));
                        parse_any((const uint8_t *)text, size);
                        text[i / 8] = (char)(text[i / 8] ^ (1 << i % 8));
                }
                files++;
        }
        closedir(dir);
        ck_assert_uint_gt(files, 2);
}
END_TEST

int main(int argc, char **argv)
{
        Suite *suite = suite_create("config");
        TCase *tests = tcase_create("all");
        SRunner *r = srunner_create(suite);

        corpus = argc > 1 ? argv[1] : "tests/fuzz/corpus/config";
        suite_add_tcase(suite, tests);
        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, everything);
        tcase_add_test(tests, defaults);
        tcase_add_test(tests, every_key_of_the_way_out);
        tcase_add_test(tests, a_preset_is_enough);
        tcase_add_test(tests, what_a_profile_says_goes_before_its_preset);
        tcase_add_test(tests, repositories_are_of_github);
        tcase_add_test(tests, each_slot);
        tcase_add_test(tests, an_endpoint_has_a_variable_and_stands_for_a_host);
        tcase_add_test(tests, other_deliveries_have_no_policy);
        tcase_add_test(tests, each_problem);
        tcase_add_test(tests, each_problem_of_the_way_out);
        tcase_add_test(tests, every_key_about_leaks);
        tcase_add_test(tests, what_leaks_do_by_default);
        tcase_add_test(tests, each_problem_about_leaks);
        tcase_add_test(tests, the_largest_policy_fits_a_grant);
        tcase_add_test(tests, nul_byte);
        tcase_add_test(tests, long_line);
        tcase_add_test(tests, too_many);
        tcase_add_test(tests, too_large_for_a_message);
        tcase_add_test(tests, sweep);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        int failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
