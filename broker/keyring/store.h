#pragma once
/*
 * A place where items rest: one opaque value under one name. Three kinds implement it, each in its
 * own file; keyring.h chooses among them.
 *
 * The functions return 0, a Fault (positive) with a Report of what happened, or -errno for what the
 * system refused. A fault of one call says nothing about the next: a daemon may have been started
 * again, a file put back.
 */
#include "base/secret.h"
#include "wire/msg_keyring.h"

typedef struct Store Store;

/* What a person is told beside the fault. Never holds an item's bytes. */
typedef struct Report {
        char message[256];  /* empty: the fault's own sentence */
        const char *remedy; /* NULL: the fault's own remedy */
} Report;

/* How a store is to be unlocked: nothing at all is an answer too, where a credential was delivered. */
typedef struct UnlockHow {
        const Secret *passphrase;
        const Secret *key; /* from an earlier unlock */
        bool create;       /* make a new store; never over an existing one */
} UnlockHow;

typedef struct StoreVtable {
        StoreKind kind;
        void (*free)(Store *store);
        /* Finds out whether items can be had, without asking a person. May be called again. */
        int (*open)(Store *store, Report *report);
        /* `ret_key` gets NULL where there is no key that could be kept. */
        int (*unlock)(Store *store, const UnlockHow *how, Secret **ret_key, Report *report);
        /* A copy of the key that unlock() returned, of an open store; NULL where no store has one. */
        int (*key)(Store *store, Secret **ret, Report *report);
        /* Forgets what it needed for reading items. */
        void (*lock)(Store *store);
        /* `ret` gets NULL when there is surely no such item. */
        int (*load)(Store *store, const char *name, Secret **ret, Report *report);
        /* Replaces. Durable on return, as far as this process can know. */
        int (*store)(Store *store, const char *name, const Secret *value, Report *report);
        /* 0 whether or not it was there. */
        int (*remove)(Store *store, const char *name, Report *report);
} StoreVtable;

struct Store {
        const StoreVtable *vtable;
};

/* Fills the report and returns the fault. `remedy` is a literal or NULL. */
int store_fail(Report *report, Fault fault, const char *remedy, const char *format, ...) NODISCARD
        NONNULL(1, 4) PRINTF_LIKE(4, 5);
/* A secret_*() code as a store's: a full arena is FAULT_BUSY, an item that is too long is damage. */
int store_secret_fault(Report *report, int r) NODISCARD NONNULL(1);
/* Accepts NULL. */
Store *store_free(Store *store);

DEFINE_CLEANUP(Store *, store_free);

/*
 * For tests and the quickstart: items live in the arena of this process and are gone with it, also
 * when the supervisor starts the role again.
 */
int store_memory_new(Store **ret, Arena *arena) NODISCARD NONNULL(1, 2);
