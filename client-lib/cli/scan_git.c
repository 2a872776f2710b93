#include "scan_git.h"
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "strings.h"

/* An object up to this size is looked through where it lies; a larger one is streamed. */
#define PIPE_BUFFER (1024U * 1024U)
#define PIPE_SIZE   (1024 * 1024)
#define HEADER_MAX  256U

/* ---- running git ---- */

typedef struct Git {
        pid_t pid;
        int fd; /* of its stdout */
} Git;

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

/* A repository may be somebody else's: nothing that its configuration names is run. */
static void make_command(Strings *strings, const char *repository)
{
        static const char *const words[] = { "--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false",
                                             "-c", "core.quotePath=false" };

        strings_add(strings, "git");
        strings_add(strings, "-C");
        strings_add(strings, repository);
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                strings_add(strings, words[i]);
}

static int spawn(char *const *argv, char *const *env, int out, pid_t *ret)
{
        posix_spawn_file_actions_t actions;
        int r = posix_spawn_file_actions_init(&actions);

        if (r)
                return r;
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawnp(ret, "git", &actions, NULL, argv, env);
        (void)posix_spawn_file_actions_destroy(&actions);
        return r;
}

/* 0, or an errno. `arguments` are taken over. */
static int git_start(Git *git, Strings *arguments)
{
        Strings env = { 0 };
        int pair[2] = { -1, -1 }, r;

        make_environment(&env);
        r = arguments->failed || env.failed ? ENOMEM : pipe2(pair, O_CLOEXEC) < 0 ? errno : 0;
        if (r == 0) {
                (void)fcntl(pair[0], F_SETPIPE_SZ, PIPE_SIZE); /* fewer changes between the two */
                r = spawn(arguments->items, env.items, pair[1], &git->pid);
                (void)close(pair[1]);
        }
        if (r && pair[0] >= 0)
                (void)close(pair[0]);
        git->fd = pair[0];
        strings_free(&env);
        strings_free(arguments);
        return r;
}

