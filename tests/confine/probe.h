#pragma once
/*
 * Runs one attempt in a process of its own that is confined as a role is, and says how it ended.
 * Results are TAP lines named after what must not (or must) happen.
 */
#include "harden/harden.h"

/* Which of the layers the process that tries gets. */
typedef enum Layers {
        LAYERS_ALL,      /* what a role has */
        LAYERS_LANDLOCK, /* harden_process() and Landlock, no seccomp */
        LAYERS_SECCOMP,  /* harden_process() and seccomp, no Landlock */
        LAYERS_NONE,     /* no capabilities, nothing else: another program of the same user */
} Layers;

/* What the attempts aim at; made once by arena_of_attempts(). */
typedef struct Target {
        char directory[64];
        char state[96];    /* the state directory, with state.db in it */
        char other[96];    /* a file of the same user outside of it */
        char bus[96];      /* a listening path socket, as a session bus is */
        char abstract[64]; /* name of a listening abstract socket */
        int listener;      /* TCP, on 127.0.0.1 */
        uint16_t port;
        int bus_listener, abstract_listener;
        int accepting;   /* a listening path socket as the gate is given it */
        int unix_stream; /* unconnected, made before confinement */
        int unix_datagram;
        int inet_stream;
        int file;    /* a regular file, open for writing */
        int pair[2]; /* SOCK_SEQPACKET */
        pid_t parent;
} Target;

/* 0 when the attempt succeeded, otherwise the errno. */
typedef int (*Attempt)(const Target *target);

typedef struct Outcome {
        int signal; /* that ended it; 0: none */
        int error;  /* errno; 0: the attempt succeeded */
        int setup;  /* why the process could not be confined; 0: it was */
} Outcome;

const HardenProfile *const *probe_roles(void); /* NULL-terminated */
int target_make(Target *target) NODISCARD;
void target_remove(Target *target);
Outcome probe(const HardenProfile *role, Layers layers, const Target *target, Attempt attempt);
/* What the child does before the attempt, for others that fork themselves. */
int probe_confine(const HardenProfile *role, Layers layers, const Target *target) NODISCARD;

void tap_ok(bool ok, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);
void tap_skip(const char *name, const char *why);
/* Prints the plan; the exit status. */
int tap_end(void);
