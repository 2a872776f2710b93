#include "scan/needles.h"
#include "scan/literals.h"
#include "scan/pem.h"
#include "scan/token.h"
#include <sodium.h>

/* What hashing something costs beyond its length: setting up, and a block that is never full. */
#define WORK_OF_A_HASH 128U

typedef struct Value {
        size_t offset, length;
        uint32_t index; /* as the caller counts */
        uint8_t hash[NEEDLES_HASH_SIZE];
} Value;

/* What one literal stands for: values with this anchor, or a prefix. */
typedef struct Needle {
        Value *values;
        size_t n_values; /* 0: it is a prefix */
        size_t prefix;
        bool pem;
} Needle;

struct Needles {
        Literals *literals;
        uint8_t key[NEEDLES_KEY_SIZE];
        size_t before, behind;
        Value *values; /* in the order of the needles */
        size_t n_values;
        Needle *items;
        size_t n;
};

/* One range of one file. */
typedef struct Search {
        const Needles *needles;
        Slice data;
        uint64_t base;
        uint8_t *scratch;
        ScanResult *result;
        uint64_t allowance; /* of work */
        size_t run_from, run_end; /* there are token bytes in between */
        size_t pem_seen;    /* a block at this place, plus one, has been looked at */
} Search;

/* ---- what is found ---- */

static bool spend(Search *search, size_t size)
{
        ScanResult *result = search->result;

        if (result->work + size + WORK_OF_A_HASH > search->allowance) {
                result->unchecked++;
                return false;
        }
        result->work += size + WORK_OF_A_HASH;
        return true;
}

static bool has_room_for(const ScanResult *result, const ScanHit *hit)
{
        return hit->value == SCAN_CANDIDATE ? result->n_candidates < SCAN_HITS_MAX
                                            : result->n - result->n_candidates < SCAN_HITS_MAX;
}

static bool make_room(ScanResult *result)
{
        size_t room = result->room ? 2 * result->room : 8;
        ScanHit *hits;

        if (result->n < result->room)
                return true;
        hits = realloc(result->hits, room * sizeof(*hits));
        if (!hits) {
                result->no_memory = true;
                return false;
        }
        result->hits = hits;
        result->room = room;
        return true;
}

/* `text` is what is stored, at `at` in the data, where it takes `raw` bytes. */
static void add_hit(Search *search, uint32_t value, size_t at, size_t raw, Slice text)
{
        ScanResult *result = search->result;
        ScanHit hit = { .offset = search->base + at, .value = value, .size = (uint32_t)raw };

        if (!has_room_for(result, &hit) || !make_room(result)) {
                result->unchecked++;
                return;
        }
        (void)crypto_hash_sha256(hit.hash, text.data, text.size);
        result->hits[result->n++] = hit;
        result->n_candidates += value == SCAN_CANDIDATE;
}

static void keyed_hash(const Needles *needles, Slice text, uint8_t hash[NEEDLES_HASH_SIZE])
{
        (void)crypto_generichash(hash, NEEDLES_HASH_SIZE, text.data, text.size, needles->key, sizeof(needles->key));
}

/* Values that have the anchor at `at`. Those of one offset and length follow each other. */
static void check_values(Search *search, const Needle *needle, size_t at)
{
        uint8_t hash[NEEDLES_HASH_SIZE];
        const Value *hashed = NULL;

        for (size_t i = 0; i < needle->n_values; i++) {
                const Value *value = &needle->values[i];
                size_t start = at - value->offset;
                Slice text = slice(search->data.data + start, value->length);

                if (at < value->offset || search->data.size - start < value->length)
                        continue;
                if (!hashed || hashed->offset != value->offset || hashed->length != value->length) {
                        if (!spend(search, value->length))
                                return;
                        keyed_hash(search->needles, text, hash);
                        hashed = value;
                }
                if (sodium_memcmp(hash, value->hash, sizeof(hash)) == 0)
                        add_hit(search, value->index, start, value->length, text);
        }
}

