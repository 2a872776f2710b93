#pragma once
/*
 * Encodings of a text as servers write them, and their decoding, for the tests of the scrubber: written
 * apart from it, so that neither repeats the other's mistakes. All are slow and simple.
 */
#include "base/buf.h"
#include <stdio.h>
#include <stdlib.h>

/* A generator of its own: the same sequence on each run. */
typedef struct Dice {
        uint64_t state;
} Dice;

static inline unsigned dice_roll(Dice *dice, unsigned sides)
{
        dice->state = dice->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (unsigned)(dice->state >> 33) % sides;
}

/* Not by an assertion of Check's, of which each is a message to the process that runs the test. */
static inline void put(Buf *out, const char *text, size_t size)
{
        if (buf_append(out, text, size) < 0)
                abort();
}

static inline void put_text(Buf *out, const char *text)
{
        put(out, text, strlen(text));
}

#define PUT(out, ...)                                              \
        do {                                                       \
                char _text[64];                                    \
                snprintf(_text, sizeof(_text), __VA_ARGS__);       \
                put_text(out, _text);                              \
        } while (0)

/* ---- encoders: `dice` decides for each character whether it is escaped; NULL: each is ---- */

static inline bool is_chosen(Dice *dice)
{
        return !dice || dice_roll(dice, 2) == 0;
}

static inline void encode_percent(const char *text, Dice *dice, bool lower, Buf *out)
{
        for (; *text; text++) {
                if (is_chosen(dice) || *text == '%')
                        PUT(out, lower ? "%%%02x" : "%%%02X", (unsigned)*text);
                else
                        put(out, text, 1);
        }
}

static inline void encode_json(const char *text, Dice *dice, bool lower, Buf *out)
{
        for (; *text; text++) {
                if (is_chosen(dice))
                        PUT(out, lower ? "\\u%04x" : "\\u%04X", (unsigned)*text);
                else if (strchr("\"\\/", *text))
                        PUT(out, "\\%c", *text);
                else
                        put(out, text, 1);
        }
}

static inline void encode_html(const char *text, Dice *dice, unsigned style, Buf *out)
{
        static const char *const named[] = { "&amp;", "<lt;", ">gt;", "\"quot;", "'apos;", "/sol;", "+plus;",
                                             "=equals;", "_lowbar;", ".period;", ":colon;", "%percnt;" };
        size_t i;

        for (; *text; text++) {
                for (i = 0; i < ARRAY_SIZE(named) && named[i][0] != *text; i++)
                        ;
                if (style == 3 && i < ARRAY_SIZE(named))
                        PUT(out, "&%s", *text == '&' ? "amp;" : named[i] + 1);
                else if (!is_chosen(dice) && *text != '&')
                        put(out, text, 1);
                else if (style == 0)
                        PUT(out, "&#%u;", (unsigned)*text);
                else if (style == 1)
                        PUT(out, "&#x%x;", (unsigned)*text);
                else
                        PUT(out, "&#X%04X;", (unsigned)*text);
        }
}

static inline void encode_hex(const char *text, bool lower, Buf *out)
{
        for (; *text; text++)
                PUT(out, lower ? "%02x" : "%02X", (unsigned)*text);
}

/* Lines of `width` with `eol` between them; 0: one line. */
static inline void encode_base64(Slice text, bool url, size_t width, const char *eol, Buf *out)
{
        const char *alphabet = url ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
                                   : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
        size_t column = 0;

        for (size_t i = 0; i < text.size; i += 3) {
                unsigned group = (unsigned)text.data[i] << 16;
                size_t n = MIN(text.size - i, (size_t)3);
                int at[4];

                group |= n > 1 ? (unsigned)text.data[i + 1] << 8 : 0;
                group |= n > 2 ? (unsigned)text.data[i + 2] : 0;
                at[0] = group >> 18 & 63;
                at[1] = group >> 12 & 63;
                at[2] = n > 1 ? (int)(group >> 6 & 63) : 64;
                at[3] = n > 2 ? (int)(group & 63) : 64;
                for (int k = 0; k < 4; k++) {
                        if (width > 0 && column == width) {
                                put_text(out, eol);
                                column = 0;
                        }
                        put(out, alphabet + at[k], 1);
                        column++;
                }
        }
}

/* ---- decoders: of a whole text, what is none of the encoding stands for itself ---- */

static inline bool two_digits(const char *at, unsigned *ret)
{
        char digits[3] = { at[0], at[1], 0 };

        return strspn(digits, "0123456789abcdefABCDEF") == 2 && sscanf(digits, "%x", ret) == 1;
}

/* `text` ends in a NUL that is not counted. */
static inline void decode_percent(const char *text, size_t size, Buf *out)
{
        for (size_t i = 0; i < size; i++) {
                unsigned value = (unsigned char)text[i];

                if (text[i] == '%' && i + 2 < size && two_digits(text + i + 1, &value))
                        i += 2;
                put(out, (char[]){ (char)value }, 1);
        }
}

