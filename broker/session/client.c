#include "session/client.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Steps of one client before others get their turn. */
#define ROUND_MAX 32U

static const uint64_t deadlines[_CLIENT_WAIT_N] = {
        [CLIENT_WAIT_TLS] = CLIENT_TLS_USEC,     [CLIENT_WAIT_IDLE] = CLIENT_IDLE_USEC,
        [CLIENT_WAIT_HEAD] = CLIENT_HEAD_USEC,   [CLIENT_WAIT_HOLD] = CLIENT_HOLD_USEC,
        [CLIENT_WAIT_QUEUE] = CLIENT_QUEUE_USEC, [CLIENT_WAIT_BODY] = CLIENT_STALL_USEC,
        [CLIENT_WAIT_PEER] = CLIENT_STALL_USEC,  [CLIENT_WAIT_DRAIN] = CLIENT_DRAIN_USEC,
};

/* ---- ending ---- */

void client_die(Client *client)
{
        client->state = CLIENT_DEAD;
}

Step client_fail(Client *client, int r)
{
        report_note(client->session, "a client's connection is closed: %s", strerror(-r));
        client_die(client);
        return STEP_ON;
}

static Client *client_free(Client *client)
{
        SessionProcess *session = client->session;

        admissions_leave(&session->admissions, &client->admission);
        exchange_end(client, false);
        client->source = source_free(client->source);
        client->timer = timer_free(client->timer);
        client->kick = timer_free(client->kick);
        stream_deinit(&client->stream);
        buf_deinit(&client->in);
        list_remove(&client->link);
        if (--session->n_clients == 0)
                session_rest(session);
        free(client);
        return NULL;
}

void client_free_all(SessionProcess *session)
{
        while (session->clients.next && !list_empty(&session->clients))
                client_free(container_of(session->clients.next, Client, link));
}

/* No request of it is under way. */
static bool is_idle(const Client *client)
{
        return client->state < CLIENT_HEAD || (client->state == CLIENT_HEAD && stream_waiting(&client->stream) == 0) ||
               client->state == CLIENT_DRAIN;
}

bool client_make_room(SessionProcess *session)
{
        LIST_FOREACH(node, &session->clients) {
                Client *client = container_of(node, Client, link);

                if (!is_idle(client))
                        continue;
                client_free(client);
                return true;
        }
        return false;
}

/* ---- refusing ---- */

Step client_refuse(Client *client, const Refusal *refusal, const EgressRequest *request, bool keeps, bool head_request)
{
        int r = report_refusal(client->session, refusal, request);

        if (r == 0)
                r = refusal_write(refusal, !keeps, head_request, &client->stream.out);
        if (r < 0)
                return client_fail(client, r);
        client->state = keeps ? CLIENT_HEAD : CLIENT_DRAIN;
        return STEP_ON;
}

Step client_hold(Client *client)
{
        client->resume = client->state;
        client->state = CLIENT_HOLD;
        return STEP_WAIT;
}

void client_wake_all(SessionProcess *session)
{
        LIST_FOREACH(node, &session->clients) {
                Client *client = container_of(node, Client, link);

                if (client->state != CLIENT_HOLD)
                        continue;
                client->state = client->resume;
                client_kick(client);
        }
}

/* ---- moving ---- */

int client_read(Client *client, size_t max)
{
        size_t room = CLIENT_IN_MAX - MIN(client->in.size, CLIENT_IN_MAX);
        int r = room > 0 ? stream_read(&client->stream, &client->in, MIN(max, room)) : -ENOBUFS;

        if (r == 0)
                client->moved = true;
        else if (r < 0)
                (void)client_fail(client, r);
        else if (r == STREAM_E_CLOSED)
                client_die(client);
        return r < 0 ? STREAM_E_CLOSED : r;
}

/* The peer takes what is left for it, and closes. */
static Step drain(Client *client)
{
        stream_finish(&client->stream);
        if (client->drained > CLIENT_DRAIN_MAX) {
                client_die(client);
                return STEP_ON;
        }
        buf_clear(&client->in);
        if (client_read(client, TLS_RECORD_MAX) != 0)
                return STEP_WAIT;
        client->drained += client->in.size;
        return STEP_ON;
}

