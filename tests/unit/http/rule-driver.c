/*
 * Decides what it reads, for rules.py. Each line of stdin is one field behind a letter:
 * A and D add a rule that allows or denies, Q asks "METHOD HOST[:PORT] PATH" and is answered with a
 * line, E ends the case. A rule that is none is answered with "bad" and is left out.
 */
#undef NDEBUG
#include "http/rule.h"
#include <assert.h>
#include <stdio.h>

typedef struct Case {
        char *allow[RULE_SET_MAX], *deny[RULE_SET_MAX];
        size_t n_allow, n_deny;
        RuleSet *rules;
} Case;

static void add(char **list, size_t *n, const char *text)
{
        const char *wrong = rule_check(text);

        if (wrong) {
                puts("bad");
                return;
        }
        assert(*n < RULE_SET_MAX);
        list[(*n)++] = strdup(text);
        puts("rule");
}

static void ask(Case *c, char *text)
{
        static const char *const names[] = { "allowed", "denied", "unmatched" };
        const char *method = strtok(text, " "), *host = strtok(NULL, " "), *target = strtok(NULL, "");
        Buf path = BUF_NULL(HTTP_TARGET_MAX), query = BUF_NULL(HTTP_TARGET_MAX);
        HttpAuthority authority;
        const char *rule;
        bool has_query;

        assert(method && host && target);
        if (!c->rules)
                assert(rule_set_new(&c->rules, (const char *const *)c->allow, c->n_allow, (const char *const *)c->deny,
                                    c->n_deny) == 0);
        if (http_parse_authority(slice_text(host), 443, &authority) != 0 ||
            http_canonical_target(slice_text(target), &path, &query, &has_query) != 0)
                puts("refused");
        else {
                RuleVerdict verdict = rule_set_decide(c->rules, method, &authority, (const char *)path.data, &rule);

                printf("%s %s\n", names[verdict], rule ? rule : "-");
        }
        buf_deinit(&path);
        buf_deinit(&query);
}

static void end(Case *c)
{
        for (size_t i = 0; i < c->n_allow; i++)
                free(c->allow[i]);
        for (size_t i = 0; i < c->n_deny; i++)
                free(c->deny[i]);
        rule_set_free(c->rules);
        *c = (Case){ .n_allow = 0 };
}

int main(void)
{
        static Case c;
        char line[4096];

        while (fgets(line, sizeof(line), stdin)) {
                line[strcspn(line, "\n")] = '\0';
                if (line[0] == 'A')
                        add(c.allow, &c.n_allow, line + 1);
                else if (line[0] == 'D')
                        add(c.deny, &c.n_deny, line + 1);
                else if (line[0] == 'Q')
                        ask(&c, line + 1);
                else
                        end(&c);
        }
        end(&c);
        return 0;
}
