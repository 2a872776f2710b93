#include "ipc/varlink_server.h"
#include "base/fd.h"
#include "base/list.h"
#include "ipc/packet.h"
#include "wire/varlink.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* The largest call and its NUL. */
#define IN_MAX (JSON_REQUEST_MAX + 1U)
#define IN_CHUNK 4096U
/* What one call may allocate: list pointers make it larger than its text. */
#define POOL_MAX (8U * JSON_REQUEST_MAX)
/* Connections accepted before other sources get their turn. */
#define ACCEPT_ROUND 16
/* Until accept() is tried again when the process or the system is out of descriptors. */
#define ACCEPT_PAUSE_USEC (100U * USEC_PER_MSEC)
#define NOTES_PER_MINUTE 30U
#define NOTE_MINUTE_USEC (60U * USEC_PER_SEC)
/* Sent bytes at the front of the output are given back when there are this many. */
#define OUT_SLACK (256U * 1024U)

typedef struct Listener {
        List link;
        VarlinkServer *server;
        int fd;
        Source *source;
        Timer *pause;
} Listener;

struct VarlinkServer {
        VarlinkServerConfig config;
        List listeners;
        List connections;
        size_t n_connections;
        size_t out_total; /* bytes that wait in the connections' outputs */
        bool takes_fds;       /* some call may carry descriptors */
        uint64_t notes_until; /* boot clock: when a new minute of log lines begins */
        unsigned n_notes;     /* in this one */
};

typedef struct RequestBox RequestBox;

/* What a connection waits for; decides about events and deadline. */
typedef enum Wait {
        WAIT_NONE,
        WAIT_FIRST,   /* its first call */
        WAIT_IDLE,    /* the next call */
        WAIT_REST,    /* the rest of a message */
        WAIT_HANDLER, /* the answer from inside */
        WAIT_PEER,    /* the peer to read */
} Wait;

typedef struct Connection {
        List link;
        VarlinkServer *server;
        VarlinkPeer peer;
        Source *source;
        Timer *timer;
        Wait wait;
        bool called;  /* a whole message came, or it need never */
        bool running; /* connection_run() is on the stack */
        bool closing; /* end it once the output is written */
        bool trusted;
        bool dead;
        unsigned depth; /* how often this file is on the stack with it: freed only when it is not */
        Buf in;
        int fds[VARLINK_FDS_MAX];
        size_t n_fds;
        size_t fds_at; /* where in `in` their message begins */
        RequestBox *request; /* under way */
        Buf out;
        size_t out_at; /* bytes of `out` that are sent */
        int out_fds[VARLINK_FDS_MAX];
        size_t n_out_fds;
        size_t out_fds_at; /* the byte of `out` that they go with */
        VarlinkSent sent;
        void *sent_userdata;
} Connection;

struct RequestBox {
        VarlinkRequest request; /* first, so that the two convert */
        Connection *connection; /* NULL once it is gone */
        const Interface *interface;
        bool more, oneway;
        bool too_long; /* for one reply */
        VarlinkJoin join;
        Pool pool;
        VarlinkHappened happened; /* may be NULL */
        void *userdata;
};

static int connection_run(Connection *connection);

static RequestBox *box_of(VarlinkRequest *request)
{
        return container_of(request, RequestBox, request);
}

Pool *varlink_request_pool(VarlinkRequest *request)
{
        return &box_of(request)->pool;
}

static void box_free(RequestBox *box)
{
        if (box->connection)
                box->connection->request = NULL;
        if (box->request.body)
                schema_clear(box->request.method->request, box->request.body);
        pool_deinit(&box->pool);
        varlink_join_deinit(&box->join);
        fd_close_all(box->request.fds, box->request.n_fds);
        free(box);
}

/* Peers must not be able to fill the log: a number of lines a minute, then silence. */
static void take_note(VarlinkServer *server, const VarlinkPeer *peer, const char *reason)
{
        uint64_t now = clock_boot(loop_clock(server->config.loop));

        if (!server->config.note)
                return;
        if (now >= server->notes_until) {
                server->notes_until = now + NOTE_MINUTE_USEC;
                server->n_notes = 0;
        }
        if (++server->n_notes < NOTES_PER_MINUTE)
                server->config.note(server->config.userdata, peer, reason);
        else if (server->n_notes == NOTES_PER_MINUTE)
                server->config.note(server->config.userdata, peer, "(further refusals go unlogged for a minute)");
}

