#pragma once
/* The parts of Revoke and CloseSession, for their own files. */
#include "vault/cutoff_work.h"
#include "vault/revoker.h"
#include "vault/rows_lease.h"
#include "vault/session_set.h"
#include "vault/vault.h"

/* Credentials that one answer lists one by one; the rest is counted. */
#define REVOKE_LISTED_MAX 8192U

typedef struct RevokeListed {
        char id[IDENT_ID_SIZE + 1];
        Outcome expected; /* and counted so; what it has become is looked up when it is answered */
        bool waiting;     /* for the upstream, */
        const ProviderInfo *provider; /* which is this one's; NULL: not looked up yet */
        uint64_t side;                /* of it: LeaseRecord */
} RevokeListed;

typedef struct RevokeOp {
        Vault *vault;
        Request *request;
        const char *operation;
        const char *reason; /* of what is ended */
        char session[IDENT_ID_SIZE + 1]; /* the one that is to end; "": not one alone */
        uint64_t settle_usec;
        Caller caller;
        bool close; /* it is CloseSession */
        bool dry_run;
        unsigned ending;   /* things under way here, this file's own steps included */
        uint64_t sessions; /* that were ended */
        CutoffRecord cutoff;
        char detail[LIMIT_TEXT + 1]; /* for the log: what it selects */
        SessionSet holders;  /* that it ends */
        bool cut, written;   /* at the egresses; in the state */
        CutoffWait worked_off;
        RevokeListed *listed;
        size_t n_listed, n_waiting;
        uint64_t totals[OUTCOME_IMPOSSIBLE_ROTATE + 1]; /* of all, listed or not */
        RevokeWatch *watch;
        Timer *timer;
        bool local_done;
        Failure failure; /* some of it could not be done */
} RevokeOp;

/* One thing that was under way is over; SessionEndDone, and what else ends so. */
int revoke_step(void *userdata) NODISCARD;
/* Counts a credential, and names it in the answer, which waits for its upstream. What there is no room for is revoked all
 * the same. */
void revoke_list(RevokeOp *op, const char *lease, Outcome expected) NONNULL(1, 2);
/* Revokes what has this value, by the hex SHA-256 of it, as far as the selection takes it (revoke_token.c). Its session
 * goes on. */
int revoke_token(RevokeOp *op, const char *sha256_hex, const Selection *what, Failure *failure) NODISCARD
        NONNULL(1, 2, 3, 4);
/* The selectors, for the log: their names, and in `detail` what the log has no field for. Static, or in `detail`. */
const char *revoke_reason(const Selection *what, char *detail, size_t size) NONNULL(1, 2);
/* What a request selects. False with `failure` where it says nothing, contradicts itself, or names what is neither there
 * nor on record: a slip of the pen must not look like a containment (revoke_select.c). */
bool revoke_select(const RevokeOp *op, const RevokeRequest *request, Selection *ret, Failure *failure) NONNULL(1, 2, 3, 4);
