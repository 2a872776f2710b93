#pragma once
/*
 * TLS towards the sandbox: a server with the session's one leaf. The option `tls` says whose: tls.c has mbedTLS
 * (2.28 and 3.6), tls_openssl.c has OpenSSL (3.0 and later), and no other file knows of either. TLS 1.2 and, where the
 * library has it, 1.3; two curves, two ciphers, http/1.1 by ALPN, tickets under a key that this process alone has.
 */
#include "base/error.h"
#include "base/secret.h"

/* A record's largest content: more in one call is written in parts. */
#define TLS_RECORD_MAX 16384U
#define TLS_TICKET_SECONDS 3600U
/* A record's head and the handshake message's type: enough to see that it is no ClientHello. */
#define TLS_HELLO_MIN 6U

typedef struct TlsServer TlsServer;
typedef struct Tls Tls;

enum {
        _TLS_E_SUCCESS,
        TLS_E_AGAIN,  /* wait for the descriptor to be readable */
        TLS_E_FULL,   /* wait for it to be writable, then call again with the same bytes */
        TLS_E_CLOSED, /* the peer ended it properly */
        TLS_E_BROKEN, /* it ended otherwise, or the peer broke the protocol */
        TLS_E_NAME,   /* no server name, or one that may not be reached */
        TLS_E_LEAF,   /* the certificate or its key cannot be used */
};

/* Whether the connection may be about this host. Asked early, once for each hello: TLS 1.3 may ask for a second one. */
typedef bool (*TlsNameCheck)(void *userdata, Slice name);

/* Once a process, before it is confined. */
int tls_setup(void) NODISCARD;
/* Both DER. TLS_E_LEAF, -errno. */
int tls_server_new(TlsServer **ret, Slice certificate, Slice key) NODISCARD NONNULL(1);
/* Connections keep what they were made with: freed when the last one is. */
TlsServer *tls_server_unref(TlsServer *server);
/* Whether it serves this certificate, so that tickets need not be thrown away. */
bool tls_server_has(const TlsServer *server, Slice certificate) NONNULL(1);

/* The fd is borrowed. `read` is what was read of it already (at most TLS_RECORD_MAX). */
int tls_new(Tls **ret, TlsServer *server, int fd, Slice read, TlsNameCheck check, void *userdata) NODISCARD
        NONNULL(1, 2, 5);
Tls *tls_free(Tls *tls);
/* 0 once it is over. TLS_E_*. */
int tls_handshake(Tls *tls) NODISCARD NONNULL(1);
/* At least one byte. TLS_E_*. What it has read ahead is announced by no descriptor: to be called until TLS_E_AGAIN. */
int tls_read(Tls *tls, uint8_t *data, size_t size, size_t *ret) NODISCARD NONNULL(1, 2, 4);
/* The descriptor is readable, or has ended: until then nothing is asked of one that had less than was asked for. */
void tls_announced(Tls *tls) NONNULL(1);
int tls_write(Tls *tls, Slice data, size_t *ret) NODISCARD NONNULL(1, 3);
/* Says goodbye, as far as the socket takes it. */
void tls_close(Tls *tls) NONNULL(1);

typedef enum TlsHello {
        TLS_HELLO_MORE, /* nothing speaks against it so far */
        TLS_HELLO_YES,  /* a whole first record */
        TLS_HELLO_NO,
} TlsHello;
/* Whether what came first on a connection is a ClientHello; looks at the record alone. */
TlsHello tls_hello(Slice bytes);
