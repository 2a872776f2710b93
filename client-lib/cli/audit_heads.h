#pragma once
/* What the system's journal has of the chain: the hash after some lines, out of reach of who can write the log. */
#include "cli.h"

typedef struct Head {
        uint64_t sequence;
        char hash[65];
} Head;

typedef struct Heads {
        Head *items; /* by sequence */
        size_t n;
        size_t at;       /* the next that is compared */
        size_t compared;
        uint64_t bad;    /* sequence of the first that does not fit; 0: none */
        const char *reason;
} Heads;

/* Asks journalctl for the entries about the log at this path. 0 or an exit status, of which it has complained. */
int heads_load(Cli *cli, const char *path, Heads *ret);
/* One that somebody noted. False: there is no memory. */
bool heads_add(Heads *heads, const Head *head);
void heads_free(Heads *heads);
void heads_rewind(Heads *heads);
/* A mcpcred_audit_seen: userdata is the Heads. */
void heads_see(void *userdata, uint64_t sequence, const char *hash);
/* What was not seen: lines behind `last` are missing, and those before `first` were given up. */
void heads_finish(Heads *heads, uint64_t first, uint64_t last);
