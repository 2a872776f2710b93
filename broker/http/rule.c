#include "http/rule.h"
#include "http/chars.h"
#include <stdio.h>

/* Layers of percent-encoding that are looked under. */
#define DECODE_MAX 3U

typedef struct Rule {
        const char *text;    /* as it was written, with single blanks */
        const char *methods; /* "*" or "GET,POST" */
        const char *host;    /* "api.example.com:8443", "*.example.com" */
        const char *path;    /* "/repos/octo/hello/issues" */
        const char *folded;  /* of one that denies: as fold() makes it */
        char *memory;        /* what the texts above are in */
} Rule;

struct RuleSet {
        size_t n_allow, n_deny;
        Rule rules[]; /* those that deny come first */
};

#define BLANKS " \t"

/* With one blank between two: no longer than what they were cut out of. */
static void join_words(char *to, char *const words[3])
{
        for (size_t i = 0; i < 3; i++) {
                size_t n = strlen(words[i]);

                memcpy(to, words[i], n);
                to += n;
                *to++ = i < 2 ? ' ' : '\0';
        }
}

/* The three words of a rule, cut out of `text`, which it changes. False: there are not three. */
static bool cut_words(char *text, char *words[3])
{
        for (size_t i = 0; i < 3; i++) {
                text += strspn(text, BLANKS);
                words[i] = text;
                text += strcspn(text, BLANKS);
                if (text == words[i])
                        return false;
                if (*text)
                        *text++ = '\0';
        }
        return text[strspn(text, BLANKS)] == '\0';
}

/* ---- methods ---- */

static bool is_method(const char *text, size_t n)
{
        if (n == 0 || n > HTTP_METHOD_MAX)
                return false;
        for (size_t i = 0; i < n; i++)
                if ((text[i] < 'A' || text[i] > 'Z') && text[i] != '-')
                        return false;
        return true;
}

static const char *check_methods(const char *text)
{
        if (strcmp(text, "*") == 0)
                return NULL;
        for (;; text++) {
                size_t n = strcspn(text, ",");

                if (!is_method(text, n))
                        return "its methods are \"*\", or names in capital letters divided by commas without blanks";
                if (n == strlen("CONNECT") && strncmp(text, "CONNECT", n) == 0)
                        return "CONNECT only leads to the proxy: name the methods of the requests inside";
                text += n;
                if (!*text)
                        return NULL;
        }
}

static bool method_matches(const char *list, const char *method)
{
        size_t size = strlen(method);

        if (strcmp(list, "*") == 0)
                return true;
        for (;; list++) {
                size_t n = strcspn(list, ",");

                if (n == size && memcmp(list, method, n) == 0)
                        return true;
                list += n;
                if (!*list)
                        return false;
        }
}

/* ---- host ---- */

/* "host" or "host:port". */
static const char *check_name(const char *text, size_t max)
{
        size_t n = strcspn(text, ":");
        HttpAuthority authority;

        if (n > max)
                return "its host is too long";
        for (size_t i = 0; i < n; i++)
                if (text[i] >= 'A' && text[i] <= 'Z')
                        return "its host is written in small letters";
        if (text[n] == ':' && (text[n + 1] < '1' || text[n + 1] > '9'))
                return "its port is a number from 1 to 65535";
        if (http_parse_authority(slice_text(text), 443, &authority) != 0)
                return "its host is a DNS name, which may begin with \"*.\" and end with \":PORT\"; an address is none";
        return NULL;
}

static const char *check_host(const char *text)
{
        if (strcmp(text, "*") == 0)
                return "a host is named, or is \"*.\" and the name of a domain";
        if (text[0] == '*' && text[1] == '.')
                return check_name(text + 2, HTTP_HOST_MAX - 2);
        return check_name(text, HTTP_HOST_MAX);
}

/* ---- path ---- */

static const char *check_stars(const char *path)
{
        for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
                const char *segment = slash + 1;
                size_t n = strcspn(segment, "/");

                if (n == 2 && strncmp(segment, "**", 2) == 0) {
                        if (segment[n])
                                return "\"**\" is the last segment of a path";
                } else if (n != 1 && memchr(segment, '*', n))
                        return "\"*\" is a whole segment of the path";
        }
        return NULL;
}

static const char *check_path(const char *text)
{
        Buf path = BUF_NULL(HTTP_TARGET_MAX), query = BUF_NULL(HTTP_TARGET_MAX);
        const char *wrong;
        bool has_query = false;
        int r;

        if (text[0] != '/')
                return "its path begins with \"/\"";
        if (strpbrk(text, "?#"))
                return "it has a path alone: no \"?\" and no \"#\"";
        wrong = check_stars(text);
        if (wrong)
                return wrong;
        r = http_canonical_target(slice_text(text), &path, &query, &has_query);
        if (r != 0 || !slice_is_text(slice(path.data, strlen((const char *)path.data)), text))
                wrong = "no request has such a path: dot segments, \"//\", an encoded slash and the like are "
                        "refused, and other characters are compared in their one canonical form";
        buf_deinit(&path);
        buf_deinit(&query);
        return wrong;
}

