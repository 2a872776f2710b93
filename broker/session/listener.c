#include "session/listener.h"
#include "base/fd.h"
#include "session/client.h"
#include "session/configure.h"
#include "session/dns.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Connections or queries that are taken before others get their turn. */
#define ROUND_MAX 16
/* Until accept() is tried again when the process or the system is out of descriptors. */
#define PAUSE_USEC (100U * USEC_PER_MSEC)

typedef union Address {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un path;
} Address;

typedef struct Listener {
        List link;
        SessionProcess *session;
        Service service;
        int fd;
        Source *source;
        Timer *pause;
} Listener;

/* ---- what it is ---- */

static bool option_is(int fd, int option, int wanted)
{
        int value = -1;
        socklen_t size = sizeof(value);

        return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

uint64_t listener_namespace(int fd)
{
        uint64_t cookie = 0;
        socklen_t size = sizeof(cookie);

        return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

static const char *check_kind(int fd, int type, int protocol)
{
        if (!option_is(fd, SO_DOMAIN, AF_INET) && !option_is(fd, SO_DOMAIN, AF_INET6))
                return "not an internet socket";
        if (!option_is(fd, SO_TYPE, type) || !option_is(fd, SO_PROTOCOL, protocol))
                return type == SOCK_STREAM ? "not a TCP socket" : "not a UDP socket";
        if (!option_is(fd, SO_ACCEPTCONN, type == SOCK_STREAM))
                return "not listening";
        /* Another one could bind beside it, and take a share of the connections. */
        if (!option_is(fd, SO_REUSEPORT, 0))
                return "shared by SO_REUSEPORT";
        return NULL;
}

static const char *check_loopback(int fd)
{
        Address address = { 0 };
        socklen_t size = sizeof(address);

        if (getsockname(fd, &address.any, &size) < 0)
                return "without an address";
        if (address.any.sa_family == AF_INET && ntohl(address.v4.sin_addr.s_addr) >> 24 == 127)
                return NULL;
        if (address.any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr))
                return NULL;
        return "not bound to a loopback address";
}

/* A datagram socket that is connected would answer one peer alone. */
static const char *check_bound(int fd)
{
        Address address = { 0 };
        socklen_t size = sizeof(address);

        if (getpeername(fd, &address.any, &size) == 0)
                return "connected";
        size = sizeof(address);
        if (getsockname(fd, &address.any, &size) < 0)
                return "without an address";
        if ((address.any.sa_family == AF_INET && address.v4.sin_port == 0) ||
            (address.any.sa_family == AF_INET6 && address.v6.sin6_port == 0))
                return "not bound";
        return NULL;
}

static const char *check_namespace(const SessionProcess *session, int fd, bool own)
{
        uint64_t namespace = listener_namespace(fd);

        if (namespace == 0 || session->namespace == 0)
                return "in a network namespace that this kernel does not tell from others";
        if ((namespace == session->namespace) != own)
                return own ? "in another network namespace than the broker's" : "in the broker's own network namespace";
        return NULL;
}

int listener_check(const SessionProcess *session, int fd, Service service, const char **ret_problem)
{
        bool own = service == SERVICE_LOOPBACK, udp = service == SERVICE_DNS;
        const char *problem;

        if (service == SERVICE_PROXY_SOCKET) {
                problem = option_is(fd, SO_DOMAIN, AF_UNIX) && option_is(fd, SO_ACCEPTCONN, 1) ? NULL : "not listening";
        } else {
                problem = check_kind(fd, udp ? SOCK_DGRAM : SOCK_STREAM, udp ? IPPROTO_UDP : IPPROTO_TCP);
                if (!problem)
                        problem = check_namespace(session, fd, own);
                if (!problem && own)
                        problem = check_loopback(fd);
                if (!problem && udp)
                        problem = check_bound(fd);
        }
        *ret_problem = problem;
        return problem ? LISTENER_E_CLAIM : 0;
}

static Listener *listener_free(Listener *listener)
{
        list_remove(&listener->link);
        listener->source = source_free(listener->source);
        listener->pause = timer_free(listener->pause);
        listener->fd = fd_close(listener->fd);
        free(listener);
        return NULL;
}

/* Who handed it over has it still, and can shut it down, or fill its queue of errors: events that nothing here would
 * end. Neither comes of clients. */
static bool is_broken(uint32_t events)
{
        return events & (EPOLLHUP | EPOLLERR);
}

static int drop_broken(Listener *listener)
{
        report_note(listener->session, "a socket that was handed over was shut down: it is served no more");
        listener_free(listener);
        return 0;
}

/* ---- connections ---- */

static bool is_owner(const SessionProcess *session, int fd)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == session->owner_uid;
}

