#undef NDEBUG
#include "../base/suite.h"
#include "http/rule.h"
#include <stdio.h>

/* ---- what is a rule ---- */

static const char *const good[] = {
        "GET api.example.com /",
        "* api.example.com /**",
        "GET,POST,M-SEARCH api.example.com:8443 /v1/*/items/**",
        "  GET\tapi.example.com  /v1/ ",
        "PUT *.example.com /a",
        "PUT *.example.com:1 /a",
        "GET localhost /a",
        "GET xn--bcher-kva.example /%C3%BC",
        "GET a.b /repos/(x)/it's/a:b@c,d=e;f+g/~tilde",
        "GET a.b /*/**",
        "GET a.b /%2A",
};

static const char *const bad[] = {
        "", "GET", "GET a.b", "GET a.b /x y", "GET, POST a.b /x", /* words */
        "get a.b /x", "GET,,POST a.b /x", ",GET a.b /x", "GET, a.b /x", "GET,* a.b /x", "CONNECT a.b /x", /* methods */
        "GET,CONNECT a.b /x", "G3T a.b /x",
        "GET * /x", "GET *b /x", "GET a.*.b /x", "GET *.*.b /x", "GET *. /x", "GET A.b /x", "GET a.b. /x", /* hosts */
        "GET a..b /x", "GET -a.b /x", "GET 127.0.0.1 /x", "GET [::1] /x", "GET 0x7f.1 /x", "GET u@a.b /x",
        "GET https://a.b /x", "GET a_b.c /x", "GET a.b: /x", "GET a.b:0 /x", "GET a.b:080 /x", "GET a.b:65536 /x",
        "GET a.b:* /x", "GET *:443 /x",
        "GET a.b x", "GET a.b /x?y", "GET a.b /x#y", "GET a.b //x", "GET a.b /x//y", /* paths */
        "GET a.b /./x", "GET a.b /x/..",
        "GET a.b /%2e%2e/x", "GET a.b /x%2fy", "GET a.b /x%00", "GET a.b /%41", "GET a.b /%c3%bc", "GET a.b /%zz",
        "GET a.b /x\\y", "GET a.b /**/x", "GET a.b /x**", "GET a.b /x*", "GET a.b /*x/y", "GET a.b /***",
        "GET a.b /\xc3\xbc", "GET a.b /x\x01", "GET a.b /[x]",
};

START_TEST(what_is_a_rule_and_what_is_none)
{
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                ck_assert_msg(!rule_check(good[i]), "\"%s\": %s", good[i], rule_check(good[i]));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                const char *wrong = rule_check(bad[i]);
                RuleSet *rules = NULL;

                ck_assert_msg(wrong, "\"%s\" is taken for a rule", bad[i]);
                ck_assert_uint_gt(strlen(wrong), 10);
                ck_assert_int_eq(rule_set_new(&rules, &bad[i], 1, NULL, 0), RULE_E_INVALID);
                ck_assert_int_eq(rule_set_new(&rules, NULL, 0, &bad[i], 1), RULE_E_INVALID);
                ck_assert_ptr_null(rules);
        }
}
END_TEST

START_TEST(too_long_and_too_many_are_refused)
{
        static const char *many[RULE_SET_MAX + 1];
        char text[RULE_TEXT_MAX + 2] = "GET a.b /", host[300];
        RuleSet *rules = NULL;

        memset(text + strlen(text), 'x', RULE_TEXT_MAX - strlen(text));
        text[RULE_TEXT_MAX] = '\0';
        ck_assert_ptr_null(rule_check(text));
        text[RULE_TEXT_MAX] = 'x';
        text[RULE_TEXT_MAX + 1] = '\0';
        ck_assert_ptr_nonnull(rule_check(text));
        (void)snprintf(host, sizeof(host), "GET *.%063d.%063d.%063d.%057da /", 0, 0, 0, 0); /* 2 + 3 * 64 + 58 = 252 */
        ck_assert_ptr_null(rule_check(host));
        (void)snprintf(host, sizeof(host), "GET *.%063d.%063d.%063d.%059da /", 0, 0, 0, 0);
        ck_assert_ptr_nonnull(rule_check(host));
        for (size_t i = 0; i < ARRAY_SIZE(many); i++)
                many[i] = "GET a.b /";
        ck_assert_int_eq(rule_set_new(&rules, many, RULE_SET_MAX + 1, NULL, 0), RULE_E_FULL);
        ck_assert_int_eq(rule_set_new(&rules, NULL, 0, many, RULE_SET_MAX + 1), RULE_E_FULL);
        ck_assert_int_eq(rule_set_new(&rules, many, RULE_SET_MAX, many, RULE_SET_MAX), 0);
        rule_set_free(rules);
}
END_TEST