void varlink_request_trust(const VarlinkRequest *request)
{
        const RequestBox *box = (const void *)request;

        if (box->connection)
                box->connection->trusted = true;
}

void varlink_request_note(const VarlinkRequest *request, const char *reason)
{
        const RequestBox *box = (const void *)request;

        if (box->connection)
                take_note(box->connection->server, &request->peer, reason);
}

bool varlink_request_wants_more(const VarlinkRequest *request)
{
        return ((const RequestBox *)(const void *)request)->more;
}

void varlink_request_watch(VarlinkRequest *request, VarlinkHappened happened, void *userdata)
{
        RequestBox *box = box_of(request);

        box->happened = happened;
        box->userdata = userdata;
}

static int box_happened(RequestBox *box, VarlinkEvent event)
{
        return box && box->happened ? box->happened(box->userdata, event) : 0;
}

/* ---- ending a connection ---- */

static int report_sent(Connection *connection, bool delivered)
{
        VarlinkSent sent = connection->sent;

        connection->sent = NULL;
        return sent ? sent(connection->sent_userdata, delivered) : 0;
}

/* Ends what connection->depth++ began. */
static void connection_leave(Connection *connection)
{
        if (--connection->depth == 0 && connection->dead)
                free(connection);
}

static void drop_input_fds(Connection *connection)
{
        fd_close_all(connection->fds, connection->n_fds);
        connection->n_fds = 0;
}

static void drop_output(Connection *connection)
{
        connection->server->out_total -= connection->out.size;
        buf_deinit(&connection->out);
        connection->out_at = 0;
        fd_close_all(connection->out_fds, connection->n_out_fds);
        connection->n_out_fds = 0;
}

/*
 * Lets go of the descriptor. With `end` the connection itself is over too, whoever holds a duplicate
 * of it as a lifeline.
 */
static int connection_close(Connection *connection, bool end)
{
        RequestBox *request = connection->request;
        int r, q;

        if (connection->dead)
                return 0;
        connection->depth++;
        connection->dead = true;
        connection->source = source_free(connection->source);
        connection->timer = timer_free(connection->timer);
        if (end)
                (void)shutdown(connection->peer.fd, SHUT_RDWR);
        connection->peer.fd = fd_close(connection->peer.fd);
        if (request) {
                request->request.peer.fd = -1;
                request->connection = NULL;
                connection->request = NULL;
        }
        drop_input_fds(connection);
        buf_deinit(&connection->in);
        drop_output(connection);
        list_remove(&connection->link);
        connection->server->n_connections--;
        r = report_sent(connection, false);
        q = box_happened(request, VARLINK_GONE);
        connection_leave(connection);
        return r < 0 ? r : q;
}

static int connection_drop(Connection *connection, const char *reason)
{
        if (connection->dead)
                return 0;
        if (reason)
                take_note(connection->server, &connection->peer, reason);
        return connection_close(connection, true);
}

/* ---- waiting ---- */

static bool output_waits(const Connection *connection)
{
        return connection->out_at < connection->out.size;
}

static Wait what_waits(const Connection *connection)
{
        if (output_waits(connection))
                return WAIT_PEER;
        if (connection->request)
                return WAIT_HANDLER;
        if (connection->in.size > 0)
                return WAIT_REST;
        return connection->called ? WAIT_IDLE : WAIT_FIRST;
}

/* `progress`: the peer did something, so the time it has begins anew. */
static int connection_update(Connection *connection, bool progress)
{
        uint64_t deadline = connection->server->config.deadline_usec;
        Wait wait;
        uint32_t events;

        if (connection->dead)
                return 0;
        wait = what_waits(connection);
        if (wait == connection->wait && !progress)
                return 0;
        if (wait == WAIT_IDLE || wait == WAIT_HANDLER ||
            (wait == WAIT_PEER && connection->request && connection->request->happened))
                timer_disarm(connection->timer);
        else if (wait != connection->wait || wait == WAIT_PEER)
                timer_arm_after(connection->timer, deadline);
        if (wait == connection->wait)
                return 0;
        connection->wait = wait;
        events = wait == WAIT_PEER ? EPOLLOUT : wait == WAIT_HANDLER ? 0 : EPOLLIN;
        return source_set_events(connection->source, events);
}

