/*
 * Makes one system call of one process fail, or kills the process there, from outside and without its help.
 *
 *   injector --dir DIR [--fault ROLE:CLASS:NUMBER:ACTION] ROLE=PID...
 *
 * It traces the processes and what they start, says "ready", and ends when its standard input does: then it lets go
 * of them and prints one object of JSON, with how many calls of each class each role made, whether the fault struck
 * and where, who died of what meanwhile, and what was written and not synced when its role spoke to somebody: what a
 * loss of power would take back then.
 *
 * CLASS    what counts
 * write    a write to a file below DIR
 * sync     fsync, fdatasync
 * rename   rename and its kin
 * unlink   unlink, rmdir
 * truncate ftruncate
 * create   open with O_CREAT, mkdir, bind to a path
 * connect  connect
 * read     a read of a file below DIR
 * send     whatever leaves by a socket
 * act      all of these but reads: what others can notice
 * step     likewise, but several writes to one file in a row are one
 *
 * ACTION
 * EIO, ENOSPC, ...  the call does nothing and returns this, once
 * FULL              it and every later write and create, of every role, returns ENOSPC until the end
 * KILL              the role dies by SIGKILL in place of the call
 * KILL=ROLE         the other role dies, and then the call goes on
 * TORN              half of what was to be written is, and then the role dies
 * SHORT             half of what was to be written is, and the call says so
 *
 * A system call that must not happen gets a descriptor or path that does not exist, and its result is replaced. To
 * change its number would not do, since the roles' own filters kill a process for a number that they do not know.
 */
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* <linux/ptrace.h> clashes with <sys/ptrace.h>, which lacks these in older versions of the C library. */
#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif

#define TRACEES_MAX 256
#define ROLE_SIZE 16
#define DETAIL_SIZE 256
#define UNSYNCED_MAX 8
#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))

typedef enum Class {
        CLASS_WRITE,
        CLASS_SYNC,
        CLASS_RENAME,
        CLASS_UNLINK,
        CLASS_TRUNCATE,
        CLASS_CREATE,
        CLASS_CONNECT,
        CLASS_READ,
        CLASS_SEND,
        CLASS_ACT,
        CLASS_STEP,
        CLASSES_N,
        CLASS_NONE = CLASSES_N,
} Class;

static const char *const class_names[CLASSES_N] = {
        [CLASS_WRITE] = "write",       [CLASS_SYNC] = "sync",     [CLASS_RENAME] = "rename",
        [CLASS_UNLINK] = "unlink",     [CLASS_TRUNCATE] = "truncate", [CLASS_CREATE] = "create",
        [CLASS_CONNECT] = "connect",   [CLASS_READ] = "read",     [CLASS_SEND] = "send",
        [CLASS_ACT] = "act",           [CLASS_STEP] = "step",
};

static const char *const roles[] = { "supervisor", "gate", "session", "vault", "keyring", "egress", "provider" };
#define ROLES_N ARRAY_SIZE(roles)

static const struct {
        const char *name;
        int number;
} errors[] = {
        { "EIO", EIO },           { "ENOSPC", ENOSPC },       { "EDQUOT", EDQUOT },       { "EROFS", EROFS },
        { "EACCES", EACCES },     { "EMFILE", EMFILE },       { "ECONNREFUSED", ECONNREFUSED },
        { "ETIMEDOUT", ETIMEDOUT }, { "ENETUNREACH", ENETUNREACH },
};

typedef enum Action { ACTION_NONE, ACTION_ERROR, ACTION_FULL, ACTION_KILL, ACTION_KILL_OTHER, ACTION_TORN, ACTION_SHORT } Action;

/* Where in a system call its first descriptor or path is. */
typedef struct Call {
        Class class;
        int argument; /* that is spoilt to keep it from happening */
        int descriptor; /* argument that is one, or -1 */
        int path; /* argument that is one, or -1 */
} Call;

typedef struct Tracee {
        pid_t pid; /* 0: free */
        pid_t group;
        int role; /* -1: none of ours */
        bool resumed; /* it ran at least once under us */
        bool replace; /* its call's result, by: */
        int64_t result;
        bool kill_at_exit;
        bool killed; /* by us, and not dead yet */
} Tracee;

typedef struct Fault {
        int role, victim, error;
        Class class;
        unsigned long number;
        Action action;
        bool struck;
        char detail[DETAIL_SIZE + ROLE_SIZE];
} Fault;

