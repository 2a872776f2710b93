/* The varlink server with a clock that the tests move: limits, deadlines, and peers that vanish. */
#undef NDEBUG
#include "ipc/varlink_server.h"
#include "base/fd.h"
#include "base/list.h"
#include "ipc/packet.h"
#include "wire/field.h"
#include "wire/msg_broker.h"
#include "wire/varlink.h"
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STATUS "{\"method\":\"io.mcpcred.Broker.Reload\"}"
#define PER_UID 4U

typedef struct FakeClock {
        Clock clock;
        uint64_t now;
} FakeClock;

static uint64_t fake_now(const Clock *clock)
{
        return container_of((uintptr_t)clock, FakeClock, clock)->now;
}

/* One server and what its handler was told to do; each test has its own process. */
static struct {
        FakeClock clock;
        Loop *loop;
        VarlinkServer *server;
        int listener;
        struct sockaddr_un address;
        socklen_t address_size;
        bool hold;             /* keep the request instead of answering */
        VarlinkRequest *held;
        unsigned calls;
        size_t rows;           /* of the listings */
        bool garbled;          /* they are no UTF-8 */
        bool makes_room;
        int delivered, lost;   /* what VarlinkSent said */
        char note[128];
} t = { .clock = { { fake_now, fake_now }, 1000 } };

static int on_sent(UNUSED void *userdata, bool delivered)
{
        t.delivered += delivered;
        t.lost += !delivered;
        return 0;
}

static int answer(VarlinkRequest *request)
{
        static LeaseRow rows[LIMIT_PAGE];
        ListLeasesReply leases = { .leases = { rows, LIMIT_PAGE } };
        ReloadReply reply = { .profiles = 7 };
        int r = 0;

        if (request->id != BROKER_LIST_LEASES && request->id != BROKER_RELOAD)
                return varlink_fail_text(request, FAULT_UNSUPPORTED, NULL);
        if (request->id == BROKER_RELOAD)
                return varlink_reply(request, &reply, request->fds, request->n_fds, on_sent, NULL);
        for (size_t i = 0; i < LIMIT_PAGE; i++)
                rows[i] = (LeaseRow){ .lease = t.garbled ? "\xff" : "l", .session = "s", .profile = "p", .secret = "x", .created = 1 };
        for (size_t i = 0; r == 0 && i < t.rows / LIMIT_PAGE; i++)
                r = varlink_reply_more(request, &leases);
        leases.leases.n = t.rows % LIMIT_PAGE;
        return r < 0 ? r : varlink_reply(request, &leases, NULL, 0, on_sent, NULL);
}

static int on_call(UNUSED void *userdata, VarlinkRequest *request)
{
        t.calls++;
        if (!t.hold)
                return answer(request);
        ck_assert_ptr_null(t.held);
        t.held = request;
        return 0;
}

static void on_note(UNUSED void *userdata, UNUSED const VarlinkPeer *peer, const char *reason)
{
        (void)snprintf(t.note, sizeof(t.note), "%s", reason);
}

static void setup(void)
{
        VarlinkServerConfig config = {
                .interface = &interface_broker,
                .text = varlink_text_broker,
                .handler = on_call,
                .note = on_note,
                .check_sender = true,
                .max_connections = 2 * PER_UID,
                .max_per_uid = PER_UID,
                .makes_room = t.makes_room,
        };

        t.address.sun_family = AF_UNIX; /* the kernel picks an abstract name */
        t.address_size = sizeof(t.address);
        ck_assert_int_eq(loop_new(&t.loop, &t.clock.clock), 0);
        config.loop = t.loop;
        ck_assert_int_eq(varlink_server_new(&t.server, &config), 0);
        t.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(t.listener, (void *)&t.address, sizeof(t.address.sun_family)), 0);
        ck_assert_int_eq(getsockname(t.listener, (void *)&t.address, &t.address_size), 0);
        ck_assert_int_eq(listen(t.listener, 128), 0);
        ck_assert_int_eq(varlink_server_listen(t.server, t.listener), 0);
}

static void setup_with_room(void)
{
        t.makes_room = true;
        setup();
}

static void teardown(void)
{
        t.server = varlink_server_free(t.server);
        t.loop = loop_free(t.loop);
}

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

