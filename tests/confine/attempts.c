#include "attempts.h"
#include "base/arena.h"
#include "base/fd.h"
#include "base/secret.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define BARE(name, ...)                                                                            \
        {                                                                                          \
#name, SYS_##name,                                                                 \
                {                                                                                  \
                        __VA_ARGS__                                                                \
                }                                                                                  \
        }

static const BareCall calls[] = {
        BARE(ptrace, 0x10),
        BARE(process_vm_readv),
        BARE(process_vm_writev),
        BARE(pidfd_open, 1),
        BARE(pidfd_getfd, -1),
        BARE(pidfd_send_signal, -1),
        BARE(process_madvise, -1),
        BARE(kcmp),
        BARE(io_uring_setup),
        BARE(io_uring_enter, -1),
        BARE(io_uring_register, -1),
        BARE(keyctl),
        BARE(add_key),
        BARE(request_key),
        BARE(bpf, -1),
        BARE(perf_event_open),
        BARE(userfaultfd, -1),
        BARE(seccomp, -1),
        BARE(kill, 0, 0),
        BARE(tkill, 1, 0),
        BARE(execve),
        BARE(execveat, -1),
        BARE(unshare, 0),
        BARE(setns, -1),
        BARE(mount),
        BARE(umount2),
        BARE(pivot_root),
        BARE(chroot),
        BARE(open_tree, -1),
        BARE(move_mount, -1),
        BARE(fsopen),
        BARE(name_to_handle_at, -1),
        BARE(open_by_handle_at, -1),
        BARE(openat2, -1),
        BARE(landlock_create_ruleset),
        BARE(landlock_restrict_self, -1),
        BARE(fanotify_init),
        BARE(setuid, 0),
        BARE(setresuid, -1, -1, -1),
        BARE(setgroups),
        BARE(setfsuid, -1),
        BARE(capset),
        BARE(personality, -1),
        BARE(bind, -1),
        BARE(listen, -1),
        BARE(memfd_create),
        BARE(memfd_secret, -1),
        BARE(shmget),
        BARE(shmat, -1),
        BARE(msgget),
        BARE(semget),
        BARE(mq_open),
        BARE(init_module),
        BARE(finit_module, -1),
        BARE(kexec_load),
        BARE(syslog, -1),
        BARE(reboot),
        BARE(swapon),
        BARE(acct),
        BARE(quotactl, -1),
        BARE(settimeofday),
        BARE(clock_settime, -1),
        BARE(sethostname),
        BARE(setrlimit),
        BARE(setpriority, -1),
        BARE(sched_setscheduler, -1),
        BARE(truncate),
        BARE(chdir),
        BARE(fchdir, -1),
        BARE(mkdirat, -1),
        BARE(mknodat, -1),
        BARE(symlinkat),
        BARE(linkat, -1),
        BARE(fchmodat, -1),
        BARE(fchownat, -1),
        BARE(utimensat, -1),
        BARE(setxattr),
        BARE(getxattr),
        BARE(fsetxattr, -1),
        BARE(vmsplice, -1),
        BARE(splice, -1),
        BARE(tee, -1),
        BARE(copy_file_range, -1),
        BARE(sendfile, -1),
        BARE(timer_create),
        BARE(wait4, 0),
        BARE(waitid, -1),
        BARE(ioprio_set),
        BARE(mbind),
        BARE(move_pages),
        BARE(migrate_pages),
        BARE(pkey_mprotect),
        BARE(remap_file_pages),
        BARE(vhangup),
        BARE(setsid),
        BARE(setpgid, -1),
        BARE(umask),
        { NULL, 0, { 0 } },
};

const BareCall *bare_calls(void)
{
        return calls;
}

static int result(long r)
{
        return r < 0 ? errno : 0;
}

static int try_open(const char *path, int flags)
{
        return result(open(path, flags | O_CLOEXEC, 0600));
}

int try_open_passwd(UNUSED const Target *target)
{
        return try_open("/etc/passwd", O_RDONLY);
}

int try_open_other(const Target *target)
{
        return try_open(target->other, O_RDONLY);
}

int try_open_proc_environ(const Target *target)
{
        char path[64];

        snprintf(path, sizeof(path), "/proc/%d/environ", (int)target->parent);
        return try_open(path, O_RDONLY);
}

int try_open_state_directory(const Target *target)
{
        return try_open(target->state, O_RDONLY | O_DIRECTORY);
}

int try_list_root(UNUSED const Target *target)
{
        return try_open("/", O_RDONLY | O_DIRECTORY);
}

int try_create_in_state(const Target *target)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/new", target->state);
        return try_open(path, O_RDWR | O_CREAT | O_TRUNC);
}

/* Out of the directory by "..": the way matters not, the place does. */
int try_write_state_link_outside(const Target *target)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/../other", target->state);
        return try_open(path, O_WRONLY);
}

