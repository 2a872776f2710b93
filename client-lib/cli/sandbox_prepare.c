#include "sandbox.h"
#include "sandbox_filter.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Above the numbers that the command's descriptors get. */
#define NUMBER_MIN 10

static int no_memory(Cli *cli)
{
        return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
}

/* Not along PATH, which whoever starts us may have set: a false one would be no sandbox. */
static int find_bubblewrap(Sandbox *sandbox)
{
        static const char *const usual[] = { "/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap",
                                             "/run/current-system/sw/bin/bwrap" };
        const char *given = sandbox->options->bubblewrap;

        for (size_t i = 0; !given && i < ARRAY_SIZE(usual); i++)
                if (access(usual[i], X_OK) == 0) {
                        sandbox->bubblewrap = usual[i];
                        return 0;
                }
        sandbox->bubblewrap = given;
        if (given && access(given, X_OK) == 0)
                return 0;
        return cli_fail_local(sandbox->cli, EXIT_FAILED, "NotFound",
                              "Install the package bubblewrap, or say where it is with --bwrap.",
                              "--sandbox needs bubblewrap, and there is no %s.",
                              given ? given : usual[0]);
}

/* ---- what is asked for beside the system ---- */

/* A link in a hidden directory is not seen inside; what it stands for is put in its place. */
static char *hidden_name(const Sandbox *sandbox, const char *given, const char *canonical)
{
        _cleanup_(free_memory) char *absolute = NULL, *directory = NULL, *cwd = NULL;
        const char *name;
        char *as = NULL;

        cwd = given[0] == '/' ? strdup("") : getcwd(NULL, 0);
        if (!cwd || asprintf(&absolute, "%s/%s", cwd, given) < 0)
                return NULL;
        for (size_t n = strlen(absolute); n > 1 && absolute[n - 1] == '/'; n--)
                absolute[n - 1] = '\0';
        name = strrchr(absolute, '/') + 1;
        if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
                return NULL;
        absolute[name - absolute - 1] = '\0';
        directory = path_canonical(*absolute ? absolute : "/");
        if (!directory || asprintf(&as, "%s/%s", directory[1] ? directory : "", name) < 0)
                return NULL;
        if (strcmp(as, canonical) != 0 && places_hide(&sandbox->places, as))
                return as;
        free(as);
        return NULL;
}

static int add_bind(Sandbox *sandbox, const char *given, bool writable)
{
        const char *option = writable ? "rw" : "ro", *opened;
        char *found = realpath(given, NULL);

        if (!found)
                return cli_fail_local(sandbox->cli, EXIT_NO_SUCH, "NotFound",
                                      "Name a file or directory that is there.", "--%s %s: %s.",
                                      option, given, strerror(errno));
        sandbox->binds[sandbox->n_binds++] =
                (SandboxBind){ found, hidden_name(sandbox, given, found), writable };
        opened = places_opened_by(&sandbox->places, found);
        if (!opened)
                return 0;
        return cli_fail_local(sandbox->cli, EXIT_USAGE, "Usage",
                              "Name what the command needs of it, and nothing around that.",
                              "--%s %s would let the sandbox at %s.", option, given, opened);
}

static int by_path(const void *a, const void *b)
{
        return strcmp(((const SandboxBind *)a)->path, ((const SandboxBind *)b)->path);
}

static int add_binds(Sandbox *sandbox)
{
        const Texts *lists[] = { &sandbox->options->readable, &sandbox->options->writable };
        int r = 0;

        sandbox->binds = calloc(lists[0]->n + lists[1]->n + 1, sizeof(*sandbox->binds));
        if (!sandbox->binds)
                return no_memory(sandbox->cli);
        for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
                for (size_t i = 0; r == 0 && i < lists[l]->n; i++)
                        r = add_bind(sandbox, lists[l]->items[i], l == 1);
        /* What is deeper would be hidden by what is mounted later above it. */
        qsort(sandbox->binds, sandbox->n_binds, sizeof(*sandbox->binds), by_path);
        return r;
}

/* ---- what bubblewrap inherits ---- */

static int raise_number(int fd)
{
        int raised = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, NUMBER_MIN);

        if (fd >= 0)
                (void)close(fd);
        return raised;
}

