#include "egress/scrub.h"
#include <sodium.h>
#include <strings.h>

/*
 * A window over the body moves on byte by byte. At each a table says whether a match can begin there at
 * all, and if it can, each needle is laid beside the text. No state goes from one byte to the next, and
 * none from one chunk to the next but the window itself: that is what makes the hold-back constant.
 */

/* A byte escaped, at most: "&#x0041;", "&lowbar;". */
#define ESCAPE_MAX 8U
/* "\r\n" between two characters of Base64 or hex, raw or as JSON writes it. */
#define BREAK_MAX 4U
/* What is copied into the window at a time: it stays in the processor's cache, and a stream stays small. */
#define WINDOW_STEP (16U * 1024U)
/* Zero bytes between two characters: of UTF-16 and UTF-32, whichever way round. */
#define ZEROS_MAX 3U
/* So many characters may tell by the time it takes whether they agree: candidates for these are looked up
 * in a table anyhow. Of all that follow, up to AGREE_MAX, each is looked at whatever the ones before were. */
#define LEAD      2U
#define AGREE_MAX 96U
/* Places where a byte can be read both as itself and as the begin of an escape, one within another. */
#define FORKS_MAX 16U

typedef enum Form {
        FORM_PLAIN,
        FORM_BASE64_0, /* the secret begins with a group of three */
        FORM_BASE64_1, /* one byte stands before it in its group */
        FORM_BASE64_2,
        FORM_HEX,
        _FORM_N,
} Form;

/* One secret in one form: what each character has to be is computed where it is asked for, so that there
 * is no copy of it beside the secret. Of Base64 only the characters that the secret alone decides. */
typedef struct Needle {
        Slice secret;
        Form form;
        size_t length; /* characters */
        size_t skip;   /* of Base64: bits of the secret that are in the character before */
        bool before;   /* there is a character before that has some of its bits, */
        bool after;    /* or behind it */
        bool forks;    /* the secret has characters that begin an escape: it may be read in two ways */
} Needle;

struct Scrub {
        unsigned refs;
        Secret *secrets[SCRUB_SECRETS_MAX];
        Needle needles[SCRUB_SECRETS_MAX * _FORM_N];
        size_t n_needles;
        size_t span;   /* the longest match */
        size_t shortest; /* of the secrets */
        uint8_t mask;
        uint8_t first[256];              /* 1: a match can begin with this byte */
        uint8_t pairs[256 * 256 / 8];    /* bits: and with these two */
};

struct ScrubStream {
        Scrub *scrub;
        ScrubMode mode;
        bool lines;
        bool over;
        Buf window;
        size_t scanned; /* of the window: no match begins in these */
        uint64_t found;
        bool sure;
};

/* ---- characters ---- */