static int on_deadline(void *userdata)
{
        Connection *connection = userdata;

        return connection_drop(connection, connection->wait == WAIT_PEER    ? "does not read its reply"
                                           : connection->wait == WAIT_FIRST ? "says nothing"
                                                                            : "does not finish its message");
}

/* ---- sending ---- */

static int send_some(Connection *connection)
{
        bool with_fds = connection->n_out_fds > 0 && connection->out_at == connection->out_fds_at;
        size_t end = connection->n_out_fds > 0 && !with_fds ? connection->out_fds_at : connection->out.size;
        size_t sent = 0;
        int r;

        r = packet_send(connection->peer.fd,
                        slice(connection->out.data + connection->out_at, end - connection->out_at),
                        connection->out_fds, with_fds ? connection->n_out_fds : 0, &sent);
        if (r < 0)
                return r;
        connection->out_at += sent;
        if (with_fds) {
                fd_close_all(connection->out_fds, connection->n_out_fds);
                connection->n_out_fds = 0;
        }
        return 0;
}

/* Gives back the memory of what is sent. */
static void trim_output(Connection *connection)
{
        if (!output_waits(connection)) {
                drop_output(connection);
        } else if (connection->out_at > OUT_SLACK && connection->out_at > connection->out.size / 2) {
                buf_consume(&connection->out, connection->out_at);
                connection->server->out_total -= connection->out_at;
                if (connection->n_out_fds > 0)
                        connection->out_fds_at -= connection->out_at;
                connection->out_at = 0;
        }
}

/* Writes what the kernel takes. The connection may be dead afterwards. */
static int connection_flush(Connection *connection)
{
        bool progress = false;
        int r;

        while (output_waits(connection)) {
                r = send_some(connection);
                if (r == -EAGAIN)
                        break;
                if (r < 0)
                        return connection_drop(connection, NULL);
                progress = true;
        }
        trim_output(connection);
        if (output_waits(connection))
                return connection_update(connection, progress);
        if (connection->request)
                return box_happened(connection->request, VARLINK_TAKEN);
        r = report_sent(connection, true);
        if (r >= 0 && connection->closing)
                r = connection_drop(connection, NULL);
        return r;
}

/* Queues a whole message and its descriptors, and sends what goes. */
static int connection_send(Connection *connection, Buf *message, const int *fds, size_t n_fds)
{
        VarlinkServer *server = connection->server;
        int r;

        if (message->size > VARLINK_OUT_TOTAL_MAX - MIN(server->out_total, VARLINK_OUT_TOTAL_MAX))
                return connection_drop(connection, "asks for more than there is memory for");
        r = buf_append(&connection->out, message->data, message->size);
        if (r == -ENOBUFS)
                return connection_drop(connection, "does not read its replies");
        if (r < 0)
                return r;
        server->out_total += message->size;
        if (n_fds > 0)
                connection->out_fds_at = connection->out.size - message->size;
        for (size_t i = 0; i < n_fds; i++) {
                int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

                if (fd < 0)
                        return connection_drop(connection, "cannot be given its descriptor");
                connection->out_fds[connection->n_out_fds++] = fd;
        }
        return connection_flush(connection);
}

static int connection_send_error(Connection *connection, const char *interface, const FaultBody *fault)
{
        Buf message = BUF_NULL(JSON_REPLY_MAX);
        int r = varlink_error_write(&message, interface, fault);

        if (r == 0)
                r = connection_send(connection, &message, NULL, 0);
        buf_deinit(&message);
        return r;
}

/* Says why and ends the connection: what the peer sends cannot be followed any further. */
static int connection_refuse(Connection *connection, Fault code, const char *message)
{
        const VarlinkServerConfig *config = &connection->server->config;
        FaultBody fault = { .fault = code, .message = message };

        take_note(connection->server, &connection->peer, message);
        connection->closing = true;
        drop_input_fds(connection);
        buf_deinit(&connection->in);
        return connection_send_error(connection, config->interface->name, &fault);
}

/* ---- answering ---- */

/* What is left of an answered request's connection goes on. */
static int after_answer(Connection *connection, int r)
{
        if (r >= 0 && !connection->dead)
                r = connection_run(connection);
        connection_leave(connection);
        return r;
}

/*
 * Sends the message, if anybody is there who wants it, and frees the request: last, since `fds` may
 * be its own.
 */
