/* Each thing that a role must not do, tried by a process confined as that role. */
#include "attempts.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KILLED  (-1) /* by SIGSYS, as the filter does it */
#define ABORTED (-2)

/* Roles by letter: g gate, s session, v vault, k keyring, p provider, e egress. */
typedef struct Case {
        const char *roles;
        const char *name;
        Attempt attempt;
        int want; /* KILLED and the like, an errno, or 0: it must work */
        Layers layers;
        int landlock; /* the ABI it needs, 0: none */
} Case;

static const Case cases[] = {
        { "gs", "open-etc-passwd-denied", try_open_passwd, EACCES, LAYERS_ALL, 1 },
        { "vpe", "open-etc-passwd-denied", try_open_passwd, EACCES, LAYERS_ALL, 1 },
        { "gsvpe", "landlock-open-etc-passwd-denied", try_open_passwd, EACCES, LAYERS_LANDLOCK, 1 },
        { "gs", "seccomp-open-etc-passwd-denied", try_open_passwd, EACCES, LAYERS_SECCOMP, 0 },
        { "gsvkpe", "open-file-of-user-denied", try_open_other, EACCES, LAYERS_ALL, 1 },
        { "gsvkpe", "landlock-open-file-of-user-denied", try_open_other, EACCES, LAYERS_LANDLOCK,
          1 },
        { "gs", "seccomp-open-file-of-user-denied", try_open_other, EACCES, LAYERS_SECCOMP, 0 },
        { "gsvkpe", "open-environ-of-parent-denied", try_open_proc_environ, EACCES, LAYERS_ALL, 1 },
        { "gsvkpe", "list-root-denied", try_list_root, EACCES, LAYERS_ALL, 1 },
        { "gspe", "open-state-directory-denied", try_open_state_directory, EACCES, LAYERS_ALL, 1 },
        { "gspe", "create-in-state-directory-denied", try_create_in_state, EACCES, LAYERS_ALL, 1 },
        { "pe", "seccomp-open-for-writing-denied", try_create_in_state, EACCES, LAYERS_SECCOMP, 0 },
        { "vk", "create-in-state-directory-works", try_create_in_state, 0, LAYERS_ALL, 1 },
        { "vk", "write-beside-state-directory-denied", try_write_state_link_outside, EACCES,
          LAYERS_ALL, 1 },

        { "gsvkpe", "fork-killed", try_fork, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "exec-killed", try_exec, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "landlock-exec-denied", try_exec, EACCES, LAYERS_LANDLOCK, 1 },
        { "gsvkpe", "user-namespace-killed", try_user_namespace, KILLED, LAYERS_ALL, 0 },
        { "gsv", "thread-killed", try_thread, KILLED, LAYERS_ALL, 0 },
        { "kpe", "thread-works", try_thread, 0, LAYERS_ALL, 0 },
        { "gsv", "clone3-killed", try_clone3, KILLED, LAYERS_ALL, 0 },
        { "kpe", "clone3-unknown", try_clone3, ENOSYS, LAYERS_ALL, 0 },

        { "gsv", "socket-unix-killed", try_socket_unix, KILLED, LAYERS_ALL, 0 },
        { "k", "socket-unix-works", try_socket_unix, 0, LAYERS_ALL, 0 },
        { "pe", "socket-unix-denied", try_socket_unix, EACCES, LAYERS_ALL, 0 },
        { "gsvk", "socket-unix-datagram-killed", try_socket_unix_datagram, KILLED, LAYERS_ALL, 0 },
        { "pe", "socket-unix-datagram-denied", try_socket_unix_datagram, EACCES, LAYERS_ALL, 0 },
        { "gsvk", "socket-inet-killed", try_socket_inet, KILLED, LAYERS_ALL, 0 },
        { "pe", "socket-inet-works", try_socket_inet, 0, LAYERS_ALL, 0 },
        { "gsvk", "socket-inet6-datagram-killed", try_socket_inet6_datagram, KILLED, LAYERS_ALL,
          0 },
        { "pe", "socket-inet6-datagram-works", try_socket_inet6_datagram, 0, LAYERS_ALL, 0 },
        { "gsvkpe", "socket-raw-killed", try_socket_raw, KILLED, LAYERS_ALL, 0 },
        { "gsvk", "socket-netlink-killed", try_socket_netlink, KILLED, LAYERS_ALL, 0 },
        { "pe", "socket-netlink-denied", try_socket_netlink, EACCES, LAYERS_ALL, 0 },
        { "gsvkpe", "socket-packet-killed", try_socket_packet, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "socket-vsock-killed", try_socket_vsock, KILLED, LAYERS_ALL, 0 },
        { "gsvk", "socketpair-killed", try_socketpair, KILLED, LAYERS_ALL, 0 },
        { "pe", "socketpair-works", try_socketpair, 0, LAYERS_ALL, 0 },
        { "gvk", "lane-killed", try_lane, KILLED, LAYERS_ALL, 0 },
        { "spe", "lane-works", try_lane, 0, LAYERS_ALL, 0 },
        { "gsv", "session-bus-killed", try_connect_bus, KILLED, LAYERS_ALL, 0 },
        { "pe", "session-bus-denied", try_connect_bus, EACCES, LAYERS_ALL, 0 },
        { "k", "session-bus-works", try_connect_bus, 0, LAYERS_ALL, 0 },
        { "gsv", "connect-inherited-socket-killed", try_connect_bus_inherited, KILLED, LAYERS_ALL,
          0 },
        { "gsvpe", "landlock-connect-abstract-denied", try_connect_abstract_inherited, EPERM,
          LAYERS_LANDLOCK, 6 },
        { "gsvkpe", "sendto-address-killed", try_sendto_address, KILLED, LAYERS_ALL, 0 },
        { "gsv", "connect-tcp-killed", try_connect_tcp_inherited, KILLED, LAYERS_ALL, 0 },
        { "gsvk", "landlock-connect-tcp-denied", try_connect_tcp, EACCES, LAYERS_LANDLOCK, 4 },
        { "k", "connect-inherited-tcp-denied", try_connect_tcp_inherited, EACCES, LAYERS_ALL, 4 },
        { "pe", "connect-tcp-works", try_connect_tcp, 0, LAYERS_ALL, 0 },
        { "gsvkpe", "bind-tcp-killed", try_bind_tcp_inherited, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "landlock-bind-tcp-denied", try_bind_tcp_inherited, EACCES, LAYERS_LANDLOCK, 4 },

        { "gsvkpe", "map-writable-code-killed", try_map_writable_code, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "map-anonymous-code-killed", try_map_anonymous_code, KILLED, LAYERS_ALL, 0 },
        { "pe", "map-library-works", try_map_library, 0, LAYERS_ALL, 0 },
        { "k", "map-library-denied", try_map_state_file, EACCES, LAYERS_ALL, 0 },
        { "v", "map-library-killed", try_map_state_file, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "make-code-killed", try_make_code, KILLED, LAYERS_ALL, 0 },

        { "gsvkpe", "dumpable-killed", try_dumpable, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "set-name-works", try_set_name, 0, LAYERS_ALL, 0 },
        { "gsvkpe", "terminal-input-killed", try_terminal_input, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "terminal-query-answered", try_terminal_query, ENOTTY, LAYERS_ALL, 0 },
        { "gsvkpe", "socket-filter-killed", try_socket_filter, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "raise-limit-killed", try_raise_limit, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "kill-parent-killed", try_kill_parent, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "landlock-kill-parent-denied", try_kill_parent, EPERM, LAYERS_LANDLOCK, 6 },
        { "gsvkpe", "tgkill-parent-killed", try_kill_parent_by_thread, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "abort-aborts", try_abort, ABORTED, LAYERS_ALL, 0 },
        { "gsvkpe", "second-confinement-killed", try_second_confinement, KILLED, LAYERS_ALL, 0 },
        { "gspe", "write-file-refused", try_write_file, EFBIG, LAYERS_ALL, 0 },

        { "gsvkpe", "fstat-works", try_fstat, 0, LAYERS_ALL, 0 },
        { "gs", "accept-works", try_accept, 0, LAYERS_ALL, 0 },
        { "vkpe", "accept-killed", try_accept, KILLED, LAYERS_ALL, 0 },
        { "gsvkpe", "pass-descriptor-works", try_pass_descriptor, 0, LAYERS_ALL, 0 },
        { "gsvkpe", "complain-works", try_log, 0, LAYERS_ALL, 0 },
        { "gsvkpe", "memory-works", try_arena, 0, LAYERS_ALL, 0 },
        { "v", "sqlite-works", try_sqlite, 0, LAYERS_ALL, 0 },
        { "vk", "replace-file-works", try_replace_file, 0, LAYERS_ALL, 0 },
        { "pe", "resolve-works", try_resolve, 0, LAYERS_ALL, 0 },
#ifdef __x86_64__
        { "gsvkpe", "x32-call-killed", try_x32, KILLED, LAYERS_ALL, 0 },
#endif
};

