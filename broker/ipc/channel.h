#pragma once
/*
 * One edge between two roles: typed calls over a SOCK_SEQPACKET socket, one frame a packet, with
 * descriptors beside it. What the peer may ask is an Interface; anything else, and anything that
 * does not decode, closes the channel and does nothing more: a compromised role at the other end
 * cannot stop this one.
 *
 * Frame: u16 method, u8 kind, u8 zero, u32 serial, then the body in schema.h's binary form.
 *
 * Of a call that streams, the caller can say that it took what came, so that whoever answers can wait for that, and
 * that it wants no more.
 */
#include "loop/loop.h"
#include "wire/interface.h"

/* Fits under the default SO_SNDBUF, and holds a full page of any listing. */
#define CHANNEL_FRAME_MAX (128U * 1024U)
/* Bytes of frames that wait because the peer does not read; beyond it the channel closes. */
#define CHANNEL_QUEUE_MAX (4U * 1024U * 1024U)
/* Calls of ours that wait for an answer. */
#define CHANNEL_CALLS_MAX 4096U
/* Requests of the peer that wait for ours, and bytes of their frames; beyond either, FAULT_BUSY is the
 * answer. A caller may have given up on some, so a busy peer can get here without being hostile. */
#define CHANNEL_REQUESTS_MAX CHANNEL_CALLS_MAX
#define CHANNEL_REQUESTS_SIZE_MAX CHANNEL_QUEUE_MAX
#define CHANNEL_FDS_MAX 4U

typedef struct Channel Channel;
typedef struct Request Request;
typedef struct Call Call;

/*
 * A call from the peer. The handler owns it and answers it once, now or later, by request_reply() or
 * request_fail() (a notice by request_done()); each of those frees it. When the channel is gone by
 * then, the answer goes nowhere and the request is freed the same.
 */
struct Request {
        const Method *method;
        unsigned id;     /* the method's place in the interface */
        void *body;      /* struct of method->request; valid until answered */
        int fds[CHANNEL_FDS_MAX]; /* those left in here are closed when it is answered */
        size_t n_fds;
};

/* What came back. Valid during the callback; Secrets and descriptors can be taken out of it. */
typedef struct Reply {
        Fault fault; /* FAULT_NONE: `body` is there */
        bool more;   /* the method streams and there are further replies */
        void *body;  /* struct of the method's reply, NULL with a fault */
        const char *message;
        const char *remedy;
        const char *field;
        uint64_t retry_after_usec;
        int *fds;
        size_t n_fds;
} Reply;

/* Handles one call of the peer. -errno is a defect of this process and ends its loop. */
typedef int (*ChannelHandler)(void *userdata, Channel *channel, Request *request);
/* The peer is gone or was refused. Called once, from the loop and never from within a function below;
 * calls that waited have been failed with FAULT_UNAVAILABLE before. The channel may be freed in here. */
typedef int (*ChannelClosed)(void *userdata, Channel *channel, const char *reason);
/* Called for each reply; the last one has more == false. Never called after call_cancel(). */
typedef int (*CallDone)(void *userdata, const Reply *reply);

typedef struct ChannelConfig {
        Loop *loop;
        Arena *arena;        /* for secrets in messages; NULL where there can be none */
        int fd;              /* taken over, also on failure; made non-blocking */
        const Interface *in; /* what the peer may ask, or NULL */
        const Interface *out; /* what we may ask, or NULL */
        ChannelHandler handler;
        ChannelClosed closed;
        void *userdata;
} ChannelConfig;

int channel_new(Channel **ret, const ChannelConfig *config) NODISCARD NONNULL(1, 2);
/* Closes without calling `closed`. Waiting calls get FAULT_UNAVAILABLE; open requests stay valid. */
Channel *channel_free(Channel *channel);
/* Closes without calling `closed`, and keeps the object. Waiting calls get FAULT_UNAVAILABLE from within. */
int channel_close(Channel *channel) NODISCARD NONNULL(1);
/* Of a peer whose process has ended: handles what it sent before, which would be lost otherwise. `closed` may be called
 * from within. A negative errno as of the handler. */
int channel_drain(Channel *channel) NODISCARD NONNULL(1);
/* Whose struct is behind it, for handlers that serve several channels. */
void *channel_userdata(const Channel *channel) NONNULL(1);

/*
 * Asks. `body` is a struct of the method's request schema. Descriptors are duplicated by the kernel;
 * the caller keeps its own. `timeout_usec` bounds the wait for the last reply (FAULT_TIMEOUT), UINT64_MAX does not. `done` is
 * called from within when the channel is closed already (FAULT_UNAVAILABLE), has too many calls under
 * way or the uid too many descriptors (FAULT_BUSY), or cannot carry so large a body (FAULT_INTERNAL); what
 * it returns is returned then.
 * `ret` (may be NULL) gets a handle for call_cancel(), NULL when the call is over already.
 */
int channel_call(Channel *channel, unsigned method, const void *body, const int *fds, size_t n_fds,
                 uint64_t timeout_usec, CallDone done, void *userdata, Call **ret) NODISCARD
        NONNULL(1, 3, 7);
/* Forgets the call: its answer will be dropped. */
void call_cancel(Call *call) NONNULL(1);
/* Of a call that streams: what came so far was taken. */
int call_taken(Call *call) NODISCARD NONNULL(1);
/* Of a call that streams: forgets it, and tells the peer so. */
int call_hang_up(Call *call) NODISCARD NONNULL(1);
/* Sends a notice, which has no answer. -EMSGSIZE: too large to be sent. */
int channel_notify(Channel *channel, unsigned method, const void *body) NODISCARD NONNULL(1, 3);

/* A reply that others will follow. One that is too large to be sent becomes FAULT_INTERNAL at the peer,
 * and one whose descriptors the kernel does not take now FAULT_BUSY, here as below. */
int request_reply_more(Request *request, const void *body) NODISCARD NONNULL(1, 2);
int request_reply(Request *request, const void *body, const int *fds, size_t n_fds) NODISCARD
        NONNULL(1, 2);
/* `message` NULL: the fault's own sentence. */
int request_fail(Request *request, Fault fault, const char *message) NODISCARD NONNULL(1);
int request_fail_body(Request *request, const FaultBody *fault) NODISCARD NONNULL(1, 2);
typedef enum RequestSignal {
        REQUEST_TAKEN, /* the caller took what was answered so far */
        REQUEST_GONE,  /* nobody waits for more; or the channel is closed */
} RequestSignal;
/* Called from the loop, or with REQUEST_GONE while the channel is being freed. It may answer its own request, as it
 * does with REQUEST_GONE to free it, and no other. */
typedef int (*RequestSignalled)(void *userdata, RequestSignal signal);
/* Hears what the caller of a method that streams says of it. */
void request_on_signal(Request *request, RequestSignalled signalled, void *userdata) NONNULL(1, 2);
/* Ends a notice. */
void request_done(Request *request) NONNULL(1);
/* Whether the answer can still reach the peer. */
bool request_is_live(const Request *request) NONNULL(1);

DEFINE_CLEANUP(Channel *, channel_free);
