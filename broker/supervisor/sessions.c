#include "base/fd.h"
#include "base/text.h"
#include "supervisor/host_roots.h"
#include "supervisor/session.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY_NAME "s"
#define SOCKET_NAME    "broker.sock"
#define PROXY_NAME     "proxy.sock"

/* ---- one session ---- */

static Session *session_free(Session *session)
{
        Sessions *sessions;

        if (!session)
                return NULL;
        sessions = session->sessions;
        list_remove(&session->link);
        session_close_sockets(session);
        child_free(session->child);
        lifeline_free(session->lifeline);
        timer_free(session->timer);
        if (session->directory_fd >= 0) {
                int r = runtime_dir_remove(sessions->fd, session->id.text);

                if (r < 0)
                        log_line(sessions->config.context->log, LOG_LEVEL_WARNING, session->id.text,
                                 "its directory cannot be removed: %s", strerror(-r));
        }
        fd_close(session->directory_fd);
        free(session->directory);
        free(session->socket);
        free(session->proxy_socket);
        free(session);
        return NULL;
}
DEFINE_CLEANUP(Session *, session_free);

static int on_timer(void *userdata)
{
        Session *session = userdata;
        int r = session_watch(session);

        if (r < 0) { /* out of memory or of epoll's watches: once more later */
                session_unwatch(session);
                timer_arm_after(session->timer, BACKOFF_MAX_USEC);
        }
        return 0;
}

static int on_lifeline_gone(void *userdata)
{
        Session *session = userdata;
        const SessionsConfig *config = &session->sessions->config;

        session->gone = true;
        return config->lifeline_gone(config->userdata, session->id.text);
}

void session_set_delivered(Session *session)
{
        session->delivered = true;
}

bool session_is_delivered(const Session *session)
{
        return session->delivered;
}

static int on_gate_gone(UNUSED void *userdata, Session *session)
{
        return session->delivered || session->gone ? 0 : on_lifeline_gone(session);
}

int sessions_gate_gone(Sessions *sessions)
{
        return sessions_each(sessions, on_gate_gone, NULL);
}

static int session_new(Session **ret, Sessions *sessions, const SessionSpec *spec)
{
        _cleanup_(session_freep) Session *session = calloc(1, sizeof(*session));
        int r;

        if (!session)
                return -ENOMEM;
        session->sessions = sessions;
        list_init(&session->link);
        session->directory_fd = -1;
        session->uid = spec->uid;
        session->connection = spec->connection;
        (void)snprintf(session->id.text, sizeof(session->id.text), "%s", spec->id);
        r = timer_new(&session->timer, sessions->config.context->loop, on_timer, session);
        if (r < 0)
                return r;
        if (asprintf(&session->directory, "%s/" DIRECTORY_NAME "/%s",
                     sessions->config.runtime->path, spec->id) < 0) {
                session->directory = NULL;
                return -ENOMEM;
        }
        if (asprintf(&session->socket, "%s/" SOCKET_NAME, session->directory) < 0) {
                session->socket = NULL;
                return -ENOMEM;
        }
        if (spec->proxy && asprintf(&session->proxy_socket, "%s/" PROXY_NAME, session->directory) < 0) {
                session->proxy_socket = NULL;
                return -ENOMEM;
        }
        *ret = take_ptr(session);
        return 0;
}

/*
 * A socket that another user must reach is given to them; without the privilege for that, all may
 * connect and the session process asks the kernel who they are, as it does in any case.
 */
static int open_to_user(Session *session, const char *name)
{
        if (!session->sessions->config.system_mode || session->uid == geteuid())
                return 0;
        if (fchmod(session->directory_fd, 0711) < 0)
                return error_errno();
        if (fchownat(session->directory_fd, name, session->uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) == 0)
                return 0;
        if (errno != EPERM)
                return error_errno();
        return fchmodat(session->directory_fd, name, 0666, 0) < 0 ? error_errno() : 0;
}

static int make_socket(Session *session, const char *name, Service service)
{
        int fd, r = runtime_dir_bind(session->directory_fd, name, 0600, &fd);

        if (r == 0)
                r = session_add_socket(session, service, fd);
        return r == 0 ? open_to_user(session, name) : r;
}

