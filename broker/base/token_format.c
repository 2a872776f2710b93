#include "base/token_format.h"
#include "base/crc32.h"
#include "base/ident.h"
#include <sodium.h>

#define NO_LIMIT 4096U

typedef struct Form {
        const char *prefix;
        TokenKind kind;
        size_t min, max; /* of what is behind the prefix */
        const char *marks; /* that may be in it beside letters and digits */
        TokenCheck (*check)(Slice token, size_t prefix);
        bool reliable;
} Form;

static bool is_alnum(uint8_t c)
{
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool consists_of(Slice text, const char *marks)
{
        for (size_t i = 0; i < text.size; i++)
                if (!is_alnum(text.data[i]) && (text.data[i] == 0 || !strchr(marks, text.data[i])))
                        return false;
        return true;
}

static TokenCheck verdict(bool fits)
{
        return fits ? TOKEN_CHECK_FITS : TOKEN_CHECK_WRONG;
}

/* Six base62 digits at the end, of the CRC-32 of what is between them and the prefix. */
static TokenCheck check_base62(Slice token, size_t prefix)
{
        Slice payload = slice(token.data + prefix, token.size - prefix - IDENT_CHECK_DIGITS);
        char digits[IDENT_CHECK_DIGITS + 1];

        ident_check_digits(payload, digits);
        return verdict(memcmp(payload.data + payload.size, digits, IDENT_CHECK_DIGITS) == 0);
}

/* The first characters of RFC 4648 base32 over a hash. */
static void base32(const uint8_t *bytes, char *out, size_t n)
{
        static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

        for (size_t i = 0; i < n; i++) {
                size_t bit = i * 5;
                unsigned pair = (unsigned)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];

                out[i] = digits[pair >> (11 - bit % 8) & 31];
        }
}

/* 22 letters, "_", 43 letters, 8 of a SHA-256 over everything before them, and 8 that nobody has explained. */
static TokenCheck check_github_fine(Slice token, size_t prefix)
{
        enum { FIRST = 22, SECOND = 43, CHECK = 8, REST = 8 };
        uint8_t hash[crypto_hash_sha256_BYTES];
        size_t size = prefix + FIRST + 1 + SECOND;
        char digits[CHECK];
        TokenCheck r;

        _Static_assert(FIRST + 1 + SECOND + CHECK + REST == 82, "the form's length");
        if (token.data[prefix + FIRST] != '_' ||
            !consists_of(slice(token.data + prefix + FIRST + 1, token.size - prefix - FIRST - 1), ""))
                return TOKEN_CHECK_LENGTH;
        crypto_hash_sha256(hash, token.data, size);
        base32(hash, digits, CHECK);
        r = verdict(memcmp(token.data + size, digits, CHECK) == 0);
        sodium_memzero(hash, sizeof(hash));
        sodium_memzero(digits, sizeof(digits));
        return r;
}

/* "ghs_" and 36, of which samples do not bear a checksum out; or "ghs_APP_HEADER.CLAIMS.SIGNATURE". */
static TokenCheck check_github_installation(Slice token, size_t prefix)
{
        size_t dots = 0;

        for (size_t i = prefix; i < token.size; i++)
                dots += token.data[i] == '.';
        if (dots == 0)
                return token.size == prefix + 36 ? TOKEN_CHECK_NONE : TOKEN_CHECK_LENGTH;
        return dots == 2 ? TOKEN_CHECK_NONE : TOKEN_CHECK_LENGTH;
}

/* Whether the text is the number in base36, in as many digits as it has. */
static bool is_base36(Slice text, uint64_t number)
{
        static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
        bool same = true;

        for (size_t i = text.size; i-- > 0; number /= 36)
                same = same && text.data[i] == (uint8_t)digits[number % 36];
        return same && number == 0;
}

/* Twenty letters without a checksum; or a payload, ".01.", two digits of its length and seven of a checksum. */
static TokenCheck check_gitlab(Slice token, size_t prefix)
{
        enum { PLAIN = 20, TAIL = 13, PAYLOAD_MIN = 27, LENGTH = 2, CHECK = 7 };
        const uint8_t *tail = token.data + token.size - TAIL;
        size_t payload = token.size - prefix;

        if (!memchr(token.data + prefix, '.', payload))
                return payload == PLAIN ? TOKEN_CHECK_NONE : TOKEN_CHECK_LENGTH;
        if (payload < PAYLOAD_MIN + TAIL || memcmp(tail, ".01.", 4) != 0 ||
            memchr(token.data + prefix, '.', payload - TAIL) || memchr(tail + 4, '.', TAIL - 4))
                return TOKEN_CHECK_LENGTH;
        if (!is_base36(slice(tail + 4, LENGTH), payload - TAIL))
                return TOKEN_CHECK_LENGTH;
        return verdict(is_base36(slice(tail + 4 + LENGTH, CHECK), crc32_iso(slice(token.data, token.size - CHECK))));
}

