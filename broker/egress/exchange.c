#include "egress/request_check.h"
#include "egress/lane_server.h"
#include <stdio.h>
#include <sys/epoll.h>

/* How long a session may go on sending what nobody wants any more. */
#define DISCARD_USEC (10 * USEC_PER_SEC)
/* What an upstream that does not answer "Expect" is waited for. */
#define EXPECT_USEC USEC_PER_SEC

static int on_ready(void *userdata);
static int on_failed(void *userdata, ConnectFailure failure);
static int on_event(void *userdata, uint32_t events);

static const ConnectionCallbacks callbacks = { on_ready, on_failed, on_event };

static const Refusal no_grant = { 503, "no-grant", "The session holds no grant of this profile now.", 1 };
static const Refusal revoked = { 503, "revoked", "The grant was revoked.", 0 };
static const Refusal expired = { 503, "expired", "The credential has expired and was not renewed.", 1 };
static const Refusal malformed = { 400, "malformed", "The request is not one that is passed on.", 0 };
static const Refusal no_rule = { 403, "rule", "No rule of the profile allows this request.", 0 };
static const Refusal denied = { 403, "rule", "A rule of the profile denies this request.", 0 };
static const Refusal other_host = { 403, "host", "The credential may not be sent to this host.", 0 };
static const Refusal leaked = { 403, "leaked", "The request has the real credential in it, where only a handle may be.", 0 };
static const Refusal no_websocket = { 403, "websocket", "The profile does not allow WebSockets.", 0 };
static const Refusal too_large = { 413, "max-body", "The body is larger than the profile allows.", 0 };
static const Refusal too_often = { 429, "rate", "The profile's rate is used up.", 0 };
static const Refusal used_up = { 429, "max-uses", "The session has made all the requests that it may make.", 0 };
static const Refusal too_many = { 429, "concurrent", "Too many requests of the session are under way.", 1 };
static const Refusal no_memory = { 503, "busy", "There is no room for the request now.", 1 };
static const Refusal no_head = { 504, "timeout", "The upstream did not answer in time.", 0 };
static const Refusal stalled = { 504, "stalled", "The request did not get on.", 0 };
static const Refusal idle = { 504, "idle", "The upstream stopped sending.", 0 };

static const Refusal connect_refusals[_CONNECT_FAILURE_N] = {
        [CONNECT_ADDRESS] = { 403, "address", "The host's address is not a public one, and the profile does not list it.",
                              0 },
        [CONNECT_NAME] = { 502, "name", "The host's name has no address.", 0 },
        [CONNECT_TIMEOUT] = { 504, "connect", "The upstream could not be reached in time.", 0 },
        [CONNECT_TLS] = { 502, "tls", "The upstream's certificate or its TLS is not acceptable.", 0 },
        [CONNECT_PROXY] = { 502, "proxy", "The upstream proxy does not connect.", 0 },
        [CONNECT_UNREACHED] = { 502, "unreached", "The upstream could not be reached.", 0 },
};

int exchange_report(Lane *lane, ReportKind kind, const char *reason)
{
        const EgressReport report = {
                .session = lane->tenant->session,
                .kind = kind,
                .method = lane->request.method,
                .host = lane->request.host,
                .path = lane->request.path,
                .reason = reason,
        };

        return reporter_tell(lane->process->reporter, &report);
}

static int refuse(Lane *lane, const Refusal *refusal, ReportKind kind)
{
        int r = exchange_report(lane, kind, refusal->message);

        return r < 0 ? r : exchange_fail(lane, refusal);
}

int exchange_refuse_injection(Lane *lane, int error)
{
        const InjectErrorInfo *info = inject_error_info(error);
        const Refusal refusal = { info->status, info->reason, info->sentence, 0 };

        return refuse(lane, &refusal, error == INJECT_E_REQUEST ? REPORT_REFUSED : REPORT_DENIED);
}

/* Without what it may be in: it is not for the log. A rule of the profile can allow names that the sandbox makes up. */
int exchange_refuse_leak(Lane *lane)
{
        bool in_host = lane->grant->scrub && scrub_finds(lane->grant->scrub, slice_text(lane->request.host), &(bool){ false });
        const EgressReport report = {
                .session = lane->tenant->session,
                .kind = leak_check_kind(&lane->leaks),
                .host = in_host ? NULL : lane->request.host,
                .reason = leaked.message,
        };
        int r = reporter_tell(lane->process->reporter, &report);

        return r < 0 ? r : exchange_fail(lane, &leaked);
}

