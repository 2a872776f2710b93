#pragma once
/*
 * The parts of OpenSession, for its own files: what is asked is held against the policy (open_decide.c), what
 * the proxy side needs is made (open_proxy.c), and then it is carried out, step by step (op_open_session.c).
 */
#include "vault/certificate.h"
#include "vault/session_environment.h"
#include "vault/vault.h"

/* Hosts of all grants together, by name: what the reply has room for. */
#define OPEN_HOSTS_MAX (LIMIT_GRANTS * 16U)

/* What one grant of the session came to. */
typedef struct OpenGrant {
        struct OpenOp *op;
        GrantRecord *record;
        char provider[LIMIT_NAME + 1]; /* of its secret */
        uint64_t generation;           /* of its secret */
        Secret *token;                 /* of env and file the credential, of proxy and endpoint the handle */
        Secret *canary;                /* NULL: the profile has none */
        uint64_t expires;
        char path[LIMIT_PATH + 1];
} OpenGrant;

typedef struct OpenOp {
        Vault *vault;
        Request *request;
        Policy *policy; /* that it was decided by */
        Ident request_id;
        Pool pool;
        SessionRecord session;
        OpenGrant grants[LIMIT_GRANTS];
        size_t n_grants;
        bool by_proxy; /* some of the grants are */
        bool at_once;  /* nothing is asked of an upstream, so it is live when it is in the state */
        const char *host_items[OPEN_HOSTS_MAX];
        TextList hosts; /* names that the proxy lets pass; the pool's */
        HandleRecord handles[LIMIT_GRANTS]; /* borrow from the grants */
        Certificate certificate;
        uint64_t started; /* boot clock */
        unsigned waiting; /* for the supervisor and for upstreams */
        Failure failure;  /* the first one */
        Secret *session_secret;
        Environment environment;
        char directory[LIMIT_PATH + 1];
        char socket[LIMIT_PATH + 1];
        char proxy_socket[LIMIT_PATH + 1];
        char ca[LIMIT_PATH + 1];
        char ca_bundle[LIMIT_PATH + 1];
        int descriptor; /* the client's end of the session's socket */
} OpenOp;

/* Decides; a refusal is op->failure. Fills session, grants and policy. */
int open_decide(OpenOp *op) NODISCARD NONNULL(1);
/* Canaries; and, with a grant by proxy, handles, and a certificate for all hosts. What is wrong is op->failure. */
int open_proxy_make(OpenOp *op) NODISCARD NONNULL(1);
/* Inserts the session, and a lease for each handle and canary with a line about it, into the caller's transaction.
 * DB_E_*. */
int open_proxy_insert(OpenOp *op) NODISCARD NONNULL(1);
void open_proxy_deinit(OpenOp *op) NONNULL(1);

/* The variable of its canary; NULL: it has none. */
const char *open_grant_canary(const OpenGrant *grant) NONNULL(1);

static inline bool open_grant_is_by_proxy(const OpenGrant *grant)
{
        return grant->record->egress != NULL;
}
