#include "egress/lane_server.h"
#include "egress/response.h"

/* Bursts taken from one connection before others get their turn. */
#define BURSTS_MAX 8U
/* What a burst is collected into: the process's frame. */
#define BURST_SIZE LANE_FRAME_MAX
/* A record that is shorter comes alone, as a rule, and may be all there is to the response. */
#define SHORT_READ 8192U
/* Compressed bytes that are undone before what came of them is sent: at most 1032 times as much. */
#define INFLATE_STEP 256U
/* What comes of them before others get their turn. */
#define INFLATED_MAX (512U * 1024U)
/* "100 Continue", "103 Early Hints": more is an upstream that plays. */
#define INFORMATIONAL_MAX 16U

static const Refusal closed = { 502, "upstream-closed", "The upstream closed the connection without an answer.", 0 };
static const Refusal cut_short = { 502, "upstream-truncated", "The upstream's response ended too early.", 0 };
static const Refusal malformed = { 502, "upstream-malformed", "The upstream's response is not HTTP/1.1.", 0 };
static const Refusal undecodable = { 502, "upstream-encoding", "The response's Content-Encoding cannot be undone.", 0 };
static const Refusal unreadable = { 502, "scrub", "The response cannot be looked through, which the profile asks for.",
                                    0 };
static const Refusal reflected = { 502, "scrub", "The response had the credential in it.", 0 };

static bool is_blocked(const Lane *lane)
{
        return lane->pending.size > 0;
}

/* It has had its turn; what has come waits in `in`. */
static bool is_tired(const Lane *lane)
{
        return lane->inflated >= INFLATED_MAX;
}

static bool is_active(const Lane *lane)
{
        return lane_is_open(lane) && lane->connection && lane->download != DOWNLOAD_DONE &&
               lane->download != DOWNLOAD_NONE;
}

/* ---- the body ---- */

/* LANE_E_CLOSED is the end of the lane and nothing to be handled by who comes next. */
static int put(Lane *lane, Slice bytes)
{
        int r = bytes.size > 0 ? lane_put(lane, bytes) : 0;

        return r == LANE_E_CLOSED ? 0 : r;
}

/* The same, when nothing is behind it. */
static int put_last(Lane *lane)
{
        Buf *scrubbed = &lane->process->scrubbed;
        int r = lane_put_last(lane, buf_slice(scrubbed));

        buf_clear(scrubbed);
        return r == LANE_E_CLOSED ? 0 : r;
}

/* What comes behind it may take its time. */
static int put_head(Lane *lane)
{
        int r = lane_put_head(lane);

        return r == LANE_E_CLOSED ? 0 : r;
}

static int report_scrubbed(Lane *lane)
{
        return exchange_report(lane, REPORT_SCRUBBED, "The upstream sent the credential back.");
}

static int put_scrubbed(Lane *lane)
{
        Buf *scrubbed = &lane->process->scrubbed;
        int r = put(lane, buf_slice(scrubbed));

        buf_clear(scrubbed);
        return r;
}

/* What stands before the credential may go; then the response is cut. */
static int found(Lane *lane)
{
        int r = put_scrubbed(lane);

        if (r == 0 && lane_is_open(lane))
                r = report_scrubbed(lane);
        return r == 0 && lane_is_open(lane) ? exchange_fail(lane, &reflected) : r;
}

static int scrub(Lane *lane, Slice bytes)
{
        int r;

        if (!lane->scrub)
                return buf_append(&lane->process->scrubbed, bytes.data, bytes.size);
        r = scrub_stream_feed(lane->scrub, bytes, &lane->process->scrubbed);
        return r == SCRUB_E_FOUND ? found(lane) : r;
}

/* Undoes one step, and all that is in it. */
static int inflate(Lane *lane, Slice bytes)
{
        Buf *decoded = &lane->process->decoded;
        int r = 0;

        do {
                size_t used = 0;

                buf_clear(decoded);
                r = inflate_feed(lane->inflate, bytes, &used, decoded);
                bytes = slice(bytes.data + used, bytes.size - used);
                lane->inflated += decoded->size;
                if (r > 0)
                        return exchange_fail(lane, &undecodable);
                if (r == 0)
                        r = scrub(lane, buf_slice(decoded));
        } while (r == 0 && is_active(lane) && (bytes.size > 0 || inflate_has_more(lane->inflate)));
        return r;
}

