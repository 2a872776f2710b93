#include "wire/msg_keyring.h"
#include "wire/field.h"

/* An item is a secret with its binding and up to three values, in base64: under what a Secret holds. */
#define ITEM_MAX SECRET_MAX

const char *const store_kind_names[] = { "auto", "secret-service", "sealed-file", "memory", NULL };

static const Field keyring_open_request_fields[] = {
        F_ENUM(KeyringOpenRequest, kind, 0, store_kind_names),
        F_ENUM(KeyringOpenRequest, resume, 0, store_kind_names),
};
static SCHEMA(keyring_open_request, "OpenRequest", KeyringOpenRequest);

static const Field keyring_open_reply_fields[] = {
        F_ENUM(KeyringOpenReply, kind, 0, store_kind_names),
        F(KeyringOpenReply, key, SECRET, FIELD_OPTIONAL, 64, 0),
};
static SCHEMA(keyring_open_reply, "OpenReply", KeyringOpenReply);

static const Field keyring_unlock_request_fields[] = {
        F(KeyringUnlockRequest, passphrase, SECRET, FIELD_OPTIONAL, 1024, 0),
        F(KeyringUnlockRequest, key, SECRET, FIELD_OPTIONAL, 64, 0),
        F(KeyringUnlockRequest, create, BOOL, 0, 0, 0),
};
static SCHEMA(keyring_unlock_request, "UnlockRequest", KeyringUnlockRequest);

static const Field keyring_unlock_reply_fields[] = {
        F(KeyringUnlockReply, key, SECRET, FIELD_OPTIONAL, 64, 0),
};
static SCHEMA(keyring_unlock_reply, "UnlockReply", KeyringUnlockReply);

static const Field keyring_item_request_fields[] = {
        F(KeyringItemRequest, name, TEXT, 0, LIMIT_NAME, 0),
};
static SCHEMA(keyring_item_request, "ItemRequest", KeyringItemRequest);

static const Field keyring_load_reply_fields[] = {
        F(KeyringLoadReply, value, SECRET, FIELD_OPTIONAL, ITEM_MAX, 0),
};
static SCHEMA(keyring_load_reply, "LoadReply", KeyringLoadReply);

static const Field keyring_store_request_fields[] = {
        F(KeyringStoreRequest, name, TEXT, 0, LIMIT_NAME, 0),
        F(KeyringStoreRequest, value, SECRET, 0, ITEM_MAX, 0),
};
static SCHEMA(keyring_store_request, "StoreRequest", KeyringStoreRequest);

static const Method interface_keyring_methods[] = {
        [KEYRING_OPEN] = { "Open", &keyring_open_request, &keyring_open_reply, 0, 0, false },
        [KEYRING_UNLOCK] = { "Unlock", &keyring_unlock_request, &keyring_unlock_reply, 0, 0, false },
        [KEYRING_LOCK] = { "Lock", &schema_empty, &schema_empty, 0, 0, false },
        [KEYRING_LOAD] = { "Load", &keyring_item_request, &keyring_load_reply, 0, 0, false },
        [KEYRING_STORE] = { "Store", &keyring_store_request, &schema_empty, 0, 0, false },
        [KEYRING_REMOVE] = { "Remove", &keyring_item_request, &schema_empty, 0, 0, false },
};
INTERFACE(interface_keyring, "keyring");
