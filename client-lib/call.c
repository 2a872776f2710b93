#include "client.h"
#include "base/clock.h"
#include "base/fd.h"
#include "wire/varlink.h"
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static int fail_link(mcpcred *client, int r, const char *doing)
{
        switch (r) {
        case LINK_E_CLOSED:
                return client_fail(client, MCPCRED_E_DROPPED, "The broker closed the connection.");
        case LINK_E_DEADLINE:
                return client_fail(client, MCPCRED_E_DEADLINE,
                                   "The broker did not answer within %u ms.", client->deadline_ms);
        case LINK_E_INVALID:
                return client_fail(
                        client, MCPCRED_E_PROTOCOL,
                        "The broker sent a message that is too long, or stray descriptors.");
        default:
                return client_fail_errno(client, r, doing);
        }
}

static int fail_schema(mcpcred *client, int r, const SchemaError *error)
{
        if (r != SCHEMA_E_INVALID)
                return client_fail_errno(client, r, "read the broker's answer");
        return client_fail(client, MCPCRED_E_PROTOCOL, "The broker's answer is not valid: %s %s.",
                           error->field[0] ? error->field : "it", error->reason);
}

static int send_call(mcpcred *client, Link *link, const Call *call, uint64_t until)
{
        _cleanup_(buf_deinit) Buf message = BUF_NULL(JSON_REQUEST_MAX + 1);
        const Method *method = &call->interface->methods[call->method];
        int r;

        r = varlink_call_write(&message, call->interface->name, method, call->request,
                               method->streams, false);
        if (r == -EINVAL)
                return client_fail(
                        client, MCPCRED_E_MISUSE,
                        "A text of the request is too long or not UTF-8, or there are too many.");
        if (r == -ENOBUFS)
                return client_fail(client, MCPCRED_E_MISUSE, "The request is longer than %u bytes.",
                                   JSON_REQUEST_MAX);
        if (r < 0)
                return client_fail_errno(client, r, "write the request");
        r = link_send(link, buf_slice(&message), call->request_fd, until);
        return r ? fail_link(client, r, "send the request") : 0;
}

/* Until the body's socket takes more, or an answer comes although not all was read. */
static int wait_for_room(mcpcred *client, const Link *link, const Call *call, uint64_t until, bool *ret_answered)
{
        uint64_t now = clock_boot(&clock_system);
        struct pollfd polled[] = { { .fd = call->body_fd, .events = POLLOUT }, { .fd = link->fd, .events = POLLIN } };
        int n = poll(polled, ARRAY_SIZE(polled), now < until ? (int)((until - now) / USEC_PER_MSEC) + 1 : 0);

        if (n < 0 && errno != EINTR)
                return client_fail_errno(client, error_errno(), "hand the body over");
        if (n == 0)
                return fail_link(client, LINK_E_DEADLINE, "hand the body over");
        *ret_answered = n > 0 && polled[1].revents != 0;
        return 0;
}

/* Writes the body. That the reader has gone before its end is no failure: its answer says why. */
static int send_body(mcpcred *client, const Link *link, const Call *call, uint64_t until)
{
        Slice left = call->body;
        bool answered = false;
        int r = 0;

        while (r == 0 && left.size > 0 && !answered) {
                ssize_t n = send(call->body_fd, left.data, left.size, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n >= 0)
                        left = slice(left.data + n, left.size - (size_t)n);
                else if (errno == EPIPE || errno == ECONNRESET)
                        answered = true;
                else if (errno == EAGAIN)
                        r = wait_for_room(client, link, call, until, &answered);
                else if (errno != EINTR)
                        r = client_fail_errno(client, error_errno(), "hand the body over");
        }
        if (r == 0)
                (void)shutdown(call->body_fd, SHUT_WR);
        return r;
}

/* Reads the parameters and hands them to the call. */
static int deliver(mcpcred *client, const Call *call, const VarlinkReply *reply, Pool *pool)
{
        const Schema *schema = call->interface->methods[call->method].reply;
        _cleanup_(freep) void *body = calloc(1, schema->size);
        SchemaError error;
        int r;

        if (!body)
                return client_fail_errno(client, -ENOMEM, "read the broker's answer");
        r = varlink_reply_read(reply, schema, call->arena, pool, body, &error);
        if (r)
                return fail_schema(client, r, &error);
        r = call->reply ? call->reply(client, body, pool, reply->continues, call->userdata) : 0;
        schema_clear(schema, body);
        return r;
}

