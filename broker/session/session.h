#pragma once
/*
 * A session's process: the only one that reads what its sandbox writes. Which session it is follows
 * from its edge to the vault, so it can ask for nothing but what that session may have.
 */
#include "ipc/role.h"
#include "ipc/varlink_server.h"
#include "session/admission.h"
#include "session/grants.h"
#include "session/report.h"
#include "session/tls.h"
#include "wire/msg_session.h"

struct SessionProcess {
        RoleProcess role; /* first: ipc/role.h */
        VarlinkServer *server;
        Channel *vault; /* NULL while it is away */
        uint64_t owner_uid;
        bool serves; /* owner_uid is known */
        char id[IDENT_ID_SIZE + 1];
        uint64_t namespace; /* cookie of our own network namespace; 0: the kernel has none */

        bool proxies; /* something is served that needs grants */
        Call *configuring;
        Timer *configure_timer;
        bool lost_meanwhile; /* a way out, while the vault was asked */
        unsigned configure_failures;
        uint64_t configured_at; /* boot clock; 0: never */
        Grants *grants; /* NULL: not known yet */
        TlsServer *tls; /* NULL: no leaf */

        List egresses;  /* egress.h */
        List listeners; /* listener.h */
        List clients;   /* client.h */
        size_t n_clients;
        Admissions admissions;
        Reporter reporter;
        uint8_t *frame; /* LANE_FRAME_MAX bytes, for whoever receives one; NULL until then */
        Timer *rest;    /* gives memory back when nobody has been here for a moment */
};

/* For RoleConfig: `userdata` is the SessionProcess. */
int session_start(RoleProcess *role, void *userdata) NODISCARD;
int session_handle(void *userdata, Channel *channel, Request *request) NODISCARD;
void session_stop(RoleProcess *role, void *userdata);
/* The last client has gone: sessions are many, and most of them do nothing most of the time. */
void session_rest(SessionProcess *session) NONNULL(1);
/* The buffer for one frame; NULL: no memory. */
uint8_t *session_frame(SessionProcess *session) NONNULL(1);
