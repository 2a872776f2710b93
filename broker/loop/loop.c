#include "loop/loop.h"
#include "base/fd.h"
#include "base/list.h"
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Events taken from the kernel in one round, so that no source starves the timers. */
#define ROUND_MAX 64

struct Loop {
        const Clock *clock;
        int epoll_fd;
        List timers; /* armed ones, soonest first */
        List dead;   /* sources freed in this round; events for them may be queued */
        bool exiting;
        int exit_code;
};

struct Source {
        List link; /* in Loop.dead once freed */
        Loop *loop;
        int fd;
        SourceCallback callback;
        void *userdata;
};

struct Timer {
        List link; /* in Loop.timers while armed */
        Loop *loop;
        uint64_t at; /* boot clock */
        TimerCallback callback;
        void *userdata;
};

struct Signals {
        int fd;
        Source *source;
        SignalCallback callback;
        void *userdata;
};

int loop_new(Loop **ret, const Clock *clock)
{
        _cleanup_(loop_freep) Loop *loop = calloc(1, sizeof(*loop));

        if (!loop)
                return -ENOMEM;
        loop->clock = clock;
        list_init(&loop->timers);
        list_init(&loop->dead);
        loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (loop->epoll_fd < 0)
                return error_errno();
        *ret = take_ptr(loop);
        return 0;
}

static void bury(Loop *loop)
{
        LIST_FOREACH(node, &loop->dead) {
                list_remove(node);
                free(container_of(node, Source, link));
        }
}

Loop *loop_free(Loop *loop)
{
        if (!loop)
                return NULL;
        bury(loop);
        fd_close(loop->epoll_fd);
        free(loop);
        return NULL;
}

const Clock *loop_clock(const Loop *loop)
{
        return loop->clock;
}

void loop_exit(Loop *loop, int code)
{
        loop->exiting = true;
        loop->exit_code = code;
}

/* Milliseconds until the first timer, rounded up so that it is due when the wait ends. */
static int wait_msec(const Loop *loop, int timeout_msec)
{
        uint64_t now, at, msec;

        if (list_empty(&loop->timers))
                return timeout_msec;
        at = container_of(loop->timers.next, Timer, link)->at;
        now = clock_boot(loop->clock);
        if (at <= now)
                return 0;
        msec = (at - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
        if (timeout_msec >= 0 && (uint64_t)timeout_msec < msec)
                return timeout_msec;
        return (int)MIN(msec, (uint64_t)60000);
}

/* Fires what is due now; a timer that a callback arms for now waits for the next round. */
static int fire_timers(Loop *loop)
{
        uint64_t now = clock_boot(loop->clock);
        List due;
        int r = 0;

        list_init(&due);
        LIST_FOREACH(node, &loop->timers) {
                if (container_of(node, Timer, link)->at > now)
                        break;
                list_remove(node);
                list_append(&due, node);
        }
        while (r >= 0 && !list_empty(&due)) {
                Timer *timer = container_of(due.next, Timer, link);

                list_remove(&timer->link);
                r = timer->callback(timer->userdata);
        }
        while (!list_empty(&due)) { /* after an error: keep them armed, not dangling */
                Timer *timer = container_of(due.next, Timer, link);

                timer_arm(timer, timer->at);
        }
        return r < 0 ? r : 0;
}

int loop_dispatch(Loop *loop, int timeout_msec)
{
        struct epoll_event events[ROUND_MAX];
        int n, r = 0;

        n = epoll_wait(loop->epoll_fd, events, ROUND_MAX, wait_msec(loop, timeout_msec));
        if (n < 0)
                return errno == EINTR ? 0 : error_errno();
        for (int i = 0; i < n && r >= 0; i++) {
                Source *source = events[i].data.ptr;

                if (source->callback) /* NULL once freed */
                        r = source->callback(source->userdata, events[i].events);
        }
        if (r >= 0)
                r = fire_timers(loop);
        bury(loop);
        return r < 0 ? r : 0;
}

int loop_run(Loop *loop)
{
        while (!loop->exiting) {
                int r = loop_dispatch(loop, -1);

                if (r < 0)
                        return r;
        }
        return loop->exit_code;
}

int source_new(Source **ret, Loop *loop, int fd, uint32_t events, SourceCallback callback, void *userdata)
{
        _cleanup_(freep) Source *source = calloc(1, sizeof(*source));
        struct epoll_event event = { .events = events, .data.ptr = source };

        if (!source)
                return -ENOMEM;
        list_init(&source->link);
        source->loop = loop;
        source->fd = fd;
        source->callback = callback;
        source->userdata = userdata;
        if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                return error_errno();
        *ret = take_ptr(source);
        return 0;
}

Source *source_free(Source *source)
{
        if (!source)
                return NULL;
        (void)epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
        source->callback = NULL;
        list_append(&source->loop->dead, &source->link);
        return NULL;
}

int source_set_events(Source *source, uint32_t events)
{
        struct epoll_event event = { .events = events, .data.ptr = source };

        return epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) < 0 ? error_errno() : 0;
}

