#pragma once
/* What the parts of libmcpcred share. Nothing of this is visible outside the library. */
#include "mcpcred.h"
#include "link.h"
#include "base/buf.h"
#include "base/pool.h"
#include "wire/msg_broker.h"
#include "wire/msg_session.h"

/* A session's or token's secrets: room for one value of the largest size and its copy. */
#define CLIENT_ARENA_SIZE (3U * SECRET_MAX)
/* What one reply, or one request under construction, may make the library allocate. */
#define CLIENT_POOL_MAX    (4U * 1024U * 1024U)
#define CLIENT_DEADLINE_MS 30000U

struct mcpcred {
        char *chosen;  /* by mcpcred_set_runtime(), or NULL */
        char *runtime; /* in use */
        bool system;
        unsigned deadline_ms;
        Link link;
        int code; /* of the last call, with what belongs to it */
        char message[FAULT_MESSAGE_MAX + 1];
        char remedy[FAULT_MESSAGE_MAX + 1];
        char field[FAULT_MESSAGE_MAX + 1];
        uint64_t retry_after_ms;
};

struct mcpcred_row {
        const Schema *schema;
        const void *body;
        Pool *pool; /* where rows of nested records go */
};

struct mcpcred_value {
        Arena *arena;
        Secret *secret;
};

/* ---- error.c ---- */

/* Records an error without the library's own sentence. Returns the code. */
int client_fail(mcpcred *client, int code, const char *format, ...) PRINTF_LIKE(3, 4) NONNULL(1, 3);
int client_fail_fault(mcpcred *client, const FaultBody *fault) NONNULL(1, 2);
/* For what a function of base/ returned: no memory, or a system call. */
int client_fail_errno(mcpcred *client, int r, const char *doing) NONNULL(1, 3);
void client_clear_error(mcpcred *client) NONNULL(1);

/* ---- call.c ---- */

/* One reply of a call. `more`: others follow. Returns 0 or an mcpcred_code that is recorded. */
typedef int (*CallReply)(mcpcred *client, void *body, Pool *pool, bool more, void *userdata);

typedef struct Call {
        const Interface *interface;
        unsigned method;
        const void *request;
        int request_fd;  /* borrowed; -1: none */
        int body_fd;     /* where `body` is written behind the request; the other end of request_fd. Borrowed */
        Slice body;      /* for what is too large to be there before; no data: none */
        bool reads_only; /* may be asked twice */
        bool endless;    /* behind its first reply the next may take any time */
        bool has_reader; /* `reader` is there */
        int reader;      /* whom the replies are for reads the other end of this: without him the call stops. Borrowed */
        Arena *arena;    /* for secrets of the reply; NULL: it has none */
        Pool *pool; /* what the reply points at, kept for the caller; NULL: freed after `reply` */
        CallReply reply;
        void *userdata;
        int *ret_fd; /* takes a descriptor that comes with the reply; NULL: none may come */
} Call;

#define CALL(id) .interface = &interface_broker, .method = (id), .request_fd = -1

/* On the client's own connection, which it makes if there is none. */
int call_run(mcpcred *client, const Call *call) NODISCARD NONNULL(1, 2);
/* On a given link, without retry. */
int call_on_link(mcpcred *client, Link *link, const Call *call) NODISCARD NONNULL(1, 2, 3);

/* Calls `row` (may be NULL) with one record. MCPCRED_E_STOPPED, recorded, when that says so. */
int row_give(mcpcred *client, mcpcred_row_fn row, void *userdata, const Schema *schema, const void *body, Pool *pool)
        NODISCARD NONNULL(1, 4, 5);

/* A CallReply that passes the whole reply on as one row; userdata is a RowTarget. */
typedef struct RowTarget {
        const Schema *schema; /* of the row */
        mcpcred_row_fn row;   /* may be NULL */
        void *userdata;
        mcpcred_ended ended; /* summed by row_target_ended() */
} RowTarget;
int row_target_whole(mcpcred *client, void *body, Pool *pool, bool more, void *userdata);
/* The same for each record of the reply's only list. */
int row_target_list(mcpcred *client, void *body, Pool *pool, bool more, void *userdata);
/* The same for a RevokeReply. */
int row_target_ended(mcpcred *client, void *body, Pool *pool, bool more, void *userdata);

/* ---- value.c ---- */

/* A socket from which the value can be read to its end, and nothing else. */
int value_socket(mcpcred *client, const mcpcred_value *value, int *ret_fd) NODISCARD
        NONNULL(1, 2, 3);

/* ---- inside.c ---- */

/* Connects `link` to the session that the environment names, and sets the secret that a path asks
 * for; NULL: an inherited descriptor needs none. 0 or an mcpcred_code that is recorded. */
int inside_reach(mcpcred *client, Link *link, Arena *arena, Secret **ret_secret) NODISCARD
        NONNULL(1, 2, 3, 4);
/* The same for a path. `lax`: the server's uid may be one that is not mapped here. */
int inside_reach_path(mcpcred *client, Link *link, const char *path, bool lax, Slice secret,
                      Arena *arena, Secret **ret_secret) NODISCARD NONNULL(1, 2, 3, 6, 7);

/* ---- request.c ---- */

/* Appends to a list or map that lives in a pool. 0 or -errno. */
int texts_append(Pool *pool, TextList *list, const char *text, size_t max) NODISCARD NONNULL(1, 2);
int map_append(Pool *pool, TextMap *map, const char *key, const char *value, size_t max) NODISCARD
        NONNULL(1, 2);
/* Opening: what a request holds. */
typedef struct OpenRequest {
        OpenSessionRequest body;
        mcpcred_lifeline lifeline;
        int lifeline_fd; /* borrowed; -1: none was given */
} OpenRequest;
/* 0, or why it cannot be sent. */
int open_request_get(const mcpcred_open *request, OpenRequest *ret) NODISCARD NONNULL(1, 2);
