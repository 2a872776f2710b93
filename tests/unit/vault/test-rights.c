#include "../base/suite.h"
#include "vault/rights.h"

static bool within(const char *now, const char *before)
{
        const TextList new = { &now, now ? 1 : 0 }, old = { &before, before ? 1 : 0 };
        const char *wider = NULL;
        bool is = rights_are_within(&new, &old, &wider);

        if (!is)
                ck_assert_str_eq(wider, now);
        return is;
}

START_TEST(the_same_or_less_is_within)
{
        ck_assert(within("api", "api"));
        ck_assert(within("contents:read", "contents:write"));
        ck_assert(within("contents:write", "contents:admin"));
        ck_assert(within("read_api", "api"));
        ck_assert(within("read:org", "admin:org"));
        ck_assert(within("write:org", "admin:org"));
        ck_assert(within("repo:status", "repo"));
        ck_assert(within("repo:status:read", "repo"));
        ck_assert(within(NULL, "api"));
        ck_assert(within(NULL, NULL));
}
END_TEST

START_TEST(more_or_another_is_wider)
{
        ck_assert(!within("api", "read_api"));
        ck_assert(!within("contents:write", "contents:read"));
        ck_assert(!within("contents:read", "issues:write"));
        ck_assert(!within("contents", "contents:write"));
        ck_assert(!within("admin:org", "write:org"));
        ck_assert(!within("repo", "repo:status"));
        ck_assert(!within("repository", "repo"));
        ck_assert(!within("read_user", "api"));
        ck_assert(!within("level:40", "level:30"));
        ck_assert(!within("api", NULL));
        /* Nothing but words, and nothing at all. */
        ck_assert(!within("write", "read"));
        ck_assert(!within("read:", ""));
        ck_assert(!within("a", ""));
        ck_assert(!within(":read", ""));
}
END_TEST

START_TEST(the_first_that_is_wider_is_named)
{
        const char *now[] = { "contents:read", "admin:org", "sudo" }, *before[] = { "contents:write", "repo" };
        const TextList new = { now, 3 }, old = { before, 2 };
        const char *wider = NULL;

        ck_assert(!rights_are_within(&new, &old, &wider));
        ck_assert_str_eq(wider, "admin:org");
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("rights");

        tcase_add_test(tcase, the_same_or_less_is_within);
        tcase_add_test(tcase, more_or_another_is_wider);
        tcase_add_test(tcase, the_first_that_is_wider_is_named);
        return suite_run("rights", tcase);
}
