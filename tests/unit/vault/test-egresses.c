#undef NDEBUG
/* The egresses against a supervisor and processes of the test's own. */
#include "vault/egresses.h"
#include "edge.h"

#define SESSION_A "s-000000000000000a"
#define SESSION_B "s-000000000000000b"
#define SESSION_C "s-000000000000000c"

typedef struct Process {
        char profile[65];
        Channel *channel;
        Request *grants[16], *cuts[16]; /* that are still to be answered */
        unsigned n_grants, n_cuts;
        char order[64]; /* 'G' and 'C', as they came */
        char value[64]; /* of the last credential */
        char cut[64];   /* sessions of the last cut */
        bool answers_grants, answers_cuts;
} Process;

typedef struct Result {
        unsigned done;
        Fault fault;
        uint64_t retry;
} Result;

static Edge edge;
static Channel *supervisor; /* the vault's end */
static Channel *far;        /* the supervisor's */
static Egresses *egresses;
static Process processes[32];
static unsigned n_started, n_joined, n_stopped, n_reports, n_cut_done;
static Request *held_start, *held_stop;
static bool hold_start, refuse_start, hold_stop, refuse_join, mute;
static char last_report[128];

static int on_process(void *userdata, UNUSED Channel *channel, Request *request)
{
        Process *process = userdata;
        Empty reply = { 0 };
        size_t n = strlen(process->order);

        process->order[n] = request->id == EGRESS_GRANT ? 'G' : 'C';
        process->order[n + 1] = '\0';
        if (request->id == EGRESS_GRANT) {
                const EgressGrantRequest *body = request->body;
                Slice value = secret_slice(body->credential);

                (void)snprintf(process->value, sizeof(process->value), "%.*s", (int)value.size, (const char *)value.data);
                ck_assert_str_eq(body->hosts.items[0], "api.example.com");
                ck_assert_uint_eq(body->policy->slot, SLOT_BEARER);
        }
        if (request->id == EGRESS_CUT) {
                const EgressCutRequest *body = request->body;

                process->cut[0] = '\0';
                for (size_t i = 0; i < body->sessions.n; i++) {
                        n = strlen(process->cut);
                        (void)snprintf(process->cut + n, sizeof(process->cut) - n, "%s ", body->sessions.items[i]);
                }
        }
        if (request->id == EGRESS_GRANT ? process->answers_grants : process->answers_cuts)
                return request_reply(request, &reply, NULL, 0);
        if (request->id == EGRESS_GRANT)
                process->grants[process->n_grants++] = request;
        else
                process->cuts[process->n_cuts++] = request;
        return 0;
}

static void answer_start(Request *request)
{
        const EgressProcessRequest *body = request->body;
        Process *process = &processes[n_started++];
        Empty reply = { 0 };
        int pair[2];

        edge_pair(pair);
        (void)snprintf(process->profile, sizeof(process->profile), "%s", body->profile);
        process->answers_grants = process->answers_cuts = !mute;
        process->channel = edge_channel(&edge, pair[0], &interface_egress, &interface_from_egress, on_process, process);
        ck_assert_int_eq(request_reply(request, &reply, &pair[1], 1), 0);
        fd_close(pair[1]);
}

static Process *process_of(const char *profile)
{
        for (unsigned i = n_started; i-- > 0;)
                if (processes[i].channel && strcmp(processes[i].profile, profile) == 0)
                        return &processes[i];
        return NULL;
}

static void kill_process(Process *process)
{
        while (process->n_grants > 0)
                request_done(process->grants[--process->n_grants]);
        while (process->n_cuts > 0)
                request_done(process->cuts[--process->n_cuts]);
        process->channel = channel_free(process->channel);
}

static void answer_stop(Request *request)
{
        Empty reply = { 0 };

        ck_assert_int_eq(request_reply(request, &reply, NULL, 0), 0);
}

static int on_supervisor(UNUSED void *userdata, UNUSED Channel *channel, Request *request)
{
        Empty reply = { 0 };
        Process *process;

        switch ((VaultMethod)request->id) {
        case VAULT_START_EGRESS:
                if (refuse_start)
                        return request_fail(request, FAULT_BUSY, NULL);
                if (hold_start)
                        held_start = request;
                else
                        answer_start(request);
                return 0;
        case VAULT_STOP_EGRESS:
                n_stopped++;
                process = process_of(((const EgressProcessRequest *)request->body)->profile);
                if (process)
                        kill_process(process);
                if (hold_stop)
                        held_stop = request;
                else
                        answer_stop(request);
                return 0;
        case VAULT_JOIN_EGRESS:
                n_joined++;
                return refuse_join ? request_fail(request, FAULT_NOT_FOUND, NULL) : request_reply(request, &reply, NULL, 0);
        default:
                ck_abort_msg("the supervisor was asked something else");
        }
}

