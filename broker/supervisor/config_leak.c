/* Keys about leaks: what is done, who hears of it, and how secrets age. */
#include "base/text.h"
#include "supervisor/config_builder.h"
#include "wire/field.h"

/* ---- on_leak ---- */

typedef struct Actions {
        uint64_t bits;
        bool none;
} Actions;

static const char *add_action(Actions *actions, const char *item)
{
        int i = config_name_index(leak_action_names, item);

        if (strcmp(item, "none") == 0)
                actions->none = true;
        else if (i < 0)
                return "is a list of revoke, end-session, revoke-upstream, rotate and notify, or none";
        else if (actions->bits & UINT64_C(1) << i)
                return "names the same thing twice";
        else
                actions->bits |= UINT64_C(1) << i;
        return actions->none && actions->bits ? "has none beside something" : NULL;
}

/* config_each_item() hands over the builder alone: one list for each kind of section. */
static const char *add_profile_action(ConfigBuilder *builder, char *item)
{
        ConfigProfile *profile = config_profile(builder);
        Actions actions = { .bits = profile->on_leak, .none = builder->on_leak_none };
        const char *wrong = add_action(&actions, item);

        profile->on_leak = actions.bits;
        builder->on_leak_none = actions.none;
        return wrong;
}

const char *config_set_on_leak(ConfigBuilder *builder, const char *value)
{
        config_profile(builder)->on_leak = 0;
        builder->on_leak_none = false;
        return config_each_item(builder, value, add_profile_action);
}

/* ---- canary ---- */

const char *config_set_canary(ConfigBuilder *builder, const char *value)
{
        const char *wrong = config_check_free_variable(value);

        return wrong ? wrong : config_keep(builder, value, &config_profile(builder)->canary);
}

/* A variable that the session has a use for would carry the canary where its handle belongs. */
void config_canary_finish(ConfigBuilder *builder, const ConfigProfile *profile, const ConfigSection *section)
{
        const char *canary = profile->canary;

        if (!canary)
                return;
        if ((profile->env && strcmp(canary, profile->env) == 0) ||
            (profile->env_url && strcmp(canary, profile->env_url) == 0) || text_map_get(&profile->variables, canary))
                problems_add(builder->problems, section->file, section->line,
                             "profile \"%s\": canary = %s: is a variable that the profile sets already, itself or by "
                             "its preset",
                             profile->name, canary);
}

/* ---- notify ---- */

const char *config_set_notify(ConfigBuilder *builder, const char *value)
{
        TextList *list = &builder->config->notify;
        const char *wrong = config_set_words(builder, value, list);

        if (wrong || builder->no_memory)
                return wrong;
        if (list->items[0][0] != '/')
                return "begins with the absolute path of a program";
        builder->config->broker.has_notify = true;
        builder->notify_line = builder->line;
        return config_keep(builder, builder->file, &builder->notify_file);
}

/* ---- [secret] ---- */

static ConfigSecret *secret_of(const ConfigBuilder *builder)
{
        return &builder->config->secrets[builder->current];
}

static const char *set_rotate_every(ConfigBuilder *builder, const char *value)
{
        return config_set_duration(value, CONFIG_ROTATE_EVERY_MIN, CONFIG_AGE_LIMIT, &secret_of(builder)->rotate_every);
}

static const char *set_max_age(ConfigBuilder *builder, const char *value)
{
        return config_set_duration(value, CONFIG_MAX_AGE_MIN, CONFIG_AGE_LIMIT, &secret_of(builder)->max_age);
}

static const char *set_grace(ConfigBuilder *builder, const char *value)
{
        return config_set_duration(value, 1, CONFIG_GRACE_LIMIT, &secret_of(builder)->grace);
}

static const char *add_secret_action(ConfigBuilder *builder, char *item)
{
        ConfigSecret *secret = secret_of(builder);
        Actions actions = { .bits = secret->on_leak, .none = builder->on_leak_none };
        const char *wrong = add_action(&actions, item);

        secret->on_leak = actions.bits;
        builder->on_leak_none = actions.none;
        return wrong;
}

static const char *set_secret_on_leak(ConfigBuilder *builder, const char *value)
{
        secret_of(builder)->on_leak = 0;
        builder->on_leak_none = false;
        return config_each_item(builder, value, add_secret_action);
}

static const char *set_revoke_upstream(ConfigBuilder *builder, const char *value)
{
        return config_set_bool(value, &secret_of(builder)->revoke_upstream);
}

const ConfigKey config_secret_keys[] = {
        { "rotate_every", false, set_rotate_every },
        { "max_age", false, set_max_age },
        { "grace", false, set_grace },
        { "on_leak", false, set_secret_on_leak },
        { "revoke_upstream", false, set_revoke_upstream },
};
const size_t n_config_secret_keys = ARRAY_SIZE(config_secret_keys);
_Static_assert(ARRAY_SIZE(config_secret_keys) <= 64, "ConfigSection.seen has a bit for each");

void config_secret_finish(ConfigBuilder *builder, const ConfigSecret *secret, const ConfigSection *section)
{
        if (section->bad || secret->rotate_every == 0)
                return;
        if (secret->grace >= secret->rotate_every)
                problems_add(builder->problems, section->file, section->line,
                             "secret \"%s\": grace is shorter than rotate_every, or the old value never dies",
                             secret->name);
        if (secret->max_age > 0 && secret->max_age < secret->rotate_every)
                problems_add(builder->problems, section->file, section->line,
                             "secret \"%s\": max_age is not shorter than rotate_every, or each value gets too old",
                             secret->name);
}
