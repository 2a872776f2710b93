#pragma once
/*
 * What is done about a leak: the `on_leak` of the profile and of the secret, in a fixed order, each step once, with a
 * cool-down. Evidence bounds it: a session's own misuse acts on that session alone, so that a hostile server can hurt
 * its own session and nobody's secret; what acts on a secret needs a value that was matched. response_plan.h decides
 * that; here it is written down as an incident, and then carried out (response_act.c).
 */
#include "vault/response_plan.h"
#include "vault/vault.h"

/* Commands for one minute's incidents; the others are told by the log and by listings alone. What sessions do by
 * themselves is counted apart, and leaves the supervisor room for more commands: a server that is started again and
 * again must not keep the command from a leak of a real value. */
#define NOTIFY_PER_MINUTE     10U
#define NOTIFY_MISUSE_AT_ONCE 2U

typedef struct LeakEvidence {
        LeakSignal signal;
        const char *session; /* that is at fault, or that the value was issued to; NULL: none */
        const char *profile; /* NULL: not known */
        const char *secret;
        const char *lease;   /* of what was seen; NULL: it was not issued */
        uint64_t generation; /* of the secret's value that was matched, or that was used to issue it; 0: not known */
        const char *source;  /* where it was seen, for the log and for people; may be NULL */
} LeakEvidence;

int responses_new(Responses **ret, Vault *vault) NODISCARD NONNULL(1, 2);
/* What is under way is gone on with by the next process. Accepts NULL. */
Responses *responses_free(Responses *responses);

/* Does what is to be done, or goes on with what an earlier report of the same began. Everything durable is in the state
 * when it returns; what takes time goes on. `ret_incident` gets the id. DB_E_*: it could not be written; a session that
 * is at fault is ended all the same. */
int response_begin(Vault *vault, const LeakEvidence *evidence, char ret_incident[IDENT_ID_SIZE + 1]) NODISCARD
        NONNULL(1, 2, 3);
/* What response_begin() would do: nothing is written. DB_E_*. */
int response_consider(Vault *vault, const LeakEvidence *evidence, IncidentRecord *ret) NODISCARD NONNULL(1, 2, 3);
/* Goes on with what an earlier run left. */
int response_resume_all(Vault *vault) NODISCARD NONNULL(1);
/* Incidents that wait for a rotation are over once the secret has another value, and a person's if it was given up. A
 * rotation's end says so to nobody, so this is called wherever incidents are shown, or new ones judged by them. */
int response_look(Vault *vault) NODISCARD NONNULL(1);
/* A person has dealt with what is open of it. DB_E_NOT_FOUND. */
int response_close(Vault *vault, const Caller *caller, const char *incident) NODISCARD NONNULL(1, 2, 3);
int response_prune(Vault *vault) NODISCARD NONNULL(1);

/* Is what this machine has to do still going on? What commands and upstreams take is not waited for. */
bool response_is_running(const Vault *vault, const char *incident) NONNULL(1, 2);
typedef struct ResponseWatch ResponseWatch;
/* Calls `settled` each time that one has stopped running, until it is freed. */
int response_watch_new(ResponseWatch **ret, Vault *vault, int (*settled)(void *userdata), void *userdata) NODISCARD
        NONNULL(1, 2, 3);
ResponseWatch *response_watch_free(ResponseWatch *watch);

/* "revoke: done", "rotate: needs-person (run: mcpcred rotate x)", into `out`. */
void response_action_text(const IncidentRecord *record, LeakAction action, char *out, size_t size) NONNULL(1, 3);
