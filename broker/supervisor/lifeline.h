#pragma once
/*
 * What keeps a session alive: a pidfd, or a socket whose other end the opener holds. Watched for
 * its end and never read.
 */
#include "loop/loop.h"

typedef struct LifelineWatch LifelineWatch;

enum {
        _LIFELINE_E_SUCCESS,
        LIFELINE_E_KIND, /* neither a pidfd nor a connected Unix socket */
};

/* `fd` is taken over, also on failure. `gone` is called once, from the loop. */
int lifeline_new(LifelineWatch **ret, Loop *loop, int fd, int (*gone)(void *userdata),
                 void *userdata) NODISCARD NONNULL(1, 2, 4);
LifelineWatch *lifeline_free(LifelineWatch *lifeline);
/* The socket, or -1 for a pidfd. Borrowed. */
int lifeline_socket(const LifelineWatch *lifeline) NONNULL(1);
/* Whether both are the same connection. */
bool lifeline_same(const LifelineWatch *a, const LifelineWatch *b) NONNULL(1, 2);

DEFINE_CLEANUP(LifelineWatch *, lifeline_free);
