#include "session/exchange.h"
#include "ipc/lane.h"
#include "session/client.h"
#include <sys/epoll.h>

/* Of one response's head, decoded: its frame, and what points into it. */
#define MESSAGE_POOL_MAX (4U * LANE_FRAME_MAX)
/* More that waits for the client stops the reading of the lane, and so the upstream. */
#define OUT_SOFT (16U * 1024U)
/* A piece of a body is read up to this before it is sent on. */
#define PIECE_MIN (32U * 1024U)
/* Pieces or frames that are moved before others get their turn. */
#define ROUND_MAX 16U

static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";

void exchange_end(Client *client, bool clean)
{
        Exchange *exchange = take_ptr(client->exchange);

        if (!exchange)
                return;
        if (exchange->way)
                way_give_back(exchange->way, clean);
        else if (exchange->grant)
                way_leave(client->session, exchange->grant, &client->waiter);
        pool_deinit(&exchange->pool);
        buf_deinit(&exchange->form_body);
        grants_unref(exchange->grants);
        free(exchange);
}

/* Where the request has been read whole and nothing is behind it, the next one is sure to be one. */
static bool may_go_on(const Client *client, const Exchange *exchange)
{
        return exchange->keeps && exchange->upload_done && !exchange->pipelined && client->in.size == 0;
}

static Step refuse(Client *client, const Refusal *refusal, bool clean)
{
        Exchange *exchange = client->exchange;
        bool keeps = may_go_on(client, exchange), head_request = exchange->frame.head_request;
        Step step;

        /* Of a response that is still here nobody has seen anything. */
        if (exchange->responded && !exchange->begun && !client->stream.full) {
                buf_clear(&client->stream.out);
                exchange->responded = false;
        }
        if (exchange->responded) {
                client_die(client); /* cut, so that nobody takes it for whole */
                return STEP_ON;
        }
        step = client_refuse(client, refusal, &exchange->request, keeps, head_request);
        exchange_end(client, clean);
        return step;
}

Step exchange_refuse(Client *client, int code)
{
        const Refusal refusal = refusal_of(code);

        return refuse(client, &refusal, false);
}

/* Which handle it was is told to the vault beside the refusal: whose it is, and what comes of it, is known there. */
static Step refuse_handle(Client *client, int code, Slice token, const char *place)
{
        Exchange *exchange = client->exchange;
        int r = 0;

        if (token.size > 0)
                r = report_misuse(client->session, token, code != REFUSAL_FOREIGN_HANDLE, exchange->route.authority.host, place);
        return r < 0 ? client_fail(client, r) : exchange_refuse(client, code);
}

/* ---- beginning ---- */

static int prepare(const Client *client, Exchange *exchange, const HttpHead *head, RequestChoice *choice)
{
        bool owes = false;
        int r = 0;

        if (client->way == SERVICE_LOOPBACK && !client->tunnelled)
                r = request_admit_loopback(head, exchange->grants, &exchange->pool, &choice->misused, &owes);
        if (r == 0)
                r = request_route(head, client->tunnelled ? &client->tunnel : NULL, exchange->grants, &exchange->route);
        if (r == 0)
                r = request_build(head, &exchange->route, &exchange->pool, &exchange->request);
        if (r == 0)
                r = request_choose(exchange->grants, &exchange->route, &exchange->pool, &exchange->request, choice);
        if (r == 0 && owes && !choice->credential)
                r = REFUSAL_PROXY_AUTH;
        return r;
}

static int exchange_new(Exchange **ret, const Client *client, const HttpHead *head)
{
        Exchange *exchange = calloc(1, sizeof(*exchange));

        if (!exchange)
                return -ENOMEM;
        exchange->grants = grants_ref(client->session->grants);
        exchange->pool = POOL_NULL(REQUEST_POOL_MAX);
        exchange->form_body = BUF_NULL(SLOT_FORM_MAX + 1);
        exchange->keeps = head->keep_alive && head->minor == 1;
        exchange->upload_done = head->body == HTTP_BODY_NONE;
        exchange->frame.head_request = slice_is_text(head->method, "HEAD");
        exchange->frame.old = head->minor == 0;
        http_decoder_init(&exchange->decoder, head->body, head->length);
        *ret = exchange;
        return 0;
}

