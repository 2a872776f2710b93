#pragma once
/*
 * The gate: takes varlink calls from the control socket, has the supervisor attest whoever asks, and
 * hands them to the vault as typed frames. It holds nothing: descriptors that carry secrets pass
 * through unread, and tokens are in memory for as long as it takes to write them.
 */
#include "base/list.h"
#include "ipc/role.h"
#include "ipc/varlink_server.h"
#include "wire/msg_broker.h"

/* Uids that may ask in system mode; as many as Listen can name. */
#define GATE_UIDS_MAX 256U

typedef struct Gate {
        RoleProcess role; /* first: ipc/role.h */
        VarlinkServer *server;
        Channel *vault; /* NULL while it is away */
        Timer *lost;    /* since it went away */
        List orphans;   /* Orphan: sessions to close that nobody took; orphan.h */
        size_t n_orphans;
        uint64_t owner_uid;
        uint64_t uids[GATE_UIDS_MAX];
        size_t n_uids;
        bool listens; /* the two above are known */
} Gate;

/* For RoleConfig: `userdata` is the Gate. */
int gate_start(RoleProcess *role, void *userdata) NODISCARD;
int gate_handle(void *userdata, Channel *channel, Request *request) NODISCARD;
void gate_stop(RoleProcess *role, void *userdata);
/* Whether this uid may speak on the control socket at all. */
bool gate_permits(const Gate *gate, uint64_t uid) NONNULL(1);
