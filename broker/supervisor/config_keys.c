#include "supervisor/config_builder.h"
#include "base/clock.h"
#include "base/text.h"
#include "wire/field.h"
#include <stdio.h>

#define ITEM_MAX        512U /* longest item of a list */
#define CALLER_UIDS_MAX 64U
#define TTL_MIN         1U

typedef struct Key {
        const char *name;
        bool list; /* may be given again, which adds to it */
        /* Returns NULL or what is wrong with the value. */
        const char *(*set)(ConfigBuilder *builder, const char *value);
} Key;

static ConfigProfile *profile_of(const ConfigBuilder *builder)
{
        return &builder->config->profiles[builder->current];
}

/* ---- values ---- */

static const char *keep(ConfigBuilder *builder, const char *value, const char **ret)
{
        if (pool_text(&builder->config->pool, slice_text(value), ret) < 0)
                builder->no_memory = true;
        return NULL;
}

/* The index of a name in a NULL-terminated table, or -1. */
static int name_index(const char *const *names, const char *value)
{
        for (int i = 0; names[i]; i++)
                if (strcmp(names[i], value) == 0)
                        return i;
        return -1;
}

static const char *set_bool(const char *value, bool *ret)
{
        if (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0)
                *ret = true;
        else if (strcmp(value, "no") == 0 || strcmp(value, "false") == 0)
                *ret = false;
        else
                return "is \"yes\" or \"no\"";
        return NULL;
}

static const char *set_duration(const char *value, uint64_t max, uint64_t *ret)
{
        uint64_t usec;

        if (text_parse_duration(value, &usec))
                return "is a duration: 90s, 30m, 8h or 7d";
        if (usec / USEC_PER_SEC > max)
                return "is too long";
        *ret = usec / USEC_PER_SEC;
        return NULL;
}

/* Appends to a list in the pool; the array is made at its largest once. */
static const char *append(ConfigBuilder *builder, TextList *list, size_t max, const char *item)
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
        (void)keep(builder, item, &list->items[list->n]);
        list->n += builder->no_memory ? 0 : 1;
        return NULL;
}

