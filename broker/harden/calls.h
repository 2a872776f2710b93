#pragma once
/*
 * How the tables of profile_*.c are written: one line a system call. SCMP_SYS() knows every name on
 * every architecture; where a call does not exist its rule is ignored.
 */
#include "harden/harden.h"
#include <seccomp.h>
#include <sys/mman.h>

/* Most arguments are ints, of which the kernel looks at the low half alone. */
#define LOW32 UINT64_C(0xffffffff)

#define ALLOW(name)                                                                                \
        {                                                                                          \
                .number = SCMP_SYS(name)                                                           \
        }
#define FAIL(name, errno_value)                                                                    \
        {                                                                                          \
                .number = SCMP_SYS(name), .error = errno_value                                     \
        }
#define ALLOW_MASK(name, index, bits, wanted)                                                      \
        {                                                                                          \
                .number = SCMP_SYS(name), .n_matches = 1, .matches = { { bits, wanted, index } }   \
        }
#define FAIL_MASK(name, errno_value, index, bits, wanted)                                          \
        {                                                                                          \
                .number = SCMP_SYS(name), .error = errno_value, .n_matches = 1, .matches = {       \
                        { bits, wanted, index }                                                    \
                }                                                                                  \
        }
#define ALLOW_IF(name, index, wanted)             ALLOW_MASK(name, index, LOW32, wanted)
#define FAIL_IF(name, errno_value, index, wanted) FAIL_MASK(name, errno_value, index, LOW32, wanted)
#define ALLOW_IF2(name, index, wanted, index2, wanted2)                                            \
        {                                                                                          \
                .number = SCMP_SYS(name), .n_matches = 2, .matches = {                             \
                        { LOW32, wanted, index },                                                  \
                        { LOW32, wanted2, index2 }                                                 \
                }                                                                                  \
        }
/* The pointer argument must be NULL. */
#define ALLOW_NULL(name, index) ALLOW_MASK(name, index, UINT64_MAX, 0)

/* setsockopt() with this level and option. */
#define ALLOW_OPTION(level, option) ALLOW_IF2(setsockopt, 1, level, 2, option)

/* What dlopen() does with a library: read-only code out of a file, never of memory. */
#define ALLOW_FILE_AS_CODE()           FILE_AS_CODE(0)
#define FAIL_FILE_AS_CODE(errno_value) FILE_AS_CODE(errno_value)
#define FILE_AS_CODE(errno_value)                                                                  \
        {                                                                                          \
                .number = SCMP_SYS(mmap), .error = errno_value, .n_matches = 2, .matches = {       \
                        { PROT_EXEC | PROT_WRITE, PROT_EXEC, 2 },                                  \
                        { MAP_ANONYMOUS, 0, 3 }                                                    \
                }                                                                                  \
        }
