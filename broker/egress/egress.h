#pragma once
/*
 * The way out of one profile: holds the credentials of its sessions, decides by their rules, speaks with
 * the upstreams, and takes the credentials out of what these answer. A session reaches nothing but its
 * own grant: which one it is follows from the edge that its lanes come on.
 */
#include "base/list.h"
#include "egress/budget.h"
#include "egress/connection.h"
#include "egress/grant.h"
#include "egress/report.h"
#include "ipc/lane.h"
#include "ipc/role.h"

typedef struct EgressTimeouts {
        uint64_t connect_usec; /* name, connection, TLS */
        uint64_t head_usec;    /* of the whole response head, from the end of the request on */
        uint64_t stall_usec;   /* an upload in which nothing moves */
        uint64_t idle_usec;    /* a response's body, or a tunnel, in which nothing moves */
} EgressTimeouts;

typedef struct EgressProcess {
        RoleProcess role; /* first: ipc/role.h */
        const char *ca_file; /* beside the system's roots; may be NULL */
        const char *proxy;   /* upstream proxy's URL; may be NULL */
        EgressTimeouts timeouts;
        TrustStore *trust;
        Connector *connector;
        Reporter *reporter;
        Channel *vault;
        List tenants;   /* Tenant */
        List dead;      /* Lane: freed in the next round */
        List runnable;  /* Lane.runnable: has more to do than its turn allowed */
        Timer *turn;    /* for these */
        uint8_t *frame; /* LANE_FRAME_MAX: what a lane received, or a connection, just now */
        Buf decoded, scrubbed, checked; /* of a body, within one call */
} EgressProcess;

/* A session, from its edge's or its grant's coming on, whichever is first. */
typedef struct Tenant {
        List link;
        EgressProcess *process;
        char session[32];
        Channel *edge;  /* NULL: its process is away */
        Grant *grant;   /* NULL: none yet, or cut */
        Budget budget;  /* outlives the grant, so that renewing it gives nothing back */
        List lanes;     /* Lane */
        size_t n_lanes;
        bool cut;       /* there was a grant */
} Tenant;

/* For RoleConfig: `userdata` is the EgressProcess. */
int egress_start(RoleProcess *role, void *userdata) NODISCARD;
int egress_handle(void *userdata, Channel *channel, Request *request) NODISCARD;
void egress_stop(RoleProcess *role, void *userdata);
/* Frees a lane once nobody on the stack can look at it any more. */
void egress_bury(EgressProcess *process, List *link) NONNULL(1, 2);
