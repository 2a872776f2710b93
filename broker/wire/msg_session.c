#include "wire/msg_session.h"
#include "wire/field.h"

const char *const session_service_names[] = { "proxy", "tls", "dns", "loopback", NULL };

#define CERTIFICATE_MAX 32768U

static const Field session_token_request_fields[] = {
        F(SessionTokenRequest, by_path, BOOL, FIELD_PRIVATE, 0, 0),
        F(SessionTokenRequest, profile, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(SessionTokenRequest, session, SECRET, FIELD_OPTIONAL, 128, 0),
};
static SCHEMA(session_token_request, "SessionTokenRequest", SessionTokenRequest);

static const Field session_serve_request_fields[] = {
        F_ENUM(SessionServeRequest, service, 0, session_service_names),
        F(SessionServeRequest, session, SECRET, FIELD_OPTIONAL, 128, 0),
};
static SCHEMA(session_serve_request, "SessionServeRequest", SessionServeRequest);

static const Field session_grant_fields[] = {
        F(SessionGrant, profile, TEXT, 0, LIMIT_NAME, 0),
        F(SessionGrant, handle, SECRET, 0, 128, 0),
        F_ENUM(SessionGrant, slot, 0, slot_kind_names),
        F(SessionGrant, slot_name, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(SessionGrant, slot_prefix, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(SessionGrant, hosts, TEXTS, FIELD_OPTIONAL, LIMIT_RULES, 260),
        F(SessionGrant, credential_hosts, TEXTS, FIELD_OPTIONAL, LIMIT_HOSTS, 260),
        F(SessionGrant, concurrent, U64, FIELD_OPTIONAL, 0, 0),
        F(SessionGrant, websocket, BOOL, FIELD_OPTIONAL, 0, 0),
        F(SessionGrant, url_host, TEXT, FIELD_OPTIONAL, 260, 0),
};
static SCHEMA(session_grant, "SessionGrant", SessionGrant);

static const Field session_configure_reply_fields[] = {
        F_RECORDS(SessionConfigureReply, grants, FIELD_OPTIONAL, LIMIT_GRANTS, session_grant),
        F(SessionConfigureReply, certificate, BYTES, FIELD_OPTIONAL, CERTIFICATE_MAX, 0),
        F(SessionConfigureReply, key, SECRET, FIELD_OPTIONAL, 512, 0),
        F(SessionConfigureReply, expires, TIME, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(session_configure_reply, "SessionConfigureReply", SessionConfigureReply);

static const Field session_prove_request_fields[] = {
        F(SessionProveRequest, session, SECRET, FIELD_OPTIONAL, 128, 0),
};
static SCHEMA(session_prove_request, "SessionProveRequest", SessionProveRequest);

static const Field session_misuse_notice_fields[] = {
        F(SessionMisuseNotice, handle, SECRET, 0, 128, 0),
        F(SessionMisuseNotice, host, TEXT, FIELD_OPTIONAL, 260, 0),
        F(SessionMisuseNotice, place, TEXT, 0, LIMIT_NAME, 0),
};
static SCHEMA(session_misuse_notice, "SessionMisuseNotice", SessionMisuseNotice);

static const Method interface_session_methods[] = {
        [SESSION_GET_TOKEN] = { "GetToken", &session_token_request, &schema_token_reply, 0, 0, false },
        [SESSION_SERVE] = { "Serve", &session_serve_request, &schema_empty, 1, 0, false },
};
INTERFACE(interface_session, "io.mcpcred.Session");

static const Method interface_session_vault_methods[] = {
        [SESSION_VAULT_GET_TOKEN] = { "GetToken", &session_token_request, &schema_token_reply, 0, 0, false },
        [SESSION_VAULT_CONFIGURE] = { "Configure", &schema_empty, &session_configure_reply, 0, 0, false },
        [SESSION_VAULT_PROVE] = { "Prove", &session_prove_request, &schema_empty, 0, 0, false },
        [SESSION_VAULT_REPORT] = { "Report", &schema_egress_report, NULL, 0, 0, false },
        [SESSION_VAULT_MISUSE] = { "Misuse", &session_misuse_notice, NULL, 0, 0, false },
};
INTERFACE(interface_session_vault, "vault");
