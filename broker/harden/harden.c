#include "harden/harden.h"
#include "harden/parts.h"
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Capabilities are numbered in 64 bits; the kernel says EINVAL to those it does not have. */
#define CAPABILITIES_MAX 64U

/* Everything that could give capabilities back: switched off, and the switch locked. */
#define SECUREBITS                                                                                 \
        (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |                           \
         SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |   \
         SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

static int has_setpcap(bool *ret)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

        if (syscall(SYS_capget, &header, data) < 0)
                return error_errno();
        *ret = data[CAP_TO_INDEX(CAP_SETPCAP)].effective & CAP_TO_MASK(CAP_SETPCAP);
        return 0;
}

/* Only who has CAP_SETPCAP may do this, and only who has capabilities needs it: for everybody else
 * no_new_privs already keeps exec from giving any. */
static int drop_future_capabilities(void)
{
        if (prctl(PR_SET_SECUREBITS, SECUREBITS, 0, 0, 0) < 0)
                return error_errno();
        for (unsigned i = 0; i < CAPABILITIES_MAX; i++) {
                if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
                        return errno == EINVAL && i > 0 ? 0 : error_errno();
        }
        return 0;
}

static int drop_capabilities(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
        bool setpcap = false;
        int r;

        r = has_setpcap(&setpcap);
        if (r < 0)
                return r;
        if (setpcap) {
                r = drop_future_capabilities();
                if (r < 0)
                        return r;
        }
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
                return error_errno();
        return syscall(SYS_capset, &header, none) < 0 ? error_errno() : 0;
}

int harden_process(void)
{
        const struct rlimit none = { 0, 0 };

        if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
                return error_errno();
        if (setrlimit(RLIMIT_CORE, &none) < 0)
                return error_errno();
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return error_errno();
        /* A limit of whoever started us is a full disk like any other: the call fails, and nobody dies of it. */
        if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR)
                return error_errno();
        (void)umask(077);
        return drop_capabilities();
}

static int limit(int resource, uint64_t value)
{
        struct rlimit now;

        if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
                return error_errno();
        now.rlim_max = MIN(now.rlim_max, (rlim_t)value);
        now.rlim_cur = now.rlim_max;
        return setrlimit((__rlimit_resource_t)resource, &now) < 0 ? error_errno() : 0;
}

int harden_limits(const HardenProfile *profile)
{
        int r;

        r = limit(RLIMIT_NOFILE, profile->max_files);
        if (r == 0)
                r = limit(RLIMIT_CORE, 0);
        /* Binds no root; seccomp has the last word on clone(). */
        if (r == 0 && !profile->threads)
                r = limit(RLIMIT_NPROC, 0);
        /* Sockets and pipes are not files in this sense. */
        if (r == 0 && profile->files != HARDEN_FILES_WRITE)
                r = limit(RLIMIT_FSIZE, 0);
        return r;
}

int harden_confine(const HardenProfile *profile, const HardenPath *paths, size_t n_paths,
                   bool require_landlock)
{
        int r;

        if (!harden_has_seccomp())
                fprintf(stderr,
                        "mcpcred-%s: AddressSanitizer build: RUNS WITHOUT SECCOMP, not for use\n",
                        profile->role);
        /* Changes nothing in a process with one thread, and is refused in any other. */
        if (unshare(CLONE_THREAD) < 0)
                return errno == EINVAL ? HARDEN_E_THREADS : error_errno();
        r = harden_landlock(profile, paths, n_paths);
        if (r && (r != HARDEN_E_NO_LANDLOCK || require_landlock))
                return r;
        r = harden_limits(profile);
        if (r)
                return r;
        return harden_seccomp(profile);
}