static int on_report(UNUSED void *userdata, const char *profile, const EgressReport *report)
{
        n_reports++;
        (void)snprintf(last_report, sizeof(last_report), "%s %s", profile, report->session);
        return 0;
}

static int on_granted(void *userdata, const Failure *failure)
{
        Result *result = userdata;

        result->done++;
        result->fault = failure->fault;
        result->retry = failure->retry_after_usec;
        return 0;
}

static int on_cut(UNUSED void *userdata)
{
        n_cut_done++;
        return 0;
}

static void setup(void)
{
        EgressesConfig config = { .supervisor = &supervisor, .reported = on_report };
        int pair[2];

        edge_start(&edge, 256U * 1024U);
        memset(processes, 0, sizeof(processes));
        n_started = n_joined = n_stopped = n_reports = n_cut_done = 0;
        hold_start = refuse_start = hold_stop = refuse_join = mute = false;
        held_start = held_stop = NULL;
        edge_pair(pair);
        supervisor = edge_channel(&edge, pair[0], NULL, &interface_from_vault, NULL, NULL);
        far = edge_channel(&edge, pair[1], &interface_from_vault, NULL, on_supervisor, NULL);
        config.loop = edge.loop;
        config.arena = edge.arena;
        ck_assert_int_eq(egresses_new(&egresses, &config), 0);
}

static void teardown(void)
{
        egresses = egresses_free(egresses);
        if (held_start)
                request_done(held_start);
        if (held_stop)
                request_done(held_stop);
        for (unsigned i = 0; i < n_started; i++)
                kill_process(&processes[i]);
        supervisor = channel_free(supervisor);
        far = channel_free(far);
        ck_assert_uint_eq(arena_used(edge.arena), 0);
        edge_stop(&edge);
}

static void grant(const char *profile, const char *session, const char *value, uint64_t join, Result *result)
{
        const char *host = "api.example.com";
        EgressPolicy policy = { .slot = SLOT_BEARER };
        EgressGrantRequest request = { .session = session, .hosts = { &host, 1 }, .policy = &policy };

        *result = (Result){ 0 };
        ck_assert_int_eq(secret_from_bytes(&request.credential, edge.arena, slice_text(value)), 0);
        ck_assert_int_eq(egresses_grant(egresses, profile, &request, join, on_granted, result), 0);
        secret_free(request.credential); /* it need not outlive the call */
}

static void grant_now(const char *profile, const char *session)
{
        Result result;

        grant(profile, session, "value", 1, &result);
        edge_run(&edge);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_int_eq(result.fault, FAULT_NONE);
}

static void cut(const char *session, const char *profile)
{
        ck_assert_int_eq(egresses_cut(egresses, session, profile, on_cut, NULL), 0);
}

/* Until a process that does not answer is given up. */
static void pass_cut(void)
{
        edge_pass(&edge, 250 * USEC_PER_MSEC);
        edge_pass(&edge, 20 * USEC_PER_MSEC);
}

START_TEST(one_process_serves_all_sessions_of_a_profile)
{
        Result a, b, c;

        grant("p", SESSION_A, "one", 1, &a);
        grant("p", SESSION_B, "two", 1, &b);
        ck_assert_uint_eq(a.done, 0);
        edge_run(&edge);
        ck_assert_uint_eq(a.done + b.done, 2);
        ck_assert_int_eq(a.fault, FAULT_NONE);
        ck_assert_int_eq(b.fault, FAULT_NONE);
        ck_assert_uint_eq(n_started, 1);
        ck_assert_uint_eq(n_joined, 2);
        ck_assert_str_eq(processes[0].order, "GG");
        ck_assert_str_eq(processes[0].value, "two");
        ck_assert(egresses_hold(egresses, SESSION_A, "p"));
        ck_assert(egresses_joined(egresses, SESSION_A, "p", 1));
        ck_assert(!egresses_joined(egresses, SESSION_A, "p", 2));
        grant("q", SESSION_A, "three", 1, &c);
        edge_run(&edge);
        ck_assert_uint_eq(n_started, 2);
        ck_assert_uint_eq(egresses_count(egresses), 2);
}
END_TEST

