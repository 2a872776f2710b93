#include "session/tls.h"
#include <mbedtls/version.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <mbedtls/build_info.h>
#include <psa/crypto.h>
#else
#include <mbedtls/config.h>
#endif
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ciphersuites.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>
#include <sodium.h>
#include <sys/socket.h>

/* One system call instead of two for a record that is small, as a request's is. */
#define AHEAD_MAX 4096U
/* A first record and what came behind it. */
#define FIRST_MAX (TLS_RECORD_MAX + 1024U)

struct TlsServer {
        unsigned refs;
        mbedtls_ssl_config config;
        mbedtls_x509_crt certificate;
        mbedtls_pk_context key;
        mbedtls_ssl_ticket_context tickets;
        const char *protocols[2]; /* the library keeps the pointer */
};

struct Tls {
        mbedtls_ssl_context ssl;
        TlsServer *server;
        int fd;
        TlsNameCheck check;
        void *userdata;
        bool named, refused;
        bool dry;       /* the descriptor has nothing until it says so */
        size_t writing; /* bytes of a write that was begun and must be gone on with */
        size_t n_first, first_at;
        uint8_t *first; /* read by others before; NULL once it is used up */
        size_t n_ahead, ahead_at;
        uint8_t ahead[AHEAD_MAX];
};

static const int suites[] = {
#ifdef MBEDTLS_SSL_PROTO_TLS1_3
        MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
        MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
#endif
        /* mbedTLS moves a third more with it than with AES-GCM. */
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        0,
};

#if MBEDTLS_VERSION_MAJOR >= 3
static const uint16_t groups[] = {
        MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
        MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
        MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};
#else
static const mbedtls_ecp_group_id groups[] = {
        MBEDTLS_ECP_DP_CURVE25519,
        MBEDTLS_ECP_DP_SECP256R1,
        MBEDTLS_ECP_DP_NONE,
};
#endif

static int random_bytes(UNUSED void *userdata, unsigned char *out, size_t size)
{
        randombytes_buf(out, size);
        return 0;
}

int tls_setup(void)
{
#if MBEDTLS_VERSION_MAJOR >= 3
        return psa_crypto_init() == PSA_SUCCESS ? 0 : -EIO;
#else
        return 0;
#endif
}

/* ---- the server ---- */

static int parse_key(TlsServer *server, Slice key)
{
#if MBEDTLS_VERSION_MAJOR >= 3
        return mbedtls_pk_parse_key(&server->key, key.data, key.size, NULL, 0, random_bytes, NULL);
#else
        return mbedtls_pk_parse_key(&server->key, key.data, key.size, NULL, 0);
#endif
}

/* The leaf is given for the name alone, so that who sends none gets no further, and costs little. */
static int on_name(void *userdata, mbedtls_ssl_context *ssl, const unsigned char *name, size_t size)
{
        TlsServer *server = userdata;
        Tls *tls = container_of(ssl, Tls, ssl);

        tls->named = tls->check(tls->userdata, slice(name, size));
        tls->refused = !tls->named;
        if (!tls->named)
                return -1;
        return mbedtls_ssl_set_hs_own_cert(ssl, &server->certificate, &server->key);
}

static int read_ticket(void *userdata, mbedtls_ssl_session *session, unsigned char *data, size_t size)
{
        return mbedtls_ssl_ticket_parse(userdata, session, data, size);
}

static int configure(TlsServer *server)
{
        mbedtls_ssl_config *config = &server->config;
        int r = mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
                                            MBEDTLS_SSL_PRESET_DEFAULT);

        if (r != 0)
                return r;
        mbedtls_ssl_conf_rng(config, random_bytes, NULL);
        mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_NONE);
        mbedtls_ssl_conf_ciphersuites(config, suites);
#if MBEDTLS_VERSION_MAJOR >= 3
        mbedtls_ssl_conf_min_tls_version(config, MBEDTLS_SSL_VERSION_TLS1_2);
        mbedtls_ssl_conf_groups(config, groups);
#else
        mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
        mbedtls_ssl_conf_curves(config, groups);
#endif
#ifdef MBEDTLS_SSL_RENEGOTIATION
        mbedtls_ssl_conf_renegotiation(config, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
#endif
        mbedtls_ssl_conf_sni(config, on_name, server);
        server->protocols[0] = "http/1.1";
        r = mbedtls_ssl_conf_alpn_protocols(config, server->protocols);
        if (r == 0)
                r = mbedtls_ssl_ticket_setup(&server->tickets, random_bytes, NULL, MBEDTLS_CIPHER_AES_256_GCM,
                                             TLS_TICKET_SECONDS);
        if (r == 0)
                mbedtls_ssl_conf_session_tickets_cb(config, mbedtls_ssl_ticket_write, read_ticket, &server->tickets);
        return r;
}

int tls_server_new(TlsServer **ret, Slice certificate, Slice key)
{
        TlsServer *server = calloc(1, sizeof(*server));
        int r;

        if (!server)
                return -ENOMEM;
        server->refs = 1;
        mbedtls_ssl_config_init(&server->config);
        mbedtls_x509_crt_init(&server->certificate);
        mbedtls_pk_init(&server->key);
        mbedtls_ssl_ticket_init(&server->tickets);
        r = mbedtls_x509_crt_parse_der(&server->certificate, certificate.data, certificate.size);
        if (r == 0)
                r = parse_key(server, key);
        if (r == 0)
                r = configure(server);
        if (r != 0) {
                tls_server_unref(server);
                return TLS_E_LEAF;
        }
        *ret = server;
        return 0;
}

