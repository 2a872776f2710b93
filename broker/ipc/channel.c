#include "ipc/channel.h"
#include "base/fd.h"
#include "base/list.h"
#include "base/reader.h"
#include "ipc/packet.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

/* What a decoded message may allocate: list pointers make it larger than its frame. */
#define POOL_MAX (8U * CHANNEL_FRAME_MAX)
#define HEADER_SIZE 8U
/* Frames handled before other sources get their turn. */
#define ROUND_MAX 16
/* What a peer that does not take frames any more may still have sent: read for so long. */
#define LINGER_USEC USEC_PER_SEC

enum { KIND_REQUEST, KIND_REPLY, KIND_MORE, KIND_FAULT, KIND_TAKEN, KIND_GONE };

/* The kernel counts those by uid, so any process of it can use them up: a refusal, and not the end. */
static const char too_many_descriptors[] = "Too many descriptors are on their way between processes of this user.";

typedef struct Outgoing {
        List link;
        Buf frame;
        int fds[CHANNEL_FDS_MAX];
        size_t n_fds;
} Outgoing;

struct Channel {
        ChannelConfig config;
        Source *source;
        Timer *farewell; /* closes the channel from the loop, for what a sender found out */
        const char *reason; /* of that */
        bool mute;     /* nothing is sent any more */
        List requests; /* RequestBox: asked by the peer, not answered yet */
        List calls;    /* Call: asked by us */
        List outgoing; /* Outgoing: waiting for the peer to read */
        size_t outgoing_size;
        size_t n_calls;
        size_t n_requests;
        size_t requests_size; /* of their frames */
        uint32_t last_serial;
        bool closed;
        unsigned depth; /* how often this file is on the stack: freed only when it is not */
        bool doomed;    /* channel_free() was called meanwhile */
};

typedef struct RequestBox {
        Request request; /* first, so that the two convert */
        List link;
        Channel *channel; /* NULL once it is closed */
        uint32_t serial;
        size_t size; /* of its frame */
        Pool pool;
        RequestSignalled signalled; /* may be NULL */
        void *userdata;
        bool gone; /* the caller wants no more */
} RequestBox;

struct Call {
        List link;
        Channel *channel;
        unsigned method;
        uint32_t serial;
        Timer *timer;
        CallDone done;
        void *userdata;
};

static RequestBox *box_of(Request *request)
{
        return container_of(request, RequestBox, request);
}

void *channel_userdata(const Channel *channel)
{
        return channel->config.userdata;
}

/* ---- sending ---- */

static void outgoing_free(Outgoing *outgoing)
{
        list_remove(&outgoing->link);
        buf_deinit(&outgoing->frame);
        fd_close_all(outgoing->fds, outgoing->n_fds);
        free(outgoing);
}

static int update_events(Channel *channel)
{
        return source_set_events(channel->source, list_empty(&channel->outgoing) ? EPOLLIN : EPOLLIN | EPOLLOUT);
}

/* What a waiting frame is charged: many small ones take more room beside themselves than in them. */
static size_t cost_of(const Buf *frame)
{
        return sizeof(Outgoing) + frame->size;
}

/* Keeps the frame until the peer reads and leaves an empty one; duplicates of the descriptors wait with it. */
static int enqueue(Channel *channel, Buf *frame, const int *fds, size_t n_fds)
{
        Outgoing *outgoing;

        if (cost_of(frame) > CHANNEL_QUEUE_MAX - channel->outgoing_size)
                return -ENOBUFS;
        outgoing = calloc(1, sizeof(*outgoing));
        if (!outgoing)
                return -ENOMEM;
        list_init(&outgoing->link);
        for (size_t i = 0; i < n_fds; i++) {
                outgoing->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
                if (outgoing->fds[i] < 0) {
                        int r = error_errno();

                        outgoing->n_fds = i;
                        outgoing_free(outgoing);
                        return r;
                }
        }
        outgoing->n_fds = n_fds;
        outgoing->frame = *frame;
        *frame = BUF_NULL(CHANNEL_FRAME_MAX);
        channel->outgoing_size += cost_of(&outgoing->frame);
        list_append(&channel->outgoing, &outgoing->link);
        return update_events(channel);
}

