#include "supervisor/config_builder.h"
#include "base/clock.h"
#include "base/text.h"
#include "ipc/channel.h"
#include "wire/field.h"
#include <stdio.h>

#define ITEM_MAX        512U /* longest item of a list */
#define CALLER_UIDS_MAX 64U
#define PROFILE_SIZE_MAX (CHANNEL_FRAME_MAX - 8192U)

ConfigProfile *config_profile(const ConfigBuilder *builder)
{
        return &builder->config->profiles[builder->current];
}

ConfigSection *config_section(const ConfigBuilder *builder)
{
        return builder->in == SECTION_SECRET ? &builder->secrets[builder->current] : &builder->profiles[builder->current];
}

/* ---- values ---- */

const char *config_keep(ConfigBuilder *builder, const char *value, const char **ret)
{
        if (pool_text(&builder->config->pool, slice_text(value), ret) < 0)
                builder->no_memory = true;
        return NULL;
}

int config_name_index(const char *const *names, const char *value)
{
        for (int i = 0; names[i]; i++)
                if (strcmp(names[i], value) == 0)
                        return i;
        return -1;
}

const char *config_set_bool(const char *value, bool *ret)
{
        if (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0)
                *ret = true;
        else if (strcmp(value, "no") == 0 || strcmp(value, "false") == 0)
                *ret = false;
        else
                return "is \"yes\" or \"no\"";
        return NULL;
}

const char *config_set_duration(const char *value, uint64_t min, uint64_t max, uint64_t *ret)
{
        uint64_t usec;

        if (text_parse_duration(value, &usec))
                return "is a duration: 90s, 30m, 8h or 7d";
        if (usec / USEC_PER_SEC < min)
                return "is too short";
        if (usec / USEC_PER_SEC > max)
                return "is too long";
        *ret = usec / USEC_PER_SEC;
        return NULL;
}

const char *config_set_size(const char *value, uint64_t min, uint64_t max, uint64_t *ret)
{
        static const char units[] = "KMG";
        uint64_t size, factor = 1;
        size_t n = strlen(value);
        const char *unit = n > 0 ? strchr(units, value[n - 1]) : NULL;
        char number[24];

        n -= unit ? 1 : 0;
        for (const char *u = units; unit && u <= unit; u++)
                factor *= 1024;
        if (n == 0 || n >= sizeof(number))
                return "is a number of bytes: 500K, 10M or 1G";
        memcpy(number, value, n);
        number[n] = '\0';
        if (text_parse_u64(number, &size))
                return "is a number of bytes: 500K, 10M or 1G";
        if (size > max / factor)
                return "is too large";
        if (size * factor < min)
                return "is too small";
        *ret = size * factor;
        return NULL;
}

const char *config_append(ConfigBuilder *builder, TextList *list, size_t max, const char *item)
{
        void *items;

        if (!list->items) {
                if (pool_alloc(&builder->config->pool, max * sizeof(*list->items), &items) < 0) {
                        builder->no_memory = true;
                        return NULL;
                }
                list->items = items;
        }
        if (list->n >= max)
                return "has too many items";
        for (size_t i = 0; i < list->n; i++)
                if (strcmp(list->items[i], item) == 0)
                        return "names the same thing twice";
        (void)config_keep(builder, item, &list->items[list->n]);
        list->n += builder->no_memory ? 0 : 1;
        return NULL;
}

const char *config_each_item(ConfigBuilder *builder, const char *value,
                             const char *(*add)(ConfigBuilder *builder, char *item))
{
        const char *wrong = NULL;

        if (!*value)
                return "is empty";
        for (bool more = true; more && !wrong;) {
                size_t n = strcspn(value, ",");
                char item[ITEM_MAX + 1];
                const char *start = value;

                more = value[n] == ',';
                value += more ? n + 1 : n;
                for (; n > 0 && (*start == ' ' || *start == '\t'); n--)
                        start++;
                while (n > 0 && (start[n - 1] == ' ' || start[n - 1] == '\t'))
                        n--;
                if (n == 0)
                        return "has an empty item";
                if (n > ITEM_MAX)
                        return "has an item that is too long";
                memcpy(item, start, n);
                item[n] = '\0';
                wrong = add(builder, item);
        }
        return wrong;
}

