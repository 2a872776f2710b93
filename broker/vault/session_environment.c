#include "vault/session_environment.h"
#include "base/text.h"

/* A value that the wire has room for: schema_environment_entry. */
#define VALUE_MAX (16U * 1024U)
#define HANDLE_MARK "{handle}"
/* In proxy variables, in front of the handle. The session's process looks at the handle alone. */
#define PROXY_USER "mcpcred"
/* What stays on the machine: Node's and Python's ideas of it differ, so all three are written out. */
#define NO_PROXY "localhost,127.0.0.1,::1"

/* Both cases, since some programs read one and some the other; and by http:// alone, since a SOCKS address in
 * ALL_PROXY crashes httpx where its extra is missing. */
static const char *const proxy_variables[] = {
        "HTTP_PROXY",  "HTTPS_PROXY",  "ALL_PROXY",  "FTP_PROXY", "GRPC_PROXY",
        "http_proxy",  "https_proxy",  "all_proxy",  "ftp_proxy", "grpc_proxy",
        "DOCKER_HTTP_PROXY", "DOCKER_HTTPS_PROXY",
};
static const char *const no_proxy_variables[] = { "NO_PROXY", "no_proxy" };
/* These replace what their programs trust otherwise. */
static const char *const ca_variables[] = {
        "SSL_CERT_FILE", "CURL_CA_BUNDLE",   "REQUESTS_CA_BUNDLE", "PIP_CERT",
        "GIT_SSL_CAINFO", "AWS_CA_BUNDLE",   "CARGO_HTTP_CAINFO",  "DENO_CERT",
        "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "NIX_SSL_CERT_FILE",
};
/* This one adds, so our CA alone is enough everywhere; a whole bundle costs Node 17 ms at each start. */
#define NODE_CA "NODE_EXTRA_CA_CERTS"

typedef struct Composer {
        const EnvironmentAsk *ask;
        Arena *arena;
        Environment *out;
        int r; /* the first failure; nothing more is done then */
} Composer;

static bool has_handle(const GrantRecord *grant)
{
        return grant->deliver == DELIVER_PROXY || grant->deliver == DELIVER_ENDPOINT;
}

static const char *env_of(const GrantRecord *grant)
{
        return grant->deliver == DELIVER_ENV || has_handle(grant) ? grant->env : NULL;
}

static const char *url_of(const GrantRecord *grant)
{
        return grant->deliver == DELIVER_ENDPOINT ? grant->env_url : NULL;
}

static bool is_set(const Environment *environment, const char *name)
{
        for (size_t i = 0; i < environment->n; i++)
                if (strcmp(environment->entries[i].name, name) == 0)
                        return true;
        return false;
}

static void fail(Composer *composer, int r)
{
        if (composer->r == 0)
                composer->r = r < 0 ? r : ENVIRONMENT_E_FULL;
}

/* Takes the value over. What was set before stays. */
static void set_consume(Composer *composer, const char *name, Secret *value)
{
        Environment *out = composer->out;

        if (composer->r || is_set(out, name)) {
                secret_free(value);
                return;
        }
        if (out->n == LIMIT_ENVIRONMENT || secret_size(value) > VALUE_MAX) {
                secret_free(value);
                composer->r = ENVIRONMENT_E_TOO_MANY;
                return;
        }
        out->size += strlen(name) + secret_size(value);
        out->entries[out->n++] = (EnvironmentEntry){ .name = name, .value = value };
}

/* The parts, one behind the other. */
static void set(Composer *composer, const char *name, const Slice *parts, size_t n)
{
        Secret *value = NULL;
        size_t size = 0;
        int r;

        for (size_t i = 0; i < n; i++)
                size += parts[i].size;
        r = secret_new(&value, composer->arena, MAX(size, 1));
        for (size_t i = 0; r == 0 && i < n; i++)
                r = secret_append(value, parts[i]);
        if (r) {
                secret_free(value);
                fail(composer, r);
                return;
        }
        set_consume(composer, name, value);
}

