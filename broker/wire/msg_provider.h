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

/* Success means that it is dead there: revoked now and probed, or gone before. */
typedef struct ProviderRevokeRequest {
        Upstream *upstream; /* proof is NULL where the token revokes itself */
        Secret *token;
        const char *upstream_id;
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
