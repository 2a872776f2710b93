#include "scan_git_child.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIPE_SIZE (1024 * 1024)
/* A repository can have git open a pipe that nobody writes to. One that says nothing for so long, twice in a row, and
 * does not work meanwhile, is stuck: a large history takes time without a word, but not without work. Once can be
 * because this process was stopped. */
#define IDLE_MSEC 5000
#define IDLE_MOST 2U
#define WORK_NSEC (10 * 1000 * 1000)
/* What git packs as a difference, it has below 512 MiB; it holds the former, the latter and what was made of them. */
#define MEMORY_MAX (2UL * 1024 * 1024 * 1024)

/* ---- its start ---- */

/* What the environment says of some other repository must not stand in for the one that was named; configuration that
 * it brings along (safe.directory) may. */
static bool is_passed_on(const char *variable)
{
        return strncmp(variable, "GIT_", 4) != 0 || strncmp(variable, "GIT_CONFIG_", 11) == 0;
}

static void make_environment(Strings *strings)
{
        for (char **variable = environ; *variable; variable++)
                if (is_passed_on(*variable))
                        strings_add(strings, *variable);
        /* Nothing is downloaded for this, by a program that the repository names. The first is not known to every git. */
        strings_add(strings, "GIT_NO_LAZY_FETCH=1");
        strings_add(strings, "GIT_ALLOW_PROTOCOL=none");
        strings_add(strings, "GIT_NO_REPLACE_OBJECTS=1");
        strings_add(strings, "GIT_PAGER=cat");
}

/* A repository may be somebody else's: nothing that its configuration names is run, or read without end. */
static void make_command(Strings *strings, const char *repository, const Strings *words)
{
        static const char *const safe[] = { "--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false",
                                            "-c", "core.quotePath=false", "-c", "log.mailmap=false",
                                            "-c", "core.bigFileThreshold=32m" };

        strings_add(strings, "git");
        strings_add(strings, "-C");
        strings_add(strings, repository);
        for (size_t i = 0; i < ARRAY_SIZE(safe); i++)
                strings_add(strings, safe[i]);
        for (size_t i = 0; i < words->n; i++)
                strings_add(strings, words->items[i]);
        strings->failed = strings->failed || words->failed;
}

static int spawn(char *const *argv, char *const *env, int out, int err, pid_t *ret)
{
        posix_spawn_file_actions_t actions;
        int r = posix_spawn_file_actions_init(&actions);

        if (r)
                return r;
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
        if (r == 0)
                r = posix_spawnp(ret, "git", &actions, NULL, argv, env);
        (void)posix_spawn_file_actions_destroy(&actions);
        return r;
}

/* A file of the repository that leads to a device has no end. Packs that are mapped do not count. */
static void limit_memory(pid_t pid)
{
        struct rlimit limit;

        if (prlimit(pid, RLIMIT_DATA, NULL, &limit) == 0 && limit.rlim_cur > MEMORY_MAX) {
                limit.rlim_cur = MEMORY_MAX;
                (void)prlimit(pid, RLIMIT_DATA, &limit, NULL);
        }
}

static void close_pair(int pair[2])
{
        for (size_t i = 0; i < 2; i++)
                if (pair[i] >= 0)
                        (void)close(pair[i]);
}

int git_child_start(GitChild *git, const char *repository, Strings *words)
{
        Strings arguments = { 0 }, env = { 0 };
        int out[2] = { -1, -1 }, err[2] = { -1, -1 }, r;

        *git = (GitChild){ .out = -1, .err = -1, .data = malloc(GIT_BUFFER) };
        make_environment(&env);
        make_command(&arguments, repository, words);
        r = !git->data || arguments.failed || env.failed ? ENOMEM : 0;
        if (r == 0 && (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0))
                r = errno;
        if (r == 0) {
                (void)fcntl(out[0], F_SETPIPE_SZ, PIPE_SIZE); /* fewer changes between the two */
                r = spawn(arguments.items, env.items, out[1], err[1], &git->pid);
        }
        if (r == 0) {
                limit_memory(git->pid);
                git->out = out[0];
                git->err = err[0];
                out[0] = err[0] = -1;
        } else {
                free(git->data);
                git->data = NULL;
        }
        close_pair(out);
        close_pair(err);
        strings_free(&env);
        strings_free(&arguments);
        strings_free(words);
        return r;
}

