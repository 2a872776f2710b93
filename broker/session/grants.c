#include "session/grants.h"
#include <stdio.h>

/* Sixteen grants with all the hosts that they may have. */
#define POOL_MAX (1024U * 1024U)

static int copy_text(Pool *pool, const char *text, const char **ret)
{
        *ret = NULL;
        return text ? pool_text(pool, slice_text(text), ret) : 0;
}

static int copy_list(Pool *pool, const TextList *list, TextList *ret)
{
        void *items;
        int r = pool_alloc(pool, (list->n + 1) * sizeof(const char *), &items);

        if (r < 0)
                return r;
        ret->items = items;
        for (ret->n = 0; r == 0 && ret->n < list->n; ret->n++)
                r = pool_text(pool, slice_text(list->items[ret->n]), &ret->items[ret->n]);
        return r;
}

static int copy_grant(Pool *pool, SessionGrant *from, Grant *grant)
{
        int r;

        grant->slot.kind = (SlotKind)from->slot;
        grant->concurrent = from->concurrent;
        grant->websocket = from->websocket;
        r = copy_text(pool, from->profile, &grant->profile);
        if (r == 0)
                r = copy_text(pool, from->slot_name, &grant->slot.name);
        if (r == 0)
                r = copy_text(pool, from->slot_prefix, &grant->slot.prefix);
        if (r == 0)
                r = copy_text(pool, from->url_host, &grant->url_host);
        if (r == 0)
                r = copy_list(pool, &from->hosts, &grant->hosts);
        if (r == 0)
                r = copy_list(pool, &from->credential_hosts, &grant->credential_hosts);
        if (r == 0)
                grant->handle = take_ptr(from->handle);
        return r;
}

int grants_new(Grants **ret, SessionConfigureReply *reply)
{
        _cleanup_(grants_unrefp) Grants *grants = calloc(1, sizeof(*grants));
        SessionGrant *from = reply->grants.items;

        if (!grants)
                return -ENOMEM;
        grants->refs = 1;
        grants->pool = POOL_NULL(POOL_MAX);
        for (size_t i = 0; i < reply->grants.n && i < LIMIT_GRANTS; i++) {
                int r = copy_grant(&grants->pool, &from[i], &grants->items[grants->n]);

                if (r < 0)
                        return r;
                grants->n++;
        }
        *ret = take_ptr(grants);
        return 0;
}

Grants *grants_ref(Grants *grants)
{
        grants->refs++;
        return grants;
}

Grants *grants_unref(Grants *grants)
{
        if (!grants || --grants->refs > 0)
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(grants->items); i++)
                secret_free(grants->items[i].handle);
        pool_deinit(&grants->pool);
        free(grants);
        return NULL;
}

static bool any_matches(const TextList *patterns, const HttpAuthority *authority)
{
        for (size_t i = 0; i < patterns->n; i++)
                if (http_host_matches(patterns->items[i], authority))
                        return true;
        return false;
}

bool grant_reaches(const Grant *grant, const HttpAuthority *authority)
{
        return any_matches(&grant->hosts, authority);
}

bool grant_gives(const Grant *grant, const HttpAuthority *authority)
{
        return any_matches(&grant->credential_hosts, authority);
}

const Grant *grants_reach(const Grants *grants, const HttpAuthority *authority)
{
        for (size_t i = 0; i < grants->n; i++)
                if (grant_reaches(&grants->items[i], authority))
                        return &grants->items[i];
        return NULL;
}

/* The port of a pattern, 443 if it names none. */
static uint16_t port_of(const char *pattern)
{
        const char *colon = strrchr(pattern, ':');
        unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 443;

        return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 443;
}

bool grants_name(const Grants *grants, const char *host)
{
        HttpAuthority authority;
        int n = snprintf(authority.host, sizeof(authority.host), "%s", host);

        if (n <= 0 || (size_t)n >= sizeof(authority.host))
                return false;
        for (size_t i = 0; i < grants->n; i++)
                for (size_t j = 0; j < grants->items[i].hosts.n; j++) {
                        const char *pattern = grants->items[i].hosts.items[j];

                        authority.port = port_of(pattern);
                        if (http_host_matches(pattern, &authority))
                                return true;
                }
        return false;
}

const Grant *grants_by_handle(const Grants *grants, Slice token)
{
        const Grant *found = NULL;

        for (size_t i = 0; i < grants->n; i++)
                if (secret_equal(grants->items[i].handle, token))
                        found = &grants->items[i];
        return found;
}

const Grant *grants_endpoint(const Grants *grants, Slice profile)
{
        for (size_t i = 0; i < grants->n; i++)
                if (grants->items[i].url_host && slice_is_text(profile, grants->items[i].profile))
                        return &grants->items[i];
        return NULL;
}
