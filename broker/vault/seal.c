#include "vault/seal.h"
#include "base/text.h"
#include <sodium.h>

#define SEAL_VERSION 1U
#define NONCE_SIZE   crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE     crypto_aead_xchacha20poly1305_ietf_ABYTES

_Static_assert(SEAL_OVERHEAD == 1 + NONCE_SIZE + TAG_SIZE, "header says otherwise");
_Static_assert(SEAL_ROOT_SIZE == crypto_kdf_KEYBYTES, "the root is a key of crypto_kdf");
_Static_assert(SEAL_HASH_SIZE == crypto_hash_sha256_BYTES, "a token's two hashes have one size");

/* One subkey a purpose. Numbers and contexts are part of the format: never reused for another. */
typedef struct SealKeys {
        uint8_t column[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
        uint8_t token[crypto_generichash_KEYBYTES];
        uint8_t audit[crypto_generichash_KEYBYTES];
} SealKeys;

struct Seal {
        Secret *keys; /* holds a SealKeys */
};

static int from_secret(int r)
{
        return r == SECRET_E_FULL || r == SECRET_E_TOO_LONG ? SEAL_E_FULL : error_fold(r);
}

static const SealKeys *seal_keys(const Seal *seal)
{
        return (const SealKeys *)(const void *)secret_slice(seal->keys).data;
}

int seal_root_new(Secret **ret, Arena *arena)
{
        _cleanup_(secret_freep) Secret *root = NULL;
        size_t capacity;
        int r = secret_new(&root, arena, SEAL_ROOT_SIZE);

        if (r)
                return from_secret(r);
        randombytes_buf(secret_buffer(root, &capacity), SEAL_ROOT_SIZE);
        secret_set_size(root, SEAL_ROOT_SIZE);
        *ret = take_ptr(root);
        return 0;
}

int seal_new(Seal **ret, Arena *arena, const Secret *root)
{
        _cleanup_(seal_freep) Seal *seal = NULL;
        const uint8_t *key = secret_slice(root).data;
        SealKeys *keys;
        size_t capacity;
        int r;

        if (secret_size(root) != SEAL_ROOT_SIZE)
                return SEAL_E_ROOT;
        if (sodium_init() < 0)
                return -ENOTRECOVERABLE;
        seal = calloc(1, sizeof(*seal));
        if (!seal)
                return -ENOMEM;
        r = secret_new(&seal->keys, arena, sizeof(*keys));
        if (r)
                return from_secret(r);
        keys = (SealKeys *)(void *)secret_buffer(seal->keys, &capacity);
        secret_set_size(seal->keys, sizeof(*keys));
        /* Cannot fail: sizes are within the function's range. */
        (void)crypto_kdf_derive_from_key(keys->column, sizeof(keys->column), 1, "sealcol_", key);
        (void)crypto_kdf_derive_from_key(keys->token, sizeof(keys->token), 2, "tokhash_", key);
        (void)crypto_kdf_derive_from_key(keys->audit, sizeof(keys->audit), 3, "auditkey", key);
        *ret = take_ptr(seal);
        return 0;
}

Seal *seal_free(Seal *seal)
{
        if (!seal)
                return NULL;
        secret_free(seal->keys);
        free(seal);
        return NULL;
}

/* The associated data: each text with its length before it, so that no two places read the same. */
#define PLACE_MAX 1024U

static int place_encode(SealPlace place, Buf *out)
{
        const char *texts[] = { place.table, place.row, place.column };
        int r = 0;

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++) {
                r = buf_append_u32(out, (uint32_t)strlen(texts[i]));
                if (r == 0)
                        r = buf_append_text(out, texts[i]);
        }
        return r;
}

int seal_encrypt(const Seal *seal, SealPlace place, Slice plain, Buf *out)
{
        _cleanup_(buf_deinit) Buf data = BUF_NULL(PLACE_MAX);
        uint8_t *room;
        int r;

        r = place_encode(place, &data);
        if (r < 0)
                return r;
        if (plain.size > SIZE_MAX - SEAL_OVERHEAD)
                return SEAL_E_FULL;
        r = buf_reserve(out, plain.size + SEAL_OVERHEAD, &room);
        if (r < 0)
                return r == -ENOBUFS ? SEAL_E_FULL : r;
        room[0] = SEAL_VERSION;
        randombytes_buf(room + 1, NONCE_SIZE);
        (void)crypto_aead_xchacha20poly1305_ietf_encrypt(room + 1 + NONCE_SIZE, NULL, plain.data,
                                                         plain.size, data.data, data.size, NULL,
                                                         room + 1, seal_keys(seal)->column);
        buf_commit(out, plain.size + SEAL_OVERHEAD);
        return 0;
}