TlsServer *tls_server_unref(TlsServer *server)
{
        if (!server || --server->refs > 0)
                return NULL;
        mbedtls_ssl_config_free(&server->config);
        mbedtls_ssl_ticket_free(&server->tickets);
        mbedtls_x509_crt_free(&server->certificate);
        mbedtls_pk_free(&server->key);
        free(server);
        return NULL;
}

bool tls_server_has(const TlsServer *server, Slice certificate)
{
        return slice_equal(slice(server->certificate.raw.p, server->certificate.raw.len), certificate);
}

/* ---- bytes under it ---- */

static int send_bytes(void *userdata, const unsigned char *data, size_t size)
{
        const Tls *tls = userdata;
        ssize_t n = send(tls->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0)
                return (int)n;
        return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int take(uint8_t *out, size_t size, const uint8_t *from, size_t *at, size_t n)
{
        size_t taken = MIN(size, n - *at);

        memcpy(out, from + *at, taken);
        *at += taken;
        return (int)taken;
}

static int receive_bytes(void *userdata, unsigned char *out, size_t size)
{
        Tls *tls = userdata;
        bool direct = size >= AHEAD_MAX;
        ssize_t n;

        if (tls->first) {
                int taken = take(out, size, tls->first, &tls->first_at, tls->n_first);

                if (tls->first_at == tls->n_first) {
                        free(tls->first);
                        tls->first = NULL;
                }
                return taken;
        }
        if (tls->ahead_at < tls->n_ahead)
                return take(out, size, tls->ahead, &tls->ahead_at, tls->n_ahead);
        if (tls->dry)
                return MBEDTLS_ERR_SSL_WANT_READ;
        n = direct ? recv(tls->fd, out, size, MSG_DONTWAIT) : recv(tls->fd, tls->ahead, AHEAD_MAX, MSG_DONTWAIT);
        tls->dry = n < 0 || (size_t)n < (direct ? size : AHEAD_MAX);
        if (n == 0)
                return MBEDTLS_ERR_SSL_CONN_EOF;
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_READ : MBEDTLS_ERR_SSL_CONN_EOF;
        if (direct)
                return (int)n;
        tls->ahead_at = 0;
        tls->n_ahead = (size_t)n;
        return take(out, size, tls->ahead, &tls->ahead_at, tls->n_ahead);
}

/* ---- a connection ---- */

int tls_new(Tls **ret, TlsServer *server, int fd, Slice read, TlsNameCheck check, void *userdata)
{
        Tls *tls = calloc(1, sizeof(*tls));

        if (!tls)
                return -ENOMEM;
        mbedtls_ssl_init(&tls->ssl);
        tls->server = server;
        server->refs++;
        tls->fd = fd;
        tls->check = check;
        tls->userdata = userdata;
        if (read.size > FIRST_MAX) {
                tls_free(tls);
                return -EMSGSIZE;
        }
        tls->first = read.size > 0 ? malloc(read.size) : NULL;
        if ((read.size > 0 && !tls->first) || mbedtls_ssl_setup(&tls->ssl, &server->config) != 0) {
                tls_free(tls);
                return -ENOMEM;
        }
        if (read.size > 0)
                memcpy(tls->first, read.data, read.size);
        tls->n_first = read.size;
        mbedtls_ssl_set_bio(&tls->ssl, tls, send_bytes, receive_bytes, NULL);
        *ret = tls;
        return 0;
}

Tls *tls_free(Tls *tls)
{
        if (!tls)
                return NULL;
        mbedtls_ssl_free(&tls->ssl);
        tls_server_unref(tls->server);
        free(tls->first);
        free(tls);
        return NULL;
}

static int result(const Tls *tls, int r)
{
        switch (r) {
        case MBEDTLS_ERR_SSL_WANT_READ:
#ifdef MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET
        case MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET:
#endif
                return TLS_E_AGAIN;
        case MBEDTLS_ERR_SSL_WANT_WRITE:
                return TLS_E_FULL;
        case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
                return TLS_E_CLOSED;
        default:
                return tls->refused || !tls->named ? TLS_E_NAME : TLS_E_BROKEN;
        }
}

int tls_handshake(Tls *tls)
{
        int r = mbedtls_ssl_handshake(&tls->ssl);

        if (r == 0)
                return tls->named ? 0 : TLS_E_NAME;
        return result(tls, r);
}

int tls_read(Tls *tls, uint8_t *data, size_t size, size_t *ret)
{
        int r = mbedtls_ssl_read(&tls->ssl, data, size);

        if (r > 0) {
                *ret = (size_t)r;
                return 0;
        }
        return r == 0 ? TLS_E_BROKEN : result(tls, r);
}

void tls_announced(Tls *tls)
{
        tls->dry = false;
}

int tls_write(Tls *tls, Slice data, size_t *ret)
{
        size_t size = tls->writing > 0 ? tls->writing : MIN(data.size, TLS_RECORD_MAX);
        int r = mbedtls_ssl_write(&tls->ssl, data.data, size);

        tls->writing = 0;
        if (r > 0) {
                *ret = (size_t)r;
                return 0;
        }
        if (r == MBEDTLS_ERR_SSL_WANT_WRITE)
                tls->writing = size;
        return r == 0 ? TLS_E_BROKEN : result(tls, r);
}

void tls_close(Tls *tls)
{
        if (mbedtls_ssl_close_notify(&tls->ssl) != 0)
                return; /* then it is not said */
}