/* How the eight digits at the end are computed has not been published. */
static TokenCheck check_nothing(UNUSED Slice token, UNUSED size_t prefix)
{
        return TOKEN_CHECK_NONE;
}

static const Form forms[] = {
        { IDENT_HANDLE_PREFIX, TOKEN_KIND_MCPCRED_HANDLE, 38, 38, "", check_base62, true },
        { IDENT_SESSION_PREFIX, TOKEN_KIND_MCPCRED_SESSION, 38, 38, "", check_base62, true },
        { "ghp_", TOKEN_KIND_GITHUB_CLASSIC, 36, 36, "", check_base62, true },
        { "github_pat_", TOKEN_KIND_GITHUB_FINE, 82, 82, "_", check_github_fine, false },
        { "gho_", TOKEN_KIND_GITHUB_OAUTH, 36, 36, "", check_base62, true },
        { "ghu_", TOKEN_KIND_GITHUB_USER, 36, 36, "", check_base62, true },
        { "ghr_", TOKEN_KIND_GITHUB_REFRESH, 76, 76, "", check_base62, true },
        { "ghs_", TOKEN_KIND_GITHUB_INSTALLATION, 36, NO_LIMIT, "._-", check_github_installation, true },
        { "glpat-", TOKEN_KIND_GITLAB, 20, 320, "._-", check_gitlab, true },
        { "npm_", TOKEN_KIND_NPM, 36, 36, "", check_base62, true },
        { "cfut_", TOKEN_KIND_CLOUDFLARE, 40, 48, "", check_nothing, true },
        { "cfat_", TOKEN_KIND_CLOUDFLARE, 40, 48, "", check_nothing, true },
};

static const Form *form_of(Slice candidate)
{
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                size_t prefix = strlen(forms[i].prefix);

                if (candidate.size >= prefix && memcmp(candidate.data, forms[i].prefix, prefix) == 0)
                        return &forms[i];
        }
        return NULL;
}

TokenFormat token_format(Slice candidate)
{
        const Form *form = form_of(candidate);
        TokenFormat ret = { .kind = TOKEN_KIND_NONE };
        size_t prefix, rest;

        if (!form)
                return ret;
        prefix = strlen(form->prefix);
        rest = candidate.size - prefix;
        ret = (TokenFormat){ .kind = form->kind, .check = TOKEN_CHECK_LENGTH, .reliable = form->reliable };
        if (rest >= form->min && rest <= form->max &&
            consists_of(slice(candidate.data + prefix, rest), form->marks))
                ret.check = form->check(candidate, prefix);
        return ret;
}

const char *token_kind_name(TokenKind kind)
{
        static const char *const names[_TOKEN_KIND_N] = {
                [TOKEN_KIND_NONE] = "token",
                [TOKEN_KIND_MCPCRED_HANDLE] = "handle of mcpcred",
                [TOKEN_KIND_MCPCRED_SESSION] = "session secret of mcpcred",
                [TOKEN_KIND_GITHUB_CLASSIC] = "GitHub personal access token (classic)",
                [TOKEN_KIND_GITHUB_FINE] = "GitHub fine-grained personal access token",
                [TOKEN_KIND_GITHUB_OAUTH] = "GitHub OAuth token",
                [TOKEN_KIND_GITHUB_USER] = "GitHub App user token",
                [TOKEN_KIND_GITHUB_REFRESH] = "GitHub App refresh token",
                [TOKEN_KIND_GITHUB_INSTALLATION] = "GitHub App installation token",
                [TOKEN_KIND_GITLAB] = "GitLab access token",
                [TOKEN_KIND_NPM] = "npm token",
                [TOKEN_KIND_CLOUDFLARE] = "Cloudflare API token",
        };

        return (unsigned)kind < _TOKEN_KIND_N ? names[kind] : names[TOKEN_KIND_NONE];
}

const char *token_kind_prefix(TokenKind kind)
{
        for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
                if (forms[i].kind == kind)
                        return forms[i].prefix;
        return NULL;
}

bool token_checksum_fits(Slice candidate, bool *ret_has_checksum)
{
        TokenFormat format = token_format(candidate);

        *ret_has_checksum = format.check == TOKEN_CHECK_FITS || format.check == TOKEN_CHECK_WRONG;
        return format.kind != TOKEN_KIND_NONE &&
               (format.check == TOKEN_CHECK_FITS || format.check == TOKEN_CHECK_NONE);
}
