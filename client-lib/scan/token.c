#include "scan/token.h"
#include "base/ident.h"

/* Shorter ones are words: "ghs_" in a name. */
#define BODY_MIN 8U

static bool is_alnum(uint8_t byte)
{
        return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
}

bool token_is_byte(uint8_t byte)
{
        return is_alnum(byte) || byte == '_' || byte == '-' || byte == '.';
}

static bool is_ours(Slice run)
{
        return run.size >= 6 &&
               (memcmp(run.data, IDENT_HANDLE_PREFIX, 6) == 0 || memcmp(run.data, IDENT_SESSION_PREFIX, 6) == 0);
}

static bool is_wellformed(Slice token)
{
        return ident_token_is_wellformed(token, IDENT_HANDLE_PREFIX) ||
               ident_token_is_wellformed(token, IDENT_SESSION_PREFIX);
}

/* Lengths of tokens that are always as long. */
static size_t known_length(Slice run)
{
        static const struct {
                const char *prefix;
                size_t length;
        } known[] = {
                { "ghp_", 40 }, { "gho_", 40 }, { "ghu_", 40 }, { "ghs_", 40 }, { "ghr_", 80 }, { "npm_", 40 },
                { "github_pat_", 93 }, { "glpat-", 26 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
                size_t n = strlen(known[i].prefix);

                if (run.size >= known[i].length && memcmp(run.data, known[i].prefix, n) == 0)
                        return known[i].length;
        }
        return 0;
}

static size_t add_cut(size_t cuts[TOKEN_CUTS_MAX], size_t n, size_t prefix, size_t cut)
{
        if (cut < prefix + BODY_MIN || cut > TOKEN_MAX)
                return n;
        for (size_t i = 0; i < n; i++)
                if (cuts[i] == cut)
                        return n;
        cuts[n] = cut;
        return n + 1;
}

size_t token_cuts(Slice run, size_t prefix, size_t cuts[TOKEN_CUTS_MAX])
{
        size_t whole = MIN(run.size, TOKEN_MAX + 1), dotless = prefix, plain = prefix, n = 0;

        if (is_ours(run)) {
                if (run.size >= IDENT_TOKEN_SIZE && is_wellformed(slice(run.data, IDENT_TOKEN_SIZE)))
                        n = add_cut(cuts, n, prefix, IDENT_TOKEN_SIZE);
                return n;
        }
        while (dotless < whole && run.data[dotless] != '.')
                dotless++;
        while (plain < dotless && is_alnum(run.data[plain]))
                plain++;
        while (whole > prefix && run.data[whole - 1] == '.')
                whole--;
        n = add_cut(cuts, n, prefix, dotless);
        n = add_cut(cuts, n, prefix, whole);
        n = add_cut(cuts, n, prefix, known_length(run));
        return add_cut(cuts, n, prefix, plain);
}
