#pragma once
/*
 * What every child process of the supervisor does first: it checks the one socket it was given on
 * descriptor 3, makes its arena, confines itself, and only then reads.
 */
#include "harden/harden.h"
#include "ipc/channel.h"
#include "wire/msg_supervisor.h"

#define ROLE_SOCKET 3

typedef struct RoleProcess RoleProcess;

typedef struct RoleConfig {
        const HardenProfile *profile;
        const HardenPath *paths;
        size_t n_paths;
        bool require_landlock;
        size_t arena_size;    /* bytes; 0: no secrets here */
        const Interface *in;  /* interface_to_ROLE */
        const Interface *out; /* interface_from_ROLE; its method 0 is Log */
        ChannelHandler handler; /* calls of the supervisor */
        /* Runs once confined, before the loop: -errno ends the process. */
        int (*started)(RoleProcess *role, void *userdata);
        /* Runs before confinement, for what needs to open something first. May be NULL. */
        int (*prepare)(RoleProcess *role, void *userdata);
        /* Runs after the loop, while it and the arena are still there. May be NULL. */
        void (*stopped)(RoleProcess *role, void *userdata);
        void *userdata; /* a struct whose first member is the RoleProcess */
} RoleConfig;

struct RoleProcess {
        Loop *loop;
        Arena *arena;
        Channel *supervisor;
};

/*
 * Runs the role until the supervisor is gone or the loop ends. `role` is filled before `prepare` and
 * torn down at the end. Returns the exit status: 0 when the supervisor closed the socket. Before the
 * channel stands, errors go to stderr, which the supervisor reads into the log.
 */
int role_run(RoleProcess *role, const RoleConfig *config) NODISCARD NONNULL(1, 2);
/* One line for the broker's log. Never a secret, never the bytes of a peer. */
void role_log(RoleProcess *role, LogLevel level, const char *format, ...) NONNULL(1, 3) PRINTF_LIKE(3, 4);
