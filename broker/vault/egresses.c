#include "vault/egresses.h"
#include "base/fd.h"
#include "base/ident.h"
#include "base/list.h"
#include "wire/field.h"
#include <stdio.h>

#define START_USEC (10 * USEC_PER_SEC)
#define STOP_USEC  (10 * USEC_PER_SEC)
#define GRANT_USEC (5 * USEC_PER_SEC)
#define JOIN_USEC  (5 * USEC_PER_SEC)
/* One that has not forgotten a credential by then is killed: a revocation waits for nobody. */
#define CUT_USEC (250 * USEC_PER_MSEC)
/* When the time is up, answers that are here already are read first: it may be us who were busy. */
#define CUT_LATE_USEC (20 * USEC_PER_MSEC)
/* The call itself must not end before that. */
#define CUT_CALL_USEC (60 * USEC_PER_SEC)
/* What nobody uses is stopped. */
#define IDLE_USEC (300 * USEC_PER_SEC)
#define LOOK_USEC (30 * USEC_PER_SEC)
/* One that dies is not started at once again and again. */
#define BACKOFF_FIRST_USEC (250 * USEC_PER_MSEC)
#define BACKOFF_MOST_USEC  (30 * USEC_PER_SEC)
/* What ran this long was no failure to start. */
#define STEADY_USEC (60 * USEC_PER_SEC)

typedef enum LinkState {
        LINK_DOWN,
        LINK_STARTING,
        LINK_UP,
        LINK_STOPPING,
} LinkState;

typedef struct EgressLink {
        List link;
        Egresses *egresses;
        char profile[LIMIT_NAME + 1];
        LinkState state;
        Channel *channel; /* of LINK_UP */
        Call *call;       /* of the supervisor, to start or to stop it */
        List users;       /* User: who may have a credential there; as long as the process may live */
        List jobs;        /* Job */
        List cuts;        /* CutStep: of LINK_STOPPING, who wait for its end */
        uint64_t started; /* boot clock: of LINK_UP */
        uint64_t since;   /* boot clock: of the state, or when its last user went */
        unsigned failures; /* in a row */
        uint64_t not_before; /* boot clock */
} EgressLink;

typedef struct User {
        List link;
        char session[IDENT_ID_SIZE + 1];
        uint64_t joined; /* the session's process that is connected; 0: none */
        bool reached;    /* its process is connected, or is being: it can have something sent */
} User;

/* A grant that is being put in force. */
typedef struct Job {
        List link;
        EgressLink *egress;
        char session[IDENT_ID_SIZE + 1];
        EgressGrantRequest *body; /* while the process is being started; then NULL */
        Pool memory;
        uint64_t join; /* 0: no */
        bool cut; /* the session's credentials were taken away meanwhile */
        Call *call;
        EgressDone done;
        void *userdata;
} Job;

typedef struct Cut {
        unsigned waiting; /* for processes, and for the loop that asks them */
        EgressCutDone done;
        void *userdata;
} Cut;

/* One process's part in it. */
typedef struct CutStep {
        List link;
        EgressLink *egress;
        Cut *cut; /* NULL: nobody waits for it */
        Call *call;
        Timer *timer;
        bool late; /* the time was up once */
        char session[IDENT_ID_SIZE + 1];
} CutStep;

struct Egresses {
        EgressesConfig config;
        List links;
        List cutting; /* CutStep: that wait for a process's answer */
        Timer *timer;
};

static int link_start(EgressLink *egress);
static int link_stop(EgressLink *egress);

static uint64_t boot_now(const Egresses *egresses)
{
        return clock_boot(loop_clock(egresses->config.loop));
}

/* ---- users ---- */

static User *user_find(const EgressLink *egress, const char *session)
{
        LIST_FOREACH(node, &egress->users) {
                User *user = container_of(node, User, link);

                if (strcmp(user->session, session) == 0)
                        return user;
        }
        return NULL;
}

static int user_add(EgressLink *egress, const char *session)
{
        User *user;

        if (user_find(egress, session))
                return 0;
        user = calloc(1, sizeof(*user));
        if (!user)
                return -ENOMEM;
        (void)snprintf(user->session, sizeof(user->session), "%s", session);
        list_append(&egress->users, &user->link);
        return 0;
}

static void user_free(EgressLink *egress, User *user)
{
        if (!user)
                return;
        list_remove(&user->link);
        free(user);
        if (list_empty(&egress->users))
                egress->since = boot_now(egress->egresses);
}

