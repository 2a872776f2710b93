#pragma once
/*
 * A seccomp filter for commands that share our terminal: it refuses to put input into it (TIOCSTI,
 * TIOCLINUX), by which a command would type into the shell that waits for it outside.
 */

/* A descriptor with the program, as bubblewrap reads it, or -errno. -ENOSYS: there is none for this
 * architecture. Close-on-exec. */
int sandbox_filter_new(void);
