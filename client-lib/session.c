#include "client.h"
#include "base/fd.h"
#include <string.h>
#include <sys/socket.h>

struct mcpcred_session {
        Arena *arena;
        Pool pool;
        OpenSessionReply body; /* its secrets are NUL-terminated in the arena */
        mcpcred_row *grants;
        int fd;
        int lifeline;
};

static mcpcred_session *session_new(void)
{
        mcpcred_session *session = calloc(1, sizeof(*session));

        if (!session)
                return NULL;
        session->pool = POOL_NULL(CLIENT_POOL_MAX);
        session->fd = session->lifeline = -1;
        if (arena_new(&session->arena, CLIENT_ARENA_SIZE))
                return mcpcred_session_free(session);
        return session;
}

mcpcred_session *mcpcred_session_free(mcpcred_session *session)
{
        if (!session)
                return NULL;
        (void)fd_close(session->lifeline);
        (void)fd_close(session->fd);
        schema_clear(interface_broker.methods[BROKER_OPEN_SESSION].reply, &session->body);
        free(session->grants);
        pool_deinit(&session->pool);
        arena_free(session->arena);
        free(session);
        return NULL;
}

/* A C string can be asked for, so that is what is kept. A value with a NUL is no environment. */
static int terminate(Secret **secret, Arena *arena)
{
        _cleanup_(secret_freep) Secret *copy = NULL;
        Slice bytes = secret_slice(*secret);

        if (bytes.size > 0 && memchr(bytes.data, 0, bytes.size))
                return -EINVAL;
        if (secret_new(&copy, arena, bytes.size + 1) || secret_append(copy, bytes) ||
            secret_append(copy, slice("", 1)))
                return -ENOMEM;
        secret_free(*secret);
        *secret = take_ptr(copy);
        return 0;
}

/* Takes the reply over: the secrets move, the texts are in the session's pool already. */
static int keep(mcpcred *client, void *body, Pool *pool, bool more UNUSED, void *userdata)
{
        mcpcred_session *session = userdata;
        EnvironmentEntry *entries;
        int r = 0;

        session->body = *(OpenSessionReply *)body;
        *(OpenSessionReply *)body = (OpenSessionReply){ 0 };
        entries = session->body.environment.items;
        for (size_t i = 0; r == 0 && i < session->body.environment.n; i++)
                r = terminate(&entries[i].value, session->arena);
        if (r == -EINVAL)
                return client_fail(client, MCPCRED_E_PROTOCOL,
                                   "A variable of the session contains a NUL.");
        session->grants = calloc(session->body.grants.n + 1, sizeof(*session->grants));
        if (r < 0 || !session->grants)
                return client_fail_errno(client, -ENOMEM, "keep the session");
        for (size_t i = 0; i < session->body.grants.n; i++)
                session->grants[i] =
                        (mcpcred_row){ &schema_grant_reply,
                                       (const GrantReply *)session->body.grants.items + i, pool };
        return 0;
}

static int make_lifeline(mcpcred *client, mcpcred_session *session, int *ret_other)
{
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return client_fail_errno(client, error_errno(), "make the lifeline");
        session->lifeline = pair[0];
        *ret_other = pair[1];
        return 0;
}

static uint32_t wire_lifeline(mcpcred_lifeline lifeline)
{
        switch (lifeline) {
        case MCPCRED_LIFELINE_CONNECTION:
                return LIFELINE_CONNECTION;
        case MCPCRED_LIFELINE_LIFETIME:
                return LIFELINE_LIFETIME;
        default:
                return LIFELINE_DESCRIPTOR;
        }
}

static void session_freep(mcpcred_session **session)
{
        mcpcred_session_free(*session);
}