/* A renewed credential goes to the process that is there; the session's edge to it stays as it is. */
START_TEST(renewal_joins_nothing)
{
        Result result;

        grant_now("p", SESSION_A);
        grant("p", SESSION_A, "renewed", 0, &result);
        edge_run(&edge);
        ck_assert_int_eq(result.fault, FAULT_NONE);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_uint_eq(n_joined, 1);
        ck_assert_str_eq(processes[0].value, "renewed");
}
END_TEST

START_TEST(join_comes_after_the_grant_is_in_force)
{
        Empty reply = { 0 };
        Result result;

        mute = true;
        grant("p", SESSION_A, "value", 1, &result);
        edge_run(&edge);
        ck_assert_uint_eq(processes[0].n_grants, 1);
        ck_assert_uint_eq(n_joined, 0);
        ck_assert_int_eq(request_reply(processes[0].grants[--processes[0].n_grants], &reply, NULL, 0), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_joined, 1);
        ck_assert_uint_eq(result.done, 1);
}
END_TEST

START_TEST(what_cannot_be_joined_is_said)
{
        Result result;

        refuse_join = true;
        grant("p", SESSION_A, "value", 1, &result);
        edge_run(&edge);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_int_eq(result.fault, FAULT_UNAVAILABLE);
}
END_TEST

START_TEST(process_that_cannot_be_started_is_tried_less_and_less_often)
{
        uint64_t last = 0;
        Result result;

        refuse_start = true;
        for (int i = 0; i < 10; i++) {
                grant("p", SESSION_A, "value", 1, &result);
                edge_run(&edge);
                ck_assert_uint_eq(result.done, 1);
                ck_assert_int_eq(result.fault, FAULT_UNAVAILABLE);
                ck_assert_uint_ge(result.retry, last);
                last = result.retry;
                edge_pass(&edge, result.retry);
        }
        ck_assert_uint_eq(last, 30 * USEC_PER_SEC);
        refuse_start = false;
        grant_now("p", SESSION_A);
}
END_TEST

