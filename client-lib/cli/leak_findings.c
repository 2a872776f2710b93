#include "leak_findings.h"
#include "leak_candidates.h"
#include <stdlib.h>
#include <string.h>

int findings_init(Findings *findings)
{
        *findings = (Findings){ 0 };
        return mcpcred_leak_new(&findings->leak) ? LEAK_E_NO_MEMORY : 0;
}

void findings_deinit(Findings *findings)
{
        for (size_t i = 0; i < findings->n; i++) {
                free(findings->items[i].place);
                free(findings->items[i].rule);
        }
        free(findings->items);
        free(findings->uses);
        free(findings->first_use);
        mcpcred_leak_free(findings->leak);
        *findings = (Findings){ 0 };
}

/* Room for one more. */
static int reserve(void **items, size_t *room, size_t n, size_t size)
{
        size_t wanted = *room ? 2 * *room : 64;
        void *grown;

        if (n < *room)
                return 0;
        grown = reallocarray(*items, wanted, size);
        if (!grown)
                return LEAK_E_NO_MEMORY;
        *items = grown;
        *room = wanted;
        return 0;
}

static int add_use(Findings *findings, size_t candidate)
{
        uint32_t finding = (uint32_t)findings->n - 1, *first;
        void *items = findings->first_use;
        int r = reserve(&items, &findings->candidates_room, candidate, sizeof(*findings->first_use));

        findings->first_use = items;
        items = findings->uses;
        if (r == 0)
                r = reserve(&items, &findings->uses_room, findings->n_uses, sizeof(*findings->uses));
        findings->uses = items;
        if (r)
                return r;
        first = &findings->first_use[candidate];
        if (candidate == findings->n_candidates) {
                findings->n_candidates++;
                *first = 0;
        }
        if (*first && findings->uses[*first - 1].finding == finding)
                return 0; /* the same form twice */
        findings->uses[findings->n_uses++] = (Use){ .finding = finding, .next = *first };
        *first = (uint32_t)findings->n_uses;
        return 0;
}

static void drop_if_inside(char **text, LeakText candidate)
{
        if (*text && candidate.size >= 4 && memmem(*text, strlen(*text), candidate.data, candidate.size)) {
                free(*text);
                *text = NULL;
        }
}

static int add_candidate(void *userdata, LeakText candidate)
{
        Findings *findings = userdata;
        Finding *finding = &findings->items[findings->n - 1];
        size_t index;
        int r = mcpcred_leak_candidate(findings->leak, candidate.data, candidate.size, &index);

        if (r)
                return findings->n_candidates == MCPCRED_LEAK_MAX ? LEAK_E_TOO_MANY : LEAK_E_NO_MEMORY;
        /* A URL with a password in it, a file that is called after the token: these are not repeated. */
        drop_if_inside(&finding->place, candidate);
        drop_if_inside(&finding->rule, candidate);
        return add_use(findings, index);
}

/* Of an address what names the place, and not what lets one in. */
static size_t harmless_size(const char *text)
{
        const char *authority = strstr(text, "://");
        size_t size = authority ? strcspn(text, "?#") : strlen(text);

        if (authority && memchr(authority, '@', strcspn(authority + 3, "/") + 3))
                return 0;
        return size < LEAK_PLACE_MAX ? size : LEAK_PLACE_MAX;
}

static int copy(const char *text, char **ret)
{
        size_t size = text ? harmless_size(text) : 0;

        *ret = size > 0 ? strndup(text, size) : NULL;
        return *ret || size == 0 ? 0 : LEAK_E_NO_MEMORY;
}

static int add_text(Findings *findings, LeakText text, bool is_line)
{
        bool cut = false;
        int r = leak_candidates(text, is_line ? LEAK_LINE_VARIANTS_MAX : LEAK_VARIANTS_MAX, add_candidate, findings, &cut);

        findings->cut += cut;
        findings->cut_lines += cut && is_line;
        return r;
}

int findings_add(void *userdata, const LeakFinding *finding)
{
        Findings *findings = userdata;
        void *items = findings->items;
        Finding *mine;
        int r = reserve(&items, &findings->room, findings->n, sizeof(*findings->items));

        findings->items = items;
        if (r)
                return r;
        mine = &findings->items[findings->n++];
        *mine = (Finding){ .line = finding->line, .number = finding->number, .blanked = finding->blanked };
        r = copy(finding->place, &mine->place);
        if (r == 0)
                r = copy(finding->rule, &mine->rule);
        if (r == 0)
                r = add_text(findings, finding->value, finding->is_line);
        if (r == 0 && finding->context.size > 0)
                r = add_text(findings, finding->context, false);
        return r;
}

void findings_match(Findings *findings, size_t candidate, void (*visit)(void *userdata, const Finding *finding),
                    void *userdata)
{
        uint32_t use = candidate < findings->n_candidates ? findings->first_use[candidate] : 0;

        for (; use; use = findings->uses[use - 1].next) {
                Finding *finding = &findings->items[findings->uses[use - 1].finding];

                finding->matched = true;
                visit(userdata, finding);
        }
}

size_t findings_matched(const Findings *findings)
{
        size_t n = 0;

        for (size_t i = 0; i < findings->n; i++)
                n += findings->items[i].matched;
        return n;
}

size_t findings_blanked(const Findings *findings)
{
        size_t n = 0;

        for (size_t i = 0; i < findings->n; i++)
                n += findings->items[i].blanked && !findings->items[i].matched;
        return n;
}