/* ---- decisions ---- */

static RuleVerdict decide(const char *allow, const char *deny, const char *request, const char **ret_rule)
{
        static char decided[RULE_TEXT_MAX + 1];
        char method[32], where[300], path[300];
        HttpAuthority authority;
        const char *rule = NULL;
        RuleVerdict verdict;
        RuleSet *rules;

        ck_assert_int_eq(sscanf(request, "%31s %299s %299s", method, where, path), 3);
        ck_assert_int_eq(http_parse_authority(slice_text(where), 443, &authority), 0);
        ck_assert_int_eq(rule_set_new(&rules, &allow, allow != NULL, &deny, deny != NULL), 0);
        verdict = rule_set_decide(rules, method, &authority, path, &rule);
        ck_assert_int_eq(rule_set_decide(rules, method, &authority, path, NULL), verdict);
        (void)snprintf(decided, sizeof(decided), "%s", rule ? rule : "");
        *ret_rule = rule ? decided : NULL;
        rule_set_free(rules);
        return verdict;
}

START_TEST(a_request_is_what_the_rule_says_and_nothing_near_it)
{
        static const struct {
                const char *rule, *request;
                bool matches;
        } cases[] = {
                { "GET a.b /x", "GET a.b /x", true },
                { "GET a.b /x", "POST a.b /x", false },
                { "GET a.b /x", "HEAD a.b /x", false },
                { "GET a.b /x", "GETS a.b /x", false },
                { "GET,POST a.b /x", "POST a.b /x", true },
                { "POSTS a.b /x", "POST a.b /x", false },
                { "* a.b /x", "PROPFIND a.b /x", true },
                { "GET a.b /x", "GET A.B /x", true },
                { "GET a.b /x", "GET c.a.b /x", false },
                { "GET a.b /x", "GET b /x", false },
                { "GET a.b /x", "GET a.b:8443 /x", false },
                { "GET a.b:8443 /x", "GET a.b:8443 /x", true },
                { "GET a.b:8443 /x", "GET a.b /x", false },
                { "GET a.b:443 /x", "GET a.b /x", true },
                { "GET *.a.b /x", "GET c.a.b /x", true },
                { "GET *.a.b /x", "GET a.b /x", false },
                { "GET *.a.b /x", "GET d.c.a.b /x", false },
                { "GET *.a.b /x", "GET c.xa.b /x", false },
                { "GET *.a.b:8443 /x", "GET c.a.b:8443 /x", true },
                { "GET a.b /x", "GET a.b /X", false },
                { "GET a.b /x", "GET a.b /x/", false },
                { "GET a.b /x/", "GET a.b /x", false },
                { "GET a.b /x/", "GET a.b /x/", true },
                { "GET a.b /x", "GET a.b /xy", false },
                { "GET a.b /", "GET a.b /", true },
                { "GET a.b /", "GET a.b /x", false },
                { "GET a.b /*", "GET a.b /x", true },
                { "GET a.b /*", "GET a.b /", false },
                { "GET a.b /*", "GET a.b /x/", false },
                { "GET a.b /*", "GET a.b /x/y", false },
                { "GET a.b /*/y", "GET a.b /x/y", true },
                { "GET a.b /*/y", "GET a.b /x/z", false },
                { "GET a.b /**", "GET a.b /", true },
                { "GET a.b /**", "GET a.b /x/y/z/", true },
                { "GET a.b /x/**", "GET a.b /x", true },
                { "GET a.b /x/**", "GET a.b /x/", true },
                { "GET a.b /x/**", "GET a.b /x/y/z", true },
                { "GET a.b /x/**", "GET a.b /xy", false },
                { "GET a.b /x/**", "GET a.b /", false },
                { "GET a.b /*/**", "GET a.b /", false },
                { "GET a.b /*/**", "GET a.b /x", true },
                { "GET a.b /*/**", "GET a.b /x/y", true },
                { "GET a.b /x/*/**", "GET a.b /x", false },
                { "GET a.b /x/*/**", "GET a.b /x/", false },
                { "GET a.b /%2A", "GET a.b /%2A", true },
                { "GET a.b /%2A", "GET a.b /*", false },
                { "* a.b /**", "OPTIONS a.b *", false },
        };
        const char *rule;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                RuleVerdict allow = decide(cases[i].rule, NULL, cases[i].request, &rule);

                ck_assert_msg(allow == (cases[i].matches ? RULE_ALLOWED : RULE_UNMATCHED), "%s | %s", cases[i].rule,
                              cases[i].request);
                ck_assert((rule != NULL) == cases[i].matches);
                ck_assert_msg(!cases[i].matches || decide("* a.b /**", cases[i].rule, cases[i].request, &rule) == RULE_DENIED,
                              "%s | %s", cases[i].rule, cases[i].request);
        }
}
END_TEST

