/*
 * Plays the supervisor and the vault for a real gate or session process, over the sockets that those
 * would use, so that a test can look at the process alone.
 *
 * driver gate EXE PATH | session EXE PATH FD
 *
 * PATH is bound and handed over listening; FD (session) is handed over connected. Lines on stdin steer
 * it, and what happens is said on stdout, one line each:
 *   attest ok|no|hang    how the supervisor answers from now on
 *   vault ok|hold|fault  how the vault answers
 *   release [hold]       answers what the vault holds; what comes next is held again or not
 *   detach, attach       the vault goes away, a new one comes
 *   restart              the process is killed and started again, and adopts what was held
 */
#include "base/fd.h"
#include "base/ident.h"
#include "base/list.h"
#include "ipc/channel.h"
#include "wire/msg_session.h"
#include "wire/msg_supervisor.h"
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT (10U * USEC_PER_SEC)
#define HELD_MAX 64U
#define PAGES 3U
#define ROWS 40U

typedef enum Mood {
        MOOD_OK,
        MOOD_NO,
        MOOD_HANG,
        MOOD_HOLD,
        MOOD_FAULT,
} Mood;

typedef struct Driver {
        Loop *loop;
        Arena *arena;
        bool session;
        const char *exe, *path;
        int listener;
        int connected; /* session: the connected descriptor */
        pid_t child;
        Channel *role;  /* as the supervisor */
        Channel *vault; /* as the vault */
        Mood attest, answer;
        Request *held[HELD_MAX];
        size_t n_held;
        Request *hung[HELD_MAX]; /* never answered */
        size_t n_hung;
        int lifelines[HELD_MAX];
        Source *sources[HELD_MAX];
        struct Watch *watches[HELD_MAX];
        size_t n_lifelines;
        unsigned n_sessions;
        bool restarting;
        char line[256];
        size_t line_size;
} Driver;

typedef struct Watch {
        Driver *driver;
        size_t i;
} Watch;

static void PRINTF_LIKE(1, 2) say(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vprintf(format, args);
        va_end(args);
        (void)putchar('\n');
        (void)fflush(stdout);
}

/* ---- the vault ---- */

static int on_lifeline(void *userdata, UNUSED uint32_t events)
{
        Watch *watch = userdata;
        Driver *driver = watch->driver;

        say("lifeline gone %zu", watch->i);
        driver->sources[watch->i] = source_free(driver->sources[watch->i]);
        driver->lifelines[watch->i] = fd_close(driver->lifelines[watch->i]);
        return 0;
}

static int keep_lifeline(Driver *driver, Request *request)
{
        Watch *watch;

        if (request->n_fds == 0 || driver->n_lifelines == HELD_MAX)
                return 0;
        watch = calloc(1, sizeof(*watch));
        if (!watch)
                return -ENOMEM;
        *watch = (Watch){ driver, driver->n_lifelines++ };
        driver->lifelines[watch->i] = take_fd(&request->fds[0]);
        request->n_fds = 0;
        driver->watches[watch->i] = watch;
        return source_new(&driver->sources[watch->i], driver->loop, driver->lifelines[watch->i], 0, on_lifeline, watch);
}

