#include "harden/calls.h"

/* Reads varlink of whoever may connect: opens nothing, connects to nothing, only accepts. */
static const HardenCall calls[] = {
        ALLOW(accept4),
};

const HardenProfile harden_profile_gate = {
        .role = "gate",
        .calls = calls,
        .n_calls = ARRAY_SIZE(calls),
        .max_files = 4096, /* control connections, and the descriptors that travel through */
};
