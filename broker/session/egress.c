#include "session/egress.h"
#include "base/fd.h"
#include "ipc/lane.h"
#include "session/configure.h"
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#define OPEN_TIMEOUT_USEC (10U * USEC_PER_SEC)

struct Egress {
        List link;
        SessionProcess *session;
        char profile[LIMIT_NAME + 1];
        Channel *channel; /* NULL: it is away */
        List used, idle;  /* Way */
        size_t n_ways, n_idle;
        List waiting; /* WayWaiter */
};

/* ---- lanes ---- */

static Way *way_free(Way *way)
{
        if (way->opening)
                call_cancel(way->opening);
        way->source = source_free(way->source);
        if (way->fd >= 0)
                (void)close(way->fd);
        list_remove(&way->link);
        way->egress->n_ways--;
        free(way);
        return NULL;
}

static void drop_idle(Egress *egress, Way *way)
{
        egress->n_idle--;
        way_free(way);
}

static void wake_waiters(Egress *egress, size_t n)
{
        while (n-- > 0 && !list_empty(&egress->waiting)) {
                WayWaiter *waiter = container_of(egress->waiting.next, WayWaiter, link);

                list_remove(&waiter->link);
                waiter->ready(waiter);
        }
}

static int on_way(void *userdata, uint32_t events)
{
        Way *way = userdata;

        way->closed = way->closed || (events & (EPOLLHUP | EPOLLERR)) != 0;
        if (way->ready)
                way->ready(way->userdata);
        else
                drop_idle(way->egress, way); /* closed, or it speaks when it was not asked */
        return 0;
}

static int on_opened(void *userdata, const Reply *reply)
{
        Way *way = userdata;

        way->opening = NULL;
        if (reply->fault == FAULT_NONE)
                return 0;
        way->lost = true;
        if (way->ready)
                way->ready(way->userdata);
        return 0;
}

static int way_new(Way **ret, Egress *egress)
{
        static const Empty nothing = { 0 };
        Way *way = calloc(1, sizeof(*way));
        int pair[2], r;

        if (!way)
                return -ENOMEM;
        r = lane_pair(pair);
        if (r < 0) {
                free(way);
                return r == -EMFILE || r == -ENFILE ? EGRESS_E_FULL : r;
        }
        list_init(&way->link);
        way->egress = egress;
        way->fd = pair[0];
        egress->n_ways++;
        r = source_new(&way->source, egress->session->role.loop, way->fd, 0, on_way, way);
        /* What is sent meanwhile waits in the socket. */
        if (r == 0)
                r = channel_call(egress->channel, LANE_OPEN, &nothing, &pair[1], 1, OPEN_TIMEOUT_USEC, on_opened, way,
                                 &way->opening);
        fd_close(pair[1]);
        if (r < 0) {
                way_free(way);
                return r;
        }
        *ret = way;
        return 0;
}

static Egress *find(const SessionProcess *session, const char *profile)
{
        LIST_FOREACH(node, &session->egresses) {
                Egress *egress = container_of(node, Egress, link);

                if (strcmp(egress->profile, profile) == 0)
                        return egress;
        }
        return NULL;
}

static int find_or_make(Egress **ret, SessionProcess *session, const char *profile)
{
        Egress *egress = find(session, profile);

        if (!egress) {
                egress = calloc(1, sizeof(*egress));
                if (!egress)
                        return -ENOMEM;
                egress->session = session;
                (void)snprintf(egress->profile, sizeof(egress->profile), "%s", profile);
                list_init(&egress->used);
                list_init(&egress->idle);
                list_init(&egress->waiting);
                list_append(&session->egresses, &egress->link);
        }
        *ret = egress;
        return 0;
}

static size_t lanes_of(const Grant *grant)
{
        return grant->concurrent > 0 ? (size_t)MIN(grant->concurrent, EGRESS_LANES_MAX) : EGRESS_LANES_MAX;
}

