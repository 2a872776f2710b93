#include "base/clock.h"
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
        struct timespec now = { 0 };

        (void)clock_gettime(id, &now); /* cannot fail for the two ids used here */
        return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t system_boot(UNUSED const Clock *clock)
{
        return read_clock(CLOCK_BOOTTIME);
}

static uint64_t system_wall(UNUSED const Clock *clock)
{
        return read_clock(CLOCK_REALTIME);
}

const Clock clock_system = { .boot_usec = system_boot, .wall_usec = system_wall };