/* The files of a role that were written since they were synced. */
typedef struct Unsynced {
        char paths[UNSYNCED_MAX][DETAIL_SIZE]; /* "": none */
} Unsynced;

typedef struct Injector {
        const char *directory;
        Fault fault;
        Tracee tracees[TRACEES_MAX];
        unsigned long counts[ROLES_N][CLASSES_N];
        char written[ROLES_N][DETAIL_SIZE]; /* where the last act of the role was a write; or "" */
        Unsynced unsynced[ROLES_N];
        char told_early[DETAIL_SIZE + ROLE_SIZE]; /* the first, or "" */
        bool ending;
        FILE *deaths; /* grows while it runs, printed at the end */
        char *deaths_text;
        size_t deaths_size;
        unsigned n_deaths;
} Injector;

static _Noreturn void fail(const char *what)
{
        fprintf(stderr, "injector: %s: %s\n", what, strerror(errno));
        exit(1);
}

/* ---- registers ---- */

#if defined(__x86_64__)
typedef struct user_regs_struct Registers;
static unsigned long long *argument_of(Registers *registers, int at)
{
        unsigned long long *const places[] = { (void *)&registers->rdi, (void *)&registers->rsi, (void *)&registers->rdx,
                                               (void *)&registers->r10, (void *)&registers->r8, (void *)&registers->r9 };

        return places[at];
}
static unsigned long long *result_of(Registers *registers)
{
        return (void *)&registers->rax;
}
#elif defined(__aarch64__)
typedef struct user_regs_struct Registers;
static unsigned long long *argument_of(Registers *registers, int at)
{
        return &registers->regs[at];
}
static unsigned long long *result_of(Registers *registers)
{
        return &registers->regs[0];
}
#else
#error "registers of this machine are not known here"
#endif

static bool get_registers(pid_t pid, Registers *ret)
{
        struct iovec vector = { .iov_base = ret, .iov_len = sizeof(*ret) };

        return ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &vector) == 0;
}

static void set_registers(pid_t pid, Registers *registers)
{
        struct iovec vector = { .iov_base = registers, .iov_len = sizeof(*registers) };

        (void)ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &vector); /* ESRCH: it was killed meanwhile */
}

static void set_argument(pid_t pid, int at, unsigned long long value)
{
        Registers registers;

        if (!get_registers(pid, &registers))
                return;
        *argument_of(&registers, at) = value;
        set_registers(pid, &registers);
}

static void set_result(pid_t pid, int64_t value)
{
        Registers registers;

        if (!get_registers(pid, &registers))
                return;
        *result_of(&registers) = (unsigned long long)value;
        set_registers(pid, &registers);
}

/* ---- what a call is ---- */

static bool descriptor_path(pid_t pid, unsigned long long fd, char out[DETAIL_SIZE])
{
        char link[64];
        ssize_t n;

        (void)snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)pid, (int)fd);
        n = readlink(link, out, DETAIL_SIZE - 1);
        out[n > 0 ? n : 0] = '\0';
        return n > 0;
}

static void read_path(pid_t pid, unsigned long long address, char out[DETAIL_SIZE])
{
        struct iovec ours = { .iov_base = out, .iov_len = DETAIL_SIZE - 1 };
        struct iovec theirs = { .iov_base = (void *)(uintptr_t)address, .iov_len = DETAIL_SIZE - 1 }; /* NOLINT */
        ssize_t n = process_vm_readv(pid, &ours, 1, &theirs, 1, 0);

        out[n > 0 ? n : 0] = '\0';
}

/* A file of the broker's that is still there by name; what is in memory alone is not stored anywhere. */
static bool is_stored(const Injector *injector, const char *path)
{
        return strncmp(path, injector->directory, strlen(injector->directory)) == 0;
}

static bool bind_to_path(pid_t pid, unsigned long long address)
{
        unsigned short family = 0;
        struct iovec ours = { .iov_base = &family, .iov_len = sizeof(family) };
        struct iovec theirs = { .iov_base = (void *)(uintptr_t)address, .iov_len = sizeof(family) }; /* NOLINT */

        return process_vm_readv(pid, &ours, 1, &theirs, 1, 0) == sizeof(family) && family == 1;
}