/* Both are walked segment by segment; "**" is the last of a pattern's, and may be none of a path's. */
static bool path_matches(const char *pattern, const char *path)
{
        while (*pattern == '/' && *path == '/') {
                size_t wanted = strcspn(++pattern, "/"), n = strcspn(++path, "/");

                if (wanted == 2 && memcmp(pattern, "**", 2) == 0)
                        return true;
                if (wanted == 1 && *pattern == '*') {
                        if (n == 0)
                                return false;
                } else if (wanted != n || memcmp(pattern, path, n) != 0)
                        return false;
                pattern += wanted;
                path += n;
        }
        return *path == '\0' && (*pattern == '\0' || strcmp(pattern, "/**") == 0);
}

/*
 * ---- a path as a lenient server reads it ----
 *
 * What is allowed is compared byte by byte: a server that takes two paths for one is no reason to allow
 * the other. What is denied is denied in all the forms in which such a server would still serve it.
 */

/* One layer of percent-encoding off, in place; "%2A" stays, which is no "*" of a rule. Says whether there was one. */
static bool decode_once(char *text)
{
        char *to = text;
        bool any = false;

        for (const char *at = text; *at; to++) {
                int high = *at == '%' ? http_hex((uint8_t)at[1]) : -1, low = high >= 0 ? http_hex((uint8_t)at[2]) : -1;

                if (low < 0 || high * 16 + low == '*' || high + low == 0) {
                        *to = *at++;
                        continue;
                }
                *to = (char)(high * 16 + low);
                at += 3;
                any = true;
        }
        *to = '\0';
        return any;
}

/* ";" and what is behind it, in each segment. */
static void drop_parameters(char *text)
{
        char *to = text;
        bool dropping = false;

        for (const char *at = text; *at; at++) {
                dropping = (dropping || *at == ';') && *at != '/';
                if (!dropping)
                        *to++ = *at;
        }
        *to = '\0';
}

/* Small letters, no percent-encoding however deep, no slash at the end. */
static void fold(char *text)
{
        size_t n;

        for (unsigned i = 0; i < DECODE_MAX && decode_once(text); i++)
                ;
        for (char *at = text; *at; at++)
                *at = (char)http_lower((uint8_t)*at);
        n = strlen(text);
        while (n > 1 && text[n - 1] == '/')
                text[--n] = '\0';
}

/* "/tokens.json": some servers take the format of the answer from there. */
static bool drop_format(char *text)
{
        static const char *const formats[] = { ".json", ".xml" };
        size_t n = strlen(text);

        for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
                size_t k = strlen(formats[i]);

                if (n > k + 1 && strcmp(text + n - k, formats[i]) == 0 && text[n - k - 1] != '/') {
                        text[n - k] = '\0';
                        return true;
                }
        }
        return false;
}

/* ---- one rule ---- */

const char *rule_check(const char *text)
{
        char copy[RULE_TEXT_MAX + 1], *words[3];
        const char *wrong;
        size_t size = strlen(text);

        if (size > RULE_TEXT_MAX)
                return "it is too long";
        for (size_t i = 0; i < size; i++)
                if ((text[i] < 0x20 && text[i] != '\t') || text[i] > 0x7e)
                        return "it has a character that no rule has";
        memcpy(copy, text, size + 1);
        if (!cut_words(copy, words))
                return "a rule is METHODS HOST[:PORT] PATH, with blanks between these three and nowhere else";
        wrong = check_methods(words[0]);
        wrong = wrong ? wrong : check_host(words[1]);
        return wrong ? wrong : check_path(words[2]);
}

static int rule_init(Rule *rule, const char *text, bool is_deny)
{
        size_t size = strlen(text) + 1;
        char *words[3], *folded;

        if (rule_check(text))
                return RULE_E_INVALID;
        rule->memory = malloc(3 * size + 1);
        if (!rule->memory)
                return -ENOMEM;
        memcpy(rule->memory, text, size);
        if (!cut_words(rule->memory, words))
                return RULE_E_INVALID; /* cannot be: it was checked */
        rule->methods = words[0];
        rule->host = words[1];
        rule->path = words[2];
        rule->text = rule->memory + size;
        join_words(rule->memory + size, words);
        if (!is_deny)
                return 0;
        folded = rule->memory + 2 * size + 1;
        memcpy(folded, words[2], strlen(words[2]) + 1);
        fold(folded);
        rule->folded = folded;
        return 0;
}

