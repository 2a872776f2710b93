/*
 * Every role against every other, all of one user: the one holds a secret, the other was taken over
 * and knows where it lies. Whatever the second tries must fail, by each layer alone as well, and an
 * attack counts only because a control shows that it works where nothing bars it.
 */
#include "base/fd.h"
#include "base/secret.h"
#include "probe.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define VALUE_SIZE 32U

/* The process that holds something, as the attacker knows it. */
typedef struct Victim {
        const HardenProfile *role; /* NULL: not hardened at all */
        pid_t pid;
        int socket;   /* to ask it whether it still has what it had */
        void *secret; /* in its arena */
        void *plain;  /* the same bytes in ordinary memory, so that the arena is not what saves them
                       */
        int fd;
} Victim;

typedef struct VictimHello {
        void *secret;
        void *plain;
        int fd;
} VictimHello;

/* Set before fork(): what the attacker's side reads. */
static struct {
        Victim victim;
        uint8_t value[VALUE_SIZE];
} world;

/* Dumpable still, but of no more rights than the attacker: only then do the controls tell anything.
 */
static int drop_capabilities(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

        return syscall(SYS_capset, &header, none) < 0 ? error_errno() : 0;
}

static int hold(int socket, const Target *target, const HardenProfile *role)
{
        _cleanup_(arena_freep) Arena *arena = NULL;
        _cleanup_(secret_freep) Secret *secret = NULL;
        _cleanup_(freep) uint8_t *plain = malloc(VALUE_SIZE);
        VictimHello hello = { .fd = fcntl(target->pair[0], F_DUPFD_CLOEXEC, 64) };
        char question;

        if (!plain || arena_new(&arena, 4096) != 0 ||
            secret_from_bytes(&secret, arena, slice(world.value, VALUE_SIZE)) != 0)
                return 1;
        memcpy(plain, world.value, VALUE_SIZE);
        if ((role ? probe_confine(role, LAYERS_ALL, target) : drop_capabilities()) != 0)
                return 1;
        hello.plain = plain;
        hello.secret = secret;
        if (write(socket, &hello, sizeof(hello)) != sizeof(hello))
                return 1;
        while (read(socket, &question, 1) == 1)
                if (write(socket, secret_equal(secret, slice(plain, VALUE_SIZE)) ? "y" : "n", 1) !=
                    1)
                        return 1;
        return 0;
}

static int victim_start(Victim *victim, const HardenProfile *role, const Target *target)
{
        VictimHello hello;
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return error_errno();
        *victim = (Victim){ .role = role, .socket = pair[0] };
        fflush(stdout);
        victim->pid = fork();
        if (victim->pid < 0)
                return error_errno();
        if (victim->pid == 0) {
                fd_close(pair[0]);
                _exit(hold(pair[1], target, role));
        }
        fd_close(pair[1]);
        if (read(victim->socket, &hello, sizeof(hello)) != sizeof(hello))
                return -EIO;
        victim->secret = hello.secret;
        victim->plain = hello.plain;
        victim->fd = hello.fd;
        return 0;
}

static bool victim_is_whole(const Victim *victim)
{
        char answer = 0;

        return send(victim->socket, "?", 1, MSG_NOSIGNAL) == 1 &&
               read(victim->socket, &answer, 1) == 1 && answer == 'y';
}

static void victim_stop(Victim *victim)
{
        victim->socket = fd_close(victim->socket);
        (void)waitpid(victim->pid, NULL, 0);
}

/* ---- the attacks; 0: it worked ---- */

static int open_proc(const char *what)
{
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/proc/%d/%s", (int)world.victim.pid, what);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int attack_ptrace(UNUSED const Target *target)
{
        return ptrace(PTRACE_SEIZE, world.victim.pid, NULL, NULL) < 0 ? errno : 0;
}

static int attack_mem(UNUSED const Target *target)
{
        int fd = open_proc("mem");
        uint8_t bytes[VALUE_SIZE];

        if (fd < 0)
                return -fd;
        if (pread(fd, bytes, sizeof(bytes), (off_t)(uintptr_t)world.victim.plain) != sizeof(bytes))
                return EIO;
        return memcmp(bytes, world.value, sizeof(bytes)) == 0 ? 0 : EIO;
}

static int attack_vm_readv(UNUSED const Target *target)
{
        uint8_t bytes[VALUE_SIZE];
        struct iovec here = { bytes, sizeof(bytes) }, there = { world.victim.plain, sizeof(bytes) };

        return process_vm_readv(world.victim.pid, &here, 1, &there, 1, 0) < 0 ? errno : 0;
}

static int attack_vm_writev(UNUSED const Target *target)
{
        struct iovec here = { world.value, VALUE_SIZE }, there = { world.victim.plain, VALUE_SIZE };

        return process_vm_writev(world.victim.pid, &here, 1, &there, 1, 0) < 0 ? errno : 0;
}

static int attack_environ(UNUSED const Target *target)
{
        int fd = open_proc("environ");
        char byte;

        if (fd < 0)
                return -fd;
        return read(fd, &byte, 1) < 0 ? errno : 0;
}

static int attack_maps(UNUSED const Target *target)
{
        int fd = open_proc("maps");
        char byte;

        if (fd < 0)
                return -fd;
        return read(fd, &byte, 1) < 0 ? errno : 0;
}

/* Following such a link opens the victim's file anew. */
static int attack_fd_link(UNUSED const Target *target)
{
        char path[64], link[64];

        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)world.victim.pid, world.victim.fd);
        return readlink(path, link, sizeof(link)) < 0 ? errno : 0;
}

