#include "client.h"
#include "runtime.h"
#include "base/fd.h"
#include <stdio.h>
#include <string.h>

/* Keeps the process-wide part of the JSON library out of other people's way unless they ask. */
int mcpcred_process_setup(void)
{
        return json_setup();
}

int mcpcred_new(mcpcred **ret)
{
        mcpcred *client = calloc(1, sizeof(*client));

        if (!client)
                return MCPCRED_E_NO_MEMORY;
        client->deadline_ms = CLIENT_DEADLINE_MS;
        client->link = LINK_NULL;
        *ret = client;
        return MCPCRED_OK;
}

mcpcred *mcpcred_free(mcpcred *client)
{
        if (client) {
                link_close(&client->link);
                free(client->chosen);
                free(client->runtime);
                free(client);
        }
        return NULL;
}

int mcpcred_set_runtime(mcpcred *client, const char *directory)
{
        char *copy;

        client_clear_error(client);
        if (!directory || directory[0] != '/')
                return client_fail(client, MCPCRED_E_MISUSE,
                                   "The runtime directory is not an absolute path.");
        copy = strdup(directory);
        if (!copy)
                return client_fail_errno(client, -ENOMEM, "keep the runtime directory");
        free(client->chosen);
        client->chosen = copy;
        mcpcred_disconnect(client);
        return MCPCRED_OK;
}

int mcpcred_set_system(mcpcred *client)
{
        client->system = true;
        return mcpcred_set_runtime(client, "/run/mcpcred");
}

int mcpcred_set_deadline(mcpcred *client, unsigned milliseconds)
{
        client_clear_error(client);
        if (milliseconds == 0)
                return client_fail(client, MCPCRED_E_MISUSE,
                                   "A deadline of 0 would refuse everything.");
        client->deadline_ms = milliseconds;
        return MCPCRED_OK;
}

void mcpcred_disconnect(mcpcred *client)
{
        link_close(&client->link);
}

int mcpcred_fd(const mcpcred *client)
{
        return client->link.fd;
}

static int find_runtime(mcpcred *client)
{
        char *found = NULL;
        int r = client->chosen ? (found = strdup(client->chosen)) ? 0 : -ENOMEM
                               : runtime_find(&found);

        if (r < 0)
                return client_fail_errno(client, r, "find the runtime directory");
        free(client->runtime);
        client->runtime = found;
        return 0;
}

const char *mcpcred_runtime(mcpcred *client)
{
        client_clear_error(client);
        return find_runtime(client) ? NULL : client->runtime;
}

static int fail_not_running(mcpcred *client)
{
        int code = client_fail(client, MCPCRED_E_UNREACHABLE, "No broker is running in %s.", client->runtime);

        if (client->system) /* which no command of a user's starts */
                (void)snprintf(client->remedy, sizeof(client->remedy), "Start it as root: `mcpcredd --system`.");
        return code;
}

int mcpcred_connect(mcpcred *client)
{
        int r, fd;

        client_clear_error(client);
        if (client->link.fd >= 0)
                return MCPCRED_OK;
        r = find_runtime(client);
        if (r)
                return r;
        r = runtime_connect(client->runtime, client->deadline_ms, &fd);
        if (r == RUNTIME_E_FOREIGN_DIRECTORY)
                return client_fail(client, MCPCRED_E_UNTRUSTED,
                                   "%s belongs to another user, or others may write to it.",
                                   client->runtime);
        if (r == RUNTIME_E_FOREIGN_SERVER)
                return client_fail(client, MCPCRED_E_UNTRUSTED,
                                   "What listens in %s is the process of another user.",
                                   client->runtime);
        if (r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR)
                return fail_not_running(client);
        if (r == -EAGAIN)
                return client_fail(client, MCPCRED_E_DEADLINE,
                                   "The broker did not take the connection within %u ms.",
                                   client->deadline_ms);
        if (r == -EACCES || r == -EPERM)
                return client_fail(client, MCPCRED_E_UNREACHABLE, "%s: %s.", client->runtime,
                                   strerrordesc_np(-r));
        if (r)
                return client_fail_errno(client, r, "connect to the broker");
        client->link.fd = fd;
        return MCPCRED_OK;
}
