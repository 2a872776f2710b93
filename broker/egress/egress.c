#include "egress/egress.h"
#include "base/fd.h"
#include "egress/lane_server.h"
#include <stdio.h>

/* What is held back of a body: scrub_stream_hold() of the longest credential is less. */
#define HELD_MAX (16U * SCRUB_SECRET_MAX)

static Tenant *find(EgressProcess *process, const char *session)
{
        LIST_FOREACH(node, &process->tenants) {
                Tenant *tenant = container_of(node, Tenant, link);

                if (strcmp(tenant->session, session) == 0)
                        return tenant;
        }
        return NULL;
}

static Tenant *find_or_new(EgressProcess *process, const char *session)
{
        Tenant *tenant = find(process, session);
        const BudgetLimits none = { 0 };

        if (tenant)
                return tenant;
        tenant = calloc(1, sizeof(*tenant));
        if (!tenant)
                return NULL;
        tenant->process = process;
        (void)snprintf(tenant->session, sizeof(tenant->session), "%s", session);
        list_init(&tenant->lanes);
        budget_set_limits(&tenant->budget, &none);
        list_append(&process->tenants, &tenant->link);
        return tenant;
}

static void close_lanes(Tenant *tenant)
{
        while (!list_empty(&tenant->lanes))
                lane_close(container_of(tenant->lanes.next, Lane, link));
}

static void drop_grant(Tenant *tenant)
{
        if (!tenant->grant)
                return;
        tenant->grant->current = false;
        tenant->grant->idle = idle_pool_free(tenant->grant->idle);
        tenant->grant = grant_unref(tenant->grant);
}

static void tenant_free(Tenant *tenant)
{
        close_lanes(tenant);
        drop_grant(tenant);
        channel_free(tenant->edge);
        list_remove(&tenant->link);
        free(tenant);
}

/* Neither a process nor a grant: there is nothing left to remember but what a vault would tell anew. */
static void forget_if_idle(Tenant *tenant)
{
        if (!tenant->edge && !tenant->grant)
                tenant_free(tenant);
}

/* ---- what waits for the next round ---- */

void egress_bury(EgressProcess *process, List *link)
{
        list_append(&process->dead, link);
        timer_arm_after(process->turn, 0);
}

static void free_dead(EgressProcess *process)
{
        LIST_FOREACH(node, &process->dead) {
                list_remove(node);
                free(container_of(node, Lane, link));
        }
}

static int on_turn(void *userdata)
{
        EgressProcess *process = userdata;
        List now;
        int r = 0;

        free_dead(process);
        list_init(&now);
        LIST_FOREACH(node, &process->runnable) {
                list_remove(node);
                list_append(&now, node);
        }
        while (r == 0 && !list_empty(&now)) {
                Lane *lane = container_of(now.next, Lane, runnable);

                list_remove(&lane->runnable);
                r = download_run(lane);
                if (r == 0)
                        r = lane_update(lane);
        }
        LIST_FOREACH(node, &now) { /* behind a defect: the list is gone with this function */
                list_remove(node);
                list_append(&process->runnable, node);
        }
        return r;
}

/* ---- the vault ---- */

static int grant(EgressProcess *process, Request *request)
{
        EgressGrantRequest *body = request->body;
        Tenant *tenant = find_or_new(process, body->session);
        const char *problem = NULL;
        const Empty reply = { 0 };
        BudgetLimits limits;
        Grant *new = NULL;
        int r;

        if (!tenant)
                return request_fail(request, FAULT_BUSY, NULL);
        r = grant_new(&new, body, process->role.loop, process->role.arena, &problem);
        if (r) {
                forget_if_idle(tenant);
                return r == GRANT_E_INVALID ? request_fail(request, FAULT_INVALID_PARAMETER, problem)
                                            : request_fail(request, FAULT_BUSY, NULL);
        }
        limits = (BudgetLimits){
                .rate = new->policy->rate,
                .rate_usec = MIN(new->policy->rate_seconds, UINT32_MAX) * USEC_PER_SEC,
                .max_uses = new->policy->max_uses,
                .concurrent = new->policy->concurrent,
        };
        budget_set_limits(&tenant->budget, &limits);
        drop_grant(tenant);
        tenant->grant = new;
        new->current = true;
        tenant->cut = false;
        return request_reply(request, &reply, NULL, 0);
}

