#include "ipc/varlink_pending.h"
#include "base/fd.h"
#include "ipc/varlink_connection.h"
#include "ipc/varlink_server_internal.h"
#include <stdio.h>

/* What one call may allocate: list pointers make it larger than its text. */
#define POOL_MAX (8U * JSON_REQUEST_MAX)

static VarlinkPending *pending_of(VarlinkRequest *request)
{
        return container_of(request, VarlinkPending, request);
}

Pool *varlink_request_pool(VarlinkRequest *request)
{
        return &pending_of(request)->pool;
}

static void pending_free(VarlinkPending *pending)
{
        if (pending->connection)
                pending->connection->pending = NULL;
        if (pending->request.body)
                schema_clear(pending->request.method->request, pending->request.body);
        pool_deinit(&pending->pool);
        varlink_join_deinit(&pending->join);
        fd_close_all(pending->request.fds, pending->request.n_fds);
        free(pending);
}

void varlink_request_trust(const VarlinkRequest *request)
{
        const VarlinkPending *pending = (const void *)request;

        if (pending->connection)
                pending->connection->trusted = true;
}

void varlink_request_note(const VarlinkRequest *request, const char *reason)
{
        const VarlinkPending *pending = (const void *)request;

        if (pending->connection)
                varlink_server_note(pending->connection->server, &request->peer, reason);
}

bool varlink_request_wants_more(const VarlinkRequest *request)
{
        return ((const VarlinkPending *)(const void *)request)->more;
}

void varlink_request_watch(VarlinkRequest *request, VarlinkHappened happened, void *userdata)
{
        VarlinkPending *pending = pending_of(request);

        pending->happened = happened;
        pending->userdata = userdata;
}

int varlink_pending_happened(VarlinkPending *pending, VarlinkEvent event)
{
        return pending && pending->happened ? pending->happened(pending->userdata, event) : 0;
}

/* ---- answering ---- */

/* What is left of an answered request's connection goes on. */
static int after_answer(VarlinkConnection *connection, int r)
{
        if (r >= 0 && !connection->dead)
                r = varlink_connection_run(connection);
        varlink_connection_leave(connection);
        return r;
}

/*
 * Sends the message, if anybody is there who wants it, and frees the request: last, since `fds` may
 * be its own.
 */
static int finish(VarlinkPending *pending, Buf *message, const int *fds, size_t n_fds, VarlinkSent sent, void *userdata)
{
        VarlinkConnection *connection = pending->connection;
        int r;

        if (!connection) {
                pending_free(pending);
                return sent ? sent(userdata, false) : 0;
        }
        varlink_connection_enter(connection);
        connection->pending = NULL;
        pending->connection = NULL;
        if (pending->oneway) {
                r = sent ? sent(userdata, false) : 0;
        } else {
                connection->sent = sent;
                connection->sent_userdata = userdata;
                r = varlink_connection_send(connection, message, fds, n_fds);
        }
        pending_free(pending);
        return after_answer(connection, r);
}

int varlink_fail(VarlinkRequest *request, const FaultBody *fault)
{
        VarlinkPending *pending = pending_of(request);
        Buf message = BUF_NULL(JSON_REPLY_MAX);
        int r = varlink_error_write(&message, pending->interface->name, fault);

        if (r == 0)
                r = finish(pending, &message, NULL, 0, NULL, NULL);
        else
                pending_free(pending);
        buf_deinit(&message);
        return r;
}

int varlink_fail_text(VarlinkRequest *request, Fault fault, const char *message)
{
        FaultBody body = { .fault = fault, .message = message };

        return varlink_fail(request, &body);
}

/* A reply that cannot be written as JSON is the broker's fault, and is said to be. `ret_failed`: that is
 * what is in `out`. */
