#include "harden/calls.h"

/* Holds every secret: no network, no socket of its own, no file but those of the state directory,
 * in which SQLite and the audit log write. */
static const HardenCall calls[] = {
        ALLOW(fchown), /* SQLite, where root runs it */
};

static const HardenPath paths[] = {
        { .path = "/dev/urandom",
          .optional = true }, /* SQLite's salts would else come from the clock */
};

const HardenProfile harden_profile_vault = {
        .role = "vault",
        .calls = calls,
        .n_calls = ARRAY_SIZE(calls),
        .paths = paths,
        .n_paths = ARRAY_SIZE(paths),
        .files = HARDEN_FILES_WRITE,
        .max_files = 4096, /* an edge for each session, and one for each worker */
};
