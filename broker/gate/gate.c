#include "gate/gate.h"
#include "base/fd.h"
#include "base/text.h"
#include "gate/operation.h"
#include "gate/orphan.h"
#include "wire/varlink.h"

/* `mcpcred exec` holds one for as long as its session lives. */
#define CONNECTIONS_PER_UID 256U
/* With the two descriptors that each may have on its way, within RLIMIT_NOFILE of the profile. */
#define CONNECTIONS_MAX 1024U
/* How long to wait for the edge to a new vault before asking for one, by a new start of this process. */
#define LOST_USEC (15U * USEC_PER_SEC)

bool gate_permits(const Gate *gate, uint64_t uid)
{
        if (!gate->listens)
                return false;
        if (uid == gate->owner_uid)
                return true;
        for (size_t i = 0; i < gate->n_uids; i++)
                if (gate->uids[i] == uid)
                        return true;
        return false;
}

static const char *admit(void *userdata, const VarlinkPeer *peer)
{
        return gate_permits(userdata, peer->uid) ? NULL : "This socket belongs to another user.";
}

static void note(void *userdata, const VarlinkPeer *peer, const char *reason)
{
        Gate *gate = userdata;

        role_log(&gate->role, LOG_LEVEL_WARNING, "control client, uid %u, pid %d: %s", (unsigned)peer->uid,
                 (int)peer->pid, reason);
}

/*
 * The supervisor makes an edge when one of its ends is started. An edge that broke while both ends live,
 * since one was out of something for a moment, would never be made again.
 */
static int on_lost(void *userdata)
{
        Gate *gate = userdata;

        role_log(&gate->role, LOG_LEVEL_WARNING, "has no edge to the vault; starts anew");
        loop_exit(gate->role.loop, 0);
        return 0;
}

int gate_start(RoleProcess *role, void *userdata)
{
        Gate *gate = userdata;
        VarlinkServerConfig config = {
                .loop = role->loop,
                .interface = &interface_broker,
                .text = varlink_text_broker,
                .handler = operation_begin,
                .admit = admit,
                .note = note,
                .userdata = gate,
                .check_sender = true,
                .makes_room = true,
                .max_connections = CONNECTIONS_MAX,
                .max_per_uid = CONNECTIONS_PER_UID,
        };

        int r;

        list_init(&gate->orphans);
        r = timer_new(&gate->lost, role->loop, on_lost, gate);
        return r < 0 ? r : varlink_server_new(&gate->server, &config);
}

void gate_stop(UNUSED RoleProcess *role, void *userdata)
{
        Gate *gate = userdata;

        gate->vault = channel_free(gate->vault);
        gate->server = varlink_server_free(gate->server);
        gate->lost = timer_free(gate->lost);
        if (gate->orphans.next)
                orphan_forget_all(gate);
}

/* ---- calls of the supervisor ---- */

static int on_vault_closed(void *userdata, Channel *channel, const char *reason)
{
        Gate *gate = userdata;

        if (gate->vault == channel) {
                gate->vault = NULL;
                timer_arm_after(gate->lost, LOST_USEC);
        }
        channel_free(channel);
        role_log(&gate->role, LOG_LEVEL_INFO, "the vault %s", reason);
        return 0;
}

static int attach(Gate *gate, Request *request)
{
        const AttachRequest *body = request->body;
        ChannelConfig config = {
                .loop = gate->role.loop,
                .arena = gate->role.arena,
                .out = &interface_broker,
                .closed = on_vault_closed,
                .userdata = gate,
        };
        Channel *former = gate->vault;
        const Empty reply = { 0 };
        int r;

        if (body->peer != ROLE_VAULT || request->n_fds != 1)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        config.fd = take_fd(&request->fds[0]);
        r = channel_new(&gate->vault, &config);
        if (r < 0)
                return r;
        timer_disarm(gate->lost);
        channel_free(former); /* what waited there is answered as unavailable */
        r = request_reply(request, &reply, NULL, 0);
        return r < 0 ? r : orphan_close_all(gate);
}

static int take_uids(Gate *gate, const ListenRequest *body)
{
        size_t n = 0;

        for (; n < body->group_uids.n && n < GATE_UIDS_MAX; n++)
                if (text_parse_u64(body->group_uids.items[n], &gate->uids[n]))
                        return -EINVAL;
        gate->owner_uid = body->owner_uid;
        gate->n_uids = n;
        gate->listens = true;
        return 0;
}

static int listen_control(Gate *gate, Request *request)
{
        const Empty reply = { 0 };
        int r;

        if (request->n_fds != 1 || take_uids(gate, request->body) < 0)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        r = varlink_server_listen(gate->server, take_fd(&request->fds[0]));
        return r < 0 ? request_fail(request, FAULT_INTERNAL, strerror(-r)) : request_reply(request, &reply, NULL, 0);
}

/* A connection that the former gate served: its next call is attested like any other. */
static int adopt(Gate *gate, Request *request)
{
        const Empty reply = { 0 };
        int r;

        if (request->n_fds != 1)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        r = varlink_server_adopt(gate->server, take_fd(&request->fds[0]), true);
        return r < 0 ? request_fail(request, FAULT_INTERNAL, strerror(-r)) : request_reply(request, &reply, NULL, 0);
}

int gate_handle(void *userdata, UNUSED Channel *channel, Request *request)
{
        switch (request->id) {
        case TO_GATE_ATTACH:
                return attach(userdata, request);
        case TO_GATE_LISTEN:
                return listen_control(userdata, request);
        case TO_GATE_ADOPT:
                return adopt(userdata, request);
        default:
                return request_fail(request, FAULT_METHOD_NOT_FOUND, NULL);
        }
}
