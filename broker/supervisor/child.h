#pragma once
/*
 * One child process: an executable with one packet socket on descriptor 3, an empty environment,
 * and a pipe for what it says on stderr. Its end is seen through a pidfd. A child that breaks the
 * protocol is killed; whether it is started again, and after how long, is its config's.
 */
#include "ipc/channel.h"
#include "supervisor/backoff.h"
#include "supervisor/log.h"
#include "wire/msg_supervisor.h"
#include <sys/types.h>

/* Open files of a child, at most and never more than half of the broker's own: a child that fills
 * descriptors in flight then cannot make the kernel refuse everybody else's. */
#define CHILD_FILES_MAX 8192U

typedef struct Child Child;

/* What every child of one broker shares. */
typedef struct ChildContext {
        Loop *loop;
        const Log *log;
        Arena *arena; /* for secrets in messages of the vault */
} ChildContext;

typedef struct ChildConfig {
        const ChildContext *context;
        const char *name;               /* in the log */
        const char *executable;         /* absolute path */
        const char *const *arguments;   /* argv, NULL-terminated; borrowed for the child's life */
        const char *const *environment; /* likewise */
        const Interface *in; /* what it may ask; method 0 is Log, which is handled here */
        const Interface *out;
        bool restart;           /* start it again by itself, with back-off */
        ChannelHandler handler; /* its `userdata` is the Child; NULL: it asks nothing but Log */
        /* It runs and its channel stands; also after each restart. May be NULL. */
        int (*started)(void *userdata, Child *child);
        /* It is gone and reaped. Calls to it were failed before. The child may be freed in here. */
        int (*gone)(void *userdata, Child *child);
        void *userdata;
} ChildConfig;

int child_new(Child **ret, const ChildConfig *config) NODISCARD NONNULL(1, 2);
/* Kills it and reaps it here, which takes no longer than the kernel needs to end a process. */
Child *child_free(Child *child);

/* Starts it. A failure to exec is seen as its death. Calls `started`. */
int child_start(Child *child) NODISCARD NONNULL(1);
/* SIGKILL; `gone` follows from the loop. Harmless on one that is not running. */
void child_kill(Child *child) NONNULL(1);
/* SIGKILL because nobody needs it any more: no reason for a warning, and it is not started again.
 */
void child_end(Child *child) NONNULL(1);
/* Closes its socket, upon which a role ends by itself; `gone` follows. It is not started again. */
void child_stop(Child *child) NONNULL(1);

void *child_userdata(const Child *child) NONNULL(1);
const char *child_name(const Child *child) NONNULL(1);
/* NULL while it is not running. */
Channel *child_channel(const Child *child) NONNULL(1);
bool child_is_running(const Child *child) NONNULL(1);
pid_t child_pid(const Child *child) NONNULL(1);
uint64_t child_restarts(const Child *child) NONNULL(1);
/* Wall clock, of the last start. */
uint64_t child_started(const Child *child) NONNULL(1);
/* Deaths in a row, none of them after a healthy life. */
unsigned child_failures(const Child *child) NONNULL(1);

/* Hands over an end of an edge; a child that does not take it is killed. */
int child_attach(Child *child, unsigned method, const AttachRequest *edge, int fd) NODISCARD
        NONNULL(1, 3);
/* A call whose failure (a refusal, or no answer in `timeout_usec`) means that it must be restarted.
 */
int child_command(Child *child, unsigned method, const void *body, int fd,
                  uint64_t timeout_usec) NODISCARD NONNULL(1, 3);

DEFINE_CLEANUP(Child *, child_free);
