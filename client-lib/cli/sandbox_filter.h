#pragma once
/*
 * A seccomp filter for commands in a sandbox. It refuses what a namespace does not keep apart:
 * - input into a terminal that is shared with us (TIOCSTI, TIOCLINUX), by which a command would
 *   type into the shell that waits for it outside;
 * - sockets of other families than AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK, and io_uring, which
 *   could make them: AF_VSOCK is of no network namespace;
 * - the kernel's keyrings, which are inherited;
 * - further user namespaces: more of the kernel to attack than any other right that a process has.
 */

/* A descriptor with the program, as bubblewrap reads it, or -errno. -ENOSYS: there is none for this
 * architecture. Close-on-exec. */
int sandbox_filter_new(void);
