#include "ipc/role.h"
#include "base/fd.h"
#include "base/text.h"
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_LINE_MAX 1024

void role_log(RoleProcess *role, LogLevel level, const char *format, ...)
{
        char line[LOG_LINE_MAX];
        LogNotice notice = { .level = level, .text = line };
        va_list args;

        va_start(args, format);
        (void)vsnprintf(line, sizeof(line), format, args);
        va_end(args);
        text_mend_end(line);
        if (!role->supervisor)
                return;
        /* A log line that is lost must not take the role down; the audit log is another matter. */
        if (channel_notify(role->supervisor, 0, &notice) < 0)
                return;
}

/* Descriptor 3 is a packet socket, and nothing that the parent forgot is open above it. */
static int check_descriptors(void)
{
        int type;
        socklen_t size = sizeof(type);

        if (getsockopt(ROLE_SOCKET, SOL_SOCKET, SO_TYPE, &type, &size) < 0)
                return error_errno();
        if (type != SOCK_SEQPACKET)
                return -EPROTOTYPE;
        if (syscall(SYS_close_range, ROLE_SOCKET + 1, ~0U, 0) < 0)
                return error_errno();
        return fd_set_cloexec(ROLE_SOCKET, true);
}

/* Every role's userdata begins with its RoleProcess. */
static int on_closed(void *userdata, UNUSED Channel *channel, UNUSED const char *reason)
{
        RoleProcess *role = userdata;

        loop_exit(role->loop, 0);
        return 0;
}

static int start(RoleProcess *role, const RoleConfig *config, const char **step)
{
        int r;

        *step = "libsodium";
        if (sodium_init() < 0)
                return -ENOSYS;
        *step = "descriptor 3";
        r = check_descriptors();
        if (r < 0)
                return r;
        *step = "hardening";
        r = harden_process();
        if (r)
                return error_fold(r);
        *step = "locked memory (raise RLIMIT_MEMLOCK)";
        r = config->arena_size > 0 ? arena_new(&role->arena, config->arena_size) : 0;
        if (r)
                return error_fold(r);
        *step = "event loop";
        r = loop_new(&role->loop, &clock_system);
        if (r < 0)
                return r;
        *step = "preparation";
        r = config->prepare ? config->prepare(role, config->userdata) : 0;
        if (r < 0)
                return r;
        *step = "confinement (no Landlock or no seccomp?)";
        r = harden_confine(config->profile, config->paths, config->n_paths, config->require_landlock);
        return r ? error_fold(r) : 0;
}

static void stop(RoleProcess *role)
{
        role->supervisor = channel_free(role->supervisor);
        role->loop = loop_free(role->loop);
        role->arena = arena_free(role->arena);
}

int role_run(RoleProcess *role, const RoleConfig *config)
{
        ChannelConfig channel = {
                .fd = ROLE_SOCKET,
                .in = config->in,
                .out = config->out,
                .handler = config->handler,
                .closed = on_closed,
                .userdata = config->userdata,
        };
        const char *step = "";
        int r;

        r = start(role, config, &step);
        if (r < 0) {
                fprintf(stderr, "mcpcred-%s: cannot start: %s: %s\n", config->profile->role, step, strerror(-r));
                stop(role);
                return 1;
        }
        channel.loop = role->loop;
        channel.arena = role->arena;
        r = channel_new(&role->supervisor, &channel);
        if (r == 0)
                r = config->started ? config->started(role, config->userdata) : 0;
        if (r == 0)
                r = loop_run(role->loop);
        if (r < 0)
                role_log(role, LOG_LEVEL_ERROR, "stops: %s", strerror(-r));
        /* Whoever waits for the supervisor learns it while what he needs is still there. */
        if (role->supervisor && channel_close(role->supervisor) < 0 && r == 0)
                r = -ECANCELED;
        if (config->stopped)
                config->stopped(role, config->userdata);
        stop(role);
        return r == 0 ? 0 : 1;
}
