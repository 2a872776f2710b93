#include "cli.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long a broker may take until it answers: it opens the keyring and resolves what a crash left.
 */
#define START_MS 15000
/* Between the socket's appearance and its owner's listen() the file system says nothing. */
#define RETRY_MS        10
#define ENVIRONMENT_MAX 8U

/* Nothing of the caller's environment: a project's launcher could have set it. */
typedef struct Environment {
        char *items[ENVIRONMENT_MAX + 1];
        size_t n;
} Environment;

static bool set(Environment *environment, const char *name, const char *value)
{
        if (environment->n >= ENVIRONMENT_MAX ||
            asprintf(&environment->items[environment->n], "%s=%s", name, value) < 0)
                return false;
        environment->n++;
        return true;
}

static bool is_ours(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
               !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static bool build_environment(Environment *environment)
{
        char run[64], bus[128];
        struct passwd *user = getpwuid(geteuid());
        struct stat st;

        (void)snprintf(run, sizeof(run), "/run/user/%u", (unsigned)geteuid());
        (void)snprintf(bus, sizeof(bus), "%s/bus", run);
        if (!user || !set(environment, "HOME", user->pw_dir) ||
            !set(environment, "USER", user->pw_name) ||
            !set(environment, "LOGNAME", user->pw_name) ||
            !set(environment, "PATH", "/usr/local/bin:/usr/bin:/bin") ||
            !set(environment, "LANG", "C.UTF-8"))
                return false;
        if (is_ours(run) && !set(environment, "XDG_RUNTIME_DIR", run))
                return false;
        (void)snprintf(bus, sizeof(bus), "%s/bus", run);
        if (is_ours(run) && lstat(bus, &st) == 0 && S_ISSOCK(st.st_mode)) {
                (void)snprintf(bus, sizeof(bus), "unix:path=%s/bus", run);
                return set(environment, "DBUS_SESSION_BUS_ADDRESS", bus);
        }
        return true;
}

/* The command line: its paths are compiled in or were given to us as arguments. */
static void build_argv(const Cli *cli, const char *broker, const char *runtime,
                       const char *argv[16])
{
        const struct {
                const char *option, *value;
        } pairs[] = { { "--runtime", cli->system ? NULL : runtime },
                      { "--libexec", cli->libexec },
                      { "--state", cli->state },
                      { "--config", cli->config } };
        size_t n = 0;

        argv[n++] = broker;
        argv[n++] = "--foreground";
        if (cli->system)
                argv[n++] = "--system";
        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
                if (pairs[i].value) {
                        argv[n++] = pairs[i].option;
                        argv[n++] = pairs[i].value;
                }
        argv[n] = NULL;
}

/* In the child: a session of its own, no descriptor of ours, signals as they are at the start. */
static _Noreturn void become_broker(const char *const *argv, char *const *environment, int log)
{
        sigset_t none;
        int null = open("/dev/null", O_RDWR);

        (void)setsid();
        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        for (int number = 1; number < NSIG; number++)
                (void)signal(number, SIG_DFL);
        if (chdir("/") < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(log, 2) < 0)
                _exit(EXIT_EXEC_CANNOT);
        (void)close_range(3, ~0U, 0);
        (void)umask(077);
        execve(argv[0], (char *const *)(uintptr_t)argv, environment);
        _exit(errno == ENOENT ? EXIT_EXEC_MISSING : EXIT_EXEC_CANNOT);
}

/* Each directory on the way that is missing is made for this user alone. */
static bool make_directories(const char *path)
{
        char *copy = strdup(path);
        bool good = copy != NULL;

        for (char *at = copy ? copy + 1 : NULL; good && at && *at; at++)
                if (*at == '/') {
                        *at = '\0';
                        good = mkdir(copy, 0700) == 0 || errno == EEXIST || errno == EROFS ||
                               errno == EACCES;
                        *at = '/';
                }
        good = good && (mkdir(path, 0700) == 0 || errno == EEXIST);
        free(copy);
        return good;
}

static int64_t now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool drain(int inotify)
{
        char events[4096] __attribute__((aligned(8)));
        bool any = false;

        while (read(inotify, events, sizeof(events)) > 0)
                any = true;
        return any;
}

/*
 * Waits until the broker answers: for its socket to appear, or for the process to end. 0; 1: the
 * process ended, with *ret_status; 2: it took too long.
 */
static int wait_until_ready(Cli *cli, pid_t pid, int inotify, int *ret_status)
{
        int64_t until = now_ms() + START_MS;
        int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), result = 2;
        bool seen = false;

        while (now_ms() < until) {
                struct pollfd pollers[] = { { .fd = inotify, .events = POLLIN },
                                            { .fd = pidfd, .events = POLLIN } };
                int64_t left = until - now_ms();

                if (mcpcred_connect(cli->client) == 0) {
                        result = 0;
                        break;
                }
                if (poll(pollers, pidfd < 0 ? 1 : 2, seen ? RETRY_MS : (int)left) < 0 &&
                    errno != EINTR)
                        break;
                seen = drain(inotify) || seen;
                if (waitpid(pid, ret_status, WNOHANG) == pid) {
                        result = 1;
                        break;
                }
        }
        if (pidfd >= 0)
                (void)close(pidfd);
        return result;
}

