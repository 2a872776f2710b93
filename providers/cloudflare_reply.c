#include "providers/cloudflare_reply.h"
#include "base/text.h"
#include "wire/field.h"
#include <stdio.h>

#define RESOURCE_PREFIX "com.cloudflare.api."

/* {"success": true, "errors": [], "result": ...}; the root is to be freed. */
static int read_result(Slice body, json_t **ret_root, json_t **ret)
{
        _cleanup_(json_freep) json_t *root = NULL;

        if (json_read(body, &root) || !json_is_true(json_object_get(root, "success")))
                return REPLY_E_SENSELESS;
        *ret = json_object_get(root, "result");
        *ret_root = take_ptr(root);
        return 0;
}

static bool read_id(const json_t *json, char ret[CLOUDFLARE_ID_SIZE])
{
        const char *id = json_text(json, "id");

        if (!reply_is_id(id))
                return false;
        (void)snprintf(ret, CLOUDFLARE_ID_SIZE, "%s", id);
        return true;
}

/* ---- policies ---- */

/* The groups' ids and, for people, their names. */
static json_t *group_ids(const json_t *groups)
{
        _cleanup_(json_freep) json_t *ids = json_array();
        const json_t *group;
        size_t i;

        if (!json_is_array(groups) || json_array_size(groups) == 0)
                return NULL;
        json_array_foreach(groups, i, group)
        {
                const char *id = json_text(group, "id");
                json_t *named;

                if (!reply_is_id(id))
                        return NULL;
                named = json_pack("{s:s}", "id", id);
                if (named && json_text(group, "name"))
                        (void)json_object_set(named, "name", json_object_get(group, "name"));
                if (json_array_append_new(ids, named) < 0)
                        return NULL;
        }
        return take_ptr(ids);
}

/* Without what Cloudflare adds of its own, as the policy's id. */
static json_t *policy_of(const json_t *given)
{
        json_t *resources = json_object_get(given, "resources"), *groups;
        const char *effect = json_text(given, "effect");

        if (!effect || !reply_is_id(effect) || !json_is_object(resources) || json_object_size(resources) == 0)
                return NULL;
        groups = group_ids(json_object_get(given, "permission_groups"));
        return groups ? json_pack("{s:s,s:O,s:o}", "effect", effect, "resources", resources, "permission_groups", groups)
                      : NULL;
}

static json_t *policies_of(const json_t *given)
{
        _cleanup_(json_freep) json_t *policies = json_array();
        const json_t *item;
        size_t i;

        if (!json_is_array(given) || json_array_size(given) == 0)
                return NULL;
        json_array_foreach(given, i, item)
                if (json_array_append_new(policies, policy_of(item)) < 0)
                        return NULL;
        return take_ptr(policies);
}

/* ---- tokens ---- */

static bool read_time(const json_t *json, const char *key, uint64_t *ret)
{
        const json_t *value = json_object_get(json, key);

        *ret = 0;
        if (!value || json_is_null(value))
                return true;
        return json_is_string(value) && text_parse_time(json_string_value(value), ret) == 0 && *ret > 0;
}

static int read_token(const json_t *json, Arena *arena, CloudflareToken *ret)
{
        const json_t *policies = json_object_get(json, "policies"), *name = json_object_get(json, "name");
        json_t *condition = json_object_get(json, "condition");
        const char *status = json_text(json, "status");

        if (!read_id(json, ret->id) || !status || !read_time(json, "issued_on", &ret->issued) ||
            !read_time(json, "expires_on", &ret->expires) ||
            (name && !reply_printable(json_string_value(name), ret->name)))
                return REPLY_E_SENSELESS;
        ret->active = strcmp(status, "active") == 0;
        if (policies) {
                ret->policies = policies_of(policies);
                if (!ret->policies)
                        return REPLY_E_SENSELESS;
        }
        if (json_is_object(condition) && json_object_size(condition) > 0)
                ret->condition = json_incref(condition);
        return arena ? reply_token(json, "value", arena, &ret->value) : 0;
}

