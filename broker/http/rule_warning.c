/* What rules cannot hold: they see a method, a host and a path, and no more. */
#include "http/rule.h"
#include <stdio.h>

#define GRAPHQL "GraphQL has everything at one path: no rule sees what is asked for there"
#define BATCH   "a batch endpoint takes other requests inside its body, and no rule sees those"

/* Paths that stand for many others, by POST. */
static const struct {
        const char *host, *path, *sentence;
} endpoints[] = {
        { "api.github.com", "/graphql", GRAPHQL },
        { "gitlab.com", "/api/graphql", GRAPHQL },
        { "api.linear.app", "/graphql", GRAPHQL },
        { "api.atlassian.com", "/graphql", GRAPHQL },
        { "a.atlassian.net", "/gateway/api/graphql", GRAPHQL },
        { "api.cloudflare.com", "/client/v4/graphql", GRAPHQL },
        { "www.googleapis.com", "/batch", BATCH },
        { "graph.microsoft.com", "/v1.0/$batch", BATCH },
        { "graph.facebook.com", "/", BATCH },
};

/* The same where only the name tells. */
static const struct {
        const char *segment, *sentence;
} words[] = {
        { "graphql", GRAPHQL },
        { "batch", BATCH },
        { "$batch", BATCH },
        { "_batch", BATCH },
};

/* Hosts that do not tell case apart in the first `n` segments behind `prefix`. */
static const struct {
        const char *host, *prefix;
        size_t n;
} case_blind[] = {
        { "api.github.com", "/repos/", 2 },     { "api.github.com", "/orgs/", 1 }, { "api.github.com", "/users/", 1 },
        { "uploads.github.com", "/repos/", 2 }, { "github.com", "/", 2 },          { "codeload.github.com", "/", 2 },
        { "gitlab.com", "/", 2 },
};

typedef struct Words {
        char copy[RULE_TEXT_MAX + 1];
        const char *methods, *host, *path;
} Words;

/* Of a text that is a rule. */
static void split(const char *text, Words *ret)
{
        const char **parts[] = { &ret->methods, &ret->host, &ret->path };
        char *rest = NULL;

        (void)snprintf(ret->copy, sizeof(ret->copy), "%s", text);
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
                *parts[i] = strtok_r(i ? NULL : ret->copy, " \t", &rest);
}

static bool has_letter(const char *text, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z'))
                        return true;
        return false;
}

/* Are there `n` segments, and is a name among them? */
static bool names_something(const char *path, size_t n)
{
        bool named = false;

        for (; n > 0; n--) {
                size_t size = strcspn(path, "/");

                if (size == 0 || (size == 2 && strncmp(path, "**", 2) == 0))
                        return false;
                named |= has_letter(path, size);
                path += size + (path[size] == '/');
        }
        return named;
}

/* GitLab's own paths are none of a group. */
static bool is_route(const char *path)
{
        return strncmp(path, "/api/", 5) == 0 || strncmp(path, "/oauth/", 7) == 0 || strncmp(path, "/login/", 7) == 0;
}

static const char *deny_warning(const Words *rule)
{
        size_t n = strlen(rule->path);

        for (size_t i = 0; i < ARRAY_SIZE(case_blind); i++) {
                size_t size = strlen(case_blind[i].prefix);

                if (strcmp(rule->host, case_blind[i].host) != 0 ||
                    strncmp(rule->path, case_blind[i].prefix, size) != 0 || (size == 1 && is_route(rule->path)))
                        continue;
                if (names_something(rule->path + size, case_blind[i].n))
                        return "its host takes these names in small and capital letters alike, and a rule does not: "
                               "what is denied is reached by another spelling; allow what may be reached instead";
        }
        if (n < 3 || strcmp(rule->path + n - 3, "/**") != 0)
                return "the same path with a slash at its end is not denied, which is one to many servers: end it "
                       "with \"/**\"";
        return NULL;
}

static const char *endpoint_warning(const Words *rule, const char *text, const RuleSet *all)
{
        _cleanup_(rule_set_freep) RuleSet *alone = NULL;
        const char *last = strrchr(rule->path, '/');

        if (rule_set_new(&alone, &text, 1, NULL, 0) != 0)
                return NULL;
        for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
                HttpAuthority authority = { .port = 443 };

                (void)snprintf(authority.host, sizeof(authority.host), "%s", endpoints[i].host);
                if (rule_set_decide(alone, "POST", &authority, endpoints[i].path, NULL) == RULE_ALLOWED &&
                    (!all || rule_set_decide(all, "POST", &authority, endpoints[i].path, NULL) == RULE_ALLOWED))
                        return endpoints[i].sentence;
        }
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strcmp(last + 1, words[i].segment) == 0)
                        return words[i].sentence;
        return NULL;
}

const char *rule_warning_among(const char *text, bool is_deny, const RuleSet *all)
{
        Words rule;

        if (rule_check(text))
                return NULL;
        split(text, &rule);
        if (is_deny)
                return deny_warning(&rule);
        if (strncmp(rule.host, "*.", 2) == 0 && !strchr(rule.host + 2, '.'))
                return "its host stands for the domains of everybody below one name";
        return endpoint_warning(&rule, text, all);
}

const char *rule_warning(const char *text, bool is_deny)
{
        return rule_warning_among(text, is_deny, NULL);
}
