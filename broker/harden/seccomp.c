#include "harden/calls.h"
#include "harden/parts.h"
#include "harden/sanitizer.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define CLONE_NEW_ALL                                                                              \
        (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
         CLONE_NEWPID | CLONE_NEWNET)
#define CLONE_OF_THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)

#define SOCK_TYPE_MASK  UINT64_C(0xf) /* without SOCK_CLOEXEC and SOCK_NONBLOCK */

/* What the C library, the event loop and the packet sockets need, in every role. */
static const HardenCall common[] = {
        ALLOW(read),
        ALLOW(write),
        ALLOW(readv),
        ALLOW(writev),
        ALLOW(close),
        ALLOW(lseek),
        ALLOW(fstat),
        ALLOW(sendmsg),
        ALLOW(recvmsg),
        ALLOW(shutdown),
        ALLOW(getsockopt),
        ALLOW(getsockname),
        /* With an address, these two would reach others than the peer. */
        ALLOW_NULL(sendto, 4),
        ALLOW(recvfrom),
        ALLOW_OPTION(SOL_SOCKET, SO_LINGER),
        ALLOW_OPTION(SOL_SOCKET, SO_SNDBUF),
        ALLOW_OPTION(SOL_SOCKET, SO_RCVBUF),
        ALLOW_OPTION(SOL_SOCKET, SO_PASSCRED),
        ALLOW(epoll_create1),
        ALLOW(epoll_ctl),
        ALLOW(epoll_wait),
        ALLOW(epoll_pwait),
        ALLOW(poll),
        ALLOW(ppoll),
        ALLOW_IF(fcntl, 1, F_DUPFD_CLOEXEC),
        ALLOW_IF(fcntl, 1, F_GETFD),
        ALLOW_IF(fcntl, 1, F_SETFD),
        ALLOW_IF(fcntl, 1, F_GETFL),
        ALLOW_IF(fcntl, 1, F_SETFL),
        /* stdio asks whether it writes to a terminal, and can live with not knowing. */
        FAIL_IF(ioctl, ENOTTY, 1, TCGETS),
        ALLOW_IF(ioctl, 1, FIONREAD),
        ALLOW_IF(ioctl, 1, FIONBIO),
        ALLOW(munmap),
        ALLOW(mremap),
        ALLOW(madvise),
        ALLOW(brk),
        ALLOW(clock_gettime),
        ALLOW(clock_getres),
        ALLOW(clock_nanosleep),
        ALLOW(nanosleep),
        ALLOW(gettimeofday),
        ALLOW(time),
        ALLOW(getrandom),
        ALLOW(futex),
        ALLOW(rt_sigprocmask),
        ALLOW(rt_sigaction),
        ALLOW(rt_sigreturn),
        ALLOW(sigaltstack),
        ALLOW(restart_syscall),
        ALLOW(sched_yield),
        ALLOW(exit),
        ALLOW(exit_group),
        ALLOW(getpid),
        ALLOW(gettid),
        ALLOW(getuid),
        ALLOW(geteuid),
        ALLOW(getgid),
        ALLOW(getegid),
        ALLOW(sysinfo), /* qsort() asks how much memory there is */
        ALLOW_IF(prctl, 0, PR_SET_NAME),
        FAIL_IF(prctl, EINVAL, 0, PR_SET_VMA),
};

/* Memory that becomes code is what an exploit wants; no role has any use for it. */
static const HardenCall no_code[] = {
        ALLOW_MASK(mmap, 2, PROT_EXEC, 0),
        ALLOW_MASK(mprotect, 2, PROT_EXEC, 0),
};

static const HardenCall loads_code[] = {
        ALLOW_FILE_AS_CODE(),
};

/* Landlock says which. */
static const HardenCall files[] = {
        ALLOW(newfstatat), ALLOW(stat),       ALLOW(lstat),    ALLOW(statx),      ALLOW(access),
        ALLOW(faccessat),  ALLOW(faccessat2), ALLOW(readlink), ALLOW(readlinkat), ALLOW(getdents64),
        ALLOW(pread64),    ALLOW(fstatfs),    ALLOW(getcwd),
};

static const HardenCall files_write[] = {
        ALLOW(open),
        ALLOW(openat),
        ALLOW(pwrite64),
        ALLOW(fsync),
        ALLOW(fdatasync),
        ALLOW(ftruncate),
        ALLOW(fallocate),
        ALLOW(flock),
        ALLOW(fchmod),
        ALLOW_IF(fcntl, 1, F_GETLK),
        ALLOW_IF(fcntl, 1, F_SETLK),
        ALLOW_IF(fcntl, 1, F_SETLKW),
        ALLOW(unlink),
        ALLOW(unlinkat),
        ALLOW(rename),
        ALLOW(renameat),
        ALLOW(renameat2),
};

/* Even where Landlock is missing, who reads files does not write any. */
static const HardenCall files_read[] = {
        ALLOW_MASK(open, 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY),
        ALLOW_MASK(openat, 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY),
        FAIL_MASK(open, EACCES, 1, O_ACCMODE, O_WRONLY),
        FAIL_MASK(open, EACCES, 1, O_ACCMODE, O_RDWR),
        FAIL_MASK(openat, EACCES, 2, O_ACCMODE, O_WRONLY),
        FAIL_MASK(openat, EACCES, 2, O_ACCMODE, O_RDWR),
};

