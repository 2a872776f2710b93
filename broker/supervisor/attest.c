#include "supervisor/attest.h"
#include "base/fd.h"
#include "base/text.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROC_FILE_MAX (64U * 1024U)
/* Parents that are looked at. A deeper chain cannot be told, and is refused. */
#define ANCESTORS_MAX 128

const char *attest_error(int code)
{
        switch (code) {
        case ATTEST_E_GONE:
                return "the peer has ended";
        case ATTEST_E_UNREADABLE:
                return "the peer cannot be attested: /proc does not show it";
        case ATTEST_E_UID:
                return "the peer does not run as the user that connected";
        case ATTEST_E_USER_NS:
                return "the peer is in another user namespace";
        case ATTEST_E_PID_NS:
                return "the peer is in another pid namespace";
        case ATTEST_E_MARKED:
                return "the peer belongs to a session";
        case ATTEST_E_OURS:
                return "the peer is a process of the broker";
        default:
                return "the peer cannot be attested";
        }
}

/* ---- the pure parts ---- */

const char *attest_status_field(const char *status, const char *name)
{
        size_t n = strlen(name);

        for (const char *line = status; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, name, n) == 0 && line[n] == ':')
                        return line + n + 1 + strspn(line + n + 1, " \t");
        }
        return NULL;
}

static const char *skip_word(const char *text)
{
        text += strcspn(text, " \t\n");
        return text + strspn(text, " \t");
}

int attest_parse_mark(const char *limits)
{
        static const char name[] = "Max realtime timeout";
        const char *line = limits, *hard;
        size_t n;

        while (strncmp(line, name, sizeof(name) - 1) != 0) {
                line = strchr(line, '\n');
                if (!line)
                        return -EINVAL;
                line++;
        }
        hard = line + sizeof(name) - 1;
        hard = skip_word(hard + strspn(hard, " \t")); /* past the soft one */
        n = strcspn(hard, " \t\n");
        if (n == 9 && strncmp(hard, "unlimited", n) == 0)
                return 0;
        return n > 0 && strspn(hard, "0123456789") == n ? 1 : -EINVAL;
}

/* The first number of a field, which only blanks or the line's end may follow. */
static int parse_number(const char *text, uint64_t *ret)
{
        char digits[21];
        size_t n = text ? strspn(text, "0123456789") : 0;

        if (n == 0 || n >= sizeof(digits) || (text[n] && !strchr(" \t\n", text[n])))
                return -EINVAL;
        memcpy(digits, text, n);
        digits[n] = '\0';
        return text_parse_u64(digits, ret) ? -EINVAL : 0;
}

static bool has_suffix(const char *text, size_t n, const char *suffix)
{
        size_t size = strlen(suffix);

        return n > size && memcmp(text + n - size, suffix, size) == 0;
}

static bool is_user_manager(const char *name, size_t n)
{
        return n > 13 && strncmp(name, "user@", 5) == 0 && has_suffix(name, n, ".service");
}

void attest_parse_unit(const char *cgroup, char unit[ATTEST_UNIT_SIZE])
{
        const char *path = strncmp(cgroup, "0::", 3) == 0 ? cgroup : strstr(cgroup, "\n0::");
        bool in_manager = false;

        unit[0] = '\0';
        if (!path)
                return;
        path = strchr(path, '/');
        while (path && *path == '/') {
                size_t n = strcspn(++path, "/\n");
                const char *name = path;

                path += n;
                if (has_suffix(name, n, ".slice"))
                        continue;
                if (is_user_manager(name, n) && !in_manager) {
                        in_manager = true;
                        continue;
                }
                if (n < ATTEST_UNIT_SIZE &&
                    (has_suffix(name, n, ".service") || has_suffix(name, n, ".scope"))) {
                        memcpy(unit, name, n);
                        unit[n] = '\0';
                        if (!text_is_utf8(slice_text(unit)) || !text_is_printable(unit))
                                unit[0] = '\0';
                }
                return;
        }
}

/* ---- looking ---- */

static int read_proc(int directory, const char *name, char **ret)
{
        int r = fd_read_file_at(directory, name, PROC_FILE_MAX, ret);

        if (r == -ENOENT || r == -ESRCH)
                return ATTEST_E_GONE;
        return r == -ENOMEM || r == -EMFILE || r == -ENFILE ? r : r < 0 ? ATTEST_E_UNREADABLE : 0;
}

static int check_alive(int pidfd)
{
        struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };
        int n = poll(&poll_fd, 1, 0);

        if (n < 0)
                return error_errno();
        return n > 0 ? ATTEST_E_GONE : 0;
}

