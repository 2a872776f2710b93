#pragma once
/*
 * Varlink over Unix stream sockets, for peers that are not trusted. A connection has one call under
 * way: what the peer sent behind it waits, in its buffer and then in the kernel, until the reply is
 * written. Whoever is slow, silent or greedy costs one slot of its own uid, until a deadline.
 *
 * Descriptors belong to the last message that begins in the bytes they came with, so a call that
 * carries one is sent by a sendmsg() of its own. Unexpected ones refuse the call and end the
 * connection. org.varlink.service is answered here.
 */
#include "loop/loop.h"
#include "wire/interface.h"
#include <sys/types.h>

/* Nothing needs more than one with a call. */
#define VARLINK_FDS_MAX 2U
/* A message must be whole, and a reply taken, within it. */
#define VARLINK_DEADLINE_USEC (10U * USEC_PER_SEC)
/* Replies that one peer has not read yet: some hundred thousand rows of a listing. */
#define VARLINK_OUT_MAX (64U * 1024U * 1024U)
/* The same of all peers together. */
#define VARLINK_OUT_TOTAL_MAX (256U * 1024U * 1024U)

typedef struct VarlinkServer VarlinkServer;
typedef struct VarlinkRequest VarlinkRequest;

typedef struct VarlinkPeer {
        int fd;         /* the connection, borrowed; -1 once it is gone */
        uid_t uid;      /* of whoever connected, as SO_PEERCRED has it */
        pid_t pid;
        bool listening; /* it came in through a listening socket */
} VarlinkPeer;

/*
 * One call. The handler owns it and answers it once, now or later, by varlink_reply() or
 * varlink_fail(), which free it. The peer may be gone by then; the answer then goes nowhere.
 */
struct VarlinkRequest {
        const Method *method;
        unsigned id;    /* the method's place in the interface */
        void *body;     /* struct of method->request; valid until answered */
        int fds[VARLINK_FDS_MAX]; /* those left in here are closed when it is answered */
        size_t n_fds;
        VarlinkPeer peer;
};

/* -errno ends the loop: for this process's own defects. */
typedef int (*VarlinkHandler)(void *userdata, VarlinkRequest *request);
/* NULL: the peer may speak. Otherwise the sentence that refuses it. Asked once a connection. */
typedef const char *(*VarlinkAdmit)(void *userdata, const VarlinkPeer *peer);
/* Whether all of the reply was handed to the kernel before the connection ended. Called once. */
typedef int (*VarlinkSent)(void *userdata, bool delivered);
/* For the log: why a peer was dropped. */
typedef void (*VarlinkNote)(void *userdata, const VarlinkPeer *peer, const char *reason);

typedef struct VarlinkServerConfig {
        Loop *loop;
        Arena *arena;               /* for secrets in calls; NULL where there can be none */
        const Interface *interface; /* what is served */
        const char *text;           /* its description */
        VarlinkHandler handler;
        VarlinkAdmit admit;
        VarlinkNote note;           /* may be NULL */
        void *userdata;
        bool check_sender;          /* only the process that connected may speak */
        bool makes_room;            /* where a uid has too many: see varlink_request_trust() */
        size_t max_connections;
        size_t max_per_uid;
        uint64_t deadline_usec;     /* 0: VARLINK_DEADLINE_USEC; for tests */
} VarlinkServerConfig;

int varlink_server_new(VarlinkServer **ret, const VarlinkServerConfig *config) NODISCARD NONNULL(1, 2);
/* Closes all, without ending connections that others hold duplicates of. Open requests stay valid. */
VarlinkServer *varlink_server_free(VarlinkServer *server);
/* Accepts from a listening socket. `fd` is taken over, also on failure. */
int varlink_server_listen(VarlinkServer *server, int fd) NODISCARD NONNULL(1);
/* Serves a connected socket, which may stay silent for as long as it likes. `fd` likewise. */
int varlink_server_adopt(VarlinkServer *server, int fd, bool listening) NODISCARD NONNULL(1);
/* Connections now, for tests. */
size_t varlink_server_connections(const VarlinkServer *server) NONNULL(1);

typedef enum VarlinkEvent {
        VARLINK_TAKEN, /* all that was replied so far was handed to the kernel */
        VARLINK_GONE,  /* the peer is gone: there is nobody to answer any more, and the request is to be answered */
} VarlinkEvent;
typedef int (*VarlinkHappened)(void *userdata, VarlinkEvent event);

/* Whether the peer takes several replies. */
bool varlink_request_wants_more(const VarlinkRequest *request) NONNULL(1);
/*
 * For a call that goes on for as long as the peer likes: tells what becomes of it, from the loop or from within
 * varlink_reply_more(). The peer may read at its own pace, so whoever answers waits for VARLINK_TAKEN in between.
 * Not called any more once the request is answered.
 */
void varlink_request_watch(VarlinkRequest *request, VarlinkHappened happened, void *userdata) NONNULL(1, 2);
/* Where the body lives: for what a handler adds to it. */
Pool *varlink_request_pool(VarlinkRequest *request) NONNULL(1);
/*
 * Its peer has shown that it may be here. With `makes_room`, where a uid has all the connections that it
 * may have, the oldest of those that have not shown it gives way to the next: what shares a uid need not
 * deserve the same, and who may speak must not be kept out by who may not.
 */
void varlink_request_trust(const VarlinkRequest *request) NONNULL(1);
/* A line for the log, of which a peer can only cause a number a minute. */
void varlink_request_note(const VarlinkRequest *request, const char *reason) NONNULL(1, 2);
/*
 * A reply that others will follow. A peer that did not ask for `more` gets one reply at the end, with
 * all lists joined.
 */
int varlink_reply_more(VarlinkRequest *request, const void *body) NODISCARD NONNULL(1, 2);
/* The last reply. Descriptors are duplicated. `sent` may be NULL, and may be called from within. */
int varlink_reply(VarlinkRequest *request, const void *body, const int *fds, size_t n_fds, VarlinkSent sent,
                  void *userdata) NODISCARD NONNULL(1, 2);
int varlink_fail(VarlinkRequest *request, const FaultBody *fault) NODISCARD NONNULL(1, 2);
/* With the fault's own remedy; `message` NULL: its own sentence. */
int varlink_fail_text(VarlinkRequest *request, Fault fault, const char *message) NODISCARD NONNULL(1);

DEFINE_CLEANUP(VarlinkServer *, varlink_server_free);
