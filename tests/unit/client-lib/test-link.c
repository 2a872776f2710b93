#include "link.h"
#include "base/clock.h"
#include "base/fd.h"
#include <check.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t soon(void)
{
        return clock_boot(&clock_system) + 50 * USEC_PER_MSEC;
}

static void make(Link *link, int *ret_peer)
{
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        *link = LINK_NULL;
        link->fd = pair[0];
        *ret_peer = pair[1];
}

START_TEST(test_messages_in_pieces)
{
        Link link;
        Slice message;
        int peer;

        make(&link, &peer);
        for (const char *at = "one"; *at; at++) {
                ck_assert_int_eq(write(peer, at, 1), 1);
                ck_assert_int_eq(link_receive(&link, soon(), &message), LINK_E_DEADLINE);
        }
        ck_assert_int_eq(write(peer, "\0two\0\0thr", 9), 9);
        ck_assert_int_eq(link_receive(&link, soon(), &message), 0);
        ck_assert(slice_is_text(message, "one"));
        ck_assert_int_eq(link_receive(&link, soon(), &message), 0);
        ck_assert(slice_is_text(message, "two"));
        ck_assert_int_eq(link_receive(&link, soon(), &message), 0);
        ck_assert_uint_eq(message.size, 0);
        (void)close(peer);
        ck_assert_int_eq(link_receive(&link, soon(), &message), LINK_E_CLOSED);
        link_close(&link);
        ck_assert_int_eq(link.fd, -1);
}
END_TEST

START_TEST(test_endless_message)
{
        static const uint8_t chunk[16384] = { [0 ... 16383] = 'x' };
        Link link;
        Slice message;
        int peer, r = LINK_E_DEADLINE;

        make(&link, &peer);
        for (unsigned i = 0; i < 2 * LINK_MESSAGE_MAX / sizeof(chunk) && r == LINK_E_DEADLINE;
             i++) {
                ck_assert_int_eq(write(peer, chunk, sizeof(chunk)), sizeof(chunk));
                r = link_receive(&link, clock_boot(&clock_system) + 20 * USEC_PER_MSEC, &message);
        }
        ck_assert_int_eq(r, LINK_E_INVALID);
        link_close(&link);
        (void)close(peer);
}
END_TEST

START_TEST(test_full_socket_is_a_deadline)
{
        static const uint8_t chunk[1024 * 1024] = { 0 };
        Link link;
        int peer;

        make(&link, &peer);
        ck_assert_int_eq(link_send(&link, slice(chunk, sizeof(chunk)), -1, soon()),
                         LINK_E_DEADLINE);
        (void)close(peer);
        ck_assert_int_eq(link_send(&link, slice(chunk, 1), -1, soon()), LINK_E_CLOSED);
        link_close(&link);
}
END_TEST

START_TEST(test_descriptor_travels_once)
{
        Link link, other = LINK_NULL;
        Slice message;
        int pipes[2];

        make(&link, &other.fd);
        ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
        ck_assert_int_eq(link_send(&link, slice("m", 2), pipes[1], soon()), 0);
        ck_assert_int_eq(link_receive(&other, soon(), &message), 0);
        ck_assert_int_ge(other.received, 0);
        ck_assert_int_eq(fcntl(other.received, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(link_send(&link, slice("n", 2), pipes[1], soon()), 0);
        ck_assert_int_eq(link_receive(&other, soon(), &message), LINK_E_INVALID);
        link_close(&other);
        link_close(&link);
        fd_close_all(pipes, 2);
}
END_TEST

START_TEST(test_borrowed_descriptor_stays_open)
{
        Link link;
        int peer, fd;

        make(&link, &peer);
        link.borrowed = true;
        fd = link.fd;
        link_close(&link);
        ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
        (void)close(fd);
        (void)close(peer);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("client-lib/link");
        TCase *test = tcase_create("link");
        SRunner *runner;
        int failed;

        tcase_add_test(test, test_messages_in_pieces);
        tcase_add_test(test, test_endless_message);
        tcase_add_test(test, test_full_socket_is_a_deadline);
        tcase_add_test(test, test_descriptor_travels_once);
        tcase_add_test(test, test_borrowed_descriptor_stays_open);
        suite_add_tcase(suite, test);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? 0 : 1;
}
