#pragma once
/*
 * One upstream's code: what a file of this folder implements, and what it gets to work with. Adding
 * a provider is one such file, one line in registry.c, and its description in wire/provider_info.c;
 * docs/provider-guide.md goes through it.
 */
#include "providers/https.h"
#include "wire/msg_provider.h"
#include "wire/provider_info.h"

#define OPERATION_MESSAGE_MAX 400U

/* One call of the vault. The replies' texts go into the pool, their secrets into the arena. */
typedef struct Operation {
        Arena *arena;
        Pool *pool;
        Https *https;
        const Clock *clock;
        const ProviderInfo *info;
        const Upstream *upstream; /* its parameters and base URL have been checked */
        uint64_t deadline_usec;   /* boot clock */
        bool asked;               /* something reached the upstream, as far as is known */
        /* Why it failed, filled by operation_fail(). */
        char message[OPERATION_MESSAGE_MAX];
        char field[64]; /* of an invalid parameter, otherwise empty */
        uint64_t retry_after_usec;
} Operation;

/*
 * Each returns 0 with the reply filled, a Fault (and then has called operation_fail()), or -errno for a defect of ours.
 * Of a reply that is not 0's nothing is sent; a Secret in it is freed all the same. NULL: the provider cannot do it.
 *
 * The scope of a mint has been checked (provider_check_scope()). upstream->proof is there for verify, mint, rotate and
 * abandon, where the provider has one (ProviderInfo.proof); never for revoke and revoke_secrets; perhaps for revoke_secret.
 *
 * Two of the faults say what became of a request: FAULT_UPSTREAM_UNREACHABLE that nothing happened
 * upstream, FAULT_UPSTREAM_UNKNOWN that it may have.
 */
typedef struct Provider {
        const char *name;
        int (*verify)(Operation *operation, ProviderVerifyReply *reply);
        int (*mint)(Operation *operation, const ProviderMintRequest *request,
                    ProviderMintReply *reply);
        int (*revoke)(Operation *operation, const ProviderRevokeRequest *request,
                      ProviderRevokeReply *reply);
        /* Of the secret itself; see ProviderInfo.rotation and .can_revoke_secret. */
        int (*rotate)(Operation *operation, const ProviderRotateRequest *request, ProviderRotateReply *reply);
        int (*revoke_secret)(Operation *operation, const ProviderRevokeSecretRequest *request,
                             ProviderRevokeReply *reply);
        /* In its place where info->revoke_together says so: `ends` has a place for each value, PROVIDER_END_OPEN. */
        int (*revoke_secrets)(Operation *operation, const ProviderRevokeSecretsRequest *request,
                              ProviderRevokeSecretsReply *reply);
        int (*abandon)(Operation *operation, const ProviderAbandonRequest *request, ProviderAbandonReply *reply);
} Provider;

/* NULL for a name that is none of them. */
const Provider *provider_find(const char *name) NONNULL(1);

extern const Provider provider_cloudflare, provider_github_app, provider_github_pat, provider_gitlab,
        provider_static, provider_webhook;

/* Keeps the sentence and returns the fault. */
int operation_fail(Operation *operation, Fault fault, const char *format, ...) NONNULL(1, 3)
        PRINTF_LIKE(3, 4);
/* The same for a parameter that is not valid. */
int operation_fail_field(Operation *operation, const char *prefix, const char *field,
                         const char *problem) NONNULL(1, 2, 3, 4);
/* Of the upstream, the default where none was given. */
const char *operation_base_url(const Operation *operation) NONNULL(1);
/* NULL where it is not set. */
const char *operation_parameter(const Operation *operation, const char *name) NONNULL(1, 2);
/*
 * Sends one request to a path below the base URL, within the operation's deadline; the request's `url` and `timeout_usec`
 * are filled in here. `ret` begins as HTTPS_RESPONSE_NULL and is the caller's to deinit, on failure too.
 *
 * 0: there is a response, of any status, which is for the caller to judge. Otherwise, with the sentence kept as by
 * operation_fail(), FAULT_UPSTREAM_UNREACHABLE, FAULT_UPSTREAM_UNKNOWN, or FAULT_INVALID_PARAMETER: it cannot be sent;
 * or -ECANCELED when the vault hung up, -errno.
 */
int operation_send(Operation *operation, HttpsRequest *request, const char *path,
                   HttpsResponse *ret) NODISCARD NONNULL(1, 2, 3, 4);
/*
 * The result of a step that only read, before anything was asked to change: if it failed, what was to follow did not
 * happen. So `asked` is taken back, and FAULT_UPSTREAM_UNKNOWN becomes FAULT_UPSTREAM_UNREACHABLE.
 */
int operation_only_read(Operation *operation, int r) NONNULL(1);
/* Of the deadline; boot clock. */
uint64_t operation_time_left(const Operation *operation) NONNULL(1);
/* Waits. Returns false if the deadline would pass before. */
bool operation_sleep(const Operation *operation, uint64_t usec) NONNULL(1);