/* What the server has answered so far, as text; NULs become newlines. "" at the end. */
static const char *hear(int fd)
{
        static char text[256 * 1024];
        size_t n = 0;
        ssize_t got;

        while ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0) {
                n += (size_t)got;
                turn();
        }
        text[n] = '\0';
        for (size_t i = 0; i < n; i++)
                if (text[i] == '\0')
                        text[i] = '\n';
        return text;
}

static bool ended(int fd)
{
        char byte;
        ssize_t n = read(fd, &byte, 1);

        return n == 0 || (n < 0 && errno == ECONNRESET);
}

START_TEST(test_answers)
{
        int fd = client();

        say(fd, STATUS);
        ck_assert_str_eq(hear(fd), "{\"parameters\":{\"profiles\":7}}\n");
        ck_assert_int_eq(t.delivered, 1);
        ck_assert(!ended(fd));
        fd_close(fd);
        turn();
        ck_assert_uint_eq(varlink_server_connections(t.server), 0);
}
END_TEST

START_TEST(test_byte_by_byte)
{
        int fd = client();

        for (size_t i = 0; i <= strlen(STATUS); i++) {
                ck_assert_int_eq(write(fd, &STATUS[i], 1), 1);
                turn();
        }
        ck_assert_str_eq(hear(fd), "{\"parameters\":{\"profiles\":7}}\n");
        fd_close(fd);
}
END_TEST

START_TEST(test_one_call_at_a_time)
{
        int fd = client();

        t.hold = true;
        say(fd, STATUS);
        say(fd, STATUS);
        ck_assert_uint_eq(t.calls, 1);
        ck_assert_int_eq(answer(take_ptr(t.held)), 0);
        turn();
        ck_assert_uint_eq(t.calls, 2);
        t.hold = false;
        ck_assert_int_eq(answer(take_ptr(t.held)), 0);
        ck_assert_str_eq(hear(fd), "{\"parameters\":{\"profiles\":7}}\n{\"parameters\":{\"profiles\":7}}\n");
        fd_close(fd);
}
END_TEST

START_TEST(test_slots_of_a_uid)
{
        int fds[PER_UID], more;

        for (unsigned i = 0; i < PER_UID; i++)
                fds[i] = client();
        more = client();
        ck_assert_ptr_nonnull(strstr(hear(more), "io.mcpcred.Broker.Busy"));
        ck_assert(ended(more));
        fd_close(more);
        fd_close(fds[0]);
        turn();
        fds[0] = client();
        say(fds[0], STATUS);
        ck_assert_ptr_nonnull(strstr(hear(fds[0]), "profiles"));
        fd_close_all(fds, PER_UID);
}
END_TEST

START_TEST(test_trusted_clients_keep_their_slots)
{
        int fds[PER_UID], more;

        t.hold = true;
        for (unsigned i = 0; i < PER_UID; i++)
                fds[i] = client();
        /* The first one is trusted, the second is the oldest of the rest. */
        say(fds[0], STATUS);
        varlink_request_trust(t.held);
        ck_assert_int_eq(answer(take_ptr(t.held)), 0);
        ck_assert_ptr_nonnull(strstr(hear(fds[0]), "profiles"));
        more = client();
        ck_assert(ended(fds[1]));
        fd_close(fds[1]);
        fds[1] = more;
        for (unsigned i = 0; i < PER_UID; i++) {
                say(fds[i], STATUS);
                varlink_request_trust(t.held);
                ck_assert_int_eq(answer(take_ptr(t.held)), 0);
                ck_assert_ptr_nonnull(strstr(hear(fds[i]), "profiles"));
        }
        more = client();
        ck_assert_ptr_nonnull(strstr(hear(more), "io.mcpcred.Broker.Busy"));
        fd_close(more);
        fd_close_all(fds, PER_UID);
}
END_TEST

START_TEST(test_silent_client_dropped)
{
        int fd = client(), spoken = client();

        say(spoken, STATUS);
        pass(9);
        ck_assert(!ended(fd));
        pass(2);
        ck_assert(ended(fd));
        ck_assert_str_eq(t.note, "says nothing");
        (void)hear(spoken);
        pass(3600);
        ck_assert(!ended(spoken));
        fd_close(fd);
        fd_close(spoken);
}
END_TEST

