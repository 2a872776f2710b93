#pragma once
/*
 * What is done about a leak: the `on_leak` of the profile and of the secret, in a fixed order, each step once, with a
 * cool-down. Evidence bounds it: a session's own misuse acts on that session alone, so that a hostile server can hurt
 * its own session and nobody's secret; what acts on a secret needs a value that was matched.
 */
#include "vault/vault.h"

typedef struct LeakEvidence {
        LeakSignal signal;
        const char *session; /* that is at fault, or that the value was issued to; NULL: none */
        const char *profile; /* NULL: not known */
        const char *secret;
        const char *lease;
        uint64_t generation; /* of the secret's value that was matched; 0: none was */
        const char *source;  /* where it was seen, for the log and for people; may be NULL */
} LeakEvidence;

/* Does what is to be done, or goes on with what an earlier report of the same began. Everything durable is in the state
 * when it returns; what takes time goes on. `ret_incident` gets the id. DB_E_*. */
int response_begin(Vault *vault, const LeakEvidence *evidence, char ret_incident[IDENT_ID_SIZE + 1]) NODISCARD
        NONNULL(1, 2, 3);
/* Goes on with what an earlier run left. */
int response_resume_all(Vault *vault) NODISCARD NONNULL(1);
