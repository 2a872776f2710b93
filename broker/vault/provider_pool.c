#include "vault/provider_pool.h"
#include "base/list.h"
#include "base/fd.h"
#include <stdio.h>

/* From start to reply. The provider's own limits are shorter, so this catches one that is stuck. */
#define JOB_USEC (60 * USEC_PER_SEC)
#define START_USEC (10 * USEC_PER_SEC)

struct ProviderPool {
        ProviderPoolConfig config;
        Timer *patience; /* until the first of those that wait has waited too long */
        List waiting;    /* in the order in which they came, so the first is the one that waits longest */
        List running;
        size_t n_waiting;
        size_t n_running;
};

struct ProviderJob {
        List link;
        ProviderPool *pool;
        char provider[65];
        ProviderMethod method;
        void *body; /* struct of the request, its secrets owned here */
        Pool memory;
        uint64_t give_up; /* boot time: the end of waiting */
        uint64_t pid; /* 0: not started */
        Channel *channel;
        Call *call; /* of the supervisor to start it, then of the process */
        ProviderDone done;
        void *userdata;
};

static const Schema *request_schema(ProviderMethod method)
{
        return interface_provider.methods[method].request;
}

/* Lets go of the process; the supervisor ends one that does not end by itself. */
static void job_release_process(ProviderJob *job)
{
        StopProviderRequest stop = { .pid = job->pid };

        job->channel = channel_free(job->channel);
        if (job->pid > 0 && *job->pool->config.supervisor &&
            channel_notify(*job->pool->config.supervisor, VAULT_STOP_PROVIDER, &stop) < 0)
                job->pid = 0; /* the supervisor's own deadline ends it */
}

static void job_free(ProviderJob *job)
{
        list_remove(&job->link);
        if (job->call)
                call_cancel(job->call);
        job_release_process(job);
        if (job->body)
                schema_clear(request_schema(job->method), job->body);
        pool_deinit(&job->memory);
        free(job);
}

ProviderPool *provider_pool_free(ProviderPool *pool)
{
        if (!pool)
                return NULL;
        while (!list_empty(&pool->waiting))
                job_free(container_of(pool->waiting.next, ProviderJob, link));
        while (!list_empty(&pool->running))
                job_free(container_of(pool->running.next, ProviderJob, link));
        timer_free(pool->patience);
        free(pool);
        return NULL;
}

static int start_waiting(ProviderPool *pool);

static int job_finish(ProviderJob *job, void *body, const Failure *failure)
{
        ProviderPool *pool = job->pool;
        int r, q;

        list_remove(&job->link);
        pool->n_running--;
        r = job->done(job->userdata, body, failure);
        job_free(job);
        q = start_waiting(pool);
        return r < 0 ? r : q;
}

static int on_answer(void *userdata, const Reply *reply)
{
        ProviderJob *job = userdata;
        Failure failure = { 0 };

        job->call = NULL;
        if (reply->fault == FAULT_UNAVAILABLE || reply->fault == FAULT_TIMEOUT)
                failure_set(&failure, FAULT_UPSTREAM_UNKNOWN,
                            "The provider process ended without an answer from the upstream.");
        else if (reply->fault != FAULT_NONE)
                failure_from_reply(&failure, reply);
        return job_finish(job, reply->body, &failure);
}

static int on_started(void *userdata, const Reply *reply)
{
        ProviderJob *job = userdata;
        const StartProviderReply *started = reply->body;
        ChannelConfig config = {
                .loop = job->pool->config.loop,
                .arena = job->pool->config.arena,
                .out = &interface_provider,
                .userdata = job,
        };
        Failure failure;
        int r;

        job->call = NULL;
        job->pid = started ? started->pid : 0;
        if (reply->fault != FAULT_NONE || reply->n_fds != 1) {
                failure_set(&failure, FAULT_UNAVAILABLE, "The provider process could not be started.");
                return job_finish(job, NULL, &failure);
        }
        config.fd = take_fd(&reply->fds[0]);
        r = channel_new(&job->channel, &config);
        if (r < 0)
                return r;
        return channel_call(job->channel, job->method, job->body, NULL, 0, JOB_USEC, on_answer, job, &job->call);
}