/* ---- whether it may go out ---- */

static int decide(Lane *lane, bool *ret_allowed)
{
        const char *rule = NULL;
        char reason[LIMIT_RULE + 64];
        RuleVerdict verdict;
        int r;

        verdict = rule_set_decide(lane->grant->rules, lane->request.method, &lane->authority, lane->request.path, &rule);
        *ret_allowed = verdict == RULE_ALLOWED;
        if (verdict == RULE_ALLOWED)
                return 0;
        if (verdict == RULE_UNMATCHED)
                return refuse(lane, &no_rule, REPORT_DENIED);
        (void)snprintf(reason, sizeof(reason), "A rule of the profile denies it: %s", rule ? rule : "");
        r = exchange_report(lane, REPORT_DENIED, reason);
        return r < 0 ? r : exchange_fail(lane, &denied);
}

static int take_budget(Lane *lane, bool *ret_allowed)
{
        uint64_t wait, now = clock_boot(loop_clock(lane->process->role.loop));
        Refusal rate = too_often;

        switch (budget_take(&lane->tenant->budget, now, &wait)) {
        case BUDGET_GRANTED:
                *ret_allowed = lane->counted = true;
                return 0;
        case BUDGET_RATE:
                rate.retry_after = (wait + USEC_PER_SEC - 1) / USEC_PER_SEC;
                return refuse(lane, &rate, REPORT_DENIED);
        case BUDGET_USES:
                return refuse(lane, &used_up, REPORT_DENIED);
        case BUDGET_CONCURRENT:
                return refuse(lane, &too_many, REPORT_DENIED);
        }
        return -ENOTRECOVERABLE;
}

static bool is_too_large(const Lane *lane, uint64_t size)
{
        uint64_t max = lane->grant->policy->max_body;

        return max > 0 && size > max;
}

/* In the order in which a person would want to hear of it; but nothing of a request that has the credential in it is told
 * at all. */
static int admit(Lane *lane, bool *ret_admitted)
{
        const EgressRequest *request = &lane->request;
        const char *problem;
        bool allowed = false;
        int r;

        if (leak_check_head(&lane->leaks, request))
                return exchange_refuse_leak(lane);
        problem = request_check(request, &lane->authority);
        if (problem) {
                r = exchange_report(lane, REPORT_REFUSED, problem);
                return r < 0 ? r : exchange_fail(lane, &malformed);
        }
        if (inject_has_marker(request) && !grant_is_for(lane->grant, &lane->authority))
                return refuse(lane, &other_host, REPORT_MISUSE);
        r = decide(lane, &allowed);
        if (r < 0 || !allowed)
                return r;
        if (request->upgrade && !lane->grant->policy->websocket)
                return refuse(lane, &no_websocket, REPORT_DENIED);
        if (is_too_large(lane, request->length))
                return refuse(lane, &too_large, REPORT_DENIED);
        return take_budget(lane, ret_admitted);
}

static const Refusal *check_grant(const Lane *lane)
{
        const Tenant *tenant = lane->tenant;

        if (!tenant->grant)
                return tenant->cut ? &revoked : &no_grant;
        if (grant_has_expired(tenant->grant, clock_wall(loop_clock(lane->process->role.loop))))
                return &expired;
        return NULL;
}

int exchange_begin(Lane *lane)
{
        const Refusal *refusal = check_grant(lane);
        bool admitted = false;
        int r;

        lane->busy = true;
        lane->body_left = lane->request.length;
        lane->upload = lane->request.body == BODY_NONE ? UPLOAD_NONE : lane->request.expect ? UPLOAD_HELD : UPLOAD_BODY;
        if (refusal)
                return exchange_fail(lane, refusal);
        lane->grant = grant_ref(lane->tenant->grant);
        lane->leaks.scrub = lane->grant->scrub;
        r = admit(lane, &admitted);
        if (r < 0 || !admitted)
                return r;
        if (lane->upload == UPLOAD_NONE || inject_body(lane->grant->policy, &lane->request) != INJECT_BODY_WHOLE)
                return exchange_go_on(lane);
        r = lane->upload == UPLOAD_HELD ? upload_continue(lane) : 0;
        lane->upload = UPLOAD_WHOLE;
        lane_set_deadline(lane, lane->process->timeouts.stall_usec);
        return r;
}

