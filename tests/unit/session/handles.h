#pragma once
/* Handles for tests, made at run time, and a pool for what is taken apart. */
#include "base/ident.h"
#include "base/pool.h"
#include <check.h>
#include <sodium.h>

typedef struct Token {
        char text[IDENT_TOKEN_SIZE + 1];
} Token;

/* Well-formed: 32 times the digit, and the check digits. */
static inline Token token_of(char digit)
{
        char payload[IDENT_RANDOM_DIGITS], check[IDENT_CHECK_DIGITS + 1];
        Token token;

        memset(payload, digit, sizeof(payload));
        ident_check_digits(slice(payload, sizeof(payload)), check);
        memcpy(token.text, IDENT_HANDLE_PREFIX, 6);
        memcpy(token.text + 6, payload, sizeof(payload));
        memcpy(token.text + 6 + sizeof(payload), check, sizeof(check));
        ck_assert(ident_token_is_wellformed(slice_text(token.text), IDENT_HANDLE_PREFIX));
        return token;
}
