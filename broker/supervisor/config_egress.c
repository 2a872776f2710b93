/* Keys of the profiles whose requests leave through egress: what may be asked, and where the key goes. */
#include "base/text.h"
#include "http/rule.h"
#include "http/writer.h"
#include "supervisor/config_builder.h"
#include "wire/field.h"
#include <arpa/inet.h>
#include <stdio.h>

#define RATE_MAX       UINT64_C(1000000)
#define MAX_USES_MAX   (UINT64_C(1) << 53) /* what JSON carries */
#define MAX_BODY_MAX   (UINT64_C(1) << 40)
#define URL_HOST_MAX   260U
#define URL_PATH_MAX   256U
_Static_assert(RULE_TEXT_MAX == LIMIT_RULE && RULE_SET_MAX == LIMIT_RULES, "a rule that is one can be sent");

#define UNRESERVED "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"

static EgressPolicy *policy_of(const ConfigBuilder *builder)
{
        return config_profile(builder)->egress;
}

/* ---- rules ---- */

static const char *set_preset(ConfigBuilder *builder, const char *value)
{
        const Preset *preset = preset_find(value);

        config_section(builder)->preset = preset;
        return preset ? NULL : "is none of the presets: mcpcred.conf(5) lists them";
}

static const char *add_rule(ConfigBuilder *builder, TextList *list, const char *value)
{
        const char *wrong = rule_check(value);

        return wrong ? wrong : config_append(builder, list, LIMIT_RULES, value);
}

static const char *add_allow(ConfigBuilder *builder, const char *value)
{
        return add_rule(builder, &policy_of(builder)->allow, value);
}

static const char *add_deny(ConfigBuilder *builder, const char *value)
{
        return add_rule(builder, &policy_of(builder)->deny, value);
}

/* ---- the slot ---- */

/* Headers of the connection, and those that are made anew on the way out. */
static bool is_own_header(const char *name)
{
        static const char *const names[] = { "host",    "connection", "content-length", "transfer-encoding", "te",
                                             "trailer", "upgrade",    "expect",         "keep-alive",        "range",
                                             NULL };

        return config_name_index(names, name) >= 0 || strncmp(name, "proxy-", 6) == 0 ||
               strncmp(name, "x-mcpcred-", 10) == 0;
}

/* A word with a blank behind it, or exactly what quotation marks hold. */
static const char *take_prefix(ConfigBuilder *builder, const char *text, bool blank)
{
        char prefix[LIMIT_NAME + 2];
        size_t n = strlen(text);

        if (n > LIMIT_NAME - 1)
                return "has a prefix that is too long";
        if (text[0] == '"') {
                if (n < 3 || text[n - 1] != '"')
                        return "has a quotation mark without its partner";
                (void)snprintf(prefix, sizeof(prefix), "%.*s", (int)n - 2, text + 1);
        } else
                (void)snprintf(prefix, sizeof(prefix), "%s%s", text, blank ? " " : "");
        for (const char *c = prefix; *c; c++)
                if (*c < 0x20 || *c > 0x7e || *c == '"')
                        return "has a prefix with a character that none has";
        return config_keep(builder, prefix, &policy_of(builder)->slot_prefix);
}

static const char *set_header_slot(ConfigBuilder *builder, const char *rest)
{
        char name[LIMIT_NAME + 1];
        size_t n = strcspn(rest, " \t");

        if (n == 0 || n > LIMIT_NAME || !http_name_is_valid(slice(rest, n)))
                return "needs the name of a header";
        for (size_t i = 0; i < n; i++)
                name[i] = (char)(rest[i] >= 'A' && rest[i] <= 'Z' ? rest[i] + ('a' - 'A') : rest[i]);
        name[n] = '\0';
        if (is_own_header(name))
                return "is a header that no key stands in";
        (void)config_keep(builder, name, &policy_of(builder)->slot_name);
        rest += n + strspn(rest + n, " \t");
        return *rest ? take_prefix(builder, rest, true) : NULL;
}

static const char *set_named_slot(ConfigBuilder *builder, const char *rest)
{
        size_t n = strspn(rest, UNRESERVED);

        if (n == 0 || rest[n] || n > LIMIT_NAME)
                return "needs one name, of letters, digits, \"-\", \".\", \"_\" and \"~\"";
        return config_keep(builder, rest, &policy_of(builder)->slot_name);
}

static const char *set_path_slot(ConfigBuilder *builder, const char *rest)
{
        if (rest[strspn(rest, UNRESERVED)])
                return "has a prefix of letters, digits, \"-\", \".\", \"_\" and \"~\"";
        return *rest ? take_prefix(builder, rest, false) : NULL;
}

