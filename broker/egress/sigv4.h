#pragma once
/*
 * AWS Signature Version 4, anew: the sandbox signed with a handle in the place of the access key id and
 * with a secret that is none; what goes out is signed with the real key. Canonicaliser of our own,
 * SHA-256 and HMAC of libsodium.
 *
 * Of what the client said are kept: region and service of its scope; X-Amz-Date, if it is within
 * SIGV4_SKEW_SEC of now; X-Amz-Content-Sha256, if it is a hash, UNSIGNED-PAYLOAD or
 * STREAMING-UNSIGNED-PAYLOAD-TRAILER (whose chunks carry no signature, so that nothing in the body would
 * have to be signed anew). All others of STREAMING-* are refused, and so is what is signed in its query.
 *
 * Signed are Host, Content-Type, Content-MD5, all X-Amz-*, and of the client's SignedHeaders those that
 * are still there and that nobody on the way changes. Signing more than the client did is never wrong.
 */
#include "base/buf.h"
#include "base/secret.h"
#include "wire/msg_egress.h"

#define SIGV4_SKEW_SEC (15U * 60U) /* what AWS itself takes */
#define SIGV4_NAME_MAX 64U         /* of a region, and of a service */
#define SIGV4_HASH_SIZE 65U        /* in hex, with a NUL; also the longest literal in its place */
#define SIGV4_DATE_SIZE 17U        /* "20150830T123600Z" and a NUL */

enum {
        _SIGV4_E_SUCCESS,
        SIGV4_E_CREDENTIAL,    /* not "AKID:SECRET" or "AKID:SECRET:SESSION-TOKEN" */
        SIGV4_E_AUTHORIZATION, /* not AWS4-HMAC-SHA256 with marker, scope and signed headers; or
                              a header to be signed has a name that is none */
        SIGV4_E_SCOPE,         /* date, region or service is not of its form, or the date is another one */
        SIGV4_E_DATE,          /* X-Amz-Date is malformed, or too far from now */
        SIGV4_E_PRESIGNED,     /* there is a signature in the query */
        SIGV4_E_PAYLOAD,       /* X-Amz-Content-Sha256 is STREAMING-*, or nothing that we know */
        SIGV4_E_TWICE,         /* a header that we replace is there twice */
        SIGV4_E_BODY,          /* the body is needed for its hash and was not given */
        SIGV4_E_TOO_LONG,      /* one of the limits of wire/msg_egress.h */
};

typedef struct Sigv4Credential {
        Slice id;     /* [A-Za-z0-9_]{8,128} */
        Slice secret; /* [A-Za-z0-9/+=]{8,} */
        Slice token;  /* empty: none */
} Sigv4Credential;

/* Borrowed from the credential. SIGV4_E_CREDENTIAL. */
int sigv4_parse_credential(Slice credential, Sigv4Credential *ret) NODISCARD NONNULL(2);

/* Must the body be had whole, for its hash? Not when there is none, or when the client told the hash. */
bool sigv4_needs_body(const EgressRequest *request) NONNULL(1);

/* What stands in the place of the headers authorization, x-amz-date, x-amz-content-sha256 and
 * x-amz-security-token, each of which is dropped from the request. */
typedef struct Sigv4 {
        Buf authorization;
        Buf query;     /* the one to send: as it was but for "+", which is "%20" here; NUL-terminated */
        Buf canonical; /* the canonical request, which tests look at. It holds the session token. */
        char date[SIGV4_DATE_SIZE];
        char payload[SIGV4_HASH_SIZE];
        bool send_payload; /* X-Amz-Content-Sha256 is to be sent */
        Slice token;       /* of the credential; empty: none is to be sent */
} Sigv4;

/*
 * `ret` need not be initialised and is written in any case; sigv4_deinit() wipes it. `now` in microseconds
 * of wall time. `body` may be NULL where sigv4_needs_body() says no. SIGV4_E_*, -ENOMEM.
 */
int sigv4_sign(const EgressRequest *request, const Sigv4Credential *credential, uint64_t now, const Slice *body,
               Sigv4 *ret) NODISCARD NONNULL(1, 2, 5);
void sigv4_deinit(Sigv4 *signed_request);
