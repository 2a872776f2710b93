#pragma once
/*
 * How much a session may do: requests in a time, requests at all, requests at once. Pure: the caller
 * says what time it is.
 *
 * The rate is a bucket of `rate` requests that fills evenly within `rate_usec`: a burst of that many may
 * come at once, and from then on one for each that the time has given back. Uses are counted here and
 * so from the start of this process: an egress that is started anew begins again, since the vault, which
 * knows of it, is told of what is denied and not of each request.
 */
#include "wire/egress_policy.h"

typedef struct BudgetLimits {
        uint64_t rate;       /* requests in `rate_usec`; 0: no limit */
        uint64_t rate_usec;
        uint64_t max_uses;   /* 0: no limit */
        uint64_t concurrent; /* 0: BUDGET_CONCURRENT_MAX, which also bounds any other */
} BudgetLimits;

#define BUDGET_CONCURRENT_MAX LIMIT_CONCURRENT

typedef struct Budget {
        BudgetLimits limits;
        uint64_t uses;
        uint64_t under_way;
        uint64_t full_at; /* when the bucket will be full again, boot clock */
} Budget;

typedef enum BudgetVerdict {
        BUDGET_GRANTED,
        BUDGET_RATE,
        BUDGET_USES,
        BUDGET_CONCURRENT,
} BudgetVerdict;

/* What was used stays used. */
void budget_set_limits(Budget *budget, const BudgetLimits *limits) NONNULL(1, 2);
/* Counts one request, unless one of the limits is reached. For BUDGET_RATE `ret_wait_usec` is how long
 * it takes until the next one passes. */
BudgetVerdict budget_take(Budget *budget, uint64_t now_usec, uint64_t *ret_wait_usec) NODISCARD
        NONNULL(1, 3);
/* A request that was counted has ended. */
void budget_give(Budget *budget) NONNULL(1);
