#pragma once
/* What is wrong with a configuration: all of it, in the order found, each as "file:line: what". */
#include "base/error.h"
#include "base/macros.h"

/* As many as one message to the vault takes; the last one then says that there are more. */
#define PROBLEMS_MAX 64U
#define PROBLEM_MAX  512U /* bytes of one, without the NUL */

typedef struct Problems {
        char *items[PROBLEMS_MAX];
        size_t n;
        bool failed; /* memory ran out: there was at least one more */
} Problems;

#define PROBLEMS_NULL ((Problems){ .n = 0 })

/* `line` 0: about the file as a whole. Never fails: what cannot be kept is counted in `failed`. */
void problems_add(Problems *problems, const char *file, unsigned line, const char *format, ...)
        NONNULL(1, 2, 4) PRINTF_LIKE(4, 5);
bool problems_any(const Problems *problems) NONNULL(1);
void problems_deinit(Problems *problems);