const char *config_set_words(ConfigBuilder *builder, const char *value, TextList *list)
{
        char word[LIMIT_PATH];
        void *items;

        if (pool_alloc(&builder->config->pool, LIMIT_ARGV * sizeof(*list->items), &items) < 0) {
                builder->no_memory = true;
                return NULL;
        }
        list->items = items;
        for (value += strspn(value, " \t"); *value; value += strspn(value, " \t")) {
                bool quoted = false;
                size_t n = 0;

                for (; *value && (quoted || (*value != ' ' && *value != '\t')); value++) {
                        if (*value == '"')
                                quoted = !quoted;
                        else if (n < sizeof(word) - 1)
                                word[n++] = *value;
                }
                word[n] = '\0';
                if (quoted)
                        return "has a quotation mark without its partner";
                if (list->n >= LIMIT_ARGV)
                        return "has too many words";
                (void)config_keep(builder, word, &list->items[list->n]);
                list->n += builder->no_memory ? 0 : 1;
        }
        return builder->no_memory || (list->n > 0 && *list->items[0]) ? NULL : "is empty";
}

/* ---- [broker] ---- */

static const char *set_store(ConfigBuilder *builder, const char *value)
{
        int i = config_name_index(store_kind_names, value);

        if (i < 0)
                return "is auto, secret-service, sealed-file or memory";
        builder->config->broker.store = (uint32_t)i;
        return NULL;
}

static const char *set_group(ConfigBuilder *builder, const char *value)
{
        if (!builder->system_mode)
                return "has a meaning in system mode only";
        return *value ? config_keep(builder, value, &builder->config->group) : "is empty";
}

static const char *set_ca_file(ConfigBuilder *builder, const char *value)
{
        if (value[0] != '/')
                return "is an absolute path";
        return config_keep(builder, value, &builder->config->ca_file);
}

/* Addresses are fine here, and a name is whatever its resolver makes of it. */
static const char *set_upstream_proxy(ConfigBuilder *builder, const char *value)
{
        static const char scheme[] = "http://";
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
        const char *host = value + strlen(scheme);
        const char *colon = strrchr(value, ':');
        uint64_t port;

        if (strlen(value) > LIMIT_URL || strncmp(value, scheme, strlen(scheme)) != 0 || !colon || colon <= host ||
            text_parse_u64(colon + 1, &port) || port < 1 || port > UINT16_MAX)
                return "is http://HOST:PORT";
        if (strspn(host, letters) != (size_t)(colon - host) &&
            !(host[0] == '[' && strspn(host + 1, "0123456789abcdefABCDEF:.") == (size_t)(colon - host) - 2 &&
              colon[-1] == ']'))
                return "is http://HOST:PORT, without a user, a path or anything else";
        return config_keep(builder, value, &builder->config->upstream_proxy);
}

static const char *set_max_sessions(ConfigBuilder *builder, const char *value)
{
        uint64_t n;

        if (text_parse_u64(value, &n) || n < 1 || n > CONFIG_MAX_SESSIONS_LIMIT)
                return "is a number from 1 to 4096";
        builder->config->broker.max_sessions = n;
        return NULL;
}

static const char *set_max_lifetime(ConfigBuilder *builder, const char *value)
{
        return config_set_duration(value, 1, CONFIG_MAX_LIFETIME_LIMIT, &builder->config->broker.max_lifetime);
}

static const char *set_landlock(ConfigBuilder *builder, const char *value)
{
        static const char *const names[] = { "optional", "required", NULL };
        int i = config_name_index(names, value);

        if (i < 0)
                return "is \"required\" or \"optional\"";
        builder->config->require_landlock = i == 1;
        return NULL;
}

static const char *set_audit_max_size(ConfigBuilder *builder, const char *value)
{
        return config_set_size(value, CONFIG_AUDIT_MAX_SIZE_MIN, CONFIG_AUDIT_MAX_SIZE_LIMIT,
                               &builder->config->broker.audit_max_size);
}

