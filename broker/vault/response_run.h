#pragma once
/* The parts of the response, for its own files. */
#include "base/list.h"
#include "vault/response.h"

struct Responses {
        Vault *vault;
        List runs;    /* ResponseRun */
        List watches; /* ResponseWatch */
        uint64_t minute; /* boot clock: when a new minute of notifications begins */
        unsigned n_notified[2];  /* in that minute: for what was matched, and for misuse */
        unsigned n_misuse_calls; /* commands that run for misuse */
};

/* One incident whose actions are being carried out, one after the other. */
typedef struct ResponseRun {
        List link;
        Vault *vault;
        IncidentRecord record;
        LeakAction at;    /* that is under way */
        unsigned waiting; /* for parts of it */
        size_t n_ended;   /* sessions */
        bool of_former;   /* response_is_of_former(), as the action at hand has seen it */
        Call *call;       /* of the supervisor, or NULL */
        bool misuse_call; /* it is one of responses->n_misuse_calls */
        bool settled;     /* what is left is waited for by nobody */
} ResponseRun;

/* Begins record.actions[at]; it ends by response_step(). */
int response_act(ResponseRun *run) NODISCARD NONNULL(1);
/* The action is over: into the state and the log, and on to the next. */
int response_step(ResponseRun *run, ActionState state, const char *reason) NODISCARD NONNULL(1);
/* What it needs is away: it is gone on with when the store is open again. */
int response_pause(ResponseRun *run) NODISCARD NONNULL(1);
/* The state of the action and its line in the log, in the transaction that is open. DB_E_*. */
int response_write(Vault *vault, IncidentRecord *record, LeakAction action, ActionState state, const char *reason) NODISCARD
        NONNULL(1, 2);
/* The same, in a transaction of its own, which is left open on failure: vault_db_failed() rolls it back. */
int response_write_alone(Vault *vault, IncidentRecord *record, LeakAction action, ActionState state, const char *reason)
        NODISCARD NONNULL(1, 2);
/* The command has ended, or is not waited for any more. */
void response_call_over(ResponseRun *run) NONNULL(1);
/* Nobody needs to wait for what is left. */
int response_settle(ResponseRun *run) NODISCARD NONNULL(1);

/* What the command gets on its standard input, as one JSON object. No value, and no hash of one. -ENOBUFS. */
int response_json(const IncidentRecord *record, Buf *out) NODISCARD NONNULL(1, 2);