static Call classify(const Injector *injector, pid_t pid, uint64_t number, const uint64_t *arguments,
                     char detail[DETAIL_SIZE])
{
        Call none = { CLASS_NONE, -1, -1, -1 };

        detail[0] = '\0';
        switch (number) {
        case SYS_write:
        case SYS_writev:
        case SYS_pwrite64:
                (void)descriptor_path(pid, arguments[0], detail);
                if (is_stored(injector, detail))
                        return (Call){ CLASS_WRITE, 0, 0, -1 };
                return strncmp(detail, "socket:", 7) == 0 ? (Call){ CLASS_SEND, 0, 0, -1 } : none;
        case SYS_read:
        case SYS_pread64:
                (void)descriptor_path(pid, arguments[0], detail);
                return is_stored(injector, detail) ? (Call){ CLASS_READ, 0, 0, -1 } : none;
        case SYS_sendmsg:
        case SYS_sendto:
        case SYS_sendmmsg:
                (void)descriptor_path(pid, arguments[0], detail);
                return (Call){ CLASS_SEND, 0, 0, -1 };
        case SYS_fsync:
        case SYS_fdatasync:
                (void)descriptor_path(pid, arguments[0], detail);
                return is_stored(injector, detail) ? (Call){ CLASS_SYNC, 0, 0, -1 } : none;
        case SYS_ftruncate:
                (void)descriptor_path(pid, arguments[0], detail);
                return is_stored(injector, detail) ? (Call){ CLASS_TRUNCATE, 0, 0, -1 } : none;
        case SYS_renameat:
        case SYS_renameat2:
                read_path(pid, arguments[3], detail);
                return (Call){ CLASS_RENAME, 1, -1, 1 };
        case SYS_unlinkat:
                read_path(pid, arguments[1], detail);
                return (Call){ CLASS_UNLINK, 1, -1, 1 };
        case SYS_openat:
                if (!(arguments[2] & O_CREAT))
                        return none;
                read_path(pid, arguments[1], detail);
                return (Call){ CLASS_CREATE, 1, -1, 1 };
        case SYS_mkdirat:
                read_path(pid, arguments[1], detail);
                return (Call){ CLASS_CREATE, 1, -1, 1 };
        case SYS_bind:
                return bind_to_path(pid, arguments[1]) ? (Call){ CLASS_CREATE, 0, 0, -1 } : none;
        case SYS_connect:
                return (Call){ CLASS_CONNECT, 0, 0, -1 };
#ifdef SYS_rename
        case SYS_rename:
                read_path(pid, arguments[1], detail);
                return (Call){ CLASS_RENAME, 0, -1, 0 };
        case SYS_unlink:
        case SYS_rmdir:
                read_path(pid, arguments[0], detail);
                return (Call){ CLASS_UNLINK, 0, -1, 0 };
        case SYS_mkdir:
                read_path(pid, arguments[0], detail);
                return (Call){ CLASS_CREATE, 0, -1, 0 };
        case SYS_open:
                if (!(arguments[1] & O_CREAT))
                        return none;
                read_path(pid, arguments[0], detail);
                return (Call){ CLASS_CREATE, 0, -1, 0 };
#endif
        default:
                return none;
        }
}

/* ---- tracees ---- */

static Tracee *find(Injector *injector, pid_t pid)
{
        for (size_t i = 0; i < TRACEES_MAX; i++)
                if (injector->tracees[i].pid == pid)
                        return &injector->tracees[i];
        return NULL;
}

static Tracee *get(Injector *injector, pid_t pid)
{
        Tracee *tracee = find(injector, pid);

        if (tracee)
                return tracee;
        tracee = find(injector, 0);
        if (!tracee) {
                errno = ENOBUFS;
                fail("too many processes");
        }
        *tracee = (Tracee){ .pid = pid, .group = pid, .role = -1 };
        return tracee;
}

static int role_by_name(const char *name)
{
        for (size_t i = 0; i < ROLES_N; i++)
                if (strcmp(roles[i], name) == 0)
                        return (int)i;
        return -1;
}