int mcpcred_session_open(mcpcred *client, const mcpcred_open *request, mcpcred_session **ret)
{
        _cleanup_(session_freep) mcpcred_session *session = NULL;
        _cleanup_(fd_closep) int other = -1;
        Call call = { CALL(BROKER_OPEN_SESSION), .reply = keep };
        OpenRequest open;
        int r;

        client_clear_error(client);
        r = open_request_get(request, &open);
        if (r)
                return client_fail(
                        client, r, "%s",
                        r == MCPCRED_E_MISUSE
                                ? "The session has no profile, or one of its parts is not valid."
                                : "");
        session = session_new();
        if (!session)
                return client_fail(client, MCPCRED_E_NO_MEMORY, "%s", "");
        if (open.lifeline == MCPCRED_LIFELINE_SOCKET) {
                r = make_lifeline(client, session, &other);
                if (r)
                        return r;
        }
        open.body.lifeline = wire_lifeline(open.lifeline);
        call.request = &open.body;
        call.request_fd = open.lifeline == MCPCRED_LIFELINE_DESCRIPTOR ? open.lifeline_fd : other;
        call.arena = session->arena;
        call.pool = &session->pool;
        call.userdata = session;
        call.ret_fd = open.body.want_descriptor ? &session->fd : NULL;
        r = call_run(client, &call);
        if (r)
                return r;
        if (open.body.want_descriptor && session->fd < 0)
                return client_fail(
                        client, MCPCRED_E_PROTOCOL,
                        "The broker opened the session without the socket that was asked for.");
        *ret = take_ptr(session);
        return 0;
}

const char *mcpcred_session_id(const mcpcred_session *session)
{
        return session->body.session;
}

uint64_t mcpcred_session_expires(const mcpcred_session *session)
{
        return session->body.expires;
}

size_t mcpcred_session_environment_count(const mcpcred_session *session)
{
        return session->body.environment.n;
}

static const EnvironmentEntry *entry(const mcpcred_session *session, size_t index)
{
        return index < session->body.environment.n
                       ? (const EnvironmentEntry *)session->body.environment.items + index
                       : NULL;
}

const char *mcpcred_session_environment_name(const mcpcred_session *session, size_t index)
{
        const EnvironmentEntry *found = entry(session, index);

        return found ? found->name : NULL;
}

const char *mcpcred_session_environment_value(const mcpcred_session *session, size_t index)
{
        const EnvironmentEntry *found = entry(session, index);

        return found ? (const char *)secret_slice(found->value).data : NULL;
}

const mcpcred_row *mcpcred_session_grant(const mcpcred_session *session, size_t index)
{
        return index < session->body.grants.n ? &session->grants[index] : NULL;
}

const char *mcpcred_session_socket(const mcpcred_session *session)
{
        return session->body.socket;
}

const char *mcpcred_session_directory(const mcpcred_session *session)
{
        return session->body.directory;
}

int mcpcred_session_fd(const mcpcred_session *session)
{
        return session->fd;
}

int mcpcred_session_lifeline_fd(const mcpcred_session *session)
{
        return session->lifeline;
}

const char *mcpcred_session_proxy_socket(const mcpcred_session *session)
{
        return session->body.proxy_socket;
}

const char *mcpcred_session_ca(const mcpcred_session *session)
{
        return session->body.ca;
}

const char *mcpcred_session_ca_bundle(const mcpcred_session *session)
{
        return session->body.ca_bundle;
}

const char *mcpcred_session_host(const mcpcred_session *session, size_t index)
{
        return index < session->body.hosts.n ? session->body.hosts.items[index] : NULL;
}

int mcpcred_close_session(mcpcred *client, const char *session, mcpcred_row_fn row, void *userdata,
                          mcpcred_ended *ret)
{
        const CloseSessionRequest request = { .session = session };
        RowTarget target = { .row = row, .userdata = userdata };
        const Call call = { CALL(BROKER_CLOSE_SESSION), .request = &request,
                            .reply = row_target_ended, .userdata = &target };
        int r = call_run(client, &call);

        if (r == 0 && ret)
                *ret = target.ended;
        return r;
}
