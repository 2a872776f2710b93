#pragma once
/*
 * Reads a secret that a client passed as a filled, shut-down stream socket, without blocking: what
 * is not there within the deadline never was.
 */
#include "loop/loop.h"
#include "vault/failure.h"

typedef struct ValueReader ValueReader;

/* `value` is the callee's; NULL with a failure. The reader is freed by then. */
typedef int (*ValueDone)(void *userdata, Secret *value, const Failure *failure);

enum {
        _VALUE_READER_E_SUCCESS,
        VALUE_READER_E_TYPE, /* the descriptor is no Unix stream socket: anything else may block, or lie */
        VALUE_READER_E_FULL, /* the arena has no room */
};

/* Takes `fd` over, also on failure. At most `max` bytes; one newline at the end is dropped. */
int value_reader_new(ValueReader **ret, Loop *loop, Arena *arena, int fd, size_t max, ValueDone done,
                     void *userdata) NODISCARD NONNULL(1, 2, 3, 6);
ValueReader *value_reader_free(ValueReader *reader);
/* What the client is told when value_reader_new() returned `r`, which is not 0. */
void value_reader_failure(Failure *failure, int r) NONNULL(1);
