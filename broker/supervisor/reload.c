#include "supervisor/supervisor_private.h"
#include <stdio.h>

#define CONFIGURE_TIMEOUT_USEC (130 * USEC_PER_SEC)

/* One configuration on its way to the vault: a begin, the profiles, a commit, each a call. */
typedef struct Job {
        Supervisor *supervisor;
        Config *settings; /* what is in force afterwards; NULL: it is already */
        Request *request; /* to answer, or NULL */
        size_t waiting;   /* calls without an answer yet, and one for the sender */
        Fault fault;      /* the first */
        char message[PROBLEM_MAX + 1];
        uint64_t n_profiles;
} Job;

static int answer(Request *request, uint64_t n_profiles, const char **problems, size_t n)
{
        const ReloadConfigReply reply = { .profiles = n_profiles, .problems = { problems, n } };

        return request ? request_reply(request, &reply, NULL, 0) : 0;
}

static bool same_text(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

/* A vault that is gone gets the new configuration when it is started again. */
static void take_over(Supervisor *supervisor, Config *settings)
{
        const Config *former = supervisor->settings;

        /* Sessions notice, and have them started anew. */
        if (supervisor->egresses && former != settings &&
            !(same_text(former->ca_file, settings->ca_file) &&
              same_text(former->upstream_proxy, settings->upstream_proxy)))
                egresses_stop_all(supervisor->egresses);
        roles_configure(&supervisor->roles, settings);
        if (supervisor->providers)
                providers_drop_spare(supervisor->providers);
        config_free(supervisor->settings);
        supervisor->settings = settings;
}

static int job_finish(Job *job)
{
        Supervisor *supervisor = job->supervisor;
        const char *problem = job->message;
        bool refused = job->fault != FAULT_NONE && job->fault != FAULT_UNAVAILABLE;
        int r;

        if (refused) {
                log_line(supervisor->config.log, LOG_LEVEL_ERROR, "supervisor",
                         "the vault refuses the configuration: %s", job->message);
                config_free(job->settings);
                if (!supervisor->ready && job->fault != FAULT_TIMEOUT)
                        supervisor_stop(supervisor, 1); /* it would never be */
        } else if (job->settings)
                take_over(supervisor, job->settings);
        r = refused ? answer(job->request, 0, &problem, 1)
                    : answer(job->request, job->n_profiles, NULL, 0);
        if (r == 0 && job->fault == FAULT_NONE) {
                supervisor->vault_up = true;
                r = supervisor_check_ready(supervisor);
        }
        free(job);
        return r;
}

static int job_release(Job *job)
{
        return --job->waiting == 0 ? job_finish(job) : 0;
}

static int on_answer(void *userdata, const Reply *reply)
{
        Job *job = userdata;

        if (reply->fault != FAULT_NONE && job->fault == FAULT_NONE) {
                job->fault = reply->fault;
                (void)snprintf(job->message, sizeof(job->message), "%s",
                               reply->message ? reply->message
                                              : fault_info(reply->fault)->sentence);
                if (reply->fault == FAULT_TIMEOUT)
                        child_kill(job->supervisor->vault);
        }
        return job_release(job);
}

static int send(Job *job, unsigned method, const void *body)
{
        Channel *channel = child_channel(job->supervisor->vault);
        int r;

        if (!channel) {
                job->fault = job->fault == FAULT_NONE ? FAULT_UNAVAILABLE : job->fault;
                return 0;
        }
        job->waiting++;
        r = channel_call(channel, method, body, NULL, 0, CONFIGURE_TIMEOUT_USEC, on_answer, job,
                         NULL);
        if (r < 0)
                job->waiting--;
        return r;
}

static int send_all(Job *job, const Config *settings)
{
        static const Empty nothing = { 0 };
        int r = send(job, TO_VAULT_CONFIGURE_BEGIN, &settings->broker);

        for (size_t i = 0; i < settings->n_profiles && r == 0; i++)
                r = send(job, TO_VAULT_CONFIGURE_PROFILE, &settings->profiles[i]);
        for (size_t i = 0; i < settings->n_secrets && r == 0; i++)
                r = send(job, TO_VAULT_CONFIGURE_SECRET, &settings->secrets[i]);
        return r == 0 ? send(job, TO_VAULT_CONFIGURE_COMMIT, &nothing) : r;
}

int reload_send(Supervisor *supervisor, Config *settings, Request *request)
{
        Job *job = calloc(1, sizeof(*job));
        const Config *sent = settings ? settings : supervisor->settings;
        int r;

        if (!job) {
                config_free(settings);
                return request ? request_fail(request, FAULT_INTERNAL, NULL) : -ENOMEM;
        }
        *job = (Job){
                .supervisor = supervisor,
                .settings = settings,
                .request = request,
                .waiting = 1,
                .n_profiles = sent->n_profiles,
        };
        r = send_all(job, sent);
        if (r < 0) { /* out of memory or descriptors on our side: begin again with a new vault */
                log_line(supervisor->config.log, LOG_LEVEL_ERROR, "supervisor",
                         "cannot configure the vault: %s", strerror(-r));
                job->fault = FAULT_UNAVAILABLE;
                child_kill(supervisor->vault);
        }
        return job_release(job);
}

static void tell_problems(Supervisor *supervisor, Problems *problems, Request *request)
{
        const ConfigProblems notice = { .problems = { (const char **)(uintptr_t)problems->items,
                                                      problems->n } };
        Channel *channel = child_channel(supervisor->vault);

        for (size_t i = 0; i < problems->n; i++)
                supervisor_log(supervisor, LOG_LEVEL_ERROR, problems->items[i]);
        supervisor_log(supervisor, LOG_LEVEL_ERROR, "the old configuration stays in force");
        if ((channel && channel_notify(channel, TO_VAULT_CONFIG_PROBLEMS, &notice) < 0) ||
            answer(request, 0, (const char **)(uintptr_t)problems->items, problems->n) < 0)
                child_kill(supervisor->vault);
}

void reload_run(Supervisor *supervisor, Request *request)
{
        _cleanup_(problems_deinit) Problems problems = PROBLEMS_NULL;
        Config *settings;
        int r = config_load(&settings, &supervisor->config.source, &problems);

        if (r < 0)
                problems_add(&problems, supervisor->config.source.directory, 0,
                             "cannot be read: %s", strerror(-r));
        if (r) {
                tell_problems(supervisor, &problems, request);
                return;
        }
        log_line(supervisor->config.log, LOG_LEVEL_INFO, "supervisor",
                 "configuration read again: %zu profiles", settings->n_profiles);
        if (reload_send(supervisor, settings, request) < 0)
                child_kill(supervisor->vault);
}
