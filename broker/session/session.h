#pragma once
/*
 * A session's process: the only one that reads what its sandbox writes. Which session it is follows
 * from its edge to the vault, so it can ask for nothing but what that session may have.
 */
#include "ipc/role.h"
#include "ipc/varlink_server.h"
#include "wire/msg_session.h"

typedef struct SessionProcess {
        RoleProcess role; /* first: ipc/role.h */
        VarlinkServer *server;
        Channel *vault; /* NULL while it is away */
        uint64_t owner_uid;
        bool serves; /* owner_uid is known */
} SessionProcess;

/* For RoleConfig: `userdata` is the SessionProcess. */
int session_start(RoleProcess *role, void *userdata) NODISCARD;
int session_handle(void *userdata, Channel *channel, Request *request) NODISCARD;
void session_stop(RoleProcess *role, void *userdata);
