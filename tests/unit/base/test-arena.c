#undef NDEBUG
#include "base/arena.h"
#include "base/fd.h"
#include "harden/sanitizer.h"
#include "suite.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 8192U

static bool is_all(const uint8_t *data, size_t size, uint8_t byte)
{
        for (size_t i = 0; i < size; i++)
                if (data[i] != byte)
                        return false;
        return true;
}

static bool is_zero(const uint8_t *data, size_t size)
{
        return is_all(data, size, 0);
}

START_TEST(blocks_are_zeroed_and_aligned)
{
        Arena *arena = NULL;
        void *a, *b;

        ck_assert_int_eq(arena_new(&arena, SIZE), 0);
        ck_assert_int_eq(arena_alloc(arena, 1, &a), 0);
        ck_assert_int_eq(arena_alloc(arena, 65, &b), 0);
        ck_assert_uint_eq((uintptr_t)a % 64, 0);
        ck_assert_uint_eq((uintptr_t)b % 64, 0);
        ck_assert(is_zero(a, 64) && is_zero(b, 128));
        ck_assert_uint_eq(arena_used(arena), 192);
        arena_free(arena);
}
END_TEST

START_TEST(release_wipes)
{
        Arena *arena = NULL;
        void *a, *again;

        ck_assert_int_eq(arena_new(&arena, SIZE), 0);
        ck_assert_int_eq(arena_alloc(arena, 100, &a), 0);
        memset(a, 0xaa, 100);
        arena_release(arena, a, 100);
        ck_assert_uint_eq(arena_used(arena), 0);
        ck_assert(is_zero(a, 128));
        ck_assert_int_eq(arena_alloc(arena, 100, &again), 0);
        ck_assert_ptr_eq(a, again);
        arena_release(arena, NULL, 5);
        arena_free(arena);
}
END_TEST

START_TEST(full_is_said_and_recovers)
{
        Arena *arena = NULL;
        void *all, *more = (void *)1;

        ck_assert_int_eq(arena_new(&arena, SIZE), 0);
        ck_assert_int_eq(arena_alloc(arena, SIZE + 1, &more), ARENA_E_FULL);
        ck_assert_int_eq(arena_alloc(arena, SIZE, &all), 0);
        ck_assert_int_eq(arena_alloc(arena, 0, &more), ARENA_E_FULL);
        ck_assert_ptr_eq(more, (void *)1);
        arena_release(arena, all, SIZE);
        ck_assert_int_eq(arena_alloc(arena, SIZE, &all), 0);
        ck_assert_int_eq(arena_alloc(arena, SIZE_MAX, &more), ARENA_E_FULL);
        arena_free(arena);
}
END_TEST

/* A hole that is too small is passed over, and found again for what fits. */
START_TEST(fragments_are_reused)
{
        Arena *arena = NULL;
        void *blocks[SIZE / 64], *two, *one;

        ck_assert_int_eq(arena_new(&arena, SIZE), 0);
        for (size_t i = 0; i < ARRAY_SIZE(blocks); i++)
                ck_assert_int_eq(arena_alloc(arena, 64, &blocks[i]), 0);
        arena_release(arena, blocks[3], 64);
        arena_release(arena, blocks[7], 64);
        arena_release(arena, blocks[8], 64);
        ck_assert_int_eq(arena_alloc(arena, 128, &two), 0);
        ck_assert_ptr_eq(two, blocks[7]);
        ck_assert_int_eq(arena_alloc(arena, 64, &one), 0);
        ck_assert_ptr_eq(one, blocks[3]);
        ck_assert_int_eq(arena_alloc(arena, 1, &one), ARENA_E_FULL);
        arena_free(arena);
}
END_TEST

/* Random work against a plain model: no two pieces overlap, and none changes by itself. */
START_TEST(pieces_never_overlap)
{
        struct {
                uint8_t *data;
                size_t size;
                uint8_t mark;
        } pieces[24] = { 0 };
        Arena *arena = NULL;
        unsigned seed = 7;

        ck_assert_int_eq(arena_new(&arena, SIZE), 0);
        for (unsigned round = 0; round < 5000; round++) {
                size_t i = (size_t)rand_r(&seed) % ARRAY_SIZE(pieces);
                void *data;

                if (pieces[i].data) {
                        ck_assert(is_all(pieces[i].data, pieces[i].size, pieces[i].mark));
                        arena_release(arena, pieces[i].data, pieces[i].size);
                        pieces[i].data = NULL;
                        continue;
                }
                pieces[i].size = (size_t)rand_r(&seed) % 700;
                if (arena_alloc(arena, pieces[i].size, &data) != 0)
                        continue;
                pieces[i].data = data;
                pieces[i].mark = (uint8_t)(round | 1);
                ck_assert(is_zero(data, pieces[i].size));
                memset(data, pieces[i].mark, pieces[i].size);
        }
        arena_free(arena);
}
END_TEST

