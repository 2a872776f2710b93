#pragma once
/*
 * Time in microseconds, injected so that tests can move it. Lifetimes run on the boot clock, which
 * counts while the machine sleeps; the wall clock is for what upstreams and people are told.
 */
#include "base/macros.h"

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_INFINITY UINT64_MAX

typedef struct Clock Clock;

struct Clock {
        uint64_t (*boot_usec)(const Clock *clock);
        uint64_t (*wall_usec)(const Clock *clock); /* since 1970-01-01T00:00:00Z */
};

/* The kernel's clocks. */
extern const Clock clock_system;

static inline uint64_t clock_boot(const Clock *clock)
{
        return clock->boot_usec(clock);
}

static inline uint64_t clock_wall(const Clock *clock)
{
        return clock->wall_usec(clock);
}
