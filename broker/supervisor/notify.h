#pragma once
/*
 * Runs the command that hears of leaks. It is the owner's own program: not confined, and with the
 * owner's rights, but with an environment made here, no descriptor of ours, and an end.
 */
#include "supervisor/log.h"
#include "loop/loop.h"
#include "wire/schema.h"

/* Commands at the same time. */
#define NOTIFY_MAX 4U
/* Until SIGTERM, and from there until SIGKILL, which its whole process group gets. */
#define NOTIFY_TERM_USEC (30 * USEC_PER_SEC)
#define NOTIFY_KILL_USEC (5 * USEC_PER_SEC)
/* Bytes of what one command writes that are logged; the rest is read and dropped. */
#define NOTIFY_OUTPUT_MAX 4096U
/* The status of a command that could not be run. */
#define NOTIFY_CANNOT_RUN 255U

typedef struct Notifier Notifier;

typedef struct NotifierConfig {
        Loop *loop;
        const Log *log;
        const char *dbus_address; /* as DBUS_SESSION_BUS_ADDRESS, for commands that show something; or NULL */
        uint64_t term_usec, kill_usec; /* 0: as above; for tests */
} NotifierConfig;

/* Exit status, 128 + signal, or NOTIFY_CANNOT_RUN. Called from the loop or from within notifier_run(). */
typedef int (*NotifyDone)(void *userdata, uint64_t status);

enum {
        _NOTIFIER_E_SUCCESS,
        NOTIFIER_E_BUSY, /* NOTIFY_MAX run already */
};

int notifier_new(Notifier **ret, const NotifierConfig *config) NODISCARD NONNULL(1, 2);
/* Kills what still runs; their `done` is not called. */
Notifier *notifier_free(Notifier *notifier);
/* `command` is an argv of absolute path and arguments; `json` comes on its standard input. `done` is not called
 * where this fails. NOTIFIER_E_BUSY. */
int notifier_run(Notifier *notifier, const TextList *command, const char *incident, const char *json,
                 NotifyDone done, void *userdata) NODISCARD NONNULL(1, 2, 3, 4, 5);
/* How many run now. */
unsigned notifier_count(const Notifier *notifier) NONNULL(1);

DEFINE_CLEANUP(Notifier *, notifier_free);
