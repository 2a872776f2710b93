#include "session/client.h"
#include <strings.h>

static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

/* Most heads are shorter. */
#define HEAD_PIECE 4096U
/* A record's head and its content. */
#define HELLO_MAX (TLS_RECORD_MAX + 5U)

/* ---- TLS ---- */

Step front_hello(Client *client)
{
        switch (tls_hello(buf_slice(&client->in))) {
        case TLS_HELLO_NO:
                client_die(client);
                return STEP_ON;
        case TLS_HELLO_YES:
                if (!client->session->grants)
                        return client_hold(client);
                if (!client->session->tls) {
                        client_die(client);
                        return STEP_ON;
                }
                client->state = CLIENT_ADMISSION;
                admissions_enter(&client->session->admissions, &client->admission);
                return STEP_ON;
        case TLS_HELLO_MORE:
                break;
        }
        return client_read(client, client->in.size == 0 ? HEAD_PIECE : HELLO_MAX - MIN(client->in.size, HELLO_MAX - 1)) == 0
                       ? STEP_ON
                       : STEP_WAIT;
}

/* Whether the connection may be about this host: that of its CONNECT, or one that some grant reaches. */
static bool check_name(void *userdata, Slice name)
{
        Client *client = userdata;
        HttpAuthority authority;

        if (http_parse_authority(name, client->connected ? client->tunnel.port : 443, &authority) != 0 ||
            memchr(name.data, ':', name.size))
                return false;
        if (client->connected)
                return strcmp(authority.host, client->tunnel.host) == 0;
        if (!client->session->grants || !grants_reach(client->session->grants, &authority))
                return false;
        client->tunnel = authority;
        client->tunnelled = true;
        return true;
}

Step front_admission(Client *client)
{
        int r;

        if (!client->admission.running)
                return STEP_WAIT;
        if (!client->session->tls) {
                client_die(client);
                return STEP_ON;
        }
        r = tls_new(&client->stream.tls, client->session->tls, client->stream.fd, buf_slice(&client->in), check_name,
                    client);
        buf_deinit(&client->in);
        if (r < 0)
                return client_fail(client, r);
        client->state = CLIENT_HANDSHAKE;
        return STEP_ON;
}

static Step refuse_handshake(Client *client, int code)
{
        const Refusal refusal = refusal_of(code);
        const EgressRequest request = { .host = client->connected ? client->tunnel.host : NULL };

        /* The alert is with the kernel; what still comes is read as bytes, until the peer has it. */
        client->stream.tls = tls_free(client->stream.tls);
        client->state = CLIENT_DRAIN;
        if (report_refusal(client->session, &refusal, &request) < 0)
                report_note(client->session, "a refusal could not be reported");
        return STEP_ON;
}

Step front_handshake(Client *client)
{
        int r = tls_handshake(client->stream.tls);

        client->stream.full = r == TLS_E_FULL;
        if (r == TLS_E_AGAIN || r == TLS_E_FULL)
                return STEP_WAIT;
        admissions_leave(&client->session->admissions, &client->admission);
        if (r == TLS_E_NAME)
                return refuse_handshake(client, client->connected ? REFUSAL_MISMATCH : REFUSAL_NAMELESS);
        if (r != 0) {
                client_die(client);
                return STEP_ON;
        }
        client->state = CLIENT_HEAD;
        return STEP_ON;
}

/* ---- CONNECT ---- */

static int check_connect(Client *client, const HttpHead *head, Pool *pool, Slice *ret_foreign)
{
        const Grants *grants = client->session->grants;
        bool owes;
        int r = 0;

        if (client->tunnelled)
                return HTTP_E_TARGET;
        if (client->way == SERVICE_LOOPBACK)
                r = request_admit_loopback(head, grants, pool, ret_foreign, &owes);
        if (r == 0)
                r = request_connect(head, &client->tunnel);
        if (r == 0 && !grants_reach(grants, &client->tunnel))
                r = REFUSAL_HOST;
        return r;
}

static Step refuse_connect(Client *client, int code, Slice foreign, const HttpHead *head)
{
        const Refusal refusal = refusal_of(code);
        const EgressRequest request = { .method = "CONNECT", .host = client->tunnel.host[0] ? client->tunnel.host : NULL };
        /* What is behind may have been meant for the tunnel. */
        bool keeps = head->keep_alive && head->minor == 1 && client->in.size == 0 && head->body == HTTP_BODY_NONE;
        int r = 0;

        if (code == REFUSAL_FOREIGN_HANDLE)
                r = report_misuse(client->session, foreign, false, request.host, "proxy");
        return r < 0 ? client_fail(client, r) : client_refuse(client, &refusal, &request, keeps, false);
}

static Step on_connect(Client *client, const HttpHead *head, size_t size)
{
        Pool pool = POOL_NULL(REQUEST_POOL_MAX);
        Slice foreign = SLICE_NULL;
        Step step = STEP_ON;
        int r;

        client->tunnel = (HttpAuthority){ 0 };
        r = check_connect(client, head, &pool, &foreign);
        buf_consume(&client->in, size);
        if (r > 0) {
                step = refuse_connect(client, r, foreign, head);
        } else if (r < 0 || buf_append_text(&client->stream.out, established) < 0) {
                step = client_fail(client, r < 0 ? r : -ENOMEM);
        } else {
                client->tunnelled = client->connected = true;
                client->state = CLIENT_HELLO;
        }
        pool_deinit(&pool);
        return step;
}

/* ---- a head ---- */

static Step refuse_head(Client *client, int code)
{
        const Refusal refusal = refusal_of(code);

        return client_refuse(client, &refusal, NULL, false, false);
}

static Step take_head(Client *client, size_t size)
{
        HttpHead head;
        int r;

        if (!client->session->grants)
                return client_hold(client);
        r = http_parse_request(slice(client->in.data, size), &head);
        if (r < 0)
                return client_fail(client, r);
        if (r > 0)
                return refuse_head(client, r);
        if (slice_is_text(head.method, "CONNECT"))
                return on_connect(client, &head, size);
        return exchange_begin(client, &head, size);
}

Step front_head(Client *client)
{
        size_t size = http_head_end(buf_slice(&client->in));

        if (size > HTTP_HEAD_MAX || (size == 0 && client->in.size >= HTTP_HEAD_MAX))
                return refuse_head(client, HTTP_E_TOO_LARGE);
        if (size > 0)
                return take_head(client, size);
        if (client->in.size == 0 && client->in.capacity > HEAD_PIECE)
                buf_deinit(&client->in);
        if (client->stream.out.capacity > HEAD_PIECE && stream_waiting(&client->stream) == 0)
                buf_deinit(&client->stream.out);
        return client_read(client, MIN(HEAD_PIECE, CLIENT_IN_MAX - client->in.size)) == 0 ? STEP_ON : STEP_WAIT;
}