static int body_bytes(Lane *lane, Slice bytes)
{
        return lane->inflate ? inflate(lane, bytes) : scrub(lane, bytes);
}

static int body_end(Lane *lane, bool reusable)
{
        int r = 0;

        if (lane->inflate && inflate_end(lane->inflate))
                return exchange_fail(lane, &undecodable);
        if (lane->scrub)
                r = scrub_stream_end(lane->scrub, &lane->process->scrubbed);
        if (r == SCRUB_E_FOUND)
                return found(lane);
        if (r == 0)
                r = put_last(lane);
        if (r == 0 && lane_is_open(lane) && lane->scrub && scrub_stream_found(lane->scrub) > 0)
                r = report_scrubbed(lane);
        return r == 0 && lane_is_open(lane) ? exchange_finish(lane, reusable) : r;
}

static int take_body(Lane *lane, Slice bytes, size_t *ret_used)
{
        Slice data = SLICE_NULL;
        size_t used = 0;
        int r;

        if (lane->inflate)
                bytes.size = MIN(bytes.size, (size_t)INFLATE_STEP);
        r = http_decoder_feed(&lane->decoder, bytes, &used, &data);
        *ret_used = used;
        if (r > 0)
                return exchange_fail(lane, &malformed);
        if (r == 0 && data.size > 0)
                r = body_bytes(lane, data);
        return r;
}

/* ---- the head ---- */

static int begin_body(Lane *lane, const HttpHead *head, const ResponseHead *response)
{
        const EgressPolicy *policy = lane->grant->policy;
        int r = 0;

        http_decoder_init(&lane->decoder, head->body, head->length);
        lane->download = DOWNLOAD_BODY;
        /* Of a request whose body is not there whole the rest would be read from the next one's bytes, and
         * what refuses an upgrade may stand before somebody who believes that there was one. */
        lane->keep_alive = head->keep_alive && head->body != HTTP_BODY_UNTIL_CLOSE &&
                           lane->upload == UPLOAD_NONE && !lane->request.upgrade;
        if (response->coding == INFLATE_GZIP || response->coding == INFLATE_DEFLATE)
                r = inflate_new(&lane->inflate, response->coding);
        if (r == 0 && policy->scrub != SCRUB_OFF && lane->grant->scrub)
                r = scrub_stream_new(&lane->scrub, lane->grant->scrub, (ScrubMode)policy->scrub, response->lines);
        return r;
}

static int hold_response(Lane *lane, const EgressResponse *response)
{
        int r = lane_encode_response(response, &lane->held);

        return r == LANE_E_TOO_LARGE ? exchange_fail(lane, &malformed) : r;
}

static int tell_of_head(Lane *lane, const HttpHead *head, const ResponseHead *response)
{
        int r = 0;

        if (response->scrubbed)
                r = report_scrubbed(lane);
        if (r == 0 && head->status == 401 && lane->credential_used)
                r = exchange_report(lane, REPORT_UNAUTHORIZED, "The upstream refuses the credential.");
        return r;
}

static int take_final(Lane *lane, const HttpHead *head)
{
        bool strict = lane->grant->policy->scrub == SCRUB_STRICT;
        ResponseHead response;
        int r;

        r = response_head_init(&response, head, lane->grant, strcmp(lane->request.method, "HEAD") == 0);
        if (r == 0)
                r = tell_of_head(lane, head, &response);
        if (r == 0 && strict && response.scrubbed)
                r = exchange_fail(lane, &reflected);
        else if (r == 0 && strict && response.coding == INFLATE_UNKNOWN && head->body != HTTP_BODY_NONE)
                r = exchange_fail(lane, &unreadable);
        else if (r == 0)
                r = hold_response(lane, &response.response);
        if (r == 0 && is_active(lane)) {
                /* A refusal knows enough, and so do we. Anything else may be what came so far, on its way back. */
                if (lane->upload != UPLOAD_NONE && head->status >= 300)
                        lane->upload = UPLOAD_DISCARD;
                r = begin_body(lane, head, &response);
        }
        response_head_deinit(&response);
        return r;
}