static bool rule_matches(const Rule *rule, const char *method, const HttpAuthority *authority, const char *path)
{
        return method_matches(rule->methods, method) && path_matches(rule->path, path) &&
               http_host_matches(rule->host, authority);
}

static bool rule_denies(const Rule *rule, const char *method, const HttpAuthority *authority, const char *folded)
{
        return method_matches(rule->methods, method) && path_matches(rule->folded, folded) &&
               http_host_matches(rule->host, authority);
}

/* ---- sets ---- */

RuleSet *rule_set_free(RuleSet *rules)
{
        if (!rules)
                return NULL;
        for (size_t i = 0; i < rules->n_deny + rules->n_allow; i++)
                free(rules->rules[i].memory);
        free(rules);
        return NULL;
}

int rule_set_new(RuleSet **ret, const char *const *allow, size_t n_allow, const char *const *deny, size_t n_deny)
{
        _cleanup_(rule_set_freep) RuleSet *rules = NULL;
        int r = 0;

        if (n_allow > RULE_SET_MAX || n_deny > RULE_SET_MAX)
                return RULE_E_FULL;
        rules = calloc(1, sizeof(*rules) + (n_allow + n_deny) * sizeof(rules->rules[0]));
        if (!rules)
                return -ENOMEM;
        rules->n_allow = n_allow;
        rules->n_deny = n_deny;
        for (size_t i = 0; r == 0 && i < n_deny + n_allow; i++)
                r = rule_init(&rules->rules[i], i < n_deny ? deny[i] : allow[i - n_deny], i < n_deny);
        if (r == 0)
                *ret = take_ptr(rules);
        return r;
}

/* The first rule that denies a form that the path, of this size, is folded to. */
static const Rule *find_folded_deny(const RuleSet *rules, const char *method, const HttpAuthority *authority,
                                    const char *path, size_t size)
{
        char folded[HTTP_TARGET_MAX + 1];
        unsigned step = 0;

        memcpy(folded, path, size + 1);
        fold(folded);
        do {
                for (size_t i = 0; i < rules->n_deny; i++)
                        if (rule_denies(&rules->rules[i], method, authority, folded))
                                return &rules->rules[i];
                if (step == 0) {
                        drop_parameters(folded);
                        fold(folded); /* what stood before the parameters may end in a slash */
                }
        } while (step++ == 0 || (step == 2 && drop_format(folded)));
        return NULL;
}

/* The first rule that denies the path as it is, or in another form. */
static const Rule *find_deny(const RuleSet *rules, const char *method, const HttpAuthority *authority, const char *path)
{
        size_t size;

        for (size_t i = 0; i < rules->n_deny; i++)
                if (rule_matches(&rules->rules[i], method, authority, path))
                        return &rules->rules[i];
        if (rules->n_deny == 0)
                return NULL; /* the most frequent case, and the other has 16 KiB to clear */
        size = strlen(path);
        return size > HTTP_TARGET_MAX ? NULL : find_folded_deny(rules, method, authority, path, size);
}

RuleVerdict rule_set_decide(const RuleSet *rules, const char *method, const HttpAuthority *authority, const char *path,
                            const char **ret_rule)
{
        const Rule *denied = find_deny(rules, method, authority, path), *found = denied;

        for (size_t i = rules->n_deny; !found && i < rules->n_deny + rules->n_allow; i++)
                if (rule_matches(&rules->rules[i], method, authority, path))
                        found = &rules->rules[i];
        if (ret_rule)
                *ret_rule = found ? found->text : NULL;
        return !found ? RULE_UNMATCHED : denied ? RULE_DENIED : RULE_ALLOWED;
}

static bool same_host(const Rule *a, const Rule *b)
{
        size_t n = strcspn(a->host, ":");

        return n == strcspn(b->host, ":") && memcmp(a->host, b->host, n) == 0;
}

int rule_set_each_host(const RuleSet *rules, int (*each)(void *userdata, const char *host), void *userdata)
{
        const Rule *allow = &rules->rules[rules->n_deny];
        int r = 0;

        for (size_t i = 0; r == 0 && i < rules->n_allow; i++) {
                char host[HTTP_HOST_MAX + 1];
                bool seen = false;

                for (size_t k = 0; k < i && !seen; k++)
                        seen = same_host(&allow[k], &allow[i]);
                if (seen)
                        continue;
                (void)snprintf(host, sizeof(host), "%.*s", (int)strcspn(allow[i].host, ":"), allow[i].host);
                r = each(userdata, host);
        }
        return r;
}
