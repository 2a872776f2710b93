#include "wire/preset.h"

#define TEXTS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_TEXTS   ((const char *const[]){ NULL })

/*
 * Sources are named by page, since addresses move. A rule of `deny` names every method unless reading
 * is harmless and useful. Where an upstream serves one thing at two paths, both are there.
 */
const Preset presets[] = {
        /*
         * docs.github.com, REST API: "Apps", "Deploy keys", "Git SSH keys", "Self-hosted runners", "OAuth
         * authorizations"; "Authorizing OAuth apps" for github.com/login. Organizations and repositories
         * are also served by number, at /organizations/ID and /repositories/ID. Git over HTTPS puts
         * the token into Basic, everything else into Bearer or "token".
         */
        {
                .name = "github",
                .title = "GitHub",
                .hosts = TEXTS("api.github.com", "uploads.github.com", "github.com"),
                .slot = SLOT_AUTHORIZATION,
                .env = TEXTS("GITHUB_PERSONAL_ACCESS_TOKEN", "GITHUB_TOKEN", "GH_TOKEN"),
                .allow = TEXTS("* api.github.com /**",
                               "* uploads.github.com /repos/**",
                               "GET github.com /*/*/info/refs",
                               "POST github.com /*/*/git-upload-pack",
                               "POST github.com /*/*/git-receive-pack"),
                .deny = TEXTS("* api.github.com /app/**",
                              "* api.github.com /applications/**",
                              "* api.github.com /app-manifests/**",
                              "* api.github.com /authorizations/**",
                              "POST api.github.com /repos/*/*/keys/**",
                              "POST api.github.com /repositories/*/keys/**",
                              "POST api.github.com /user/keys/**",
                              "POST api.github.com /user/gpg_keys/**",
                              "POST api.github.com /user/ssh_signing_keys/**",
                              "POST api.github.com /repos/*/*/actions/runners/**",
                              "POST api.github.com /repositories/*/actions/runners/**",
                              "POST api.github.com /orgs/*/actions/runners/**",
                              "POST api.github.com /organizations/*/actions/runners/**",
                              "POST api.github.com /enterprises/*/actions/runners/**",
                              "* github.com /login/**"),
                .note = "Git's large files (LFS) and archives come by signed links of other hosts, which have to be "
                        "allowed.",
        },
        /*
         * docs.gitlab.com, REST API: "Personal access tokens", "Project access tokens", "Group access tokens",
         * "Service accounts", "Deploy tokens", "Deploy keys", "Runners", "Pipeline trigger tokens", "Agents for
         * Kubernetes", "Applications", "OAuth 2.0". GraphQL has mutations that create tokens, and no rule
         * sees into a body, so it is denied whole. Bearer takes every kind of token, and git uses Basic.
         */
        {
                .name = "gitlab",
                .title = "GitLab",
                .hosts = TEXTS("gitlab.com"),
                .slot = SLOT_AUTHORIZATION,
                .env = TEXTS("GITLAB_PERSONAL_ACCESS_TOKEN", "GITLAB_TOKEN"),
                .env_url = "GITLAB_API_URL",
                .url_host = "gitlab.com",
                .url_path = "/api/v4",
                .allow = TEXTS("* gitlab.com /api/v4/**",
                               "GET gitlab.com /*/*/info/refs",
                               "GET gitlab.com /*/*/*/info/refs",
                               "GET gitlab.com /*/*/*/*/info/refs",
                               "POST gitlab.com /*/*/git-upload-pack",
                               "POST gitlab.com /*/*/*/git-upload-pack",
                               "POST gitlab.com /*/*/*/*/git-upload-pack",
                               "POST gitlab.com /*/*/git-receive-pack",
                               "POST gitlab.com /*/*/*/git-receive-pack",
                               "POST gitlab.com /*/*/*/*/git-receive-pack"),
                .deny = TEXTS("POST,PUT gitlab.com /api/v4/personal_access_tokens/**",
                              "POST gitlab.com /api/v4/user/personal_access_tokens/**",
                              "* gitlab.com /api/v4/users/*/personal_access_tokens/**",
                              "* gitlab.com /api/v4/users/*/impersonation_tokens/**",
                              "POST,PUT gitlab.com /api/v4/projects/*/access_tokens/**",
                              "POST,PUT gitlab.com /api/v4/groups/*/access_tokens/**",
                              "* gitlab.com /api/v4/groups/*/service_accounts/**",
                              "* gitlab.com /api/v4/projects/*/service_accounts/**",
                              "* gitlab.com /api/v4/service_accounts/**",
                              "* gitlab.com /api/v4/projects/*/deploy_tokens/**",
                              "* gitlab.com /api/v4/groups/*/deploy_tokens/**",
                              "POST,PUT gitlab.com /api/v4/projects/*/deploy_keys/**",
                              "POST gitlab.com /api/v4/deploy_keys/**",
                              "POST gitlab.com /api/v4/user/keys/**",
                              "POST gitlab.com /api/v4/user/gpg_keys/**",
                              "POST gitlab.com /api/v4/users/*/keys/**",
                              "POST gitlab.com /api/v4/user/runners/**",
                              "POST gitlab.com /api/v4/runners/**",
                              "POST gitlab.com /api/v4/projects/*/runners/**",
                              "POST gitlab.com /api/v4/groups/*/runners/**",
                              "* gitlab.com /api/v4/projects/*/triggers/**",
                              "POST gitlab.com /api/v4/projects/*/cluster_agents/*/tokens/**",
                              "* gitlab.com /api/v4/applications/**",
                              "* gitlab.com /api/graphql/**",
                              "* gitlab.com /oauth/**",
                              "* gitlab.com /jwt/**"),
                .note = "A project is named by its number: a name with an encoded slash is refused.",
        },
        /*
         * platform.openai.com, API reference: "Administration" (admin keys, service accounts) is under
         * /v1/organization; "Realtime client secrets" and "ChatKit sessions" hand out keys for browsers.
         */
        {
                .name = "openai",
                .title = "OpenAI",
                .hosts = TEXTS("api.openai.com"),
                .slot = SLOT_BEARER,
                .env = TEXTS("OPENAI_API_KEY"),
                .env_url = "OPENAI_BASE_URL",
                .url_host = "api.openai.com",
                .url_path = "/v1",
                .allow = TEXTS("* api.openai.com /v1/**"),
                .deny = TEXTS("* api.openai.com /v1/organization/**",
                              "POST api.openai.com /v1/realtime/client_secrets/**",
                              "POST api.openai.com /v1/realtime/translations/client_secrets/**",
                              "POST api.openai.com /v1/realtime/sessions/**",
                              "POST api.openai.com /v1/realtime/transcription_sessions/**",
                              "POST api.openai.com /v1/chatkit/sessions/**"),
        },
        /*
         * docs.anthropic.com: "API overview" (x-api-key), "Admin API" (/v1/organizations), "Workload identity
         * federation" (/v1/oauth/token).
         */
        {
                .name = "anthropic",
                .title = "Anthropic",
                .hosts = TEXTS("api.anthropic.com"),
                .slot = SLOT_KEY, /* by the API in x-api-key; its newer SDKs send a bearer */
                .slot_name = "x-api-key",
                .env = TEXTS("ANTHROPIC_API_KEY"),
                .env_url = "ANTHROPIC_BASE_URL",
                .url_host = "api.anthropic.com",
                .allow = TEXTS("* api.anthropic.com /v1/**"),
                .deny = TEXTS("* api.anthropic.com /v1/organizations/**",
                              "* api.anthropic.com /v1/oauth/**",
                              "* api.anthropic.com /api/oauth/**"),
        },
        /*
         * docs.slack.dev, "Methods": those that return tokens, client secrets, or the address of a socket
         * that needs none. The token goes into Authorization; as a form field it is refused.
         */
        {
                .name = "slack",
                .title = "Slack",
                .hosts = TEXTS("slack.com"),
                .slot = SLOT_BEARER,
                .env = TEXTS("SLACK_BOT_TOKEN", "SLACK_TOKEN"),
                .allow = TEXTS("* slack.com /api/*"),
                .deny = TEXTS("* slack.com /api/oauth.access/**",
                              "* slack.com /api/oauth.token/**",
                              "* slack.com /api/oauth.v2.access/**",
                              "* slack.com /api/oauth.v2.exchange/**",
                              "* slack.com /api/oauth.v2.user.access/**",
                              "* slack.com /api/openid.connect.token/**",
                              "* slack.com /api/tooling.tokens.rotate/**",
                              "* slack.com /api/apps.auth.external.get/**",
                              "* slack.com /api/apps.manifest.create/**",
                              "* slack.com /api/apps.connections.open/**",
                              "* slack.com /api/rtm.connect/**",
                              "* slack.com /api/rtm.start/**"),
        },
        /* developers.notion.com, "Authentication" and "Create a token". */
        {
                .name = "notion",
                .title = "Notion",
                .hosts = TEXTS("api.notion.com"),
                .slot = SLOT_BEARER,
                .env = TEXTS("NOTION_TOKEN", "NOTION_API_KEY"),
                .allow = TEXTS("* api.notion.com /v1/**"),
                .deny = TEXTS("* api.notion.com /v1/oauth/**"),
        },
        /* linear.app/developers, "Getting started": a personal key stands alone, an OAuth token behind "Bearer". */
        {
                .name = "linear",
                .title = "Linear",
                .hosts = TEXTS("api.linear.app"),
                .slot = SLOT_HEADER,
                .slot_name = "authorization",
                .env = TEXTS("LINEAR_API_KEY"),
                .allow = TEXTS("POST api.linear.app /graphql"),
                .deny = TEXTS("* api.linear.app /oauth/**"),
                .note = "An OAuth token needs `slot = bearer`. Everything is one GraphQL path: limit what the key may do "
                        "at Linear.",
        },
        /*
         * docs.stripe.com, API reference: "Ephemeral keys", "Connection tokens", "Account sessions", "Customer
         * sessions", "Login links", "Secrets" of apps, "Webhook endpoints" and "Event destinations" (their
         * signing secrets), API keys (v2/iam). The key is a bearer, or the user of Basic.
         */
        {
                .name = "stripe",
                .title = "Stripe",
                .hosts = TEXTS("api.stripe.com", "files.stripe.com"),
                .slot = SLOT_AUTHORIZATION,
                .env = TEXTS("STRIPE_SECRET_KEY", "STRIPE_API_KEY"),
                .allow = TEXTS("* api.stripe.com /v1/**", "* api.stripe.com /v2/**", "* files.stripe.com /v1/files/**"),
                .deny = TEXTS("* api.stripe.com /v2/iam/**",
                              "* api.stripe.com /v1/ephemeral_keys/**",
                              "* api.stripe.com /v1/terminal/connection_tokens/**",
                              "* api.stripe.com /v1/account_sessions/**",
                              "* api.stripe.com /v1/customer_sessions/**",
                              "* api.stripe.com /v1/accounts/*/login_links/**",
                              "* api.stripe.com /v1/apps/secrets/**",
                              "POST api.stripe.com /v1/webhook_endpoints/**",
                              "POST api.stripe.com /v2/core/event_destinations/**"),
        },
        /*
         * docs.sentry.io, API: "Authentication"; the paths of tokens are those of getsentry/sentry's URLs, where
         * they have "api-tokens", "org-auth-tokens", "api-applications" and "authorizations" in them.
         */
        {
                .name = "sentry",
                .title = "Sentry",
                .hosts = TEXTS("sentry.io", "*.sentry.io"),
                .slot = SLOT_BEARER,
                .env = TEXTS("SENTRY_ACCESS_TOKEN", "SENTRY_AUTH_TOKEN"),
                .env_url = "SENTRY_URL",
                .url_host = "sentry.io",
                .allow = TEXTS("* sentry.io /api/0/**", "* *.sentry.io /api/0/**"),
                .deny = TEXTS("* sentry.io /api/0/api-tokens/**",
                              "* *.sentry.io /api/0/api-tokens/**",
                              "* sentry.io /api/0/api-applications/**",
                              "* *.sentry.io /api/0/api-applications/**",
                              "* sentry.io /api/0/api-authorizations/**",
                              "* *.sentry.io /api/0/api-authorizations/**",
                              "* sentry.io /api/0/authenticators/**",
                              "* *.sentry.io /api/0/authenticators/**",
                              "* sentry.io /api/0/organizations/*/org-auth-tokens/**",
                              "* *.sentry.io /api/0/organizations/*/org-auth-tokens/**",
                              "* sentry.io /api/0/organizations/*/api-keys/**",
                              "* *.sentry.io /api/0/organizations/*/api-keys/**",
                              "POST,PUT sentry.io /api/0/organizations/*/sentry-apps/**",
                              "POST,PUT *.sentry.io /api/0/organizations/*/sentry-apps/**",
                              "* sentry.io /api/0/sentry-app-installations/*/authorizations/**",
                              "* *.sentry.io /api/0/sentry-app-installations/*/authorizations/**",
                              "* sentry.io /api/0/sentry-apps/**",
                              "* *.sentry.io /api/0/sentry-apps/**",
                              "POST,PUT sentry.io /api/0/projects/*/*/keys/**",
                              "POST,PUT *.sentry.io /api/0/projects/*/*/keys/**",
                              "* sentry.io /oauth/**",
                              "* *.sentry.io /oauth/**"),
        },
        /* api-dashboard.search.brave.com, "Authentication". It has no path that issues keys. */
        {
                .name = "brave",
                .title = "Brave Search",
                .hosts = TEXTS("api.search.brave.com"),
                .slot = SLOT_HEADER,
                .slot_name = "x-subscription-token",
                .env = TEXTS("BRAVE_API_KEY"),
                .allow = TEXTS("GET,POST api.search.brave.com /res/v1/**"),
                .deny = NO_TEXTS,
        },
        /* docs.tavily.com, "API reference" and, for enterprises, "Generate keys". */
        {
                .name = "tavily",
                .title = "Tavily",
                .hosts = TEXTS("api.tavily.com"),
                .slot = SLOT_BEARER,
                .env = TEXTS("TAVILY_API_KEY"),
                .allow = TEXTS("POST api.tavily.com /search", "POST api.tavily.com /extract",
                               "POST api.tavily.com /crawl", "POST api.tavily.com /map", "GET,POST api.tavily.com /research/**",
                               "GET api.tavily.com /usage"),
                .deny = TEXTS("* api.tavily.com /generate-keys/**", "* api.tavily.com /deactivate-keys/**",
                              "* api.tavily.com /key-info/**"),
                .note = "Clients that put the key into the body as well (\"api_key\") are refused.",
        },
        /*
         * developers.cloudflare.com, API reference: "API tokens" of users and accounts, "Origin CA", "Access service
         * tokens", "R2 temporary credentials", "Tunnel token", "Stream signing keys", "Images keys", "Turnstile" (a
         * widget's secret), "Pages upload token". Reading tokens shows none of their values.
         */
        {
                .name = "cloudflare",
                .title = "Cloudflare",
                .hosts = TEXTS("api.cloudflare.com"),
                .slot = SLOT_BEARER,
                .env = TEXTS("CLOUDFLARE_API_TOKEN", "CF_API_TOKEN"),
                .env_url = "CLOUDFLARE_BASE_URL",
                .url_host = "api.cloudflare.com",
                .url_path = "/client/v4",
                .allow = TEXTS("* api.cloudflare.com /client/v4/**"),
                .deny = TEXTS("POST,PUT,PATCH,DELETE api.cloudflare.com /client/v4/user/tokens/**",
                              "POST,PUT,PATCH,DELETE api.cloudflare.com /client/v4/accounts/*/tokens/**",
                              "* api.cloudflare.com /client/v4/user/api_key/**",
                              "* api.cloudflare.com /client/v4/user/service_keys/**",
                              "* api.cloudflare.com /client/v4/certificates/**",
                              "* api.cloudflare.com /client/v4/accounts/*/access/service_tokens/**",
                              "* api.cloudflare.com /client/v4/zones/*/access/service_tokens/**",
                              "* api.cloudflare.com /client/v4/accounts/*/r2/temp-access-credentials/**",
                              "* api.cloudflare.com /client/v4/accounts/*/cfd_tunnel/*/token/**",
                              "POST api.cloudflare.com /client/v4/accounts/*/cfd_tunnel/**",
                              "* api.cloudflare.com /client/v4/accounts/*/warp_connector/*/token/**",
                              "* api.cloudflare.com /client/v4/accounts/*/stream/keys/**",
                              "POST api.cloudflare.com /client/v4/accounts/*/stream/*/token/**",
                              "* api.cloudflare.com /client/v4/accounts/*/images/v1/keys/**",
                              "* api.cloudflare.com /client/v4/accounts/*/challenges/**",
                              "* api.cloudflare.com /client/v4/accounts/*/pages/projects/*/upload-token/**",
                              "POST api.cloudflare.com /client/v4/zones/*/client_certificates/**"),
        },
        /*
         * ai.google.dev, "API keys"; developers.google.com/maps for the others. A key goes into x-goog-api-key or
         * "?key=": the former is in no log and no referrer. Keys and tokens are made at apikeys., iamcredentials.,
         * sts. and oauth2.googleapis.com, and by "auth_tokens" of the Gemini API.
         */
        {
                .name = "google",
                .title = "Google API key",
                .hosts = TEXTS("generativelanguage.googleapis.com", "maps.googleapis.com", "places.googleapis.com",
                               "routes.googleapis.com", "geocode.googleapis.com", "addressvalidation.googleapis.com",
                               "customsearch.googleapis.com", "youtube.googleapis.com", "translation.googleapis.com",
                               "www.googleapis.com"),
                .slot = SLOT_HEADER,
                .slot_name = "x-goog-api-key",
                .env = TEXTS("GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_MAPS_API_KEY"),
                .env_url = "GOOGLE_GEMINI_BASE_URL",
                .url_host = "generativelanguage.googleapis.com",
                .allow = TEXTS("* generativelanguage.googleapis.com /**",
                               "GET maps.googleapis.com /maps/api/**",
                               "* places.googleapis.com /v1/**",
                               "* routes.googleapis.com /**",
                               "GET geocode.googleapis.com /**",
                               "POST addressvalidation.googleapis.com /**",
                               "GET customsearch.googleapis.com /customsearch/**",
                               "GET youtube.googleapis.com /youtube/v3/**",
                               "GET,POST translation.googleapis.com /language/translate/**",
                               "GET www.googleapis.com /customsearch/**",
                               "GET www.googleapis.com /youtube/v3/**",
                               "GET www.googleapis.com /books/v1/**"),
                .deny = TEXTS("* *.googleapis.com /v1alpha/auth_tokens/**",
                              "* *.googleapis.com /v1beta/auth_tokens/**",
                              "* *.googleapis.com /v1/auth_tokens/**",
                              "* *.googleapis.com /batch/**",
                              "* apikeys.googleapis.com /**",
                              "* iam.googleapis.com /**",
                              "* iamcredentials.googleapis.com /**",
                              "* sts.googleapis.com /**",
                              "* oauth2.googleapis.com /**"),
                .note = "Clients that send \"?key=\" (most of those for Maps) need `slot = query key`.",
        },
        /*
         * developer.atlassian.com, "Basic auth for REST APIs": the mail address and an API token. Tokens are made at
         * id.atlassian.com, OAuth's at auth.atlassian.com; products of one's own have /rest/pat and /rest/oauth2.
         */
        {
                .name = "atlassian",
                .title = "Atlassian (Jira, Confluence)",
                .hosts = TEXTS("*.atlassian.net", "api.atlassian.com"),
                .slot = SLOT_BASIC,
                .env = TEXTS("ATLASSIAN_API_TOKEN", "JIRA_API_TOKEN", "CONFLUENCE_API_TOKEN"),
                .allow = TEXTS("* *.atlassian.net /rest/**", "* *.atlassian.net /wiki/**",
                               "* api.atlassian.com /ex/**"),
                .deny = TEXTS("* *.atlassian.net /rest/pat/**",
                              "* *.atlassian.net /wiki/rest/pat/**",
                              "* *.atlassian.net /rest/oauth2/**",
                              "* *.atlassian.net /plugins/servlet/oauth/**",
                              "* *.atlassian.net /rest/atlassian-connect/**",
                              "* *.atlassian.net /gateway/**",
                              "* api.atlassian.com /oauth/**",
                              "* api.atlassian.com /admin/**",
                              "* api.atlassian.com /users/*/manage/api-tokens/**",
                              "* api.atlassian.com /graphql/**"),
                .note = "A personal access token of Data Center needs `slot = bearer` and rules for its host.",
        },
        /* developers.figma.com, "Authentication" and "OAuth apps". */
        {
                .name = "figma",
                .title = "Figma",
                .hosts = TEXTS("api.figma.com"),
                .slot = SLOT_HEADER,
                .slot_name = "x-figma-token",
                .env = TEXTS("FIGMA_API_KEY", "FIGMA_ACCESS_TOKEN"),
                .allow = TEXTS("* api.figma.com /v1/**", "* api.figma.com /v2/**"),
                .deny = TEXTS("* api.figma.com /v1/oauth/**"),
                .note = "An OAuth token needs `slot = bearer`.",
        },
        {
                .name = "generic",
                .title = "any upstream that takes a bearer token",
                .hosts = NO_TEXTS,
                .slot = SLOT_BEARER,
                .env = NO_TEXTS,
                .allow = NO_TEXTS,
                .deny = NO_TEXTS,
                .note = "`allow` is for the profile to say, and `slot` where it is another.",
        },
};
const size_t n_presets = ARRAY_SIZE(presets);

const Preset *preset_find(const char *name)
{
        for (size_t i = 0; i < n_presets; i++)
                if (strcmp(presets[i].name, name) == 0)
                        return &presets[i];
        return NULL;
}

static bool is_host_of(const char *pattern, const char *host)
{
        const char *dot = strchr(host, '.');

        return strcmp(pattern, host) == 0 || (strncmp(pattern, "*.", 2) == 0 && dot && strcmp(pattern + 1, dot) == 0);
}

const Preset *preset_of_host(const char *host)
{
        for (size_t i = 0; i < n_presets; i++)
                for (size_t k = 0; presets[i].hosts[k]; k++)
                        if (is_host_of(presets[i].hosts[k], host))
                                return &presets[i];
        return NULL;
}
