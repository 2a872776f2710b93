#include "wire/msg_provider.h"
#include "wire/field.h"

static const Field schema_upstream_fields[] = {
        F(Upstream, provider, TEXT, 0, LIMIT_NAME, 0),
        F(Upstream, base_url, TEXT, FIELD_OPTIONAL, LIMIT_URL, 0),
        F(Upstream, parameters, MAP, 0, LIMIT_PARAMETERS, LIMIT_TEXT),
        F(Upstream, proof, SECRET, FIELD_OPTIONAL, SECRET_MAX, 0),
};
static SCHEMA(schema_upstream, "Upstream", Upstream);

static const Field provider_verify_request_fields[] = {
        F_RECORD(ProviderVerifyRequest, upstream, 0, schema_upstream),
};
static SCHEMA(provider_verify_request, "VerifyRequest", ProviderVerifyRequest);

static const Field provider_verify_reply_fields[] = {
        F(ProviderVerifyReply, identity, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(ProviderVerifyReply, checked, BOOL, 0, 0, 0),
        F(ProviderVerifyReply, rights_known, BOOL, 0, 0, 0),
        F(ProviderVerifyReply, rights, TEXTS, 0, LIMIT_RIGHTS, LIMIT_LABEL),
        F(ProviderVerifyReply, expires, TIME, FIELD_OPTIONAL, 0, 0),
        F(ProviderVerifyReply, secret_id, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
};
static SCHEMA(provider_verify_reply, "VerifyReply", ProviderVerifyReply);

static const Field provider_mint_request_fields[] = {
        F_RECORD(ProviderMintRequest, upstream, 0, schema_upstream),
        F_RECORD(ProviderMintRequest, scope, 0, schema_scope),
        F(ProviderMintRequest, label, TEXT, 0, LIMIT_LABEL, 0),
};
static SCHEMA(provider_mint_request, "MintRequest", ProviderMintRequest);

static const Field provider_mint_reply_fields[] = {
        F(ProviderMintReply, token, SECRET, 0, SECRET_MAX, 0),
        F(ProviderMintReply, expires, TIME, 0, 0, 0),
        F(ProviderMintReply, upstream_id, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F_RECORD(ProviderMintReply, granted, FIELD_OPTIONAL, schema_scope),
};
static SCHEMA(provider_mint_reply, "MintReply", ProviderMintReply);

static const Field provider_revoke_request_fields[] = {
        F_RECORD(ProviderRevokeRequest, upstream, 0, schema_upstream),
        F(ProviderRevokeRequest, token, SECRET, FIELD_OPTIONAL, SECRET_MAX, 0),
        F(ProviderRevokeRequest, upstream_id, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
};
static SCHEMA(provider_revoke_request, "RevokeRequest", ProviderRevokeRequest);

static const Field provider_revoke_reply_fields[] = {
        F(ProviderRevokeReply, probed, BOOL, 0, 0, 0),
};
static SCHEMA(provider_revoke_reply, "RevokeReply", ProviderRevokeReply);

static const Field provider_rotate_request_fields[] = {
        F_RECORD(ProviderRotateRequest, upstream, 0, schema_upstream),
        F(ProviderRotateRequest, label, TEXT, 0, LIMIT_LABEL, 0),
};
static SCHEMA(provider_rotate_request, "RotateRequest", ProviderRotateRequest);

static const Field provider_rotate_reply_fields[] = {
        F(ProviderRotateReply, secret, SECRET, 0, SECRET_MAX, 0),
        F(ProviderRotateReply, secret_id, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(ProviderRotateReply, old_secret_id, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(ProviderRotateReply, expires, TIME, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(provider_rotate_reply, "RotateReply", ProviderRotateReply);

static const Field provider_revoke_secret_request_fields[] = {
        F_RECORD(ProviderRevokeSecretRequest, upstream, 0, schema_upstream),
        F(ProviderRevokeSecretRequest, secret, SECRET, FIELD_OPTIONAL, SECRET_MAX, 0),
        F(ProviderRevokeSecretRequest, secret_id, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
};
static SCHEMA(provider_revoke_secret_request, "RevokeSecretRequest", ProviderRevokeSecretRequest);

static const Field schema_provider_value_fields[] = {
        F(ProviderSecretValue, secret, SECRET, 0, SECRET_MAX, 0),
};
static SCHEMA(schema_provider_value, "Value", ProviderSecretValue);

static const Field provider_revoke_secrets_request_fields[] = {
        F_RECORD(ProviderRevokeSecretsRequest, upstream, 0, schema_upstream),
        F_RECORDS(ProviderRevokeSecretsRequest, secrets, 0, LIMIT_TOGETHER, schema_provider_value),
        F(ProviderRevokeSecretsRequest, calls_max, U64, 0, 0, 0),
};
static SCHEMA(provider_revoke_secrets_request, "RevokeSecretsRequest", ProviderRevokeSecretsRequest);

const char *const provider_end_names[] = { "open", "taken", "dead", "refused", NULL };

static const Field schema_provider_value_end_fields[] = {
        F_ENUM(ProviderSecretEnd, end, 0, provider_end_names),
};
static SCHEMA(schema_provider_value_end, "ValueEnd", ProviderSecretEnd);

static const Field provider_revoke_secrets_reply_fields[] = {
        F_RECORDS(ProviderRevokeSecretsReply, ends, 0, LIMIT_TOGETHER, schema_provider_value_end),
        F(ProviderRevokeSecretsReply, calls, U64, 0, 0, 0),
};
static SCHEMA(provider_revoke_secrets_reply, "RevokeSecretsReply", ProviderRevokeSecretsReply);

static const Field provider_abandon_request_fields[] = {
        F_RECORD(ProviderAbandonRequest, upstream, 0, schema_upstream),
        F(ProviderAbandonRequest, label, TEXT, 0, LIMIT_LABEL, 0),
};
static SCHEMA(provider_abandon_request, "AbandonRequest", ProviderAbandonRequest);

static const Field provider_abandon_reply_fields[] = {
        F(ProviderAbandonReply, ended, U64, 0, 0, 0),
};
static SCHEMA(provider_abandon_reply, "AbandonReply", ProviderAbandonReply);

static const Method interface_provider_methods[] = {
        [PROVIDER_VERIFY] = { "Verify", &provider_verify_request, &provider_verify_reply, 0, 0, false },
        [PROVIDER_MINT] = { "Mint", &provider_mint_request, &provider_mint_reply, 0, 0, false },
        [PROVIDER_REVOKE] = { "Revoke", &provider_revoke_request, &provider_revoke_reply, 0, 0, false },
        [PROVIDER_ROTATE] = { "Rotate", &provider_rotate_request, &provider_rotate_reply, 0, 0, false },
        [PROVIDER_REVOKE_SECRET] = { "RevokeSecret", &provider_revoke_secret_request, &provider_revoke_reply, 0, 0,
                                     false },
        [PROVIDER_ABANDON] = { "Abandon", &provider_abandon_request, &provider_abandon_reply, 0, 0, false },
        [PROVIDER_REVOKE_SECRETS] = { "RevokeSecrets", &provider_revoke_secrets_request, &provider_revoke_secrets_reply, 0,
                                      0, false },
};
INTERFACE(interface_provider, "provider");
