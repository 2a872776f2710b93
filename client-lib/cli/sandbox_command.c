#include "sandbox_command.h"
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void add_pair(Strings *to, const char *option, const char *value)
{
        strings_add(to, option);
        strings_add(to, value);
}

static void add_mount(Strings *to, const char *option, const char *from, const char *at)
{
        add_pair(to, option, from);
        strings_add(to, at);
}

static void add_number(Strings *to, const char *option, int number)
{
        strings_add(to, option);
        strings_add_format(to, "%d", number);
}

static void add_namespaces(const SandboxCommand *command, Strings *to)
{
        static const char *const always[] = { "--unshare-pid", "--unshare-ipc", "--unshare-uts",
                                              "--unshare-cgroup-try", "--die-with-parent" };

        /* Root needs no user namespace, and where it could not make one, bubblewrap cannot. */
        if (command->own_network || geteuid() != 0)
                strings_add(to, "--unshare-user");
        if (!command->own_network)
                strings_add(to, "--unshare-net");
        for (size_t i = 0; i < ARRAY_SIZE(always); i++)
                strings_add(to, always[i]);
        if (command->apart)
                strings_add(to, "--new-session");
        if (geteuid() == 0) /* which otherwise keeps all of them */
                add_pair(to, "--cap-drop", "ALL");
        if (command->files->filter >= 0)
                add_number(to, "--seccomp", command->files->filter);
}

/* Where a system is a link in /run, its programs are found by that. */
static void add_current_system(Strings *to)
{
        static const char name[] = "/run/current-system";
        char target[PATH_MAX];
        ssize_t n = readlink(name, target, sizeof(target) - 1);

        if (n <= 0)
                return;
        target[n] = '\0';
        add_mount(to, "--symlink", target, name);
}

static void add_system(const SandboxCommand *command, Strings *to)
{
        static const char *const keyrings[] = { "/proc/keys", "/proc/key-users" };
        const Places *places = command->places;

        add_mount(to, "--ro-bind", "/", "/");
        add_pair(to, "--dev", "/dev");
        add_pair(to, "--tmpfs", "/dev/shm");
        add_pair(to, "--proc", "/proc");
        for (size_t i = 0; i < ARRAY_SIZE(keyrings); i++) /* with the names of the user's keys */
                if (access(keyrings[i], F_OK) == 0)
                        add_mount(to, "--ro-bind", "/dev/null", keyrings[i]);
        /* Root's files in it take root's word without any capability: core_pattern names what the
         * kernel starts outside. */
        if (geteuid() == 0)
                add_pair(to, "--remount-ro", "/proc");
        for (size_t i = 0; i < places->hidden.n; i++) {
                const char *path = places->hidden.items[i];

                add_pair(to, "--perms",
                         strcmp(path, "/tmp") == 0 || strcmp(path, "/var/tmp") == 0 ? "1777"
                                                                                    : "0755");
                add_pair(to, "--tmpfs", path);
        }
        for (size_t i = 0; i < places->masked.n; i++)
                add_mount(to, "--ro-bind", "/dev/null", places->masked.items[i]);
        add_current_system(to);
        add_pair(to, "--perms", "0700");
        add_pair(to, "--dir", places->home);
}

static void add_binds(const SandboxCommand *command, Strings *to)
{
        for (size_t i = 0; i < command->n_binds; i++) {
                const SandboxBind *bind = &command->binds[i];
                const char *option = bind->writable ? "--bind" : "--ro-bind";

                add_mount(to, option, bind->path, bind->path);
                if (bind->as)
                        add_mount(to, option, bind->path, bind->as);
        }
}

/*
 * Puts a descriptor's contents in the place of a file of /etc. That may be a link, dangling in here
 * where it ends in a directory that is hidden, and the file is then made there. A file that is not
 * there at all cannot be made in a read-only directory, and nothing is missed without it. One that
 * is mounted there and deleted where it came from (a container's, say) cannot be mounted over, and
 * stays.
 */
static void add_contents(const SandboxCommand *command, Strings *to, int fd, const char *path)
{
        _cleanup_(free_memory) char *end = path_follow(path);
        struct stat st;

        if (!end || fd < 0)
                return;
        if (!places_hide(command->places, end) && (stat(end, &st) < 0 || st.st_nlink == 0))
                return;
        add_pair(to, "--perms", "0644");
        add_number(to, "--ro-bind-data", fd);
        strings_add(to, end);
}

static bool is_bound(const SandboxCommand *command, const char *path)
{
        for (size_t i = 0; i < command->n_binds; i++)
                if (path_is_within(path, command->binds[i].path))
                        return true;
        return false;
}

static void add_directory(const SandboxCommand *command, Strings *to)
{
        _cleanup_(free_memory) char *current = getcwd(NULL, 0);
        bool seen = current && current[0] == '/' && access(current, X_OK) == 0 &&
                    (is_bound(command, current) || !places_hide(command->places, current));

        add_pair(to, "--chdir", seen ? current : "/");
}

/* This program once more, by its descriptor: where it stands may be hidden. */
static void add_inner(const SandboxCommand *command, Strings *to)
{
        strings_add(to, "--");
        strings_add_format(to, "/proc/self/fd/%d", command->files->self);
        strings_add(to, SANDBOX_INNER);
        strings_add_format(to, "%d", command->files->channel);
        strings_add_format(to, "%llx", (unsigned long long)command->unblock);
        strings_add(to, command->own_network ? "-" : "listen");
        for (char *const *word = command->argv; *word; word++)
                strings_add(to, *word);
}

void sandbox_command_build(const SandboxCommand *command, Strings *ret)
{
        *ret = (Strings){ 0 };
        strings_add(ret, "bwrap");
        add_namespaces(command, ret);
        add_system(command, ret);
        add_binds(command, ret);
        add_mount(ret, "--ro-bind", command->session, command->session);
        add_contents(command, ret, command->files->resolv, "/etc/resolv.conf");
        add_contents(command, ret, command->files->hosts, "/etc/hosts");
        for (size_t i = 0; i < command->arguments->n; i++)
                strings_add(ret, command->arguments->items[i]);
        add_directory(command, ret);
        add_inner(command, ret);
}
