#undef NDEBUG
#include "base/clock.h"
#include "base/fd.h"
#include "suite.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

START_TEST(close_keeps_errno_and_takes_unset)
{
        int fd = dup(STDOUT_FILENO);

        errno = EXDEV;
        ck_assert_int_eq(fd_close(fd), -1);
        ck_assert_int_eq(errno, EXDEV);
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
        errno = EXDEV;
        ck_assert_int_eq(fd_close(-1), -1);
        ck_assert_int_eq(errno, EXDEV);
}
END_TEST

START_TEST(close_all_unsets)
{
        int fds[3] = { dup(1), -1, dup(1) };

        fd_close_all(fds, 3);
        ck_assert(fds[0] == -1 && fds[1] == -1 && fds[2] == -1);
}
END_TEST

/* A peer that asked to linger and then reads nothing must not hold up who closes. */
START_TEST(close_does_not_linger)
{
        const struct linger linger = { .l_onoff = 1, .l_linger = 5 };
        int pair[2];
        uint64_t before = clock_boot(&clock_system);

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        ck_assert_int_eq(setsockopt(pair[0], SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        ck_assert_int_eq(fd_write_all(pair[0], "x", 1), 0);
        fd_close(pair[0]);
        ck_assert_uint_lt(clock_boot(&clock_system) - before, USEC_PER_SEC);
        fd_close(pair[1]);
}
END_TEST

START_TEST(flags)
{
        int fd = dup(STDOUT_FILENO), pair[2];

        ck_assert_int_eq(fd_set_cloexec(fd, true), 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(fd_set_cloexec(fd, false), 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
        ck_assert_int_eq(fd_set_cloexec(-1, true), -EBADF);
        ck_assert_int_eq(fd_set_nonblock(-1), -EBADF);
        ck_assert_int_eq(pipe(pair), 0);
        ck_assert_int_eq(fd_set_nonblock(pair[0]), 0);
        ck_assert(read(pair[0], &(char){ 0 }, 1) < 0 && errno == EAGAIN);
        fd_close_all(pair, 2);
        fd_close(fd);
}
END_TEST

START_TEST(small_files_are_read_whole)
{
        char path[] = "/tmp/mcpcred-test-fd-XXXXXX", *text = NULL;
        int fd = mkstemp(path);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(fd_write_all(fd, "12345", 5), 0);
        ck_assert_int_eq(fd_read_file_at(AT_FDCWD, path, 5, &text), 0);
        ck_assert_str_eq(text, "12345");
        free(text);
        text = NULL;
        ck_assert_int_eq(fd_read_file_at(AT_FDCWD, path, 4, &text), -EFBIG);
        ck_assert_ptr_null(text);
        (void)unlink(path);
        ck_assert_int_eq(fd_read_file_at(AT_FDCWD, path, 4, &text), -ENOENT);
        ck_assert_int_eq(fd_read_file_at(AT_FDCWD, "/proc/self/status", 65536, &text), 0);
        ck_assert_ptr_nonnull(strstr(text, "Name:"));
        free(text);
        fd_close(fd);
}
END_TEST

START_TEST(handing_over_leaves_nothing)
{
        int fd = 7;
        char text, *pointer = &text;

        ck_assert_int_eq(take_fd(&fd), 7);
        ck_assert_int_eq(fd, -1);
        ck_assert_ptr_eq(take_ptr(pointer), &text);
        ck_assert_ptr_null(pointer);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("fd");

        tcase_add_test(tcase, close_keeps_errno_and_takes_unset);
        tcase_add_test(tcase, close_all_unsets);
        tcase_add_test(tcase, close_does_not_linger);
        tcase_add_test(tcase, flags);
        tcase_add_test(tcase, small_files_are_read_whole);
        tcase_add_test(tcase, handing_over_leaves_nothing);
        return suite_run("fd", tcase);
}
