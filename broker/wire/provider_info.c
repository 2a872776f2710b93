#include "wire/provider_info.h"
#include "wire/field.h"
#include <strings.h>

/* Of a project's path with its groups: what a scope's item takes (scope.c). */
#define LIMIT_PROJECT 200U

static const ProviderParameter github_app_parameters[] = {
        { "app_id", PROVIDER_PARAMETER_GITHUB_APP_ID, true,
          "App ID or client ID, on the App's settings page" },
        { "installation_id", PROVIDER_PARAMETER_NUMBER, true,
          "the number at the end of the installation's address on GitHub" },
};

static const ProviderParameter cloudflare_parameters[] = {
        { "account_id", PROVIDER_PARAMETER_HEX32, false,
          "the account that the token belongs to, if it is no user's own" },
};

static const char *const gitlab_permission_names[] = { "api", "registry", "repository", NULL };

const ProviderInfo provider_infos[] = {
        {
                .name = "github_app",
                .title = "GitHub App",
                .proof = PROVIDER_PROOF_GITHUB_JWT,
                .value = PROVIDER_VALUE_RSA_KEY_PEM,
                .parameters = github_app_parameters,
                .n_parameters = ARRAY_SIZE(github_app_parameters),
                .base_url = "https://api.github.com",
                .env = "GITHUB_PERSONAL_ACCESS_TOKEN",
                .can_verify = true,
                .can_mint = true,
                .can_revoke = true,
                .token_lifetime = 3600,
                .token_prefix = "ghs_",
                .secret_prefix = "-----BEGIN RSA PRIVATE KEY-----",
                .needs_repositories = true,
                .needs_permissions = true,
                .scope = PROVIDER_SCOPE_GITHUB,
                .rotate_create =
                        "In the App's settings on GitHub (Developer settings, GitHub Apps, "
                        "the App, General, Private keys), press \"Generate a private key\". A .pem "
                        "file is downloaded. The old key keeps working; leave it there for now.",
                .rotate_delete =
                        "On the same page, delete the old key, which is the one with the older "
                        "date: until then whoever has it can still use it. Delete the downloaded "
                        ".pem file too.",
        },
        {
                .name = "github_pat",
                .title = "GitHub personal access token",
                .proof = PROVIDER_PROOF_RAW,
                .value = PROVIDER_VALUE_GITHUB_TOKEN,
                .base_url = "https://api.github.com",
                .env = "GITHUB_PERSONAL_ACCESS_TOKEN",
                .can_verify = true,
                .secret_prefix = "ghp_", /* and github_pat_: token_format.h has both */
                .needs_hosts = true,
                .preset = "github",
                .rotation = PROVIDER_ROTATION_GUIDED,
                .can_revoke_secret = true,
                .revoke_parallel = 1, /* what comes meanwhile goes together */
                .revoke_together = LIMIT_TOGETHER, /* GitHub takes 1,000 */
                .revoke_hourly = 60,
                .rotate_create =
                        "In your GitHub settings (Developer settings, Personal access tokens), generate a new token with "
                        "the same rights or fewer, and an end. Do not press \"Regenerate\" on the old one: that "
                        "kills it at once.",
                .rotate_delete =
                        "On the same page, delete the old token: until then whoever has it can still use it.",
        },
        {
                .name = "gitlab",
                .title = "GitLab",
                .proof = PROVIDER_PROOF_RAW,
                .value = PROVIDER_VALUE_TOKEN,
                .base_url = "https://gitlab.com/api/v4",
                .env = "GITLAB_PERSONAL_ACCESS_TOKEN",
                .can_verify = true,
                .can_mint = true,
                .can_revoke = true,
                .token_lifetime = 25 * 3600, /* to a midnight that is between one hour and twenty-five away */
                .token_prefix = "glpat-",
                .secret_prefix = "glpat-",
                .secret_kind = TOKEN_KIND_GITLAB,
                .needs_repositories = true,
                .needs_permissions = true,
                .scope = PROVIDER_SCOPE_GITLAB,
                .permission_names = gitlab_permission_names,
                .rotation = PROVIDER_ROTATION_REPLACE,
                .can_revoke_secret = true,
                .rotate_create =
                        "In your GitLab preferences, Access tokens, add a token with the scope api, and with "
                        "self_rotate if you like. The old one keeps working; leave it there for now.",
                .rotate_delete =
                        "On the same page, revoke the old token, which is the one with the older date: until "
                        "then whoever has it can still use it.",
        },
        {
                .name = "cloudflare",
                .title = "Cloudflare API token",
                .proof = PROVIDER_PROOF_RAW,
                .value = PROVIDER_VALUE_TOKEN,
                .parameters = cloudflare_parameters,
                .n_parameters = ARRAY_SIZE(cloudflare_parameters),
                .base_url = "https://api.cloudflare.com/client/v4",
                .env = "CLOUDFLARE_API_TOKEN",
                .can_verify = true,
                .secret_prefix = "cfut_",
                .secret_kind = TOKEN_KIND_CLOUDFLARE,
                .needs_hosts = true,
                .preset = "cloudflare",
                .rotation = PROVIDER_ROTATION_CREATE,
                .can_revoke_secret = true,
                .rotate_create =
                        "In your Cloudflare profile, API Tokens, create a token with the same permissions, and \"API "
                        "Tokens: Edit\" if the broker is to rotate it from then on. Leave the old one working for now.",
                .rotate_delete =
                        "On the same page, delete the old token: until then whoever has it can still use it.",
        },
        {
                .name = "static",
                .title = "Static secret (API key)",
                .proof = PROVIDER_PROOF_NONE,
                .value = PROVIDER_VALUE_TEXT,
                .needs_hosts = true,
                .rotate_create =
                        "Create a new key where the old one came from, with the same rights or "
                        "fewer. Leave the old one working for now.",
                .rotate_delete =
                        "Delete the old key there: until then whoever has it can still use it.",
        },
        {
                .name = "webhook",
                .title = "Webhook signing key",
                .proof = PROVIDER_PROOF_NONE,
                .value = PROVIDER_VALUE_TEXT,
                .webhook_key = true,
                .rotate_create =
                        "Make a new random key, and set it as the webhook's secret where the webhook comes from. What "
                        "arrives in between is refused, and can be delivered again from there.",
                .rotate_delete = "Nothing is left to do: the old key is in use nowhere.",
        },
};
const size_t n_provider_infos = ARRAY_SIZE(provider_infos);

