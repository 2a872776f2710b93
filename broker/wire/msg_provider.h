#pragma once
/* What the vault may ask a provider process: one call, then the process ends. */
#include "wire/scope.h"
#include "wire/interface.h"

/* Where the upstream is and what proves that we may ask. */
typedef struct Upstream {
        const char *provider;
        const char *base_url;
        TextMap parameters; /* the secret's own: installation_id, ... */
        Secret *proof;      /* a JWT, or the secret itself where the upstream wants it raw */
} Upstream;

typedef struct ProviderVerifyRequest {
        Upstream *upstream;
} ProviderVerifyRequest;

typedef struct ProviderVerifyReply {
        const char *identity; /* "GitHub App octo-mcp (123456)", for a person */
        bool checked;         /* false: this provider has no way to ask */
        bool rights_known;    /* `rights` is all that it may do */
        TextList rights;      /* "contents:write", "repo": what a new value's are compared with */
        uint64_t expires;     /* of the secret itself, wall time; 0: never, or not known */
        const char *secret_id; /* what the upstream calls it, where that is not the value */
} ProviderVerifyReply;

typedef struct ProviderMintRequest {
        Upstream *upstream;
        Scope *scope;
        const char *label; /* unique to the lease (its id: letters, digits, "-"), put on what is minted where the upstream can */
} ProviderMintRequest;

typedef struct ProviderMintReply {
        Secret *token;
        uint64_t expires;
        const char *upstream_id; /* what revokes it, where that is not the value */
        Scope *granted;          /* what the upstream says it gave; the vault compares */
} ProviderMintReply;

/*
 * Success means that the upstream took it, or that it was gone before; confirmed is what was probed as
 * well. There is no proof with it: the secret may have been replaced since, and must not go to where the
 * lease was made.
 */
typedef struct ProviderRevokeRequest {
        Upstream *upstream;      /* its proof is NULL */
        Secret *token;           /* its value; NULL: it is not known any more */
        const char *upstream_id; /* as the mint said; NULL: it said none */
} ProviderRevokeRequest;

typedef struct ProviderRevokeReply {
        bool probed; /* the upstream was seen to refuse it afterwards */
} ProviderRevokeReply;

/*
 * A new value for the secret itself. With PROVIDER_ROTATION_CREATE both live on; with
 * PROVIDER_ROTATION_REPLACE the old one is dead when this succeeds, and may be when the reply is lost.
 */
typedef struct ProviderRotateRequest {
        Upstream *upstream; /* its proof is the value in use */
        const char *label;  /* unique to the rotation: "mcpcred-r-...", 26 letters, digits and "-"; put on what is made */
} ProviderRotateRequest;

typedef struct ProviderRotateReply {
        Secret *secret;
        const char *secret_id;     /* of the new one; NULL: the upstream has none */
        const char *old_secret_id; /* of the one that made it */
        uint64_t expires;          /* wall time; 0: never */
} ProviderRotateReply;

/* Ends a value of the secret itself: the old one of a rotation, or a leaked one. "Gone already" is success. */
typedef struct ProviderRevokeSecretRequest {
        Upstream *upstream;    /* its proof is the value in use, or NULL: the value alone has to do */
        Secret *secret;        /* the one to end; NULL: it is not known any more */
        const char *secret_id; /* as the rotation said; NULL: it said none */
} ProviderRevokeSecretRequest;

typedef struct ProviderSecretValue {
        Secret *secret;
} ProviderSecretValue;

/*
 * The same for several at once, of an upstream that takes a list of values and wants no proof, and counts its calls
 * (ProviderInfo.revoke_hourly).
 */
typedef struct ProviderRevokeSecretsRequest {
        Upstream *upstream; /* its proof is NULL */
        RecordList secrets; /* of ProviderSecretValue, LIMIT_TOGETHER at most */
        uint64_t calls_max; /* calls that count; at least one */
} ProviderRevokeSecretsRequest;

typedef enum ProviderEnd {
        PROVIDER_END_OPEN,    /* the upstream was not asked: what it may be asked was used up */
        PROVIDER_END_TAKEN,   /* the upstream will do it, and was not seen to have done it yet */
        PROVIDER_END_DEAD,    /* it was seen to refuse it */
        PROVIDER_END_REFUSED, /* it does not take this one */
} ProviderEnd;
extern const char *const provider_end_names[]; /* "open", "taken", "dead", "refused" */

typedef struct ProviderSecretEnd {
        uint32_t end; /* ProviderEnd */
} ProviderSecretEnd;

typedef struct ProviderRevokeSecretsReply {
        RecordList ends; /* of ProviderSecretEnd, in the order of the values */
        uint64_t calls;  /* that counted */
} ProviderRevokeSecretsReply;

/* Ends what a rotation whose reply was lost may have made: found by its label. */
typedef struct ProviderAbandonRequest {
        Upstream *upstream; /* its proof is the value in use */
        const char *label;
} ProviderAbandonRequest;

typedef struct ProviderAbandonReply {
        uint64_t ended; /* how many there were */
} ProviderAbandonReply;

typedef enum ProviderMethod {
        PROVIDER_VERIFY,
        PROVIDER_MINT,
        PROVIDER_REVOKE,
        PROVIDER_ROTATE,
        PROVIDER_REVOKE_SECRET,
        PROVIDER_ABANDON,
        PROVIDER_REVOKE_SECRETS,
} ProviderMethod;

extern const Interface interface_provider;
