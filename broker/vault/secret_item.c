#include "vault/secret_item.h"
#include "wire/field.h"
#include <sodium.h>

/* What an item of this version begins with. */
static const char prefix[] = "mcpcred1:";
static const char family[] = "mcpcred";

#define PREFIX_LENGTH (sizeof(prefix) - 1)
#define FAMILY_LENGTH (sizeof(family) - 1)
#define BASE64        sodium_base64_VARIANT_ORIGINAL

static const Field schema_secret_binding_fields[] = {
        F(SecretBinding, provider, TEXT, 0, LIMIT_NAME, 0),
        F(SecretBinding, base_url, TEXT, FIELD_OPTIONAL, LIMIT_URL, 0),
        F(SecretBinding, hosts, TEXTS, 0, LIMIT_HOSTS, LIMIT_TEXT),
        F(SecretBinding, parameters, MAP, 0, LIMIT_PARAMETERS, LIMIT_TEXT),
};
static SCHEMA(schema_secret_binding, "SecretBinding", SecretBinding);

static const Field schema_secret_item_fields[] = {
        F_RECORD(SecretItem, binding, 0, schema_secret_binding),
        F(SecretItem, generation, U64, 0, 0, 0),
        F(SecretItem, current, SECRET, 0, SECRET_ITEM_VALUE_MAX, 0),
        F(SecretItem, next, SECRET, FIELD_OPTIONAL, SECRET_ITEM_VALUE_MAX, 0),
        F(SecretItem, previous, SECRET, FIELD_OPTIONAL, SECRET_ITEM_VALUE_MAX, 0),
};
static SCHEMA(schema_secret_item, "SecretItem", SecretItem);

/* The binary form at its largest: binding, three values, and less than 64 bytes around them. */
#define ITEM_MAX (SECRET_ITEM_BINDING_MAX + 3 * SECRET_ITEM_VALUE_MAX + 64U)
#define TEXT_MAX (PREFIX_LENGTH + sodium_base64_ENCODED_LEN(ITEM_MAX, BASE64))
_Static_assert(TEXT_MAX <= SECRET_MAX, "the largest item fits a secret");

int secret_item_check_binding(const SecretBinding *binding)
{
        _cleanup_(buf_deinit) Buf out = BUF_NULL(SECRET_ITEM_BINDING_MAX);
        int r = schema_encode(&schema_secret_binding, binding, &out);

        return r == -ENOBUFS || r == -EINVAL ? SECRET_ITEM_E_TOO_LONG : r;
}

static int check_item(const SecretItem *item)
{
        const Secret *values[] = { item->current, item->next, item->previous };

        if (!item->binding || secret_size(item->current) == 0 || item->generation == 0)
                return -EINVAL;
        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
                if (secret_size(values[i]) > SECRET_ITEM_VALUE_MAX)
                        return SECRET_ITEM_E_TOO_LONG;
                if (values[i] && secret_size(values[i]) == 0)
                        return -EINVAL;
        }
        return secret_item_check_binding(item->binding);
}

int secret_item_encode(const SecretItem *item, Arena *arena, Secret **ret)
{
        _cleanup_(secret_freep) Secret *text = NULL;
        _cleanup_(buf_deinit) Buf plain = BUF_NULL(ITEM_MAX);
        size_t size, capacity;
        uint8_t *out;
        int r = check_item(item);

        if (r)
                return r;
        r = schema_encode(&schema_secret_item, item, &plain);
        if (r < 0)
                return r == -ENOBUFS ? SECRET_ITEM_E_TOO_LONG : r;
        size = sodium_base64_encoded_len(plain.size, BASE64); /* counts a NUL */
        r = secret_new(&text, arena, PREFIX_LENGTH + size);
        if (r)
                return r > 0 ? SECRET_ITEM_E_FULL : r;
        out = secret_buffer(text, &capacity);
        memcpy(out, prefix, PREFIX_LENGTH);
        (void)sodium_bin2base64((char *)out + PREFIX_LENGTH, size, plain.data, plain.size, BASE64);
        secret_set_size(text, PREFIX_LENGTH + size - 1);
        *ret = take_ptr(text);
        return 0;
}

/* The binary form. Only what sodium_bin2base64() writes: no white space, whole quartets, padding,
 * and no stray bits in the last digit. */
static int decode_base64(Slice text, Buf *out)
{
        const char *end;
        uint8_t *room;
        size_t size;
        int r = buf_reserve(out, text.size / 4 * 3 + 3, &room);

        if (r < 0)
                return r == -ENOBUFS ? SECRET_ITEM_E_DAMAGED : r;
        if (sodium_base642bin(room, text.size / 4 * 3 + 3, (const char *)text.data, text.size, NULL,
                              &size, &end, BASE64) != 0 ||
            end != (const char *)text.data + text.size)
                return SECRET_ITEM_E_DAMAGED;
        buf_commit(out, size);
        return 0;
}

static int decode_text(Slice text, Buf *out)
{
        if (text.size < PREFIX_LENGTH || memcmp(text.data, prefix, PREFIX_LENGTH) != 0) {
                size_t at = FAMILY_LENGTH;

                /* "mcpcred" and another number. */
                if (text.size < PREFIX_LENGTH || memcmp(text.data, family, FAMILY_LENGTH) != 0)
                        return SECRET_ITEM_E_DAMAGED;
                while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9')
                        at++;
                return at > FAMILY_LENGTH && at < text.size && text.data[at] == ':' &&
                                       text.data[FAMILY_LENGTH] != '0'
                               ? SECRET_ITEM_E_NEWER
                               : SECRET_ITEM_E_DAMAGED;
        }
        return decode_base64(slice(text.data + PREFIX_LENGTH, text.size - PREFIX_LENGTH), out);
}

int secret_item_decode(const Secret *text, Arena *arena, Pool *pool, SecretItem *ret)
{
        _cleanup_(buf_deinit) Buf plain = BUF_NULL(SECRET_MAX);
        int r;

        *ret = (SecretItem){ 0 };
        r = decode_text(secret_slice(text), &plain);
        if (r)
                return r;
        r = schema_decode(&schema_secret_item, buf_slice(&plain), arena, pool, ret, NULL);
        if (r)
                return r == SCHEMA_E_NO_SPACE ? SECRET_ITEM_E_FULL
                       : r > 0                ? SECRET_ITEM_E_DAMAGED
                                              : r;
        r = check_item(ret);
        if (r) {
                secret_item_clear(ret);
                return r == -ENOMEM ? r : SECRET_ITEM_E_DAMAGED;
        }
        return 0;
}

void secret_item_clear(SecretItem *item)
{
        if (!item)
                return;
        secret_free(item->current);
        secret_free(item->next);
        secret_free(item->previous);
        *item = (SecretItem){ 0 };
}

static bool text_equal(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

bool secret_binding_equal(const SecretBinding *a, const SecretBinding *b)
{
        if (!text_equal(a->provider, b->provider) || !text_equal(a->base_url, b->base_url) ||
            a->hosts.n != b->hosts.n || a->parameters.n != b->parameters.n)
                return false;
        for (size_t i = 0; i < a->hosts.n; i++)
                if (!text_equal(a->hosts.items[i], b->hosts.items[i]))
                        return false;
        for (size_t i = 0; i < a->parameters.n; i++)
                if (!text_equal(a->parameters.items[i].key, b->parameters.items[i].key) ||
                    !text_equal(a->parameters.items[i].value, b->parameters.items[i].value))
                        return false;
        return true;
}
