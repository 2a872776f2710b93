#include "egress/leak_check.h"

static int find(LeakCheck *check, Slice text)
{
        return text.size > 0 && scrub_finds(check->scrub, text, &check->sure) ? LEAK_CHECK_E_FOUND : 0;
}

int leak_check_head(LeakCheck *check, const EgressRequest *request)
{
        const HeaderField *headers = request->headers.items;
        int r = find(check, slice_text(request->path));

        if (r == 0)
                r = find(check, slice_text(request->host));
        if (r == 0 && request->query)
                r = find(check, slice_text(request->query));
        if (r == 0)
                r = find(check, slice_text(request->method));
        for (size_t i = 0; r == 0 && i < request->headers.n; i++) {
                r = find(check, slice_text(headers[i].name));
                if (r == 0)
                        r = find(check, slice_text(headers[i].value));
        }
        return r;
}

int leak_check_whole(LeakCheck *check, Slice body)
{
        return find(check, body);
}

static Slice content_type(const EgressRequest *request)
{
        const HeaderField *headers = request->headers.items;

        for (size_t i = 0; i < request->headers.n; i++)
                if (strcmp(headers[i].name, "content-type") == 0)
                        return slice_text(headers[i].value);
        return SLICE_NULL;
}

static int settle(LeakCheck *check, int r)
{
        if (r != SCRUB_E_FOUND)
                return r;
        check->sure = scrub_stream_is_sure(check->stream);
        return LEAK_CHECK_E_FOUND;
}

int leak_check_piece(LeakCheck *check, const EgressRequest *request, Slice piece, Buf *out)
{
        int r = 0;

        if (!check->stream)
                r = scrub_stream_new(&check->stream, check->scrub, SCRUB_STRICT, scrub_stream_has_lines(content_type(request)));
        return r ? r : settle(check, scrub_stream_feed(check->stream, piece, out));
}

int leak_check_end(LeakCheck *check, Buf *out)
{
        return check->stream ? settle(check, scrub_stream_end(check->stream, out)) : 0;
}

ReportKind leak_check_kind(const LeakCheck *check)
{
        if (!check->sure)
                return REPORT_DENIED;
        return scrub_shortest(check->scrub) < LEAK_CHECK_KNOWN_MIN ? REPORT_GUESSED : REPORT_LEAKED;
}

void leak_check_deinit(LeakCheck *check)
{
        check->stream = scrub_stream_free(check->stream);
        *check = (LeakCheck){ 0 };
}
