/*
 * Plays the supervisor, the vault and the egresses for a real session process, over the sockets that
 * those would use.
 *
 * driver EXE DIR
 *
 * DIR has leaf.der, key.der and `grants`, a line each:
 *   PROFILE|SLOT|NAME|PREFIX|HOSTS|CREDENTIAL-HOSTS|CONCURRENT|WEBSOCKET|URL-HOST     (hosts: by commas)
 * DIR/broker.sock and DIR/proxy.sock are bound and handed over. Lines on stdin steer it, and what happens is
 * said on stdout, one line each:
 *   configure ok|fault|hold  how the vault answers Configure from now on; `release` answers what is held
 *   join PROFILE             its egress is connected, be there an answer to Configure or not
 *   kill PROFILE             its egress dies; the next Configure brings it back, unless: `mend no`
 *   data|end|fail PROFILE [TEXT]  what its waiting exchanges get
 *   lanes PROFILE            says how many were opened
 *   detach, attach           the vault goes away, a new one comes
 *   restart                  the process is killed and started again, with what was kept for it
 */
#include "base/fd.h"
#include "base/ident.h"
#include "ipc/channel.h"
#include "played_egress.h"
#include "wire/msg_session.h"
#include "wire/msg_supervisor.h"
#include <fcntl.h>
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

#define TIMEOUT    (10U * USEC_PER_SEC)
#define GRANTS_MAX 16U
#define HOSTS_MAX  8U
#define FIELDS     9U
#define FILE_MAX   65536U

static const char session_secret[] = "the-session-secret";

typedef struct PlayedGrant {
        SessionGrant grant;
        const char *hosts[HOSTS_MAX], *credential_hosts[HOSTS_MAX];
        char token[IDENT_TOKEN_SIZE + 1];
} PlayedGrant;

typedef struct Driver {
        Loop *loop;
        Arena *arena;
        const char *exe, *directory;
        int broker, proxy; /* listening at their paths */
        pid_t child;
        bool restarting, mends, faults, holds;
        Channel *role;  /* as the supervisor */
        Channel *vault; /* as the vault */
        Request *held;
        char *text, *leaf, *key;
        size_t leaf_size, key_size;
        PlayedGrant grants[GRANTS_MAX];
        size_t n_grants;
        List egresses;
        int kept[SERVICES_KEPT_MAX];
        uint32_t kept_services[SERVICES_KEPT_MAX];
        size_t n_kept;
        char line[512];
        size_t line_size;
} Driver;

void say(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vprintf(format, args);
        va_end(args);
        (void)putchar('\n');
        (void)fflush(stdout);
}

/* ---- egresses ---- */

static PlayedEgress *find_egress(Driver *driver, const char *profile)
{
        LIST_FOREACH(node, &driver->egresses) {
                PlayedEgress *egress = container_of(node, PlayedEgress, link);

                if (strcmp(egress->profile, profile) == 0)
                        return egress;
        }
        return NULL;
}

static int on_done(void *userdata, const Reply *reply)
{
        const char *what = userdata;

        say("%s %s", what, reply->fault == FAULT_NONE ? "ok" : fault_info(reply->fault)->name);
        return 0;
}

static int join_egress(Driver *driver, const char *profile)
{
        const AttachRequest body = { .peer = ROLE_EGRESS, .profile = profile };
        PlayedEgress *egress = NULL;
        int pair[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return error_errno();
        r = played_egress_new(&egress, driver->loop, profile, pair[0]);
        if (r == 0) {
                list_append(&driver->egresses, &egress->link);
                r = channel_call(driver->role, TO_SESSION_ATTACH, &body, &pair[1], 1, TIMEOUT, on_done,
                                 (void *)(uintptr_t)"joined", NULL);
        }
        fd_close(pair[1]);
        return r;
}

static int join_missing(Driver *driver)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < driver->n_grants; i++)
                if (!find_egress(driver, driver->grants[i].grant.profile))
                        r = join_egress(driver, driver->grants[i].grant.profile);
        return r;
}

