#include "wire/msg_broker.h"
#include "wire/field.h"

const char *const lifeline_names[] = { "connection", "descriptor", "lifetime", NULL };
const char *const delivery_names[] = { "proxy", "env", "file", "endpoint", "socket", NULL };
const char *const outcome_names[] = { "none", "confirmed", "pending", "impossible_rotate", NULL };
const char *const session_state_names[] = { "opening", "live", "ended", NULL };
const char *const lease_state_names[] = { "intent", "live", "revoking", "revoked", "expired", "failed", "unrecoverable", NULL };
const char *const lease_kind_names[] = { "credential", "handle", "stored", "secret", "canary", NULL };
const char *const leak_signal_names[] = { "report", "egress", "foreign_handle", "wrong_place", "canary", NULL };
const char *const incident_state_names[] = { "running", "needs_person", "closed", NULL };
const char *const webhook_scheme_names[] = { "github", "gitguardian", NULL };
const char *const doctor_status_names[] = { "ok", "warn", "fail", NULL };

/* The vault reads it without knowing which request it is. */
#define OFFSET_OF_FIRST(type, member) \
        (0 * sizeof(struct { _Static_assert(offsetof(type, member) == 0, #member " comes first"); char unused; }))
#define CALLER(type) \
        { "caller", FIELD_RECORD, FIELD_PRIVATE, 0, 0, OFFSET_OF_FIRST(type, caller), &schema_caller, NULL }

static const Field schema_caller_fields[] = {
        F(Caller, uid, U64, 0, 0, 0),
        F(Caller, pid, U64, 0, 0, 0),
        F(Caller, unit, TEXT, FIELD_OPTIONAL, 256, 0),
};
SCHEMA(schema_caller, "Caller", Caller);

static const Field schema_grant_request_fields[] = {
        F(GrantRequest, profile, TEXT, 0, LIMIT_NAME, 0),
        F_RECORD(GrantRequest, scope, FIELD_OPTIONAL, schema_scope),
};
SCHEMA(schema_grant_request, "GrantRequest", GrantRequest);

static const Field open_session_request_fields[] = {
        CALLER(OpenSessionRequest),
        F_RECORDS(OpenSessionRequest, grants, 0, LIMIT_GRANTS, schema_grant_request),
        F(OpenSessionRequest, label, TEXT, FIELD_OPTIONAL, LIMIT_LABEL, 0),
        F(OpenSessionRequest, lifetime, U64, FIELD_OPTIONAL, 0, 0),
        F_ENUM(OpenSessionRequest, lifeline, FIELD_OPTIONAL, lifeline_names),
        F(OpenSessionRequest, want_descriptor, BOOL, FIELD_OPTIONAL, 0, 0),
        F(OpenSessionRequest, command, TEXTS, FIELD_OPTIONAL, LIMIT_ARGV, LIMIT_PATH),
        F(OpenSessionRequest, proxy, TEXT, FIELD_OPTIONAL, 64, 0),
        F(OpenSessionRequest, sandboxed, BOOL, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(open_session_request, "OpenSessionRequest", OpenSessionRequest);

static const Field schema_environment_entry_fields[] = {
        F(EnvironmentEntry, name, TEXT, 0, 128, 0),
        F(EnvironmentEntry, value, SECRET, 0, SECRET_MAX, 0),
};
SCHEMA(schema_environment_entry, "EnvironmentEntry", EnvironmentEntry);

static const Field schema_grant_reply_fields[] = {
        F(GrantReply, profile, TEXT, 0, LIMIT_NAME, 0),
        F_ENUM(GrantReply, deliver, 0, delivery_names),
        F(GrantReply, expires, TIME, FIELD_OPTIONAL, 0, 0),
        F(GrantReply, path, TEXT, FIELD_OPTIONAL, LIMIT_PATH, 0),
};
SCHEMA(schema_grant_reply, "GrantReply", GrantReply);

static const Field open_session_reply_fields[] = {
        F(OpenSessionReply, session, TEXT, 0, LIMIT_ID, 0),
        F(OpenSessionReply, expires, TIME, 0, 0, 0),
        F_RECORDS(OpenSessionReply, environment, 0, LIMIT_ENVIRONMENT, schema_environment_entry),
        F_RECORDS(OpenSessionReply, grants, 0, LIMIT_GRANTS, schema_grant_reply),
        F(OpenSessionReply, socket, TEXT, 0, LIMIT_PATH, 0),
        F(OpenSessionReply, directory, TEXT, 0, LIMIT_PATH, 0),
        F(OpenSessionReply, proxy_socket, TEXT, FIELD_OPTIONAL, LIMIT_PATH, 0),
        F(OpenSessionReply, ca, TEXT, FIELD_OPTIONAL, LIMIT_PATH, 0),
        F(OpenSessionReply, ca_bundle, TEXT, FIELD_OPTIONAL, LIMIT_PATH, 0),
        F(OpenSessionReply, hosts, TEXTS, FIELD_OPTIONAL, LIMIT_GRANTS * 16U, 260),
};
static SCHEMA(open_session_reply, "OpenSessionReply", OpenSessionReply);

static const Field close_session_request_fields[] = {
        CALLER(CloseSessionRequest),
        F(CloseSessionRequest, session, TEXT, 0, LIMIT_ID, 0),
};
static SCHEMA(close_session_request, "CloseSessionRequest", CloseSessionRequest);

static const Field schema_credential_outcome_fields[] = {
        F(CredentialOutcome, lease, TEXT, 0, LIMIT_ID, 0),
        F(CredentialOutcome, session, TEXT, 0, LIMIT_ID, 0),
        F(CredentialOutcome, profile, TEXT, 0, LIMIT_NAME, 0),
        F(CredentialOutcome, secret, TEXT, 0, LIMIT_NAME, 0),
        F_ENUM(CredentialOutcome, outcome, 0, outcome_names),
        F(CredentialOutcome, reason, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
};
SCHEMA(schema_credential_outcome, "CredentialOutcome", CredentialOutcome);

static const Field schema_revoke_totals_fields[] = {
        F(RevokeTotals, none, U64, 0, 0, 0),
        F(RevokeTotals, confirmed, U64, 0, 0, 0),
        F(RevokeTotals, pending, U64, 0, 0, 0),
        F(RevokeTotals, impossible_rotate, U64, 0, 0, 0),
};
SCHEMA(schema_revoke_totals, "RevokeTotals", RevokeTotals);

static const Field revoke_reply_fields[] = {
        F(RevokeReply, sessions, U64, 0, 0, 0),
        F_RECORDS(RevokeReply, credentials, 0, LIMIT_PAGE, schema_credential_outcome),
        F_RECORD(RevokeReply, totals, FIELD_OPTIONAL, schema_revoke_totals),
        F(RevokeReply, pending, BOOL, 0, 0, 0),
};
static SCHEMA(revoke_reply, "RevokeReply", RevokeReply);

static const Field get_token_request_fields[] = {
        CALLER(GetTokenRequest),
        F(GetTokenRequest, session, TEXT, 0, LIMIT_ID, 0),
        F(GetTokenRequest, profile, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
};
static SCHEMA(get_token_request, "GetTokenRequest", GetTokenRequest);

static const Field schema_token_reply_fields[] = {
        F(TokenReply, profile, TEXT, 0, LIMIT_NAME, 0),
        F(TokenReply, token, SECRET, 0, SECRET_MAX, 0),
        F(TokenReply, expires, TIME, FIELD_OPTIONAL, 0, 0),
};
SCHEMA(schema_token_reply, "TokenReply", TokenReply);

static const Field add_secret_request_fields[] = {
        CALLER(AddSecretRequest),
        F(AddSecretRequest, name, TEXT, 0, LIMIT_NAME, 0),
        F(AddSecretRequest, provider, TEXT, 0, LIMIT_NAME, 0),
        F(AddSecretRequest, base_url, TEXT, FIELD_OPTIONAL, LIMIT_URL, 0),
        F(AddSecretRequest, hosts, TEXTS, FIELD_OPTIONAL, LIMIT_HOSTS, 253),
        F(AddSecretRequest, parameters, MAP, FIELD_OPTIONAL, LIMIT_PARAMETERS, LIMIT_TEXT),
        F(AddSecretRequest, verify, BOOL, FIELD_OPTIONAL, 0, 0),
        F(AddSecretRequest, replace, BOOL, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(add_secret_request, "AddSecretRequest", AddSecretRequest);

static const Field add_secret_reply_fields[] = {
        F(AddSecretReply, identity, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(AddSecretReply, generation, U64, 0, 0, 0),
};
static SCHEMA(add_secret_reply, "AddSecretReply", AddSecretReply);

static const Field remove_secret_request_fields[] = {
        CALLER(RemoveSecretRequest),
        F(RemoveSecretRequest, name, TEXT, 0, LIMIT_NAME, 0),
        F(RemoveSecretRequest, dry_run, BOOL, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(remove_secret_request, "RemoveSecretRequest", RemoveSecretRequest);

static const Field remove_secret_reply_fields[] = {
        F(RemoveSecretReply, sessions, U64, 0, 0, 0),
        F(RemoveSecretReply, leases, U64, 0, 0, 0),
};
static SCHEMA(remove_secret_reply, "RemoveSecretReply", RemoveSecretReply);

static const Field list_request_fields[] = {
        CALLER(ListRequest),
        F(ListRequest, all, BOOL, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(list_request, "ListRequest", ListRequest);

static const Field list_leases_request_fields[] = {
        CALLER(ListLeasesRequest),
        F(ListLeasesRequest, all, BOOL, FIELD_OPTIONAL, 0, 0),
        F(ListLeasesRequest, session, TEXT, FIELD_OPTIONAL, LIMIT_ID, 0),
        F(ListLeasesRequest, profile, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(ListLeasesRequest, secret, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(ListLeasesRequest, provider, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(ListLeasesRequest, principal, TEXT, FIELD_OPTIONAL, 20, 0),
        F(ListLeasesRequest, since, TIME, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(list_leases_request, "ListLeasesRequest", ListLeasesRequest);

static const Field schema_secret_row_fields[] = {
        F(SecretRow, name, TEXT, 0, LIMIT_NAME, 0),
        F(SecretRow, provider, TEXT, 0, LIMIT_NAME, 0),
        F(SecretRow, base_url, TEXT, FIELD_OPTIONAL, LIMIT_URL, 0),
        F(SecretRow, hosts, TEXTS, 0, LIMIT_HOSTS, 253),
        F(SecretRow, parameters, MAP, 0, LIMIT_PARAMETERS, LIMIT_TEXT),
        F(SecretRow, generation, U64, 0, 0, 0),
        F(SecretRow, added, TIME, 0, 0, 0),
        F(SecretRow, rotated, TIME, FIELD_OPTIONAL, 0, 0),
        F(SecretRow, rotation, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(SecretRow, problem, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(SecretRow, due, TIME, FIELD_OPTIONAL, 0, 0),
        F(SecretRow, expires, TIME, FIELD_OPTIONAL, 0, 0),
        F(SecretRow, leases, U64, 0, 0, 0),
};
SCHEMA(schema_secret_row, "Secret", SecretRow);

static const Field list_secrets_reply_fields[] = {
        F_RECORDS(ListSecretsReply, secrets, 0, LIMIT_PAGE, schema_secret_row),
};
static SCHEMA(list_secrets_reply, "ListSecretsReply", ListSecretsReply);

static const Field schema_session_row_fields[] = {
        F(SessionRow, session, TEXT, 0, LIMIT_ID, 0),
        F(SessionRow, label, TEXT, FIELD_OPTIONAL, LIMIT_LABEL, 0),
        F(SessionRow, uid, U64, 0, 0, 0),
        F(SessionRow, profiles, TEXTS, 0, LIMIT_GRANTS, LIMIT_NAME),
        F_ENUM(SessionRow, state, 0, session_state_names),
        F(SessionRow, opened, TIME, 0, 0, 0),
        F(SessionRow, expires, TIME, 0, 0, 0),
        F(SessionRow, ended, TIME, FIELD_OPTIONAL, 0, 0),
        F(SessionRow, end_reason, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F_ENUM(SessionRow, lifeline, 0, lifeline_names),
};
SCHEMA(schema_session_row, "Session", SessionRow);

static const Field list_sessions_reply_fields[] = {
        F_RECORDS(ListSessionsReply, sessions, 0, LIMIT_PAGE, schema_session_row),
};
static SCHEMA(list_sessions_reply, "ListSessionsReply", ListSessionsReply);

static const Field schema_lease_row_fields[] = {
        F(LeaseRow, lease, TEXT, 0, LIMIT_ID, 0),
        F_ENUM(LeaseRow, kind, 0, lease_kind_names),
        F(LeaseRow, session, TEXT, 0, LIMIT_ID, 0),
        F(LeaseRow, profile, TEXT, 0, LIMIT_NAME, 0),
        F(LeaseRow, secret, TEXT, 0, LIMIT_NAME, 0),
        F(LeaseRow, generation, U64, 0, 0, 0),
        F_ENUM(LeaseRow, state, 0, lease_state_names),
        F_ENUM(LeaseRow, outcome, 0, outcome_names),
        F(LeaseRow, created, TIME, 0, 0, 0),
        F(LeaseRow, expires, TIME, FIELD_OPTIONAL, 0, 0),
        F(LeaseRow, attempts, U64, 0, 0, 0),
        F(LeaseRow, reason, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
};
SCHEMA(schema_lease_row, "Lease", LeaseRow);

static const Field list_leases_reply_fields[] = {
        F_RECORDS(ListLeasesReply, leases, 0, LIMIT_PAGE, schema_lease_row),
};
static SCHEMA(list_leases_reply, "ListLeasesReply", ListLeasesReply);

static const Field schema_profile_row_fields[] = {
        F(ProfileRow, name, TEXT, 0, LIMIT_NAME, 0),
        F(ProfileRow, secret, TEXT, 0, LIMIT_NAME, 0),
        F(ProfileRow, provider, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F_ENUM(ProfileRow, deliver, 0, delivery_names),
        F(ProfileRow, ttl, U64, 0, 0, 0),
        F(ProfileRow, env, TEXT, FIELD_OPTIONAL, 128, 0),
        F_RECORD(ProfileRow, scope, FIELD_OPTIONAL, schema_scope),
        F(ProfileRow, expose_secret, BOOL, 0, 0, 0),
        F(ProfileRow, preset, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F_RECORD(ProfileRow, egress, FIELD_OPTIONAL, schema_egress_policy),
        F(ProfileRow, env_url, TEXT, FIELD_OPTIONAL, 128, 0),
        F(ProfileRow, url_host, TEXT, FIELD_OPTIONAL, 260, 0),
        F(ProfileRow, url_path, TEXT, FIELD_OPTIONAL, 256, 0),
        F(ProfileRow, variables, MAP, FIELD_OPTIONAL, LIMIT_VARIABLES, LIMIT_TEXT),
        F(ProfileRow, command, TEXTS, FIELD_OPTIONAL, LIMIT_ARGV, LIMIT_PATH),
        F(ProfileRow, caller_unit, TEXT, FIELD_OPTIONAL, 256, 0),
        F(ProfileRow, on_leak, TEXTS, FIELD_OPTIONAL, LIMIT_ACTIONS, LIMIT_NAME),
        F(ProfileRow, canary, TEXT, FIELD_OPTIONAL, 128, 0),
        F(ProfileRow, source, TEXT, 0, LIMIT_PATH + 16, 0),
        F(ProfileRow, problem, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
};
SCHEMA(schema_profile_row, "Profile", ProfileRow);

static const Field list_profiles_reply_fields[] = {
        F_RECORDS(ListProfilesReply, profiles, 0, LIMIT_PAGE, schema_profile_row),
};
static SCHEMA(list_profiles_reply, "ListProfilesReply", ListProfilesReply);

static const Field rotate_request_fields[] = {
        CALLER(RotateRequest),
        F(RotateRequest, name, TEXT, 0, LIMIT_NAME, 0),
        F(RotateRequest, plan, BOOL, FIELD_OPTIONAL, 0, 0),
        F(RotateRequest, abort, BOOL, FIELD_OPTIONAL, 0, 0),
        F(RotateRequest, now, BOOL, FIELD_OPTIONAL, 0, 0),
        F(RotateRequest, grace, U64, FIELD_OPTIONAL, 0, 0),
        F(RotateRequest, allow_wider, BOOL, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(rotate_request, "RotateRequest", RotateRequest);

static const Field rotate_reply_fields[] = {
        F(RotateReply, step, TEXT, 0, LIMIT_NAME, 0),
        F(RotateReply, message, TEXT, 0, 2 * LIMIT_TEXT, 0),
        F(RotateReply, generation, U64, 0, 0, 0),
        F(RotateReply, pending, BOOL, 0, 0, 0),
        F(RotateReply, made_by_provider, BOOL, 0, 0, 0),
};
static SCHEMA(rotate_reply, "RotateReply", RotateReply);

static const Field revoke_request_fields[] = {
        CALLER(RevokeRequest),
        F(RevokeRequest, session, TEXT, FIELD_OPTIONAL, LIMIT_ID, 0),
        F(RevokeRequest, profile, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(RevokeRequest, secret, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(RevokeRequest, provider, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(RevokeRequest, token_hash, TEXT, FIELD_OPTIONAL, 64, 0),
        F(RevokeRequest, principal, TEXT, FIELD_OPTIONAL, 20, 0),
        F(RevokeRequest, since, TIME, FIELD_OPTIONAL, 0, 0),
        F(RevokeRequest, all, BOOL, FIELD_OPTIONAL, 0, 0),
        F(RevokeRequest, dry_run, BOOL, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(revoke_request, "RevokeRequest", RevokeRequest);

static const Field report_leak_request_fields[] = {
        CALLER(ReportLeakRequest),
        F(ReportLeakRequest, hashes, TEXTS, 0, LIMIT_CANDIDATES, 64),
        F(ReportLeakRequest, source, TEXT, FIELD_OPTIONAL, LIMIT_LABEL, 0),
        F(ReportLeakRequest, dry_run, BOOL, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(report_leak_request, "ReportLeakRequest", ReportLeakRequest);

static const Field schema_leak_match_fields[] = {
        F(LeakMatch, index, U64, 0, 0, 0),
        F(LeakMatch, kind, TEXT, 0, LIMIT_NAME, 0),
        F(LeakMatch, secret, TEXT, 0, LIMIT_NAME, 0),
        F(LeakMatch, profile, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(LeakMatch, session, TEXT, FIELD_OPTIONAL, LIMIT_ID, 0),
        F(LeakMatch, lease, TEXT, FIELD_OPTIONAL, LIMIT_ID, 0),
        F(LeakMatch, state, TEXT, 0, LIMIT_NAME, 0),
        F(LeakMatch, issued, TIME, FIELD_OPTIONAL, 0, 0),
        F(LeakMatch, incident, TEXT, FIELD_OPTIONAL, LIMIT_ID, 0),
        F(LeakMatch, actions, TEXTS, 0, LIMIT_ACTIONS, LIMIT_LABEL),
};
SCHEMA(schema_leak_match, "LeakMatch", LeakMatch);

static const Field report_leak_reply_fields[] = {
        F_RECORDS(ReportLeakReply, matches, 0, LIMIT_PAGE, schema_leak_match),
        F(ReportLeakReply, unknown, U64, 0, 0, 0),
        F(ReportLeakReply, pending, BOOL, 0, 0, 0),
};
static SCHEMA(report_leak_reply, "ReportLeakReply", ReportLeakReply);

static const Field schema_incident_row_fields[] = {
        F(IncidentRow, incident, TEXT, 0, LIMIT_ID, 0),
        F(IncidentRow, time, TIME, 0, 0, 0),
        F_ENUM(IncidentRow, signal, 0, leak_signal_names),
        F(IncidentRow, evidence, TEXT, FIELD_OPTIONAL, LIMIT_LABEL, 0),
        F(IncidentRow, secret, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(IncidentRow, profile, TEXT, FIELD_OPTIONAL, LIMIT_NAME, 0),
        F(IncidentRow, session, TEXT, FIELD_OPTIONAL, LIMIT_ID, 0),
        F(IncidentRow, lease, TEXT, FIELD_OPTIONAL, LIMIT_ID, 0),
        F(IncidentRow, generation, U64, FIELD_OPTIONAL, 0, 0),
        F(IncidentRow, count, U64, 0, 0, 0),
        F_ENUM(IncidentRow, state, 0, incident_state_names),
        F(IncidentRow, closed, TIME, FIELD_OPTIONAL, 0, 0),
        F(IncidentRow, actions, TEXTS, 0, LIMIT_ACTIONS, LIMIT_LABEL),
};
SCHEMA(schema_incident_row, "Incident", IncidentRow);

static const Field list_incidents_reply_fields[] = {
        F_RECORDS(ListIncidentsReply, incidents, 0, LIMIT_PAGE, schema_incident_row),
};
static SCHEMA(list_incidents_reply, "ListIncidentsReply", ListIncidentsReply);

static const Field close_incident_request_fields[] = {
        CALLER(CloseIncidentRequest),
        F(CloseIncidentRequest, incident, TEXT, 0, LIMIT_ID, 0),
};
static SCHEMA(close_incident_request, "CloseIncidentRequest", CloseIncidentRequest);

static const Field schema_scan_pattern_fields[] = {
        F(ScanPattern, secret, TEXT, 0, LIMIT_NAME, 0),
        F(ScanPattern, state, TEXT, 0, LIMIT_NAME, 0),
        F(ScanPattern, anchor, TEXT, 0, 32, 0),
        F(ScanPattern, offset, U64, 0, 0, 0),
        F(ScanPattern, length, U64, 0, 0, 0),
        F(ScanPattern, hash, TEXT, 0, 64, 0),
};
SCHEMA(schema_scan_pattern, "ScanPattern", ScanPattern);

static const Field schema_scan_skip_fields[] = {
        F(ScanSkip, secret, TEXT, 0, LIMIT_NAME, 0),
        F(ScanSkip, reason, TEXT, 0, LIMIT_TEXT, 0),
};
SCHEMA(schema_scan_skip, "ScanSkip", ScanSkip);

static const Field scan_patterns_reply_fields[] = {
        F(ScanPatternsReply, key, TEXT, 0, 64, 0),
        F_RECORDS(ScanPatternsReply, patterns, 0, LIMIT_PAGE, schema_scan_pattern),
        F(ScanPatternsReply, prefixes, TEXTS, 0, LIMIT_PAGE, 32),
        F_RECORDS(ScanPatternsReply, skipped, 0, LIMIT_PAGE, schema_scan_skip),
};
static SCHEMA(scan_patterns_reply, "ScanPatternsReply", ScanPatternsReply);

static const Field verify_webhook_request_fields[] = {
        CALLER(VerifyWebhookRequest),
        F(VerifyWebhookRequest, secret, TEXT, 0, LIMIT_NAME, 0),
        F_ENUM(VerifyWebhookRequest, scheme, 0, webhook_scheme_names),
        F(VerifyWebhookRequest, signature, TEXT, 0, LIMIT_TEXT, 0),
        F(VerifyWebhookRequest, timestamp, TEXT, FIELD_OPTIONAL, 64, 0),
};
static SCHEMA(verify_webhook_request, "VerifyWebhookRequest", VerifyWebhookRequest);

static const Field verify_webhook_reply_fields[] = {
        F(VerifyWebhookReply, valid, BOOL, 0, 0, 0),
};
static SCHEMA(verify_webhook_reply, "VerifyWebhookReply", VerifyWebhookReply);

static const Field watch_request_fields[] = {
        CALLER(WatchRequest),
        F(WatchRequest, since, U64, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(watch_request, "WatchRequest", WatchRequest);

static const Field schema_watch_event_fields[] = {
        F(WatchEvent, sequence, U64, 0, 0, 0),
        F(WatchEvent, time, TIME, 0, 0, 0),
        F(WatchEvent, request, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(WatchEvent, principal, TEXT, FIELD_OPTIONAL, 20, 0),
        F(WatchEvent, session, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(WatchEvent, profile, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(WatchEvent, secret, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(WatchEvent, lease, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(WatchEvent, operation, TEXT, 0, LIMIT_TEXT, 0),
        F(WatchEvent, verdict, TEXT, 0, LIMIT_NAME, 0),
        F(WatchEvent, reason, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(WatchEvent, token, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
        F(WatchEvent, detail, TEXT, FIELD_OPTIONAL, LIMIT_TEXT, 0),
};
SCHEMA(schema_watch_event, "Event", WatchEvent);

static const Field watch_reply_fields[] = {
        F_RECORDS(WatchReply, events, 0, LIMIT_PAGE, schema_watch_event),
        F(WatchReply, lost, U64, 0, 0, 0),
};
static SCHEMA(watch_reply, "WatchReply", WatchReply);

static const Field hash_token_request_fields[] = {
        CALLER(HashTokenRequest),
        F(HashTokenRequest, token_hash, TEXT, 0, 64, 0),
};
static SCHEMA(hash_token_request, "HashTokenRequest", HashTokenRequest);

static const Field hash_token_reply_fields[] = {
        F(HashTokenReply, token, TEXT, 0, LIMIT_NAME, 0),
};
static SCHEMA(hash_token_reply, "HashTokenReply", HashTokenReply);

static const Field status_request_fields[] = {
        CALLER(StatusRequest),
};
static SCHEMA(status_request, "StatusRequest", StatusRequest);

static const Field schema_role_row_fields[] = {
        F(RoleRow, role, TEXT, 0, LIMIT_NAME, 0),
        F(RoleRow, pid, U64, 0, 0, 0),
        F(RoleRow, restarts, U64, 0, 0, 0),
        F(RoleRow, started, TIME, FIELD_OPTIONAL, 0, 0),
};
SCHEMA(schema_role_row, "Role", RoleRow);

static const Field status_reply_fields[] = {
        F(StatusReply, version, TEXT, 0, LIMIT_NAME, 0),
        F(StatusReply, started, TIME, 0, 0, 0),
        F(StatusReply, store, TEXT, 0, LIMIT_NAME, 0),
        F(StatusReply, store_state, TEXT, 0, LIMIT_NAME, 0),
        F(StatusReply, secrets, U64, 0, 0, 0),
        F(StatusReply, profiles, U64, 0, 0, 0),
        F(StatusReply, sessions, U64, 0, 0, 0),
        F(StatusReply, leases, U64, 0, 0, 0),
        F(StatusReply, pending, U64, 0, 0, 0),
        F(StatusReply, incidents, U64, 0, 0, 0),
        F(StatusReply, audit_sequence, U64, 0, 0, 0),
        F(StatusReply, audit_head, TEXT, 0, 64, 0),
        F(StatusReply, audit_path, TEXT, 0, LIMIT_PATH, 0),
        F(StatusReply, audit_state, TEXT, 0, LIMIT_TEXT, 0),
        F(StatusReply, audit_base, U64, 0, 0, 0),
        F(StatusReply, audit_base_head, TEXT, 0, 64, 0),
        F_RECORDS(StatusReply, roles, 0, LIMIT_PAGE, schema_role_row),
};
static SCHEMA(status_reply, "StatusReply", StatusReply);

static const Field schema_doctor_row_fields[] = {
        F(DoctorRow, id, TEXT, 0, LIMIT_LABEL, 0),
        F_ENUM(DoctorRow, status, 0, doctor_status_names),
        F(DoctorRow, summary, TEXT, 0, 2 * LIMIT_TEXT, 0),
        F(DoctorRow, remedy, TEXT, FIELD_OPTIONAL, 2 * LIMIT_TEXT, 0),
};
SCHEMA(schema_doctor_row, "Check", DoctorRow);

static const Field doctor_reply_fields[] = {
        F_RECORDS(DoctorReply, checks, 0, LIMIT_PAGE, schema_doctor_row),
};
static SCHEMA(doctor_reply, "DoctorReply", DoctorReply);

static const Field metrics_reply_fields[] = {
        F(MetricsReply, text, TEXT, 0, LIMIT_METRICS, 0),
};
static SCHEMA(metrics_reply, "MetricsReply", MetricsReply);

static const Field reload_reply_fields[] = {
        F(ReloadReply, profiles, U64, 0, 0, 0),
};
static SCHEMA(reload_reply, "ReloadReply", ReloadReply);

static const Field unlock_request_fields[] = {
        CALLER(UnlockRequest),
        F(UnlockRequest, create, BOOL, FIELD_OPTIONAL, 0, 0),
};
static SCHEMA(unlock_request, "UnlockRequest", UnlockRequest);

static const Field store_reply_fields[] = {
        F(StoreReply, store, TEXT, 0, LIMIT_NAME, 0),
        F(StoreReply, store_state, TEXT, 0, LIMIT_NAME, 0),
};
static SCHEMA(store_reply, "StoreReply", StoreReply);

/* name, request, reply, request fds, reply fds, streams */
static const Method interface_broker_methods[] = {
        [BROKER_OPEN_SESSION] = { "OpenSession", &open_session_request, &open_session_reply, 1, 1, false },
        [BROKER_CLOSE_SESSION] = { "CloseSession", &close_session_request, &revoke_reply, 0, 0, true },
        [BROKER_GET_TOKEN] = { "GetToken", &get_token_request, &schema_token_reply, 0, 0, false },
        [BROKER_ADD_SECRET] = { "AddSecret", &add_secret_request, &add_secret_reply, 1, 0, false },
        [BROKER_REMOVE_SECRET] = { "RemoveSecret", &remove_secret_request, &remove_secret_reply, 0, 0, false },
        [BROKER_LIST_SECRETS] = { "ListSecrets", &list_request, &list_secrets_reply, 0, 0, true },
        [BROKER_LIST_SESSIONS] = { "ListSessions", &list_request, &list_sessions_reply, 0, 0, true },
        [BROKER_LIST_LEASES] = { "ListLeases", &list_leases_request, &list_leases_reply, 0, 0, true },
        [BROKER_LIST_PROFILES] = { "ListProfiles", &list_request, &list_profiles_reply, 0, 0, true },
        [BROKER_ROTATE] = { "Rotate", &rotate_request, &rotate_reply, 1, 0, true },
        [BROKER_REVOKE] = { "Revoke", &revoke_request, &revoke_reply, 0, 0, true },
        [BROKER_STATUS] = { "Status", &status_request, &status_reply, 0, 0, false },
        [BROKER_DOCTOR] = { "Doctor", &status_request, &doctor_reply, 0, 0, true },
        [BROKER_RELOAD] = { "Reload", &status_request, &reload_reply, 0, 0, false },
        [BROKER_LOCK] = { "Lock", &status_request, &store_reply, 0, 0, false },
        [BROKER_UNLOCK] = { "Unlock", &unlock_request, &store_reply, 1, 0, false },
        [BROKER_REPORT_LEAK] = { "ReportLeak", &report_leak_request, &report_leak_reply, 0, 0, true },
        [BROKER_SCAN_PATTERNS] = { "ScanPatterns", &status_request, &scan_patterns_reply, 0, 0, true },
        [BROKER_VERIFY_WEBHOOK] = { "VerifyWebhook", &verify_webhook_request, &verify_webhook_reply, 1, 0, false },
        [BROKER_WATCH] = { "Watch", &watch_request, &watch_reply, 0, 0, true },
        [BROKER_METRICS] = { "Metrics", &status_request, &metrics_reply, 0, 0, true },
        [BROKER_HASH_TOKEN] = { "HashToken", &hash_token_request, &hash_token_reply, 0, 0, false },
        [BROKER_LIST_INCIDENTS] = { "ListIncidents", &list_request, &list_incidents_reply, 0, 0, true },
        [BROKER_CLOSE_INCIDENT] = { "CloseIncident", &close_incident_request, &schema_empty, 0, 0, false },
};
_Static_assert(ARRAY_SIZE(interface_broker_methods) == _BROKER_N, "each method has its line");
INTERFACE(interface_broker, "io.mcpcred.Broker");
