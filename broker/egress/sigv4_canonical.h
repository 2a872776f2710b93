#pragma once
/*
 * The canonical request of AWS Signature Version 4, of which the signature is made: method, path, query and
 * headers in the one form that both sides come to.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
#include "base/buf.h"
#include "wire/msg_egress.h"

/* Headers of a full size, a target that triples as it is encoded. */
#define SIGV4_CANONICAL_MAX (1024U * 1024U)

typedef struct Sigv4Header {
        Slice name, value; /* borrowed */
} Sigv4Header;

/* The headers to sign, sorted by name; equal ones are in the order in which they came. */
typedef struct Sigv4Headers {
        Sigv4Header items[LIMIT_HEADERS + 4];
        size_t n;
} Sigv4Headers;

/* Adds those of the request that are to be signed and not replaced: Content-Type, Content-MD5, all X-Amz-*, and of
 * `signed_names` ("a;b") those that nobody on the way changes. SIGV4_E_TOO_LONG, SIGV4_E_AUTHORIZATION (a name that
 * is none). */
int sigv4_headers_collect(Sigv4Headers *list, const EgressRequest *request, Slice signed_names) NODISCARD
        NONNULL(1, 2);
/* There is room for four beside those of a request. */
void sigv4_headers_add(Sigv4Headers *list, Slice name, Slice value) NONNULL(1);
/* "a;b", each once. buf_append()'s errors. */
int sigv4_headers_append_names(const Sigv4Headers *list, Buf *out) NODISCARD NONNULL(1, 2);

/* `s3`: the path counts as it is sent, without being normalised or encoded once more. `payload`: what
 * X-Amz-Content-Sha256 says or would. SIGV4_E_TOO_LONG, SIGV4_E_PRESIGNED, buf_append()'s errors. */
int sigv4_canonical_append(const EgressRequest *request, const Sigv4Headers *list, bool s3, const char *payload,
                           Buf *out) NODISCARD NONNULL(1, 2, 4, 5);
