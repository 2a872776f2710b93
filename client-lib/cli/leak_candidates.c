#include "leak_candidates.h"
#include <ctype.h>
#include <sodium.h>
#include <string.h>

typedef struct Offer {
        LeakCandidate candidate;
        void *userdata;
        size_t left; /* candidates */
        size_t work; /* bytes to be looked at, so that a report made for it cannot take hours */
        bool cut;
} Offer;

static int offer(Offer *to, LeakText text, unsigned depth);

static bool is_token_character(char c, bool wide)
{
        return isalnum((unsigned char)c) || c == '_' || c == '-' || (wide && c && strchr(".~+/=%", c));
}

static int digit_value(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)(c | 0x20);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ---- forms that are a part of the text ---- */

/* At the end of a sentence, or of a statement. */
static int offer_unpunctuated(Offer *to, LeakText text, unsigned depth)
{
        size_t size = text.size;

        while (size > 1 && strchr(".,;:)", text.data[size - 1]))
                size--;
        return size < text.size ? offer(to, leak_text(text.data, size), depth) : 0;
}

/* 'x' "x" `x` */
static int offer_quoted(Offer *to, LeakText text, unsigned depth)
{
        if (text.size < 3 || !strchr("\"'`", *text.data) || text.data[text.size - 1] != *text.data)
                return 0;
        return offer(to, leak_text(text.data + 1, text.size - 2), depth);
}

/* NAME=value, "name": "value", name => value, Header: value, user:password. */
static int offer_assigned(Offer *to, LeakText text, unsigned depth)
{
        size_t at = 0, name;

        while (at < text.size && at < 128 && (is_token_character(text.data[at], false) || strchr(". \"'[]$", text.data[at])))
                at++;
        name = at;
        while (at < text.size && at - name < 3 && strchr(":=>", text.data[at]))
                at++;
        if (name == 0 || at == name || at == text.size)
                return 0;
        return offer(to, leak_text_skip(text, at), depth);
}

static int offer_scheme(Offer *to, LeakText text, unsigned depth)
{
        static const char *const schemes[] = { "bearer ", "basic ", "token ", "export ", "secret-token:" };

        for (size_t i = 0; i < sizeof(schemes) / sizeof(*schemes); i++)
                if (leak_text_begins(text, schemes[i]))
                        return offer(to, leak_text_skip(text, strlen(schemes[i])), depth);
        return 0;
}

/* scheme://user:password@host/path */
static int offer_userinfo(Offer *to, LeakText text, unsigned depth)
{
        LeakText rest = leak_text_skip(text, leak_text_find(text, "://")), user;
        size_t end = 0, at = 0, colon;
        int r;

        rest = leak_text_skip(rest, 3);
        while (end < rest.size && !strchr("/?# \t\"'", rest.data[end])) {
                if (rest.data[end] == '@')
                        at = end;
                end++;
        }
        if (at == 0)
                return 0;
        user = leak_text(rest.data, at);
        colon = leak_text_find(user, ":");
        r = offer(to, leak_text(user.data, colon), depth);
        return r || colon == user.size ? r : offer(to, leak_text_skip(user, colon + 1), depth);
}

/* Each token-like run, of the larger alphabet and of the smaller. */
static int offer_runs(Offer *to, LeakText text, bool wide, unsigned depth)
{
        size_t at = 0;
        int r = 0;

        while (r == 0 && at < text.size) {
                size_t start = at;

                while (at < text.size && is_token_character(text.data[at], wide))
                        at++;
                if (at - start >= LEAK_RUN_MIN && at - start < text.size)
                        r = offer(to, leak_text(text.data + start, at - start), depth);
                at++;
        }
        return r;
}

/* Keys in PEM, whole. */
static int offer_pem(Offer *to, LeakText text, unsigned depth)
{
        LeakText rest = text;
        int r = 0;

        while (r == 0) {
                LeakText block = leak_text_skip(rest, leak_text_find(rest, "-----BEGIN "));
                size_t footer = leak_text_find(block, "-----END "), end;

                if (footer == block.size)
                        break;
                end = footer + 9 + leak_text_find(leak_text_skip(block, footer + 9), "-----");
                if (end >= block.size)
                        break;
                rest = leak_text_skip(block, end + 5);
                block.size = end + 5;
                if (block.size < text.size)
                        r = offer(to, block, depth);
        }
        return r;
}

/* ---- forms that have to be undone ---- */

/* Writes to `out`, which has room for text.size bytes. Returns how many, or 0: the text has not that form. */
typedef size_t (*Undo)(LeakText text, char *out);

static size_t undo_percent(LeakText text, char *out)
{
        size_t n = 0;
        bool changed = false;

        for (size_t i = 0; i < text.size; i++) {
                int high = text.data[i] == '%' && i + 2 < text.size ? digit_value(text.data[i + 1]) : -1;
                int low = high >= 0 ? digit_value(text.data[i + 2]) : -1;

                if (low >= 0) {
                        out[n++] = (char)(high * 16 + low);
                        i += 2;
                        changed = true;
                } else {
                        out[n++] = text.data[i];
                }
        }
        return changed ? n : 0;
}

/* \uXXXX of one byte; others are in no secret that fits a header. */
static bool undo_unicode(LeakText rest, char *out)
{
        int value = 0;

        for (size_t i = 1; i < 5; i++) {
                int digit = i < rest.size ? digit_value(rest.data[i]) : -1;

                if (digit < 0)
                        return false;
                value = value * 16 + digit;
        }
        *out = (char)value;
        return value > 0 && value < 0x80;
}

