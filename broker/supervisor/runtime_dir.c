#include "supervisor/runtime_dir.h"
#include "base/fd.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LOCK_NAME      "lock"
#define EPOCH_NAME     "epoch"
#define EPOCH_FILE_MAX 64U
/* Connections that wait to be accepted while gate or session process start. */
#define BACKLOG 128

const char *runtime_dir_error(int code)
{
        switch (code) {
        case RUNTIME_DIR_E_LINK:
                return "it is a symbolic link or no directory; remove it";
        case RUNTIME_DIR_E_OWNER:
                return "it belongs to another user";
        case RUNTIME_DIR_E_MODE:
                return "others have access to it: chmod it to 0700";
        case RUNTIME_DIR_E_PARENT:
                return "a directory above it belongs to another user, or others may write to it";
        case RUNTIME_DIR_E_BUSY:
                return "another broker is running there";
        case RUNTIME_DIR_E_PATH:
                return "the path is not absolute, or too long for the sockets below it";
        default:
                return "it cannot be used";
        }
}

/* Whether nobody but root and us can replace what is in it. */
static bool is_safe_parent(const struct stat *st)
{
        if (st->st_uid != 0 && st->st_uid != geteuid())
                return false;
        return !(st->st_mode & (S_IWGRP | S_IWOTH)) || st->st_mode & S_ISVTX;
}

/* Goes down the path one name at a time, making what is missing. Links are not followed. */
static int walk(const char *path, int *ret)
{
        _cleanup_(fd_closep) int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct stat st;

        if (at < 0)
                return error_errno();
        while (*path) {
                size_t n = strcspn(path += strspn(path, "/"), "/");
                char name[NAME_MAX + 1];
                int next;

                if (n == 0)
                        break;
                if (n > NAME_MAX)
                        return RUNTIME_DIR_E_PATH;
                memcpy(name, path, n);
                name[n] = '\0';
                path += n;
                if (fstat(at, &st) < 0)
                        return error_errno();
                if (!is_safe_parent(&st))
                        return RUNTIME_DIR_E_PARENT;
                next = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                if (next < 0 && errno == ENOENT) {
                        if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
                                return error_errno();
                        next = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                }
                if (next < 0)
                        return errno == ELOOP || errno == ENOTDIR ? RUNTIME_DIR_E_LINK
                                                                  : error_errno();
                fd_close(at);
                at = next;
        }
        *ret = take_fd(&at);
        return 0;
}

/*
 * The path without the links above the directory itself, which are the system's or the user's own
 * (a home elsewhere). What does not exist yet is kept as it is written.
 */
static int resolve(const char *path, char **ret)
{
        _cleanup_(freep) char *head = strdup(path), *real = NULL;
        size_t end = strlen(path);

        if (!head)
                return -ENOMEM;
        while (end > 1 && path[end - 1] == '/')
                end--;
        do {
                while (end > 0 && path[end - 1] != '/')
                        end--;
                while (end > 1 && path[end - 1] == '/')
                        end--;
                head[end] = '\0';
                real = realpath(end > 0 ? head : "/", NULL);
        } while (!real && errno == ENOENT && end > 1);
        if (!real)
                return error_errno();
        if (asprintf(ret, "%s%s%s", strcmp(real, "/") == 0 ? "" : real, path[end] == '/' ? "" : "/",
                     path + end) < 0)
                return -ENOMEM;
        end = strlen(*ret);
        while (end > 1 && (*ret)[end - 1] == '/')
                (*ret)[--end] = '\0';
        return 0;
}

static int check(int fd, mode_t mode)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return error_errno();
        if (st.st_uid != geteuid())
                return RUNTIME_DIR_E_OWNER;
        if (mode != 0700 && fchmod(fd, mode) < 0)
                return error_errno();
        return mode == 0700 && st.st_mode & 0077 ? RUNTIME_DIR_E_MODE : 0;
}

