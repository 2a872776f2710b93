#include "scan/scan.h"
#include "scan/pem.h"
#include <unistd.h>

/* What is looked at to tell text from what is none. */
#define TEXT_SAMPLE 8192U

struct Scanner {
        const Needles *needles;
        size_t room;
        uint8_t *buffer;
        uint8_t scratch[PEM_MAX];
};

/* ---- lines ---- */

typedef struct Lines {
        uint64_t at; /* everything before it has been counted */
        uint64_t line, start; /* the one that is at `at`, and where it begins */
        size_t next;          /* hit that has none yet */
} Lines;

static int compare_hits(const void *a, const void *b)
{
        const ScanHit *left = a, *right = b;

        if (left->offset != right->offset)
                return left->offset < right->offset ? -1 : 1;
        if (left->size != right->size)
                return left->size < right->size ? -1 : 1;
        return (left->value > right->value) - (left->value < right->value);
}

static void count_to(Lines *lines, const uint8_t *bytes, size_t size)
{
        const uint8_t *end = bytes + size, *at = bytes, *newline;

        while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
                lines->line++;
                at = newline + 1;
                lines->start = lines->at + (uint64_t)(at - bytes);
        }
        lines->at += size;
}

/* The next bytes. Hits in them get their lines; those behind them are not looked at yet. */
static void lines_feed(Lines *lines, Slice bytes, ScanResult *result)
{
        uint64_t begin = lines->at, end = begin + bytes.size;

        if (lines->next < result->n)
                qsort(result->hits + lines->next, result->n - lines->next, sizeof(ScanHit), compare_hits);
        for (; lines->next < result->n && result->hits[lines->next].offset < end; lines->next++) {
                ScanHit *hit = &result->hits[lines->next];

                count_to(lines, bytes.data + (lines->at - begin), hit->offset - lines->at);
                hit->line = lines->line;
                hit->column = hit->offset - lines->start + 1;
        }
        count_to(lines, bytes.data + (lines->at - begin), end - lines->at);
}

static const Lines lines_null = { .line = 1 };

static void tell_text(Slice beginning, ScanResult *result)
{
        size_t n = MIN(beginning.size, TEXT_SAMPLE);

        result->binary = n > 0 && memchr(beginning.data, 0, n) != NULL;
}

/* ---- reading ---- */

typedef struct Reading {
        Scanner *scanner;
        const ScanSource *source;
        ScanResult *result;
        Lines lines;
        uint64_t base; /* of the buffer in the file */
        size_t have;   /* in the buffer */
        size_t done;   /* looked through, of that */
        bool end;
} Reading;

/* Until the buffer is full or the source has no more. */
static int fill(Reading *reading)
{
        const ScanSource *source = reading->source;
        Scanner *scanner = reading->scanner;

        while (!reading->end && reading->have < scanner->room) {
                ssize_t n = source->read(source->userdata, scanner->buffer + reading->have,
                                         scanner->room - reading->have);

                if (n == -EINTR)
                        continue;
                if (n < 0)
                        return (int)n;
                reading->have += (size_t)n;
                reading->end = n == 0 || reading->base + reading->have == source->size;
        }
        return 0;
}

/* Forgets what is no longer needed. */
static void advance(Reading *reading)
{
        Scanner *scanner = reading->scanner;
        size_t before = needles_before(scanner->needles);
        size_t drop = reading->done > before ? reading->done - before : 0;

        if (reading->base == 0)
                tell_text(slice(scanner->buffer, reading->have), reading->result);
        if (reading->source->once)
                lines_feed(&reading->lines, slice(scanner->buffer, drop), reading->result);
        memmove(scanner->buffer, scanner->buffer + drop, reading->have - drop);
        reading->base += drop;
        reading->have -= drop;
        reading->done -= drop;
}

static void look_to(Reading *reading, size_t to)
{
        if (to <= reading->done)
                return;
        needles_find(reading->scanner->needles, slice(reading->scanner->buffer, reading->have), reading->base,
                     reading->done, to, reading->scanner->scratch, reading->result);
        reading->done = to;
}

