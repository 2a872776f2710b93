#include "supervisor/child.h"
#include "base/fd.h"
#include "supervisor/child_output.h"
#include "supervisor/spawn.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMMAND_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define ABANDON_MSEC 2000
/* Method 0 of every interface_from_ROLE. */
#define LOG_METHOD 0
_Static_assert(GATE_LOG == LOG_METHOD && VAULT_LOG == LOG_METHOD &&
                       FROM_SESSION_LOG == LOG_METHOD && FROM_WORKER_LOG == LOG_METHOD,
               "the log is method 0 of every role");

struct Child {
        ChildConfig config;
        char name[64];
        Channel *channel;
        pid_t pid; /* 0: not running */
        int pidfd;
        Source *source;
        Timer *timer; /* until it is started again */
        ChildOutput output;
        Backoff backoff;
        uint64_t starts, started_wall;
        bool stopping;
};

void *child_userdata(const Child *child)
{
        return child->config.userdata;
}

const char *child_name(const Child *child)
{
        return child->name;
}

Channel *child_channel(const Child *child)
{
        return child->channel;
}

bool child_is_running(const Child *child)
{
        return child->pid > 0;
}

pid_t child_pid(const Child *child)
{
        return child->pid;
}

uint64_t child_restarts(const Child *child)
{
        return child->starts > 0 ? child->starts - 1 : 0;
}

uint64_t child_started(const Child *child)
{
        return child->started_wall;
}

unsigned child_failures(const Child *child)
{
        return child->backoff.failures;
}

static const Log *log_of(const Child *child)
{
        return child->config.context->log;
}

static uint64_t now(const Child *child)
{
        return clock_boot(loop_clock(child->config.context->loop));
}

void child_kill(Child *child)
{
        if (child->pid > 0 && syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0) < 0 &&
            errno != ESRCH)
                log_line(log_of(child), LOG_LEVEL_ERROR, child->name, "cannot be killed: %s",
                         strerror(errno));
}

static int on_closed(void *userdata, UNUSED Channel *channel, const char *reason)
{
        Child *child = userdata;

        /* One that simply ended is reported with its status. */
        if (!child->stopping && strcmp(reason, "is gone") != 0)
                log_line(log_of(child), LOG_LEVEL_ERROR, child->name, "%s; it is killed", reason);
        child_kill(child);
        return 0;
}

static int on_request(void *userdata, Channel *channel, Request *request)
{
        Child *child = userdata;

        if (request->id == LOG_METHOD) {
                const LogNotice *notice = request->body;

                child_output_line(&child->output, (LogLevel)notice->level, notice->text);
                request_done(request);
                return 0;
        }
        if (!child->config.handler)
                return request_fail(request, FAULT_METHOD_NOT_FOUND, NULL);
        return child->config.handler(child, channel, request);
}

/* ---- its end ---- */

static void describe_end(const Child *child, const siginfo_t *info)
{
        bool crashed = info->si_code != CLD_EXITED && info->si_status != SIGKILL && info->si_status != SIGTERM;
        LogLevel level = child->stopping && !crashed ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING;

        if (info->si_code == CLD_EXITED)
                log_line(log_of(child), level, child->name, "ended with status %d",
                         info->si_status);
        else
                log_line(log_of(child), level, child->name, "was killed by signal %d",
                         info->si_status);
}

/* Frees what belongs to one run. Returns false while the process still lives. */
static bool reap(Child *child)
{
        siginfo_t info = { 0 };

        if (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
                return false;
        child_output_close(&child->output);
        describe_end(child, &info);
        child->source = source_free(child->source);
        child->pidfd = fd_close(child->pidfd);
        child->pid = 0;
        return true;
}

static int on_dead(void *userdata, UNUSED uint32_t events)
{
        Child *child = userdata;
        uint64_t wait;
        int r;

        if (!reap(child))
                return 0;
        /* Its end may be seen before what it said last: that a session was delivered, say. */
        r = child->channel ? channel_drain(child->channel) : 0;
        if (r < 0)
                return r;
        child->channel = channel_free(child->channel);
        wait = backoff_next(&child->backoff, now(child));
        if (child->config.restart && !child->stopping)
                timer_arm_after(child->timer, wait);
        return child->config.gone ? child->config.gone(child->config.userdata, child) : 0;
}

/* ---- its start ---- */

static uint64_t file_limit(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max == RLIM_INFINITY)
                return CHILD_FILES_MAX;
        return MIN(limit.rlim_max / 2, (rlim_t)CHILD_FILES_MAX);
}

static int make_channel(Child *child, int fd)
{
        const ChannelConfig config = {
                .loop = child->config.context->loop,
                .arena = child->config.context->arena,
                .fd = fd,
                .in = child->config.in,
                .out = child->config.out,
                .handler = on_request,
                .closed = on_closed,
                .userdata = child,
        };

        return channel_new(&child->channel, &config);
}

