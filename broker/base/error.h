#pragma once
/*
 * How functions that can fail speak.
 *
 * 0 is success. A negative value is -errno: something that this code could not foresee or mend,
 * forwarded unchanged. A positive value is an enum of the callee's own module, which its header
 * lists and which the caller must handle or turn into its own. A decision ("denied") can so never
 * be mistaken for what a system call said (-EPERM).
 */
#include <errno.h>

/* For a caller that cannot meet any of the callee's positive codes: they become -ENOTRECOVERABLE. */
static inline int error_fold(int r)
{
        return r > 0 ? -ENOTRECOVERABLE : r;
}

/* The errno of the system call that just failed, as a negative value and never 0. */
static inline int error_errno(void)
{
        return errno > 0 ? -errno : -EIO;
}