static int finish(RequestBox *box, Buf *message, const int *fds, size_t n_fds, VarlinkSent sent, void *userdata)
{
        Connection *connection = box->connection;
        int r;

        if (!connection) {
                box_free(box);
                return sent ? sent(userdata, false) : 0;
        }
        connection->depth++;
        connection->request = NULL;
        box->connection = NULL;
        if (box->oneway) {
                r = sent ? sent(userdata, false) : 0;
        } else {
                connection->sent = sent;
                connection->sent_userdata = userdata;
                r = connection_send(connection, message, fds, n_fds);
        }
        box_free(box);
        return after_answer(connection, r);
}

int varlink_fail(VarlinkRequest *request, const FaultBody *fault)
{
        RequestBox *box = box_of(request);
        Buf message = BUF_NULL(JSON_REPLY_MAX);
        int r = varlink_error_write(&message, box->interface->name, fault);

        if (r == 0)
                r = finish(box, &message, NULL, 0, NULL, NULL);
        else
                box_free(box);
        buf_deinit(&message);
        return r;
}

int varlink_fail_text(VarlinkRequest *request, Fault fault, const char *message)
{
        FaultBody body = { .fault = fault, .message = message };

        return varlink_fail(request, &body);
}

/* A reply that cannot be written as JSON is the broker's fault, and is said to be. `ret_failed`: that is
 * what is in `out`. */
static int write_reply(RequestBox *box, Buf *out, const void *body, bool continues, bool *ret_failed)
{
        const Schema *schema = box->request.method->reply;
        FaultBody fault = { .fault = FAULT_INTERNAL };
        int r;

        *ret_failed = box->too_long;
        if (box->too_long) {
                fault.message = "It is done, but the answer is too long for one message: ask with \"more\".";
                return varlink_error_write(out, box->interface->name, &fault);
        }
        r = continues || box->more ? varlink_reply_write(out, schema, body, continues)
                                   : varlink_join_write(&box->join, out, schema, body);
        if (r != -EINVAL && r != -ENOBUFS)
                return r;
        *ret_failed = true;
        buf_clear(out);
        fault.message = "It is done, but the answer cannot be written as JSON.";
        return varlink_error_write(out, box->interface->name, &fault);
}

int varlink_reply(VarlinkRequest *request, const void *body, const int *fds, size_t n_fds, VarlinkSent sent,
                  void *userdata)
{
        RequestBox *box = box_of(request);
        Buf message = BUF_NULL(JSON_REPLY_MAX);
        bool failed = false;
        int r = 0;

        if (box->connection && !box->oneway)
                r = write_reply(box, &message, body, false, &failed);
        /* What the peer gets is not the reply, so that never arrives, and nor do its descriptors. */
        if (r == 0 && failed) {
                r = sent ? sent(userdata, false) : 0;
                sent = NULL;
                n_fds = 0;
        }
        if (r == 0)
                r = finish(box, &message, fds, MIN(n_fds, VARLINK_FDS_MAX), sent, userdata);
        else
                box_free(box);
        buf_deinit(&message);
        return r;
}

int varlink_reply_more(VarlinkRequest *request, const void *body)
{
        RequestBox *box = box_of(request);
        Connection *connection = box->connection;
        Buf message = BUF_NULL(JSON_REPLY_MAX);
        bool failed;
        int r;

        if (!connection || box->oneway)
                return 0;
        if (!box->more) {
                r = varlink_join_add(&box->join, request->method->reply, body);
                box->too_long = box->too_long || r == -ENOBUFS;
                return r == -ENOBUFS ? 0 : r;
        }
        connection->depth++;
        r = write_reply(box, &message, body, true, &failed);
        if (r == 0)
                r = connection_send(connection, &message, NULL, 0);
        if (r >= 0)
                r = connection_update(connection, false);
        buf_deinit(&message);
        connection_leave(connection);
        return r;
}

/* ---- calls ---- */

static int fail_field(RequestBox *box, Fault code, const char *field, const char *message)
{
        FaultBody fault = { .fault = code, .field = field, .message = message };

        return varlink_fail(&box->request, &fault);
}

static int serve_info(RequestBox *box)
{
        const VarlinkServerConfig *config = &box->connection->server->config;
        const char *interfaces[] = { interface_varlink_service.name, config->interface->name };
        VarlinkInfo info = {
                .vendor = "mcpcred",
                .product = "mcpcred",
                .version = MCPCRED_VERSION,
                .url = "https://varlink.org/",
                .interfaces = { interfaces, ARRAY_SIZE(interfaces) },
        };

        return varlink_reply(&box->request, &info, NULL, 0, NULL, NULL);
}