/* The kernel keeps 15 letters of a program's name. */
static int role_of_process(pid_t pid)
{
        char path[64], name[64] = "", program[64];
        FILE *file;

        (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
        file = fopen(path, "re");
        if (!file)
                return -1;
        if (!fgets(name, sizeof(name), file))
                name[0] = '\0';
        (void)fclose(file);
        name[strcspn(name, "\n")] = '\0';
        if (strcmp(name, "mcpcredd") == 0)
                return 0;
        for (size_t i = 1; i < ROLES_N; i++) {
                (void)snprintf(program, sizeof(program), "mcpcred-%s", roles[i]);
                program[15] = '\0';
                if (strcmp(program, name) == 0)
                        return (int)i;
        }
        return -1;
}

static void note_death(Injector *injector, const Tracee *tracee, int status)
{
        if (tracee->pid != tracee->group || tracee->role < 0)
                return;
        injector->unsynced[tracee->role] = (Unsynced){ 0 }; /* its successor reads what there is */
        fprintf(injector->deaths, "%s{\"role\":\"%s\",\"pid\":%d,\"%s\":%d}", injector->n_deaths++ ? "," : "",
                roles[tracee->role], (int)tracee->pid, WIFSIGNALED(status) ? "signal" : "status",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* Behind the fault, unless it lasts, there is nothing more to look at but who dies: to stop at each call takes time. */
static bool looks_at_calls(const Injector *injector, const Tracee *tracee)
{
        return !injector->fault.struck || injector->fault.action == ACTION_FULL || tracee->replace || tracee->kill_at_exit;
}

static void resume(const Injector *injector, Tracee *tracee, int signal)
{
        int how = looks_at_calls(injector, tracee) ? PTRACE_SYSCALL : PTRACE_CONT;

        tracee->resumed = true;
        (void)ptrace(how, tracee->pid, NULL, (void *)(intptr_t)signal); /* NOLINT */
}

static void detach(Tracee *tracee, int signal)
{
        (void)ptrace(PTRACE_DETACH, tracee->pid, NULL, (void *)(intptr_t)signal); /* NOLINT */
        tracee->pid = 0;
}

/* ---- striking ---- */

static void on_status(Injector *injector, pid_t pid, int status);

/* Every process of that role; only when they are dead it goes on. Others may stop meanwhile, and threads have to be
 * waited for before the process can be. */
static void kill_role(Injector *injector, int role)
{
        bool left = true;
        int status;
        pid_t pid;

        for (size_t i = 0; i < TRACEES_MAX; i++)
                if (injector->tracees[i].pid != 0 && injector->tracees[i].role == role) {
                        injector->tracees[i].killed = true;
                        (void)kill(injector->tracees[i].group, SIGKILL);
                }
        while (left) {
                left = false;
                for (size_t i = 0; i < TRACEES_MAX; i++)
                        left = left || (injector->tracees[i].pid != 0 && injector->tracees[i].killed);
                if (left && (pid = waitpid(-1, &status, __WALL)) > 0)
                        on_status(injector, pid, status);
                else if (left)
                        fail("waitpid");
        }
}

static void prevent(Tracee *tracee, const Call *call, int error)
{
        set_argument(tracee->pid, call->argument, call->descriptor == call->argument ? (unsigned long long)-1 : 0);
        tracee->replace = true;
        tracee->result = -error;
}

static void halve(Tracee *tracee, uint64_t number, const uint64_t *arguments)
{
        if (number != SYS_writev && arguments[2] > 1)
                set_argument(tracee->pid, 2, arguments[2] / 2);
}

/* ---- what a loss of power would take back ---- */

static void add_unsynced(Unsynced *unsynced, const char *path)
{
        char *room = NULL;

        for (size_t i = 0; i < UNSYNCED_MAX; i++) {
                if (strcmp(unsynced->paths[i], path) == 0)
                        return;
                if (!unsynced->paths[i][0])
                        room = unsynced->paths[i];
        }
        if (!room) {
                errno = ENOBUFS;
                fail("files that were not synced");
        }
        memcpy(room, path, strlen(path) + 1);
}

/* Of the two that keep the state and the secrets. The audit log's files may be behind it, and are made up for from
 * there. A rename stands in its directory. */
static void follow_syncs(Injector *injector, int role, Class class, const char *path)
{
        Unsynced *unsynced = &injector->unsynced[role];
        char state[DETAIL_SIZE];
        size_t n;

        if (strcmp(roles[role], "vault") != 0 && strcmp(roles[role], "keyring") != 0)
                return;
        n = (size_t)snprintf(state, sizeof(state), "%.200s/state", injector->directory);
        if (class == CLASS_WRITE && strncmp(path, state, n) == 0 && strncmp(path + n, "/audit.log", 10) != 0)
                add_unsynced(unsynced, path);
        else if (class == CLASS_RENAME && strncmp(path, "audit.log", 9) != 0)
                add_unsynced(unsynced, state);
        for (size_t i = 0; i < UNSYNCED_MAX; i++) {
                if (!unsynced->paths[i][0])
                        continue;
                if (class == CLASS_SEND && !injector->told_early[0])
                        (void)snprintf(injector->told_early, sizeof(injector->told_early), "%s %s", roles[role],
                                       unsynced->paths[i] + strlen(injector->directory));
                if (class == CLASS_SYNC && strcmp(unsynced->paths[i], path) == 0)
                        unsynced->paths[i][0] = '\0';
        }
}

/* True if the tracee is dead now and must not be resumed. */
static bool strike(Injector *injector, Tracee *tracee, const Call *call, uint64_t number, const uint64_t *arguments)
{
        Fault *fault = &injector->fault;

        switch (fault->action) {
        case ACTION_ERROR:
                prevent(tracee, call, fault->error);
                return false;
        case ACTION_FULL:
                prevent(tracee, call, ENOSPC);
                return false;
        case ACTION_KILL:
                kill_role(injector, tracee->role);
                return true;
        case ACTION_KILL_OTHER:
                kill_role(injector, fault->victim);
                return fault->victim == tracee->role;
        case ACTION_TORN:
                halve(tracee, number, arguments);
                tracee->kill_at_exit = true;
                return false;
        case ACTION_SHORT:
                halve(tracee, number, arguments);
                return false;
        case ACTION_NONE:
                return false;
        }
        return false;
}

/* Between two writes to one file nobody has heard of either, and nothing says yet that they are complete. */
static bool is_step(Injector *injector, int role, Class class, const char *path)
{
        char *last = injector->written[role];
        bool same = class == CLASS_WRITE && strcmp(last, path) == 0;

        if (class == CLASS_READ)
                return false;
        memcpy(last, class == CLASS_WRITE ? path : "", class == CLASS_WRITE ? strlen(path) + 1 : 1);
        return !same;
}

static bool on_entry(Injector *injector, Tracee *tracee, uint64_t number, const uint64_t *arguments)
{
        Fault *fault = &injector->fault;
        char detail[DETAIL_SIZE];
        Call call = classify(injector, tracee->pid, number, arguments, detail);
        unsigned long *counts;
        bool fits, step;

        if (call.class == CLASS_NONE || tracee->role < 0)
                return false;
        counts = injector->counts[tracee->role];
        counts[call.class]++;
        if (call.class != CLASS_READ)
                counts[CLASS_ACT]++;
        step = is_step(injector, tracee->role, call.class, detail);
        counts[CLASS_STEP] += step;
        follow_syncs(injector, tracee->role, call.class, detail);
        if (fault->struck) {
                if (fault->action == ACTION_FULL && (call.class == CLASS_WRITE || call.class == CLASS_CREATE))
                        prevent(tracee, &call, ENOSPC);
                return false;
        }
        fits = fault->action != ACTION_NONE && fault->role == tracee->role &&
               (fault->class == call.class || (fault->class == CLASS_ACT && call.class != CLASS_READ) ||
                (fault->class == CLASS_STEP && step)) &&
               counts[fault->class] == fault->number;
        if (!fits)
                return false;
        fault->struck = true;
        (void)snprintf(fault->detail, sizeof(fault->detail), "%s %s", class_names[call.class],
                       is_stored(injector, detail) ? detail + strlen(injector->directory) : detail);
        return strike(injector, tracee, &call, number, arguments);
}

static bool on_exit_of_call(Injector *injector, Tracee *tracee)
{
        if (tracee->replace)
                set_result(tracee->pid, tracee->result);
        tracee->replace = false;
        if (!tracee->kill_at_exit)
                return false;
        tracee->kill_at_exit = false;
        kill_role(injector, tracee->role);
        return true;
}

/* ---- events ---- */

static void on_call(Injector *injector, Tracee *tracee)
{
        struct __ptrace_syscall_info info;
        uint64_t arguments[6];
        bool dead = false;

        if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->pid, (void *)sizeof(info), &info) <= 0) {
                resume(injector, tracee, 0);
                return;
        }
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY && !injector->ending) {
                memcpy(arguments, info.entry.args, sizeof(arguments));
                dead = on_entry(injector, tracee, info.entry.nr, arguments);
        } else if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
                dead = on_exit_of_call(injector, tracee);
        }
        if (!dead)
                resume(injector, tracee, 0);
}

