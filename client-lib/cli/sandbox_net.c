#include "sandbox_net.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int write_text(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;

        if (fd < 0)
                return -errno;
        if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
                r = -errno;
        (void)close(fd);
        return r;
}

/* One id stands for itself; all others are nobody. */
static int write_map(const char *path, unsigned id)
{
        char text[64];

        (void)snprintf(text, sizeof(text), "%u %u 1", id, id);
        return write_text(path, text);
}

static int map_ids(uid_t uid, gid_t gid)
{
        int r = write_text("/proc/self/setgroups", "deny");

        if (r == -ENOENT) /* of no kernel that has the rest */
                r = 0;
        if (r == 0)
                r = write_map("/proc/self/uid_map", uid);
        if (r == 0)
                r = write_map("/proc/self/gid_map", gid);
        return r;
}

static int raise_loopback(void)
{
        struct ifreq request = { .ifr_name = "lo" };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = 0;

        if (fd < 0)
                return -errno;
        if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
                r = -errno;
        request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
        if (r == 0 && ioctl(fd, SIOCSIFFLAGS, &request) < 0)
                r = -errno;
        (void)close(fd);
        return r;
}

int sandbox_net_enter(const char **ret_step)
{
        uid_t uid = geteuid();
        gid_t gid = getegid();
        int r;

        *ret_step = "make a user and a network namespace";
        if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
                return -errno;
        *ret_step = "map its own ids into a user namespace";
        /* The files of an undumpable process in /proc belong to root. */
        (void)prctl(PR_SET_DUMPABLE, 1);
        r = map_ids(uid, gid);
        (void)prctl(PR_SET_DUMPABLE, 0);
        if (r < 0)
                return r;
        *ret_step = "raise the loopback of a network namespace";
        return raise_loopback();
}

/* ---- sockets ---- */

static const struct {
        mcpcred_service service;
        int type;
        in_port_t port;
        const char *step;
} wanted[] = {
        { MCPCRED_SERVICE_PROXY, SOCK_STREAM, SANDBOX_PROXY_PORT, "listen at port 3128" },
        { MCPCRED_SERVICE_TLS, SOCK_STREAM, 443, "listen at port 443" },
        { MCPCRED_SERVICE_DNS, SOCK_DGRAM, 53, "bind port 53" },
};

static int bind_loopback(int fd, int family, in_port_t port)
{
        const struct sockaddr_in ipv4 = { .sin_family = AF_INET,
                                          .sin_port = htons(port),
                                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        const struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6,
                                           .sin6_port = htons(port),
                                           .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        const int on = 1;

        if (family == AF_INET)
                return bind(fd, (const void *)&ipv4, sizeof(ipv4));
        if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
                return -1;
        return bind(fd, (const void *)&ipv6, sizeof(ipv6));
}

/* A descriptor, or -errno. Not blocking, since that is shared with who accepts. */
static int bind_one(int family, int type, in_port_t port)
{
        int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

        if (fd < 0)
                return -errno;
        if (bind_loopback(fd, family, port) == 0 &&
            (type == SOCK_DGRAM || listen(fd, SOMAXCONN) == 0))
                return fd;
        error = errno;
        (void)close(fd);
        return -error;
}

static bool is_absent(int family, int r)
{
        return family == AF_INET6 && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL);
}

int sandbox_net_bind(bool all, SandboxSockets *ret, const char **ret_step)
{
        static const int families[] = { AF_INET, AF_INET6 };

        *ret = (SandboxSockets){ 0 };
        for (size_t i = 0; i < (all ? ARRAY_SIZE(wanted) : 1); i++)
                for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
                        int fd = bind_one(families[f], wanted[i].type, wanted[i].port);

                        if (is_absent(families[f], fd))
                                continue;
                        if (fd < 0) {
                                *ret_step = wanted[i].step;
                                sandbox_sockets_close(ret);
                                return fd;
                        }
                        ret->services[ret->n] = wanted[i].service;
                        ret->fds[ret->n++] = fd;
                }
        return 0;
}

void sandbox_sockets_close(SandboxSockets *sockets)
{
        for (size_t i = 0; i < sockets->n; i++)
                (void)close(sockets->fds[i]);
        sockets->n = 0;
}