static Step step(Client *client)
{
        /* An exchange goes on both ways while something waits for the client; others do not. */
        int r = client->state == CLIENT_EXCHANGE ? 0 : stream_flush(&client->stream, &client->moved);

        if (r == STREAM_E_AGAIN)
                return STEP_WAIT;
        if (r != 0) {
                client_die(client);
                return STEP_ON;
        }
        switch (client->state) {
        case CLIENT_HELLO:
                return front_hello(client);
        case CLIENT_ADMISSION:
                return front_admission(client);
        case CLIENT_HANDSHAKE:
                return front_handshake(client);
        case CLIENT_HEAD:
                return front_head(client);
        case CLIENT_FORM:
                return exchange_form(client);
        case CLIENT_QUEUE:
                return exchange_queue(client);
        case CLIENT_EXCHANGE:
                return exchange_run(client);
        case CLIENT_DRAIN:
                return drain(client);
        case CLIENT_HOLD:
        case CLIENT_DEAD:
                break;
        }
        return STEP_WAIT;
}

/* ---- waiting ---- */

static ClientWait what_waits(const Client *client)
{
        switch (client->state) {
        case CLIENT_HELLO:
        case CLIENT_ADMISSION:
        case CLIENT_HANDSHAKE:
                return CLIENT_WAIT_TLS;
        case CLIENT_HOLD:
                return CLIENT_WAIT_HOLD;
        case CLIENT_DRAIN:
                return CLIENT_WAIT_DRAIN;
        default:
                break;
        }
        if (stream_waiting(&client->stream) > 0)
                return CLIENT_WAIT_PEER;
        if (client->state == CLIENT_QUEUE)
                return client->exchange->away ? CLIENT_WAIT_HOLD : CLIENT_WAIT_QUEUE;
        if (client->state == CLIENT_HEAD)
                return client->in.size > 0 ? CLIENT_WAIT_HEAD : CLIENT_WAIT_IDLE;
        return exchange_reads(client) ? CLIENT_WAIT_BODY : CLIENT_WAIT_NONE;
}

static bool reads(const Client *client)
{
        switch (client->state) {
        case CLIENT_HANDSHAKE:
                return !client->stream.full;
        case CLIENT_HELLO:
        case CLIENT_HEAD:
        case CLIENT_DRAIN:
                return stream_waiting(&client->stream) == 0;
        case CLIENT_FORM:
        case CLIENT_EXCHANGE:
                return exchange_reads(client);
        default:
                return false;
        }
}

static uint32_t events_of(const Client *client)
{
        uint32_t events = reads(client) ? EPOLLIN : 0;

        if (client->stream.full)
                events |= EPOLLOUT;
        /* Whoever is gone while nothing is read of it is seen so; a client that closes its half of a
         * connection and waits for the answer is none that we know of. */
        if (!(events & EPOLLIN) && client->state != CLIENT_FORM &&
            (client->state != CLIENT_EXCHANGE || client->exchange->upload_done))
                events |= EPOLLRDHUP;
        return events;
}

/*
 * With each request it changes what is wanted, and seldom comes what is not: so the kernel is told only of
 * what is missing, and of the rest when it happens.
 */
static int arm(Client *client)
{
        uint32_t lasting = EPOLLIN | EPOLLRDHUP, armed = client->events;

        if (!client->unwanted)
                armed |= client->armed & lasting;
        client->unwanted = false;
        if (armed == client->armed)
                return 0;
        client->armed = armed;
        return source_set_events(client->source, armed);
}

static int update(Client *client)
{
        ClientWait wait = what_waits(client);
        bool again = client->moved && (wait == CLIENT_WAIT_BODY || wait == CLIENT_WAIT_PEER);
        uint32_t events = events_of(client);
        int r = 0;

        client->moved = false;
        if (wait != client->wait || again) {
                client->wait = wait;
                if (wait == CLIENT_WAIT_NONE)
                        timer_disarm(client->timer);
                else
                        timer_arm_after(client->timer, deadlines[wait]);
        }
        client->events = events;
        r = arm(client);
        return r < 0 ? r : exchange_watch(client);
}