static void users_clear(EgressLink *egress)
{
        while (!list_empty(&egress->users))
                user_free(egress, container_of(egress->users.next, User, link));
}

/* ---- jobs ---- */

static void job_free(Job *job)
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
        job_free(job);
        return done(userdata, &mine);
}

/* Those that still wait for the process. */
static int fail_waiting(EgressLink *egress, const Failure *failure)
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
        User *user = user_find(job->egress, job->session);
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
                User *user = user_find(egress, job->session);

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
        q = reply->fault == FAULT_TIMEOUT ? link_stop(egress) : 0;
        return r < 0 ? r : q;
}

static int job_send(Job *job, const EgressGrantRequest *body)
{
        EgressLink *egress = job->egress;
        int r = user_add(egress, job->session); /* before it is sent: from now on it has to be cut */

        if (r < 0)
                return r;
        return channel_call(egress->channel, EGRESS_GRANT, body, NULL, 0, GRANT_USEC, on_granted, job, &job->call);
}

/* Sends what waited. A callback may add to the list, or take the process away. */
static int jobs_send(EgressLink *egress)
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

/* ---- cuts ---- */

static int cut_step(Cut *cut)
{
        EgressCutDone done = cut->done;
        void *userdata = cut->userdata;

        if (--cut->waiting > 0)
                return 0;
        free(cut);
        return done(userdata);
}

static void step_free(CutStep *step)
{
        list_remove(&step->link);
        if (step->call)
                call_cancel(step->call);
        timer_free(step->timer);
        free(step);
}

static int step_finish(CutStep *step)
{
        Cut *cut = step->cut;

        step_free(step);
        return cut ? cut_step(cut) : 0;
}

/* It has not done as it was told; the step is over when it has been reaped. */
static int step_kill(CutStep *step)
{
        EgressLink *egress = step->egress;

        timer_disarm(step->timer);
        list_remove(&step->link);
        if (egress->state != LINK_UP && egress->state != LINK_STOPPING) /* it was stopped meanwhile */
                return step_finish(step);
        list_append(&egress->cuts, &step->link);
        return link_stop(egress);
}

static int on_cut(void *userdata, const Reply *reply)
{
        CutStep *step = userdata;

        step->call = NULL;
        if (reply->fault != FAULT_NONE)
                return step_kill(step);
        if (step->cut)
                user_free(step->egress, user_find(step->egress, step->session));
        return step_finish(step);
}

static int on_cut_late(void *userdata)
{
        CutStep *step = userdata;

        if (!step->late) {
                step->late = true;
                timer_arm_after(step->timer, CUT_LATE_USEC);
                return 0;
        }
        call_cancel(step->call);
        step->call = NULL;
        return step_kill(step);
}

/*
 * Asks one process. It is down only where nothing of it lives. What the session's process was never connected with
 * can send nothing of it: it is told too, behind the grant, but not waited for, as it may be starting yet.
 */
static int cut_link(EgressLink *egress, Cut *cut, const char *session)
{
        EgressCutRequest request = { .session = session };
        User *user = user_find(egress, session);
        CutStep *step;
        bool reached;
        int r;

        if (!user)
                return 0;
        reached = user->reached;
        if (!reached)
                user_free(egress, user);
        if (!reached && egress->state != LINK_UP)
                return 0;
        step = calloc(1, sizeof(*step));
        if (!step)
                return -ENOMEM;
        list_init(&step->link);
        r = timer_new(&step->timer, egress->egresses->config.loop, on_cut_late, step);
        if (r < 0) {
                free(step);
                return r;
        }
        step->egress = egress;
        step->cut = reached ? cut : NULL;
        (void)snprintf(step->session, sizeof(step->session), "%s", session);
        if (reached)
                cut->waiting++;
        if (egress->state != LINK_UP) {
                list_append(&egress->cuts, &step->link);
                return 0;
        }
        list_append(&egress->egresses->cutting, &step->link);
        timer_arm_after(step->timer, reached ? CUT_USEC : GRANT_USEC);
        return channel_call(egress->channel, EGRESS_CUT, &request, NULL, 0, CUT_CALL_USEC, on_cut, step, &step->call);
}

