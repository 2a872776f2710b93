#include "sandbox_places.h"
#include "sandbox_listeners.h"
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- paths ---- */

bool path_is_within(const char *path, const char *directory)
{
        size_t length = strlen(directory);

        if (length == 1) /* the root */
                return true;
        return strncmp(path, directory, length) == 0 &&
               (path[length] == '\0' || path[length] == '/');
}

static char *join(const char *directory, const char *rest)
{
        char *joined = NULL;
        const char *slash = directory[1] && *rest ? "/" : "";

        return asprintf(&joined, "%s%s%s", directory, slash, rest) < 0 ? NULL : joined;
}

static bool climbs(const char *rest)
{
        for (const char *at = rest; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
                if (strncmp(at, "..", 2) == 0 && (at[2] == '\0' || at[2] == '/'))
                        return true;
        return false;
}

char *path_canonical(const char *path)
{
        _cleanup_(free_memory) char *front = strdup(path), *found = NULL;
        size_t length = front ? strlen(front) : 0;
        const char *rest;

        if (!front)
                return NULL;
        /* The longest part that exists, and what stands behind it. */
        while (!(found = realpath(*front ? front : "/", NULL))) {
                char *slash = strrchr(front, '/');

                if (errno == ENOMEM || !slash)
                        return NULL;
                *slash = '\0';
        }
        rest = strlen(front) < length ? path + strlen(front) : "";
        rest += strspn(rest, "/");
        if (!climbs(rest))
                return join(found, rest);
        errno = EINVAL;
        return NULL;
}

/* One link further, or NULL if the path is none. */
static char *follow_once(const char *path)
{
        _cleanup_(free_memory) char *parent = NULL;
        char target[PATH_MAX];
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        const char *slash = strrchr(path, '/');

        if (n <= 0 || !slash)
                return NULL;
        target[n] = '\0';
        if (target[0] == '/')
                return strdup(target);
        parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
        return parent ? join(parent, target) : NULL;
}

char *path_follow(const char *path)
{
        char *at = strdup(path), *next;

        for (unsigned i = 0; at && i < 16 && (next = follow_once(at)); i++) {
                free(at);
                at = next;
        }
        next = at ? path_canonical(at) : NULL;
        free(at);
        return next;
}

/* ---- which ---- */

/* What cannot be a path of anything that is there is left out. */
static void add_canonical(Strings *to, const char *directory, const char *name)
{
        _cleanup_(free_memory) char *path = NULL;
        char *found;

        if (!directory || directory[0] != '/')
                return;
        path = join(directory, name);
        found = path ? path_canonical(path) : NULL;
        if (found)
                strings_take(to, found);
        else if (!path || errno == ENOMEM)
                to->failed = true;
}

/* The broker's, wherever the one that answers may keep them: of the command line, of the
 * environment, of the user database. */
static void add_closed(Strings *closed, Cli *cli, const char *home, const struct passwd *user)
{
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        const char *homes[] = { home, user ? user->pw_dir : NULL };
        char run_user[64];

        (void)snprintf(run_user, sizeof(run_user), "/run/user/%u", (unsigned)geteuid());
        add_canonical(closed, mcpcred_runtime(cli->client), "");
        add_canonical(closed, cli->state, "");
        add_canonical(closed, cli->config, "");
        add_canonical(closed, getenv("XDG_STATE_HOME"), "mcpcred");
        add_canonical(closed, getenv("XDG_CONFIG_HOME"), "mcpcred");
        add_canonical(closed, "/var/lib/mcpcred", "");
        add_canonical(closed, "/etc/mcpcred", "");
        for (size_t i = 0; i < ARRAY_SIZE(homes); i++) {
                add_canonical(closed, homes[i], ".local/state/mcpcred");
                add_canonical(closed, homes[i], ".config/mcpcred");
                add_canonical(closed, homes[i], ".local/share/keyrings");
                add_canonical(closed, homes[i], ".local/share/kwalletd");
        }
        for (size_t i = 0; i < 2; i++) {
                add_canonical(closed, i ? run_user : runtime, "mcpcred");
                add_canonical(closed, i ? run_user : runtime, "bus");
                add_canonical(closed, i ? run_user : runtime, "keyring");
                add_canonical(closed, i ? run_user : runtime, "systemd/private");
        }
        add_canonical(closed, "/run/dbus", "");
        add_canonical(closed, getenv("SSH_AUTH_SOCK"), "");
        add_canonical(closed, "/proc", ""); /* of all processes outside */
}

/* Each "unix:path=/x/bus,guid=..." of a list that is separated by semicolons. */
static void add_bus(Strings *closed)
{
        static const char prefix[] = "unix:path=";
        const char *text = getenv("DBUS_SESSION_BUS_ADDRESS");

        for (const char *at = text ? strstr(text, prefix) : NULL; at; at = strstr(at, prefix)) {
                _cleanup_(free_memory) char *path = NULL;

                at += sizeof(prefix) - 1;
                path = strndup(at, strcspn(at, ",;"));
                if (path)
                        add_canonical(closed, path, "");
                else
                        closed->failed = true;
        }
}

/* Hiding it would leave no system. */
static bool holds_the_system(const char *path)
{
        static const char *const system[] = { "/usr", "/etc",   "/dev",   "/proc", "/sys",
                                              "/bin", "/sbin",  "/lib",   "/lib64", "/opt",
                                              "/nix/store", "/var/lib" };

        for (size_t i = 0; i < ARRAY_SIZE(system); i++)
                if (path_is_within(system[i], path))
                        return true;
        return false;
}

static bool is_directory(const char *path)
{
        struct stat st;

        return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void hide(Places *places, const char *path)
{
        _cleanup_(free_memory) char *found = path_canonical(path);

        if (!found)
                places->hidden.failed = places->hidden.failed || errno == ENOMEM;
        else if (is_directory(found) && !holds_the_system(found) && !places_hide(places, found))
                strings_add(&places->hidden, found);
}

/* A home of the system's own accounts, such as /bin or /dev, has nothing of a person in it. */
static bool is_home(const char *home)
{
        static const char *const system[] = { "/usr", "/etc", "/dev", "/proc", "/sys", "/bin" };

        for (size_t i = 0; i < ARRAY_SIZE(system); i++)
                if (path_is_within(home, system[i]))
                        return false;
        return !holds_the_system(home);
}

static void hide_homes(Places *places, const char *home, const struct passwd *user)
{
        char *found = home ? path_canonical(home) : NULL;

        if (user && user->pw_dir[0] == '/' && is_home(user->pw_dir))
                hide(places, user->pw_dir);
        if (found && is_home(found))
                hide(places, found);
        if (found && places_hide(places, found)) {
                places->home = found;
                return;
        }
        free(found);
        places->home = strdup("/tmp/home");
}

/* What is closed and would be seen all the same. */
static void hide_closed(Places *places)
{
        struct stat st;

        for (size_t i = 0; i < places->closed.n; i++) {
                const char *path = places->closed.items[i];

                if (strcmp(path, "/proc") == 0 || places_hide(places, path) ||
                    stat(path, &st) < 0)
                        continue;
                if (S_ISDIR(st.st_mode))
                        hide(places, path);
                else
                        strings_add(&places->masked, path);
        }
}

bool places_find(Places *places, Cli *cli)
{
        /* Temporary files, sockets, homes, mail and jobs, and drives, which have more of those. */
        static const char *const always[] = { "/tmp",      "/run",           "/var/run",
                                              "/var/tmp",  "/home",          "/root",
                                              "/var/mail", "/var/spool/mail", "/var/spool/cron",
                                              "/media",    "/mnt" };
        const struct passwd *user = getpwuid(geteuid());
        const char *home = getenv("HOME");

        *places = (Places){ 0 };
        if (!home || home[0] != '/')
                home = user ? user->pw_dir : NULL;
        add_closed(&places->closed, cli, home, user);
        add_bus(&places->closed);
        for (size_t i = 0; i < ARRAY_SIZE(always); i++)
                hide(places, always[i]);
        hide_homes(places, home, user);
        if (getenv("XDG_RUNTIME_DIR"))
                hide(places, getenv("XDG_RUNTIME_DIR"));
        hide_closed(places);
        sandbox_listeners_mask(places);
        return places->home && !places->hidden.failed && !places->masked.failed &&
               !places->closed.failed;
}

void places_free(Places *places)
{
        strings_free(&places->hidden);
        strings_free(&places->masked);
        strings_free(&places->closed);
        free(places->home);
        *places = (Places){ 0 };
}

bool places_hide(const Places *places, const char *path)
{
        for (size_t i = 0; i < places->hidden.n; i++)
                if (path_is_within(path, places->hidden.items[i]))
                        return true;
        return false;
}

const char *places_opened_by(const Places *places, const char *path)
{
        for (size_t i = 0; i < places->closed.n; i++)
                if (path_is_within(places->closed.items[i], path) ||
                    path_is_within(path, places->closed.items[i]))
                        return places->closed.items[i];
        return NULL;
}