int timer_new(Timer **ret, Loop *loop, TimerCallback callback, void *userdata)
{
        Timer *timer = calloc(1, sizeof(*timer));

        if (!timer)
                return -ENOMEM;
        list_init(&timer->link);
        timer->loop = loop;
        timer->callback = callback;
        timer->userdata = userdata;
        *ret = timer;
        return 0;
}

Timer *timer_free(Timer *timer)
{
        if (!timer)
                return NULL;
        list_remove(&timer->link);
        free(timer);
        return NULL;
}

void timer_arm(Timer *timer, uint64_t boot_usec)
{
        List *after;

        list_remove(&timer->link);
        timer->at = boot_usec;
        after = timer->loop->timers.prev;
        while (after != &timer->loop->timers && container_of(after, Timer, link)->at > boot_usec)
                after = after->prev;
        list_append(after->next, &timer->link);
}

static uint64_t moment_after(const Timer *timer, uint64_t usec)
{
        uint64_t now = clock_boot(timer->loop->clock);

        return usec > USEC_INFINITY - now ? USEC_INFINITY : now + usec;
}

void timer_arm_after(Timer *timer, uint64_t usec)
{
        timer_arm(timer, moment_after(timer, usec));
}

void timer_arm_within(Timer *timer, uint64_t usec)
{
        uint64_t at = moment_after(timer, usec);

        if (list_empty(&timer->link) || at < timer->at)
                timer_arm(timer, at);
}

void timer_disarm(Timer *timer)
{
        list_remove(&timer->link);
}

static int on_signal(void *userdata, UNUSED uint32_t events)
{
        Signals *signals = userdata;
        struct signalfd_siginfo info;
        ssize_t n = read(signals->fd, &info, sizeof(info));

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : error_errno();
        if (n != sizeof(info))
                return -EIO;
        return signals->callback(signals->userdata, (int)info.ssi_signo);
}

int signals_new(Signals **ret, Loop *loop, const sigset_t *set, SignalCallback callback, void *userdata)
{
        _cleanup_(signals_freep) Signals *signals = calloc(1, sizeof(*signals));
        int r;

        if (!signals)
                return -ENOMEM;
        signals->callback = callback;
        signals->userdata = userdata;
        signals->fd = -1;
        if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
                return error_errno();
        signals->fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (signals->fd < 0)
                return error_errno();
        r = source_new(&signals->source, loop, signals->fd, EPOLLIN, on_signal, signals);
        if (r < 0)
                return r;
        *ret = take_ptr(signals);
        return 0;
}

Signals *signals_free(Signals *signals)
{
        if (!signals)
                return NULL;
        source_free(signals->source);
        fd_close(signals->fd);
        free(signals);
        return NULL;
}
