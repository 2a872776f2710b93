#pragma once
/*
 * The edges between the supervisor and its children: what the supervisor asks of each role
 * (interface_to_ROLE) and what each may ask of it (interface_from_ROLE).
 */
#include "wire/edge.h"
#include "wire/egress_policy.h"
#include "wire/interface.h"
#include "wire/scope.h"

/* Descriptors: one, an end of a socketpair to the peer role. */
typedef struct AttachRequest {
        uint32_t peer;       /* Role at the other end */
        const char *session; /* vault and egress: the session that a ROLE_SESSION edge belongs to */
        const char *profile; /* session: the profile that a ROLE_EGRESS edge serves */
} AttachRequest;

typedef enum LogLevel {
        LOG_LEVEL_DEBUG,
        LOG_LEVEL_INFO,
        LOG_LEVEL_WARNING,
        LOG_LEVEL_ERROR,
} LogLevel;
extern const char *const log_level_names[];

/* One line for the broker's log. Never a secret, never what a peer wrote. */
typedef struct LogNotice {
        uint32_t level; /* LogLevel */
        const char *text;
} LogNotice;

/* ---- gate ---- */

/* Descriptors: one, the listening control socket. */
typedef struct ListenRequest {
        uint64_t owner_uid;
        TextList group_uids; /* unused in user mode */
} ListenRequest;

/* Descriptors: one, the peer's pidfd where the kernel gave one. */
typedef struct AttestRequest {
        uint64_t uid;
        uint64_t pid;
} AttestRequest;

/* A peer that may not speak, or cannot be attested, is answered with FAULT_NOT_ALLOWED. */
typedef struct AttestReply {
        const char *unit; /* of its cgroup, if it is in one */
} AttestReply;

typedef enum GateMethod { /* gate to supervisor */
        GATE_LOG,
        GATE_ATTEST,
        GATE_DELIVERED, /* SessionNotice: whoever opened it has the answer; a gate that dies before leaves one to end */
} GateMethod;

typedef enum ToGateMethod {
        TO_GATE_ATTACH,
        TO_GATE_LISTEN,
        TO_GATE_ADOPT, /* a control connection that the supervisor kept over a restart of the gate */
} ToGateMethod;

extern const Interface interface_from_gate, interface_to_gate;

/* ---- session ---- */

/* What is spoken on a socket that a session's process is given. */
typedef enum Service {
        SERVICE_VARLINK_SOCKET,     /* listening, at a path: asks for the session's own secret */
        SERVICE_VARLINK_DESCRIPTOR, /* connected */
        SERVICE_PROXY_SOCKET,       /* listening, at a path: HTTP proxy */
        SERVICE_PROXY,              /* listening, TCP in the sandbox's network namespace: HTTP proxy */
        SERVICE_TLS,                /* likewise: TLS at once, the host by SNI */
        SERVICE_DNS,                /* bound, UDP, likewise: allowed names are loopback, others are none */
        SERVICE_LOOPBACK,           /* listening, TCP on the host's loopback: HTTP proxy that wants a handle */
        _SERVICE_N,
} Service;
extern const char *const service_names[];
/* Sockets of a session that its client hands over, and that the supervisor keeps. */
#define SERVICES_KEPT_MAX 16U

/* Descriptors: one. */
typedef struct ServeRequest {
        uint64_t owner_uid;
        const char *session;
        uint32_t service; /* Service */
} ServeRequest;

/* Keeps a duplicate of a socket that was handed over, for the process's next start. Descriptors: one. */
typedef struct KeepRequest {
        uint32_t service; /* Service: SERVICE_PROXY to SERVICE_LOOPBACK */
} KeepRequest;

typedef enum FromSessionMethod {
        FROM_SESSION_LOG,
        FROM_SESSION_KEEP, /* BUSY: there are SERVICES_KEPT_MAX already */
} FromSessionMethod;

typedef enum ToSessionMethod {
        TO_SESSION_ATTACH,
        TO_SESSION_SERVE,
} ToSessionMethod;

extern const Interface interface_from_session, interface_to_session;

/* ---- keyring and provider ---- */

typedef enum FromWorkerMethod {
        FROM_WORKER_LOG,
} FromWorkerMethod;

typedef enum ToWorkerMethod {
        TO_WORKER_ATTACH,
} ToWorkerMethod;

extern const Interface interface_from_worker, interface_to_worker;

