#pragma once
/*
 * Puts the credential of a grant into the one place of a request that its policy names. Bytes in,
 * bytes out: no descriptor, no clock, no state between two calls.
 *
 * The session's process wrote SLOT_MARKER where it found the handle. Nothing it says is believed: the
 * marker stands exactly once in the whole request (method, host, path, query, names and values of
 * headers), and there in the slot's place and form, or the request is refused; or it stands nowhere,
 * and then no credential is used. A marker in the body is looked for in a form alone, where the slot
 * is one.
 *
 * What a credential is made of is checked once, at the grant (inject_check_credential()): printable
 * ASCII, so that none can end a line, a header or a form field, and what scrub.h promises holds. What
 * goes into a target or a form is percent-encoded but for RFC 3986's unreserved characters.
 */
#include "base/buf.h"
#include "base/secret.h"
#include "wire/msg_egress.h"

/* The limits of a credential. A shorter one would be found in ordinary text by the scrubber, and is soon
 * guessed; a longer one fits into no header, encoded. */
#define INJECT_CREDENTIAL_MIN 8U
#define INJECT_CREDENTIAL_MAX 8192U
/* "Basic USER:\x01": of the USER, which the sandbox chooses. */
#define INJECT_USER_MAX 256U
/* A body that has to be had whole before the head can be written: of a form the session buffers as much,
 * a request to AWS without a hash of its payload is one of the query APIs, which are small. */
#define INJECT_FORM_MAX (64U * 1024U)
#define INJECT_SIGNED_BODY_MAX (1024U * 1024U)

/* Why a request cannot be sent. Each has a status, a word and a sentence. */
typedef enum InjectError {
        _INJECT_E_SUCCESS,
        INJECT_E_REQUEST,    /* 400 malformed: what a canonical request does not have, control characters */
        INJECT_E_PLACE,      /* 403 handle-place: a handle outside of the slot, or twice */
        INJECT_E_FORM,       /* 403 handle-form: in the slot, but not in a form that the slot has */
        INJECT_E_USER,       /* 403 handle-form: the user of a Basic slot cannot stand there */
        INJECT_E_CREDENTIAL, /* 403 credential: there is none (revoked, or not for this host), or this one
                                cannot stand in this place */
        INJECT_E_TOO_LONG,   /* 431 too-long: with the credential it is longer than a limit */
        INJECT_E_BODY,       /* 413 body: it had to be had whole, and is too large for that */
        INJECT_E_SCOPE,      /* 403 signature: SigV4 of a kind that is not signed anew: another algorithm,
                                a malformed scope, presigned, chunks that are signed each */
        INJECT_E_DATE,       /* 403 clock: the request's date is too far from now */
        _INJECT_E_N,
} InjectError;

typedef struct InjectErrorInfo {
        unsigned status;
        const char *reason;   /* a word, for x-mcpcred-reason */
        const char *sentence; /* names no byte of the request and none of the credential */
} InjectErrorInfo;
/* Never NULL. */
const InjectErrorInfo *inject_error_info(int error);

/* At the grant: may this credential be used in this slot at all? INJECT_E_CREDENTIAL. */
int inject_check_credential(SlotKind slot, Slice credential) NODISCARD;

/* What of the credential is secret, for scrub_new(): the whole, or secret key and session token of an AWS
 * credential. Borrowed. Returns how many of the two were written. */
#define INJECT_SECRETS_MAX 2U
size_t inject_secrets(SlotKind slot, Slice credential, Slice out[INJECT_SECRETS_MAX]);

/* Does the head of this request carry the marker? Whether it is well placed is inject_request()'s to say.
 * For the check of the credential's hosts; a form's marker is in its body and not counted. */
bool inject_has_marker(const EgressRequest *request) NONNULL(1);

/*
 * How the request's body is to be treated: asked before inject_request(). What egress takes out of a
 * request (Range, Accept-Encoding) it takes out before that: what is signed is what is there then.
 */
typedef enum InjectBody {
        INJECT_BODY_AS_IS, /* passes, streamed */
        INJECT_BODY_WHOLE, /* to be buffered for inject_request(), which checks, hashes or replaces it */
        INJECT_BODY_FORM,  /* of unknown length: streamed through an InjectForm, sent chunked */
        INJECT_BODY_SCAN,  /* a form too long for the session to have put a marker in: streamed through an
                              InjectForm without a credential, so that its length stays */
} InjectBody;
InjectBody inject_body(const EgressPolicy *policy, const EgressRequest *request) NONNULL(1, 2);
/* How many bytes of it at most; more is INJECT_E_BODY. */
size_t inject_body_max(const EgressPolicy *policy) NONNULL(1);

typedef struct InjectHeader {
        Slice name;
        Slice value;
} InjectHeader;

/* What SigV4 adds beyond what was there: date, payload's hash, session token. */
#define INJECT_HEADERS_MAX (LIMIT_HEADERS + 3U)

/* What to send. Names and values borrow from the request, from the policy, or from the buffers here. */
typedef struct Injection {
        bool used; /* the credential is in: this connection carries it */
        const char *path;
        const char *query; /* NULL: there is none */
        InjectHeader headers[INJECT_HEADERS_MAX];
        size_t n_headers;
        bool has_body; /* a body that was given whole: `body` is what to send, and its length */
        Buf body;
        Buf bytes; /* wiped by injection_deinit() */
} Injection;

typedef struct InjectInput {
        const EgressPolicy *policy;
        const Secret *credential; /* NULL: a marker is INJECT_E_CREDENTIAL */
        const EgressRequest *request;
        uint64_t now;             /* wall time in microseconds, for SigV4 */
        bool whole;               /* `body` is the whole body, as INJECT_BODY_WHOLE asked for */
        Slice body;
} InjectInput;

/* `ret` need not be initialised and is written in any case; injection_deinit() frees it, also after a
 * failure. InjectError, -ENOMEM; -EINVAL where a body was asked for and not given. */
int inject_request(const InjectInput *input, Injection *ret) NODISCARD NONNULL(1, 2);
void injection_deinit(Injection *injection);
