#include "egress/connection.h"
#include "base/list.h"
#include "base/wipe.h"
#include <curl/curl.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

/* One read of the kernel's for several records of 16 KiB; given back while the connection is quiet. */
#define TLS_READ_BUFFER (64U * 1024U)
/* "https://", a host, a port and "/". */
#define URL_MAX (HTTP_HOST_MAX + 20U)

struct Connector {
        ConnectorConfig config;
        CURLM *multi;
        Timer *timer; /* of libcurl */
        List watches;
        int error;    /* -errno of ours, inside a callback of libcurl's */
};

/* A descriptor that libcurl waits for while it connects: a socket, or one of its resolver's. */
typedef struct Watch {
        List link;
        Connector *connector;
        int fd;
        Source *source;
} Watch;

struct Connection {
        Connector *connector;
        CURL *easy;
        HttpAuthority authority;
        const Guard *guard;
        const ConnectionCallbacks *callbacks;
        void *userdata;
        unsigned n_refused; /* addresses that the guard refused */
        unsigned n_tried;
        int fd;             /* libcurl's, once connected */
        Source *source;     /* NULL while nothing is watched for */
        uint32_t events;
};

int connector_global_init(void)
{
        CURLcode code = curl_global_init_mem(CURL_GLOBAL_SSL, wipe_malloc, wipe_free, wipe_realloc, wipe_strdup,
                                             wipe_calloc);

        return code == CURLE_OK ? 0 : -ENOSYS;
}

/* ---- libcurl's side of the loop ---- */

static ConnectFailure failure_of(const Connection *connection, CURLcode code)
{
        if (connection->n_refused > 0 && connection->n_tried == 0)
                return CONNECT_ADDRESS;
        switch (code) {
        case CURLE_COULDNT_RESOLVE_HOST:
                return CONNECT_NAME;
        case CURLE_OPERATION_TIMEDOUT:
                return CONNECT_TIMEOUT;
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
                return CONNECT_TLS;
        case CURLE_COULDNT_RESOLVE_PROXY:
        case CURLE_PROXY:
                return CONNECT_PROXY;
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR: /* what it says of a proxy that refuses CONNECT */
                return connection->connector->config.proxy ? CONNECT_PROXY : CONNECT_UNREACHED;
        default:
                return CONNECT_UNREACHED;
        }
}

static int on_event(void *userdata, uint32_t events)
{
        Connection *connection = userdata;

        return connection->callbacks->event(connection->userdata, events);
}

