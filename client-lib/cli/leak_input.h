#pragma once
/* A report, whole in memory that is wiped, left out of core dumps, and locked as far as a user may. */
#include "leak_text.h"

typedef struct LeakInput {
        char *data;
        size_t size, mapped;
} LeakInput;

enum {
        _LEAK_INPUT_E_SUCCESS,
        LEAK_INPUT_E_TOO_LONG, /* there are more than `max` bytes */
};

/* Reads the descriptor to its end. LEAK_INPUT_E_TOO_LONG or -errno. */
int leak_input_read(LeakInput *ret, int fd, size_t max);
/* A copy. -errno. */
int leak_input_copy(LeakInput *ret, const void *data, size_t size);
/* Wipes. An empty one is fine. */
void leak_input_free(LeakInput *input);