static int start_waiting(ProviderPool *pool)
{
        int r = 0;

        while (r == 0 && pool->n_running < PROVIDER_POOL_RUNNING && !list_empty(&pool->waiting)) {
                ProviderJob *job = container_of(pool->waiting.next, ProviderJob, link);
                StartProviderRequest request = { .provider = job->provider };

                list_remove(&job->link);
                pool->n_waiting--;
                list_append(&pool->running, &job->link);
                pool->n_running++;
                r = channel_call(*pool->config.supervisor, VAULT_START_PROVIDER, &request, NULL, 0, START_USEC,
                                 on_started, job, &job->call);
        }
        return r;
}

static ProviderJob *first_waiting(ProviderPool *pool)
{
        return list_empty(&pool->waiting) ? NULL : container_of(pool->waiting.next, ProviderJob, link);
}

/* Nobody was asked anything on its behalf. What is done about one may queue others, or take time. */
static int on_patience(void *userdata)
{
        ProviderPool *pool = userdata;
        uint64_t now = clock_boot(loop_clock(pool->config.loop));
        ProviderJob *job;
        Failure failure;
        int r = 0;

        while (r == 0 && (job = first_waiting(pool)) && job->give_up <= now) {
                list_remove(&job->link);
                pool->n_waiting--;
                failure_set(&failure, FAULT_BUSY,
                            "Too many upstream operations were waiting for their turn; this one was not begun.");
                r = job->done(job->userdata, NULL, &failure);
                job_free(job);
        }
        job = first_waiting(pool);
        if (job)
                timer_arm(pool->patience, job->give_up);
        return r;
}

int provider_pool_new(ProviderPool **ret, const ProviderPoolConfig *config)
{
        ProviderPool *pool = calloc(1, sizeof(*pool));
        int r;

        if (!pool)
                return -ENOMEM;
        pool->config = *config;
        list_init(&pool->waiting);
        list_init(&pool->running);
        r = timer_new(&pool->patience, config->loop, on_patience, pool);
        if (r < 0) {
                free(pool);
                return r;
        }
        *ret = pool;
        return 0;
}

/* A copy of its own: through the wire form and back. */
static int copy_body(ProviderPool *pool, ProviderJob *job, const void *body)
{
        const Schema *schema = request_schema(job->method);
        Buf buf = BUF_NULL(CHANNEL_FRAME_MAX);
        void *copy;
        int r;

        r = schema_encode(schema, body, &buf);
        if (r == 0)
                r = pool_alloc(&job->memory, schema->size, &copy);
        if (r == 0)
                r = error_fold(schema_decode(schema, buf_slice(&buf), pool->config.arena, &job->memory, copy, NULL));
        if (r == 0)
                job->body = copy;
        buf_deinit(&buf);
        return r;
}

int provider_pool_run(ProviderPool *pool, const char *provider, ProviderMethod method, const void *body,
                      ProviderDone done, void *userdata)
{
        ProviderJob *job;
        Failure failure;
        int r;

        if (pool->n_waiting >= PROVIDER_POOL_WAITING) {
                failure_set(&failure, FAULT_BUSY, "Too many upstream operations are waiting.");
                return done(userdata, NULL, &failure);
        }
        job = calloc(1, sizeof(*job));
        if (!job)
                return -ENOMEM;
        list_init(&job->link);
        job->pool = pool;
        job->method = method;
        job->done = done;
        job->userdata = userdata;
        job->memory = POOL_NULL(8U * CHANNEL_FRAME_MAX);
        (void)snprintf(job->provider, sizeof(job->provider), "%s", provider);
        r = copy_body(pool, job, body);
        if (r < 0) {
                job_free(job);
                failure_set(&failure, FAULT_BUSY, "There is no room for another upstream operation.");
                return r == -ENOTRECOVERABLE || r == -ENOBUFS ? done(userdata, NULL, &failure) : r;
        }
        job->give_up = clock_boot(loop_clock(pool->config.loop)) + PROVIDER_POOL_PATIENCE;
        list_append(&pool->waiting, &job->link);
        pool->n_waiting++;
        r = start_waiting(pool);
        if (r == 0 && pool->n_waiting == 1 && !list_empty(&pool->waiting))
                timer_arm(pool->patience, job->give_up);
        return r;
}

size_t provider_pool_load(const ProviderPool *pool)
{
        return pool->n_waiting + pool->n_running;
}
