#include "sandbox.h"
#include "exec_watch.h"
#include "sandbox_channel.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Launch {
        Sandbox *sandbox;
        const ExecChild *child;
        const mcpcred_session *session;
        ExecWatch watch;
        Strings argv;
        bool own_network;
        bool inside; /* the sandbox is made */
        int channel;
        pid_t pid;
        int exec_errno; /* of the command */
} Launch;

/* bubblewrap has this long for its work, once nobody waits for the result. */
#define PREPARE_MS 5000

/* What a step comes to, beside exit statuses. */
enum { GOES_ON = -1, RUNS = -2, IS_FORBIDDEN = -3 };

/* ---- the child ---- */

static _Noreturn void give_up(int channel, SandboxStage stage, int r, const char *step)
{
        SandboxMessage message = { .stage = stage, .error = -r };

        (void)snprintf(message.step, sizeof(message.step), "%s", step);
        (void)sandbox_channel_send(channel, &message);
        _exit(EXIT_EXEC_SELF);
}

/* An answer that means that we may not, and not that something is amiss. */
static bool is_refusal(int r)
{
        return r == -EPERM || r == -EACCES || r == -ENOSPC || r == -EUSERS || r == -ENOSYS ||
               r == -EINVAL;
}

static void make_network(int channel)
{
        SandboxMessage message = { .stage = SANDBOX_SOCKETS };
        const char *step = "";
        int r = sandbox_net_enter(&step);

        if (r == 0)
                r = sandbox_net_bind(true, &message.sockets, &step);
        if (r < 0)
                give_up(channel, is_refusal(r) ? SANDBOX_FORBIDDEN : SANDBOX_FAILED, r, step);
        r = sandbox_channel_send(channel, &message);
        if (r < 0)
                give_up(channel, SANDBOX_FAILED, r, "hand the sandbox's sockets over");
        sandbox_sockets_close(&message.sockets);
        if (!sandbox_channel_may_go(channel))
                _exit(EXIT_EXEC_SELF);
}

