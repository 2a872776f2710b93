#include "harden/calls.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/*
 * Speaks with the upstreams of one profile for as long as it has sessions: out to the network,
 * through libcurl, whose resolver is a thread that may load name service modules. Writes no file,
 * reads those of the resolver; the certificates are read before.
 */
static const HardenCall calls[] = {
        ALLOW(socketpair),
        ALLOW(pipe2),
        ALLOW(eventfd2),
        ALLOW(sendmmsg),
        ALLOW(uname),
        ALLOW_OPTION(IPPROTO_TCP, TCP_NODELAY),
        ALLOW_OPTION(IPPROTO_TCP, TCP_KEEPIDLE),
        ALLOW_OPTION(IPPROTO_TCP, TCP_KEEPINTVL),
        ALLOW_OPTION(IPPROTO_TCP, TCP_KEEPCNT),
        ALLOW_OPTION(IPPROTO_TCP, TCP_FASTOPEN_CONNECT),
        ALLOW_OPTION(SOL_SOCKET, SO_KEEPALIVE),
        ALLOW_OPTION(IPPROTO_IP, IP_RECVERR),
        ALLOW_OPTION(IPPROTO_IP, IP_MTU_DISCOVER),
        ALLOW_OPTION(IPPROTO_IPV6, IPV6_RECVERR),
        ALLOW_OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
        ALLOW_OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER),
};

/*
 * Single files of /etc. Such a rule is lost when the file is replaced by rename(), and this process
 * lives for days; so main.c adds the directories of those that are replaced (resolver_paths.h),
 * wherever that gives nothing away.
 */
static const HardenPath paths[] = {
        { .path = "/etc/resolv.conf", .optional = true }, /* wherever it points */
        { .path = "/etc/hosts", .optional = true },
        { .path = "/etc/nsswitch.conf", .optional = true },
        { .path = "/etc/gai.conf", .optional = true },
        { .path = "/etc/host.conf", .optional = true },
        { .path = "/etc/services", .optional = true },
        { .path = "/etc/protocols", .optional = true },
        { .path = "/etc/ld.so.cache", .optional = true },
        { .path = "/etc/ssl/openssl.cnf", .optional = true },
        { .path = "/etc/crypto-policies", .optional = true },
        { .path = "/usr/share/crypto-policies", .optional = true },
        { .path = "/usr/lib", .optional = true }, /* name service and OpenSSL modules */
        { .path = "/usr/lib64", .optional = true },
        { .path = "/lib", .optional = true },
        { .path = "/lib64", .optional = true },
};

const HardenProfile harden_profile_egress = {
        .role = "egress",
        .calls = calls,
        .n_calls = ARRAY_SIZE(calls),
        .paths = paths,
        .n_paths = ARRAY_SIZE(paths),
        .files = HARDEN_FILES_READ,
        .threads = true,
        .loads_code = true,
        .network = true,
        .max_files = 8192, /* an edge a session; two for each request, and idle connections */
};
