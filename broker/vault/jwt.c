#include "vault/jwt.h"
#include "base/clock.h"
#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/version.h>
#include <sodium.h>
#include <stdio.h>

#define BASE64URL     sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define SIGNATURE_MAX (JWT_RSA_BITS_MAX / 8)
/* {"iat":N,"exp":N,"iss":"..."} */
#define CLAIMS_MAX (128U + JWT_ISSUER_MAX)
/* The header and two dots around the rest in base64. */
static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
#define JWT_MAX                                                                                    \
        (sodium_base64_ENCODED_LEN(sizeof(header), BASE64URL) +                                    \
         sodium_base64_ENCODED_LEN(CLAIMS_MAX, BASE64URL) +                                        \
         sodium_base64_ENCODED_LEN(SIGNATURE_MAX, BASE64URL) + 2)
/* DER of a public key with a modulus of JWT_RSA_BITS_MAX. */
#define PUBLIC_DER_MAX (JWT_RSA_BITS_MAX / 8 + 256U)

/* mbedTLS' idea of a random generator. */
static int random_bytes(UNUSED void *context, unsigned char *out, size_t size)
{
        randombytes_buf(out, size);
        return 0;
}

/* ---- what differs between mbedTLS 2.28 and 3.6 ---- */

#if MBEDTLS_VERSION_MAJOR >= 3
static int parse_key(mbedtls_pk_context *key, Slice pem)
{
        return mbedtls_pk_parse_key(key, pem.data, pem.size, NULL, 0, random_bytes, NULL);
}

static int sign_hash(mbedtls_pk_context *key, const uint8_t hash[crypto_hash_sha256_BYTES],
                     uint8_t out[SIGNATURE_MAX], size_t *ret_size)
{
        return mbedtls_pk_sign(key, MBEDTLS_MD_SHA256, hash, crypto_hash_sha256_BYTES, out,
                               SIGNATURE_MAX, ret_size, random_bytes, NULL);
}
#else
static int parse_key(mbedtls_pk_context *key, Slice pem)
{
        return mbedtls_pk_parse_key(key, pem.data, pem.size, NULL, 0);
}

static int sign_hash(mbedtls_pk_context *key, const uint8_t hash[crypto_hash_sha256_BYTES],
                     uint8_t out[SIGNATURE_MAX], size_t *ret_size)
{
        return mbedtls_pk_sign(key, MBEDTLS_MD_SHA256, hash, crypto_hash_sha256_BYTES, out,
                               ret_size, random_bytes, NULL);
}
#endif

/* ---- the key ---- */

static int from_secret(int r)
{
        return r > 0 ? JWT_E_FULL : r;
}

static bool contains(Slice text, const char *what)
{
        return text.data && text.size > 0 &&
               memmem(text.data, text.size, what, strlen(what)) != NULL;
}

static int from_parse(int r, Slice pem)
{
        switch (r) {
        case MBEDTLS_ERR_PK_PASSWORD_REQUIRED:
        case MBEDTLS_ERR_PK_PASSWORD_MISMATCH:
                return JWT_E_ENCRYPTED;
        case MBEDTLS_ERR_PK_ALLOC_FAILED:
                return -ENOMEM;
        case MBEDTLS_ERR_PK_UNKNOWN_PK_ALG:
                return JWT_E_NOT_RSA;
        default:
                /* Some builds cannot read these at all, and must not call them damaged. */
                if (contains(pem, "ENCRYPTED"))
                        return JWT_E_ENCRYPTED;
                return contains(pem, "-----BEGIN EC PRIVATE KEY-----") ||
                                       contains(pem, "-----BEGIN OPENSSH ")
                               ? JWT_E_NOT_RSA
                               : JWT_E_MALFORMED;
        }
}

static int check_key(const mbedtls_pk_context *key)
{
        if (mbedtls_pk_get_type(key) != MBEDTLS_PK_RSA)
                return JWT_E_NOT_RSA;
        if (mbedtls_pk_get_bitlen(key) < JWT_RSA_BITS_MIN)
                return JWT_E_TOO_SHORT;
        if (mbedtls_pk_get_bitlen(key) > JWT_RSA_BITS_MAX)
                return JWT_E_TOO_LONG;
        return mbedtls_rsa_check_privkey(mbedtls_pk_rsa(*key)) == 0 ? 0 : JWT_E_MALFORMED;
}

/* Into a key that is initialised and that the caller frees, which wipes it. */
static int load_key(const Secret *pem, Arena *arena, mbedtls_pk_context *key)
{
        _cleanup_(secret_freep) Secret *text = NULL;
        int r;

        /* DER would be taken too, and so would a PEM with bytes behind a NUL. */
        if (!contains(secret_slice(pem), "-----BEGIN ") ||
            memchr(secret_slice(pem).data, 0, secret_size(pem)))
                return JWT_E_MALFORMED;
        r = secret_new(&text, arena, secret_size(pem) + 1);
        if (r == 0)
                r = secret_append(text, secret_slice(pem));
        if (r == 0)
                r = secret_append(text, slice("", 1)); /* PEM is a string to mbedTLS */
        if (r)
                return from_secret(r);
        r = parse_key(key, secret_slice(text));
        return r ? from_parse(r, secret_slice(pem)) : check_key(key);
}

