#include "keyring/sealed_format.h"
#include "base/reader.h"
#include "wire/field.h"
#include <sodium.h>

#define MAGIC "mcpcredS"
#define MAGIC_SIZE 8U
#define VERSION 1U
/* The header without what follows it: what the check is made over, and the hash. */
#define CHECKED_SIZE 48U
#define HASHED_SIZE 96U
#define HASH_SIZE 16U

/* Of libsodium's key derivation: eight bytes that keep these keys apart from any others. */
#define KDF_CONTEXT "mcpsealf"
#define KEY_CIPHER 1U
#define KEY_CHECK 2U
/* Sixteen bytes, for the same reason. */
#define CREDENTIAL_PERSONAL "mcpcred-file-key"

static const Field sealed_item_fields[] = {
        F(SealedItem, name, TEXT, 0, LIMIT_NAME, 0),
        F(SealedItem, value, SECRET, 0, SECRET_MAX, 0),
};
static SCHEMA(sealed_item, "SealedItem", SealedItem);

static const Field schema_sealed_body_fields[] = {
        F_RECORDS(SealedBody, items, 0, SEALED_ITEMS_MAX, sealed_item),
};
SCHEMA(schema_sealed_body, "SealedBody", SealedBody);

_Static_assert(sizeof(((SealedHeader *)0)->salt) == crypto_pwhash_SALTBYTES, "salt of Argon2id");
_Static_assert(sizeof(((SealedHeader *)0)->salt) == crypto_generichash_blake2b_SALTBYTES, "salt of BLAKE2b");
_Static_assert(sizeof(((SealedHeader *)0)->nonce) == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(SEALED_TAG_SIZE == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag");
_Static_assert(SEALED_KEY_SIZE == crypto_kdf_KEYBYTES, "master key");
_Static_assert(SEALED_KEY_SIZE == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "cipher key");
_Static_assert(sizeof(KDF_CONTEXT) == crypto_kdf_CONTEXTBYTES + 1, "context");
_Static_assert(sizeof(CREDENTIAL_PERSONAL) == crypto_generichash_blake2b_PERSONALBYTES + 1, "personal");

/* ---- the header ---- */

static void hash_header(const uint8_t *bytes, uint8_t hash[HASH_SIZE])
{
        (void)crypto_generichash(hash, HASH_SIZE, bytes, HASHED_SIZE, NULL, 0);
}

/* The sources and costs that this version writes, and no others. */
static bool costs_are_valid(const SealedHeader *header)
{
        if (header->source == SEALED_CREDENTIAL)
                return header->operations == 0 && header->memory == 0;
        return header->source == SEALED_PASSPHRASE &&
               header->operations >= crypto_pwhash_OPSLIMIT_MIN &&
               header->operations <= SEALED_OPERATIONS_MAX &&
               header->memory >= crypto_pwhash_MEMLIMIT_MIN && header->memory <= SEALED_MEMORY_MAX;
}

static void copy_bytes(Reader *reader, uint8_t *to, size_t size)
{
        Slice bytes;

        if (reader_bytes(reader, size, &bytes) == 0)
                memcpy(to, bytes.data, size);
}

int sealed_parse(SealedHeader *ret, Slice file)
{
        SealedHeader header = { 0 };
        uint8_t hash[HASH_SIZE];
        uint32_t version;
        Reader reader;
        Slice magic;

        if (file.size < SEALED_HEADER_SIZE)
                return SEALED_E_DAMAGED;
        reader_init(&reader, file);
        if (reader_bytes(&reader, MAGIC_SIZE, &magic) || !slice_is_text(magic, MAGIC))
                return SEALED_E_DAMAGED;
        hash_header(file.data, hash);
        if (sodium_memcmp(hash, file.data + HASHED_SIZE, HASH_SIZE) != 0)
                return SEALED_E_DAMAGED;
        if (reader_u32(&reader, &version))
                return SEALED_E_DAMAGED;
        if (version != VERSION)
                return SEALED_E_VERSION;
        if (reader_u32(&reader, &header.source) || reader_u64(&reader, &header.operations) ||
            reader_u64(&reader, &header.memory))
                return SEALED_E_DAMAGED;
        copy_bytes(&reader, header.salt, sizeof(header.salt));
        copy_bytes(&reader, header.check, sizeof(header.check));
        if (reader_u64(&reader, &header.generation))
                return SEALED_E_DAMAGED;
        copy_bytes(&reader, header.nonce, sizeof(header.nonce));
        if (!costs_are_valid(&header))
                return SEALED_E_DAMAGED;
        *ret = header;
        return 0;
}

/* The first 48 bytes: what the key was made with. */
static int append_checked(Buf *out, const SealedHeader *header)
{
        int r = buf_append(out, MAGIC, MAGIC_SIZE);

        if (r == 0)
                r = buf_append_u32(out, VERSION);
        if (r == 0)
                r = buf_append_u32(out, header->source);
        if (r == 0)
                r = buf_append_u64(out, header->operations);
        if (r == 0)
                r = buf_append_u64(out, header->memory);
        return r == 0 ? buf_append(out, header->salt, sizeof(header->salt)) : r;
}

static int append_header(Buf *out, const SealedHeader *header)
{
        uint8_t hash[HASH_SIZE];
        int r = append_checked(out, header);

        if (r == 0)
                r = buf_append(out, header->check, sizeof(header->check));
        if (r == 0)
                r = buf_append_u64(out, header->generation);
        if (r == 0)
                r = buf_append(out, header->nonce, sizeof(header->nonce));
        if (r < 0)
                return r;
        hash_header(out->data, hash);
        return buf_append(out, hash, sizeof(hash));
}

void sealed_header_init(SealedHeader *ret, SealedSource source, uint64_t operations, uint64_t memory)
{
        *ret = (SealedHeader){ .source = source };
        if (source == SEALED_PASSPHRASE) {
                ret->operations = operations;
                ret->memory = memory;
        }
        randombytes_buf(ret->salt, sizeof(ret->salt));
}

/* ---- keys ---- */

static int fold_secret(int r)
{
        return r > 0 ? SEALED_E_FULL : r;
}

static int new_key(Secret **ret, Arena *arena, uint8_t **ret_bytes)
{
        size_t capacity;
        int r = secret_new(ret, arena, SEALED_KEY_SIZE);

        if (r)
                return fold_secret(r);
        *ret_bytes = secret_buffer(*ret, &capacity);
        secret_set_size(*ret, SEALED_KEY_SIZE);
        return 0;
}

int sealed_derive(Secret **ret, Arena *arena, const SealedHeader *header, Slice input)
{
        _cleanup_(secret_freep) Secret *key = NULL;
        uint8_t *bytes;
        int r = new_key(&key, arena, &bytes);

        if (r)
                return r;
        if (header->source == SEALED_CREDENTIAL)
                r = crypto_generichash_blake2b_salt_personal(bytes, SEALED_KEY_SIZE, input.data, input.size,
                                                             NULL, 0, header->salt,
                                                             (const uint8_t *)CREDENTIAL_PERSONAL);
        else
                r = crypto_pwhash(bytes, SEALED_KEY_SIZE, (const char *)input.data, input.size, header->salt,
                                  header->operations, (size_t)header->memory, crypto_pwhash_ALG_ARGON2ID13);
        if (r != 0)
                return -ENOMEM;
        *ret = take_ptr(key);
        return 0;
}

static int subkey(Secret **ret, Arena *arena, const Secret *master, uint64_t id)
{
        uint8_t *bytes;
        int r;

        if (secret_size(master) != SEALED_KEY_SIZE)
                return SEALED_E_WRONG_KEY;
        r = new_key(ret, arena, &bytes);
        if (r == 0)
                (void)crypto_kdf_derive_from_key(bytes, SEALED_KEY_SIZE, id, KDF_CONTEXT,
                                                 secret_slice(master).data);
        return r;
}

static int make_check(const SealedHeader *header, Arena *arena, const Secret *master, uint8_t check[16])
{
        _cleanup_(secret_freep) Secret *key = NULL;
        Buf bytes = BUF_NULL(CHECKED_SIZE);
        int r = subkey(&key, arena, master, KEY_CHECK);

        if (r == 0)
                r = append_checked(&bytes, header);
        if (r == 0)
                (void)crypto_generichash(check, sizeof(header->check), bytes.data, bytes.size,
                                         secret_slice(key).data, SEALED_KEY_SIZE);
        buf_deinit(&bytes);
        return r;
}

int sealed_bind(SealedHeader *header, Arena *arena, const Secret *master)
{
        return make_check(header, arena, master, header->check);
}

int sealed_check(const SealedHeader *header, Arena *arena, const Secret *master)
{
        uint8_t check[sizeof(header->check)];
        int r = make_check(header, arena, master, check);

        if (r)
                return r;
        return crypto_verify_16(check, header->check) == 0 ? 0 : SEALED_E_WRONG_KEY;
}

/* ---- the items ---- */

static int decode_plain(SealedBody *ret, Arena *arena, Pool *pool, Slice plain)
{
        int r = schema_decode(&schema_sealed_body, plain, arena, pool, ret, NULL);

        return r == SCHEMA_E_NO_SPACE ? SEALED_E_FULL : r > 0 ? SEALED_E_DAMAGED : r;
}

int sealed_open(SealedBody *ret, const SealedHeader *header, Arena *arena, Pool *pool, const Secret *master,
                Slice file)
{
        _cleanup_(secret_freep) Secret *key = NULL;
        unsigned long long size;
        size_t capacity;
        void *plain;
        int r;

        if (file.size < SEALED_HEADER_SIZE + SEALED_TAG_SIZE || file.size > SEALED_FILE_MAX)
                return SEALED_E_DAMAGED;
        r = subkey(&key, arena, master, KEY_CIPHER);
        if (r)
                return r;
        capacity = file.size - SEALED_HEADER_SIZE - SEALED_TAG_SIZE;
        r = arena_alloc(arena, capacity, &plain);
        if (r)
                return fold_secret(r);
        r = crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &size, NULL, file.data + SEALED_HEADER_SIZE,
                                                       file.size - SEALED_HEADER_SIZE, file.data,
                                                       SEALED_HEADER_SIZE, header->nonce,
                                                       secret_slice(key).data);
        r = r == 0 ? decode_plain(ret, arena, pool, slice(plain, (size_t)size)) : SEALED_E_DAMAGED;
        arena_release(arena, plain, capacity);
        return r;
}

/* As schema.h encodes it: a presence byte a field, four bytes before each length and count. */
static size_t plain_size(const SealedBody *body)
{
        const SealedItem *items = body->items.items;
        size_t size = 5;

        for (size_t i = 0; i < body->items.n; i++)
                size += 10 + strlen(items[i].name) + secret_size(items[i].value);
        return size;
}

static int encrypt(Buf *out, const SealedHeader *header, Arena *arena, const Secret *master, Slice plain)
{
        _cleanup_(secret_freep) Secret *key = NULL;
        unsigned long long size;
        uint8_t *room;
        int r = subkey(&key, arena, master, KEY_CIPHER);

        if (r == 0)
                r = append_header(out, header);
        if (r == 0)
                r = buf_reserve(out, plain.size + SEALED_TAG_SIZE, &room);
        if (r)
                return r;
        (void)crypto_aead_xchacha20poly1305_ietf_encrypt(room, &size, plain.data, plain.size, out->data,
                                                         SEALED_HEADER_SIZE, NULL, header->nonce,
                                                         secret_slice(key).data);
        buf_commit(out, (size_t)size);
        return 0;
}

int sealed_seal(Buf *out, SealedHeader *header, Arena *arena, const Secret *master, const SealedBody *body)
{
        size_t size = plain_size(body);
        /* Never grows, since its cap is what it has: the items stay inside the arena. */
        Buf plain = { .capacity = size, .max = size };
        void *data;
        int r;

        if (size > SEALED_PLAIN_MAX || body->items.n > SEALED_ITEMS_MAX)
                return SEALED_E_FULL;
        r = arena_alloc(arena, size, &data);
        if (r)
                return fold_secret(r);
        plain.data = data;
        randombytes_buf(header->nonce, sizeof(header->nonce));
        r = schema_encode(&schema_sealed_body, body, &plain);
        if (r == 0)
                r = encrypt(out, header, arena, master, buf_slice(&plain));
        arena_release(arena, data, size);
        return r;
}
