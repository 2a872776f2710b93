#include "gate/operation.h"
#include "base/fd.h"
#include "base/ident.h"
#include "gate/orphan.h"
#include <sys/socket.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5; Debian 12's headers are older */
#endif

/* Looking into /proc takes no time; a supervisor that does not answer is as good as none. */
#define ATTEST_TIMEOUT (10U * USEC_PER_SEC)
/* An upstream is asked within it, twice at most. */
#define TIMEOUT (60U * USEC_PER_SEC)
#define TOKEN_TIMEOUT (30U * USEC_PER_SEC)
/* Steps come meanwhile, and the vault lets whoever waits go before (rotation.c). It goes on without them. */
#define ROTATE_TIMEOUT (300U * USEC_PER_SEC)
/* What the client is told at TOKEN_TIMEOUT may still succeed: then the session must be closed. */
#define OPEN_TIMEOUT (4U * TOKEN_TIMEOUT)

typedef struct Operation {
        Gate *gate;
        VarlinkRequest *request; /* NULL once answered, while the vault's answer is still awaited */
        bool opens;              /* it is an OpenSession */
        Timer *timer;            /* of that */
        Call *watching;          /* a Watch, which goes on until the client is gone */
        Caller caller;
        char *unit;
        char session[IDENT_ID_SIZE + 1]; /* that was opened */
} Operation;

static void operation_free(Operation *operation)
{
        timer_free(operation->timer);
        free(operation->unit);
        free(operation);
}

static int operation_fail(Operation *operation, Fault fault, const char *message)
{
        VarlinkRequest *request = operation->request;

        operation_free(operation);
        return request ? varlink_fail_text(request, fault, message) : 0;
}

/* Passes on a refusal as the other role worded it. */
static int operation_refuse(Operation *operation, const Reply *reply)
{
        const FaultBody fault = {
                .fault = reply->fault,
                .message = reply->message,
                .remedy = reply->remedy,
                .field = reply->field,
                .retry_after_usec = reply->retry_after_usec,
        };
        VarlinkRequest *request = operation->request;

        operation_free(operation);
        return request ? varlink_fail(request, &fault) : 0;
}

/* ---- descriptors ---- */

/* How many the call must come with. */
static size_t fds_wanted(const VarlinkRequest *request)
{
        const OpenSessionRequest *open = request->body;
        const RotateRequest *rotate = request->body;

        switch (request->id) {
        case BROKER_OPEN_SESSION:
                return open->lifeline == LIFELINE_DESCRIPTOR ? 1 : 0;
        case BROKER_ROTATE:
                return rotate->plan || rotate->abort || request->n_fds == 0 ? 0 : 1; /* the provider may make it */
        case BROKER_ADD_SECRET:
        case BROKER_UNLOCK:
        case BROKER_VERIFY_WEBHOOK:
                return 1;
        default:
                return 0;
        }
}

static bool is_option(int fd, int option, int wanted)
{
        int value;
        socklen_t size = sizeof(value);

        return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 && value == wanted;
}

/* A connected Unix stream socket: reading it can neither block nor have effects elsewhere. */
static bool is_stream(int fd)
{
        return is_option(fd, SO_DOMAIN, AF_UNIX) && is_option(fd, SO_TYPE, SOCK_STREAM) &&
               is_option(fd, SO_ACCEPTCONN, 0);
}

static const char *check_fds(const VarlinkRequest *request)
{
        size_t wanted = fds_wanted(request);

        if (request->n_fds < wanted)
                return request->id == BROKER_OPEN_SESSION
                               ? "The lifeline \"descriptor\" needs one descriptor with the call."
                               : "The value travels as one descriptor with the call, and none came.";
        if (request->n_fds > wanted)
                return "The call carries a descriptor that it must not.";
        if (wanted > 0 && request->id != BROKER_OPEN_SESSION && !is_stream(request->fds[0]))
                return "The descriptor is not a Unix stream socket.";
        return NULL;
}

