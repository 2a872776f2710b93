/* ReportLeak: which of the candidates are ours, and what was done about each. Hashes come in, names go out. */
#include "vault/leak_match.h"
#include <stdio.h>

/* Matches that one report tells of; further ones are acted on all the same. */
#define MATCHES_MAX (2U * LIMIT_CANDIDATES)

typedef struct Match {
        uint64_t index;
        LeakFound found;
} Match;

typedef struct ReportOp {
        Vault *vault;
        Request *request;
        Match *matches;
        size_t n;
        uint64_t unknown;
} ReportOp;

static const ReportLeakRequest *body_of(const ReportOp *op)
{
        return op->request->body;
}

static void op_free(ReportOp *op)
{
        free(op->matches);
        free(op);
}

static int refuse(ReportOp *op, const Failure *failure)
{
        int r = vault_refuse(op->vault, op->request, vault_event(body_of(op)->caller, "leak.report"), failure);

        op_free(op);
        return r;
}

/* ---- the answer ---- */

static const char *or_null(const char *text)
{
        return text[0] ? text : NULL;
}

static LeakMatch match_row(const Match *match)
{
        const LeakFound *found = &match->found;

        return (LeakMatch){
                .index = match->index,
                .kind = found->kind,
                .secret = found->secret,
                .profile = or_null(found->profile),
                .session = or_null(found->session),
                .lease = or_null(found->lease),
                .state = found->state,
                .issued = found->issued,
        };
}

static int answer(ReportOp *op)
{
        LeakMatch page[LIMIT_PAGE];
        ReportLeakReply reply = { .matches.items = page };
        int r = 0;

        for (size_t i = 0; r == 0 && i < op->n; i++) {
                page[reply.matches.n++] = match_row(&op->matches[i]);
                if (reply.matches.n < LIMIT_PAGE || i + 1 == op->n)
                        continue;
                r = request_reply_more(op->request, &reply);
                reply.matches.n = 0;
        }
        reply.unknown = op->unknown;
        if (r == 0)
                r = request_reply(op->request, &reply, NULL, 0);
        op_free(op);
        return r;
}

/* ---- looking them up ---- */

static void find_one(ReportOp *op, size_t index, LeakFound found[LEAK_MATCHES_MAX], Failure *failure)
{
        const char *hex = body_of(op)->hashes.items[index];
        uint8_t hash[SEAL_HASH_SIZE];
        size_t n = 0;

        if (seal_token_hash_hex(op->vault->seal, hex, hash)) {
                failure_set(failure, FAULT_INVALID_PARAMETER, "hashes[%zu] is not a SHA-256 in hex.", index);
                return;
        }
        if (vault_db_failed(op->vault, leak_match(op->vault, hash, found, &n), failure))
                return;
        op->unknown += n == 0;
        for (size_t i = 0; i < n && op->n < MATCHES_MAX; i++)
                op->matches[op->n++] = (Match){ .index = index, .found = found[i] };
}

static void find_all(ReportOp *op, Failure *failure)
{
        LeakFound *found = calloc(LEAK_MATCHES_MAX, sizeof(*found));

        if (!found)
                failure_set(failure, FAULT_INTERNAL, NULL);
        for (size_t i = 0; i < body_of(op)->hashes.n && !failed(failure); i++)
                find_one(op, i, found, failure);
        free(found);
}

int op_report_leak(Vault *vault, Request *request)
{
        ReportOp *op = calloc(1, sizeof(*op));
        Failure failure = { 0 };

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->request = request;
        op->matches = calloc(MATCHES_MAX, sizeof(*op->matches));
        if (!op->matches) {
                free(op);
                return -ENOMEM;
        }
        if (!vault->recovered)
                failure_set(&failure, FAULT_UNAVAILABLE, "The broker is still starting.");
        else if (!vault->seal)
                failure_set(&failure, FAULT_KEYRING_LOCKED, "Values can be looked up only while the store is open.");
        else
                find_all(op, &failure);
        return failed(&failure) ? refuse(op, &failure) : answer(op);
}
