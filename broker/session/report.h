#pragma once
/*
 * What the vault is told for the audit log: a handful of each kind a second, and how many more there were.
 * Each kind has its own, so that nobody can hide a handle's misuse behind refusals that cost nothing.
 */
#include "loop/loop.h"
#include "session/refusal.h"

typedef struct SessionProcess SessionProcess;

#define REPORTS_PER_SECOND 5U

#define NOTES_PER_MINUTE 30U

typedef struct Reporter {
        uint64_t minute;  /* boot clock: when a new minute of notes begins */
        unsigned n_notes; /* in this one */
        Timer *timer;    /* tells what is untold when a new second begins */
        uint64_t second; /* boot clock: when that is */
        unsigned n[_REPORT_KIND_N];      /* reports in this one */
        unsigned n_own;                  /* in this one: of its own handle where it may not be; the refusals are reports too */
        uint64_t untold[_REPORT_KIND_N]; /* beyond the limit, since the last one of the kind */
} Reporter;

int reporter_init(SessionProcess *session) NODISCARD NONNULL(1);
void reporter_deinit(SessionProcess *session) NONNULL(1);

/* `request` may be NULL, or be filled in part: it was refused before it was one. */
int report_refusal(SessionProcess *session, const Refusal *refusal, const EgressRequest *request) NODISCARD
        NONNULL(1, 2);
/* A line for the broker's log about what a client did, of which clients can only cause a number a minute. */
void report_note(SessionProcess *session, const char *format, ...) NONNULL(1, 2) PRINTF_LIKE(2, 3);
/* A handle that is not the session's, or its own where it may not be. `host` may be NULL. */
int report_misuse(SessionProcess *session, Slice token, bool own, const char *host, const char *place) NODISCARD
        NONNULL(1, 5);
