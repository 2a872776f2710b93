#include "egress/unescape.h"
#include "http/chars.h"
#include <string.h>

/* ---- what an escape stands for ---- */

typedef struct Entity {
        const char *name;
        uint8_t character;
} Entity;

/* HTML's names of printable ASCII, as far as they are no longer than UNESCAPE_MAX. */
static const Entity entities[] = {
        { "amp", '&' },    { "lt", '<' },     { "gt", '>' },     { "quot", '"' },   { "apos", '\'' },  { "excl", '!' },
        { "num", '#' },    { "dollar", '$' }, { "percnt", '%' }, { "lpar", '(' },   { "rpar", ')' },   { "ast", '*' },
        { "plus", '+' },   { "comma", ',' },  { "period", '.' }, { "sol", '/' },    { "colon", ':' },  { "semi", ';' },
        { "equals", '=' }, { "quest", '?' },  { "commat", '@' }, { "lsqb", '[' },   { "lbrack", '[' }, { "bsol", '\\' },
        { "rsqb", ']' },   { "rbrack", ']' }, { "Hat", '^' },    { "lowbar", '_' }, { "grave", '`' },  { "lcub", '{' },
        { "lbrace", '{' }, { "verbar", '|' }, { "vert", '|' },   { "rcub", '}' },   { "rbrace", '}' },
};

/* Two digits. */
static bool read_hex(const uint8_t *at, uint8_t *ret)
{
        int high = http_hex(at[0]), low = http_hex(at[1]);

        if (high < 0 || low < 0)
                return false;
        *ret = (uint8_t)(high * 16 + low);
        return true;
}

/* "&#65;", "&#x41;", "&amp;": `at` is at "&". */
static size_t unescape_html(const uint8_t *at, size_t left, uint8_t *ret)
{
        size_t size = MIN(left, (size_t)UNESCAPE_MAX), n = 2;
        const uint8_t *end = memchr(at, ';', size);
        unsigned base = 10, value = 0;

        if (!end || end - at < 3)
                return 0;
        size = (size_t)(end - at) + 1;
        if (at[1] != '#') {
                for (size_t i = 0; i < ARRAY_SIZE(entities); i++)
                        if (strlen(entities[i].name) == size - 2 && memcmp(entities[i].name, at + 1, size - 2) == 0) {
                                *ret = entities[i].character;
                                return size;
                        }
                return 0;
        }
        if (http_lower(at[2]) == 'x') {
                base = 16;
                n = 3;
        }
        if (n == size - 1)
                return 0;
        for (; n < size - 1; n++) {
                int digit = http_hex(at[n]);

                if (digit < 0 || (unsigned)digit >= base)
                        return 0;
                value = value * base + (unsigned)digit;
        }
        if (value > 127)
                return 0;
        *ret = (uint8_t)value;
        return size;
}

/* "\u0041", "\x41", and "\/" as well as any other character that is none of a word. */
static size_t unescape_backslash(const uint8_t *at, size_t left, uint8_t *ret)
{
        if (left < 2)
                return 0;
        if (at[1] == 'u')
                return left >= 6 && at[2] == '0' && at[3] == '0' && read_hex(at + 4, ret) ? 6 : 0;
        if (at[1] == 'x')
                return left >= 4 && read_hex(at + 2, ret) ? 4 : 0;
        if (at[1] <= ' ' || at[1] > '~' || http_is_alnum(at[1]))
                return 0;
        *ret = at[1];
        return 2;
}

size_t unescape(const uint8_t *at, size_t left, uint8_t *ret)
{
        if (*at == '%')
                return left >= 3 && read_hex(at + 1, ret) ? 3 : 0;
        if (*at == '\\')
                return unescape_backslash(at, left, ret);
        if (*at == '&')
                return unescape_html(at, left, ret);
        return 0;
}

/* ---- how an escape can begin ---- */

static void add_hex_digit(uint8_t digit, UnescapeAdd add, void *userdata)
{
        add(userdata, '%', digit);
        if (digit >= 'a')
                add(userdata, '%', digit & 0xdf);
}

void unescape_begins(uint8_t c, UnescapeAdd add, void *userdata)
{
        static const char digits[] = "0123456789abcdef";

        add_hex_digit((uint8_t)digits[c >> 4], add, userdata);
        add(userdata, '\\', 'u');
        add(userdata, '\\', 'x');
        if (!http_is_alnum(c))
                add(userdata, '\\', c);
        add(userdata, '&', '#');
        for (size_t i = 0; i < ARRAY_SIZE(entities); i++)
                if (entities[i].character == c)
                        add(userdata, '&', (uint8_t)entities[i].name[0]);
}