/* The values that are a block: is it one of them? */
static bool check_block(Search *search, size_t at, size_t raw, Slice block)
{
        const Needles *needles = search->needles;
        uint8_t hash[NEEDLES_HASH_SIZE];
        bool any = false;

        keyed_hash(needles, block, hash);
        for (size_t i = 0; i < needles->n; i++) {
                const Needle *needle = &needles->items[i];

                for (size_t j = 0; needle->pem && j < needle->n_values; j++) {
                        const Value *value = &needle->values[j];

                        if (value->length != block.size || sodium_memcmp(hash, value->hash, sizeof(hash)) != 0)
                                continue;
                        any = true;
                        add_hit(search, value->index, at, raw, block);
                }
        }
        return any;
}

/* Several literals may lead to one block: its prefix, and values that begin with it. */
static void check_pem(Search *search, size_t at)
{
        Slice block = { .data = search->scratch };
        size_t raw;

        if (search->pem_seen == at + 1)
                return;
        search->pem_seen = at + 1;
        block.size = pem_normal(slice(search->data.data + at, search->data.size - at), search->scratch, &raw);
        if (block.size == 0 || !spend(search, 2 * block.size))
                return;
        /* One that is none of the stored ones may be an older one, of which the broker has only a hash. */
        if (!check_block(search, at, raw, block))
                add_hit(search, SCAN_CANDIDATE, at, raw, block);
}

static void check_token(Search *search, const Needle *needle, size_t at)
{
        size_t cuts[TOKEN_CUTS_MAX], n, end = at, limit = at + TOKEN_MAX + 1;
        Slice run = { .data = search->data.data + at };

        /* Prefixes in one long row of token bytes do not have it followed anew. */
        if (at >= search->run_from && at < search->run_end)
                end = search->run_end;
        limit = MIN(limit, search->data.size);
        while (end < limit && token_is_byte(search->data.data[end]))
                end++;
        search->run_from = at;
        search->run_end = end;
        run.size = end - at;
        n = token_cuts(run, needle->prefix, cuts);
        for (size_t i = 0; i < n; i++)
                if (spend(search, cuts[i]))
                        add_hit(search, SCAN_CANDIDATE, at, cuts[i], slice(run.data, cuts[i]));
}

static void on_literal(void *userdata, unsigned literal, size_t at)
{
        Search *search = userdata;
        const Needle *needle = &search->needles->items[literal];

        if (needle->pem)
                check_pem(search, at);
        else if (needle->n_values > 0)
                check_values(search, needle, at);
        else
                check_token(search, needle, at);
}

void needles_find(const Needles *needles, Slice data, uint64_t base, size_t from, size_t to, uint8_t *scratch,
                  ScanResult *result)
{
        Search search;

        result->bytes += to - from;
        search = (Search){
                .needles = needles,
                .data = data,
                .base = base,
                .scratch = scratch,
                .result = result,
                .allowance = SCAN_WORK_BASE + SCAN_WORK_PER_BYTE * result->bytes,
        };
        literals_find(needles->literals, data, from, to, on_literal, &search);
}

void scan_result_append(ScanResult *result, ScanResult *from)
{
        for (size_t i = 0; i < from->n; i++) {
                const ScanHit *hit = &from->hits[i];

                if (!has_room_for(result, hit) || !make_room(result)) {
                        result->unchecked++;
                        continue;
                }
                result->hits[result->n++] = *hit;
                result->n_candidates += hit->value == SCAN_CANDIDATE;
        }
        result->bytes += from->bytes;
        result->work += from->work;
        result->unchecked += from->unchecked;
        result->binary = result->binary || from->binary;
        result->no_memory = result->no_memory || from->no_memory;
        scan_result_clear(from);
}

void scan_result_clear(ScanResult *result)
{
        free(result->hits);
        *result = (ScanResult){ 0 };
}

/* ---- life ---- */

size_t needles_before(const Needles *needles)
{
        return needles->before;
}

size_t needles_behind(const Needles *needles)
{
        return needles->behind;
}

static bool is_pem(Slice text)
{
        size_t n = sizeof(PEM_BEGIN) - 1;

        return text.size >= n && memcmp(text.data, PEM_BEGIN, n) == 0;
}