int exchange_count_body(Lane *lane, size_t size)
{
        if (lane->download == DOWNLOAD_TUNNEL) {
                lane_set_deadline(lane, lane->process->timeouts.idle_usec);
                return 0;
        }
        lane->body_seen += size;
        lane_set_deadline(lane, lane->process->timeouts.stall_usec);
        if (lane->request.body == BODY_LENGTH && size > lane->body_left) {
                lane_close(lane);
                return 0;
        }
        lane->body_left -= lane->request.body == BODY_LENGTH ? size : 0;
        return is_too_large(lane, lane->body_seen) ? refuse(lane, &too_large, REPORT_DENIED) : 0;
}

/* ---- the connection ---- */

static int start(Lane *lane)
{
        int r;

        lane->connected = true;
        lane->download = DOWNLOAD_HEAD;
        lane_set_deadline(lane, lane->upload == UPLOAD_HELD   ? EXPECT_USEC
                                : lane->upload == UPLOAD_BODY ? lane->process->timeouts.stall_usec
                                                              : lane->process->timeouts.head_usec);
        r = upload_flush(lane);
        return r < 0 ? r : lane_update(lane);
}

static int on_ready(void *userdata)
{
        return start(userdata);
}

static int on_failed(void *userdata, ConnectFailure failure)
{
        Lane *lane = userdata;
        const Refusal *refusal = &connect_refusals[failure];
        int r;

        lane->connection = connection_free(lane->connection);
        r = failure == CONNECT_ADDRESS ? refuse(lane, refusal, REPORT_DENIED) : exchange_fail(lane, refusal);
        return r < 0 ? r : lane_update(lane);
}

static int on_event(void *userdata, uint32_t events)
{
        Lane *lane = userdata;
        int r = 0;

        if (events & EPOLLOUT)
                r = upload_flush(lane);
        if (r == 0 && lane->connection && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                r = download_run(lane);
        return r < 0 ? r : lane_update(lane);
}

static int connect_anew(Lane *lane)
{
        int r;

        lane->reused = false;
        lane->connected = false;
        r = connection_new(&lane->connection, lane->process->connector, &lane->authority, &lane->grant->guard,
                           &callbacks, lane);
        return r < 0 ? exchange_fail(lane, &no_memory) : 0;
}

int exchange_go_on(Lane *lane)
{
        int r;

        if (leak_check_whole(&lane->leaks, buf_slice(&lane->whole)))
                return exchange_refuse_leak(lane);
        r = upload_head(lane, buf_slice(&lane->whole));
        buf_deinit(&lane->whole);
        if (r > 0)
                return exchange_refuse_injection(lane, r);
        if (r < 0)
                return exchange_fail(lane, &no_memory);
        lane_set_deadline(lane, 0); /* libcurl has its own */
        lane->connection = lane->grant->idle ? idle_pool_take(lane->grant->idle, &lane->authority) : NULL;
        if (!lane->connection)
                return connect_anew(lane);
        connection_set_owner(lane->connection, &callbacks, lane);
        lane->reused = true;
        return start(lane);
}

static bool is_idempotent(const char *method)
{
        static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "PUT", "DELETE" };

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
                if (strcmp(method, methods[i]) == 0)
                        return true;
        return false;
}

/* The upstream may close a connection at the moment when we use it again. */
int exchange_lost(Lane *lane, const Refusal *otherwise)
{
        if (!lane->reused || lane->retried || lane->spoken || lane->body_sent || !is_idempotent(lane->request.method))
                return exchange_fail(lane, otherwise);
        lane->retried = true;
        lane->upstream_ended = lane->upstream_broke = false;
        lane->connection = connection_free(lane->connection);
        lane->out_sent = 0;
        lane->download = DOWNLOAD_NONE;
        lane_set_deadline(lane, 0);
        return connect_anew(lane);
}

/* ---- the end ---- */

