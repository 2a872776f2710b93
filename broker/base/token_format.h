#pragma once
/*
 * What tokens of known issuers look like, and whether their checksum fits: a real one is told from a
 * coincidence, and from one that was cut short or mistyped, without asking anybody. Pure.
 *
 * A checksum that fits says that somebody made the text as a token, never that it is one that lives.
 */
#include "base/slice.h"

typedef enum TokenKind {
        TOKEN_KIND_NONE,               /* nothing of the kinds below */
        TOKEN_KIND_MCPCRED_HANDLE,     /* mcpch_, ours */
        TOKEN_KIND_MCPCRED_SESSION,    /* mcpcs_, ours */
        TOKEN_KIND_GITHUB_CLASSIC,     /* ghp_ */
        TOKEN_KIND_GITHUB_FINE,        /* github_pat_ */
        TOKEN_KIND_GITHUB_OAUTH,       /* gho_ */
        TOKEN_KIND_GITHUB_USER,        /* ghu_ */
        TOKEN_KIND_GITHUB_REFRESH,     /* ghr_ */
        TOKEN_KIND_GITHUB_INSTALLATION, /* ghs_, short or with a JWT behind it */
        TOKEN_KIND_GITLAB,             /* glpat- and the like, with or without a route */
        TOKEN_KIND_NPM,                /* npm_ */
        TOKEN_KIND_CLOUDFLARE,         /* cfut_, cfat_ */
        _TOKEN_KIND_N,
} TokenKind;

typedef enum TokenCheck {
        TOKEN_CHECK_NONE,   /* the kind has no checksum, or none that is known */
        TOKEN_CHECK_FITS,
        TOKEN_CHECK_WRONG,  /* a letter is not right, or it was made up */
        TOKEN_CHECK_LENGTH, /* the prefix is right, and the rest too short, too long, or of other letters */
} TokenCheck;

typedef struct TokenFormat {
        TokenKind kind;
        TokenCheck check;
        /* The checksum is documented, or borne out by many samples. Where it is not, TOKEN_CHECK_WRONG is
         * no reason to refuse anything. */
        bool reliable;
} TokenFormat;

/* Of the whole text: one that is longer than a token is none. */
TokenFormat token_format(Slice candidate);
/* "GitHub personal access token", for a person; "token" for TOKEN_KIND_NONE. */
const char *token_kind_name(TokenKind kind);
/* What it begins with; NULL for TOKEN_KIND_NONE. Some kinds have several, of which this is the first. */
const char *token_kind_prefix(TokenKind kind);
/*
 * For scanners: whether the candidate is of a known kind, and nothing is wrong with it. `ret_has_checksum`
 * says whether a checksum bore that out.
 */
bool token_checksum_fits(Slice candidate, bool *ret_has_checksum) NONNULL(2);