START_TEST(cut_is_over_when_the_process_says_so)
{
        Empty reply = { 0 };

        grant_now("p", SESSION_A);
        grant_now("p", SESSION_B);
        processes[0].answers_cuts = false;
        cut(SESSION_A, NULL);
        edge_run(&edge);
        ck_assert_uint_eq(processes[0].n_cuts, 1);
        ck_assert_uint_eq(n_cut_done, 0);
        ck_assert_int_eq(request_reply(processes[0].cuts[--processes[0].n_cuts], &reply, NULL, 0), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert(!egresses_hold(egresses, SESSION_A, "p"));
        ck_assert(egresses_hold(egresses, SESSION_B, "p"));
        ck_assert_uint_eq(n_stopped, 0);
}
END_TEST

START_TEST(cut_reaches_all_processes_at_once)
{
        grant_now("p", SESSION_A);
        grant_now("q", SESSION_A);
        grant_now("r", SESSION_B);
        processes[0].answers_cuts = processes[1].answers_cuts = false;
        cut(SESSION_A, NULL);
        edge_run(&edge);
        ck_assert_uint_eq(processes[0].n_cuts, 1);
        ck_assert_uint_eq(processes[1].n_cuts, 1);
        ck_assert_str_eq(processes[2].order, "G");
        ck_assert_uint_eq(n_cut_done, 0);
        pass_cut();
        ck_assert_uint_eq(n_stopped, 2);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert(egresses_hold(egresses, SESSION_B, "r"));
}
END_TEST

/* However many sessions, each process is told once, and of its own alone. */
START_TEST(cut_of_a_set_is_one_message_to_each_process)
{
        SessionSet both = SESSION_SET_NULL;

        grant_now("p", SESSION_A);
        grant_now("p", SESSION_B);
        grant_now("q", SESSION_A);
        grant_now("p", SESSION_C);
        grant_now("r", SESSION_C);
        ck_assert_int_eq(session_set_add(&both, SESSION_B), 0);
        ck_assert_int_eq(session_set_add(&both, SESSION_A), 0);
        ck_assert_int_eq(session_set_add(&both, SESSION_B), 0);
        session_set_sort(&both);
        ck_assert_uint_eq(both.n, 2);
        ck_assert_int_eq(egresses_cut_set(egresses, &both, NULL, on_cut, NULL), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert_str_eq(processes[0].order, "GGGC");
        ck_assert_str_eq(processes[0].cut, SESSION_A " " SESSION_B " ");
        ck_assert_str_eq(processes[1].cut, SESSION_A " ");
        ck_assert_str_eq(processes[2].order, "G");
        ck_assert(!egresses_hold(egresses, SESSION_A, "p"));
        ck_assert(!egresses_hold(egresses, SESSION_B, "p"));
        ck_assert(egresses_hold(egresses, SESSION_C, "p"));
        session_set_deinit(&both);
}
END_TEST

/* What is granted while the answer is awaited is none of what was cut. */
START_TEST(grant_behind_the_cut_of_a_set_goes_on)
{
        SessionSet both = SESSION_SET_NULL;
        Empty reply = { 0 };
        Result result;

        grant_now("p", SESSION_A);
        grant_now("p", SESSION_B);
        processes[0].answers_cuts = false;
        ck_assert_int_eq(session_set_add(&both, SESSION_A), 0);
        ck_assert_int_eq(session_set_add(&both, SESSION_B), 0);
        ck_assert_int_eq(egresses_cut_set(egresses, &both, "p", on_cut, NULL), 0);
        grant("p", SESSION_B, "another", 0, &result);
        edge_run(&edge);
        ck_assert_int_eq(request_reply(processes[0].cuts[--processes[0].n_cuts], &reply, NULL, 0), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert(!egresses_hold(egresses, SESSION_A, "p"));
        ck_assert(egresses_hold(egresses, SESSION_B, "p"));
        session_set_deinit(&both);
}
END_TEST

START_TEST(cut_of_one_profile_leaves_the_others)
{
        grant_now("p", SESSION_A);
        grant_now("q", SESSION_A);
        cut(SESSION_A, "p");
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert(!egresses_hold(egresses, SESSION_A, "p"));
        ck_assert(egresses_hold(egresses, SESSION_A, "q"));
        ck_assert_str_eq(processes[1].order, "G");
}
END_TEST

START_TEST(nothing_to_cut_is_over_at_once)
{
        cut(SESSION_A, NULL);
        ck_assert_uint_eq(n_cut_done, 1);
        grant_now("p", SESSION_B);
        cut(SESSION_A, NULL);
        ck_assert_uint_eq(n_cut_done, 2);
}
END_TEST

/* 250 ms, and then it is killed; the revocation goes on when it has been reaped, and no sooner. */
START_TEST(silent_process_is_killed_and_waited_for)
{
        grant_now("p", SESSION_A);
        grant_now("p", SESSION_B);
        processes[0].answers_cuts = false;
        hold_stop = true;
        cut(SESSION_A, NULL);
        edge_pass(&edge, 200 * USEC_PER_MSEC);
        ck_assert_uint_eq(n_stopped, 0);
        edge_pass(&edge, 60 * USEC_PER_MSEC);
        ck_assert_uint_eq(n_stopped, 0); /* what has come by now would be read first */
        edge_pass(&edge, 20 * USEC_PER_MSEC);
        ck_assert_uint_eq(n_stopped, 1);
        ck_assert_uint_eq(n_cut_done, 0);
        /* Another one meanwhile waits for the same. */
        cut(SESSION_B, NULL);
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 0);
        answer_stop(take_ptr(held_stop));
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 2);
        ck_assert_uint_eq(n_stopped, 1);
        ck_assert_uint_eq(egresses_count(egresses), 0);
        hold_stop = false;
        grant_now("p", SESSION_B);
        ck_assert_uint_eq(n_started, 2);
}
END_TEST

/* However long the kernel takes. */
START_TEST(process_that_cannot_be_reaped_is_not_believed_gone)
{
        Request *first;

        grant_now("p", SESSION_A);
        processes[0].answers_cuts = false;
        hold_stop = true;
        cut(SESSION_A, NULL);
        pass_cut();
        first = take_ptr(held_stop);
        edge_pass(&edge, 11 * USEC_PER_SEC);
        ck_assert_uint_eq(n_stopped, 2);
        ck_assert_uint_eq(n_cut_done, 0);
        answer_stop(first); /* to a question that was given up */
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 0);
        answer_stop(take_ptr(held_stop));
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert_uint_eq(egresses_count(egresses), 0);
}
END_TEST

