#include "scan/literals.h"
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#define HAVE_X86 1
#else
#define HAVE_X86 0
#endif

#define WINDOW 4U
#define BUCKETS 8U

typedef struct Literal {
        uint8_t text[LITERAL_MAX];
        uint8_t size;
        uint8_t offset; /* of its window */
        uint8_t width;  /* of its window: 4, or 3 where the text has no more */
        uint32_t next;  /* in the chain of its slot, plus one; 0: none */
} Literal;

typedef void (*Finder)(const Literals *literals, Slice data, size_t from, size_t to, LiteralFound found,
                       void *userdata);

struct Literals {
        /* Which buckets a byte of the window may belong to: by its low nibble, its high one, and both. */
        uint8_t low[WINDOW][16] __attribute__((aligned(16)));
        uint8_t high[WINDOW][16] __attribute__((aligned(16)));
        uint8_t both[WINDOW][256];
        Finder find;
        size_t reach;
        unsigned shift;  /* of the hash, to a slot */
        uint32_t *slots; /* the first of a chain, plus one */
        size_t n;
        Literal items[];
};

/* ---- what is in the tables ---- */

/* How common a byte is in what lies on disks, roughly: text, code, and binary files with many zeros. */
static unsigned commonness(uint8_t byte)
{
        static const char common[] = "etaoinsrl", punctuation[] = "-_./=\",;()*#";

        if (byte == 0 || byte == 0xff || byte == ' ' || byte == '\n')
                return 60;
        if (strchr(common, byte))
                return 40;
        if (byte >= 'a' && byte <= 'z')
                return 24;
        if (strchr(punctuation, byte))
                return 26;
        if (byte >= '0' && byte <= '9')
                return 16;
        return byte >= 'A' && byte <= 'Z' ? 12 : 10;
}

static void choose_window(Literal *literal)
{
        unsigned least = UINT32_MAX;

        literal->width = MIN(literal->size, WINDOW);
        for (unsigned i = 0; i + literal->width <= literal->size; i++) {
                unsigned sum = 0;

                for (unsigned j = i; j < i + literal->width; j++)
                        /* Rows of one character are what drawings and rulers are made of. */
                        sum += commonness(literal->text[j]) + (j > i && literal->text[j] == literal->text[j - 1] ? 40 : 0);
                if (sum < least) {
                        least = sum;
                        literal->offset = (uint8_t)i;
                }
        }
}

static uint32_t three_bytes(const uint8_t *at)
{
        return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16;
}

static size_t slot_of(const Literals *literals, uint32_t three)
{
        return (three * 0x9e3779b1U) >> literals->shift;
}

static void put_into_tables(Literals *literals, const Literal *literal, unsigned bucket)
{
        for (unsigned i = 0; i < WINDOW; i++) {
                uint8_t bit = (uint8_t)(1U << bucket), byte;

                if (i >= literal->width) { /* any will do */
                        for (unsigned j = 0; j < 16; j++) {
                                literals->low[i][j] |= bit;
                                literals->high[i][j] |= bit;
                        }
                        continue;
                }
                byte = literal->text[literal->offset + i];
                literals->low[i][byte & 15] |= bit;
                literals->high[i][byte >> 4] |= bit;
        }
}

static int compare_windows(const void *a, const void *b)
{
        const Literal *left = a, *right = b;
        int order = memcmp(left->text + left->offset, right->text + right->offset, MIN(left->width, right->width));

        return order ? order : (int)left->width - (int)right->width;
}

/* What begins alike shares a bucket, which so lets pass less that is none of either. */
static int fill_tables(Literals *literals)
{
        Literal *sorted = malloc(literals->n * sizeof(*sorted));

        if (!sorted)
                return -ENOMEM;
        memcpy(sorted, literals->items, literals->n * sizeof(*sorted));
        qsort(sorted, literals->n, sizeof(*sorted), compare_windows);
        for (size_t i = 0; i < literals->n; i++)
                put_into_tables(literals, &sorted[i], (unsigned)(i * BUCKETS / MAX(literals->n, BUCKETS)));
        free(sorted);
        for (unsigned i = 0; i < WINDOW; i++)
                for (unsigned byte = 0; byte < 256; byte++)
                        literals->both[i][byte] = literals->low[i][byte & 15] & literals->high[i][byte >> 4];
        return 0;
}

