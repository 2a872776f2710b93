#include "base/arena.h"
#include <sodium.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define BLOCK_SIZE 64U

struct Arena {
        uint8_t *mapping; /* guard page, then the blocks, then a guard page */
        size_t mapping_size;
        uint8_t *blocks;
        size_t n_blocks;
        size_t n_used;
        size_t hint; /* below it no block is free */
        size_t n_touched; /* from it on no block was ever given out, nor its page asked of the kernel */
        bool *used;  /* one entry a block; holds nothing secret */
};

/* Lays secret memory over the range, and says whether the kernel has it. */
static bool map_secretmem(uint8_t *at, size_t size)
{
        int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
        bool mapped;

        if (fd < 0)
                return false;
        mapped = ftruncate(fd, (off_t)size) == 0 &&
                 mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED;
        (void)close(fd);
        return mapped;
}

/* The same without the kernel's help: private pages, locked. */
static int map_locked(uint8_t *at, size_t size)
{
        if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
            MAP_FAILED)
                return error_errno();
        if (mlock(at, size) < 0)
                return errno == ENOMEM || errno == EPERM || errno == EAGAIN ? ARENA_E_UNLOCKED
                                                                            : error_errno();
        return 0;
}

static int map_blocks(uint8_t *at, size_t size)
{
        int r;

        if (!map_secretmem(at, size)) {
                r = map_locked(at, size);
                if (r)
                        return r;
        }
        if (madvise(at, size, MADV_DONTDUMP) < 0 || madvise(at, size, MADV_DONTFORK) < 0)
                return error_errno();
        /* That it may be locked is settled here. The pages come, zeroed, when they are used: each costs all
         * processors an interrupt, as it leaves the kernel's map. */
        return 0;
}

int arena_new(Arena **ret, size_t size)
{
        _cleanup_(arena_freep) Arena *arena = NULL;
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        int r;

        size = (size + page - 1) / page * page;
        arena = calloc(1, sizeof(*arena));
        if (!arena)
                return -ENOMEM;
        arena->n_blocks = size / BLOCK_SIZE;
        arena->used = calloc(arena->n_blocks, sizeof(*arena->used));
        if (!arena->used)
                return -ENOMEM;
        arena->mapping = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (arena->mapping == MAP_FAILED) {
                arena->mapping = NULL;
                return error_errno();
        }
        arena->mapping_size = size + 2 * page;
        r = map_blocks(arena->mapping + page, size);
        if (r)
                return r;
        arena->blocks = arena->mapping + page;
        *ret = take_ptr(arena);
        return 0;
}

Arena *arena_free(Arena *arena)
{
        if (!arena)
                return NULL;
        if (arena->blocks)
                sodium_memzero(arena->blocks, arena->n_touched * BLOCK_SIZE);
        if (arena->mapping)
                (void)munmap(arena->mapping, arena->mapping_size);
        free(arena->used);
        free(arena);
        return NULL;
}

static size_t blocks_for(size_t size)
{
        return size == 0 ? 1 : (size + BLOCK_SIZE - 1) / BLOCK_SIZE;
}

int arena_alloc(Arena *arena, size_t size, void **ret)
{
        size_t want = blocks_for(size), run = 0;

        if (want > arena->n_blocks - arena->n_used)
                return ARENA_E_FULL;
        for (size_t i = arena->hint; i < arena->n_blocks; i++) {
                run = arena->used[i] ? 0 : run + 1;
                if (run < want)
                        continue;
                memset(arena->used + (i + 1 - want), true, want);
                arena->n_used += want;
                if (arena->hint == i + 1 - want)
                        arena->hint = i + 1;
                arena->n_touched = MAX(arena->n_touched, i + 1);
                *ret = arena->blocks + (i + 1 - want) * BLOCK_SIZE;
                return 0;
        }
        return ARENA_E_FULL;
}

void arena_release(Arena *arena, void *data, size_t size)
{
        size_t n = blocks_for(size), first;

        if (!data)
                return;
        first = (size_t)((uint8_t *)data - arena->blocks) / BLOCK_SIZE;
        sodium_memzero(data, n * BLOCK_SIZE);
        memset(arena->used + first, false, n);
        arena->n_used -= n;
        arena->hint = MIN(arena->hint, first);
}

size_t arena_used(const Arena *arena)
{
        return arena->n_used * BLOCK_SIZE;
}