int try_fork(UNUSED const Target *target)
{
        pid_t child = fork();

        if (child == 0)
                _exit(0);
        return result(child);
}

int try_exec(UNUSED const Target *target)
{
        char *const argv[] = { (char[]){ "true" }, NULL };

        return result(execve("/bin/true", argv, NULL));
}

static void *thread(void *argument)
{
        *(int *)argument = 1;
        return NULL;
}

int try_thread(UNUSED const Target *target)
{
        pthread_t id;
        int ran = 0, r = pthread_create(&id, NULL, thread, &ran);

        if (r != 0)
                return r;
        (void)pthread_join(id, NULL);
        return ran ? 0 : EIO;
}

int try_clone3(UNUSED const Target *target)
{
        struct clone_args args = { .exit_signal = SIGCHLD };
        long r = syscall(SYS_clone3, &args, sizeof(args));

        if (r == 0)
                _exit(0);
        return result(r);
}

int try_user_namespace(UNUSED const Target *target)
{
        long r = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

        if (r == 0)
                _exit(0);
        return result(r);
}

int try_socket_unix(UNUSED const Target *target)
{
        return result(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

int try_socket_unix_datagram(UNUSED const Target *target)
{
        return result(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

int try_socket_inet(UNUSED const Target *target)
{
        return result(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

int try_socket_inet6_datagram(UNUSED const Target *target)
{
        int r = result(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));

        return r == EAFNOSUPPORT ? 0 : r; /* a machine without IPv6 */
}

int try_socket_raw(UNUSED const Target *target)
{
        return result(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
}

int try_socket_netlink(UNUSED const Target *target)
{
        return result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

int try_socket_packet(UNUSED const Target *target)
{
        return result(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

int try_socket_vsock(UNUSED const Target *target)
{
        return result(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

int try_socketpair(UNUSED const Target *target)
{
        int pair[2];

        return result(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
}

/* What a session's process makes for each exchange with an egress. */
int try_lane(UNUSED const Target *target)
{
        int pair[2];

        return result(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair));
}

static int connect_unix(int fd, const char *name, size_t size)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (fd < 0)
                return errno;
        memcpy(address.sun_path, name, size);
        return result(connect(fd, (void *)&address,
                              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)));
}

int try_connect_bus(const Target *target)
{
        return connect_unix(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), target->bus,
                            strlen(target->bus) + 1);
}

int try_connect_bus_inherited(const Target *target)
{
        return connect_unix(target->unix_stream, target->bus, strlen(target->bus) + 1);
}

int try_connect_abstract_inherited(const Target *target)
{
        return connect_unix(target->unix_stream, target->abstract,
                            1 + strlen(target->abstract + 1));
}

int try_sendto_address(const Target *target)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        memcpy(address.sun_path, target->bus, strlen(target->bus) + 1);
        return result(sendto(target->unix_datagram, "x", 1, 0, (void *)&address, sizeof(address)));
}

static int connect_tcp(int fd, uint16_t port)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

        return fd < 0 ? errno : result(connect(fd, (void *)&address, sizeof(address)));
}

int try_connect_tcp(const Target *target)
{
        return connect_tcp(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), target->port);
}

int try_connect_tcp_inherited(const Target *target)
{
        return connect_tcp(target->inet_stream, target->port);
}

int try_bind_tcp_inherited(const Target *target)
{
        struct sockaddr_in address = { .sin_family = AF_INET };

        return result(bind(target->inet_stream, (void *)&address, sizeof(address)));
}

static int map(int protection, int flags, int fd)
{
        return mmap(NULL, 4096, protection, flags, fd, 0) == MAP_FAILED ? errno : 0;
}

int try_map_writable_code(UNUSED const Target *target)
{
        return map(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

int try_map_anonymous_code(UNUSED const Target *target)
{
        return map(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/* As dlopen() does. */
static int map_file(const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        return fd < 0 ? EBADF : map(PROT_READ | PROT_EXEC, MAP_PRIVATE, fd);
}

int try_map_library(UNUSED const Target *target)
{
        return map_file("/usr/lib/os-release");
}

int try_map_state_file(const Target *target)
{
        char path[128];

        snprintf(path, sizeof(path), "%s/state.db", target->state);
        return map_file(path);
}

int try_make_code(UNUSED const Target *target)
{
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        return page == MAP_FAILED ? errno : result(mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

int try_dumpable(UNUSED const Target *target)
{
        return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

int try_set_name(UNUSED const Target *target)
{
        return result(prctl(PR_SET_NAME, "probe", 0, 0, 0));
}

int try_terminal_input(UNUSED const Target *target)
{
        return result(ioctl(STDOUT_FILENO, TIOCSTI, "x"));
}

int try_terminal_query(UNUSED const Target *target)
{
        return isatty(STDOUT_FILENO) ? 0 : errno;
}

int try_socket_filter(const Target *target)
{
        struct sock_filter accept = BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
        struct sock_fprog program = { .len = 1, .filter = &accept };

        return result(setsockopt(target->pair[0], SOL_SOCKET, SO_ATTACH_FILTER, &program,
                                 sizeof(program)));
}

int try_raise_limit(UNUSED const Target *target)
{
        struct rlimit limit = { 1, 1 };

        return result(prlimit(0, RLIMIT_NOFILE, &limit, NULL));
}

int try_kill_parent(const Target *target)
{
        return result(kill(target->parent, 0));
}

int try_kill_parent_by_thread(const Target *target)
{
        return result(syscall(SYS_tgkill, target->parent, target->parent, 0));
}

int try_abort(const Target *target)
{
        if (target->parent != getpid())
                abort();
        return 0;
}

int try_x32(UNUSED const Target *target)
{
#ifdef __x86_64__
        return result(syscall(0x40000000L | SYS_getpid));
#else
        return ENOSYS;
#endif
}

int try_write_file(const Target *target)
{
        return result(write(target->file, "x", 1));
}

int try_fstat(const Target *target)
{
        struct stat st;

        return result(fstat(target->pair[0], &st));
}

int try_accept(const Target *target)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);
        int fd;

        if (fd_set_nonblock(target->accepting) < 0)
                return EIO;
        fd = accept4(target->accepting, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && errno != EAGAIN)
                return errno;
        return result(getsockopt(target->pair[0], SOL_SOCKET, SO_PEERCRED, &peer, &size));
}

int try_pass_descriptor(const Target *target)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
                                  .cmsg_level = SOL_SOCKET,
                                  .cmsg_type = SCM_RIGHTS } };
        struct iovec bytes = { (char[]){ "x" }, 1 };
        struct msghdr message = { .msg_iov = &bytes,
                                  .msg_iovlen = 1,
                                  .msg_control = &control,
                                  .msg_controllen = sizeof(control) };

        memcpy(CMSG_DATA(&control.header), &target->pair[1], sizeof(int));
        if (sendmsg(target->pair[0], &message, MSG_NOSIGNAL) < 0)
                return errno;
        return result(recvmsg(target->pair[1], &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
}

/* stdio on a fresh stream, as a complaint to stderr is. */
int try_log(const Target *target)
{
        FILE *stream = fdopen(fcntl(target->pair[0], F_DUPFD_CLOEXEC, 3), "w");

        if (!stream || fprintf(stream, "a line with %d numbers\n", 1) < 0)
                return EIO;
        return fflush(stream) ? errno : 0;
}

/* Memory is taken and given back; the arena itself was made before in a real role, so only bytes.
 */
int try_arena(UNUSED const Target *target)
{
        char *big = malloc(8U << 20);

        if (!big)
                return ENOMEM;
        memset(big, 1, 8U << 20);
        big = realloc(big, 16U << 20);
        free(big);
        return big ? 0 : ENOMEM;
}

int try_sqlite(const Target *target)
{
        char path[128];
        sqlite3 *db = NULL;
        int r;

        snprintf(path, sizeof(path), "%s/probe.db", target->state);
        r = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
        for (int round = 0; r == SQLITE_OK && round < 2; round++)
                r = sqlite3_exec(db,
                                 round == 0 ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"
                                            : "PRAGMA journal_mode=DELETE",
                                 NULL, NULL, NULL) ||
                    sqlite3_exec(db,
                                 "BEGIN; CREATE TABLE IF NOT EXISTS t(a); INSERT INTO t VALUES(1);"
                                 "COMMIT; PRAGMA wal_checkpoint(TRUNCATE); SELECT max(a) FROM t "
                                 "ORDER BY a",
                                 NULL, NULL, NULL);
        (void)sqlite3_close(db);
        return r == SQLITE_OK ? 0 : EIO;
}

/* Written beside, then renamed over: how the sealed file and the audit log's rotation work. */
int try_replace_file(const Target *target)
{
        char from[128], to[128];
        int fd;

        snprintf(from, sizeof(from), "%s/file.tmp", target->state);
        snprintf(to, sizeof(to), "%s/file", target->state);
        fd = open(from, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
        if (fd < 0 || fd_write_all(fd, "x", 1) < 0 || fsync(fd) < 0 || fd_close(fd) >= 0 ||
            rename(from, to) < 0)
                return errno;
        fd = open(target->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return errno;
        return result(unlink(to));
}

int try_resolve(UNUSED const Target *target)
{
        struct addrinfo *list, hints = { .ai_socktype = SOCK_STREAM };
        int r = getaddrinfo("localhost", "443", &hints, &list);

        if (r == 0)
                freeaddrinfo(list);
        return r == 0 ? 0 : EIO;
}

int try_second_confinement(UNUSED const Target *target)
{
        return harden_confine(&harden_profile_gate, NULL, 0, true) == 0 ? 0 : EIO;
}