Step exchange_begin(Client *client, const HttpHead *head, size_t size)
{
        RequestChoice choice = { 0 };
        Exchange *exchange;
        int r = exchange_new(&exchange, client, head);

        if (r < 0)
                return client_fail(client, r);
        client->exchange = exchange;
        r = prepare(client, exchange, head, &choice);
        buf_consume(&client->in, size); /* `head` is not valid any more */
        if (r < 0)
                return client_fail(client, r);
        exchange->pipelined = exchange->upload_done && client->in.size > 0;
        if (r > 0)
                return refuse_handle(client, r, choice.misused, "header");
        exchange->grant = choice.grant;
        exchange->form = choice.form;
        client->state = exchange->form ? CLIENT_FORM : CLIENT_QUEUE;
        if (exchange->form && exchange->request.expect)
                r = buf_append_text(&client->stream.out, interim);
        if (exchange->form)
                exchange->request.expect = false;
        return r < 0 ? client_fail(client, r) : STEP_ON;
}

/* ---- a form ---- */

static Step form_complete(Client *client, Exchange *exchange)
{
        RequestChoice choice = { .grant = exchange->grant };
        Buf marked = BUF_NULL(SLOT_FORM_MAX + 1);
        Slice token;
        int r = request_choose_form(exchange->grants, &exchange->route, buf_slice(&exchange->form_body), &choice, &token);

        exchange->upload_done = true; /* as far as the client is concerned */
        exchange->pipelined = client->in.size > 0;
        if (r > 0)
                return refuse_handle(client, r, choice.misused, "body");
        if (r == 0 && token.size > 0) {
                r = slot_mark_form(buf_slice(&exchange->form_body), token, &marked);
                buf_deinit(&exchange->form_body);
                exchange->form_body = marked;
        }
        if (r < 0)
                return client_fail(client, r);
        exchange->upload_done = false;
        exchange->grant = choice.grant;
        exchange->request.body = BODY_LENGTH;
        exchange->request.length = exchange->form_body.size;
        exchange->pending = buf_slice(&exchange->form_body);
        client->state = CLIENT_QUEUE;
        return STEP_ON;
}

Step exchange_form(Client *client)
{
        Exchange *exchange = client->exchange;

        for (unsigned i = 0; i < ROUND_MAX; i++) {
                size_t used = 0;
                Slice data;
                int r;

                if (exchange->decoder.done)
                        return form_complete(client, exchange);
                r = http_decoder_feed(&exchange->decoder, buf_slice(&client->in), &used, &data);
                if (r)
                        return exchange_refuse(client, HTTP_E_FRAMING);
                if (data.size > SLOT_FORM_MAX - exchange->form_body.size)
                        return exchange_refuse(client, REFUSAL_FORM_TOO_LARGE);
                if (buf_append(&exchange->form_body, data.data, data.size) < 0)
                        return client_fail(client, -ENOMEM);
                buf_consume(&client->in, used);
                if (used == 0 && client_read(client, TLS_RECORD_MAX) != 0)
                        return STEP_WAIT;
        }
        return STEP_ON;
}

/* ---- a lane ---- */

static void on_way_ready(void *userdata)
{
        client_run(userdata);
}

static int send_request(Exchange *exchange)
{
        int r = lane_send(exchange->way->fd, LANE_FRAME_REQUEST, &exchange->request);

        if (r == LANE_E_CLOSED || r == LANE_E_AGAIN) { /* an idle one that has gone meanwhile */
                exchange->way = way_give_back(exchange->way, false);
                return LANE_E_AGAIN;
        }
        return r;
}

Step exchange_queue(Client *client)
{
        Exchange *exchange = client->exchange;
        int r = way_take(&exchange->way, client->session, exchange->grant, on_way_ready, client);

        exchange->away = r == EGRESS_E_AWAY;
        if (r == EGRESS_E_AWAY || r == EGRESS_E_FULL) {
                r = way_await(client->session, exchange->grant, &client->waiter);
                return r < 0 ? client_fail(client, r) : STEP_WAIT;
        }
        if (r < 0)
                return client_fail(client, r);
        r = send_request(exchange);
        if (r == LANE_E_AGAIN)
                return STEP_ON;
        if (r == LANE_E_TOO_LARGE || r == -EINVAL)
                return exchange_refuse(client, HTTP_E_TOO_LARGE);
        if (r < 0)
                return client_fail(client, r);
        exchange->sent = true;
        client->state = CLIENT_EXCHANGE;
        return exchange->upload_done ? STEP_WAIT : STEP_ON; /* egress cannot have answered yet */
}

/* ---- towards the client ---- */

/* Egress is gone, or broke the protocol of lanes. */
static Step lose(Client *client)
{
        return exchange_refuse(client, REFUSAL_EGRESS_GONE);
}

/* An answer that comes before the request is whole may be the echo of what came so far, or a refusal. */
static bool says_close(const Client *client, const Exchange *exchange, const EgressResponse *response)
{
        if (exchange->upload_done)
                return !may_go_on(client, exchange);
        return !exchange->keeps || response->status >= 300;
}