static void set_text(Composer *composer, const char *name, const char *text)
{
        const Slice part = slice_text(text);

        set(composer, name, &part, 1);
}

static void set_value(Composer *composer, const char *name, const Secret *value)
{
        const Slice part = secret_slice(value);

        set(composer, name, &part, 1);
}

/* A text in which each "{handle}" stands for the handle. */
static void set_filled(Composer *composer, const char *name, const char *text, const Secret *handle)
{
        Secret *value = NULL;
        size_t size = strlen(text);
        int r;

        for (const char *p = text; handle && (p = strstr(p, HANDLE_MARK)); p += strlen(HANDLE_MARK))
                size += secret_size(handle);
        if (size > VALUE_MAX) {
                composer->r = composer->r ? composer->r : ENVIRONMENT_E_TOO_MANY;
                return;
        }
        r = secret_new(&value, composer->arena, MAX(size, 1));
        while (r == 0 && *text) {
                const char *mark = handle ? strstr(text, HANDLE_MARK) : NULL;

                r = secret_append(value, slice(text, mark ? (size_t)(mark - text) : strlen(text)));
                if (r == 0 && mark)
                        r = secret_append(value, secret_slice(handle));
                text = mark ? mark + strlen(HANDLE_MARK) : "";
        }
        if (r) {
                secret_free(value);
                fail(composer, r);
                return;
        }
        set_consume(composer, name, value);
}

/* ---- one grant's ---- */

/* An SDK that takes a base URL speaks plain HTTP to the proxy, which knows by the first segment what for. */
static void set_endpoint(Composer *composer, const GrantRecord *grant)
{
        const Slice parts[] = {
                slice_text("http://"),
                slice_text(composer->ask->proxy),
                slice_text("/"),
                slice_text(grant->profile),
                slice_text(grant->url_path),
        };

        if (url_of(grant) && composer->ask->proxy)
                set(composer, grant->env_url, parts, ARRAY_SIZE(parts));
}

static void set_grant(Composer *composer, const EnvironmentGrant *grant)
{
        const GrantRecord *record = grant->record;

        if (env_of(record))
                set_value(composer, record->env, grant->value);
        set_endpoint(composer, record);
        for (size_t i = 0; i < record->variables.n; i++)
                set_filled(composer, record->variables.items[i].key, record->variables.items[i].value,
                           has_handle(record) ? grant->value : NULL);
}

/* ---- what all share ---- */

static const Secret *first_handle(const EnvironmentAsk *ask)
{
        for (size_t i = 0; i < ask->n_grants; i++)
                if (has_handle(ask->grants[i].record))
                        return ask->grants[i].value;
        return NULL;
}

/* Google's tools want it in pieces. */
static void set_cloudsdk(Composer *composer, const Secret *handle)
{
        const char *proxy = composer->ask->proxy, *colon = strrchr(proxy, ':');
        const Slice address = slice(proxy, (size_t)(colon - proxy));

        set_text(composer, "CLOUDSDK_PROXY_TYPE", "http");
        set(composer, "CLOUDSDK_PROXY_ADDRESS", &address, 1);
        set_text(composer, "CLOUDSDK_PROXY_PORT", colon + 1);
        if (composer->ask->sandboxed)
                return;
        set_text(composer, "CLOUDSDK_PROXY_USERNAME", PROXY_USER);
        set_value(composer, "CLOUDSDK_PROXY_PASSWORD", handle);
}

/* In a sandbox the proxy's port is the session's own. On the host anybody can connect to it, so a handle is asked
 * for, which clients send by themselves when it stands in the address. */
