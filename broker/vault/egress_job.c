#include "vault/egress_link.h"
#include <stdio.h>

#define GRANT_USEC (5 * USEC_PER_SEC)
#define JOIN_USEC  (5 * USEC_PER_SEC)

void egress_job_free(Job *job)
{
        list_remove(&job->link);
        if (job->call)
                call_cancel(job->call);
        if (job->body)
                schema_clear(interface_egress.methods[EGRESS_GRANT].request, job->body);
        pool_deinit(&job->memory);
        free(job);
}

static int job_finish(Job *job, const Failure *failure)
{
        EgressDone done = job->done;
        void *userdata = job->userdata;
        Failure mine = *failure;

        if (job->cut)
                failure_set(&mine, FAULT_REVOKED, "It was revoked while it was being put in force.");
        egress_job_free(job);
        return done(userdata, &mine);
}

int egress_job_fail_waiting(EgressLink *egress, const Failure *failure)
{
        int r = 0;
        List failing;

        list_init(&failing);
        LIST_FOREACH(node, &egress->jobs) {
                Job *job = container_of(node, Job, link);

                if (!job->body)
                        continue;
                list_remove(node);
                list_append(&failing, node);
        }
        while (!list_empty(&failing)) {
                int q = job_finish(container_of(failing.next, Job, link), failure);

                r = r < 0 ? r : q;
        }
        return r;
}

static int on_joined(void *userdata, const Reply *reply)
{
        Job *job = userdata;
        User *user = egress_link_user(job->egress, job->session);
        Failure failure = { 0 };

        job->call = NULL;
        if (reply->fault == FAULT_NONE && user)
                user->joined = job->join;
        if (reply->fault != FAULT_NONE)
                failure_set(&failure, FAULT_UNAVAILABLE, "The session's process could not be connected with its egress.");
        return job_finish(job, &failure);
}

static int on_granted(void *userdata, const Reply *reply)
{
        Job *job = userdata;
        EgressLink *egress = job->egress;
        JoinEgressRequest join = { .session = job->session, .profile = egress->profile };
        Failure failure = { 0 };
        int r, q;

        job->call = NULL;
        if (reply->fault == FAULT_NONE && job->join && !job->cut) {
                User *user = egress_link_user(egress, job->session);

                if (user)
                        user->reached = true;
                return channel_call(*egress->egresses->config.supervisor, VAULT_JOIN_EGRESS, &join, NULL, 0, JOIN_USEC,
                                    on_joined, job, &job->call);
        }
        if (reply->fault == FAULT_NONE)
                return job_finish(job, &failure);
        failure_from_reply(&failure, reply);
        if (reply->fault == FAULT_UNAVAILABLE || reply->fault == FAULT_TIMEOUT)
                failure_set(&failure, FAULT_UNAVAILABLE, "The egress process of %s does not answer.", egress->profile);
        r = job_finish(job, &failure);
        /* Whether it has the credential is not known. */
        q = reply->fault == FAULT_TIMEOUT ? egress_link_stop(egress) : 0;
        return r < 0 ? r : q;
}

static int job_send(Job *job, const EgressGrantRequest *body)
{
        EgressLink *egress = job->egress;
        int r = egress_link_add_user(egress, job->session); /* before it is sent: from now on it has to be cut */

        if (r < 0)
                return r;
        return channel_call(egress->channel, EGRESS_GRANT, body, NULL, 0, GRANT_USEC, on_granted, job, &job->call);
}

/* A callback may add to the list, or take the process away. */
int egress_job_send_all(EgressLink *egress)
{
        int r = 0;

        while (r == 0 && egress->state == LINK_UP) {
                Job *next = NULL;
                EgressGrantRequest *body;
                Pool memory;

                LIST_FOREACH(node, &egress->jobs) {
                        Job *job = container_of(node, Job, link);

                        if (job->body && !next)
                                next = job;
                }
                if (!next)
                        break;
                /* The job may be over when the call returns. */
                body = take_ptr(next->body);
                memory = next->memory;
                next->memory = POOL_NULL(0);
                r = job_send(next, body);
                schema_clear(interface_egress.methods[EGRESS_GRANT].request, body);
                pool_deinit(&memory);
        }
        return r;
}

/* A copy of its own: through the wire form and back. */
static int job_keep(Job *job, const EgressGrantRequest *grant)
{
        const Schema *schema = interface_egress.methods[EGRESS_GRANT].request;
        _cleanup_(buf_deinit) Buf buf = BUF_NULL(CHANNEL_FRAME_MAX);
        void *copy;
        int r;

        r = schema_encode(schema, grant, &buf);
        if (r == 0)
                r = pool_alloc(&job->memory, schema->size, &copy);
        if (r == 0)
                r = error_fold(schema_decode(schema, buf_slice(&buf), job->egress->egresses->config.arena, &job->memory,
                                             copy, NULL));
        if (r == 0)
                job->body = copy;
        return r;
}

static int job_new(EgressLink *egress, const char *session, uint64_t join, EgressDone done, void *userdata, Job **ret)
{
        Job *job = calloc(1, sizeof(*job));

        if (!job)
                return -ENOMEM;
        list_init(&job->link);
        job->egress = egress;
        job->memory = POOL_NULL(8U * CHANNEL_FRAME_MAX);
        job->join = join;
        job->done = done;
        job->userdata = userdata;
        (void)snprintf(job->session, sizeof(job->session), "%s", session);
        list_append(&egress->jobs, &job->link);
        *ret = job;
        return 0;
}

int egress_job_drop(EgressLink *egress, const SessionSet *sessions)
{
        Failure none = { 0 };
        List dropped;
        int r = 0;

        list_init(&dropped);
        LIST_FOREACH(node, &egress->jobs) {
                Job *job = container_of(node, Job, link);

                if (!session_set_has(sessions, job->session))
                        continue;
                job->cut = true;
                if (!job->body)
                        continue;
                list_remove(node);
                list_append(&dropped, node);
        }
        while (!list_empty(&dropped)) {
                int q = job_finish(container_of(dropped.next, Job, link), &none);

                r = r < 0 ? r : q;
        }
        return r;
}

bool egress_job_any_waiting(const EgressLink *egress)
{
        LIST_FOREACH(node, &egress->jobs)
                if (container_of(node, Job, link)->body)
                        return true;
        return false;
}

int egress_job_start(EgressLink *egress, const EgressGrantRequest *grant, uint64_t join, EgressDone done, void *userdata)
{
        Failure failure;
        Job *job;
        int r;

        r = job_new(egress, grant->session, join, done, userdata, &job);
        if (r < 0)
                return r;
        if (egress->state == LINK_UP)
                return job_send(job, grant);
        r = job_keep(job, grant);
        if (r == -ENOBUFS || r == -ENOTRECOVERABLE) {
                failure_set(&failure, FAULT_BUSY, "There is no room for another grant.");
                return job_finish(job, &failure);
        }
        if (r < 0)
                return r;
        return egress->state == LINK_DOWN ? egress_link_start(egress) : 0;
}