static int connected(Connection *connection)
{
        curl_socket_t fd = CURL_SOCKET_BAD;

        if (curl_easy_getinfo(connection->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
                return connection->callbacks->failed(connection->userdata, CONNECT_UNREACHED);
        connection->fd = fd;
        return connection->callbacks->ready(connection->userdata);
}

/* A callback may free any connection, and with it messages that wait here. */
static int collect(Connector *connector)
{
        CURLMsg *message;
        int r = 0, left;

        while (r == 0 && (message = curl_multi_info_read(connector->multi, &left))) {
                Connection *connection;
                CURLcode code = message->data.result;
                char *private = NULL;

                if (message->msg != CURLMSG_DONE ||
                    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private) != CURLE_OK)
                        continue;
                connection = (void *)private;
                r = code == CURLE_OK ? connected(connection)
                                     : connection->callbacks->failed(connection->userdata,
                                                                     failure_of(connection, code));
        }
        return r;
}

static int act(Connector *connector, curl_socket_t fd, int what)
{
        int running;

        if (curl_multi_socket_action(connector->multi, fd, what, &running) != CURLM_OK)
                return -ENOTRECOVERABLE;
        return connector->error < 0 ? connector->error : collect(connector);
}

static int on_watch(void *userdata, uint32_t events)
{
        Watch *watch = userdata;
        int what = 0;

        if (events & (EPOLLIN | EPOLLHUP))
                what |= CURL_CSELECT_IN;
        if (events & EPOLLOUT)
                what |= CURL_CSELECT_OUT;
        if (events & EPOLLERR)
                what |= CURL_CSELECT_ERR;
        return act(watch->connector, watch->fd, what);
}

static int on_curl_timer(void *userdata)
{
        return act(userdata, CURL_SOCKET_TIMEOUT, 0);
}

static int set_timer(UNUSED CURLM *multi, long msec, void *userdata)
{
        Connector *connector = userdata;

        if (msec < 0)
                timer_disarm(connector->timer);
        else
                timer_arm_after(connector->timer, (uint64_t)msec * USEC_PER_MSEC);
        return 0;
}

static void watch_free(Watch *watch)
{
        source_free(watch->source);
        list_remove(&watch->link);
        free(watch);
}

static int watch_new(Connector *connector, int fd, uint32_t events)
{
        Watch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return -ENOMEM;
        *watch = (Watch){ .connector = connector, .fd = fd };
        r = source_new(&watch->source, connector->config.loop, fd, events, on_watch, watch);
        if (r == 0 && curl_multi_assign(connector->multi, fd, watch) != CURLM_OK)
                r = -ENOTRECOVERABLE;
        list_append(&connector->watches, &watch->link);
        if (r < 0)
                watch_free(watch);
        return r;
}

static int set_socket(UNUSED CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket_data)
{
        Connector *connector = userdata;
        Watch *watch = socket_data;
        uint32_t events = 0;
        int r = 0;

        if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
                events |= EPOLLIN;
        if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
                events |= EPOLLOUT;
        if (what == CURL_POLL_REMOVE && watch)
                watch_free(watch);
        else if (what != CURL_POLL_REMOVE && watch)
                r = source_set_events(watch->source, events);
        else if (what != CURL_POLL_REMOVE)
                r = watch_new(connector, fd, events);
        if (r < 0)
                connector->error = r;
        return 0;
}

int connector_new(Connector **ret, const ConnectorConfig *config)
{
        _cleanup_(connector_freep) Connector *connector = calloc(1, sizeof(*connector));
        int r;

        if (!connector)
                return -ENOMEM;
        connector->config = *config;
        list_init(&connector->watches);
        connector->multi = curl_multi_init();
        if (!connector->multi)
                return -ENOMEM;
        r = timer_new(&connector->timer, config->loop, on_curl_timer, connector);
        if (r < 0)
                return r;
        if (curl_multi_setopt(connector->multi, CURLMOPT_SOCKETFUNCTION, set_socket) != CURLM_OK ||
            curl_multi_setopt(connector->multi, CURLMOPT_SOCKETDATA, connector) != CURLM_OK ||
            curl_multi_setopt(connector->multi, CURLMOPT_TIMERFUNCTION, set_timer) != CURLM_OK ||
            curl_multi_setopt(connector->multi, CURLMOPT_TIMERDATA, connector) != CURLM_OK ||
            curl_multi_setopt(connector->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) != CURLM_OK)
                return -ENOTSUP;
        *ret = take_ptr(connector);
        return 0;
}

Connector *connector_free(Connector *connector)
{
        if (!connector)
                return NULL;
        if (connector->multi)
                (void)curl_multi_cleanup(connector->multi);
        LIST_FOREACH(node, &connector->watches)
                watch_free(container_of(node, Watch, link));
        timer_free(connector->timer);
        free(connector);
        return NULL;
}

/* ---- one connection ---- */

/* The owner chose the proxy, wherever it is; what lies behind it is the proxy's to guard. */
static bool may_open(Connection *connection, const struct curl_sockaddr *address)
{
        if (connection->connector->config.proxy)
                return true;
        if (guard_allows(connection->guard, &address->addr, address->addrlen))
                return true;
        connection->n_refused++;
        return false;
}

static curl_socket_t open_socket(void *userdata, UNUSED curlsocktype purpose, struct curl_sockaddr *address)
{
        const struct linger hard = { .l_onoff = 1, .l_linger = 0 };
        Connection *connection = userdata;
        int fd;

        if (!may_open(connection, address))
                return CURL_SOCKET_BAD;
        connection->n_tried++;
        fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) < 0) {
                (void)close(fd);
                return CURL_SOCKET_BAD;
        }
        return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* Not fd_close(), which would take the linger off again. */
static int close_socket(UNUSED void *userdata, curl_socket_t fd)
{
        return close(fd) < 0 ? 1 : 0;
}

static CURLcode set_up_tls(UNUSED CURL *easy, void *context, void *userdata)
{
        Connection *connection = userdata;
        SSL_CTX *ssl = context;

        SSL_CTX_set1_cert_store(ssl, connection->connector->config.trust);
        /* In the middle of a response it is of use to nobody but who wants to keep us busy. */
        (void)SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
        /* A write that is tried again may come from elsewhere: buffers move when they grow. */
        (void)SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                            SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_read_ahead(ssl, 1);
        SSL_CTX_set_default_read_buffer_len(ssl, TLS_READ_BUFFER);
        return CURLE_OK;
}

/* One setting after another; the first that libcurl refuses makes the connection not happen. */
#define SET(option, value)                                           \
        do {                                                         \
                if (curl_easy_setopt(curl, option, value) != CURLE_OK) \
                        return -ENOTSUP;                             \
        } while (0)