static int make_slots(Literals *literals)
{
        unsigned bits = 6;

        while ((1U << bits) < 2 * literals->n)
                bits++;
        literals->shift = 32 - bits;
        literals->slots = calloc(1U << bits, sizeof(*literals->slots));
        if (!literals->slots)
                return -ENOMEM;
        /* From behind, so that a chain is in the order of the texts. */
        for (size_t i = literals->n; i-- > 0;) {
                Literal *literal = &literals->items[i];
                uint32_t *slot = &literals->slots[slot_of(literals, three_bytes(literal->text + literal->offset))];

                literal->next = *slot;
                *slot = (uint32_t)i + 1;
        }
        return 0;
}

/* ---- looking ---- */

/* Something may be at `at`: is it? */
static void compare(const Literals *literals, Slice data, size_t at, LiteralFound found, void *userdata)
{
        uint32_t three;

        if (data.size - at < LITERAL_MIN)
                return;
        three = three_bytes(data.data + at);
        for (uint32_t i = literals->slots[slot_of(literals, three)]; i; i = literals->items[i - 1].next) {
                const Literal *literal = &literals->items[i - 1];

                if (three_bytes(literal->text + literal->offset) == three && at >= literal->offset &&
                    data.size - (at - literal->offset) >= literal->size &&
                    memcmp(data.data + (at - literal->offset), literal->text, literal->size) == 0)
                        found(userdata, i - 1, at - literal->offset);
        }
}

static void find_scalar(const Literals *literals, Slice data, size_t from, size_t to, LiteralFound found,
                        void *userdata)
{
        const uint8_t *bytes = data.data;
        size_t whole = data.size < WINDOW ? 0 : MIN(to, data.size - WINDOW + 1), i;

        for (i = from; i < whole; i++)
                if (literals->both[0][bytes[i]] & literals->both[1][bytes[i + 1]] & literals->both[2][bytes[i + 2]] &
                    literals->both[3][bytes[i + 3]])
                        compare(literals, data, i, found, userdata);
        for (; i < to; i++) /* where there are three bytes at most */
                compare(literals, data, i, found, userdata);
}

#if HAVE_X86
#define SSSE3 __attribute__((target("ssse3")))
#define AVX2  __attribute__((target("avx2")))
#define INLINE inline __attribute__((always_inline))

static void compare_all(const Literals *literals, Slice data, size_t at, uint32_t marks, LiteralFound found,
                        void *userdata)
{
        for (; marks; marks &= marks - 1)
                compare(literals, data, at + (unsigned)__builtin_ctz(marks), found, userdata);
}

SSSE3 static INLINE __m128i buckets_ssse3(const __m128i low[WINDOW], const __m128i high[WINDOW], const uint8_t *at)
{
        const __m128i nibble = _mm_set1_epi8(15);
        __m128i all = _mm_set1_epi8(-1);

        for (unsigned i = 0; i < WINDOW; i++) {
                __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(at + i));
                __m128i by_low = _mm_shuffle_epi8(low[i], _mm_and_si128(bytes, nibble));
                __m128i by_high = _mm_shuffle_epi8(high[i], _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble));

                all = _mm_and_si128(all, _mm_and_si128(by_low, by_high));
        }
        return all;
}

SSSE3 static void find_ssse3(const Literals *literals, Slice data, size_t from, size_t to, LiteralFound found,
                             void *userdata)
{
        __m128i low[WINDOW], high[WINDOW];
        size_t at = from;

        for (unsigned i = 0; i < WINDOW; i++) {
                low[i] = _mm_load_si128((const __m128i *)(const void *)literals->low[i]);
                high[i] = _mm_load_si128((const __m128i *)(const void *)literals->high[i]);
        }
        for (; to - at >= 16 && data.size - at >= 16 + WINDOW - 1; at += 16) {
                __m128i none = _mm_cmpeq_epi8(buckets_ssse3(low, high, data.data + at), _mm_setzero_si128());
                uint32_t marks = ~(uint32_t)_mm_movemask_epi8(none) & 0xffff;

                if (marks)
                        compare_all(literals, data, at, marks, found, userdata);
        }
        find_scalar(literals, data, at, to, found, userdata);
}