/* ---- the token ---- */

static bool is_issuer(const char *issuer)
{
        size_t n =
                strspn(issuer, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

        return n > 0 && n <= JWT_ISSUER_MAX && issuer[n] == '\0';
}

/* Behind what the secret has; there is room for it. */
static void append_base64url(Secret *out, Slice bytes)
{
        size_t capacity, at = secret_size(out);
        char *text = (char *)secret_buffer(out, &capacity) + at;

        (void)sodium_bin2base64(text, capacity - at, bytes.data, bytes.size, BASE64URL);
        secret_set_size(out, at + strlen(text));
}

static int append_claims(Secret *out, const char *issuer, uint64_t now)
{
        unsigned long long seconds = now / USEC_PER_SEC;
        char claims[CLAIMS_MAX];

        (void)snprintf(claims, sizeof(claims), "{\"iat\":%llu,\"exp\":%llu,\"iss\":\"%s\"}",
                       seconds - JWT_BACKDATE_SEC, seconds + JWT_LIFETIME_SEC, issuer);
        append_base64url(out, slice_text(header));
        if (secret_append(out, slice_text(".")))
                return JWT_E_FULL;
        append_base64url(out, slice_text(claims));
        return 0;
}

static int append_signature(Secret *out, mbedtls_pk_context *key)
{
        uint8_t hash[crypto_hash_sha256_BYTES], signature[SIGNATURE_MAX];
        Slice signed_part = secret_slice(out);
        size_t size;
        int r;

        (void)crypto_hash_sha256(hash, signed_part.data, signed_part.size);
        if (sign_hash(key, hash, signature, &size) != 0)
                return JWT_E_MALFORMED; /* the numbers of the key do not belong together */
        r = secret_append(out, slice_text("."));
        if (r == 0)
                append_base64url(out, slice(signature, size));
        sodium_memzero(signature, sizeof(signature));
        return r ? JWT_E_FULL : 0;
}

int jwt_sign(const Secret *pem, const char *issuer, uint64_t now, Arena *arena, Secret **ret)
{
        _cleanup_(secret_freep) Secret *token = NULL;
        _cleanup_(mbedtls_pk_free) mbedtls_pk_context key;
        int r;

        mbedtls_pk_init(&key);
        if (!is_issuer(issuer))
                return JWT_E_ISSUER;
        if (now / USEC_PER_SEC < JWT_BACKDATE_SEC)
                return -ERANGE;
        r = load_key(pem, arena, &key);
        if (r)
                return r;
        r = secret_new(&token, arena, JWT_MAX);
        if (r)
                return from_secret(r);
        r = append_claims(token, issuer, now);
        if (r == 0)
                r = append_signature(token, &key);
        if (r == 0)
                *ret = take_ptr(token);
        return r;
}

int jwt_key_fingerprint(const Secret *pem, Arena *arena, char out[JWT_FINGERPRINT_SIZE])
{
        _cleanup_(mbedtls_pk_free) mbedtls_pk_context key;
        uint8_t der[PUBLIC_DER_MAX], hash[crypto_hash_sha256_BYTES];
        int r;

        mbedtls_pk_init(&key);
        r = load_key(pem, arena, &key);
        if (r)
                return r;
        /* Written from the end of the buffer backwards. */
        r = mbedtls_pk_write_pubkey_der(&key, der, sizeof(der));
        if (r <= 0)
                return JWT_E_MALFORMED;
        (void)crypto_hash_sha256(hash, der + (sizeof(der) - (size_t)r), (size_t)r);
        (void)sodium_bin2base64(out, JWT_FINGERPRINT_SIZE, hash, sizeof(hash),
                                sodium_base64_VARIANT_ORIGINAL);
        return 0;
}

const char *jwt_strerror(int r)
{
        static const char *const sentences[] = {
                [JWT_E_MALFORMED] = "it is not a private key in PEM, or it is damaged",
                [JWT_E_ENCRYPTED] = "the key is protected by a passphrase; store it without one",
                [JWT_E_NOT_RSA] = "it is not an RSA key, which a GitHub App needs",
                [JWT_E_TOO_SHORT] = "the key is shorter than 2048 bits",
                [JWT_E_TOO_LONG] = "the key is longer than 8192 bits",
                [JWT_E_ISSUER] = "the app's id is empty or not one",
                [JWT_E_FULL] = "there is no room in locked memory",
        };

        if (r <= 0 || r >= (int)ARRAY_SIZE(sentences))
                return "the key cannot be used";
        return sentences[r];
}
