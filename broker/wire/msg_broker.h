#pragma once
/*
 * io.mcpcred.Broker: what a client on the control socket may ask, and in the same order what the
 * gate may ask the vault. io.mcpcred.Broker.varlink is the reference for the fields; a test holds
 * the two against each other.
 *
 * Each request begins with a Caller. The gate fills it from what the kernel says of the peer; it is
 * never read from JSON.
 */
#include "wire/egress_policy.h"
#include "wire/interface.h"
#include "wire/scope.h"

typedef struct Caller {
        uint64_t uid;
        uint64_t pid;     /* for the log; never decides anything */
        const char *unit; /* systemd unit of its cgroup, if known */
} Caller;
extern const Schema schema_caller;

typedef enum Lifeline {
        LIFELINE_CONNECTION, /* the connection that OpenSession came on */
        LIFELINE_DESCRIPTOR, /* a pidfd, or a socket whose other end the opener keeps, passed along */
        LIFELINE_LIFETIME,   /* the lifetime alone */
} Lifeline;
extern const char *const lifeline_names[];

typedef enum Delivery {
        DELIVER_PROXY,
        DELIVER_ENV,
        DELIVER_FILE,
        DELIVER_ENDPOINT,
        DELIVER_SOCKET,
} Delivery;
extern const char *const delivery_names[];

typedef struct GrantRequest {
        const char *profile;
        Scope *scope; /* narrower than the profile's, or NULL */
} GrantRequest;

/* Descriptors: at most one, the lifeline of LIFELINE_DESCRIPTOR; the gate appends the caller's
 * connection for LIFELINE_CONNECTION. */
typedef struct OpenSessionRequest {
        Caller *caller;
        RecordList grants; /* GrantRequest */
        const char *label;
        uint64_t lifetime; /* seconds; 0: the shortest of the profiles' */
        uint32_t lifeline; /* Lifeline */
        bool want_descriptor;
        TextList command; /* what will run, for profiles that pin it; argv as it is exec'd */
        const char *proxy; /* "127.0.0.1:3128": where the child will find the proxy; NULL: at the socket alone */
        bool sandboxed; /* all of the child's ways out are the session's: it trusts the session's CA alone */
} OpenSessionRequest;

typedef struct EnvironmentEntry {
        const char *name;
        Secret *value;
} EnvironmentEntry;

typedef struct GrantReply {
        const char *profile;
        uint32_t deliver;    /* Delivery */
        uint64_t expires;    /* of what was delivered; 0: nothing was yet */
        const char *path;    /* the file of DELIVER_FILE */
} GrantReply;

/* Descriptors: the session's own connected socket, if it was asked for. */
typedef struct OpenSessionReply {
        const char *session;
        uint64_t expires;
        RecordList environment; /* EnvironmentEntry; MCPCRED_SOCK and MCPCRED_SESSION are in it */
        RecordList grants;      /* GrantReply */
        const char *socket;     /* path of the session's socket */
        const char *directory;
        const char *proxy_socket; /* path of an HTTP proxy's Unix socket; NULL: nothing goes by proxy */
        const char *ca;           /* path: the session's CA, alone */
        const char *ca_bundle;    /* path: with the host's roots behind it; NULL for a sandboxed child */
        TextList hosts; /* that the proxy lets pass, for launchers that resolve names themselves */
} OpenSessionReply;

typedef struct CloseSessionRequest {
        Caller *caller;
        const char *session;
} CloseSessionRequest;

typedef enum Outcome {
        OUTCOME_NONE,      /* nothing was issued, or it needs nothing */
        OUTCOME_CONFIRMED, /* the upstream has revoked it */
        OUTCOME_PENDING,   /* tried again until it is confirmed or expires */
        OUTCOME_IMPOSSIBLE_ROTATE, /* delivered raw; only rotating the secret ends it */
} Outcome;
extern const char *const outcome_names[];

typedef struct CredentialOutcome {
        const char *lease;
        const char *session;
        const char *profile;
        const char *secret;
        uint32_t outcome; /* Outcome */
        const char *reason;
} CredentialOutcome;

/* How many credentials came to which outcome, whether they are listed or not. */
typedef struct RevokeTotals {
        uint64_t none;
        uint64_t confirmed;
        uint64_t pending;
        uint64_t impossible_rotate;
} RevokeTotals;