static int set_proxy(CURL *curl, const char *proxy)
{
        SET(CURLOPT_PROXY, proxy ? proxy : "");
        SET(CURLOPT_NOPROXY, proxy ? "" : "*");
        if (proxy)
                SET(CURLOPT_HTTPPROXYTUNNEL, 1L);
        return 0;
}

static int set_options(Connection *connection, const char *url)
{
        CURL *curl = connection->easy;

        SET(CURLOPT_URL, url);
        SET(CURLOPT_CONNECT_ONLY, 1L);
        SET(CURLOPT_PROTOCOLS_STR, "https");
        SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        SET(CURLOPT_CAINFO, NULL);
        SET(CURLOPT_CAPATH, NULL);
        SET(CURLOPT_SSL_CTX_FUNCTION, set_up_tls);
        SET(CURLOPT_SSL_CTX_DATA, connection);
        SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
        SET(CURLOPT_OPENSOCKETDATA, connection);
        SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
        SET(CURLOPT_CONNECTTIMEOUT_MS, (long)(connection->connector->config.timeout_usec / USEC_PER_MSEC));
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_QUICK_EXIT, 1L); /* or the end waits for a name server: measured, 9.8 s */
        SET(CURLOPT_TCP_NODELAY, 1L);
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        SET(CURLOPT_VERBOSE, 0L);
        SET(CURLOPT_PRIVATE, connection);
        return set_proxy(curl, connection->connector->config.proxy);
}

static int begin(Connection *connection)
{
        char url[URL_MAX];
        int r;

        connection->easy = curl_easy_init();
        if (!connection->easy)
                return -ENOMEM;
        (void)snprintf(url, sizeof(url), "https://%s:%u/", connection->authority.host,
                       (unsigned)connection->authority.port);
        r = set_options(connection, url);
        if (r == 0 && curl_multi_add_handle(connection->connector->multi, connection->easy) != CURLM_OK)
                r = -ENOMEM;
        return r < 0 ? r : connection->connector->error;
}

int connection_new(Connection **ret, Connector *connector, const HttpAuthority *authority, const Guard *guard,
                   const ConnectionCallbacks *callbacks, void *userdata)
{
        _cleanup_(connection_freep) Connection *connection = calloc(1, sizeof(*connection));
        int r;

        if (!connection)
                return -ENOMEM;
        connection->connector = connector;
        connection->authority = *authority;
        connection->guard = guard;
        connection->callbacks = callbacks;
        connection->userdata = userdata;
        connection->fd = -1;
        r = begin(connection);
        if (r < 0)
                return r;
        *ret = take_ptr(connection);
        return 0;
}

/* In this order: libcurl closes the socket when the handle leaves. */
Connection *connection_free(Connection *connection)
{
        if (!connection)
                return NULL;
        source_free(connection->source);
        if (connection->easy) {
                (void)curl_multi_remove_handle(connection->connector->multi, connection->easy);
                curl_easy_cleanup(connection->easy);
        }
        free(connection);
        return NULL;
}

void connection_sever(Connection *connection)
{
        const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

        if (connection->fd >= 0 && connect(connection->fd, &nowhere, sizeof(nowhere)) < 0)
                (void)shutdown(connection->fd, SHUT_RDWR); /* closed hard when it is freed */
}

void connection_set_owner(Connection *connection, const ConnectionCallbacks *callbacks, void *userdata)
{
        connection->callbacks = callbacks;
        connection->userdata = userdata;
}

const HttpAuthority *connection_authority(const Connection *connection)
{
        return &connection->authority;
}

int connection_watch(Connection *connection, uint32_t events)
{
        if (connection->events == events)
                return 0;
        connection->events = events;
        if (events == 0)
                connection->source = source_free(connection->source);
        else if (connection->source)
                return source_set_events(connection->source, events);
        else
                return source_new(&connection->source, connection->connector->config.loop, connection->fd, events,
                                  on_event, connection);
        return 0;
}

int connection_send(Connection *connection, Slice data, size_t *ret_n)
{
        CURLcode code = curl_easy_send(connection->easy, data.data, data.size, ret_n);

        if (code == CURLE_OK)
                return 0;
        return code == CURLE_AGAIN ? CONNECTION_E_AGAIN : CONNECTION_E_CLOSED;
}

int connection_recv(Connection *connection, uint8_t *out, size_t size, size_t *ret_n)
{
        CURLcode code = curl_easy_recv(connection->easy, out, size, ret_n);

        if (code == CURLE_OK)
                return 0;
        return code == CURLE_AGAIN ? CONNECTION_E_AGAIN : CONNECTION_E_CLOSED;
}