/* The last line that the broker wrote before it gave up. */
static void last_line(int log, char out[512])
{
        char text[4096];
        off_t size = lseek(log, 0, SEEK_END);
        ssize_t n = pread(log, text, sizeof(text) - 1,
                          size > (off_t)sizeof(text) - 1 ? size - (off_t)sizeof(text) + 1 : 0);
        char *line = text;

        out[0] = '\0';
        if (n <= 0)
                return;
        text[n] = '\0';
        while (n > 0 && text[n - 1] == '\n')
                text[--n] = '\0';
        if (strrchr(text, '\n'))
                line = strrchr(text, '\n') + 1;
        (void)snprintf(out, 512, " It said: %.400s", line);
}

static int complain_start(Cli *cli, int result, int status, int log, const char *broker)
{
        char said[512];

        last_line(log, said);
        if (result == 2)
                return cli_fail_local(cli, EXIT_UNREACHABLE, "Unreachable",
                                      "`mcpcredd --check` examines its setup.",
                                      "The broker that was started does not answer.%s", said);
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_EXEC_MISSING)
                return cli_fail_local(cli, EXIT_UNREACHABLE, "Unreachable",
                                      "Install mcpcredd, or start one by hand.",
                                      "No broker is running, and there is no %s to start.", broker);
        return cli_fail_local(cli, EXIT_UNREACHABLE, "Unreachable",
                              "`mcpcredd --check` examines its setup.",
                              "The broker could not be started (%s %d).%s",
                              WIFEXITED(status) ? "status" : "signal",
                              WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), said);
}

static int spawn_broker(Cli *cli, const char *runtime, int log, int inotify)
{
        const char *broker = cli->broker ? cli->broker : MCPCRED_BROKER;
        const char *argv[16];
        Environment environment = { 0 };
        int status = 0, result;
        pid_t pid;

        if (!build_environment(&environment))
                return cli_fail_local(cli, EXIT_FAILED, "System", "",
                                      "This user is in no user database.");
        build_argv(cli, broker, runtime, argv);
        pid = fork();
        if (pid == 0)
                become_broker(argv, environment.items, log);
        for (size_t i = 0; i < environment.n; i++)
                free(environment.items[i]);
        if (pid < 0)
                return cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot fork: %s.",
                                      strerror(errno));
        result = wait_until_ready(cli, pid, inotify, &status);
        return result ? complain_start(cli, result, status, log, broker) : 0;
}

/* With the lock held: one more look, then a broker. */
static int start_locked(Cli *cli, const char *runtime, int directory)
{
        int inotify, log, r;

        if (mcpcred_connect(cli->client) == 0)
                return 0;
        inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (inotify < 0 ||
            inotify_add_watch(inotify, runtime, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) < 0)
                return cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot watch %s: %s.",
                                      runtime, strerror(errno));
        log = openat(directory, "start.log",
                     O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (log < 0)
                r = cli_fail_local(cli, EXIT_FAILED, "System", "", "%s/start.log: %s.", runtime,
                                   strerror(errno));
        else
                r = spawn_broker(cli, runtime, log, inotify);
        if (log >= 0)
                (void)close(log);
        (void)close(inotify);
        return r;
}

/* One caller starts, the others wait for it. The holder is bounded by START_MS, so this is too. */
static int start_broker(Cli *cli, const char *runtime)
{
        int directory, lock, r;

        if (!make_directories(runtime))
                return cli_fail_local(cli, EXIT_UNREACHABLE, "Unreachable", "",
                                      "Cannot make %s: %s.", runtime, strerror(errno));
        directory = open(runtime, O_DIRECTORY | O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        lock = directory < 0 ? -1
                             : openat(directory, "start.lock",
                                      O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock < 0 || flock(lock, LOCK_EX) < 0)
                r = cli_fail_local(cli, EXIT_UNREACHABLE, "Unreachable", "", "Cannot lock %s: %s.",
                                   runtime, strerror(errno));
        else
                r = start_locked(cli, runtime, directory);
        if (lock >= 0)
                (void)close(lock);
        if (directory >= 0)
                (void)close(directory);
        return r;
}

int broker_ensure(Cli *cli)
{
        _cleanup_(free_memory) char *runtime = NULL;
        const char *found;
        int r;

        if (mcpcred_is_marked())
                return cli_fail_local(cli, EXIT_DENIED, "NotAllowed",
                                      "Ask from outside the session.",
                                      "This process belongs to a session (or has a finite "
                                      "RLIMIT_RTTIME), so it may not open one.");
        r = mcpcred_connect(cli->client);
        if (r != MCPCRED_E_UNREACHABLE)
                return r ? cli_fail(cli) : 0;
        if (cli->system && geteuid() != 0)
                return cli_fail(cli);
        found = mcpcred_runtime(cli->client);
        runtime = found ? strdup(found) : NULL;
        if (!runtime)
                return cli_fail(cli);
        return start_broker(cli, runtime);
}
