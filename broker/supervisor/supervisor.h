#pragma once
/*
 * The broker as a whole: which children run, the edges between them and no others, what the vault
 * and the gate may ask, the configuration in force, and the order in which all of it starts and
 * ends.
 */
#include "supervisor/config.h"
#include "supervisor/log.h"
#include "supervisor/runtime_dir.h"
#include "loop/loop.h"

typedef struct Supervisor Supervisor;

typedef struct SupervisorConfig {
        Loop *loop;
        const Log *log;
        const RuntimeDir *runtime;
        const RuntimeDir *state;
        ConfigSource source; /* of the configuration, for reloads */
        const char *libexec_directory;
        const char *dbus_address;          /* NULL: the usual place */
        const char *credentials_directory; /* $CREDENTIALS_DIRECTORY, or NULL */
        int listener;                      /* the control socket, borrowed */
        bool system_mode;
        /* All roles are up and the configuration is in force; once. */
        int (*ready)(void *userdata);
        void *userdata;
} SupervisorConfig;

/* `settings` is taken over, also on failure. What `config` points at outlives the supervisor. */
int supervisor_new(Supervisor **ret, const SupervisorConfig *config, Config *settings) NODISCARD
        NONNULL(1, 2, 3);
/* Kills what still runs. */
Supervisor *supervisor_free(Supervisor *supervisor);
int supervisor_start(Supervisor *supervisor) NODISCARD NONNULL(1);
/* Reads the configuration again. One with problems is logged and the old one stays. */
void supervisor_reload(Supervisor *supervisor) NONNULL(1);
/*
 * Ends in order: first the gate, so that nobody is served half, then the sessions' processes, then
 * the vault, which is given time, then the keyring. loop_exit(status) follows.
 */
void supervisor_stop(Supervisor *supervisor, int status) NONNULL(1);

DEFINE_CLEANUP(Supervisor *, supervisor_free);
