#undef NDEBUG
/* The pool against a supervisor and providers of the test's own. */
#include "vault/provider_pool.h"
#include "edge.h"

typedef struct Provider {
        Channel *channel;
        Request *request;
        uint64_t pid;
} Provider;

typedef struct Result {
        unsigned done;
        Fault fault;
        uint64_t order; /* when it was done, counted */
        char identity[64];
} Result;

static Edge edge;
static Channel *supervisor; /* the vault's end */
static Channel *far;        /* the supervisor's */
static ProviderPool *pool;
static Provider providers[600];
static unsigned n_started, n_alive, n_most, n_stopped, n_done;
static Request *starts[64];
static unsigned n_starts;
static bool hold_starts, refuse_starts, forget_descriptor;

static int on_provider(void *userdata, UNUSED Channel *channel, Request *request)
{
        Provider *provider = userdata;

        provider->request = request;
        return 0;
}

static void answer_start(Request *request)
{
        StartProviderReply reply = { .pid = 100 + n_started };
        Provider *provider = &providers[n_started++];
        int pair[2];

        edge_pair(pair);
        provider->pid = reply.pid;
        provider->channel = edge_channel(&edge, pair[0], &interface_provider, NULL, on_provider, provider);
        n_alive++;
        n_most = MAX(n_most, n_alive);
        ck_assert_int_eq(request_reply(request, &reply, &pair[1], forget_descriptor ? 0 : 1), 0);
        fd_close(pair[1]);
}

static int on_supervisor(UNUSED void *userdata, UNUSED Channel *channel, Request *request)
{
        if (request->id == VAULT_STOP_PROVIDER) {
                const StopProviderRequest *body = request->body;

                for (unsigned i = 0; i < n_started; i++)
                        if (providers[i].pid == body->pid) {
                                if (providers[i].request)
                                        request_done(providers[i].request);
                                providers[i].channel = channel_free(providers[i].channel);
                                providers[i].pid = 0;
                                n_alive--;
                                n_stopped++;
                        }
                request_done(request);
                return 0;
        }
        ck_assert_int_eq(request->id, VAULT_START_PROVIDER);
        if (refuse_starts)
                return request_fail(request, FAULT_BUSY, NULL);
        if (hold_starts)
                starts[n_starts++] = request;
        else
                answer_start(request);
        return 0;
}

static int on_done(void *userdata, void *body, const Failure *failure)
{
        Result *result = userdata;

        result->done++;
        result->fault = failure->fault;
        result->order = ++n_done;
        ck_assert((body == NULL) == failed(failure));
        if (body)
                (void)snprintf(result->identity, sizeof(result->identity), "%s", ((ProviderVerifyReply *)body)->identity);
        return 0;
}

static void setup(void)
{
        ProviderPoolConfig config = { .supervisor = &supervisor };
        int pair[2];

        edge_start(&edge, 256U * 1024U);
        memset(providers, 0, sizeof(providers));
        n_started = n_alive = n_most = n_stopped = n_done = n_starts = 0;
        hold_starts = refuse_starts = forget_descriptor = false;
        edge_pair(pair);
        supervisor = edge_channel(&edge, pair[0], NULL, &interface_from_vault, NULL, NULL);
        far = edge_channel(&edge, pair[1], &interface_from_vault, NULL, on_supervisor, NULL);
        config.loop = edge.loop;
        config.arena = edge.arena;
        ck_assert_int_eq(provider_pool_new(&pool, &config), 0);
}

static void teardown(void)
{
        pool = provider_pool_free(pool);
        for (unsigned i = 0; i < n_starts; i++)
                if (starts[i])
                        request_done(starts[i]);
        for (unsigned i = 0; i < n_started; i++) {
                if (providers[i].request && providers[i].pid)
                        request_done(providers[i].request);
                channel_free(providers[i].channel);
        }
        supervisor = channel_free(supervisor);
        far = channel_free(far);
        edge_stop(&edge);
}

static int verify(Result *result)
{
        Upstream upstream = { .provider = "static", .base_url = "https://example.invalid" };
        ProviderVerifyRequest request = { .upstream = &upstream };
        Secret *proof = NULL;
        int r;

        *result = (Result){ 0 };
        ck_assert_int_eq(secret_from_bytes(&proof, edge.arena, slice_text("proof")), 0);
        upstream.proof = proof;
        r = provider_pool_run(pool, "static", PROVIDER_VERIFY, &request, on_done, result);
        secret_free(proof); /* it need not outlive the call */
        return r;
}

