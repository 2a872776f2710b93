#include "egress/scrub.h"
#include "egress/needle.h"
#include "egress/unescape.h"
#include "http/chars.h"
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/*
 * At each byte a table says whether a match can begin there at all, and if it can, each needle is laid beside the
 * text. No state goes from one byte to the next: that is what lets scrub_stream.c hold back a constant number.
 */

struct Scrub {
        unsigned refs;
        Secret *secrets[SCRUB_SECRETS_MAX];
        Needle needles[SCRUB_SECRETS_MAX * _NEEDLE_FORM_N];
        size_t n_needles;
        size_t span;   /* the longest match */
        size_t shortest; /* of the secrets */
        uint8_t mask;
        uint8_t first[256];              /* 1: a match can begin with this byte */
        uint8_t pairs[256 * 256 / 8];    /* bits: and with these two */
};

/* ---- a place in the text ---- */

/* A character of Base64. */
static bool is_base64(uint8_t c)
{
        return http_is_alnum(c) || c == '+' || c == '/' || c == '-' || c == '_';
}

/* The longest match at `at`; and where it begins and ends with the characters of Base64 that have only
 * some of the secret's bits. `ret_sure`: one of them is the secret and nothing else. */
static bool match_any(const Scrub *scrub, Slice text, size_t at, size_t *ret_begin, size_t *ret_end, bool *ret_sure)
{
        Slice rest = slice(text.data + at, MIN(text.size - at, scrub->span));
        size_t longest = 0;

        *ret_sure = false;
        for (size_t i = 0; i < scrub->n_needles; i++) {
                const Needle *needle = &scrub->needles[i];
                bool sure = true;
                size_t n = needle_match(needle, rest, &sure), begin = at, end = at + n;

                if (n == 0)
                        continue;
                *ret_sure = *ret_sure || sure;
                if (needle->before && at > 0 && is_base64(text.data[at - 1]))
                        begin--;
                if (needle->after && end < text.size && is_base64(text.data[end]))
                        end++;
                if (end - at > longest) {
                        longest = end - at;
                        *ret_begin = begin;
                        *ret_end = end;
                }
        }
        return longest > 0;
}

/* ---- the tables ---- */

static void add_pair(Scrub *scrub, uint8_t a, uint8_t b)
{
        unsigned pair = (unsigned)a << 8 | b;

        scrub->first[a] = 1;
        scrub->pairs[pair / 8] |= (uint8_t)(1U << pair % 8);
}

static bool has_pair(const Scrub *scrub, uint8_t a, uint8_t b)
{
        unsigned pair = (unsigned)a << 8 | b;

        return scrub->pairs[pair / 8] >> pair % 8 & 1;
}

static void add_escape(void *userdata, uint8_t a, uint8_t b)
{
        add_pair(userdata, a, b);
}

/* This character as it is, with all that can follow it. */
static void add_plain(Scrub *scrub, const Needle *needle, uint8_t c)
{
        static const char begins[] = { '%', '\\', '&' }, breaks[] = { '\r', '\n' };

        for (unsigned next = 0; next < 256; next++)
                if (needle_takes(needle, 1, (uint8_t)next))
                        add_pair(scrub, c, (uint8_t)next);
        for (size_t i = 0; i < sizeof(begins); i++)
                add_pair(scrub, c, (uint8_t)begins[i]);
        add_pair(scrub, c, 0);
        for (size_t i = 0; needle->form != NEEDLE_PLAIN && i < sizeof(breaks); i++)
                add_pair(scrub, c, (uint8_t)breaks[i]);
}

static void add_needle(Scrub *scrub, Slice secret, NeedleForm form)
{
        Needle *needle = &scrub->needles[scrub->n_needles++];

        *needle = needle_make(secret, form);
        for (unsigned c = 0; c < 256; c++)
                if (needle_takes(needle, 0, (uint8_t)c)) {
                        add_plain(scrub, needle, (uint8_t)c);
                        unescape_begins((uint8_t)c, add_escape, scrub);
                }
}

/* A character that no secret has, if there is one. */
static uint8_t choose_mask(const Slice *secrets, size_t n_secrets)
{
        static const char candidates[] = { SCRUB_MASK_CHARACTER, '#', '~', '!', '.', 'x', 'X', '0' };

        for (size_t i = 0; i < sizeof(candidates); i++) {
                bool used = false;

                for (size_t k = 0; k < n_secrets; k++)
                        used = used || memchr(secrets[k].data, candidates[i], secrets[k].size);
                if (!used)
                        return (uint8_t)candidates[i];
        }
        return SCRUB_MASK_CHARACTER;
}

static bool is_fit(Slice secret)
{
        if (secret.size < SCRUB_SECRET_MIN || secret.size > SCRUB_SECRET_MAX)
                return false;
        for (size_t i = 0; i < secret.size; i++)
                if (secret.data[i] < ' ' || secret.data[i] > '~')
                        return false;
        return true;
}

