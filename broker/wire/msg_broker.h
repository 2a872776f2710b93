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

/* CloseSession and Revoke answer alike; long lists come in several replies. */
typedef struct RevokeReply {
        uint64_t sessions; /* ended by this call; in the last reply of a stream */
        RecordList credentials; /* CredentialOutcome */
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

typedef struct SecretRow {
        const char *name;
        const char *provider;
        const char *base_url;
        TextList hosts;
        TextMap parameters;
        uint64_t generation;
        uint64_t added;
        uint64_t rotated;
        const char *rotation; /* the step of a rotation under way */
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

typedef struct LeaseRow {
        const char *lease;
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
        const char *source;   /* file:line of the section */
        const char *problem;  /* why it cannot be opened now */
} ProfileRow;

typedef struct ListProfilesReply {
        RecordList profiles; /* ProfileRow */
} ListProfilesReply;

/* Descriptors: one with the new value, unless only the plan is wanted. */
typedef struct RotateRequest {
        Caller *caller;
        const char *name;
        bool plan; /* say what to do upstream, change nothing */
        bool abort; /* drop a rotation under way, before its switch */
} RotateRequest;

typedef struct RotateReply {
        const char *step;     /* planned, stored, verified, switched, done */
        const char *message;  /* for a person */
        uint64_t generation;
} RotateReply;

typedef struct RevokeRequest {
        Caller *caller;
        const char *session;
        const char *profile;
        const char *secret;
        const char *token_hash; /* hex SHA-256 of a token's value */
        bool all;
        bool dry_run;
} RevokeRequest;

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
        uint64_t audit_sequence;
        const char *audit_head; /* hex: the chain's hash after audit_sequence */
        const char *audit_path;
        const char *audit_state; /* ready, or why nothing is issued */
        RecordList roles; /* RoleRow */
} StatusReply;

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
        _BROKER_N,
} BrokerMethod;

extern const Interface interface_broker;
/* Record schemas that the listings use; clients build and read rows by them. */
extern const Schema schema_grant_request, schema_environment_entry, schema_grant_reply,
        schema_credential_outcome, schema_secret_row, schema_session_row, schema_lease_row,
        schema_profile_row, schema_role_row, schema_doctor_row, schema_token_reply;
