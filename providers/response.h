#pragma once
/*
 * The head of an upstream's response, read into what this role acts on; pure. All else in it is
 * dropped.
 */
#include "base/clock.h"
#include "base/error.h"
#include "base/slice.h"

#define RESPONSE_CONTENT_TYPE_MAX 64U
/* A classic token can have some thirty scopes. */
#define RESPONSE_SCOPES_MAX       1024U
#define RESPONSE_LINES_MAX        256U /* GitHub sends about 30 */

typedef struct ResponseHead {
        unsigned status; /* 100 to 599; 0: there was none */
        unsigned lines;
        bool malformed; /* a status line or a number that makes no sense, or too many lines */
        bool has_remaining, has_reset, has_retry_after;
        uint64_t remaining;        /* x-ratelimit-remaining */
        uint64_t reset_usec;       /* x-ratelimit-reset, wall clock of the upstream */
        uint64_t retry_after_usec; /* Retry-After as a delay */
        uint64_t retry_at_usec;    /* Retry-After as a date, 0 if it is a delay */
        uint64_t date_usec;        /* Date, 0 if there was none */
        /* GitHub's, of the token that was used: what a classic one may do, and when it ends; 0: not said. */
        bool has_oauth_scopes;
        char oauth_scopes[RESPONSE_SCOPES_MAX];
        uint64_t token_expires_usec;
        char content_type[RESPONSE_CONTENT_TYPE_MAX]; /* lower case, without parameters */
} ResponseHead;

/* Takes one line, with or without its line end. A status line starts over: the head before it was
 * an interim one. Numbers that do not parse count as absent. */
void response_head_line(ResponseHead *head, Slice line) NONNULL(1);

typedef enum ResponseError {
        _RESPONSE_E_SUCCESS,
        RESPONSE_E_INVALID,
} ResponseError;

/* "2026-12-31 23:59:59 UTC", or with an offset such as "-0700" at the end. */
int response_parse_expiration(Slice text, uint64_t *ret_usec) NODISCARD NONNULL(2);
/* The three forms of RFC 9110 5.6.7. */
int response_parse_date(Slice text, uint64_t *ret_usec) NODISCARD NONNULL(2);

/*
 * How long to wait before asking again, in microseconds, of a response that says so in one way or
 * another; never 0 and never more than a day. `now_usec` (wall clock) stands in for a missing Date:
 * where there is one, the two clocks need not agree.
 */
uint64_t response_retry_after(const ResponseHead *head, uint64_t now_usec) NONNULL(1);
