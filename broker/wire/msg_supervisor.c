#include "wire/msg_supervisor.h"
#include "wire/field.h"
#include "wire/msg_broker.h"
#include "wire/msg_keyring.h"

#define SESSIONS_MAX 4096U
#define PROBLEMS_MAX 64U
#define EPOCH_MAX 64U
#define LIMIT_NOTIFY 8192U

const char *const service_names[] = { "varlink_socket", "varlink_descriptor", "proxy_socket", "proxy", "tls",
                                      "dns", "loopback", NULL };
const char *const log_level_names[] = { "debug", "info", "warning", "error", NULL };

const char *const leak_action_names[] = { "revoke", "end-session", "revoke-upstream", "rotate", "notify", NULL };

static const Field attach_request_fields[] = {
        F_ENUM(AttachRequest, peer, 0, role_names),
        F(AttachRequest, session, TEXT, FIELD_OPTIONAL, LIMIT_ID, 0),
        F(AttachRequest, profile, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
};
static SCHEMA(attach_request, "AttachRequest", AttachRequest);

static const Field log_notice_fields[] = {
        F_ENUM(LogNotice, level, 0, log_level_names),
        F(LogNotice, text, TEXT, 0, 1024, 0),
};
static SCHEMA(log_notice, "LogNotice", LogNotice);

static const Field listen_request_fields[] = {
        F(ListenRequest, owner_uid, U64, 0, 0, 0),
        F(ListenRequest, group_uids, TEXTS, 0, 256, 20),
};
static SCHEMA(listen_request, "ListenRequest", ListenRequest);

static const Field attest_request_fields[] = {
        F(AttestRequest, uid, U64, 0, 0, 0),
        F(AttestRequest, pid, U64, 0, 0, 0),
};
static SCHEMA(attest_request, "AttestRequest", AttestRequest);

static const Field attest_reply_fields[] = {
        F(AttestReply, unit, TEXT, FIELD_OPTIONAL, 256, 0),
};
static SCHEMA(attest_reply, "AttestReply", AttestReply);

static const Field serve_request_fields[] = {
        F(ServeRequest, owner_uid, U64, 0, 0, 0),
        F(ServeRequest, session, TEXT, 0, LIMIT_ID, 0),
        F_ENUM(ServeRequest, service, 0, service_names),
};
static SCHEMA(serve_request, "ServeRequest", ServeRequest);

static const Field keep_request_fields[] = {
        F_ENUM(KeepRequest, service, 0, service_names),
};
static SCHEMA(keep_request, "KeepRequest", KeepRequest);

static const Field start_request_fields[] = {
        F(StartRequest, version, TEXT, 0, LIMIT_NAME, 0),
        F(StartRequest, runtime_directory, TEXT, 0, LIMIT_PATH, 0),
        F(StartRequest, config_directory, TEXT, 0, LIMIT_PATH, 0),
        F(StartRequest, epoch, TEXT, FIELD_OPTIONAL, EPOCH_MAX, 0),
        F(StartRequest, boot_id, TEXT, FIELD_OPTIONAL, EPOCH_MAX, 0),
        F(StartRequest, owner_uid, U64, 0, 0, 0),
        F(StartRequest, started, TIME, 0, 0, 0),
        F(StartRequest, system_mode, BOOL, 0, 0, 0),
};
static SCHEMA(start_request, "StartRequest", StartRequest);

static const Field configure_request_fields[] = {
        F_ENUM(ConfigureRequest, store, 0, store_kind_names),
        F(ConfigureRequest, max_sessions, U64, 0, 0, 0),
        F(ConfigureRequest, max_lifetime, U64, 0, 0, 0),
        F(ConfigureRequest, audit_max_size, U64, 0, 0, 0),
        F(ConfigureRequest, audit_keep, U64, 0, 0, 0),
        F(ConfigureRequest, has_notify, BOOL, 0, 0, 0),
};
static SCHEMA(configure_request, "ConfigureRequest", ConfigureRequest);

static const Field schema_config_profile_fields[] = {
        F(ConfigProfile, name, TEXT, 0, LIMIT_NAME, 0),
        F(ConfigProfile, secret, TEXT, 0, LIMIT_NAME, 0),
        F_RECORD(ConfigProfile, scope, 0, schema_scope),
        F(ConfigProfile, ttl, U64, 0, 0, 0),
        F_ENUM(ConfigProfile, deliver, 0, delivery_names),
        F(ConfigProfile, env, TEXT, FIELD_OPTIONAL, 128, 0),
        F(ConfigProfile, expose_secret, BOOL, 0, 0, 0),
        F_RECORD(ConfigProfile, egress, FIELD_OPTIONAL, schema_egress_policy),
        F(ConfigProfile, preset, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(ConfigProfile, env_url, TEXT, FIELD_OPTIONAL, 128, 0),
        F(ConfigProfile, url_host, TEXT, FIELD_OPTIONAL, 260, 0),
        F(ConfigProfile, url_path, TEXT, FIELD_OPTIONAL, 256, 0),
        F(ConfigProfile, variables, MAP, FIELD_OPTIONAL, LIMIT_VARIABLES, LIMIT_TEXT),
        F(ConfigProfile, command, TEXTS, 0, LIMIT_ARGV, LIMIT_PATH),
        F(ConfigProfile, caller_uids, TEXTS, 0, 64, 20),
        F(ConfigProfile, caller_unit, TEXT, FIELD_OPTIONAL, 256, 0),
        F(ConfigProfile, on_leak, U64, 0, 0, 0),
        F(ConfigProfile, canary, TEXT, FIELD_OPTIONAL, 128, 0),
        F(ConfigProfile, source, TEXT, 0, LIMIT_PATH + 16, 0),
};
SCHEMA(schema_config_profile, "ConfigProfile", ConfigProfile);

static const Field schema_config_secret_fields[] = {
        F(ConfigSecret, name, TEXT, 0, LIMIT_NAME, 0),
        F(ConfigSecret, rotate_every, U64, 0, 0, 0),
        F(ConfigSecret, max_age, U64, 0, 0, 0),
        F(ConfigSecret, grace, U64, 0, 0, 0),
        F(ConfigSecret, on_leak, U64, 0, 0, 0),
        F(ConfigSecret, revoke_upstream, BOOL, 0, 0, 0),
        F(ConfigSecret, source, TEXT, 0, LIMIT_PATH + 16, 0),
};
SCHEMA(schema_config_secret, "ConfigSecret", ConfigSecret);

static const Field config_problems_fields[] = {
        F(ConfigProblems, problems, TEXTS, 0, PROBLEMS_MAX, LIMIT_TEXT),
};
static SCHEMA(config_problems, "ConfigProblems", ConfigProblems);

static const Field session_notice_fields[] = {
        F(SessionNotice, session, TEXT, 0, LIMIT_ID, 0),
};
static SCHEMA(session_notice, "SessionNotice", SessionNotice);

static const Field end_sessions_request_fields[] = {
        F(EndSessionsRequest, sessions, TEXTS, 0, LIMIT_CUT, LIMIT_ID),
};
static SCHEMA(end_sessions_request, "EndSessionsRequest", EndSessionsRequest);

static const Field role_notice_fields[] = {
        F(RoleNotice, role, TEXT, 0, LIMIT_NAME, 0),
        F(RoleNotice, pid, U64, 0, 0, 0),
        F(RoleNotice, restarts, U64, 0, 0, 0),
        F(RoleNotice, started, TIME, 0, 0, 0),
};
static SCHEMA(role_notice, "RoleNotice", RoleNotice);

static const Field start_provider_request_fields[] = {
        F(StartProviderRequest, provider, TEXT, 0, LIMIT_NAME, 0),
};
static SCHEMA(start_provider_request, "StartProviderRequest", StartProviderRequest);

static const Field start_provider_reply_fields[] = {
        F(StartProviderReply, pid, U64, 0, 0, 0),
};
static SCHEMA(start_provider_reply, "StartProviderReply", StartProviderReply);

static const Field stop_provider_request_fields[] = {
        F(StopProviderRequest, pid, U64, 0, 0, 0),
};
static SCHEMA(stop_provider_request, "StopProviderRequest", StopProviderRequest);

static const Field create_session_request_fields[] = {
        F(CreateSessionRequest, session, TEXT, 0, LIMIT_ID, 0),
        F(CreateSessionRequest, uid, U64, 0, 0, 0),
        F_ENUM(CreateSessionRequest, lifeline, 0, lifeline_names),
        F(CreateSessionRequest, want_descriptor, BOOL, 0, 0, 0),
        F(CreateSessionRequest, proxy, BOOL, 0, 0, 0),
};
static SCHEMA(create_session_request, "CreateSessionRequest", CreateSessionRequest);

static const Field create_session_reply_fields[] = {
        F(CreateSessionReply, directory, TEXT, 0, LIMIT_PATH, 0),
        F(CreateSessionReply, socket, TEXT, 0, LIMIT_PATH, 0),
        F(CreateSessionReply, proxy_socket, TEXT, FIELD_OPTIONAL, LIMIT_PATH, 0),
};
static SCHEMA(create_session_reply, "CreateSessionReply", CreateSessionReply);

static const Field write_file_request_fields[] = {
        F(WriteFileRequest, session, TEXT, 0, LIMIT_ID, 0),
        F(WriteFileRequest, name, TEXT, 0, LIMIT_NAME, 0),
        F(WriteFileRequest, certificate, BOOL, 0, 0, 0),
        F(WriteFileRequest, bundle, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(WriteFileRequest, content, SECRET, 0, SECRET_MAX, 0),
};
static SCHEMA(write_file_request, "WriteFileRequest", WriteFileRequest);

static const Field write_file_reply_fields[] = {
        F(WriteFileReply, path, TEXT, 0, LIMIT_PATH, 0),
};
static SCHEMA(write_file_reply, "WriteFileReply", WriteFileReply);

static const Field egress_process_request_fields[] = {
        F(EgressProcessRequest, profile, TEXT, 0, LIMIT_NAME, 0),
};
static SCHEMA(egress_process_request, "EgressProcessRequest", EgressProcessRequest);

static const Field join_egress_request_fields[] = {
        F(JoinEgressRequest, session, TEXT, 0, LIMIT_ID, 0),
        F(JoinEgressRequest, profile, TEXT, 0, LIMIT_NAME, 0),
};
static SCHEMA(join_egress_request, "JoinEgressRequest", JoinEgressRequest);

static const Field set_epoch_request_fields[] = {
        F(SetEpochRequest, epoch, TEXT, 0, EPOCH_MAX, 0),
};
static SCHEMA(set_epoch_request, "SetEpochRequest", SetEpochRequest);

static const Field notify_request_fields[] = {
        F(NotifyRequest, incident, TEXT, 0, LIMIT_ID, 0),
        F(NotifyRequest, json, TEXT, 0, LIMIT_NOTIFY, 0),
};
static SCHEMA(notify_request, "NotifyRequest", NotifyRequest);

static const Field notify_reply_fields[] = {
        F(NotifyReply, status, U64, 0, 0, 0),
};
static SCHEMA(notify_reply, "NotifyReply", NotifyReply);

static const Field journal_request_fields[] = {
        F(JournalRequest, message, TEXT, 0, 2 * LIMIT_TEXT, 0),
        F(JournalRequest, priority, U64, 0, 0, 0),
        F(JournalRequest, fields, MAP, 0, LIMIT_PARAMETERS, 2 * LIMIT_TEXT),
};
static SCHEMA(journal_request, "JournalRequest", JournalRequest);

static const Field journal_reply_fields[] = {
        F(JournalReply, taken, BOOL, 0, 0, 0),
};
static SCHEMA(journal_reply, "JournalReply", JournalReply);

static const Field list_held_reply_fields[] = {
        F(ListHeldReply, sessions, TEXTS, 0, SESSIONS_MAX, LIMIT_ID),
};
static SCHEMA(list_held_reply, "ListHeldReply", ListHeldReply);

static const Field reload_config_reply_fields[] = {
        F(ReloadConfigReply, profiles, U64, 0, 0, 0),
        F(ReloadConfigReply, problems, TEXTS, 0, PROBLEMS_MAX, LIMIT_TEXT),
};
static SCHEMA(reload_config_reply, "ReloadConfigReply", ReloadConfigReply);

#define NOTICE NULL

static const Method interface_from_gate_methods[] = {
        [GATE_LOG] = { "Log", &log_notice, NOTICE, 0, 0, false },
        [GATE_ATTEST] = { "Attest", &attest_request, &attest_reply, 1, 0, false },
        [GATE_DELIVERED] = { "Delivered", &session_notice, NOTICE, 0, 0, false },
};
INTERFACE(interface_from_gate, "supervisor");

static const Method interface_to_gate_methods[] = {
        [TO_GATE_ATTACH] = { "Attach", &attach_request, &schema_empty, 1, 0, false },
        [TO_GATE_LISTEN] = { "Listen", &listen_request, &schema_empty, 1, 0, false },
        [TO_GATE_ADOPT] = { "Adopt", &schema_empty, &schema_empty, 1, 0, false },
};
INTERFACE(interface_to_gate, "gate");

static const Method interface_from_session_methods[] = {
        [FROM_SESSION_LOG] = { "Log", &log_notice, NOTICE, 0, 0, false },
        [FROM_SESSION_KEEP] = { "Keep", &keep_request, &schema_empty, 1, 0, false },
};
INTERFACE(interface_from_session, "supervisor");

static const Method interface_to_session_methods[] = {
        [TO_SESSION_ATTACH] = { "Attach", &attach_request, &schema_empty, 1, 0, false },
        [TO_SESSION_SERVE] = { "Serve", &serve_request, &schema_empty, 1, 0, false },
};
INTERFACE(interface_to_session, "session");

static const Method interface_from_worker_methods[] = {
        [FROM_WORKER_LOG] = { "Log", &log_notice, NOTICE, 0, 0, false },
};
INTERFACE(interface_from_worker, "supervisor");

static const Method interface_to_worker_methods[] = {
        [TO_WORKER_ATTACH] = { "Attach", &attach_request, &schema_empty, 1, 0, false },
};
INTERFACE(interface_to_worker, "worker");

static const Method interface_to_vault_methods[] = {
        [TO_VAULT_ATTACH] = { "Attach", &attach_request, &schema_empty, 1, 0, false },
        [TO_VAULT_START] = { "Start", &start_request, &schema_empty, 0, 0, false },
        [TO_VAULT_CONFIGURE_BEGIN] = { "ConfigureBegin", &configure_request, &schema_empty, 0, 0, false },
        [TO_VAULT_CONFIGURE_PROFILE] = { "ConfigureProfile", &schema_config_profile, &schema_empty, 0, 0, false },
        [TO_VAULT_CONFIGURE_SECRET] = { "ConfigureSecret", &schema_config_secret, &schema_empty, 0, 0, false },
        [TO_VAULT_CONFIGURE_COMMIT] = { "ConfigureCommit", &schema_empty, &schema_empty, 0, 0, false },
        [TO_VAULT_CONFIG_PROBLEMS] = { "ConfigProblems", &config_problems, NOTICE, 0, 0, false },
        [TO_VAULT_LIFELINE_GONE] = { "LifelineGone", &session_notice, NOTICE, 0, 0, false },
        [TO_VAULT_ROLE] = { "Role", &role_notice, NOTICE, 0, 0, false },
        [TO_VAULT_STOP] = { "Stop", &schema_empty, &schema_empty, 0, 0, false },
};
INTERFACE(interface_to_vault, "vault");

static const Method interface_from_vault_methods[] = {
        [VAULT_LOG] = { "Log", &log_notice, NOTICE, 0, 0, false },
        [VAULT_START_PROVIDER] = { "StartProvider", &start_provider_request, &start_provider_reply, 0, 1, false },
        [VAULT_STOP_PROVIDER] = { "StopProvider", &stop_provider_request, NOTICE, 0, 0, false },
        [VAULT_RESTART_KEYRING] = { "RestartKeyring", &schema_empty, NOTICE, 0, 0, false },
        [VAULT_CREATE_SESSION] = { "CreateSession", &create_session_request, &create_session_reply, 1, 1, false },
        [VAULT_END_SESSIONS] = { "EndSessions", &end_sessions_request, &schema_empty, 0, 0, false },
        [VAULT_WRITE_FILE] = { "WriteFile", &write_file_request, &write_file_reply, 0, 0, false },
        [VAULT_SET_EPOCH] = { "SetEpoch", &set_epoch_request, &schema_empty, 0, 0, false },
        [VAULT_LIST_HELD] = { "ListHeld", &schema_empty, &list_held_reply, 0, 0, true },
        [VAULT_RELOAD] = { "Reload", &schema_empty, &reload_config_reply, 0, 0, false },
        [VAULT_START_EGRESS] = { "StartEgress", &egress_process_request, &schema_empty, 0, 1, false },
        [VAULT_STOP_EGRESS] = { "StopEgress", &egress_process_request, &schema_empty, 0, 0, false },
        [VAULT_JOIN_EGRESS] = { "JoinEgress", &join_egress_request, &schema_empty, 0, 0, false },
        [VAULT_NOTIFY] = { "Notify", &notify_request, &notify_reply, 0, 0, false },
        [VAULT_JOURNAL] = { "Journal", &journal_request, &journal_reply, 0, 0, false },
        [VAULT_START_SESSION] = { "StartSession", &session_notice, NOTICE, 0, 0, false },
};
INTERFACE(interface_from_vault, "supervisor");
