#pragma once
/* What exec does while its child runs: it hands signals on, waits, and says how the child ended. */
#include "cli.h"
#include <signal.h>
#include <sys/types.h>

typedef struct ExecWatch {
        int signals;     /* signalfd: of what is handed on, and of SIGCHLD */
        sigset_t caught; /* those signals, blocked since exec_watch_begin() */
        sigset_t before; /* the mask that a program starts with */
        int target;      /* pidfd of the process that gets them; -1: the child itself */
        bool apart; /* the child has left our terminal: what that sends does not reach it by itself
                     */
} ExecWatch;

/* Blocks the signals, so that none is lost between fork and wait. 0 or -errno. */
int exec_watch_begin(ExecWatch *watch);
/* A signal that has come and would end a program; 0: none. Never waits. */
int exec_watch_pending(ExecWatch *watch);
/* Hands signals on until the child ends. The status to exit with. */
int exec_watch_wait(ExecWatch *watch, pid_t child);
/* Closes; the signals stay blocked, since the process is about to end. */
void exec_watch_end(ExecWatch *watch);
