#include "egress/needle.h"
#include "egress/unescape.h"
#include "http/chars.h"
#include <string.h>

/* "\r\n" between two characters of Base64 or hex, raw or as JSON writes it. */
#define BREAK_MAX 4U
/* Zero bytes between two characters: of UTF-16 and UTF-32, whichever way round. */
#define ZEROS_MAX 3U
/* So many characters may tell by the time it takes whether they agree: candidates for these are looked up
 * in a table anyhow. Of all that follow, up to AGREE_MAX, each is looked at whatever the ones before were. */
#define LEAD      2U
#define AGREE_MAX 96U
/* Places where a byte can be read both as itself and as the begin of an escape, one within another. */
#define FORKS_MAX 16U

/* ---- its characters ---- */

static bool is_base64(NeedleForm form)
{
        return form >= NEEDLE_BASE64_0 && form <= NEEDLE_BASE64_2;
}

static uint8_t character_at(const Needle *needle, size_t i)
{
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        static const char digits[] = "0123456789abcdef";
        const uint8_t *secret = needle->secret.data;
        size_t bit = needle->skip + 6 * i, byte = bit / 8;
        unsigned two;

        if (needle->form == NEEDLE_PLAIN)
                return secret[i];
        if (needle->form == NEEDLE_HEX)
                return (uint8_t)digits[i % 2 ? secret[i / 2] & 15 : secret[i / 2] >> 4];
        two = (unsigned)secret[byte] << 8 | (byte + 1 < needle->secret.size ? secret[byte + 1] : 0);
        return (uint8_t)alphabet[two >> (10 - bit % 8) & 63];
}

/* Both alphabets of Base64, both cases of hex, and a form's "+". */
static bool is_same(NeedleForm form, uint8_t want, uint8_t got)
{
        if (want == got)
                return true;
        if (form == NEEDLE_PLAIN)
                return want == ' ' && got == '+';
        if (form == NEEDLE_HEX)
                return http_lower(got) == want;
        return (want == '+' && got == '-') || (want == '/' && got == '_');
}

Needle needle_make(Slice secret, NeedleForm form)
{
        static const size_t skips[] = { [NEEDLE_BASE64_0] = 0, [NEEDLE_BASE64_1] = 4, [NEEDLE_BASE64_2] = 2 };
        Needle needle = { .secret = secret, .form = form, .length = secret.size };
        size_t bits = 8 * secret.size;

        for (size_t i = 0; form == NEEDLE_PLAIN && i < secret.size; i++)
                needle.forks = needle.forks || strchr("%\\&", secret.data[i]);
        if (form == NEEDLE_HEX)
                needle.length = 2 * secret.size;
        if (is_base64(form)) {
                needle.skip = skips[form];
                needle.length = (bits - needle.skip) / 6;
                needle.before = needle.skip > 0;
                needle.after = (bits - needle.skip) % 6 > 0;
        }
        return needle;
}

bool needle_takes(const Needle *needle, size_t i, uint8_t byte)
{
        return is_same(needle->form, character_at(needle, i), byte);
}

/* ---- between two characters ---- */

/* How many bytes are a line break between two characters. */
static size_t line_break(const uint8_t *at, size_t left)
{
        size_t n = 0;

        while (n < BREAK_MAX && n < left) {
                if (at[n] == '\n' || at[n] == '\r')
                        n++;
                else if (n + 2 <= BREAK_MAX && left - n >= 2 && at[n] == '\\' && (at[n + 1] == 'n' || at[n + 1] == 'r'))
                        n += 2;
                else
                        break;
        }
        return n;
}

/* How many bytes between two characters are none. */
static size_t gap(NeedleForm form, const uint8_t *at, size_t left)
{
        size_t n = 0;

        while (n < ZEROS_MAX && n < left && at[n] == 0)
                n++;
        return n > 0 || form == NEEDLE_PLAIN ? n : line_break(at, left);
}

/* ---- beside the text ---- */

typedef struct Point {
        size_t character; /* of the needle */
        size_t at;        /* in the text */
} Point;

/* Where it can go on from here: nowhere, at one place, or at two (the second in `fork`). */
static unsigned step(const Needle *needle, Slice text, Point *point, Point *fork)
{
        const uint8_t *at = text.data + point->at;
        size_t left = text.size - point->at, n;
        bool plain, escaped;
        uint8_t want, got;

        if (left == 0)
                return 0;
        want = character_at(needle, point->character);
        n = unescape(at, left, &got);
        plain = is_same(needle->form, want, *at);
        escaped = n > 0 && is_same(needle->form, want, got);
        if (plain) {
                *fork = (Point){ point->character + 1, point->at + n };
                *point = (Point){ point->character + 1, point->at + 1 };
                return escaped ? 2 : 1;
        }
        if (escaped) {
                *point = (Point){ point->character + 1, point->at + n };
                return 1;
        }
        if (point->character == 0)
                return 0;
        n = gap(needle->form, at, left);
        if (n == 0 || n == left)
                return 0;
        *point = (Point){ point->character, point->at + n };
        return is_same(needle->form, want, text.data[point->at]) ||
               unescape(text.data + point->at, text.size - point->at, &got) > 0;
}

/* Where a backslash, ampersand or percent sign of the secret could be both, each way is tried. */
static size_t match_forking(const Needle *needle, Slice text, bool *sure)
{
        Point forks[FORKS_MAX], point = { 0, 0 };
        size_t n_forks = 0, budget = 8 * needle->length + 64;

        while (point.character < needle->length) {
                unsigned ways;

                if (budget-- == 0 || n_forks == FORKS_MAX) {
                        *sure = false;
                        return text.size;
                }
                ways = step(needle, text, &point, &forks[n_forks]);
                if (ways == 2)
                        n_forks++;
                if (ways == 0 && n_forks == 0)
                        return 0;
                if (ways == 0)
                        point = forks[--n_forks];
        }
        return point.at;
}

/* The character at `at`, escaped or not; how many bytes it is. */
static size_t read_character(const uint8_t *at, size_t left, uint8_t *ret)
{
        size_t n = unescape(at, left, ret);

        if (n == 0)
                *ret = *at;
        return MAX(n, 1U);
}

size_t needle_match(const Needle *needle, Slice text, bool *sure)
{
        size_t at = 0;
        unsigned wrong = 0;

        if (needle->forks)
                return match_forking(needle, text, sure);
        for (size_t i = 0; i < needle->length; i++) {
                uint8_t got;

                if (i > 0 && at < text.size)
                        at += gap(needle->form, text.data + at, text.size - at);
                if (at >= text.size)
                        return 0;
                at += read_character(text.data + at, text.size - at, &got);
                if (got < ' ' || got > '~')
                        return 0; /* no secret has it, whichever it is */
                wrong |= !is_same(needle->form, character_at(needle, i), got);
                if (wrong && (i < LEAD || i >= AGREE_MAX))
                        return 0;
        }
        return wrong ? 0 : at;
}
