#include "supervisor/notify.h"
#include "base/fd.h"
#include "base/list.h"
#include "supervisor/child_output.h"
#include "supervisor/notify_command.h"
#include "supervisor/spawn.h"
#include "wire/field.h"
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENVIRONMENT_MAX 10U

struct Notifier {
        NotifierConfig config;
        List runs; /* Run */
        unsigned n_runs;
        char *home, *user, *logname, *dbus_address; /* "NAME=value" */
};

typedef struct Run {
        List link;
        Notifier *notifier;
        pid_t pid;
        int pidfd;
        Source *source;
        Timer *timer;
        bool asked; /* SIGTERM was sent */
        ChildOutput output;
        NotifyDone done;
        void *userdata;
} Run;

/* ---- its end ---- */

static void run_free(Run *run)
{
        child_output_close(&run->output);
        source_free(run->source);
        timer_free(run->timer);
        (void)fd_close(run->pidfd);
        list_remove(&run->link);
        run->notifier->n_runs--;
        free(run);
}

/* Its group is its own, and its number cannot be another's before it is reaped. Itself by its descriptor too, as
 * it may not have made the group yet. */
static void signal_group(const Run *run, int signal)
{
        (void)kill(-run->pid, signal);
        (void)syscall(SYS_pidfd_send_signal, run->pidfd, signal, NULL, 0);
}

static int finish(Run *run, uint64_t status)
{
        const Log *log = run->notifier->config.log;
        NotifyDone done = run->done;
        void *userdata = run->userdata;

        if (status == NOTIFY_CANNOT_RUN)
                log_line(log, LOG_LEVEL_ERROR, "notify", "the command could not be run");
        else if (status > 0)
                log_line(log, LOG_LEVEL_WARNING, "notify", "the command ended with status %u", (unsigned)status);
        run_free(run);
        return done(userdata, status);
}