static const char *set_audit_keep(ConfigBuilder *builder, const char *value)
{
        uint64_t n = 0;

        if (strcmp(value, "all") != 0 && (text_parse_u64(value, &n) || n < 1 || n > CONFIG_AUDIT_KEEP_LIMIT))
                return "is a number of files from 1 to 1000, or all";
        builder->config->broker.audit_keep = n;
        return NULL;
}

/* ---- [profile] ---- */

static const char *set_secret(ConfigBuilder *builder, const char *value)
{
        if (!text_is_name(value))
                return "is a name: lower-case letters, digits, \".\", \"_\" and \"-\", at most 64";
        return config_keep(builder, value, &config_profile(builder)->secret);
}

static bool is_word(const char *text, size_t n)
{
        if (n == 0 || (n <= 2 && strspn(text, ".") >= n))
                return false;
        for (size_t i = 0; i < n; i++) {
                bool alnum = (text[i] >= 'a' && text[i] <= 'z') ||
                             (text[i] >= 'A' && text[i] <= 'Z') ||
                             (text[i] >= '0' && text[i] <= '9');

                if (!alnum && !strchr("._-", text[i]))
                        return false;
        }
        return true;
}

static const char *add_repository(ConfigBuilder *builder, char *item)
{
        size_t n = strcspn(item, "/");
        const char *word = item;

        /* GitLab has groups in groups; what GitHub does not take is refused with the secret's provider. */
        for (; word[n] == '/'; word += n + 1, n = strcspn(word, "/"))
                if (!is_word(word, n))
                        return "is a list of owner/name, divided by commas";
        if (word == item || !is_word(word, n))
                return "is a list of owner/name, divided by commas";
        return config_append(builder, &config_profile(builder)->scope->repositories, LIMIT_REPOSITORIES, item);
}

static const char *set_repositories(ConfigBuilder *builder, const char *value)
{
        return config_each_item(builder, value, add_repository);
}

static const char *add_permission(ConfigBuilder *builder, char *item)
{
        static const char *const levels[] = { "read", "write", "admin", NULL };
        TextMap *map = &config_profile(builder)->scope->permissions;
        char *level = strchr(item, ':');
        void *items;

        if (level) {
                *level++ = '\0';
                level += strspn(level, " \t");
                item[strcspn(item, " \t")] = '\0';
        }
        if (!level || !text_is_name(item) || config_name_index(levels, level) < 0)
                return "is a list of name:read, name:write or name:admin, divided by commas";
        if (!map->items) {
                if (pool_alloc(&builder->config->pool, LIMIT_PERMISSIONS * sizeof(*map->items),
                               &items) < 0) {
                        builder->no_memory = true;
                        return NULL;
                }
                map->items = items;
        }
        if (map->n >= LIMIT_PERMISSIONS)
                return "has too many items";
        for (size_t i = 0; i < map->n; i++)
                if (strcmp(map->items[i].key, item) == 0)
                        return "names the same permission twice";
        (void)config_keep(builder, item, &map->items[map->n].key);
        (void)config_keep(builder, level, &map->items[map->n].value);
        map->n += builder->no_memory ? 0 : 1;
        return NULL;
}

static const char *set_permissions(ConfigBuilder *builder, const char *value)
{
        return config_each_item(builder, value, add_permission);
}

static const char *set_ttl(ConfigBuilder *builder, const char *value)
{
        return config_set_duration(value, 1, CONFIG_MAX_LIFETIME_LIMIT, &config_profile(builder)->ttl);
}

static const char *set_deliver(ConfigBuilder *builder, const char *value)
{
        int i = config_name_index(delivery_names, value);

        if (i < 0)
                return "is proxy, env, file, endpoint or socket";
        config_profile(builder)->deliver = (uint32_t)i;
        return NULL;
}

/* A variable that changes how programs load or find code is none that carries a token. */
const char *config_check_variable(const char *name)
{
        if (!text_is_env_name(name))
                return "is the name of an environment variable";
        if (strncmp(name, "MCPCRED_", 8) == 0 || strncmp(name, "LD_", 3) == 0 ||
            strcmp(name, "PATH") == 0 || strcmp(name, "HOME") == 0)
                return "is a variable that has another meaning";
        return NULL;
}

