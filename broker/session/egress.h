#pragma once
/*
 * The ways out: for each profile the edge to its egress, and the lanes over it. A lane carries one
 * exchange at a time and is used again; it is made when none is idle, up to the grant's number.
 */
#include "session/session.h"

/* Of one grant, where its profile names no number (`concurrent`). */
#define EGRESS_LANES_MAX LIMIT_CONCURRENT
/* Kept for the next requests; others are closed when their exchange is over. */
#define EGRESS_IDLE_MAX 8U

typedef struct Egress Egress;
typedef struct Way Way;
typedef struct WayWaiter WayWaiter;

enum {
        _EGRESS_E_SUCCESS,
        EGRESS_E_AWAY, /* it does not run */
        EGRESS_E_FULL, /* all of the grant's lanes are in use */
};

/* A lane that is in use, or idle. */
struct Way {
        List link;
        Egress *egress;
        int fd;
        Source *source;
        uint32_t events;
        Call *opening;
        bool used; /* it carried an exchange before */
        bool lost; /* nothing more comes */
        bool closed; /* egress has closed it; what it said before can be read */
        void (*ready)(void *userdata); /* of whom it carries: `fd` is ready, or the lane is lost */
        void *userdata;
};

struct WayWaiter {
        List link;
        void (*ready)(WayWaiter *waiter); /* it is worth another try; taken off the list before */
};

/* Takes over the edge, which replaces the profile's former one. */
int egress_attach(SessionProcess *session, const char *profile, int fd) NODISCARD NONNULL(1, 2);
/* Frees all of the session's; whoever used a lane must be gone. */
void egress_free_all(SessionProcess *session) NONNULL(1);

/* A lane for one exchange. EGRESS_E_*, -errno. */
int way_take(Way **ret, SessionProcess *session, const Grant *grant, void (*ready)(void *userdata), void *userdata)
        NODISCARD NONNULL(1, 2, 3, 4);
/* `clean`: both sides have sent their end, so that it can be used again. Otherwise it is closed, which
 * tells egress to give the exchange up. */
Way *way_give_back(Way *way, bool clean);
int way_watch(Way *way, uint32_t events) NODISCARD NONNULL(1);
/* Waits for a lane, or for the egress to come. */
int way_await(SessionProcess *session, const Grant *grant, WayWaiter *waiter) NODISCARD NONNULL(1, 2, 3);
/* Does not wait any more; if its turn had come, that goes to the next. */
void way_leave(SessionProcess *session, const Grant *grant, WayWaiter *waiter) NONNULL(1, 2, 3);
