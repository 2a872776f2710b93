#include "vault/policy.h"
#include "base/text.h"
#include <strings.h>

/* Bytes that all profiles of a configuration may take. */
#define POLICY_POOL_MAX (16U * 1024U * 1024U)

struct Policy {
        unsigned n_refs;
        ConfigureRequest settings;
        Pool pool;
        ConfigProfile profiles[POLICY_PROFILES_MAX];
        size_t n_profiles;
        ConfigSecret secrets[POLICY_SECRETS_MAX];
        size_t n_secrets;
};

int policy_new(Policy **ret, const ConfigureRequest *config)
{
        Policy *policy = calloc(1, sizeof(*policy));

        if (!policy)
                return -ENOMEM;
        policy->n_refs = 1;
        policy->settings = *config;
        policy->pool = POOL_NULL(POLICY_POOL_MAX);
        *ret = policy;
        return 0;
}

Policy *policy_ref(Policy *policy)
{
        policy->n_refs++;
        return policy;
}

Policy *policy_unref(Policy *policy)
{
        if (!policy || --policy->n_refs > 0)
                return NULL;
        pool_deinit(&policy->pool);
        free(policy);
        return NULL;
}

int policy_add(Policy *policy, const ConfigProfile *profile)
{
        Buf buf = BUF_NULL(CHANNEL_FRAME_MAX);
        int r;

        if (policy->n_profiles == POLICY_PROFILES_MAX)
                return -ENOBUFS;
        r = schema_encode(&schema_config_profile, profile, &buf);
        if (r == 0)
                r = error_fold(schema_decode(&schema_config_profile, buf_slice(&buf), NULL, &policy->pool,
                                             &policy->profiles[policy->n_profiles], NULL));
        buf_deinit(&buf);
        if (r == 0)
                policy->n_profiles++;
        return r;
}

int policy_add_secret(Policy *policy, const ConfigSecret *secret)
{
        Buf buf = BUF_NULL(CHANNEL_FRAME_MAX);
        int r;

        if (policy->n_secrets == POLICY_SECRETS_MAX)
                return -ENOBUFS;
        r = schema_encode(&schema_config_secret, secret, &buf);
        if (r == 0)
                r = error_fold(schema_decode(&schema_config_secret, buf_slice(&buf), NULL, &policy->pool,
                                             &policy->secrets[policy->n_secrets], NULL));
        buf_deinit(&buf);
        if (r == 0)
                policy->n_secrets++;
        return r;
}

const ConfigSecret *policy_secret(const Policy *policy, const char *name)
{
        static const ConfigSecret defaults = { .on_leak = LEAK_ACTIONS_DEFAULT, .grace = SECRET_GRACE_DEFAULT };

        for (size_t i = 0; i < policy->n_secrets; i++)
                if (strcmp(policy->secrets[i].name, name) == 0)
                        return &policy->secrets[i];
        return &defaults;
}

size_t policy_secret_count(const Policy *policy)
{
        return policy->n_secrets;
}

const ConfigSecret *policy_secret_at(const Policy *policy, size_t index)
{
        return index < policy->n_secrets ? &policy->secrets[index] : NULL;
}

size_t policy_count(const Policy *policy)
{
        return policy->n_profiles;
}

const ConfigProfile *policy_at(const Policy *policy, size_t index)
{
        return &policy->profiles[index];
}

const ConfigProfile *policy_find(const Policy *policy, const char *name)
{
        for (size_t i = 0; i < policy->n_profiles; i++)
                if (strcmp(policy->profiles[i].name, name) == 0)
                        return &policy->profiles[i];
        return NULL;
}

const ConfigureRequest *policy_settings(const Policy *policy)
{
        return &policy->settings;
}

static bool uid_is_listed(const TextList *uids, uint64_t uid)
{
        for (size_t i = 0; i < uids->n; i++) {
                uint64_t listed;

                if (text_parse_u64(uids->items[i], &listed) == 0 && listed == uid)
                        return true;
        }
        return false;
}

static bool same_words(const TextList *a, const TextList *b)
{
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (strcmp(a->items[i], b->items[i]) != 0)
                        return false;
        return true;
}

bool policy_leaves(const ConfigProfile *profile)
{
        return profile->deliver == DELIVER_PROXY || profile->deliver == DELIVER_ENDPOINT;
}

bool policy_can_deliver(const ConfigProfile *profile)
{
        return !policy_leaves(profile) || profile->egress;
}

bool policy_exposes(const ConfigProfile *profile)
{
        return profile->expose_secret && profile->command.n > 0 && profile->deliver == DELIVER_ENV;
}

bool policy_admits(const ConfigProfile *profile, const Caller *caller, const TextList *command,
                   Failure *failure)
{
        if (profile->caller_uids.n > 0 && !uid_is_listed(&profile->caller_uids, caller->uid)) {
                failure_set(failure, FAULT_POLICY_DENIED, "Profile %s is not for uid %llu.", profile->name,
                            (unsigned long long)caller->uid);
                return false;
        }
        if (profile->caller_unit && (!caller->unit || strcmp(caller->unit, profile->caller_unit) != 0)) {
                failure_set(failure, FAULT_POLICY_DENIED, "Profile %s is for callers in unit %s alone.",
                            profile->name, profile->caller_unit);
                return false;
        }
        if (profile->command.n > 0 && !same_words(&profile->command, command)) {
                failure_set(failure, FAULT_POLICY_DENIED,
                            "Profile %s is pinned to another command than the one to be run.", profile->name);
                return false;
        }
        return true;
}

/* 0 for a word that is no level. */
static int level_of(const char *level)
{
        static const char *const levels[] = { "read", "write", "admin" };

        for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
                if (strcmp(levels[i], level) == 0)
                        return (int)i + 1;
        return 0;
}

/* GitHub's names do not tell case apart. */
static bool has_repository(const TextList *list, const char *repository)
{
        for (size_t i = 0; i < list->n; i++)
                if (strcasecmp(list->items[i], repository) == 0)
                        return true;
        return false;
}

static int permitted_level(const TextMap *map, const char *permission)
{
        const char *level = text_map_get(map, permission);

        if (level)
                return level_of(level);
        return strcmp(permission, "metadata") == 0 ? level_of("read") : 0;
}

bool policy_scope_within(const Scope *inner, const Scope *outer, const char **ret_excess)
{
        for (size_t i = 0; i < inner->repositories.n; i++)
                if (!has_repository(&outer->repositories, inner->repositories.items[i])) {
                        *ret_excess = inner->repositories.items[i];
                        return false;
                }
        for (size_t i = 0; i < inner->permissions.n; i++) {
                int level = level_of(inner->permissions.items[i].value);

                if (level == 0 || level > permitted_level(&outer->permissions, inner->permissions.items[i].key)) {
                        *ret_excess = inner->permissions.items[i].key;
                        return false;
                }
        }
        return true;
}

bool policy_narrow(const ConfigProfile *profile, const Scope *asked, Scope *ret, Failure *failure)
{
        static const Scope nothing = { 0 };
        const Scope *whole = profile->scope ? profile->scope : &nothing;
        const char *excess;

        *ret = *whole;
        if (!asked)
                return true;
        if (!policy_scope_within(asked, whole, &excess)) {
                failure_set(failure, FAULT_POLICY_DENIED, "\"%s\" is more than profile %s gives.", excess,
                            profile->name);
                return false;
        }
        if (asked->repositories.n > 0)
                ret->repositories = asked->repositories;
        if (asked->permissions.n > 0)
                ret->permissions = asked->permissions;
        return true;
}