START_TEST(a_deny_holds_in_every_form_that_a_lenient_server_takes_for_the_path)
{
        static const struct {
                const char *deny, *request;
                RuleVerdict verdict;
        } cases[] = {
                { "* a.b /v4/tokens/**", "GET a.b /v4/Tokens/1", RULE_DENIED },
                { "* a.b /v4/tokens", "GET a.b /v4/tokens/", RULE_DENIED },
                { "* a.b /v4/tokens/", "GET a.b /v4/tokens", RULE_DENIED },
                { "* a.b /v4/tokens", "GET a.b /v4/tokens.json", RULE_DENIED },
                { "* a.b /v4/tokens/**", "GET a.b /v4/tokens.XML", RULE_DENIED },
                { "* a.b /v4/tokens", "GET a.b /v4/tokens;a=b", RULE_DENIED },
                { "* a.b /v4/tokens/*", "GET a.b /v4;a/tokens;b=/1", RULE_DENIED },
                { "* a.b /v4/tokens", "GET a.b /v4/tokens%3Ba", RULE_DENIED },
                { "* a.b /v4/tokens", "GET a.b /v4/%2574okens", RULE_DENIED },
                { "* a.b /v4/tokens", "GET a.b /v4%252Ftokens", RULE_DENIED },
                { "* a.b /v4/a+b", "GET a.b /v4/a%2Bb", RULE_DENIED },
                { "* a.b /v4/a;b", "GET a.b /v4/a;b", RULE_DENIED },
                { "* a.b /v4/tokens", "GET a.b /v4/tokens;x.json", RULE_DENIED },
                { "* a.b /v4/tokens", "GET a.b /v4/tokens.json/", RULE_DENIED },
                { "* a.b /", "GET a.b /", RULE_DENIED },
                { "* a.b /%2A", "GET a.b /x", RULE_ALLOWED },
                { "* a.b /v4/tokens", "GET a.b /v4/tokens.txt", RULE_ALLOWED },
                { "* a.b /v4/tokens", "GET a.b /v4/tokens/1", RULE_ALLOWED },
                { "* a.b /v4/tokens", "GET a.b /v4/.json", RULE_ALLOWED },
                { "* a.b /v4/tokens", "GET a.b /v4/tokens%2", RULE_ALLOWED },
        };
        const char *rule;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                ck_assert_msg(decide("* a.b /**", cases[i].deny, cases[i].request, &rule) == cases[i].verdict, "%s | %s",
                              cases[i].deny, cases[i].request);
}
END_TEST

START_TEST(any_deny_wins_and_is_named)
{
        const char *rule;

        ck_assert_int_eq(decide("* a.b /**", "GET  a.b   /x/**", "GET a.b /x/y", &rule), RULE_DENIED);
        ck_assert_str_eq(rule, "GET a.b /x/**");
        ck_assert_int_eq(decide("* a.b /**", "GET a.b /x/**", "POST a.b /x/y", &rule), RULE_ALLOWED);
        ck_assert_str_eq(rule, "* a.b /**");
        ck_assert_int_eq(decide("GET a.b /x", "GET a.b /x", "GET a.b /x", &rule), RULE_DENIED);
        ck_assert_int_eq(decide(NULL, NULL, "GET a.b /x", &rule), RULE_UNMATCHED);
        ck_assert_ptr_null(rule);
        ck_assert_int_eq(decide(NULL, "GET a.b /y", "GET a.b /x", &rule), RULE_UNMATCHED);
}
END_TEST

/* ---- hosts ---- */

typedef struct Hosts {
        char text[256];
        int stop;
} Hosts;

static int add_host(void *userdata, const char *host)
{
        Hosts *hosts = userdata;

        (void)snprintf(hosts->text + strlen(hosts->text), sizeof(hosts->text) - strlen(hosts->text), "%s ", host);
        return hosts->stop;
}

