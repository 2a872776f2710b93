#include "played_egress.h"
#include "base/fd.h"
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define POOL_MAX (1024U * 1024U)
#define KEPT_MAX (128U * 1024U) /* of a request's body, for what is said of it */

typedef struct Exchange {
        bool active, wants_body, answered, waits, upgraded;
        bool echoes;     /* the body is the response's */
        bool tells;      /* the body is said when it is there */
        bool head;
        uint64_t left;   /* of /big */
        bool big;
        uint64_t body_size;
        Buf body;
} Exchange;

typedef struct Lane {
        List link;
        PlayedEgress *egress;
        int fd;
        Source *source;
        Exchange exchange;
        unsigned n; /* exchanges on it so far */
} Lane;

void say_string(const char *text, size_t size)
{
        (void)putchar('"');
        for (size_t i = 0; i < size; i++) {
                unsigned char c = (unsigned char)text[i];

                if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
                        (void)printf("\\u%04x", c);
                else
                        (void)putchar(c);
        }
        (void)putchar('"');
}

static void say_member(const char *name, const char *value)
{
        (void)printf("\"%s\":", name);
        if (value)
                say_string(value, strlen(value));
        else
                (void)printf("null");
        (void)putchar(',');
}

static void say_request(const Lane *lane, const EgressRequest *request)
{
        const HeaderField *headers = request->headers.items;

        (void)printf("request {");
        say_member("profile", lane->egress->profile);
        say_member("method", request->method);
        say_member("host", request->host);
        say_member("path", request->path);
        say_member("query", request->query);
        say_member("body", body_kind_names[request->body]);
        (void)printf("\"port\":%" PRIu64 ",\"length\":%" PRIu64 ",\"expect\":%s,\"upgrade\":%s,\"nth\":%u,\"headers\":[",
                     request->port, request->length, request->expect ? "true" : "false",
                     request->upgrade ? "true" : "false", lane->n);
        for (size_t i = 0; i < request->headers.n; i++) {
                (void)printf("%s[", i ? "," : "");
                say_string(headers[i].name, strlen(headers[i].name));
                (void)putchar(',');
                say_string(headers[i].value, strlen(headers[i].value));
                (void)putchar(']');
        }
        say("]}");
}

static void say_body(const Lane *lane)
{
        (void)printf("body {\"profile\":\"%s\",\"size\":%" PRIu64 ",\"text\":", lane->egress->profile,
                     lane->exchange.body_size);
        say_string((const char *)lane->exchange.body.data, lane->exchange.body.size);
        say("}");
}

/* ---- lanes ---- */

static void lane_free(Lane *lane)
{
        lane->source = source_free(lane->source);
        (void)close(lane->fd);
        list_remove(&lane->link);
        buf_deinit(&lane->exchange.body);
        free(lane);
}

static void over(Lane *lane)
{
        buf_deinit(&lane->exchange.body);
        lane->exchange = (Exchange){ 0 };
}

/* What cannot be sent now is a test that asks too much of this player; but for /big. */
static int settled(int r)
{
        return r > 0 ? 0 : r;
}

static int respond(Lane *lane, uint64_t status, BodyKind body, uint64_t length, bool upgraded)
{
        HeaderField headers[] = { { "content-type", "text/plain" }, { "x-upstream", "yes" },
                                  { "x-mcpcred-reason", "spoofed" } };
        const EgressResponse response = { .status = status, .headers = { headers, upgraded ? 0 : ARRAY_SIZE(headers) },
                                          .body = body, .length = length, .upgraded = upgraded };

        lane->exchange.answered = true;
        return settled(lane_send(lane->fd, LANE_FRAME_RESPONSE, &response));
}

static int data(Lane *lane, const char *text, size_t size)
{
        return settled(lane_send_data(lane->fd, slice(text, size)));
}

static int end(Lane *lane)
{
        int r = settled(lane_send(lane->fd, LANE_FRAME_END, NULL));

        if (!lane->exchange.wants_body)
                over(lane);
        return r;
}

static int fail(Lane *lane, const char *reason)
{
        const EgressFailure failure = { .status = 403, .reason = reason, .message = "Played: \"no\".", .retry_after = 7 };

        return settled(lane_send(lane->fd, LANE_FRAME_FAILURE, &failure));
}

static int plain(Lane *lane, uint64_t status, const char *text)
{
        int r = respond(lane, status, BODY_LENGTH, strlen(text), false);

        if (r == 0 && *text)
                r = data(lane, text, strlen(text));
        return r < 0 ? r : end(lane);
}