static int send_frame(Channel *channel, unsigned method, unsigned kind, uint32_t serial, const Schema *schema,
                      const void *body, const int *fds, size_t n_fds)
{
        Buf frame = BUF_NULL(CHANNEL_FRAME_MAX);
        int r;

        if (n_fds > CHANNEL_FDS_MAX)
                return -EINVAL;
        if (channel->mute)
                return 0;
        r = buf_append_u16(&frame, (uint16_t)method);
        if (r == 0)
                r = buf_append_u8(&frame, (uint8_t)kind);
        if (r == 0)
                r = buf_append_u8(&frame, 0);
        if (r == 0)
                r = buf_append_u32(&frame, serial);
        if (r == 0)
                r = schema_encode(schema, body, &frame);
        if (r == -ENOBUFS)
                r = -EMSGSIZE; /* not to be mistaken for a peer that does not read */
        if (r == 0)
                r = list_empty(&channel->outgoing)
                            ? packet_send(channel->config.fd, buf_slice(&frame), fds, n_fds, NULL)
                            : -EAGAIN;
        if (r == -EAGAIN)
                r = enqueue(channel, &frame, fds, n_fds);
        buf_deinit(&frame);
        return r;
}

static int flush(Channel *channel)
{
        while (!list_empty(&channel->outgoing)) {
                Outgoing *outgoing = container_of(channel->outgoing.next, Outgoing, link);
                int r = packet_send(channel->config.fd, buf_slice(&outgoing->frame), outgoing->fds,
                                    outgoing->n_fds, NULL);

                if (r == -EAGAIN)
                        return 0;
                if (r < 0)
                        return r;
                channel->outgoing_size -= cost_of(&outgoing->frame);
                outgoing_free(outgoing);
        }
        return update_events(channel);
}

/* ---- closing ---- */

static void call_free(Call *call)
{
        list_remove(&call->link);
        call->channel->n_calls--;
        timer_free(call->timer);
        free(call);
}

/* Hands a reply to its caller; the call is over unless more follows. */
static int deliver(Call *call, const Reply *reply)
{
        CallDone done = call->done;
        void *userdata = call->userdata;

        if (!reply->more)
                call_free(call);
        return done(userdata, reply);
}

static int call_finish(Call *call, Fault fault, const char *message)
{
        const Reply reply = { .fault = fault, .message = message };

        return deliver(call, &reply);
}

/* Ends what channel->depth++ began. The channel may be gone afterwards. */
static void channel_leave(Channel *channel)
{
        if (--channel->depth == 0 && channel->doomed)
                free(channel);
}

static void drop_outgoing(Channel *channel)
{
        while (!list_empty(&channel->outgoing))
                outgoing_free(container_of(channel->outgoing.next, Outgoing, link));
}

static int signal_box(RequestBox *box, RequestSignal signal)
{
        return box->signalled ? box->signalled(box->userdata, signal) : 0;
}

/* Stops all traffic. Each waiting call is answered from here, so callbacks run. */
static int channel_shut(Channel *channel)
{
        int r = 0;

        if (channel->closed)
                return 0;
        channel->closed = true;
        channel->source = source_free(channel->source);
        channel->farewell = timer_free(channel->farewell);
        channel->config.fd = fd_close(channel->config.fd);
        while (!list_empty(&channel->requests)) {
                RequestBox *box = container_of(channel->requests.next, RequestBox, link);
                int q;

                box->channel = NULL;
                list_remove(&box->link);
                q = signal_box(box, REQUEST_GONE);
                r = r < 0 ? r : q;
        }
        drop_outgoing(channel);
        while (!list_empty(&channel->calls)) {
                int q = call_finish(container_of(channel->calls.next, Call, link), FAULT_UNAVAILABLE, NULL);

                r = r < 0 ? r : q;
        }
        return r;
}

