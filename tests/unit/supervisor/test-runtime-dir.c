#undef NDEBUG
#include "supervisor/runtime_dir.h"
#include "base/fd.h"
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A fresh directory, which is the current one. */
static char top[64];

static void enter(void)
{
        (void)snprintf(top, sizeof(top), "/tmp/mcpcred-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(top));
        ck_assert_int_eq(chdir(top), 0);
}

static void leave(void)
{
        char command[128];

        ck_assert_int_eq(chdir("/"), 0);
        (void)snprintf(command, sizeof(command), "rm -rf %s", top);
        ck_assert_int_eq(system(command), 0);
}

static int make(RuntimeDir **ret, const char *below)
{
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s", top, below);
        return runtime_dir_new(ret, path, 0700);
}

/* The number of one that has ended is somebody else's sooner or later. */
START_TEST(lock_names_nobody_afterwards)
{
        RuntimeDir *dir;
        struct stat st;

        enter();
        ck_assert_int_eq(make(&dir, "a"), 0);
        ck_assert_int_eq(stat("a/lock", &st), 0);
        ck_assert_int_gt(st.st_size, 0);
        runtime_dir_free(dir);
        ck_assert_int_eq(stat("a/lock", &st), 0);
        ck_assert_int_eq(st.st_size, 0);
        leave();
}
END_TEST

START_TEST(made_and_locked)
{
        RuntimeDir *dir, *other;
        struct stat st;

        enter();
        ck_assert_int_eq(make(&dir, "a/b/c//"), 0);
        ck_assert_int_eq(stat("a/b/c", &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0700);
        ck_assert_int_eq(stat("a/b", &st), 0);
        ck_assert_uint_eq(st.st_mode & 07777, 0700);
        ck_assert_int_eq(make(&other, "a/b/c"), RUNTIME_DIR_E_BUSY);
        runtime_dir_free(dir);
        ck_assert_int_eq(make(&dir, "a/b/c"), 0);
        runtime_dir_free(dir);
        leave();
}
END_TEST

START_TEST(refusals)
{
        RuntimeDir *dir;

        enter();
        ck_assert_int_eq(mkdir("real", 0700), 0);
        ck_assert_int_eq(symlink("real", "link"), 0);
        ck_assert_int_eq(make(&dir, "link"), RUNTIME_DIR_E_LINK);
        ck_assert_int_eq(make(&dir, "link/"), RUNTIME_DIR_E_LINK);
        ck_assert_int_eq(symlink("absent", "dangling"), 0);
        ck_assert_int_eq(make(&dir, "dangling"), RUNTIME_DIR_E_LINK);
        ck_assert_int_eq(close(creat("file", 0600)), 0);
        ck_assert_int_eq(make(&dir, "file"), RUNTIME_DIR_E_LINK);
        ck_assert_int_eq(mkdir("open", 0700), 0);
        ck_assert_int_eq(chmod("open", 0701), 0);
        ck_assert_int_eq(make(&dir, "open"), RUNTIME_DIR_E_MODE);
        ck_assert_int_eq(chmod("open", 0777), 0);
        ck_assert_int_eq(make(&dir, "open/below"), RUNTIME_DIR_E_PARENT);
        ck_assert_int_eq(runtime_dir_new(&dir, "relative", 0700), RUNTIME_DIR_E_PATH);
        ck_assert_int_eq(symlink("/etc/passwd", "real/lock"), 0);
        ck_assert_int_eq(make(&dir, "real"), RUNTIME_DIR_E_LINK);
        leave();
}
END_TEST

/* Links above the directory are the user's own: a home on another disk. */
START_TEST(links_above)
{
        RuntimeDir *dir;
        char expected[128];

        enter();
        ck_assert_int_eq(mkdir("disk", 0700), 0);
        ck_assert_int_eq(symlink("disk", "home"), 0);
        ck_assert_int_eq(make(&dir, "home/state/x"), 0);
        (void)snprintf(expected, sizeof(expected), "%s/disk/state/x", top);
        ck_assert_str_eq(dir->path, expected);
        runtime_dir_free(dir);
        leave();
}
END_TEST

START_TEST(epoch)
{
        RuntimeDir *dir;
        char *text;
        int fd;

        enter();
        ck_assert_int_eq(make(&dir, "r"), 0);
        ck_assert_int_eq(runtime_dir_read_epoch(dir, &text), 0);
        ck_assert_ptr_null(text);
        ck_assert_int_eq(runtime_dir_write_epoch(dir, "abc-123"), 0);
        ck_assert_int_eq(runtime_dir_read_epoch(dir, &text), 0);
        ck_assert_str_eq(text, "abc-123");
        free(text);
        fd = open("r/epoch", O_WRONLY | O_TRUNC);
        ck_assert_int_eq(fd_write_all(fd, "a\nb", 3), 0);
        fd_close(fd);
        ck_assert_int_eq(runtime_dir_read_epoch(dir, &text), -EINVAL);
        ck_assert_int_eq(unlink("r/epoch"), 0);
        ck_assert_int_eq(symlink("/etc/hostname", "r/epoch"), 0);
        ck_assert_int_eq(runtime_dir_read_epoch(dir, &text), -EINVAL);
        ck_assert_int_eq(runtime_dir_write_epoch(dir, "new"), 0); /* replaces the link */
        ck_assert_int_eq(runtime_dir_read_epoch(dir, &text), 0);
        ck_assert_str_eq(text, "new");
        free(text);
        runtime_dir_free(dir);
        leave();
}
END_TEST

START_TEST(bind_and_remove)
{
        RuntimeDir *dir;
        struct stat st;
        int fd, inner;

        enter();
        ck_assert_int_eq(make(&dir, "r"), 0);
        ck_assert_int_eq(mkdirat(dir->fd, "s", 0700), 0);
        inner = openat(dir->fd, "s", O_RDONLY | O_DIRECTORY);
        ck_assert_int_eq(symlink("/tmp/elsewhere", "r/s/x.sock"), 0);
        ck_assert_int_eq(runtime_dir_bind(inner, "x.sock", 0600, &fd), 0);
        ck_assert_int_eq(lstat("r/s/x.sock", &st), 0);
        ck_assert(S_ISSOCK(st.st_mode));
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        fd_close(fd);
        ck_assert_int_eq(runtime_dir_bind(inner, "x.sock", 0600, &fd),
                         0); /* a stale one is replaced */
        fd_close(fd);
        fd_close(inner);
        ck_assert_int_eq(runtime_dir_remove(dir->fd, "s"), 0);
        ck_assert_int_eq(runtime_dir_remove(dir->fd, "s"), 0);
        ck_assert_int_eq(mkdirat(dir->fd, "victim", 0700), 0);
        ck_assert_int_eq(symlink("victim", "r/s"), 0);
        ck_assert_int_eq(runtime_dir_remove(dir->fd, "s"), 0);
        ck_assert_int_eq(stat("r/victim", &st), 0);
        runtime_dir_free(dir);
        leave();
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("runtime-dir");
        TCase *tests = tcase_create("all");
        SRunner *r = srunner_create(suite);
        int failed;

        suite_add_tcase(suite, tests);
        tcase_add_test(tests, made_and_locked);
        tcase_add_test(tests, lock_names_nobody_afterwards);
        tcase_add_test(tests, refusals);
        tcase_add_test(tests, links_above);
        tcase_add_test(tests, epoch);
        tcase_add_test(tests, bind_and_remove);
        srunner_set_tap(r, "-");
        srunner_run_all(r, CK_SILENT);
        failed = srunner_ntests_failed(r);
        srunner_free(r);
        return failed > 0;
}