/* ---- vault ---- */

/* Sent first, once a start of the vault. */
typedef struct StartRequest {
        const char *version;
        const char *runtime_directory;
        const char *config_directory;
        const char *epoch;     /* content of the epoch file, absent if there was none */
        const char *boot_id;   /* absent where the epoch file is memory-backed */
        uint64_t owner_uid;
        uint64_t started;      /* wall time of the supervisor's start */
        bool system_mode;
} StartRequest;

/* What is done about a leak, in this order; bits of `on_leak`. What the evidence does not bear is left out. */
typedef enum LeakAction {
        LEAK_REVOKE,          /* the lease, and all of its grant */
        LEAK_END_SESSION,
        LEAK_REVOKE_UPSTREAM, /* the stored secret itself, where the provider can */
        LEAK_ROTATE,
        LEAK_NOTIFY,
        _LEAK_ACTION_N,
} LeakAction;
extern const char *const leak_action_names[]; /* "revoke", "end-session", "revoke-upstream", "rotate", "notify" */
#define LEAK_ACTIONS_DEFAULT ((1U << LEAK_REVOKE) | (1U << LEAK_END_SESSION) | (1U << LEAK_NOTIFY))

/* Seconds: what was handed out gets a while to be replaced by hand. */
#define SECRET_GRACE_DEFAULT 600U

/* A section [secret NAME]: what concerns the secret and not one use of it. */
typedef struct ConfigSecret {
        const char *name;
        uint64_t rotate_every; /* seconds; 0: never by itself. Of a guided one: when a person is reminded */
        uint64_t max_age;      /* seconds, beyond which doctor warns; 0: the default */
        uint64_t grace;        /* seconds that the old value lives on behind a switch, where a session was handed it */
        uint64_t on_leak;      /* bits 1U << LeakAction */
        bool revoke_upstream;  /* the value may be revoked at its upstream for good (GitHub's POST /credentials/revoke) */
        const char *source;    /* file:line */
} ConfigSecret;

typedef struct ConfigProfile {
        const char *name;
        const char *secret;
        Scope *scope;
        uint64_t ttl;     /* seconds */
        uint32_t deliver; /* Delivery */
        const char *env;
        bool expose_secret;
        EgressPolicy *egress; /* of proxy and endpoint; NULL with the others */
        const char *preset;   /* that `egress` was made with, for a person to see; or NULL */
        const char *env_url;  /* of endpoint: the variable that gets the base URL */
        const char *url_host; /* of endpoint: the host[:port] that the base URL stands for */
        const char *url_path; /* of endpoint: what is put behind the base URL, "/v1"; NULL: nothing */
        TextMap variables;    /* further variables of the child; "{handle}" in a value is the handle */
        TextList command;
        TextList caller_uids; /* decimal */
        const char *caller_unit;
        uint64_t on_leak;   /* bits 1U << LeakAction */
        const char *canary; /* a variable that gets a handle nobody has a use for; or NULL */
        const char *source; /* file:line */
} ConfigProfile;

/*
 * A configuration comes as one ConfigureBegin, any number of profiles, and a commit; the vault puts
 * it in force at the commit and not before. Problems of a configuration that was refused come as
 * ConfigProblems, and the old one stays.
 */
typedef struct ConfigureRequest {
        uint32_t store;       /* StoreKind */
        uint64_t max_sessions; /* of one uid */
        uint64_t max_lifetime; /* seconds, of any session */
        uint64_t audit_max_size; /* bytes, at which the audit file is rotated */
        uint64_t audit_keep;     /* rotated files that are kept; 0: all */
        bool has_notify;       /* there is a command for VAULT_NOTIFY */
} ConfigureRequest;

typedef struct ConfigProblems {
        TextList problems; /* "file:line: what", in order */
} ConfigProblems;


typedef struct SessionNotice {
        const char *session;
} SessionNotice;

typedef struct EndSessionsRequest {
        TextList sessions; /* LIMIT_CUT at most */
} EndSessionsRequest;

typedef struct RoleNotice {
        const char *role;
        uint64_t pid;
        uint64_t restarts;
        uint64_t started;
} RoleNotice;