static int channel_refuse(Channel *channel, const char *reason)
{
        bool was_closed = channel->closed;
        int r = channel_shut(channel);

        if (r < 0 || was_closed || channel->doomed)
                return r;
        return channel->config.closed ? channel->config.closed(channel->config.userdata, channel, reason) : 0;
}

static int on_farewell(void *userdata)
{
        Channel *channel = userdata;
        int r;

        channel->depth++;
        r = channel_refuse(channel, channel->reason);
        channel_leave(channel);
        return r;
}

/*
 * A frame that could not be sent because of the peer, or for want of room, is the end of the channel;
 * but senders are called from anywhere, so the end comes from the loop. What the peer sent before it
 * went is read until then.
 */
static int after_send(Channel *channel, int r)
{
        bool gone = r == -EPIPE || r == -ECONNRESET;

        if (!gone && r != -ENOBUFS && r != -ETOOMANYREFS && r != -EMFILE && r != -ENFILE)
                return r;
        channel->mute = true;
        channel->reason = gone                 ? "is gone"
                          : r == -ENOBUFS      ? "does not read"
                          : r == -ETOOMANYREFS ? "cannot be sent a descriptor, since this user has too many in flight"
                                               : "cannot be sent a descriptor, since too many are open";
        drop_outgoing(channel);
        timer_arm_after(channel->farewell, gone ? LINGER_USEC : 0);
        return update_events(channel);
}

int channel_close(Channel *channel)
{
        int r;

        channel->depth++;
        r = channel_shut(channel);
        channel_leave(channel);
        return r;
}

Channel *channel_free(Channel *channel)
{
        if (!channel)
                return NULL;
        channel->doomed = true;
        channel->depth++; /* a callback of a failed call may free it once more */
        (void)channel_shut(channel);
        channel_leave(channel);
        return NULL;
}

/* ---- receiving ---- */

static void box_free(RequestBox *box)
{
        list_remove(&box->link);
        if (box->channel) {
                box->channel->n_requests--;
                box->channel->requests_size -= box->size;
        }
        if (box->request.body)
                schema_clear(box->request.method->request, box->request.body);
        pool_deinit(&box->pool);
        fd_close_all(box->request.fds, box->request.n_fds);
        free(box);
}

/* No room for it: the arena is everybody's, so it need not be this peer's fault. */
static int take_too_much(RequestBox *box)
{
        Channel *channel = box->channel;

        if (box->request.method->reply)
                return request_fail(&box->request, FAULT_BUSY, NULL);
        box_free(box);
        return channel_refuse(channel, "sent more than there is room for");
}

static int take_request(Channel *channel, unsigned id, uint32_t serial, Slice bytes, Packet *packet)
{
        const Interface *in = channel->config.in;
        RequestBox *box;
        void *body;
        int r;

        if (!in || id >= in->n_methods || packet->n_fds > in->methods[id].request_fds)
                return channel_refuse(channel, "asked for what this edge does not permit");
        box = calloc(1, sizeof(*box));
        if (!box)
                return -ENOMEM;
        list_init(&box->link);
        box->channel = channel;
        channel->n_requests++;
        channel->requests_size += bytes.size;
        box->size = bytes.size;
        box->serial = serial;
        box->pool = POOL_NULL(POOL_MAX);
        box->request.method = &in->methods[id];
        box->request.id = id;
        if (channel->n_requests > CHANNEL_REQUESTS_MAX || channel->requests_size > CHANNEL_REQUESTS_SIZE_MAX)
                return take_too_much(box);
        r = pool_alloc(&box->pool, in->methods[id].request->size, &body);
        if (r == 0)
                r = schema_decode(in->methods[id].request, bytes, channel->config.arena, &box->pool, body, NULL);
        if (r == SCHEMA_E_NO_SPACE)
                return take_too_much(box);
        if (r) {
                box_free(box);
                return r > 0 ? channel_refuse(channel, "sent a malformed request") : r;
        }
        box->request.body = body;
        for (size_t i = 0; i < packet->n_fds; i++)
                box->request.fds[i] = take_fd(&packet->fds[i]);
        box->request.n_fds = packet->n_fds;
        packet->n_fds = 0;
        list_append(&channel->requests, &box->link);
        return channel->config.handler(channel->config.userdata, channel, &box->request);
}