/* As much of a long body as the session takes. */
static int fill(Lane *lane)
{
        static const char zeros[LANE_DATA_MAX];
        int r = 0;

        while (r == 0 && lane->exchange.left > 0) {
                size_t size = (size_t)MIN(lane->exchange.left, (uint64_t)sizeof(zeros));

                r = lane_send_data(lane->fd, slice(zeros, size));
                if (r == 0)
                        lane->exchange.left -= size;
        }
        if (r == LANE_E_AGAIN)
                return source_set_events(lane->source, EPOLLIN | EPOLLOUT);
        r = source_set_events(lane->source, EPOLLIN);
        lane->exchange.big = false;
        return r < 0 ? r : end(lane);
}

static int answer(Lane *lane, const EgressRequest *request)
{
        Exchange *exchange = &lane->exchange;
        const char *path = request->path;
        int r;

        if (strcmp(path, "/hold") == 0 || strcmp(path, "/upload") == 0)
                exchange->waits = true;
        else if (strcmp(path, "/fail") == 0)
                return fail(lane, "rule");
        else if (strcmp(path, "/early") == 0)
                return plain(lane, 413, "too much");
        else if (strcmp(path, "/nothing") == 0)
                return (r = respond(lane, 204, BODY_NONE, 0, false)) < 0 ? r : end(lane);
        else if (strcmp(path, "/unchanged") == 0)
                return (r = respond(lane, 304, BODY_NONE, 0, false)) < 0 ? r : end(lane);
        else if (strcmp(path, "/truncate") == 0)
                r = respond(lane, 200, BODY_LENGTH, 100, false);
        else if (strcmp(path, "/sse") == 0) {
                exchange->waits = true;
                return respond(lane, 200, BODY_STREAM, 0, false);
        } else if (strncmp(path, "/big/", 5) == 0) {
                exchange->big = true;
                exchange->left = strtoull(path + 5, NULL, 10);
                r = respond(lane, 200, BODY_LENGTH, exchange->left, false);
                return r < 0 ? r : fill(lane);
        } else if (strcmp(path, "/ws") == 0) {
                exchange->upgraded = request->upgrade;
                return request->upgrade ? respond(lane, 101, BODY_NONE, 0, true) : plain(lane, 200, "plain");
        } else if (strcmp(path, "/echo") == 0) {
                exchange->echoes = true;
                r = respond(lane, 200, BODY_STREAM, 0, false);
                return r < 0 || exchange->wants_body ? r : end(lane);
        } else if (exchange->head) {
                r = respond(lane, 200, BODY_NONE, 0, false);
                return r < 0 ? r : end(lane);
        } else if (!exchange->wants_body) {
                return plain(lane, 200, "hello");
        }
        if (strcmp(path, "/truncate") == 0) {
                r = data(lane, "0123456789", 10);
                lane->source = source_free(lane->source);
                (void)shutdown(lane->fd, SHUT_RDWR);
        }
        return 0;
}

static int on_request(Lane *lane, const EgressRequest *request)
{
        Exchange *exchange = &lane->exchange;

        if (exchange->active)
                say("violation: a request within an exchange");
        say_request(lane, request);
        lane->n++;
        *exchange = (Exchange){ .active = true, .wants_body = request->body != BODY_NONE, .body = BUF_NULL(KEPT_MAX) };
        exchange->tells = exchange->wants_body;
        exchange->head = strcmp(request->method, "HEAD") == 0;
        if (request->expect && strcmp(request->path, "/early") != 0 && lane_send(lane->fd, LANE_FRAME_CONTINUE, NULL) < 0)
                return -EIO;
        return answer(lane, request);
}

static int on_data(Lane *lane, Slice bytes)
{
        Exchange *exchange = &lane->exchange;

        if (exchange->upgraded || exchange->echoes)
                return settled(lane_send_data(lane->fd, bytes));
        exchange->body_size += bytes.size;
        if (bytes.size <= KEPT_MAX - exchange->body.size && exchange->body.size < 8192)
                return buf_append(&exchange->body, bytes.data, bytes.size);
        return 0;
}

