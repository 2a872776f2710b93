#pragma once
/*
 * io.mcpcred.Session: what a sandbox may ask its session process; and what that process may ask the
 * vault. Which session it is comes from the edge.
 */
#include "wire/msg_broker.h"
#include "wire/msg_egress.h"

/* ---- the sandbox's ---- */

typedef struct SessionTokenRequest {
        bool by_path;        /* private: came in on the path socket, so the secret is asked for */
        const char *profile; /* may be absent if the session has one grant */
        Secret *session;     /* MCPCRED_SESSION; asked for on the path socket */
} SessionTokenRequest;

/* Hands over a socket, to be accepted from straight out of the sandbox. Descriptors: one. */
typedef struct SessionServeRequest {
        uint32_t service; /* SessionService */
        Secret *session;  /* MCPCRED_SESSION; asked for on the path socket */
} SessionServeRequest;

typedef enum SessionService {
        SESSION_SERVICE_PROXY,    /* TCP, listening, in another network namespace: HTTP proxy */
        SESSION_SERVICE_TLS,      /* likewise: TLS, the host by SNI */
        SESSION_SERVICE_DNS,      /* UDP, bound, likewise */
        SESSION_SERVICE_LOOPBACK, /* TCP, listening on 127.0.0.1 or ::1 of the broker's namespace */
} SessionService;
extern const char *const session_service_names[];

typedef enum SessionMethod {
        SESSION_GET_TOKEN,
        SESSION_SERVE,
} SessionMethod;
extern const Interface interface_session;

/* ---- session to vault ---- */

/* One grant of `deliver = proxy` or `endpoint`. */
typedef struct SessionGrant {
        const char *profile;
        Secret *handle;
        uint32_t slot; /* SlotKind */
        const char *slot_name;
        const char *slot_prefix;
        TextList hosts;       /* that it may reach: "host", "host:port", "*.suffix"; rules decide in egress */
        TextList credential_hosts; /* of those, where the handle may be used */
        uint64_t concurrent;  /* lanes at once; 0: the session's own limit */
        bool websocket;
        const char *url_host; /* of endpoint: /PROFILE/... on the proxy's ports is https://url_host/... */
} SessionGrant;

typedef struct SessionConfigureReply {
        RecordList grants;     /* SessionGrant; none: no proxy side */
        Slice certificate;     /* DER: one leaf for all hosts; empty: none */
        Secret *key;           /* DER, SEC 1 or PKCS#8: the leaf's */
        uint64_t expires;      /* of the session, wall time */
} SessionConfigureReply;

/* Asked whether MCPCRED_SESSION is this session's. */
typedef struct SessionProveRequest {
        Secret *session;
} SessionProveRequest;

/* A handle that is not the session's own, or its own where it may not be, so that the vault can tell whose it is. */
typedef struct SessionMisuseNotice {
        Secret *handle;
        const char *host;
        const char *place; /* "header", "body", ... */
} SessionMisuseNotice;

typedef enum FromSessionVaultMethod {
        SESSION_VAULT_GET_TOKEN, /* as SESSION_GET_TOKEN */
        SESSION_VAULT_CONFIGURE, /* answered when the session's egresses are joined to it */
        SESSION_VAULT_PROVE,
        SESSION_VAULT_REPORT, /* notice: EgressReport */
        SESSION_VAULT_MISUSE, /* notice */
} FromSessionVaultMethod;
extern const Interface interface_session_vault;
