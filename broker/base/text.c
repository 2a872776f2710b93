#include "base/text.h"
#include "base/clock.h"
#include <stdio.h>
#include <time.h>

#define NAME_MAX_LENGTH 64U
#define ENV_NAME_MAX_LENGTH 128U

/* Length of the well-formed sequence at the start, 0 if there is none (RFC 3629, section 4). */
static size_t utf8_sequence(Slice text)
{
        uint8_t lead = text.data[0];
        size_t n = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;

        if (n == 0 || n > text.size || lead == 0)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((text.data[i] & 0xc0) != 0x80)
                        return 0;
        if ((lead == 0xe0 && text.data[1] < 0xa0) || (lead == 0xed && text.data[1] > 0x9f) ||
            (lead == 0xf0 && text.data[1] < 0x90) || (lead == 0xf4 && text.data[1] > 0x8f))
                return 0; /* overlong, surrogate, or beyond U+10FFFF */
        return n;
}

/* How many bytes from the front on are ASCII without NUL, in steps of eight. */
static size_t ascii_run(Slice text)
{
        size_t n = 0;

        for (uint64_t eight; text.size - n >= sizeof(eight); n += sizeof(eight)) {
                memcpy(&eight, text.data + n, sizeof(eight));
                /* Of bytes below 0x80 only a zero borrows; what is above it is looked at one by one then. */
                if ((eight | (eight - 0x0101010101010101U)) & 0x8080808080808080U)
                        break;
        }
        return n;
}

bool text_is_utf8(Slice text)
{
        if (text.size >= sizeof(uint64_t)) {
                size_t n = ascii_run(text);

                text = slice(text.data + n, text.size - n);
        }
        while (text.size > 0) {
                size_t n = utf8_sequence(text);

                if (n == 0)
                        return false;
                text = slice(text.data + n, text.size - n);
        }
        return true;
}

void text_mend_end(char *text)
{
        Slice left = slice_text(text);

        while (left.size > 0) {
                size_t n = utf8_sequence(left);

                if (n == 0)
                        break;
                left = slice(left.data + n, left.size - n);
        }
        text[strlen(text) - left.size] = '\0';
}

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
        return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
        return c >= 'A' && c <= 'Z';
}

bool text_is_name(const char *name)
{
        size_t n = 0;

        if (!name)
                return false;
        for (; name[n]; n++) {
                bool alnum = is_lower(name[n]) || is_digit(name[n]);

                if (n >= NAME_MAX_LENGTH || (!alnum && (n == 0 || !strchr("._-", name[n]))))
                        return false;
        }
        return n > 0;
}

bool text_is_env_name(const char *name)
{
        size_t n = 0;

        if (!name)
                return false;
        for (; name[n]; n++) {
                bool letter = is_lower(name[n]) || is_upper(name[n]) || name[n] == '_';

                if (n >= ENV_NAME_MAX_LENGTH || (!letter && (n == 0 || !is_digit(name[n]))))
                        return false;
        }
        return n > 0;
}

bool text_is_same(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

bool text_is_printable(const char *text)
{
        for (const uint8_t *at = (const uint8_t *)text; *at; at++)
                if (*at < 0x20 || *at == 0x7f || (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0))
                        return false;
        return true;
}

size_t text_character(const char *text, uint32_t *ret)
{
        static const uint8_t masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
        size_t n = utf8_sequence(slice(text, strnlen(text, 4) + (*text == '\0')));
        uint32_t c = (uint8_t)text[0] & masks[n];

        for (size_t i = 1; i < n; i++)
                c = c << 6 | ((uint8_t)text[i] & 0x3f);
        if (n > 0)
                *ret = c;
        return n;
}

bool text_is_control(uint32_t c)
{
        return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e || c == 0x200b ||
               c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x2069) || c == 0xfeff;
}

void text_hex(Slice bytes, char *out)
{
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < bytes.size; i++) {
                out[2 * i] = digits[bytes.data[i] >> 4];
                out[2 * i + 1] = digits[bytes.data[i] & 15];
        }
        out[2 * bytes.size] = '\0';
}

