/*
 * A role that does what a test tells it. It stands in the libexec directory under each role's name,
 * finds its instructions beside itself, and confines nothing.
 *
 *   <dir>/<role>.mode     what to do at start: "exit N", "garbage", "deaf" (does not answer), or
 * nothing <dir>/<role>.trace    a line for each start, request and notice that came in
 *   <dir>/<role>.sock     a datagram socket: one command each, answered with one datagram
 *
 * Session processes and providers have none but their trace.
 */
#include "base/fd.h"
#include "ipc/channel.h"
#include "ipc/packet.h"
#include "wire/msg_broker.h"
#include "wire/msg_supervisor.h"
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CALL_USEC (5 * USEC_PER_SEC)

typedef struct Fake {
        char directory[PATH_MAX / 2];
        const char *role;
        bool deaf;
        Loop *loop;
        Arena *arena;
        Channel *supervisor;
        int commands;
        Source *source;
        struct sockaddr_un asker; /* whoever sent the last command */
        socklen_t asker_size;
        int kept[64]; /* descriptors that came, kept open */
        size_t n_kept;
} Fake;

static char *beside(Fake *fake, const char *suffix, char out[PATH_MAX])
{
        (void)snprintf(out, PATH_MAX, "%s/%s.%s", fake->directory, fake->role, suffix);
        return out;
}

static PRINTF_LIKE(2, 3) void trace(Fake *fake, const char *format, ...)
{
        char path[PATH_MAX], line[1024];
        int fd = open(beside(fake, "trace", path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        va_list args;

        va_start(args, format);
        (void)vsnprintf(line, sizeof(line) - 1, format, args);
        va_end(args);
        strcat(line, "\n");
        if (fd_write_all(fd, line, strlen(line)) < 0)
                abort();
        fd_close(fd);
}

static void answer(Fake *fake, const char *text, const int *fds, size_t n)
{
        union {
                struct cmsghdr align;
                char data[CMSG_SPACE(sizeof(int) * 4)];
        } control = { 0 };
        struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
        struct msghdr message = {
                .msg_name = &fake->asker,
                .msg_namelen = fake->asker_size,
                .msg_iov = &iov,
                .msg_iovlen = 1,
        };

        if (n > 0) {
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * n);
                control.align =
                        (struct cmsghdr){ CMSG_LEN(sizeof(int) * n), SOL_SOCKET, SCM_RIGHTS };
                memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * n);
        }
        if (sendmsg(fake->commands, &message, MSG_NOSIGNAL) < 0)
                perror("answer");
}

/* ---- what the supervisor asks ---- */

static void describe(Fake *fake, const Request *request)
{
        const AttachRequest *attach = request->body;
        const ConfigProfile *profile = request->body;
        const ConfigProblems *problems = request->body;
        const SessionNotice *session = request->body;
        const StartRequest *start = request->body;
        const RoleNotice *role = request->body;
        const ServeRequest *serve = request->body;
        const char *name = request->method->name;

        if (strcmp(name, "Attach") == 0)
                trace(fake, "Attach %s %s", role_names[attach->peer],
                      attach->session   ? attach->session
                      : attach->profile ? attach->profile
                                        : "-");
        else if (strcmp(name, "ConfigureProfile") == 0)
                trace(fake, "ConfigureProfile %s ttl=%llu", profile->name,
                      (unsigned long long)profile->ttl);
        else if (strcmp(name, "ConfigProblems") == 0)
                trace(fake, "ConfigProblems %zu %s", problems->problems.n,
                      problems->problems.items[0]);
        else if (strcmp(name, "LifelineGone") == 0)
                trace(fake, "LifelineGone %s", session->session);
        else if (strcmp(name, "Start") == 0)
                trace(fake, "Start epoch=%s boot=%s", start->epoch ? start->epoch : "-",
                      start->boot_id ? "yes" : "no");
        else if (strcmp(name, "Role") == 0)
                trace(fake, "Role %s restarts=%llu", role->role,
                      (unsigned long long)role->restarts);
        else if (strcmp(name, "Serve") == 0)
                trace(fake, "Serve %s %s fds=%zu", serve->session, service_names[serve->service],
                      request->n_fds);
        else
                trace(fake, "%s fds=%zu", name, request->n_fds);
}