/* ---- what it prints ---- */

static void close_fd(int *fd)
{
        (void)close(*fd);
        *fd = -1;
}

/* All of it is read, or git would wait; the beginning is kept. */
static void take_said(GitChild *git)
{
        char part[4096];
        ssize_t n = read(git->err, part, sizeof(part));
        size_t left = sizeof(git->said) - 1 - git->n_said, kept = n > 0 ? (size_t)n : 0;

        if (n <= 0 && !(n < 0 && errno == EINTR))
                close_fd(&git->err);
        kept = kept < left ? kept : left;
        memcpy(git->said + git->n_said, part, kept);
        git->n_said += kept;
}

static void take_output(GitChild *git)
{
        ssize_t n = read(git->out, git->data + git->end, GIT_BUFFER - git->end);

        if (n > 0)
                git->end += (size_t)n;
        else if (n == 0 || errno != EINTR)
                git->over = true;
}

/* Its processor time, in nanoseconds; 0: that is not known. */
static uint64_t work_of(const GitChild *git)
{
        struct timespec time;
        clockid_t clock;

        if (clock_getcpuclockid(git->pid, &clock) || clock_gettime(clock, &time) < 0)
                return 0;
        return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static void note_silence(GitChild *git, uint64_t work)
{
        git->idle = work < WORK_NSEC ? git->idle + 1 : 0;
        if (git->idle < IDLE_MOST)
                return;
        git->stuck = git->over = true;
        (void)kill(git->pid, SIGKILL);
}

/* What comes next on one of the two, or nothing for a while. */
static void take_next(GitChild *git)
{
        struct pollfd fds[] = { { .fd = git->out, .events = POLLIN }, { .fd = git->err, .events = POLLIN } };
        uint64_t before = work_of(git);
        int n = poll(fds, ARRAY_SIZE(fds), IDLE_MSEC);

        if (n == 0)
                note_silence(git, work_of(git) - before);
        if (n <= 0)
                return;
        git->idle = 0;
        if (fds[1].revents)
                take_said(git);
        if (fds[0].revents)
                take_output(git);
}

bool git_child_want(GitChild *git, size_t n)
{
        if (git->start > 0 && git->start + n > GIT_BUFFER) {
                memmove(git->data, git->data + git->start, git->end - git->start);
                git->end -= git->start;
                git->start = 0;
        }
        while (git->end - git->start < n && !git->over)
                take_next(git);
        return git->end - git->start >= n;
}

char *git_child_line(GitChild *git, size_t max)
{
        for (size_t n = 0;;) {
                uint8_t *at = git->data + git->start, *newline;
                size_t have = git->end - git->start;

                newline = have > n ? memchr(at + n, '\n', have - n) : NULL;
                if (newline) {
                        *newline = '\0';
                        git->start += (size_t)(newline - at) + 1;
                        return (char *)at;
                }
                n = have;
                if (n >= max || !git_child_want(git, n + 1))
                        return NULL;
        }
}

/* ---- its end ---- */

bool git_child_end(GitChild *git)
{
        int status;

        close_fd(&git->out); /* what is not wanted any more ends it */
        while (git->err >= 0 && !git->stuck)
                take_next(git);
        if (git->err >= 0)
                close_fd(&git->err);
        free(git->data);
        git->data = NULL;
        while (waitpid(git->pid, &status, 0) < 0)
                if (errno != EINTR)
                        return false;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
