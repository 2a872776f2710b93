#include "harden/client.h"

/*
 * Speaks with one upstream for one operation: out to the network, through libcurl, whose resolver
 * is a thread that may load name service modules. Writes no file, reads those of the resolver and
 * the certificates.
 */
static const HardenCall calls[] = { CLIENT_CALLS };

/*
 * Single files of /etc, since the rest of it is nobody's business here. Such a rule is lost when
 * the file is replaced, but this process lives for one operation.
 */
static const HardenPath paths[] = {
        CLIENT_PATHS,
        { .path = "/etc/ssl/certs", .optional = true },
        { .path = "/etc/pki/tls", .optional = true },
        { .path = "/etc/pki/ca-trust", .optional = true },
        { .path = "/usr/share/ca-certificates", .optional = true },
        { .path = "/usr/local/share/ca-certificates", .optional = true },
        { .path = "/usr/share/pki", .optional = true },
};

const HardenProfile harden_profile_provider = {
        .role = "provider",
        .calls = calls,
        .n_calls = ARRAY_SIZE(calls),
        .paths = paths,
        .n_paths = ARRAY_SIZE(paths),
        .files = HARDEN_FILES_READ,
        .threads = true,
        .loads_code = true,
        .network = true,
        .max_files = 128,
};