/* A session process accepts, answers one line, and dies of "die". */
static int on_client(void *userdata, uint32_t events)
{
        Fake *fake = userdata;
        char text[64];
        int listening;
        socklen_t size = sizeof(int);

        (void)events;
        for (size_t i = 0; i < fake->n_kept; i++) {
                int fd = fake->kept[i], peer = fd;
                ssize_t n;

                if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0)
                        continue;
                if (listening)
                        peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
                if (peer < 0)
                        continue;
                n = recv(peer, text, sizeof(text) - 1, listening ? 0 : MSG_DONTWAIT);
                if (n > 0) {
                        text[n] = '\0';
                        if (strncmp(text, "die", 3) == 0)
                                _exit(3);
                        (void)snprintf(text, sizeof(text), "pid %d\n", (int)getpid());
                        (void)!send(peer, text, strlen(text), MSG_NOSIGNAL);
                }
                if (listening)
                        close(peer);
        }
        return 0;
}

static int on_request(void *userdata, Channel *channel, Request *request)
{
        static const Empty nothing = { 0 };
        Fake *fake = userdata;

        (void)channel;
        describe(fake, request);
        while (request->n_fds > 0 && fake->n_kept < ARRAY_SIZE(fake->kept)) {
                int fd = take_fd(&request->fds[--request->n_fds]);

                if (strcmp(fake->role, "session") == 0 &&
                    strcmp(request->method->name, "Serve") == 0) {
                        Source *source;

                        if (source_new(&source, fake->loop, fd, EPOLLIN, on_client, fake) < 0)
                                abort();
                }
                fake->kept[fake->n_kept++] = fd;
        }
        if (fake->deaf)
                return 0;
        if (!request->method->reply) {
                request_done(request);
                return 0;
        }
        return request_reply(request, &nothing, NULL, 0);
}

static int on_closed(void *userdata, Channel *channel, const char *reason)
{
        Fake *fake = userdata;

        (void)channel;
        trace(fake, "end");
        loop_exit(fake->loop, strcmp(reason, "is gone") == 0 ? 0 : 9);
        return 0;
}

/* ---- what a test asks ---- */

static int tell(Fake *fake, const Reply *reply, const char *text)
{
        char fault[1024];

        if (reply->fault != FAULT_NONE) {
                (void)snprintf(fault, sizeof(fault), "fault %s: %s", fault_info(reply->fault)->name,
                               reply->message ? reply->message : "");
                text = fault;
        }
        answer(fake, text, reply->fds, reply->n_fds);
        return 0;
}

static int on_done(void *userdata, const Reply *reply)
{
        return tell(userdata, reply, "ok");
}

static int on_created(void *userdata, const Reply *reply)
{
        const CreateSessionReply *body = reply->body;
        char text[8192];

        (void)snprintf(text, sizeof(text), "ok %s%s%s", body ? body->socket : "",
                       body && body->proxy_socket ? " " : "",
                       body && body->proxy_socket ? body->proxy_socket : "");
        return tell(userdata, reply, text);
}

static int on_written(void *userdata, const Reply *reply)
{
        const WriteFileReply *body = reply->body;
        char text[8192];

        (void)snprintf(text, sizeof(text), "ok %s", body ? body->path : "");
        return tell(userdata, reply, text);
}

static int on_attested(void *userdata, const Reply *reply)
{
        const AttestReply *body = reply->body;
        char text[1024];

        (void)snprintf(text, sizeof(text), "ok %s", body && body->unit ? body->unit : "-");
        return tell(userdata, reply, text);
}

static int on_provider(void *userdata, const Reply *reply)
{
        const StartProviderReply *body = reply->body;
        char text[64];

        (void)snprintf(text, sizeof(text), "ok %llu", body ? (unsigned long long)body->pid : 0);
        return tell(userdata, reply, text);
}

static int on_reloaded(void *userdata, const Reply *reply)
{
        const ReloadConfigReply *body = reply->body;
        char text[2048];

        (void)snprintf(text, sizeof(text), "ok profiles=%llu problems=%zu %s",
                       body ? (unsigned long long)body->profiles : 0, body ? body->problems.n : 0,
                       body && body->problems.n > 0 ? body->problems.items[0] : "");
        return tell(userdata, reply, text);
}

static int on_held(void *userdata, const Reply *reply)
{
        const ListHeldReply *body = reply->body;
        char text[8192] = "ok";

        for (size_t i = 0; body && i < body->sessions.n && i < 100; i++) {
                size_t used = strlen(text);

                (void)snprintf(text + used, sizeof(text) - used, " %s", body->sessions.items[i]);
        }
        return tell(userdata, reply, text);
}

static void call(Fake *fake, unsigned method, const void *body, const Packet *packet, CallDone done)
{
        if (channel_call(fake->supervisor, method, body, packet->fds, packet->n_fds, CALL_USEC,
                         done, fake, NULL) < 0)
                abort();
}