/* Calls `add` for each item of a list that commas divide. */
static const char *each_item(ConfigBuilder *builder, const char *value,
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

/* ---- [broker] ---- */

static const char *set_store(ConfigBuilder *builder, const char *value)
{
        int i = name_index(store_kind_names, value);

        if (i < 0)
                return "is auto, secret-service, sealed-file or memory";
        builder->config->broker.store = (uint32_t)i;
        return NULL;
}

static const char *set_group(ConfigBuilder *builder, const char *value)
{
        if (!builder->system_mode)
                return "has a meaning in system mode only";
        return *value ? keep(builder, value, &builder->config->group) : "is empty";
}

static const char *set_ca_file(ConfigBuilder *builder, const char *value)
{
        if (value[0] != '/')
                return "is an absolute path";
        return keep(builder, value, &builder->config->ca_file);
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
        return set_duration(value, CONFIG_MAX_LIFETIME_LIMIT,
                            &builder->config->broker.max_lifetime);
}

static const char *set_landlock(ConfigBuilder *builder, const char *value)
{
        static const char *const names[] = { "optional", "required", NULL };
        int i = name_index(names, value);

        if (i < 0)
                return "is \"required\" or \"optional\"";
        builder->config->require_landlock = i == 1;
        return NULL;
}

/* ---- [profile] ---- */

static const char *set_secret(ConfigBuilder *builder, const char *value)
{
        if (!text_is_name(value))
                return "is a name: lower-case letters, digits, \".\", \"_\" and \"-\", at most 64";
        return keep(builder, value, &profile_of(builder)->secret);
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

        if (item[n] != '/' || !is_word(item, n) || !is_word(item + n + 1, strlen(item + n + 1)))
                return "is a list of owner/name, divided by commas";
        return append(builder, &profile_of(builder)->scope->repositories, LIMIT_REPOSITORIES, item);
}

static const char *set_repositories(ConfigBuilder *builder, const char *value)
{
        return each_item(builder, value, add_repository);
}

static const char *add_permission(ConfigBuilder *builder, char *item)
{
        static const char *const levels[] = { "read", "write", "admin", NULL };
        TextMap *map = &profile_of(builder)->scope->permissions;
        char *level = strchr(item, ':');
        void *items;

        if (level) {
                *level++ = '\0';
                level += strspn(level, " \t");
                item[strcspn(item, " \t")] = '\0';
        }
        if (!level || !text_is_name(item) || name_index(levels, level) < 0)
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
        (void)keep(builder, item, &map->items[map->n].key);
        (void)keep(builder, level, &map->items[map->n].value);
        map->n += builder->no_memory ? 0 : 1;
        return NULL;
}

static const char *set_permissions(ConfigBuilder *builder, const char *value)
{
        return each_item(builder, value, add_permission);
}

static const char *set_ttl(ConfigBuilder *builder, const char *value)
{
        return set_duration(value, CONFIG_MAX_LIFETIME_LIMIT, &profile_of(builder)->ttl);
}

static const char *set_deliver(ConfigBuilder *builder, const char *value)
{
        int i = name_index(delivery_names, value);

        if (i < 0)
                return "is proxy, env, file, endpoint or socket";
        profile_of(builder)->deliver = (uint32_t)i;
        return NULL;
}

/* A variable that changes how programs load or find code is none that carries a token. */
static const char *set_env(ConfigBuilder *builder, const char *value)
{
        if (!text_is_env_name(value))
                return "is the name of an environment variable";
        if (strncmp(value, "MCPCRED_", 8) == 0 || strncmp(value, "LD_", 3) == 0 ||
            strcmp(value, "PATH") == 0 || strcmp(value, "HOME") == 0)
                return "is a variable that has another meaning";
        return keep(builder, value, &profile_of(builder)->env);
}

static const char *set_expose_secret(ConfigBuilder *builder, const char *value)
{
        return set_bool(value, &profile_of(builder)->expose_secret);
}

/* Words divided by blanks; double quotes keep blanks together. */
static const char *set_command(ConfigBuilder *builder, const char *value)
{
        TextList *list = &profile_of(builder)->command;
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
                (void)keep(builder, word, &list->items[list->n]);
                list->n += builder->no_memory ? 0 : 1;
        }
        return list->n > 0 && *list->items[0] ? NULL : "is empty";
}

static const char *add_caller_uid(ConfigBuilder *builder, char *item)
{
        char text[21];
        uint64_t uid;

        if (text_parse_u64(item, &uid) || uid >= UINT32_MAX)
                return "is a list of numeric user ids";
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)uid);
        return append(builder, &profile_of(builder)->caller_uids, CALLER_UIDS_MAX, text);
}

static const char *set_caller_uid(ConfigBuilder *builder, const char *value)
{
        return each_item(builder, value, add_caller_uid);
}

static const char *set_caller_unit(ConfigBuilder *builder, const char *value)
{
        const char *dot = strrchr(value, '.');

        if (strlen(value) > 256 || strchr(value, '/') || !dot || dot == value ||
            (strcmp(dot, ".service") != 0 && strcmp(dot, ".scope") != 0))
                return "is the name of a systemd service or scope";
        return keep(builder, value, &profile_of(builder)->caller_unit);
}

static const Key broker_keys[] = {
        { "store", false, set_store },
        { "group", false, set_group },
        { "ca_file", false, set_ca_file },
        { "max_sessions", false, set_max_sessions },
        { "max_lifetime", false, set_max_lifetime },
        { "landlock", false, set_landlock },
};

static const Key profile_keys[] = {
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
};
_Static_assert(ARRAY_SIZE(profile_keys) <= 32, "ConfigSection.seen has a bit for each");

/* ---- sections ---- */

static const char *source_of(ConfigBuilder *builder, unsigned line)
{
        char text[LIMIT_PATH + 16];
        const char *kept = "";

        (void)snprintf(text, sizeof(text), "%.*s:%u", (int)LIMIT_PATH, builder->file, line);
        (void)keep(builder, text, &kept);
        return kept;
}