const ProviderInfo *provider_info(const char *name)
{
        for (size_t i = 0; i < n_provider_infos; i++)
                if (strcmp(provider_infos[i].name, name) == 0)
                        return &provider_infos[i];
        return NULL;
}

const ProviderParameter *provider_parameter(const ProviderInfo *info, const char *name)
{
        for (size_t i = 0; i < info->n_parameters; i++)
                if (strcmp(info->parameters[i].name, name) == 0)
                        return &info->parameters[i];
        return NULL;
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_number(const char *text)
{
        size_t n = strlen(text);

        if (n == 0 || n > 20 || text[0] == '0')
                return false;
        for (size_t i = 0; i < n; i++)
                if (!is_digit(text[i]))
                        return false;
        return true;
}

/* "Iv1." and hex, or "Iv23li" and base62; a later form will start alike. */
static bool is_client_id(const char *text)
{
        size_t n = strlen(text);

        if (n < 8 || n > 64 || strncmp(text, "Iv", 2) != 0)
                return false;
        for (size_t i = 0; i < n; i++)
                if (!is_alnum(text[i]) && text[i] != '.')
                        return false;
        return true;
}

bool provider_parameter_is_valid(const ProviderParameter *parameter, const char *value)
{
        switch (parameter->kind) {
        case PROVIDER_PARAMETER_NUMBER:
                return is_number(value);
        case PROVIDER_PARAMETER_HEX32:
                return strlen(value) == 32 && strspn(value, "0123456789abcdef") == 32;
        case PROVIDER_PARAMETER_GITHUB_APP_ID:
                return is_number(value) || is_client_id(value);
        }
        return false;
}

const char *provider_check_parameters(const ProviderInfo *info, const TextMap *parameters,
                                      const char **ret_field)
{
        for (size_t i = 0; i < parameters->n; i++)
                if (!provider_parameter(info, parameters->items[i].key)) {
                        *ret_field = parameters->items[i].key;
                        return "The provider takes no such parameter.";
                }
        for (size_t i = 0; i < info->n_parameters; i++) {
                const ProviderParameter *parameter = &info->parameters[i];
                const char *value = text_map_get(parameters, parameter->name);

                *ret_field = parameter->name;
                if (!value && parameter->required)
                        return "The provider needs this parameter.";
                if (value && !provider_parameter_is_valid(parameter, value))
                        return "The parameter is not of the form that the provider wants.";
        }
        *ret_field = NULL;
        return NULL;
}

/* ---- values ---- */

static bool is_word(Slice text)
{
        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] <= 0x20 || text.data[i] > 0x7e)
                        return false;
        return text.size > 0;
}

static bool is_hex(Slice text)
{
        for (size_t i = 0; i < text.size; i++)
                if (!is_digit((char)text.data[i]) && (text.data[i] < 'a' || text.data[i] > 'f'))
                        return false;
        return true;
}