/* How a child ends that touches the byte at `offset` from the first block. */
static int touch(ptrdiff_t offset)
{
        pid_t child = fork();
        int status;

        if (child == 0) {
                Arena *arena = NULL;
                const struct rlimit none = { 0, 0 };
                void *first;

                (void)signal(SIGSEGV, SIG_DFL);
                if (setrlimit(RLIMIT_CORE, &none) < 0 || arena_new(&arena, 4096) != 0 ||
                    arena_alloc(arena, 4096, &first) != 0)
                        _exit(2);
                ((volatile uint8_t *)first)[offset] = 1;
                _exit(0);
        }
        ck_assert_int_gt(child, 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

START_TEST(guard_pages_on_both_sides)
{
        ck_assert_int_eq(touch(0), 0);
        ck_assert_int_eq(touch(4095), 0);
        ck_assert_int_eq(touch(-1), SIGSEGV);
        ck_assert_int_eq(touch(4096), SIGSEGV);
}
END_TEST

START_TEST(forked_child_has_nothing)
{
        Arena *arena = NULL;
        void *data;
        pid_t child;
        int status;

        ck_assert_int_eq(arena_new(&arena, 4096), 0);
        ck_assert_int_eq(arena_alloc(arena, 64, &data), 0);
        child = fork();
        if (child == 0) {
                const struct rlimit none = { 0, 0 };

                (void)signal(SIGSEGV, SIG_DFL);
                (void)!setrlimit(RLIMIT_CORE, &none);
                _exit(*(volatile uint8_t *)data);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
        arena_free(arena);
}
END_TEST

START_TEST(pages_are_locked_and_not_dumped)
{
        _cleanup_(freep) char *maps = NULL;
        Arena *arena = NULL;
        char address[32];
        const char *entry, *flags;
        void *data;

        ck_assert_int_eq(arena_new(&arena, 4096), 0);
        ck_assert_int_eq(arena_alloc(arena, 64, &data), 0);
        ck_assert_int_eq(fd_read_file_at(AT_FDCWD, "/proc/self/smaps", 1U << 20, &maps), 0);
        (void)snprintf(address, sizeof(address), "%lx-", (unsigned long)(uintptr_t)data);
        entry = strstr(maps, address);
        ck_assert_ptr_nonnull(entry);
        flags = strstr(entry, "VmFlags:");
        ck_assert_ptr_nonnull(flags);
        entry = strchr(flags, '\n');
        ck_assert_ptr_nonnull(memmem(flags, (size_t)(entry - flags), " dd", 3)); /* DONTDUMP */
        ck_assert_ptr_nonnull(memmem(flags, (size_t)(entry - flags), " dc", 3)); /* DONTFORK */
        ck_assert_ptr_nonnull(memmem(flags, (size_t)(entry - flags), " lo", 3)); /* locked */
        arena_free(arena);
}
END_TEST

/* Root may lock what it likes, so the refusal shows only to others; and AddressSanitizer makes
 * mlock() a call that does nothing. */
#if !SANITIZED
START_TEST(unlocked_memory_is_refused)
{
        const struct rlimit none = { 0, 0 };
        Arena *arena = NULL;
        int r;

        ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
        if (getuid() == 0)
                ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
        r = arena_new(&arena, 4096);
        ck_assert_int_eq(r, ARENA_E_UNLOCKED);
        ck_assert_ptr_null(arena);
}
END_TEST
#endif

int main(void)
{
        TCase *tcase = tcase_create("arena");

        tcase_add_test(tcase, blocks_are_zeroed_and_aligned);
        tcase_add_test(tcase, release_wipes);
        tcase_add_test(tcase, full_is_said_and_recovers);
        tcase_add_test(tcase, fragments_are_reused);
        tcase_add_test(tcase, pieces_never_overlap);
        tcase_add_test(tcase, guard_pages_on_both_sides);
        tcase_add_test(tcase, forked_child_has_nothing);
        tcase_add_test(tcase, pages_are_locked_and_not_dumped);
#if !SANITIZED
        tcase_add_test(tcase, unlocked_memory_is_refused);
#endif
        return suite_run("arena", tcase);
}