static int take_lock(int directory, int *ret)
{
        _cleanup_(fd_closep) int fd = openat(
                directory, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
        char text[16];
        int r;

        if (fd < 0)
                return errno == ELOOP ? RUNTIME_DIR_E_LINK : error_errno();
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? RUNTIME_DIR_E_BUSY : error_errno();
        /* Who holds it, for people; nothing reads it. */
        (void)snprintf(text, sizeof(text), "%d\n", (int)getpid());
        if (ftruncate(fd, 0) < 0)
                return error_errno();
        r = fd_write_all(fd, text, strlen(text));
        if (r < 0)
                return r;
        *ret = take_fd(&fd);
        return 0;
}

int runtime_dir_new(RuntimeDir **ret, const char *path, mode_t mode)
{
        _cleanup_(runtime_dir_freep) RuntimeDir *dir = calloc(1, sizeof(*dir));
        _cleanup_(fd_closep) int handle = -1;
        struct statfs fs;
        int r;

        if (!dir)
                return -ENOMEM;
        dir->fd = dir->lock_fd = -1;
        if (path[0] != '/')
                return RUNTIME_DIR_E_PATH;
        r = resolve(path, &dir->path);
        if (r < 0)
                return r;
        r = walk(dir->path, &handle);
        if (r)
                return r;
        dir->fd = openat(handle, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (dir->fd < 0)
                return errno == EACCES ? RUNTIME_DIR_E_OWNER : error_errno();
        r = check(dir->fd, mode);
        if (r)
                return r;
        r = take_lock(dir->fd, &dir->lock_fd);
        if (r)
                return r;
        if (fstatfs(dir->fd, &fs) < 0)
                return error_errno();
        dir->memory_backed = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
        *ret = take_ptr(dir);
        return 0;
}

RuntimeDir *runtime_dir_free(RuntimeDir *dir)
{
        if (!dir)
                return NULL;
        /* The number in it is another process's sooner or later, and somebody's `kill` might read it. */
        (void)!ftruncate(dir->lock_fd, 0);
        fd_close(dir->lock_fd);
        fd_close(dir->fd);
        free(dir->path);
        free(dir);
        return NULL;
}

static int write_temporary(int directory, const char *name, Slice content, mode_t mode, bool sync)
{
        _cleanup_(fd_closep) int fd =
                openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        int r;

        if (fd < 0)
                return error_errno();
        r = fd_write_all(fd, content.data, content.size);
        if (r == 0 && fchmod(fd, mode) < 0)
                r = error_errno();
        if (r == 0 && sync && fsync(fd) < 0)
                r = error_errno();
        return r;
}

int runtime_dir_write(int directory, const char *name, Slice content, mode_t mode, bool sync)
{
        char temporary[32];
        uint64_t random;
        int r;

        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
                return error_errno();
        (void)snprintf(temporary, sizeof(temporary), ".new-%016llx", (unsigned long long)random);
        r = write_temporary(directory, temporary, content, mode, sync);
        if (r == 0 && renameat(directory, temporary, directory, name) < 0)
                r = error_errno();
        if (r < 0) {
                (void)unlinkat(directory, temporary, 0);
                return r;
        }
        return sync && fsync(directory) < 0 ? error_errno() : 0;
}

int runtime_dir_read_epoch(const RuntimeDir *dir, char **ret)
{
        _cleanup_(fd_closep) int fd = openat(
                dir->fd, EPOCH_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        char text[EPOCH_FILE_MAX + 1];
        struct stat st;
        ssize_t n;

        *ret = NULL;
        if (fd < 0)
                return errno == ENOENT ? 0 : errno == ELOOP ? -EINVAL : error_errno();
        if (fstat(fd, &st) < 0)
                return error_errno();
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
                return -EINVAL;
        n = read(fd, text, sizeof(text));
        if (n < 0)
                return error_errno();
        if (n == 0 || (size_t)n > EPOCH_FILE_MAX)
                return -EINVAL;
        text[n] = '\0';
        if (strlen(text) != (size_t)n || strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz"
                                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != (size_t)n)
                return -EINVAL;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

int runtime_dir_write_epoch(const RuntimeDir *dir, const char *epoch)
{
        return runtime_dir_write(dir->fd, EPOCH_NAME, slice_text(epoch), 0600, !dir->memory_backed);
}

int runtime_dir_bind(int directory, const char *name, mode_t mode, int *ret)
{
        _cleanup_(fd_closep) int fd =
                socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const int on = 1;
        struct stat st;
        mode_t saved;
        int r;

        if (fd < 0)
                return error_errno();
        if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            unlinkat(directory, name, 0) < 0)
                return error_errno();
        /* Accepted sockets inherit it: the kernel then says who wrote, not only who connected. */
        if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
                return error_errno();
        /* The directory by its descriptor: no name on the way can be swapped, and none is too long.
         */
        if ((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
                             directory, name) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        /* A socket is bound with the mode of its inode, less the umask. */
        if (fchmod(fd, mode) < 0)
                return error_errno();
        saved = umask(0);
        r = bind(fd, &address, sizeof(address)) < 0 ? error_errno() : 0;
        (void)umask(saved);
        if (r == 0 && listen(fd, BACKLOG) < 0)
                r = error_errno();
        if (r < 0)
                return r;
        *ret = take_fd(&fd);
        return 0;
}

int runtime_dir_remove(int parent, const char *name)
{
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        const struct dirent *entry;
        DIR *dir;

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0) /* not a directory: a link, say */
                return unlinkat(parent, name, 0) < 0 ? error_errno() : 0;
        dir = fdopendir(fd);
        if (!dir) {
                fd_close(fd);
                return error_errno();
        }
        while ((entry = readdir(dir)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        (void)unlinkat(fd, entry->d_name, 0); /* what stays is reported by rmdir */
        (void)closedir(dir);
        return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? error_errno() : 0;
}