static int compare_texts(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* One walk, however many there are. */
static void take_tenants(EgressProcess *process, const TextList *sessions, List *out)
{
        if (sessions->n > 1)
                qsort(sessions->items, sessions->n, sizeof(*sessions->items), compare_texts);
        LIST_FOREACH(node, &process->tenants) {
                Tenant *tenant = container_of(node, Tenant, link);
                const char *session = tenant->session;

                if (sessions->n == 0 ||
                    !bsearch(&session, sessions->items, sessions->n, sizeof(*sessions->items), compare_texts))
                        continue;
                list_remove(node);
                list_append(out, node);
        }
}

static void sever_upstream(Tenant *tenant)
{
        if (tenant->grant && tenant->grant->idle)
                idle_pool_sever(tenant->grant->idle);
        LIST_FOREACH(node, &tenant->lanes)
                lane_sever_upstream(container_of(node, Lane, link));
}

static void sever_lanes(Tenant *tenant)
{
        LIST_FOREACH(node, &tenant->lanes) {
                exchange_tell_revoked(container_of(node, Lane, link));
                lane_sever(container_of(node, Lane, link));
        }
        LIST_FOREACH(node, &tenant->lanes)
                if (container_of(node, Lane, link)->grant)
                        grant_withdraw(container_of(node, Lane, link)->grant);
        if (tenant->grant)
                grant_withdraw(tenant->grant);
}

/*
 * All of it between two looks at any descriptor: first nothing leaves any more, then nothing is known
 * any more, then it is said. The objects are taken down behind the answer, which is not to wait for TLS.
 */
static int cut(EgressProcess *process, Request *request)
{
        const EgressCutRequest *body = request->body;
        const Empty reply = { 0 };
        List cut;
        int r;

        list_init(&cut);
        take_tenants(process, &body->sessions, &cut);
        LIST_FOREACH(node, &cut)
                sever_upstream(container_of(node, Tenant, link));
        LIST_FOREACH(node, &cut)
                sever_lanes(container_of(node, Tenant, link));
        r = request_reply(request, &reply, NULL, 0);
        LIST_FOREACH(node, &cut) {
                Tenant *tenant = container_of(node, Tenant, link);

                list_remove(&tenant->link);
                list_append(&process->tenants, &tenant->link);
                tenant->cut = true;
                close_lanes(tenant);
                drop_grant(tenant);
                forget_if_idle(tenant);
        }
        return r;
}

static int on_vault_call(void *userdata, UNUSED Channel *channel, Request *request)
{
        switch ((EgressMethod)request->id) {
        case EGRESS_GRANT:
                return grant(userdata, request);
        case EGRESS_CUT:
                return cut(userdata, request);
        }
        return request_fail(request, FAULT_METHOD_NOT_FOUND, NULL);
}

/* Nobody could revoke what is held here: it ends, and with it all that it holds. */
static int on_vault_closed(void *userdata, Channel *channel, UNUSED const char *reason)
{
        EgressProcess *process = userdata;
        int r;

        if (process->vault != channel)
                return 0;
        r = reporter_set_channel(process->reporter, NULL);
        while (!list_empty(&process->tenants))
                tenant_free(container_of(process->tenants.next, Tenant, link));
        process->vault = channel_free(process->vault);
        loop_exit(process->role.loop, 0);
        return r;
}

static int attach_vault(EgressProcess *process, Request *request)
{
        const Empty reply = { 0 };
        ChannelConfig config = {
                .loop = process->role.loop,
                .arena = process->role.arena,
                .in = &interface_egress,
                .out = &interface_from_egress,
                .handler = on_vault_call,
                .closed = on_vault_closed,
                .userdata = process,
        };
        int r;

        if (process->vault)
                return request_fail(request, FAULT_INVALID_PARAMETER, "There is a vault already.");
        config.fd = take_fd(&request->fds[0]);
        r = channel_new(&process->vault, &config);
        if (r < 0)
                return r;
        r = reporter_set_channel(process->reporter, process->vault);
        return r < 0 ? r : request_reply(request, &reply, NULL, 0);
}

/* ---- a session ---- */

static int on_session_call(void *userdata, UNUSED Channel *channel, Request *request)
{
        Tenant *tenant = userdata;
        const Empty reply = { 0 };
        int r;

        if (request->id != LANE_OPEN || request->n_fds != 1)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        r = lane_open(tenant, take_fd(&request->fds[0]));
        if (r == -EMFILE || r == -ENOMEM || r == -ENOSPC)
                return request_fail(request, FAULT_BUSY, "There are too many lanes.");
        if (r < 0) /* a descriptor that cannot be waited for */
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        return request_reply(request, &reply, NULL, 0);
}

/* What it may do goes with its edge. */
static int on_session_closed(void *userdata, Channel *channel, UNUSED const char *reason)
{
        Tenant *tenant = userdata;

        if (tenant->edge != channel)
                return 0;
        tenant->edge = channel_free(channel);
        close_lanes(tenant);
        forget_if_idle(tenant);
        return 0;
}

static int attach_session(EgressProcess *process, Request *request)
{
        const AttachRequest *body = request->body;
        Tenant *tenant = find_or_new(process, body->session);
        const Empty reply = { 0 };
        ChannelConfig config = {
                .loop = process->role.loop,
                .in = &interface_lane,
                .handler = on_session_call,
                .closed = on_session_closed,
                .userdata = tenant,
        };
        int r;

        if (!tenant)
                return request_fail(request, FAULT_BUSY, NULL);
        close_lanes(tenant); /* of the process that this one follows */
        tenant->edge = channel_free(tenant->edge);
        config.fd = take_fd(&request->fds[0]);
        r = channel_new(&tenant->edge, &config);
        if (r < 0) {
                forget_if_idle(tenant);
                return request_fail(request, FAULT_BUSY, NULL);
        }
        return request_reply(request, &reply, NULL, 0);
}

/* ---- the process ---- */

int egress_handle(void *userdata, UNUSED Channel *channel, Request *request)
{
        EgressProcess *process = userdata;
        const AttachRequest *body = request->body;

        if (request->n_fds == 1 && body->peer == ROLE_VAULT)
                return attach_vault(process, request);
        if (request->n_fds == 1 && body->peer == ROLE_SESSION && body->session)
                return attach_session(process, request);
        return request_fail(request, FAULT_INVALID_PARAMETER, "An egress has edges to the vault and to sessions.");
}

int egress_start(RoleProcess *role, void *userdata)
{
        EgressProcess *process = userdata;
        const ConnectorConfig config = {
                .loop = role->loop,
                .trust = process->trust,
                .proxy = process->proxy,
                .timeout_usec = process->timeouts.connect_usec,
        };
        int r;

        list_init(&process->tenants);
        list_init(&process->dead);
        list_init(&process->runnable);
        process->decoded = BUF_NULL(LANE_FRAME_MAX + HELD_MAX + INFLATE_CHUNK + INJECT_CREDENTIAL_MAX * 3);
        process->checked = BUF_NULL(LANE_FRAME_MAX + HELD_MAX);
        process->scrubbed = BUF_NULL(4U * 1024U * 1024U);
        process->frame = malloc(LANE_FRAME_MAX);
        if (!process->frame)
                return -ENOMEM;
        r = timer_new(&process->turn, role->loop, on_turn, process);
        if (r == 0)
                r = reporter_new(&process->reporter, role->loop);
        return r < 0 ? r : connector_new(&process->connector, &config);
}

void egress_stop(UNUSED RoleProcess *role, void *userdata)
{
        EgressProcess *process = userdata;

        if (!process->frame)
                return;
        while (!list_empty(&process->tenants))
                tenant_free(container_of(process->tenants.next, Tenant, link));
        process->vault = channel_free(process->vault);
        free_dead(process);
        process->connector = connector_free(process->connector);
        process->reporter = reporter_free(process->reporter);
        process->turn = timer_free(process->turn);
        process->trust = trust_free(process->trust);
        buf_deinit(&process->decoded);
        buf_deinit(&process->checked);
        buf_deinit(&process->scrubbed);
        free(process->frame);
        process->frame = NULL;
}
