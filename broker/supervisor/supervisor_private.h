#pragma once
/* The supervisor's own files: supervisor.c (life), edges.c, serve.c (calls of children), reload.c.
 */
#include "supervisor/egresses.h"
#include "supervisor/journal.h"
#include "supervisor/notify.h"
#include "supervisor/providers.h"
#include "supervisor/roles.h"
#include "supervisor/sessions.h"
#include "supervisor/supervisor.h"

/* A role that cannot even start five times in a row before the broker was ready ends the attempt.
 */
#define START_ATTEMPTS 5U
/* Secrets pass through here only on their way into a session's file (deliver = file). */
#define ARENA_SIZE (256U * 1024U)

typedef enum Phase {
        PHASE_RUNNING,
        PHASE_STOPPING_GATE,
        PHASE_TELLING_VAULT, /* so that the end of its log is known outside, too */
        PHASE_STOPPING_VAULT,
        PHASE_STOPPING_KEYRING,
        PHASE_STOPPED,
} Phase;

struct Supervisor {
        SupervisorConfig config;
        Config *settings;
        Arena *arena;
        ChildContext context;
        Roles roles;
        Child *vault, *keyring, *gate;
        Sessions *sessions;
        Providers *providers;
        Egresses *egresses;
        Notifier *notifier;
        Journal journal;
        uint64_t started;       /* wall clock */
        char *boot_id;          /* NULL where the epoch is memory-backed */
        bool gate_listens;      /* it was told to, in this run of it */
        bool gate_up, vault_up; /* they have answered so, once */
        bool ready;
        Phase phase;
        int status;
        Timer *deadline; /* of a phase of the end */
        Child *killed;   /* whom it was over for */
};

static inline void supervisor_log(const Supervisor *supervisor, LogLevel level, const char *text)
{
        log_line(supervisor->config.log, level, "supervisor", "%s", text);
}

/* ---- edges.c ---- */

/* Each connects two children if both run; the older edge of either ends by that. */
int edges_keyring(Supervisor *supervisor) NODISCARD NONNULL(1);
int edges_gate(Supervisor *supervisor) NODISCARD NONNULL(1);
int edges_session(void *supervisor, Session *session) NODISCARD NONNULL(1, 2);
enum {
        _EDGES_E_SUCCESS,
        EDGES_E_ABSENT, /* one of the two does not run */
};
/* A session's process with the egress of one of its profiles. EDGES_E_ABSENT. */
int edges_egress(Supervisor *supervisor, Session *session, const char *profile) NODISCARD NONNULL(1, 2, 3);
/* All of the vault's, then what it is told at its start. */
int edges_vault(Supervisor *supervisor) NODISCARD NONNULL(1);
/* Tells the vault who runs. */
void edges_tell_role(Supervisor *supervisor, const Child *child) NONNULL(1, 2);

/* ---- serve.c ---- */

int serve_vault(void *child, Channel *channel, Request *request) NODISCARD;
int serve_gate(void *child, Channel *channel, Request *request) NODISCARD;

/* ---- reload.c ---- */

/* Sends a configuration to the vault; `settings` NULL: the one in force. */
int reload_send(Supervisor *supervisor, Config *settings, Request *request) NODISCARD NONNULL(1);
/* Loads and sends; `request` (may be NULL) is answered when it is in force or refused. */
void reload_run(Supervisor *supervisor, Request *request) NONNULL(1);

/* ---- supervisor.c ---- */

int supervisor_check_ready(Supervisor *supervisor) NODISCARD NONNULL(1);