static void command_vault(Fake *fake, char *words[4], const Packet *packet)
{
        static const Empty nothing = { 0 };
        CreateSessionRequest create = { .session = words[1], .uid = geteuid() };
        SessionNotice start = { .session = words[1] };
        const char *ended[] = { words[1], words[2] };
        EndSessionsRequest end = { .sessions = { ended, words[2] ? 2 : 1 } };
        WriteFileRequest file = { .session = words[1], .name = words[2] };
        SetEpochRequest epoch = { .epoch = words[1] };
        StartProviderRequest provider = { .provider = "github" };
        EgressProcessRequest egress = { .profile = words[1] };
        JoinEgressRequest join = { .session = words[1], .profile = words[2] };
        StopProviderRequest stop = { .pid = words[1] ? strtoull(words[1], NULL, 10) : 0 };

        if (strcmp(words[0], "create") == 0) {
                create.lifeline = strcmp(words[2], "connection") == 0 ? LIFELINE_CONNECTION
                                  : strcmp(words[2], "lifetime") == 0 ? LIFELINE_LIFETIME
                                                                      : LIFELINE_DESCRIPTOR;
                create.proxy = words[3] && strcmp(words[3], "proxy") == 0;
                create.want_descriptor = words[3] && strcmp(words[3], "fd") == 0;
                if (words[3] && words[3][0] >= '0' && words[3][0] <= '9')
                        create.uid = strtoull(words[3], NULL, 10);
                call(fake, VAULT_CREATE_SESSION, &create, packet, on_created);
        } else if (strcmp(words[0], "end") == 0)
                call(fake, VAULT_END_SESSIONS, &end, packet, on_done);
        else if (strcmp(words[0], "write") == 0 || strcmp(words[0], "certificate") == 0) {
                file.certificate = words[0][0] == 'c';
                file.bundle = file.certificate ? "bundle.pem" : NULL;
                if (secret_from_bytes(&file.content, fake->arena, slice_text(words[3])))
                        abort();
                call(fake, VAULT_WRITE_FILE, &file, packet, on_written);
                secret_free(file.content);
        } else if (strcmp(words[0], "start-egress") == 0)
                call(fake, VAULT_START_EGRESS, &egress, packet, on_done);
        else if (strcmp(words[0], "stop-egress") == 0)
                call(fake, VAULT_STOP_EGRESS, &egress, packet, on_done);
        else if (strcmp(words[0], "join") == 0)
                call(fake, VAULT_JOIN_EGRESS, &join, packet, on_done);
        else if (strcmp(words[0], "epoch") == 0)
                call(fake, VAULT_SET_EPOCH, &epoch, packet, on_done);
        else if (strcmp(words[0], "held") == 0)
                call(fake, VAULT_LIST_HELD, &nothing, packet, on_held);
        else if (strcmp(words[0], "reload") == 0)
                call(fake, VAULT_RELOAD, &nothing, packet, on_reloaded);
        else if (strcmp(words[0], "provider") == 0)
                call(fake, VAULT_START_PROVIDER, &provider, packet, on_provider);
        else if (strcmp(words[0], "start-session") == 0) {
                if (channel_notify(fake->supervisor, VAULT_START_SESSION, &start) < 0)
                        abort();
        } else if (channel_notify(fake->supervisor,
                                strcmp(words[0], "stop-provider") == 0 ? VAULT_STOP_PROVIDER
                                                                       : VAULT_RESTART_KEYRING,
                                strcmp(words[0], "stop-provider") == 0
                                        ? (void *)&stop
                                        : (void *)(uintptr_t)&nothing) < 0)
                abort();
}

static void command_gate(Fake *fake, char *words[4], const Packet *packet)
{
        const SessionNotice delivered = { .session = words[1] };
        AttestRequest request = { .uid = 0 };

        if (strcmp(words[0], "deliver") == 0) {
                if (channel_notify(fake->supervisor, GATE_DELIVERED, &delivered) < 0)
                        abort();
                return;
        }
        request.uid = strtoull(words[1], NULL, 10);
        request.pid = strtoull(words[2], NULL, 10);
        call(fake, GATE_ATTEST, &request, packet, on_attested);
}

static void command_session(Fake *fake, char *words[4], const Packet *packet)
{
        KeepRequest keep = { 0 };

        for (uint32_t i = 0; service_names[i]; i++)
                if (strcmp(service_names[i], words[1]) == 0)
                        keep.service = i;
        call(fake, FROM_SESSION_KEEP, &keep, packet, on_done);
}

