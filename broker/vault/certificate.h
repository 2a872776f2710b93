#pragma once
/*
 * What a session's side of TLS is made of, once, at its open: a CA that may sign for the session's hosts
 * alone, one leaf with all of them as names, and the leaf's key. The CA's own key is gone when the call
 * returns, so that nobody can sign anything else with it, the broker included.
 */
#include "base/buf.h"
#include "base/secret.h"
#include "wire/schema.h"

/* A leaf and its names have to fit one TLS Certificate message of mbedTLS (16 KiB). */
#define CERTIFICATE_NAMES_MAX (12U * 1024U)
#define CERTIFICATE_SIZE_MAX  (CERTIFICATE_NAMES_MAX + 2048U)

typedef struct CertificateAsk {
        const char *session; /* stands in the CA's name, so that two sessions' are told apart */
        TextList hosts;      /* "host" or "*.suffix", lower case, each once */
        uint64_t now;        /* wall time */
        uint64_t expires;    /* wall time of the session's end */
} CertificateAsk;

typedef struct Certificate {
        Buf ca;      /* PEM */
        Buf leaf;    /* DER */
        Secret *key; /* DER, SEC 1: the leaf's */
} Certificate;

enum {
        _CERTIFICATE_E_SUCCESS,
        CERTIFICATE_E_HOST,     /* none at all, or one that is no host's name */
        CERTIFICATE_E_TOO_MANY, /* the names are longer than CERTIFICATE_NAMES_MAX together */
        CERTIFICATE_E_FULL,     /* the arena has no room */
        CERTIFICATE_E_CRYPTO,   /* mbedTLS failed */
};

int certificate_make(const CertificateAsk *ask, Arena *arena, Certificate *ret) NODISCARD NONNULL(1, 2, 3);
void certificate_deinit(Certificate *certificate) NONNULL(1);
const char *certificate_strerror(int r);
