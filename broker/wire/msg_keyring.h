#pragma once
/* What the vault may ask the keyring role. Every item is one opaque value under one name. */
#include "wire/interface.h"

/* The item that holds the key of the state; no secret can have this name. */
#define KEYRING_ROOT_ITEM "_root"

typedef enum StoreKind {
        STORE_AUTO,
        STORE_SECRET_SERVICE,
        STORE_SEALED_FILE,
        STORE_MEMORY,
} StoreKind;
extern const char *const store_kind_names[];

/*
 * Opens the store, or opens it again. Faults: KEYRING_ABSENT, KEYRING_LOCKED, KEYRING_FAILED,
 * STORE_DAMAGED. With STORE_AUTO and no Secret Service the fault is KEYRING_ABSENT, never another
 * store, unless a sealed file is there already.
 */
typedef struct KeyringOpenRequest {
        uint32_t kind;   /* StoreKind */
        uint32_t resume; /* StoreKind that was in use before a restart; STORE_AUTO: none */
} KeyringOpenRequest;

typedef struct KeyringOpenReply {
        uint32_t kind; /* StoreKind that is in use */
        Secret *key;   /* as Unlock returned it, for a vault that was started again; NULL: there is none */
} KeyringOpenReply;

/* A sealed file's passphrase, or the key that an earlier Unlock returned. */
typedef struct KeyringUnlockRequest {
        Secret *passphrase;
        Secret *key;
        bool create;
} KeyringUnlockRequest;

typedef struct KeyringUnlockReply {
        Secret *key; /* opens the file again without the passphrase, after a restart of the role */
} KeyringUnlockReply;

typedef struct KeyringItemRequest {
        const char *name;
} KeyringItemRequest;

typedef struct KeyringLoadReply {
        Secret *value; /* NULL: there is no such item, and the store was open when it was looked for */
} KeyringLoadReply;

typedef struct KeyringStoreRequest {
        const char *name;
        Secret *value;
} KeyringStoreRequest;

typedef enum KeyringMethod {
        KEYRING_OPEN,
        KEYRING_UNLOCK,
        KEYRING_LOCK,
        KEYRING_LOAD,
        KEYRING_STORE, /* replaces; answered when it was read back and is durable */
        KEYRING_REMOVE, /* answered the same whether or not it was there */
} KeyringMethod;

extern const Interface interface_keyring;
