#include "egress/lane_server.h"
#include "base/fd.h"
#include <sys/epoll.h>

/* Frames taken from one lane before others get their turn. */
#define FRAMES_MAX 16
/* What waits because the session does not read: one step's output, at its largest. */
#define PENDING_MAX (4U * 1024U * 1024U)
/* A head with its credential, and a body that had to be had whole. */
#define OUT_MAX (2U * 1024U * 1024U)
#define IN_MAX  (256U * 1024U)
/* A decoded request: at most a frame, and its tables. */
#define POOL_MAX (256U * 1024U)

static int on_lane(void *userdata, uint32_t events);
static int on_timer(void *userdata);

bool lane_is_open(const Lane *lane)
{
        return lane->fd >= 0;
}

int lane_open(Tenant *tenant, int fd)
{
        Lane *lane = tenant->n_lanes < LANES_MAX ? calloc(1, sizeof(*lane)) : NULL;
        int r;

        if (!lane) {
                fd_close(fd);
                return tenant->n_lanes < LANES_MAX ? -ENOMEM : -EMFILE;
        }
        lane->tenant = tenant;
        lane->process = tenant->process;
        lane->fd = fd;
        lane->pool = POOL_NULL(POOL_MAX);
        lane->whole = BUF_NULL(INJECT_SIGNED_BODY_MAX);
        lane->out = BUF_NULL(OUT_MAX);
        lane->in = BUF_NULL(IN_MAX);
        lane->held = BUF_NULL(LANE_FRAME_MAX);
        lane->pending = BUF_NULL(PENDING_MAX);
        list_init(&lane->runnable);
        list_append(&tenant->lanes, &lane->link);
        tenant->n_lanes++;
        lane->events = EPOLLIN;
        r = fd_set_nonblock(fd);
        if (r == 0)
                r = timer_new(&lane->timer, tenant->process->role.loop, on_timer, lane);
        if (r == 0)
                r = source_new(&lane->source, tenant->process->role.loop, fd, EPOLLIN, on_lane, lane);
        if (r < 0)
                lane_close(lane);
        return r;
}

void lane_sever_upstream(Lane *lane)
{
        if (lane->connection)
                connection_sever(lane->connection);
}

void lane_sever(Lane *lane)
{
        lane_sever_upstream(lane);
        buf_deinit(&lane->out);
        buf_deinit(&lane->whole);
        lane->has_form = false;
        lane->source = source_free(lane->source);
        lane->fd = fd_close(lane->fd);
}

/* The memory stays until the next round: whoever is on the stack may still look at it. */
void lane_close(Lane *lane)
{
        if (!lane->tenant)
                return;
        lane_sever(lane);
        exchange_clear(lane);
        lane->timer = timer_free(lane->timer);
        list_remove(&lane->runnable);
        list_remove(&lane->link);
        lane->tenant->n_lanes--;
        lane->tenant = NULL;
        egress_bury(lane->process, &lane->link);
}

void lane_set_deadline(Lane *lane, uint64_t usec)
{
        lane->deadline = usec > 0 ? clock_boot(loop_clock(lane->process->role.loop)) + usec : 0;
        if (lane->deadline == 0 || (lane->timer_armed && lane->timer_at <= lane->deadline))
                return;
        timer_arm(lane->timer, lane->deadline);
        lane->timer_armed = true;
        lane->timer_at = lane->deadline;
}

/* The deadline moves with each byte, and the timer only when it fires. */
static int on_timer(void *userdata)
{
        Lane *lane = userdata;
        int r = 0;

        lane->timer_armed = false;
        if (lane->deadline == 0)
                return 0;
        if (lane->deadline > clock_boot(loop_clock(lane->process->role.loop))) {
                timer_arm(lane->timer, lane->deadline);
                lane->timer_armed = true;
                lane->timer_at = lane->deadline;
                return 0;
        }
        lane->deadline = 0;
        r = exchange_timed_out(lane);
        return r < 0 ? r : lane_update(lane);
}