/* The pidfd is one, of a living process, and of the one with that number. */
static int check_pidfd(int pidfd, pid_t pid)
{
        _cleanup_(freep) char *info = NULL;
        char path[64];
        uint64_t number;
        int r;

        (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
        r = fd_read_file_at(AT_FDCWD, path, PROC_FILE_MAX, &info);
        if (r < 0)
                return r;
        if (parse_number(attest_status_field(info, "Pid"), &number) < 0 || number != (uint64_t)pid)
                return ATTEST_E_GONE; /* "Pid: -1" once it is reaped, 0 when it is out of sight */
        return check_alive(pidfd);
}

/* 1: the same namespace, 0: another one, -EACCES: it may not be looked at. */
static int same_namespace(int directory, const char *name)
{
        char own[32];
        struct stat theirs, ours;

        (void)snprintf(own, sizeof(own), "/proc/self/%s", name);
        if (stat(own, &ours) < 0 || fstatat(directory, name, &theirs, 0) < 0)
                return -EACCES;
        return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino ? 1 : 0;
}

/* Without the link: our own map and no other. A child namespace with the full map takes privileges.
 */
static int check_user_namespace(int directory, uid_t uid)
{
        _cleanup_(freep) char *theirs = NULL, *ours = NULL;
        int r = same_namespace(directory, "ns/user");

        if (r >= 0)
                return r == 1 ? 0 : ATTEST_E_USER_NS;
        if (uid == 0 && geteuid() != 0) /* root that hides from us: it may be any container's */
                return ATTEST_E_USER_NS;
        r = read_proc(directory, "uid_map", &theirs);
        if (r == 0)
                r = fd_read_file_at(AT_FDCWD, "/proc/self/uid_map", PROC_FILE_MAX, &ours);
        if (r)
                return r;
        return strcmp(ours, theirs) == 0 ? 0 : ATTEST_E_USER_NS;
}

/* Without the link: it has one number, as seen from here, and that is the one we know. */
static int check_pid_namespace(int directory, const char *status, pid_t pid)
{
        const char *numbers = attest_status_field(status, "NSpid");
        uint64_t first;
        int r = same_namespace(directory, "ns/pid");

        if (r == 0)
                return ATTEST_E_PID_NS;
        if (parse_number(numbers, &first) < 0)
                return ATTEST_E_UNREADABLE;
        if (first != (uint64_t)pid || *skip_word(numbers) != '\n')
                return ATTEST_E_PID_NS;
        return 0;
}

/* Real, effective and saved: a program that is changing who it is is nobody's. */
static int check_uid(const char *status, uid_t uid)
{
        const char *at = attest_status_field(status, "Uid");

        for (int i = 0; i < 3; i++) {
                uint64_t number;

                if (parse_number(at, &number) < 0)
                        return ATTEST_E_UNREADABLE;
                if (number != uid)
                        return ATTEST_E_UID;
                at = skip_word(at);
        }
        return 0;
}

static int check_mark(int directory)
{
        _cleanup_(freep) char *limits = NULL;
        int r = read_proc(directory, "limits", &limits);

        if (r)
                return r;
        r = attest_parse_mark(limits);
        return r < 0 ? ATTEST_E_UNREADABLE : r == 1 ? ATTEST_E_MARKED : 0;
}

/* Nothing that the broker started speaks as a client, and nothing that those started. */
static int check_ancestors(const char *status, pid_t pid, pid_t supervisor)
{
        _cleanup_(freep) char *owned = NULL;
        uint64_t parent = (uint64_t)pid;

        if (supervisor <= 1) /* init of a container: everybody descends from it */
                return 0;
        for (int i = 0; i < ANCESTORS_MAX; i++) {
                char path[64];

                if (parent == (uint64_t)supervisor)
                        return ATTEST_E_OURS;
                if (parse_number(attest_status_field(status, "PPid"), &parent) < 0)
                        return ATTEST_E_UNREADABLE;
                if (parent <= 1)
                        return 0;
                (void)snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)parent);
                free(take_ptr(owned));
                /* A parent that ended meanwhile has handed its child to init: nothing above it. */
                if (fd_read_file_at(AT_FDCWD, path, PROC_FILE_MAX, &owned) < 0)
                        return 0;
                status = owned;
        }
        return ATTEST_E_UNREADABLE;
}

static int look(AttestResult *ret, const AttestPeer *peer, int directory, pid_t supervisor)
{
        _cleanup_(freep) char *status = NULL, *cgroup = NULL;
        int r;

        r = read_proc(directory, "status", &status);
        if (r == 0)
                r = check_uid(status, peer->uid);
        if (r == 0)
                r = check_user_namespace(directory, peer->uid);
        if (r == 0)
                r = check_pid_namespace(directory, status, peer->pid);
        if (r == 0)
                r = check_mark(directory);
        if (r == 0)
                r = check_ancestors(status, peer->pid, supervisor);
        if (r == 0)
                r = read_proc(directory, "cgroup", &cgroup);
        if (r == 0)
                attest_parse_unit(cgroup, ret->unit);
        return r;
}

int attest_peer(AttestResult *ret, const AttestPeer *peer, pid_t supervisor)
{
        _cleanup_(fd_closep) int opened = -1, directory = -1;
        AttestResult result = { .unit = "" };
        char path[32];
        int pidfd = peer->pidfd, r;

        if (peer->pid <= 0)
                return ATTEST_E_PID_NS; /* out of sight from here */
        if (pidfd < 0) {
                opened = pidfd = (int)syscall(SYS_pidfd_open, peer->pid, 0);
                if (pidfd < 0)
                        return errno == ESRCH || errno == EINVAL ? ATTEST_E_GONE : error_errno();
        }
        r = check_pidfd(pidfd, peer->pid);
        if (r)
                return r;
        (void)snprintf(path, sizeof(path), "/proc/%d", (int)peer->pid);
        directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0)
                return errno == ENOENT   ? ATTEST_E_GONE
                       : errno == EACCES ? ATTEST_E_UNREADABLE
                                         : error_errno();
        r = look(&result, peer, directory, supervisor);
        if (r)
                return r;
        /* It still lives, so all that was read was about it. */
        r = check_alive(pidfd);
        if (r == 0)
                *ret = result;
        return r;
}
