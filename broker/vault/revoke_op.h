#pragma once
/* The parts of Revoke and CloseSession, for their own files. */
#include "vault/revoker.h"
#include "vault/vault.h"

/* Credentials that one answer lists one by one. */
#define REVOKE_LISTED_MAX 8192U

typedef struct RevokeListed {
        char id[IDENT_ID_SIZE + 1];
        bool waiting; /* for the upstream */
} RevokeListed;

typedef struct RevokeOp {
        Vault *vault;
        Request *request;
        const char *operation;
        const char *reason; /* of what is ended */
        char session[IDENT_ID_SIZE + 1]; /* the one that is to end; "": not one alone */
        uint64_t settle_usec;
        Caller caller;
        bool dry_run;
        unsigned ending;   /* things under way here, this file's own steps included */
        uint64_t sessions; /* that were ended */
        RevokeListed *listed;
        size_t n_listed, n_waiting;
        RevokeWatch *watch;
        Timer *timer;
        bool local_done;
        Failure failure; /* some of it could not be done */
} RevokeOp;

/* One thing that was under way is over; SessionEndDone, and what else ends so. */
int revoke_step(void *userdata) NODISCARD;
/* Names a credential in the answer, which waits for its upstream. What there is no room for is revoked all the same. */
void revoke_list(RevokeOp *op, const char *lease) NONNULL(1, 2);
/* Revokes what has this value, by the hex SHA-256 of it (revoke_token.c). Its session goes on. */
int revoke_token(RevokeOp *op, const char *sha256_hex, Failure *failure) NODISCARD NONNULL(1, 2, 3);
