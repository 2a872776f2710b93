#pragma once
/*
 * How a role is confined, before it reads its first byte. What is allowed is data: one
 * HardenProfile a role, in profile_ROLE.c.
 */
#include "base/error.h"
#include "base/macros.h"

/* A system call that is allowed, as libseccomp numbers them, with up to one condition. */
typedef struct HardenCall {
        int number;
        int action;    /* 0: allow; an errno: fail with it instead of killing */
        int argument;  /* -1: none; otherwise the index of the argument that must equal `value` */
        uint64_t mask; /* applied to the argument first; 0: all bits */
        uint64_t value;
} HardenCall;

typedef struct HardenProfile {
        const char *role;
        const HardenCall *calls; /* beside the common ones that every role needs */
        size_t n_calls;
        bool threads;            /* clone() of threads */
        bool network;            /* TCP and UDP through socket(AF_INET, AF_INET6) */
        bool unix_sockets;       /* socket(AF_UNIX) and connect(): the keyring alone */
        uint64_t max_files;      /* RLIMIT_NOFILE */
} HardenProfile;

/* What Landlock leaves reachable below a directory (or for one file). */
typedef struct HardenPath {
        const char *path;
        bool write;    /* create, write, truncate, remove, rename; otherwise read alone */
        bool optional; /* may be absent */
} HardenPath;

extern const HardenProfile harden_profile_gate, harden_profile_session, harden_profile_vault,
        harden_profile_keyring, harden_profile_provider;

typedef enum HardenError {
        _HARDEN_E_SUCCESS,
        HARDEN_E_NO_LANDLOCK, /* the kernel has none, and it was required */
        HARDEN_E_NO_SECCOMP,
} HardenError;

/*
 * The part that every process of the broker takes, the supervisor too: undumpable, no core, no new
 * privileges, no capabilities (for a real root too), umask 077.
 */
int harden_process(void) NODISCARD;
/*
 * Landlock on the file system (all else is denied), its scopes for signals and abstract sockets
 * where the kernel has them, resource limits, then default-kill seccomp. In that order, since each
 * takes away what the one before needs. HARDEN_E_*.
 */
int harden_confine(const HardenProfile *profile, const HardenPath *paths, size_t n_paths,
                   bool require_landlock) NODISCARD NONNULL(1);
/* The Landlock ABI of this kernel, 0 if there is none. */
int harden_landlock_abi(void);
