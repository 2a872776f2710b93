#include "ipc/varlink_server.h"
#include "base/fd.h"
#include "ipc/packet.h"
#include "ipc/varlink_connection.h"
#include "ipc/varlink_server_internal.h"
#include "wire/varlink.h"
#include <sys/epoll.h>
#include <sys/socket.h>

/* Connections accepted before other sources get their turn. */
#define ACCEPT_ROUND 16
/* Until accept() is tried again when the process or the system is out of descriptors. */
#define ACCEPT_PAUSE_USEC (100U * USEC_PER_MSEC)
#define NOTES_PER_MINUTE 30U
#define NOTE_MINUTE_USEC (60U * USEC_PER_SEC)

typedef struct Listener {
        List link;
        VarlinkServer *server;
        int fd;
        Source *source;
        Timer *pause;
} Listener;

void varlink_server_note(VarlinkServer *server, const VarlinkPeer *peer, const char *reason)
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

/* ---- who may connect ---- */

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

static size_t count_uid(const VarlinkServer *server, uid_t uid)
{
        size_t n = 0;

        LIST_FOREACH(node, (List *)(uintptr_t)&server->connections)
                n += container_of(node, VarlinkConnection, link)->peer.uid == uid;
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
                VarlinkConnection *connection = container_of(node, VarlinkConnection, link);

                if (connection->peer.uid == uid && !connection->trusted)
                        return varlink_connection_drop(connection, "gives way to another");
        }
        return 0;
}

/* Says why to a peer that gets no connection, as far as it fits into its socket at once. */
static void turn_away(VarlinkServer *server, const VarlinkPeer *peer, Fault code, const char *message)
{
        FaultBody fault = { .fault = code, .message = message };
        Buf out = BUF_NULL(JSON_REPLY_MAX);

        varlink_server_note(server, peer, message);
        if (varlink_error_write(&out, server->config.interface->name, &fault) == 0 &&
            packet_send(peer->fd, buf_slice(&out), NULL, 0, NULL) == 0)
                (void)shutdown(peer->fd, SHUT_RDWR);
        buf_deinit(&out);
}

/* What becomes of a socket that was accepted, which it takes over. */
static int welcome(VarlinkServer *server, int fd)
{
        _cleanup_(fd_closep) int owned = fd;
        VarlinkPeer peer = { .listening = true };
        VarlinkConnection *connection;
        const char *refusal;
        int r;

        if (read_peer(fd, &peer) < 0 || pass_senders(server, fd) < 0)
                return 0;
        refusal = server->config.admit ? server->config.admit(server->config.userdata, &peer) : NULL;
        if (refusal) {
                turn_away(server, &peer, FAULT_NOT_ALLOWED, refusal);
                return 0;
        }
        if (server->config.makes_room && is_crowded(server, peer.uid)) {
                r = make_room(server, peer.uid);
                if (r < 0)
                        return r;
        }
        if (is_crowded(server, peer.uid)) {
                turn_away(server, &peer, FAULT_BUSY, "There are too many connections.");
                return 0;
        }
        owned = -1;
        r = varlink_connection_new(&connection, server, &peer, false);
        return r == -ENOMEM || r == -ENOSPC ? 0 : r;
}

/* ---- listeners ---- */

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

/* ---- the server ---- */

int varlink_server_adopt(VarlinkServer *server, int fd, bool listening)
{
        _cleanup_(fd_closep) int owned = fd;
        VarlinkPeer peer = { .listening = listening };
        VarlinkConnection *connection;
        int r;

        if (server->n_connections >= server->config.max_connections)
                return -EMFILE;
        r = fd_set_nonblock(fd);
        if (r == 0)
                r = read_peer(fd, &peer);
        if (r == 0)
                r = pass_senders(server, fd);
        if (r < 0)
                return r;
        owned = -1;
        r = varlink_connection_new(&connection, server, &peer, true);
        if (r == 0)
                connection->trusted = true; /* by whoever has handed it over */
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
                (void)varlink_connection_close(container_of(node, VarlinkConnection, link), false);
        free(server);
        return NULL;
}
