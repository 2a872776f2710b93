/*
 * Rules as a person wrote them, a line each ("-" before those that deny), and behind an empty line a
 * request: METHOD HOST TARGET. A rule that is one is kept and decided by; a deny that matches wins.
 */
#include "http/rule.h"
#include "target.h"

#define LINES_MAX 16U

static bool take_line(const char **at, char line[RULE_TEXT_MAX + 2])
{
        size_t n = strcspn(*at, "\n");

        if (!**at || n == 0)
                return false;
        memcpy(line, *at, MIN(n, RULE_TEXT_MAX + 1));
        line[MIN(n, RULE_TEXT_MAX + 1)] = '\0';
        *at += n + ((*at)[n] == '\n');
        return true;
}

static int on_host(void *userdata, const char *host)
{
        size_t *n = userdata;

        if (strlen(host) > HTTP_HOST_MAX || strchr(host, ':'))
                abort();
        (*n)++;
        return 0;
}

static void decide(const RuleSet *rules, const RuleSet *denied, char *request)
{
        char *rest = NULL, *method = strtok_r(request, " ", &rest), *host = strtok_r(NULL, " ", &rest),
             *target = strtok_r(NULL, "", &rest);
        Buf path = BUF_NULL(HTTP_TARGET_MAX + 1), query = BUF_NULL(HTTP_TARGET_MAX + 1);
        HttpAuthority authority;
        const char *rule = NULL;
        bool has_query;

        if (method && host && target && http_parse_authority(slice_text(host), 443, &authority) == 0 &&
            http_canonical_target(slice_text(target), &path, &query, &has_query) == 0) {
                RuleVerdict verdict = rule_set_decide(rules, method, &authority, (const char *)path.data, &rule);
                bool deny = rule_set_decide(denied, method, &authority, (const char *)path.data, NULL) == RULE_ALLOWED;

                if ((deny && verdict != RULE_DENIED) || (verdict == RULE_UNMATCHED) != (rule == NULL) ||
                    (rule && rule_check(rule)))
                        abort();
        }
        buf_deinit(&path);
        buf_deinit(&query);
}

static void run(const char *at)
{
        char lines[LINES_MAX][RULE_TEXT_MAX + 2], request[RULE_TEXT_MAX + 2];
        const char *allow[LINES_MAX], *deny[LINES_MAX];
        size_t n_allow = 0, n_deny = 0, n_hosts = 0;
        RuleSet *rules = NULL, *denied = NULL;

        for (size_t i = 0; i < LINES_MAX && take_line(&at, lines[i]); i++) {
                bool is_deny = lines[i][0] == '-';
                const char *text = lines[i] + is_deny;

                (void)rule_warning(text, is_deny);
                if (rule_check(text))
                        continue;
                if (is_deny)
                        deny[n_deny++] = text;
                else
                        allow[n_allow++] = text;
        }
        at += *at == '\n';
        if (rule_set_new(&rules, allow, n_allow, deny, n_deny) != 0 || rule_set_new(&denied, deny, n_deny, NULL, 0) != 0 ||
            rule_set_each_host(rules, on_host, &n_hosts) != 0 || n_hosts > n_allow)
                abort();
        if (take_line(&at, request))
                decide(rules, denied, request);
        rule_set_free(rules);
        rule_set_free(denied);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 1);

        if (!text)
                abort();
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        run(text);
        free(text);
        return 0;
}
