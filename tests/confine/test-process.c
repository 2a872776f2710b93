/* What harden_process() leaves, for every process of the broker, and what harden_confine() refuses.
 */
#include "base/fd.h"
#include "probe.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* The number behind "Name:" in /proc/self/status, read as hexadecimal. */
static bool status_is(const char *name, unsigned long long want)
{
        _cleanup_(freep) char *text = NULL;
        const char *at;

        if (fd_read_file_at(AT_FDCWD, "/proc/self/status", 16384, &text) < 0)
                return false;
        at = strstr(text, name);
        return at && strtoull(at + strlen(name), NULL, 16) == want;
}

static int is_undumpable(UNUSED const Target *target)
{
        return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : EPERM;
}

static int has_no_core(UNUSED const Target *target)
{
        struct rlimit core;

        return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0 ? 0 : EPERM;
}

static int has_no_new_privileges(UNUSED const Target *target)
{
        return status_is("\nNoNewPrivs:\t", 1) ? 0 : EPERM;
}

static int has_no_capabilities(UNUSED const Target *target)
{
        return status_is("\nCapEff:\t", 0) && status_is("\nCapPrm:\t", 0) &&
                               status_is("\nCapInh:\t", 0) && status_is("\nCapAmb:\t", 0)
                       ? 0
                       : EPERM;
}

/* Those that exec could bring back; only root had the right to drop them. */
static int has_no_bounding_set(UNUSED const Target *target)
{
        return geteuid() != 0 || status_is("\nCapBnd:\t", 0) ? 0 : EPERM;
}

static int has_locked_securebits(UNUSED const Target *target)
{
        return geteuid() != 0 || (prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) & 0x3) == 0x3 ? 0 : EPERM;
}

static int has_private_umask(UNUSED const Target *target)
{
        return umask(077) == 077 ? 0 : EPERM;
}

/* Root without CAP_DAC_OVERRIDE is an owner like any other. */
static int obeys_modes(const Target *target)
{
        if (chmod(target->other, 0) < 0)
                return errno;
        if (open(target->other, O_RDONLY | O_CLOEXEC) >= 0)
                return EPERM;
        return chmod(target->other, 0600) < 0 ? errno : 0;
}

static int survives_a_file_limit(const Target *target)
{
        const struct rlimit none = { 0, 0 };

        if (setrlimit(RLIMIT_FSIZE, &none) < 0)
                return EPERM;
        return write(target->file, "x", 1) < 0 && errno == EFBIG ? 0 : EPERM;
}

static int twice_works(UNUSED const Target *target)
{
        return harden_process() == 0 ? 0 : EPERM;
}

static void *wait_for_ever(UNUSED void *argument)
{
        (void)pause();
        return NULL;
}

/* A thread that exists already would stay outside of Landlock. */
static int threads_refused(UNUSED const Target *target)
{
        pthread_t id;

        if (pthread_create(&id, NULL, wait_for_ever, NULL) != 0)
                return EAGAIN;
        return harden_confine(&harden_profile_keyring, NULL, 0, false) == HARDEN_E_THREADS ? 0
                                                                                           : EPERM;
}

static int missing_path_refused(UNUSED const Target *target)
{
        const HardenPath path = { .path = "/nonexistent/mcpcred" };

        return harden_confine(&harden_profile_vault, &path, 1, true) == -ENOENT ? 0 : EPERM;
}

static int optional_path_passed_over(UNUSED const Target *target)
{
        const HardenPath path = { .path = "/nonexistent/mcpcred", .optional = true };

        return harden_confine(&harden_profile_vault, &path, 1, true) == 0 ? 0 : EPERM;
}

static int limits_descriptors(const Target *target)
{
        int fd = -1;

        if (harden_confine(&harden_profile_provider, NULL, 0, true) != 0)
                return EPERM;
        for (uint64_t i = 0; i <= harden_profile_provider.max_files; i++)
                fd = fcntl(target->pair[0], F_DUPFD_CLOEXEC, 3);
        return fd < 0 && errno == EMFILE ? 0 : EPERM;
}

int main(void)
{
        static const struct {
                const char *name;
                Attempt attempt;
                bool landlock; /* needed */
        } cases[] = {
                { "undumpable", is_undumpable, false },
                { "no-core", has_no_core, false },
                { "no-new-privileges", has_no_new_privileges, false },
                { "no-capabilities", has_no_capabilities, false },
                { "no-bounding-set", has_no_bounding_set, false },
                { "securebits-locked", has_locked_securebits, false },
                { "umask-private", has_private_umask, false },
                { "modes-obeyed", obeys_modes, false },
                { "file-limit-survived", survives_a_file_limit, false },
                { "twice-works", twice_works, false },
                { "threads-refused", threads_refused, false },
                { "missing-path-refused", missing_path_refused, true },
                { "optional-path-passed-over", optional_path_passed_over, true },
                { "descriptors-limited", limits_descriptors, true },
        };
        Target target;

        if (target_make(&target) < 0) {
                printf("Bail out! cannot prepare\n");
                return 1;
        }
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Outcome outcome;

                if (cases[i].landlock && harden_landlock_abi() == 0) {
                        tap_skip(cases[i].name, "this kernel has no Landlock");
                        continue;
                }
                outcome = probe(&harden_profile_gate, LAYERS_NONE, &target, cases[i].attempt);
                tap_ok(!outcome.setup && !outcome.signal && !outcome.error, cases[i].name,
                       "signal %d, errno %d, setup %d", outcome.signal, outcome.error,
                       outcome.setup);
        }
        target_remove(&target);
        return tap_end();
}
