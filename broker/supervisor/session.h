#pragma once
/* One session of sessions.h, to its two files: sessions.c keeps the list, session.c its process. */
#include "base/ident.h"
#include "base/list.h"
#include "supervisor/sessions.h"

struct Session {
        List link;
        Sessions *sessions;
        Ident id;
        uid_t uid;
        char *directory, *socket; /* paths */
        int directory_fd;
        int listener;
        int descriptor; /* the broker's end, or -1 */
        bool connection;
        bool gone; /* the lifeline is */
        LifelineWatch *lifeline;
        /* Watched while there is no process. */
        Source *listener_source, *descriptor_source;
        Timer *timer; /* until they are watched again after a death */
        Backoff backoff;
        Child *child;
        /* Being ended: */
        bool ending;
        int (*done)(void *userdata);
        void *done_userdata;
};

struct Sessions {
        SessionsConfig config;
        int fd; /* of "s" */
        List live, ending;
        size_t n; /* live ones */
};

int session_child_new(Session *session) NODISCARD NONNULL(1);
/* Waits for somebody to speak. */
int session_watch(Session *session) NODISCARD NONNULL(1);
void session_unwatch(Session *session) NONNULL(1);
/* The process of a session that is being ended is gone: frees the session and calls `done`. */
int session_ended(Session *session) NODISCARD NONNULL(1);
