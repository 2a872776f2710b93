#include "harden/client.h"

/*
 * Speaks with the upstreams of one profile for as long as it has sessions: out to the network,
 * through libcurl, whose resolver is a thread that may load name service modules. Writes no file,
 * reads those of the resolver; the certificates are read before.
 */
static const HardenCall calls[] = { CLIENT_CALLS };

/*
 * Single files of /etc. Such a rule is lost when the file is replaced by rename(), and this process
 * lives for days; so main.c adds the directories of those that are replaced (resolver_paths.h),
 * wherever that gives nothing away.
 */
static const HardenPath paths[] = { CLIENT_PATHS };

const HardenProfile harden_profile_egress = {
        .role = "egress",
        .calls = calls,
        .n_calls = ARRAY_SIZE(calls),
        .paths = paths,
        .n_paths = ARRAY_SIZE(paths),
        .files = HARDEN_FILES_READ,
        .threads = true,
        .loads_code = true,
        .network = true,
        .max_files = 8192, /* an edge a session; two for each request, and idle connections */
};