void client_run(Client *client)
{
        Step last = STEP_ON;

        for (unsigned i = 0; i < ROUND_MAX && last == STEP_ON && client->state != CLIENT_DEAD; i++)
                last = step(client);
        if (client->state != CLIENT_DEAD && update(client) < 0)
                client_die(client);
        if (client->state == CLIENT_DEAD)
                client_free(client);
        else if (last == STEP_ON)
                client_kick(client);
}

static int on_kick(void *userdata)
{
        client_run(userdata);
        return 0;
}

void client_kick(Client *client)
{
        timer_arm_after(client->kick, 0);
}

static int on_events(void *userdata, uint32_t events)
{
        Client *client = userdata;
        uint32_t ends = EPOLLHUP | EPOLLERR | (client->events & EPOLLRDHUP);

        client->unwanted = (events & ~client->events & (EPOLLIN | EPOLLRDHUP)) != 0;
        stream_announced(&client->stream);
        /* What has come before the end is read first, where it is wanted. */
        if (events & ends && !(client->events & EPOLLIN))
                client_die(client);
        client_run(client);
        return 0;
}

/* Says why, where the peer can still be told. */
static void expire(Client *client)
{
        Refusal refusal;

        switch (client->wait) {
        case CLIENT_WAIT_HEAD:
                refusal = refusal_of(REFUSAL_SLOW);
                (void)client_refuse(client, &refusal, NULL, false, false);
                break;
        case CLIENT_WAIT_BODY:
                (void)exchange_refuse(client, REFUSAL_SLOW);
                break;
        case CLIENT_WAIT_QUEUE:
                (void)exchange_refuse(client, REFUSAL_BUSY);
                break;
        case CLIENT_WAIT_HOLD:
                if (client->state == CLIENT_QUEUE) {
                        (void)exchange_refuse(client, REFUSAL_EGRESS_GONE);
                        break;
                }
                if (client->resume != CLIENT_HEAD) {
                        client_die(client);
                        break;
                }
                refusal = refusal_of(REFUSAL_UNCONFIGURED);
                (void)client_refuse(client, &refusal, NULL, false, false);
                break;
        default:
                client_die(client);
                break;
        }
}

static int on_timer(void *userdata)
{
        Client *client = userdata;

        expire(client);
        client->wait = CLIENT_WAIT_NONE; /* so that the next one is armed */
        client_run(client);
        return 0;
}

/* ---- beginning ---- */

static Client *of_admission(Admission *admission)
{
        return container_of(admission, Client, admission);
}

static void on_admitted(Admission *admission)
{
        client_kick(of_admission(admission));
}

static void on_evicted(Admission *admission)
{
        Client *client = of_admission(admission);

        client_die(client);
        client_kick(client);
}

static void on_lane(WayWaiter *waiter)
{
        client_kick(container_of(waiter, Client, waiter));
}

static void set_options(int fd, Service way)
{
        const struct linger hard = { .l_onoff = 1, .l_linger = 0 };
        const int on = 1;

        /* What a revocation cuts is cut in the kernel too. */
        if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) < 0)
                return;
        if (way != SERVICE_PROXY_SOCKET && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
                return;
}

int client_new(SessionProcess *session, int fd, Service way)
{
        Client *client = calloc(1, sizeof(*client));
        int r;

        if (!client) {
                (void)close(fd);
                return -ENOMEM;
        }
        set_options(fd, way);
        client->session = session;
        client->way = way;
        client->stream = STREAM_NULL;
        client->stream.fd = fd;
        client->in = BUF_NULL(CLIENT_IN_MAX);
        client->state = way == SERVICE_TLS ? CLIENT_HELLO : CLIENT_HEAD;
        client->admission.go = on_admitted;
        client->admission.evict = on_evicted;
        client->waiter.ready = on_lane;
        list_init(&client->link);
        list_init(&client->waiter.link);
        list_init(&client->admission.link);
        list_append(&session->clients, &client->link);
        session->n_clients++;
        r = timer_new(&client->timer, session->role.loop, on_timer, client);
        if (r == 0)
                r = timer_new(&client->kick, session->role.loop, on_kick, client);
        if (r == 0)
                r = source_new(&client->source, session->role.loop, fd, 0, on_events, client);
        if (r < 0) {
                client_free(client);
                return r;
        }
        client_run(client);
        return 0;
}