/* Before 2021 they had no prefix: 40 hexadecimal digits. */
static bool is_github_token(Slice value, TokenKind kind)
{
        return kind == TOKEN_KIND_GITHUB_CLASSIC || kind == TOKEN_KIND_GITHUB_FINE || kind == TOKEN_KIND_GITHUB_OAUTH ||
               (kind == TOKEN_KIND_NONE && value.size == 40 && is_hex(value));
}

/* Whoever has a session's environment before him may take it for the key itself, which would then be gone. */
static bool is_ours(TokenFormat format)
{
        return (format.kind == TOKEN_KIND_MCPCRED_HANDLE || format.kind == TOKEN_KIND_MCPCRED_SESSION) &&
               format.check == TOKEN_CHECK_FITS;
}

/* To ask this upstream whether it takes the value would be to give it away. */
static bool is_another_issuers(const ProviderInfo *info, TokenFormat format)
{
        return info->secret_kind != TOKEN_KIND_NONE && format.kind != TOKEN_KIND_NONE && format.kind != info->secret_kind &&
               (format.check == TOKEN_CHECK_FITS || format.check == TOKEN_CHECK_NONE);
}

const char *provider_check_value(const ProviderInfo *info, Slice value)
{
        TokenFormat format = token_format(value);

        if (info->value == PROVIDER_VALUE_RSA_KEY_PEM)
                return NULL;
        if (is_ours(format))
                return "The value is a handle of a session of the broker's: it stands for a secret, and is none.";
        if (info->value == PROVIDER_VALUE_TEXT) {
                for (size_t i = 0; i < value.size; i++)
                        if (value.data[i] < 0x20 || value.data[i] > 0x7e)
                                return "The value is not one line of printable ASCII.";
                return value.size > 0 ? NULL : "The value is empty.";
        }
        if (!is_word(value))
                return "The value is not one word of printable ASCII.";
        if (is_another_issuers(info, format))
                return "The value is another issuer's token, by its form; it was not sent to this one.";
        if (info->value == PROVIDER_VALUE_GITHUB_TOKEN && !is_github_token(value, format.kind))
                return "The value is no personal access token of GitHub: those begin with ghp_ or github_pat_.";
        if (format.check == TOKEN_CHECK_LENGTH)
                return "The value begins like such a token and does not have the length of one: it was cut short, or more "
                       "was copied than the token.";
        if (format.check == TOKEN_CHECK_WRONG && format.reliable)
                return "The value looks like such a token, and its checksum does not fit: a character is wrong or "
                       "missing. Copy it again.";
        return NULL;
}

/* ---- scopes ---- */

