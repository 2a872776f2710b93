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
} ProviderVerifyReply;

typedef struct ProviderMintRequest {
        Upstream *upstream;
        Scope *scope;
        const char *label; /* unique to the lease, put on what is minted where the upstream can */
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

typedef enum ProviderMethod {
        PROVIDER_VERIFY,
        PROVIDER_MINT,
        PROVIDER_REVOKE,
} ProviderMethod;

extern const Interface interface_provider;
