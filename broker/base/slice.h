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

/* By bytes, as memcmp() orders them. */
static inline int slice_compare(Slice a, Slice b)
{
        size_t n = a.size < b.size ? a.size : b.size;
        int r = n > 0 ? memcmp(a.data, b.data, n) : 0;

        return r ? r : (a.size > b.size) - (a.size < b.size);
}

/* Takes what stands before `at`, or everything, off the front, and `at` itself. False when nothing is left: then
 * `rest` is SLICE_NULL, and what is empty but was there is not. */
static inline bool slice_split(Slice *rest, char at, Slice *ret)
{
        const uint8_t *end;

        if (!rest->data)
                return false;
        end = rest->size > 0 ? (const uint8_t *)memchr(rest->data, at, rest->size) : NULL;
        if (!end) {
                *ret = *rest;
                *rest = SLICE_NULL;
                return true;
        }
        *ret = slice(rest->data, (size_t)(end - rest->data));
        *rest = slice(end + 1, rest->size - ret->size - 1);
        return true;
}

/* Takes the prefix off, or leaves the text alone. */
static inline bool slice_skip(Slice *text, const char *prefix)
{
        size_t n = strlen(prefix);

        if (text->size < n || memcmp(text->data, prefix, n) != 0)
                return false;
        *text = slice(text->data + n, text->size - n);
        return true;
}

/* Without spaces and tabs at its ends. */
static inline Slice slice_trim(Slice text)
{
        while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
                text = slice(text.data + 1, text.size - 1);
        while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
                text.size--;
        return text;
}
