#include "base/pool.h"
#include <sodium.h>

/* Larger than most messages, so that one malloc serves. */
#define CHUNK_SIZE 2048U

struct PoolChunk {
        PoolChunk *next;
        size_t size;
        size_t used;
        max_align_t data[];
};

static int pool_grow(Pool *pool, size_t size)
{
        size_t capacity = MAX(size, (size_t)CHUNK_SIZE);
        PoolChunk *chunk = malloc(sizeof(*chunk) + capacity);

        if (!chunk)
                return -ENOMEM;
        chunk->size = capacity;
        chunk->used = 0;
        chunk->next = pool->chunks;
        pool->chunks = chunk;
        return 0;
}

int pool_alloc(Pool *pool, size_t size, void **ret)
{
        PoolChunk *chunk = pool->chunks;
        size_t align = sizeof(max_align_t);
        int r;

        if (size > pool->max - pool->used)
                return -ENOBUFS;
        size = (MAX(size, (size_t)1) + align - 1) / align * align;
        if (!chunk || size > chunk->size - chunk->used) {
                r = pool_grow(pool, size);
                if (r < 0)
                        return r;
                chunk = pool->chunks;
        }
        *ret = memset((uint8_t *)chunk->data + chunk->used, 0, size); /* not the chunk: most of it is left over */
        chunk->used += size;
        pool->used = MIN(pool->used + size, pool->max);
        return 0;
}

int pool_text(Pool *pool, Slice text, const char **ret)
{
        void *copy;
        int r;

        r = pool_alloc(pool, text.size + 1, &copy);
        if (r < 0)
                return r;
        if (text.size > 0)
                memcpy(copy, text.data, text.size);
        *ret = copy;
        return 0;
}

int pool_bytes(Pool *pool, Slice bytes, Slice *ret)
{
        const char *copy;
        int r = pool_text(pool, bytes, &copy);

        if (r == 0)
                *ret = slice(copy, bytes.size);
        return r;
}

void pool_deinit(Pool *pool)
{
        PoolChunk *chunk;

        if (!pool)
                return;
        while ((chunk = pool->chunks)) {
                pool->chunks = chunk->next;
                sodium_memzero(chunk->data, chunk->used);
                free(chunk);
        }
        pool->used = 0;
}