AVX2 static INLINE __m256i buckets_avx2(const __m256i low[WINDOW], const __m256i high[WINDOW], const uint8_t *at)
{
        const __m256i nibble = _mm256_set1_epi8(15);
        __m256i all = _mm256_set1_epi8(-1);

        for (unsigned i = 0; i < WINDOW; i++) {
                __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(at + i));
                __m256i by_low = _mm256_shuffle_epi8(low[i], _mm256_and_si256(bytes, nibble));
                __m256i by_high =
                        _mm256_shuffle_epi8(high[i], _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble));

                all = _mm256_and_si256(all, _mm256_and_si256(by_low, by_high));
        }
        return all;
}

AVX2 static INLINE uint32_t marks_avx2(__m256i buckets)
{
        return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(buckets, _mm256_setzero_si256()));
}

AVX2 static void find_avx2(const Literals *literals, Slice data, size_t from, size_t to, LiteralFound found,
                           void *userdata)
{
        __m256i low[WINDOW], high[WINDOW];
        size_t at = from;

        for (unsigned i = 0; i < WINDOW; i++) {
                low[i] = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(const void *)literals->low[i]));
                high[i] = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)(const void *)literals->high[i]));
        }
        /* Two at a time, with one branch. */
        for (; to - at >= 64 && data.size - at >= 64 + WINDOW - 1; at += 64) {
                __m256i first = buckets_avx2(low, high, data.data + at);
                __m256i second = buckets_avx2(low, high, data.data + at + 32);
                __m256i any = _mm256_or_si256(first, second);

                if (__builtin_expect(_mm256_testz_si256(any, any), 1))
                        continue;
                compare_all(literals, data, at, marks_avx2(first), found, userdata);
                compare_all(literals, data, at + 32, marks_avx2(second), found, userdata);
        }
        find_scalar(literals, data, at, to, found, userdata);
}
#endif

void literals_find(const Literals *literals, Slice data, size_t from, size_t to, LiteralFound found, void *userdata)
{
        to = MIN(to, data.size);
        if (from < to)
                literals->find(literals, data, from, to, found, userdata);
}

/* ---- life ---- */

bool literals_choose(Literals *literals, LiteralsKind kind)
{
        if (kind == LITERALS_SCALAR)
                literals->find = find_scalar;
#if HAVE_X86
        else if (kind == LITERALS_SSSE3 && __builtin_cpu_supports("ssse3"))
                literals->find = find_ssse3;
        else if (kind == LITERALS_AVX2 && __builtin_cpu_supports("avx2"))
                literals->find = find_avx2;
#endif
        else
                return false;
        return true;
}

int literals_new(Literals **ret, const Slice *texts, size_t n)
{
        _cleanup_(literals_freep) Literals *literals = NULL;
        int r;

        if (n == 0 || n > LITERALS_MAX)
                return -EINVAL;
        literals = aligned_alloc(16, (sizeof(*literals) + n * sizeof(Literal) + 15) / 16 * 16);
        if (!literals)
                return -ENOMEM;
        memset(literals, 0, sizeof(*literals) + n * sizeof(Literal));
        literals->n = n;
        for (size_t i = 0; i < n; i++) {
                Literal *literal = &literals->items[i];

                if (texts[i].size < LITERAL_MIN || texts[i].size > LITERAL_MAX)
                        return -EINVAL;
                memcpy(literal->text, texts[i].data, texts[i].size);
                literal->size = (uint8_t)texts[i].size;
                choose_window(literal);
                literals->reach = MAX(literals->reach, literal->offset);
        }
        r = fill_tables(literals);
        if (r == 0)
                r = make_slots(literals);
        if (r < 0)
                return r;
        for (unsigned kind = _LITERALS_KIND_N; kind-- > 0;)
                if (literals_choose(literals, (LiteralsKind)kind))
                        break;
        *ret = take_ptr(literals);
        return 0;
}

Literals *literals_free(Literals *literals)
{
        if (literals) {
                free(literals->slots);
                free(literals);
        }
        return NULL;
}

size_t literals_reach(const Literals *literals)
{
        return literals->reach;
}
