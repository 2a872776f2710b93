#pragma once
/* Runs exec's child and stays beside it: forwards signals, waits, and says how it ended. */
#include "exec_env.h"

/* The child's descriptor for MCPCRED_FD. */
#define EXEC_SESSION_FD 3

typedef struct ExecChild {
        char **argv;
        const ExecEnv *env;
        int session_fd; /* becomes EXEC_SESSION_FD; -1: none */
} ExecChild;

typedef struct ExecResult {
        int status;     /* to exit with */
        int exec_errno; /* why the program could not be run; 0: it ran */
} ExecResult;

/* `started` is called once, when the child runs its program or has failed to: what only the child
 * needed can be wiped. 0 or -errno: nothing ran. */
int exec_child_run(const ExecChild *child, void (*started)(void *userdata), void *userdata,
                   ExecResult *ret);
