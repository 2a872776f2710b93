#include "vault/egress_hosts.h"
#include <stdio.h>

#define DEFAULT_PORT ":443"
#define HTTPS        "https://"
/* Of GitHub: clones and release uploads take the token that api.github.com gives. */
#define GITHUB_API "api.github.com"
static const char *const github_hosts[] = { GITHUB_API, "github.com", "uploads.github.com" };

static bool has(const TextList *list, Slice text)
{
        for (size_t i = 0; i < list->n; i++)
                if (slice_is_text(text, list->items[i]))
                        return true;
        return false;
}

/* The second word of "METHODS HOST[:PORT] PATH"; empty when there is none. */
static Slice host_of(const char *rule)
{
        const char *host = rule + strcspn(rule, " \t");

        host += strspn(host, " \t");
        return slice(host, strcspn(host, " \t"));
}

/* Without its port, or without one that says nothing new. */
static Slice without_port(Slice host, bool always)
{
        const uint8_t *colon = host.size > 0 ? memchr(host.data, ':', host.size) : NULL;
        size_t name = colon ? (size_t)(colon - host.data) : host.size;

        if (colon && (always || slice_is_text(slice(colon, host.size - name), DEFAULT_PORT)))
                return slice(host.data, name);
        return host;
}

int egress_hosts_allowed(const EgressPolicy *policy, bool names_only, size_t max, Pool *pool, TextList *ret)
{
        for (size_t i = 0; i < policy->allow.n; i++) {
                Slice host = without_port(host_of(policy->allow.items[i]), names_only);
                int r;

                if (host.size == 0 || has(ret, host))
                        continue;
                if (ret->n == max)
                        return -ENOBUFS;
                r = pool_text(pool, host, &ret->items[ret->n]);
                if (r < 0)
                        return r;
                ret->n++;
        }
        return 0;
}

int egress_hosts_sealed(const SecretRecord *secret, const ProviderInfo *info, Pool *pool, TextList *ret)
{
        const char *url = secret->base_url ? secret->base_url : info->base_url;
        void *memory;
        Slice host;
        int r;

        if (!info->can_mint) {
                *ret = secret->hosts;
                return 0;
        }
        if (!url || strncmp(url, HTTPS, strlen(HTTPS)) != 0)
                return -EINVAL;
        r = pool_alloc(pool, sizeof(github_hosts), &memory);
        if (r < 0)
                return r;
        *ret = (TextList){ .items = memory };
        host = slice(url + strlen(HTTPS), strcspn(url + strlen(HTTPS), "/"));
        if (slice_is_text(without_port(host, false), GITHUB_API)) {
                for (; ret->n < ARRAY_SIZE(github_hosts); ret->n++)
                        ret->items[ret->n] = github_hosts[ret->n];
                return 0;
        }
        r = pool_text(pool, without_port(host, false), &ret->items[0]);
        ret->n = r == 0 ? 1 : 0;
        return r;
}

/* The same port, and the same name or one label in place of "*". */
static bool covers(const char *pattern, const char *host)
{
        Slice p = without_port(slice_text(pattern), false), h = without_port(slice_text(host), false);
        const uint8_t *dot;

        if (slice_equal(p, h))
                return true;
        if (p.size < 3 || memcmp(p.data, "*.", 2) != 0)
                return false;
        dot = h.size > 0 ? memchr(h.data, '.', h.size) : NULL;
        return dot && dot > h.data &&
               slice_equal(slice(p.data + 1, p.size - 1), slice(dot, h.size - (size_t)(dot - h.data)));
}

bool egress_hosts_meet(const TextList *allowed, const TextList *sealed)
{
        for (size_t i = 0; i < allowed->n; i++)
                for (size_t j = 0; j < sealed->n; j++)
                        if (covers(allowed->items[i], sealed->items[j]))
                                return true;
        return false;
}
