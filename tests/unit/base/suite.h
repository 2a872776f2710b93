#pragma once
/* What every Check program of the lower layers ends with: TAP on stdout, for meson. */
#include <check.h>
#include <stdlib.h>

/* Runs the case and takes it. The exit status. */
static inline int suite_run(const char *name, TCase *tcase)
{
        Suite *suite = suite_create(name);
        SRunner *runner;
        int failed;

        suite_add_tcase(suite, tcase);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