/* Of a request that was answered in the meantime it is no news. */
static int take_signal(Channel *channel, unsigned id, unsigned kind, uint32_t serial, Slice bytes, const Packet *packet)
{
        const Interface *in = channel->config.in;

        if (!in || id >= in->n_methods || !in->methods[id].streams || bytes.size > 0 || packet->n_fds > 0)
                return channel_refuse(channel, "sent a malformed frame");
        LIST_FOREACH(node, &channel->requests) {
                RequestBox *box = container_of(node, RequestBox, link);

                if (box->serial != serial || box->request.id != id)
                        continue;
                box->gone = box->gone || kind == KIND_GONE;
                return signal_box(box, kind == KIND_TAKEN ? REQUEST_TAKEN : REQUEST_GONE);
        }
        return 0;
}

static Call *find_call(Channel *channel, uint32_t serial)
{
        LIST_FOREACH(node, &channel->calls) {
                Call *call = container_of(node, Call, link);

                if (call->serial == serial)
                        return call;
        }
        return NULL;
}

static int take_reply(Channel *channel, unsigned id, unsigned kind, uint32_t serial, Slice bytes, Packet *packet)
{
        const Interface *out = channel->config.out;
        Call *call = find_call(channel, serial);
        Pool pool = POOL_NULL(POOL_MAX);
        Reply reply = { .fds = packet->fds, .n_fds = packet->n_fds, .more = kind == KIND_MORE };
        const Schema *schema;
        FaultBody *fault;
        void *body;
        int r;

        if (!call)
                return 0; /* cancelled or timed out meanwhile */
        if (!out || id != call->method || packet->n_fds > out->methods[id].reply_fds ||
            (reply.more && !out->methods[id].streams))
                return channel_refuse(channel, "answered what was not asked");
        schema = kind == KIND_FAULT ? &schema_fault : out->methods[id].reply;
        r = pool_alloc(&pool, schema->size, &body);
        if (r == 0)
                r = schema_decode(schema, bytes, channel->config.arena, &pool, body, NULL);
        if (r) {
                pool_deinit(&pool);
                /* No room for the answer, and so for this call it never came. */
                return r == SCHEMA_E_NO_SPACE ? call_finish(call, FAULT_UNAVAILABLE, "There was no room for the answer.")
                       : r > 0                ? channel_refuse(channel, "sent a malformed reply")
                                              : r;
        }
        reply.body = body;
        if (kind == KIND_FAULT) {
                fault = body;
                reply.fault = fault->fault > FAULT_NONE && fault->fault < _FAULT_N ? (Fault)fault->fault : FAULT_INTERNAL;
                reply.message = fault->message;
                reply.remedy = fault->remedy;
                reply.field = fault->field;
                reply.retry_after_usec = fault->retry_after_usec;
                reply.body = NULL;
        }
        r = deliver(call, &reply);
        schema_clear(schema, body);
        pool_deinit(&pool);
        return r;
}

static int take_frame(Channel *channel, Slice bytes, Packet *packet)
{
        Reader reader;
        uint16_t method;
        uint8_t kind, zero;
        uint32_t serial;

        reader_init(&reader, bytes);
        if (packet->truncated || reader_u16(&reader, &method) || reader_u8(&reader, &kind) ||
            reader_u8(&reader, &zero) || reader_u32(&reader, &serial) || zero != 0 || kind > KIND_GONE)
                return channel_refuse(channel, "sent a malformed frame");
        bytes = slice(reader.at, reader.left);
        if (kind == KIND_TAKEN || kind == KIND_GONE)
                return take_signal(channel, method, kind, serial, bytes, packet);
        return kind == KIND_REQUEST ? take_request(channel, method, serial, bytes, packet)
                                    : take_reply(channel, method, kind, serial, bytes, packet);
}

