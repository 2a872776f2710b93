#pragma once
/* The sockets that were handed over: accepts from those that listen, and answers on those for names. */
#include "session/session.h"

/* Sockets of one session: those that are kept for it, and its own path. */
#define LISTENERS_MAX (SERVICES_KEPT_MAX + 4U)

enum {
        _LISTENER_E_SUCCESS,
        LISTENER_E_CLAIM, /* not what it is said to be; `problem` says what it is not */
        LISTENER_E_FULL,
};

/* The cookie of the network namespace that a socket belongs to; 0: the kernel does not say. */
uint64_t listener_namespace(int fd);
/* Whether the socket may serve that. LISTENER_E_CLAIM, with a sentence in `ret_problem`. */
int listener_check(const SessionProcess *session, int fd, Service service, const char **ret_problem) NODISCARD
        NONNULL(1, 4);
/* Serves from now on, until it is shut down. `fd` is taken over, also on failure. LISTENER_E_FULL, -errno. */
int listener_add(SessionProcess *session, int fd, Service service) NODISCARD NONNULL(1);
/* The grants are known: what waited for them goes on. */
int listener_wake_all(SessionProcess *session) NODISCARD NONNULL(1);
void listener_free_all(SessionProcess *session) NONNULL(1);
