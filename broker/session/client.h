#pragma once
/*
 * One connection of the sandbox's, from accept to close. client.c moves it along, front.c is what comes
 * before a request is whole, exchange.c is what comes behind. Everything happens from the loop: others
 * only kick.
 */
#include "session/egress.h"
#include "session/exchange.h"
#include "session/stream.h"

/* All ways in of one session; with a lane for each, within RLIMIT_NOFILE of the profile. */
#define CLIENTS_MAX 800U
/* What is read before it is looked at: a head, or a piece of a body. */
#define CLIENT_IN_MAX (64U * 1024U)
/* From the first byte to the last of a head, however slowly it comes. */
#define CLIENT_HEAD_USEC (15U * USEC_PER_SEC)
/* Between two requests. */
#define CLIENT_IDLE_USEC (120U * USEC_PER_SEC)
/* For a ClientHello, and from it to the end of the handshake. */
#define CLIENT_TLS_USEC (10U * USEC_PER_SEC)
/* Without any byte, of a body that is to come or of what is to be taken. */
#define CLIENT_STALL_USEC (60U * USEC_PER_SEC)
/* For the grants to be known, or an egress to come back. */
#define CLIENT_HOLD_USEC (10U * USEC_PER_SEC)
/* For one of the grant's lanes to be free. */
#define CLIENT_QUEUE_USEC (30U * USEC_PER_SEC)
/* For the client to take the last bytes and to close. */
#define CLIENT_DRAIN_USEC (2U * USEC_PER_SEC)
/* Read meanwhile, and dropped. */
#define CLIENT_DRAIN_MAX (4U * 1024U * 1024U)

typedef enum ClientState {
        CLIENT_HELLO,     /* the first record of TLS is to come */
        CLIENT_ADMISSION, /* waits for its turn to shake hands */
        CLIENT_HANDSHAKE,
        CLIENT_HEAD,      /* a request's head is to come */
        CLIENT_HOLD,      /* waits for the grants; goes on with `resume` */
        CLIENT_FORM,      /* a form is to come whole */
        CLIENT_QUEUE,     /* waits for a lane */
        CLIENT_EXCHANGE,
        CLIENT_DRAIN,     /* all is said: waits for the peer to take it */
        CLIENT_DEAD,
} ClientState;

/* What is waited for, with its deadline. */
typedef enum ClientWait {
        CLIENT_WAIT_NONE,
        CLIENT_WAIT_TLS,
        CLIENT_WAIT_IDLE,
        CLIENT_WAIT_HEAD,
        CLIENT_WAIT_HOLD,
        CLIENT_WAIT_QUEUE,
        CLIENT_WAIT_BODY,
        CLIENT_WAIT_PEER,
        CLIENT_WAIT_DRAIN,
        _CLIENT_WAIT_N,
} ClientWait;

typedef enum Step {
        STEP_ON,   /* something was done: once more */
        STEP_WAIT, /* nothing can be done now */
} Step;

typedef struct Client {
        List link; /* SessionProcess.clients */
        SessionProcess *session;
        Service way;
        Stream stream;
        Source *source;
        uint32_t events; /* wanted */
        uint32_t armed;  /* asked of the kernel: those, and some that are not taken back until they come */
        bool unwanted;   /* such a one came */
        Timer *timer, *kick;
        ClientState state, resume;
        ClientWait wait;
        bool moved;     /* the peer did something since the last look */
        bool tunnelled; /* `tunnel` was named by CONNECT or SNI */
        bool connected; /* by CONNECT, so that SNI must name it too */
        HttpAuthority tunnel;
        Admission admission;
        Buf in;
        size_t drained;
        Exchange *exchange;
        WayWaiter waiter;
} Client;

/* Takes over the connection; `way` is PROXY_SOCKET, PROXY, TLS or LOOPBACK. -errno: it is closed. */
int client_new(SessionProcess *session, int fd, Service way) NODISCARD NONNULL(1);
void client_free_all(SessionProcess *session) NONNULL(1);
/* Closes the one that has been doing nothing for longest. False: all have requests under way. */
bool client_make_room(SessionProcess *session) NONNULL(1);
/* The grants are there, or a leaf is: those that waited for them go on. */
void client_wake_all(SessionProcess *session) NONNULL(1);

/* ---- for front.c and exchange.c ---- */

/* Does what can be done. The client may be gone afterwards. */
void client_run(Client *client) NONNULL(1);
/* The same, soon, from the loop. */
void client_kick(Client *client) NONNULL(1);
void client_die(Client *client) NONNULL(1);
/* Answers with a refusal; the connection goes on only if `keeps`. `request` (may be NULL) is for the report. */
Step client_refuse(Client *client, const Refusal *refusal, const EgressRequest *request, bool keeps, bool head_request)
        NONNULL(1, 2);
/* Waits for the grants: the state is entered again then. */
Step client_hold(Client *client) NONNULL(1);
/* Behind a defect of our own, memory most likely: this connection ends. */
Step client_fail(Client *client, int r) NONNULL(1);
/* Reads once into `in`: STREAM_E_AGAIN, or the client is dead (STREAM_E_CLOSED). */
int client_read(Client *client, size_t max) NODISCARD NONNULL(1);

Step front_hello(Client *client) NONNULL(1);
Step front_admission(Client *client) NONNULL(1);
Step front_handshake(Client *client) NONNULL(1);
Step front_head(Client *client) NONNULL(1);

/* From a request's head, the first `size` bytes of the input, which are consumed. */
Step exchange_begin(Client *client, const HttpHead *head, size_t size) NONNULL(1, 2);
Step exchange_form(Client *client) NONNULL(1);
Step exchange_queue(Client *client) NONNULL(1);
Step exchange_run(Client *client) NONNULL(1);
/* Refuses, ending the exchange; the connection goes on where the framing leaves no doubt. */
Step exchange_refuse(Client *client, int code) NONNULL(1);
/* Lets go of the exchange, if there is one, and of its lane; `clean` as way_give_back() has it. */
void exchange_end(Client *client, bool clean) NONNULL(1);
/* Whether bytes of the client's are wanted now. */
bool exchange_reads(const Client *client) NONNULL(1);
/* What is to be waited for on the lane. */
int exchange_watch(Client *client) NODISCARD NONNULL(1);
