#include "client.h"
#include "base/fd.h"
#include <string.h>

static uint32_t wire_service(mcpcred_service service)
{
        switch (service) {
        case MCPCRED_SERVICE_PROXY:
                return SESSION_SERVICE_PROXY;
        case MCPCRED_SERVICE_TLS:
                return SESSION_SERVICE_TLS;
        case MCPCRED_SERVICE_DNS:
                return SESSION_SERVICE_DNS;
        default:
                return SESSION_SERVICE_LOOPBACK;
        }
}

static const char *secret_of(const mcpcred_session *session)
{
        for (size_t i = 0; i < mcpcred_session_environment_count(session); i++)
                if (strcmp(mcpcred_session_environment_name(session, i), "MCPCRED_SESSION") == 0)
                        return mcpcred_session_environment_value(session, i);
        return NULL;
}

/* From outside, at its socket. */
static int reach_path(mcpcred *client, const mcpcred_session *session, Link *link, Arena *arena,
                      Secret **ret_secret)
{
        const char *path = mcpcred_session_socket(session), *secret = secret_of(session);

        if (!path || !secret)
                return client_fail(client, MCPCRED_E_PROTOCOL,
                                   "The broker gave no way to reach the session.");
        return inside_reach_path(client, link, path, false, slice_text(secret), arena, ret_secret);
}

/* By the descriptor that was asked for no secret is needed, and so no memory for one. */
static int reach(mcpcred *client, const mcpcred_session *session, Link *link, Arena **ret_arena,
                 Secret **ret_secret)
{
        if (session && mcpcred_session_fd(session) >= 0) {
                link->fd = mcpcred_session_fd(session);
                link->borrowed = true;
                return 0;
        }
        if (arena_new(ret_arena, CLIENT_ARENA_SIZE))
                return client_fail(client, MCPCRED_E_NO_MEMORY, "%s", "");
        return session ? reach_path(client, session, link, *ret_arena, ret_secret)
                       : inside_reach(client, link, *ret_arena, ret_secret);
}

int mcpcred_session_serve(mcpcred *client, const mcpcred_session *session, mcpcred_service service,
                          int fd)
{
        _cleanup_(arena_freep) Arena *arena = NULL;
        SessionServeRequest request = { .service = wire_service(service) };
        const Call call = { .interface = &interface_session,
                            .method = SESSION_SERVE,
                            .request = &request,
                            .request_fd = fd };
        Link link = LINK_NULL;
        int r;

        client_clear_error(client);
        if (fd < 0)
                return client_fail(client, MCPCRED_E_MISUSE, "There is no socket to hand over.");
        r = reach(client, session, &link, &arena, &request.session);
        if (r == 0)
                r = call_on_link(client, &link, &call);
        secret_free(request.session);
        link_close(&link);
        return r;
}
