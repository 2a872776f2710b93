#include "egress/lane_server.h"
#include "http/writer.h"
#include <strings.h>

bool upload_is_blocked(const Lane *lane)
{
        return lane->out_sent < lane->out.size;
}

/* ---- the head ---- */

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

static bool takes_gzip(const char *value)
{
        return strcasestr(value, "gzip") != NULL;
}

/*
 * A part of a body cannot be looked through, and an encoding or a charset that we do not know neither. So they are
 * not asked for; what stays is compacted. Says whether the client would take gzip.
 */
static bool strip_headers(EgressRequest *request)
{
        static const char *const stripped[] = { "range", "if-range", "accept-encoding", "accept-charset" };
        HeaderField *fields = request->headers.items;
        bool gzip = false;
        size_t n = 0;

        for (size_t i = 0; i < request->headers.n; i++) {
                if (strcmp(fields[i].name, "accept-encoding") == 0)
                        gzip = gzip || takes_gzip(fields[i].value);
                if (!is_one_of(fields[i].name, stripped, ARRAY_SIZE(stripped)))
                        fields[n++] = fields[i];
        }
        request->headers.n = n;
        return gzip;
}

static int write_named(Buf *out, const char *name, const char *value)
{
        return http_write_header(out, slice_text(name), slice_text(value));
}

/* Some servers refuse these without a length. */
static bool wants_length(const char *method)
{
        static const char *const methods[] = { "POST", "PUT", "PATCH" };

        return is_one_of(method, methods, ARRAY_SIZE(methods));
}

static int write_framing(Lane *lane, const Injection *injection)
{
        const EgressRequest *request = &lane->request;

        lane->chunked = !injection->has_body && request->body == BODY_STREAM;
        if (injection->has_body)
                return http_write_framing(&lane->out, HTTP_BODY_LENGTH, injection->body.size);
        if (lane->chunked)
                return http_write_framing(&lane->out, HTTP_BODY_CHUNKED, 0);
        if (request->body == BODY_LENGTH || wants_length(request->method))
                return http_write_framing(&lane->out, HTTP_BODY_LENGTH, request->length);
        return 0;
}

static int write_own_headers(Lane *lane, bool strips, bool gzip)
{
        int r = 0;

        if (strips)
                r = write_named(&lane->out, "Accept-Encoding", gzip ? "gzip" : "identity");
        if (r == 0 && lane->upload == UPLOAD_HELD)
                r = write_named(&lane->out, "Expect", "100-continue");
        if (r == 0 && lane->request.upgrade)
                r = write_named(&lane->out, "Connection", "Upgrade");
        if (r == 0 && lane->request.upgrade)
                r = write_named(&lane->out, "Upgrade", "websocket");
        return r;
}

static int write_head(Lane *lane, const Injection *injection, bool strips, bool gzip)
{
        int r;

        r = http_write_request_line(&lane->out, lane->request.method, injection->path, injection->query,
                                    lane->authority.host, lane->authority.port);
        for (size_t i = 0; r == 0 && i < injection->n_headers; i++)
                r = http_write_header(&lane->out, injection->headers[i].name, injection->headers[i].value);
        if (r == 0)
                r = write_own_headers(lane, strips, gzip);
        if (r == 0)
                r = write_framing(lane, injection);
        if (r == 0)
                r = http_write_end(&lane->out);
        if (r == 0 && injection->has_body)
                r = buf_append(&lane->out, injection->body.data, injection->body.size);
        return r == -EINVAL ? INJECT_E_REQUEST : r;
}

int upload_head(Lane *lane, Slice whole)
{
        const EgressPolicy *policy = lane->grant->policy;
        bool strips = policy->scrub != SCRUB_OFF;
        bool gzip = strips && strip_headers(&lane->request);
        InjectBody body = inject_body(policy, &lane->request);
        /* A form's marker is in the body: at another host there is nothing to put there. */
        const Secret *credential = grant_is_for(lane->grant, &lane->authority) ? lane->grant->credential : NULL;
        const InjectInput input = {
                .policy = policy,
                .credential = credential,
                .request = &lane->request,
                .now = clock_wall(loop_clock(lane->process->role.loop)),
                .whole = body == INJECT_BODY_WHOLE,
                .body = whole,
        };
        Injection injection;
        int r;

        r = inject_request(&input, &injection);
        if (r == 0 && (body == INJECT_BODY_FORM || body == INJECT_BODY_SCAN)) {
                inject_form_init(&lane->form, policy->slot_name, body == INJECT_BODY_FORM ? credential : NULL);
                lane->has_form = true;
        }
        if (r == 0)
                r = write_head(lane, &injection, strips, gzip);
        lane->credential_used = r == 0 && injection.used;
        injection_deinit(&injection);
        return r;
}