static int receive(Channel *channel)
{
        Buf buf = BUF_NULL(CHANNEL_FRAME_MAX + 1);
        uint8_t *room;
        int r;

        r = buf_reserve(&buf, CHANNEL_FRAME_MAX, &room);
        for (int i = 0; r >= 0 && i < ROUND_MAX && !channel->closed; i++) {
                Packet packet;

                r = packet_receive(channel->config.fd, room, CHANNEL_FRAME_MAX, &packet);
                if (r == -EAGAIN) {
                        r = 0;
                        break;
                }
                if (r <= 0) {
                        r = channel_refuse(channel, "is gone");
                        break;
                }
                r = take_frame(channel, slice(room, packet.size), &packet);
                fd_close_all(packet.fds, packet.n_fds);
                buf_commit(&buf, packet.size);
                buf_clear(&buf);
        }
        buf_deinit(&buf);
        return r < 0 ? r : 0;
}

static int on_ready(void *userdata, uint32_t events)
{
        Channel *channel = userdata;
        int r = 0;

        channel->depth++;
        if (events & EPOLLOUT)
                r = after_send(channel, flush(channel));
        if (r >= 0 && !channel->closed && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                r = receive(channel);
        channel_leave(channel);
        return r;
}

/* ---- the public side ---- */

static bool has_more(const Channel *channel)
{
        struct pollfd readable = { .fd = channel->config.fd, .events = POLLIN };

        return poll(&readable, 1, 0) > 0;
}

/* A dead peer can have left no more than its socket held, and each packet that is read makes that fewer. */
int channel_drain(Channel *channel)
{
        int r = 0;

        channel->depth++;
        while (r == 0 && !channel->closed && has_more(channel))
                r = receive(channel);
        channel_leave(channel);
        return r;
}

int channel_new(Channel **ret, const ChannelConfig *config)
{
        _cleanup_(channel_freep) Channel *channel = calloc(1, sizeof(*channel));
        int r;

        if (!channel) {
                fd_close(config->fd);
                return -ENOMEM;
        }
        channel->config = *config;
        list_init(&channel->requests);
        list_init(&channel->calls);
        list_init(&channel->outgoing);
        r = fd_set_nonblock(config->fd);
        if (r == 0)
                r = timer_new(&channel->farewell, config->loop, on_farewell, channel);
        if (r == 0)
                r = source_new(&channel->source, config->loop, config->fd, EPOLLIN, on_ready, channel);
        if (r < 0)
                return r;
        *ret = take_ptr(channel);
        return 0;
}

static int on_timeout(void *userdata)
{
        return call_finish(userdata, FAULT_TIMEOUT, NULL);
}

int channel_call(Channel *channel, unsigned method, const void *body, const int *fds, size_t n_fds,
                 uint64_t timeout_usec, CallDone done, void *userdata, Call **ret)
{
        Call *call;
        int r;

        if (ret)
                *ret = NULL;
        if (channel->closed || channel->n_calls >= CHANNEL_CALLS_MAX) {
                Reply reply = { .fault = channel->closed ? FAULT_UNAVAILABLE : FAULT_BUSY };

                return done(userdata, &reply);
        }
        if (method >= channel->config.out->n_methods)
                return -EINVAL;
        call = calloc(1, sizeof(*call));
        if (!call)
                return -ENOMEM;
        list_init(&call->link);
        call->method = method;
        call->serial = ++channel->last_serial;
        call->done = done;
        call->userdata = userdata;
        r = timer_new(&call->timer, channel->config.loop, on_timeout, call);
        if (r < 0) {
                free(call);
                return r;
        }
        call->channel = channel;
        channel->n_calls++;
        list_append(&channel->calls, &call->link);
        if (timeout_usec != UINT64_MAX)
                timer_arm_after(call->timer, timeout_usec);
        r = send_frame(channel, method, KIND_REQUEST, call->serial, channel->config.out->methods[method].request, body,
                       fds, n_fds);
        if (r == -EMSGSIZE)
                return call_finish(call, FAULT_INTERNAL, "The request is too large.");
        if (r == -ETOOMANYREFS)
                return call_finish(call, FAULT_BUSY, too_many_descriptors);
        r = after_send(channel, r);
        if (r < 0)
                call_free(call);
        else if (ret)
                *ret = call;
        return r;
}

void call_cancel(Call *call)
{
        call_free(call);
}

static int tell(Call *call, unsigned kind)
{
        static const Empty nothing = { 0 };
        Channel *channel = call->channel;

        if (!channel->config.out->methods[call->method].streams)
                return -EINVAL;
        return after_send(channel, send_frame(channel, call->method, kind, call->serial, &schema_empty, &nothing, NULL, 0));
}

int call_taken(Call *call)
{
        return tell(call, KIND_TAKEN);
}

int call_hang_up(Call *call)
{
        int r = tell(call, KIND_GONE);

        call_free(call);
        return r;
}

void request_on_signal(Request *request, RequestSignalled signalled, void *userdata)
{
        RequestBox *box = box_of(request);

        box->signalled = signalled;
        box->userdata = userdata;
}

int channel_notify(Channel *channel, unsigned method, const void *body)
{
        int r;

        if (channel->closed)
                return 0;
        r = send_frame(channel, method, KIND_REQUEST, 0, channel->config.out->methods[method].request, body,
                       NULL, 0);
        return after_send(channel, r);
}

static int answer(RequestBox *box, unsigned kind, const Schema *schema, const void *body, const int *fds,
                  size_t n_fds)
{
        FaultBody fault = { .fault = FAULT_INTERNAL, .message = "The answer is too large." };
        FaultBody busy = { .fault = FAULT_BUSY, .message = too_many_descriptors };
        Channel *channel = box->channel;
        int r;

        if (!channel || !box->request.method->reply)
                return 0;
        r = send_frame(channel, box->request.id, kind, box->serial, schema, body, fds, n_fds);
        if (r == -EMSGSIZE)
                r = send_frame(channel, box->request.id, KIND_FAULT, box->serial, &schema_fault, &fault, NULL, 0);
        if (r == -ETOOMANYREFS)
                r = send_frame(channel, box->request.id, KIND_FAULT, box->serial, &schema_fault, &busy, NULL, 0);
        return after_send(channel, r);
}

int request_reply_more(Request *request, const void *body)
{
        return answer(box_of(request), KIND_MORE, request->method->reply, body, NULL, 0);
}

int request_reply(Request *request, const void *body, const int *fds, size_t n_fds)
{
        RequestBox *box = box_of(request);
        int r = answer(box, KIND_REPLY, request->method->reply, body, fds, n_fds);

        box_free(box);
        return r;
}

int request_fail_body(Request *request, const FaultBody *fault)
{
        RequestBox *box = box_of(request);
        int r = answer(box, KIND_FAULT, &schema_fault, fault, NULL, 0);

        box_free(box);
        return r;
}

int request_fail(Request *request, Fault fault, const char *message)
{
        const FaultInfo *info = fault_info(fault);
        FaultBody body = {
                .fault = fault,
                .message = message ? message : info->sentence,
                .remedy = info->remedy,
        };

        return request_fail_body(request, &body);
}

void request_done(Request *request)
{
        box_free(box_of(request));
}

bool request_is_live(const Request *request)
{
        const RequestBox *box = container_of((Request *)(uintptr_t)request, RequestBox, request);

        return box->channel != NULL && !box->gone;
}