/* `out` has room for sealed.size - SEAL_OVERHEAD bytes. */
static int seal_open(const Seal *seal, SealPlace place, Slice sealed, uint8_t *out)
{
        _cleanup_(buf_deinit) Buf data = BUF_NULL(PLACE_MAX);
        int r = place_encode(place, &data);

        if (r < 0)
                return r;
        r = crypto_aead_xchacha20poly1305_ietf_decrypt(
                out, NULL, NULL, sealed.data + 1 + NONCE_SIZE, sealed.size - 1 - NONCE_SIZE,
                data.data, data.size, sealed.data + 1, seal_keys(seal)->column);
        return r == 0 ? 0 : SEAL_E_DAMAGED;
}

static bool seal_has_form(Slice sealed)
{
        return sealed.size >= SEAL_OVERHEAD && sealed.data[0] == SEAL_VERSION;
}

int seal_decrypt(const Seal *seal, SealPlace place, Slice sealed, Buf *out)
{
        uint8_t *room;
        int r;

        if (!seal_has_form(sealed))
                return SEAL_E_DAMAGED;
        r = buf_reserve(out, sealed.size - SEAL_OVERHEAD, &room);
        if (r < 0)
                return r == -ENOBUFS ? SEAL_E_FULL : r;
        r = seal_open(seal, place, sealed, room);
        if (r == 0)
                buf_commit(out, sealed.size - SEAL_OVERHEAD);
        return r;
}

int seal_decrypt_secret(const Seal *seal, SealPlace place, Slice sealed, Arena *arena, Secret **ret)
{
        _cleanup_(secret_freep) Secret *plain = NULL;
        size_t capacity;
        int r;

        if (!seal_has_form(sealed))
                return SEAL_E_DAMAGED;
        r = secret_new(&plain, arena, sealed.size - SEAL_OVERHEAD);
        if (r)
                return from_secret(r);
        r = seal_open(seal, place, sealed, secret_buffer(plain, &capacity));
        if (r)
                return r;
        secret_set_size(plain, sealed.size - SEAL_OVERHEAD);
        *ret = take_ptr(plain);
        return 0;
}

/* Cannot fail: sizes are within the function's range. */
static void keyed_hash(const uint8_t key[crypto_generichash_KEYBYTES], Slice bytes, uint8_t *out,
                       size_t size)
{
        (void)crypto_generichash(out, size, bytes.data, bytes.size, key,
                                 crypto_generichash_KEYBYTES);
}

void seal_token_hash(const Seal *seal, Slice token, uint8_t out[SEAL_HASH_SIZE])
{
        uint8_t plain[crypto_hash_sha256_BYTES];

        (void)crypto_hash_sha256(plain, token.data, token.size);
        keyed_hash(seal_keys(seal)->token, slice(plain, sizeof(plain)), out, SEAL_HASH_SIZE);
        sodium_memzero(plain, sizeof(plain));
}

static bool read_sha256(const char *hex, uint8_t out[crypto_hash_sha256_BYTES])
{
        size_t size;

        return strlen(hex) == 2 * crypto_hash_sha256_BYTES &&
               sodium_hex2bin(out, crypto_hash_sha256_BYTES, hex, 2 * crypto_hash_sha256_BYTES, NULL, &size, NULL) == 0 &&
               size == crypto_hash_sha256_BYTES;
}

int seal_token_hash_hex(const Seal *seal, const char *sha256_hex, uint8_t out[SEAL_HASH_SIZE])
{
        uint8_t plain[crypto_hash_sha256_BYTES];

        if (!read_sha256(sha256_hex, plain))
                return SEAL_E_HEX;
        keyed_hash(seal_keys(seal)->token, slice(plain, sizeof(plain)), out, SEAL_HASH_SIZE);
        return 0;
}

void seal_sha256_hex(Slice token, char out[SEAL_SHA256_HEX_SIZE])
{
        uint8_t plain[crypto_hash_sha256_BYTES];

        (void)crypto_hash_sha256(plain, token.data, token.size);
        text_hex(slice(plain, sizeof(plain)), out);
        sodium_memzero(plain, sizeof(plain));
}

static void write_audit_hash(const Seal *seal, const uint8_t plain[crypto_hash_sha256_BYTES],
                             char out[SEAL_AUDIT_HASH_SIZE])
{
        static const char prefix[] = "blake2b:";
        uint8_t hash[16];

        keyed_hash(seal_keys(seal)->audit, slice(plain, crypto_hash_sha256_BYTES), hash, sizeof(hash));
        memcpy(out, prefix, sizeof(prefix) - 1);
        text_hex(slice(hash, sizeof(hash)), out + sizeof(prefix) - 1);
}

void seal_audit_hash(const Seal *seal, Slice text, char out[SEAL_AUDIT_HASH_SIZE])
{
        uint8_t plain[crypto_hash_sha256_BYTES];

        (void)crypto_hash_sha256(plain, text.data, text.size);
        write_audit_hash(seal, plain, out);
        sodium_memzero(plain, sizeof(plain));
}

int seal_audit_hash_hex(const Seal *seal, const char *sha256_hex, char out[SEAL_AUDIT_HASH_SIZE])
{
        uint8_t plain[crypto_hash_sha256_BYTES];

        if (!read_sha256(sha256_hex, plain))
                return SEAL_E_HEX;
        write_audit_hash(seal, plain, out);
        return 0;
}
