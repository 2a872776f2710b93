#pragma once
/* What the vault is told for the audit log: a handful a second, and how many more there were. */
#include "session/refusal.h"

typedef struct SessionProcess SessionProcess;

#define REPORTS_PER_SECOND 5U

typedef struct Reporter {
        uint64_t second; /* boot clock: when a new second begins */
        unsigned n;      /* reports in this one */
        uint64_t untold[_REPORT_KIND_N]; /* beyond the limit, since the last one of the kind */
} Reporter;

/* `request` may be NULL, or be filled in part: it was refused before it was one. */
int report_refusal(SessionProcess *session, const Refusal *refusal, const EgressRequest *request) NODISCARD
        NONNULL(1, 2);
/* A handle that is not the session's. `host` may be NULL. */
int report_misuse(SessionProcess *session, Slice token, const char *host, const char *place) NODISCARD NONNULL(1, 4);
