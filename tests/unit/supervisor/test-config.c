#undef NDEBUG
#include "supervisor/config.h"
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include "base/fd.h"

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
        ck_assert_uint_eq(profile->scope->repositories.n, 3);
        ck_assert_str_eq(profile->scope->repositories.items[1], "octo/.github");
        ck_assert_str_eq(profile->scope->repositories.items[2], "octo/world");
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
                { P "repositories = octo/a/b\n", "f:3: repositories" },
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
        tcase_add_test(tests, each_problem);
        tcase_add_test(tests, nul_byte);
        tcase_add_test(tests, long_line);
        tcase_add_test(tests, too_many);
        tcase_add_test(tests, sweep);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        int failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
