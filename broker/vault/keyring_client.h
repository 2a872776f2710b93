#pragma once
/*
 * The vault's side of the keyring edge: items by name, each call with a deadline. A keyring role that
 * does not answer in time is restarted by the supervisor and the caller gets FAULT_KEYRING_HUNG;
 * nobody else waits for it.
 */
#include "vault/failure.h"
#include "wire/msg_keyring.h"
#include "wire/msg_supervisor.h"

typedef struct KeyringClient KeyringClient;

/* `value` belongs to the callee; NULL with a failure, or when there is no such item. */
typedef int (*KeyringItemDone)(void *userdata, Secret *value, const Failure *failure);
/* `key` is a sealed file's and belongs to the callee; NULL: there is none, or it failed. */
typedef int (*KeyringOpenDone)(void *userdata, StoreKind kind, Secret *key, const Failure *failure);

int keyring_client_new(KeyringClient **ret, Loop *loop, Arena *arena, Channel **supervisor) NODISCARD
        NONNULL(1, 2, 3, 4);
KeyringClient *keyring_client_free(KeyringClient *client);
/* `closed` is called when the role has gone away, before those who wait for it hear of that. */
void keyring_client_watch(KeyringClient *client, void (*closed)(void *userdata), void *userdata) NONNULL(1, 2);
/* A fresh edge, also after a restart of the role. Takes `fd` over. */
int keyring_client_attach(KeyringClient *client, int fd) NODISCARD NONNULL(1);
bool keyring_client_is_attached(const KeyringClient *client) NONNULL(1);

int keyring_client_open(KeyringClient *client, StoreKind kind, StoreKind resume, KeyringOpenDone done,
                        void *userdata) NODISCARD NONNULL(1, 4);
/* At most one of passphrase and key, borrowed; with neither, a delivered credential is used. `value` of the callback is the file's key. */
int keyring_client_unlock(KeyringClient *client, Secret *passphrase, Secret *key, bool create,
                          KeyringItemDone done, void *userdata) NODISCARD NONNULL(1, 5);
int keyring_client_lock(KeyringClient *client, KeyringItemDone done, void *userdata) NODISCARD NONNULL(1, 2);
int keyring_client_load(KeyringClient *client, const char *name, KeyringItemDone done, void *userdata)
        NODISCARD NONNULL(1, 2, 3);
/* Borrows the value. Done when it is durable and was read back. */
int keyring_client_store(KeyringClient *client, const char *name, Secret *value, KeyringItemDone done,
                         void *userdata) NODISCARD NONNULL(1, 2, 3, 4);
int keyring_client_remove(KeyringClient *client, const char *name, KeyringItemDone done, void *userdata)
        NODISCARD NONNULL(1, 2, 3);

DEFINE_CLEANUP(KeyringClient *, keyring_client_free);
