#pragma once
/* What the sandbox is told when its request is not passed on, and what of it belongs into the audit log. */
#include "base/buf.h"
#include "http/head.h"
#include "wire/msg_egress.h"

/* Positive results of what looks at requests in this folder. Those of http/head.h come first. */
typedef enum RefusalCode {
        REFUSAL_HOST = 32,      /* no grant reaches it */
        REFUSAL_PLAIN_HTTP,     /* http:// */
        REFUSAL_MISMATCH,       /* CONNECT, SNI and Host do not name one host */
        REFUSAL_NOT_PROXY,      /* neither a proxy request nor an endpoint's */
        REFUSAL_NAMELESS,       /* TLS without a server name */
        REFUSAL_HANDLE_PLACE,   /* an own handle, where it may not stand */
        REFUSAL_HANDLE_HOST,    /* an own handle, to a host that is not its credential's */
        REFUSAL_FOREIGN_HANDLE, /* a handle that is not this session's */
        REFUSAL_WEBSOCKET,      /* the profile does not allow it */
        REFUSAL_ENCODING,       /* a header that is not UTF-8 */
        REFUSAL_PROXY_AUTH,     /* the loopback port wants a handle */
        REFUSAL_ORIGIN,         /* a web page asks */
        REFUSAL_LOOPBACK_HOST,  /* the loopback port under another name: rebinding */
        REFUSAL_FORM_TOO_LARGE,
        REFUSAL_UNCONFIGURED,   /* the broker does not answer */
        REFUSAL_EGRESS_GONE,
        REFUSAL_BUSY,           /* too many requests of this grant are under way */
        REFUSAL_SLOW,           /* the request did not come whole in time */
        _REFUSAL_END,
} RefusalCode;

typedef struct Refusal {
        unsigned status;
        const char *reason;  /* one word */
        const char *message; /* a sentence */
        uint64_t retry_after; /* seconds; 0: not said */
        bool audited;
        ReportKind kind; /* of what is audited */
} Refusal;

/* For a RefusalCode or an HttpError. */
Refusal refusal_of(int code);
/*
 * The whole response: status, reason header, JSON body. `closes`: the connection ends behind it.
 * `head_request`: without the body. Messages are our own, or egress's, and are escaped.
 */
int refusal_write(const Refusal *refusal, bool closes, bool head_request, Buf *out) NODISCARD NONNULL(1, 4);
