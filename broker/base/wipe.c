#include "base/wipe.h"
#include <sodium.h>
#include <stdalign.h>
#include <string.h>

typedef struct Block {
        size_t size;
        alignas(max_align_t) unsigned char data[];
} Block;

void *wipe_malloc(size_t size)
{
        Block *block;

        if (size > PTRDIFF_MAX - sizeof(Block))
                return NULL;
        block = malloc(sizeof(Block) + size);
        if (!block)
                return NULL;
        block->size = size;
        return block->data;
}

void *wipe_calloc(size_t n, size_t size)
{
        size_t total;
        void *data;

        if (__builtin_mul_overflow(n, size, &total))
                return NULL;
        data = wipe_malloc(total);
        if (data)
                memset(data, 0, total);
        return data;
}

void wipe_free(void *data)
{
        Block *block;

        if (!data)
                return;
        block = container_of(data, Block, data);
        sodium_memzero(block, sizeof(*block) + block->size);
        free(block);
}

/* Always moves: realloc() would leave the old bytes behind where it moves by itself. */
void *wipe_realloc(void *data, size_t size)
{
        void *moved = wipe_malloc(size);

        if (!moved)
                return NULL;
        if (data)
                memcpy(moved, data, MIN(size, container_of(data, Block, data)->size));
        wipe_free(data);
        return moved;
}

char *wipe_strdup(const char *text)
{
        size_t size = strlen(text) + 1;
        char *copy = wipe_malloc(size);

        if (copy)
                memcpy(copy, text, size);
        return copy;
}