static void on_event(Injector *injector, Tracee *tracee, int event, int signal)
{
        unsigned long message = 0;
        Tracee *child;

        switch (event) {
        case PTRACE_EVENT_CLONE:
        case PTRACE_EVENT_FORK:
        case PTRACE_EVENT_VFORK:
                (void)ptrace(PTRACE_GETEVENTMSG, tracee->pid, NULL, &message);
                child = get(injector, (pid_t)message);
                if (event == PTRACE_EVENT_CLONE && tracee->role >= 0 && strcmp(roles[tracee->role], "supervisor") != 0) {
                        child->role = tracee->role; /* a thread */
                        child->group = tracee->group;
                }
                resume(injector, tracee, 0);
                return;
        case PTRACE_EVENT_EXEC:
                tracee->role = role_of_process(tracee->pid);
                resume(injector, tracee, 0);
                return;
        case PTRACE_EVENT_STOP:
                if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)
                        tracee->resumed = ptrace(PTRACE_LISTEN, tracee->pid, NULL, NULL) == 0;
                else
                        resume(injector, tracee, 0);
                return;
        default:
                resume(injector, tracee, 0);
        }
}

static void on_status(Injector *injector, pid_t pid, int status)
{
        Tracee *tracee = get(injector, pid);
        int signal = WSTOPSIG(status), event = status >> 16;

        if (WIFEXITED(status) || WIFSIGNALED(status)) {
                note_death(injector, tracee, status);
                tracee->pid = 0;
        } else if (tracee->killed) {
                (void)ptrace(PTRACE_CONT, pid, NULL, NULL);
        } else if (injector->ending && !tracee->replace && !tracee->kill_at_exit) {
                detach(tracee, event == 0 && signal != (SIGTRAP | 0x80) ? signal : 0);
        } else if (event != 0) {
                on_event(injector, tracee, event, signal);
        } else if (signal == (SIGTRAP | 0x80)) {
                on_call(injector, tracee);
        } else {
                resume(injector, tracee, signal);
        }
}

