#pragma once
/*
 * One secret as it is kept in the keyring: binding, generation and values as one line of text, a
 * version prefix and base64, because a keyring's item is shown and copied as text. What binds a
 * secret to its upstream is kept with the secret, so that no configuration file can redirect it.
 */
#include "base/pool.h"
#include "base/secret.h"
#include "wire/schema.h"

/* One value. Three of them and the binding, in base64, stay under SECRET_MAX; a 16384-bit RSA key
 * in PEM is 13 KiB. */
#define SECRET_ITEM_VALUE_MAX (14U * 1024U)
/* The encoded binding: what three values leave. */
#define SECRET_ITEM_BINDING_MAX 6000U

typedef struct SecretBinding {
        const char *provider;
        const char *base_url; /* NULL: the provider's own */
        TextList hosts;
        TextMap parameters;
} SecretBinding;

/* The struct owns its secrets; binding and texts are the pool's, or whoever's filled it in. */
typedef struct SecretItem {
        SecretBinding *binding;
        uint64_t generation; /* of `current`; from 1 */
        Secret *current;
        Secret *next;     /* of a rotation before its switch; else NULL */
        Secret *previous; /* of a rotation after its switch; else NULL */
} SecretItem;

enum {
        _SECRET_ITEM_E_SUCCESS,
        SECRET_ITEM_E_DAMAGED,  /* not an item, or not exactly one */
        SECRET_ITEM_E_NEWER,    /* an item of a later version of this program */
        SECRET_ITEM_E_TOO_LONG, /* a value or the binding exceeds its limit */
        SECRET_ITEM_E_FULL,     /* the arena or the pool has no room */
};

/* The text to store. TOO_LONG, FULL; -EINVAL for an item without binding, value or generation. */
int secret_item_encode(const SecretItem *item, Arena *arena, Secret **ret) NODISCARD
        NONNULL(1, 2, 3);
/* Strict: what encode would not write is refused. `ret` is cleared on failure. DAMAGED, NEWER,
 * FULL. */
int secret_item_decode(const Secret *text, Arena *arena, Pool *pool, SecretItem *ret) NODISCARD
        NONNULL(1, 2, 3, 4);
/* Frees the values and zeroes the struct. */
void secret_item_clear(SecretItem *item);
/* Whether a binding is within SECRET_ITEM_BINDING_MAX and the limits of its fields. TOO_LONG. */
int secret_item_check_binding(const SecretBinding *binding) NODISCARD NONNULL(1);
/* Same provider, URL, hosts and parameters, in the same order. */
bool secret_binding_equal(const SecretBinding *a, const SecretBinding *b) NONNULL(1, 2);
