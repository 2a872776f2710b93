#include "egress/resolver_paths.h"
#include <string.h>
#include <unistd.h>

/* Deep enough that the directory is one for this purpose: "/run/systemd/resolve", "/mnt/wsl", not "/run". */
static bool is_own_directory(const char *directory)
{
        return strchr(directory + 1, '/') != NULL;
}

static void add(ResolverPaths *paths, const char *path)
{
        paths->items[paths->n++] = (HardenPath){ .path = path, .optional = true };
}

/*
 * Root owns what is secret in /etc, and without capabilities still reads it; so to a broker that runs as
 * root the profile's single files must do, and it is started anew to see a file that was replaced.
 */
void resolver_paths_find(ResolverPaths *ret)
{
        char *slash;

        *ret = (ResolverPaths){ 0 };
        if (geteuid() != 0)
                add(ret, "/etc");
        if (!realpath("/etc/resolv.conf", ret->resolv_conf))
                return;
        slash = strrchr(ret->resolv_conf, '/');
        if (slash == ret->resolv_conf)
                return;
        *slash = '\0';
        if (is_own_directory(ret->resolv_conf))
                add(ret, ret->resolv_conf);
}
