#include "ipc/varlink_connection.h"
#include "base/fd.h"
#include "ipc/packet.h"
#include "ipc/varlink_pending.h"
#include "ipc/varlink_server_internal.h"
#include "wire/varlink.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* The largest call and its NUL. */
#define IN_MAX (JSON_REQUEST_MAX + 1U)
#define IN_CHUNK 4096U
/* Sent bytes at the front of the output are given back when there are this many. */
#define OUT_SLACK (256U * 1024U)

/* ---- ending a connection ---- */

static int report_sent(VarlinkConnection *connection, bool delivered)
{
        VarlinkSent sent = connection->sent;

        connection->sent = NULL;
        return sent ? sent(connection->sent_userdata, delivered) : 0;
}

void varlink_connection_leave(VarlinkConnection *connection)
{
        if (--connection->depth == 0 && connection->dead)
                free(connection);
}

static void drop_input_fds(VarlinkConnection *connection)
{
        fd_close_all(connection->fds, connection->n_fds);
        connection->n_fds = 0;
}

static void drop_output(VarlinkConnection *connection)
{
        connection->server->out_total -= connection->out.size;
        buf_deinit(&connection->out);
        connection->out_at = 0;
        fd_close_all(connection->out_fds, connection->n_out_fds);
        connection->n_out_fds = 0;
}

int varlink_connection_close(VarlinkConnection *connection, bool end)
{
        VarlinkPending *pending = connection->pending;
        int r, q;

        if (connection->dead)
                return 0;
        varlink_connection_enter(connection);
        connection->dead = true;
        connection->source = source_free(connection->source);
        connection->timer = timer_free(connection->timer);
        if (end)
                (void)shutdown(connection->peer.fd, SHUT_RDWR);
        connection->peer.fd = fd_close(connection->peer.fd);
        if (pending) {
                pending->request.peer.fd = -1;
                pending->connection = NULL;
                connection->pending = NULL;
        }
        drop_input_fds(connection);
        buf_deinit(&connection->in);
        drop_output(connection);
        list_remove(&connection->link);
        connection->server->n_connections--;
        r = report_sent(connection, false);
        q = varlink_pending_happened(pending, VARLINK_GONE);
        varlink_connection_leave(connection);
        return r < 0 ? r : q;
}

int varlink_connection_drop(VarlinkConnection *connection, const char *reason)
{
        if (connection->dead)
                return 0;
        if (reason)
                varlink_server_note(connection->server, &connection->peer, reason);
        return varlink_connection_close(connection, true);
}

/* ---- waiting ---- */

static bool output_waits(const VarlinkConnection *connection)
{
        return connection->out_at < connection->out.size;
}

static VarlinkWait what_waits(const VarlinkConnection *connection)
{
        if (output_waits(connection))
                return WAIT_PEER;
        if (connection->pending)
                return WAIT_HANDLER;
        if (connection->in.size > 0)
                return WAIT_REST;
        return connection->called ? WAIT_IDLE : WAIT_FIRST;
}

int varlink_connection_update(VarlinkConnection *connection, bool progress)
{
        uint64_t deadline = connection->server->config.deadline_usec;
        VarlinkWait wait;
        uint32_t events;

        if (connection->dead)
                return 0;
        wait = what_waits(connection);
        if (wait == connection->wait && !progress)
                return 0;
        if (wait == WAIT_IDLE || wait == WAIT_HANDLER ||
            (wait == WAIT_PEER && connection->pending && connection->pending->happened))
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
        VarlinkConnection *connection = userdata;

        return varlink_connection_drop(connection, connection->wait == WAIT_PEER    ? "does not read its reply"
                                                   : connection->wait == WAIT_FIRST ? "says nothing"
                                                                                    : "does not finish its message");
}

/* ---- sending ---- */

static int send_some(VarlinkConnection *connection)
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
static void trim_output(VarlinkConnection *connection)
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
static int flush(VarlinkConnection *connection)
{
        bool progress = false;
        int r;

        while (output_waits(connection)) {
                r = send_some(connection);
                if (r == -EAGAIN)
                        break;
                if (r < 0)
                        return varlink_connection_drop(connection, NULL);
                progress = true;
        }
        trim_output(connection);
        if (output_waits(connection))
                return varlink_connection_update(connection, progress);
        if (connection->pending)
                return varlink_pending_happened(connection->pending, VARLINK_TAKEN);
        r = report_sent(connection, true);
        if (r >= 0 && connection->closing)
                r = varlink_connection_drop(connection, NULL);
        return r;
}

int varlink_connection_send(VarlinkConnection *connection, const Buf *message, const int *fds, size_t n_fds)
{
        VarlinkServer *server = connection->server;
        int r;

        if (message->size > VARLINK_OUT_TOTAL_MAX - MIN(server->out_total, VARLINK_OUT_TOTAL_MAX))
                return varlink_connection_drop(connection, "asks for more than there is memory for");
        r = buf_append(&connection->out, message->data, message->size);
        if (r == -ENOBUFS)
                return varlink_connection_drop(connection, "does not read its replies");
        if (r < 0)
                return r;
        server->out_total += message->size;
        if (n_fds > 0)
                connection->out_fds_at = connection->out.size - message->size;
        for (size_t i = 0; i < n_fds; i++) {
                int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

                if (fd < 0)
                        return varlink_connection_drop(connection, "cannot be given its descriptor");
                connection->out_fds[connection->n_out_fds++] = fd;
        }
        return flush(connection);
}

static int send_error(VarlinkConnection *connection, const char *interface, const FaultBody *fault)
{
        Buf message = BUF_NULL(JSON_REPLY_MAX);
        int r = varlink_error_write(&message, interface, fault);

        if (r == 0)
                r = varlink_connection_send(connection, &message, NULL, 0);
        buf_deinit(&message);
        return r;
}

