#include "leak_signature.h"
#include "leak_json.h"
#include <jansson.h>
#include <mbedtls/ecp.h>
#include <mbedtls/pk.h>
#include <mbedtls/version.h>
#include <sodium.h>
#include <string.h>

/* Two integers of 33 bytes with their headers are 72. */
#define DER_MAX 128U

/* ---- what differs between mbedTLS 2.28 and 3.6 ---- */

static bool is_p256(const mbedtls_pk_context *key)
{
        if (mbedtls_pk_get_type(key) != MBEDTLS_PK_ECKEY)
                return false;
#if MBEDTLS_VERSION_MAJOR >= 3
        return mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*key)) == MBEDTLS_ECP_DP_SECP256R1;
#else
        return mbedtls_pk_ec(*key)->grp.id == MBEDTLS_ECP_DP_SECP256R1;
#endif
}

/* ---- the key ---- */

/* The PEM of the key of that name; NULL with `ret_error`. */
static const char *find_key(const json_t *tree, const char *key_id, int *ret_error)
{
        const json_t *keys = json_object_get(tree, "public_keys");
        const char *found = NULL;

        *ret_error = json_is_array(keys) ? LEAK_SIGNATURE_E_NO_KEY : LEAK_SIGNATURE_E_KEYS;
        for (size_t i = 0; i < json_array_size(keys); i++) {
                const json_t *row = json_array_get(keys, i);
                const char *name = leak_json_string(row, "key_identifier"), *key = leak_json_string(row, "key");

                if (!name || !key) {
                        *ret_error = LEAK_SIGNATURE_E_KEYS;
                        return NULL;
                }
                if (strcmp(name, key_id) != 0)
                        continue;
                if (found) {
                        *ret_error = LEAK_SIGNATURE_E_KEYS; /* which of the two? */
                        return NULL;
                }
                found = key;
        }
        return found;
}

static int verify(mbedtls_pk_context *key, LeakText body, const char *signature)
{
        unsigned char der[DER_MAX], hash[crypto_hash_sha256_BYTES];
        size_t size;

        if (sodium_base642bin(der, sizeof(der), signature, strlen(signature), NULL, &size, NULL,
                              sodium_base64_VARIANT_ORIGINAL) < 0)
                return LEAK_SIGNATURE_E_FORGED;
        (void)crypto_hash_sha256(hash, (const unsigned char *)body.data, body.size);
        return mbedtls_pk_verify(key, MBEDTLS_MD_SHA256, hash, sizeof(hash), der, size) == 0 ? 0
                                                                                             : LEAK_SIGNATURE_E_FORGED;
}

static int check_with(const char *pem, LeakText body, const char *signature)
{
        mbedtls_pk_context key;
        int r = LEAK_SIGNATURE_E_KEY_KIND;

        mbedtls_pk_init(&key);
        if (strncmp(pem, "-----BEGIN PUBLIC KEY-----", 26) == 0 &&
            mbedtls_pk_parse_public_key(&key, (const unsigned char *)pem, strlen(pem) + 1) == 0 && is_p256(&key))
                r = verify(&key, body, signature);
        mbedtls_pk_free(&key);
        return r;
}

int leak_signature_check(LeakText body, LeakText keys, const char *key_id, const char *signature)
{
        json_t *tree = leak_json_parse(keys);
        int r = LEAK_SIGNATURE_E_KEYS;
        const char *pem;

        if (!tree)
                return r;
        pem = find_key(tree, key_id, &r);
        if (pem)
                r = check_with(pem, body, signature);
        json_decref(tree);
        return r;
}
