#pragma once
/*
 * What one grant may do on its way out, as data: which requests, how many, where in a request the
 * handle stands, and what is done to responses. It is compiled from a profile's section (and its
 * preset) by the configuration, kept with the session as it was at the open, and enforced in egress.
 *
 * It is kept in the state in its binary form: a member more is another version of the state
 * (vault/db_schema.c), as version 2 was.
 */
#include "wire/schema.h"

/* The one place in a request where the handle may stand, and the credential takes its place. */
typedef enum SlotKind {
        SLOT_NONE,          /* nothing is put in: a profile that is not delivered by proxy */
        SLOT_BEARER,        /* Authorization: Bearer H, or "token H" */
        SLOT_BASIC,         /* Authorization: Basic base64(user ":" H); or base64(H ":") */
        SLOT_AUTHORIZATION, /* either of the two */
        SLOT_HEADER,        /* a header of the name `name`, behind the text `prefix` if there is one */
        SLOT_KEY,           /* the header `name`, or Authorization: Bearer H: for an API whose SDKs differ */
        SLOT_QUERY,         /* a query parameter of the name `name` */
        SLOT_PATH,          /* the path's segment that begins with `prefix` ("bot"), or equals H */
        SLOT_FORM,          /* a field `name` of an application/x-www-form-urlencoded body */
        SLOT_SIGV4,         /* AWS: the handle is the access key id; the request is signed anew */
        _SLOT_KIND_N,
} SlotKind;
extern const char *const slot_kind_names[];

typedef enum ScrubMode {
        SCRUB_MASK,   /* what reads as the credential is overwritten; what cannot be read passes */
        SCRUB_STRICT, /* what cannot be read is refused, and a credential cuts the response */
        SCRUB_OFF,
        _SCRUB_MODE_N,
} ScrubMode;
extern const char *const scrub_mode_names[];

/* Stands for the handle in a canonical request; egress puts the credential there. */
#define SLOT_MARKER '\x01'

typedef struct EgressPolicy {
        uint32_t slot;           /* SlotKind */
        const char *slot_name;   /* of a header, parameter or field; NULL where the kind has none */
        const char *slot_prefix; /* NULL: none */
        TextList allow;          /* "METHODS HOST[:PORT] PATH", http/rule.h */
        TextList deny;           /* likewise; any match wins */
        TextList addresses;      /* "10.1.2.0/24": otherwise refused ones that may be connected to */
        uint64_t rate;           /* requests in `rate_seconds`; 0: no limit */
        uint64_t rate_seconds;
        uint64_t max_uses;       /* requests of the session in all; 0: no limit */
        uint64_t max_body;       /* bytes of one request's body; 0: no limit */
        uint64_t concurrent;     /* requests under way; 0: LIMIT_CONCURRENT, which bounds any other */
        uint32_t scrub;          /* ScrubMode */
        bool websocket;          /* Upgrade may be asked for: bytes pass unseen from then on */
        bool cookies;            /* Set-Cookie reaches the sandbox */
} EgressPolicy;

extern const Schema schema_egress_policy;

#define LIMIT_RULES     128U
#define LIMIT_RULE      512U /* bytes of one */
#define LIMIT_ADDRESSES 32U
/* Bytes of a whole one, as the message to egress has to hold the secret's hosts and the credential beside it. */
#define EGRESS_POLICY_SIZE_MAX (96U * 1024U)
/* Requests of one grant that are under way. Each is a lane, and takes a descriptor of it and one of a connection. */
#define LIMIT_CONCURRENT 256U