/* CloseSession and Revoke answer alike; long lists come in several replies, and the longest are cut. */
typedef struct RevokeReply {
        uint64_t sessions; /* ended by this call; in the last reply of a stream */
        RecordList credentials; /* CredentialOutcome */
        RevokeTotals *totals;   /* in the last reply of a stream; else NULL */
        bool pending;      /* some are pending */
} RevokeReply;

typedef struct GetTokenRequest {
        Caller *caller;
        const char *session;
        const char *profile; /* may be absent if the session has one grant */
} GetTokenRequest;

typedef struct TokenReply {
        const char *profile;
        Secret *token;
        uint64_t expires;
} TokenReply;

/* Descriptors: one, a stream socket that holds the secret and is shut down for writing. */
typedef struct AddSecretRequest {
        Caller *caller;
        const char *name;
        const char *provider;
        const char *base_url;
        TextList hosts;
        TextMap parameters; /* the provider's own: app_id, installation_id */
        bool verify;        /* ask the upstream before it is stored */
        bool replace;
} AddSecretRequest;

typedef struct AddSecretReply {
        const char *identity; /* what the upstream says the secret is, if it was asked */
        uint64_t generation;
} AddSecretReply;

typedef struct RemoveSecretRequest {
        Caller *caller;
        const char *name;
        bool dry_run;
} RemoveSecretRequest;

typedef struct RemoveSecretReply {
        uint64_t sessions; /* that were ended */
        uint64_t leases;
} RemoveSecretReply;

typedef struct ListRequest {
        Caller *caller;
        bool all; /* what is over too */
} ListRequest;

/* As with RevokeRequest. */
typedef struct ListLeasesRequest {
        Caller *caller;
        bool all; /* what is over too */
        const char *session;
        const char *profile;
        const char *secret;
        const char *provider;
        const char *principal;
        uint64_t since;
} ListLeasesRequest;

typedef struct SecretRow {
        const char *name;
        const char *provider;
        const char *base_url;
        TextList hosts;
        TextMap parameters;
        uint64_t generation;
        uint64_t added;
        uint64_t rotated;
        const char *rotation; /* the step of a rotation under way, or "needs_human" */
        const char *problem;  /* what that waits for */
        uint64_t due;         /* when it is to be rotated by `rotate_every`; 0: never */
        uint64_t expires;     /* as its upstream says; 0: never, or not known */
        uint64_t leases;      /* live ones */
} SecretRow;

typedef struct ListSecretsReply {
        RecordList secrets; /* SecretRow */
} ListSecretsReply;

typedef enum SessionState {
        SESSION_OPENING,
        SESSION_LIVE,
        SESSION_ENDED,
} SessionState;
extern const char *const session_state_names[];

typedef struct SessionRow {
        const char *session;
        const char *label;
        uint64_t uid;
        TextList profiles;
        uint32_t state; /* SessionState */
        uint64_t opened;
        uint64_t expires;
        uint64_t ended;
        const char *end_reason;
        uint32_t lifeline; /* Lifeline */
} SessionRow;

typedef struct ListSessionsReply {
        RecordList sessions; /* SessionRow */
} ListSessionsReply;

typedef enum LeaseState {
        LEASE_INTENT,        /* the upstream is being asked */
        LEASE_LIVE,
        LEASE_REVOKING,      /* over here; the upstream is still to confirm */
        LEASE_REVOKED,
        LEASE_EXPIRED,
        LEASE_FAILED,        /* the upstream gave nothing */
        LEASE_UNRECOVERABLE, /* the reply was lost; whatever there is dies by `expires` */
} LeaseState;
extern const char *const lease_state_names[];

typedef enum LeaseKind {
        LEASE_CREDENTIAL, /* the upstream gave it, or a stored key was handed out raw */
        LEASE_HANDLE,     /* our own: as long as it lives, its grant goes on */
        LEASE_STORED,     /* a stored key in use behind a handle; it leaves the broker for its upstream alone */
        LEASE_SECRET,     /* a value of a secret itself that is to die at its upstream; it has no session */
        LEASE_CANARY,     /* a handle that nobody has a use for */
        _LEASE_KIND_N,
} LeaseKind;
extern const char *const lease_kind_names[];