static int attack_pidfd_getfd(UNUSED const Target *target)
{
        long pidfd = syscall(SYS_pidfd_open, world.victim.pid, 0);

        if (pidfd < 0)
                return errno;
        return syscall(SYS_pidfd_getfd, pidfd, world.victim.fd, 0) < 0 ? errno : 0;
}

static int attack_kill(UNUSED const Target *target)
{
        return kill(world.victim.pid, SIGURG) < 0 ? errno : 0; /* ignored by default, so harmless */
}

static int attack_pidfd_signal(UNUSED const Target *target)
{
        long pidfd = syscall(SYS_pidfd_open, world.victim.pid, 0);

        if (pidfd < 0)
                return errno;
        return syscall(SYS_pidfd_send_signal, pidfd, SIGURG, NULL, 0) < 0 ? errno : 0;
}

static int attack_limits(UNUSED const Target *target)
{
        struct rlimit none = { 0, 0 };

        /* Of RLIMIT_CORE, which is none in a hardened victim already. */
        return prlimit(world.victim.pid, RLIMIT_CORE, &none, NULL) < 0 ? errno : 0;
}

static int attack_bus(const Target *target)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path, target->bus, strlen(target->bus) + 1);
        return fd < 0 || connect(fd, (void *)&address, sizeof(address)) < 0 ? errno : 0;
}

static int attack_state(const Target *target)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/state.db", target->state);
        return open(path, O_RDONLY | O_CLOEXEC) < 0 ? errno : 0;
}

/* By which layers it is barred when that layer is the only one. */
enum {
        BY_UNDUMPABLE = 1 << 0, /* the victim's */
        BY_LANDLOCK = 1 << 1,
        BY_LANDLOCK_SCOPE = 1 << 2, /* ABI 6 */
        BY_SECCOMP = 1 << 3,        /* in every role */
        BY_SECCOMP_OPEN = 1 << 4,   /* in roles that open nothing */
};

typedef struct Attack {
        const char *name;
        Attempt attempt;
        unsigned by;
        const char *duty; /* letters of the roles whose work it is, and which therefore may */
} Attack;

#define MEMORY (BY_UNDUMPABLE | BY_LANDLOCK)

static const Attack attacks[] = {
        { "ptrace", attack_ptrace, MEMORY | BY_SECCOMP, "" },
        { "proc-mem", attack_mem, MEMORY | BY_SECCOMP_OPEN, "" },
        { "process-vm-readv", attack_vm_readv, MEMORY | BY_SECCOMP, "" },
        { "process-vm-writev", attack_vm_writev, MEMORY | BY_SECCOMP, "" },
        { "proc-environ", attack_environ, MEMORY | BY_SECCOMP_OPEN, "" },
        { "proc-maps", attack_maps, MEMORY | BY_SECCOMP_OPEN, "" },
        { "proc-fd", attack_fd_link, MEMORY | BY_SECCOMP_OPEN, "" },
        { "pidfd-getfd", attack_pidfd_getfd, MEMORY | BY_SECCOMP, "" },
        { "kill", attack_kill, BY_LANDLOCK_SCOPE | BY_SECCOMP, "" },
        { "pidfd-send-signal", attack_pidfd_signal, BY_LANDLOCK_SCOPE | BY_SECCOMP, "" },
        { "prlimit", attack_limits, BY_SECCOMP, "" },
        { "session-bus", attack_bus, BY_SECCOMP, "k" },
        { "state-directory", attack_state, BY_LANDLOCK | BY_SECCOMP_OPEN, "vk" },
};

static bool barred(Outcome outcome)
{
        return !outcome.setup &&
               (outcome.signal == SIGSYS || (outcome.signal == 0 && outcome.error != 0));
}