static void kill_egresses(Driver *driver)
{
        while (!list_empty(&driver->egresses))
                played_egress_free(container_of(driver->egresses.next, PlayedEgress, link));
}

/* ---- the vault ---- */

static int give_grants(Driver *driver, Request *request)
{
        SessionGrant grants[GRANTS_MAX];
        SessionConfigureReply reply = {
                .grants = { grants, driver->n_grants },
                .certificate = slice(driver->leaf, driver->leaf_size),
                .expires = UINT64_C(1893456000000000),
        };
        int r = driver->mends ? join_missing(driver) : 0;

        for (size_t i = 0; r == 0 && i < driver->n_grants; i++) {
                grants[i] = driver->grants[i].grant;
                r = secret_from_bytes(&grants[i].handle, driver->arena, slice_text(driver->grants[i].token));
        }
        if (r == 0)
                r = secret_from_bytes(&reply.key, driver->arena, slice(driver->key, driver->key_size));
        if (r == 0)
                r = request_reply(request, &reply, NULL, 0);
        for (size_t i = 0; i < driver->n_grants; i++)
                secret_free(grants[i].handle);
        secret_free(reply.key);
        return error_fold(r);
}

static int configure(Driver *driver, Request *request)
{
        if (driver->faults)
                return request_fail(request, FAULT_UNAVAILABLE, NULL);
        if (driver->holds && !driver->held) {
                driver->held = request;
                return 0;
        }
        return give_grants(driver, request);
}

static int on_vault_call(void *userdata, UNUSED Channel *channel, Request *request)
{
        static const Empty nothing = { 0 };
        Driver *driver = userdata;
        const SessionProveRequest *prove = request->body;
        const EgressReport *report = request->body;
        const SessionMisuseNotice *misuse = request->body;

        switch (request->id) {
        case SESSION_VAULT_CONFIGURE:
                say("configure");
                return configure(driver, request);
        case SESSION_VAULT_PROVE:
                return secret_equal(prove->session, slice_text(session_secret))
                               ? request_reply(request, &nothing, NULL, 0)
                               : request_fail(request, FAULT_NOT_ALLOWED, NULL);
        case SESSION_VAULT_REPORT:
                say("report %s %s %s %s count=%" PRIu64 " %s", report_kind_names[report->kind],
                    report->method ? report->method : "-", report->host ? report->host : "-",
                    report->path ? report->path : "-", report->count, report->reason);
                request_done(request);
                return 0;
        case SESSION_VAULT_MISUSE:
                say("misuse %.*s %s %s", (int)secret_size(misuse->handle),
                    (const char *)secret_slice(misuse->handle).data, misuse->host ? misuse->host : "-", misuse->place);
                request_done(request);
                return 0;
        default:
                return request_fail(request, FAULT_UNSUPPORTED, NULL);
        }
}

static int on_closed(void *userdata, Channel *channel, const char *reason)
{
        Driver *driver = userdata;

        if (channel == driver->vault) {
                say("vault edge %s", reason);
                driver->vault = channel_free(channel);
                return 0;
        }
        say("role %s", reason);
        driver->role = channel_free(channel);
        if (!driver->restarting)
                loop_exit(driver->loop, 1);
        return 0;
}