static int take_upgrade(Lane *lane, const HttpHead *head)
{
        ResponseHead response;
        int r;

        if (!lane->request.upgrade || !http_name_is(head->upgrade, "websocket"))
                return exchange_fail(lane, &malformed);
        r = response_head_init(&response, head, lane->grant, false);
        if (r == 0)
                r = tell_of_head(lane, head, &response);
        if (r == 0 && response.scrubbed && lane->grant->policy->scrub == SCRUB_STRICT) {
                response_head_deinit(&response);
                return exchange_fail(lane, &reflected);
        }
        response.response.upgraded = true;
        response.response.body = BODY_STREAM;
        lane->close_lane = true;
        lane->download = DOWNLOAD_TUNNEL;
        lane->upload = UPLOAD_BODY;
        if (r == 0)
                r = hold_response(lane, &response.response);
        response_head_deinit(&response);
        return r;
}

static int take_informational(Lane *lane, const HttpHead *head)
{
        if (head->status == 101)
                return take_upgrade(lane, head);
        if (++lane->n_informational > INFORMATIONAL_MAX)
                return exchange_fail(lane, &malformed);
        return head->status == 100 && lane->upload == UPLOAD_HELD ? upload_continue(lane) : 0;
}

/* Takes nothing until the head is whole. */
static int take_head(Lane *lane, Slice bytes, size_t *ret_used)
{
        size_t end = http_head_end(bytes);
        HttpHead head;

        *ret_used = end;
        if (end == 0)
                return bytes.size >= HTTP_HEAD_MAX ? exchange_fail(lane, &malformed) : 0;
        if (http_parse_response(slice(bytes.data, end), strcmp(lane->request.method, "HEAD") == 0, &head))
                return exchange_fail(lane, &malformed);
        return head.status < 200 ? take_informational(lane, &head) : take_final(lane, &head);
}

/* ---- bytes ---- */

/* What is left of the body is put by body_end(). */
static bool is_at_end(const Lane *lane)
{
        return is_active(lane) && lane->download == DOWNLOAD_BODY && lane->decoder.done && !is_blocked(lane);
}

/* Takes from the front of what came, as far as it goes. */
static int take(Lane *lane, Slice bytes, size_t *ret_used)
{
        size_t all = bytes.size;
        int r = 0;

        while (r == 0 && is_active(lane) && !is_blocked(lane) && !is_tired(lane) && bytes.size > 0) {
                size_t used = 0;

                if (lane->download == DOWNLOAD_HEAD) {
                        r = take_head(lane, bytes, &used);
                } else if (lane->download == DOWNLOAD_BODY) {
                        if (lane->decoder.done)
                                break;
                        r = take_body(lane, bytes, &used);
                } else {
                        r = put(lane, bytes);
                        used = bytes.size;
                }
                if (used == 0)
                        break;
                bytes = slice(bytes.data + used, bytes.size - used);
                if (r == 0 && is_active(lane) && lane->process->scrubbed.size >= LANE_DATA_MAX)
                        r = put_scrubbed(lane);
        }
        *ret_used = all - bytes.size;
        /* What is the end of the body goes with it. */
        if (r == 0 && is_active(lane) && lane->process->scrubbed.size > 0 && !is_at_end(lane))
                r = put_scrubbed(lane);
        return r;
}

/* The last byte of the body may be one that came a while ago. */
static int end_of_body(Lane *lane, size_t left)
{
        if (!is_at_end(lane))
                return 0;
        return body_end(lane, lane->keep_alive && left == 0 && !lane->upstream_ended && !lane->upstream_broke);
}

