#include "exec_child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Close-on-exec, so that the parent sees the end of it when the program runs. */
#define REPORT_FD 4

static const int forwarded[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH };

/* What we wait for by signalfd. A signal that is ignored here (nohup) stays so, here and in the
 * child. */
static void collect_signals(sigset_t *ret)
{
        (void)sigemptyset(ret);
        (void)sigaddset(ret, SIGCHLD);
        for (size_t i = 0; i < ARRAY_SIZE(forwarded); i++) {
                struct sigaction action;

                if (sigaction(forwarded[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
                        (void)sigaddset(ret, forwarded[i]);
        }
}

/* The program is looked for along the PATH that it will see. */
static int run_program(const ExecChild *child)
{
        const char *path = exec_env_get(child->env, "PATH"), *name = child->argv[0];
        char file[4096];
        int found = ENOENT;

        if (strchr(name, '/')) {
                (void)execve(name, child->argv, child->env->items);
                return errno;
        }
        for (const char *at = path ? path : "/usr/bin:/bin"; at;
             at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
                size_t length = strcspn(at, ":");
                int n = snprintf(file, sizeof(file), "%.*s%s%s", (int)length, at,
                                 length ? "/" : "./", name);

                if (n < 0 || (size_t)n >= sizeof(file))
                        continue;
                (void)execve(file, child->argv, child->env->items);
                if (errno == EACCES)
                        found = EACCES;
                else if (errno != ENOENT && errno != ENOTDIR)
                        return errno;
        }
        return found;
}

/* Never returns. Only system calls happen here before exec. */
static _Noreturn void become_child(const ExecChild *child, int report, const sigset_t *mask)
{
        int error = 0, session = child->session_fd;

        /* Neither may be in the way of the other's number. */
        if (session >= 0)
                session = fcntl(session, F_DUPFD, REPORT_FD + 1);
        report = fcntl(report, F_DUPFD, REPORT_FD + 1);
        if (report < 0 || dup3(report, REPORT_FD, O_CLOEXEC) < 0)
                _exit(EXIT_EXEC_SELF);
        if (child->session_fd >= 0 && (session < 0 || dup2(session, EXEC_SESSION_FD) < 0))
                error = errno;
        if (child->session_fd < 0)
                (void)close(EXEC_SESSION_FD);
        (void)close_range(REPORT_FD + 1, ~0U, 0);
        if (error == 0)
                error = -mcpcred_child_mark();
        (void)sigprocmask(SIG_SETMASK, mask, NULL);
        if (error == 0)
                error = run_program(child);
        if (write(REPORT_FD, &error, sizeof(error)) < 0)
                _exit(EXIT_EXEC_SELF);
        _exit(EXIT_EXEC_CANNOT);
}

/* Our ends of the child's pipes would keep its peers from seeing the end of them. */
static void let_go_of_stdio(void)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null >= 0) {
                (void)dup2(null, STDIN_FILENO);
                (void)dup2(null, STDOUT_FILENO);
                if (null > STDERR_FILENO)
                        (void)close(null);
        }
}

/* What the terminal sends goes to the whole group and has reached the child already. */
static void forward(pid_t pid, const struct signalfd_siginfo *info)
{
        if (info->ssi_signo != SIGCHLD && info->ssi_code != SI_KERNEL)
                (void)kill(pid, (int)info->ssi_signo);
}

static int wait_for(pid_t pid, int signals)
{
        struct signalfd_siginfo info;
        int status;

        for (;;) {
                pid_t ended = waitpid(pid, &status, WNOHANG);

                if (ended == pid)
                        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                if (ended < 0 && errno != EINTR)
                        return EXIT_EXEC_SELF;
                if (read(signals, &info, sizeof(info)) == sizeof(info))
                        forward(pid, &info);
        }
}

static int status_of_exec(int error)
{
        return error == ENOENT || error == ENOTDIR ? EXIT_EXEC_MISSING : EXIT_EXEC_CANNOT;
}

int exec_child_run(const ExecChild *child, void (*started)(void *userdata), void *userdata,
                   ExecResult *ret)
{
        int report[2], signals, error = 0;
        sigset_t caught, before;
        pid_t pid;

        (void)signal(SIGCHLD, SIG_DFL); /* where it is ignored, there is no status */
        collect_signals(&caught);
        signals = signalfd(-1, &caught, SFD_CLOEXEC);
        if (signals < 0 || pipe2(report, O_CLOEXEC) < 0)
                return -errno;
        (void)sigprocmask(SIG_BLOCK, &caught, &before);
        pid = fork();
        if (pid == 0)
                become_child(child, report[1], &before);
        (void)close(report[1]);
        if (pid < 0)
                return -errno;
        if (read(report[0], &error, sizeof(error)) != sizeof(error))
                error = 0;
        (void)close(report[0]);
        started(userdata);
        let_go_of_stdio();
        ret->status = wait_for(pid, signals);
        ret->exec_errno = error;
        if (error)
                ret->status = status_of_exec(error);
        (void)close(signals);
        return 0;
}