/* A library that looks for a file of its own is told that it may not, and goes on. */
static const HardenCall no_files[] = {
        FAIL(open, EACCES),
        FAIL(openat, EACCES),
        FAIL(stat, EACCES),
        FAIL(lstat, EACCES),
        FAIL(statx, EACCES),
        FAIL(access, EACCES),
        FAIL(faccessat, EACCES),
        FAIL(faccessat2, EACCES),
        FAIL(readlink, EACCES),
        FAIL(readlinkat, EACCES),
        /* How glibc spells fstat(). */
        ALLOW_MASK(newfstatat, 3, AT_EMPTY_PATH, AT_EMPTY_PATH),
        FAIL_MASK(newfstatat, EACCES, 3, AT_EMPTY_PATH, 0),
};

static const HardenCall threads[] = {
        ALLOW_MASK(clone, 0, CLONE_OF_THREAD | CLONE_NEW_ALL, CLONE_OF_THREAD),
        FAIL(clone3, ENOSYS), /* its flags are in memory, where no filter sees them */
        ALLOW(set_robust_list),
        ALLOW(rseq),
        ALLOW_IF(sched_getaffinity, 0, 0),
        { .number = SCMP_SYS(prlimit64),
          .n_matches = 2,
          .matches = { { LOW32, 0, 0 }, { UINT64_MAX, 0, 2 } } },
};

static const HardenCall network[] = {
        { .number = SCMP_SYS(socket),
          .n_matches = 2,
          .matches = { { LOW32, AF_INET, 0 }, { SOCK_TYPE_MASK, SOCK_STREAM, 1 } } },
        { .number = SCMP_SYS(socket),
          .n_matches = 2,
          .matches = { { LOW32, AF_INET, 0 }, { SOCK_TYPE_MASK, SOCK_DGRAM, 1 } } },
        { .number = SCMP_SYS(socket),
          .n_matches = 2,
          .matches = { { LOW32, AF_INET6, 0 }, { SOCK_TYPE_MASK, SOCK_STREAM, 1 } } },
        { .number = SCMP_SYS(socket),
          .n_matches = 2,
          .matches = { { LOW32, AF_INET6, 0 }, { SOCK_TYPE_MASK, SOCK_DGRAM, 1 } } },
        /* The C library looks for a name service daemon and for the addresses of the machine. */
        FAIL_IF(socket, EACCES, 0, AF_UNIX),
        FAIL_IF(socket, EACCES, 0, AF_NETLINK),
        ALLOW(connect),
        ALLOW(getpeername),
};

static const HardenCall unix_sockets[] = {
        { .number = SCMP_SYS(socket),
          .n_matches = 2,
          .matches = { { LOW32, AF_UNIX, 0 }, { SOCK_TYPE_MASK, SOCK_STREAM, 1 } } },
        ALLOW(connect),
        ALLOW(getpeername),
};

typedef struct CallList {
        const HardenCall *calls;
        size_t n_calls;
} CallList;

#define LIST(array) ((CallList){ array, ARRAY_SIZE(array) })

static int add_call(scmp_filter_ctx filter, const HardenCall *call)
{
        struct scmp_arg_cmp args[HARDEN_MATCH_MAX];

        for (unsigned i = 0; i < call->n_matches; i++) {
                const HardenMatch *match = &call->matches[i];

                args[i] = SCMP_CMP(match->argument, SCMP_CMP_MASKED_EQ, match->mask, match->value);
        }
        return seccomp_rule_add_array(
                filter, call->error ? SCMP_ACT_ERRNO((uint32_t)call->error) : SCMP_ACT_ALLOW,
                call->number, call->n_matches, args);
}

static int add_list(scmp_filter_ctx filter, CallList list)
{
        for (size_t i = 0; i < list.n_calls; i++) {
                int r = add_call(filter, &list.calls[i]);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_profile(scmp_filter_ctx filter, const HardenProfile *profile)
{
        const CallList none = { NULL, 0 };
        const CallList lists[] = {
                LIST(common),
                LIST(no_code),
                profile->loads_code ? LIST(loads_code) : none,
                profile->files == HARDEN_FILES_NONE ? LIST(no_files) : LIST(files),
                profile->files == HARDEN_FILES_READ    ? LIST(files_read)
                : profile->files == HARDEN_FILES_WRITE ? LIST(files_write)
                                                       : none,
                profile->threads ? LIST(threads) : none,
                profile->network ? LIST(network) : none,
                profile->unix_sockets ? LIST(unix_sockets) : none,
                { profile->calls, profile->n_calls },
        };
        /* How abort() and a stack smashed end a process, and the only signal that is sent. */
        const HardenCall own_signal = ALLOW_IF(tgkill, 0, (uint64_t)getpid());
        int r;

        r = add_call(filter, &own_signal);
        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(lists); i++)
                r = add_list(filter, lists[i]);
        return r;
}

static void release(scmp_filter_ctx *filter)
{
        if (*filter)
                seccomp_release(*filter);
}

#if SANITIZED
/* At the exit of a process that is undumpable and may not fork, the leak check cannot work and
 * would fail it; unit tests, which are neither, keep it. */
int __lsan_is_turned_off(void);
__attribute__((visibility("default"), used)) int __lsan_is_turned_off(void)
{
        return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
}
#endif

bool harden_has_seccomp(void)
{
        return !SANITIZED;
}

int harden_seccomp(const HardenProfile *profile)
{
        _cleanup_(release) scmp_filter_ctx filter = NULL;
        int r;

        if (SANITIZED)
                return 0;
        filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
        if (!filter)
                return HARDEN_E_NO_SECCOMP;
        /* Another architecture's calls, x32's among them, kill as well. */
        r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        if (r == 0)
                r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree */
        if (r == 0)
                r = add_profile(filter, profile);
        if (r == 0)
                r = seccomp_load(filter);
        if (r == -ENOSYS || r == -EINVAL || r == -EOPNOTSUPP || r == -ECANCELED)
                return HARDEN_E_NO_SECCOMP;
        return r;
}