/* A vault that wrote a thousand rows meanwhile must not kill whoever answered long ago. */
START_TEST(answer_that_was_not_read_in_time_counts)
{
        grant_now("p", SESSION_A);
        cut(SESSION_A, NULL);
        edge_pass(&edge, 5 * USEC_PER_SEC);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert_uint_eq(n_stopped, 0);
}
END_TEST

/* One that closes its edge to get rid of us may live on with what it has. */
START_TEST(process_that_closes_its_edge_is_killed_before_a_cut_is_over)
{
        grant_now("p", SESSION_A);
        hold_stop = true;
        processes[0].channel = channel_free(processes[0].channel);
        edge_run(&edge);
        ck_assert_uint_eq(n_stopped, 1);
        ck_assert(!egresses_hold(egresses, SESSION_A, "p"));
        cut(SESSION_A, NULL);
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 0);
        answer_stop(take_ptr(held_stop));
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 1);
}
END_TEST

START_TEST(process_that_dies_is_started_anew_after_a_pause)
{
        Result result;

        grant_now("p", SESSION_A);
        kill_process(&processes[0]);
        edge_run(&edge);
        ck_assert_uint_eq(egresses_count(egresses), 0);
        ck_assert(!egresses_joined(egresses, SESSION_A, "p", 1));
        grant("p", SESSION_A, "value", 1, &result);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_int_eq(result.fault, FAULT_UNAVAILABLE);
        ck_assert_uint_eq(result.retry, 250 * USEC_PER_MSEC);
        edge_pass(&edge, 250 * USEC_PER_MSEC);
        grant_now("p", SESSION_A);
        ck_assert_uint_eq(n_started, 2);
        ck_assert_uint_eq(n_joined, 2);
}
END_TEST

START_TEST(grant_that_is_cut_while_the_process_starts_is_never_sent)
{
        Result a, b;

        hold_start = true;
        grant("p", SESSION_A, "value", 1, &a);
        grant("p", SESSION_B, "value", 1, &b);
        edge_run(&edge);
        cut(SESSION_A, NULL);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert_uint_eq(a.done, 1);
        ck_assert_int_eq(a.fault, FAULT_REVOKED);
        answer_start(take_ptr(held_start));
        edge_run(&edge);
        ck_assert_uint_eq(b.done, 1);
        ck_assert_int_eq(b.fault, FAULT_NONE);
        ck_assert_str_eq(processes[0].order, "G");
        ck_assert(!egresses_hold(egresses, SESSION_A, "p"));
}
END_TEST

START_TEST(grant_that_is_under_way_is_cut_behind_it)
{
        Empty reply = { 0 };
        Result result;

        mute = true;
        grant("p", SESSION_A, "value", 1, &result);
        edge_run(&edge);
        processes[0].answers_cuts = true;
        cut(SESSION_A, NULL);
        ck_assert_uint_eq(n_cut_done, 1); /* it was not connected, so nobody has to wait */
        edge_run(&edge);
        ck_assert_str_eq(processes[0].order, "GC");
        ck_assert(!egresses_hold(egresses, SESSION_A, "p"));
        ck_assert_int_eq(request_reply(processes[0].grants[--processes[0].n_grants], &reply, NULL, 0), 0);
        edge_run(&edge);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_int_eq(result.fault, FAULT_REVOKED);
        ck_assert_uint_eq(n_joined, 0);
}
END_TEST

