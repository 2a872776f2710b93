#include "vault/egress_link.h"
#include "base/fd.h"
#include <stdio.h>

#define START_USEC (10 * USEC_PER_SEC)
/* Then the supervisor is asked once more. */
#define STOP_USEC  (10 * USEC_PER_SEC)
/* One that dies is not started at once again and again. */
#define BACKOFF_FIRST_USEC (250 * USEC_PER_MSEC)
#define BACKOFF_MOST_USEC  (30 * USEC_PER_SEC)
/* What ran this long was no failure to start. */
#define STEADY_USEC (60 * USEC_PER_SEC)

/* ---- users ---- */

User *egress_link_user(const EgressLink *egress, const char *session)
{
        LIST_FOREACH(node, &egress->users) {
                User *user = container_of(node, User, link);

                if (strcmp(user->session, session) == 0)
                        return user;
        }
        return NULL;
}

int egress_link_add_user(EgressLink *egress, const char *session)
{
        User *user = egress_link_user(egress, session);

        if (!user) {
                user = calloc(1, sizeof(*user));
                if (!user)
                        return -ENOMEM;
                (void)snprintf(user->session, sizeof(user->session), "%s", session);
                list_append(&egress->users, &user->link);
        }
        user->grants++;
        user->holds = true;
        return 0;
}

static void user_free(EgressLink *egress, User *user)
{
        if (!user)
                return;
        list_remove(&user->link);
        free(user);
        if (list_empty(&egress->users))
                egress->since = egresses_now(egress->egresses);
}

static void users_clear(EgressLink *egress)
{
        while (!list_empty(&egress->users))
                user_free(egress, container_of(egress->users.next, User, link));
}

void egress_link_drop_user(EgressLink *egress, User *user, bool whole)
{
        user->holds = false;
        if (whole)
                user_free(egress, user);
}

/* ---- the process ---- */

static void set_state(EgressLink *egress, LinkState state)
{
        egress->state = state;
        egress->since = egresses_now(egress->egresses);
}

static void count_failure(EgressLink *egress)
{
        uint64_t pause = BACKOFF_FIRST_USEC;

        for (unsigned i = 0; i < egress->failures && pause < BACKOFF_MOST_USEC; i++)
                pause *= 2;
        egress->failures++;
        egress->not_before = egresses_now(egress->egresses) + MIN(pause, BACKOFF_MOST_USEC);
}

static int ask_to_stop(EgressLink *egress);

static int on_stopped(void *userdata, const Reply *reply)
{
        EgressLink *egress = userdata;
        int r;

        egress->call = NULL;
        /* Not reaped yet: nobody is told that what it holds is gone. */
        if (reply->fault == FAULT_TIMEOUT)
                return ask_to_stop(egress);
        /* A supervisor that is gone takes all of them along. */
        set_state(egress, LINK_DOWN);
        users_clear(egress);
        r = egress_cut_stopped(egress);
        if (egress_job_any_waiting(egress) && egress->state == LINK_DOWN) {
                int q = egress_link_start(egress);

                r = r < 0 ? r : q;
        }
        return r;
}

static int ask_to_stop(EgressLink *egress)
{
        EgressProcessRequest request = { .profile = egress->profile };

        return channel_call(*egress->egresses->config.supervisor, VAULT_STOP_EGRESS, &request, NULL, 0, STOP_USEC,
                            on_stopped, egress, &egress->call);
}

int egress_link_stop(EgressLink *egress)
{
        Channel *channel = take_ptr(egress->channel);
        int r = 0;

        if (egress->state != LINK_UP)
                return 0;
        set_state(egress, LINK_STOPPING);
        /* First of all: what closing the channel says to those who wait for it can take its time. */
        r = ask_to_stop(egress);
        if (channel) {
                int q = channel_close(channel);

                channel_free(channel);
                r = r < 0 ? r : q;
        }
        return r;
}

static int on_closed(void *userdata, UNUSED Channel *channel, UNUSED const char *reason)
{
        EgressLink *egress = userdata;

        if (egresses_now(egress->egresses) - egress->started > STEADY_USEC)
                egress->failures = 0;
        count_failure(egress);
        /* It closed its edge, or said what it may not: that it is dead has to be made sure. */
        return egress_link_stop(egress);
}

static int on_request(void *userdata, UNUSED Channel *channel, Request *request)
{
        EgressLink *egress = userdata;
        const EgressesConfig *config = &egress->egresses->config;
        const EgressReport *report = request->body;
        int r = 0;

        /* It can speak of those alone that it serves. */
        if (egress_link_user(egress, report->session))
                r = config->reported(config->userdata, egress->profile, report);
        request_done(request);
        return r;
}

static int on_started(void *userdata, const Reply *reply)
{
        EgressLink *egress = userdata;
        ChannelConfig config = {
                .loop = egress->egresses->config.loop,
                .arena = egress->egresses->config.arena,
                .in = &interface_from_egress,
                .out = &interface_egress,
                .handler = on_request,
                .closed = on_closed,
                .userdata = egress,
        };
        Failure failure;
        int r;

        egress->call = NULL;
        if (reply->fault != FAULT_NONE || reply->n_fds != 1) {
                set_state(egress, LINK_DOWN);
                count_failure(egress);
                failure_set(&failure, FAULT_UNAVAILABLE, "The egress process of %s could not be started.", egress->profile);
                failure.retry_after_usec = egress->not_before - egresses_now(egress->egresses);
                return egress_job_fail_waiting(egress, &failure);
        }
        config.fd = take_fd(&reply->fds[0]);
        r = channel_new(&egress->channel, &config);
        if (r < 0)
                return r;
        set_state(egress, LINK_UP);
        egress->started = egress->since;
        return egress_job_send_all(egress);
}

int egress_link_start(EgressLink *egress)
{
        EgressProcessRequest request = { .profile = egress->profile };
        uint64_t now = egresses_now(egress->egresses);
        Failure failure;

        if (now < egress->not_before) {
                failure_set(&failure, FAULT_UNAVAILABLE, "The egress process of %s has died; it is started again in a moment.",
                            egress->profile);
                failure.retry_after_usec = egress->not_before - now;
                return egress_job_fail_waiting(egress, &failure);
        }
        set_state(egress, LINK_STARTING);
        return channel_call(*egress->egresses->config.supervisor, VAULT_START_EGRESS, &request, NULL, 0, START_USEC,
                            on_started, egress, &egress->call);
}

EgressLink *egress_link_new(Egresses *egresses, const char *profile)
{
        EgressLink *egress = calloc(1, sizeof(*egress));

        if (!egress)
                return NULL;
        egress->egresses = egresses;
        (void)snprintf(egress->profile, sizeof(egress->profile), "%s", profile);
        list_init(&egress->users);
        list_init(&egress->jobs);
        list_init(&egress->cuts);
        set_state(egress, LINK_DOWN);
        list_append(&egresses->links, &egress->link);
        return egress;
}

void egress_link_free(EgressLink *egress)
{
        list_remove(&egress->link);
        if (egress->call)
                call_cancel(egress->call);
        while (!list_empty(&egress->jobs))
                egress_job_free(container_of(egress->jobs.next, Job, link));
        channel_free(egress->channel);
        while (!list_empty(&egress->cuts))
                egress_cut_forget(container_of(egress->cuts.next, CutStep, link));
        users_clear(egress);
        free(egress);
}