static int answer_open(Driver *driver, Request *request)
{
        const OpenSessionRequest *body = request->body;
        char id[IDENT_ID_SIZE + 1];
        OpenSessionReply reply = { .session = id, .expires = 1, .socket = "/s", .directory = "/d" };
        EnvironmentEntry entry = { .name = "MCPCRED_SESSION" };
        int pair[2] = { -1, -1 }, r;
        bool want = body->want_descriptor;

        (void)snprintf(id, sizeof(id), "s-%016u", driver->n_sessions++);
        r = secret_from_bytes(&entry.value, driver->arena, slice_text("the-session-secret"));
        if (r)
                return error_fold(r);
        reply.environment = (RecordList){ &entry, 1 };
        r = keep_lifeline(driver, request);
        if (r == 0 && want && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                r = error_errno();
        if (r == 0)
                r = request_reply(request, &reply, pair, want ? 1 : 0);
        fd_close_all(pair, 2);
        secret_free(entry.value);
        return r;
}

static int answer_token(Driver *driver, Request *request)
{
        TokenReply reply = { .profile = "one", .expires = UINT64_C(1767225600000000) };
        int r = secret_from_bytes(&reply.token, driver->arena, slice_text("the-token"));

        if (r)
                return error_fold(r);
        r = request_reply(request, &reply, NULL, 0);
        secret_free(reply.token);
        return r;
}

static int answer_leases(Request *request)
{
        LeaseRow rows[ROWS];
        ListLeasesReply reply = { .leases = { rows, ROWS } };
        int r = 0;

        for (size_t i = 0; i < ROWS; i++)
                rows[i] = (LeaseRow){ .lease = "l-0123456789abcdef", .session = "s-0123456789abcdef",
                                      .profile = "one", .secret = "github", .created = 1, .reason = "because" };
        for (unsigned page = 1; r == 0 && page < PAGES; page++)
                r = request_reply_more(request, &reply);
        return r < 0 ? r : request_reply(request, &reply, NULL, 0);
}

static int answer_rotate(Request *request)
{
        RotateReply reply = { .step = "planned", .message = "m", .generation = 1 };
        int r = request_reply_more(request, &reply);

        reply.step = "done";
        return r < 0 ? r : request_reply(request, &reply, NULL, 0);
}

/* Says what came with the descriptor, as the vault would read it. */
static int answer_add(Request *request)
{
        char text[256] = "";
        AddSecretReply reply = { .identity = text, .generation = 1 };
        ssize_t n = request->n_fds == 1 ? read(request->fds[0], text, sizeof(text) - 1) : -1;

        if (n < 0)
                return request_fail(request, FAULT_INVALID_PARAMETER, NULL);
        return request_reply(request, &reply, NULL, 0);
}

static int answer_status(Request *request)
{
        StatusReply reply = { .version = "1", .started = 1, .store = "memory", .store_state = "ready",
                              .audit_head = "", .audit_path = "/a", .audit_state = "ready", .audit_base_head = "" };

        return request_reply(request, &reply, NULL, 0);
}

static int answer_broker(Driver *driver, Request *request)
{
        RevokeReply closed = { .sessions = 1 };

        switch (request->id) {
        case BROKER_OPEN_SESSION:
                return answer_open(driver, request);
        case BROKER_CLOSE_SESSION:
                return request_reply(request, &closed, NULL, 0);
        case BROKER_GET_TOKEN:
                return answer_token(driver, request);
        case BROKER_LIST_LEASES:
                return answer_leases(request);
        case BROKER_ROTATE:
                return answer_rotate(request);
        case BROKER_ADD_SECRET:
                return answer_add(request);
        case BROKER_STATUS:
                return answer_status(request);
        default:
                return request_fail(request, FAULT_UNSUPPORTED, NULL);
        }
}

static int answer(Driver *driver, Request *request)
{
        const FaultBody fault = { .fault = FAULT_POLICY_DENIED, .message = "No.", .remedy = "Ask for less.",
                                  .field = "grants[0].scope", .retry_after_usec = 7 * USEC_PER_SEC };

        if (driver->answer == MOOD_FAULT)
                return request_fail_body(request, &fault);
        return driver->session ? answer_token(driver, request) : answer_broker(driver, request);
}

static void say_call(const Driver *driver, const Request *request)
{
        const StatusRequest *asked = request->body; /* every request begins with its caller */
        const SessionTokenRequest *token = request->body;
        const CloseSessionRequest *close_request = request->body;

        if (driver->session)
                say("call %s by_path=%d secret=%.*s", request->method->name, token->by_path,
                    (int)secret_size(token->session), (const char *)secret_slice(token->session).data);
        else
                say("call %s uid=%" PRIu64 " pid=%" PRIu64 " unit=%s fds=%zu session=%s", request->method->name,
                    asked->caller->uid, asked->caller->pid, asked->caller->unit ? asked->caller->unit : "",
                    request->n_fds, request->id == BROKER_CLOSE_SESSION ? close_request->session : "");
}

static int on_vault_call(void *userdata, UNUSED Channel *channel, Request *request)
{
        Driver *driver = userdata;

        say_call(driver, request);
        if (driver->answer == MOOD_HOLD && driver->n_held < HELD_MAX) {
                driver->held[driver->n_held++] = request;
                return 0;
        }
        return answer(driver, request);
}

static int release(Driver *driver)
{
        int r = 0;

        driver->answer = MOOD_OK;
        for (size_t i = 0; r == 0 && i < driver->n_held; i++)
                r = answer(driver, driver->held[i]);
        driver->n_held = 0;
        return r;
}

/* ---- the supervisor ---- */

static int on_closed(void *userdata, Channel *channel, const char *reason)
{
        Driver *driver = userdata;

        if (channel == driver->vault) {
                say("vault edge %s", reason);
                driver->vault = channel_free(channel);
        } else {
                say("role %s", reason);
                driver->role = channel_free(channel);
                if (!driver->restarting)
                        loop_exit(driver->loop, 1);
        }
        return 0;
}

static int on_role_call(void *userdata, UNUSED Channel *channel, Request *request)
{
        Driver *driver = userdata;
        AttestReply reply = { .unit = "test.service" };
        const AttestRequest *asked = request->body;

        if (request->id == GATE_LOG) {
                say("log %s", ((const LogNotice *)request->body)->text);
                request_done(request);
                return 0;
        }
        say("attest uid=%" PRIu64 " pid=%" PRIu64 " fds=%zu", asked->uid, asked->pid, request->n_fds);
        if (driver->attest == MOOD_HANG && driver->n_hung < HELD_MAX) {
                driver->hung[driver->n_hung++] = request;
                return 0;
        }
        if (driver->attest == MOOD_NO)
                return request_fail(request, FAULT_NOT_ALLOWED, "You are in a session.");
        return request_reply(request, &reply, NULL, 0);
}

static int on_done(void *userdata, const Reply *reply)
{
        const char *what = userdata;

        say("%s %s", what, reply->fault == FAULT_NONE ? "ok" : fault_info(reply->fault)->name);
        return 0;
}

static int attach(Driver *driver)
{
        AttachRequest body = { .peer = ROLE_VAULT };
        ChannelConfig config = {
                .loop = driver->loop,
                .arena = driver->arena,
                .in = driver->session ? &interface_session : &interface_broker,
                .handler = on_vault_call,
                .closed = on_closed,
                .userdata = driver,
        };
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return error_errno();
        config.fd = pair[0];
        driver->vault = channel_free(driver->vault);
        r = channel_new(&driver->vault, &config);
        if (r == 0)
                r = channel_call(driver->role, driver->session ? (unsigned)TO_SESSION_ATTACH : (unsigned)TO_GATE_ATTACH,
                                 &body, &pair[1], 1, TIMEOUT, on_done, (void *)(uintptr_t)"attached", NULL);
        fd_close(pair[1]);
        return r;
}

static int serve(Driver *driver)
{
        const char *group[] = { "4242" };
        ListenRequest listen_body = { .owner_uid = getuid(), .group_uids = { group, 1 } };
        ServeRequest serve_body = { .owner_uid = getuid(), .session = "s-0123456789abcdef", .service = SERVICE_VARLINK_SOCKET };
        int r;

        if (!driver->session)
                return channel_call(driver->role, TO_GATE_LISTEN, &listen_body, &driver->listener, 1, TIMEOUT, on_done,
                                    (void *)(uintptr_t)"listening", NULL);
        r = channel_call(driver->role, TO_SESSION_SERVE, &serve_body, &driver->listener, 1, TIMEOUT, on_done,
                         (void *)(uintptr_t)"served", NULL);
        serve_body.service = SERVICE_VARLINK_DESCRIPTOR;
        if (r == 0)
                r = channel_call(driver->role, TO_SESSION_SERVE, &serve_body, &driver->connected, 1, TIMEOUT, on_done,
                                 (void *)(uintptr_t)"listening", NULL);
        return r;
}

static int adopt(Driver *driver)
{
        Empty body = { 0 };
        int r = 0;

        for (size_t i = 0; r == 0 && i < driver->n_lifelines; i++)
                if (driver->lifelines[i] >= 0)
                        r = channel_call(driver->role, TO_GATE_ADOPT, &body, &driver->lifelines[i], 1, TIMEOUT, on_done,
                                         (void *)(uintptr_t)"adopted", NULL);
        return r;
}

static int spawn(Driver *driver)
{
        ChannelConfig config = {
                .loop = driver->loop,
                .arena = driver->arena,
                .in = driver->session ? &interface_from_session : &interface_from_gate,
                .out = driver->session ? &interface_to_session : &interface_to_gate,
                .handler = on_role_call,
                .closed = on_closed,
                .userdata = driver,
        };
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return error_errno();
        driver->child = fork();
        if (driver->child < 0)
                return error_errno();
        if (driver->child == 0) {
                if (dup2(pair[1], 3) < 0 || fd_set_cloexec(3, false) < 0)
                        _exit(126);
                (void)execl(driver->exe, driver->exe, "--allow-no-landlock", (char *)NULL);
                _exit(127);
        }
        say("pid %d", (int)driver->child);
        fd_close(pair[1]);
        config.fd = pair[0];
        return channel_new(&driver->role, &config);
}

static int start(Driver *driver)
{
        int r = spawn(driver);

        if (r == 0)
                r = attach(driver);
        return r < 0 ? r : serve(driver);
}

static int restart(Driver *driver)
{
        int r;

        driver->restarting = true;
        (void)kill(driver->child, SIGKILL);
        (void)waitpid(driver->child, NULL, 0);
        driver->role = channel_free(driver->role);
        r = start(driver);
        driver->restarting = false;
        return r < 0 ? r : adopt(driver);
}

/* ---- steering ---- */

static Mood mood_of(const char *word)
{
        static const char *const names[] = { "ok", "no", "hang", "hold", "fault" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(names[i], word) == 0)
                        return (Mood)i;
        return MOOD_OK;
}

static int obey(Driver *driver, const char *line)
{
        int r = 0;

        if (strncmp(line, "attest ", 7) == 0)
                driver->attest = mood_of(line + 7);
        else if (strncmp(line, "vault ", 6) == 0)
                driver->answer = mood_of(line + 6);
        else if (strncmp(line, "release", 7) == 0) {
                r = release(driver);
                driver->answer = strcmp(line, "release hold") == 0 ? MOOD_HOLD : MOOD_OK;
        }
        else if (strcmp(line, "detach") == 0)
                driver->vault = channel_free(driver->vault);
        else if (strcmp(line, "attach") == 0)
                r = attach(driver);
        else if (strcmp(line, "restart") == 0)
                r = restart(driver);
        say("did %s", line);
        return r;
}

static int on_input(void *userdata, UNUSED uint32_t events)
{
        Driver *driver = userdata;
        ssize_t n = read(STDIN_FILENO, driver->line + driver->line_size, sizeof(driver->line) - 1 - driver->line_size);
        char *end;
        int r = 0;

        if (n <= 0) {
                loop_exit(driver->loop, 0);
                return 0;
        }
        driver->line_size += (size_t)n;
        driver->line[driver->line_size] = '\0';
        while (r == 0 && (end = strchr(driver->line, '\n'))) {
                *end = '\0';
                r = obey(driver, driver->line);
                driver->line_size -= (size_t)(end + 1 - driver->line);
                memmove(driver->line, end + 1, driver->line_size + 1);
        }
        return r;
}

static int bind_listener(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        if (fd < 0 || bind(fd, (void *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0)
                return fd_close(fd);
        return fd;
}

/* The role must end by itself, and in order, when its supervisor is gone. */
static int finish(Driver *driver, Source *input, int r)
{
        int status = 0;

        for (size_t i = 0; i < driver->n_hung; i++)
                request_done(driver->hung[i]);
        for (size_t i = 0; i < driver->n_held; i++)
                request_done(driver->held[i]);
        driver->vault = channel_free(driver->vault);
        driver->role = channel_free(driver->role);
        for (size_t i = 0; i < driver->n_lifelines; i++) {
                free(driver->watches[i]);
                driver->sources[i] = source_free(driver->sources[i]);
                fd_close(driver->lifelines[i]);
        }
        source_free(input);
        loop_free(driver->loop);
        arena_free(driver->arena);
        if (driver->child > 0 && waitpid(driver->child, &status, 0) < 0)
                r = error_errno();
        say("ends %d, role %d", r, status);
        return r == 0 && status == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
        Driver driver = { .connected = -1 };
        Source *input = NULL;
        int r;

        if (argc < 4 || sodium_init() < 0)
                return 2;
        driver.session = strcmp(argv[1], "session") == 0;
        driver.exe = argv[2];
        driver.path = argv[3];
        if (argc > 4)
                driver.connected = atoi(argv[4]);
        driver.listener = bind_listener(driver.path);
        if (driver.listener < 0 || (driver.connected >= 0 && fd_set_cloexec(driver.connected, true) < 0))
                return 2;
        r = arena_new(&driver.arena, 1024 * 1024);
        if (r == 0)
                r = loop_new(&driver.loop, &clock_system);
        if (r == 0)
                r = fd_set_nonblock(STDIN_FILENO);
        if (r == 0)
                r = source_new(&input, driver.loop, STDIN_FILENO, EPOLLIN, on_input, &driver);
        if (r == 0)
                r = start(&driver);
        if (r == 0)
                r = loop_run(driver.loop);
        return finish(&driver, input, r);
}
