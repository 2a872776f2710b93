#include "harden/calls.h"
#include <sys/resource.h>
#include <sys/socket.h>

/*
 * Loads and stores secrets: in the sealed file, and over D-Bus through libsecret, which brings
 * GLib's threads. It does without GLib's modules and those of the name service: both libraries look
 * for some whatever one tells them, so they are refused and not killed for. The one role that may
 * connect to path sockets, since that is what a session bus is.
 */
static const HardenCall calls[] = {
        FAIL_FILE_AS_CODE(EACCES),
        /* GLib: wake-ups of its main loops, and the scheduler settings that it copies to threads.
         */
        ALLOW(eventfd2),
        ALLOW(pipe2),
        ALLOW(uname),
        ALLOW(getresuid),
        ALLOW(getresgid),
        ALLOW(getppid),
        FAIL(sched_getattr, ENOSYS),
        FAIL(sched_setattr, ENOSYS),
        FAIL(inotify_init1, ENOSYS),
        FAIL(statfs, ENOSYS),
        ALLOW_OPTION(SOL_SOCKET, SO_KEEPALIVE),
        ALLOW_IF(getrusage, 0, RUSAGE_SELF), /* libgcrypt stirs it into its random numbers */
        /* libgcrypt and libsecret lock the pages of the transfer's session key. */
        ALLOW(mlock),
        ALLOW(munlock),
};

/* Single files of /etc: a user list that is replaced later is no loss, the rest never changes. */
static const HardenPath paths[] = {
        { .path = "/etc/machine-id", .optional = true },
        { .path = "/var/lib/dbus", .optional = true }, /* machine-id again */
        { .path = "/etc/nsswitch.conf", .optional = true },
        { .path = "/etc/passwd", .optional = true },
        { .path = "/etc/gcrypt", .optional = true },
        { .path = "/proc/sys/crypto", .optional = true }, /* libgcrypt asks for FIPS mode */
};

const HardenProfile harden_profile_keyring = {
        .role = "keyring",
        .calls = calls,
        .n_calls = ARRAY_SIZE(calls),
        .paths = paths,
        .n_paths = ARRAY_SIZE(paths),
        .files = HARDEN_FILES_WRITE,
        .threads = true,
        .unix_sockets = true,
        .max_files = 256,
};