static bool is_alnum(uint8_t c)
{
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static uint8_t lower(uint8_t c)
{
        return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static int hex_value(uint8_t c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = lower(c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_base64(uint8_t c)
{
        return is_alnum(c) || c == '+' || c == '/' || c == '-' || c == '_';
}

static bool form_is_base64(Form form)
{
        return form >= FORM_BASE64_0 && form <= FORM_BASE64_2;
}

static uint8_t needle_at(const Needle *needle, size_t i)
{
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        static const char digits[] = "0123456789abcdef";
        const uint8_t *secret = needle->secret.data;
        size_t bit = needle->skip + 6 * i, byte = bit / 8;
        unsigned two;

        if (needle->form == FORM_PLAIN)
                return secret[i];
        if (needle->form == FORM_HEX)
                return (uint8_t)digits[i % 2 ? secret[i / 2] & 15 : secret[i / 2] >> 4];
        two = (unsigned)secret[byte] << 8 | (byte + 1 < needle->secret.size ? secret[byte + 1] : 0);
        return (uint8_t)alphabet[two >> (10 - bit % 8) & 63];
}

/* Both alphabets of Base64, both cases of hex, and a form's "+". */
static bool is_same(Form form, uint8_t want, uint8_t got)
{
        if (want == got)
                return true;
        if (form == FORM_PLAIN)
                return want == ' ' && got == '+';
        if (form == FORM_HEX)
                return lower(got) == want;
        return (want == '+' && got == '-') || (want == '/' && got == '_');
}

/* ---- escapes ---- */

typedef struct Entity {
        const char *name;
        uint8_t character;
} Entity;

/* HTML's names of printable ASCII, as far as they are no longer than ESCAPE_MAX. */
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
        int high = hex_value(at[0]), low = hex_value(at[1]);

        if (high < 0 || low < 0)
                return false;
        *ret = (uint8_t)(high * 16 + low);
        return true;
}

/* "&#65;", "&#x41;", "&amp;": `at` is at "&". */
static size_t unescape_html(const uint8_t *at, size_t left, uint8_t *ret)
{
        size_t size = MIN(left, (size_t)ESCAPE_MAX), n = 2;
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
        if (lower(at[2]) == 'x') {
                base = 16;
                n = 3;
        }
        if (n == size - 1)
                return 0;
        for (; n < size - 1; n++) {
                int digit = hex_value(at[n]);

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
        if (at[1] <= ' ' || at[1] > '~' || is_alnum(at[1]))
                return 0;
        *ret = at[1];
        return 2;
}

/* How many bytes are the escape that begins here, and what it stands for. 0: none does. */
static size_t unescape(const uint8_t *at, size_t left, uint8_t *ret)
{
        if (*at == '%')
                return left >= 3 && read_hex(at + 1, ret) ? 3 : 0;
        if (*at == '\\')
                return unescape_backslash(at, left, ret);
        if (*at == '&')
                return unescape_html(at, left, ret);
        return 0;
}

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
static size_t gap(Form form, const uint8_t *at, size_t left)
{
        size_t n = 0;

        while (n < ZEROS_MAX && n < left && at[n] == 0)
                n++;
        return n > 0 || form == FORM_PLAIN ? n : line_break(at, left);
}

/* ---- a needle beside the text ---- */

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
        want = needle_at(needle, point->character);
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

/*
 * How long a match is that begins where the text does; 0: there is none. Where a backslash, ampersand or
 * percent sign of the secret could be both, each way is tried. A secret that consists of little else could
 * make that many: then it is taken for a match, all of it, and `sure` is taken back.
 */
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

/*
 * The same where no character of the secret begins an escape: then the text alone says how it is to be
 * read. How long this takes is a matter of the text and not of how far it agrees: who can have a long
 * response made of his guesses could otherwise tell from the time how many characters of them are right,
 * and find the secret one by one.
 */
static size_t match(const Needle *needle, Slice text, bool *sure)
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
                wrong |= !is_same(needle->form, needle_at(needle, i), got);
                if (wrong && (i < LEAD || i >= AGREE_MAX))
                        return 0;
        }
        return wrong ? 0 : at;
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
                size_t n = match(needle, rest, &sure), begin = at, end = at + n;

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

static void add_both_cases(Scrub *scrub, uint8_t a, uint8_t b)
{
        add_pair(scrub, a, b);
        if (b >= 'a' && b <= 'f')
                add_pair(scrub, a, b & 0xdf);
}

/* This character escaped, as the first of a match. */
static void add_escapes(Scrub *scrub, uint8_t c)
{
        static const char digits[] = "0123456789abcdef";

        add_both_cases(scrub, '%', (uint8_t)digits[c >> 4]);
        add_pair(scrub, '\\', 'u');
        add_pair(scrub, '\\', 'x');
        if (!is_alnum(c))
                add_pair(scrub, '\\', c);
        add_pair(scrub, '&', '#');
        for (size_t i = 0; i < ARRAY_SIZE(entities); i++)
                if (entities[i].character == c)
                        add_pair(scrub, '&', (uint8_t)entities[i].name[0]);
}

/* This character as it is, with all that can follow it. */
static void add_plain(Scrub *scrub, const Needle *needle, uint8_t c)
{
        static const char begins[] = { '%', '\\', '&' }, breaks[] = { '\r', '\n' };

        for (unsigned next = 0; next < 256; next++)
                if (is_same(needle->form, needle_at(needle, 1), (uint8_t)next))
                        add_pair(scrub, c, (uint8_t)next);
        for (size_t i = 0; i < sizeof(begins); i++)
                add_pair(scrub, c, (uint8_t)begins[i]);
        add_pair(scrub, c, 0);
        for (size_t i = 0; needle->form != FORM_PLAIN && i < sizeof(breaks); i++)
                add_pair(scrub, c, (uint8_t)breaks[i]);
}

static void add_needle(Scrub *scrub, Slice secret, Form form)
{
        static const size_t skips[] = { [FORM_BASE64_0] = 0, [FORM_BASE64_1] = 4, [FORM_BASE64_2] = 2 };
        Needle *needle = &scrub->needles[scrub->n_needles++];
        size_t bits = 8 * secret.size;

        *needle = (Needle){ .secret = secret, .form = form, .length = secret.size };
        for (size_t i = 0; form == FORM_PLAIN && i < secret.size; i++)
                needle->forks = needle->forks || strchr("%\\&", secret.data[i]);
        if (form == FORM_HEX)
                needle->length = 2 * secret.size;
        if (form_is_base64(form)) {
                needle->skip = skips[form];
                needle->length = (bits - needle->skip) / 6;
                needle->before = needle->skip > 0;
                needle->after = (bits - needle->skip) % 6 > 0;
        }
        for (unsigned c = 0; c < 256; c++)
                if (is_same(form, needle_at(needle, 0), (uint8_t)c)) {
                        add_plain(scrub, needle, (uint8_t)c);
                        add_escapes(scrub, (uint8_t)c);
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
                for (Form form = FORM_PLAIN; form < _FORM_N; form++)
                        add_needle(scrub, secret_slice(scrub->secrets[i]), form);
                scrub->shortest = i == 0 ? size : MIN(scrub->shortest, size);
                /* Each byte escaped, and that much of Base64 with its line breaks. */
                scrub->span = MAX(scrub->span, ESCAPE_MAX * size + size / 2 + 32);
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

/* One byte more than a match: the character of Base64 before it. */
size_t scrub_hold(const Scrub *scrub)
{
        return scrub->span + 1;
}

/* ---- the text ---- */

/* The first place from `at` on and before `end` where a match can begin; `end` if there is none. */
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

typedef struct Scan {
        size_t next;    /* where to go on */
        size_t cut;     /* strict: where the first match begins */
        uint64_t found;
        bool sure;      /* one of those found is the secret and nothing else */
} Scan;

/* Looks at all beginnings from `at` on and before `end`. */
static Scan scan(const Scrub *scrub, uint8_t *data, size_t size, size_t at, size_t end, bool strict)
{
        Scan done = { .next = at };
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
        Scan done;
        int r;

        r = buf_append(out, text.data, text.size);
        if (r < 0)
                return r;
        done = scan(scrub, out->data + at, text.size, 0, text.size, false);
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

static bool ends_in(Slice text, const char *suffix)
{
        size_t n = strlen(suffix);

        return text.size >= n && strncasecmp((const char *)text.data + (text.size - n), suffix, n) == 0;
}

static bool is_text(Slice text, const char *other)
{
        return text.size == strlen(other) && ends_in(text, other);
}

bool scrub_is_line_stream(Slice content_type)
{
        static const char *const types[] = { "text/event-stream", "application/json", "application/x-ndjson",
                                             "application/ndjson", "application/jsonl", "application/x-jsonlines" };
        size_t n = 0;

        while (n < content_type.size && !strchr("; \t", content_type.data[n]))
                n++;
        content_type.size = n;
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (is_text(content_type, types[i]))
                        return true;
        return ends_in(content_type, "+json") || ends_in(content_type, "/json-seq");
}

/* ---- a stream ---- */

int scrub_stream_new(ScrubStream **ret, Scrub *scrub, ScrubMode mode, bool lines)
{
        ScrubStream *stream = calloc(1, sizeof(*stream));

        if (!stream)
                return -ENOMEM;
        stream->scrub = scrub_ref(scrub);
        stream->mode = mode;
        stream->lines = lines;
        stream->window = BUF_NULL(scrub_hold(scrub) + WINDOW_STEP);
        *ret = stream;
        return 0;
}

ScrubStream *scrub_stream_free(ScrubStream *stream)
{
        if (!stream)
                return NULL;
        buf_deinit(&stream->window);
        scrub_unref(stream->scrub);
        free(stream);
        return NULL;
}

size_t scrub_stream_held(const ScrubStream *stream)
{
        return stream->window.size;
}

uint64_t scrub_stream_found(const ScrubStream *stream)
{
        return stream->found;
}

bool scrub_stream_is_sure(const ScrubStream *stream)
{
        return stream->sure;
}

/* Passes on the first `size` bytes of the window. */
static int release(ScrubStream *stream, size_t size, Buf *out)
{
        int r = buf_append(out, stream->window.data, size);

        if (r < 0) {
                stream->over = true;
                return r;
        }
        buf_consume(&stream->window, size);
        stream->scanned = stream->scanned > size ? stream->scanned - size : 0;
        return 0;
}

/* Where the last line of the window ends, behind its break; 0: none does. */
static size_t lines_end(const ScrubStream *stream)
{
        const Buf *window = &stream->window;
        size_t n = window->size;

        if (!stream->lines)
                return 0;
        while (n > 0 && window->data[n - 1] != '\n' && window->data[n - 1] != '\r')
                n--;
        return n;
}

/* Looks at what has enough behind it, and passes it on. */
static int advance(ScrubStream *stream, bool last, Buf *out)
{
        Buf *window = &stream->window;
        size_t line = lines_end(stream), span = stream->scrub->span, end, free_to;
        bool strict = stream->mode == SCRUB_STRICT;
        Scan done = { 0 };
        int r;

        end = MAX(line, window->size > span ? window->size - span : 0);
        free_to = MAX(line, end > 0 ? end - 1 : 0);
        if (last)
                end = free_to = window->size;
        if (end > stream->scanned) {
                done = scan(stream->scrub, window->data, window->size, stream->scanned, end, strict);
                stream->scanned = done.next;
        }
        stream->found += done.found;
        stream->sure = stream->sure || done.sure;
        if (done.found > 0 && strict) {
                r = release(stream, done.cut, out);
                buf_clear(window);
                stream->over = true;
                return r ? r : SCRUB_E_FOUND;
        }
        return free_to > 0 ? release(stream, free_to, out) : 0;
}

int scrub_stream_feed(ScrubStream *stream, Slice bytes, Buf *out)
{
        int r = stream->over ? -EPIPE : 0;

        if (r == 0 && stream->mode == SCRUB_OFF)
                return buf_append(out, bytes.data, bytes.size);
        while (r == 0 && bytes.size > 0) {
                size_t n = MIN(bytes.size, (size_t)WINDOW_STEP);

                r = buf_append(&stream->window, bytes.data, n);
                if (r == 0)
                        r = advance(stream, false, out);
                bytes = slice(bytes.data + n, bytes.size - n);
        }
        return r;
}

int scrub_stream_end(ScrubStream *stream, Buf *out)
{
        if (stream->over)
                return -EPIPE;
        return stream->window.size > 0 ? advance(stream, true, out) : 0;
}
