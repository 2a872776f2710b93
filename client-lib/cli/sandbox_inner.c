#include "sandbox.h"
#include "exec_child.h"
#include "sandbox_channel.h"
#include "sandbox_command.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Behind the program's name: SANDBOX_INNER, the channel, the mask, "listen" or "-", the command. */
enum { AT_CHANNEL = 2, AT_MASK, AT_LISTEN, AT_COMMAND };

static void unblock(uint64_t mask)
{
        sigset_t set;

        (void)sigemptyset(&set);
        for (int number = 1; number < 64; number++)
                if (mask >> number & 1)
                        (void)sigaddset(&set, number);
        (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Says that all is made, with the sockets if they are ours to make, and waits for the word to go
 * on. */
static bool announce(int channel, bool listens)
{
        SandboxMessage message = { .stage = SANDBOX_INSIDE };
        const char *step = "";
        int r = listens ? sandbox_net_bind(false, &message.sockets, &step) : 0;

        if (r < 0) {
                message = (SandboxMessage){ .stage = SANDBOX_FAILED, .error = -r };
                (void)snprintf(message.step, sizeof(message.step), "%s", step);
        }
        r = sandbox_channel_send(channel, &message);
        sandbox_sockets_close(&message.sockets);
        return r == 0 && message.stage == SANDBOX_INSIDE && sandbox_channel_may_go(channel);
}

int sandbox_inner(int argc, char **argv)
{
        SandboxMessage message = { .stage = SANDBOX_NO_EXEC };
        int channel, type;
        socklen_t size = sizeof(type);

        if (argc <= AT_COMMAND)
                return EXIT_EXEC_SELF;
        channel = (int)strtol(argv[AT_CHANNEL], NULL, 10);
        if (getsockopt(channel, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET)
                return EXIT_EXEC_SELF;
        if (!announce(channel, strcmp(argv[AT_LISTEN], "listen") == 0))
                return EXIT_EXEC_SELF;
        if (exec_place_descriptors(getenv("MCPCRED_FD") ? EXEC_SESSION_FD : -1, channel) < 0)
                return EXIT_EXEC_SELF;
        (void)close_range(EXEC_REPORT_FD + 1, ~0U, 0);
        unblock(strtoull(argv[AT_MASK], NULL, 16));
        message.error = exec_program(argv + AT_COMMAND, environ);
        (void)sandbox_channel_send(EXEC_REPORT_FD, &message);
        return exec_status_of(message.error);
}
