#include "../base/suite.h"
#include "session/stream.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static Stream stream;
static int peer;

static void setup(void)
{
        const int size = 4096;
        int pair[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
        ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        stream = STREAM_NULL;
        stream.fd = pair[0];
        peer = pair[1];
}

static void teardown(void)
{
        stream_deinit(&stream);
        (void)close(peer);
}

/* Eight times what the buffer may hold goes through it, and it is never empty. */
START_TEST(a_client_that_never_takes_all_is_served)
{
        static uint8_t piece[64U * 1024U], got[4096];
        size_t sent = 0, taken = 0, wrong = 0;

        while (sent < 8 * STREAM_OUT_MAX) {
                for (size_t i = 0; i < sizeof(piece); i++)
                        piece[i] = (uint8_t)((sent + i) % 251);
                ck_assert_int_eq(buf_append(&stream.out, piece, sizeof(piece)), 0);
                sent += sizeof(piece);
                while (stream_waiting(&stream) >= sizeof(piece)) {
                        ssize_t n;

                        ck_assert_int_eq(stream_flush(&stream, NULL), STREAM_E_AGAIN);
                        n = read(peer, got, sizeof(got));
                        ck_assert_int_gt(n, 0);
                        for (ssize_t i = 0; i < n; i++, taken++)
                                wrong += got[i] != taken % 251;
                }
                ck_assert_uint_eq(wrong, 0);
                ck_assert_uint_gt(stream_waiting(&stream), 0);
                ck_assert_uint_le(stream.out.size, 4 * sizeof(piece));
        }
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("stream");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, a_client_that_never_takes_all_is_served);
        return suite_run("stream", tcase);
}
