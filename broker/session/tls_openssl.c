#include "base/clock.h"
#include "base/wipe.h"
#include "session/tls.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sodium.h>
#include <sys/socket.h>

/* A first record and what came behind it. */
#define FIRST_MAX (TLS_RECORD_MAX + 1024U)
/* Messages that are no data, as updates of keys are, can follow one another without an end: what is still in the
 * kernel is come back for. */
#define RECEIVES_MAX 2U
/* Name, MAC key and cipher's key; more than any version has. */
#define TICKET_KEYS_MAX 256

struct TlsServer {
        unsigned refs;
        SSL_CTX *context;
        BIO_METHOD *socket;
        uint64_t tickets_until; /* boot clock: then their keys are made anew */
        size_t n_certificate;
        uint8_t *certificate;
};

struct Tls {
        SSL *ssl;
        TlsServer *server;
        int fd;
        TlsNameCheck check;
        void *userdata;
        bool named, refused;
        bool dry; /* the descriptor has nothing until it says so */
        unsigned receives;
        size_t writing; /* bytes of a write that was begun and must be gone on with */
        size_t n_first, first_at;
        uint8_t *first; /* read by others before; NULL once it is used up */
};

static const char protocol[] = "http/1.1";

/* The other way round than with mbedTLS: here the processor's instructions for AES are used. */
static const char suites[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305";
static const char suites_13[] = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256";

/* ---- the library ---- */

static void *allocate(size_t size, UNUSED const char *file, UNUSED int line)
{
        return size > 0 ? wipe_malloc(size) : NULL;
}

static void release(void *data, UNUSED const char *file, UNUSED int line)
{
        wipe_free(data);
}

static void *reallocate(void *data, size_t size, UNUSED const char *file, UNUSED int line)
{
        if (size > 0)
                return wipe_realloc(data, size);
        wipe_free(data);
        return NULL;
}

/*
 * With no configuration there is no file, no module and no engine that it would look for, so all it asks of the
 * system once it is confined is what is random. The environment is the supervisor's: it has no variable of OpenSSL.
 */
int tls_setup(void)
{
        if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1)
                return -EBUSY; /* something was allocated before */
        return OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_SSL_STRINGS |
                                OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS, NULL) == 1 ? 0 : -EIO;
}

/* ---- bytes under it ---- */

static int send_bytes(BIO *bio, const char *data, int size)
{
        const Tls *tls = BIO_get_data(bio);
        ssize_t n = send(tls->fd, data, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);

        BIO_clear_retry_flags(bio);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                BIO_set_retry_write(bio);
        return (int)n;
}

static int take_first(Tls *tls, char *out, size_t size)
{
        size_t taken = MIN(size, tls->n_first - tls->first_at);

        memcpy(out, tls->first + tls->first_at, taken);
        tls->first_at += taken;
        if (tls->first_at == tls->n_first) {
                free(tls->first);
                tls->first = NULL;
        }
        return (int)taken;
}

static int receive_bytes(BIO *bio, char *out, int size)
{
        Tls *tls = BIO_get_data(bio);
        ssize_t n;

        BIO_clear_retry_flags(bio);
        if (tls->first)
                return take_first(tls, out, (size_t)size);
        if (tls->dry || tls->receives >= RECEIVES_MAX) {
                BIO_set_retry_read(bio);
                return -1;
        }
        tls->receives++;
        n = recv(tls->fd, out, (size_t)size, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                BIO_set_retry_read(bio);
        tls->dry = n < size;
        return (int)n;
}

/* Nothing is held back here; and an end is none that one would have to ask for. */
static long control(UNUSED BIO *bio, int command, UNUSED long number, UNUSED void *data)
{
        return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *socket_new(void)
{
        BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "client");

        if (method && BIO_meth_set_write(method, send_bytes) == 1 && BIO_meth_set_read(method, receive_bytes) == 1 &&
            BIO_meth_set_ctrl(method, control) == 1)
                return method;
        BIO_meth_free(method);
        return NULL;
}

/* ---- the server ---- */

/* The one name of the extension, as it stands in this hello. */
static bool name_of(SSL *ssl, Slice *ret)
{
        const unsigned char *data;
        size_t size;

        /* Length of the list, kind (0: a host), length of the name. */
        if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1 || size < 6 ||
            (size_t)(data[0] << 8 | data[1]) != size - 2 || data[2] != TLSEXT_NAMETYPE_host_name ||
            (size_t)(data[3] << 8 | data[4]) != size - 5)
                return false;
        *ret = slice(data + 5, size - 5);
        return true;
}

