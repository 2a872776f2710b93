#include "session/serve.h"
#include "base/fd.h"
#include "session/listener.h"
#include <stdio.h>

#define PROVE_TIMEOUT_USEC (10U * USEC_PER_SEC)
#define KEEP_TIMEOUT_USEC  (10U * USEC_PER_SEC)

/* One call, while the vault or the supervisor is asked. */
typedef struct Serving {
        SessionProcess *session;
        VarlinkRequest *request;
        Service service;
        int fd;
} Serving;

static void serving_free(Serving *serving)
{
        fd_close(serving->fd); /* which takes SO_LINGER off, so that it cannot block */
        free(serving);
}

static int fail(Serving *serving, Fault fault, const char *message)
{
        VarlinkRequest *request = serving->request;

        serving_free(serving);
        return varlink_fail_text(request, fault, message);
}

static int on_kept(void *userdata, const Reply *reply)
{
        static const Empty nothing = { 0 };
        Serving *serving = userdata;
        VarlinkRequest *request = serving->request;
        int r;

        if (reply->fault != FAULT_NONE)
                return fail(serving, reply->fault,
                            reply->fault == FAULT_BUSY ? "This session has handed over all the sockets that it may." : NULL);
        r = listener_add(serving->session, take_fd(&serving->fd), serving->service);
        if (r)
                return fail(serving, r == LISTENER_E_FULL ? FAULT_BUSY : FAULT_INTERNAL, NULL);
        serving_free(serving);
        return varlink_reply(request, &nothing, NULL, 0, NULL, NULL);
}

/* The supervisor gets a duplicate first, so that what is served once is served again. */
static int keep(Serving *serving)
{
        const KeepRequest request = { .service = serving->service };
        const char *problem;
        char message[128];

        if (listener_check(serving->session, serving->fd, serving->service, &problem) != 0) {
                (void)snprintf(message, sizeof(message), "The socket is %s.", problem);
                return fail(serving, FAULT_INVALID_PARAMETER, message);
        }
        return channel_call(serving->session->role.supervisor, FROM_SESSION_KEEP, &request, &serving->fd, 1,
                            KEEP_TIMEOUT_USEC, on_kept, serving, NULL);
}

static int on_proved(void *userdata, const Reply *reply)
{
        Serving *serving = userdata;

        return reply->fault == FAULT_NONE ? keep(serving) : fail(serving, reply->fault, reply->message);
}

/* Who found the path knows of the session by that alone; who was given a descriptor is in it. */
static int prove(Serving *serving, SessionServeRequest *body)
{
        SessionProveRequest request = { .session = body->session };

        if (!serving->request->peer.listening)
                return keep(serving);
        if (!body->session)
                return fail(serving, FAULT_NOT_ALLOWED, "The socket at a path asks for the session's secret.");
        if (!serving->session->vault)
                return fail(serving, FAULT_UNAVAILABLE, NULL);
        return channel_call(serving->session->vault, SESSION_VAULT_PROVE, &request, NULL, 0, PROVE_TIMEOUT_USEC, on_proved,
                            serving, NULL);
}

static Service service_of(SessionService service)
{
        switch (service) {
        case SESSION_SERVICE_TLS:
                return SERVICE_TLS;
        case SESSION_SERVICE_DNS:
                return SERVICE_DNS;
        case SESSION_SERVICE_LOOPBACK:
                return SERVICE_LOOPBACK;
        case SESSION_SERVICE_PROXY:
                break;
        }
        return SERVICE_PROXY;
}

int serve_begin(SessionProcess *session, VarlinkRequest *request)
{
        SessionServeRequest *body = request->body;
        Serving *serving;

        if (request->n_fds != 1)
                return varlink_fail_text(request, FAULT_INVALID_PARAMETER, "Serve takes one descriptor.");
        serving = calloc(1, sizeof(*serving));
        if (!serving)
                return varlink_fail_text(request, FAULT_INTERNAL, NULL);
        *serving = (Serving){
                .session = session,
                .request = request,
                .service = service_of((SessionService)body->service),
                .fd = take_fd(&request->fds[0]),
        };
        request->n_fds = 0;
        return prove(serving, body);
}