static const char *set_env(ConfigBuilder *builder, const char *value)
{
        const char *wrong = config_check_variable(value);

        return wrong ? wrong : config_keep(builder, value, &config_profile(builder)->env);
}

static const char *set_expose_secret(ConfigBuilder *builder, const char *value)
{
        return config_set_bool(value, &config_profile(builder)->expose_secret);
}

static const char *set_command(ConfigBuilder *builder, const char *value)
{
        return config_set_words(builder, value, &config_profile(builder)->command);
}

static const char *add_caller_uid(ConfigBuilder *builder, char *item)
{
        char text[21];
        uint64_t uid;

        if (text_parse_u64(item, &uid) || uid >= UINT32_MAX)
                return "is a list of numeric user ids";
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)uid);
        return config_append(builder, &config_profile(builder)->caller_uids, CALLER_UIDS_MAX, text);
}

static const char *set_caller_uid(ConfigBuilder *builder, const char *value)
{
        return config_each_item(builder, value, add_caller_uid);
}

static const char *set_caller_unit(ConfigBuilder *builder, const char *value)
{
        const char *dot = strrchr(value, '.');

        if (strlen(value) > 256 || strchr(value, '/') || !dot || dot == value ||
            (strcmp(dot, ".service") != 0 && strcmp(dot, ".scope") != 0))
                return "is the name of a systemd service or scope";
        return config_keep(builder, value, &config_profile(builder)->caller_unit);
}

static const ConfigKey broker_keys[] = {
        { "store", false, set_store },
        { "group", false, set_group },
        { "ca_file", false, set_ca_file },
        { "upstream_proxy", false, set_upstream_proxy },
        { "max_sessions", false, set_max_sessions },
        { "max_lifetime", false, set_max_lifetime },
        { "landlock", false, set_landlock },
        { "notify", false, config_set_notify },
        { "audit_max_size", false, set_audit_max_size },
        { "audit_keep", false, set_audit_keep },
};

static const ConfigKey profile_keys[] = {
        { "secret", false, set_secret },
        { "repositories", true, set_repositories },
        { "permissions", true, set_permissions },
        { "ttl", false, set_ttl },
        { "deliver", false, set_deliver },
        { "env", false, set_env },
        { "expose_secret", false, set_expose_secret },
        { "command", false, set_command },
        { "caller_uid", true, set_caller_uid },
        { "caller_unit", false, set_caller_unit },
        { "on_leak", false, config_set_on_leak },
        { "canary", false, config_set_canary },
};
/* ConfigSection.seen: those of the section itself have the lower half, those of the proxy the upper. */
#define EGRESS_BIT 32U
_Static_assert(ARRAY_SIZE(profile_keys) <= EGRESS_BIT && ARRAY_SIZE(broker_keys) <= EGRESS_BIT, "a bit for each");

static const ConfigKey *find_key(const ConfigKey *keys, size_t n, const char *name, unsigned *bit)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(keys[i].name, name) == 0) {
                        *bit += (unsigned)i;
                        return &keys[i];
                }
        return NULL;
}

static const ConfigKey *find_profile_key(const char *name, unsigned *ret_bit)
{
        const ConfigKey *key;

        *ret_bit = 0;
        key = find_key(profile_keys, ARRAY_SIZE(profile_keys), name, ret_bit);
        if (!key) {
                *ret_bit = EGRESS_BIT;
                key = find_key(config_egress_keys, n_config_egress_keys, name, ret_bit);
        }
        return key;
}

bool config_was_given(const ConfigSection *section, const char *name)
{
        unsigned bit;

        return find_profile_key(name, &bit) && (section->seen & UINT64_C(1) << bit);
}

/* ---- sections ---- */

static const char *source_of(ConfigBuilder *builder, unsigned line)
{
        char text[LIMIT_PATH + 16];
        const char *kept = "";

        (void)snprintf(text, sizeof(text), "%.*s:%u", (int)LIMIT_PATH, builder->file, line);
        (void)config_keep(builder, text, &kept);
        return kept;
}