int scrub_new(Scrub **ret, Arena *arena, const Slice *secrets, size_t n_secrets)
{
        _cleanup_(scrub_unrefp) Scrub *scrub = NULL;
        int r;

        if (n_secrets == 0 || n_secrets > SCRUB_SECRETS_MAX)
                return SCRUB_E_SECRET;
        for (size_t i = 0; i < n_secrets; i++)
                if (!is_fit(secrets[i]))
                        return SCRUB_E_SECRET;
        scrub = calloc(1, sizeof(*scrub));
        if (!scrub)
                return -ENOMEM;
        scrub->refs = 1;
        scrub->mask = choose_mask(secrets, n_secrets);
        for (size_t i = 0; i < n_secrets; i++) {
                size_t size = secrets[i].size;

                r = secret_from_bytes(&scrub->secrets[i], arena, secrets[i]);
                if (r)
                        return r > 0 ? SCRUB_E_FULL : r;
                for (NeedleForm form = NEEDLE_PLAIN; form < _NEEDLE_FORM_N; form++)
                        add_needle(scrub, secret_slice(scrub->secrets[i]), form);
                scrub->shortest = i == 0 ? size : MIN(scrub->shortest, size);
                /* Each byte escaped, and that much of Base64 with its line breaks. */
                scrub->span = MAX(scrub->span, UNESCAPE_MAX * size + size / 2 + 32);
        }
        *ret = take_ptr(scrub);
        return 0;
}

Scrub *scrub_ref(Scrub *scrub)
{
        scrub->refs++;
        return scrub;
}

Scrub *scrub_unref(Scrub *scrub)
{
        if (!scrub || --scrub->refs > 0)
                return NULL;
        for (size_t i = 0; i < SCRUB_SECRETS_MAX; i++)
                secret_free(scrub->secrets[i]);
        sodium_memzero(scrub, sizeof(*scrub));
        free(scrub);
        return NULL;
}

size_t scrub_span(const Scrub *scrub)
{
        return scrub->span;
}

/* ---- the text ---- */

/* The first place from `at` on and before `end` where a match can begin; SIZE_MAX if there is none. */
static size_t next_candidate(const Scrub *scrub, Slice text, size_t at, size_t end)
{
        const uint8_t *data = text.data, *first = scrub->first;

        end = MIN(end, text.size > 0 ? text.size - 1 : 0); /* no match has one byte */
        while (at < end) {
                while (end - at >= 8 && !(first[data[at]] | first[data[at + 1]] | first[data[at + 2]] |
                                          first[data[at + 3]] | first[data[at + 4]] | first[data[at + 5]] |
                                          first[data[at + 6]] | first[data[at + 7]]))
                        at += 8;
                for (size_t stop = MIN(end, at + 8); at < stop; at++)
                        if (first[data[at]] && has_pair(scrub, data[at], data[at + 1]))
                                return at;
        }
        return SIZE_MAX;
}

ScrubScan scrub_scan(const Scrub *scrub, uint8_t *data, size_t size, size_t at, size_t end, bool strict)
{
        ScrubScan done = { .next = at };
        Slice text = slice(data, size);
        size_t begin = 0, match_end = 0;
        bool sure;

        while ((at = next_candidate(scrub, text, done.next, end)) != SIZE_MAX) {
                done.next = at + 1;
                if (!match_any(scrub, text, at, &begin, &match_end, &sure))
                        continue;
                done.found++;
                done.sure = done.sure || sure;
                done.cut = begin;
                if (strict)
                        return done;
                memset(data + begin, scrub->mask, match_end - begin);
                done.next = match_end;
        }
        done.next = MAX(done.next, end);
        return done;
}

int scrub_text(const Scrub *scrub, Slice text, Buf *out, bool *ret_found)
{
        size_t at = out->size;
        ScrubScan done;
        int r;

        r = buf_append(out, text.data, text.size);
        if (r < 0)
                return r;
        done = scrub_scan(scrub, out->data + at, text.size, 0, text.size, false);
        *ret_found = done.found > 0;
        return 0;
}

size_t scrub_shortest(const Scrub *scrub)
{
        return scrub->shortest;
}

bool scrub_finds(const Scrub *scrub, Slice text, bool *ret_sure)
{
        size_t at = 0, begin, end, last;

        /* No form is shorter than the secret itself, so most headers are done with here. */
        if (text.size < scrub->shortest)
                return false;
        last = text.size - scrub->shortest + 1;
        while ((at = next_candidate(scrub, text, at, last)) != SIZE_MAX) {
                if (match_any(scrub, text, at, &begin, &end, ret_sure))
                        return true;
                at++;
        }
        return false;
}
