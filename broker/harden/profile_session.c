#include "harden/calls.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define SOCK_TYPE_MASK UINT64_C(0xf) /* without SOCK_CLOEXEC and SOCK_NONBLOCK */

/* Reads what a sandbox sends, on sockets that were made and bound by others. The one kind that it makes
 * itself is connected to itself alone: the lanes to its egresses. */
static const HardenCall calls[] = {
        ALLOW(accept4),
        ALLOW(getpeername),
        { .number = SCMP_SYS(socketpair),
          .n_matches = 2,
          .matches = { { LOW32, AF_UNIX, 0 }, { SOCK_TYPE_MASK, SOCK_SEQPACKET, 1 } } },
        ALLOW_OPTION(IPPROTO_TCP, TCP_NODELAY),
        ALLOW_OPTION(SOL_SOCKET, SO_KEEPALIVE),
};

const HardenProfile harden_profile_session = {
        .role = "session",
        .calls = calls,
        .n_calls = ARRAY_SIZE(calls),
        .max_files = 2048, /* a sandbox's connections, and a lane for each to its egress */
};