/* Whether it has ended well. */
static bool git_end(const Git *git)
{
        int status;

        (void)close(git->fd);
        while (waitpid(git->pid, &status, 0) < 0)
                if (errno != EINTR)
                        return false;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- what it prints ---- */

typedef struct Pipe {
        int fd;
        uint8_t *data;
        size_t start, end;
        bool over; /* there is no more */
} Pipe;

/* Until there are `n` bytes, at most PIPE_BUFFER. False: they do not come. */
static bool pipe_want(Pipe *pipe, size_t n)
{
        if (pipe->start > 0 && pipe->start + n > PIPE_BUFFER) {
                memmove(pipe->data, pipe->data + pipe->start, pipe->end - pipe->start);
                pipe->end -= pipe->start;
                pipe->start = 0;
        }
        while (pipe->end - pipe->start < n && !pipe->over) {
                ssize_t got = read(pipe->fd, pipe->data + pipe->end, PIPE_BUFFER - pipe->end);

                if (got < 0 && errno == EINTR)
                        continue;
                pipe->over = got <= 0;
                pipe->end += got > 0 ? (size_t)got : 0;
        }
        return pipe->end - pipe->start >= n;
}

/* The next line without its end, which is replaced by a NUL. NULL: there is none, or it is too long. */
static char *pipe_line(Pipe *pipe, size_t max)
{
        for (size_t n = 0;;) {
                uint8_t *at = pipe->data + pipe->start, *newline;
                size_t have = pipe->end - pipe->start;

                newline = have > n ? memchr(at + n, '\n', have - n) : NULL;
                if (newline) {
                        *newline = '\0';
                        pipe->start += (size_t)(newline - at) + 1;
                        return (char *)at;
                }
                n = have;
                if (n >= max || !pipe_want(pipe, n + 1))
                        return NULL;
        }
}

/* ---- objects ---- */

typedef struct Object {
        char id[65];
        char type[8];
        uint64_t size;
        Pipe *pipe;
        uint64_t left; /* of a streamed one */
} Object;

/* "ID TYPE SIZE" */
static bool parse_header(char *line, Object *object)
{
        char *save = NULL, *id = strtok_r(line, " ", &save), *type = strtok_r(NULL, " ", &save),
             *size = strtok_r(NULL, " ", &save), *end;

        if (!id || !type || !size || strlen(id) >= sizeof(object->id) || strlen(type) >= sizeof(object->type))
                return false;
        memcpy(object->id, id, strlen(id) + 1);
        memcpy(object->type, type, strlen(type) + 1);
        object->size = strtoull(size, &end, 10);
        return *end == '\0';
}

static ssize_t read_object(void *userdata, void *to, size_t size)
{
        Object *object = userdata;
        Pipe *pipe = object->pipe;
        size_t n;

        if (object->left == 0)
                return 0;
        if (!pipe_want(pipe, 1))
                return -EPIPE;
        n = pipe->end - pipe->start;
        n = n > size ? size : n;
        n = n > object->left ? (size_t)object->left : n;
        memcpy(to, pipe->data + pipe->start, n);
        pipe->start += n;
        object->left -= n;
        return (ssize_t)n;
}

static bool look_at(Scanner *scanner, Object *object, ScanResult *result)
{
        ScanSource source = { .read = read_object, .userdata = object, .size = object->size, .once = true };
        Pipe *pipe = object->pipe;
        uint64_t bytes;

        if (object->size < PIPE_BUFFER) {
                if (!pipe_want(pipe, (size_t)object->size + 1))
                        return false;
                scanner_run_bytes(scanner, (Slice){ pipe->data + pipe->start, (size_t)object->size }, result);
                pipe->start += (size_t)object->size + 1; /* a newline follows */
                return !result->no_memory;
        }
        object->left = object->size;
        if (scanner_run(scanner, &source, result, &bytes) || !pipe_want(pipe, 1))
                return false;
        pipe->start++;
        return true;
}

/* All that git prints. False: it broke off. */
static bool look_at_all(Scanner *scanner, Pipe *pipe, const char *repository, ScanFound *found)
{
        char *line;

        while ((line = pipe_line(pipe, HEADER_MAX))) {
                Object object = { .pipe = pipe };
                ScanResult result = { 0 };
                bool whole;

                if (!parse_header(line, &object)) {
                        scan_found_trouble(found, repository, "git says \"%.100s\"", line);
                        continue;
                }
                whole = look_at(scanner, &object, &result);
                found->looked_at++;
                found->bytes += object.size;
                scan_found_add(found, repository, object.id, object.type, &result);
                if (!whole)
                        return false;
        }
        return pipe->over && pipe->start == pipe->end;
}

void scan_git(const Needles *needles, const char *repository, ScanFound *found)
{
        static const char *const words[] = { "cat-file", "--batch", "--batch-all-objects", "--unordered", "--buffer" };
        _cleanup_(scanner_freep) Scanner *scanner = NULL;
        Strings arguments = { 0 };
        Pipe pipe = { .data = malloc(PIPE_BUFFER) };
        bool whole = false;
        Git git;
        int r;

        if (!pipe.data || scanner_new(&scanner, needles)) {
                free(pipe.data);
                found->no_memory = true;
                return;
        }
        make_command(&arguments, repository);
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                strings_add(&arguments, words[i]);
        r = git_start(&git, &arguments);
        if (r == 0) {
                pipe.fd = git.fd;
                whole = look_at_all(scanner, &pipe, repository, found);
                whole = git_end(&git) && whole;
        }
        if (r)
                scan_found_trouble(found, repository, "git cannot be run: %s", strerror(r));
        else if (!whole)
                scan_found_trouble(found, repository, "git failed, so its history was not looked through to its end");
        free(pipe.data);
}

/* ---- where an object came into the history ---- */

#define LINE_MAX 16384U

/* ":100644 100644 OLD NEW STATUS\tPATH" */
static void take_change(char *line, const char *commit, const char *date, GitPlace *places, size_t n)
{
        char *path = strchr(line, '\t'), *save = NULL, *object;

        if (!path)
                return;
        *path++ = '\0';
        (void)strtok_r(line, " ", &save);
        (void)strtok_r(NULL, " ", &save);
        (void)strtok_r(NULL, " ", &save);
        object = strtok_r(NULL, " ", &save);
        for (size_t i = 0; object && i < n; i++) {
                GitPlace *place = &places[i];

                if (place->path || strcmp(place->object, object) != 0)
                        continue;
                place->path = strdup(path);
                (void)snprintf(place->commit, sizeof(place->commit), "%s", commit);
                (void)snprintf(place->date, sizeof(place->date), "%s", date);
        }
}

static bool read_changes(Pipe *pipe, GitPlace *places, size_t n)
{
        char commit[65] = "", date[32] = "", *line;

        while ((line = pipe_line(pipe, LINE_MAX)))
                if (strncmp(line, "commit ", 7) == 0)
                        (void)sscanf(line + 7, "%64s %31s", commit, date);
                else if (line[0] == ':')
                        take_change(line, commit, date, places, n);
        return pipe->over && pipe->start == pipe->end;
}

bool scan_git_places(const char *repository, GitPlace *places, size_t n)
{
        static const char *const words[] = { "log", "--all", "--reflog", "--date-order", "--reverse", "-m", "--raw", "--no-abbrev",
                                             "--no-renames", "--no-show-signature", "--no-textconv", "--no-ext-diff",
                                             "--no-color", "--root", "--format=commit %H %cI" };
        Strings arguments = { 0 };
        Pipe pipe = { .data = malloc(PIPE_BUFFER) };
        bool whole = false;
        Git git;

        make_command(&arguments, repository);
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                strings_add(&arguments, words[i]);
        for (size_t i = 0; i < n; i++)
                strings_add_format(&arguments, "--find-object=%s", places[i].object);
        if (!pipe.data) {
                strings_free(&arguments);
                return false;
        }
        if (git_start(&git, &arguments) == 0) {
                pipe.fd = git.fd;
                whole = read_changes(&pipe, places, n);
                whole = git_end(&git) && whole;
        }
        free(pipe.data);
        return whole;
}
