#pragma once
/* The signature of GitHub's and GitLab's secret scanning partner programmes: ECDSA on P-256 with SHA-256, over the
 * body byte for byte. */
#include "leak_text.h"

#define LEAK_KEYS_MAX (1024U * 1024U)

enum {
        _LEAK_SIGNATURE_E_SUCCESS,
        LEAK_SIGNATURE_E_FORGED,  /* it is not the signature of these bytes by that key */
        LEAK_SIGNATURE_E_NO_KEY,  /* there is no key of that name among them */
        LEAK_SIGNATURE_E_KEYS,    /* they are not what GET /meta/public_keys/secret_scanning answers */
        LEAK_SIGNATURE_E_KEY_KIND, /* the key is not one on P-256, or is damaged */
};

/*
 * `keys` is {"public_keys":[{"key_identifier","key","is_current"}]} with keys in PEM; one that is not current any more
 * counts as long as it is listed. `signature` is DER in Base64. 0 if it is good.
 */
int leak_signature_check(LeakText body, LeakText keys, const char *key_id, const char *signature);