static int serve_description(RequestBox *box)
{
        const VarlinkServerConfig *config = &box->connection->server->config;
        const VarlinkDescriptionRequest *asked = box->request.body;
        VarlinkDescription reply = { 0 };

        if (strcmp(asked->interface, config->interface->name) == 0)
                reply.description = config->text;
        else if (strcmp(asked->interface, interface_varlink_service.name) == 0)
                reply.description = varlink_text_service;
        else
                return fail_field(box, FAULT_INVALID_PARAMETER, "interface", "There is no such interface here.");
        return varlink_reply(&box->request, &reply, NULL, 0, NULL, NULL);
}

static int serve(RequestBox *box)
{
        const VarlinkServerConfig *config = &box->connection->server->config;

        if (box->interface == config->interface)
                return config->handler(config->userdata, &box->request);
        return box->request.id == VARLINK_GET_INFO ? serve_info(box) : serve_description(box);
}

/* Fills box->request from the call; a positive result has been described in `error`. */
static int read_parameters(RequestBox *box, const VarlinkCall *call, Arena *arena, SchemaError *error)
{
        const Schema *schema = box->request.method->request;
        void *body;
        int r;

        *error = (SchemaError){ .reason = "" };
        r = pool_alloc(&box->pool, schema->size, &body);
        if (r == 0)
                r = varlink_call_read(call, schema, arena, &box->pool, body, error);
        if (r == 0)
                box->request.body = body;
        return r;
}

static int refuse_parameters(RequestBox *box, int r, const SchemaError *error)
{
        char message[sizeof(error->field) + 64];

        if (r == SCHEMA_E_NO_SPACE)
                return fail_field(box, FAULT_BUSY, NULL, "There is no room for this call now.");
        (void)snprintf(message, sizeof(message), "%s %s.", error->field, error->reason);
        return fail_field(box, FAULT_INVALID_PARAMETER, error->field, message);
}

static bool find_method(RequestBox *box, const Interface *interface, const char *name)
{
        for (size_t i = 0; i < interface->n_methods; i++)
                if (strcmp(interface->methods[i].name, name) == 0) {
                        box->request.method = &interface->methods[i];
                        box->request.id = (unsigned)i;
                        return true;
                }
        return false;
}

/* The error names the interface: the method without its last part. */
static int refuse_interface(RequestBox *box, const char *method)
{
        const char *dot = strrchr(method, '.');
        char *interface = strndup(method, dot ? (size_t)(dot - method) : strlen(method));
        int r = interface ? fail_field(box, FAULT_INTERFACE_NOT_FOUND, interface, NULL) : -ENOMEM;

        free(interface);
        return r;
}

/* Names what was asked for; the request is answered already unless it returns true. */
static bool resolve(RequestBox *box, const VarlinkCall *call, int *ret)
{
        const Interface *known[] = { box->interface, &interface_varlink_service };
        const char *name;

        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
                if (!varlink_method_of(call->method, known[i]->name, &name))
                        continue;
                box->interface = known[i];
                if (find_method(box, known[i], name))
                        return true;
                *ret = fail_field(box, FAULT_METHOD_NOT_FOUND, call->method, NULL);
                return false;
        }
        *ret = refuse_interface(box, call->method);
        return false;
}

/* The descriptors of the message at the front of the buffer become the request's. */
static void take_fds(Connection *connection, RequestBox *box)
{
        if (connection->n_fds == 0 || connection->fds_at > 0)
                return;
        memcpy(box->request.fds, connection->fds, sizeof(connection->fds));
        box->request.n_fds = connection->n_fds;
        connection->n_fds = 0;
}

static int begin_call(Connection *connection, const VarlinkCall *call)
{
        const VarlinkServerConfig *config = &connection->server->config;
        RequestBox *box = calloc(1, sizeof(*box));
        SchemaError error;
        int r = 0;

        if (!box)
                return -ENOMEM;
        box->pool = POOL_NULL(POOL_MAX);
        box->interface = config->interface;
        box->more = call->more;
        box->oneway = call->oneway;
        box->connection = connection;
        box->request.peer = connection->peer;
        connection->request = box;
        take_fds(connection, box);
        if (!resolve(box, call, &r))
                return r;
        if (box->request.n_fds > box->request.method->request_fds) {
                box_free(box);
                return connection_refuse(connection, FAULT_INVALID_PARAMETER,
                                         "The call carries descriptors that it must not.");
        }
        r = read_parameters(box, call, config->arena, &error);
        if (r > 0)
                return refuse_parameters(box, r, &error);
        if (r < 0) {
                box_free(box);
                return r;
        }
        return serve(box);
}

