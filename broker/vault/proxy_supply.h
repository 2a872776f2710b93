#pragma once
/*
 * Puts the credential behind one handle in force: loads a stored key or obtains a minted token, writes down
 * that it is in use, and gives it to the egress of its profile. Whether the session and the handle are
 * still good is looked up before each step that could give something away.
 */
#include "vault/vault.h"

typedef struct SupplyAsk {
        const char *session;
        const char *profile;
        uint64_t join; /* the session's process that is to be connected with the egress; 0: not this time */
        bool fresh; /* a minted credential that is there already will not do */
} SupplyAsk;

/* What is in force; or, after a failure, whether there is any use in trying again. */
typedef struct Supplied {
        bool final; /* session or handle are over */
        const char *secret;
        bool minted;
        char lease[IDENT_ID_SIZE + 1];
        char provider[LIMIT_NAME + 1];
        uint64_t principal; /* uid of whoever opened the session */
        uint64_t expires; /* wall time; of the credential, or of the session if that is earlier */
        uint64_t renew;   /* wall time at which a minted one should be renewed; UINT64_MAX: it lasts as long as the session */
} Supplied;

/* `supplied` is valid during the call. A failure has been written to the audit log: EXPIRED or NOT_FOUND (of the
 * session), REVOKED, and what loading, minting and egresses_grant() say. */
typedef int (*SupplyDone)(void *userdata, const Supplied *supplied, const Failure *failure);

/* Everything in `ask` is copied. `done` may be called from within. */
int proxy_supply(Vault *vault, const SupplyAsk *ask, SupplyDone done, void *userdata) NODISCARD NONNULL(1, 2, 3);