static int attach(Driver *driver)
{
        const AttachRequest body = { .peer = ROLE_VAULT };
        ChannelConfig config = {
                .loop = driver->loop,
                .arena = driver->arena,
                .in = &interface_session_vault,
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
                r = channel_call(driver->role, TO_SESSION_ATTACH, &body, &pair[1], 1, TIMEOUT, on_done,
                                 (void *)(uintptr_t)"attached", NULL);
        fd_close(pair[1]);
        return r;
}

/* ---- the supervisor ---- */

static int on_role_call(void *userdata, UNUSED Channel *channel, Request *request)
{
        static const Empty nothing = { 0 };
        Driver *driver = userdata;
        const KeepRequest *keep = request->body;

        if (request->id == FROM_SESSION_LOG) {
                say("log %s", ((const LogNotice *)request->body)->text);
                request_done(request);
                return 0;
        }
        if (driver->n_kept == SERVICES_KEPT_MAX || request->n_fds != 1)
                return request_fail(request, FAULT_BUSY, NULL);
        driver->kept_services[driver->n_kept] = keep->service;
        driver->kept[driver->n_kept++] = take_fd(&request->fds[0]);
        say("kept %s", service_names[keep->service]);
        return request_reply(request, &nothing, NULL, 0);
}

static int serve(Driver *driver, int fd, uint32_t service)
{
        const ServeRequest body = { .owner_uid = getuid(), .session = "s-0123456789abcdef", .service = service };

        return channel_call(driver->role, TO_SESSION_SERVE, &body, &fd, 1, TIMEOUT, on_done,
                            (void *)(uintptr_t)service_names[service], NULL);
}

static int spawn(Driver *driver)
{
        ChannelConfig config = {
                .loop = driver->loop,
                .arena = driver->arena,
                .in = &interface_from_session,
                .out = &interface_to_session,
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
        if (r == 0)
                r = serve(driver, driver->broker, SERVICE_VARLINK_SOCKET);
        if (r == 0)
                r = serve(driver, driver->proxy, SERVICE_PROXY_SOCKET);
        for (size_t i = 0; r == 0 && i < driver->n_kept; i++)
                r = serve(driver, driver->kept[i], driver->kept_services[i]);
        return r;
}

static int restart(Driver *driver)
{
        int r;

        driver->restarting = true;
        if (kill(driver->child, SIGKILL) < 0 || waitpid(driver->child, NULL, 0) < 0)
                return error_errno();
        driver->role = channel_free(driver->role);
        driver->vault = channel_free(driver->vault);
        kill_egresses(driver);
        r = start(driver);
        driver->restarting = false;
        return r;
}

/* ---- commands ---- */

static int to_egress(Driver *driver, const char *verb, char *rest)
{
        char *text = strchr(rest, ' ');
        PlayedEgress *egress;

        if (text)
                *text++ = '\0';
        egress = find_egress(driver, rest);
        if (!egress)
                return 0;
        if (strcmp(verb, "kill") == 0)
                played_egress_free(egress);
        else if (strcmp(verb, "data") == 0)
                return played_egress_data(egress, text ? text : "x");
        else if (strcmp(verb, "end") == 0)
                return played_egress_end(egress);
        else if (strcmp(verb, "fail") == 0)
                return played_egress_fail(egress, text ? text : "revoked");
        else
                say("lanes %u", egress->n_opened);
        return 0;
}

static int release(Driver *driver)
{
        Request *held = take_ptr(driver->held);

        driver->holds = false;
        return held ? give_grants(driver, held) : 0;
}

static int obey(Driver *driver, char *line)
{
        char *rest = strchr(line, ' ');
        char done[sizeof(driver->line)];
        int r = 0;

        (void)snprintf(done, sizeof(done), "did %s", line);
        if (rest)
                *rest++ = '\0';
        if (strcmp(line, "configure") == 0 && rest) {
                driver->faults = strcmp(rest, "fault") == 0;
                driver->holds = strcmp(rest, "hold") == 0;
        } else if (strcmp(line, "mend") == 0 && rest) {
                driver->mends = strcmp(rest, "no") != 0;
        } else if (strcmp(line, "release") == 0) {
                r = release(driver);
        } else if (strcmp(line, "detach") == 0) {
                driver->vault = channel_free(driver->vault);
        } else if (strcmp(line, "attach") == 0) {
                r = attach(driver);
        } else if (strcmp(line, "restart") == 0) {
                r = restart(driver);
        } else if (strcmp(line, "join") == 0 && rest) {
                r = join_egress(driver, rest);
        } else if (rest) {
                r = to_egress(driver, line, rest);
        }
        say("%s", done);
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
                driver->line_size -= (size_t)(end + 1 - driver->line);
                r = obey(driver, driver->line);
                memmove(driver->line, end + 1, driver->line_size + 1);
        }
        return r;
}

/* ---- the start ---- */

static int bind_listener(const char *directory, const char *name)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, name);
        if (fd < 0 || bind(fd, (void *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0)
                return fd_close(fd);
        return fd;
}

static int read_file(const char *directory, const char *name, char **ret, size_t *ret_size)
{
        char path[4096];
        FILE *file;

        (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
        file = fopen(path, "re");
        *ret = calloc(1, FILE_MAX);
        if (!file || !*ret)
                return -ENOENT;
        *ret_size = fread(*ret, 1, FILE_MAX - 1, file);
        (void)fclose(file);
        return 0;
}

static void split(char *text, const char **items, TextList *ret)
{
        *ret = (TextList){ items, 0 };
        for (char *item = strsep(&text, ","); item && ret->n < HOSTS_MAX; item = strsep(&text, ","))
                if (*item)
                        items[ret->n++] = item;
}

static const char *or_null(const char *text)
{
        return *text ? text : NULL;
}

static int add_grant(Driver *driver, char *line)
{
        PlayedGrant *grant = &driver->grants[driver->n_grants];
        char *fields[FIELDS];
        Secret *token = NULL;
        int r;

        for (size_t i = 0; i < FIELDS; i++) {
                fields[i] = strsep(&line, "|");
                if (!fields[i])
                        return -EINVAL;
        }
        grant->grant.profile = fields[0];
        while (slot_kind_names[grant->grant.slot] && strcmp(slot_kind_names[grant->grant.slot], fields[1]) != 0)
                grant->grant.slot++;
        grant->grant.slot_name = or_null(fields[2]);
        grant->grant.slot_prefix = or_null(fields[3]);
        split(fields[4], grant->hosts, &grant->grant.hosts);
        split(fields[5], grant->credential_hosts, &grant->grant.credential_hosts);
        grant->grant.concurrent = strtoull(fields[6], NULL, 10);
        grant->grant.websocket = strcmp(fields[7], "yes") == 0;
        grant->grant.url_host = or_null(fields[8]);
        r = ident_token_new(&token, driver->arena, IDENT_HANDLE_PREFIX);
        if (r)
                return error_fold(r);
        memcpy(grant->token, secret_slice(token).data, IDENT_TOKEN_SIZE);
        secret_free(token);
        driver->n_grants++;
        say("handle %s %s", grant->grant.profile, grant->token);
        return 0;
}

static int read_grants(Driver *driver)
{
        size_t size;
        char *rest, *line;
        int r = read_file(driver->directory, "grants", &driver->text, &size);

        if (r == 0)
                r = read_file(driver->directory, "leaf.der", &driver->leaf, &driver->leaf_size);
        if (r == 0)
                r = read_file(driver->directory, "key.der", &driver->key, &driver->key_size);
        rest = driver->text;
        while (r == 0 && (line = strsep(&rest, "\n")))
                if (*line && driver->n_grants < GRANTS_MAX)
                        r = add_grant(driver, line);
        return r;
}

static int finish(Driver *driver, Source *input, int r)
{
        int status = 0;

        if (driver->held)
                request_done(driver->held);
        kill_egresses(driver);
        driver->vault = channel_free(driver->vault);
        driver->role = channel_free(driver->role);
        fd_close_all(driver->kept, driver->n_kept);
        source_free(input);
        loop_free(driver->loop);
        arena_free(driver->arena);
        free(driver->text);
        free(driver->leaf);
        free(driver->key);
        if (driver->child > 0 && waitpid(driver->child, &status, 0) < 0)
                r = error_errno();
        say("ends %d, role %d", r, status);
        return r == 0 && status == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
        Driver driver = { .mends = true };
        Source *input = NULL;
        int r;

        if (argc != 3 || sodium_init() < 0)
                return 2;
        list_init(&driver.egresses);
        driver.exe = argv[1];
        driver.directory = argv[2];
        driver.broker = bind_listener(driver.directory, "broker.sock");
        driver.proxy = bind_listener(driver.directory, "proxy.sock");
        if (driver.broker < 0 || driver.proxy < 0)
                return 2;
        r = arena_new(&driver.arena, 1024 * 1024);
        if (r == 0)
                r = read_grants(&driver);
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
