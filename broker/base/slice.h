#pragma once
/* Borrowed bytes: a pointer and a length, never an owner. */
#include "base/macros.h"
#include <string.h>

typedef struct Slice {
        const uint8_t *data;
        size_t size;
} Slice;

#define SLICE_NULL ((Slice){ NULL, 0 })

static inline Slice slice(const void *data, size_t size)
{
        return (Slice){ data, size };
}

static inline Slice slice_text(const char *text)
{
        return (Slice){ (const uint8_t *)text, text ? strlen(text) : 0 };
}

/* Not constant in time: for names, never for secrets (secret.h has that). */
static inline bool slice_equal(Slice a, Slice b)
{
        return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_is_text(Slice a, const char *text)
{
        return slice_equal(a, slice_text(text));
}