static int take_message(Connection *connection, Slice message)
{
        _cleanup_(varlink_call_clearp) VarlinkCall call = { 0 };
        SchemaError error;
        char text[sizeof(error.field) + 64];
        int r;

        connection->called = true;
        r = varlink_call_parse(&call, message, &error);
        if (r < 0)
                return r;
        if (r > 0) {
                (void)snprintf(text, sizeof(text), "The message%s%s %s.", error.field[0] ? "'s member " : "",
                               error.field, error.reason);
                return connection_refuse(connection, FAULT_INVALID_PARAMETER, text);
        }
        return begin_call(connection, &call);
}

/* The message at the front of the buffer, without its NUL; false while it is not whole. */
static bool next_message(const Connection *connection, Slice *ret)
{
        const uint8_t *end = connection->in.size > 0 ? memchr(connection->in.data, 0, connection->in.size) : NULL;

        if (!end)
                return false;
        *ret = slice(connection->in.data, (size_t)(end - connection->in.data));
        return true;
}

/* The front message is answered or under way: what is behind it moves up. */
static void consume_message(Connection *connection, size_t size)
{
        size = MIN(size, connection->in.size); /* it may have been dropped with its connection */
        if (connection->n_fds > 0)
                connection->fds_at -= MIN(size, connection->fds_at);
        if (size == connection->in.size)
                buf_deinit(&connection->in); /* an idle connection keeps no buffer */
        else
                buf_consume(&connection->in, size);
}

/* Takes messages as long as none is under way and nothing waits to be written. */
static int connection_run(Connection *connection)
{
        Slice message;
        int r = 0;

        if (connection->running)
                return 0;
        connection->running = true;
        connection->depth++;
        while (r >= 0 && !connection->dead && !connection->closing && !connection->request &&
               !output_waits(connection) && next_message(connection, &message)) {
                size_t size = message.size + 1;

                r = take_message(connection, message);
                consume_message(connection, size);
        }
        connection->running = false;
        if (r >= 0)
                r = connection_update(connection, false);
        connection_leave(connection);
        return r;
}

/* ---- receiving ---- */

/* Where the last message that begins in the buffer begins, given that `from` on is new. */
static size_t last_message(const Connection *connection, size_t from)
{
        for (size_t i = connection->in.size - 1; i > from; i--)
                if (connection->in.data[i - 1] == 0)
                        return i;
        if (from > 0 && connection->in.data[from - 1] == 0)
                return from;
        /* None begins in the new bytes: they belong to the one that is not whole yet. */
        for (size_t i = from; i > 0; i--)
                if (connection->in.data[i - 1] == 0)
                        return i;
        return 0;
}

static const char *check_packet(const Connection *connection, const Packet *packet)
{
        const VarlinkPeer *peer = &connection->peer;

        if (connection->server->config.check_sender &&
            (!packet->has_sender || packet->sender_pid != peer->pid || packet->sender_uid != peer->uid))
                return "Only the process that connected may speak on a connection: connect anew.";
        if (packet->truncated || connection->n_fds + packet->n_fds > VARLINK_FDS_MAX)
                return "The call carries descriptors that it must not.";
        return NULL;
}

static int take_packet(Connection *connection, size_t from, Packet *packet)
{
        const char *reason = check_packet(connection, packet);
        Slice message;

        if (reason) {
                fd_close_all(packet->fds, packet->n_fds);
                return connection_refuse(connection, FAULT_NOT_ALLOWED, reason);
        }
        if (packet->n_fds > 0)
                connection->fds_at = last_message(connection, from);
        for (size_t i = 0; i < packet->n_fds; i++)
                connection->fds[connection->n_fds++] = packet->fds[i];
        if (connection->in.size == IN_MAX && !next_message(connection, &message))
                return connection_refuse(connection, FAULT_INVALID_PARAMETER, "The message is longer than 64 KiB.");
        return connection_run(connection);
}

