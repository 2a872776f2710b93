#pragma once
/*
 * How many TLS handshakes a sandbox may have done: each costs milliseconds of this process. Whoever wants
 * one waits for a place and for its turn; one that hangs gives its place to the next.
 */
#include "base/list.h"
#include "loop/loop.h"

/* A second, in the long run. One costs about 2 ms with mbedTLS 2.28, so this is a third of a core. */
#define ADMISSION_PER_SECOND 150U
/* At once, when there were none before. */
#define ADMISSION_BURST 150U
/* Under way: each holds two record buffers of 16 KiB. */
#define ADMISSION_RUNNING_MAX 64U
/* A peer that is alive answers sooner. */
#define ADMISSION_GRACE_USEC (500U * USEC_PER_MSEC)

typedef struct Admission Admission;
typedef struct Admissions Admissions;

struct Admission {
        List link;
        uint64_t since; /* it has run */
        bool waiting, running;
        void (*go)(Admission *admission);    /* its turn has come */
        void (*evict)(Admission *admission); /* it has had its time; calls admissions_leave(), now or soon */
};

struct Admissions {
        Loop *loop;
        Timer *timer;
        List waiting, running;
        size_t n_running;
        uint64_t next; /* boot clock: until when the budget is used */
};

int admissions_init(Admissions *admissions, Loop *loop) NODISCARD NONNULL(1, 2);
void admissions_deinit(Admissions *admissions) NONNULL(1);
/* `go` may be called from within. */
void admissions_enter(Admissions *admissions, Admission *admission) NONNULL(1, 2);
/* Harmless for one that is not in. */
void admissions_leave(Admissions *admissions, Admission *admission) NONNULL(1, 2);
