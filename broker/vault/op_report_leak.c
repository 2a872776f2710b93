/* ReportLeak: which of the candidates are ours, and what was done about each. Hashes come in, names go out. */
#include "vault/leak_match.h"
#include "vault/response.h"
#include <stdio.h>

/* How long the answer waits for what this machine has to do. */
#define SETTLE_USEC (8 * USEC_PER_SEC)
#define AUDIT_SOON_USEC (20 * USEC_PER_MSEC)

/* A candidate has one match as good as always; more than this of one report are for the next. */
#define MATCHES_MAX (2U * LIMIT_CANDIDATES)

typedef struct Match {
        uint64_t index;
        LeakFound found;
        char incident[IDENT_ID_SIZE + 1]; /* "": none */
} Match;

typedef struct ReportOp {
        Vault *vault;
        Request *request;
        Match *matches;
        size_t n;
        uint64_t unknown;
        ResponseWatch *watch;
        Timer *timer;
        bool begun; /* all of them have been */
} ReportOp;

/* What one reply tells of one match. */
typedef struct Row {
        IncidentRecord incident;
        char actions[_LEAK_ACTION_N][LIMIT_LABEL + 1];
        const char *items[_LEAK_ACTION_N];
} Row;

static const ReportLeakRequest *body_of(const ReportOp *op)
{
        return op->request->body;
}