int way_take(Way **ret, SessionProcess *session, const Grant *grant, void (*ready)(void *userdata), void *userdata)
{
        Egress *egress = find(session, grant->profile);
        Way *way = NULL;
        int r;

        if (!egress || !egress->channel)
                return EGRESS_E_AWAY;
        if (!list_empty(&egress->idle)) {
                way = container_of(egress->idle.prev, Way, link); /* the last one used, so that others grow old */
                list_remove(&way->link);
                egress->n_idle--;
                way->used = true;
        } else {
                if (egress->n_ways >= lanes_of(grant))
                        return EGRESS_E_FULL;
                r = way_new(&way, egress);
                if (r)
                        return r;
        }
        list_append(&egress->used, &way->link);
        way->ready = ready;
        way->userdata = userdata;
        *ret = way;
        return way->lost || !way->egress->channel ? (*ret = way_free(way), EGRESS_E_AWAY) : 0;
}

int way_watch(Way *way, uint32_t events)
{
        if (way->events == events)
                return 0;
        way->events = events;
        return source_set_events(way->source, events);
}

Way *way_give_back(Way *way, bool clean)
{
        Egress *egress;

        if (!way)
                return NULL;
        egress = way->egress;
        list_remove(&way->link);
        way->ready = NULL;
        if (!clean || way->lost || !egress->channel || egress->n_idle >= EGRESS_IDLE_MAX || way_watch(way, EPOLLIN) < 0) {
                way_free(way);
        } else {
                list_append(&egress->idle, &way->link);
                egress->n_idle++;
        }
        wake_waiters(egress, 1);
        return NULL;
}

int way_await(SessionProcess *session, const Grant *grant, WayWaiter *waiter)
{
        Egress *egress;
        int r = find_or_make(&egress, session, grant->profile);

        if (r < 0)
                return r;
        list_remove(&waiter->link);
        list_append(&egress->waiting, &waiter->link);
        return 0;
}

void way_leave(SessionProcess *session, const Grant *grant, WayWaiter *waiter)
{
        Egress *egress = find(session, grant->profile);

        if (!list_empty(&waiter->link))
                list_remove(&waiter->link);
        else if (egress)
                wake_waiters(egress, 1);
}

/* ---- the edge ---- */

static Way *first_held(const Egress *egress)
{
        LIST_FOREACH(node, &egress->used) {
                Way *way = container_of(node, Way, link);

                if (!way->lost)
                        return way;
        }
        return NULL;
}

/* What was under way fails at once, without waiting for the end of each lane. */
static void lose_ways(Egress *egress)
{
        while (!list_empty(&egress->idle))
                drop_idle(egress, container_of(egress->idle.next, Way, link));
        /* Who is told may give others' lanes back too, so the list is begun anew each time. */
        for (Way *way = first_held(egress); way; way = first_held(egress)) {
                way->lost = true;
                way->ready(way->userdata);
        }
}

static int on_closed(void *userdata, Channel *channel, const char *reason)
{
        Egress *egress = userdata;
        SessionProcess *session = egress->session;

        role_log(&session->role, LOG_LEVEL_INFO, "the way out of %s %s", egress->profile, reason);
        if (egress->channel != channel) {
                channel_free(channel);
                return 0;
        }
        egress->channel = NULL;
        channel_free(channel);
        lose_ways(egress);
        return configure_again(session);
}

int egress_attach(SessionProcess *session, const char *profile, int fd)
{
        ChannelConfig config = {
                .loop = session->role.loop,
                .fd = fd,
                .out = &interface_lane,
                .closed = on_closed,
        };
        Channel *former;
        Egress *egress;
        int r = find_or_make(&egress, session, profile);

        if (r < 0) {
                fd_close(fd);
                return r;
        }
        former = take_ptr(egress->channel);
        channel_free(former);
        if (former)
                lose_ways(egress);
        config.userdata = egress;
        r = channel_new(&egress->channel, &config);
        if (r == 0)
                wake_waiters(egress, SIZE_MAX);
        return r;
}

void egress_free_all(SessionProcess *session)
{
        while (session->egresses.next && !list_empty(&session->egresses)) {
                Egress *egress = container_of(session->egresses.next, Egress, link);

                while (!list_empty(&egress->idle))
                        drop_idle(egress, container_of(egress->idle.next, Way, link));
                egress->channel = channel_free(egress->channel);
                list_remove(&egress->link);
                free(egress);
        }
}