static void start_profile(ConfigBuilder *builder, unsigned line, const char *name)
{
        Config *config = builder->config;
        ConfigProfile *profile = &config->profiles[config->n_profiles];
        const char *file = "";
        void *scope;

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
        if (pool_alloc(&config->pool, sizeof(Scope), &scope) < 0) {
                builder->no_memory = true;
                return;
        }
        *profile = (ConfigProfile){ .scope = scope,
                                    .ttl = CONFIG_TTL_DEFAULT,
                                    .deliver = DELIVER_PROXY };
        (void)keep(builder, name, &profile->name);
        (void)keep(builder, builder->file, &file);
        profile->source = source_of(builder, line);
        builder->current = config->n_profiles;
        builder->profiles[builder->current] =
                (ConfigSection){ .source = profile->source, .file = file, .line = line };
        if (builder->no_memory)
                return;
        config->n_profiles++;
        builder->in = SECTION_PROFILE;
}

void config_builder_section(void *userdata, unsigned line, const char *kind, const char *name)
{
        ConfigBuilder *builder = userdata;

        builder->in = SECTION_NONE; /* keys of a section that was refused are not looked at */
        if (strcmp(kind, "broker") == 0 && !*name)
                builder->in = SECTION_BROKER;
        else if (strcmp(kind, "profile") == 0)
                start_profile(builder, line, name);
        else
                problems_add(builder->problems, builder->file, line,
                             "unknown section [%s%s%s]: there are [broker] and [profile NAME]",
                             kind, *name ? " " : "", name);
}

void config_builder_key(void *userdata, unsigned line, const char *name, const char *value)
{
        ConfigBuilder *builder = userdata;
        bool broker = builder->in == SECTION_BROKER;
        const Key *keys = broker ? broker_keys : profile_keys;
        size_t n = broker ? ARRAY_SIZE(broker_keys) : ARRAY_SIZE(profile_keys);
        ConfigSection *section;
        const char *wrong;

        if (builder->in == SECTION_NONE)
                return;
        section = broker ? &builder->broker : &builder->profiles[builder->current];
        for (size_t i = 0; i < n; i++) {
                if (strcmp(keys[i].name, name) != 0)
                        continue;
                if (section->seen & UINT32_C(1) << i && !keys[i].list) {
                        problems_add(builder->problems, builder->file, line,
                                     "\"%s\" is given twice", name);
                        return;
                }
                section->seen |= UINT32_C(1) << i;
                wrong = keys[i].set(builder, value);
                if (wrong)
                        problems_add(builder->problems, builder->file, line, "%s = %s: %s", name,
                                     value, wrong);
                return;
        }
        problems_add(builder->problems, builder->file, line, "unknown key \"%s\" in [%s]", name,
                     broker ? "broker" : "profile");
}

static bool was_given(const ConfigSection *section, const char *name)
{
        for (size_t i = 0; i < ARRAY_SIZE(profile_keys); i++)
                if (strcmp(profile_keys[i].name, name) == 0)
                        return (section->seen & UINT32_C(1) << i) != 0;
        return false;
}

void config_builder_finish(ConfigBuilder *builder)
{
        const Config *config = builder->config;

        for (size_t i = 0; i < config->n_profiles; i++) {
                const ConfigProfile *profile = &config->profiles[i];
                const ConfigSection *section = &builder->profiles[i];

                if (!was_given(section, "secret"))
                        problems_add(builder->problems, section->file, section->line,
                                     "profile \"%s\" needs \"secret\"", profile->name);
                if (profile->deliver == DELIVER_ENV && !was_given(section, "env"))
                        problems_add(builder->problems, section->file, section->line,
                                     "profile \"%s\" has deliver = env and needs \"env\"",
                                     profile->name);
                if (profile->expose_secret && profile->deliver == DELIVER_PROXY)
                        problems_add(builder->problems, section->file, section->line,
                                     "profile \"%s\": expose_secret is for deliver = env, file or "
                                     "socket",
                                     profile->name);
        }
}