/* A descriptor that nobody asked for is closed, and is a broken promise of the server. */
static int take_descriptor(mcpcred *client, Link *link, const Call *call)
{
        if (link->received < 0)
                return 0;
        if (!call->ret_fd)
                return client_fail(client, MCPCRED_E_PROTOCOL,
                                   "The broker sent a descriptor unasked.");
        (void)fd_close(*call->ret_fd);
        *call->ret_fd = take_fd(&link->received);
        return 0;
}

/* One reply. `ret_more`: another one follows. */
static int receive_reply(mcpcred *client, Link *link, const Call *call, uint64_t until,
                         bool *ret_more)
{
        _cleanup_(varlink_reply_clearp) VarlinkReply reply = { 0 };
        _cleanup_(pool_deinit) Pool own = POOL_NULL(CLIENT_POOL_MAX);
        SchemaError error;
        Slice message;
        int r;

        r = link_receive(link, until, &message);
        if (r)
                return fail_link(client, r, "read the broker's answer");
        r = varlink_reply_parse(&reply, message, &error);
        if (r)
                return fail_schema(client, r, &error);
        r = take_descriptor(client, link, call);
        if (r)
                return r;
        if (reply.error) {
                *ret_more = false;
                return client_fail_fault(client, &reply.details);
        }
        if (reply.continues && !call->interface->methods[call->method].streams)
                return client_fail(client, MCPCRED_E_PROTOCOL,
                                   "The broker announced a second answer.");
        *ret_more = reply.continues;
        return deliver(client, call, &reply, call->pool ? call->pool : &own);
}

/* Until there is something to receive, if nothing of it is here already. An `endless` call has no other end than a
 * reader that is gone. */
static int wait_beside_reader(mcpcred *client, const Link *link, const Call *call, uint64_t until)
{
        struct pollfd polled[] = { { .fd = link->fd, .events = POLLIN }, { .fd = call->reader } };

        while (link->in.size == link->consumed) {
                uint64_t now = clock_boot(&clock_system), left = now < until ? (until - now) / USEC_PER_MSEC + 1 : 0;
                int n = poll(polled, ARRAY_SIZE(polled), (int)MIN(left, UINT64_C(60000)));

                if (n < 0 && errno != EINTR)
                        return client_fail_errno(client, error_errno(), "wait for the broker's answer");
                if (n > 0 && polled[1].revents & (POLLERR | POLLHUP))
                        return client_fail(client, MCPCRED_E_STOPPED, "Nobody reads any more what is written.");
                if (n > 0 || (n == 0 && left == 0))
                        break; /* link_receive() tells what it is */
        }
        return 0;
}

/* `ret_answered`: something came back, so asking again would repeat it. */
static int exchange(mcpcred *client, Link *link, const Call *call, bool *ret_answered)
{
        uint64_t until = clock_boot(&clock_system) + client->deadline_ms * USEC_PER_MSEC;
        bool more = true;
        int r = send_call(client, link, call, until);

        if (r == 0 && call->body.data)
                r = send_body(client, link, call, until);
        while (r == 0 && more) {
                r = call->has_reader ? wait_beside_reader(client, link, call, until) : 0;
                if (r == 0)
                        r = receive_reply(client, link, call, until, &more);
                if (r < 1000)
                        *ret_answered = true;
                /* A long operation that shows progress is not a silent broker. */
                until = call->endless ? UINT64_MAX : clock_boot(&clock_system) + client->deadline_ms * USEC_PER_MSEC;
        }
        link_forget(link);
        return r;
}

int call_on_link(mcpcred *client, Link *link, const Call *call)
{
        bool answered = false;

        client_clear_error(client);
        return exchange(client, link, call, &answered);
}

int call_run(mcpcred *client, const Call *call)
{
        bool answered = false;
        int r = MCPCRED_E_DROPPED;

        /* One that the broker gave up in the meantime has seen nothing of this call. */
        if (client->link.fd >= 0 && !link_is_idle(&client->link))
                mcpcred_disconnect(client);
        /* It may also be lost to a restart of the gate, and then who knows. */
        for (unsigned attempt = 0; attempt < (call->reads_only ? 2U : 1U); attempt++) {
                if (r != MCPCRED_E_DROPPED || answered)
                        break;
                r = mcpcred_connect(client);
                if (r)
                        break;
                r = exchange(client, &client->link, call, &answered);
                /* Anything but a refusal by the broker leaves the stream in an unknown state. */
                if (r >= 1000)
                        mcpcred_disconnect(client);
        }
        return r;
}