static int connection_receive(Connection *connection)
{
        size_t from = connection->in.size;
        size_t room = MIN(IN_MAX - from, MAX(from, (size_t)IN_CHUNK));
        uint8_t *data;
        Packet packet;
        int r;

        r = buf_reserve(&connection->in, room, &data);
        if (r < 0)
                return r;
        r = connection->server->takes_fds ? packet_receive(connection->peer.fd, data, room, &packet)
                                          : packet_receive_bare(connection->peer.fd, data, room, &packet);
        if (r == -EAGAIN || r == -EINTR)
                return 0;
        if (r <= 0 || packet.size == 0)
                return connection_drop(connection, NULL);
        buf_commit(&connection->in, packet.size);
        return take_packet(connection, from, &packet);
}

static int on_ready(void *userdata, uint32_t events)
{
        Connection *connection = userdata;
        int r = 0;

        connection->depth++;
        if (events & EPOLLOUT && connection->wait == WAIT_PEER) {
                r = connection_flush(connection);
                if (r >= 0 && !connection->dead)
                        r = connection_run(connection);
        } else if (events & EPOLLIN && connection->wait != WAIT_HANDLER && connection->wait != WAIT_PEER) {
                r = connection_receive(connection);
        } else if (events & (EPOLLHUP | EPOLLERR)) {
                r = connection_drop(connection, NULL);
        }
        connection_leave(connection);
        return r;
}

/* ---- connections and listeners ---- */

static int read_peer(int fd, VarlinkPeer *ret)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return error_errno();
        ret->fd = fd;
        ret->uid = peer.uid;
        ret->pid = peer.pid;
        return 0;
}

