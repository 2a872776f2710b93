/* The gate between a supervisor and a vault that the test plays, on a clock that it moves. */
#undef NDEBUG
#include "gate/gate.h"
#include "base/fd.h"
#include "wire/json.h"
#include <check.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STATUS "{\"method\":\"io.mcpcred.Broker.Lock\"}"
#define OPEN "{\"method\":\"io.mcpcred.Broker.OpenSession\",\"parameters\":{\"grants\":[],\"lifeline\":\"lifetime\"}}"

typedef struct FakeClock {
        Clock clock;
        uint64_t now;
} FakeClock;

static uint64_t fake_now(const Clock *clock)
{
        return container_of((uintptr_t)clock, FakeClock, clock)->now;
}

static struct {
        FakeClock clock;
        Loop *loop;
        Arena *arena;
        Gate gate;
        Channel *supervisor; /* the supervisor's end */
        Channel *vault;      /* the vault's */
        struct sockaddr_un address;
        socklen_t address_size;
        Request *attest, *call; /* held until the test answers */
        char closed[32];        /* the session of a CloseSession */
        uint64_t closed_by;
} t = { .clock = { { fake_now, fake_now }, 1000 } };

static void turn(void)
{
        for (unsigned i = 0; i < 20; i++)
                ck_assert_int_eq(loop_dispatch(t.loop, 0), 0);
}

static void pass(uint64_t seconds)
{
        t.clock.now += seconds * USEC_PER_SEC;
        turn();
}

static int on_gate_call(UNUSED void *userdata, UNUSED Channel *channel, Request *request)
{
        if (request->id != GATE_ATTEST) {
                request_done(request);
                return 0;
        }
        t.attest = request;
        return 0;
}

static int on_vault_call(UNUSED void *userdata, UNUSED Channel *channel, Request *request)
{
        const CloseSessionRequest *body = request->body;
        const RevokeReply reply = { .sessions = 1 };

        if (request->id != BROKER_CLOSE_SESSION) {
                t.call = request;
                return 0;
        }
        (void)snprintf(t.closed, sizeof(t.closed), "%s", body->session);
        t.closed_by = body->caller->pid;
        return request_reply(request, &reply, NULL, 0);
}

static int on_vault_gone(UNUSED void *userdata, Channel *channel, UNUSED const char *reason)
{
        if (channel == t.vault)
                t.vault = NULL;
        channel_free(channel);
        return 0;
}

static int on_done(UNUSED void *userdata, const Reply *reply)
{
        ck_assert_int_eq(reply->fault, FAULT_NONE);
        return 0;
}

static Channel *channel(int fd, const Interface *in, const Interface *out, ChannelHandler handler, void *userdata)
{
        ChannelConfig config = {
                .loop = t.loop, .arena = t.arena, .fd = fd, .in = in, .out = out, .handler = handler,
                .closed = handler == on_vault_call ? on_vault_gone : NULL, .userdata = userdata,
        };
        Channel *made = NULL;

        ck_assert_int_eq(channel_new(&made, &config), 0);
        return made;
}

static void attach(void)
{
        AttachRequest body = { .peer = ROLE_VAULT };
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        t.vault = channel(pair[0], &interface_broker, NULL, on_vault_call, NULL);
        ck_assert_int_eq(channel_call(t.supervisor, TO_GATE_ATTACH, &body, &pair[1], 1, USEC_PER_SEC, on_done, NULL, NULL), 0);
        fd_close(pair[1]);
        turn();
}

static void setup(void)
{
        ListenRequest body = { .owner_uid = getuid() };
        int pair[2], listener;

        ck_assert_int_eq(loop_new(&t.loop, &t.clock.clock), 0);
        ck_assert_int_eq(arena_new(&t.arena, 256 * 1024), 0);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        t.gate.role = (RoleProcess){ .loop = t.loop, .arena = t.arena };
        t.gate.role.supervisor = channel(pair[0], &interface_to_gate, &interface_from_gate, gate_handle, &t.gate);
        t.supervisor = channel(pair[1], &interface_from_gate, &interface_to_gate, on_gate_call, NULL);
        ck_assert_int_eq(gate_start(&t.gate.role, &t.gate), 0);
        t.address.sun_family = AF_UNIX;
        t.address_size = sizeof(t.address);
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(listener, (void *)&t.address, sizeof(t.address.sun_family)), 0);
        ck_assert_int_eq(getsockname(listener, (void *)&t.address, &t.address_size), 0);
        ck_assert_int_eq(listen(listener, 16), 0);
        ck_assert_int_eq(channel_call(t.supervisor, TO_GATE_LISTEN, &body, &listener, 1, USEC_PER_SEC, on_done, NULL, NULL), 0);
        fd_close(listener);
        attach();
}

static void teardown(void)
{
        gate_stop(&t.gate.role, &t.gate);
        t.gate.role.supervisor = channel_free(t.gate.role.supervisor);
        t.supervisor = channel_free(t.supervisor);
        t.vault = channel_free(t.vault);
        t.loop = loop_free(t.loop);
        ck_assert_uint_eq(arena_used(t.arena), 0);
        t.arena = arena_free(t.arena);
}

static int client(void)
{
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_eq(connect(fd, (void *)&t.address, t.address_size), 0);
        turn();
        return fd;
}

static void say(int fd, const char *text)
{
        ck_assert_int_eq(write(fd, text, strlen(text) + 1), (ssize_t)strlen(text) + 1);
        turn();
}

