#pragma once
/*
 * The head of an HTTP/1.1 message (RFC 9112), parsed strictly: a byte gate first, then the semantics, and
 * llhttp has to have read the same. What is ambiguous is refused, never repaired. One implementation for
 * both ends: the session's process reads requests, egress reads responses.
 *
 * The parser is given the whole head at once: the caller buffers until http_head_end() finds its end.
 * Slices borrow from that buffer.
 */
#include "base/error.h"
#include "base/slice.h"

#define HTTP_HEAD_MAX         (48U * 1024U) /* bytes of a head, its last empty line included */
#define HTTP_HEADERS_MAX      100U
#define HTTP_HEADER_NAME_MAX  128U
#define HTTP_HEADER_VALUE_MAX 16384U
#define HTTP_METHOD_MAX       32U
#define HTTP_TARGET_MAX       16384U
#define HTTP_CONNECTION_MAX   64U /* elements of Connection, which every header is compared with */

/* Why a head is refused. Each has a status for the sandbox and a word for x-mcpcred-reason. */
typedef enum HttpError {
        _HTTP_E_SUCCESS,
        HTTP_E_SYNTAX,    /* 400: not HTTP/1.1, a bare LF, a control character, obs-fold, ... */
        HTTP_E_TOO_LARGE, /* 431: one of the limits above */
        HTTP_E_VERSION,   /* 505: not HTTP/1.1 (a request of HTTP/1.0 is taken: it closes) */
        HTTP_E_FRAMING,   /* 400: Content-Length and Transfer-Encoding disagree, are repeated, or are
                             of a form that two readers could read differently */
        HTTP_E_HOST,      /* 400: none, two, or not a host */
        HTTP_E_TARGET,    /* 400: the request target is of no known form, or not canonical */
        HTTP_E_OVERRIDE,  /* 400: a header that overrides method, URL or host for some servers */
} HttpError;

typedef struct HttpErrorInfo {
        unsigned status;
        const char *reason; /* one word */
        const char *sentence;
} HttpErrorInfo;
const HttpErrorInfo *http_error_info(HttpError error);

typedef struct HttpHeader {
        Slice name;  /* as it was written */
        Slice value; /* without white space around it */
} HttpHeader;

typedef enum HttpBody {
        HTTP_BODY_NONE,
        HTTP_BODY_LENGTH,
        HTTP_BODY_CHUNKED,
        HTTP_BODY_UNTIL_CLOSE, /* responses alone */
} HttpBody;

typedef enum HttpTargetForm {
        HTTP_TARGET_ORIGIN,    /* /path?query */
        HTTP_TARGET_ABSOLUTE,  /* http://host/path or https://host/path */
        HTTP_TARGET_AUTHORITY, /* host:port, of CONNECT */
        HTTP_TARGET_ASTERISK,  /* *, of OPTIONS */
} HttpTargetForm;

typedef struct HttpHead {
        /* of a request */
        Slice method;
        Slice target;
        HttpTargetForm form;
        Slice host; /* the Host header's value; empty for HTTP/1.0 without one */
        /* of a response */
        unsigned status; /* 100 to 599 */
        /* of both */
        unsigned minor; /* HTTP/1.minor: 0 or 1 */
        HttpHeader headers[HTTP_HEADERS_MAX];
        size_t n_headers;
        HttpBody body;
        uint64_t length;   /* of HTTP_BODY_LENGTH, which may be 0 */
        bool has_length;   /* Content-Length was there: also in a response to HEAD, or a 304, whose body is none */
        bool keep_alive;   /* as Connection, the version and the framing say; never for HTTP/1.0 */
        bool expect;       /* Expect: 100-continue, and a body follows */
        Slice upgrade;     /* the Upgrade header, if Connection names it and no body follows; else empty */
} HttpHead;

/*
 * How many bytes of what has come are the head, or 0 if more has to come. Also where the head cannot
 * become one any more (a bare LF, a first byte that begins no line, too many lines or bytes): they are then
 * refused by the parsers, without anybody waiting for an end.
 */
size_t http_head_end(Slice bytes);
/*
 * `bytes` is one whole head, as http_head_end() measured it. HttpError, and then `ret` is empty.
 * Methods are those that llhttp knows, without TRACE. Values are printable ASCII. Where the target names
 * a host, Host names the same; for the rest it is syntax that was looked at, and target.h has the last word.
 */
int http_parse_request(Slice bytes, HttpHead *ret) NODISCARD NONNULL(2);
/*
 * `head_request`: the response to a HEAD, which has no body whatever it says. A 1xx, 204 or 304 has none.
 * Values may hold tabs and any bytes beyond ASCII: what is made of them is the caller's.
 */
int http_parse_response(Slice bytes, bool head_request, HttpHead *ret) NODISCARD NONNULL(3);
/* The only header of that name (any case), or NULL; `ret_n` (may be NULL) says how many there are. */
const HttpHeader *http_find(const HttpHead *head, const char *name, size_t *ret_n) NONNULL(1, 2);
/* A header that has some servers answer another request than the one that was decided on: another method,
 * host or path. Compared as they compare that take "_" for "-". */
bool http_is_override(Slice name);
/*
 * Headers that are about this connection and not the message: those of RFC 9110 section 7.6.1, what
 * Connection names, framing, Host, Expect, and everything of a proxy. They are never passed on.
 */
bool http_is_hop_by_hop(const HttpHead *head, Slice name) NONNULL(1);
/* Compares names without regard to case. */
bool http_name_is(Slice name, const char *text) NONNULL(2);
