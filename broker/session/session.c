#include "session/session.h"
#include "base/fd.h"
#include "ipc/lane.h"
#include "session/client.h"
#include "session/configure.h"
#include "session/listener.h"
#include "session/serve.h"
#include "wire/varlink.h"
#include <malloc.h>
#include <stdio.h>

/* A sandbox's processes; well within RLIMIT_NOFILE of the profile. */
#define CONNECTIONS_MAX 128U
/* An upstream may have to be asked. */
#define TOKEN_TIMEOUT (30U * USEC_PER_SEC)
/* Long enough that one request behind another does not pay for it. */
#define REST_USEC (2U * USEC_PER_SEC)

static const char *admit(void *userdata, const VarlinkPeer *peer)
{
        const SessionProcess *session = userdata;

        return session->serves && peer->uid == session->owner_uid ? NULL : "This socket belongs to another user.";
}

static void note(void *userdata, const VarlinkPeer *peer, const char *reason)
{
        SessionProcess *session = userdata;

        role_log(&session->role, LOG_LEVEL_WARNING, "session client, uid %u, pid %d: %s", (unsigned)peer->uid,
                 (int)peer->pid, reason);
}

/* ---- calls of the sandbox ---- */

static int on_token(void *userdata, const Reply *reply)
{
        VarlinkRequest *request = userdata;
        const FaultBody fault = {
                .fault = reply->fault,
                .message = reply->message,
                .remedy = reply->remedy,
                .field = reply->field,
                .retry_after_usec = reply->retry_after_usec,
        };

        if (reply->fault != FAULT_NONE)
                return varlink_fail(request, &fault);
        return varlink_reply(request, reply->body, NULL, 0, NULL, NULL);
}

static int get_token(SessionProcess *session, VarlinkRequest *request)
{
        SessionTokenRequest *body = request->body;

        if (!session->vault)
                return varlink_fail_text(request, FAULT_UNAVAILABLE, NULL);
        body->by_path = request->peer.listening;
        return channel_call(session->vault, SESSION_VAULT_GET_TOKEN, body, NULL, 0, TOKEN_TIMEOUT, on_token, request,
                            NULL);
}

static int on_call(void *userdata, VarlinkRequest *request)
{
        switch (request->id) {
        case SESSION_GET_TOKEN:
                return get_token(userdata, request);
        case SESSION_SERVE:
                return serve_begin(userdata, request);
        default:
                return varlink_fail_text(request, FAULT_METHOD_NOT_FOUND, NULL);
        }
}

static int on_rest(void *userdata)
{
        SessionProcess *session = userdata;

        if (session->n_clients > 0)
                return 0;
        free(session->frame);
        session->frame = NULL;
        (void)malloc_trim(0);
        return 0;
}

int session_start(RoleProcess *role, void *userdata)
{
        SessionProcess *session = userdata;
        VarlinkServerConfig config = {
                .loop = role->loop,
                .arena = role->arena,
                .interface = &interface_session,
                .text = varlink_text_session,
                .handler = on_call,
                .admit = admit,
                .note = note,
                .userdata = session,
                .max_connections = CONNECTIONS_MAX,
                .max_per_uid = CONNECTIONS_MAX,
        };
        int r;

        list_init(&session->egresses);
        list_init(&session->listeners);
        list_init(&session->clients);
        session->namespace = listener_namespace(ROLE_SOCKET);
        r = admissions_init(&session->admissions, role->loop);
        if (r == 0)
                r = configure_init(session);
        if (r == 0)
                r = reporter_init(session);
        if (r == 0)
                r = timer_new(&session->rest, role->loop, on_rest, session);
        if (r == 0)
                session_rest(session); /* of what the confinement took */
        return r < 0 ? r : varlink_server_new(&session->server, &config);
}

void session_rest(SessionProcess *session)
{
        if (session->rest)
                timer_arm_after(session->rest, REST_USEC);
}

uint8_t *session_frame(SessionProcess *session)
{
        if (!session->frame)
                session->frame = malloc(LANE_FRAME_MAX);
        return session->frame;
}