static int file_of(const char *name, const char *text)
{
        int fd = memfd_create(name, MFD_CLOEXEC);

        if (fd >= 0 && (write(fd, text, strlen(text)) != (ssize_t)strlen(text) ||
                        lseek(fd, 0, SEEK_SET) < 0)) {
                (void)close(fd);
                fd = -1;
        }
        return raise_number(fd);
}

/* The name of this machine too: programs ask for their own. */
static void hosts_text(char *out, size_t size)
{
        char name[65] = "";
        size_t length;

        (void)gethostname(name, sizeof(name) - 1);
        length = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.");
        if (name[length])
                name[0] = '\0';
        (void)snprintf(out, size, "127.0.0.1 localhost%s%s\n::1 localhost ip6-localhost\n",
                       *name ? " " : "", name);
}

static int make_files(Sandbox *sandbox)
{
        SandboxFiles *files = &sandbox->files;
        char hosts[256];

        hosts_text(hosts, sizeof(hosts));
        files->resolv =
                file_of("resolv.conf", "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n");
        files->hosts = file_of("hosts", hosts);
        files->self = raise_number(open("/proc/self/exe", O_PATH | O_CLOEXEC));
        if (files->resolv < 0 || files->hosts < 0 || files->self < 0)
                return cli_fail_local(sandbox->cli, EXIT_FAILED, "System", "",
                                      "Cannot prepare the sandbox: %s.", strerror(errno));
        return 0;
}

/* There is none for some architectures, where the rest of the sandbox has to do. */
static int make_filter(Sandbox *sandbox)
{
        int fd = sandbox_filter_new();

        if (fd == -ENOSYS) {
                cli_note("there is no system call filter for this architecture: the sandbox may "
                         "make sockets of every family, and user namespaces");
                return 0;
        }
        sandbox->files.filter = raise_number(fd);
        if (sandbox->files.filter >= 0)
                return 0;
        return cli_fail_local(sandbox->cli, EXIT_FAILED, "System", "",
                              "Cannot prepare the sandbox's filter: %s.",
                              strerror(fd < 0 ? -fd : errno));
}

/*
 * A command that shares our terminal could type into it. Where it has no use for a terminal, or
 * there is no filter against that, it gets a terminal session of its own.
 */
static void choose_terminal(Sandbox *sandbox)
{
        bool terminal = isatty(STDIN_FILENO) || isatty(STDOUT_FILENO) || isatty(STDERR_FILENO);

        sandbox->apart = !terminal || sandbox->files.filter < 0;
}

int sandbox_prepare(Sandbox *sandbox, Cli *cli, const SandboxOptions *options)
{
        int r;

        *sandbox = (Sandbox){ .cli = cli,
                              .options = options,
                              .files = { .resolv = -1,
                                         .hosts = -1,
                                         .filter = -1,
                                         .self = -1,
                                         .channel = -1 } };
        r = find_bubblewrap(sandbox);
        if (r == 0 && !places_find(&sandbox->places, cli))
                r = no_memory(cli);
        if (r == 0)
                r = add_binds(sandbox);
        if (r == 0)
                r = make_files(sandbox);
        if (r == 0)
                r = make_filter(sandbox);
        if (r == 0)
                choose_terminal(sandbox);
        return r;
}

bool sandbox_adapt_environment(const Sandbox *sandbox, ExecEnv *env)
{
        return exec_env_set(env, "HOME", sandbox->places.home) &&
               (!exec_env_get(env, "TMPDIR") || exec_env_set(env, "TMPDIR", "/tmp"));
}

void sandbox_free(Sandbox *sandbox)
{
        const int fds[] = { sandbox->files.resolv, sandbox->files.hosts, sandbox->files.filter,
                            sandbox->files.self, sandbox->files.channel };

        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                if (fds[i] > 0)
                        (void)close(fds[i]);
        for (size_t i = 0; i < sandbox->n_binds; i++) {
                free(sandbox->binds[i].path);
                free(sandbox->binds[i].as);
        }
        free(sandbox->binds);
        places_free(&sandbox->places);
        *sandbox = (Sandbox){ 0 };
}
