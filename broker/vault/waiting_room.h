#pragma once
/*
 * Where requests wait while the vault is starting: until the state is recovered and, for those that need
 * it, the store of secrets has been opened or has said why it cannot be; also when the keyring role has
 * to be started again. Bounded in number and in time.
 */
#include "vault/vault.h"

typedef int (*WaitingRun)(void *userdata, Request *request);

int waiting_room_new(WaitingRoom **ret, Vault *vault) NODISCARD NONNULL(1, 2);
/* Those who still wait get FAULT_UNAVAILABLE. */
WaitingRoom *waiting_room_free(WaitingRoom *room);
/* Runs the request at once if what it needs is up, otherwise as soon as it is; `store` says that it needs
 * the store. `userdata` must live as long as the request's channel: a request whose channel is gone is
 * dropped. */
int waiting_room_enter(WaitingRoom *room, WaitingRun run, void *userdata, Request *request, bool store) NODISCARD
        NONNULL(1, 2, 4);
/* Lets everybody in for whom the vault is up now. NULL: the vault ends, and nobody waits any more; who waited for the
 * keyring is told so then, and comes by here. */
int waiting_room_look(WaitingRoom *room) NODISCARD;