static void reply(Provider *provider, const char *identity)
{
        ProviderVerifyReply body = { .identity = identity, .checked = true };
        Request *request = provider->request;

        ck_assert_ptr_nonnull(request);
        provider->request = NULL;
        ck_assert_int_eq(request_reply(request, &body, NULL, 0), 0);
}

START_TEST(operation_runs_in_a_process_of_its_own)
{
        const ProviderVerifyRequest *request;
        Result result;

        ck_assert_int_eq(verify(&result), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_started, 1);
        ck_assert_uint_eq(result.done, 0);
        request = providers[0].request->body;
        ck_assert(secret_equal(request->upstream->proof, slice_text("proof")));
        reply(&providers[0], "somebody");
        edge_run(&edge);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_int_eq(result.fault, FAULT_NONE);
        ck_assert_str_eq(result.identity, "somebody");
        ck_assert_uint_eq(n_stopped, 1);
        ck_assert_uint_eq(provider_pool_load(pool), 0);
}
END_TEST

START_TEST(number_is_bounded_and_order_is_kept)
{
        static Result results[40];

        for (size_t i = 0; i < ARRAY_SIZE(results); i++)
                ck_assert_int_eq(verify(&results[i]), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_started, PROVIDER_POOL_RUNNING);
        ck_assert_uint_eq(provider_pool_load(pool), ARRAY_SIZE(results));
        for (unsigned i = 0; i < ARRAY_SIZE(results); i++) {
                reply(&providers[i], "x");
                edge_run(&edge);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(results); i++) {
                ck_assert_uint_eq(results[i].done, 1);
                ck_assert_uint_eq(results[i].order, i + 1);
        }
        ck_assert_uint_le(n_most, PROVIDER_POOL_RUNNING);
        ck_assert_uint_eq(n_stopped, ARRAY_SIZE(results));
}
END_TEST

START_TEST(waiting_is_bounded)
{
        static Result results[PROVIDER_POOL_RUNNING + PROVIDER_POOL_WAITING];
        Result one_more;

        for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
                ck_assert_int_eq(verify(&results[i]), 0);
                ck_assert_uint_eq(results[i].done, 0);
        }
        ck_assert_int_eq(verify(&one_more), 0);
        ck_assert_uint_eq(one_more.done, 1);
        ck_assert_int_eq(one_more.fault, FAULT_BUSY);
}
END_TEST

/* All that run are stuck; what waits behind them is told so before they are given up, and asks nobody. */
START_TEST(waiting_has_an_end)
{
        static Result results[PROVIDER_POOL_RUNNING + 2];
        Result late;

        hold_starts = true;
        for (size_t i = 0; i < ARRAY_SIZE(results); i++)
                ck_assert_int_eq(verify(&results[i]), 0);
        edge_run(&edge);
        for (unsigned i = 0; i < PROVIDER_POOL_RUNNING; i++) {
                answer_start(starts[i]);
                starts[i] = NULL;
        }
        /* Their call begins a second later, so that they outlast those that wait. */
        edge_pass(&edge, 1 * USEC_PER_SEC);
        hold_starts = false;
        ck_assert_int_eq(verify(&late), 0);
        edge_pass(&edge, PROVIDER_POOL_PATIENCE - 2 * USEC_PER_SEC);
        for (size_t i = 0; i < ARRAY_SIZE(results); i++)
                ck_assert_uint_eq(results[i].done, 0);
        for (unsigned i = 0; i < PROVIDER_POOL_RUNNING; i++)
                ck_assert_ptr_nonnull(providers[i].request);
        edge_pass(&edge, 1 * USEC_PER_SEC);
        for (unsigned i = PROVIDER_POOL_RUNNING; i < ARRAY_SIZE(results); i++) {
                ck_assert_uint_eq(results[i].done, 1);
                ck_assert_int_eq(results[i].fault, FAULT_BUSY);
        }
        ck_assert_uint_eq(late.done, 0);
        ck_assert_uint_eq(n_started, PROVIDER_POOL_RUNNING);
        edge_pass(&edge, 2 * USEC_PER_SEC);
        ck_assert_uint_eq(late.done + (n_started > PROVIDER_POOL_RUNNING), 1);
}
END_TEST