static void reap(Injector *injector)
{
        pid_t pid;
        int status;

        while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0)
                on_status(injector, pid, status);
}

static bool any(const Injector *injector, bool running_only)
{
        for (size_t i = 0; i < TRACEES_MAX; i++)
                if (injector->tracees[i].pid != 0 && (!running_only || !injector->tracees[i].resumed))
                        return true;
        return false;
}

/* ---- the start and the end ---- */

static void seize_task(Injector *injector, pid_t pid, pid_t group, int role)
{
        const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                             PTRACE_O_TRACEEXEC;
        Tracee *tracee;

        /* A provider ends when it likes. */
        if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) < 0 ||
            ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0) {
                if (role >= 0 && strcmp(roles[role], "provider") == 0)
                        return;
                fail("cannot trace");
        }
        tracee = get(injector, pid);
        tracee->group = group;
        tracee->role = role;
}

static void seize(Injector *injector, const char *argument)
{
        char name[ROLE_SIZE] = "", path[64];
        const char *equals = strchr(argument, '=');
        pid_t group = equals ? (pid_t)strtol(equals + 1, NULL, 10) : 0;
        struct dirent *entry;
        DIR *directory;

        if (!equals || equals - argument >= ROLE_SIZE || group <= 0) {
                errno = EINVAL;
                fail(argument);
        }
        memcpy(name, argument, (size_t)(equals - argument));
        (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)group);
        directory = opendir(path);
        if (!directory && strcmp(name, "provider") == 0)
                return;
        if (!directory)
                fail(path);
        while ((entry = readdir(directory)))
                if (isdigit((unsigned char)entry->d_name[0]))
                        seize_task(injector, (pid_t)strtol(entry->d_name, NULL, 10), group, role_by_name(name));
        (void)closedir(directory);
}