static void expect(int fd, const char *part)
{
        char text[4096] = "";
        ssize_t n = read(fd, text, sizeof(text) - 1);

        ck_assert_int_gt(n, 0);
        ck_assert_msg(strstr(text, part), "%s is not in %s", part, text);
}

static void attest(void)
{
        const AttestReply reply = { .unit = "u.service" };

        ck_assert_ptr_nonnull(t.attest);
        ck_assert_int_eq(request_reply(take_ptr(t.attest), &reply, NULL, 0), 0);
        turn();
}

static void open_session(void)
{
        const OpenSessionReply reply = { .session = "s-0123456789abcdef", .expires = 1, .socket = "/s", .directory = "/d" };

        ck_assert_ptr_nonnull(t.call);
        ck_assert_int_eq(request_reply(take_ptr(t.call), &reply, NULL, 0), 0);
        turn();
}

START_TEST(test_nothing_before_the_attestation)
{
        int fd = client();

        say(fd, STATUS);
        ck_assert_ptr_null(t.call);
        attest();
        ck_assert_ptr_nonnull(t.call);
        ck_assert_str_eq(((StatusRequest *)t.call->body)->caller->unit, "u.service");
        ck_assert_int_eq(request_fail(take_ptr(t.call), FAULT_EXISTS, NULL), 0);
        turn();
        expect(fd, "io.mcpcred.Broker.Exists");
        fd_close(fd);
}
END_TEST

START_TEST(test_silent_supervisor_is_a_refusal)
{
        int fd = client();

        say(fd, STATUS);
        pass(11);
        expect(fd, "io.mcpcred.Broker.Timeout");
        ck_assert_ptr_null(t.call);
        attest(); /* too late: nothing comes of it */
        ck_assert_ptr_null(t.call);
        fd_close(fd);
}
END_TEST

START_TEST(test_silent_vault_times_out)
{
        int fd = client();

        say(fd, STATUS);
        attest();
        pass(59);
        ck_assert_int_eq(read(fd, &(char){ 0 }, 1), -1);
        pass(2);
        expect(fd, "io.mcpcred.Broker.Timeout");
        request_done(t.call);
        fd_close(fd);
}
END_TEST

START_TEST(test_late_session_is_closed)
{
        int fd = client();

        say(fd, OPEN);
        attest();
        pass(31);
        expect(fd, "io.mcpcred.Broker.Timeout");
        ck_assert_str_eq(t.closed, "");
        pass(20);
        open_session();
        ck_assert_str_eq(t.closed, "s-0123456789abcdef");
        ck_assert_uint_eq(t.closed_by, (uint64_t)getpid());
        ck_assert_uint_eq(t.gate.n_orphans, 0);
        fd_close(fd);
}
END_TEST

START_TEST(test_taken_session_is_left_alone)
{
        int fd = client();

        say(fd, OPEN);
        attest();
        open_session();
        expect(fd, "s-0123456789abcdef");
        fd_close(fd);
        pass(200);
        ck_assert_str_eq(t.closed, "");
}
END_TEST

START_TEST(test_orphan_waits_for_the_next_vault)
{
        int fd = client();

        say(fd, OPEN);
        attest();
        fd_close(fd);
        turn();
        ck_assert_int_eq(request_reply(take_ptr(t.call),
                                       &(OpenSessionReply){ .session = "s-0123456789abcdef", .expires = 1, .socket = "/s",
                                                            .directory = "/d" }, NULL, 0), 0);
        t.vault = channel_free(t.vault);
        turn();
        ck_assert_str_eq(t.closed, "");
        ck_assert_uint_eq(t.gate.n_orphans, 1);
        attach();
        ck_assert_str_eq(t.closed, "s-0123456789abcdef");
        ck_assert_uint_eq(t.gate.n_orphans, 0);
}
END_TEST

START_TEST(test_new_vault_replaces_the_old)
{
        int fd = client();

        say(fd, STATUS);
        attest();
        request_done(take_ptr(t.call));
        t.vault = NULL;
        attach();
        expect(fd, "io.mcpcred.Broker.Unavailable");
        say(fd, STATUS);
        attest();
        ck_assert_ptr_nonnull(t.call);
        request_done(take_ptr(t.call));
        fd_close(fd);
}
END_TEST

START_TEST(test_end_with_calls_under_way)
{
        int one = client(), two = client();

        say(one, STATUS);
        attest();
        say(two, STATUS);
        gate_stop(&t.gate.role, &t.gate);
        request_done(take_ptr(t.call));
        request_done(take_ptr(t.attest));
        fd_close(one);
        fd_close(two);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("gate");
        TCase *tcase = tcase_create("gate");
        SRunner *r;
        int failed;

        if (json_setup() < 0)
                return 1;
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, test_nothing_before_the_attestation);
        tcase_add_test(tcase, test_silent_supervisor_is_a_refusal);
        tcase_add_test(tcase, test_silent_vault_times_out);
        tcase_add_test(tcase, test_late_session_is_closed);
        tcase_add_test(tcase, test_taken_session_is_left_alone);
        tcase_add_test(tcase, test_orphan_waits_for_the_next_vault);
        tcase_add_test(tcase, test_new_vault_replaces_the_old);
        tcase_add_test(tcase, test_end_with_calls_under_way);
        suite_add_tcase(suite, tcase);
        r = srunner_create(suite);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed ? 1 : 0;
}
