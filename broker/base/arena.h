#pragma once
/*
 * The one place of a process where secret bytes live: a mapping of a fixed size that is locked into
 * memory, left out of core dumps, absent in forked children, and between two guard pages. Where the
 * kernel has memfd_secret(2) the pages are also taken out of the kernel's own map, so that not even
 * /proc/PID/mem reads them.
 *
 * Small by design: locking counts against RLIMIT_MEMLOCK (8 MiB by default on Debian 12).
 */
#include "base/error.h"
#include "base/macros.h"

typedef struct Arena Arena;

enum {
        _ARENA_E_SUCCESS,
        ARENA_E_FULL,     /* no run of blocks is free that would hold it */
        ARENA_E_UNLOCKED, /* the kernel refused to lock the pages: raise RLIMIT_MEMLOCK */
};

/* Maps and locks `size` bytes, rounded up to pages; those of memfd_secret(2) take memory when they are first used.
 * Returns ARENA_E_UNLOCKED or -errno. */
int arena_new(Arena **ret, size_t size) NODISCARD NONNULL(1);
/* Wipes and unmaps everything. No Secret of this arena may be used any more. */
Arena *arena_free(Arena *arena);
/* Zeroed bytes, aligned to 64. Returns ARENA_E_FULL. */
int arena_alloc(Arena *arena, size_t size, void **ret) NODISCARD NONNULL(1, 3);
/* Wipes and gives back; `size` as it was asked for. NULL is fine. */
void arena_release(Arena *arena, void *data, size_t size) NONNULL(1);
/* Bytes that are in use, for tests and status. */
size_t arena_used(const Arena *arena) NONNULL(1);

DEFINE_CLEANUP(Arena *, arena_free);
