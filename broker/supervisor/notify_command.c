#include "supervisor/notify_command.h"
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_safe(const struct stat *st)
{
        if (st->st_uid != geteuid() && st->st_uid != 0)
                return false;
        /* In a sticky directory others can add names, and change none of ours. */
        return !(st->st_mode & (S_IWGRP | S_IWOTH)) || (S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX);
}

/* `path` is cut at each of its slashes, from the end. */
static const char *check_parents(char *path)
{
        struct stat st;

        for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
                slash[slash == path ? 1 : 0] = '\0';
                if (stat(path, &st) < 0)
                        return "cannot be looked up";
                if (!is_safe(&st))
                        return "is in a directory, or below one, that somebody else owns or may write to";
                if (slash == path)
                        return NULL;
        }
        return NULL;
}

const char *notify_check_command(const char *path)
{
        char real[PATH_MAX];
        struct stat st;

        /* Links are followed, since what counts is who can change what is run. */
        if (!realpath(path, real) || stat(real, &st) < 0)
                return errno == ENOENT ? "is not there" : strerror(errno);
        if (!S_ISREG(st.st_mode))
                return "is not a regular file";
        if (!is_safe(&st))
                return "belongs to somebody else, or others may write to it: chmod go-w it";
        if (!(st.st_mode & S_IXUSR) || access(real, X_OK) < 0)
                return "is not executable: chmod u+x it";
        return check_parents(real);
}
