#include "base/fd.h"
#include "vault/secret_load.h"
#include "vault/vault.h"
#include "vault/webhook.h"
#include <sodium.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* For all of the body: a relay has it at hand. */
#define BODY_DEADLINE_USEC (10 * USEC_PER_SEC)
/* Read in one round of the loop, so that a large body holds up nobody. */
#define PART_SIZE (64U * 1024U)

typedef struct VerifyOp {
        Vault *vault;
        Request *request;
        int fd;
        Source *source;
        Timer *timer;
        Webhook *webhook;
        uint64_t received;
        uint8_t *part;
} VerifyOp;

static const VerifyWebhookRequest *body_of(const VerifyOp *op)
{
        return op->request->body;
}

static AuditEvent event_of(const VerifyOp *op)
{
        AuditEvent event = vault_event(body_of(op)->caller, "webhook.verify");

        event.secret = body_of(op)->secret;
        return event;
}

static void op_free(VerifyOp *op)
{
        source_free(op->source);
        timer_free(op->timer);
        webhook_free(op->webhook);
        fd_close(op->fd);
        if (op->part)
                sodium_memzero(op->part, PART_SIZE); /* the body may hold what leaked */
        free(op->part);
        free(op);
}

static int refuse(VerifyOp *op, const Failure *failure)
{
        int r = vault_refuse(op->vault, op->request, event_of(op), failure);

        op_free(op);
        return r;
}

static int refuse_with(VerifyOp *op, Fault fault, const char *message)
{
        Failure failure = { 0 };

        failure_set(&failure, fault, "%s", message);
        return refuse(op, &failure);
}

/* ---- the last steps, backwards ---- */

/* Somebody forges webhooks, or the key is not the one that they are signed with: that belongs into the log. */
static int answer(VerifyOp *op)
{
        VerifyWebhookReply reply = { .valid = webhook_matches(op->webhook, body_of(op)->signature) };
        AuditEvent event = event_of(op);
        int r = 0;

        event.verdict = AUDIT_DENY;
        event.reason = "signature";
        if (!reply.valid)
                r = vault_audit_refusal(op->vault, &event);
        if (r == 0)
                r = request_reply(op->request, &reply, NULL, 0);
        op_free(op);
        return r;
}

static int on_ready(void *userdata, UNUSED uint32_t events)
{
        VerifyOp *op = userdata;
        ssize_t n = recv(op->fd, op->part, PART_SIZE, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0)
                return refuse_with(op, FAULT_INVALID_PARAMETER, "The body could not be read from the descriptor.");
        if (n == 0)
                return answer(op);
        op->received += (uint64_t)n;
        if (op->received > WEBHOOK_BODY_MAX)
                return refuse_with(op, FAULT_INVALID_PARAMETER, "The body is longer than a webhook's can be (32 MiB).");
        webhook_update(op->webhook, slice(op->part, (size_t)n));
        return 0;
}

static int on_deadline(void *userdata)
{
        return refuse_with(userdata, FAULT_TIMEOUT, "The body did not come; its descriptor must be shut down for writing.");
}

static int read_body(VerifyOp *op)
{
        Loop *loop = op->vault->role.loop;
        int r;

        op->part = malloc(PART_SIZE);
        if (!op->part)
                return refuse_with(op, FAULT_BUSY, "The body cannot be read now.");
        r = timer_new(&op->timer, loop, on_deadline, op);
        if (r == 0)
                r = source_new(&op->source, loop, op->fd, EPOLLIN, on_ready, op);
        if (r < 0)
                return refuse_with(op, FAULT_BUSY, "The body cannot be read now.");
        timer_arm_after(op->timer, BODY_DEADLINE_USEC);
        return 0;
}

static void begin(VerifyOp *op, const LoadedSecret *secret, Failure *failure)
{
        const VerifyWebhookRequest *body = body_of(op);
        int r;

        /* A key of anything else would be used for two things, and this tells who guesses whether he is right. */
        if (!secret->info->webhook_key) {
                failure_set(failure, FAULT_POLICY_DENIED,
                            "Secret %s is not a webhook's key. Store the key with `mcpcred add NAME --provider webhook`.",
                            body->secret);
                (void)snprintf(failure->remedy, sizeof(failure->remedy),
                               "`mcpcred list` shows which secrets are of the provider webhook.");
                return;
        }
        r = webhook_new(&op->webhook, op->vault->role.arena, (WebhookScheme)body->scheme, secret->item.current,
                        body->timestamp ? body->timestamp : "");
        if (r)
                failure_set(failure, FAULT_BUSY, "The broker's memory for secrets is full.");
}

static int on_loaded(void *userdata, LoadedSecret *secret, const Failure *failure)
{
        VerifyOp *op = userdata;
        Failure mine = *failure;

        if (!failed(&mine))
                begin(op, secret, &mine);
        return failed(&mine) ? refuse(op, &mine) : read_body(op);
}

static void check_request(const VerifyOp *op, Failure *failure)
{
        const VerifyWebhookRequest *body = body_of(op);

        if (op->request->n_fds != 1 || !fd_is_stream_socket(op->request->fds[0]))
                failure_set(failure, FAULT_INVALID_PARAMETER, "The body comes as one Unix stream socket.");
        else if ((body->scheme == WEBHOOK_GITGUARDIAN) != (body->timestamp != NULL))
                failure_set(failure, FAULT_INVALID_PARAMETER,
                            "A timestamp belongs to GitGuardian's signatures, and to no other.");
}

int op_verify_webhook(Vault *vault, Request *request)
{
        VerifyOp *op = calloc(1, sizeof(*op));
        Failure failure = { 0 };

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->request = request;
        op->fd = -1;
        check_request(op, &failure);
        if (failed(&failure))
                return refuse(op, &failure);
        op->fd = take_fd(&request->fds[0]);
        return secret_load(vault, body_of(op)->secret, on_loaded, op);
}