static void op_free(ReportOp *op)
{
        response_watch_free(op->watch);
        timer_free(op->timer);
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

static LeakEvidence evidence_of(const ReportOp *op, const LeakFound *found)
{
        /* Wherever a canary was found, its session's environment is out. */
        bool canary = strcmp(found->kind, "canary") == 0;

        return (LeakEvidence){
                .signal = canary ? LEAK_SIGNAL_CANARY : LEAK_SIGNAL_REPORT,
                .session = or_null(found->session),
                .profile = or_null(found->profile),
                .secret = found->secret,
                .lease = or_null(found->lease),
                .generation = found->generation,
                .source = body_of(op)->source,
        };
}

/* The incident as it stands, or as it would be. */
static int look_up(ReportOp *op, const Match *match, IncidentRecord *ret)
{
        const LeakEvidence evidence = evidence_of(op, &match->found);

        return match->incident[0] ? rows_incident_get(op->vault->db, match->incident, ret)
                                  : response_consider(op->vault, &evidence, ret);
}

static int match_row(ReportOp *op, const Match *match, Row *row, LeakMatch *ret)
{
        const LeakFound *found = &match->found;
        int r = look_up(op, match, &row->incident);

        *ret = (LeakMatch){
                .index = match->index,
                .kind = found->kind,
                .secret = found->secret,
                .profile = or_null(found->profile),
                .session = or_null(found->session),
                .lease = or_null(found->lease),
                .state = found->state,
                .issued = found->issued,
                .incident = or_null(row->incident.id),
                .actions.items = row->items,
        };
        for (LeakAction action = 0; r == 0 && action < _LEAK_ACTION_N; action++) {
                if (row->incident.actions[action].state == ACTION_NONE)
                        continue;
                response_action_text(&row->incident, action, row->actions[action], sizeof(row->actions[action]));
                row->items[ret->actions.n++] = row->actions[action];
        }
        return r;
}

/* Whether more is done about it without a person. Whoever is told of it does not count: it is over all the same. */
static bool goes_on(const IncidentRecord *record)
{
        for (LeakAction action = 0; action < _LEAK_ACTION_N; action++)
                if (action != LEAK_NOTIFY &&
                    (record->actions[action].state == ACTION_TODO || record->actions[action].state == ACTION_BEGUN))
                        return true;
        return false;
}

static int send_rows(ReportOp *op, Row rows[LIMIT_PAGE])
{
        LeakMatch page[LIMIT_PAGE];
        ReportLeakReply reply = { .matches.items = page, .unknown = op->unknown };
        Failure failure;
        int r = 0;

        for (size_t i = 0; r == 0 && i < op->n; i++) {
                size_t at = reply.matches.n++;

                if (vault_db_failed(op->vault, match_row(op, &op->matches[i], &rows[at], &page[at]), &failure))
                        return failure_answer(&failure, op->request);
                reply.pending = reply.pending || (op->matches[i].incident[0] && goes_on(&rows[at].incident));
                if (reply.matches.n < LIMIT_PAGE || i + 1 == op->n)
                        continue;
                reply.unknown = 0; /* told once, at the end */
                r = request_reply_more(op->request, &reply);
                reply.matches.n = 0;
        }
        reply.unknown = op->unknown;
        return r < 0 ? r : request_reply(op->request, &reply, NULL, 0);
}

static int answer(ReportOp *op)
{
        Row *rows = calloc(LIMIT_PAGE, sizeof(*rows));
        int r = rows ? send_rows(op, rows) : -ENOMEM;

        free(rows);
        op_free(op);
        return r;
}

/* ---- what is done ---- */

static int on_settled(void *userdata)
{
        ReportOp *op = userdata;

        if (!op->begun)
                return 0;
        for (size_t i = 0; i < op->n; i++)
                if (op->matches[i].incident[0] && response_is_running(op->vault, op->matches[i].incident))
                        return 0;
        return answer(op);
}

static int on_deadline(void *userdata)
{
        return answer(userdata);
}

/* Each that was found, whatever becomes of the others; the first that cannot be written down is the answer. */
static int begin_all(ReportOp *op)
{
        Failure failure = { 0 };
        int r;

        for (size_t i = 0; i < op->n; i++) {
                const LeakEvidence evidence = evidence_of(op, &op->matches[i].found);
                Failure mine = { 0 };

                r = response_begin(op->vault, &evidence, op->matches[i].incident);
                if (r < 0)
                        return r;
                if (vault_db_failed(op->vault, r, &mine)) {
                        op->matches[i].incident[0] = 0;
                        failure = failed(&failure) ? failure : mine;
                }
        }
        if (failed(&failure))
                return refuse(op, &failure);
        op->begun = true;
        timer_arm_after(op->timer, SETTLE_USEC);
        return on_settled(op);
}

/* That somebody asked is in the log too, whatever comes of it. That it cannot be written stops nothing. */
static void write_report(ReportOp *op)
{
        AuditEvent event = vault_event(body_of(op)->caller, "leak.report");
        char detail[LIMIT_TEXT];
        Failure ignored;

        event.verdict = AUDIT_ALLOW;
        event.reason = body_of(op)->source;
        event.detail = detail;
        (void)snprintf(detail, sizeof(detail), "%zu candidates, %zu matches%s", body_of(op)->hashes.n, op->n,
                       body_of(op)->dry_run ? ", dry run" : "");
        (void)vault_db_failed(op->vault, vault_audit_revocation(op->vault, &event), &ignored);
        timer_arm_within(op->vault->audit_flush, AUDIT_SOON_USEC);
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

        if (!found) {
                failure_set(failure, FAULT_INTERNAL, NULL);
                return;
        }
        for (size_t i = 0; i < body_of(op)->hashes.n && !failed(failure); i++)
                find_one(op, i, found, failure);
        free(found);
}

static int op_new(ReportOp **ret, Vault *vault, Request *request)
{
        ReportOp *op = calloc(1, sizeof(*op));
        int r;

        if (!op)
                return -ENOMEM;
        op->vault = vault;
        op->request = request;
        op->matches = calloc(MATCHES_MAX, sizeof(*op->matches));
        r = op->matches ? timer_new(&op->timer, vault->role.loop, on_deadline, op) : -ENOMEM;
        if (r == 0)
                r = response_watch_new(&op->watch, vault, on_settled, op);
        if (r < 0) {
                op_free(op);
                return r;
        }
        *ret = op;
        return 0;
}

int op_report_leak(Vault *vault, Request *request)
{
        Failure failure = { 0 };
        ReportOp *op;
        int r;

        /* A rotation that was given up goes on no more, and one that is through is no cause. */
        r = response_look(vault);
        if (r < 0)
                return r;
        r = op_new(&op, vault, request);
        if (r < 0)
                return r;
        if (!vault->recovered)
                failure_set(&failure, FAULT_UNAVAILABLE, "The broker is still starting.");
        else if (!vault->seal)
                failure_set(&failure, FAULT_KEYRING_LOCKED, "Values can be looked up only while the store is open.");
        else
                find_all(op, &failure);
        if (failed(&failure))
                return refuse(op, &failure);
        write_report(op);
        return body_of(op)->dry_run ? answer(op) : begin_all(op);
}
