#pragma once
/*
 * The proof that a GitHub App shows: a JWT, signed here with RS256, so that the key never leaves
 * the vault. The algorithm is fixed. The parsed key lives for the length of one call and is wiped.
 * Signing takes about 2 ms with 2048 bits.
 */
#include "base/secret.h"

/* GitHub allows 600 s from iat to exp. A JWT is used at once, so it gets a minute; iat is set back
 * as GitHub recommends, for clocks that are ahead of its own. */
#define JWT_LIFETIME_SEC 60U
#define JWT_BACKDATE_SEC 60U
#define JWT_ISSUER_MAX   64U
#define JWT_RSA_BITS_MIN 2048U
#define JWT_RSA_BITS_MAX 8192U /* what mbedTLS computes with */
/* Base64 of 32 bytes and a NUL. */
#define JWT_FINGERPRINT_SIZE 45U

enum {
        _JWT_E_SUCCESS,
        JWT_E_MALFORMED, /* not a private key in PEM, or a damaged one */
        JWT_E_ENCRYPTED, /* protected by a passphrase */
        JWT_E_NOT_RSA,
        JWT_E_TOO_SHORT, /* below JWT_RSA_BITS_MIN */
        JWT_E_TOO_LONG,  /* above JWT_RSA_BITS_MAX */
        JWT_E_ISSUER,    /* empty, too long, or not [A-Za-z0-9._-] */
        JWT_E_FULL,      /* the arena has no room */
};

/* Signs for `issuer`, the app's or client id. `pem` is PKCS#1 or PKCS#8. `now` is wall time in
 * microseconds. */
int jwt_sign(const Secret *pem, const char *issuer, uint64_t now, Arena *arena,
             Secret **ret) NODISCARD NONNULL(1, 2, 4, 5);
/* Base64 of the SHA-256 of the public key's SubjectPublicKeyInfo: what GitHub shows beside a key.
 * Also the check of a key that is about to be stored. */
int jwt_key_fingerprint(const Secret *pem, Arena *arena, char out[JWT_FINGERPRINT_SIZE]) NODISCARD
        NONNULL(1, 2);
/* A sentence for a positive code. */
const char *jwt_strerror(int r);
