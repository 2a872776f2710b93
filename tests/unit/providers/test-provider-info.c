#undef NDEBUG
#include "base/ident.h"
#include "base/text.h"
#include "providers/provider.h"
#include "wire/field.h"
#include "wire/preset.h"
#include <check.h>
#include <stdio.h>

/* A text that nothing is known of: no upstream can be asked about it, and it begins as it likes. */
static bool is_opaque(const ProviderInfo *info)
{
        return strcmp(info->name, "static") == 0 || info->webhook_key;
}

START_TEST(table_is_complete)
{
        for (size_t i = 0; i < n_provider_infos; i++) {
                const ProviderInfo *info = &provider_infos[i];
                const Provider *provider = provider_find(info->name);

                ck_assert_ptr_eq(provider_info(info->name), info);
                ck_assert(text_is_name(info->name) || strchr(info->name, '_'));
                ck_assert(strlen(info->name) <= LIMIT_NAME && info->title[0]);
                ck_assert_uint_le(info->n_parameters, LIMIT_PARAMETERS);
                /* What sends something has to have somewhere to send it. */
                ck_assert(info->base_url ||
                          !(info->can_verify || info->can_mint || info->can_revoke));
                ck_assert(!info->base_url || !provider_check_base_url(info->base_url));
                ck_assert(!info->env || text_is_env_name(info->env));
                ck_assert(info->rotate_create && strlen(info->rotate_create) <= LIMIT_TEXT);
                ck_assert(info->rotate_delete && strlen(info->rotate_delete) <= LIMIT_TEXT);
                ck_assert_int_eq(info->can_mint, info->token_lifetime > 0);
                ck_assert(info->scope != PROVIDER_SCOPE_NONE ||
                          (!info->needs_repositories && !info->needs_permissions));
                /* What is described is what is built. */
                ck_assert_ptr_nonnull(provider);
                ck_assert_int_eq(info->can_mint, provider->mint != NULL);
                ck_assert_int_eq(info->can_revoke, provider->revoke != NULL);
                ck_assert_int_eq(info->can_verify, provider->verify != NULL && !is_opaque(info));
                ck_assert_int_eq(info->rotation != PROVIDER_ROTATION_GUIDED, provider->rotate != NULL);
                ck_assert_int_eq(info->can_revoke_secret, provider->revoke_secret || provider->revoke_secrets);
                ck_assert_int_eq(info->revoke_together > 0, provider->revoke_secrets != NULL);
                ck_assert(!provider->revoke_secret || !provider->revoke_secrets);
                ck_assert_uint_le(info->revoke_together, LIMIT_TOGETHER);
                /* Values go together by their upstream's address alone. */
                ck_assert(!info->revoke_together || info->n_parameters == 0);
                /* What was made and cannot be found again would have to be lived with. */
                ck_assert_int_eq(info->rotation == PROVIDER_ROTATION_CREATE, provider->abandon != NULL);
                ck_assert(!info->preset || (info->needs_hosts && preset_find(info->preset)));
                ck_assert(info->secret_prefix || is_opaque(info));
                ck_assert_int_eq(info->can_mint, info->token_prefix != NULL);
        }
        ck_assert_ptr_null(provider_info("nothing"));
        ck_assert_ptr_null(provider_find("nothing"));
}
END_TEST

START_TEST(base_urls)
{
        static const char *const good[] = {
                "https://api.github.com",
                "https://ghe.test/api/v3",
                "https://ghe.test/api/v3/",
                "https://ghe.test:8443",
                "https://127.0.0.1:8443",
                "https://[::1]:8443/a",
                "https://a/",
        };
        static const char *const bad[] = {
                "",
                "https://",
                "https:///a",
                "http://a",
                "HTTPS://a",
                "https://a:b@c",
                "https://a@b",
                "https://a?b",
                "https://a/b?c",
                "https://a/b#c",
                "https://a/../b",
                "https://a/./b",
                "https://a//b",
                "https://a/%2e",
                "https://a b",
                "https://a\n",
                "https://a:0",
                "https://a:99999",
                "https://a:",
                "https://a:080",
                "https://a.",
                "https://-a",
                "https://[::1",
                "https://[]",
                "https://[::1]x",
                "https://a_b\\c",
                "https://\xc3\xa4",
                "https://a/.git",
        };

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                ck_assert_msg(!provider_check_base_url(good[i]), "%s", good[i]);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(provider_check_base_url(bad[i]), "%s", bad[i]);
}
END_TEST