/* Which role an attacker without any layer is named after matters to nobody: it has none applied.
 */
static void control(const Target *target)
{
        char name[96];

        for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
                Outcome outcome =
                        probe(&harden_profile_gate, LAYERS_NONE, target, attacks[i].attempt);

                snprintf(name, sizeof(name), "control-%s-works-unbarred", attacks[i].name);
                if (!outcome.setup && !outcome.signal && !outcome.error)
                        tap_ok(true, name, " ");
                else
                        tap_skip(name, "this system bars it anyhow, so its cases show nothing");
        }
}

static bool layer_bars(const Attack *attack, const HardenProfile *attacker, Layers layers)
{
        bool opens = attacker->files != HARDEN_FILES_NONE;

        switch (layers) {
        case LAYERS_ALL:
                return true;
        case LAYERS_NONE:
                return attack->by & BY_UNDUMPABLE;
        case LAYERS_LANDLOCK:
                return attack->by & BY_LANDLOCK ||
                       (attack->by & BY_LANDLOCK_SCOPE && harden_landlock_abi() >= 6);
        case LAYERS_SECCOMP:
                return attack->by & BY_SECCOMP || (attack->by & BY_SECCOMP_OPEN && !opens);
        }
        return false;
}

static const char *unable(Layers layers)
{
        bool landlock = layers == LAYERS_ALL || layers == LAYERS_LANDLOCK;
        bool seccomp = layers == LAYERS_ALL || layers == LAYERS_SECCOMP;

        if (landlock && harden_landlock_abi() == 0)
                return "this kernel has no Landlock";
        if (seccomp && !harden_has_seccomp())
                return "sanitizer build, which has no seccomp";
        return NULL;
}

static void attack_all(const Target *target, const HardenProfile *attacker, Layers layers,
                       const char *form)
{
        const char *victim = world.victim.role ? world.victim.role->role : "unhardened";
        const char *why = unable(layers);
        char name[128];

        for (size_t i = 0; i < ARRAY_SIZE(attacks); i++) {
                const Attack *attack = &attacks[i];
                Outcome outcome;

                if (strchr(attack->duty, attacker->role[0]) ||
                    !layer_bars(attack, attacker, layers))
                        continue;
                snprintf(name, sizeof(name), "%s-%s-%s-of-%s-barred", form, attacker->role,
                         attack->name, victim);
                if (why) {
                        tap_skip(name, why);
                        continue;
                }
                outcome = probe(attacker, layers, target, attack->attempt);
                tap_ok(barred(outcome), name, "signal %d, errno %d (%s), setup %d", outcome.signal,
                       outcome.error, strerror(outcome.error), outcome.setup);
        }
}

static bool begin(const HardenProfile *role, const Target *target)
{
        int r = victim_start(&world.victim, role, target);

        if (r < 0)
                tap_ok(false, role ? role->role : "unhardened", "no victim: %s", strerror(-r));
        return r == 0;
}

static void end(void)
{
        char name[64];

        snprintf(name, sizeof(name), "%s-keeps-its-secret",
                 world.victim.role ? world.victim.role->role : "unhardened");
        tap_ok(victim_is_whole(&world.victim), name, "it is dead or changed");
        victim_stop(&world.victim);
}

int main(void)
{
        const HardenProfile *const *roles = probe_roles();
        Target target;

        if (sodium_init() < 0 || target_make(&target) < 0) {
                printf("Bail out! cannot prepare\n");
                return 1;
        }
        randombytes_buf(world.value, sizeof(world.value));
        printf("# uid %u, Landlock ABI %d\n", (unsigned)getuid(), harden_landlock_abi());
        if (begin(NULL, &target)) {
                control(&target);
                for (size_t i = 0; roles[i]; i++) {
                        attack_all(&target, roles[i], LAYERS_LANDLOCK, "landlock-alone");
                        attack_all(&target, roles[i], LAYERS_SECCOMP, "seccomp-alone");
                }
                end();
        }
        for (size_t i = 0; roles[i]; i++) {
                if (unable(LAYERS_ALL)) {
                        tap_skip(roles[i]->role, unable(LAYERS_ALL));
                        continue;
                }
                if (!begin(roles[i], &target))
                        continue;
                /* Another program of the same user, with nothing but its user's rights. */
                attack_all(&target, &harden_profile_gate, LAYERS_NONE, "undumpable-alone");
                for (size_t k = 0; roles[k]; k++)
                        attack_all(&target, roles[k], LAYERS_ALL, "confined");
                end();
        }
        target_remove(&target);
        return tap_end();
}
