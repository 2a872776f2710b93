#pragma once
/* fork and exec of a role, or of a command of the owner's; and nothing of what happens afterwards. */
#include "base/error.h"
#include "base/macros.h"
#include <sys/types.h>

typedef struct SpawnConfig {
        const char *executable;
        const char *const *arguments;
        const char *const *environment;
        int socket;     /* becomes descriptor 3 */
        int errors;     /* becomes stderr */
        uint64_t files; /* hard and soft RLIMIT_NOFILE */
} SpawnConfig;

/*
 * The child has stdin and stdout on /dev/null, no other descriptor, default signals, its own
 * session (a terminal's ^C is for the supervisor), and dies with this process. A failure after the
 * fork is a line on its stderr and exit status 127. `ret_pidfd` is close-on-exec.
 */
int spawn(const SpawnConfig *config, pid_t *ret_pid, int *ret_pidfd) NODISCARD NONNULL(1, 2, 3);

typedef struct SpawnCommand {
        const char *const *arguments; /* the first is the absolute path */
        const char *const *environment;
        int input;  /* becomes stdin */
        int output; /* becomes stdout and stderr */
} SpawnCommand;

/*
 * The same for a program that is not ours: no further descriptor, the usual limit of them, its own
 * session and process group, and exit status 255 where it cannot be run. It does not die with us.
 */
int spawn_command(const SpawnCommand *command, pid_t *ret_pid, int *ret_pidfd) NODISCARD NONNULL(1, 2, 3);
