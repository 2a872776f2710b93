#pragma once
/*
 * Connections to upstreams: libcurl resolves, connects (through the owner's proxy, if there is one),
 * does the TLS and verifies; what is sent and read then is ours. One Connector a process.
 *
 * Sockets are set to close hard (SO_LINGER with time 0) from their creation on: what the kernel still
 * holds when one is closed does not leave.
 */
#include "egress/guard.h"
#include "egress/trust.h"
#include "http/target.h"
#include "loop/loop.h"

typedef struct Connector Connector;
typedef struct Connection Connection;

typedef struct ConnectorConfig {
        Loop *loop;
        TrustStore *trust;  /* borrowed */
        const char *proxy;  /* URL of the owner's; NULL: none */
        uint64_t timeout_usec; /* from the name to the end of the handshake */
} ConnectorConfig;

/* Before anything of libcurl, and before any thread. -ENOSYS. */
int connector_global_init(void) NODISCARD;
int connector_new(Connector **ret, const ConnectorConfig *config) NODISCARD NONNULL(1, 2);
/* Every connection must be freed before. */
Connector *connector_free(Connector *connector);

typedef enum ConnectFailure {
        CONNECT_ADDRESS,   /* the guard refused every address of the host */
        CONNECT_NAME,      /* the host has no address, or its name server does not answer */
        CONNECT_TIMEOUT,
        CONNECT_TLS,       /* a handshake that failed, or a certificate that is not the host's */
        CONNECT_PROXY,     /* the owner's proxy */
        CONNECT_UNREACHED, /* anything else */
        _CONNECT_FAILURE_N,
} ConnectFailure;

/* Called from the loop, never from within a function below. The connection may be freed in each. */
typedef struct ConnectionCallbacks {
        int (*ready)(void *userdata);
        int (*failed)(void *userdata, ConnectFailure failure);
        int (*event)(void *userdata, uint32_t events); /* what connection_watch() asked for */
} ConnectionCallbacks;

enum {
        _CONNECTION_E_SUCCESS,
        CONNECTION_E_AGAIN,  /* wait for the descriptor */
        CONNECTION_E_CLOSED, /* by the peer in order, or broken: connection_recv() tells 0 bytes for the first */
};

/* Begins to connect. The guard is borrowed until it stands. */
int connection_new(Connection **ret, Connector *connector, const HttpAuthority *authority, const Guard *guard,
                   const ConnectionCallbacks *callbacks, void *userdata) NODISCARD NONNULL(1, 2, 3, 4, 5);
/* At once and without waiting; safe inside callbacks. */
Connection *connection_free(Connection *connection);
/* Takes the socket off its peer in one system call, and what waits in the kernel with it. All that is left is
 * to free it. */
void connection_sever(Connection *connection) NONNULL(1);
void connection_set_owner(Connection *connection, const ConnectionCallbacks *callbacks, void *userdata) NONNULL(1, 2);
const HttpAuthority *connection_authority(const Connection *connection) NONNULL(1);
/* EPOLLIN and EPOLLOUT. 0: nothing at all, not even an end, which would be told again and again. */
int connection_watch(Connection *connection, uint32_t events) NODISCARD NONNULL(1);

/* CONNECTION_E_AGAIN, CONNECTION_E_CLOSED. What could not be sent must be offered again, in front of more. */
int connection_send(Connection *connection, Slice data, size_t *ret_n) NODISCARD NONNULL(1, 3);
/*
 * At least one byte, or 0 bytes at an end in order. There may be more in TLS's own buffer, which no
 * event tells of: whoever stops before CONNECTION_E_AGAIN must come back by itself.
 */
int connection_recv(Connection *connection, uint8_t *out, size_t size, size_t *ret_n) NODISCARD NONNULL(1, 2, 4);

DEFINE_CLEANUP(Connection *, connection_free);
DEFINE_CLEANUP(Connector *, connector_free);