static inline void decode_json(const char *text, size_t size, Buf *out)
{
        for (size_t i = 0; i < size; i++) {
                unsigned value = (unsigned char)text[i];

                if (text[i] == '\\' && i + 5 < size && memcmp(text + i + 1, "u00", 3) == 0 &&
                    two_digits(text + i + 4, &value))
                        i += 5;
                else if (text[i] == '\\' && i + 1 < size && text[i + 1] && strchr("\"\\/", text[i + 1]))
                        value = (unsigned char)text[++i];
                put(out, (char[]){ (char)value }, 1);
        }
}

static inline void decode_html(const char *text, size_t size, Buf *out)
{
        static const char *const named[] = { "amp;&", "lt;<", "gt;>", "quot;\"", "apos;'", "sol;/", "plus;+",
                                             "equals;=", "lowbar;_", "period;.", "colon;:", "percnt;%" };

        for (size_t i = 0; i < size; i++) {
                unsigned value = (unsigned char)text[i];
                int n = 0;

                if (text[i] == '&' && sscanf(text + i, "&#x%4x%n", &value, &n) == 1 && text[i + (size_t)n] == ';')
                        i += (size_t)n;
                else if (text[i] == '&' && sscanf(text + i, "&#X%4x%n", &value, &n) == 1 && text[i + (size_t)n] == ';')
                        i += (size_t)n;
                else if (text[i] == '&' && sscanf(text + i, "&#%4u%n", &value, &n) == 1 && text[i + (size_t)n] == ';')
                        i += (size_t)n;
                else
                        value = (unsigned char)text[i];
                for (size_t k = 0; text[i] == '&' && k < ARRAY_SIZE(named); k++) {
                        size_t length = strlen(named[k]) - 1;

                        if (i + length < size && memcmp(text + i + 1, named[k], length) == 0) {
                                value = (unsigned char)named[k][length];
                                i += length;
                                break;
                        }
                }
                put(out, (char[]){ (char)value }, 1);
        }
}

static inline int sextet(char c)
{
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *at = strchr(alphabet, c == '-' ? '+' : c == '_' ? '/' : c);

        return c && at ? (int)(at - alphabet) : -1;
}

/* What a group of `n` characters says: a last one may be short. */
static inline void put_group(unsigned group, int n, Buf *out)
{
        for (int k = 0; k + 1 < n; k++)
                put(out, (char[]){ (char)(group << (24 - 6 * n) >> (16 - 8 * k)) }, 1);
}

/* From `from` on, with line breaks left out; each other character ends a group. */
static inline void decode_base64(const char *text, size_t size, size_t from, Buf *out)
{
        unsigned group = 0;
        int n = 0;

        for (size_t i = from; i < size; i++) {
                int value = sextet(text[i]);

                if (text[i] == '\r' || text[i] == '\n')
                        continue;
                if (text[i] == '\\' && i + 1 < size && (text[i + 1] == 'n' || text[i + 1] == 'r')) {
                        i++;
                        continue;
                }
                if (value < 0) {
                        put_group(group, n, out);
                        put(out, "\0", 1);
                        n = 0;
                        group = 0;
                        continue;
                }
                group = group << 6 | (unsigned)value;
                if (++n == 4) {
                        put_group(group, n, out);
                        n = 0;
                        group = 0;
                }
        }
        put_group(group, n, out);
}

static inline void decode_hex(const char *text, size_t size, size_t from, Buf *out)
{
        unsigned value;

        for (size_t i = from; i + 1 < size; i += 2)
                put(out, two_digits(text + i, &value) ? (char[]){ (char)value } : "\0", 1);
}

/* ---- is the secret there, in any of them? ---- */

static inline bool has(Slice text, const char *secret)
{
        return text.size > 0 && memmem(text.data, text.size, secret, strlen(secret)) != NULL;
}

/* The text, or what a decoder makes of it, as Base64 and hex. */
static inline const char *reveals_packed(Slice text, const char *secret)
{
        const char *found = has(text, secret) ? "plain" : NULL;

        for (size_t from = 0; !found && from < 4; from++) {
                Buf plain = BUF_NULL(1U << 22);

                decode_base64((const char *)text.data, text.size, from, &plain);
                if (has(buf_slice(&plain), secret))
                        found = "base64";
                buf_clear(&plain);
                decode_hex((const char *)text.data, text.size, from, &plain);
                if (has(buf_slice(&plain), secret))
                        found = "hex";
                buf_deinit(&plain);
        }
        return found;
}

/* What it was found in, or NULL. */
static inline const char *reveals(const Buf *text, const char *secret)
{
        static void (*const decoders[])(const char *, size_t, Buf *) = { decode_percent, decode_json, decode_html };
        Buf copy = BUF_NULL(1U << 22), plain = BUF_NULL(1U << 22);
        const char *found;

        put(&copy, (const char *)text->data, text->size);
        put(&copy, "\0\0\0\0\0\0\0\0\0", 9); /* for the decoders' looking ahead */
        found = reveals_packed(buf_slice(text), secret);
        for (size_t i = 0; !found && i < ARRAY_SIZE(decoders); i++) {
                buf_clear(&plain);
                decoders[i]((const char *)copy.data, text->size, &plain);
                found = reveals_packed(buf_slice(&plain), secret);
        }
        buf_deinit(&copy);
        buf_deinit(&plain);
        return found;
}