static int write_reply(VarlinkPending *pending, Buf *out, const void *body, bool continues, bool *ret_failed)
{
        const Schema *schema = pending->request.method->reply;
        FaultBody fault = { .fault = FAULT_INTERNAL };
        int r;

        *ret_failed = pending->too_long;
        if (pending->too_long) {
                fault.message = "It is done, but the answer is too long for one message: ask with \"more\".";
                return varlink_error_write(out, pending->interface->name, &fault);
        }
        r = continues || pending->more ? varlink_reply_write(out, schema, body, continues)
                                       : varlink_join_write(&pending->join, out, schema, body);
        if (r != -EINVAL && r != -ENOBUFS)
                return r;
        *ret_failed = true;
        buf_clear(out);
        fault.message = "It is done, but the answer cannot be written as JSON.";
        return varlink_error_write(out, pending->interface->name, &fault);
}

int varlink_reply(VarlinkRequest *request, const void *body, const int *fds, size_t n_fds, VarlinkSent sent,
                  void *userdata)
{
        VarlinkPending *pending = pending_of(request);
        Buf message = BUF_NULL(JSON_REPLY_MAX);
        bool failed = false;
        int r = 0;

        if (pending->connection && !pending->oneway)
                r = write_reply(pending, &message, body, false, &failed);
        /* What the peer gets is not the reply, so that never arrives, and nor do its descriptors. */
        if (r == 0 && failed) {
                r = sent ? sent(userdata, false) : 0;
                sent = NULL;
                n_fds = 0;
        }
        if (r == 0)
                r = finish(pending, &message, fds, MIN(n_fds, VARLINK_FDS_MAX), sent, userdata);
        else
                pending_free(pending);
        buf_deinit(&message);
        return r;
}

int varlink_reply_more(VarlinkRequest *request, const void *body)
{
        VarlinkPending *pending = pending_of(request);
        VarlinkConnection *connection = pending->connection;
        Buf message = BUF_NULL(JSON_REPLY_MAX);
        bool failed;
        int r;

        if (!connection || pending->oneway)
                return 0;
        if (!pending->more) {
                r = varlink_join_add(&pending->join, request->method->reply, body);
                pending->too_long = pending->too_long || r == -ENOBUFS;
                return r == -ENOBUFS ? 0 : r;
        }
        varlink_connection_enter(connection);
        r = write_reply(pending, &message, body, true, &failed);
        if (r == 0)
                r = varlink_connection_send(connection, &message, NULL, 0);
        if (r >= 0)
                r = varlink_connection_update(connection, false);
        buf_deinit(&message);
        varlink_connection_leave(connection);
        return r;
}

/* ---- what is served here ---- */

static int fail_field(VarlinkPending *pending, Fault code, const char *field, const char *message)
{
        FaultBody fault = { .fault = code, .field = field, .message = message };

        return varlink_fail(&pending->request, &fault);
}

static int serve_info(VarlinkPending *pending)
{
        const VarlinkServerConfig *config = &pending->connection->server->config;
        const char *interfaces[] = { interface_varlink_service.name, config->interface->name };
        VarlinkInfo info = {
                .vendor = "mcpcred",
                .product = "mcpcred",
                .version = MCPCRED_VERSION,
                .url = "https://varlink.org/",
                .interfaces = { interfaces, ARRAY_SIZE(interfaces) },
        };

        return varlink_reply(&pending->request, &info, NULL, 0, NULL, NULL);
}

static int serve_description(VarlinkPending *pending)
{
        const VarlinkServerConfig *config = &pending->connection->server->config;
        const VarlinkDescriptionRequest *asked = pending->request.body;
        VarlinkDescription reply = { 0 };

        if (strcmp(asked->interface, config->interface->name) == 0)
                reply.description = config->text;
        else if (strcmp(asked->interface, interface_varlink_service.name) == 0)
                reply.description = varlink_text_service;
        else
                return fail_field(pending, FAULT_INVALID_PARAMETER, "interface", "There is no such interface here.");
        return varlink_reply(&pending->request, &reply, NULL, 0, NULL, NULL);
}

static int serve(VarlinkPending *pending)
{
        const VarlinkServerConfig *config = &pending->connection->server->config;

        if (pending->interface == config->interface)
                return config->handler(config->userdata, &pending->request);
        return pending->request.id == VARLINK_GET_INFO ? serve_info(pending) : serve_description(pending);
}