static void take(Listener *listener, int fd)
{
        SessionProcess *session = listener->session;

        if ((listener->service == SERVICE_PROXY_SOCKET && !is_owner(session, fd)) ||
            (session->n_clients >= CLIENTS_MAX && !client_make_room(session))) {
                (void)close(fd);
                return;
        }
        if (client_new(session, fd, listener->service) < 0)
                report_note(session, "no room for a client's connection");
}

static int on_connections(void *userdata, uint32_t events)
{
        Listener *listener = userdata;

        if (is_broken(events))
                return drop_broken(listener);
        for (int i = 0; i < ROUND_MAX; i++) {
                int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0) {
                        take(listener, fd);
                        continue;
                }
                if (errno == EAGAIN)
                        break;
                if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM)
                        continue; /* that one connection's trouble */
                if (errno == EMFILE && client_make_room(listener->session))
                        continue;
                timer_arm_after(listener->pause, PAUSE_USEC);
                return source_set_events(listener->source, 0);
        }
        return 0;
}

static int on_pause(void *userdata)
{
        Listener *listener = userdata;

        return source_set_events(listener->source, EPOLLIN);
}

/* ---- names ---- */

static bool is_known(void *userdata, const char *name)
{
        const SessionProcess *session = userdata;

        return grants_name(session->grants, name);
}

static void answer(const Listener *listener, Slice query, Address *peer, socklen_t size)
{
        uint8_t out[DNS_ANSWER_MAX];
        struct iovec part = { .iov_base = out };
        struct msghdr message = { .msg_name = peer, .msg_namelen = size, .msg_iov = &part, .msg_iovlen = 1 };

        part.iov_len = dns_answer(query, is_known, listener->session, out);
        /* An answer that is lost is asked for again. */
        if (part.iov_len > 0 && sendmsg(listener->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                return;
}

static int on_queries(void *userdata, uint32_t events)
{
        Listener *listener = userdata;

        if (is_broken(events))
                return drop_broken(listener);
        /* Before the grants are known there is no answer: the queries wait in the socket. A client that had to
         * ask again would lose a second by it, and one attempt is all that some have. */
        if (!listener->session->grants)
                return source_set_events(listener->source, 0);
        for (int i = 0; i < ROUND_MAX; i++) {
                uint8_t query[DNS_QUERY_MAX + 1];
                Address peer;
                socklen_t size = sizeof(peer);
                ssize_t n = recvfrom(listener->fd, query, sizeof(query), MSG_DONTWAIT, &peer.any, &size);

                if (n < 0 && errno == EAGAIN)
                        break;
                if (n > 0)
                        answer(listener, slice(query, (size_t)n), &peer, size);
        }
        return 0;
}

/* ---- */

int listener_add(SessionProcess *session, int fd, Service service)
{
        Listener *listener;
        size_t n = 0;
        int r;

        LIST_FOREACH(node, &session->listeners)
                n += node != NULL;
        listener = n < LISTENERS_MAX ? calloc(1, sizeof(*listener)) : NULL;
        if (!listener) {
                fd_close(fd);
                return n < LISTENERS_MAX ? -ENOMEM : LISTENER_E_FULL;
        }
        list_init(&listener->link);
        list_append(&session->listeners, &listener->link);
        listener->session = session;
        listener->service = service;
        listener->fd = fd;
        r = fd_set_nonblock(fd);
        if (r == 0)
                r = timer_new(&listener->pause, session->role.loop, on_pause, listener);
        if (r == 0)
                r = source_new(&listener->source, session->role.loop, fd, EPOLLIN,
                               service == SERVICE_DNS ? on_queries : on_connections, listener);
        if (r < 0) {
                listener_free(listener);
                return r;
        }
        return configure_want(session);
}

int listener_wake_all(SessionProcess *session)
{
        int r = 0;

        LIST_FOREACH(node, &session->listeners) {
                Listener *listener = container_of(node, Listener, link);

                if (r == 0 && listener->service == SERVICE_DNS)
                        r = source_set_events(listener->source, EPOLLIN);
        }
        return r;
}

void listener_free_all(SessionProcess *session)
{
        while (session->listeners.next && !list_empty(&session->listeners))
                listener_free(container_of(session->listeners.next, Listener, link));
}