static const char *check_parameters(TextPair *pairs, size_t n)
{
        TextMap map = { pairs, n };
        const char *field = NULL;

        return provider_check_parameters(provider_info("github_app"), &map, &field) ? field : NULL;
}

START_TEST(parameters)
{
        TextPair pairs[] = { { "app_id", "123" }, { "installation_id", "42" }, { "more", "1" } };

        ck_assert_ptr_null(check_parameters(pairs, 2));
        ck_assert_str_eq(check_parameters(pairs, 1), "installation_id");
        ck_assert_str_eq(check_parameters(pairs, 0), "app_id");
        ck_assert_str_eq(check_parameters(pairs, 3), "more");
        pairs[0].value = "Iv23liAbCdEfGhIjKlMn";
        ck_assert_ptr_null(check_parameters(pairs, 2));
        pairs[0].value = "Iv1.0123456789abcdef";
        ck_assert_ptr_null(check_parameters(pairs, 2));
        pairs[0].value = "Iv1.\"0123456789abcdef";
        ck_assert_str_eq(check_parameters(pairs, 2), "app_id");
        pairs[0].value = "1";
        pairs[1].value = "042";
        ck_assert_str_eq(check_parameters(pairs, 2), "installation_id");
        pairs[1].value = "42/access_tokens";
        ck_assert_str_eq(check_parameters(pairs, 2), "installation_id");
        pairs[1].value = "";
        ck_assert_str_eq(check_parameters(pairs, 2), "installation_id");
}
END_TEST

static const char *check_scope(const char *provider, const char *repository, const char *second,
                               const char *permission, const char *level)
{
        const char *repositories[] = { repository, second }, *field = NULL;
        TextPair permissions[] = { { permission, level } };
        Scope scope = {
                .repositories = { repositories, repository ? second ? 2 : 1 : 0 },
                .permissions = { permissions, permission ? 1 : 0 },
        };

        return provider_check_scope(provider_info(provider), &scope, &field) ? field : NULL;
}

START_TEST(scopes)
{
        ck_assert_ptr_null(
                check_scope("github_app", "octo/hello", "Octo/world.x", "pull_requests", "write"));
        ck_assert_str_eq(check_scope("github_app", NULL, NULL, "contents", "read"), "repositories");
        ck_assert_str_eq(check_scope("github_app", "octo/hello", NULL, NULL, NULL), "permissions");
        ck_assert_str_eq(check_scope("github_app", "octo/hello", "acme/x", "contents", "read"),
                         "repositories");
        ck_assert_str_eq(check_scope("github_app", "octo/hello", NULL, "contents", "all"),
                         "permissions");
        ck_assert_str_eq(check_scope("github_app", "octo/hello", NULL, "Contents", "read"),
                         "permissions");
        ck_assert_str_eq(check_scope("github_app", "octo/..", NULL, "contents", "read"),
                         "repositories");
        ck_assert_str_eq(check_scope("github_app", "octo/", NULL, "contents", "read"),
                         "repositories");
        ck_assert_str_eq(check_scope("github_app", "/hello", NULL, "contents", "read"),
                         "repositories");
        ck_assert_str_eq(check_scope("github_app", "octo/a/b", NULL, "contents", "read"),
                         "repositories");
        ck_assert_str_eq(check_scope("github_app", "octo/*", NULL, "contents", "read"),
                         "repositories");
        ck_assert_ptr_null(check_scope("static", NULL, NULL, NULL, NULL));
        ck_assert_str_eq(check_scope("static", "octo/hello", NULL, NULL, NULL), "repositories");
        ck_assert_str_eq(check_scope("static", NULL, NULL, "contents", "read"), "permissions");
}
END_TEST