static int make_directory(Session *session)
{
        const Sessions *sessions = session->sessions;
        int r;

        if (mkdirat(sessions->fd, session->id.text, 0700) < 0)
                return errno == EEXIST ? SESSIONS_E_EXISTS : error_errno();
        session->directory_fd = openat(sessions->fd, session->id.text,
                                       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (session->directory_fd < 0)
                return error_errno();
        r = make_socket(session, SOCKET_NAME, SERVICE_VARLINK_SOCKET);
        if (r == 0 && session->proxy_socket)
                r = make_socket(session, PROXY_NAME, SERVICE_PROXY_SOCKET);
        return r;
}

static int make_descriptor(Session *session, int *ret)
{
        const int on = 1;
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return error_errno();
        r = session_add_socket(session, SERVICE_VARLINK_DESCRIPTOR, pair[0]);
        if (r == 0)
                r = fd_set_nonblock(pair[0]);
        if (r == 0 && setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
                r = error_errno();
        if (r < 0)
                fd_close(pair[1]);
        else
                *ret = pair[1];
        return r;
}

/* ---- the list ---- */

static int open_directory(Sessions *sessions)
{
        int parent = sessions->config.runtime->fd;
        struct stat st;

        if (mkdirat(parent, DIRECTORY_NAME, 0700) < 0 && errno != EEXIST)
                return error_errno();
        sessions->fd =
                openat(parent, DIRECTORY_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (sessions->fd < 0 || fstat(sessions->fd, &st) < 0)
                return error_errno();
        if (st.st_uid != geteuid())
                return -EPERM;
        return fchmod(sessions->fd, sessions->config.system_mode ? 0711 : 0700) < 0 ? error_errno()
                                                                                    : 0;
}

/* What a broker that was killed has left. The lock says that nobody uses it. */
static int sweep(Sessions *sessions)
{
        int fd = openat(sessions->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const struct dirent *entry;
        DIR *dir;

        if (fd < 0)
                return error_errno();
        dir = fdopendir(fd);
        if (!dir) {
                fd_close(fd);
                return error_errno();
        }
        while ((entry = readdir(dir))) {
                int r;

                if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                        continue;
                r = runtime_dir_remove(sessions->fd, entry->d_name);
                if (r < 0)
                        log_line(sessions->config.context->log, LOG_LEVEL_WARNING, "supervisor",
                                 "%s/" DIRECTORY_NAME "/%s cannot be removed: %s",
                                 sessions->config.runtime->path, entry->d_name, strerror(-r));
        }
        (void)closedir(dir);
        return 0;
}

int sessions_new(Sessions **ret, const SessionsConfig *config)
{
        _cleanup_(sessions_freep) Sessions *sessions = calloc(1, sizeof(*sessions));
        int r;

        if (!sessions)
                return -ENOMEM;
        sessions->config = *config;
        sessions->fd = -1;
        list_init(&sessions->live);
        list_init(&sessions->ending);
        r = open_directory(sessions);
        if (r == 0)
                r = sweep(sessions);
        if (r < 0)
                return r;
        *ret = take_ptr(sessions);
        return 0;
}

Sessions *sessions_free(Sessions *sessions)
{
        if (!sessions)
                return NULL;
        while (!list_empty(&sessions->live))
                session_free(container_of(sessions->live.next, Session, link));
        while (!list_empty(&sessions->ending)) /* somebody waits for those */
                if (session_ended(container_of(sessions->ending.next, Session, link)) < 0)
                        continue; /* the vault, and it is about to end as well */
        fd_close(sessions->fd);
        free(sessions);
        return NULL;
}

Session *sessions_find(Sessions *sessions, const char *id)
{
        LIST_FOREACH(node, &sessions->live)
        {
                Session *session = container_of(node, Session, link);

                if (strcmp(session->id.text, id) == 0)
                        return session;
        }
        return NULL;
}

int sessions_each(Sessions *sessions, int (*each)(void *userdata, Session *session), void *userdata)
{
        int r = 0;

        LIST_FOREACH(node, &sessions->live)
        {
                r = each(userdata, container_of(node, Session, link));
                if (r)
                        break;
        }
        return r;
}

int sessions_create(Sessions *sessions, const SessionSpec *spec, Session **ret, int *ret_descriptor)
{
        _cleanup_(fd_closep) int lifeline = spec->lifeline_fd;
        _cleanup_(fd_closep) int descriptor = -1;
        _cleanup_(session_freep) Session *session = NULL;
        int r;

        if (!ident_is_valid(spec->id, 's'))
                return SESSIONS_E_NAME;
        if (sessions->n >= sessions->config.max)
                return SESSIONS_E_FULL;
        if (sessions_find(sessions, spec->id))
                return SESSIONS_E_EXISTS;
        r = session_new(&session, sessions, spec);
        if (r == 0 && lifeline >= 0)
                r = lifeline_new(&session->lifeline, sessions->config.context->loop,
                                 take_fd(&lifeline), on_lifeline_gone, session);
        if (r)
                return r > 0 ? SESSIONS_E_LIFELINE : r;
        r = make_directory(session);
        if (r == 0 && spec->want_descriptor)
                r = make_descriptor(session, &descriptor);
        if (r == 0)
                r = session_child_new(session);
        if (r == 0)
                r = session_watch(session);
        if (r)
                return r;
        list_append(&sessions->live, &session->link);
        sessions->n++;
        *ret = take_ptr(session);
        *ret_descriptor = take_fd(&descriptor);
        return 0;
}

int session_ended(Session *session)
{
        int (*done)(void *userdata) = session->done;
        void *userdata = session->done_userdata;

        session_free(session);
        return done ? done(userdata) : 0;
}

int sessions_end(Sessions *sessions, const char *id, int (*done)(void *userdata), void *userdata)
{
        Session *session = sessions_find(sessions, id);

        if (!session)
                return done(userdata);
        session->ending = true;
        session->done = done;
        session->done_userdata = userdata;
        list_remove(&session->link);
        list_append(&sessions->ending, &session->link);
        sessions->n--;
        session->lifeline = lifeline_free(session->lifeline);
        /* A connection that waits in a queue is cut as well. */
        session_close_sockets(session);
        if (!child_is_running(session->child))
                return session_ended(session);
        child_end(session->child);
        return 0;
}

/* The name of a file that is not one of ours. */
static bool is_file_name(const char *name)
{
        return text_is_name(name) && strcmp(name, SOCKET_NAME) != 0 && strcmp(name, PROXY_NAME) != 0;
}

/* A path in the session's directory, if it may have such a file. */
static int file_path(Sessions *sessions, const char *id, const char *name, Session **ret, char **ret_path)
{
        Session *session = sessions_find(sessions, id);

        if (!is_file_name(name))
                return SESSIONS_E_NAME;
        if (!session)
                return SESSIONS_E_NOT_FOUND;
        if (asprintf(ret_path, "%s/%s", session->directory, name) < 0) {
                *ret_path = NULL;
                return -ENOMEM;
        }
        *ret = session;
        return 0;
}

static int write_file(const Session *session, const char *name, Slice content, mode_t mode)
{
        return runtime_dir_write(session->directory_fd, name, content, mode,
                                 !session->sessions->config.runtime->memory_backed);
}

int sessions_write_file(Sessions *sessions, const char *id, const char *name, Slice content,
                        char **ret_path)
{
        _cleanup_(freep) char *path = NULL;
        Session *session;
        int r = file_path(sessions, id, name, &session, &path);

        if (r)
                return r;
        /* Only a privileged broker could give a file away, and this one has dropped its privileges.
         */
        if (session->uid != geteuid())
                return SESSIONS_E_USER;
        r = write_file(session, name, content, 0400);
        if (r < 0)
                return r;
        *ret_path = take_ptr(path);
        return 0;
}

/* With the roots of this host behind. */
static int write_bundle(const Session *session, const char *name, Slice content)
{
        _cleanup_(buf_deinit) Buf all = BUF_NULL(HOST_ROOTS_MAX);
        int r = buf_append(&all, content.data, content.size);

        if (r == 0)
                r = host_roots_append(&all, (*session->sessions->config.settings)->ca_file);
        return r == 0 ? write_file(session, name, buf_slice(&all), 0444) : r;
}

int sessions_write_certificate(Sessions *sessions, const char *id, const char *name, const char *bundle,
                               Slice content, char **ret_path)
{
        _cleanup_(freep) char *path = NULL;
        Session *session;
        int r = !bundle || is_file_name(bundle) ? file_path(sessions, id, name, &session, &path) : SESSIONS_E_NAME;

        if (r)
                return r;
        if (bundle)
                r = write_bundle(session, bundle, content);
        if (r == 0)
                r = write_file(session, name, content, 0444);
        if (r < 0)
                return r;
        *ret_path = take_ptr(path);
        return 0;
}