static void command(Fake *fake, char *words[4], const Packet *packet)
{
        if (strcmp(words[0], "garbage") == 0)
                (void)!write(3, "\xff\xff\xff\xff\xff\xff\xff\xff garbage", 16);
        else if (strcmp(words[0], "exit") == 0)
                _exit(7);
        else if (strcmp(words[0], "say") == 0)
                fprintf(stderr, "%s\n", words[1]);
        else if (strcmp(fake->role, "gate") == 0)
                command_gate(fake, words, packet);
        else if (strcmp(fake->role, "session") == 0)
                command_session(fake, words, packet);
        else
                command_vault(fake, words, packet);
}

static int on_command(void *userdata, uint32_t events)
{
        Fake *fake = userdata;
        union {
                struct cmsghdr align;
                char data[CMSG_SPACE(sizeof(int) * 4)];
        } control;
        char text[1024], *words[4] = { NULL }, *rest = text;
        struct iovec iov = { text, sizeof(text) - 1 };
        struct msghdr message = {
                .msg_name = &fake->asker,
                .msg_namelen = sizeof(fake->asker),
                .msg_iov = &iov,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        Packet packet = { 0 };
        ssize_t n = recvmsg(fake->commands, &message, MSG_CMSG_CLOEXEC);

        (void)events;
        if (n <= 0)
                return 0;
        text[n] = '\0';
        fake->asker_size = message.msg_namelen;
        if (CMSG_FIRSTHDR(&message)) {
                memcpy(packet.fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
                packet.n_fds = 1;
        }
        for (size_t i = 0; i < ARRAY_SIZE(words) && rest; i++)
                words[i] = strsep(&rest, " ");
        command(fake, words, &packet);
        fd_close_all(packet.fds, packet.n_fds);
        return 0;
}

/* ---- start ---- */

static void find_instructions(Fake *fake, char mode[64])
{
        static char path[PATH_MAX / 2];
        _cleanup_(freep) char *text = NULL;
        char file[PATH_MAX];
        struct rlimit files;
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

        if (n <= 0)
                abort();
        path[n] = '\0';
        fake->role = strrchr(path, '-') + 1;
        *strrchr(path, '/') = '\0';
        (void)snprintf(fake->directory, sizeof(fake->directory), "%s", path);
        if (fd_read_file_at(AT_FDCWD, beside(fake, "mode", file), 63, &text) == 0)
                (void)snprintf(mode, 64, "%s", text);
        (void)getrlimit(RLIMIT_NOFILE, &files);
        trace(fake, "start pid=%d files=%llu", (int)getpid(), (unsigned long long)files.rlim_max);
}

static int listen_for_commands(Fake *fake)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char path[PATH_MAX];

        if (strcmp(fake->role, "provider") == 0)
                return 0;
        beside(fake, "sock", path);
        (void)unlink(path);
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        fake->commands = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fake->commands < 0 || bind(fake->commands, &address, sizeof(address)) < 0)
                return error_errno();
        return source_new(&fake->source, fake->loop, fake->commands, EPOLLIN, on_command, fake);
}

static const Interface *const ins[] = { &interface_to_gate, &interface_to_vault,
                                        &interface_to_session, &interface_to_worker };
static const Interface *const outs[] = { &interface_from_gate, &interface_from_vault,
                                         &interface_from_session, &interface_from_worker };

int main(void)
{
        static Fake fake;
        char mode[64] = "";
        ChannelConfig channel = {
                .fd = 3, .handler = on_request, .closed = on_closed, .userdata = &fake
        };
        size_t kind;

        find_instructions(&fake, mode);
        if (strncmp(mode, "exit", 4) == 0)
                return atoi(mode + 4);
        if (strncmp(mode, "garbage", 7) == 0) {
                (void)!write(3, "\xff\xff\xff\xff\xff\xff\xff\xff garbage", 16);
                (void)pause();
        }
        fake.deaf = strncmp(mode, "deaf", 4) == 0;
        if (sodium_init() < 0 || loop_new(&fake.loop, &clock_system) < 0 ||
            arena_new(&fake.arena, 65536))
                return 1;
        kind = strcmp(fake.role, "gate") == 0      ? 0
               : strcmp(fake.role, "vault") == 0   ? 1
               : strcmp(fake.role, "session") == 0 ? 2
                                                   : 3;
        channel.loop = fake.loop;
        channel.arena = fake.arena;
        channel.in = ins[kind];
        channel.out = outs[kind];
        if (listen_for_commands(&fake) < 0 || channel_new(&fake.supervisor, &channel) < 0)
                return 1;
        return loop_run(fake.loop) == 0 ? 0 : 1;
}
