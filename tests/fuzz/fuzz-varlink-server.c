/* A stream of bytes into the varlink server, cut into pieces by the first byte of the input. */
#include "base/fd.h"
#include "ipc/varlink_server.h"
#include "target.h"
#include "wire/msg_session.h"
#include "wire/varlink.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int on_call(UNUSED void *userdata, VarlinkRequest *request)
{
        const TokenReply reply = { .profile = "p" }; /* no token: it cannot be written, which must be said */

        return request->peer.pid % 2 == 0 ? varlink_fail_text(request, FAULT_BUSY, NULL)
                                          : varlink_reply(request, &reply, NULL, 0, NULL, NULL);
}

static void feed(Loop *loop, int fd, const uint8_t *data, size_t size, size_t piece)
{
        char reply[4096];

        while (size > 0) {
                ssize_t n = send(fd, data, MIN(piece, size), MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && errno != EAGAIN)
                        return;
                data += MAX(n, 0);
                size -= (size_t)MAX(n, 0);
                if (loop_dispatch(loop, 0) < 0)
                        abort();
                while (recv(fd, reply, sizeof(reply), MSG_DONTWAIT) > 0)
                        ;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static Arena *arena;
        VarlinkServerConfig config = {
                .interface = &interface_session,
                .text = varlink_text_session,
                .handler = on_call,
                .max_connections = 1,
                .max_per_uid = 1,
        };
        VarlinkServer *server = NULL;
        int pair[2];

        if (!arena && (json_setup() < 0 || arena_new(&arena, 256 * 1024)))
                abort();
        config.arena = arena;
        if (size == 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return 0;
        if (loop_new(&config.loop, &clock_system) < 0 || varlink_server_new(&server, &config) < 0 ||
            varlink_server_adopt(server, pair[1], false) < 0)
                abort();
        feed(config.loop, pair[0], data + 1, size - 1, 1U + data[0] * 16U);
        server = varlink_server_free(server);
        config.loop = loop_free(config.loop);
        fd_close(pair[0]);
        if (arena_used(arena) > 0)
                abort();
        return 0;
}
