/*
 * Plays supervisor and vault to a built mcpcred-keyring: `keyring-driver PROGRAM ARG...` starts it
 * with a socket on descriptor 3 and hands it an edge. Then one command a line on stdin, one answer a
 * line on stdout:
 *
 *   open KIND [RESUME]    unlock [pass TEXT | key HEX]    create [TEXT]    lock
 *   load NAME             store NAME HEX                  remove NAME
 *   attach                (a new edge, as to a vault that was started again)
 *   restart               (kills the role and starts it anew)
 *   pid
 *
 * "ok ...", or "fault NAME message". Values are those of tests, so they may be printed.
 */
#include "base/fd.h"
#include "base/text.h"
#include "ipc/channel.h"
#include "wire/msg_keyring.h"
#include "wire/msg_supervisor.h"
#include <sodium.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_USEC (60U * USEC_PER_SEC)

typedef struct Driver {
        Loop *loop;
        Arena *arena;
        Channel *role;
        Channel *edge;
        char **argv;
        pid_t pid;
        bool answered;
        unsigned method; /* of the call under way */
        bool to_role;
} Driver;

static void print_secret(const Secret *secret)
{
        static char hex[2 * SECRET_MAX + 1];

        text_hex(secret_slice(secret), hex);
        printf("ok %s%s\n", secret_size(secret) > 0 ? "" : "empty", hex);
}

static int on_reply(void *userdata, const Reply *reply)
{
        Driver *driver = userdata;

        driver->answered = true;
        if (reply->fault != FAULT_NONE)
                printf("fault %s %s\n", fault_info(reply->fault)->name, reply->message ? reply->message : "");
        else if (driver->to_role)
                printf("ok\n");
        else if (driver->method == KEYRING_OPEN)
                printf("ok %s\n", store_kind_names[((KeyringOpenReply *)reply->body)->kind]);
        else if (driver->method == KEYRING_UNLOCK && ((KeyringUnlockReply *)reply->body)->key)
                print_secret(((KeyringUnlockReply *)reply->body)->key);
        else if (driver->method == KEYRING_LOAD && ((KeyringLoadReply *)reply->body)->value)
                print_secret(((KeyringLoadReply *)reply->body)->value);
        else
                printf("ok%s\n", driver->method == KEYRING_LOAD ? " none" : "");
        return 0;
}

static int on_notice(UNUSED void *userdata, UNUSED Channel *channel, Request *request)
{
        fprintf(stderr, "log: %s\n", ((LogNotice *)request->body)->text);
        request_done(request);
        return 0;
}

static int on_closed(void *userdata, Channel *channel, const char *reason)
{
        Driver *driver = userdata;

        fprintf(stderr, "%s: %s\n", channel == driver->role ? "role" : "edge", reason);
        if (channel == driver->role)
                driver->role = NULL;
        else
                driver->edge = NULL;
        channel_free(channel);
        return 0;
}

static int call(Driver *driver, Channel *channel, unsigned method, const void *body, const int *fds, size_t n_fds)
{
        int r;

        if (!channel) {
                printf("fault Unavailable there is no edge\n");
                return 0;
        }
        driver->answered = false;
        driver->method = method;
        driver->to_role = channel == driver->role;
        r = channel_call(channel, method, body, fds, n_fds, WAIT_USEC, on_reply, driver, NULL);
        while (r == 0 && !driver->answered)
                r = loop_dispatch(driver->loop, -1);
        return r;
}

static int connect_channel(Driver *driver, Channel **ret, const Interface *in, const Interface *out, int *ret_other)
{
        ChannelConfig config = {
                .loop = driver->loop, .arena = driver->arena, .in = in, .out = out,
                .handler = on_notice, .closed = on_closed, .userdata = driver,
        };
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return error_errno();
        *ret_other = pair[1];
        config.fd = pair[0];
        return channel_new(ret, &config);
}

static int attach(Driver *driver)
{
        AttachRequest request = { .peer = ROLE_VAULT };
        _cleanup_(fd_closep) int other = -1;
        int r;

        driver->edge = channel_free(driver->edge);
        r = connect_channel(driver, &driver->edge, NULL, &interface_keyring, &other);
        return r < 0 ? r : call(driver, driver->role, TO_WORKER_ATTACH, &request, &other, 1);
}

static int start(Driver *driver)
{
        _cleanup_(fd_closep) int other = -1;
        int r = connect_channel(driver, &driver->role, &interface_from_worker, &interface_to_worker, &other);

        if (r < 0)
                return r;
        driver->pid = fork();
        if (driver->pid < 0)
                return error_errno();
        if (driver->pid > 0) {
                /* Or the role's end would outlive it. */
                other = fd_close(other);
                return attach(driver);
        }
        /* dup2() of a descriptor onto itself would leave it close-on-exec. */
        if (other == 3 ? fcntl(3, F_SETFD, 0) < 0 : dup2(other, 3) < 0)
                _exit(126);
        execv(driver->argv[0], driver->argv);
        _exit(127);
}