void session_stop(UNUSED RoleProcess *role, void *userdata)
{
        SessionProcess *session = userdata;

        listener_free_all(session);
        client_free_all(session);
        egress_free_all(session);
        configure_deinit(session);
        session->rest = timer_free(session->rest);
        reporter_deinit(session);
        session->vault = channel_free(session->vault);
        session->server = varlink_server_free(session->server);
        if (session->admissions.loop)
                admissions_deinit(&session->admissions);
        free(session->frame);
}

/* ---- calls of the supervisor ---- */

static int on_vault_closed(void *userdata, Channel *channel, const char *reason)
{
        SessionProcess *session = userdata;

        if (session->vault == channel)
                session->vault = NULL;
        channel_free(channel);
        role_log(&session->role, LOG_LEVEL_INFO, "the vault %s", reason);
        return 0;
}

static int attach_egress(SessionProcess *session, Request *request)
{
        const AttachRequest *body = request->body;
        const Empty reply = { 0 };
        int r;

        if (!body->profile || request->n_fds != 1)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        r = egress_attach(session, body->profile, take_fd(&request->fds[0]));
        return r < 0 ? request_fail(request, FAULT_INTERNAL, strerror(-r)) : request_reply(request, &reply, NULL, 0);
}

static int attach_vault(SessionProcess *session, Request *request)
{
        const AttachRequest *body = request->body;
        ChannelConfig config = {
                .loop = session->role.loop,
                .arena = session->role.arena,
                .out = &interface_session_vault,
                .closed = on_vault_closed,
                .userdata = session,
        };
        Channel *former = session->vault;
        const Empty reply = { 0 };
        int r;

        if (body->peer != ROLE_VAULT || request->n_fds != 1)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        config.fd = take_fd(&request->fds[0]);
        r = channel_new(&session->vault, &config);
        if (r < 0)
                return r;
        channel_free(former); /* what waited there is answered as unavailable */
        r = configure_again(session);
        return r < 0 ? r : request_reply(request, &reply, NULL, 0);
}

static int attach(SessionProcess *session, Request *request)
{
        const AttachRequest *body = request->body;

        return body->peer == ROLE_EGRESS ? attach_egress(session, request) : attach_vault(session, request);
}

/* Those that were kept are looked at again: what the supervisor says of them is what it was told. */
static int serve_proxy(SessionProcess *session, Request *request, int fd)
{
        const ServeRequest *body = request->body;
        const Empty reply = { 0 };
        const char *problem;
        int r = listener_check(session, fd, (Service)body->service, &problem);

        if (r) {
                fd_close(fd);
                return request_fail(request, FAULT_INVALID_PARAMETER, problem);
        }
        r = listener_add(session, fd, (Service)body->service);
        if (r == LISTENER_E_FULL)
                return request_fail(request, FAULT_BUSY, NULL);
        return r < 0 ? request_fail(request, FAULT_INTERNAL, strerror(-r)) : request_reply(request, &reply, NULL, 0);
}

static int serve(SessionProcess *session, Request *request)
{
        const ServeRequest *body = request->body;
        const Empty reply = { 0 };
        int r, fd;

        if (request->n_fds != 1)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        fd = take_fd(&request->fds[0]);
        session->owner_uid = body->owner_uid;
        session->serves = true;
        (void)snprintf(session->id, sizeof(session->id), "%s", body->session);
        switch ((Service)body->service) {
        case SERVICE_VARLINK_SOCKET:
                r = varlink_server_listen(session->server, fd);
                break;
        case SERVICE_VARLINK_DESCRIPTOR:
                r = varlink_server_adopt(session->server, fd, false);
                break;
        case SERVICE_PROXY_SOCKET:
        case SERVICE_PROXY:
        case SERVICE_TLS:
        case SERVICE_DNS:
        case SERVICE_LOOPBACK:
                return serve_proxy(session, request, fd);
        default:
                fd_close(fd);
                return request_fail(request, FAULT_UNSUPPORTED, NULL);
        }
        return r < 0 ? request_fail(request, FAULT_INTERNAL, strerror(-r)) : request_reply(request, &reply, NULL, 0);
}

int session_handle(void *userdata, UNUSED Channel *channel, Request *request)
{
        switch (request->id) {
        case TO_SESSION_ATTACH:
                return attach(userdata, request);
        case TO_SESSION_SERVE:
                return serve(userdata, request);
        default:
                return request_fail(request, FAULT_METHOD_NOT_FOUND, NULL);
        }
}
