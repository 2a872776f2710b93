#include "../base/suite.h"
#include "session/refusal.h"

START_TEST(each_code_says_something)
{
        for (int code = 1; code < _REFUSAL_END; code++) {
                Refusal refusal = refusal_of(code);
                Buf out = BUF_NULL(4096);

                if (code > HTTP_E_OVERRIDE && code < REFUSAL_HOST)
                        continue;
                ck_assert_msg(refusal.reason && refusal.message, "%d", code);
                ck_assert_int_eq(refusal_write(&refusal, true, false, &out), 0);
                buf_deinit(&out);
        }
}
END_TEST

START_TEST(what_is_none_is_refused_all_the_same)
{
        const int codes[] = { 0, HTTP_E_OVERRIDE + 1, REFUSAL_HOST - 1, _REFUSAL_END };

        for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
                ck_assert_uint_eq(refusal_of(codes[i]).status, 400);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("refusal");

        tcase_add_test(tcase, each_code_says_something);
        tcase_add_test(tcase, what_is_none_is_refused_all_the_same);
        return suite_run("refusal", tcase);
}