static int take_response(Client *client, Exchange *exchange, const EgressResponse *response)
{
        int r;

        if (exchange->responded || (response->upgraded && !exchange->request.upgrade))
                return -EPROTO;
        exchange->frame.closes = says_close(client, exchange, response);
        r = response_write_head(response, &exchange->frame, &client->stream.out);
        exchange->responded = true;
        exchange->upgraded = response->upgraded;
        return r;
}

static int take_data(Client *client, Exchange *exchange, Slice data)
{
        if (!exchange->responded)
                return -EPROTO;
        if (exchange->upgraded)
                return buf_append(&client->stream.out, data.data, data.size);
        return response_write_data(&exchange->frame, data, &client->stream.out);
}

static int take_end(Client *client, Exchange *exchange)
{
        if (!exchange->responded)
                return -EPROTO;
        exchange->download_done = true;
        return exchange->upgraded ? 0 : response_write_end(&exchange->frame, &client->stream.out);
}

static int take_whole(Client *client, Exchange *exchange, const LaneMessage *message)
{
        int r = message->response.upgraded ? -EPROTO : take_response(client, exchange, &message->response);

        if (r == 0 && message->data.size > 0)
                r = take_data(client, exchange, message->data);
        return r == 0 ? take_end(client, exchange) : r;
}

static Step take_failure(Client *client, Exchange *exchange, const EgressFailure *failure)
{
        const Refusal refusal = {
                .status = failure->status >= 400 && failure->status <= 599 ? (unsigned)failure->status : 502,
                .reason = failure->reason,
                .message = failure->message,
                .retry_after = failure->retry_after,
        };

        return refuse(client, &refusal, exchange->upload_done);
}

/* One frame of egress's. The exchange may be over afterwards. */
static Step take_message(Client *client, Exchange *exchange, const LaneMessage *message)
{
        int r = -EPROTO;

        switch (message->frame) {
        case LANE_FRAME_CONTINUE:
                r = exchange->request.expect && !exchange->responded ? buf_append_text(&client->stream.out, interim) : r;
                break;
        case LANE_FRAME_RESPONSE:
                r = take_response(client, exchange, &message->response);
                break;
        case LANE_FRAME_DATA:
                r = take_data(client, exchange, message->data);
                break;
        case LANE_FRAME_END:
                r = take_end(client, exchange);
                break;
        case LANE_FRAME_WHOLE:
                r = take_whole(client, exchange, message);
                break;
        case LANE_FRAME_FAILURE:
                return take_failure(client, exchange, &message->failure);
        case LANE_FRAME_REQUEST:
                break;
        }
        return r < 0 ? lose(client) : STEP_ON;
}

/* Moves what the lane has to the client's output, until that is enough. */
static Step download(Client *client, Exchange *exchange, bool *moved)
{
        uint8_t *frame = session_frame(client->session);

        if (!frame)
                return client_fail(client, -ENOMEM);
        for (unsigned i = 0; i < ROUND_MAX && !exchange->download_done; i++) {
                Pool pool = POOL_NULL(MESSAGE_POOL_MAX);
                LaneMessage message;
                int r;

                /* What a lane that is closed still holds is little, and nothing else would end its event. */
                if (stream_waiting(&client->stream) >= OUT_SOFT && !exchange->way->closed)
                        break;
                r = lane_receive(exchange->way->fd, LANE_SESSION, frame, &pool, &message);
                if (r == 0) {
                        *moved = true;
                        (void)take_message(client, exchange, &message);
                }
                pool_deinit(&pool);
                if (r == LANE_E_AGAIN)
                        break;
                if (r != 0)
                        return lose(client);
                if (client->exchange != exchange || client->state != CLIENT_EXCHANGE)
                        return STEP_ON;
        }
        return STEP_WAIT;
}

/* ---- towards the upstream ---- */

static Step send_end(Client *client, Exchange *exchange)
{
        int r = lane_send(exchange->way->fd, LANE_FRAME_END, NULL);

        exchange->way_full = r == LANE_E_AGAIN;
        if (r == LANE_E_AGAIN)
                return STEP_WAIT;
        if (r)
                return STEP_WAIT; /* what egress said before it closed is read first */
        exchange->upload_done = true;
        exchange->pipelined = client->in.size > 0;
        return STEP_ON;
}

static int send_pending(Client *client, Exchange *exchange)
{
        int r = lane_send_data(exchange->way->fd, exchange->pending);

        exchange->way_full = r == LANE_E_AGAIN;
        if (r)
                return r;
        exchange->pending = SLICE_NULL;
        buf_consume(&client->in, exchange->pending_used);
        exchange->pending_used = 0;
        return 0;
}