/* The answer to a cut is not one for what was granted after it. */
START_TEST(grant_behind_a_cut_has_to_be_cut_too)
{
        Empty reply = { 0 };
        Result result;

        grant_now("p", SESSION_A);
        processes[0].answers_cuts = false;
        cut(SESSION_A, NULL);
        grant("p", SESSION_A, "another", 0, &result);
        edge_run(&edge);
        ck_assert_int_eq(result.fault, FAULT_NONE);
        ck_assert_int_eq(request_reply(processes[0].cuts[--processes[0].n_cuts], &reply, NULL, 0), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert(egresses_hold(egresses, SESSION_A, "p"));
        cut(SESSION_A, NULL);
        edge_run(&edge);
        ck_assert_str_eq(processes[0].order, "GCGC");
        ck_assert_int_eq(request_reply(processes[0].cuts[--processes[0].n_cuts], &reply, NULL, 0), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 2);
        ck_assert(!egresses_hold(egresses, SESSION_A, "p"));
}
END_TEST

/* The session's process is connected from before, and sends with what it is given anew. */
START_TEST(replaced_grant_is_waited_for_when_it_is_cut)
{
        Empty reply = { 0 };
        Result result;

        grant_now("p", SESSION_A);
        cut(SESSION_A, "p");
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert(!egresses_hold(egresses, SESSION_A, "p"));
        grant("p", SESSION_A, "another", 0, &result);
        edge_run(&edge);
        ck_assert_int_eq(result.fault, FAULT_NONE);
        ck_assert(egresses_joined(egresses, SESSION_A, "p", 1));
        processes[0].answers_cuts = false;
        cut(SESSION_A, NULL);
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 1);
        ck_assert_int_eq(request_reply(processes[0].cuts[--processes[0].n_cuts], &reply, NULL, 0), 0);
        edge_run(&edge);
        ck_assert_uint_eq(n_cut_done, 2);
        cut(SESSION_A, NULL);
        ck_assert_uint_eq(n_cut_done, 3);
        ck_assert_str_eq(processes[0].order, "GCGC");
}
END_TEST

START_TEST(what_was_cut_before_need_not_be_cut_again)
{
        grant_now("p", SESSION_A);
        cut(SESSION_A, "p");
        edge_run(&edge);
        cut(SESSION_A, NULL);
        ck_assert_uint_eq(n_cut_done, 2);
        edge_run(&edge);
        ck_assert_str_eq(processes[0].order, "GC");
        /* Nobody is left there, so it is idle. */
        for (int i = 0; i < 11; i++)
                edge_pass(&edge, 30 * USEC_PER_SEC);
        ck_assert_uint_eq(n_stopped, 1);
}
END_TEST

/* Whether it has the credential is not known then. */
START_TEST(process_that_does_not_take_a_grant_is_killed)
{
        Result result;

        mute = true;
        grant("p", SESSION_A, "value", 1, &result);
        edge_run(&edge);
        edge_pass(&edge, 6 * USEC_PER_SEC);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_int_eq(result.fault, FAULT_UNAVAILABLE);
        ck_assert_uint_eq(n_stopped, 1);
        ck_assert_uint_eq(egresses_count(egresses), 0);
}
END_TEST

static void report(Process *process, const char *session)
{
        EgressReport body = { .session = session, .kind = REPORT_DENIED, .reason = "Not allowed.", .count = 1 };

        ck_assert_int_eq(channel_notify(process->channel, FROM_EGRESS_REPORT, &body), 0);
        edge_run(&edge);
}

START_TEST(process_can_speak_of_its_own_sessions_alone)
{
        grant_now("p", SESSION_A);
        grant_now("q", SESSION_B);
        report(&processes[0], SESSION_A);
        ck_assert_uint_eq(n_reports, 1);
        ck_assert_str_eq(last_report, "p " SESSION_A);
        report(&processes[0], SESSION_B);
        ck_assert_uint_eq(n_reports, 1);
        cut(SESSION_A, NULL);
        edge_run(&edge);
        report(&processes[0], SESSION_A);
        ck_assert_uint_eq(n_reports, 1);
}
END_TEST

START_TEST(process_that_nobody_uses_is_stopped_after_a_while)
{
        grant_now("p", SESSION_A);
        for (int i = 0; i < 20; i++)
                edge_pass(&edge, 30 * USEC_PER_SEC);
        ck_assert_uint_eq(n_stopped, 0); /* it is in use, if not busy */
        cut(SESSION_A, NULL);
        edge_run(&edge);
        for (int i = 0; i < 9; i++)
                edge_pass(&edge, 30 * USEC_PER_SEC);
        ck_assert_uint_eq(n_stopped, 0);
        for (int i = 0; i < 2; i++)
                edge_pass(&edge, 30 * USEC_PER_SEC);
        ck_assert_uint_eq(n_stopped, 1);
        ck_assert_uint_eq(egresses_count(egresses), 0);
        grant_now("p", SESSION_A);
}
END_TEST