/*
 * Before anything is computed. A resumed TLS 1.2 session has a name of its own in OpenSSL, so the library's
 * is not asked for.
 */
static int on_hello(SSL *ssl, int *alert, UNUSED void *userdata)
{
        Tls *tls = SSL_get_app_data(ssl);
        Slice name;

        *alert = SSL_AD_HANDSHAKE_FAILURE;
        tls->named = false;
        if (!name_of(ssl, &name))
                return SSL_CLIENT_HELLO_ERROR;
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        tls->named = tls->check(tls->userdata, name);
        tls->refused = !tls->named;
        return tls->named ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

/* Asked only where the client has a list at all. */
static int on_protocols(UNUSED SSL *ssl, const unsigned char **ret, unsigned char *ret_size, const unsigned char *list,
                        unsigned size, UNUSED void *userdata)
{
        const size_t wanted = sizeof(protocol) - 1;

        for (size_t at = 0; at < size; at += 1U + list[at]) {
                if (list[at] != wanted || size - at - 1 < wanted || memcmp(list + at + 1, protocol, wanted) != 0)
                        continue;
                *ret = list + at + 1;
                *ret_size = (unsigned char)wanted;
                return SSL_TLSEXT_ERR_OK;
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Those that were given out under the former ones are of no use then: it costs their owners a whole handshake. */
static bool renew_tickets(TlsServer *server)
{
        uint8_t keys[TICKET_KEYS_MAX];
        long size = SSL_CTX_get_tlsext_ticket_keys(server->context, NULL, 0);
        bool ok = size > 0 && size <= TICKET_KEYS_MAX;

        if (!ok)
                return false;
        randombytes_buf(keys, (size_t)size);
        ok = SSL_CTX_set_tlsext_ticket_keys(server->context, keys, size) == 1;
        sodium_memzero(keys, sizeof(keys));
        server->tickets_until = clock_boot(&clock_system) + TLS_TICKET_SECONDS * USEC_PER_SEC;
        return ok;
}

static bool configure(TlsServer *server)
{
        SSL_CTX *context = server->context;
        char groups[] = "X25519:P-256"; /* a macro takes it that knows no const */

        SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                             SSL_OP_PRIORITIZE_CHACHA);
        /* No chain is looked for with each handshake; and an idle connection has no buffers. */
        SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_read_ahead(context, 1);
        /* Tickets alone: what is resumed is not kept here. */
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_timeout(context, TLS_TICKET_SECONDS);
        SSL_CTX_set_client_hello_cb(context, on_hello, NULL);
        SSL_CTX_set_alpn_select_cb(context, on_protocols, NULL);
        return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
               SSL_CTX_set_max_early_data(context, 0) == 1 && SSL_CTX_set_num_tickets(context, 1) == 1 &&
               SSL_CTX_set_cipher_list(context, suites) == 1 && SSL_CTX_set_ciphersuites(context, suites_13) == 1 &&
               SSL_CTX_set1_groups_list(context, groups) == 1 && renew_tickets(server);
}

/*
 * OpenSSL keeps the key as numbers of its own, in memory that is not locked (nor is mbedTLS's) but wiped when it is
 * freed, as are its decoder's copies on the way.
 */
static bool use_leaf(SSL_CTX *context, Slice certificate, Slice key)
{
        const unsigned char *at = certificate.data, *key_at = key.data;
        X509 *leaf = d2i_X509(NULL, &at, (long)certificate.size);
        EVP_PKEY *secret = d2i_AutoPrivateKey(NULL, &key_at, (long)key.size);
        bool ok = leaf && secret && SSL_CTX_use_certificate(context, leaf) == 1 &&
                  SSL_CTX_use_PrivateKey(context, secret) == 1;

        X509_free(leaf);
        EVP_PKEY_free(secret);
        return ok;
}

int tls_server_new(TlsServer **ret, Slice certificate, Slice key)
{
        TlsServer *server = calloc(1, sizeof(*server));

        if (!server)
                return -ENOMEM;
        server->refs = 1;
        server->certificate = malloc(MAX(certificate.size, 1U));
        server->socket = socket_new();
        server->context = SSL_CTX_new(TLS_server_method());
        if (!server->certificate || !server->socket || !server->context) {
                tls_server_unref(server);
                return -ENOMEM;
        }
        if (certificate.size > 0)
                memcpy(server->certificate, certificate.data, certificate.size);
        server->n_certificate = certificate.size;
        if (!use_leaf(server->context, certificate, key) || !configure(server)) {
                ERR_clear_error();
                tls_server_unref(server);
                return TLS_E_LEAF;
        }
        /* The decoder tries more than one form. */
        ERR_clear_error();
        *ret = server;
        return 0;
}

TlsServer *tls_server_unref(TlsServer *server)
{
        if (!server || --server->refs > 0)
                return NULL;
        SSL_CTX_free(server->context);
        BIO_meth_free(server->socket);
        free(server->certificate);
        free(server);
        return NULL;
}

bool tls_server_has(const TlsServer *server, Slice certificate)
{
        return slice_equal(slice(server->certificate, server->n_certificate), certificate);
}

/* ---- a connection ---- */

static bool begin(Tls *tls)
{
        BIO *bio = BIO_new(tls->server->socket);

        tls->ssl = SSL_new(tls->server->context);
        if (!bio || !tls->ssl || SSL_set_app_data(tls->ssl, tls) != 1) {
                BIO_free(bio);
                return false;
        }
        BIO_set_data(bio, tls);
        BIO_set_init(bio, 1);
        SSL_set_bio(tls->ssl, bio, bio);
        SSL_set_accept_state(tls->ssl);
        return true;
}

int tls_new(Tls **ret, TlsServer *server, int fd, Slice read, TlsNameCheck check, void *userdata)
{
        Tls *tls;
        bool ok;

        if (read.size > FIRST_MAX)
                return -EMSGSIZE;
        if (clock_boot(&clock_system) >= server->tickets_until && !renew_tickets(server))
                return -EIO;
        tls = calloc(1, sizeof(*tls));
        if (!tls)
                return -ENOMEM;
        tls->server = server;
        server->refs++;
        tls->fd = fd;
        tls->check = check;
        tls->userdata = userdata;
        tls->first = read.size > 0 ? malloc(read.size) : NULL;
        ok = (read.size == 0 || tls->first) && begin(tls);
        ERR_clear_error();
        if (!ok) {
                tls_free(tls);
                return -ENOMEM;
        }
        if (read.size > 0)
                memcpy(tls->first, read.data, read.size);
        tls->n_first = read.size;
        *ret = tls;
        return 0;
}

Tls *tls_free(Tls *tls)
{
        if (!tls)
                return NULL;
        SSL_free(tls->ssl);
        tls_server_unref(tls->server);
        free(tls->first);
        free(tls);
        return NULL;
}

/* What went wrong stands in a queue of the thread, also where it mattered to nobody, and is looked at behind what
 * failed: none may find what is another's. */
static void start(Tls *tls)
{
        ERR_clear_error();
        tls->receives = 0;
}

static int result(const Tls *tls, int r)
{
        int error = SSL_get_error(tls->ssl, r);

        ERR_clear_error();
        switch (error) {
        case SSL_ERROR_WANT_READ:
                return TLS_E_AGAIN;
        case SSL_ERROR_WANT_WRITE:
                return TLS_E_FULL;
        case SSL_ERROR_ZERO_RETURN:
                return TLS_E_CLOSED;
        default:
                return tls->refused || !tls->named ? TLS_E_NAME : TLS_E_BROKEN;
        }
}

int tls_handshake(Tls *tls)
{
        int r;

        start(tls);
        r = SSL_do_handshake(tls->ssl);
        if (r == 1)
                return tls->named ? 0 : TLS_E_NAME;
        return result(tls, r);
}

int tls_read(Tls *tls, uint8_t *data, size_t size, size_t *ret)
{
        int r;

        start(tls);
        r = SSL_read(tls->ssl, data, (int)MIN(size, (size_t)INT_MAX));
        if (r > 0) {
                *ret = (size_t)r;
                return 0;
        }
        return result(tls, r);
}

void tls_announced(Tls *tls)
{
        tls->dry = false;
}

int tls_write(Tls *tls, Slice data, size_t *ret)
{
        size_t size = tls->writing > 0 ? tls->writing : MIN(data.size, TLS_RECORD_MAX);
        int r;

        start(tls);
        r = SSL_write(tls->ssl, data.data, (int)size);
        tls->writing = 0;
        if (r > 0) {
                *ret = (size_t)r;
                return 0;
        }
        r = result(tls, r);
        if (r == TLS_E_FULL)
                tls->writing = size;
        return r;
}

void tls_close(Tls *tls)
{
        start(tls);
        if (SSL_shutdown(tls->ssl) < 0)
                ERR_clear_error(); /* then it is not said */
}
