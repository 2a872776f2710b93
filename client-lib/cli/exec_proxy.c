#include "exec_proxy.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

int exec_proxy_listen(char address[32])
{
        struct sockaddr_in name = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(name);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd >= 0 && bind(fd, (const void *)&name, sizeof(name)) == 0 &&
            listen(fd, SOMAXCONN) == 0 && getsockname(fd, (void *)&name, &size) == 0) {
                (void)snprintf(address, 32, "127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
                return fd;
        }
        if (fd >= 0)
                (void)close(fd);
        return -1;
}
