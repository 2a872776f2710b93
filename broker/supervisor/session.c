#include "supervisor/session.h"
#include "base/fd.h"
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define SERVE_TIMEOUT_USEC (10 * USEC_PER_SEC)

const char *session_id(const Session *session)
{
        return session->id.text;
}

const char *session_directory(const Session *session)
{
        return session->directory;
}

const char *session_socket(const Session *session)
{
        return session->socket;
}

const char *session_proxy_socket(const Session *session)
{
        return session->proxy_socket;
}

Child *session_child(const Session *session)
{
        return session->child;
}

bool session_is_held(const Session *session)
{
        return !session->gone;
}

const LifelineWatch *session_lifeline(const Session *session)
{
        return session->lifeline;
}

bool session_holds_connection(const Session *session)
{
        return session->connection;
}

/* ---- first use ---- */

int session_add_socket(Session *session, Service service, int fd)
{
        if (session->n_sockets == SESSION_SOCKETS_MAX) {
                fd_close(fd);
                return -ENOSPC;
        }
        session->sockets[session->n_sockets++] = (SessionSocket){ .session = session, .service = service, .fd = fd };
        return 0;
}

void session_unwatch(Session *session)
{
        for (size_t i = 0; i < session->n_sockets; i++)
                session->sockets[i].source = source_free(session->sockets[i].source);
        timer_disarm(session->timer);
}

void session_close_sockets(Session *session)
{
        session_unwatch(session);
        while (session->n_sockets > 0)
                fd_close(session->sockets[--session->n_sockets].fd);
}

/* The other end of the descriptor is closed: nobody will ever speak there. Sockets of the sandbox give
 * no such sign; they last as long as the session. */
static bool is_dead(const SessionSocket *used)
{
        struct pollfd poll_fd = { .fd = used->fd };

        return used->service == SERVICE_VARLINK_DESCRIPTOR && poll(&poll_fd, 1, 0) == 1 &&
               poll_fd.revents & (POLLHUP | POLLERR | POLLNVAL);
}

void session_start(Session *session)
{
        const ChildContext *context = session->sessions->config.context;
        int r;

        session_unwatch(session);
        r = child_start(session->child);
        if (r < 0) {
                log_line(context->log, LOG_LEVEL_ERROR, child_name(session->child),
                         "cannot be started: %s", strerror(-r));
                timer_arm_after(
                        session->timer,
                        backoff_next(&session->backoff, clock_boot(loop_clock(context->loop))));
        }
}

static int on_use(void *userdata, UNUSED uint32_t events)
{
        SessionSocket *used = userdata;

        if (is_dead(used)) {
                used->source = source_free(used->source);
                used->fd = fd_close(used->fd);
                return 0; /* its place stays, empty */
        }
        session_start(used->session);
        return 0;
}

int session_watch(Session *session)
{
        Loop *loop = session->sessions->config.context->loop;
        int r = 0;

        for (size_t i = 0; r == 0 && i < session->n_sockets; i++) {
                SessionSocket *watched = &session->sockets[i];

                if (watched->fd >= 0 && !watched->source)
                        r = source_new(&watched->source, loop, watched->fd, EPOLLIN, on_use, watched);
        }
        return r;
}

/* ---- its process ---- */

static int serve(Session *session, Child *child, int fd, Service service)
{
        const ServeRequest request = {
                .owner_uid = session->uid,
                .session = session->id.text,
                .service = service,
        };

        return child_command(child, TO_SESSION_SERVE, &request, fd, SERVE_TIMEOUT_USEC);
}

static int on_started(void *userdata, Child *child)
{
        Session *session = userdata;
        const SessionsConfig *config = &session->sessions->config;
        int r;

        backoff_started(&session->backoff, clock_boot(loop_clock(config->context->loop)));
        r = config->started(config->userdata, session);
        for (size_t i = 0; r == 0 && i < session->n_sockets; i++)
                if (session->sockets[i].fd >= 0)
                        r = serve(session, child, session->sockets[i].fd, session->sockets[i].service);
        return r;
}

/* Asking a socket for its type touches no file system, which what a sandbox handed over could be of. */
static bool is_socket(int fd)
{
        int type;
        socklen_t size = sizeof(type);

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

/* The session's process hands over a duplicate of what it was handed itself. */
static int keep(Session *session, Request *request)
{
        static const Empty nothing = { 0 };
        const KeepRequest *body = request->body;
        int r;

        if (request->n_fds != 1 || body->service < SERVICE_PROXY)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        if (!is_socket(request->fds[0])) {
                /* Left open on purpose: closing a file of a FUSE file system waits for whoever serves it. */
                request->fds[0] = -1;
                child_kill(session->child);
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        }
        r = session_add_socket(session, (Service)body->service, take_fd(&request->fds[0]));
        return r < 0 ? request_fail(request, FAULT_BUSY, NULL) : request_reply(request, &nothing, NULL, 0);
}

static int on_request(void *userdata, UNUSED Channel *channel, Request *request)
{
        Session *session = child_userdata(userdata);
        int r;

        if (request->id != FROM_SESSION_KEEP || session->ending)
                r = request_fail(request, FAULT_METHOD_NOT_FOUND, NULL);
        else
                r = keep(session, request);
        if (r < 0)
                child_kill(session->child);
        return 0;
}

static int on_gone(void *userdata, UNUSED Child *child)
{
        Session *session = userdata;
        uint64_t now = clock_boot(loop_clock(session->sessions->config.context->loop));

        if (session->ending)
                return session_ended(session);
        timer_arm_after(session->timer, backoff_next(&session->backoff, now));
        return 0;
}

int session_child_new(Session *session)
{
        const SessionsConfig *sessions = &session->sessions->config;
        const ChildConfig config = {
                .context = sessions->context,
                .name = session->id.text,
                .executable = sessions->executable,
                .arguments = sessions->arguments,
                .environment = sessions->environment,
                .in = &interface_from_session,
                .out = &interface_to_session,
                .handler = on_request,
                .started = on_started,
                .gone = on_gone,
                .userdata = session,
        };

        return child_new(&session->child, &config);
}