static int on_dead(void *userdata, UNUSED uint32_t events)
{
        Run *run = userdata;
        siginfo_t info = { 0 };

        if (waitid(P_PIDFD, (id_t)run->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0)
                return 0;
        /* What it left of its group while it was being ended dies with it. */
        if (run->asked)
                signal_group(run, SIGKILL);
        (void)waitid(P_PIDFD, (id_t)run->pidfd, &info, WEXITED | WNOHANG);
        return finish(run, info.si_code == CLD_EXITED ? (uint64_t)info.si_status : 128U + (uint64_t)info.si_status);
}

static int on_deadline(void *userdata)
{
        Run *run = userdata;
        const NotifierConfig *config = &run->notifier->config;

        log_line(config->log, LOG_LEVEL_WARNING, "notify", "the command %s",
                 run->asked ? "does not end; it is killed" : "takes too long; it is told to end");
        signal_group(run, run->asked ? SIGKILL : SIGTERM);
        if (!run->asked)
                timer_arm_after(run->timer, config->kill_usec);
        run->asked = true;
        return 0;
}

/* ---- its start ---- */

static int write_all(int fd, const char *text)
{
        return fd_write_all(fd, text, strlen(text));
}

/* A file without a name: the command can read at its own pace, and nobody waits for it. */
static int make_input(const char *json, int *ret)
{
        _cleanup_(fd_closep) int fd = memfd_create("mcpcred-notify", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        int r;

        if (fd < 0)
                return error_errno();
        r = write_all(fd, json);
        if (r == 0)
                r = write_all(fd, "\n");
        if (r < 0)
                return r;
        if (lseek(fd, 0, SEEK_SET) < 0 ||
            fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
                return error_errno();
        *ret = take_fd(&fd);
        return 0;
}

static void make_environment(const Notifier *notifier, const char *incident, const char *out[ENVIRONMENT_MAX])
{
        const char *const made[] = { notifier->home, notifier->user, notifier->logname, notifier->dbus_address };
        size_t n = 0;

        out[n++] = "PATH=/usr/local/bin:/usr/bin:/bin";
        out[n++] = "LANG=C.UTF-8";
        out[n++] = incident;
        for (size_t i = 0; i < ARRAY_SIZE(made); i++)
                if (made[i])
                        out[n++] = made[i];
        out[n] = NULL;
}

static int launch(Run *run, const TextList *command, const char *incident, int input)
{
        _cleanup_(fd_closep) int reading = -1, writing = -1;
        const char *environment[ENVIRONMENT_MAX], *arguments[LIMIT_ARGV + 1];
        Notifier *notifier = run->notifier;
        SpawnCommand spawn = { .arguments = arguments, .environment = environment, .input = input };
        int pipe_ends[2], r;

        if (command->n > LIMIT_ARGV)
                return -EINVAL;
        if (pipe2(pipe_ends, O_CLOEXEC) < 0)
                return error_errno();
        reading = pipe_ends[0];
        writing = pipe_ends[1];
        for (size_t i = 0; i < command->n; i++)
                arguments[i] = command->items[i];
        arguments[command->n] = NULL;
        make_environment(notifier, incident, environment);
        spawn.output = writing;
        r = child_output_watch(&run->output, notifier->config.loop, take_fd(&reading));
        if (r == 0)
                r = timer_new(&run->timer, notifier->config.loop, on_deadline, run);
        if (r == 0)
                r = spawn_command(&spawn, &run->pid, &run->pidfd);
        if (r < 0)
                return r;
        r = source_new(&run->source, notifier->config.loop, run->pidfd, EPOLLIN, on_dead, run);
        if (r < 0) {
                signal_group(run, SIGKILL);
                (void)waitid(P_PIDFD, (id_t)run->pidfd, &(siginfo_t){ 0 }, WEXITED);
                return r;
        }
        timer_arm_after(run->timer, notifier->config.term_usec);
        return 0;
}

int notifier_run(Notifier *notifier, const TextList *command, const char *incident, const char *json,
                 NotifyDone done, void *userdata)
{
        _cleanup_(fd_closep) int input = -1;
        const char *wrong;
        char variable[64];
        Run *run;
        int r;

        if (notifier->n_runs >= NOTIFY_MAX)
                return NOTIFIER_E_BUSY;
        /* It may have been changed since the configuration was read. */
        wrong = notify_check_command(command->items[0]);
        if (wrong) {
                log_line(notifier->config.log, LOG_LEVEL_ERROR, "notify", "%s: %s", command->items[0], wrong);
                return done(userdata, NOTIFY_CANNOT_RUN);
        }
        (void)snprintf(variable, sizeof(variable), "MCPCRED_INCIDENT=%s", incident);
        r = make_input(json, &input);
        if (r < 0)
                return r;
        run = calloc(1, sizeof(*run));
        if (!run)
                return -ENOMEM;
        *run = (Run){ .notifier = notifier, .pidfd = -1, .done = done, .userdata = userdata };
        child_output_init(&run->output, notifier->config.log, loop_clock(notifier->config.loop), "notify");
        child_output_limit(&run->output, NOTIFY_OUTPUT_MAX);
        list_init(&run->link);
        list_append(&notifier->runs, &run->link);
        notifier->n_runs++;
        r = launch(run, command, variable, input);
        if (r < 0)
                run_free(run);
        else
                log_line(notifier->config.log, LOG_LEVEL_INFO, "notify", "%s: the command runs", incident);
        return r;
}

unsigned notifier_count(const Notifier *notifier)
{
        return notifier->n_runs;
}

/* ---- the object ---- */

static int keep(char **ret, const char *name, const char *value)
{
        if (!value || !*value)
                return 0;
        if (asprintf(ret, "%s=%s", name, value) < 0) {
                *ret = NULL;
                return -ENOMEM;
        }
        return 0;
}

/* Looked up once, since a directory of users can be far away. */
static int keep_user(Notifier *notifier)
{
        const struct passwd *user = getpwuid(geteuid());
        int r = user ? keep(&notifier->home, "HOME", user->pw_dir) : 0;

        if (r == 0 && user)
                r = keep(&notifier->user, "USER", user->pw_name);
        if (r == 0 && user)
                r = keep(&notifier->logname, "LOGNAME", user->pw_name);
        return r;
}

int notifier_new(Notifier **ret, const NotifierConfig *config)
{
        _cleanup_(notifier_freep) Notifier *notifier = calloc(1, sizeof(*notifier));
        int r;

        if (!notifier)
                return -ENOMEM;
        list_init(&notifier->runs);
        notifier->config = *config;
        if (!config->term_usec)
                notifier->config.term_usec = NOTIFY_TERM_USEC;
        if (!config->kill_usec)
                notifier->config.kill_usec = NOTIFY_KILL_USEC;
        r = keep_user(notifier);
        if (r == 0)
                r = keep(&notifier->dbus_address, "DBUS_SESSION_BUS_ADDRESS", config->dbus_address);
        if (r < 0)
                return r;
        *ret = take_ptr(notifier);
        return 0;
}

Notifier *notifier_free(Notifier *notifier)
{
        if (!notifier)
                return NULL;
        while (!list_empty(&notifier->runs)) {
                Run *run = container_of(notifier->runs.next, Run, link);

                signal_group(run, SIGKILL);
                (void)waitid(P_PIDFD, (id_t)run->pidfd, &(siginfo_t){ 0 }, WEXITED);
                run_free(run);
        }
        free(notifier->home);
        free(notifier->user);
        free(notifier->logname);
        free(notifier->dbus_address);
        free(notifier);
        return NULL;
}
