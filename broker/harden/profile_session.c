#include "harden/calls.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* Reads what a sandbox sends, on sockets that were made and bound by others. */
static const HardenCall calls[] = {
        ALLOW(accept4),
        ALLOW(getpeername),
        ALLOW_OPTION(IPPROTO_TCP, TCP_NODELAY),
        ALLOW_OPTION(SOL_SOCKET, SO_KEEPALIVE),
};

const HardenProfile harden_profile_session = {
        .role = "session",
        .calls = calls,
        .n_calls = ARRAY_SIZE(calls),
        .max_files = 1024, /* a sandbox's connections, and two for each to its egress */
};