void lane_run_later(Lane *lane)
{
        EgressProcess *process = lane->process;

        if (list_empty(&lane->runnable))
                list_append(&process->runnable, &lane->runnable);
        timer_arm_after(process->turn, 0);
}

/* ---- sending ---- */

/* What could not be sent because of the session itself is the end of its lane. */
static int settle_send(Lane *lane, int r)
{
        if (r == 0 || r == LANE_E_AGAIN)
                return r;
        lane_close(lane);
        return LANE_E_CLOSED;
}

/* Nothing of this exchange waits in the lane yet: who has no room for its head did not read what came before. */
static int settle_head(Lane *lane, int r)
{
        buf_clear(&lane->held);
        if (r == LANE_E_AGAIN) {
                lane_close(lane);
                return LANE_E_CLOSED;
        }
        return settle_send(lane, r);
}

int lane_put_head(Lane *lane)
{
        Slice head = buf_slice(&lane->held);

        if (head.size == 0)
                return 0;
        return settle_head(lane, lane_send_response(lane->fd, LANE_FRAME_RESPONSE, head, SLICE_NULL));
}

int lane_put_last(Lane *lane, Slice bytes)
{
        Slice head = buf_slice(&lane->held);
        int r;

        if (head.size == 0 || lane->pending.size > 0)
                return lane_put(lane, bytes);
        r = lane_send_response(lane->fd, LANE_FRAME_WHOLE, head, bytes);
        if (r == LANE_E_TOO_LARGE)
                return lane_put(lane, bytes);
        lane->end_sent = r == 0;
        return settle_head(lane, r);
}

int lane_put(Lane *lane, Slice bytes)
{
        int r = lane_put_head(lane);

        while (r == 0 && bytes.size > 0 && lane->pending.size == 0) {
                size_t size = MIN(bytes.size, (size_t)LANE_DATA_MAX);

                r = settle_send(lane, lane_send_data(lane->fd, slice(bytes.data, size)));
                if (r == 0)
                        bytes = slice(bytes.data + size, bytes.size - size);
        }
        if (r == LANE_E_CLOSED || bytes.size == 0)
                return r == LANE_E_AGAIN ? 0 : r;
        return buf_append(&lane->pending, bytes.data, bytes.size);
}

static int flush_last(Lane *lane)
{
        int r = 0;

        if (lane->end_pending)
                r = settle_send(lane, lane_send(lane->fd, LANE_FRAME_END, NULL));
        else if (lane->failure_pending)
                r = settle_send(lane, lane_send(lane->fd, LANE_FRAME_FAILURE, &lane->failure));
        if (r == 0)
                lane->end_pending = lane->failure_pending = false;
        return r;
}

int lane_flush(Lane *lane)
{
        size_t sent = 0;
        int r = 0;

        while (r == 0 && sent < lane->pending.size) {
                size_t size = MIN(lane->pending.size - sent, (size_t)LANE_DATA_MAX);

                r = settle_send(lane, lane_send_data(lane->fd, slice(lane->pending.data + sent, size)));
                if (r == 0)
                        sent += size;
        }
        if (r == LANE_E_CLOSED)
                return r;
        if (r == 0)
                buf_deinit(&lane->pending);
        else
                buf_consume(&lane->pending, sent);
        return r ? r : flush_last(lane);
}

static bool is_pending(const Lane *lane)
{
        return lane->pending.size > 0 || lane->end_pending || lane->failure_pending;
}

/* ---- receiving ---- */

static bool wants_frames(const Lane *lane)
{
        return lane->upload != UPLOAD_BODY || (lane->connected && !upload_is_blocked(lane));
}

static int set_events(Lane *lane)
{
        uint32_t events = 0;

        if (wants_frames(lane))
                events |= EPOLLIN;
        if (is_pending(lane))
                events |= EPOLLOUT;
        if (events == lane->events)
                return 0;
        lane->events = events;
        return source_set_events(lane->source, events);
}

