#pragma once
/* A network namespace in which nothing but the loopback is, and the sockets that a session listens
 * on in it. */
#include "cli.h"

#define SANDBOX_PROXY_PORT  3128
#define SANDBOX_PROXY       "127.0.0.1:3128"
#define SANDBOX_SOCKETS_MAX 6U

typedef struct SandboxSockets {
        mcpcred_service services[SANDBOX_SOCKETS_MAX];
        int fds[SANDBOX_SOCKETS_MAX];
        size_t n;
} SandboxSockets;

/*
 * Moves the calling process, which must have one thread, into a user namespace where its own ids
 * stand for themselves, and a network namespace with its loopback up. It has all capabilities there
 * until it runs another program. 0 or -errno, with what was being done in *ret_step.
 */
int sandbox_net_enter(const char **ret_step);
/*
 * Binds in the network namespace of the calling process: with `all` the HTTP proxy's port, 443 and,
 * for datagrams, 53, else the first of these alone. Without IPv6 there are the IPv4 ones. The
 * descriptors are close-on-exec. 0 or -errno, with what was being done in *ret_step.
 */
int sandbox_net_bind(bool all, SandboxSockets *ret, const char **ret_step);
void sandbox_sockets_close(SandboxSockets *sockets);