int scanner_run(Scanner *scanner, const ScanSource *source, ScanResult *result, uint64_t *ret_bytes)
{
        Reading reading = { .scanner = scanner, .source = source, .result = result, .lines = lines_null };
        int r;

        for (;;) {
                r = fill(&reading);
                /* What came before an error is looked at as well. */
                if (r < 0 || reading.end)
                        break;
                look_to(&reading, reading.have - needles_behind(scanner->needles));
                advance(&reading);
        }
        look_to(&reading, reading.have);
        if (reading.base == 0 && result->n > 0)
                tell_text(slice(scanner->buffer, reading.have), result);
        if (source->once || (reading.base == 0 && result->n > 0))
                lines_feed(&reading.lines, slice(scanner->buffer, reading.have), result);
        *ret_bytes = reading.base + reading.have;
        return r < 0 ? r : result->no_memory ? -ENOMEM : 0;
}

void scanner_run_bytes(Scanner *scanner, Slice bytes, ScanResult *result)
{
        Lines lines = lines_null;

        needles_find(scanner->needles, bytes, 0, 0, bytes.size, scanner->scratch, result);
        if (result->n > 0) {
                tell_text(bytes, result);
                lines_feed(&lines, bytes, result);
        }
}

static int read_at(int fd, uint8_t *to, size_t size, uint64_t at, size_t *ret_n)
{
        *ret_n = 0;
        while (*ret_n < size) {
                ssize_t n = pread(fd, to + *ret_n, size - *ret_n, (off_t)(at + *ret_n));

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno();
                if (n == 0)
                        break;
                *ret_n += (size_t)n;
        }
        return 0;
}

int scanner_run_part(Scanner *scanner, int fd, uint64_t from, uint64_t to, ScanResult *result)
{
        size_t before = needles_before(scanner->needles), behind = needles_behind(scanner->needles), have;
        int r = 0;

        while (r == 0 && from < to) {
                uint64_t base = from > before ? from - before : 0;
                size_t step;

                r = read_at(fd, scanner->buffer, scanner->room, base, &have);
                if (base == 0)
                        tell_text(slice(scanner->buffer, have), result);
                if (base + have <= from)
                        break; /* it has become shorter */
                step = have < scanner->room ? have : have - behind;
                step = (size_t)MIN(step, to - base);
                needles_find(scanner->needles, slice(scanner->buffer, have), base, (size_t)(from - base), step,
                             scanner->scratch, result);
                from = base + step;
        }
        return r < 0 ? r : result->no_memory ? -ENOMEM : 0;
}

int scan_locate(int fd, ScanResult *result)
{
        _cleanup_(freep) uint8_t *buffer = malloc(SCAN_BUFFER_SIZE);
        Lines lines = lines_null;
        size_t have = 1;
        int r = buffer ? 0 : -ENOMEM;

        while (r == 0 && have > 0 && lines.next < result->n) {
                r = read_at(fd, buffer, SCAN_BUFFER_SIZE, lines.at, &have);
                if (r == 0)
                        lines_feed(&lines, slice(buffer, have), result);
        }
        return r == 0 && lines.next < result->n ? -ENODATA : r;
}

/* ---- life ---- */

int scanner_new(Scanner **ret, const Needles *needles)
{
        _cleanup_(scanner_freep) Scanner *scanner = calloc(1, sizeof(*scanner));

        if (!scanner)
                return -ENOMEM;
        scanner->needles = needles;
        scanner->room = MAX(SCAN_BUFFER_SIZE, 4 * (needles_before(needles) + needles_behind(needles)));
        scanner->buffer = malloc(scanner->room);
        if (!scanner->buffer)
                return -ENOMEM;
        *ret = take_ptr(scanner);
        return 0;
}

Scanner *scanner_free(Scanner *scanner)
{
        if (scanner) {
                free(scanner->buffer);
                free(scanner);
        }
        return NULL;
}