static int compare_slices(Slice a, Slice b)
{
        int order = memcmp(a.data, b.data, MIN(a.size, b.size));

        return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* By anchor, then by offset and length. */
static int compare_values(const void *a, const void *b)
{
        const NeedleValue *left = *(const NeedleValue *const *)a, *right = *(const NeedleValue *const *)b;
        int order = compare_slices(left->anchor, right->anchor);

        if (order == 0)
                order = (left->offset > right->offset) - (left->offset < right->offset);
        return order ? order : (left->length > right->length) - (left->length < right->length);
}

static bool value_is_valid(const NeedleValue *value)
{
        return value->anchor.size >= LITERAL_MIN && value->anchor.size <= LITERAL_MAX &&
               value->length <= NEEDLE_LENGTH_MAX && value->anchor.size <= value->length &&
               value->offset <= value->length - value->anchor.size;
}

static int add_values(Needles *needles, Slice *texts, const NeedleValue *values, size_t n_values)
{
        const NeedleValue **order = calloc(n_values + 1, sizeof(const NeedleValue *));
        int r = order ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < n_values; i++) {
                order[i] = &values[i];
                r = value_is_valid(&values[i]) ? 0 : -EINVAL;
        }
        if (r == 0)
                qsort(order, n_values, sizeof(const NeedleValue *), compare_values);
        for (size_t i = 0; r == 0 && i < n_values; i++) {
                const NeedleValue *from = order[i];
                Value *value = &needles->values[i];

                if (i == 0 || compare_slices(from->anchor, order[i - 1]->anchor) != 0) {
                        needles->items[needles->n] =
                                (Needle){ .values = value, .pem = from->offset == 0 && is_pem(from->anchor) };
                        texts[needles->n++] = from->anchor;
                }
                needles->items[needles->n - 1].n_values++;
                *value = (Value){ .offset = from->offset, .length = from->length, .index = (uint32_t)(from - values) };
                memcpy(value->hash, from->hash, sizeof(value->hash));
                needles->before = MAX(needles->before, from->offset);
                needles->behind = MAX(needles->behind, from->length);
        }
        free(order);
        return r;
}

static int add_prefixes(Needles *needles, Slice *texts, const char *const *prefixes, size_t n_prefixes)
{
        for (size_t i = 0; i < n_prefixes; i++) {
                Slice text = slice_text(prefixes[i]);

                if (text.size < LITERAL_MIN || text.size > LITERAL_MAX)
                        return -EINVAL;
                needles->items[needles->n] = (Needle){ .prefix = text.size, .pem = is_pem(text) };
                texts[needles->n++] = text;
                needles->behind = MAX(needles->behind, TOKEN_MAX + 1);
        }
        return 0;
}

int needles_new(Needles **ret, const uint8_t key[NEEDLES_KEY_SIZE], const NeedleValue *values, size_t n_values,
                const char *const *prefixes, size_t n_prefixes)
{
        _cleanup_(needles_freep) Needles *needles = calloc(1, sizeof(*needles));
        _cleanup_(freep) Slice *texts = NULL;
        int r;

        if (n_values + n_prefixes == 0 || n_values > LITERALS_MAX || n_prefixes > LITERALS_MAX)
                return -EINVAL;
        texts = calloc(n_values + n_prefixes, sizeof(*texts));
        if (!needles || !texts)
                return -ENOMEM;
        needles->values = calloc(n_values + 1, sizeof(*needles->values));
        needles->items = calloc(n_values + n_prefixes, sizeof(*needles->items));
        if (!needles->values || !needles->items)
                return -ENOMEM;
        memcpy(needles->key, key, sizeof(needles->key));
        needles->n_values = n_values;
        r = add_values(needles, texts, values, n_values);
        if (r == 0)
                r = add_prefixes(needles, texts, prefixes, n_prefixes);
        if (r == 0)
                r = literals_new(&needles->literals, texts, needles->n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < needles->n; i++)
                if (needles->items[i].pem)
                        needles->behind = MAX(needles->behind, PEM_RAW_MAX);
        needles->before += literals_reach(needles->literals);
        *ret = take_ptr(needles);
        return 0;
}

Needles *needles_free(Needles *needles)
{
        if (needles) {
                literals_free(needles->literals);
                sodium_memzero(needles->key, sizeof(needles->key));
                free(needles->values);
                free(needles->items);
                free(needles);
        }
        return NULL;
}