START_TEST(test_unfinished_message_dropped)
{
        int fd = client();

        say(fd, STATUS);
        (void)hear(fd);
        for (unsigned i = 0; i < 11; i++) {
                (void)!write(fd, " ", 1); /* a byte a second does not help */
                pass(1);
        }
        ck_assert(ended(fd));
        ck_assert_str_eq(t.note, "does not finish its message");
        fd_close(fd);
}
END_TEST

START_TEST(test_deaf_client_dropped)
{
        int fd = client();

        t.rows = 20000;
        say(fd, "{\"method\":\"io.mcpcred.Broker.ListLeases\",\"more\":true}");
        ck_assert_int_eq(t.delivered + t.lost, 0);
        pass(11);
        ck_assert_int_eq(t.lost, 1);
        ck_assert_str_eq(t.note, "does not read its reply");
        ck_assert_uint_eq(varlink_server_connections(t.server), 0);
        fd_close(fd);
}
END_TEST

/* As long as it reads now and then it is served to the end, every byte in order. */
START_TEST(test_slow_reader_served)
{
        int fd = client();
        size_t total = 0, messages = 0;
        char chunk[65536];

        t.rows = 20000;
        say(fd, "{\"method\":\"io.mcpcred.Broker.ListLeases\",\"more\":true}");
        while (t.delivered == 0 || recv(fd, chunk, 1, MSG_PEEK) > 0) {
                ssize_t n = read(fd, chunk, sizeof(chunk));

                ck_assert_int_gt(n, 0);
                total += (size_t)n;
                for (ssize_t i = 0; i < n; i++)
                        messages += chunk[i] == 0;
                pass(2);
        }
        ck_assert_uint_eq(messages, 20000 / LIMIT_PAGE + 1);
        ck_assert_uint_gt(total, 1000000);
        fd_close(fd);
}
END_TEST

static struct {
        unsigned taken, gone;
} happened;

static int on_happened(UNUSED void *userdata, VarlinkEvent event)
{
        happened.taken += event == VARLINK_TAKEN;
        happened.gone += event == VARLINK_GONE;
        if (event == VARLINK_GONE)
                return varlink_fail_text(take_ptr(t.held), FAULT_UNAVAILABLE, NULL);
        return 0;
}

static int watch_call(bool more)
{
        int fd = client();

        t.hold = true;
        say(fd, more ? "{\"method\":\"io.mcpcred.Broker.ListLeases\",\"more\":true}"
                     : "{\"method\":\"io.mcpcred.Broker.ListLeases\"}");
        ck_assert_ptr_nonnull(t.held);
        ck_assert(varlink_request_wants_more(t.held) == more);
        varlink_request_watch(t.held, on_happened, NULL);
        return fd;
}

/* One that goes on for ever is read whenever its peer likes, and who answers it is told when that was. */
START_TEST(test_watcher_reads_at_its_own_pace)
{
        static LeaseRow rows[LIMIT_PAGE];
        ListLeasesReply page = { .leases = { rows, LIMIT_PAGE } };
        int fd = watch_call(true);
        unsigned pages = 0;

        for (size_t i = 0; i < LIMIT_PAGE; i++)
                rows[i] = (LeaseRow){ .lease = "l", .session = "s", .profile = "p", .secret = "x", .created = 1 };
        while (happened.taken == pages) {
                ck_assert_int_eq(varlink_reply_more(t.held, &page), 0);
                pages++;
        }
        ck_assert_uint_gt(pages, 1);
        pass(1000);
        ck_assert_uint_eq(happened.gone, 0);
        ck_assert_uint_eq(happened.taken, pages - 1);
        while (happened.taken < pages) {
                ck_assert_int_gt((int)strlen(hear(fd)), 0);
                turn();
        }
        fd_close(fd);
        turn();
        ck_assert_uint_eq(happened.gone, 1);
        ck_assert_ptr_null(t.held);
        ck_assert_uint_eq(varlink_server_connections(t.server), 0);
}
END_TEST