typedef enum ToVaultMethod {
        TO_VAULT_ATTACH,
        TO_VAULT_START,
        TO_VAULT_CONFIGURE_BEGIN,
        TO_VAULT_CONFIGURE_PROFILE,
        TO_VAULT_CONFIGURE_SECRET,
        TO_VAULT_CONFIGURE_COMMIT,
        TO_VAULT_CONFIG_PROBLEMS,
        TO_VAULT_LIFELINE_GONE, /* notice */
        TO_VAULT_ROLE,          /* notice: a role was started again */
        TO_VAULT_STOP,          /* the end is near: answered once the journal has the log's head, or takes nothing */
} ToVaultMethod;

/* Starts a provider process. Answered with one descriptor: the edge to it. */
typedef struct StartProviderRequest {
        const char *provider;
} StartProviderRequest;

typedef struct StartProviderReply {
        uint64_t pid;
} StartProviderReply;

typedef struct StopProviderRequest {
        uint64_t pid;
} StopProviderRequest;

/* Descriptors: the lifeline, unless it is the lifetime alone. Answered with the client's end of the
 * session descriptor if it was asked for. */
typedef struct CreateSessionRequest {
        const char *session;
        uint64_t uid;
        uint32_t lifeline; /* Lifeline */
        bool want_descriptor;
        bool proxy; /* it has a way out: proxy.sock */
} CreateSessionRequest;

typedef struct CreateSessionReply {
        const char *directory;
        const char *socket;
        const char *proxy_socket; /* NULL: none was asked for */
} CreateSessionReply;

/* Writes a file into the session's directory, by temporary file and rename: mode 0400, or 0444 for a certificate,
 * which is no secret. */
typedef struct WriteFileRequest {
        const char *session;
        const char *name;
        bool certificate;
        const char *bundle; /* a file that gets the certificate with the host's roots behind; or NULL */
        Secret *content;
} WriteFileRequest;

typedef struct WriteFileReply {
        const char *path;
} WriteFileReply;

/* Starts the egress process of a profile, in place of one that runs. Answered with one descriptor: the
 * vault's edge to it. When it dies that edge ends; it is not started again by itself. */
typedef struct EgressProcessRequest {
        const char *profile;
} EgressProcessRequest;

/* Connects a session's process with an egress. NOT_FOUND: one of them does not run. */
typedef struct JoinEgressRequest {
        const char *session;
        const char *profile;
} JoinEgressRequest;

typedef struct SetEpochRequest {
        const char *epoch;
} SetEpochRequest;

/* The command gets `json` on its standard input. BUSY: too many run already. UNSUPPORTED: none is configured. */
typedef struct NotifyRequest {
        const char *incident; /* for the broker's log */
        const char *json;
} NotifyRequest;

typedef struct NotifyReply {
        uint64_t status; /* exit status; 128 + signal; 255: it could not be run */
} NotifyReply;

/* Fields as the journal names them: MESSAGE_ID, and what begins with "MCPCRED_". It is answered when the journal's
 * socket has it or was found not to take it, so that its caller goes at the pace of the supervisor. */
typedef struct JournalRequest {
        const char *message;
        uint64_t priority; /* syslog's */
        TextMap fields;
} JournalRequest;

typedef struct JournalReply {
        bool taken;
} JournalReply;

/* The sessions that the supervisor holds, for a vault that was started again. */
typedef struct ListHeldReply {
        TextList sessions;
} ListHeldReply;

typedef struct ReloadConfigReply {
        uint64_t profiles;
        TextList problems; /* empty: it is in force */
} ReloadConfigReply;

typedef enum VaultMethod { /* vault to supervisor */
        VAULT_LOG,
        VAULT_START_PROVIDER,
        VAULT_STOP_PROVIDER,
        VAULT_RESTART_KEYRING, /* it did not answer in time */
        VAULT_CREATE_SESSION,
        VAULT_END_SESSIONS, /* kills their processes, removes their directories, lets go of the lifelines */
        VAULT_WRITE_FILE,
        VAULT_SET_EPOCH,
        VAULT_LIST_HELD,
        VAULT_RELOAD,
        VAULT_START_EGRESS,
        VAULT_STOP_EGRESS, /* kills it; answered when it is reaped */
        VAULT_JOIN_EGRESS,
        VAULT_NOTIFY,        /* runs the configured command; answered when it has ended */
        VAULT_JOURNAL,       /* an entry for the system's journal, if there is one */
        VAULT_START_SESSION, /* it is about to be used: its process is started before first use */
} VaultMethod;

extern const Interface interface_from_vault, interface_to_vault;
extern const Schema schema_config_profile, schema_config_secret;
