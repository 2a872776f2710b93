#include "sandbox_channel.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* As it travels. */
typedef struct Packet {
        int32_t stage, error;
        char step[64];
        int32_t services[SANDBOX_SOCKETS_MAX];
} Packet;

typedef union Control {
        struct cmsghdr header;
        char space[CMSG_SPACE(SANDBOX_SOCKETS_MAX * sizeof(int)) +
                   CMSG_SPACE(sizeof(struct ucred))];
} Control;

/* Above the numbers that the command's descriptors get. */
#define NUMBER_MIN 10

int sandbox_channel_new(int *ret_ours, int *ret_theirs)
{
        const int on = 1;
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        *ret_ours = pair[0];
        *ret_theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, NUMBER_MIN);
        (void)close(pair[1]);
        if (*ret_theirs >= 0 &&
            setsockopt(*ret_ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0)
                return 0;
        return -errno;
}

int sandbox_channel_send(int channel, const SandboxMessage *message)
{
        const SandboxSockets *sockets = &message->sockets;
        size_t size = sockets->n * sizeof(int);
        Packet packet = { .stage = (int32_t)message->stage, .error = message->error };
        Control control = { 0 };
        struct iovec iov = { &packet, sizeof(packet) };
        struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        memcpy(packet.step, message->step, sizeof(packet.step));
        for (size_t i = 0; i < sockets->n; i++)
                packet.services[i] = (int32_t)sockets->services[i];
        if (sockets->n > 0) {
                header.msg_control = &control;
                header.msg_controllen = CMSG_SPACE(size);
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(size);
                memcpy(CMSG_DATA(&control.header), sockets->fds, size);
        }
        do
                n = sendmsg(channel, &header, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

static void take_control(struct msghdr *header, SandboxMessage *ret)
{
        for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
                size_t size = c->cmsg_len - CMSG_LEN(0);
                struct ucred sender;

                if (c->cmsg_level != SOL_SOCKET)
                        continue;
                if (c->cmsg_type == SCM_RIGHTS && size <= sizeof(ret->sockets.fds)) {
                        memcpy(ret->sockets.fds, CMSG_DATA(c), size);
                        ret->sockets.n = size / sizeof(int);
                } else if (c->cmsg_type == SCM_CREDENTIALS && size == sizeof(sender)) {
                        memcpy(&sender, CMSG_DATA(c), sizeof(sender));
                        ret->pid = sender.pid;
                }
        }
}

int sandbox_channel_receive(int channel, SandboxMessage *ret)
{
        Packet packet = { 0 };
        Control control;
        struct iovec iov = { &packet, sizeof(packet) };
        struct msghdr header = { .msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control) };
        ssize_t n;

        *ret = (SandboxMessage){ 0 };
        do
                n = recvmsg(channel, &header, MSG_CMSG_CLOEXEC);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == ECONNRESET ? 1 : -errno;
        if (n == 0)
                return 1;
        take_control(&header, ret);
        ret->stage = (SandboxStage)packet.stage;
        ret->error = packet.error;
        memcpy(ret->step, packet.step, sizeof(ret->step));
        ret->step[sizeof(ret->step) - 1] = '\0';
        for (size_t i = 0; i < ret->sockets.n; i++)
                ret->sockets.services[i] = (mcpcred_service)packet.services[i];
        return 0;
}

bool sandbox_channel_may_go(int channel)
{
        SandboxMessage message;

        return sandbox_channel_receive(channel, &message) == 0 && message.stage == SANDBOX_GO;
}
