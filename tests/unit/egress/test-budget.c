#undef NDEBUG
#include "egress/budget.h"
#include "../base/suite.h"

#define SEC UINT64_C(1000000)
#define NOW (1000 * SEC)

static Budget budget_of(BudgetLimits limits)
{
        Budget budget = { 0 };

        budget_set_limits(&budget, &limits);
        return budget;
}

/* One request that begins and ends. */
static BudgetVerdict once(Budget *budget, uint64_t now, uint64_t *ret_wait)
{
        BudgetVerdict verdict = budget_take(budget, now, ret_wait);

        if (verdict == BUDGET_GRANTED)
                budget_give(budget);
        return verdict;
}

START_TEST(without_limits_only_concurrency_is_bounded)
{
        Budget budget = budget_of((BudgetLimits){ 0 });
        uint64_t wait;

        for (unsigned i = 0; i < BUDGET_CONCURRENT_MAX; i++)
                ck_assert_int_eq(budget_take(&budget, NOW, &wait), BUDGET_GRANTED);
        ck_assert_int_eq(budget_take(&budget, NOW, &wait), BUDGET_CONCURRENT);
        budget_give(&budget);
        ck_assert_int_eq(budget_take(&budget, NOW, &wait), BUDGET_GRANTED);
}
END_TEST

START_TEST(a_profile_cannot_have_more_at_once_than_the_broker)
{
        Budget budget = budget_of((BudgetLimits){ .concurrent = BUDGET_CONCURRENT_MAX * 2 });
        uint64_t wait;

        for (unsigned i = 0; i < BUDGET_CONCURRENT_MAX; i++)
                ck_assert_int_eq(budget_take(&budget, NOW, &wait), BUDGET_GRANTED);
        ck_assert_int_eq(budget_take(&budget, NOW, &wait), BUDGET_CONCURRENT);
}
END_TEST

START_TEST(a_burst_of_the_rate_passes_and_no_more)
{
        Budget budget = budget_of((BudgetLimits){ .rate = 60, .rate_usec = 60 * SEC });
        uint64_t wait;

        for (unsigned i = 0; i < 60; i++)
                ck_assert_int_eq(once(&budget, NOW, &wait), BUDGET_GRANTED);
        ck_assert_int_eq(once(&budget, NOW, &wait), BUDGET_RATE);
        ck_assert_uint_eq(wait, SEC);
}
END_TEST

START_TEST(time_gives_back)
{
        Budget budget = budget_of((BudgetLimits){ .rate = 60, .rate_usec = 60 * SEC });
        uint64_t wait;

        for (unsigned i = 0; i < 60; i++)
                ck_assert_int_eq(once(&budget, NOW, &wait), BUDGET_GRANTED);
        ck_assert_int_eq(once(&budget, NOW + SEC - 1, &wait), BUDGET_RATE);
        ck_assert_uint_eq(wait, 1);
        ck_assert_int_eq(once(&budget, NOW + SEC, &wait), BUDGET_GRANTED);
        ck_assert_int_eq(once(&budget, NOW + SEC, &wait), BUDGET_RATE);
        for (unsigned i = 0; i < 60; i++)
                ck_assert_int_eq(once(&budget, NOW + 1000 * SEC, &wait), BUDGET_GRANTED);
        ck_assert_int_eq(once(&budget, NOW + 1000 * SEC, &wait), BUDGET_RATE);
}
END_TEST

/* Over any long time, never more than the bucket and what time gave. */
START_TEST(never_more_than_the_rate)
{
        const BudgetLimits limits = { .rate = 7, .rate_usec = 3 * SEC };
        Budget budget = budget_of(limits);
        uint64_t wait, granted = 0, last = 0;

        for (uint64_t t = 0; t < 300 * SEC; t += 1237) {
                granted += once(&budget, NOW + t, &wait) == BUDGET_GRANTED;
                last = t;
        }
        ck_assert_uint_le(granted, limits.rate + last * limits.rate / limits.rate_usec);
        ck_assert_uint_ge(granted + 2, last * limits.rate / limits.rate_usec);
}
END_TEST

START_TEST(what_is_refused_costs_nothing)
{
        Budget budget = budget_of((BudgetLimits){ .rate = 1, .rate_usec = SEC, .max_uses = 2 });
        uint64_t wait;

        ck_assert_int_eq(once(&budget, NOW, &wait), BUDGET_GRANTED);
        for (unsigned i = 0; i < 100; i++)
                ck_assert_int_eq(once(&budget, NOW, &wait), BUDGET_RATE);
        ck_assert_int_eq(once(&budget, NOW + SEC, &wait), BUDGET_GRANTED);
        ck_assert_int_eq(once(&budget, NOW + 9 * SEC, &wait), BUDGET_USES);
        ck_assert_uint_eq(wait, 0);
}
END_TEST

START_TEST(a_new_grant_gives_nothing_back)
{
        const BudgetLimits limits = { .rate = 2, .rate_usec = 10 * SEC, .max_uses = 3, .concurrent = 1 };
        Budget budget = budget_of(limits);
        uint64_t wait;

        ck_assert_int_eq(once(&budget, NOW, &wait), BUDGET_GRANTED);
        ck_assert_int_eq(budget_take(&budget, NOW, &wait), BUDGET_GRANTED);
        budget_set_limits(&budget, &limits);
        ck_assert_int_eq(budget_take(&budget, NOW, &wait), BUDGET_CONCURRENT);
        budget_give(&budget);
        ck_assert_int_eq(once(&budget, NOW, &wait), BUDGET_RATE);
        ck_assert_int_eq(once(&budget, NOW + 100 * SEC, &wait), BUDGET_GRANTED);
        ck_assert_int_eq(once(&budget, NOW + 200 * SEC, &wait), BUDGET_USES);
}
END_TEST

START_TEST(extremes_do_not_overflow)
{
        Budget budget = budget_of((BudgetLimits){ .rate = UINT64_MAX, .rate_usec = UINT64_MAX });
        uint64_t wait;

        ck_assert_int_eq(once(&budget, UINT64_MAX / 2, &wait), BUDGET_GRANTED);
        budget = budget_of((BudgetLimits){ .rate = 1, .rate_usec = UINT64_MAX });
        ck_assert_int_eq(once(&budget, NOW, &wait), BUDGET_GRANTED);
        ck_assert_int_eq(once(&budget, NOW, &wait), BUDGET_RATE);
        ck_assert_uint_gt(wait, 0);
        budget = budget_of((BudgetLimits){ .rate = 3, .rate_usec = 0 });
        for (unsigned i = 0; i < 10; i++)
                ck_assert_int_eq(once(&budget, NOW, &wait), BUDGET_GRANTED);
        budget_give(&budget);
        budget_give(&budget);
        ck_assert_uint_eq(budget.under_way, 0);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("budget");

        tcase_add_test(tcase, without_limits_only_concurrency_is_bounded);
        tcase_add_test(tcase, a_profile_cannot_have_more_at_once_than_the_broker);
        tcase_add_test(tcase, a_burst_of_the_rate_passes_and_no_more);
        tcase_add_test(tcase, time_gives_back);
        tcase_add_test(tcase, never_more_than_the_rate);
        tcase_add_test(tcase, what_is_refused_costs_nothing);
        tcase_add_test(tcase, a_new_grant_gives_nothing_back);
        tcase_add_test(tcase, extremes_do_not_overflow);
        return suite_run("egress/budget", tcase);
}
