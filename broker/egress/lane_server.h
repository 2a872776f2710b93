#pragma once
/*
 * The lanes of the sessions, and the exchange that each carries (ipc/lane.h says in which order frames go).
 * lane_server.c takes frames and sends them, exchange.c is the exchange from its request to its end,
 * upload.c and download.c are its two directions.
 */
#include "egress/egress.h"
#include "egress/inflate.h"
#include "egress/inject_form.h"
#include "egress/leak_check.h"
#include "http/body.h"

/* Of one session. Each takes a descriptor, and one of a connection while it is busy. */
#define LANES_MAX BUDGET_CONCURRENT_MAX

typedef enum Upload {
        UPLOAD_NONE,    /* no body, or its end has come */
        UPLOAD_HELD,    /* the session waits for a CONTINUE */
        UPLOAD_WHOLE,   /* is kept until it is there whole */
        UPLOAD_BODY,    /* goes on as it comes */
        UPLOAD_DISCARD, /* nobody wants it any more */
} Upload;

typedef enum Download {
        DOWNLOAD_NONE,   /* nothing was sent that could be answered */
        DOWNLOAD_HEAD,
        DOWNLOAD_BODY,
        DOWNLOAD_TUNNEL, /* upgraded: bytes */
        DOWNLOAD_DONE,   /* our END or FAILURE is sent, or waits in `pending` */
} Download;

typedef struct Lane {
        List link;     /* in Tenant.lanes */
        List runnable; /* in EgressProcess.runnable */
        Tenant *tenant;
        EgressProcess *process;
        int fd;
        Source *source;
        uint32_t events;
        Timer *timer;
        uint64_t deadline;  /* boot clock; 0: none. The timer is moved when it fires, not before */
        uint64_t timer_at;
        bool timer_armed;

        /* ---- of the exchange, if there is one ---- */
        bool busy;
        bool counted;       /* in the budget */
        Grant *grant;
        Pool pool;
        EgressRequest request; /* in the pool */
        HttpAuthority authority;
        bool credential_used;
        Connection *connection;
        bool connected, reused, retried;
        bool upstream_ended, upstream_broke; /* seen, and to be acted on behind what came before */
        bool spoken;        /* the upstream has answered something */
        Upload upload;
        bool body_sent;     /* some of the body went out, and is kept nowhere */
        bool close_lane;    /* when the exchange ends: the session may not know where it stands */
        uint64_t body_left; /* of BODY_LENGTH */
        uint64_t body_seen;
        bool chunked;       /* how the body goes on */
        LeakCheck leaks;    /* is the real credential in it? */
        bool has_form;
        InjectForm form;
        Buf whole;          /* UPLOAD_WHOLE */
        Buf out;            /* to the upstream */
        size_t out_sent;

        Download download;
        bool keep_alive;
        unsigned n_informational;
        Buf in;             /* from the upstream, not looked at yet */
        HttpDecoder decoder;
        Inflate *inflate;
        size_t inflated;    /* bytes, in this turn */
        ScrubStream *scrub;
        Buf held;           /* the response's head, encoded, until it is known what goes with it */
        Buf pending;        /* to the session, which does not read */
        bool end_sent;
        bool end_pending;
        bool failure_pending;
        EgressFailure failure; /* its texts are constants */
} Lane;

/* ---- lane_server.c ---- */

/* Takes the descriptor over. -EMFILE: the session has too many. */
int lane_open(Tenant *tenant, int fd) NODISCARD NONNULL(1);
/* Ends the exchange, hard, and forgets the lane. Safe inside its callbacks. */
void lane_close(Lane *lane) NONNULL(1);
/* First half of closing: no byte leaves any more, and no credential is here. */
void lane_sever(Lane *lane) NONNULL(1);
/* The half of it that matters first: nothing goes to the upstream any more, and nothing comes. */
void lane_sever_upstream(Lane *lane) NONNULL(1);
/* Whether frames are to be read. */
int lane_update(Lane *lane) NODISCARD NONNULL(1);
/* Sends bytes of a body, or keeps them in `pending`. The lane may be closed by then: LANE_E_CLOSED. */
int lane_put(Lane *lane, Slice bytes) NODISCARD NONNULL(1);
/* Sends a head that is held. */
int lane_put_head(Lane *lane) NODISCARD NONNULL(1);
/* The last bytes of a body: with a head that is held and our END in one frame, if they fit. As lane_put(). */
int lane_put_last(Lane *lane, Slice bytes) NODISCARD NONNULL(1);
/* Sends what is pending. LANE_E_AGAIN, LANE_E_CLOSED. */
int lane_flush(Lane *lane) NODISCARD NONNULL(1);
void lane_set_deadline(Lane *lane, uint64_t usec) NONNULL(1);
bool lane_is_open(const Lane *lane) NONNULL(1);
/* Comes back to the download of this lane in the loop's next round. */
void lane_run_later(Lane *lane) NONNULL(1);

/* ---- exchange.c ---- */

typedef struct Refusal {
        unsigned status;
        const char *reason;  /* a word */
        const char *message; /* a sentence; both are constants */
        uint64_t retry_after; /* seconds */
} Refusal;

int exchange_begin(Lane *lane) NODISCARD NONNULL(1);
/* `lane->whole` is the whole body. */
int exchange_go_on(Lane *lane) NODISCARD NONNULL(1);
/* More of a body has come: against its length, and the profile's limit. */
int exchange_count_body(Lane *lane, size_t size) NODISCARD NONNULL(1);
/* `error` is an InjectError. */
int exchange_refuse_injection(Lane *lane, int error) NODISCARD NONNULL(1);
/* The real credential is in the request. */
int exchange_refuse_leak(Lane *lane) NODISCARD NONNULL(1);
int exchange_fail(Lane *lane, const Refusal *refusal) NODISCARD NONNULL(1, 2);
/* The session hears why its lane is about to be closed, where there is room for it. */
void exchange_tell_revoked(Lane *lane) NONNULL(1);
/* Tells the vault of something. */
int exchange_report(Lane *lane, ReportKind kind, const char *reason) NODISCARD NONNULL(1, 3);
/* The upstream closed, or never answered: once more where that is safe. */
int exchange_lost(Lane *lane, const Refusal *otherwise) NODISCARD NONNULL(1, 2);
/* Our last frame is sent or pending: the connection is free, and the lane when the session has had its say. */
int exchange_finish(Lane *lane, bool reusable) NODISCARD NONNULL(1);
/* Both sides are done: the lane is free again. */
int exchange_settle(Lane *lane) NODISCARD NONNULL(1);
/* Frees everything of the exchange. The connection is closed, unless it was taken out. */
void exchange_clear(Lane *lane) NONNULL(1);
int exchange_timed_out(Lane *lane) NODISCARD NONNULL(1);

/* ---- upload.c ---- */

/* The request's head into `out`. INJECT_E_*: it cannot be sent so. */
int upload_head(Lane *lane, Slice whole) NODISCARD NONNULL(1);
int upload_data(Lane *lane, Slice data) NODISCARD NONNULL(1);
int upload_end(Lane *lane) NODISCARD NONNULL(1);
/* Sends what is in `out`, as far as the upstream takes it. */
int upload_flush(Lane *lane) NODISCARD NONNULL(1);
/* The session may send its body now. */
int upload_continue(Lane *lane) NODISCARD NONNULL(1);
bool upload_is_blocked(const Lane *lane) NONNULL(1);

/* ---- download.c ---- */

/* Takes what the upstream has sent, as far as the session takes it. */
int download_run(Lane *lane) NODISCARD NONNULL(1);