/* bubblewrap gets the command's descriptors, those that its command line names, and no others. */
static int pass_descriptors(const Launch *launch)
{
        const SandboxFiles *files = &launch->sandbox->files;
        const int passed[] = { files->resolv, files->hosts, files->filter, files->self,
                               files->channel };

        if (close_range(EXEC_SESSION_FD, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
                return -errno;
        for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
                if (passed[i] >= 0 && fcntl(passed[i], F_SETFD, 0) < 0)
                        return -errno;
        if (launch->child->session_fd == EXEC_SESSION_FD)
                return fcntl(EXEC_SESSION_FD, F_SETFD, 0) < 0 ? -errno : 0;
        if (launch->child->session_fd >= 0 && dup2(launch->child->session_fd, EXEC_SESSION_FD) < 0)
                return -errno;
        return 0;
}

/*
 * The one that we have holds what the login put there. The filter lets nobody at it; where there is
 * none, the command must not have it.
 */
static int leave_keyring(const Launch *launch)
{
        if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0 ||
            launch->sandbox->files.filter >= 0 || errno == ENOSYS || errno == EPERM)
                return 0;
        return -errno;
}

/* The signals stay blocked in bubblewrap, which would end at them and take the command along. */
static _Noreturn void become_sandbox(const Launch *launch)
{
        int channel = launch->sandbox->files.channel, r;

        if (launch->own_network)
                make_network(channel);
        r = pass_descriptors(launch);
        if (r < 0)
                give_up(channel, SANDBOX_FAILED, r, "pass the sandbox's descriptors on");
        r = leave_keyring(launch);
        if (r < 0)
                give_up(channel, SANDBOX_FAILED, r, "leave the session's keyring");
        r = mcpcred_child_mark();
        if (r < 0)
                give_up(channel, SANDBOX_FAILED, r, "mark the sandbox");
        (void)execve(launch->sandbox->bubblewrap, launch->argv.items, launch->child->env->items);
        give_up(channel, SANDBOX_FAILED, -errno, "run bubblewrap");
}

/* ---- exec's side ---- */

static uint64_t signals_to_unblock(const ExecWatch *watch)
{
        uint64_t mask = 0;

        for (int number = 1; number < 64; number++)
                if (sigismember(&watch->caught, number) == 1 &&
                    sigismember(&watch->before, number) == 0)
                        mask |= UINT64_C(1) << number;
        return mask;
}

static int fail_system(const Launch *launch, int error, const char *doing)
{
        return cli_fail_local(launch->sandbox->cli, EXIT_EXEC_SELF, "System", "",
                              "Cannot %s: %s.", doing, strerror(error));
}

static int start(Launch *launch)
{
        Sandbox *sandbox = launch->sandbox;
        const SandboxCommand command = { .bubblewrap = sandbox->bubblewrap,
                                         .places = &sandbox->places,
                                         .binds = sandbox->binds,
                                         .n_binds = sandbox->n_binds,
                                         .session = mcpcred_session_directory(launch->session),
                                         .arguments = &sandbox->options->arguments,
                                         .files = &sandbox->files,
                                         .own_network = launch->own_network,
                                         .apart = sandbox->apart,
                                         .unblock = signals_to_unblock(&launch->watch),
                                         .argv = launch->child->argv };
        int r = sandbox_channel_new(&launch->channel, &sandbox->files.channel);

        if (r < 0)
                return fail_system(launch, -r, "make the sandbox's channel");
        sandbox_command_build(&command, &launch->argv);
        if (launch->argv.failed)
                return fail_system(launch, ENOMEM, "make the sandbox");
        launch->pid = fork();
        if (launch->pid == 0)
                become_sandbox(launch);
        (void)close(sandbox->files.channel);
        sandbox->files.channel = -1;
        return launch->pid < 0 ? fail_system(launch, errno, "fork") : GOES_ON;
}

/*
 * The first process that bubblewrap forks waits for bubblewrap before it asks to end with it, so one
 * that is killed at its work leaves that behind, with our output open. A closed channel ends it as
 * soon as it has done its work.
 */
static void let_end(pid_t pid)
{
        int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        struct pollfd poller = { .fd = fd, .events = POLLIN };

        if (fd < 0)
                return;
        while (poll(&poller, 1, PREPARE_MS) < 0 && errno == EINTR)
                continue;
        (void)close(fd);
}

/* Ends what there is of the child. Its status, as waitpid() has it. */
static int stop(Launch *launch)
{
        int status = 0;

        if (launch->channel >= 0)
                (void)close(launch->channel);
        launch->channel = -1;
        strings_free(&launch->argv);
        if (launch->pid > 0) {
                if (!launch->inside)
                        let_end(launch->pid);
                (void)kill(launch->pid, SIGKILL);
                while (waitpid(launch->pid, &status, 0) < 0 && errno == EINTR)
                        continue;
        }
        launch->pid = 0;
        return status;
}

/* A session without a proxy has no use for them, and its command no network. */
static int serve(const Launch *launch, SandboxMessage *message)
{
        mcpcred *client = launch->sandbox->cli->client;
        SandboxSockets *sockets = &message->sockets;
        int r = 0;

        for (size_t i = 0; r == 0 && i < sockets->n; i++)
                if (mcpcred_session_proxy_socket(launch->session))
                        r = mcpcred_session_serve(client, launch->session, sockets->services[i],
                                                  sockets->fds[i]);
        sandbox_sockets_close(sockets);
        return r ? cli_fail(launch->sandbox->cli) : 0;
}

static int send_go(const Launch *launch)
{
        const SandboxMessage go = { .stage = SANDBOX_GO };
        int r = sandbox_channel_send(launch->channel, &go);

        /* Where it has ended meanwhile, the channel says so next. */
        return r < 0 && r != -EPIPE ? fail_system(launch, -r, "let the sandbox go on") : GOES_ON;
}

/* The session takes the sockets while bubblewrap does its work; the command waits for both. */
static int take_sockets(const Launch *launch, SandboxMessage *message)
{
        int r = send_go(launch), served = serve(launch, message);

        return served ? served : r;
}

static int take_inside(Launch *launch, SandboxMessage *message)
{
        int r = serve(launch, message);

        if (r)
                return r;
        launch->inside = true;
        /* It waits for our word, so the number is still its own. */
        launch->watch.target = (int)syscall(SYS_pidfd_open, message->pid, 0);
        if (launch->watch.target < 0)
                return fail_system(launch, errno, "watch the sandbox");
        return send_go(launch);
}

/* bubblewrap has said on stderr what it could not do. */
static int fail_made(Launch *launch)
{
        int status;

        (void)close(launch->channel);
        launch->channel = -1;
        while (waitpid(launch->pid, &status, 0) < 0 && errno == EINTR)
                continue;
        launch->pid = 0;
        return cli_fail_local(launch->sandbox->cli, EXIT_EXEC_SELF, "System",
                              "What bubblewrap said stands above; a --rw, --ro or --sandbox-arg "
                              "may be wrong, or this system may forbid sandboxes.",
                              "bubblewrap could not make the sandbox (%s %d).",
                              WIFEXITED(status) ? "status" : "signal",
                              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

static int take_message(Launch *launch)
{
        SandboxMessage message;
        int r = sandbox_channel_receive(launch->channel, &message);

        if (r < 0)
                return fail_system(launch, -r, "hear of the sandbox");
        if (r > 0)
                return launch->inside ? RUNS : fail_made(launch);
        switch (message.stage) {
        case SANDBOX_INSIDE:
                return take_inside(launch, &message);
        case SANDBOX_SOCKETS:
                return take_sockets(launch, &message);
        case SANDBOX_NO_EXEC:
                launch->exec_errno = message.error;
                return RUNS;
        case SANDBOX_FORBIDDEN:
                cli_note("this system does not let it %s (%s), so bubblewrap makes the network, "
                         "where the proxy is at port 3128 alone",
                         message.step, strerror(message.error));
                return IS_FORBIDDEN;
        default:
                sandbox_sockets_close(&message.sockets);
                return fail_system(launch, message.error, message.step);
        }
}

/* Until the command runs, or it is clear that it will not. */
static int converse(Launch *launch)
{
        int r = GOES_ON;

        while (r == GOES_ON) {
                struct pollfd pollers[] = { { .fd = launch->channel, .events = POLLIN },
                                            { .fd = launch->watch.signals, .events = POLLIN } };
                int signal;

                if (poll(pollers, ARRAY_SIZE(pollers), -1) < 0 && errno != EINTR)
                        return fail_system(launch, errno, "hear of the sandbox");
                /* Once the command is there it gets them itself. */
                signal = launch->inside || !pollers[1].revents ? 0
                                                               : exec_watch_pending(&launch->watch);
                if (signal)
                        return 128 + signal;
                if (pollers[0].revents)
                        r = take_message(launch);
        }
        return r;
}

static int run_started(Launch *launch)
{
        int status;

        exec_let_go_of_stdio();
        status = exec_watch_wait(&launch->watch, launch->pid);
        launch->pid = 0;
        if (launch->exec_errno == 0)
                return status;
        status = exec_status_of(launch->exec_errno);
        (void)cli_fail_local(launch->sandbox->cli, status, "System",
                             status == EXIT_EXEC_MISSING
                                     ? "The sandbox sees no home; --ro lets a program in that is "
                                       "in one, with what it needs."
                                     : "",
                             "%s: %s.", launch->child->argv[0], strerror(launch->exec_errno));
        return status;
}

int sandbox_run(Sandbox *sandbox, const ExecChild *child, const mcpcred_session *session,
                void (*started)(void *userdata), void *userdata)
{
        Launch launch = { .sandbox = sandbox,
                          .child = child,
                          .session = session,
                          .own_network = true,
                          .channel = -1 };
        int r = exec_watch_begin(&launch.watch);

        if (r < 0)
                return fail_system(&launch, -r, "watch the sandbox");
        launch.watch.apart = sandbox->apart;
        r = start(&launch);
        if (r == GOES_ON)
                r = converse(&launch);
        if (r == IS_FORBIDDEN) {
                (void)stop(&launch);
                launch.own_network = false;
                r = start(&launch);
                if (r == GOES_ON)
                        r = converse(&launch);
        }
        started(userdata);
        if (r == RUNS)
                r = run_started(&launch);
        (void)stop(&launch);
        exec_watch_end(&launch.watch);
        return r;
}
