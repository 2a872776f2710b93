#pragma once
/*
 * What is in force behind the handles of live sessions. A minted credential is renewed before it expires, and
 * its predecessor revoked upstream a while after, so that whoever holds the handle notices nothing; a stored
 * key that was rotated is replaced likewise.
 *
 * This is a memory of what the state and the egresses have; it can be lost, and is at each start.
 */
#include "vault/egresses.h"
#include "vault/rows_cutoff.h"
#include "vault/vault.h"

typedef int (*ProxyGrantDone)(void *userdata, const Failure *failure);

int proxy_grants_new(ProxyGrants **ret, Vault *vault) NODISCARD NONNULL(1, 2);
/* Calls nobody back. Accepts NULL. */
ProxyGrants *proxy_grants_free(ProxyGrants *grants);

/*
 * Puts a grant of the session in force and connects its process, which is `join`, with the egress. `done` may be
 * called from within, and after the session has ended. What fails is tried again until it succeeds, for as long as
 * session and handle live; `done` hears of the first attempt alone.
 */
int proxy_grants_supply(ProxyGrants *grants, const char *session, const char *profile, uint64_t join,
                        ProxyGrantDone done, void *userdata) NODISCARD NONNULL(1, 2, 3, 5);
/* Is it in force, and that process of the session's connected? Then there is nothing to do. */
bool proxy_grants_stands(const ProxyGrants *grants, const char *session, const char *profile, uint64_t join)
        NONNULL(1, 2, 3);
/* The sessions have ended. */
void proxy_grants_forget(ProxyGrants *grants, const SessionSet *sessions) NONNULL(1, 2);
/*
 * Takes from the egresses whatever is in force that the selection takes, all at once, as far as this memory can tell:
 * what it does not know of is cut with its session. `done` is called when nothing further can leave, from within where
 * nothing is. The sessions are the caller's to end.
 */
int proxy_grants_cut(ProxyGrants *grants, const Selection *what, EgressCutDone done, void *userdata) NODISCARD
        NONNULL(1, 2, 3);
/* The upstream refuses what is in force: a minted credential is renewed, unless it is quite new. Harmless where
 * there is none. */
void proxy_grants_hurry(ProxyGrants *grants, const char *session, const char *profile) NONNULL(1, 2, 3);
/* What was in force was revoked and taken from the egress, while the handle lives: another takes its place. */
void proxy_grants_replace(ProxyGrants *grants, const char *session, const char *profile) NONNULL(1, 2, 3);
/* The secret has another value: each handle that stands for it stands for the new one from now on. */
void proxy_grants_refresh(ProxyGrants *grants, const char *secret) NONNULL(1, 2);
