#pragma once
/*
 * How a role is confined, before it reads its first byte. What is allowed is data: one
 * HardenProfile a role, in profile_ROLE.c.
 */
#include "base/error.h"
#include "base/macros.h"

/* A condition on one argument of a system call: (argument & mask) == value. */
typedef struct HardenMatch {
        uint64_t mask;
        uint64_t value;
        unsigned argument; /* counted from 0 */
} HardenMatch;

#define HARDEN_MATCH_MAX 2U

/*
 * A system call, as libseccomp numbers them, that is allowed or fails when all conditions hold. One
 * call may be listed several times with conditions that exclude each other. What no entry covers
 * kills the process. harden/calls.h has the macros to write these with.
 */
typedef struct HardenCall {
        int number;
        int error; /* 0: allowed; otherwise the errno it fails with */
        unsigned n_matches;
        HardenMatch matches[HARDEN_MATCH_MAX];
} HardenCall;

/* What Landlock leaves reachable: best a directory and what is below it, since a rule on a file
 * dies when the file is replaced by rename(). */
typedef struct HardenPath {
        const char *path;
        bool write;    /* create, write, truncate, remove and rename files; otherwise read alone */
        bool optional; /* may be absent */
} HardenPath;

typedef enum HardenFiles {
        HARDEN_FILES_NONE,  /* open() fails, and nothing can be written to a file that was handed
                               over */
        HARDEN_FILES_READ,  /* what Landlock leaves reachable, for reading */
        HARDEN_FILES_WRITE, /* also created, locked, renamed and removed, where Landlock lets it */
} HardenFiles;

typedef struct HardenProfile {
        const char *role;
        const HardenCall *calls; /* beside the common ones that every role needs */
        size_t n_calls;
        const HardenPath
                *paths; /* that the role needs wherever it runs; others come as arguments */
        size_t n_paths;
        HardenFiles files;
        bool threads;       /* clone() of threads */
        bool loads_code;    /* dlopen() after confinement: PROT_EXEC mappings of files */
        bool network;       /* TCP and UDP through socket(AF_INET, AF_INET6) */
        bool unix_sockets;  /* socket(AF_UNIX) and connect(): the keyring alone */
        uint64_t max_files; /* RLIMIT_NOFILE */
} HardenProfile;

extern const HardenProfile harden_profile_gate, harden_profile_session, harden_profile_vault,
        harden_profile_keyring, harden_profile_provider, harden_profile_egress;

enum {
        _HARDEN_E_SUCCESS,
        HARDEN_E_NO_LANDLOCK, /* the kernel has none, and it was required */
        HARDEN_E_NO_SECCOMP,  /* the kernel or its filter is too old */
        HARDEN_E_THREADS,     /* other threads exist, which Landlock would not reach */
};

/*
 * The part that every process of the broker takes, the supervisor too: undumpable, no core, no new
 * privileges, no capabilities (for a real root too, which then obeys file modes), umask 077, and a limit of file
 * sizes that makes calls fail (EFBIG) instead of killing.
 */
int harden_process(void) NODISCARD;
/*
 * Landlock on the file system (all else is denied), on TCP and its scopes for signals and abstract
 * sockets where the kernel has them, resource limits, then default-kill seccomp. In that order,
 * since each takes away what the one before needs. Wants harden_process() before, and a single
 * thread. Cannot be undone; after a failure the process is partly confined and must end.
 * HARDEN_E_*.
 *
 * Programs built with AddressSanitizer get no seccomp, and say so on stderr: its run-time calls
 * what no role may.
 */
int harden_confine(const HardenProfile *profile, const HardenPath *paths, size_t n_paths,
                   bool require_landlock) NODISCARD NONNULL(1);
/* The Landlock ABI of this kernel, 0 if there is none. */
int harden_landlock_abi(void);
/* False in a sanitizer build, where harden_confine() leaves seccomp out. */
bool harden_has_seccomp(void);