typedef struct LeaseRow {
        const char *lease;
        uint32_t kind; /* LeaseKind */
        const char *session;
        const char *profile;
        const char *secret;
        uint64_t generation;
        uint32_t state;   /* LeaseState */
        uint32_t outcome; /* Outcome */
        uint64_t created;
        uint64_t expires;
        uint64_t attempts;  /* to revoke it upstream */
        const char *reason; /* why it ended, or what the last attempt met */
} LeaseRow;

typedef struct ListLeasesReply {
        RecordList leases; /* LeaseRow */
} ListLeasesReply;

typedef struct ProfileRow {
        const char *name;
        const char *secret;
        const char *provider; /* absent: the secret is not there yet */
        uint32_t deliver;     /* Delivery */
        uint64_t ttl;         /* seconds */
        const char *env;
        Scope *scope;
        bool expose_secret;
        const char *preset;   /* that `egress` was made with */
        EgressPolicy *egress; /* of proxy and endpoint */
        const char *env_url;  /* of endpoint, like the next two */
        const char *url_host;
        const char *url_path;
        TextMap variables;    /* further ones of the child */
        TextList command;
        const char *caller_unit;
        TextList on_leak;     /* leak_action_names; none of them: nothing is done */
        const char *canary;   /* variable */
        const char *source;   /* file:line of the section */
        const char *problem;  /* why it cannot be opened now */
} ProfileRow;

typedef struct ListProfilesReply {
        RecordList profiles; /* ProfileRow */
} ListProfilesReply;

/* Descriptors: one with the new value, for a guided rotation; none where the provider makes the value, for the plan
 * and for an abort. */
typedef struct RotateRequest {
        Caller *caller;
        const char *name;
        bool plan; /* say what will happen, or what to do upstream; change nothing */
        bool abort; /* drop a rotation under way, before its switch */
        bool now; /* the old value is revoked right behind the switch, and sessions that were handed it raw end */
        uint64_t grace; /* seconds that the old value lives on behind the switch; 0: as the secret's section says */
        bool allow_wider; /* a value that a person made may do more than the old one */
} RotateRequest;

typedef struct RotateReply {
        /* planned, created, stored, verified, switched, old_revoked, done; or plan, lost, waiting, aborted, none */
        const char *step;
        const char *message;  /* for a person */
        uint64_t generation;
        bool pending; /* of the last: it goes on by itself (the grace, or the upstream is asked again) */
        bool made_by_provider; /* of the plan: no value has to come with the call */
} RotateReply;

typedef struct RevokeRequest {
        Caller *caller;
        const char *session;
        const char *profile;
        const char *secret;
        const char *provider;
        const char *token_hash; /* hex SHA-256 of a token's value */
        const char *principal; /* decimal uid of whoever opened the session; a text, since 0 is one */
        uint64_t since; /* wall time: what was issued at or after it */
        bool all;
        bool dry_run;
} RevokeRequest;

/* Why something counts as exposed; decides what may be done about it (vault/response.h). */
typedef enum LeakSignal {
        LEAK_SIGNAL_REPORT,        /* a matched value, from the control socket: a report, a scan */
        LEAK_SIGNAL_EGRESS,        /* a sandbox sent the real value, where only a handle should be */
        LEAK_SIGNAL_FOREIGN_HANDLE, /* a handle of another session */
        LEAK_SIGNAL_WRONG_PLACE,   /* the session's own handle, at another host or where none may stand */
        LEAK_SIGNAL_CANARY,        /* a variable that nothing has a use for */
        _LEAK_SIGNAL_N,
} LeakSignal;
extern const char *const leak_signal_names[];

/* Hashes of candidates, not the candidates: only what was issued or is stored here counts. */
typedef struct ReportLeakRequest {
        Caller *caller;
        TextList hashes; /* hex SHA-256 of each candidate */
        const char *source; /* where it was found: "gitleaks", "repo octo/hello"; for the log */
        bool dry_run; /* say what they are and what would be done */
} ReportLeakRequest;

