#include "exec_child.h"
#include "exec_watch.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char *find_path(char *const *env)
{
        for (; *env; env++)
                if (strncmp(*env, "PATH=", 5) == 0)
                        return *env + 5;
        return "/usr/bin:/bin";
}

int exec_program(char *const *argv, char *const *env)
{
        const char *name = argv[0];
        char file[4096];
        int found = ENOENT;

        if (strchr(name, '/')) {
                (void)execve(name, argv, env);
                return errno;
        }
        for (const char *at = find_path(env); at;
             at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
                size_t length = strcspn(at, ":");
                int n = snprintf(file, sizeof(file), "%.*s%s%s", (int)length, at,
                                 length ? "/" : "./", name);

                if (n < 0 || (size_t)n >= sizeof(file))
                        continue;
                (void)execve(file, argv, env);
                if (errno == EACCES)
                        found = EACCES;
                else if (errno != ENOENT && errno != ENOTDIR)
                        return errno;
        }
        return found;
}

int exec_place_descriptors(int session, int report)
{
        int copy = -1, error = 0;

        /* Neither may be in the way of the other's number. */
        if (session >= 0) {
                copy = fcntl(session, F_DUPFD_CLOEXEC, EXEC_REPORT_FD + 1);
                error = copy < 0 ? -errno : 0;
        }
        report = fcntl(report, F_DUPFD_CLOEXEC, EXEC_REPORT_FD + 1);
        if (report < 0 || dup3(report, EXEC_REPORT_FD, O_CLOEXEC) < 0)
                return -errno;
        if (error == 0 && copy >= 0 && dup2(copy, EXEC_SESSION_FD) < 0)
                error = -errno;
        if (copy < 0)
                (void)close(EXEC_SESSION_FD);
        return error;
}

/* Never returns. Only system calls happen here before exec. */
static _Noreturn void become_child(const ExecChild *child, int report, const sigset_t *mask)
{
        int error = -exec_place_descriptors(child->session_fd, report);

        (void)close_range(EXEC_REPORT_FD + 1, ~0U, 0);
        if (error == 0)
                error = -mcpcred_child_mark();
        (void)sigprocmask(SIG_SETMASK, mask, NULL);
        if (error == 0)
                error = exec_program(child->argv, child->env->items);
        if (write(EXEC_REPORT_FD, &error, sizeof(error)) < 0)
                _exit(EXIT_EXEC_SELF);
        _exit(EXIT_EXEC_CANNOT);
}

void exec_let_go_of_stdio(void)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null >= 0) {
                (void)dup2(null, STDIN_FILENO);
                (void)dup2(null, STDOUT_FILENO);
                if (null > STDERR_FILENO)
                        (void)close(null);
        }
}

int exec_status_of(int error)
{
        return error == ENOENT || error == ENOTDIR ? EXIT_EXEC_MISSING : EXIT_EXEC_CANNOT;
}

int exec_child_run(const ExecChild *child, void (*started)(void *userdata), void *userdata,
                   ExecResult *ret)
{
        int report[2], error = 0, r;
        ExecWatch watch;
        pid_t pid;

        r = exec_watch_begin(&watch);
        if (r < 0)
                return r;
        if (pipe2(report, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid == 0)
                become_child(child, report[1], &watch.before);
        (void)close(report[1]);
        if (pid < 0)
                return -errno;
        if (read(report[0], &error, sizeof(error)) != sizeof(error))
                error = 0;
        (void)close(report[0]);
        started(userdata);
        exec_let_go_of_stdio();
        ret->status = exec_watch_wait(&watch, pid);
        ret->exec_errno = error;
        if (error)
                ret->status = exec_status_of(error);
        exec_watch_end(&watch);
        return 0;
}
