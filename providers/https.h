#pragma once
/*
 * One HTTPS request after another over libcurl, for a process that does one operation: it blocks,
 * up to its deadline, and stops early when one of the watched descriptors hangs up.
 *
 * A request is sent once: what asks for a change has a connection of its own, so that nothing sends it again.
 * No redirect is followed, and no environment, proxy, netrc, cookie, cache or other file plays a
 * part. TLS 1.2 at least, verified against the roots that are passed in and no others. HTTP/1.1,
 * because that leaves no copy of a header in memory that is not wiped.
 */
#include "base/buf.h"
#include "base/secret.h"
#include "providers/response.h"

#define HTTPS_WATCH_MAX 2U

typedef struct Https Https;

typedef enum HttpsError {
        _HTTPS_E_SUCCESS,
        /* No connection, or no TLS on it: not a byte of the request left, so nothing happened. */
        HTTPS_E_NOT_SENT,
        /* It was sent, in part at least, and no whole response came: it may have happened. */
        HTTPS_E_LOST,
        HTTPS_E_TOO_LARGE, /* likewise, and the response was larger than is taken */
        HTTPS_E_ABORTED,   /* a watched descriptor hung up: nobody is left to be told */
        HTTPS_E_INVALID,   /* a URL or header value that may not be sent; nothing happened */
} HttpsError;

typedef struct HttpsConfig {
        Slice roots;                /* PEM, borrowed for as long as the Https lives */
        int watch[HTTPS_WATCH_MAX]; /* sockets; -1 where unset */
        uint64_t connect_timeout_usec;
        const char *upstream_proxy; /* "http://host:port", CONNECT through it; NULL: none. Borrowed */
} HttpsConfig;

typedef struct HttpsRequest {
        const char *method; /* GET, POST or DELETE */
        const char *url;
        const Secret *bearer;       /* NULL: no Authorization */
        const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
        Slice body;                 /* of a POST */
        size_t response_max;        /* bytes of the response's body */
        uint64_t timeout_usec;      /* for all of it */
} HttpsRequest;

typedef struct HttpsResponse {
        ResponseHead head;
        Buf body;
        const char *reason; /* why it failed, for a person; static text */
} HttpsResponse;

#define HTTPS_RESPONSE_NULL ((HttpsResponse){ .reason = "" })

/* Once a process, before anything else touches libcurl. Reads what OpenSSL wants to read. */
int https_global_init(void) NODISCARD;
/* The system's roots as libcurl was built to find them, and those of `extra` (a path, or NULL)
 * behind them. Before confinement. -errno, -ENOENT for a missing file. */
int https_load_roots(Buf *ret, const char *extra) NODISCARD NONNULL(1);

int https_new(Https **ret, Arena *arena, const HttpsConfig *config) NODISCARD NONNULL(1, 2, 3);
Https *https_free(Https *https);
/*
 * A response of whatever status is a success. HttpsError, or -errno. `ret` must be
 * HTTPS_RESPONSE_NULL at first and is the caller's to deinit, on failure too.
 */
int https_perform(Https *https, const HttpsRequest *request, HttpsResponse *ret) NODISCARD
        NONNULL(1, 2, 3);
void https_response_deinit(HttpsResponse *response) NONNULL(1);
/* Base URL (a "/" at its end does not count) and a path that begins with "/". */
int https_url(Buf *ret, const char *base_url, const char *path) NODISCARD NONNULL(1, 2, 3);
/* Whether "Name: value" can be sent as one header line: no control characters, ASCII alone. */
bool https_header_is_valid(Slice header);

DEFINE_CLEANUP(Https *, https_free);