static size_t undo_escapes(LeakText text, char *out)
{
        static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
        size_t n = 0;
        bool changed = false;

        for (size_t i = 0; i < text.size; i++) {
                const char *known;

                if (text.data[i] != '\\' || i + 1 == text.size) {
                        out[n++] = text.data[i];
                        continue;
                }
                i++;
                changed = true;
                known = strchr(from, text.data[i]);
                if (text.data[i] == 'u' && undo_unicode(leak_text_skip(text, i), &out[n])) {
                        i += 4;
                        n++;
                } else {
                        out[n++] = known && *known ? to[known - from] : text.data[i];
                }
        }
        return changed ? n : 0;
}

/* Windows' line ends, of a key that is stored with the others. */
static size_t undo_carriage_returns(LeakText text, char *out)
{
        size_t n = 0;

        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] != '\r' || i + 1 == text.size || text.data[i + 1] != '\n')
                        out[n++] = text.data[i];
        return n < text.size ? n : 0;
}

static bool is_text(const char *data, size_t size)
{
        for (size_t i = 0; i < size; i++)
                if ((unsigned char)data[i] < 0x20 && !strchr("\n\r\t", data[i]))
                        return false;
        return size > 0;
}

static size_t undo_base64(LeakText text, char *out)
{
        static const int variants[] = { sodium_base64_VARIANT_ORIGINAL_NO_PADDING,
                                        sodium_base64_VARIANT_URLSAFE_NO_PADDING };
        size_t n;

        while (text.size > 0 && text.data[text.size - 1] == '=')
                text.size--;
        if (text.size < LEAK_RUN_MIN)
                return 0;
        for (size_t i = 0; i < sizeof(variants) / sizeof(*variants); i++)
                if (sodium_base642bin((unsigned char *)out, text.size, text.data, text.size, NULL, &n, NULL,
                                      variants[i]) == 0 &&
                    is_text(out, n))
                        return n;
        return 0;
}

static int offer_undone(Offer *to, LeakText text, unsigned depth)
{
        static const Undo forms[] = { undo_percent, undo_escapes, undo_carriage_returns, undo_base64 };
        char *out = leak_scratch(text.size);
        int r = out ? 0 : LEAK_E_NO_MEMORY;

        for (size_t i = 0; r == 0 && i < sizeof(forms) / sizeof(*forms); i++) {
                size_t n = forms[i](text, out);

                if (n > 0)
                        r = offer(to, leak_text(out, n), depth);
        }
        leak_scratch_free(out, text.size);
        return r;
}

/* ---- all of them ---- */

static int offer_parts(Offer *to, LeakText text, unsigned depth)
{
        static int (*const parts[])(Offer *to, LeakText text, unsigned depth) = {
                offer_quoted, offer_scheme, offer_pem, offer_assigned, offer_userinfo, offer_unpunctuated,
        };
        int r = 0;

        /* What is longer than any value is a file: its pieces count. */
        for (size_t i = 0; r == 0 && text.size <= LEAK_VALUE_MAX && i < sizeof(parts) / sizeof(*parts); i++)
                r = parts[i](to, text, depth);
        if (r == 0 && text.size > LEAK_VALUE_MAX)
                r = offer_pem(to, text, depth);
        if (r == 0)
                r = offer_runs(to, text, true, depth);
        if (r == 0)
                r = offer_runs(to, text, false, depth);
        return r ? r : offer_undone(to, text, depth);
}

static int offer(Offer *to, LeakText text, unsigned depth)
{
        int r = 0;

        text = leak_text_trim(text);
        if (text.size == 0)
                return 0;
        if (to->left == 0 || to->work < text.size) {
                to->cut = true;
                return 0;
        }
        to->left--;
        to->work -= text.size;
        if (text.size <= LEAK_VALUE_MAX)
                r = to->candidate(to->userdata, text);
        return r || depth == LEAK_NESTING_MAX ? r : offer_parts(to, text, depth + 1);
}

int leak_candidates(LeakText text, size_t max, LeakCandidate candidate, void *userdata, bool *ret_cut)
{
        Offer to = { .candidate = candidate, .userdata = userdata, .left = max,
                     .work = LEAK_WORK_MIN + LEAK_WORK_FACTOR * text.size };
        int r = 0;

        /* As it is, if it has white space around it: a byte more makes another hash. */
        if (text.size > 0 && text.size <= LEAK_VALUE_MAX && leak_text_trim(text).size < text.size)
                r = candidate(userdata, text);
        if (r == 0)
                r = offer(&to, text, 0);
        *ret_cut = to.cut;
        return r;
}

/* "-----BEGIN X KEY-----", and nothing behind it. */
static bool is_pem_header(LeakText text)
{
        static const char begin[] = "-----BEGIN ";
        LeakText rest = leak_text_skip(text, strlen(begin));

        return leak_text_begins(text, begin) && leak_text_find(rest, "-----") + 5 == rest.size;
}

bool leak_is_redacted(LeakText text)
{
        static const char *const words[] = { "REDACTED", "[REDACTED]", "<REDACTED>", "***REDACTED***", "redacted" };
        size_t stars = 0;

        text = leak_text_trim(text);
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                if (leak_text_is(text, words[i]))
                        return true;
        if (is_pem_header(text))
                return true;
        for (size_t i = 0; i < text.size; i++)
                stars += text.data[i] == '*';
        if (text.size >= 3 && (stars == text.size || stars >= 6))
                return true;
        if (text.size >= 3 && memcmp(text.data + text.size - 3, "...", 3) == 0)
                return true;
        return text.size >= 3 && memcmp(text.data + text.size - 3, "\xe2\x80\xa6", 3) == 0;
}