/* ---- calls ---- */

/* Fills pending->request from the call; a positive result has been described in `error`. */
static int read_parameters(VarlinkPending *pending, const VarlinkCall *call, Arena *arena, SchemaError *error)
{
        const Schema *schema = pending->request.method->request;
        void *body;
        int r;

        *error = (SchemaError){ .reason = "" };
        r = pool_alloc(&pending->pool, schema->size, &body);
        if (r == 0)
                r = varlink_call_read(call, schema, arena, &pending->pool, body, error);
        if (r == 0)
                pending->request.body = body;
        return r;
}

static int refuse_parameters(VarlinkPending *pending, int r, const SchemaError *error)
{
        char message[sizeof(error->field) + 64];

        if (r == SCHEMA_E_NO_SPACE)
                return fail_field(pending, FAULT_BUSY, NULL, "There is no room for this call now.");
        (void)snprintf(message, sizeof(message), "%s %s.", error->field, error->reason);
        return fail_field(pending, FAULT_INVALID_PARAMETER, error->field, message);
}

static bool find_method(VarlinkPending *pending, const Interface *interface, const char *name)
{
        for (size_t i = 0; i < interface->n_methods; i++)
                if (strcmp(interface->methods[i].name, name) == 0) {
                        pending->request.method = &interface->methods[i];
                        pending->request.id = (unsigned)i;
                        return true;
                }
        return false;
}

/* The error names the interface: the method without its last part. */
static int refuse_interface(VarlinkPending *pending, const char *method)
{
        const char *dot = strrchr(method, '.');
        char *interface = strndup(method, dot ? (size_t)(dot - method) : strlen(method));
        int r = interface ? fail_field(pending, FAULT_INTERFACE_NOT_FOUND, interface, NULL) : -ENOMEM;

        free(interface);
        return r;
}

/* Names what was asked for; the request is answered already unless it returns true. */
static bool resolve(VarlinkPending *pending, const VarlinkCall *call, int *ret)
{
        const Interface *known[] = { pending->interface, &interface_varlink_service };
        const char *name;

        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
                if (!varlink_method_of(call->method, known[i]->name, &name))
                        continue;
                pending->interface = known[i];
                if (find_method(pending, known[i], name))
                        return true;
                *ret = fail_field(pending, FAULT_METHOD_NOT_FOUND, call->method, NULL);
                return false;
        }
        *ret = refuse_interface(pending, call->method);
        return false;
}

/* The descriptors of the message at the front of the buffer become the request's. */
static void take_fds(VarlinkConnection *connection, VarlinkPending *pending)
{
        if (connection->n_fds == 0 || connection->fds_at > 0)
                return;
        memcpy(pending->request.fds, connection->fds, sizeof(connection->fds));
        pending->request.n_fds = connection->n_fds;
        connection->n_fds = 0;
}

int varlink_pending_begin(VarlinkConnection *connection, const VarlinkCall *call)
{
        const VarlinkServerConfig *config = &connection->server->config;
        VarlinkPending *pending = calloc(1, sizeof(*pending));
        SchemaError error;
        int r = 0;

        if (!pending)
                return -ENOMEM;
        pending->pool = POOL_NULL(POOL_MAX);
        pending->interface = config->interface;
        pending->more = call->more;
        pending->oneway = call->oneway;
        pending->connection = connection;
        pending->request.peer = connection->peer;
        connection->pending = pending;
        take_fds(connection, pending);
        if (!resolve(pending, call, &r))
                return r;
        if (pending->request.n_fds > pending->request.method->request_fds) {
                pending_free(pending);
                return varlink_connection_refuse(connection, FAULT_INVALID_PARAMETER,
                                                 "The call carries descriptors that it must not.");
        }
        r = read_parameters(pending, call, config->arena, &error);
        if (r > 0)
                return refuse_parameters(pending, r, &error);
        if (r < 0) {
                pending_free(pending);
                return r;
        }
        return serve(pending);
}
