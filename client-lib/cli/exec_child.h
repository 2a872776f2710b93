#pragma once
/* Runs exec's child and stays beside it: forwards signals, waits, and says how it ended. */
#include "exec_env.h"

/* The child's descriptor for MCPCRED_FD. */
#define EXEC_SESSION_FD 3
/* Close-on-exec, so that the parent sees the end of it when the program runs. */
#define EXEC_REPORT_FD 4

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

/* ---- what the sandboxed form shares with it ---- */

/* Runs a program that is looked for along the PATH that it will see. Returns the errno. */
int exec_program(char *const *argv, char *const *env);
/* After fork: `session` (-1: none) and `report` get their numbers, and the latter is close-on-exec.
 * 0 or -errno. */
int exec_place_descriptors(int session, int report);
/* Our ends of the child's pipes would keep its peers from seeing the end of them. */
void exec_let_go_of_stdio(void);
/* The status for a program that could not be run. */
int exec_status_of(int error);