/* ---- the body ---- */

static int append_chunk(Lane *lane, Slice data)
{
        char head[20];
        int r;

        if (data.size == 0)
                return 0; /* a chunk of no bytes would be the last one */
        r = buf_append(&lane->out, head, http_chunk_head(data.size, head));
        if (r == 0)
                r = buf_append(&lane->out, data.data, data.size);
        return r ? r : buf_append_text(&lane->out, HTTP_CHUNK_END);
}

static int append_form(Lane *lane, Slice data)
{
        Buf *out = &lane->process->decoded;
        int r;

        buf_clear(out);
        r = inject_form_feed(&lane->form, data, out);
        lane->credential_used = lane->form.used;
        if (r == 0)
                r = lane->chunked ? append_chunk(lane, buf_slice(out)) : buf_append(&lane->out, out->data, out->size);
        buf_clear(out);
        return r;
}

static int append(Lane *lane, Slice data)
{
        if (lane->has_form)
                return append_form(lane, data);
        return lane->chunked ? append_chunk(lane, data) : buf_append(&lane->out, data.data, data.size);
}

/* What of a body may go on: all of it where it is there whole, and otherwise what the check does not hold. */
static int check_body(Lane *lane, Slice data, Slice *ret)
{
        Buf *checked = &lane->process->checked;
        int r;

        *ret = data;
        if (lane->download == DOWNLOAD_TUNNEL)
                return 0;
        if (lane->request.body == BODY_LENGTH && data.size == lane->request.length)
                return leak_check_whole(&lane->leaks, data);
        r = leak_check_piece(&lane->leaks, &lane->request, data, checked);
        *ret = buf_slice(checked);
        return r;
}

/* Nothing that was found goes out: the upstream never sees the end of the body. */
static int pass(Lane *lane, int checked, Slice data)
{
        int r = checked ? checked : append(lane, data);

        buf_clear(&lane->process->checked);
        if (checked == LEAK_CHECK_E_FOUND)
                return exchange_refuse_leak(lane);
        return r > 0 ? exchange_refuse_injection(lane, r) : r;
}

int upload_data(Lane *lane, Slice data)
{
        Slice clean;
        int r;

        lane->body_sent = true;
        r = check_body(lane, data, &clean);
        r = pass(lane, r, clean);
        return r < 0 ? r : upload_flush(lane);
}

int upload_end(Lane *lane)
{
        Buf *checked = &lane->process->checked;
        int r;

        lane->body_sent = true;
        if (lane->download == DOWNLOAD_TUNNEL)
                return exchange_finish(lane, false);
        r = leak_check_end(&lane->leaks, checked);
        r = pass(lane, r, buf_slice(checked));
        if (r < 0 || !lane->busy || lane->download == DOWNLOAD_DONE)
                return r; /* it was refused */
        if (lane->chunked)
                r = buf_append_text(&lane->out, HTTP_LAST_CHUNK);
        if (r < 0)
                return r;
        if (lane->download == DOWNLOAD_HEAD)
                lane_set_deadline(lane, lane->process->timeouts.head_usec);
        return upload_flush(lane);
}

int upload_flush(Lane *lane)
{
        while (lane->connected && lane->connection && upload_is_blocked(lane)) {
                Slice left = slice(lane->out.data + lane->out_sent, lane->out.size - lane->out_sent);
                size_t n = 0;
                int r = connection_send(lane->connection, left, &n);

                if (r == CONNECTION_E_AGAIN)
                        return 0;
                if (r) {
                        /* It may have answered before it closed: that is read, and says what there is to say. */
                        lane->out_sent = lane->out.size;
                        if (lane->upload != UPLOAD_NONE)
                                lane->upload = UPLOAD_DISCARD;
                        return download_run(lane);
                }
                lane->out_sent += n;
                if (lane->upload == UPLOAD_BODY)
                        lane_set_deadline(lane, lane->process->timeouts.stall_usec);
        }
        /* The head alone is kept: it may have to be sent once more. */
        if (!upload_is_blocked(lane) && (lane->body_sent || lane->spoken)) {
                buf_clear(&lane->out);
                lane->out_sent = 0;
        }
        return 0;
}

int upload_continue(Lane *lane)
{
        int r;

        lane->upload = UPLOAD_BODY;
        lane_set_deadline(lane, lane->process->timeouts.stall_usec);
        r = lane_send(lane->fd, LANE_FRAME_CONTINUE, NULL);
        if (r > 0)
                lane_close(lane);
        return r < 0 ? r : 0;
}
