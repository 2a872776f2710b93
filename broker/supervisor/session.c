#include "supervisor/session.h"
#include "base/fd.h"
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

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

void session_unwatch(Session *session)
{
        session->listener_source = source_free(session->listener_source);
        session->descriptor_source = source_free(session->descriptor_source);
        timer_disarm(session->timer);
}

/* The other end of the descriptor is closed: nobody will ever speak there. */
static bool descriptor_is_dead(const Session *session)
{
        struct pollfd poll_fd = { .fd = session->descriptor };

        return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static int on_use(void *userdata, UNUSED uint32_t events)
{
        Session *session = userdata;
        const ChildContext *context = session->sessions->config.context;
        int r;

        if (session->descriptor >= 0 && descriptor_is_dead(session)) {
                session->descriptor_source = source_free(session->descriptor_source);
                session->descriptor = fd_close(session->descriptor);
                return 0; /* the listener, if it was that, is still ready in the next round */
        }
        session_unwatch(session);
        r = child_start(session->child);
        if (r < 0) {
                log_line(context->log, LOG_LEVEL_ERROR, child_name(session->child),
                         "cannot be started: %s", strerror(-r));
                timer_arm_after(
                        session->timer,
                        backoff_next(&session->backoff, clock_boot(loop_clock(context->loop))));
        }
        return 0;
}

int session_watch(Session *session)
{
        Loop *loop = session->sessions->config.context->loop;
        int r = 0;

        if (!session->listener_source)
                r = source_new(&session->listener_source, loop, session->listener, EPOLLIN, on_use,
                               session);
        if (r == 0 && session->descriptor >= 0 && !session->descriptor_source)
                r = source_new(&session->descriptor_source, loop, session->descriptor, EPOLLIN,
                               on_use, session);
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
        if (r == 0)
                r = serve(session, child, session->listener, SERVICE_VARLINK_SOCKET);
        if (r == 0 && session->descriptor >= 0)
                r = serve(session, child, session->descriptor, SERVICE_VARLINK_DESCRIPTOR);
        return r;
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
                .started = on_started,
                .gone = on_gone,
                .userdata = session,
        };

        return child_new(&session->child, &config);
}