static int hex_digit(char c)
{
        return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int text_unhex(const char *hex, uint8_t *out, size_t size)
{
        if (strlen(hex) != 2 * size)
                return TEXT_E_INVALID;
        for (size_t i = 0; i < size; i++) {
                int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

                if (high < 0 || low < 0)
                        return TEXT_E_INVALID;
                out[i] = (uint8_t)(high << 4 | low);
        }
        return 0;
}

static struct tm broken_down(uint64_t wall_usec)
{
        time_t seconds = (time_t)(wall_usec / USEC_PER_SEC);
        struct tm tm = { 0 };

        (void)gmtime_r(&seconds, &tm);
        return tm;
}

void text_time(uint64_t wall_usec, char out[TEXT_TIME_SIZE])
{
        struct tm tm = broken_down(wall_usec);

        if (strftime(out, TEXT_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                memcpy(out, "9999-12-31T23:59:59Z", TEXT_TIME_SIZE);
}

void text_time_usec(uint64_t wall_usec, char out[TEXT_TIME_USEC_SIZE])
{
        char seconds[TEXT_TIME_SIZE];

        text_time(wall_usec, seconds);
        (void)snprintf(out, TEXT_TIME_USEC_SIZE, "%.19s.%06uZ", seconds,
                       (unsigned)(wall_usec % USEC_PER_SEC));
}

/* Reads exactly n digits. */
static bool take_digits(const char **at, size_t n, int *ret)
{
        int value = 0;

        for (size_t i = 0; i < n; i++) {
                if (!is_digit((*at)[i]))
                        return false;
                value = value * 10 + ((*at)[i] - '0');
        }
        *at += n;
        *ret = value;
        return true;
}

static bool take_char(const char **at, char c)
{
        if (**at != c)
                return false;
        (*at)++;
        return true;
}

/* ".123456789" into microseconds; digits beyond six are read and dropped. */
static bool take_fraction(const char **at, uint64_t *ret)
{
        uint64_t value = 0;
        size_t n = 0;

        *ret = 0;
        if (!take_char(at, '.'))
                return true;
        for (; is_digit(**at); (*at)++, n++)
                if (n < 6)
                        value = value * 10 + (uint64_t)(**at - '0');
        for (size_t i = n; i < 6; i++)
                value *= 10;
        *ret = value;
        return n > 0;
}

/* "Z" or "+hh:mm", as seconds east of UTC. */
static bool take_offset(const char **at, int64_t *ret)
{
        int hours, minutes, sign;

        *ret = 0;
        if (take_char(at, 'Z') || take_char(at, 'z'))
                return true;
        sign = **at == '-' ? -1 : 1;
        if (!take_char(at, '+') && !take_char(at, '-'))
                return false;
        if (!take_digits(at, 2, &hours) || !take_char(at, ':') || !take_digits(at, 2, &minutes))
                return false;
        *ret = sign * (hours * INT64_C(3600) + minutes * INT64_C(60));
        return hours < 24 && minutes < 60;
}

static int days_in(int year, int month)
{
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        return month == 2 ? 28 + leap : 30 + (month + month / 8) % 2;
}

int text_parse_time(const char *text, uint64_t *ret_usec)
{
        struct tm tm = { 0 };
        uint64_t fraction;
        int64_t offset, seconds;
        int month, year;

        if (!take_digits(&text, 4, &year) || !take_char(&text, '-') || !take_digits(&text, 2, &month) ||
            !take_char(&text, '-') || !take_digits(&text, 2, &tm.tm_mday))
                return TEXT_E_INVALID;
        if (!take_char(&text, 'T') && !take_char(&text, 't') && !take_char(&text, ' '))
                return TEXT_E_INVALID;
        if (!take_digits(&text, 2, &tm.tm_hour) || !take_char(&text, ':') ||
            !take_digits(&text, 2, &tm.tm_min) || !take_char(&text, ':') ||
            !take_digits(&text, 2, &tm.tm_sec) || !take_fraction(&text, &fraction) ||
            !take_offset(&text, &offset) || *text)
                return TEXT_E_INVALID;
        if (year < 1970 || month < 1 || month > 12 || tm.tm_mday < 1 ||
            tm.tm_mday > days_in(year, month) || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60)
                return TEXT_E_INVALID;
        tm.tm_year = year - 1900;
        tm.tm_mon = month - 1;
        seconds = (int64_t)timegm(&tm) - offset;
        if (seconds < 0)
                return TEXT_E_INVALID;
        *ret_usec = (uint64_t)seconds * USEC_PER_SEC + fraction;
        return 0;
}

int text_parse_u64(const char *text, uint64_t *ret)
{
        uint64_t value = 0;

        if (!*text)
                return TEXT_E_INVALID;
        for (; *text; text++) {
                if (!is_digit(*text) || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
                        return TEXT_E_INVALID;
        }
        *ret = value;
        return 0;
}

int text_parse_duration(const char *text, uint64_t *ret_usec)
{
        char digits[21];
        size_t n = strspn(text, "0123456789");
        uint64_t value, unit;

        if (n == 0 || n >= sizeof(digits))
                return TEXT_E_INVALID;
        memcpy(digits, text, n);
        digits[n] = '\0';
        if (text_parse_u64(digits, &value) || value == 0)
                return TEXT_E_INVALID;
        text += n;
        if (!*text || strcmp(text, "s") == 0)
                unit = 1;
        else if (strcmp(text, "m") == 0)
                unit = 60;
        else if (strcmp(text, "h") == 0)
                unit = 3600;
        else if (strcmp(text, "d") == 0)
                unit = 86400;
        else
                return TEXT_E_INVALID;
        if (__builtin_mul_overflow(value, unit * USEC_PER_SEC, ret_usec))
                return TEXT_E_INVALID;
        return 0;
}
