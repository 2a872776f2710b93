#undef NDEBUG
#include "../base/suite.h"
#include "base/fd.h"
#include "base/text.h"
#include "http/rule.h"
#include "wire/field.h"
#include "wire/preset.h"
#include <fcntl.h>
#include <stdio.h>

static size_t count(const char *const *list)
{
        size_t n = 0;

        while (list[n])
                n++;
        return n;
}

static bool is_generic(const Preset *preset)
{
        return strcmp(preset->name, "generic") == 0;
}

START_TEST(each_upstream_of_the_list_is_there)
{
        static const char *const names[] = {
                "github", "gitlab", "openai", "anthropic",  "slack",  "notion",    "linear", "stripe",
                "sentry", "brave",  "tavily", "cloudflare", "google", "atlassian", "figma",  "generic",
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                ck_assert_msg(preset_find(names[i]), "%s", names[i]);
        ck_assert_uint_eq(n_presets, ARRAY_SIZE(names));
        ck_assert_ptr_null(preset_find("nothing"));
}
END_TEST

START_TEST(each_can_be_told_to_a_profile)
{
        for (size_t i = 0; i < n_presets; i++) {
                const Preset *preset = &presets[i];

                ck_assert(text_is_name(preset->name));
                ck_assert_ptr_eq(preset_find(preset->name), preset);
                ck_assert_ptr_nonnull(preset->title);
                ck_assert_uint_le(count(preset->env), PRESET_ENV_MAX);
                for (size_t k = 0; preset->env[k]; k++)
                        ck_assert(text_is_env_name(preset->env[k]));
                ck_assert(is_generic(preset) || preset->env[0]);
                ck_assert(is_generic(preset) || preset->hosts[0]);
                ck_assert_uint_le(count(preset->allow), LIMIT_RULES / 2);
                ck_assert_uint_le(count(preset->deny), LIMIT_RULES / 2);
                ck_assert_int_eq(preset->env_url != NULL, preset->url_host != NULL);
                ck_assert(!preset->env_url || text_is_env_name(preset->env_url));
                ck_assert(!preset->url_path || (preset->env_url && preset->url_path[0] == '/'));
        }
}
END_TEST

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

START_TEST(each_slot_is_complete)
{
        for (size_t i = 0; i < n_presets; i++) {
                const Preset *preset = &presets[i];
                bool named = preset->slot == SLOT_HEADER || preset->slot == SLOT_KEY || preset->slot == SLOT_QUERY ||
                             preset->slot == SLOT_FORM;

                ck_assert_msg(preset->slot != SLOT_NONE && preset->slot < _SLOT_KIND_N, "%s", preset->name);
                ck_assert_msg(named == (preset->slot_name != NULL), "%s", preset->name);
                /* A header's is lower case; what may be in a query is more, "api_key". */
                for (const char *c = preset->slot_name; c && *c; c++)
                        ck_assert_msg(strchr(preset->slot == SLOT_HEADER ? LOWER "-" : LOWER UPPER "-._~", *c), "%s",
                                      preset->name);
                ck_assert(!preset->slot_prefix || preset->slot == SLOT_HEADER || preset->slot == SLOT_PATH);
        }
}
END_TEST

START_TEST(each_rule_is_one)
{
        for (size_t i = 0; i < n_presets; i++) {
                const Preset *preset = &presets[i];
                RuleSet *rules;

                for (size_t k = 0; preset->allow[k]; k++)
                        ck_assert_msg(!rule_check(preset->allow[k]), "%s: %s", preset->allow[k],
                                      rule_check(preset->allow[k]));
                for (size_t k = 0; preset->deny[k]; k++) {
                        ck_assert_msg(!rule_check(preset->deny[k]), "%s: %s", preset->deny[k],
                                      rule_check(preset->deny[k]));
                        ck_assert_msg(!rule_warning(preset->deny[k], true), "%s: %s", preset->deny[k],
                                      rule_warning(preset->deny[k], true));
                }
                ck_assert_int_eq(rule_set_new(&rules, preset->allow, count(preset->allow), preset->deny,
                                              count(preset->deny)),
                                 0);
                rule_set_free(rules);
        }
}
END_TEST

/* A request that the rule is about, with what its stars leave open filled in. */
static void example_of(const char *rule, char method[32], HttpAuthority *authority, char path[RULE_TEXT_MAX])
{
        char methods[128], host[300], pattern[300], *rest = NULL;

        ck_assert_int_eq(sscanf(rule, "%127s %299s %299s", methods, host, pattern), 3);
        (void)snprintf(method, 32, "%.*s", (int)strcspn(methods, ","), strcmp(methods, "*") == 0 ? "POST" : methods);
        if (host[0] == '*')
                host[0] = 'o';
        ck_assert_int_eq(http_parse_authority(slice_text(host), 443, authority), 0);
        path[0] = '\0';
        for (char *segment = strtok_r(pattern, "/", &rest); segment; segment = strtok_r(NULL, "/", &rest))
                (void)snprintf(path + strlen(path), RULE_TEXT_MAX - strlen(path), "/%s",
                               segment[0] == '*' ? "7" : segment);
}

START_TEST(its_deny_wins_whatever_the_profile_allows)
{
        for (size_t i = 0; i < n_presets; i++)
                for (size_t k = 0; presets[i].deny[k]; k++) {
                        char method[32], path[RULE_TEXT_MAX], allow[2][300];
                        const char *both[2] = { allow[0], allow[1] }, *rule = NULL;
                        HttpAuthority authority;
                        RuleSet *rules;

                        example_of(presets[i].deny[k], method, &authority, path);
                        (void)snprintf(allow[0], sizeof(allow[0]), "* %s /**", authority.host);
                        (void)snprintf(allow[1], sizeof(allow[1]), "* %s %s", authority.host, path);
                        ck_assert_int_eq(rule_set_new(&rules, both, 2, presets[i].deny, count(presets[i].deny)), 0);
                        ck_assert_msg(rule_set_decide(rules, method, &authority, path, &rule) == RULE_DENIED,
                                      "%s: %s %s", presets[i].name, method, path);
                        ck_assert_ptr_nonnull(rule);
                        rule_set_free(rules);
                }
}
END_TEST

/* What the vendors document as handing out tokens, said apart from the table. */
START_TEST(tokens_cannot_be_asked_for)
{
        static const char *const cases[][2] = {
                { "github", "POST api.github.com /app/installations/7/access_tokens" },
                { "github", "POST api.github.com /repos/octo/hello/keys" },
                { "github", "POST api.github.com /user/keys" },
                { "github", "POST api.github.com /orgs/octo/actions/runners/registration-token" },
                { "github", "POST api.github.com /applications/x/token/scoped" },
                { "github", "POST github.com /login/oauth/access_token" },
                { "gitlab", "POST gitlab.com /api/v4/projects/7/access_tokens" },
                { "gitlab", "POST gitlab.com /api/v4/personal_access_tokens/self/rotate" },
                { "gitlab", "POST gitlab.com /api/v4/users/7/impersonation_tokens" },
                { "gitlab", "POST gitlab.com /api/graphql" },
                { "gitlab", "POST gitlab.com /oauth/token" },
                { "openai", "POST api.openai.com /v1/organization/admin_api_keys" },
                { "openai", "POST api.openai.com /v1/organization/projects/p/service_accounts/s/api_keys" },
                { "openai", "POST api.openai.com /v1/realtime/client_secrets" },
                { "anthropic", "POST api.anthropic.com /v1/oauth/token" },
                { "anthropic", "GET api.anthropic.com /v1/organizations/api_keys" },
                { "slack", "POST slack.com /api/oauth.v2.access" },
                { "slack", "POST slack.com /api/apps.auth.external.get" },
                { "notion", "POST api.notion.com /v1/oauth/token" },
                { "linear", "POST api.linear.app /oauth/token" },
                { "stripe", "POST api.stripe.com /v2/iam/api_keys" },
                { "stripe", "POST api.stripe.com /v1/ephemeral_keys" },
                { "sentry", "POST us.sentry.io /api/0/organizations/o/org-auth-tokens/" },
                { "sentry", "POST sentry.io /api/0/api-tokens/" },
                { "tavily", "POST api.tavily.com /generate-keys" },
                { "cloudflare", "POST api.cloudflare.com /client/v4/user/tokens" },
                { "cloudflare", "PUT api.cloudflare.com /client/v4/user/tokens/7/value" },
                { "cloudflare", "POST api.cloudflare.com /client/v4/accounts/7/r2/temp-access-credentials" },
                { "google", "POST generativelanguage.googleapis.com /v1alpha/auth_tokens" },
                { "atlassian", "POST o.atlassian.net /rest/pat/latest/tokens" },
                { "figma", "POST api.figma.com /v1/oauth/token" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const Preset *preset = preset_find(cases[i][0]);
                char method[32], host[300], path[300], allow[400];
                const char *everything = allow;
                HttpAuthority authority;
                RuleSet *rules;

                ck_assert_int_eq(sscanf(cases[i][1], "%31s %299s %299s", method, host, path), 3);
                (void)snprintf(allow, sizeof(allow), "* %s /**", host);
                ck_assert_int_eq(http_parse_authority(slice_text(host), 443, &authority), 0);
                ck_assert_int_eq(rule_set_new(&rules, &everything, 1, preset->deny, count(preset->deny)), 0);
                ck_assert_msg(rule_set_decide(rules, method, &authority, path, NULL) == RULE_DENIED, "%s", cases[i][1]);
                rule_set_free(rules);
        }
}
END_TEST

/* ... and ordinary use can. */
START_TEST(the_work_of_each_is_allowed)
{
        static const char *const cases[][2] = {
                { "github", "GET api.github.com /user" },
                { "github", "POST api.github.com /repos/octo/hello/issues" },
                { "github", "POST api.github.com /graphql" },
                { "github", "GET github.com /octo/hello.git/info/refs" },
                { "github", "POST github.com /octo/hello.git/git-upload-pack" },
                { "github", "POST github.com /octo/hello/git-receive-pack" },
                { "gitlab", "GET gitlab.com /api/v4/projects/7/issues" },
                { "gitlab", "GET gitlab.com /api/v4/personal_access_tokens/self" },
                { "gitlab", "GET gitlab.com /g/sub/p.git/info/refs" },
                { "openai", "POST api.openai.com /v1/chat/completions" },
                { "openai", "POST api.openai.com /v1/responses" },
                { "anthropic", "POST api.anthropic.com /v1/messages" },
                { "slack", "POST slack.com /api/chat.postMessage" },
                { "notion", "POST api.notion.com /v1/search" },
                { "linear", "POST api.linear.app /graphql" },
                { "stripe", "POST api.stripe.com /v1/customers" },
                { "sentry", "GET sentry.io /api/0/organizations/o/issues/" },
                { "sentry", "GET us.sentry.io /api/0/projects/o/p/events/" },
                { "brave", "GET api.search.brave.com /res/v1/web/search" },
                { "tavily", "POST api.tavily.com /search" },
                { "cloudflare", "GET api.cloudflare.com /client/v4/user/tokens/verify" },
                { "cloudflare", "PUT api.cloudflare.com /client/v4/zones/7/dns_records/8" },
                { "google", "POST generativelanguage.googleapis.com /v1beta/models/gemini:generateContent" },
                { "google", "GET maps.googleapis.com /maps/api/geocode/json" },
                { "atlassian", "GET o.atlassian.net /rest/api/3/issue/A-1" },
                { "atlassian", "GET o.atlassian.net /wiki/api/v2/pages" },
                { "figma", "GET api.figma.com /v1/files/x" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const Preset *preset = preset_find(cases[i][0]);
                char method[32], host[300], path[300];
                HttpAuthority authority;
                RuleSet *rules;

                ck_assert_int_eq(sscanf(cases[i][1], "%31s %299s %299s", method, host, path), 3);
                ck_assert_int_eq(http_parse_authority(slice_text(host), 443, &authority), 0);
                ck_assert_int_eq(rule_set_new(&rules, preset->allow, count(preset->allow), preset->deny,
                                              count(preset->deny)),
                                 0);
                ck_assert_msg(rule_set_decide(rules, method, &authority, path, NULL) == RULE_ALLOWED, "%s",
                              cases[i][1]);
                rule_set_free(rules);
                ck_assert_ptr_eq(preset_of_host(host), preset);
        }
        ck_assert_ptr_null(preset_of_host("api.example.com"));
        ck_assert_ptr_null(preset_of_host("a.b.sentry.io"));
}
END_TEST

/* ---- the manual ---- */

static const char *manual;

/* The table of mcpcred.conf(5) has a line of each. */
START_TEST(the_manual_has_each_as_it_is)
{
        _cleanup_(freep) char *text = NULL;

        ck_assert_int_eq(fd_read_file_at(AT_FDCWD, manual, 256 * 1024, &text), 0);
        for (size_t i = 0; i < n_presets; i++) {
                const Preset *preset = &presets[i];
                char row[512];

                (void)snprintf(row, sizeof(row), "\n.It Cm %s Ta %s%s%s Ta ", preset->name,
                               slot_kind_names[preset->slot], preset->slot_name ? " " : "", preset->slot_name ? preset->slot_name : "");
                for (size_t k = 0; preset->env[k]; k++)
                        (void)snprintf(row + strlen(row), sizeof(row) - strlen(row), "%s%s", k > 0 ? ",\n.It Ta Ta " : "",
                                       preset->env[k]);
                (void)snprintf(row + strlen(row), sizeof(row) - strlen(row), "%s\n", preset->env[0] ? "" : "\\(en");
                ck_assert_msg(strstr(text, row), "%s", row);
                (void)snprintf(row, sizeof(row), ".Pq Ev %s", preset->env_url ? preset->env_url : "");
                ck_assert_msg(!preset->env_url || strstr(text, row), "%s", row);
        }
}
END_TEST

int main(int argc, char **argv)
{
        TCase *tests = tcase_create("preset");

        manual = argc > 1 ? argv[1] : "docs/mcpcred.conf.5";
        tcase_add_test(tests, each_upstream_of_the_list_is_there);
        tcase_add_test(tests, each_can_be_told_to_a_profile);
        tcase_add_test(tests, each_slot_is_complete);
        tcase_add_test(tests, each_rule_is_one);
        tcase_add_test(tests, its_deny_wins_whatever_the_profile_allows);
        tcase_add_test(tests, tokens_cannot_be_asked_for);
        tcase_add_test(tests, the_work_of_each_is_allowed);
        tcase_add_test(tests, the_manual_has_each_as_it_is);
        return suite_run("preset", tests);
}
