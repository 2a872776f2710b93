#pragma once
/*
 * Obtains a credential for one grant of one session. The intent is durable before the upstream is
 * asked; the lease is durable before the value goes to whoever asked. What comes back after its
 * session was ended or cut off is revoked and delivered to nobody.
 */
#include "vault/vault.h"

/* `token` belongs to the callee, NULL with a failure. `lease` is valid during the callback. */
typedef int (*MintDone)(void *userdata, Secret *token, uint64_t expires, const char *lease,
                        const Failure *failure);

typedef struct MintAsk {
        const char *session;
        uint64_t session_expires; /* wall clock: what is delivered raw lasts as long */
        const GrantRecord *grant;
        uint64_t uid;             /* of the session, for the audit log */
        const char *request;      /* id that joins the lines of one call; may be NULL */
        bool may_expose;          /* a stored key may be handed out raw: at the open, and never again */
} MintAsk;

/* Everything in `ask` is copied. */
int mint_start(Vault *vault, const MintAsk *ask, MintDone done, void *userdata) NODISCARD NONNULL(1, 2, 3);
/*
 * A credential of this session and profile that is alive for another minute at least, with its value;
 * NULL if there is none that can be given out again. DB_E_*.
 */
int mint_find(Vault *vault, const char *session, const char *profile, Secret **ret, uint64_t *ret_expires)
        NODISCARD NONNULL(1, 2, 3, 4, 5);
/* Writes down what came of mints while the state could not be written (vault_expire() calls it). */
int mint_close_unclosed(Vault *vault) NODISCARD NONNULL(1);
void mint_forget_unclosed(Vault *vault) NONNULL(1);