/* "owner/name"; `ret_owner` is the length of the first part. */
static bool is_repository(const char *text, size_t *ret_owner)
{
        const char *slash = strchr(text, '/'), *name;
        size_t owner = slash ? (size_t)(slash - text) : 0;

        if (owner == 0 || owner > 100)
                return false;
        for (size_t i = 0; i < owner; i++)
                if (!is_alnum(text[i]) && text[i] != '-' && text[i] != '_')
                        return false;
        name = slash + 1;
        if (!*name || strlen(name) > 100 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return false;
        for (; *name; name++)
                if (!is_alnum(*name) && !strchr("._-", *name))
                        return false;
        *ret_owner = owner;
        return true;
}

static const char *check_github_repositories(const TextList *repositories)
{
        size_t first = 0, owner;

        for (size_t i = 0; i < repositories->n; i++) {
                if (!is_repository(repositories->items[i], &owner))
                        return "A repository is written as owner/name.";
                if (i == 0)
                        first = owner;
                if (owner != first ||
                    strncasecmp(repositories->items[i], repositories->items[0], owner) != 0)
                        return "One token reaches repositories of one owner only: make a profile "
                               "for each owner.";
        }
        return NULL;
}

/* "group/name" or "group/subgroup/name": letters, digits, "._-", no segment that begins with a mark other than "_". */
static bool is_project(const char *text)
{
        size_t segments = 0;

        for (const char *at = text;; at++) {
                size_t n = strcspn(at, "/");

                if (n == 0 || (!is_alnum(*at) && *at != '_'))
                        return false;
                for (size_t i = 0; i < n; i++)
                        if (!is_alnum(at[i]) && !strchr("._-", at[i]))
                                return false;
                segments++;
                at += n;
                if (!*at)
                        return segments >= 2 && strlen(text) <= LIMIT_PROJECT;
        }
}

static const char *check_gitlab_repositories(const TextList *repositories)
{
        if (repositories->n > 1)
                return "A token of GitLab's is for one project: make a profile for each.";
        if (repositories->n == 1 && !is_project(repositories->items[0]))
                return "A project is written as group/name, with all groups that it is in.";
        return NULL;
}

static bool is_permission_name(const ProviderInfo *info, const char *key)
{
        for (size_t i = 0; info->permission_names && info->permission_names[i]; i++)
                if (strcmp(info->permission_names[i], key) == 0)
                        return true;
        return !info->permission_names;
}

static const char *check_permissions(const ProviderInfo *info, const TextMap *permissions)
{
        bool writes = false, admin = false;

        for (size_t i = 0; i < permissions->n; i++) {
                const char *key = permissions->items[i].key, *value = permissions->items[i].value;

                if (!*key || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(key))
                        return "A permission is named in lower case with underscores, as in "
                               "pull_requests.";
                if (strcmp(value, "read") != 0 && strcmp(value, "write") != 0 &&
                    strcmp(value, "admin") != 0)
                        return "A permission is read, write or admin.";
                if (!is_permission_name(info, key))
                        return "There is no such permission; of GitLab there are api, registry and repository.";
                writes = writes || strcmp(value, "write") == 0;
                admin = admin || strcmp(value, "admin") == 0;
        }
        if (info->scope == PROVIDER_SCOPE_GITLAB && writes && admin)
                return "A token of GitLab's has one role, so write (a Developer's) and admin (a Maintainer's) do not go "
                       "together.";
        return NULL;
}

const char *provider_check_scope(const ProviderInfo *info, const Scope *scope,
                                 const char **ret_field)
{
        const char *problem;

        *ret_field = "repositories";
        if (scope->repositories.n > 0 && info->scope == PROVIDER_SCOPE_NONE)
                return "A stored key cannot be narrowed to repositories; `allow` says what it is used for.";
        if (scope->repositories.n == 0 && info->needs_repositories)
                return info->scope == PROVIDER_SCOPE_GITLAB
                               ? "Name the project, in `repositories`."
                               : "Name the repositories; without them the token would reach all of the installation.";
        problem = info->scope == PROVIDER_SCOPE_GITLAB ? check_gitlab_repositories(&scope->repositories)
                                                      : check_github_repositories(&scope->repositories);
        if (problem)
                return problem;
        *ret_field = "permissions";
        if (scope->permissions.n > 0 && info->scope == PROVIDER_SCOPE_NONE)
                return "A stored key cannot be narrowed to permissions; `allow` says what it is used for.";
        if (scope->permissions.n == 0 && info->needs_permissions)
                return info->scope == PROVIDER_SCOPE_GITLAB
                               ? "Name the permissions: api, registry and repository, with read, write or admin."
                               : "Name the permissions; without them the token would have all of the installation's.";
        problem = check_permissions(info, &scope->permissions);
        if (!problem)
                *ret_field = NULL;
        return problem;
}

/* "HOST" or "HOST:PORT" or "[V6]:PORT". */
static bool is_authority(const char *text, size_t n)
{
        size_t host = 0;

        if (n > 0 && text[0] == '[') {
                while (host < n && text[host] != ']')
                        host++;
                if (host < 3 || host == n ||
                    strspn(text + 1, "0123456789abcdefABCDEF:.") != host - 1)
                        return false;
                host++;
        } else {
                while (host < n && (is_alnum(text[host]) || text[host] == '-' || text[host] == '.'))
                        host++;
                if (host == 0 || host > 253 || !is_alnum(text[0]) || !is_alnum(text[host - 1]))
                        return false;
        }
        if (host == n)
                return true;
        if (text[host] != ':' || n - host < 2 || n - host > 6 || text[host + 1] == '0')
                return false;
        for (size_t i = host + 1; i < n; i++)
                if (!is_digit(text[i]))
                        return false;
        return strtoul(text + host + 1, NULL, 10) <= UINT16_MAX;
}

const char *provider_check_base_url(const char *url)
{
        static const char scheme[] = "https://";
        const char *authority, *path;

        if (strlen(url) > LIMIT_URL)
                return "The address is too long.";
        if (strncmp(url, scheme, sizeof(scheme) - 1) != 0)
                return "The address must begin with https://.";
        authority = url + sizeof(scheme) - 1;
        path = authority + strcspn(authority, "/");
        if (!is_authority(authority, (size_t)(path - authority)))
                return "The address must name a host, and nothing else between https:// and the "
                       "next slash.";
        for (const char *p = path; *p; p++)
                if (!is_alnum(*p) && !strchr("/-._~", *p))
                        return "The address may have a plain path behind the host, and nothing "
                               "else.";
        if (strstr(path, "//") || strstr(path, "/."))
                return "The path of the address has an empty or a dotted segment.";
        return NULL;
}
