#pragma once
/*
 * What protects the state at rest: subkeys of the one root key that the keyring holds. Columns are
 * encrypted with XChaCha20-Poly1305, bound to their table, row and column, so that a value that is
 * moved to another place does not open. Hashes are keyed, so that the state does not tell whether
 * a guessed value was ever seen.
 */
#include "base/buf.h"
#include "base/secret.h"

typedef struct Seal Seal;

#define SEAL_ROOT_SIZE       32U
#define SEAL_HASH_SIZE       32U
#define SEAL_OVERHEAD        41U /* a version byte, the nonce, the tag */
#define SEAL_SHA256_HEX_SIZE 65U
#define SEAL_AUDIT_HASH_SIZE 41U /* "blake2b:", 32 digits and a NUL */

enum {
        _SEAL_E_SUCCESS,
        SEAL_E_ROOT,    /* the root key is not SEAL_ROOT_SIZE bytes */
        SEAL_E_FULL,    /* the arena, or the buffer's cap, has no room */
        SEAL_E_DAMAGED, /* does not decrypt: altered, moved, or of another root key */
        SEAL_E_HEX,     /* not the hex form of a SHA-256 */
};

/* Where a sealed value stands. Texts are borrowed for the call. */
typedef struct SealPlace {
        const char *table;
        const char *row;
        const char *column;
} SealPlace;

/* A fresh root key. SEAL_E_FULL. */
int seal_root_new(Secret **ret, Arena *arena) NODISCARD NONNULL(1, 2);
/* Derives the subkeys into `arena`; the root can be freed afterwards. SEAL_E_ROOT, SEAL_E_FULL. */
int seal_new(Seal **ret, Arena *arena, const Secret *root) NODISCARD NONNULL(1, 2, 3);
/* Wipes. Accepts NULL. */
Seal *seal_free(Seal *seal);

/* Appends the sealed form, SEAL_OVERHEAD bytes more than `plain`. SEAL_E_FULL. */
int seal_encrypt(const Seal *seal, SealPlace place, Slice plain, Buf *out) NODISCARD NONNULL(1, 4);
/* Appends the plain form to a buffer. SEAL_E_DAMAGED, SEAL_E_FULL; nothing is appended then. */
int seal_decrypt(const Seal *seal, SealPlace place, Slice sealed, Buf *out) NODISCARD NONNULL(1, 4);
/* The plain form, straight into the arena. SEAL_E_DAMAGED, SEAL_E_FULL. */
int seal_decrypt_secret(const Seal *seal, SealPlace place, Slice sealed, Arena *arena,
                        Secret **ret) NODISCARD NONNULL(1, 4, 5);

/*
 * What the state keeps of a token: a keyed BLAKE2b-256 of its SHA-256. A token is so found by its
 * value and, in a leak report, by its plain SHA-256. Session secrets are hashed alike.
 */
void seal_token_hash(const Seal *seal, Slice token, uint8_t out[SEAL_HASH_SIZE]) NONNULL(1);
/* The same from the hex SHA-256 (either case) that a report has. SEAL_E_HEX. */
int seal_token_hash_hex(const Seal *seal, const char *sha256_hex,
                        uint8_t out[SEAL_HASH_SIZE]) NODISCARD NONNULL(1, 2);
/* Plain SHA-256 of a token in lower case hex: what goes into Revoke{token_hash}. */
void seal_sha256_hex(Slice token, char out[SEAL_SHA256_HEX_SIZE]);
/* How a sensitive string is written in the audit log: "blake2b:" and 32 hex digits, keyed, of its SHA-256. */
void seal_audit_hash(const Seal *seal, Slice text, char out[SEAL_AUDIT_HASH_SIZE]) NONNULL(1);
/* The same from the hex SHA-256, for who looks for it. SEAL_E_HEX. */
int seal_audit_hash_hex(const Seal *seal, const char *sha256_hex, char out[SEAL_AUDIT_HASH_SIZE]) NODISCARD
        NONNULL(1, 2);

DEFINE_CLEANUP(Seal *, seal_free);
