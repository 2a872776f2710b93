#include "providers/github_reply.h"
#include "base/text.h"
#include "providers/json.h"
#include "wire/field.h"
#include <stdio.h>

/* A word of a message that is longer may be a credential that was echoed: GitHub's own have 40. */
#define WORD_MAX 32U

static int from_pool(int r)
{
        if (r == -ENOBUFS || r == -ENOMEM)
                return GITHUB_E_NO_SPACE;
        return r;
}

/* A copy of a text that one line of a terminal can take, cut to fit at a character's beginning. */
static bool copy_printable(const char *text, char ret[GITHUB_TEXT_MAX])
{
        size_t size;

        if (!text || !text_is_printable(text))
                return false;
        size = strlen(text);
        if (size >= GITHUB_TEXT_MAX) {
                size = GITHUB_TEXT_MAX - 1;
                while (size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80)
                        size--;
        }
        memcpy(ret, text, size);
        ret[size] = 0;
        return true;
}

/* ---- mint ---- */

static int read_token(const json_t *json, Arena *arena, Secret **ret)
{
        const char *text = json_text(json, "token");
        size_t size = text ? strlen(text) : 0;

        if (size == 0 || size > GITHUB_TOKEN_MAX)
                return GITHUB_E_SENSELESS;
        for (size_t i = 0; i < size; i++)
                if (text[i] <= ' ' || text[i] > '~')
                        return GITHUB_E_SENSELESS;
        return secret_from_bytes(ret, arena, slice(text, size)) ? GITHUB_E_NO_SPACE : 0;
}

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
                return GITHUB_E_SENSELESS;
        r = pool_alloc(pool, MAX(n, 1) * sizeof(TextPair), &items);
        if (r < 0)
                return from_pool(r);
        *ret = (TextMap){ .items = items };
        json_object_foreach(permissions, key, value)
        {
                TextPair *pair = &ret->items[ret->n];

                if (!json_is_string(value) || strlen(key) > LIMIT_NAME ||
                    json_string_length(value) > LIMIT_NAME)
                        return GITHUB_E_SENSELESS;
                r = pool_text(pool, slice_text(key), &pair->key);
                if (r == 0)
                        r = pool_text(pool, slice_text(json_string_value(value)), &pair->value);
                if (r < 0)
                        return from_pool(r);
                ret->n++;
        }
        return 0;
}

static int add_repository(const char *name, Pool *pool, TextList *ret)
{
        if (!name || strlen(name) > GITHUB_TEXT_MAX)
                return GITHUB_E_SENSELESS;
        return from_pool(pool_text(pool, slice_text(name), &ret->items[ret->n++]));
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
                return GITHUB_E_SENSELESS;
        r = pool_alloc(pool, (n + 1) * sizeof(char *), &items);
        if (r < 0)
                return from_pool(r);
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
                return GITHUB_E_SENSELESS;
        r = pool_alloc(pool, sizeof(Scope), &scope);
        if (r < 0)
                return from_pool(r);
        ret->granted = scope;
        r = read_permissions(json, pool, &ret->granted->permissions);
        if (r == 0)
                r = read_repositories(json, pool, &ret->granted->repositories);
        return r ? r : read_token(json, arena, &ret->token);
}

int github_read_mint(Slice body, Arena *arena, Pool *pool, ProviderMintReply *ret)
{
        _cleanup_(json_freep) json_t *json = NULL;
        ProviderMintReply reply = { 0 };
        int r;

        if (json_read(body, &json))
                return GITHUB_E_SENSELESS;
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
        const json_t *id;

        if (json_read(body, &json))
                return GITHUB_E_SENSELESS;
        id = json_object_get(json, "id");
        if (!json_is_integer(id) || json_integer_value(id) <= 0)
                return GITHUB_E_SENSELESS;
        app.id = (uint64_t)json_integer_value(id);
        if (!copy_printable(json_text(json, "slug"), app.name) &&
            !copy_printable(json_text(json, "name"), app.name))
                return GITHUB_E_SENSELESS;
        if (!copy_printable(json_text(json, "client_id"), app.client_id))
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
                return GITHUB_E_SENSELESS;
        if (!copy_printable(json_text(json_object_get(json, "account"), "login"),
                            installation.account))
                return GITHUB_E_SENSELESS;
        suspended = json_object_get(json, "suspended_at");
        installation.suspended = suspended && !json_is_null(suspended);
        *ret = installation;
        return 0;
}

void github_read_message(Slice body, char ret[GITHUB_TEXT_MAX])
{
        _cleanup_(json_freep) json_t *json = NULL;
        const char *text = json_read(body, &json) == 0 ? json_text(json, "message") : NULL;
        size_t word = 0;

        ret[0] = 0;
        if (!text || strlen(text) >= GITHUB_TEXT_MAX)
                return;
        for (const char *p = text; *p; p++) {
                word = *p == ' ' ? 0 : word + 1;
                if (*p < ' ' || *p > '~' || word > WORD_MAX)
                        return;
        }
        memcpy(ret, text, strlen(text) + 1);
}

/* Of a 403: GitHub says by it that a limit is reached, too. */
static bool is_rate_limit(const ResponseHead *head, Slice body)
{
        char message[GITHUB_TEXT_MAX];

        if (head->has_retry_after || (head->has_remaining && head->remaining == 0))
                return true;
        github_read_message(body, message);
        return strcasestr(message, "rate limit") != NULL;
}

Fault github_classify(const ResponseHead *head, Slice body, uint64_t now_usec,
                      uint64_t *ret_retry_after_usec)
{
        *ret_retry_after_usec = 0;
        if (head->status >= 200 && head->status < 300)
                return FAULT_NONE;
        if (head->status == 429 || (head->status == 403 && is_rate_limit(head, body))) {
                *ret_retry_after_usec = response_retry_after(head, now_usec);
                return FAULT_UPSTREAM_RATE_LIMITED;
        }
        switch (head->status) {
        case 401:
                return FAULT_UPSTREAM_ROOT_INVALID;
        case 403:
                return FAULT_UPSTREAM_DENIED;
        case 404:
        case 410:
                return FAULT_UPSTREAM_NO_TARGET;
        case 400:
        case 422:
                return FAULT_UPSTREAM_BAD_SCOPE;
        default:
                return FAULT_UPSTREAM_UNKNOWN;
        }
}
