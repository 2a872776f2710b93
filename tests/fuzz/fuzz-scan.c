/*
 * Bytes to be looked through, and how they are cut: the first byte chooses how many come at a time, the second how long
 * ranges are and which search is used. In the rest, bytes from 0xe0 on stand for values, beginnings of them, prefixes
 * and pieces of PEM. What is found is what the simplest search finds, however the bytes are cut.
 */
#include "../unit/client-lib/scan-naive.h"
#include "scan/literals.h"
#include "scan/pem.h"
#include "base/buf.h"
#include "target.h"

#define TEXT_MAX 2048U

static const Stored stored[] = {
        { "aaab", 0, 4 }, { "aaabaaab", 2, 3 }, { "key-0123456789", 4, 4 }, { "ghs_0123456789", 0, 4 },
};
static const char *const prefixes[] = { "ghs_", "mcpch_", "-----BEGIN RSA PRIVATE" };

static const char *const pieces[] = {
        "aaab", "aaabaaab", "key-0123456789", "ghs_0123456789", "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----",
        "key-012345678", "aaa", "ghs_", "mcpch_", "\\n", "\r\n", "0123456789abcdefghijklmnopqrstuv", "-----", "\n    ", "\\\\n",
};

static void expand(const uint8_t *data, size_t size, Buf *out)
{
        for (size_t i = 0; i < size && out->size < TEXT_MAX; i++)
                if (data[i] < 0xe0 ? buf_append_u8(out, data[i]) : buf_append_text(out, pieces[data[i] % ARRAY_SIZE(pieces)]))
                        abort();
}

static int compare_hits(const void *a, const void *b)
{
        return memcmp(a, b, sizeof(ScanHit));
}

static void expect_same(ScanResult *a, ScanResult *b)
{
        if (a->n != b->n || a->n_candidates != b->n_candidates)
                abort();
        if (a->n == 0)
                return;
        qsort(a->hits, a->n, sizeof(ScanHit), compare_hits);
        qsort(b->hits, b->n, sizeof(ScanHit), compare_hits);
        for (size_t i = 0; i < a->n; i++)
                if (a->hits[i].offset != b->hits[i].offset || a->hits[i].value != b->hits[i].value ||
                    a->hits[i].size != b->hits[i].size || memcmp(a->hits[i].hash, b->hits[i].hash, 32) != 0 ||
                    a->hits[i].line != b->hits[i].line || a->hits[i].column != b->hits[i].column)
                        abort();
}

/* In ranges, each of which sees no more of the rest than it asks for. */
static void run_ranges(const Needles *needles, Slice text, size_t portion, ScanResult *result)
{
        uint8_t *scratch = malloc(PEM_MAX);

        for (size_t from = 0; from < text.size; from += portion) {
                size_t to = MIN(from + portion, text.size);
                size_t first = from > needles_before(needles) ? from - needles_before(needles) : 0;
                size_t last = MIN(to + needles_behind(needles), text.size);

                needles_find(needles, slice(text.data + first, last - first), first, from - first, to - first, scratch,
                             result);
        }
        free(scratch);
}

typedef struct Count {
        size_t n;
        Slice text;
} Count;

static void count_literal(void *userdata, unsigned literal, size_t at)
{
        Count *count = userdata;
        Slice text = slice_text(pieces[literal]);

        if (count->text.size - at < text.size || memcmp(count->text.data + at, text.data, text.size) != 0)
                abort();
        count->n++;
}

static void check_literals(Slice text, LiteralsKind kind, size_t portion)
{
        static const unsigned n = 8;
        Count count = { .text = text };
        Slice texts[8];
        Literals *literals;
        size_t expected = 0;

        for (unsigned i = 0; i < n; i++)
                texts[i] = slice_text(pieces[i]);
        if (literals_new(&literals, texts, n))
                abort();
        if (literals_choose(literals, kind)) {
                for (size_t from = 0; from < text.size; from += portion)
                        literals_find(literals, text, from, MIN(from + portion, text.size), count_literal, &count);
                for (size_t at = 0; at < text.size; at++)
                        for (unsigned i = 0; i < n; i++)
                                expected += text.size - at >= texts[i].size &&
                                            memcmp(text.data + at, texts[i].data, texts[i].size) == 0;
                if (count.n != expected)
                        abort();
        }
        literals_free(literals);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Buf text = BUF_NULL(2 * TEXT_MAX);
        ScanResult whole = { 0 }, stream = { 0 }, ranges = { 0 };
        ScanSource source = { .read = read_portion, .size = UINT64_MAX, .once = true };
        Portions portions;
        Needles *needles;
        Scanner *scanner;
        uint64_t bytes;

        if (size < 2)
                return 0;
        expand(data + 2, size - 2, &text);
        portions = (Portions){ buf_slice(&text), data[0] + 1U };
        source.userdata = &portions;
        needles = needles_of(stored, ARRAY_SIZE(stored), prefixes, ARRAY_SIZE(prefixes));
        if (scanner_new(&scanner, needles))
                abort();
        scanner_run_bytes(scanner, buf_slice(&text), &whole);
        if (scanner_run(scanner, &source, &stream, &bytes) || bytes != text.size)
                abort();
        run_ranges(needles, buf_slice(&text), data[1] + 1U, &ranges);
        if (whole.unchecked == 0) {
                expect_naive(buf_slice(&text), stored, ARRAY_SIZE(stored), &whole);
                expect_same(&whole, &stream);
                if (ranges.n != whole.n)
                        abort();
        }
        check_literals(buf_slice(&text), (LiteralsKind)(data[1] % _LITERALS_KIND_N), data[1] + 1U);
        scan_result_clear(&whole);
        scan_result_clear(&stream);
        scan_result_clear(&ranges);
        scanner_free(scanner);
        needles_free(needles);
        buf_deinit(&text);
        return 0;
}
