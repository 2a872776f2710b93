#pragma once
/* What the three files behind varlink_server.h share of a server: which lists it has, and what all of its
 * connections together may cost. */
#include "base/list.h"
#include "ipc/varlink_server.h"

struct VarlinkServer {
        VarlinkServerConfig config;
        List listeners;
        List connections;
        size_t n_connections;
        size_t out_total;     /* bytes that wait in the connections' outputs */
        bool takes_fds;       /* some call may carry descriptors */
        uint64_t notes_until; /* boot clock: when a new minute of log lines begins */
        unsigned n_notes;     /* in this one */
};

/* Peers must not be able to fill the log: a number of lines a minute, then silence. */
void varlink_server_note(VarlinkServer *server, const VarlinkPeer *peer, const char *reason) NONNULL(1, 2, 3);
