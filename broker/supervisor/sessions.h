#pragma once
/*
 * The sessions that the broker holds: for each its directory with its socket, its lifeline, the end
 * of its descriptor, and its process, which is started when somebody first speaks and again after
 * it died. Listener and descriptor are kept here, so that neither is lost with the process.
 */
#include "supervisor/child.h"
#include "supervisor/config.h"
#include "supervisor/lifeline.h"
#include "supervisor/runtime_dir.h"

typedef struct Sessions Sessions;
typedef struct Session Session;

enum {
        _SESSIONS_E_SUCCESS,
        SESSIONS_E_EXISTS,
        SESSIONS_E_NOT_FOUND,
        SESSIONS_E_FULL,
        SESSIONS_E_LIFELINE, /* there is none, or it is of no kind that can be watched */
        SESSIONS_E_NAME,     /* not an id, or not the name of a file */
        SESSIONS_E_USER,     /* the file would be for another user, and cannot be given to them */
};

typedef struct SessionsConfig {
        const ChildContext *context;
        const RuntimeDir *runtime;
        Config *const *settings; /* in force when it is looked at */
        const char *executable;
        const char *const *arguments; /* of the session process */
        const char *const *environment;
        bool system_mode;
        size_t max;
        /* A session's process runs: it needs an edge to the vault. */
        int (*started)(void *userdata, Session *session);
        /* The lifeline is gone; once a session. The session stays until it is ended. */
        int (*lifeline_gone)(void *userdata, const char *id);
        void *userdata;
} SessionsConfig;

/* Removes what an earlier broker left in the runtime directory. */
int sessions_new(Sessions **ret, const SessionsConfig *config) NODISCARD NONNULL(1, 2);
/* Kills all processes and removes all directories. */
Sessions *sessions_free(Sessions *sessions);

typedef struct SessionSpec {
        const char *id;
        uid_t uid;
        bool connection; /* the lifeline is a control connection that the gate serves */
        int lifeline_fd; /* taken over, also on failure; -1: the lifetime alone */
        bool want_descriptor;
        bool proxy; /* proxy.sock too */
} SessionSpec;

/* `ret_descriptor` is the client's end, the caller's to close, or -1. SESSIONS_E_*. */
int sessions_create(Sessions *sessions, const SessionSpec *spec, Session **ret,
                    int *ret_descriptor) NODISCARD NONNULL(1, 2, 3, 4);
/*
 * Ends it: lets go of lifeline and sockets, removes the directory, kills the process. `done` is
 * called when the process is reaped, from within if there was none. An unknown id is done already.
 */
int sessions_end(Sessions *sessions, const char *id, int (*done)(void *userdata),
                 void *userdata) NODISCARD NONNULL(1, 2, 3);
/* Mode 0400, of the session's user. The path is the caller's to free. SESSIONS_E_*. */
int sessions_write_file(Sessions *sessions, const char *id, const char *name, Slice content,
                        char **ret_path) NODISCARD NONNULL(1, 2, 3, 5);
/* A certificate, which is no secret: mode 0444, and once more as `bundle` (may be NULL) with the roots of this host
 * and of the configuration behind it. SESSIONS_E_*. */
int sessions_write_certificate(Sessions *sessions, const char *id, const char *name, const char *bundle,
                               Slice content, char **ret_path) NODISCARD NONNULL(1, 2, 3, 6);
/* Whoever opened it knows of it. */
void session_set_delivered(Session *session) NONNULL(1);
bool session_is_delivered(const Session *session) NONNULL(1);
/* The gate has died: of what it had not delivered nobody will ever know, so it is as if the lifelines were gone. */
int sessions_gate_gone(Sessions *sessions) NODISCARD NONNULL(1);
Session *sessions_find(Sessions *sessions, const char *id) NONNULL(1, 2);

/* Calls `each` for every session that is not being ended; nothing may be added or ended meanwhile.
 */
int sessions_each(Sessions *sessions, int (*each)(void *userdata, Session *session),
                  void *userdata) NODISCARD NONNULL(1, 2);

const char *session_id(const Session *session) NONNULL(1);
const char *session_directory(const Session *session) NONNULL(1);
const char *session_socket(const Session *session) NONNULL(1);
/* NULL: it has none. */
const char *session_proxy_socket(const Session *session) NONNULL(1);
/* Starts its process before first use, since that is near; where it cannot be, first use tries again. */
void session_start(Session *session) NONNULL(1);
/* Its process; not running until first use, or session_start(). */
Child *session_child(const Session *session) NONNULL(1);
/* Whether the lifeline is still there. */
bool session_is_held(const Session *session) NONNULL(1);
const LifelineWatch *session_lifeline(const Session *session) NONNULL(1);
/* Whether the lifeline is a control connection of the gate's. */
bool session_holds_connection(const Session *session) NONNULL(1);

DEFINE_CLEANUP(Sessions *, sessions_free);