/* What is on its way there comes too late; what waits does not begin. */
static int drop_jobs(EgressLink *egress, const char *session)
{
        Failure none = { 0 };
        List dropped;
        int r = 0;

        list_init(&dropped);
        LIST_FOREACH(node, &egress->jobs) {
                Job *job = container_of(node, Job, link);

                if (strcmp(job->session, session) != 0)
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

int egresses_cut(Egresses *egresses, const char *session, const char *profile, EgressCutDone done, void *userdata)
{
        Cut *cut = calloc(1, sizeof(*cut));
        int r = 0, q;

        if (!cut)
                return -ENOMEM;
        *cut = (Cut){ .waiting = 1, .done = done, .userdata = userdata };
        LIST_FOREACH(node, &egresses->links) {
                EgressLink *egress = container_of(node, EgressLink, link);

                if (profile && strcmp(egress->profile, profile) != 0)
                        continue;
                q = cut_link(egress, cut, session);
                r = r < 0 ? r : q;
                q = drop_jobs(egress, session);
                r = r < 0 ? r : q;
        }
        q = cut_step(cut);
        return r < 0 ? r : q;
}

/* ---- the process ---- */

static void set_state(EgressLink *egress, LinkState state)
{
        egress->state = state;
        egress->since = boot_now(egress->egresses);
}

static void count_failure(EgressLink *egress)
{
        uint64_t pause = BACKOFF_FIRST_USEC;

        for (unsigned i = 0; i < egress->failures && pause < BACKOFF_MOST_USEC; i++)
                pause *= 2;
        egress->failures++;
        egress->not_before = boot_now(egress->egresses) + MIN(pause, BACKOFF_MOST_USEC);
}

static int on_stopped(void *userdata, UNUSED const Reply *reply)
{
        EgressLink *egress = userdata;
        bool wanted = false;
        List cuts;
        int r = 0;

        /* A supervisor that does not answer is about to go, and takes all of them along. */
        egress->call = NULL;
        set_state(egress, LINK_DOWN);
        users_clear(egress);
        list_init(&cuts);
        while (!list_empty(&egress->cuts)) {
                List *node = egress->cuts.next;

                list_remove(node);
                list_append(&cuts, node);
        }
        while (!list_empty(&cuts)) {
                int q = step_finish(container_of(cuts.next, CutStep, link));

                r = r < 0 ? r : q;
        }
        LIST_FOREACH(node, &egress->jobs)
                wanted = wanted || container_of(node, Job, link)->body;
        if (wanted && egress->state == LINK_DOWN) {
                int q = link_start(egress);

                r = r < 0 ? r : q;
        }
        return r;
}

/* Kills it, whatever it is doing; over when it has been reaped. */
static int link_stop(EgressLink *egress)
{
        Egresses *egresses = egress->egresses;
        EgressProcessRequest request = { .profile = egress->profile };
        Channel *channel = take_ptr(egress->channel);
        int r = 0;

        if (egress->state != LINK_UP)
                return 0;
        set_state(egress, LINK_STOPPING);
        /* First of all: what closing the channel says to those who wait for it can take its time. */
        r = channel_call(*egresses->config.supervisor, VAULT_STOP_EGRESS, &request, NULL, 0, STOP_USEC, on_stopped, egress,
                         &egress->call);
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

        if (boot_now(egress->egresses) - egress->started > STEADY_USEC)
                egress->failures = 0;
        count_failure(egress);
        /* It closed its edge, or said what it may not: that it is dead has to be made sure. */
        return link_stop(egress);
}

static int on_request(void *userdata, UNUSED Channel *channel, Request *request)
{
        EgressLink *egress = userdata;
        const EgressesConfig *config = &egress->egresses->config;
        const EgressReport *report = request->body;
        int r = 0;

        /* It can speak of those alone that it serves. */
        if (user_find(egress, report->session))
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
                failure.retry_after_usec = egress->not_before - boot_now(egress->egresses);
                return fail_waiting(egress, &failure);
        }
        config.fd = take_fd(&reply->fds[0]);
        r = channel_new(&egress->channel, &config);
        if (r < 0)
                return r;
        set_state(egress, LINK_UP);
        egress->started = egress->since;
        return jobs_send(egress);
}

/* Or says when it may be tried again. */
static int link_start(EgressLink *egress)
{
        EgressProcessRequest request = { .profile = egress->profile };
        uint64_t now = boot_now(egress->egresses);
        Failure failure;

        if (now < egress->not_before) {
                failure_set(&failure, FAULT_UNAVAILABLE, "The egress process of %s has died; it is started again in a moment.",
                            egress->profile);
                failure.retry_after_usec = egress->not_before - now;
                return fail_waiting(egress, &failure);
        }
        set_state(egress, LINK_STARTING);
        return channel_call(*egress->egresses->config.supervisor, VAULT_START_EGRESS, &request, NULL, 0, START_USEC,
                            on_started, egress, &egress->call);
}

static EgressLink *link_find(const Egresses *egresses, const char *profile)
{
        LIST_FOREACH(node, &egresses->links) {
                EgressLink *egress = container_of(node, EgressLink, link);

                if (strcmp(egress->profile, profile) == 0)
                        return egress;
        }
        return NULL;
}

static EgressLink *link_new(Egresses *egresses, const char *profile)
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
        if (list_empty(&egresses->links))
                timer_arm_after(egresses->timer, LOOK_USEC);
        list_append(&egresses->links, &egress->link);
        return egress;
}

