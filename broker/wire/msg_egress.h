#pragma once
/*
 * The edges of an egress process, which serves one profile: the vault gives it credentials and takes
 * them away; a session's process sends it requests.
 *
 * Requests do not go over the session's edge itself. The session makes a socketpair, a lane
 * (ipc/lane.h), and hands one end over; a lane carries one exchange after another, as a keep-alive
 * connection does. Which session it is follows from the edge that the lane came on.
 */
#include "wire/egress_policy.h"
#include "wire/interface.h"

/* ---- vault to egress ---- */

/* Answered when it is in force. A second one for the same session replaces the first: what is under
 * way goes on with what it began with. */
typedef struct EgressGrantRequest {
        const char *session;
        TextList hosts; /* that the credential may be sent to: as sealed with the secret; "h" or "h:port" */
        EgressPolicy *policy;
        Secret *credential; /* for SLOT_SIGV4: "AKID:SECRET" or "AKID:SECRET:SESSION-TOKEN" */
        uint64_t expires;   /* wall time; 0: as long as the session */
} EgressGrantRequest;

/* Forgets the sessions' credentials and closes, hard, every connection that carried them: first of all of them,
 * then the rest. Answered when nothing further can leave. A session that is not known is answered the same. */
typedef struct EgressCutRequest {
        TextList sessions; /* LIMIT_CUT at most */
} EgressCutRequest;

typedef enum EgressMethod {
        EGRESS_GRANT,
        EGRESS_CUT,
} EgressMethod;
extern const Interface interface_egress;

/* ---- egress to vault ---- */

/* Something that belongs into the audit log. Egress counts repetitions of one kind itself. */
typedef struct EgressReport {
        const char *session;
        uint32_t kind;      /* ReportKind */
        const char *method; /* of the request; may be absent */
        const char *host;
        const char *path;   /* without its query; cut at LIMIT_TEXT */
        const char *reason; /* a sentence */
        uint64_t count;     /* how often, since the last report of the kind */
} EgressReport;

typedef enum ReportKind {
        REPORT_DENIED,       /* rules, limits, or a place where a handle may not stand */
        REPORT_REFUSED,      /* not a request that is passed on: malformed, ambiguous */
        REPORT_MISUSE,       /* a handle of another session, or at another host: a leak signal */
        REPORT_SCRUBBED,     /* the upstream sent the credential back */
        REPORT_LEAKED,       /* the sandbox sent the real credential: only its handle was given to it */
        REPORT_UNAUTHORIZED, /* the upstream refuses the credential: 401 */
        REPORT_GUESSED,      /* as LEAKED, but so short that whoever lists what it may be meets it as well */
        _REPORT_KIND_N,
} ReportKind;
extern const char *const report_kind_names[];

typedef enum FromEgressMethod {
        FROM_EGRESS_REPORT, /* notice */
} FromEgressMethod;
extern const Interface interface_from_egress;
extern const Schema schema_egress_report;

/* ---- session to egress ---- */

typedef enum LaneMethod {
        LANE_OPEN, /* one descriptor: the egress's end of a SOCK_SEQPACKET pair */
} LaneMethod;
extern const Interface interface_lane;

/* ---- on a lane: ipc/lane.h frames these ---- */

typedef struct HeaderField {
        const char *name;  /* lower case */
        const char *value; /* no control characters but SLOT_MARKER; latin-1 is refused */
} HeaderField;

typedef enum BodyKind {
        BODY_NONE,
        BODY_LENGTH,
        BODY_STREAM, /* its end is told by a frame */
} BodyKind;
extern const char *const body_kind_names[];

/* A canonical request: nothing in it is as the sandbox wrote it. Hop-by-hop headers, framing, Host,
 * and everything that names a proxy are gone already. */
typedef struct EgressRequest {
        const char *method;
        const char *host; /* lower case, no trailing dot, no literal address */
        uint64_t port;
        const char *path;  /* canonical, begins with "/" */
        const char *query; /* without "?"; NULL: there was none */
        RecordList headers; /* HeaderField. A Basic slot is "Basic USER:\x01", in clear, for egress to encode */
        uint32_t body;     /* BodyKind */
        uint64_t length;   /* of BODY_LENGTH */
        bool expect;       /* tell by a frame when the body may come */
        bool upgrade;      /* WebSocket */
} EgressRequest;

typedef struct EgressResponse {
        uint64_t status;
        RecordList headers; /* HeaderField, names in lower case, hop-by-hop and framing gone */
        uint32_t body;      /* BodyKind */
        uint64_t length;
        bool upgraded;      /* both sides send data until one ends */
} EgressResponse;

/* Instead of a response, or behind one that broke off. */
typedef struct EgressFailure {
        uint64_t status;     /* HTTP status that the sandbox gets: 403, 413, 429, 502, 503, 504 */
        const char *reason;  /* one word for the header x-mcpcred-reason: "rule", "rate", "revoked" */
        const char *message; /* a sentence for a person */
        uint64_t retry_after; /* seconds; 0: not said */
} EgressFailure;

extern const Schema schema_egress_request, schema_egress_response, schema_egress_failure;

#define LIMIT_HEADERS      100U
#define LIMIT_HEADER_NAME  128U
#define LIMIT_HEADER_VALUE 16384U
#define LIMIT_TARGET       8192U /* of a path, and of a query */
