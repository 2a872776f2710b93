#pragma once
/* What the tests of the store share: a directory of their own, a moved clock, a database with a
 * key. */
#include "base/clock.h"
#include "vault/db.h"
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Fixture {
        char directory[64];
        Arena *arena;
        Secret *root;
        Seal *seal;
        Db *db;
} Fixture;

typedef struct TestClock {
        Clock clock;
        uint64_t boot, wall;
} TestClock;

static inline uint64_t test_clock_boot(const Clock *clock)
{
        return ((const TestClock *)(const void *)clock)->boot; /* `clock` is its first member */
}

static inline uint64_t test_clock_wall(const Clock *clock)
{
        return ((const TestClock *)(const void *)clock)->wall;
}

#define TEST_CLOCK(now)                                                                            \
        ((TestClock){ .clock = { .boot_usec = test_clock_boot, .wall_usec = test_clock_wall },     \
                      .boot = USEC_PER_SEC,                                                        \
                      .wall = (now) })

static inline void fixture_make_directory(Fixture *f)
{
        (void)snprintf(f->directory, sizeof(f->directory), "/tmp/mcpcred-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(f->directory));
}

static inline const char *fixture_path(const Fixture *f, const char *name, char *out, size_t size)
{
        (void)snprintf(out, size, "%s/%s", f->directory, name);
        return out;
}

/* Locked memory does not cross fork(), so a child makes its own with the same root key. */
static inline void fixture_open_with(Fixture *f, Slice root)
{
        ck_assert_int_eq(arena_new(&f->arena, 512U * 1024U), 0);
        ck_assert_int_eq(secret_from_bytes(&f->root, f->arena, root), 0);
        ck_assert_int_eq(seal_new(&f->seal, f->arena, f->root), 0);
        ck_assert_int_eq(db_open(&f->db, f->directory), 0);
        db_set_seal(f->db, f->seal);
}

static inline void fixture_open(Fixture *f)
{
        static const uint8_t root[SEAL_ROOT_SIZE] = { 1, 2, 3 };

        fixture_open_with(f, slice(root, sizeof(root)));
}

static inline void fixture_close(Fixture *f)
{
        f->db = db_free(f->db);
        f->seal = seal_free(f->seal);
        f->root = secret_free(f->root);
        f->arena = arena_free(f->arena);
}

static inline void fixture_remove_directory(Fixture *f)
{
        DIR *directory = opendir(f->directory);
        const struct dirent *entry;
        char path[400];

        while (directory && (entry = readdir(directory))) {
                (void)snprintf(path, sizeof(path), "%s/%s", f->directory, entry->d_name);
                if (entry->d_name[0] != '.' && unlink(path) < 0)
                        (void)rmdir(path);
        }
        if (directory)
                (void)closedir(directory);
        (void)rmdir(f->directory);
}

static inline void fixture_start(Fixture *f)
{
        *f = (Fixture){ 0 };
        fixture_make_directory(f);
        fixture_open(f);
}

static inline void fixture_stop(Fixture *f)
{
        fixture_close(f);
        fixture_remove_directory(f);
}

static inline void write_file(const char *path, Slice bytes)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, bytes.data, bytes.size), (ssize_t)bytes.size);
        ck_assert_int_eq(close(fd), 0);
}

static inline void read_file(const char *path, Buf *out)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        uint8_t *room;
        ssize_t n;

        ck_assert_int_ge(fd, 0);
        do {
                ck_assert_int_eq(buf_reserve(out, 4096, &room), 0);
                n = read(fd, room, 4096);
                ck_assert_int_ge(n, 0);
                buf_commit(out, (size_t)n);
        } while (n > 0);
        (void)close(fd);
}

static inline int run_suite(Suite *suite)
{
        SRunner *runner = srunner_create(suite);
        int failed;

        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? 1 : 0;
}
