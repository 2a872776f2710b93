#pragma once
/* What the tests of the readers share: memory, and every truncation and flipped bit of a good reply. */
#include "base/arena.h"
#include "providers/reply.h"
#include <check.h>
#include <stdio.h>

#define SWEEP_ARENA (64U * 1024U)

typedef void (*SweepTry)(Slice bytes);

/* Each in memory of exactly its size, so that a sanitizer sees a byte read too far. */
static inline void sweep_one(SweepTry try, const char *bytes, size_t size)
{
        uint8_t *exact = malloc(size > 0 ? size : 1);

        ck_assert_ptr_nonnull(exact);
        memcpy(exact, bytes, size);
        try(slice(exact, size));
        free(exact);
}

static inline void sweep(SweepTry try, const char *good)
{
        char text[4096];
        size_t size = strlen(good);

        ck_assert_uint_lt(size, sizeof(text));
        memcpy(text, good, size + 1);
        for (size_t cut = 0; cut <= size; cut++)
                sweep_one(try, text, cut);
        for (size_t bit = 0; bit < size * 8; bit++) {
                text[bit / 8] ^= (char)(1U << (bit % 8));
                sweep_one(try, text, size);
                text[bit / 8] ^= (char)(1U << (bit % 8));
        }
}

static inline int sweep_suite(const char *name, TCase *tests)
{
        Suite *suite = suite_create(name);
        SRunner *runner;
        int failed;

        suite_add_tcase(suite, tests);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed > 0;
}
