#pragma once
/* How long to wait before something that died is started again: 50 ms, doubled up to 5 s. */
#include "base/clock.h"

#define BACKOFF_FIRST_USEC (50 * USEC_PER_MSEC)
#define BACKOFF_MAX_USEC   (5 * USEC_PER_SEC)
/* What has lived this long was healthy, and the next wait is the first one again. */
#define BACKOFF_HEALTHY_USEC (10 * USEC_PER_SEC)

typedef struct Backoff {
        unsigned failures; /* in a row */
        uint64_t started;  /* boot clock */
} Backoff;

static inline void backoff_started(Backoff *backoff, uint64_t now)
{
        backoff->started = now;
}

/* It died: the wait before the next start. */
static inline uint64_t backoff_next(Backoff *backoff, uint64_t now)
{
        uint64_t wait = BACKOFF_FIRST_USEC;

        if (now - backoff->started >= BACKOFF_HEALTHY_USEC)
                backoff->failures = 0;
        for (unsigned i = 0; i < backoff->failures && wait < BACKOFF_MAX_USEC; i++)
                wait *= 2;
        backoff->failures++;
        return MIN(wait, BACKOFF_MAX_USEC);
}
