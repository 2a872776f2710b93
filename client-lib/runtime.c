#include "runtime.h"
#include "base/fd.h"
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CANDIDATES  3U
#define SOCKET_NAME "broker.sock"
/* What the kernel calls a user who is not mapped here, unless an administrator changed it. */
#define OVERFLOW_UID 65534U

static int format(char **ret, const char *directory, const char *name)
{
        return asprintf(ret, "%s/%s", directory, name) < 0 ? -ENOMEM : 0;
}

static bool is_absolute(const char *path)
{
        return path && path[0] == '/';
}

/* The home directory of the environment, else of the user database. */
static int home_directory(char **ret)
{
        const char *home = secure_getenv("HOME");
        struct passwd entry, *found = NULL;
        char space[4096];

        if (!is_absolute(home) &&
            getpwuid_r(geteuid(), &entry, space, sizeof(space), &found) == 0 && found)
                home = found->pw_dir;
        if (!is_absolute(home))
                return -ENOENT;
        *ret = strdup(home);
        return *ret ? 0 : -ENOMEM;
}

static int state_runtime(char **ret)
{
        _cleanup_(freep) char *home = NULL;
        const char *state = secure_getenv("XDG_STATE_HOME");
        int r;

        if (is_absolute(state))
                return format(ret, state, "mcpcred/run");
        r = home_directory(&home);
        return r < 0 ? r : format(ret, home, ".local/state/mcpcred/run");
}

/* Those that apply, in the order of preference; later ones stay NULL. */
static int candidates(char *paths[CANDIDATES])
{
        const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
        char run_user[64];
        size_t n = 0;
        int r;

        if (is_absolute(runtime)) {
                r = format(&paths[n++], runtime, "mcpcred");
                if (r < 0)
                        return r;
        }
        (void)snprintf(run_user, sizeof(run_user), "/run/user/%u", (unsigned)geteuid());
        if (access(run_user, F_OK) == 0) {
                r = format(&paths[n++], run_user, "mcpcred");
                if (r < 0)
                        return r;
        }
        r = state_runtime(&paths[n]);
        return r == -ENOENT && n > 0 ? 0 : r;
}

static int has_socket(const char *directory)
{
        _cleanup_(freep) char *path = NULL;
        struct stat st;
        int r = format(&path, directory, SOCKET_NAME);

        return r < 0 ? r : lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static void free_paths(char *(*paths)[CANDIDATES])
{
        for (size_t i = 0; i < CANDIDATES; i++)
                free((*paths)[i]);
}

int runtime_find(char **ret)
{
        _cleanup_(free_paths) char *paths[CANDIDATES] = { 0 };
        int r = candidates(paths);

        if (r < 0)
                return r;
        for (size_t i = 0; i < CANDIDATES && paths[i]; i++) {
                r = has_socket(paths[i]);
                if (r < 0)
                        return r;
                if (r > 0) {
                        *ret = take_ptr(paths[i]);
                        return 0;
                }
        }
        *ret = take_ptr(paths[0]);
        return 0;
}

static bool is_trusted(uid_t uid)
{
        return uid == geteuid() || uid == 0;
}

/* Also for paths that do not fit a socket address: those go by way of an open directory. */
static int address_of(const char *path, struct sockaddr_un *address, int *ret_directory)
{
        const char *name = strrchr(path, '/');
        char parent[4096];
        int n;

        *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
        if (strlen(path) < sizeof(address->sun_path)) {
                memcpy(address->sun_path, path, strlen(path) + 1);
                return 0;
        }
        if (!name || (size_t)(name - path) >= sizeof(parent))
                return -ENAMETOOLONG;
        memcpy(parent, path, (size_t)(name - path));
        parent[name - path] = '\0';
        *ret_directory = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (*ret_directory < 0)
                return error_errno();
        n = snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d%s",
                     *ret_directory, name);
        return n < 0 || (size_t)n >= sizeof(address->sun_path) ? -ENAMETOOLONG : 0;
}

int runtime_connect_path(const char *path, unsigned timeout_ms, bool lax, int *ret_fd)
{
        /* Also of connect(), which waits where the queue of a server that is stuck is full. */
        const struct timeval timeout = { timeout_ms / 1000,
                                         (suseconds_t)(timeout_ms % 1000) * 1000 };
        _cleanup_(fd_closep) int fd = -1;
        _cleanup_(fd_closep) int directory = -1;
        struct sockaddr_un address;
        struct ucred peer;
        socklen_t size = sizeof(peer);
        int r = address_of(path, &address, &directory);

        if (r < 0)
                return r;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
            connect(fd, (const void *)&address, sizeof(address)) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return error_errno();
        if (!is_trusted(peer.uid) && !(lax && peer.uid == OVERFLOW_UID))
                return RUNTIME_E_FOREIGN_SERVER;
        *ret_fd = take_fd(&fd);
        return 0;
}

int runtime_connect(const char *directory, unsigned timeout_ms, int *ret_fd)
{
        _cleanup_(freep) char *path = NULL;
        struct stat st;
        int r;

        if (stat(directory, &st) < 0)
                return error_errno();
        if (!is_trusted(st.st_uid) || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return RUNTIME_E_FOREIGN_DIRECTORY;
        r = format(&path, directory, SOCKET_NAME);
        return r < 0 ? r : runtime_connect_path(path, timeout_ms, false, ret_fd);
}
