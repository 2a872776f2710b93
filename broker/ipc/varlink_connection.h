#pragma once
/*
 * One client's connection: bytes and descriptors in, messages out, and the deadline between them. Which
 * message means what is varlink_pending.h's to say, and who may have a connection at all varlink_server.c's.
 *
 * A handler may end a connection that is on the stack below it. So whoever goes on with one after a call that
 * can lead there holds it with varlink_connection_enter(), and looks at `dead` before it touches anything else.
 * Every int is 0 or -errno, which ends the loop: a peer that goes away, or is dropped, is no error.
 */
#include "base/buf.h"
#include "base/list.h"
#include "ipc/varlink_server.h"

struct VarlinkPending;

/* What a connection waits for; decides about events and deadline. */
typedef enum VarlinkWait {
        WAIT_NONE,
        WAIT_FIRST,   /* its first call */
        WAIT_IDLE,    /* the next call */
        WAIT_REST,    /* the rest of a message */
        WAIT_HANDLER, /* the answer from inside */
        WAIT_PEER,    /* the peer to read */
} VarlinkWait;

typedef struct VarlinkConnection {
        List link;
        VarlinkServer *server;
        VarlinkPeer peer;
        Source *source;
        Timer *timer;
        VarlinkWait wait;
        bool called;  /* a whole message came, or it need never */
        bool running; /* varlink_connection_run() is on the stack */
        bool closing; /* end it once the output is written */
        bool trusted; /* see varlink_request_trust() */
        bool dead;
        unsigned depth; /* how often these files are on the stack with it: freed only when they are not */
        Buf in;
        int fds[VARLINK_FDS_MAX];
        size_t n_fds;
        size_t fds_at; /* where in `in` their message begins */
        struct VarlinkPending *pending; /* the call under way, or NULL */
        Buf out;
        size_t out_at; /* bytes of `out` that are sent */
        int out_fds[VARLINK_FDS_MAX];
        size_t n_out_fds;
        size_t out_fds_at; /* the byte of `out` that they go with */
        VarlinkSent sent;
        void *sent_userdata;
} VarlinkConnection;

/* Of a non-blocking socket, peer->fd, which it takes over, also on failure. `patient`: it may stay silent for
 * as long as it likes. It is the server's, and ends itself. */
int varlink_connection_new(VarlinkConnection **ret, VarlinkServer *server, const VarlinkPeer *peer, bool patient)
        NODISCARD NONNULL(1, 2, 3);
/* Lets go of the descriptor. With `end` the connection itself is over too, whoever holds a duplicate of it as a
 * lifeline. */
int varlink_connection_close(VarlinkConnection *connection, bool end) NONNULL(1);
/* Ends it. `reason`, for the log, may be NULL. */
int varlink_connection_drop(VarlinkConnection *connection, const char *reason) NODISCARD NONNULL(1);
/* Says why and ends the connection: what the peer sends cannot be followed any further. */
int varlink_connection_refuse(VarlinkConnection *connection, Fault code, const char *message) NODISCARD
        NONNULL(1, 3);

/* Queues a whole message and duplicates of its descriptors, and sends what goes. */
int varlink_connection_send(VarlinkConnection *connection, const Buf *message, const int *fds, size_t n_fds)
        NODISCARD NONNULL(1, 2);
/* Takes messages as long as none is under way and nothing waits to be written. */
int varlink_connection_run(VarlinkConnection *connection) NODISCARD NONNULL(1);
/* Waits for what comes next. `progress`: the peer did something, so the time it has begins anew. */
int varlink_connection_update(VarlinkConnection *connection, bool progress) NODISCARD NONNULL(1);

static inline void varlink_connection_enter(VarlinkConnection *connection)
{
        connection->depth++;
}
/* Ends what the other began, and frees what died in between. */
void varlink_connection_leave(VarlinkConnection *connection) NONNULL(1);
