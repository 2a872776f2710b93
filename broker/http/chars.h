#pragma once
/* Classes of bytes (RFC 9110 section 5.6, RFC 3986). No locale has a say. */
#include "base/macros.h"
#include <string.h>

static inline bool http_is_digit(uint8_t c)
{
        return c >= '0' && c <= '9';
}

static inline bool http_is_alnum(uint8_t c)
{
        return http_is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Of a method, of a header's name. */
static inline bool http_is_token(uint8_t c)
{
        switch (c) {
        case '!':
        case '#':
        case '$':
        case '%':
        case '&':
        case '\'':
        case '*':
        case '+':
        case '-':
        case '.':
        case '^':
        case '_':
        case '`':
        case '|':
        case '~':
                return true;
        default:
                return http_is_alnum(c);
        }
}

static inline bool http_is_blank(uint8_t c)
{
        return c == ' ' || c == '\t';
}

/* Printable ASCII without the space. */
static inline bool http_is_visible(uint8_t c)
{
        return c > ' ' && c < 0x7f;
}

/* Of a header's value, where bytes beyond ASCII may stand too. */
static inline bool http_is_text(uint8_t c)
{
        return c == '\t' || (c >= ' ' && c != 0x7f);
}

static inline uint8_t http_lower(uint8_t c)
{
        return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* The value of a hexadecimal digit, or -1. */
static inline int http_hex(uint8_t c)
{
        if (http_is_digit(c))
                return c - '0';
        c = http_lower(c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
