#pragma once
/*
 * What the keyring role does for the vault: it serves interface_keyring over the edge it was given,
 * with one of its stores. The stores are kept while the process lives, whoever asks, so that a vault
 * that was started again finds them as they were.
 *
 * Each call is worked off before the next is read. It may block for as long as the Secret Service
 * takes, up to the deadline of that store; the vault has its own deadline and can have this process
 * killed.
 */
#include "ipc/channel.h"
#include "keyring/store.h"
#include "wire/msg_supervisor.h"

#define KEYRING_STORES_MAX 3U

typedef struct Keyring Keyring;

/* A line for the log: never an item, nor what a daemon wrote. */
typedef void (*KeyringLog)(void *userdata, LogLevel level, const char *line);

typedef struct KeyringConfig {
        Loop *loop;
        Arena *arena;
        Store *stores[KEYRING_STORES_MAX]; /* taken over, also on failure; at most one of a kind */
        size_t n_stores;
        KeyringLog log; /* may be NULL */
        void *userdata;
} KeyringConfig;

int keyring_new(Keyring **ret, const KeyringConfig *config) NODISCARD NONNULL(1, 2);
Keyring *keyring_free(Keyring *keyring);
/* Serves the vault on this socket, which is taken over, and drops the one before. */
int keyring_attach(Keyring *keyring, int fd) NODISCARD NONNULL(1);

DEFINE_CLEANUP(Keyring *, keyring_free);
