#include "mcpcred.h"
#include <errno.h>
#include <sys/resource.h>

/* Microseconds of uninterrupted realtime CPU: a hundred and forty thousand years. */
#define MARK ((rlim_t)1 << 62)

int mcpcred_child_mark(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_RTTIME, &limit) < 0)
                return -errno;
        if (limit.rlim_max != RLIM_INFINITY)
                return 0;
        limit.rlim_max = MARK;
        if (limit.rlim_cur > MARK)
                limit.rlim_cur = MARK;
        return setrlimit(RLIMIT_RTTIME, &limit) < 0 ? -errno : 0;
}

int mcpcred_is_marked(void)
{
        struct rlimit limit;

        /* What cannot be read is not taken for unmarked. */
        return getrlimit(RLIMIT_RTTIME, &limit) < 0 || limit.rlim_max != RLIM_INFINITY;
}