START_TEST(hosts_are_those_that_are_allowed_each_once)
{
        static const char *const allow[] = { "GET a.b /x", "GET *.c.d:8443 /x", "POST a.b:9 /y", "GET e.f /" };
        static const char *const deny[] = { "GET no.no /" };
        Hosts hosts = { .stop = 0 };
        RuleSet *rules;

        ck_assert_int_eq(rule_set_new(&rules, allow, ARRAY_SIZE(allow), deny, 1), 0);
        ck_assert_int_eq(rule_set_each_host(rules, add_host, &hosts), 0);
        ck_assert_str_eq(hosts.text, "a.b *.c.d e.f ");
        hosts = (Hosts){ .stop = -EINTR };
        ck_assert_int_eq(rule_set_each_host(rules, add_host, &hosts), -EINTR);
        ck_assert_str_eq(hosts.text, "a.b ");
        rule_set_free(rules);
}
END_TEST

/* ---- warnings ---- */

START_TEST(what_a_rule_cannot_hold_is_said)
{
        static const struct {
                const char *text;
                bool is_deny;
                const char *word; /* in the warning; NULL: there is none */
        } cases[] = {
                { "GET api.github.com /**", false, NULL },
                { "POST api.github.com /**", false, "GraphQL" },
                { "* api.github.com /graphql", false, "GraphQL" },
                { "POST unheard.example /internal/graphql", false, "GraphQL" },
                { "POST www.googleapis.com /batch/**", false, "batch" },
                { "POST api.example.com /v1/$batch", false, "batch" },
                { "POST api.example.com /v1/batches", false, NULL },
                { "* *.com /x", false, "everybody" },
                { "* api.github.com /repos/octo/hello/keys/**", true, "spelling" },
                { "* api.github.com /repos/*/*/keys/**", true, NULL },
                { "* github.com /octo/hello/**", true, "spelling" },
                { "* github.com /login/**", true, NULL },
                { "* gitlab.com /api/v4/users/**", true, NULL },
                { "* api.example.com /v1/tokens", true, "slash" },
                { "* api.example.com /v1/tokens/**", true, NULL },
                { "no rule", true, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const char *warning = rule_warning(cases[i].text, cases[i].is_deny);

                ck_assert_msg((warning != NULL) == (cases[i].word != NULL), "%s: %s", cases[i].text,
                              warning ? warning : "nothing");
                ck_assert_msg(!warning || strstr(warning, cases[i].word), "%s: %s", cases[i].text, warning);
        }
}
END_TEST

START_TEST(what_another_rule_denies_is_not_warned_of)
{
        static const char *const allow[] = { "* api.github.com /**" }, *const deny[] = {
                "POST api.github.com /graphql/**"
        };
        RuleSet *rules;

        ck_assert_int_eq(rule_set_new(&rules, allow, 1, deny, 1), 0);
        ck_assert_ptr_nonnull(rule_warning_among(allow[0], false, NULL));
        ck_assert_ptr_null(rule_warning_among(allow[0], false, rules));
        rule_set_free(rules);
}
END_TEST

/* Every rule that is one, with each bit turned and cut at each byte: still decided about, either way. */
START_TEST(sweep)
{
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                size_t size = strlen(good[i]);

                for (size_t k = 0; k <= size * 9; k++) {
                        char *text = strdup(good[i]);
                        const char *one = text;
                        HttpAuthority authority = { .host = "api.example.com", .port = 443 };
                        RuleSet *rules = NULL;
                        int r;

                        if (k < size * 8)
                                text[k / 8] = (char)(text[k / 8] ^ (1 << k % 8));
                        else
                                text[k - size * 8] = '\0';
                        r = rule_set_new(&rules, &one, 1, &one, 1);
                        ck_assert_int_eq(r, rule_check(text) ? RULE_E_INVALID : 0);
                        (void)rule_warning(text, k % 2);
                        if (rules)
                                ck_assert_int_ne(rule_set_decide(rules, "GET", &authority, "/v1/x", NULL),
                                                 RULE_ALLOWED);
                        rule_set_free(rules);
                        free(text);
                }
        }
}
END_TEST

int main(void)
{
        TCase *tests = tcase_create("rule");

        tcase_add_test(tests, what_is_a_rule_and_what_is_none);
        tcase_add_test(tests, too_long_and_too_many_are_refused);
        tcase_add_test(tests, a_request_is_what_the_rule_says_and_nothing_near_it);
        tcase_add_test(tests, a_deny_holds_in_every_form_that_a_lenient_server_takes_for_the_path);
        tcase_add_test(tests, any_deny_wins_and_is_named);
        tcase_add_test(tests, hosts_are_those_that_are_allowed_each_once);
        tcase_add_test(tests, what_a_rule_cannot_hold_is_said);
        tcase_add_test(tests, what_another_rule_denies_is_not_warned_of);
        tcase_add_test(tests, sweep);
        return suite_run("rule", tests);
}