START_TEST(scopes_of_gitlab)
{
        ck_assert_ptr_null(check_scope("gitlab", "octo/hello", NULL, "api", "read"));
        ck_assert_ptr_null(check_scope("gitlab", "octo/tools/deep.er/na-me_1", NULL, "repository", "admin"));
        ck_assert_str_eq(check_scope("gitlab", NULL, NULL, "api", "read"), "repositories");
        ck_assert_str_eq(check_scope("gitlab", "octo/hello", NULL, NULL, NULL), "permissions");
        ck_assert_str_eq(check_scope("gitlab", "octo/hello", "octo/world", "api", "read"), "repositories");
        ck_assert_str_eq(check_scope("gitlab", "hello", NULL, "api", "read"), "repositories");
        ck_assert_str_eq(check_scope("gitlab", "octo/", NULL, "api", "read"), "repositories");
        ck_assert_str_eq(check_scope("gitlab", "/octo/hello", NULL, "api", "read"), "repositories");
        ck_assert_str_eq(check_scope("gitlab", "octo//hello", NULL, "api", "read"), "repositories");
        ck_assert_str_eq(check_scope("gitlab", "octo/../hello", NULL, "api", "read"), "repositories");
        ck_assert_str_eq(check_scope("gitlab", "octo/a%2fb", NULL, "api", "read"), "repositories");
        ck_assert_str_eq(check_scope("gitlab", "octo/hello", NULL, "contents", "read"), "permissions");
        ck_assert_str_eq(check_scope("gitlab", "octo/hello", NULL, "api", "all"), "permissions");
}
END_TEST

START_TEST(gitlab_gives_one_role)
{
        TextPair pairs[] = { { "api", "admin" }, { "registry", "read" } };
        const char *names[] = { "octo/hello" }, *field;
        Scope scope = { .repositories = { names, 1 }, .permissions = { pairs, 2 } };

        ck_assert_ptr_null(provider_check_scope(provider_info("gitlab"), &scope, &field));
        pairs[1].value = "write";
        ck_assert_ptr_nonnull(provider_check_scope(provider_info("gitlab"), &scope, &field));
        ck_assert_str_eq(field, "permissions");
}
END_TEST

static const char *check_value(const char *provider, const char *prefix, const char *rest)
{
        char text[256];
        const char *problem;

        (void)snprintf(text, sizeof(text), "%s%s", prefix, rest);
        problem = provider_check_value(provider_info(provider), slice_text(text));
        /* It is said to whoever reads a terminal or a log. */
        if (problem && strlen(rest) > 8)
                ck_assert_ptr_null(strstr(problem, rest));
        return problem;
}

#define ZEROS30 "000000000000000000000000000000"

START_TEST(values_that_were_cut_short_or_mistyped_are_refused)
{
        ck_assert_ptr_null(check_value("github_pat", "ghp", "_" ZEROS30 "2C8GjS"));
        ck_assert_ptr_nonnull(strstr(check_value("github_pat", "ghp", "_" ZEROS30 "2C8Gj"), "cut short"));
        ck_assert_ptr_nonnull(strstr(check_value("github_pat", "ghp", "_" ZEROS30 "2C8GjT"), "checksum"));
        ck_assert_ptr_null(check_value("github_pat", "gho", "_" ZEROS30 "2C8GjS"));
        ck_assert_ptr_null(check_value("github_pat", "", "0123456789abcdef0123456789abcdef01234567"));
        /* The checksum of these is nobody's promise. */
        ck_assert_ptr_null(check_value("github_pat", "github",
                                       "_pat_11MCPCREDTESTVECTOR000_mcpcredTestVector00000000000000000000000000AAAAAAAA00000000"));
        ck_assert_ptr_nonnull(check_value("github_pat", "github", "_pat_11MCPCRED"));
        ck_assert_ptr_nonnull(strstr(check_value("github_pat", "ghs", "_" ZEROS30 "2C8GjS"), "personal"));
        ck_assert_ptr_nonnull(check_value("github_pat", "", "hunter2"));
        ck_assert_ptr_nonnull(check_value("github_pat", "", ""));
        ck_assert_ptr_null(check_value("gitlab", "glpat", "-mcpcredTestVector00000000000000.01.0v1o62o9k"));
        ck_assert_ptr_nonnull(check_value("gitlab", "glpat", "-mcpcredTestVector00000000000000.01.0v1o62o9j"));
        ck_assert_ptr_null(check_value("gitlab", "our", "-own-prefix-and-whatever"));
        ck_assert_ptr_nonnull(check_value("gitlab", "", "two words"));
        ck_assert_ptr_null(check_value("static", "", "two words"));
        ck_assert_ptr_nonnull(check_value("static", "", "two\nlines"));
        ck_assert_ptr_nonnull(check_value("static", "", ""));
        ck_assert_ptr_null(check_value("github_app", "", "not looked at here"));
}
END_TEST