/* A handle in a body would be published by it. */
static Step check_piece(Client *client, Exchange *exchange, Slice data)
{
        uint8_t token[IDENT_TOKEN_SIZE];
        const Grant *owner;

        if (!slot_scan_feed(&exchange->scan, data, token))
                return STEP_WAIT;
        owner = grants_by_handle(exchange->grants, slice(token, sizeof(token)));
        return refuse_handle(client, owner ? REFUSAL_HANDLE_PLACE : REFUSAL_FOREIGN_HANDLE, slice(token, sizeof(token)),
                             "body");
}

/* Reads until there is a piece that is worth a frame; false: nothing has come. */
static bool read_piece(Client *client, bool *moved)
{
        bool any = false;

        while (client->in.size < PIECE_MIN && client_read(client, TLS_RECORD_MAX) == 0)
                any = true;
        *moved = *moved || any;
        return any;
}

/* What bytes of the input are body. STEP_WAIT: none are there yet. */
static Step decode(Client *client, Exchange *exchange, bool *moved)
{
        size_t used = 0;
        Slice data = SLICE_NULL;

        if (exchange->upgraded) {
                if (client->in.size == 0 && !read_piece(client, moved))
                        return STEP_WAIT;
                exchange->pending = buf_slice(&client->in);
                exchange->pending_used = client->in.size;
                return STEP_ON;
        }
        if (http_decoder_feed(&exchange->decoder, buf_slice(&client->in), &used, &data) != 0)
                return exchange_refuse(client, HTTP_E_FRAMING);
        if (used == 0)
                return read_piece(client, moved) ? STEP_ON : STEP_WAIT;
        if (data.size == 0) {
                buf_consume(&client->in, used);
                return STEP_ON;
        }
        if (check_piece(client, exchange, data) == STEP_ON)
                return STEP_ON;
        exchange->pending = data;
        exchange->pending_used = used;
        return STEP_ON;
}

static bool is_under_way(const Client *client, const Exchange *exchange)
{
        return client->exchange == exchange && client->state == CLIENT_EXCHANGE;
}

static Step upload(Client *client, Exchange *exchange, bool *moved)
{
        for (unsigned i = 0; i < ROUND_MAX && is_under_way(client, exchange); i++) {
                if (exchange->upload_done && !exchange->upgraded)
                        return STEP_WAIT;
                if (exchange->pending.size > 0) {
                        if (send_pending(client, exchange) != 0)
                                return STEP_WAIT;
                        *moved = true;
                        continue;
                }
                if (!exchange->upgraded && exchange->decoder.done)
                        return send_end(client, exchange);
                if (decode(client, exchange, moved) == STEP_WAIT)
                        return STEP_WAIT;
        }
        return STEP_ON;
}

/* ---- both ---- */

static Step finish(Client *client, Exchange *exchange)
{
        bool keeps = !exchange->upgraded && !exchange->frame.closes && may_go_on(client, exchange);

        if (exchange->pipelined)
                report_note(client->session,
                            "a client sent a request before the response to the one before: closed behind the first");
        exchange_end(client, exchange->upload_done && !exchange->upgraded);
        client->state = keeps ? CLIENT_HEAD : CLIENT_DRAIN;
        return STEP_ON;
}

Step exchange_run(Client *client)
{
        Exchange *exchange = client->exchange;
        bool moved = false, flushed = false;
        Step step;
        int r;

        if (exchange->way->lost)
                return lose(client);
        step = download(client, exchange, &moved);
        if (!is_under_way(client, exchange))
                return step;
        r = stream_flush(&client->stream, &flushed);
        if (r != 0 && r != STREAM_E_AGAIN) {
                client_die(client);
                return STEP_ON;
        }
        client->moved = client->moved || flushed;
        moved = moved || flushed;
        exchange->begun = exchange->begun || (flushed && exchange->responded);
        if (exchange->download_done)
                return finish(client, exchange);
        step = upload(client, exchange, &moved);
        if (!is_under_way(client, exchange))
                return STEP_ON;
        return step == STEP_ON || moved ? STEP_ON : STEP_WAIT;
}

bool exchange_reads(const Client *client)
{
        const Exchange *exchange = client->exchange;

        if (client->state == CLIENT_FORM)
                return true;
        return client->state == CLIENT_EXCHANGE && exchange->pending.size == 0 &&
               (exchange->upgraded || (!exchange->upload_done && !exchange->decoder.done));
}

int exchange_watch(Client *client)
{
        const Exchange *exchange = client->exchange;
        uint32_t events = 0;

        if (!exchange || !exchange->way)
                return 0;
        if (stream_waiting(&client->stream) < OUT_SOFT)
                events |= EPOLLIN;
        if (exchange->way_full)
                events |= EPOLLOUT;
        return way_watch(exchange->way, events);
}