static void link_free(EgressLink *egress)
{
        list_remove(&egress->link);
        if (egress->call)
                call_cancel(egress->call);
        while (!list_empty(&egress->jobs))
                job_free(container_of(egress->jobs.next, Job, link));
        channel_free(egress->channel);
        while (!list_empty(&egress->cuts)) {
                CutStep *step = container_of(egress->cuts.next, CutStep, link);

                if (step->cut && --step->cut->waiting == 0)
                        free(step->cut);
                step_free(step);
        }
        users_clear(egress);
        free(egress);
}

/* ---- all of them ---- */

static int on_look(void *userdata)
{
        Egresses *egresses = userdata;
        uint64_t now = boot_now(egresses);
        int r = 0;

        LIST_FOREACH(node, &egresses->links) {
                EgressLink *egress = container_of(node, EgressLink, link);

                if (now - egress->since < IDLE_USEC || !list_empty(&egress->users) || !list_empty(&egress->jobs))
                        continue;
                if (egress->state == LINK_DOWN)
                        link_free(egress);
                else if (r == 0)
                        r = link_stop(egress);
        }
        if (!list_empty(&egresses->links))
                timer_arm_after(egresses->timer, LOOK_USEC);
        return r;
}

int egresses_new(Egresses **ret, const EgressesConfig *config)
{
        Egresses *egresses = calloc(1, sizeof(*egresses));
        int r;

        if (!egresses)
                return -ENOMEM;
        egresses->config = *config;
        list_init(&egresses->links);
        list_init(&egresses->cutting);
        r = timer_new(&egresses->timer, config->loop, on_look, egresses);
        if (r < 0) {
                free(egresses);
                return r;
        }
        *ret = egresses;
        return 0;
}

Egresses *egresses_free(Egresses *egresses)
{
        if (!egresses)
                return NULL;
        while (!list_empty(&egresses->cutting)) {
                CutStep *step = container_of(egresses->cutting.next, CutStep, link);

                if (step->cut && --step->cut->waiting == 0)
                        free(step->cut);
                step_free(step);
        }
        while (!list_empty(&egresses->links))
                link_free(container_of(egresses->links.next, EgressLink, link));
        timer_free(egresses->timer);
        free(egresses);
        return NULL;
}

int egresses_grant(Egresses *egresses, const char *profile, const EgressGrantRequest *grant, uint64_t join,
                   EgressDone done, void *userdata)
{
        EgressLink *egress = link_find(egresses, profile);
        Failure failure;
        Job *job;
        int r;

        if (!egress)
                egress = link_new(egresses, profile);
        if (!egress)
                return -ENOMEM;
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
        return egress->state == LINK_DOWN ? link_start(egress) : 0;
}

bool egresses_hold(const Egresses *egresses, const char *session, const char *profile)
{
        const EgressLink *egress = link_find(egresses, profile);

        return egress && egress->state == LINK_UP && user_find(egress, session);
}

bool egresses_joined(const Egresses *egresses, const char *session, const char *profile, uint64_t join)
{
        const EgressLink *egress = link_find(egresses, profile);
        const User *user = egress && egress->state == LINK_UP ? user_find(egress, session) : NULL;

        return user && user->joined == join;
}

size_t egresses_count(const Egresses *egresses)
{
        size_t n = 0;

        LIST_FOREACH(node, &egresses->links)
                n += container_of(node, EgressLink, link)->state != LINK_DOWN;
        return n;
}