/* Why this kernel or build cannot show it; NULL: it can. */
static const char *unable(const Case *c)
{
        if (harden_landlock_abi() < c->landlock)
                return "this kernel's Landlock is too old";
        if (c->layers == LAYERS_ALL && harden_landlock_abi() == 0)
                return "this kernel has no Landlock";
        if (c->layers != LAYERS_LANDLOCK && !harden_has_seccomp())
                return "sanitizer build, which has no seccomp";
        return NULL;
}

static bool as_wanted(Outcome outcome, int want)
{
        if (outcome.setup)
                return false;
        switch (want) {
        case KILLED:
                return outcome.signal == SIGSYS;
        case ABORTED:
                return outcome.signal == SIGABRT;
        default:
                return outcome.signal == 0 && outcome.error == want;
        }
}

static void run_case(const Case *c, const HardenProfile *role, const Target *target)
{
        const char *why = unable(c);
        char name[128];
        Outcome outcome;

        snprintf(name, sizeof(name), "%s-%s", role->role, c->name);
        if (why) {
                tap_skip(name, why);
                return;
        }
        outcome = probe(role, c->layers, target, c->attempt);
        tap_ok(as_wanted(outcome, c->want), name, "signal %d, errno %d (%s), setup %d; wanted %d",
               outcome.signal, outcome.error, strerror(outcome.error), outcome.setup, c->want);
}

