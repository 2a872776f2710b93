#pragma once
/*
 * The bytes of a sealed file. Pure: no descriptors, no clock; libsodium for what is random.
 *
 *   offset size
 *        0    8  magic "mcpcredS"
 *        8    4  version, 1
 *       12    4  where the key comes from (SealedSource)
 *       16    8  Argon2id operations; 0 with a delivered key
 *       24    8  Argon2id memory in bytes; 0 with a delivered key
 *       32   16  salt
 *       48   16  check: keyed hash of the bytes before it, so that a wrong passphrase can be told
 *                from damage
 *       64    8  generation, one more with each write
 *       72   24  nonce
 *       96   16  plain hash of the bytes before it: damage of the header can be told from a wrong
 *                passphrase
 *      112       ciphertext of the items, and a tag of 16 bytes
 *
 * Integers are little-endian. The cipher is XChaCha20-Poly1305 with all 112 bytes of the header as
 * associated data, so that nothing in the file can be exchanged. Two keys are derived from the
 * master key, one for the cipher and one for the check.
 */
#include "base/buf.h"
#include "base/secret.h"
#include "wire/schema.h"

#define SEALED_HEADER_SIZE 112U
#define SEALED_TAG_SIZE 16U
#define SEALED_KEY_SIZE 32U
/* Items of a store; each is a secret of the broker's, and 64 would be many. */
#define SEALED_ITEMS_MAX 256U
/* What all items take, encoded: three copies of it fit into the role's arena at once. */
#define SEALED_PLAIN_MAX (1024U * 1024U)
#define SEALED_FILE_MAX (SEALED_HEADER_SIZE + SEALED_PLAIN_MAX + SEALED_TAG_SIZE)
/* A delivered key shorter than this is a mistake; `systemd-creds` examples take 32 random bytes. */
#define SEALED_CREDENTIAL_MIN 32U
/* What a file may ask of Argon2id: 512 MiB and 8 passes take about two seconds. */
#define SEALED_OPERATIONS_MAX 8U
#define SEALED_MEMORY_MAX (512U * 1024U * 1024U)

typedef enum SealedSource {
        SEALED_PASSPHRASE = 1, /* Argon2id of a passphrase */
        SEALED_CREDENTIAL = 2, /* keyed by bytes that the service manager delivered */
} SealedSource;

typedef struct SealedHeader {
        uint32_t source; /* SealedSource */
        uint64_t operations;
        uint64_t memory;
        uint8_t salt[16];
        uint8_t check[16];
        uint64_t generation;
        uint8_t nonce[24];
} SealedHeader;

typedef struct SealedItem {
        const char *name;
        Secret *value;
} SealedItem;

typedef struct SealedBody {
        RecordList items; /* SealedItem */
} SealedBody;
extern const Schema schema_sealed_body;

enum {
        _SEALED_E_SUCCESS,
        SEALED_E_DAMAGED,   /* not such a file, cut short, or altered */
        SEALED_E_VERSION,   /* written by a later version */
        SEALED_E_WRONG_KEY, /* the header is whole, and it is of another key */
        SEALED_E_FULL,      /* the items do not fit, or the arena has no room */
};

/* The header of a whole file, or of its first bytes. DAMAGED, VERSION. */
int sealed_parse(SealedHeader *ret, Slice file) NODISCARD NONNULL(1);
/* The master key of a new or a parsed header from a passphrase or a credential. FULL; -ENOMEM when
 * the machine has not the memory that Argon2id takes. */
int sealed_derive(Secret **ret, Arena *arena, const SealedHeader *header, Slice input) NODISCARD
        NONNULL(1, 2, 3);
/* A new file's header: fresh salt, generation 0. `operations` and `memory` are for a passphrase. */
void sealed_header_init(SealedHeader *ret, SealedSource source, uint64_t operations,
                        uint64_t memory) NONNULL(1);
/* Binds a new header to its key. FULL. */
int sealed_bind(SealedHeader *header, Arena *arena, const Secret *master) NODISCARD NONNULL(1, 2, 3);
/* WRONG_KEY, FULL. */
int sealed_check(const SealedHeader *header, Arena *arena, const Secret *master) NODISCARD
        NONNULL(1, 2, 3);
/*
 * Decrypts a whole file whose header was parsed and checked. The names belong to the pool, the
 * values to the body: schema_clear(&schema_sealed_body) frees them. DAMAGED, FULL.
 */
int sealed_open(SealedBody *ret, const SealedHeader *header, Arena *arena, Pool *pool,
                const Secret *master, Slice file) NODISCARD NONNULL(1, 2, 3, 4, 5);
/* Fills an empty buffer with a whole file, under a fresh nonce; the generation is the header's. FULL. */
int sealed_seal(Buf *out, SealedHeader *header, Arena *arena, const Secret *master,
                const SealedBody *body) NODISCARD NONNULL(1, 2, 3, 4, 5);