/* ---- the vault's answer ---- */

/* The session's client must have got its answer; otherwise nobody knows of the session. The supervisor is told, since
 * it is left with those of a gate that died in between. */
static int on_open_sent(void *userdata, bool delivered)
{
        Operation *operation = userdata;
        const SessionNotice notice = { .session = operation->session };
        int r;

        if (delivered)
                r = channel_notify(operation->gate->role.supervisor, GATE_DELIVERED, &notice);
        else
                r = orphan_close(operation->gate, operation->session, &operation->caller);

        operation_free(operation);
        return r;
}

static int answer_open(Operation *operation, const Reply *reply)
{
        const OpenSessionReply *body = reply->body;
        VarlinkRequest *request = operation->request;

        memcpy(operation->session, body->session, MIN(strlen(body->session), IDENT_ID_SIZE));
        if (!request)
                return on_open_sent(operation, false);
        operation->timer = timer_free(operation->timer);
        return varlink_reply(request, reply->body, reply->fds, reply->n_fds, on_open_sent, operation);
}

static int on_answer(void *userdata, const Reply *reply)
{
        Operation *operation = userdata;
        VarlinkRequest *request = operation->request;

        if (reply->fault != FAULT_NONE)
                return operation_refuse(operation, reply);
        if (reply->more) /* may be the last that this operation sees */
                return request ? varlink_reply_more(request, reply->body) : 0;
        if (operation->opens)
                return answer_open(operation, reply);
        operation_free(operation);
        return varlink_reply(request, reply->body, reply->fds, reply->n_fds, NULL, NULL);
}

/* Only an opening has this timer: the client learns of the delay, we keep waiting. */
static int on_open_timeout(void *userdata)
{
        Operation *operation = userdata;
        VarlinkRequest *request = take_ptr(operation->request);

        return varlink_fail_text(request, FAULT_TIMEOUT, NULL);
}

/* Of a Watch. */
static int on_client(void *userdata, VarlinkEvent event)
{
        Operation *operation = userdata;
        Call *call = operation->watching;
        int r;

        if (event == VARLINK_TAKEN)
                return call_taken(call);
        r = call_hang_up(call);
        return r < 0 ? r : operation_fail(operation, FAULT_UNAVAILABLE, NULL);
}

/* ---- forwarding ---- */

static const Field *caller_field(const Schema *schema)
{
        for (size_t i = 0; i < schema->n_fields; i++)
                if (schema->fields[i].record == &schema_caller)
                        return &schema->fields[i];
        return NULL;
}

/* Every request has a place for who asks, which is never read from JSON. The copy is the request's:
 * it is cleared with it. */
static int set_caller(VarlinkRequest *request, const Caller *caller)
{
        Pool *pool = varlink_request_pool(request);
        const Field *field = caller_field(request->method->request);
        Caller *copy;
        void *memory;
        int r;

        if (!field)
                return -EINVAL;
        r = pool_alloc(pool, sizeof(*copy), &memory);
        if (r < 0)
                return r;
        copy = memory;
        *copy = *caller;
        if (caller->unit)
                r = pool_text(pool, slice_text(caller->unit), &copy->unit);
        if (r == 0)
                /* NOLINTNEXTLINE(bugprone-sizeof-expression): the member is a pointer, and is set to one */
                memcpy((uint8_t *)request->body + field->offset, &copy, sizeof(copy));
        return r;
}

static int arm_open(Operation *operation)
{
        int r = timer_new(&operation->timer, operation->gate->role.loop, on_open_timeout, operation);

        if (r == 0)
                timer_arm_after(operation->timer, TOKEN_TIMEOUT);
        return r;
}

static uint64_t timeout_of(const VarlinkRequest *request)
{
        switch (request->id) {
        case BROKER_OPEN_SESSION:
                return OPEN_TIMEOUT;
        case BROKER_GET_TOKEN:
                return TOKEN_TIMEOUT;
        case BROKER_ROTATE:
                return ROTATE_TIMEOUT;
        case BROKER_WATCH:
                return UINT64_MAX;
        default:
                return TIMEOUT;
        }
}