static int on_end(Lane *lane)
{
        Exchange *exchange = &lane->exchange;

        if (exchange->upgraded) {
                say("tunnel ended");
                over(lane);
                return 0;
        }
        if (!exchange->active || !exchange->wants_body)
                say("violation: an end that may not come");
        exchange->wants_body = false;
        if (exchange->tells)
                say_body(lane);
        if (exchange->echoes)
                return end(lane);
        if (exchange->answered) {
                over(lane);
                return 0;
        }
        return exchange->waits && !exchange->tells ? 0 : plain(lane, 200, "taken");
}

static int take(Lane *lane, const LaneMessage *message)
{
        switch (message->frame) {
        case LANE_FRAME_REQUEST:
                return on_request(lane, &message->request);
        case LANE_FRAME_DATA:
                return on_data(lane, message->data);
        default:
                return on_end(lane);
        }
}

static int on_lane(void *userdata, uint32_t events)
{
        static uint8_t frame[LANE_FRAME_MAX];
        Lane *lane = userdata;
        Pool pool = POOL_NULL(POOL_MAX);
        LaneMessage message;
        int r;

        if (events & EPOLLOUT && lane->exchange.big)
                return fill(lane);
        r = lane_receive(lane->fd, LANE_EGRESS, frame, &pool, &message);
        if (r == 0)
                r = take(lane, &message);
        else if (r == LANE_E_AGAIN)
                r = 0;
        else {
                say("lane closed %s%s", lane->egress->profile,
                    r == LANE_E_MALFORMED         ? " malformed"
                    : lane->exchange.wants_body ? " within a body"
                    : lane->exchange.active     ? " within an exchange"
                                                : "");
                lane_free(lane);
                r = 0;
        }
        pool_deinit(&pool);
        return r;
}

/* ---- the edge ---- */

static int on_open(void *userdata, UNUSED Channel *channel, Request *request)
{
        static const Empty nothing = { 0 };
        PlayedEgress *egress = userdata;
        Lane *lane = calloc(1, sizeof(*lane));
        int r;

        if (!lane || request->n_fds != 1)
                return -EINVAL;
        list_init(&lane->link);
        list_append(&egress->lanes, &lane->link);
        lane->egress = egress;
        lane->fd = take_fd(&request->fds[0]);
        egress->n_opened++;
        r = source_new(&lane->source, egress->loop, lane->fd, EPOLLIN, on_lane, lane);
        return r < 0 ? r : request_reply(request, &nothing, NULL, 0);
}

static int on_closed(void *userdata, Channel *channel, const char *reason)
{
        PlayedEgress *egress = userdata;

        say("egress edge %s %s", egress->profile, reason);
        egress->channel = channel_free(channel);
        return 0;
}

int played_egress_new(PlayedEgress **ret, Loop *loop, const char *profile, int fd)
{
        PlayedEgress *egress = calloc(1, sizeof(*egress));
        ChannelConfig config = {
                .loop = loop,
                .fd = fd,
                .in = &interface_lane,
                .handler = on_open,
                .closed = on_closed,
                .userdata = egress,
        };

        if (!egress)
                return -ENOMEM;
        egress->loop = loop;
        (void)snprintf(egress->profile, sizeof(egress->profile), "%s", profile);
        list_init(&egress->link);
        list_init(&egress->lanes);
        *ret = egress;
        return channel_new(&egress->channel, &config);
}

PlayedEgress *played_egress_free(PlayedEgress *egress)
{
        if (!egress)
                return NULL;
        while (!list_empty(&egress->lanes))
                lane_free(container_of(egress->lanes.next, Lane, link));
        channel_free(egress->channel);
        list_remove(&egress->link);
        free(egress);
        return NULL;
}

int played_egress_data(PlayedEgress *egress, const char *text)
{
        int r = 0;

        LIST_FOREACH(node, &egress->lanes) {
                Lane *lane = container_of(node, Lane, link);

                if (r == 0 && lane->exchange.waits && lane->exchange.answered)
                        r = data(lane, text, strlen(text));
        }
        return r;
}

int played_egress_end(PlayedEgress *egress)
{
        int r = 0;

        LIST_FOREACH(node, &egress->lanes) {
                Lane *lane = container_of(node, Lane, link);

                if (r == 0 && lane->exchange.waits)
                        r = lane->exchange.answered ? end(lane) : plain(lane, 200, "held");
        }
        return r;
}

int played_egress_fail(PlayedEgress *egress, const char *reason)
{
        int r = 0;

        LIST_FOREACH(node, &egress->lanes) {
                Lane *lane = container_of(node, Lane, link);

                if (r == 0 && lane->exchange.waits)
                        r = fail(lane, reason);
        }
        return r;
}