static int pass_senders(const VarlinkServer *server, int fd)
{
        int on = 1;

        /* Who is passed takes the room that descriptors would find: see packet_receive_bare(). */
        if ((server->config.check_sender || !server->takes_fds) &&
            setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
                return error_errno();
        return 0;
}

/* Makes a connection of a non-blocking socket, which it takes over on success alone. */
static int connection_new(VarlinkServer *server, const VarlinkPeer *peer, bool patient, Connection **ret)
{
        Connection *connection = calloc(1, sizeof(*connection));
        int r;

        if (!connection)
                return -ENOMEM;
        list_init(&connection->link);
        connection->server = server;
        connection->peer = *peer;
        connection->called = patient;
        connection->in = BUF_NULL(IN_MAX);
        connection->out = BUF_NULL(VARLINK_OUT_MAX);
        r = timer_new(&connection->timer, server->config.loop, on_deadline, connection);
        if (r == 0)
                r = source_new(&connection->source, server->config.loop, peer->fd, EPOLLIN, on_ready, connection);
        if (r < 0) {
                timer_free(connection->timer);
                free(connection);
                return r;
        }
        list_append(&server->connections, &connection->link);
        server->n_connections++;
        *ret = connection;
        return connection_update(connection, true);
}

static size_t count_uid(const VarlinkServer *server, uid_t uid)
{
        size_t n = 0;

        LIST_FOREACH(node, (List *)(uintptr_t)&server->connections)
                n += container_of(node, Connection, link)->peer.uid == uid;
        return n;
}

static bool is_crowded(const VarlinkServer *server, uid_t uid)
{
        return server->n_connections >= server->config.max_connections ||
               count_uid(server, uid) >= server->config.max_per_uid;
}

/* Ends the oldest connection of the uid that nobody has vouched for, if there is one. */
static int make_room(VarlinkServer *server, uid_t uid)
{
        LIST_FOREACH(node, &server->connections) {
                Connection *connection = container_of(node, Connection, link);

                if (connection->peer.uid == uid && !connection->trusted)
                        return connection_drop(connection, "gives way to another");
        }
        return 0;
}

/* Says why to a peer that gets no connection, as far as it fits into its socket at once. */
static void turn_away(VarlinkServer *server, const VarlinkPeer *peer, Fault code, const char *message)
{
        FaultBody fault = { .fault = code, .message = message };
        Buf out = BUF_NULL(JSON_REPLY_MAX);

        take_note(server, peer, message);
        if (varlink_error_write(&out, server->config.interface->name, &fault) == 0 &&
            packet_send(peer->fd, buf_slice(&out), NULL, 0, NULL) == 0)
                (void)shutdown(peer->fd, SHUT_RDWR);
        buf_deinit(&out);
}

static int welcome(VarlinkServer *server, int fd)
{
        VarlinkPeer peer = { .listening = true };
        Connection *connection;
        const char *refusal;
        int r = 0;

        if (read_peer(fd, &peer) < 0 || pass_senders(server, fd) < 0) {
                fd_close(fd);
                return 0;
        }
        refusal = server->config.admit ? server->config.admit(server->config.userdata, &peer) : NULL;
        if (!refusal && server->config.makes_room && is_crowded(server, peer.uid))
                r = make_room(server, peer.uid);
        if (r < 0) {
                fd_close(fd);
                return r;
        }
        if (refusal) {
                turn_away(server, &peer, FAULT_NOT_ALLOWED, refusal);
        } else if (is_crowded(server, peer.uid)) {
                turn_away(server, &peer, FAULT_BUSY, "There are too many connections.");
        } else {
                r = connection_new(server, &peer, false, &connection);
                if (r == 0)
                        return 0;
                if (r != -ENOMEM && r != -ENOSPC)
                        return r;
        }
        fd_close(fd);
        return 0;
}

static int on_accept(void *userdata, UNUSED uint32_t events)
{
        Listener *listener = userdata;

        for (int i = 0; i < ACCEPT_ROUND; i++) {
                int r, fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
                        timer_arm_after(listener->pause, ACCEPT_PAUSE_USEC);
                        return source_set_events(listener->source, 0);
                }
                if (fd < 0)
                        return 0; /* nobody waits, or whoever did has gone */
                r = welcome(listener->server, fd);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int on_pause_over(void *userdata)
{
        Listener *listener = userdata;

        return source_set_events(listener->source, EPOLLIN);
}

static void listener_free(Listener *listener)
{
        list_remove(&listener->link);
        source_free(listener->source);
        timer_free(listener->pause);
        fd_close(listener->fd);
        free(listener);
}

int varlink_server_listen(VarlinkServer *server, int fd)
{
        Listener *listener = calloc(1, sizeof(*listener));
        int r;

        if (!listener) {
                fd_close(fd);
                return -ENOMEM;
        }
        list_init(&listener->link);
        listener->server = server;
        listener->fd = fd;
        r = fd_set_nonblock(fd);
        if (r == 0)
                r = pass_senders(server, fd);
        if (r == 0)
                r = timer_new(&listener->pause, server->config.loop, on_pause_over, listener);
        if (r == 0)
                r = source_new(&listener->source, server->config.loop, fd, EPOLLIN, on_accept, listener);
        if (r < 0) {
                listener_free(listener);
                return r;
        }
        list_append(&server->listeners, &listener->link);
        return 0;
}

int varlink_server_adopt(VarlinkServer *server, int fd, bool listening)
{
        _cleanup_(fd_closep) int owned = fd;
        VarlinkPeer peer = { .listening = listening };
        Connection *connection;
        int r;

        if (server->n_connections >= server->config.max_connections)
                return -EMFILE;
        r = fd_set_nonblock(fd);
        if (r == 0)
                r = read_peer(fd, &peer);
        if (r == 0)
                r = pass_senders(server, fd);
        if (r == 0)
                r = connection_new(server, &peer, true, &connection);
        if (r == 0) {
                owned = -1;
                connection->trusted = true; /* by whoever has handed it over */
        }
        return r;
}

size_t varlink_server_connections(const VarlinkServer *server)
{
        return server->n_connections;
}

int varlink_server_new(VarlinkServer **ret, const VarlinkServerConfig *config)
{
        VarlinkServer *server = calloc(1, sizeof(*server));

        if (!server)
                return -ENOMEM;
        server->config = *config;
        for (size_t i = 0; i < config->interface->n_methods; i++)
                server->takes_fds = server->takes_fds || config->interface->methods[i].request_fds > 0;
        if (server->config.deadline_usec == 0)
                server->config.deadline_usec = VARLINK_DEADLINE_USEC;
        list_init(&server->listeners);
        list_init(&server->connections);
        *ret = server;
        return 0;
}

VarlinkServer *varlink_server_free(VarlinkServer *server)
{
        if (!server)
                return NULL;
        LIST_FOREACH(node, &server->listeners)
                listener_free(container_of(node, Listener, link));
        LIST_FOREACH(node, &server->connections)
                (void)connection_close(container_of(node, Connection, link), false);
        free(server);
        return NULL;
}