int cloudflare_read_token(Slice body, Arena *arena, CloudflareToken *ret)
{
        _cleanup_(json_freep) json_t *root = NULL;
        CloudflareToken token = { 0 };
        json_t *json;
        int r = read_result(body, &root, &json);

        if (r == 0)
                r = read_token(json, arena, &token);
        if (r == 0)
                *ret = token;
        else
                cloudflare_token_deinit(&token);
        return r;
}

void cloudflare_token_deinit(CloudflareToken *token)
{
        json_decref(token->policies);
        json_decref(token->condition);
        secret_free(token->value);
        *token = (CloudflareToken){ 0 };
}

/* ---- rights ---- */

typedef struct Rights {
        Pool *pool;
        TextList *list;
        bool known;
        int r;
} Rights;

/* "com.cloudflare.api.account.zone.0123" without what all begin with. */
static const char *short_resource(const char *name)
{
        return strncmp(name, RESOURCE_PREFIX, strlen(RESOURCE_PREFIX)) == 0 ? name + strlen(RESOURCE_PREFIX) : name;
}

static void add_right(Rights *rights, const char *group, const char *resource, const char *inner)
{
        char text[LIMIT_LABEL + 1];
        int n = snprintf(text, sizeof(text), "%s: %s%s%s", group, short_resource(resource), inner ? " " : "",
                         inner ? short_resource(inner) : "");

        if (n < 0 || (size_t)n > LIMIT_LABEL || rights->list->n == LIMIT_RIGHTS || !text_is_printable(text)) {
                rights->known = false;
                return;
        }
        rights->r = pool_text(rights->pool, slice_text(text), &rights->list->items[rights->list->n]);
        rights->list->n += rights->r == 0;
}

/* {"zone.X": "*"}, or {"account.X": {"zone.*": "*"}} for all zones of an account. */
static void add_resources(Rights *rights, const char *group, json_t *resources)
{
        const char *resource, *inner;
        json_t *value, *nested;

        json_object_foreach(resources, resource, value)
        {
                if (rights->r < 0)
                        return;
                if (json_is_string(value)) {
                        add_right(rights, group, resource, NULL);
                        continue;
                }
                rights->known = rights->known && json_object_size(value) > 0;
                json_object_foreach(value, inner, nested)
                        add_right(rights, group, resource, inner);
        }
}

int cloudflare_rights(const json_t *policies, Pool *pool, TextList *ret, bool *ret_known)
{
        Rights rights = { .pool = pool, .list = ret, .known = true };
        const json_t *policy, *group;
        void *items;
        size_t i, j;
        int r = pool_alloc(pool, LIMIT_RIGHTS * sizeof(char *), &items);

        if (r < 0)
                return reply_from_pool(r);
        *ret = (TextList){ .items = items };
        json_array_foreach(policies, i, policy)
        {
                rights.known = rights.known && strcmp(json_text(policy, "effect"), "allow") == 0;
                json_array_foreach(json_object_get(policy, "permission_groups"), j, group)
                {
                        const char *name = json_text(group, "name");

                        add_resources(&rights, name ? name : json_text(group, "id"), json_object_get(policy, "resources"));
                }
        }
        *ret_known = rights.known;
        return reply_from_pool(rights.r);
}

/* ---- the list ---- */

int cloudflare_read_page(Slice body, const char *name, CloudflarePage *ret)
{
        _cleanup_(json_freep) json_t *root = NULL;
        json_t *list;
        const json_t *item;
        size_t i;

        *ret = (CloudflarePage){ 0 };
        if (read_result(body, &root, &list) || !json_is_array(list) || json_array_size(list) > CLOUDFLARE_PAGE)
                return REPLY_E_SENSELESS;
        json_array_foreach(list, i, item)
        {
                const char *its = json_text(item, "name");

                if (!read_id(item, ret->ids[ret->n]))
                        return REPLY_E_SENSELESS;
                if (its && strcmp(its, name) == 0)
                        ret->n++;
        }
        ret->last = json_array_size(list) < CLOUDFLARE_PAGE;
        return 0;
}
