#include "harden/calls.h"
#include <fcntl.h>

/* Holds every secret: no network, no socket of its own, no file but those of the state directory,
 * in which SQLite and the audit log write. */
static const HardenCall calls[] = {
        ALLOW(pwrite64), ALLOW(pwritev), ALLOW(preadv), ALLOW(fsync), ALLOW(fdatasync), ALLOW(ftruncate),
        ALLOW(fallocate), ALLOW(flock),
        ALLOW_IF(fcntl, 1, F_GETLK), ALLOW_IF(fcntl, 1, F_SETLK), ALLOW_IF(fcntl, 1, F_SETLKW),
        ALLOW(unlink), ALLOW(unlinkat), ALLOW(rename), ALLOW(renameat), ALLOW(renameat2),
        ALLOW(fchmod), ALLOW(fchown), ALLOW(umask),
};

const HardenProfile harden_profile_vault = {
        .role = "vault",
        .calls = calls,
        .n_calls = ARRAY_SIZE(calls),
        .files = true,
        .max_files = 4096, /* an edge for each session, and one for each worker */
};