/* What one candidate is. */
typedef struct LeakMatch {
        uint64_t index;      /* into the request's hashes */
        const char *kind;    /* "secret", "credential", "handle", "canary" */
        const char *secret;  /* its name, or that of the secret behind it */
        const char *profile; /* absent of a secret */
        const char *session;
        const char *lease;
        const char *state;   /* of the lease, or "current", "next", "previous" or "old" of a secret */
        uint64_t issued;     /* wall time */
        const char *incident; /* id of what was done; absent with dry_run */
        TextList actions;    /* "revoke: done", "rotate: begun", "notify: skipped (cool-down)" */
} LeakMatch;

typedef struct ReportLeakReply {
        RecordList matches; /* LeakMatch */
        uint64_t unknown;   /* candidates that are none of ours */
        bool pending;       /* something goes on */
} ReportLeakReply;

/* How one stored value can be found in a stream without knowing it. The value is meant in its canonical form: lines end
 * with "\n", and there is none at the end. */
typedef struct ScanPattern {
        const char *secret; /* its name */
        const char *state;  /* "current", "next", "previous" */
        const char *anchor; /* hex: a few bytes of it, to look for */
        uint64_t offset;    /* of the anchor in the value */
        uint64_t length;    /* of the value */
        const char *hash;   /* hex: keyed BLAKE2b-256 of the value with ScanPatternsReply.key */
} ScanPattern;

/* A secret that cannot be looked for. */
typedef struct ScanSkip {
        const char *secret;
        const char *reason; /* a sentence */
} ScanSkip;

typedef struct ScanPatternsReply {
        const char *key; /* hex, 32 bytes, made for this call; the same in each of its replies */
        RecordList patterns; /* ScanPattern */
        TextList prefixes; /* of what is issued: a candidate that begins so is asked about by its hash */
        RecordList skipped; /* ScanSkip */
} ScanPatternsReply;

/* What a leak signal was evidence of, and what has become of the answer to it. */
typedef struct IncidentRow {
        const char *incident;
        uint64_t time;
        uint32_t signal;      /* LeakSignal */
        const char *evidence; /* where it was seen */
        const char *secret, *profile, *session, *lease;
        uint64_t generation;
        uint64_t count;    /* how often it was reported */
        uint32_t state;    /* IncidentState */
        uint64_t closed;   /* wall time; 0: it is not */
        TextList actions;  /* as in LeakMatch */
} IncidentRow;

typedef enum IncidentState {
        INCIDENT_RUNNING,      /* the broker is at it, or waits for a rotation */
        INCIDENT_NEEDS_PERSON,
        INCIDENT_CLOSED,
        _INCIDENT_STATE_N,
} IncidentState;
extern const char *const incident_state_names[];

typedef struct ListIncidentsReply {
        RecordList incidents; /* IncidentRow */
} ListIncidentsReply;

typedef struct CloseIncidentRequest {
        Caller *caller;
        const char *incident;
} CloseIncidentRequest;

typedef enum WebhookScheme {
        WEBHOOK_GITHUB,      /* X-Hub-Signature-256 */
        WEBHOOK_GITGUARDIAN, /* Gitguardian-Signature, keyed with the timestamp too */
} WebhookScheme;
extern const char *const webhook_scheme_names[];

/* Descriptors: one, a stream socket with the body, shut down for writing at its end. The key stays in the vault. */
typedef struct VerifyWebhookRequest {
        Caller *caller;
        const char *secret; /* name of the stored secret that is the webhook's key */
        uint32_t scheme;    /* WebhookScheme */
        const char *signature; /* the header's value */
        const char *timestamp; /* of WEBHOOK_GITGUARDIAN: the header's value */
} VerifyWebhookRequest;

typedef struct VerifyWebhookReply {
        bool valid;
} VerifyWebhookReply;

/* Streams until the client hangs up. */
typedef struct WatchRequest {
        Caller *caller;
        uint64_t since; /* lines from this sequence on that the log still has come first; 0: from now on */
} WatchRequest;

/* One line of the audit log; absent texts are as in wire/audit_line.h. */
typedef struct WatchEvent {
        uint64_t sequence;
        uint64_t time;
        const char *request;   /* id */
        const char *principal; /* decimal uid */
        const char *session;
        const char *profile;
        const char *secret;
        const char *lease;
        const char *operation;
        const char *verdict;
        const char *reason;
        const char *token;
        const char *detail;
} WatchEvent;