int lane_update(Lane *lane)
{
        uint32_t events = 0;
        int r;

        if (!lane_is_open(lane))
                return 0;
        r = set_events(lane);
        if (r < 0 || !lane->connection || !lane->connected)
                return r;
        if (lane->pending.size == 0)
                events |= EPOLLIN;
        if (upload_is_blocked(lane))
                events |= EPOLLOUT;
        return connection_watch(lane->connection, events);
}

static int take_whole(Lane *lane, Slice data)
{
        int r = 0;

        if (lane->whole.size + data.size <= inject_body_max(lane->grant->policy))
                r = buf_append(&lane->whole, data.data, data.size);
        else
                r = INJECT_E_BODY;
        return r == INJECT_E_BODY || r == -ENOBUFS ? exchange_refuse_injection(lane, INJECT_E_BODY) : r;
}

static int take_data(Lane *lane, Slice data)
{
        int r;

        if (lane->upload == UPLOAD_DISCARD)
                return 0;
        r = exchange_count_body(lane, data.size);
        if (r || lane->upload == UPLOAD_DISCARD || !lane_is_open(lane))
                return r;
        return lane->upload == UPLOAD_WHOLE ? take_whole(lane, data) : upload_data(lane, data);
}

static int take_end(Lane *lane)
{
        Upload upload = lane->upload;

        if (lane->request.body == BODY_LENGTH && upload != UPLOAD_DISCARD && lane->body_left > 0) {
                lane_close(lane); /* it had promised more */
                return 0;
        }
        lane->upload = UPLOAD_NONE;
        if (upload == UPLOAD_DISCARD)
                return exchange_settle(lane);
        return upload == UPLOAD_WHOLE ? exchange_go_on(lane) : upload_end(lane);
}

static int take_frame(Lane *lane, const LaneMessage *message)
{
        bool body = lane->busy && lane->upload != UPLOAD_NONE;

        if (lane->upload == UPLOAD_HELD && message->frame != LANE_FRAME_REQUEST)
                lane->upload = UPLOAD_BODY; /* it would not wait */
        if (message->frame == LANE_FRAME_REQUEST && !lane->busy) {
                lane->request = message->request;
                return exchange_begin(lane);
        }
        if (message->frame == LANE_FRAME_DATA && body)
                return take_data(lane, message->data);
        if (message->frame == LANE_FRAME_END && body)
                return take_end(lane);
        lane_close(lane);
        return 0;
}

static int receive_one(Lane *lane, bool *ret_more)
{
        LaneMessage message;
        int r = lane_receive(lane->fd, LANE_EGRESS, lane->process->frame, &lane->pool, &message);

        *ret_more = false;
        if (r == LANE_E_AGAIN)
                return 0;
        if (r) { /* gone, or out of order, or no socket: what waits for it waits for nothing */
                lane_close(lane);
                return 0;
        }
        r = take_frame(lane, &message);
        *ret_more = r == 0 && lane_is_open(lane) && lane->upload != UPLOAD_NONE;
        return r;
}

static int receive(Lane *lane)
{
        bool more = true;
        int r = 0;

        for (unsigned i = 0; r == 0 && more && i < FRAMES_MAX && wants_frames(lane); i++)
                r = receive_one(lane, &more);
        return r;
}

static int resume(Lane *lane)
{
        int r = lane_flush(lane);

        if (r)
                return r < 0 ? r : 0;
        return lane->download == DOWNLOAD_DONE ? exchange_settle(lane) : download_run(lane);
}

static int on_lane(void *userdata, uint32_t events)
{
        Lane *lane = userdata;
        int r = 0;

        if (events & EPOLLOUT)
                r = resume(lane);
        if (r == 0 && lane_is_open(lane) && events & EPOLLIN)
                r = receive(lane);
        else if (r == 0 && lane_is_open(lane) && events & (EPOLLHUP | EPOLLERR))
                lane_close(lane);
        return r < 0 ? r : lane_update(lane);
}
