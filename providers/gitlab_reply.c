#include "providers/gitlab_reply.h"
#include "base/text.h"
#include "wire/field.h"
#include <stdio.h>

typedef struct Permission {
        const char *name;
        const char *read[2], *write[3];
} Permission;

/*
 * docs.gitlab.com, "Project access tokens", scopes. write_repository is for pulling too, write_registry is not.
 * ProviderInfo.permission_names has the same names.
 */
static const Permission permissions[] = {
        { "api", { "read_api" }, { "api" } },
        { "registry", { "read_registry" }, { "write_registry", "read_registry" } },
        { "repository", { "read_repository" }, { "write_repository" } },
};

/* ---- texts ---- */

/* "2026-01-31": dead at midnight UTC, when that day begins. */
static bool read_date(const char *text, uint64_t *ret)
{
        char whole[32];

        if (strlen(text) != 10)
                return false;
        (void)snprintf(whole, sizeof(whole), "%sT00:00:00Z", text);
        return text_parse_time(whole, ret) == 0 && *ret > 0;
}

static int read_scopes(const json_t *json, Pool *pool, TextList *ret)
{
        const json_t *scopes = json_object_get(json, "scopes"), *item;
        size_t n = json_array_size(scopes), i;
        void *items;
        int r;

        if (!json_is_array(scopes) || n > GITLAB_SCOPES_MAX)
                return REPLY_E_SENSELESS;
        r = pool_alloc(pool, (n + 1) * sizeof(char *), &items);
        if (r < 0)
                return reply_from_pool(r);
        *ret = (TextList){ .items = items };
        json_array_foreach(scopes, i, item)
        {
                const char *scope = json_string_value(item);

                if (!reply_is_id(scope))
                        return REPLY_E_SENSELESS;
                r = pool_text(pool, slice_text(scope), &ret->items[ret->n]);
                if (r < 0)
                        return reply_from_pool(r);
                ret->n++;
        }
        return 0;
}

/* ---- replies ---- */

static int read_token(const json_t *json, Arena *arena, Pool *pool, GitlabToken *ret)
{
        const char *expires = json_text(json, "expires_at"), *created = json_text(json, "created_at");
        int r;

        if (!reply_number(json, "id", &ret->id) || !reply_printable(json_text(json, "name"), ret->name) ||
            (expires && !read_date(expires, &ret->expires)))
                return REPLY_E_SENSELESS;
        if (created && text_parse_time(created, &ret->created))
                ret->created = 0;
        if (json_object_get(json, "access_level") && !reply_number(json, "access_level", &ret->access_level))
                return REPLY_E_SENSELESS;
        r = read_scopes(json, pool, &ret->scopes);
        if (r || !arena)
                return r;
        return reply_token(json, "token", arena, &ret->value);
}

int gitlab_read_token(Slice body, Arena *arena, Pool *pool, GitlabToken *ret)
{
        _cleanup_(json_freep) json_t *json = NULL;
        GitlabToken token = { 0 };
        int r;

        if (json_read(body, &json))
                return REPLY_E_SENSELESS;
        r = read_token(json, arena, pool, &token);
        if (r == 0)
                *ret = token;
        return r;
}

int gitlab_read_project(Slice body, Pool *pool, GitlabProject *ret)
{
        _cleanup_(json_freep) json_t *json = NULL;
        GitlabProject project;
        const char *path;
        int r;

        if (json_read(body, &json) || !reply_number(json, "id", &project.id))
                return REPLY_E_SENSELESS;
        path = json_text(json, "path_with_namespace");
        if (!path || !*path || strlen(path) > REPLY_TEXT_MAX || !text_is_printable(path))
                return REPLY_E_SENSELESS;
        r = pool_text(pool, slice_text(path), &project.path);
        if (r == 0)
                *ret = project;
        return reply_from_pool(r);
}

/* ---- scopes ---- */

const char *const *gitlab_scopes(const char *permission, const char *level)
{
        for (size_t i = 0; i < ARRAY_SIZE(permissions); i++)
                if (strcmp(permissions[i].name, permission) == 0)
                        return strcmp(level, "read") == 0 ? permissions[i].read : permissions[i].write;
        return NULL;
}

uint64_t gitlab_access_level(const TextMap *asked)
{
        uint64_t level = GITLAB_REPORTER;

        for (size_t i = 0; i < asked->n; i++) {
                const char *value = asked->items[i].value;

                if (strcmp(value, "admin") == 0)
                        level = GITLAB_MAINTAINER;
                else if (strcmp(value, "write") == 0)
                        level = MAX(level, (uint64_t)GITLAB_DEVELOPER);
        }
        return level;
}

/* Keeps the higher one where a permission is there already: read_registry beside write_registry. */
static void add(TextMap *map, const char *key, const char *value)
{
        for (size_t i = 0; i < map->n; i++)
                if (strcmp(map->items[i].key, key) == 0) {
                        if (strcmp(map->items[i].value, "read") == 0)
                                map->items[i].value = value;
                        return;
                }
        map->items[map->n++] = (TextPair){ key, value };
}

static void add_scope(TextMap *map, const char *scope, const char *write_level)
{
        for (size_t i = 0; i < ARRAY_SIZE(permissions); i++) {
                if (strcmp(scope, permissions[i].read[0]) == 0) {
                        add(map, permissions[i].name, "read");
                        return;
                }
                if (strcmp(scope, permissions[i].write[0]) == 0) {
                        add(map, permissions[i].name, write_level);
                        return;
                }
        }
        add(map, scope, "admin");
}

int gitlab_permissions(const GitlabToken *token, uint64_t asked, Pool *pool, TextMap *ret)
{
        void *items;
        int r = pool_alloc(pool, (token->scopes.n + 1) * sizeof(TextPair), &items);

        if (r < 0)
                return reply_from_pool(r);
        *ret = (TextMap){ .items = items };
        for (size_t i = 0; i < token->scopes.n; i++)
                add_scope(ret, token->scopes.items[i],
                          token->access_level >= GITLAB_MAINTAINER ? "admin" : "write");
        /* Where it does not say a role at all, the worst is assumed: its own default is Maintainer. */
        if (token->access_level == 0 || token->access_level > asked)
                add(ret, "access_level", "admin");
        return 0;
}