/* The process may have reached the upstream before it died. */
START_TEST(death_after_the_operation_was_sent_is_unknown)
{
        Result result;

        ck_assert_int_eq(verify(&result), 0);
        edge_run(&edge);
        request_done(providers[0].request);
        providers[0].request = NULL;
        providers[0].channel = channel_free(providers[0].channel);
        edge_run(&edge);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_int_eq(result.fault, FAULT_UPSTREAM_UNKNOWN);
        ck_assert_uint_eq(provider_pool_load(pool), 0);
}
END_TEST

START_TEST(silent_process_is_unknown_and_stopped)
{
        Result result;

        ck_assert_int_eq(verify(&result), 0);
        edge_run(&edge);
        edge_pass(&edge, 60 * USEC_PER_SEC);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_int_eq(result.fault, FAULT_UPSTREAM_UNKNOWN);
        ck_assert_uint_eq(n_stopped, 1);
}
END_TEST

START_TEST(process_that_does_not_start_is_unavailable)
{
        Result result;

        switch (_i) {
        case 0:
                refuse_starts = true;
                break;
        case 1:
                forget_descriptor = true;
                break;
        case 2:
                hold_starts = true;
                break;
        }
        ck_assert_int_eq(verify(&result), 0);
        edge_run(&edge);
        if (_i == 2)
                edge_pass(&edge, 10 * USEC_PER_SEC);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_int_eq(result.fault, FAULT_UNAVAILABLE);
        ck_assert_uint_eq(n_stopped, _i == 1 ? 1 : 0);
        ck_assert_uint_eq(provider_pool_load(pool), 0);
}
END_TEST

START_TEST(start_that_comes_too_late_leaks_nothing)
{
        int before = edge_lowest_fd();
        Result result;

        hold_starts = true;
        ck_assert_int_eq(verify(&result), 0);
        edge_pass(&edge, 10 * USEC_PER_SEC);
        ck_assert_uint_eq(result.done, 1);
        answer_start(starts[0]);
        starts[0] = NULL;
        edge_run(&edge);
        providers[0].channel = channel_free(providers[0].channel);
        ck_assert_int_eq(edge_lowest_fd(), before);
}
END_TEST

START_TEST(supervisor_that_goes_fails_all)
{
        static Result results[PROVIDER_POOL_RUNNING + 20];

        hold_starts = true;
        for (size_t i = 0; i < ARRAY_SIZE(results); i++)
                ck_assert_int_eq(verify(&results[i]), 0);
        edge_run(&edge);
        far = channel_free(far);
        edge_run(&edge);
        for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
                ck_assert_uint_eq(results[i].done, 1);
                ck_assert_int_eq(results[i].fault, FAULT_UNAVAILABLE);
        }
}
END_TEST

/* Nothing calls back into what is gone. */
START_TEST(pool_is_freed_at_any_moment)
{
        static Result results[PROVIDER_POOL_RUNNING + 2];

        hold_starts = _i == 0;
        for (size_t i = 0; i < ARRAY_SIZE(results); i++)
                ck_assert_int_eq(verify(&results[i]), 0);
        if (_i < 2)
                edge_run(&edge);
        pool = provider_pool_free(pool);
        for (unsigned i = 0; i < n_starts; i++) {
                answer_start(starts[i]);
                starts[i] = NULL;
        }
        edge_pass(&edge, 100 * USEC_PER_SEC);
        supervisor = channel_free(supervisor);
        for (size_t i = 0; i < ARRAY_SIZE(results); i++)
                ck_assert_uint_eq(results[i].done, 0);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("vault/provider_pool");
        TCase *tcase = tcase_create("provider_pool");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, operation_runs_in_a_process_of_its_own);
        tcase_add_test(tcase, number_is_bounded_and_order_is_kept);
        tcase_add_test(tcase, waiting_is_bounded);
        tcase_add_test(tcase, waiting_has_an_end);
        tcase_add_test(tcase, death_after_the_operation_was_sent_is_unknown);
        tcase_add_test(tcase, silent_process_is_unknown_and_stopped);
        tcase_add_loop_test(tcase, process_that_does_not_start_is_unavailable, 0, 3);
        tcase_add_test(tcase, start_that_comes_too_late_leaks_nothing);
        tcase_add_test(tcase, supervisor_that_goes_fails_all);
        tcase_add_loop_test(tcase, pool_is_freed_at_any_moment, 0, 3);
        suite_add_tcase(suite, tcase);
        return edge_suite(suite);
}
