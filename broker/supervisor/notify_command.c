#include "supervisor/notify_command.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
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

/* As many links as the kernel follows. */
#define LINKS_MAX 40U

static const char *check_way(const char *path, unsigned links);

/* `st` is of the link at `path` itself, whose target begins where it stands. */
static const char *check_link(const char *path, const struct stat *st, unsigned links)
{
        char target[PATH_MAX], next[2 * PATH_MAX];
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        const char *slash = strrchr(path, '/');

        if (st->st_uid != geteuid() && st->st_uid != 0)
                return "is, or is behind, a link of somebody else's";
        if (n < 0 || links == LINKS_MAX)
                return "cannot be looked up";
        target[n] = '\0';
        n = snprintf(next, sizeof(next), "%.*s%s", *target == '/' ? 0 : (int)(slash - path) + 1, path, target);
        return n < (ssize_t)sizeof(next) ? check_way(next, links + 1) : "cannot be looked up";
}

/* Each directory and each link on the way, from the root: who can change one of them decides what is run. */
static const char *check_way(const char *path, unsigned links)
{
        char part[2 * PATH_MAX];
        const char *wrong = NULL;

        for (size_t n = 0; !wrong; n += 1 + strcspn(path + n + 1, "/")) {
                struct stat st;

                (void)snprintf(part, sizeof(part), "%.*s", n > 0 ? (int)n : 1, path);
                if (lstat(part, &st) < 0)
                        return "cannot be looked up";
                if (S_ISLNK(st.st_mode))
                        wrong = check_link(part, &st, links);
                else if (S_ISDIR(st.st_mode) && !is_safe(&st))
                        wrong = "is in a directory, or below one, that somebody else owns or may write to";
                if (!path[n])
                        break;
        }
        return wrong;
}

const char *notify_check_command(const char *path)
{
        char real[PATH_MAX];
        struct stat st;

        if (*path != '/')
                return "is no absolute path";
        /* Links are followed, since what counts is who can change what is run. */
        if (!realpath(path, real) || stat(real, &st) < 0)
                return errno == ENOENT ? "is not there" : strerror(errno);
        if (!S_ISREG(st.st_mode))
                return "is not a regular file";
        if (!is_safe(&st))
                return "belongs to somebody else, or others may write to it: chmod go-w it";
        if (!(st.st_mode & S_IXUSR) || access(real, X_OK) < 0)
                return "is not executable: chmod u+x it";
        return check_way(path, 0);
}