/* ROLE:CLASS:NUMBER:ACTION */
static bool parse_fault(Fault *fault, char *text)
{
        char *role = strsep(&text, ":"), *class = strsep(&text, ":"), *number = strsep(&text, ":"), *action = text;

        if (!role || !class || !number || !action)
                return false;
        fault->role = role_by_name(role);
        fault->class = CLASS_NONE;
        for (size_t i = 0; i < CLASSES_N; i++)
                if (strcmp(class_names[i], class) == 0)
                        fault->class = (Class)i;
        fault->number = strtoul(number, NULL, 10);
        if (strcmp(action, "KILL") == 0) {
                fault->action = ACTION_KILL;
        } else if (strncmp(action, "KILL=", 5) == 0) {
                fault->action = ACTION_KILL_OTHER;
                fault->victim = role_by_name(action + 5);
        } else if (strcmp(action, "FULL") == 0) {
                fault->action = ACTION_FULL;
        } else if (strcmp(action, "TORN") == 0) {
                fault->action = ACTION_TORN;
        } else if (strcmp(action, "SHORT") == 0) {
                fault->action = ACTION_SHORT;
        } else {
                for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
                        if (strcmp(errors[i].name, action) == 0)
                                fault->error = errors[i].number;
                fault->action = fault->error ? ACTION_ERROR : ACTION_NONE;
        }
        return fault->role >= 0 && fault->victim >= 0 && fault->class != CLASS_NONE && fault->number > 0 &&
               fault->action != ACTION_NONE;
}

static void let_go(Injector *injector)
{
        injector->ending = true;
        for (size_t i = 0; i < TRACEES_MAX; i++)
                if (injector->tracees[i].pid != 0)
                        (void)ptrace(PTRACE_INTERRUPT, injector->tracees[i].pid, NULL, NULL);
}

static void print_string(const char *text)
{
        putchar('"');
        for (; *text; text++)
                if (*text == '"' || *text == '\\' || (unsigned char)*text < ' ')
                        printf("\\u%04x", (unsigned char)*text);
                else
                        putchar(*text);
        putchar('"');
}

static void report(Injector *injector)
{
        bool first = true;

        printf("{\"counts\":{");
        for (size_t i = 0; i < ROLES_N; i++) {
                printf("%s\"%s\":{", i ? "," : "", roles[i]);
                first = true;
                for (size_t j = 0; j < CLASSES_N; j++)
                        if (injector->counts[i][j] > 0) {
                                printf("%s\"%s\":%lu", first ? "" : ",", class_names[j], injector->counts[i][j]);
                                first = false;
                        }
                printf("}");
        }
        (void)fclose(injector->deaths);
        printf("},\"struck\":%s,\"detail\":", injector->fault.struck ? "true" : "false");
        print_string(injector->fault.detail);
        printf(",\"told_early\":");
        print_string(injector->told_early);
        printf(",\"deaths\":[%s]}\n", injector->deaths_text);
        free(injector->deaths_text);
}

/* Until standard input ends and everything was let go of. */
static void run(Injector *injector, int children)
{
        struct pollfd watched[] = { { .fd = children, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
        struct signalfd_siginfo ignored;
        bool said = false;
        char byte;

        for (;;) {
                reap(injector);
                if (!said && !any(injector, true)) {
                        printf("ready\n");
                        fflush(stdout);
                        said = true;
                }
                if (injector->ending && !any(injector, false))
                        return;
                if (poll(watched, injector->ending ? 1 : 2, -1) < 0 && errno != EINTR)
                        fail("poll");
                if (watched[0].revents && read(children, &ignored, sizeof(ignored)) < 0)
                        fail("signalfd");
                if (!injector->ending && watched[1].revents && read(STDIN_FILENO, &byte, 1) <= 0)
                        let_go(injector);
                watched[0].revents = watched[1].revents = 0;
        }
}

int main(int argc, char **argv)
{
        static Injector injector; /* large; and there is one */
        sigset_t mask;
        int children;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                fail("sigprocmask");
        children = signalfd(-1, &mask, SFD_CLOEXEC);
        injector.deaths = open_memstream(&injector.deaths_text, &injector.deaths_size);
        if (children < 0 || !injector.deaths)
                fail("signalfd");
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
                        injector.directory = argv[++i];
                } else if (strcmp(argv[i], "--fault") == 0 && i + 1 < argc) {
                        if (!parse_fault(&injector.fault, argv[++i])) {
                                fprintf(stderr, "injector: not a fault\n");
                                return 2;
                        }
                } else {
                        seize(&injector, argv[i]);
                }
        }
        if (!injector.directory) {
                fprintf(stderr, "injector: --dir is missing\n");
                return 2;
        }
        run(&injector, children);
        report(&injector);
        return 0;
}
