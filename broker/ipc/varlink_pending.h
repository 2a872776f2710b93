#pragma once
/*
 * A call that is not answered yet: found in the interface, its parameters read, handed to the handler, and
 * answered by varlink_reply() and varlink_fail() of varlink_server.h, which are in this file too. It outlives
 * its connection when the peer leaves first.
 */
#include "base/pool.h"
#include "ipc/varlink_connection.h"
#include "wire/varlink.h"

typedef struct VarlinkPending {
        VarlinkRequest request;        /* first, so that the two convert */
        VarlinkConnection *connection; /* NULL once it is gone */
        const Interface *interface;
        bool more, oneway;
        bool too_long; /* for one reply */
        VarlinkJoin join;
        Pool pool;
        VarlinkHappened happened; /* may be NULL */
        void *userdata;
} VarlinkPending;

/* Takes the call, and the descriptors that came with it, from the connection, and has it served: by the
 * handler, by org.varlink.service, or with an error. It may be answered when this returns. -errno ends the loop. */
int varlink_pending_begin(VarlinkConnection *connection, const VarlinkCall *call) NODISCARD NONNULL(1, 2);
/* Tells whoever watches the call. Nothing happens for NULL, or where nobody does. */
int varlink_pending_happened(VarlinkPending *pending, VarlinkEvent event) NODISCARD;
