#include "egress/scrub_stream.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What is copied into the window at a time: it stays in the processor's cache, and a stream stays small. */
#define WINDOW_STEP (16U * 1024U)

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

/* One byte more than a match: the character of Base64 before it. */
size_t scrub_stream_hold(const Scrub *scrub)
{
        return scrub_span(scrub) + 1;
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

bool scrub_stream_has_lines(Slice content_type)
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

int scrub_stream_new(ScrubStream **ret, Scrub *scrub, ScrubMode mode, bool lines)
{
        ScrubStream *stream = calloc(1, sizeof(*stream));

        if (!stream)
                return -ENOMEM;
        stream->scrub = scrub_ref(scrub);
        stream->mode = mode;
        stream->lines = lines;
        stream->window = BUF_NULL(scrub_stream_hold(scrub) + WINDOW_STEP);
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
        size_t line = lines_end(stream), span = scrub_span(stream->scrub), end, free_to;
        bool strict = stream->mode == SCRUB_STRICT;
        ScrubScan done = { 0 };
        int r;

        end = MAX(line, window->size > span ? window->size - span : 0);
        free_to = MAX(line, end > 0 ? end - 1 : 0);
        if (last)
                end = free_to = window->size;
        if (end > stream->scanned) {
                done = scrub_scan(stream->scrub, window->data, window->size, stream->scanned, end, strict);
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