typedef struct WatchReply {
        RecordList events; /* WatchEvent */
        uint64_t lost;     /* lines in front of these that the log has no more, or that cannot be read */
} WatchReply;

/* How a value is written in the log's `token`. */
typedef struct HashTokenRequest {
        Caller *caller;
        const char *token_hash; /* SHA-256 of it in hex */
} HashTokenRequest;

typedef struct HashTokenReply {
        const char *token;
} HashTokenReply;

typedef struct StatusRequest {
        Caller *caller;
} StatusRequest;

typedef struct RoleRow {
        const char *role;
        uint64_t pid;
        uint64_t restarts;
        uint64_t started;
} RoleRow;

typedef struct StatusReply {
        const char *version;
        uint64_t started;
        const char *store;       /* secret-service, sealed-file, memory */
        const char *store_state; /* ready, locked, absent, hung, failed, rollback */
        uint64_t secrets;
        uint64_t profiles;
        uint64_t sessions;
        uint64_t leases;
        uint64_t pending; /* revocations that the upstream has yet to confirm */
        uint64_t incidents; /* leaks that are not dealt with to the end */
        uint64_t audit_sequence;
        const char *audit_head; /* hex: the chain's hash after audit_sequence */
        const char *audit_path;
        const char *audit_state; /* ready, or why nothing is issued */
        uint64_t audit_base;     /* the last line that was given up with an old file; 0: none was */
        const char *audit_base_head; /* hex: the chain's hash after it */
        RecordList roles; /* RoleRow */
} StatusReply;

/* Lines of Prometheus' text format, whole ones; the stream's parts belong behind one another. */
typedef struct MetricsReply {
        const char *text;
} MetricsReply;

typedef struct DoctorRow {
        const char *id;      /* "keyring", "config", "profile.github.expose" */
        uint32_t status;     /* DoctorStatus */
        const char *summary;
        const char *remedy;
} DoctorRow;

typedef enum DoctorStatus {
        DOCTOR_OK,
        DOCTOR_WARN,
        DOCTOR_FAIL,
} DoctorStatus;
extern const char *const doctor_status_names[];

typedef struct DoctorReply {
        RecordList checks; /* DoctorRow */
} DoctorReply;

typedef struct ReloadReply {
        uint64_t profiles;
} ReloadReply;

/* Descriptors: one with the passphrase. */
typedef struct UnlockRequest {
        Caller *caller;
        bool create; /* make a new sealed file with this passphrase */
} UnlockRequest;

typedef struct StoreReply {
        const char *store;
        const char *store_state;
} StoreReply;

typedef enum BrokerMethod {
        BROKER_OPEN_SESSION,
        BROKER_CLOSE_SESSION,
        BROKER_GET_TOKEN,
        BROKER_ADD_SECRET,
        BROKER_REMOVE_SECRET,
        BROKER_LIST_SECRETS,
        BROKER_LIST_SESSIONS,
        BROKER_LIST_LEASES,
        BROKER_LIST_PROFILES,
        BROKER_ROTATE,
        BROKER_REVOKE,
        BROKER_STATUS,
        BROKER_DOCTOR,
        BROKER_RELOAD,
        BROKER_LOCK,
        BROKER_UNLOCK,
        BROKER_REPORT_LEAK,
        BROKER_SCAN_PATTERNS,
        BROKER_VERIFY_WEBHOOK,
        BROKER_WATCH,
        BROKER_METRICS,
        BROKER_HASH_TOKEN,
        BROKER_LIST_INCIDENTS,
        BROKER_CLOSE_INCIDENT,
        _BROKER_N,
} BrokerMethod;

extern const Interface interface_broker;
/* Record schemas that the listings use; clients build and read rows by them. */
extern const Schema schema_grant_request, schema_environment_entry, schema_grant_reply,
        schema_credential_outcome, schema_secret_row, schema_session_row, schema_lease_row,
        schema_profile_row, schema_role_row, schema_doctor_row, schema_token_reply,
        schema_leak_match, schema_incident_row, schema_scan_pattern, schema_scan_skip, schema_watch_event, schema_revoke_totals;
