#pragma once
/* What doctor says of each secret: its age, its expiry, and the rotation that is due, under way, or waits for a
 * person. */
#include "vault/vault.h"

/* Older than this is worth a word where the secret's section says nothing. */
#define SECRET_MAX_AGE_SEC (365U * 86400U)

/* `remedy` may be NULL. */
typedef void (*SecretSay)(void *userdata, DoctorStatus status, const char *id, const char *summary,
                          const char *remedy);

void secret_check_all(Vault *vault, SecretSay say, void *userdata) NONNULL(1, 2);
