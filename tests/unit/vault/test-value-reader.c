#undef NDEBUG
#include "vault/value_reader.h"
#include "edge.h"
#include <fcntl.h>

#define MAX_SIZE 64U

static Edge edge;
static int pair[2];
static ValueReader *reader;
static unsigned calls;
static Fault fault;
static char value[MAX_SIZE + 1];
static size_t value_size;

static int on_value(UNUSED void *userdata, Secret *secret, const Failure *failure)
{
        calls++;
        reader = NULL;
        fault = failure->fault;
        ck_assert((secret == NULL) == failed(failure));
        if (secret) {
                value_size = secret_size(secret);
                memcpy(value, secret_slice(secret).data, value_size);
        }
        secret_free(secret);
        return 0;
}

static void start(int fd)
{
        ck_assert_int_eq(value_reader_new(&reader, edge.loop, edge.arena, fd, MAX_SIZE, on_value, NULL), 0);
}

static void setup(void)
{
        edge_start(&edge, 64U * 1024U);
        calls = 0;
        fault = FAULT_NONE;
        value_size = 0;
        memset(value, 0, sizeof(value));
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        start(take_fd(&pair[0]));
}

static void teardown(void)
{
        reader = value_reader_free(reader);
        fd_close_all(pair, 2);
        edge_stop(&edge);
}

static void say(const char *text)
{
        ck_assert_int_eq(fd_write_all(pair[1], text, strlen(text)), 0);
}

START_TEST(value_is_read_to_its_end)
{
        say("half ");
        edge_run(&edge);
        ck_assert_uint_eq(calls, 0);
        say("and half\n");
        if (_i == 0)
                ck_assert_int_eq(shutdown(pair[1], SHUT_WR), 0);
        else
                pair[1] = fd_close(pair[1]);
        edge_run(&edge);
        ck_assert_uint_eq(calls, 1);
        ck_assert_int_eq(fault, FAULT_NONE);
        ck_assert_str_eq(value, "half and half");
        edge_pass(&edge, 60 * USEC_PER_SEC); /* its deadline went with it */
        ck_assert_uint_eq(calls, 1);
}
END_TEST

START_TEST(length_is_bounded)
{
        char text[MAX_SIZE + 2] = { 0 };

        memset(text, 'x', MAX_SIZE + (size_t)_i);
        say(text);
        ck_assert_int_eq(shutdown(pair[1], SHUT_WR), 0);
        edge_run(&edge);
        ck_assert_uint_eq(calls, 1);
        ck_assert_int_eq(fault, _i == 0 ? FAULT_NONE : FAULT_INVALID_PARAMETER);
        ck_assert_uint_eq(value_size, _i == 0 ? MAX_SIZE : 0);
}
END_TEST

START_TEST(empty_value_is_refused)
{
        say(_i == 0 ? "" : "\n");
        ck_assert_int_eq(shutdown(pair[1], SHUT_WR), 0);
        edge_run(&edge);
        ck_assert_uint_eq(calls, 1);
        ck_assert_int_eq(fault, FAULT_INVALID_PARAMETER);
}
END_TEST

START_TEST(silent_client_is_dropped_at_the_deadline)
{
        say("never ending");
        edge_pass(&edge, 5 * USEC_PER_SEC - 1);
        ck_assert_uint_eq(calls, 0);
        edge_pass(&edge, 1);
        ck_assert_uint_eq(calls, 1);
        ck_assert_int_eq(fault, FAULT_TIMEOUT);
}
END_TEST

/* The open file is shared: the client can make it blocking again at any time. */
START_TEST(blocking_descriptor_does_not_block)
{
        int copy;

        teardown();
        setup();
        reader = value_reader_free(reader);
        fd_close_all(pair, 2);
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        copy = dup(pair[0]);
        start(take_fd(&pair[0]));
        ck_assert_int_eq(fcntl(copy, F_SETFL, 0), 0);
        say("some");
        edge_run(&edge);
        ck_assert_uint_eq(calls, 0);
        fd_close(copy);
}
END_TEST

START_TEST(other_descriptors_are_refused)
{
        int before = edge_lowest_fd(), fds[2] = { -1, -1 };
        ValueReader *none = NULL;
        Failure failure;

        switch (_i) {
        case 0:
                fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
                break;
        case 1:
                ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
                break;
        case 2:
                ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
                break;
        case 3:
                fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
                break;
        }
        ck_assert_int_eq(value_reader_new(&none, edge.loop, edge.arena, fds[0], MAX_SIZE, on_value, NULL),
                         VALUE_READER_E_TYPE);
        value_reader_failure(&failure, VALUE_READER_E_TYPE);
        ck_assert_int_eq(failure.fault, FAULT_INVALID_PARAMETER);
        fd_close(fds[1]);
        ck_assert_uint_eq(calls, 0);
        ck_assert_int_eq(edge_lowest_fd(), before);
}
END_TEST

START_TEST(full_arena_is_busy)
{
        Secret *rest[4096];
        ValueReader *none = NULL;
        size_t n = 0;
        int more[2];

        while (n < ARRAY_SIZE(rest) && secret_new(&rest[n], edge.arena, 1) == 0)
                n++;
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, more), 0);
        ck_assert_int_eq(value_reader_new(&none, edge.loop, edge.arena, more[0], MAX_SIZE, on_value, NULL),
                         VALUE_READER_E_FULL);
        fd_close(more[1]);
        while (n > 0)
                secret_free(rest[--n]);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("vault/value_reader");
        TCase *tcase = tcase_create("value_reader");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 20);
        tcase_add_loop_test(tcase, value_is_read_to_its_end, 0, 2);
        tcase_add_loop_test(tcase, length_is_bounded, 0, 2);
        tcase_add_loop_test(tcase, empty_value_is_refused, 0, 2);
        tcase_add_test(tcase, silent_client_is_dropped_at_the_deadline);
        tcase_add_test(tcase, blocking_descriptor_does_not_block);
        tcase_add_loop_test(tcase, other_descriptors_are_refused, 0, 4);
        tcase_add_test(tcase, full_arena_is_busy);
        suite_add_tcase(suite, tcase);
        return edge_suite(suite);
}