void exchange_clear(Lane *lane)
{
        if (lane->counted)
                budget_give(&lane->tenant->budget);
        lane->connection = connection_free(lane->connection);
        lane->grant = grant_unref(lane->grant);
        lane->inflate = inflate_free(lane->inflate);
        lane->scrub = scrub_stream_free(lane->scrub);
        leak_check_deinit(&lane->leaks);
        buf_deinit(&lane->whole);
        buf_deinit(&lane->out);
        buf_deinit(&lane->in);
        buf_deinit(&lane->held);
        buf_deinit(&lane->pending);
        pool_deinit(&lane->pool);
        lane->request = (EgressRequest){ 0 };
        lane->busy = lane->counted = lane->credential_used = false;
        lane->connected = lane->reused = lane->retried = lane->spoken = false;
        lane->upstream_ended = lane->upstream_broke = false;
        lane->upload = UPLOAD_NONE;
        lane->body_sent = lane->chunked = lane->has_form = false;
        lane->body_left = lane->body_seen = 0;
        lane->out_sent = 0;
        lane->download = DOWNLOAD_NONE;
        lane->decoder = (HttpDecoder){ 0 };
        lane->n_informational = 0;
        lane->end_sent = lane->end_pending = lane->failure_pending = false;
        lane->deadline = 0;
}

int exchange_settle(Lane *lane)
{
        if (!lane_is_open(lane) || lane->download != DOWNLOAD_DONE)
                return 0;
        if (lane->pending.size > 0 || lane->end_pending || lane->failure_pending)
                return 0;
        if (lane->upload != UPLOAD_NONE) {
                lane->upload = UPLOAD_DISCARD;
                lane_set_deadline(lane, DISCARD_USEC);
                return 0;
        }
        if (lane->close_lane)
                lane_close(lane);
        else
                exchange_clear(lane);
        return 0;
}

/* Sent now, or behind what waits. */
static int send_last(Lane *lane, LaneFrame frame)
{
        bool *pending = frame == LANE_FRAME_END ? &lane->end_pending : &lane->failure_pending;
        int r;

        lane->download = DOWNLOAD_DONE;
        *pending = frame != LANE_FRAME_END || !lane->end_sent;
        r = lane_flush(lane);
        return r < 0 ? r : exchange_settle(lane);
}

int exchange_finish(Lane *lane, bool reusable)
{
        Grant *grant = lane->grant;
        int r = 0;

        if (reusable && grant->current && grant->idle && lane->upload == UPLOAD_NONE && !upload_is_blocked(lane))
                r = idle_pool_put(grant->idle, take_ptr(lane->connection));
        else
                lane->connection = connection_free(lane->connection);
        return r < 0 ? r : send_last(lane, LANE_FRAME_END);
}

int exchange_fail(Lane *lane, const Refusal *refusal)
{
        if (!lane_is_open(lane) || lane->download == DOWNLOAD_DONE)
                return 0;
        lane->connection = connection_free(lane->connection);
        buf_deinit(&lane->out);
        buf_deinit(&lane->held); /* nobody has seen it */
        lane->out_sent = 0;
        if (lane->upload != UPLOAD_NONE) {
                lane->upload = UPLOAD_DISCARD;
                lane->close_lane = true;
        }
        lane->failure = (EgressFailure){
                .status = refusal->status,
                .reason = refusal->reason,
                .message = refusal->message,
                .retry_after = refusal->retry_after,
        };
        return send_last(lane, LANE_FRAME_FAILURE);
}

void exchange_tell_revoked(Lane *lane)
{
        const EgressFailure failure = {
                .status = revoked.status,
                .reason = revoked.reason,
                .message = revoked.message,
        };

        /* A session that does not read sees the lane close, which says less and does the same. */
        if (lane->busy && lane->fd >= 0 && lane->download <= DOWNLOAD_HEAD && lane->pending.size == 0 &&
            lane_send(lane->fd, LANE_FRAME_FAILURE, &failure) != 0)
                return;
}

int exchange_timed_out(Lane *lane)
{
        if (!lane->busy || lane->upload == UPLOAD_DISCARD || lane->download == DOWNLOAD_DONE) {
                lane_close(lane);
                return 0;
        }
        if (lane->upload == UPLOAD_HELD && lane->download == DOWNLOAD_HEAD)
                return upload_continue(lane);
        if (lane->upload != UPLOAD_NONE && lane->download <= DOWNLOAD_HEAD)
                return exchange_fail(lane, &stalled);
        return exchange_fail(lane, lane->download == DOWNLOAD_HEAD ? &no_head : &idle);
}