/* Asking whether it takes the value would give it away. */
START_TEST(another_issuers_tokens_are_refused)
{
        ck_assert_ptr_nonnull(strstr(check_value("gitlab", "ghp", "_" ZEROS30 "2C8GjS"), "another issuer"));
        ck_assert_ptr_nonnull(strstr(check_value("cloudflare", "ghp", "_" ZEROS30 "2C8GjS"), "another issuer"));
        ck_assert_ptr_nonnull(strstr(check_value("cloudflare", "glpat", "-mcpcredTestVector00000000000000.01.0v1o62o9k"), "another issuer"));
        ck_assert_ptr_nonnull(strstr(check_value("gitlab", "cfut", "_mcpcredTestVector00000000000000000000000"), "another issuer"));
        ck_assert_ptr_null(check_value("cloudflare", "cfut", "_mcpcredTestVector00000000000000000000000"));
        ck_assert_ptr_null(check_value("cloudflare", "", "abcdefghijklmnopqrstuvwxyz-0123456789_ABCD"));
        ck_assert_ptr_null(check_value("static", "ghp", "_" ZEROS30 "2C8GjS"));
}
END_TEST

/* It is what the environment of a session has under the name of the key. */
START_TEST(what_stands_for_a_secret_is_none)
{
        static const char *const providers[] = { "static", "webhook", "gitlab", "cloudflare", "github_pat" };
        static const char payload[] = ZEROS30 "00";
        char digits[IDENT_CHECK_DIGITS + 1], rest[sizeof(payload) + IDENT_CHECK_DIGITS];

        ident_check_digits(slice_text(payload), digits);
        (void)snprintf(rest, sizeof(rest), "%s%s", payload, digits);
        for (size_t i = 0; i < ARRAY_SIZE(providers); i++) {
                ck_assert_ptr_nonnull(strstr(check_value(providers[i], IDENT_HANDLE_PREFIX, rest), "handle"));
                ck_assert_ptr_nonnull(strstr(check_value(providers[i], IDENT_SESSION_PREFIX, rest), "handle"));
        }
}
END_TEST

START_TEST(parameters_of_cloudflare)
{
        TextPair pairs[] = { { "account_id", "01a7362d577a6c3019a474fd6f485823" } };
        TextMap map = { pairs, 1 };
        const char *field;

        ck_assert_ptr_null(provider_check_parameters(provider_info("cloudflare"), &map, &field));
        pairs[0].value = "01a7362d577a6c3019a474fd6f48582/";
        ck_assert_ptr_nonnull(provider_check_parameters(provider_info("cloudflare"), &map, &field));
        pairs[0].value = "";
        ck_assert_ptr_nonnull(provider_check_parameters(provider_info("cloudflare"), &map, &field));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("wire/provider_info");
        TCase *tests = tcase_create("provider_info");
        SRunner *runner;
        int failed;

        tcase_add_test(tests, table_is_complete);
        tcase_add_test(tests, base_urls);
        tcase_add_test(tests, parameters);
        tcase_add_test(tests, scopes);
        tcase_add_test(tests, scopes_of_gitlab);
        tcase_add_test(tests, gitlab_gives_one_role);
        tcase_add_test(tests, values_that_were_cut_short_or_mistyped_are_refused);
        tcase_add_test(tests, parameters_of_cloudflare);
        tcase_add_test(tests, another_issuers_tokens_are_refused);
        tcase_add_test(tests, what_stands_for_a_secret_is_none);
        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed > 0;
}
