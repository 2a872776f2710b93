#pragma once
/*
 * The variables that a session's child is started with, composed from what its grants say and from where
 * it will find the proxy. Pure but for the arena.
 *
 * What a profile itself sets wins over what is composed here for all.
 */
#include "vault/rows_session.h"

/* One grant of the session. */
typedef struct EnvironmentGrant {
        const GrantRecord *record;
        const Secret *value; /* of env the credential, of proxy and endpoint the handle; NULL with the others */
        const char *canary_name; /* a variable that nobody has a use for; NULL: none */
        const Secret *canary;    /* what it gets */
} EnvironmentGrant;

typedef struct EnvironmentAsk {
        const char *socket;          /* MCPCRED_SOCK */
        const Secret *session;       /* MCPCRED_SESSION */
        const char *proxy;           /* "127.0.0.1:3128", or NULL: at a Unix socket alone, which no variable names */
        bool sandboxed;              /* the child has no other way out */
        const char *ca, *ca_bundle;  /* paths; NULL: nothing goes by proxy; of a sandboxed child the latter is not looked at */
        const EnvironmentGrant *grants;
        size_t n_grants;
} EnvironmentAsk;

typedef struct Environment {
        EnvironmentEntry entries[LIMIT_ENVIRONMENT];
        size_t n;
        size_t size; /* bytes of names and values */
} Environment;

enum {
        _ENVIRONMENT_E_SUCCESS,
        ENVIRONMENT_E_FULL,   /* the arena has no room */
        ENVIRONMENT_E_TOO_MANY, /* more variables than LIMIT_ENVIRONMENT, or a value beyond its limit */
};

/* Values are copies and the struct's; names are the grants' and literals. Cleared on failure. */
int environment_compose(const EnvironmentAsk *ask, Arena *arena, Environment *ret) NODISCARD NONNULL(1, 2, 3);
void environment_clear(Environment *environment) NONNULL(1);
/* Do both grants set the same variable? */
bool environment_clash(const GrantRecord *a, const GrantRecord *b) NONNULL(1, 2);
/* "HOST:PORT" or "[V6]:PORT": an address, and nothing that would mean something else inside a URL. */
bool environment_proxy_is_valid(const char *proxy) NONNULL(1);