/* Makes the process and all that watches it; undone by the caller if it fails in the middle. */
static int launch(Child *child)
{
        _cleanup_(fd_closep) int ours = -1, theirs = -1, reading = -1, writing = -1;
        SpawnConfig spawn_config = {
                .executable = child->config.executable,
                .arguments = child->config.arguments,
                .environment = child->config.environment,
                .files = file_limit(),
        };
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return error_errno();
        ours = pair[0];
        theirs = pair[1];
        if (pipe2(pair, O_CLOEXEC) < 0)
                return error_errno();
        reading = pair[0];
        writing = pair[1];
        spawn_config.socket = theirs;
        spawn_config.errors = writing;
        r = spawn(&spawn_config, &child->pid, &child->pidfd);
        if (r < 0)
                return r;
        r = child_output_watch(&child->output, child->config.context->loop, take_fd(&reading));
        if (r == 0)
                r = make_channel(child, take_fd(&ours));
        if (r == 0)
                r = source_new(&child->source, child->config.context->loop, child->pidfd, EPOLLIN,
                               on_dead, child);
        return r;
}

/* Ends a run without the loop: at a failed start, and when the child is freed. */
static void abandon(Child *child)
{
        child->channel = channel_free(child->channel);
        child->source = source_free(child->source);
        child_output_close(&child->output);
        if (child->pid > 0) {
                struct pollfd ended = { .fd = child->pidfd, .events = POLLIN };

                child_kill(child);
                /* It dies at once, unless the kernel waits for something on its behalf: a file of a FUSE
                 * file system to be closed, say. */
                if (poll(&ended, 1, ABANDON_MSEC) > 0)
                        (void)waitid(P_PIDFD, (id_t)child->pidfd, NULL, WEXITED | WNOHANG);
                else
                        log_line(log_of(child), LOG_LEVEL_ERROR, child->name, "does not die");
        }
        child->pidfd = fd_close(child->pidfd);
        child->pid = 0;
}

int child_start(Child *child)
{
        int r;

        if (child->pid > 0)
                return 0;
        child->stopping = false;
        backoff_started(&child->backoff, now(child));
        r = launch(child);
        if (r < 0) {
                abandon(child);
                return r;
        }
        child->starts++;
        child->started_wall = clock_wall(loop_clock(child->config.context->loop));
        log_line(log_of(child), LOG_LEVEL_DEBUG, child->name, "started, process %d",
                 (int)child->pid);
        return child->config.started ? child->config.started(child->config.userdata, child) : 0;
}

/* Out of processes or descriptors is no reason for the broker to stop: it tries again. */
static int on_timer(void *userdata)
{
        Child *child = userdata;
        int r = child_start(child);

        if (r < 0) {
                log_line(log_of(child), LOG_LEVEL_ERROR, child->name, "cannot be started: %s",
                         strerror(-r));
                timer_arm_after(child->timer, backoff_next(&child->backoff, now(child)));
        }
        return 0;
}

void child_stop(Child *child)
{
        child->stopping = true;
        timer_disarm(child->timer);
        child->channel = channel_free(child->channel);
}

void child_end(Child *child)
{
        child_stop(child);
        child_kill(child);
}

int child_new(Child **ret, const ChildConfig *config)
{
        _cleanup_(child_freep) Child *child = calloc(1, sizeof(*child));
        int r;

        if (!child)
                return -ENOMEM;
        child->config = *config;
        child->pidfd = -1;
        (void)snprintf(child->name, sizeof(child->name), "%s", config->name);
        child_output_init(&child->output, config->context->log, loop_clock(config->context->loop),
                          child->name);
        r = timer_new(&child->timer, config->context->loop, on_timer, child);
        if (r < 0)
                return r;
        *ret = take_ptr(child);
        return 0;
}

Child *child_free(Child *child)
{
        if (!child)
                return NULL;
        child->stopping = true;
        abandon(child);
        timer_free(child->timer);
        free(child);
        return NULL;
}

/* ---- what the supervisor tells it ---- */

static int on_commanded(void *userdata, const Reply *reply)
{
        Child *child = userdata;

        if (reply->fault == FAULT_NONE ||
            reply->fault == FAULT_UNAVAILABLE) /* gone: seen by the pidfd */
                return 0;
        log_line(log_of(child), LOG_LEVEL_ERROR, child->name,
                 "did not do as it was told: %s; it is killed",
                 reply->message ? reply->message : fault_info(reply->fault)->sentence);
        child_kill(child);
        return 0;
}

int child_command(Child *child, unsigned method, const void *body, int fd, uint64_t timeout_usec)
{
        int r;

        if (!child->channel)
                return 0;
        r = channel_call(child->channel, method, body, &fd, fd >= 0 ? 1 : 0, timeout_usec,
                         on_commanded, child, NULL);
        if (r < 0) {
                log_line(log_of(child), LOG_LEVEL_ERROR, child->name,
                         "cannot be spoken to: %s; it is killed", strerror(-r));
                child_kill(child);
        }
        return 0;
}

int child_attach(Child *child, unsigned method, const AttachRequest *edge, int fd)
{
        return child_command(child, method, edge, fd, COMMAND_TIMEOUT_USEC);
}
