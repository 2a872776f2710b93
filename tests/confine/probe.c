#include "probe.h"
#include "base/fd.h"
#include "harden/parts.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit status of a child that could not be confined; no errno is as high. */
#define EXIT_SETUP 200

static struct {
        unsigned n, failed;
} tap;

const HardenProfile *const *probe_roles(void)
{
        static const HardenProfile *const roles[] = {
                &harden_profile_gate,    &harden_profile_session,  &harden_profile_vault,
                &harden_profile_keyring, &harden_profile_provider, &harden_profile_egress, NULL,
        };

        return roles;
}

void tap_ok(bool ok, const char *name, const char *format, ...)
{
        va_list args;

        printf("%sok %u - %s\n", ok ? "" : "not ", ++tap.n, name);
        if (ok)
                return;
        tap.failed++;
        printf("# ");
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        printf("\n");
}

void tap_skip(const char *name, const char *why)
{
        printf("ok %u - %s # SKIP %s\n", ++tap.n, name, why);
}

int tap_end(void)
{
        printf("1..%u\n", tap.n);
        return tap.failed > 0;
}

static int unix_listener(const char *path, size_t path_size)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path, path, path_size);
        if (fd < 0 ||
            bind(fd, (void *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_size)) < 0 ||
            listen(fd, 8) < 0)
                return fd_close(fd);
        return fd;
}

static int inet_listener(uint16_t *ret_port)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (void *)&address, size) < 0 || listen(fd, 8) < 0 ||
            getsockname(fd, (void *)&address, &size) < 0)
                return fd_close(fd);
        *ret_port = ntohs(address.sin_port);
        return fd;
}

static int write_file(const char *path, const char *text)
{
        _cleanup_(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        return fd < 0 ? error_errno() : fd_write_all(fd, text, strlen(text));
}

static int make_sockets(Target *target)
{
        char path[96];

        snprintf(path, sizeof(path), "%s/accepting", target->directory);
        target->abstract[0] = '\0';
        snprintf(target->abstract + 1, sizeof(target->abstract) - 1, "mcpcred-test-%d",
                 (int)getpid());
        target->bus_listener = unix_listener(target->bus, strlen(target->bus) + 1);
        target->accepting = unix_listener(path, strlen(path) + 1);
        target->abstract_listener =
                unix_listener(target->abstract, 1 + strlen(target->abstract + 1));
        target->listener = inet_listener(&target->port);
        target->unix_stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        target->unix_datagram = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        target->inet_stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (target->bus_listener < 0 || target->accepting < 0 || target->abstract_listener < 0 ||
            target->listener < 0 || target->unix_stream < 0 || target->unix_datagram < 0 ||
            target->inet_stream < 0)
                return -EIO;
        return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, target->pair) < 0
                       ? error_errno()
                       : 0;
}

int target_make(Target *target)
{
        char path[128];
        int r;

        *target = (Target){ .directory = "/tmp/mcpcred-confine-XXXXXX", .parent = getpid() };
        if (!mkdtemp(target->directory))
                return error_errno();
        snprintf(target->state, sizeof(target->state), "%s/state", target->directory);
        snprintf(target->other, sizeof(target->other), "%s/other", target->directory);
        snprintf(target->bus, sizeof(target->bus), "%s/bus", target->directory);
        snprintf(path, sizeof(path), "%s/state.db", target->state);
        if (mkdir(target->state, 0700) < 0)
                return error_errno();
        r = write_file(path, "state");
        if (r == 0)
                r = write_file(target->other, "other");
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), "%s/open", target->directory);
        target->file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        return target->file < 0 ? error_errno() : make_sockets(target);
}

void target_remove(Target *target)
{
        char command[128];

        if (!target->directory[0] || strchr(target->directory, 'X'))
                return;
        snprintf(command, sizeof(command), "rm -rf '%s'", target->directory);
        if (system(command) != 0)
                printf("# %s stays behind\n", target->directory);
}

int probe_confine(const HardenProfile *role, Layers layers, const Target *target)
{
        /* As mcpcred-vault and mcpcred-keyring are started: --state DIR. The others give no path.
         */
        const HardenPath state = { .path = target->state, .write = true };
        bool has_state = role == &harden_profile_vault || role == &harden_profile_keyring;
        int r = harden_process();

        if (r)
                return r;
        switch (layers) {
        case LAYERS_ALL:
                return harden_confine(role, &state, has_state ? 1 : 0, true);
        case LAYERS_LANDLOCK:
                return harden_landlock(role, &state, has_state ? 1 : 0);
        case LAYERS_SECCOMP:
                return harden_seccomp(role);
        case LAYERS_NONE:
                break;
        }
        return 0;
}

Outcome probe(const HardenProfile *role, Layers layers, const Target *target, Attempt attempt)
{
        int status;
        pid_t child;

        fflush(stdout);
        child = fork();
        if (child < 0)
                return (Outcome){ .setup = errno };
        if (child == 0) {
                if (probe_confine(role, layers, target) != 0)
                        _exit(EXIT_SETUP);
                _exit(attempt(target));
        }
        if (waitpid(child, &status, 0) < 0)
                return (Outcome){ .setup = errno };
        if (WIFSIGNALED(status))
                return (Outcome){ .signal = WTERMSIG(status) };
        if (WEXITSTATUS(status) == EXIT_SETUP)
                return (Outcome){ .setup = EXIT_SETUP };
        return (Outcome){ .error = WEXITSTATUS(status) };
}