static const char *set_slot(ConfigBuilder *builder, const char *value)
{
        size_t n = strcspn(value, " \t");
        const char *rest = value + n + strspn(value + n, " \t");
        EgressPolicy *policy = policy_of(builder);

        for (uint32_t kind = SLOT_NONE + 1; kind < _SLOT_KIND_N; kind++) {
                if (!slice_is_text(slice(value, n), slot_kind_names[kind]))
                        continue;
                policy->slot = kind;
                if (kind == SLOT_HEADER)
                        return set_header_slot(builder, rest);
                if (kind == SLOT_QUERY || kind == SLOT_FORM || kind == SLOT_KEY)
                        return set_named_slot(builder, rest);
                if (kind == SLOT_PATH)
                        return set_path_slot(builder, rest);
                return *rest ? "takes nothing behind it" : NULL;
        }
        return "is bearer, basic, authorization, header NAME [PREFIX], key NAME, query NAME, path [PREFIX], form NAME or sigv4";
}

/* ---- limits ---- */

/* "60/min" */
static const char *set_rate(ConfigBuilder *builder, const char *value)
{
        static const struct {
                const char *name;
                uint64_t seconds;
        } units[] = { { "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 } };
        EgressPolicy *policy = policy_of(builder);
        const char *slash = strchr(value, '/');
        char number[24];

        if (!slash || (size_t)(slash - value) >= sizeof(number))
                return "is a number of requests and a time: 10/s, 60/min, 1000/h or 5000/d";
        memcpy(number, value, (size_t)(slash - value));
        number[slash - value] = '\0';
        if (text_parse_u64(number, &policy->rate) || policy->rate < 1 || policy->rate > RATE_MAX)
                return "is from 1 to 1000000 requests in a time";
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (strcmp(units[i].name, slash + 1) == 0) {
                        policy->rate_seconds = units[i].seconds;
                        return NULL;
                }
        return "is in a time of s, min, h or d";
}

static const char *set_max_uses(ConfigBuilder *builder, const char *value)
{
        uint64_t *n = &policy_of(builder)->max_uses;

        return text_parse_u64(value, n) || *n < 1 || *n > MAX_USES_MAX ? "is a number of requests, at least 1" : NULL;
}

static const char *set_max_body(ConfigBuilder *builder, const char *value)
{
        return config_set_size(value, 1, MAX_BODY_MAX, &policy_of(builder)->max_body);
}

static const char *set_concurrent(ConfigBuilder *builder, const char *value)
{
        uint64_t *n = &policy_of(builder)->concurrent;

        return text_parse_u64(value, n) || *n < 1 || *n > LIMIT_CONCURRENT ? "is a number from 1 to 256" : NULL;
}

static const char *set_scrub(ConfigBuilder *builder, const char *value)
{
        int i = config_name_index(scrub_mode_names, value);

        if (i < 0)
                return "is mask, strict or off";
        policy_of(builder)->scrub = (uint32_t)i;
        return NULL;
}

static const char *set_websocket(ConfigBuilder *builder, const char *value)
{
        return config_set_bool(value, &policy_of(builder)->websocket);
}

static const char *set_cookies(ConfigBuilder *builder, const char *value)
{
        return config_set_bool(value, &policy_of(builder)->cookies);
}

static bool has_bits_behind(const uint8_t *address, size_t size, uint64_t prefix)
{
        for (size_t i = 0; i < size * 8; i++)
                if (i >= prefix && address[i / 8] & 0x80U >> i % 8)
                        return true;
        return false;
}

static const char *add_address(ConfigBuilder *builder, char *item)
{
        char *slash = strchr(item, '/'), text[INET6_ADDRSTRLEN + 5];
        int family = strchr(item, ':') ? AF_INET6 : AF_INET;
        size_t size = family == AF_INET ? 4 : 16;
        uint64_t prefix = size * 8;
        uint8_t address[16];

        if (slash)
                *slash++ = '\0';
        if (inet_pton(family, item, address) != 1 || (slash && text_parse_u64(slash, &prefix)) || prefix > size * 8)
                return "is a list of networks, 10.1.2.0/24 or fd00:1::/64, divided by commas";
        if (has_bits_behind(address, size, prefix))
                return "has a network with bits behind its prefix";
        if (!inet_ntop(family, address, text, sizeof(text)))
                return "is a list of networks";
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "/%u", (unsigned)prefix);
        return config_append(builder, &policy_of(builder)->addresses, LIMIT_ADDRESSES, text);
}

static const char *set_addresses(ConfigBuilder *builder, const char *value)
{
        return config_each_item(builder, value, add_address);
}

/* ---- variables ---- */

const char *config_check_free_variable(const char *name)
{
        static const char *const taken[] = { "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy",
                                             "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
                                             "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS",
                                             "GIT_SSL_CAINFO", NULL };
        const char *wrong = config_check_variable(name);

        return !wrong && config_name_index(taken, name) >= 0 ? "is a variable that has another meaning" : wrong;
}

static const char *set_env_url(ConfigBuilder *builder, const char *value)
{
        const char *wrong = config_check_free_variable(value);

        return wrong ? wrong : config_keep(builder, value, &config_profile(builder)->env_url);
}

static const char *set_url_host(ConfigBuilder *builder, const char *value)
{
        char rule[URL_HOST_MAX + 16];
        int n = snprintf(rule, sizeof(rule), "* %s /", value);

        if (n < 0 || (size_t)n >= sizeof(rule) || strchr(value, '*') || strpbrk(value, " \t") || rule_check(rule))
                return "is HOST or HOST:PORT, in small letters and not an address";
        return config_keep(builder, value, &config_profile(builder)->url_host);
}

static const char *set_url_path(ConfigBuilder *builder, const char *value)
{
        char rule[URL_PATH_MAX + 16];
        size_t size = strlen(value);
        int n = snprintf(rule, sizeof(rule), "* a.b %s", value);

        if (n < 0 || (size_t)n >= sizeof(rule) || size < 2 || value[size - 1] == '/' || strpbrk(value, "* \t") ||
            rule_check(rule))
                return "begins with \"/\" and ends without one";
        return config_keep(builder, value, &config_profile(builder)->url_path);
}

static const char *add_variable(ConfigBuilder *builder, TextMap *map, const char *name, const char *value)
{
        void *items;

        if (!map->items) {
                if (pool_alloc(&builder->config->pool, LIMIT_VARIABLES * sizeof(*map->items), &items) < 0) {
                        builder->no_memory = true;
                        return NULL;
                }
                map->items = items;
        }
        if (text_map_get(map, name))
                return "names the same variable twice";
        if (map->n >= LIMIT_VARIABLES)
                return "has too many items";
        (void)config_keep(builder, name, &map->items[map->n].key);
        (void)config_keep(builder, value, &map->items[map->n].value);
        map->n += builder->no_memory ? 0 : 1;
        return NULL;
}

/* NAME=VALUE */
static const char *add_set(ConfigBuilder *builder, const char *value)
{
        size_t n = strcspn(value, "= \t");
        const char *text = value + n + 1;
        const char *wrong;
        char name[129];

        if (value[n] != '=' || n >= sizeof(name))
                return "is NAME=VALUE";
        memcpy(name, value, n);
        name[n] = '\0';
        wrong = config_check_free_variable(name);
        if (wrong)
                return wrong;
        if (strlen(text) > LIMIT_TEXT)
                return "has a value that is too long";
        return add_variable(builder, &config_profile(builder)->variables, name, text);
}

const ConfigKey config_egress_keys[] = {
        { "preset", false, set_preset },
        { "allow", true, add_allow },
        { "deny", true, add_deny },
        { "slot", false, set_slot },
        { "rate", false, set_rate },
        { "max_uses", false, set_max_uses },
        { "max_body", false, set_max_body },
        { "concurrent", false, set_concurrent },
        { "scrub", false, set_scrub },
        { "websocket", false, set_websocket },
        { "cookies", false, set_cookies },
        { "addresses", true, set_addresses },
        { "set", true, add_set },
        { "env_url", false, set_env_url },
        { "url_host", false, set_url_host },
        { "url_path", false, set_url_path },
};
const size_t n_config_egress_keys = ARRAY_SIZE(config_egress_keys);
_Static_assert(ARRAY_SIZE(config_egress_keys) <= 32, "ConfigSection.seen has a bit for each");

/* ---- all of a section ---- */

static bool is_endpoint_key(const char *name)
{
        return strcmp(name, "env_url") == 0 || strcmp(name, "url_host") == 0 || strcmp(name, "url_path") == 0;
}

static void complain(ConfigBuilder *builder, const ConfigProfile *profile, const ConfigSection *section,
                     const char *text)
{
        problems_add(builder->problems, section->file, section->line, "profile \"%s\" %s", profile->name, text);
}

/* Keys that this delivery has no use for. */
static void check_use(ConfigBuilder *builder, const ConfigProfile *profile, const ConfigSection *section)
{
        bool leaves = profile->deliver == DELIVER_PROXY || profile->deliver == DELIVER_ENDPOINT;

        for (size_t i = 0; i < n_config_egress_keys; i++) {
                const char *name = config_egress_keys[i].name;
                bool endpoint = is_endpoint_key(name);

                if (!config_was_given(section, name))
                        continue;
                if (leaves && (!endpoint || profile->deliver == DELIVER_ENDPOINT))
                        continue;
                problems_add(builder->problems, section->file, section->line,
                             "profile \"%s\": %s is for deliver = %s", profile->name, name,
                             endpoint ? "endpoint" : "proxy or endpoint");
        }
}

/* What repositories and permissions belong to is GitHub, unless the profile says otherwise. */
static const Preset *preset_for(const ConfigProfile *profile, const ConfigSection *section)
{
        bool scoped = profile->scope->repositories.n > 0 || profile->scope->permissions.n > 0;
        bool own = config_was_given(section, "preset") ||
                   (config_was_given(section, "slot") && config_was_given(section, "allow"));

        return !own && scoped ? preset_find("github") : section->preset;
}

/* The preset's rules are good ones: a test checks them. They may be there already. */
static void take_rules(ConfigBuilder *builder, const ConfigProfile *profile, const ConfigSection *section,
                       TextList *list, const char *const *rules)
{
        for (; *rules; rules++) {
                bool there = false;

                for (size_t i = 0; i < list->n && !there; i++)
                        there = strcmp(list->items[i], *rules) == 0;
                if (!there && config_append(builder, list, LIMIT_RULES, *rules)) {
                        complain(builder, profile, section, "has too many rules, with those of its preset");
                        return;
                }
        }
}

static void take_variables(ConfigBuilder *builder, ConfigProfile *profile, const Preset *preset)
{
        if (profile->env || !preset->env[0])
                return;
        profile->env = preset->env[0];
        for (size_t i = 1; preset->env[i]; i++) /* one that is full or has it already keeps what it has */
                (void)add_variable(builder, &profile->variables, preset->env[i], "{handle}");
}

static void take_preset(ConfigBuilder *builder, ConfigProfile *profile, const ConfigSection *section,
                        const Preset *preset)
{
        EgressPolicy *policy = profile->egress;

        profile->preset = preset->name;
        if (!config_was_given(section, "slot")) {
                policy->slot = preset->slot;
                policy->slot_name = preset->slot_name;
                policy->slot_prefix = preset->slot_prefix;
        }
        if (!config_was_given(section, "allow"))
                take_rules(builder, profile, section, &policy->allow, preset->allow);
        take_rules(builder, profile, section, &policy->deny, preset->deny);
        take_variables(builder, profile, preset);
        if (profile->deliver != DELIVER_ENDPOINT || !preset->env_url)
                return;
        profile->env_url = profile->env_url ? profile->env_url : preset->env_url;
        if (!profile->url_host) {
                profile->url_host = preset->url_host;
                profile->url_path = profile->url_path ? profile->url_path : preset->url_path;
        }
}

static void check_whole(ConfigBuilder *builder, const ConfigProfile *profile, const ConfigSection *section)
{
        bool slot = profile->egress->slot != SLOT_NONE, allow = profile->egress->allow.n > 0;
        bool endpoint = profile->deliver == DELIVER_ENDPOINT;

        if (!slot && !allow)
                complain(builder, profile, section,
                         "is delivered by proxy and needs \"preset\", or \"slot\" and \"allow\"");
        else if (!slot)
                complain(builder, profile, section, "needs \"slot\": where in a request the key stands");
        else if (!allow)
                complain(builder, profile, section, "needs \"allow\": what may be asked for");
        if (endpoint && !profile->env_url)
                complain(builder, profile, section, "has deliver = endpoint and needs \"env_url\"");
        if (endpoint && !profile->url_host)
                complain(builder, profile, section, "has deliver = endpoint and needs \"url_host\"");
}

void config_egress_finish(ConfigBuilder *builder, ConfigProfile *profile, const ConfigSection *section)
{
        const Preset *preset = preset_for(profile, section);

        check_use(builder, profile, section);
        if (profile->deliver != DELIVER_PROXY && profile->deliver != DELIVER_ENDPOINT) {
                profile->egress = NULL;
                return;
        }
        if (preset)
                take_preset(builder, profile, section, preset);
        if (!section->bad)
                check_whole(builder, profile, section);
}