START_TEST(grant_that_comes_while_it_is_stopped_starts_another)
{
        Result result;

        grant_now("p", SESSION_A);
        processes[0].answers_cuts = false;
        hold_stop = true;
        cut(SESSION_A, NULL);
        pass_cut();
        grant("p", SESSION_B, "value", 1, &result);
        edge_run(&edge);
        ck_assert_uint_eq(n_started, 1);
        answer_stop(take_ptr(held_stop));
        edge_run(&edge);
        ck_assert_uint_eq(n_started, 2);
        ck_assert_uint_eq(result.done, 1);
        ck_assert_int_eq(result.fault, FAULT_NONE);
        ck_assert(!egresses_hold(egresses, SESSION_A, "p"));
        ck_assert(egresses_hold(egresses, SESSION_B, "p"));
}
END_TEST

/* teardown() frees them as they are. */
START_TEST(freed_in_the_middle_of_everything)
{
        static Result results[4];

        grant_now("up", SESSION_A);
        processes[0].answers_cuts = processes[0].answers_grants = false;
        grant("up", SESSION_B, "value", 1, &results[0]);
        cut(SESSION_A, NULL);
        edge_run(&edge);
        hold_start = true;
        grant("starting", SESSION_A, "value", 1, &results[1]);
        edge_run(&edge);
        egresses = egresses_free(egresses);
        ck_assert_uint_eq(results[0].done + results[1].done, 0);
        ck_assert_uint_eq(n_cut_done, 0);
}
END_TEST

START_TEST(supervisor_that_is_gone_leaves_nobody_waiting)
{
        Result a, b;

        grant_now("p", SESSION_A);
        hold_start = true;
        grant("q", SESSION_A, "value", 1, &a);
        edge_run(&edge);
        processes[0].answers_cuts = false;
        cut(SESSION_A, "p");
        edge_run(&edge);
        request_done(take_ptr(held_start));
        far = channel_free(far);
        edge_run(&edge);
        ck_assert_uint_eq(a.done, 1);
        pass_cut();
        ck_assert_uint_eq(n_cut_done, 1);
        edge_pass(&edge, USEC_PER_SEC);
        grant("p", SESSION_A, "value", 1, &b);
        ck_assert_uint_eq(b.done, 1);
        ck_assert_int_eq(b.fault, FAULT_UNAVAILABLE);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("egresses");
        TCase *tests = tcase_create("egresses");

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_add_test(tests, one_process_serves_all_sessions_of_a_profile);
        tcase_add_test(tests, renewal_joins_nothing);
        tcase_add_test(tests, join_comes_after_the_grant_is_in_force);
        tcase_add_test(tests, what_cannot_be_joined_is_said);
        tcase_add_test(tests, process_that_cannot_be_started_is_tried_less_and_less_often);
        tcase_add_test(tests, cut_is_over_when_the_process_says_so);
        tcase_add_test(tests, cut_reaches_all_processes_at_once);
        tcase_add_test(tests, cut_of_one_profile_leaves_the_others);
        tcase_add_test(tests, nothing_to_cut_is_over_at_once);
        tcase_add_test(tests, silent_process_is_killed_and_waited_for);
        tcase_add_test(tests, process_that_cannot_be_reaped_is_not_believed_gone);
        tcase_add_test(tests, answer_that_was_not_read_in_time_counts);
        tcase_add_test(tests, process_that_closes_its_edge_is_killed_before_a_cut_is_over);
        tcase_add_test(tests, process_that_dies_is_started_anew_after_a_pause);
        tcase_add_test(tests, grant_that_is_cut_while_the_process_starts_is_never_sent);
        tcase_add_test(tests, cut_of_a_set_is_one_message_to_each_process);
        tcase_add_test(tests, grant_behind_the_cut_of_a_set_goes_on);
        tcase_add_test(tests, grant_that_is_under_way_is_cut_behind_it);
        tcase_add_test(tests, grant_behind_a_cut_has_to_be_cut_too);
        tcase_add_test(tests, replaced_grant_is_waited_for_when_it_is_cut);
        tcase_add_test(tests, what_was_cut_before_need_not_be_cut_again);
        tcase_add_test(tests, process_that_does_not_take_a_grant_is_killed);
        tcase_add_test(tests, process_can_speak_of_its_own_sessions_alone);
        tcase_add_test(tests, process_that_nobody_uses_is_stopped_after_a_while);
        tcase_add_test(tests, grant_that_comes_while_it_is_stopped_starts_another);
        tcase_add_test(tests, freed_in_the_middle_of_everything);
        tcase_add_test(tests, supervisor_that_is_gone_leaves_nobody_waiting);
        suite_add_tcase(suite, tests);
        return edge_suite(suite);
}
