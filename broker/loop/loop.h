#pragma once
/*
 * The event loop: epoll, level-triggered, one thread. A Source watches one descriptor, a Timer one
 * moment of the boot clock, and a Signals the signals of a set through signalfd.
 *
 * Callbacks return 0 or -errno; the latter ends the loop with that value, so it is for the process's
 * own defects and never for what a peer did. Anything may be freed inside any callback, itself
 * included: nothing that was freed is called again.
 */
#include "base/clock.h"
#include "base/error.h"
#include <signal.h>

typedef struct Loop Loop;
typedef struct Source Source;
typedef struct Timer Timer;
typedef struct Signals Signals;

typedef int (*SourceCallback)(void *userdata, uint32_t events);
typedef int (*TimerCallback)(void *userdata);
typedef int (*SignalCallback)(void *userdata, int signal);

/* The clock is borrowed. */
int loop_new(Loop **ret, const Clock *clock) NODISCARD NONNULL(1, 2);
/* Sources and timers must be freed before. */
Loop *loop_free(Loop *loop);
/* Runs until loop_exit() or a callback's error; returns that value. */
int loop_run(Loop *loop) NODISCARD NONNULL(1);
/* One bounded round: waits for at most `timeout_msec` (-1: for ever), for tests. */
int loop_dispatch(Loop *loop, int timeout_msec) NODISCARD NONNULL(1);
void loop_exit(Loop *loop, int code) NONNULL(1);
const Clock *loop_clock(const Loop *loop) NONNULL(1);

/* `fd` is borrowed, non-blocking, and outlives the source. `events` as for epoll; 0 still reports
 * EPOLLHUP and EPOLLERR. */
int source_new(Source **ret, Loop *loop, int fd, uint32_t events, SourceCallback callback,
               void *userdata) NODISCARD NONNULL(1, 2, 5);
Source *source_free(Source *source);
int source_set_events(Source *source, uint32_t events) NODISCARD NONNULL(1);

/* Unarmed at first. Fires once a time it is armed. */
int timer_new(Timer **ret, Loop *loop, TimerCallback callback, void *userdata) NODISCARD
        NONNULL(1, 2, 3);
Timer *timer_free(Timer *timer);
/* At that moment of the boot clock, in microseconds; a moment that has passed fires next round. */
void timer_arm(Timer *timer, uint64_t boot_usec) NONNULL(1);
void timer_arm_after(Timer *timer, uint64_t usec) NONNULL(1);
/* The same, unless it is armed for a sooner moment: what is asked for again and again still happens. */
void timer_arm_within(Timer *timer, uint64_t usec) NONNULL(1);
void timer_disarm(Timer *timer) NONNULL(1);

/* Blocks the signals of the set for the process and delivers them here. */
int signals_new(Signals **ret, Loop *loop, const sigset_t *set, SignalCallback callback,
                void *userdata) NODISCARD NONNULL(1, 2, 3, 4);
Signals *signals_free(Signals *signals);

DEFINE_CLEANUP(Loop *, loop_free);
DEFINE_CLEANUP(Source *, source_free);
DEFINE_CLEANUP(Timer *, timer_free);
DEFINE_CLEANUP(Signals *, signals_free);