static int forward(Operation *operation)
{
        VarlinkRequest *request = operation->request;
        const OpenSessionRequest *open = request->body;
        bool opens = operation->opens, watches = request->id == BROKER_WATCH;
        bool by_connection = opens && open->lifeline == LIFELINE_CONNECTION;
        const int *fds = by_connection ? &request->peer.fd : request->fds;
        uint64_t timeout = timeout_of(request);
        Call *call;
        int r;

        if (!operation->gate->vault || request->peer.fd < 0)
                return operation_fail(operation, FAULT_UNAVAILABLE, NULL);
        r = set_caller(request, &operation->caller);
        if (r == -ENOBUFS)
                return operation_fail(operation, FAULT_BUSY, NULL);
        if (r == 0 && opens)
                r = arm_open(operation);
        if (r < 0)
                return r;
        r = channel_call(operation->gate->vault, request->id, request->body, fds,
                         by_connection ? 1 : request->n_fds, timeout, on_answer, operation, &call);
        if (r < 0 || !call || !watches)
                return r;
        operation->watching = call;
        varlink_request_watch(request, on_client, operation);
        return 0;
}

static int on_attested(void *userdata, const Reply *reply)
{
        Operation *operation = userdata;
        const AttestReply *body = reply->body;

        if (reply->fault != FAULT_NONE) {
                varlink_request_note(operation->request, "is not attested");
                return operation_refuse(operation, reply);
        }
        varlink_request_trust(operation->request);
        if (body->unit) {
                operation->unit = strdup(body->unit);
                if (!operation->unit)
                        return operation_fail(operation, FAULT_INTERNAL, NULL);
                operation->caller.unit = operation->unit;
        }
        return forward(operation);
}

/* 0 with -1 where the kernel has no such option; -errno when the process is gone. */
static int peer_pidfd(int fd, int *ret)
{
        socklen_t size = sizeof(*ret);

        *ret = -1;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, ret, &size) == 0)
                return 0;
        *ret = -1;
        return errno == ENOPROTOOPT ? 0 : error_errno();
}

static int attest(Operation *operation)
{
        _cleanup_(fd_closep) int pidfd = -1;
        const VarlinkPeer *peer = &operation->request->peer;
        const AttestRequest body = { .uid = peer->uid, .pid = (uint64_t)peer->pid };

        if (peer->pid <= 0 || peer_pidfd(peer->fd, &pidfd) < 0)
                return operation_fail(operation, FAULT_NOT_ALLOWED,
                                      "The process that connected cannot be identified any more.");
        return channel_call(operation->gate->role.supervisor, GATE_ATTEST, &body, &pidfd, pidfd >= 0 ? 1 : 0,
                            ATTEST_TIMEOUT, on_attested, operation, NULL);
}

int operation_begin(void *userdata, VarlinkRequest *request)
{
        Gate *gate = userdata;
        const char *reason = check_fds(request);
        Operation *operation;

        if (!gate_permits(gate, request->peer.uid))
                return varlink_fail_text(request, FAULT_NOT_ALLOWED, NULL);
        if (!reason && request->id == BROKER_WATCH && !varlink_request_wants_more(request))
                reason = "Watch answers until the client hangs up: call it with \"more\".";
        if (reason)
                return varlink_fail_text(request, FAULT_INVALID_PARAMETER, reason);
        operation = calloc(1, sizeof(*operation));
        if (!operation)
                return varlink_fail_text(request, FAULT_BUSY, NULL);
        operation->gate = gate;
        operation->request = request;
        operation->opens = request->id == BROKER_OPEN_SESSION;
        operation->caller = (Caller){ .uid = request->peer.uid, .pid = (uint64_t)request->peer.pid };
        return attest(operation);
}