START_TEST(test_watcher_that_hangs_up)
{
        int fd = watch_call(_i == 0);

        fd_close(fd);
        turn();
        ck_assert_uint_eq(happened.gone, 1);
        ck_assert_ptr_null(t.held);
}
END_TEST

START_TEST(test_answer_to_nobody)
{
        int fd = client();

        t.hold = true;
        say(fd, STATUS);
        fd_close(fd);
        turn();
        ck_assert_uint_eq(varlink_server_connections(t.server), 0);
        ck_assert_int_eq(t.held->peer.fd, -1);
        ck_assert_int_eq(answer(take_ptr(t.held)), 0);
        ck_assert_int_eq(t.lost, 1);
}
END_TEST

START_TEST(test_answer_after_the_server)
{
        int fd = client();

        t.hold = true;
        say(fd, STATUS);
        t.server = varlink_server_free(t.server);
        ck_assert_int_eq(answer(take_ptr(t.held)), 0);
        ck_assert_int_eq(t.lost, 1);
        ck_assert(ended(fd));
        fd_close(fd);
}
END_TEST

/* What the supervisor holds a duplicate of lives on when the server ends, not when it is dropped. */
START_TEST(test_duplicate_of_a_connection)
{
        int fd = client(), duplicate;

        t.hold = true;
        say(fd, STATUS);
        duplicate = fcntl(t.held->peer.fd, F_DUPFD_CLOEXEC, 3);
        t.server = varlink_server_free(t.server);
        ck_assert_int_eq(answer(take_ptr(t.held)), 0);
        ck_assert(!ended(fd));
        t.hold = false;
        teardown();
        setup();
        ck_assert_int_eq(varlink_server_adopt(t.server, fcntl(duplicate, F_DUPFD_CLOEXEC, 3), true), 0);
        pass(60);
        say(fd, STATUS);
        ck_assert_ptr_nonnull(strstr(hear(fd), "profiles"));
        say(fd, "nonsense");
        ck_assert_ptr_nonnull(strstr(hear(fd), "InvalidParameter"));
        ck_assert(ended(fd));
        fd_close(fd);
        fd_close(duplicate);
}
END_TEST

START_TEST(test_descriptor_with_its_own_message)
{
        static const char two[] = STATUS "\0{\"method\":\"io.mcpcred.Broker.Unlock\"}";
        int fd = client(), null = open("/dev/null", O_RDONLY | O_CLOEXEC);

        t.hold = true;
        ck_assert_int_eq(packet_send(fd, slice(two, sizeof(two)), &null, 1, NULL), 0);
        turn();
        ck_assert_uint_eq(t.held->n_fds, 0);
        ck_assert_int_eq(answer(take_ptr(t.held)), 0);
        ck_assert_uint_eq(t.held->n_fds, 1);
        ck_assert_int_eq(answer(take_ptr(t.held)), 0);
        fd_close(fd);
        fd_close(null);
}
END_TEST

START_TEST(test_reply_carries_a_descriptor)
{
        int fd = client(), pair[2];
        char text[512], byte;
        Packet packet;
        ReloadReply reply = { .profiles = 1 };

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        t.hold = true;
        say(fd, STATUS);
        ck_assert_int_eq(varlink_reply(take_ptr(t.held), &reply, pair, 1, on_sent, NULL), 0);
        fd_close(pair[0]);
        ck_assert_int_eq(packet_receive(fd, text, sizeof(text), &packet), 1);
        ck_assert_uint_eq(packet.n_fds, 1);
        ck_assert_int_eq(write(packet.fds[0], "x", 1), 1);
        ck_assert_int_eq(read(pair[1], &byte, 1), 1);
        fd_close_all(packet.fds, packet.n_fds);
        fd_close(pair[1]);
        fd_close(fd);
}
END_TEST