static void start_profile(ConfigBuilder *builder, unsigned line, const char *name)
{
        Config *config = builder->config;
        ConfigProfile *profile = &config->profiles[config->n_profiles];
        const char *file = "";
        void *scope, *egress;

        if (!text_is_name(name)) {
                problems_add(builder->problems, builder->file, line,
                             "a profile's name has lower-case letters, digits, \".\", \"_\" and "
                             "\"-\", at most 64");
                return;
        }
        for (size_t i = 0; i < config->n_profiles; i++)
                if (strcmp(config->profiles[i].name, name) == 0) {
                        problems_add(builder->problems, builder->file, line,
                                     "profile \"%s\" is at %s already", name,
                                     config->profiles[i].source);
                        return;
                }
        if (config->n_profiles >= CONFIG_PROFILES_MAX) {
                problems_add(builder->problems, builder->file, line,
                             "there are more than %u profiles", CONFIG_PROFILES_MAX);
                return;
        }
        if (pool_alloc(&config->pool, sizeof(Scope), &scope) < 0 ||
            pool_alloc(&config->pool, sizeof(EgressPolicy), &egress) < 0) {
                builder->no_memory = true;
                return;
        }
        *profile = (ConfigProfile){ .scope = scope,
                                    .egress = egress,
                                    .ttl = CONFIG_TTL_DEFAULT,
                                    .on_leak = LEAK_ACTIONS_DEFAULT,
                                    .deliver = DELIVER_PROXY };
        (void)config_keep(builder, name, &profile->name);
        (void)config_keep(builder, builder->file, &file);
        profile->source = source_of(builder, line);
        builder->current = config->n_profiles;
        builder->profiles[builder->current] =
                (ConfigSection){ .source = profile->source, .file = file, .line = line };
        if (builder->no_memory)
                return;
        config->n_profiles++;
        builder->in = SECTION_PROFILE;
}

static void start_secret(ConfigBuilder *builder, unsigned line, const char *name)
{
        Config *config = builder->config;
        ConfigSecret *secret = &config->secrets[config->n_secrets];
        const char *file = "";

        if (!text_is_name(name)) {
                problems_add(builder->problems, builder->file, line,
                             "a secret's name has lower-case letters, digits, \".\", \"_\" and "
                             "\"-\", at most 64");
                return;
        }
        for (size_t i = 0; i < config->n_secrets; i++)
                if (strcmp(config->secrets[i].name, name) == 0) {
                        problems_add(builder->problems, builder->file, line, "secret \"%s\" is at %s already", name,
                                     config->secrets[i].source);
                        return;
                }
        if (config->n_secrets >= CONFIG_SECRETS_MAX) {
                problems_add(builder->problems, builder->file, line, "there are more than %u secrets",
                             CONFIG_SECRETS_MAX);
                return;
        }
        *secret = (ConfigSecret){ .on_leak = LEAK_ACTIONS_DEFAULT, .grace = SECRET_GRACE_DEFAULT };
        (void)config_keep(builder, name, &secret->name);
        (void)config_keep(builder, builder->file, &file);
        secret->source = source_of(builder, line);
        builder->current = config->n_secrets;
        builder->secrets[builder->current] =
                (ConfigSection){ .source = secret->source, .file = file, .line = line };
        if (builder->no_memory)
                return;
        config->n_secrets++;
        builder->in = SECTION_SECRET;
}

void config_builder_section(void *userdata, unsigned line, const char *kind, const char *name)
{
        ConfigBuilder *builder = userdata;

        builder->in = SECTION_NONE; /* keys of a section that was refused are not looked at */
        if (strcmp(kind, "broker") == 0 && !*name)
                builder->in = SECTION_BROKER;
        else if (strcmp(kind, "profile") == 0)
                start_profile(builder, line, name);
        else if (strcmp(kind, "secret") == 0)
                start_secret(builder, line, name);
        else
                problems_add(builder->problems, builder->file, line,
                             "unknown section [%s%s%s]: there are [broker], [secret NAME] and [profile NAME]",
                             kind, *name ? " " : "", name);
}

