#include "egress/budget.h"

/* Longer than any rate is configured for; keeps the sums below from overflowing. */
#define RATE_USEC_MAX (UINT64_C(366) * 24 * 3600 * 1000000)
#define RATE_MAX      UINT64_C(1000000000)

void budget_set_limits(Budget *budget, const BudgetLimits *limits)
{
        budget->limits = *limits;
        budget->limits.rate = MIN(limits->rate, RATE_MAX);
        budget->limits.rate_usec = MIN(limits->rate_usec, RATE_USEC_MAX);
        if (limits->concurrent == 0 || limits->concurrent > BUDGET_CONCURRENT_MAX)
                budget->limits.concurrent = BUDGET_CONCURRENT_MAX;
}

/* What one request takes out of the bucket, in time. Rounded up: never more than was allowed. */
static uint64_t cost_usec(const BudgetLimits *limits)
{
        return (limits->rate_usec + limits->rate - 1) / limits->rate;
}

BudgetVerdict budget_take(Budget *budget, uint64_t now_usec, uint64_t *ret_wait_usec)
{
        const BudgetLimits *limits = &budget->limits;
        uint64_t full_at = MAX(budget->full_at, now_usec);

        *ret_wait_usec = 0;
        if (budget->under_way >= limits->concurrent)
                return BUDGET_CONCURRENT;
        if (limits->max_uses > 0 && budget->uses >= limits->max_uses)
                return BUDGET_USES;
        if (limits->rate > 0) {
                uint64_t cost = cost_usec(limits), size = cost * limits->rate;

                full_at += cost;
                if (full_at - now_usec > size) {
                        *ret_wait_usec = full_at - now_usec - size;
                        return BUDGET_RATE;
                }
        }
        budget->full_at = full_at;
        budget->uses++;
        budget->under_way++;
        return BUDGET_GRANTED;
}

void budget_give(Budget *budget)
{
        if (budget->under_way > 0)
                budget->under_way--;
}
