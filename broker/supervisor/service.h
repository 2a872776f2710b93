#pragma once
/* What a service manager and a shell expect of a daemon: sd_notify, socket activation, background.
 */
#include "base/error.h"
#include "base/macros.h"

/* Sends a state ("READY=1") to $NOTIFY_SOCKET, if there is one. What goes wrong is ignored. */
void service_notify(const char *state) NONNULL(1);
/*
 * The listening Unix stream socket that was passed by LISTEN_FDS, moved away from descriptor 3; -1
 * when none was. Any other number or kind of them is -EINVAL.
 */
int service_take_listener(int *ret) NODISCARD NONNULL(1);
/*
 * Goes on in a child process; the parent waits until that says service_ready() and exits 0, or
 * exits 1 when the child ended before. `ret_fd` is the child's to pass on.
 */
int service_detach(int *ret_fd) NODISCARD NONNULL(1);
void service_ready(int fd);
/* Opens what is missing of descriptors 0 to 2 on /dev/null, so that nothing else takes their place.
 */
int service_fix_descriptors(void) NODISCARD;
