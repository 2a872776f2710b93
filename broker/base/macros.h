#pragma once
/* Compiler attributes and ownership helpers that the whole tree uses. */
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdlib.h>

#define NODISCARD __attribute__((warn_unused_result))
#define NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))
#define _cleanup_(f) __attribute__((cleanup(f)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The struct that contains the member that ptr points at. */
#define container_of(ptr, type, member) \
        ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Declares `name##p`, the form of a destructor that _cleanup_() wants. */
#define DEFINE_CLEANUP(type, name)                                                   \
        static inline UNUSED void name##p(type *p)                                   \
        {                                                                            \
                if (*p)                                                              \
                        name(*p);                                                    \
        }                                                                            \
        struct mcpcred_swallow_semicolon

/* Hands over a pointer: returns it and leaves NULL behind. */
#define take_ptr(p)                       \
        ({                                \
                __typeof__(p) *_pp = &(p); \
                __typeof__(p) _v = *_pp;   \
                *_pp = NULL;              \
                _v;                       \
        })

/* Hands over a descriptor: returns it and leaves -1 behind. */
static inline int take_fd(int *fd)
{
        int taken = *fd;

        *fd = -1;
        return taken;
}

static inline void freep(void *p)
{
        free(*(void **)p);
}
