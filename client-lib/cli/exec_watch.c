#include "exec_watch.h"
#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

int exec_watch_begin(ExecWatch *watch)
{
        *watch = (ExecWatch){ .target = -1 };
        (void)signal(SIGCHLD, SIG_DFL); /* where it is ignored, there is no status */
        collect_signals(&watch->caught);
        watch->signals = signalfd(-1, &watch->caught, SFD_CLOEXEC);
        if (watch->signals < 0)
                return -errno;
        (void)sigprocmask(SIG_BLOCK, &watch->caught, &watch->before);
        return 0;
}

int exec_watch_pending(ExecWatch *watch)
{
        struct pollfd poller = { .fd = watch->signals, .events = POLLIN };
        struct signalfd_siginfo info;

        while (poll(&poller, 1, 0) > 0 &&
               read(watch->signals, &info, sizeof(info)) == sizeof(info))
                if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGWINCH)
                        return (int)info.ssi_signo;
        return 0;
}

/* What the terminal sends goes to the whole group and has reached the child already. */
static void forward(const ExecWatch *watch, pid_t child, const struct signalfd_siginfo *info)
{
        if (info->ssi_signo == SIGCHLD || (info->ssi_code == SI_KERNEL && !watch->apart))
                return;
        if (watch->target >= 0)
                (void)syscall(SYS_pidfd_send_signal, watch->target, (int)info->ssi_signo, NULL, 0);
        else
                (void)kill(child, (int)info->ssi_signo);
}

int exec_watch_wait(ExecWatch *watch, pid_t child)
{
        struct signalfd_siginfo info;
        int status;

        for (;;) {
                pid_t ended = waitpid(child, &status, WNOHANG);

                if (ended == child)
                        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                if (ended < 0 && errno != EINTR)
                        return EXIT_EXEC_SELF;
                if (read(watch->signals, &info, sizeof(info)) == sizeof(info))
                        forward(watch, child, &info);
        }
}

void exec_watch_end(ExecWatch *watch)
{
        (void)close(watch->signals);
        if (watch->target >= 0)
                (void)close(watch->target);
}
