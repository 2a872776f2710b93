#pragma once
/*
 * The identifiers and tokens the broker makes.
 *
 * A token is a prefix, random base62 digits and six base62 digits of a CRC-32 over the random part,
 * most significant first, alphabet 0-9A-Za-z: the scheme of GitHub's tokens, so that a scanner can
 * tell a real one from a coincidence without asking anybody.
 */
#include "base/error.h"
#include "base/secret.h"

#define IDENT_RANDOM_DIGITS 32U /* 190 bits */
#define IDENT_CHECK_DIGITS 6U
#define IDENT_HANDLE_PREFIX "mcpch_"  /* stands for a credential in one session */
#define IDENT_SESSION_PREFIX "mcpcs_" /* a session's own secret, MCPCRED_SESSION */
#define IDENT_TOKEN_SIZE (6U + IDENT_RANDOM_DIGITS + IDENT_CHECK_DIGITS)

/* Identifiers are public: 16 base62 digits (95 bits) behind a letter, NUL-terminated. */
#define IDENT_ID_SIZE 18U
typedef struct Ident {
        char text[IDENT_ID_SIZE + 1];
} Ident;

/* 's' for a session, 'l' for a lease, 'r' for a request: "s-" and sixteen digits. */
Ident ident_new(char kind);
bool ident_is_valid(const char *text, char kind);
/* A fresh token with one of the six-character prefixes above. */
int ident_token_new(Secret **ret, Arena *arena, const char *prefix) NODISCARD NONNULL(1, 2, 3);
/* Prefix, alphabet, length and checksum. Says nothing about whether it was ever issued. */
bool ident_token_is_wellformed(Slice token, const char *prefix);
/* The check digits of a payload, for tests and scanners; `out` gets six digits and a NUL. */
void ident_check_digits(Slice payload, char out[IDENT_CHECK_DIGITS + 1]);