static void stop(Driver *driver)
{
        int status;

        driver->edge = channel_free(driver->edge);
        driver->role = channel_free(driver->role);
        if (driver->pid > 0 && waitpid(driver->pid, &status, 0) == driver->pid)
                fprintf(stderr, "role ended: %s %d\n", WIFEXITED(status) ? "exit" : "signal",
                        WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        driver->pid = 0;
}

static StoreKind kind_of(const char *name)
{
        for (unsigned i = 0; name && store_kind_names[i]; i++)
                if (strcmp(name, store_kind_names[i]) == 0)
                        return (StoreKind)i;
        return STORE_AUTO;
}

static int secret_of(Driver *driver, const char *text, bool hex, Secret **ret)
{
        static uint8_t bytes[SECRET_MAX];
        size_t size = strlen(text) / (hex ? 2 : 1);

        if (size > sizeof(bytes) || (hex && text_unhex(text, bytes, size)))
                return -EINVAL;
        if (!hex)
                memcpy(bytes, text, size);
        return error_fold(secret_from_bytes(ret, driver->arena, slice(bytes, size)));
}

static int unlock(Driver *driver, const char *how, const char *text, bool create)
{
        KeyringUnlockRequest request = { .create = create };
        bool key = how && strcmp(how, "key") == 0;
        int r = text ? secret_of(driver, text, key, key ? &request.key : &request.passphrase) : 0;

        if (r == 0)
                r = call(driver, driver->edge, KEYRING_UNLOCK, &request, NULL, 0);
        secret_free(request.key);
        secret_free(request.passphrase);
        return r;
}

static int store(Driver *driver, const char *name, const char *hex)
{
        KeyringStoreRequest request = { .name = name };
        int r = secret_of(driver, hex, true, &request.value);

        if (r == 0)
                r = call(driver, driver->edge, KEYRING_STORE, &request, NULL, 0);
        secret_free(request.value);
        return r;
}

static int command(Driver *driver, char *line)
{
        const char *verb = strtok(line, " \n"), *a = strtok(NULL, " \n"), *b = strtok(NULL, " \n");
        KeyringItemRequest item = { .name = a ? a : "" };
        KeyringOpenRequest open = { .kind = kind_of(a), .resume = kind_of(b) };
        Empty empty = { 0 };

        if (!verb)
                return 0;
        if (strcmp(verb, "open") == 0)
                return call(driver, driver->edge, KEYRING_OPEN, &open, NULL, 0);
        if (strcmp(verb, "unlock") == 0)
                return unlock(driver, a, b, false);
        if (strcmp(verb, "create") == 0)
                return unlock(driver, NULL, a, true);
        if (strcmp(verb, "lock") == 0)
                return call(driver, driver->edge, KEYRING_LOCK, &empty, NULL, 0);
        if (strcmp(verb, "load") == 0)
                return call(driver, driver->edge, KEYRING_LOAD, &item, NULL, 0);
        if (strcmp(verb, "store") == 0)
                return store(driver, item.name, b ? b : "");
        if (strcmp(verb, "remove") == 0)
                return call(driver, driver->edge, KEYRING_REMOVE, &item, NULL, 0);
        if (strcmp(verb, "attach") == 0)
                return attach(driver);
        if (strcmp(verb, "pid") == 0)
                return printf("ok %d\n", driver->pid) < 0 ? -EIO : 0;
        if (strcmp(verb, "restart") == 0) {
                stop(driver);
                return start(driver);
        }
        return -EINVAL;
}

int main(int argc, char **argv)
{
        static char line[2 * SECRET_MAX + 256];
        Driver driver = { .argv = argv + 1 };
        int r;

        if (argc < 2 || sodium_init() < 0)
                return 2;
        setvbuf(stdout, NULL, _IOLBF, 0);
        r = error_fold(arena_new(&driver.arena, 1024U * 1024U));
        if (r == 0)
                r = loop_new(&driver.loop, &clock_system);
        if (r == 0)
                r = start(&driver);
        while (r == 0 && fgets(line, sizeof(line), stdin))
                r = command(&driver, line);
        stop(&driver);
        loop_free(driver.loop);
        arena_free(driver.arena);
        if (r < 0)
                fprintf(stderr, "keyring-driver: %s\n", strerror(-r));
        return r < 0 ? 1 : 0;
}