START_TEST(test_out_of_descriptors)
{
        struct rlimit limit;
        int fds[2], last;

        fds[0] = client();
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
        fds[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        last = fcntl(0, F_DUPFD_CLOEXEC, 3);
        fd_close(last);
        limit.rlim_cur = (rlim_t)last;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        ck_assert_int_eq(connect(fds[1], (void *)&t.address, t.address_size), 0);
        turn();
        ck_assert_uint_eq(varlink_server_connections(t.server), 1);
        /* It pauses instead of spinning, serves who is there, and tries again. */
        say(fds[0], STATUS);
        ck_assert_ptr_nonnull(strstr(hear(fds[0]), "profiles"));
        limit.rlim_cur = limit.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        pass(1);
        say(fds[1], STATUS);
        ck_assert_ptr_nonnull(strstr(hear(fds[1]), "profiles"));
        fd_close_all(fds, 2);
}
END_TEST

/* No changed bit of a call does worse than to end its own connection. */
START_TEST(test_sweep)
{
        static const char call[] = "{\"method\":\"io.mcpcred.Broker.Revoke\",\"parameters\":{\"session\":\"s\"},\"more\":true}";
        int other = client();

        say(other, STATUS);
        (void)hear(other);
        for (size_t bit = 0; bit < 8 * sizeof(call); bit++) {
                char copy[sizeof(call)];
                int fd = client();

                memcpy(copy, call, sizeof(call));
                copy[bit / 8] ^= (char)(1 << bit % 8);
                ck_assert_int_eq(write(fd, copy, sizeof(copy)), sizeof(copy));
                turn();
                fd_close(fd);
                turn();
        }
        say(other, STATUS);
        ck_assert_ptr_nonnull(strstr(hear(other), "profiles"));
        ck_assert_uint_eq(varlink_server_connections(t.server), 1);
        fd_close(other);
}
END_TEST

START_TEST(test_unwritable_reply_is_not_delivered)
{
        int fd = client();

        t.garbled = true;
        t.rows = 1;
        say(fd, "{\"method\":\"io.mcpcred.Broker.ListLeases\"}");
        ck_assert_ptr_nonnull(strstr(hear(fd), "Internal"));
        ck_assert_int_eq(t.delivered, 0);
        ck_assert_int_eq(t.lost, 1);
        fd_close(fd);
}
END_TEST

START_TEST(test_log_is_bounded)
{
        unsigned n = 0;

        for (unsigned i = 0; i < 100; i++) {
                int fd = client();

                t.note[0] = '\0';
                say(fd, "x");
                n += t.note[0] != '\0';
                fd_close(fd);
        }
        ck_assert_uint_le(n, 30);
        ck_assert_uint_gt(n, 10);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("varlink-server");
        TCase *tcase = tcase_create("varlink-server"), *descriptors = tcase_create("descriptors");
        TCase *room = tcase_create("with room");
        SRunner *r;
        int failed;

        if (json_setup() < 0)
                return 1;
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, test_answers);
        tcase_add_test(tcase, test_byte_by_byte);
        tcase_add_test(tcase, test_one_call_at_a_time);
        tcase_add_test(tcase, test_slots_of_a_uid);
        tcase_add_test(tcase, test_silent_client_dropped);
        tcase_add_test(tcase, test_unfinished_message_dropped);
        tcase_add_test(tcase, test_deaf_client_dropped);
        tcase_add_test(tcase, test_slow_reader_served);
        tcase_add_test(tcase, test_watcher_reads_at_its_own_pace);
        tcase_add_loop_test(tcase, test_watcher_that_hangs_up, 0, 2);
        tcase_add_test(tcase, test_answer_to_nobody);
        tcase_add_test(tcase, test_answer_after_the_server);
        tcase_add_test(tcase, test_duplicate_of_a_connection);
        tcase_add_test(tcase, test_descriptor_with_its_own_message);
        tcase_add_test(tcase, test_reply_carries_a_descriptor);
        tcase_add_test(tcase, test_sweep);
        tcase_add_test(tcase, test_unwritable_reply_is_not_delivered);
        tcase_add_test(tcase, test_log_is_bounded);
        tcase_add_checked_fixture(descriptors, setup, teardown);
        tcase_set_tags(descriptors, "descriptors");
        tcase_add_test(descriptors, test_out_of_descriptors);
        suite_add_tcase(suite, descriptors);
        suite_add_tcase(suite, tcase);
        tcase_add_checked_fixture(room, setup_with_room, teardown);
        tcase_add_test(room, test_trusted_clients_keep_their_slots);
        suite_add_tcase(suite, room);
        r = srunner_create(suite);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed ? 1 : 0;
}