static void set_proxy(Composer *composer, const Secret *handle)
{
        const EnvironmentAsk *ask = composer->ask;
        const Slice open[] = { slice_text("http://"), slice_text(ask->proxy) };
        const Slice guarded[] = {
                slice_text("http://" PROXY_USER ":"), secret_slice(handle), slice_text("@"), slice_text(ask->proxy),
        };

        for (size_t i = 0; i < ARRAY_SIZE(proxy_variables); i++)
                set(composer, proxy_variables[i], ask->sandboxed ? open : guarded,
                    ask->sandboxed ? ARRAY_SIZE(open) : ARRAY_SIZE(guarded));
        for (size_t i = 0; i < ARRAY_SIZE(no_proxy_variables); i++)
                set_text(composer, no_proxy_variables[i], NO_PROXY);
        set_text(composer, "NODE_USE_ENV_PROXY", "1");
        set_cloudsdk(composer, handle);
        if (ask->sandboxed)
                set_text(composer, "RSYNC_PROXY", ask->proxy); /* it takes no user information */
        else
                set_text(composer, "GIT_HTTP_PROXY_AUTHMETHOD", "basic"); /* at once, without a 407 first */
}

static void set_trust(Composer *composer)
{
        const EnvironmentAsk *ask = composer->ask;

        set_text(composer, NODE_CA, ask->ca);
        for (size_t i = 0; i < ARRAY_SIZE(ca_variables); i++)
                set_text(composer, ca_variables[i], ask->sandboxed ? ask->ca : ask->ca_bundle);
}

int environment_compose(const EnvironmentAsk *ask, Arena *arena, Environment *ret)
{
        Composer composer = { .ask = ask, .arena = arena, .out = ret };
        const Secret *handle = first_handle(ask);

        *ret = (Environment){ .n = 0 };
        set_text(&composer, "MCPCRED_SOCK", ask->socket);
        set_value(&composer, "MCPCRED_SESSION", ask->session);
        for (size_t i = 0; i < ask->n_grants; i++)
                set_grant(&composer, &ask->grants[i]);
        /* What another grant sets is of use to somebody. */
        for (size_t i = 0; i < ask->n_grants; i++)
                if (ask->grants[i].canary)
                        set_value(&composer, ask->grants[i].canary_name, ask->grants[i].canary);
        if (handle && ask->proxy)
                set_proxy(&composer, handle);
        if (handle && ask->ca && (ask->sandboxed || ask->ca_bundle))
                set_trust(&composer);
        if (composer.r)
                environment_clear(ret);
        return composer.r;
}

void environment_clear(Environment *environment)
{
        for (size_t i = 0; i < environment->n; i++)
                secret_free(environment->entries[i].value);
        environment->n = environment->size = 0;
}

static bool sets(const GrantRecord *grant, const char *name)
{
        const char *env = env_of(grant), *url = url_of(grant);

        return (env && strcmp(env, name) == 0) || (url && strcmp(url, name) == 0) ||
               text_map_get(&grant->variables, name) != NULL;
}

bool environment_clash(const GrantRecord *a, const GrantRecord *b)
{
        if ((env_of(a) && sets(b, env_of(a))) || (url_of(a) && sets(b, url_of(a))))
                return true;
        for (size_t i = 0; i < a->variables.n; i++)
                if (sets(b, a->variables.items[i].key))
                        return true;
        return false;
}

bool environment_proxy_is_valid(const char *proxy)
{
        static const char digits[] = "0123456789", hex[] = "0123456789abcdefABCDEF:.";
        static const char ldh[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
        size_t n = *proxy == '[' ? 1 + strspn(proxy + 1, hex) : strspn(proxy, ldh);
        uint64_t port;

        if (*proxy == '[') {
                if (n < 3 || proxy[n] != ']')
                        return false;
                n++;
        }
        if (n == 0 || proxy[n] != ':' || strspn(proxy + n + 1, digits) > 5)
                return false;
        return text_parse_u64(proxy + n + 1, &port) == 0 && port > 0 && port <= UINT16_MAX;
}