static const ConfigKey *find_section_key(const ConfigBuilder *builder, const char *name, unsigned *ret_bit)
{
        *ret_bit = 0;
        if (builder->in == SECTION_BROKER)
                return find_key(broker_keys, ARRAY_SIZE(broker_keys), name, ret_bit);
        if (builder->in == SECTION_SECRET)
                return find_key(config_secret_keys, n_config_secret_keys, name, ret_bit);
        return find_profile_key(name, ret_bit);
}

void config_builder_key(void *userdata, unsigned line, const char *name, const char *value)
{
        static const char *const kinds[] = { "", "broker", "profile", "secret" };
        ConfigBuilder *builder = userdata;
        ConfigSection *section;
        const ConfigKey *key;
        const char *wrong;
        unsigned bit;

        if (builder->in == SECTION_NONE)
                return;
        section = builder->in == SECTION_BROKER ? &builder->broker : config_section(builder);
        key = find_section_key(builder, name, &bit);
        section->bad |= key == NULL;
        if (!key) {
                problems_add(builder->problems, builder->file, line, "unknown key \"%s\" in [%s]", name,
                             kinds[builder->in]);
                return;
        }
        if (section->seen & UINT64_C(1) << bit && !key->list) {
                problems_add(builder->problems, builder->file, line, "\"%s\" is given twice", name);
                section->bad = true;
                return;
        }
        section->seen |= UINT64_C(1) << bit;
        builder->line = line;
        wrong = key->set(builder, value);
        section->bad |= wrong != NULL;
        if (wrong)
                problems_add(builder->problems, builder->file, line, "%s = %s: %s", name, value, wrong);
}

/* It has to fit one message to the vault, and the vault's one about it. */
static void check_size(ConfigBuilder *builder, const ConfigProfile *profile, const ConfigSection *section)
{
        Buf buf = BUF_NULL(PROFILE_SIZE_MAX);

        if (schema_encode(&schema_config_profile, profile, &buf) == -ENOBUFS)
                problems_add(builder->problems, section->file, section->line,
                             "profile \"%s\" is too large: all its lists together have at most %u bytes",
                             profile->name, PROFILE_SIZE_MAX);
        buf_deinit(&buf);
        if (!profile->egress || problems_any(builder->problems))
                return;
        buf = BUF_NULL(EGRESS_POLICY_SIZE_MAX);
        if (schema_encode(&schema_egress_policy, profile->egress, &buf) == -ENOBUFS)
                problems_add(builder->problems, section->file, section->line,
                             "profile \"%s\" has too many rules: those of allow and deny together, with the preset's, "
                             "have at most %u bytes",
                             profile->name, EGRESS_POLICY_SIZE_MAX);
        buf_deinit(&buf);
}

void config_builder_finish(ConfigBuilder *builder)
{
        const Config *config = builder->config;

        for (size_t i = 0; i < config->n_profiles; i++) {
                ConfigProfile *profile = &config->profiles[i];
                ConfigSection *section = &builder->profiles[i];

                if (!config_was_given(section, "secret"))
                        problems_add(builder->problems, section->file, section->line,
                                     "profile \"%s\" needs \"secret\"", profile->name);
                if (profile->deliver == DELIVER_ENV && !config_was_given(section, "env"))
                        problems_add(builder->problems, section->file, section->line,
                                     "profile \"%s\" has deliver = env and needs \"env\"",
                                     profile->name);
                if (profile->expose_secret &&
                    (profile->deliver == DELIVER_PROXY || profile->deliver == DELIVER_ENDPOINT)) {
                        problems_add(builder->problems, section->file, section->line,
                                     "profile \"%s\": expose_secret is for deliver = env, file or "
                                     "socket",
                                     profile->name);
                        section->bad = true;
                }
                config_egress_finish(builder, profile, section);
                config_canary_finish(builder, profile, section);
                if (!problems_any(builder->problems))
                        check_size(builder, profile, section);
        }        for (size_t i = 0; i < config->n_secrets; i++)
                config_secret_finish(builder, &config->secrets[i], &builder->secrets[i]);
}
