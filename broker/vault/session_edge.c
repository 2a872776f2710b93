#include "base/fd.h"
#include "vault/vault.h"
#include "vault/waiting_room.h"
#include <stdio.h>

/* A session's process that asks for its configuration over and over is told to wait: each costs a look into
 * the keyring. */
#define CONFIGURE_USEC (100 * USEC_PER_MSEC)

/* Attached session processes; the supervisor has its own limits. Which session it is comes from here alone. */
typedef struct SessionEdge {
        List link;
        Vault *vault;
        Channel *channel;
        char session[IDENT_ID_SIZE + 1];
        uint64_t process;    /* counts from 1 */
        uint64_t configured; /* boot clock: when it last asked; 0: never */
} SessionEdge;

static int run(void *userdata, Request *request)
{
        SessionEdge *edge = userdata;

        switch ((FromSessionVaultMethod)request->id) {
        case SESSION_VAULT_GET_TOKEN:
                return op_session_token(edge->vault, edge->session, request);
        case SESSION_VAULT_CONFIGURE:
                return op_session_configure(edge->vault, edge->session, edge->process, request);
        case SESSION_VAULT_PROVE:
                return op_session_prove(edge->vault, edge->session, request);
        default:
                return -ENOTRECOVERABLE;
        }
}

static int refuse_hurry(SessionEdge *edge, Request *request, uint64_t now)
{
        FaultBody fault = {
                .fault = FAULT_BUSY,
                .message = "The session asked for its configuration a moment ago.",
                .retry_after_usec = edge->configured + CONFIGURE_USEC - now,
        };

        return request_fail_body(request, &fault);
}

static int on_request(void *userdata, UNUSED Channel *channel, Request *request)
{
        SessionEdge *edge = userdata;
        uint64_t now = vault_boot(edge->vault);
        int r;

        switch ((FromSessionVaultMethod)request->id) {
        case SESSION_VAULT_REPORT:
                r = proxy_report(edge->vault, edge->session, NULL, request->body);
                request_done(request);
                return r;
        case SESSION_VAULT_MISUSE:
                r = proxy_misuse(edge->vault, edge->session, request->body);
                request_done(request);
                return r;
        case SESSION_VAULT_CONFIGURE:
                if (edge->configured && now - edge->configured < CONFIGURE_USEC)
                        return refuse_hurry(edge, request, now);
                edge->configured = now;
                break;
        default:
                break;
        }
        return waiting_room_enter(edge->vault->waiting_room, run, edge, request, true);
}

static void edge_free(SessionEdge *edge)
{
        list_remove(&edge->link);
        channel_free(edge->channel);
        free(edge);
}

static int on_closed(void *userdata, UNUSED Channel *channel, UNUSED const char *reason)
{
        edge_free(userdata);
        return 0;
}

int session_edge_attach(Vault *vault, int fd, const char *session)
{
        ChannelConfig config = {
                .loop = vault->role.loop,
                .arena = vault->role.arena,
                .fd = fd,
                .in = &interface_session_vault,
                .handler = on_request,
                .closed = on_closed,
        };
        SessionEdge *edge = calloc(1, sizeof(*edge));
        int r;

        if (!edge) {
                fd_close(fd);
                return -ENOMEM;
        }
        list_init(&edge->link);
        edge->vault = vault;
        edge->process = ++vault->n_session_edges;
        (void)snprintf(edge->session, sizeof(edge->session), "%s", session);
        config.userdata = edge;
        r = channel_new(&edge->channel, &config);
        if (r < 0) {
                free(edge);
                return r;
        }
        list_append(&vault->session_edges, &edge->link);
        return 0;
}

void session_edges_free(Vault *vault)
{
        while (vault->session_edges.next && !list_empty(&vault->session_edges))
                edge_free(container_of(vault->session_edges.next, SessionEdge, link));
}