int varlink_connection_refuse(VarlinkConnection *connection, Fault code, const char *message)
{
        const VarlinkServerConfig *config = &connection->server->config;
        FaultBody fault = { .fault = code, .message = message };

        varlink_server_note(connection->server, &connection->peer, message);
        connection->closing = true;
        drop_input_fds(connection);
        buf_deinit(&connection->in);
        return send_error(connection, config->interface->name, &fault);
}

/* ---- messages ---- */

static int take_message(VarlinkConnection *connection, Slice message)
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
                return varlink_connection_refuse(connection, FAULT_INVALID_PARAMETER, text);
        }
        return varlink_pending_begin(connection, &call);
}

/* The message at the front of the buffer, without its NUL; false while it is not whole. */
static bool next_message(const VarlinkConnection *connection, Slice *ret)
{
        const uint8_t *end = connection->in.size > 0 ? memchr(connection->in.data, 0, connection->in.size) : NULL;

        if (!end)
                return false;
        *ret = slice(connection->in.data, (size_t)(end - connection->in.data));
        return true;
}

/* The front message is answered or under way: what is behind it moves up. */
static void consume_message(VarlinkConnection *connection, size_t size)
{
        size = MIN(size, connection->in.size); /* it may have been dropped with its connection */
        if (connection->n_fds > 0)
                connection->fds_at -= MIN(size, connection->fds_at);
        if (size == connection->in.size)
                buf_deinit(&connection->in); /* an idle connection keeps no buffer */
        else
                buf_consume(&connection->in, size);
}

int varlink_connection_run(VarlinkConnection *connection)
{
        Slice message;
        int r = 0;

        if (connection->running)
                return 0;
        connection->running = true;
        varlink_connection_enter(connection);
        while (r >= 0 && !connection->dead && !connection->closing && !connection->pending &&
               !output_waits(connection) && next_message(connection, &message)) {
                size_t size = message.size + 1;

                r = take_message(connection, message);
                consume_message(connection, size);
        }
        connection->running = false;
        if (r >= 0)
                r = varlink_connection_update(connection, false);
        varlink_connection_leave(connection);
        return r;
}

/* ---- receiving ---- */

/* Where the last message that begins in the buffer begins, given that `from` on is new. */
static size_t last_message(const VarlinkConnection *connection, size_t from)
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

static const char *check_packet(const VarlinkConnection *connection, const Packet *packet)
{
        const VarlinkPeer *peer = &connection->peer;

        if (connection->server->config.check_sender &&
            (!packet->has_sender || packet->sender_pid != peer->pid || packet->sender_uid != peer->uid))
                return "Only the process that connected may speak on a connection: connect anew.";
        if (packet->truncated || connection->n_fds + packet->n_fds > VARLINK_FDS_MAX)
                return "The call carries descriptors that it must not.";
        return NULL;
}

static int take_packet(VarlinkConnection *connection, size_t from, Packet *packet)
{
        const char *reason = check_packet(connection, packet);
        Slice message;

        if (reason) {
                fd_close_all(packet->fds, packet->n_fds);
                return varlink_connection_refuse(connection, FAULT_NOT_ALLOWED, reason);
        }
        if (packet->n_fds > 0)
                connection->fds_at = last_message(connection, from);
        for (size_t i = 0; i < packet->n_fds; i++)
                connection->fds[connection->n_fds++] = packet->fds[i];
        if (connection->in.size == IN_MAX && !next_message(connection, &message))
                return varlink_connection_refuse(connection, FAULT_INVALID_PARAMETER, "The message is longer than 64 KiB.");
        return varlink_connection_run(connection);
}

static int receive(VarlinkConnection *connection)
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
                return varlink_connection_drop(connection, NULL);
        buf_commit(&connection->in, packet.size);
        return take_packet(connection, from, &packet);
}

static int on_ready(void *userdata, uint32_t events)
{
        VarlinkConnection *connection = userdata;
        int r = 0;

        varlink_connection_enter(connection);
        if (events & EPOLLOUT && connection->wait == WAIT_PEER) {
                r = flush(connection);
                if (r >= 0 && !connection->dead)
                        r = varlink_connection_run(connection);
        } else if (events & EPOLLIN && connection->wait != WAIT_HANDLER && connection->wait != WAIT_PEER) {
                r = receive(connection);
        } else if (events & (EPOLLHUP | EPOLLERR)) {
                r = varlink_connection_drop(connection, NULL);
        }
        varlink_connection_leave(connection);
        return r;
}

/* ---- a new one ---- */

int varlink_connection_new(VarlinkConnection **ret, VarlinkServer *server, const VarlinkPeer *peer, bool patient)
{
        VarlinkConnection *connection = calloc(1, sizeof(*connection));
        int r;

        if (!connection) {
                fd_close(peer->fd);
                return -ENOMEM;
        }
        connection->server = server;
        connection->peer = *peer;
        connection->called = patient;
        connection->in = BUF_NULL(IN_MAX);
        connection->out = BUF_NULL(VARLINK_OUT_MAX);
        list_init(&connection->link);
        list_append(&server->connections, &connection->link);
        server->n_connections++;
        r = timer_new(&connection->timer, server->config.loop, on_deadline, connection);
        if (r == 0)
                r = source_new(&connection->source, server->config.loop, peer->fd, EPOLLIN, on_ready, connection);
        if (r == 0)
                r = varlink_connection_update(connection, true);
        if (r < 0)
                (void)varlink_connection_close(connection, true);
        else
                *ret = connection;
        return r;
}
