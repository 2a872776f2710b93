#pragma once
/*
 * A store in the user's keyring, over the Secret Service (gnome-keyring, KWallet, KeePassXC), in the
 * collection that the alias "default" names. It never creates a collection and never has one opened by
 * a prompt. A service that wants each write confirmed (KeePassXC can) shows its own question, which has
 * until the deadline.
 *
 * Items carry the schema org.mcpcred.Secret and two attributes that only identify them, since
 * attributes lie in the clear: application=mcpcred, item=NAME.
 *
 * libsecret holds copies of a value of its own: the decoded one in its locked pool, which it wipes
 * with the last reference, and the one under the session's cipher in ordinary memory. With a service
 * that knows no cipher of libsecret's ("plain" sessions) the latter is the value itself.
 *
 * It runs GDBus's threads in this process, which must never fork from the first call on.
 */
#include "keyring/store.h"

typedef struct SecretServiceConfig {
        Arena *arena;
        const char *bus_address; /* of the session bus, or NULL; copied */
        uint64_t deadline_usec;  /* of each call, as a whole */
} SecretServiceConfig;

/*
 * All calls: KEYRING_ABSENT without a bus, a provider or a default collection; KEYRING_LOCKED;
 * KEYRING_HUNG at the deadline; KEYRING_FAILED with what the service said; STORE_DAMAGED for an item
 * that is there twice or too long. After an error of the bus the connection is dropped and the call
 * tried once more, so that a service that was started again is found.
 */
int store_secret_service_new(Store **ret, const SecretServiceConfig *config) NODISCARD NONNULL(1, 2);
