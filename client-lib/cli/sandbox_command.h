#pragma once
/* bubblewrap's command line for one sandbox. */
#include "sandbox_places.h"

/* The first word of this program's command line where it runs inside, before the command does. */
#define SANDBOX_INNER "--sandbox-inner"

typedef struct SandboxBind {
        char *path;     /* canonical */
        char *as;       /* where a link to it was named and is hidden; or NULL */
        bool writable;
} SandboxBind;

/* Descriptors that bubblewrap inherits, by number; -1: none. */
typedef struct SandboxFiles {
        int resolv, hosts; /* contents of /etc/resolv.conf and /etc/hosts */
        int filter;        /* seccomp */
        int self;          /* this program */
        int channel;       /* towards exec */
} SandboxFiles;

typedef struct SandboxCommand {
        const char *bubblewrap;
        const Places *places;
        const SandboxBind *binds; /* a directory before what is in it */
        size_t n_binds;
        const char *session; /* its directory */
        const Texts *arguments; /* the user's, verbatim */
        const SandboxFiles *files;
        bool own_network; /* the network namespace is made already; else bubblewrap makes one */
        bool apart;       /* in a terminal session of its own */
        uint64_t unblock; /* signals that the command is to get, as a mask */
        char *const *argv; /* the command */
} SandboxCommand;

/* `ret->failed`: there is no memory. */
void sandbox_command_build(const SandboxCommand *command, Strings *ret);
