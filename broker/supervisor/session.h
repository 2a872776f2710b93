#pragma once
/* One session of sessions.h, to its two files: sessions.c keeps the list, session.c its process. */
#include "base/ident.h"
#include "base/list.h"
#include "supervisor/sessions.h"

/* A socket that the session's process serves. It is kept here, so that it is not lost with the process. */
typedef struct SessionSocket {
        Session *session;
        Service service;
        int fd;
        Source *source; /* while there is no process: somebody speaks */
} SessionSocket;

/* broker.sock, the descriptor, proxy.sock, and what the client hands over. */
#define SESSION_SOCKETS_MAX (3U + SERVICES_KEPT_MAX)

struct Session {
        List link;
        Sessions *sessions;
        Ident id;
        uid_t uid;
        char *directory, *socket, *proxy_socket; /* paths; the last NULL: none */
        int directory_fd;
        SessionSocket sockets[SESSION_SOCKETS_MAX];
        size_t n_sockets;
        bool connection;
        bool gone; /* the lifeline is */
        bool delivered; /* whoever opened it has the answer */
        LifelineWatch *lifeline;
        Timer *timer; /* until the sockets are watched again after a death */
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
/* Takes the descriptor over, also on failure. -ENOSPC when there are SESSION_SOCKETS_MAX. */
int session_add_socket(Session *session, Service service, int fd) NODISCARD NONNULL(1);
/* Closes all of them. */
void session_close_sockets(Session *session) NONNULL(1);
/* Waits for somebody to speak. */
int session_watch(Session *session) NODISCARD NONNULL(1);
void session_unwatch(Session *session) NONNULL(1);
/* The process of a session that is being ended is gone: frees the session and calls `done`. */
int session_ended(Session *session) NODISCARD NONNULL(1);
