#include "supervisor/spawn.h"
#include "base/fd.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_CANNOT_EXEC 127
#define EXIT_CANNOT_RUN  255
/* The soft limit that programs expect; ours is raised. */
#define COMMAND_FILES 1024U

static _Noreturn void give_up_with(int status, const char *what)
{
        const char *why = strerrordesc_np(errno);

        (void)!write(STDERR_FILENO, "cannot start: ", 14);
        (void)!write(STDERR_FILENO, what, strlen(what));
        (void)!write(STDERR_FILENO, ": ", 2);
        why = why ? why : "unknown error";
        (void)!write(STDERR_FILENO, why, strlen(why));
        (void)!write(STDERR_FILENO, "\n", 1);
        _exit(status);
}

static _Noreturn void give_up(const char *what)
{
        give_up_with(EXIT_CANNOT_EXEC, what);
}

/* Both descriptors are above 3 by now, so no dup2() overwrites one that is still needed. */
static void place_descriptors(const SpawnConfig *config)
{
        int null;

        if (dup2(config->errors, STDERR_FILENO) < 0)
                _exit(EXIT_CANNOT_EXEC);
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0)
                give_up("/dev/null");
        if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
            dup2(config->socket, 3) < 0)
                give_up("descriptors");
        if (syscall(SYS_close_range, 4, ~0U, 0) < 0)
                give_up("close_range");
}

static void reset_signals(void)
{
        sigset_t none;

        (void)sigemptyset(&none);
        for (int i = 1; i < NSIG; i++)
                if (i != SIGKILL && i != SIGSTOP)
                        (void)signal(i, SIG_DFL);
        if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
                give_up("signals");
}

static _Noreturn void run(const SpawnConfig *config, pid_t parent)
{
        const struct rlimit files = { config->files, config->files };

        place_descriptors(config);
        reset_signals();
        (void)setsid();
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                give_up("PR_SET_PDEATHSIG");
        if (getppid() != parent) /* it died before that */
                _exit(EXIT_CANNOT_EXEC);
        if (setrlimit(RLIMIT_NOFILE, &files) < 0)
                give_up("RLIMIT_NOFILE");
        if (chdir("/") < 0)
                give_up("/");
        execve(config->executable, (char *const *)(uintptr_t)config->arguments,
               (char *const *)(uintptr_t)config->environment);
        give_up(config->executable);
}

static int watch(pid_t pid, pid_t *ret_pid, int *ret_pidfd)
{
        /* Nobody else reaps it, so the number is still its own. */
        int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

        if (pidfd < 0) {
                int r = error_errno();

                (void)kill(pid, SIGKILL);
                (void)waitpid(pid, NULL, 0);
                return r;
        }
        *ret_pid = pid;
        *ret_pidfd = pidfd;
        return fd_set_cloexec(pidfd, true);
}

int spawn(const SpawnConfig *config, pid_t *ret_pid, int *ret_pidfd)
{
        _cleanup_(fd_closep) int socket = fcntl(config->socket, F_DUPFD_CLOEXEC, 10);
        _cleanup_(fd_closep) int errors = fcntl(config->errors, F_DUPFD_CLOEXEC, 10);
        SpawnConfig placed = *config;
        pid_t parent = getpid(), pid;

        if (socket < 0 || errors < 0)
                return error_errno();
        placed.socket = socket;
        placed.errors = errors;
        pid = fork();
        if (pid < 0)
                return error_errno();
        if (pid == 0)
                run(&placed, parent);
        return watch(pid, ret_pid, ret_pidfd);
}

static _Noreturn void run_command(const SpawnCommand *command)
{
        struct rlimit files;

        reset_signals();
        (void)setsid();
        if (dup2(command->input, STDIN_FILENO) < 0 || dup2(command->output, STDOUT_FILENO) < 0 ||
            dup2(command->output, STDERR_FILENO) < 0 || syscall(SYS_close_range, 3, ~0U, 0) < 0)
                _exit(EXIT_CANNOT_RUN);
        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = MIN(files.rlim_max, (rlim_t)COMMAND_FILES);
                (void)setrlimit(RLIMIT_NOFILE, &files);
        }
        if (chdir("/") < 0)
                give_up_with(EXIT_CANNOT_RUN, "/");
        execve(command->arguments[0], (char *const *)(uintptr_t)command->arguments,
               (char *const *)(uintptr_t)command->environment);
        give_up_with(EXIT_CANNOT_RUN, command->arguments[0]);
}

int spawn_command(const SpawnCommand *command, pid_t *ret_pid, int *ret_pidfd)
{
        _cleanup_(fd_closep) int input = fcntl(command->input, F_DUPFD_CLOEXEC, 10);
        _cleanup_(fd_closep) int output = fcntl(command->output, F_DUPFD_CLOEXEC, 10);
        SpawnCommand placed = *command;
        pid_t pid;

        if (input < 0 || output < 0)
                return error_errno();
        placed.input = input;
        placed.output = output;
        pid = fork();
        if (pid < 0)
                return error_errno();
        if (pid == 0)
                run_command(&placed);
        return watch(pid, ret_pid, ret_pidfd);
}
