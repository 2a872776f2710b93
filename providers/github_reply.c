#include "providers/github_reply.h"
#include "base/text.h"
#include "wire/field.h"
#include <stdio.h>

/* ---- mint ---- */

static int read_permissions(const json_t *json, Pool *pool, TextMap *ret)
{
        json_t *permissions = json_object_get(json, "permissions");
        size_t n = json_object_size(permissions);
        const char *key;
        json_t *value;
        void *items;
        int r;

        if (!permissions)
                return 0;
        if (!json_is_object(permissions) || n > LIMIT_PERMISSIONS)
                return REPLY_E_SENSELESS;
        r = pool_alloc(pool, MAX(n, 1) * sizeof(TextPair), &items);
        if (r < 0)
                return reply_from_pool(r);
        *ret = (TextMap){ .items = items };
        json_object_foreach(permissions, key, value)
        {
                TextPair *pair = &ret->items[ret->n];

                if (!json_is_string(value) || strlen(key) > LIMIT_NAME ||
                    json_string_length(value) > LIMIT_NAME)
                        return REPLY_E_SENSELESS;
                r = pool_text(pool, slice_text(key), &pair->key);
                if (r == 0)
                        r = pool_text(pool, slice_text(json_string_value(value)), &pair->value);
                if (r < 0)
                        return reply_from_pool(r);
                ret->n++;
        }
        return 0;
}

static int add_repository(const char *name, Pool *pool, TextList *ret)
{
        if (!name || strlen(name) > REPLY_TEXT_MAX)
                return REPLY_E_SENSELESS;
        return reply_from_pool(pool_text(pool, slice_text(name), &ret->items[ret->n++]));
}

static int read_repositories(const json_t *json, Pool *pool, TextList *ret)
{
        const char *selection = json_text(json, "repository_selection");
        bool all = selection && strcmp(selection, "all") == 0;
        json_t *repositories = json_object_get(json, "repositories"), *item;
        size_t n = json_array_size(repositories), i;
        void *items;
        int r;

        if ((repositories && !json_is_array(repositories)) || n > LIMIT_REPOSITORIES)
                return REPLY_E_SENSELESS;
        r = pool_alloc(pool, (n + 1) * sizeof(char *), &items);
        if (r < 0)
                return reply_from_pool(r);
        *ret = (TextList){ .items = items };
        if (all)
                return add_repository(GITHUB_ALL_REPOSITORIES, pool, ret);
        json_array_foreach(repositories, i, item)
        {
                r = add_repository(json_text(item, "full_name"), pool, ret);
                if (r)
                        return r;
        }
        return 0;
}

static int read_mint(const json_t *json, Arena *arena, Pool *pool, ProviderMintReply *ret)
{
        const char *expires = json_text(json, "expires_at");
        void *scope;
        int r;

        if (!expires || text_parse_time(expires, &ret->expires) || ret->expires == 0)
                return REPLY_E_SENSELESS;
        r = pool_alloc(pool, sizeof(Scope), &scope);
        if (r < 0)
                return reply_from_pool(r);
        ret->granted = scope;
        r = read_permissions(json, pool, &ret->granted->permissions);
        if (r == 0)
                r = read_repositories(json, pool, &ret->granted->repositories);
        return r ? r : reply_token(json, "token", arena, &ret->token);
}

int github_read_mint(Slice body, Arena *arena, Pool *pool, ProviderMintReply *ret)
{
        _cleanup_(json_freep) json_t *json = NULL;
        ProviderMintReply reply = { 0 };
        int r;

        if (json_read(body, &json))
                return REPLY_E_SENSELESS;
        r = read_mint(json, arena, pool, &reply);
        if (r == 0)
                *ret = reply;
        return r;
}

/* ---- the others ---- */

int github_read_app(Slice body, GithubApp *ret)
{
        _cleanup_(json_freep) json_t *json = NULL;
        GithubApp app = { 0 };

        if (json_read(body, &json) || !reply_number(json, "id", &app.id))
                return REPLY_E_SENSELESS;
        if (!reply_printable(json_text(json, "slug"), app.name) &&
            !reply_printable(json_text(json, "name"), app.name))
                return REPLY_E_SENSELESS;
        if (!reply_printable(json_text(json, "client_id"), app.client_id))
                app.client_id[0] = 0;
        *ret = app;
        return 0;
}

int github_read_installation(Slice body, GithubInstallation *ret)
{
        _cleanup_(json_freep) json_t *json = NULL;
        GithubInstallation installation = { 0 };
        const json_t *suspended;

        if (json_read(body, &json))
                return REPLY_E_SENSELESS;
        if (!reply_printable(json_text(json_object_get(json, "account"), "login"),
                            installation.account))
                return REPLY_E_SENSELESS;
        suspended = json_object_get(json, "suspended_at");
        installation.suspended = suspended && !json_is_null(suspended);
        *ret = installation;
        return 0;
}

int github_read_user(Slice body, char ret_login[REPLY_TEXT_MAX])
{
        _cleanup_(json_freep) json_t *json = NULL;

        if (json_read(body, &json))
                return REPLY_E_SENSELESS;
        return reply_printable(json_text(json, "login"), ret_login) && *ret_login ? 0 : REPLY_E_SENSELESS;
}

int github_read_scopes(const char *header, Pool *pool, TextList *ret)
{
        void *items;
        int r = pool_alloc(pool, (strlen(header) / 2 + 1) * sizeof(char *), &items);

        if (r < 0)
                return reply_from_pool(r);
        *ret = (TextList){ .items = items };
        for (size_t n; *header; header += n) {
                n = strspn(header, ", ");
                header += n;
                n = strcspn(header, ", ");
                if (n == 0)
                        continue;
                r = pool_text(pool, slice(header, n), &ret->items[ret->n]);
                if (r < 0)
                        return reply_from_pool(r);
                ret->n++;
        }
        return 0;
}

/* Of a 403: GitHub says by it that a limit is reached, too. */
static bool is_rate_limit(const ResponseHead *head, Slice body)
{
        char message[REPLY_TEXT_MAX];

        if (head->has_retry_after || (head->has_remaining && head->remaining == 0))
                return true;
        reply_message(body, message);
        return strcasestr(message, "rate limit") != NULL;
}

Fault github_classify(const ResponseHead *head, Slice body, uint64_t now_usec,
                      uint64_t *ret_retry_after_usec)
{
        if (head->status == 403 && is_rate_limit(head, body)) {
                *ret_retry_after_usec = response_retry_after(head, now_usec);
                return FAULT_UPSTREAM_RATE_LIMITED;
        }
        return reply_classify(head, now_usec, ret_retry_after_usec);
}