/* The one that is tried now; set before fork(), read behind it. */
static const BareCall *current;

static int try_bare(UNUSED const Target *target)
{
        const long *a = current->arguments;

        return syscall(current->number, a[0], a[1], a[2], a[3]) < 0 ? errno : 0;
}

/* What a profile lists on purpose, and other cases look at. */
static bool listed(const HardenProfile *role, long number)
{
        for (size_t i = 0; i < role->n_calls; i++)
                if (role->calls[i].number == number)
                        return true;
        return false;
}

static void run_bare(const HardenProfile *role, const Target *target)
{
        for (current = bare_calls(); current->name; current++) {
                char name[128];
                Outcome outcome;

                if (listed(role, current->number))
                        continue;
                snprintf(name, sizeof(name), "%s-%s-killed", role->role, current->name);
                if (!harden_has_seccomp()) {
                        tap_skip(name, "sanitizer build, which has no seccomp");
                        continue;
                }
                outcome = probe(role, LAYERS_SECCOMP, target, try_bare);
                tap_ok(as_wanted(outcome, KILLED), name, "signal %d, errno %d", outcome.signal,
                       outcome.error);
        }
}

int main(void)
{
        Target target;
        int r = target_make(&target);

        if (r < 0) {
                printf("Bail out! cannot prepare: %s\n", strerror(-r));
                return 1;
        }
        printf("# uid %u, Landlock ABI %d\n", (unsigned)getuid(), harden_landlock_abi());
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
                for (const HardenProfile *const *role = probe_roles(); *role; role++)
                        if (strchr(cases[i].roles, (*role)->role[0]))
                                run_case(&cases[i], *role, &target);
        for (const HardenProfile *const *role = probe_roles(); *role; role++)
                run_bare(*role, &target);
        target_remove(&target);
        return tap_end();
}
