#include "scan/token.h"
#include "base/ident.h"
#include "base/token_format.h"

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

/* One whose checksum is known and wrong is none. Ours are made here: of them there is nothing to doubt. */
static bool is_possible(Slice token)
{
        TokenFormat format = token_format(token);

        if (format.kind == TOKEN_KIND_MCPCRED_HANDLE || format.kind == TOKEN_KIND_MCPCRED_SESSION)
                return format.check == TOKEN_CHECK_FITS;
        return format.check != TOKEN_CHECK_WRONG || !format.reliable;
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

/* Of kinds that are always as long: 0 where that is not known, or there is less. */
static size_t fixed_length(Slice run, TokenKind kind)
{
        static const size_t lengths[_TOKEN_KIND_N] = {
                [TOKEN_KIND_MCPCRED_HANDLE] = IDENT_TOKEN_SIZE,
                [TOKEN_KIND_MCPCRED_SESSION] = IDENT_TOKEN_SIZE,
                [TOKEN_KIND_GITHUB_CLASSIC] = 40,
                [TOKEN_KIND_GITHUB_FINE] = 93,
                [TOKEN_KIND_GITHUB_OAUTH] = 40,
                [TOKEN_KIND_GITHUB_USER] = 40,
                [TOKEN_KIND_GITHUB_REFRESH] = 80,
                [TOKEN_KIND_GITHUB_INSTALLATION] = 40,
                [TOKEN_KIND_GITLAB] = 26,
                [TOKEN_KIND_NPM] = 40,
        };
        size_t length = lengths[kind];

        return length <= run.size ? length : 0;
}

size_t token_cuts(Slice run, size_t prefix, size_t cuts[TOKEN_CUTS_MAX])
{
        size_t whole = MIN(run.size, TOKEN_MAX + 1), dotless = prefix, plain = prefix, n = 0, possible = 0, fixed;
        TokenKind kind = token_format(slice(run.data, prefix)).kind;

        fixed = fixed_length(run, kind);
        while (dotless < whole && run.data[dotless] != '.')
                dotless++;
        while (plain < dotless && is_alnum(run.data[plain]))
                plain++;
        while (whole > prefix && run.data[whole - 1] == '.')
                whole--;
        /* Those of that length are letters and digits alone. */
        if (fixed && (plain >= fixed || kind != TOKEN_KIND_GITHUB_INSTALLATION))
                n = add_cut(cuts, n, prefix, fixed);
        n = add_cut(cuts, n, prefix, dotless);
        n = add_cut(cuts, n, prefix, whole);
        n = add_cut(cuts, n, prefix, plain);
        for (size_t i = 0; i < n; i++)
                if (is_possible(slice(run.data, cuts[i])))
                        cuts[possible++] = cuts[i];
        return possible;
}
