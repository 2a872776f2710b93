#undef NDEBUG
#include "../base/suite.h"
#include "vault/policy_advice.h"
#include "wire/preset.h"
#include <stdio.h>

typedef struct Said {
        char text[8192];
        size_t n;
} Said;

static void hear(void *userdata, const char *summary, const char *remedy)
{
        Said *said = userdata;

        ck_assert_ptr_nonnull(remedy);
        ck_assert_uint_gt(strlen(summary), 20);
        (void)snprintf(said->text + strlen(said->text), sizeof(said->text) - strlen(said->text), "%s | %s\n",
                       summary, remedy);
        said->n++;
}

static size_t length(const char *const *list)
{
        size_t n = 0;

        while (list[n])
                n++;
        return n;
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NONE      ((const char *const[]){ NULL })

static Said advise(const ConfigProfile *profile, const char *const *sealed)
{
        TextList hosts = { sealed ? (const char **)(uintptr_t)sealed : NULL, sealed ? length(sealed) : 0 };
        Said said = { .n = 0 };
        const Advice advice = { .userdata = &said, .say = hear };

        ck_assert_int_eq(policy_advise(profile, sealed ? &hosts : NULL, &advice), 0);
        return said;
}

static Said advise_rules(const char *preset, const char *const *allow, const char *const *deny,
                         const char *const *sealed)
{
        EgressPolicy policy = {
                .slot = SLOT_BEARER,
                .allow = { (const char **)(uintptr_t)allow, length(allow) },
                .deny = { (const char **)(uintptr_t)deny, length(deny) },
        };
        const ConfigProfile profile = {
                .name = "p", .secret = "s", .source = "f:1", .preset = preset, .deliver = DELIVER_PROXY,
                .egress = &policy,
        };

        return advise(&profile, sealed);
}

START_TEST(narrow_rules_at_the_secrets_hosts_need_no_advice)
{
        Said said = advise_rules(NULL, LIST("GET api.example.com /v1/**"), LIST("* api.example.com /v1/keys/**"),
                                 LIST("api.example.com"));

        ck_assert_msg(said.n == 0, "%s", said.text);
}
END_TEST

START_TEST(a_profile_without_a_way_out_is_not_looked_at)
{
        const ConfigProfile profile = { .name = "p", .secret = "s", .source = "f:1", .deliver = DELIVER_FILE };

        ck_assert_uint_eq(advise(&profile, NULL).n, 0);
}
END_TEST

START_TEST(rules_that_promise_more_than_they_hold_are_named)
{
        Said said = advise_rules(NULL, LIST("* api.github.com /repos/**", "POST a.example /graphql"),
                                 LIST("* api.github.com /repos/octo/secret/**", "* a.example /x"), NULL);

        ck_assert_msg(said.n == 3, "%s", said.text);
        ck_assert(strstr(said.text, "deny * api.github.com /repos/octo/secret/**: "));
        ck_assert(strstr(said.text, "allow POST a.example /graphql: GraphQL"));
        ck_assert(strstr(said.text, "deny * a.example /x: "));
        ck_assert(strstr(said.text, "(f:1)"));
}
END_TEST

START_TEST(everything_at_a_known_host_without_its_denies_is_named)
{
        Said said = advise_rules(NULL, LIST("* api.openai.com /**"), NONE, LIST("api.openai.com"));

        ck_assert_msg(said.n == 1, "%s", said.text);
        ck_assert(strstr(said.text, "hand out keys"));
        ck_assert(strstr(said.text, "`preset = openai`"));
        said = advise_rules("openai", LIST("* api.openai.com /**"), preset_find("openai")->deny,
                            LIST("api.openai.com"));
        ck_assert_msg(said.n == 0, "%s", said.text);
}
END_TEST

START_TEST(hosts_that_do_not_fit_the_secret_are_named)
{
        Said said = advise_rules(NULL, LIST("GET a.example /**", "GET b.example:8443 /**"), NONE,
                                 LIST("a.example", "c.example"));

        ck_assert_msg(said.n == 2, "%s", said.text);
        ck_assert(strstr(said.text, "secret s is for c.example"));
        ck_assert(strstr(said.text, "allows b.example:8443"));
        said = advise_rules(NULL, LIST("GET *.example.com /**"), NONE, LIST("a.example.com"));
        ck_assert_msg(said.n == 0, "%s", said.text);
        said = advise_rules(NULL, LIST("GET b.example /**"), NONE, LIST("a.example"));
        ck_assert(strstr(said.text, "never uses secret s"));
        /* Nobody knows where a secret may go that is not stored. */
        said = advise_rules(NULL, LIST("GET b.example /**"), NONE, NULL);
        ck_assert_msg(said.n == 0, "%s", said.text);
}
END_TEST

START_TEST(switches_that_open_something_are_named)
{
        const char *allow = "GET a.example /**", *address = "0.0.0.0/0";
        EgressPolicy policy = {
                .slot = SLOT_BEARER,
                .allow = { &allow, 1 },
                .addresses = { &address, 1 },
                .scrub = SCRUB_OFF,
                .websocket = true,
                .cookies = true,
        };
        const ConfigProfile profile = {
                .name = "p", .secret = "s", .source = "f:1", .deliver = DELIVER_PROXY, .egress = &policy
        };
        Said said = advise(&profile, LIST("a.example"));

        ck_assert_msg(said.n == 4, "%s", said.text);
        ck_assert(strstr(said.text, "websocket = yes"));
        ck_assert(strstr(said.text, "scrub = off"));
        ck_assert(strstr(said.text, "cookies = yes"));
        ck_assert(strstr(said.text, "addresses = 0.0.0.0/0"));
}
END_TEST

/* Whoever takes a preset as it is hears of GraphQL at most, and that no rule can help. */
START_TEST(presets_need_no_advice_but_about_graphql)
{
        for (size_t i = 0; i < n_presets; i++) {
                Said said;

                if (!presets[i].allow[0])
                        continue;
                said = advise_rules(presets[i].name, presets[i].allow, presets[i].deny, NULL);
                ck_assert_msg(said.n == 0 || (said.n == 1 && strstr(said.text, "GraphQL")), "%s: %s", presets[i].name,
                              said.text);
        }
}
END_TEST

int main(void)
{
        TCase *tests = tcase_create("policy-advice");

        tcase_add_test(tests, narrow_rules_at_the_secrets_hosts_need_no_advice);
        tcase_add_test(tests, a_profile_without_a_way_out_is_not_looked_at);
        tcase_add_test(tests, rules_that_promise_more_than_they_hold_are_named);
        tcase_add_test(tests, everything_at_a_known_host_without_its_denies_is_named);
        tcase_add_test(tests, hosts_that_do_not_fit_the_secret_are_named);
        tcase_add_test(tests, switches_that_open_something_are_named);
        tcase_add_test(tests, presets_need_no_advice_but_about_graphql);
        return suite_run("policy-advice", tests);
}