static int take_new(Lane *lane, Slice bytes)
{
        size_t used = 0;
        bool kept = lane->in.size > 0;
        int r = 0;

        lane->spoken = lane->spoken || bytes.size > 0;
        if (kept) {
                r = buf_append(&lane->in, bytes.data, bytes.size);
                bytes = buf_slice(&lane->in);
        }
        if (r == 0)
                r = take(lane, bytes, &used);
        if (r < 0 || !is_active(lane))
                return r;
        if (kept && used == lane->in.size)
                buf_deinit(&lane->in);
        else if (kept)
                buf_consume(&lane->in, used);
        else if (used < bytes.size)
                r = buf_append(&lane->in, bytes.data + used, bytes.size - used);
        return r == 0 ? end_of_body(lane, bytes.size - used) : r;
}

/* As much as there is, in one go: each frame to the session costs more than its bytes. */
static size_t read_burst(Lane *lane, bool *ret_drained)
{
        uint8_t *at = lane->process->frame;
        size_t size = 0;

        while (size < BURST_SIZE) {
                size_t n = 0;
                int r = connection_recv(lane->connection, at + size, BURST_SIZE - size, &n);

                *ret_drained = r != 0 || n == 0;
                lane->upstream_broke = r == CONNECTION_E_CLOSED;
                lane->upstream_ended = r == 0 && n == 0;
                if (*ret_drained)
                        break;
                size += n;
                if (n < SHORT_READ)
                        break;
        }
        return size;
}

/* The connection has ended; everything that came before has been taken. */
static int upstream_end(Lane *lane)
{
        switch (lane->download) {
        case DOWNLOAD_HEAD:
                return lane->in.size > 0 ? exchange_fail(lane, &cut_short) : exchange_lost(lane, &closed);
        case DOWNLOAD_BODY:
                if (lane->upstream_broke || http_decoder_end(&lane->decoder))
                        return exchange_fail(lane, &cut_short);
                return body_end(lane, false);
        case DOWNLOAD_TUNNEL:
                lane->upload = UPLOAD_NONE;
                return exchange_finish(lane, false);
        default:
                return 0;
        }
}

static void note_progress(Lane *lane)
{
        const EgressTimeouts *timeouts = &lane->process->timeouts;

        if (lane->download == DOWNLOAD_BODY || lane->download == DOWNLOAD_TUNNEL)
                lane_set_deadline(lane, timeouts->idle_usec);
        if (!upload_is_blocked(lane) && lane->out.size > 0 && lane->spoken) {
                buf_deinit(&lane->out); /* it will not be sent again */
                lane->out_sent = 0;
        }
}

static int run_once(Lane *lane, bool *ret_drained)
{
        EgressProcess *process = lane->process;
        size_t size = 0;
        int r;

        *ret_drained = lane->upstream_ended || lane->upstream_broke;
        /* What was kept because the session did not read comes first, or it would grow with each burst. A head that
         * is not whole yet is shorter. */
        if (!*ret_drained && lane->in.size < HTTP_HEAD_MAX)
                size = read_burst(lane, ret_drained);
        r = size > 0 || lane->in.size > 0 || lane->decoder.done ? take_new(lane, slice(process->frame, size)) : 0;
        buf_clear(&process->scrubbed); /* where something failed, what came before */
        if (r == 0 && is_active(lane))
                r = put_head(lane);
        if (r == 0 && is_active(lane))
                note_progress(lane);
        if (r == 0 && is_active(lane) && !is_blocked(lane) && !is_tired(lane) &&
            (lane->upstream_ended || lane->upstream_broke))
                r = upstream_end(lane);
        return r;
}

int download_run(Lane *lane)
{
        bool drained = false;
        int r = 0;

        lane->inflated = 0;
        for (unsigned i = 0; r == 0 && is_active(lane) && lane->connected && !is_blocked(lane); i++) {
                if (drained && !is_tired(lane))
                        break;
                if (i == BURSTS_MAX || is_tired(lane)) {
                        lane_run_later(lane);
                        break;
                }
                r = run_once(lane, &drained);
        }
        return r;
}
