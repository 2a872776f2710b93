#include "wire/schema.h"
#include "base/reader.h"
#include "base/text.h"
#include <stdio.h>

const Schema schema_empty = { "Empty", sizeof(Empty), NULL, 0 };

const char *text_map_get(const TextMap *map, const char *key)
{
        for (size_t i = 0; i < map->n; i++)
                if (strcmp(map->items[i].key, key) == 0)
                        return map->items[i].value;
        return NULL;
}

static void *member(const Field *field, void *body)
{
        return (uint8_t *)body + field->offset;
}

static const void *const_member(const Field *field, const void *body)
{
        return (const uint8_t *)body + field->offset;
}

/* ---- encoding: each field in the table's order is a presence byte, then its value ---- */

static int encode_bytes(Slice bytes, uint32_t max, Buf *out)
{
        int r;

        if (bytes.size > max)
                return -EINVAL;
        r = buf_append_u32(out, (uint32_t)bytes.size);
        return r < 0 ? r : buf_append(out, bytes.data, bytes.size);
}

static int encode_text(const char *text, uint32_t max, Buf *out)
{
        if (!text || !text_is_utf8(slice_text(text)))
                return -EINVAL;
        return encode_bytes(slice_text(text), max, out);
}

static int encode_count(size_t n, uint32_t max, Buf *out)
{
        return n > max ? -EINVAL : buf_append_u32(out, (uint32_t)n);
}

static int encode_texts(const Field *field, const TextList *list, Buf *out)
{
        int r = encode_count(list->n, field->max, out);

        for (size_t i = 0; r == 0 && i < list->n; i++)
                r = encode_text(list->items[i], field->item_max, out);
        return r;
}

static int encode_map(const Field *field, const TextMap *map, Buf *out)
{
        int r = encode_count(map->n, field->max, out);

        for (size_t i = 0; r == 0 && i < map->n; i++) {
                r = encode_text(map->items[i].key, field->item_max, out);
                if (r == 0)
                        r = encode_text(map->items[i].value, field->item_max, out);
        }
        return r;
}

static int encode_records(const Field *field, const RecordList *list, Buf *out)
{
        int r = encode_count(list->n, field->max, out);

        for (size_t i = 0; r == 0 && i < list->n; i++)
                r = schema_encode(field->record, (const uint8_t *)list->items + i * field->record->size, out);
        return r;
}

static uint32_t count_names(const Field *field)
{
        uint32_t n = 0;

        while (field->names[n])
                n++;
        return n;
}

static bool is_present(const Field *field, const void *at)
{
        switch (field->kind) {
        case FIELD_TIME:
                return *(const uint64_t *)at != 0;
        case FIELD_TEXT:
        case FIELD_SECRET:
        case FIELD_RECORD:
                return *(void *const *)at != NULL;
        default:
                return true;
        }
}

static int encode_value(const Field *field, const void *at, Buf *out)
{
        switch (field->kind) {
        case FIELD_BOOL:
                return buf_append_u8(out, *(const bool *)at ? 1 : 0);
        case FIELD_U64:
        case FIELD_TIME:
                return buf_append_u64(out, *(const uint64_t *)at);
        case FIELD_ENUM:
                return *(const uint32_t *)at < count_names(field) ? buf_append_u32(out, *(const uint32_t *)at)
                                                                  : -EINVAL;
        case FIELD_TEXT:
                return encode_text(*(const char *const *)at, field->max, out);
        case FIELD_BYTES:
                return encode_bytes(*(const Slice *)at, field->max, out);
        case FIELD_SECRET:
                return encode_bytes(secret_slice(*(Secret *const *)at), field->max, out);
        case FIELD_TEXTS:
                return encode_texts(field, at, out);
        case FIELD_MAP:
                return encode_map(field, at, out);
        case FIELD_RECORD:
                return schema_encode(field->record, *(const void *const *)at, out);
        case FIELD_RECORDS:
                return encode_records(field, at, out);
        }
        return -EINVAL;
}

int schema_encode(const Schema *schema, const void *body, Buf *out)
{
        for (size_t i = 0; i < schema->n_fields; i++) {
                const Field *field = &schema->fields[i];
                const void *at = const_member(field, body);
                bool present = is_present(field, at);
                int r;

                if (!present && !(field->flags & FIELD_OPTIONAL))
                        return -EINVAL;
                r = buf_append_u8(out, present ? 1 : 0);
                if (r == 0 && present)
                        r = encode_value(field, at, out);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- decoding ---- */

typedef struct Decoder {
        Reader reader;
        Arena *arena;
        Pool *pool;
        SchemaError *error;
        unsigned depth;
} Decoder;

static int decode_record(Decoder *decoder, const Schema *schema, void *body);

static int refuse(Decoder *decoder, const char *reason)
{
        if (decoder->error)
                decoder->error->reason = reason;
        return SCHEMA_E_INVALID;
}

static int decode_bytes(Decoder *decoder, uint32_t max, Slice *ret)
{
        uint32_t size;

        if (reader_u32(&decoder->reader, &size))
                return refuse(decoder, "is cut short");
        if (size > max)
                return refuse(decoder, "is too long");
        return reader_bytes(&decoder->reader, size, ret) ? refuse(decoder, "is cut short") : 0;
}

static int no_space(int r)
{
        return r == -ENOBUFS ? SCHEMA_E_NO_SPACE : r;
}

static int decode_text(Decoder *decoder, uint32_t max, const char **ret)
{
        Slice text;
        int r = decode_bytes(decoder, max, &text);

        if (r)
                return r;
        if (!text_is_utf8(text))
                return refuse(decoder, "is not UTF-8 without NUL");
        return no_space(pool_text(decoder->pool, text, ret));
}

/* Reads how many items follow and allocates them; each takes at least four bytes. */
static int decode_count(Decoder *decoder, uint32_t max, size_t item_size, void **ret_items, size_t *ret_n)
{
        uint32_t n;
        int r;

        if (reader_u32(&decoder->reader, &n))
                return refuse(decoder, "is cut short");
        if (n > max)
                return refuse(decoder, "has too many items");
        r = no_space(pool_alloc(decoder->pool, n * item_size, ret_items));
        if (r == 0)
                *ret_n = n;
        return r;
}

static int decode_texts(Decoder *decoder, const Field *field, TextList *list)
{
        void *items;
        int r = decode_count(decoder, field->max, sizeof(*list->items), &items, &list->n);

        if (r)
                return r;
        list->items = items;
        for (size_t i = 0; r == 0 && i < list->n; i++)
                r = decode_text(decoder, field->item_max, &list->items[i]);
        return r;
}

static int decode_map(Decoder *decoder, const Field *field, TextMap *map)
{
        void *items;
        int r = decode_count(decoder, field->max, sizeof(*map->items), &items, &map->n);

        if (r)
                return r;
        map->items = items;
        for (size_t i = 0; i < map->n; i++) {
                r = decode_text(decoder, field->item_max, &map->items[i].key);
                if (r == 0)
                        r = decode_text(decoder, field->item_max, &map->items[i].value);
                if (r)
                        return r;
                for (size_t k = 0; k < i; k++)
                        if (strcmp(map->items[k].key, map->items[i].key) == 0)
                                return refuse(decoder, "has a key twice");
        }
        return 0;
}

static int decode_records(Decoder *decoder, const Field *field, RecordList *list)
{
        size_t n;
        int r = decode_count(decoder, field->max, field->record->size, &list->items, &n);

        /* Counted one by one, so that what was decoded is cleared if the next fails. */
        for (size_t i = 0; r == 0 && i < n; i++) {
                list->n = i + 1;
                r = decode_record(decoder, field->record, (uint8_t *)list->items + i * field->record->size);
        }
        return r;
}

static int decode_one(Decoder *decoder, const Field *field, void **at)
{
        void *record;
        int r = no_space(pool_alloc(decoder->pool, field->record->size, &record));

        if (r)
                return r;
        *at = record;
        return decode_record(decoder, field->record, record);
}

static int decode_enum(Decoder *decoder, const Field *field, uint32_t *ret)
{
        uint32_t value;

        if (reader_u32(&decoder->reader, &value))
                return refuse(decoder, "is cut short");
        if (value >= count_names(field))
                return refuse(decoder, "is not one of its values");
        *ret = value;
        return 0;
}

static int decode_secret(Decoder *decoder, const Field *field, Secret **ret)
{
        Slice bytes;
        int r = decode_bytes(decoder, field->max, &bytes);

        if (r)
                return r;
        if (!decoder->arena)
                return refuse(decoder, "carries a secret where none is expected");
        r = secret_from_bytes(ret, decoder->arena, bytes);
        return r > 0 ? SCHEMA_E_NO_SPACE : r;
}

static int decode_bool(Decoder *decoder, bool *ret)
{
        uint8_t value;

        if (reader_u8(&decoder->reader, &value) || value > 1)
                return refuse(decoder, "is not a boolean");
        *ret = value == 1;
        return 0;
}

static int decode_u64(Decoder *decoder, const Field *field, uint64_t *ret)
{
        if (reader_u64(&decoder->reader, ret))
                return refuse(decoder, "is cut short");
        /* Zero is how a time is absent, and a message has one spelling. */
        return field->kind == FIELD_TIME && *ret == 0 ? refuse(decoder, "is not a time") : 0;
}

static int decode_value(Decoder *decoder, const Field *field, void *at)
{
        Slice bytes;
        int r;

        switch (field->kind) {
        case FIELD_BOOL:
                return decode_bool(decoder, at);
        case FIELD_U64:
        case FIELD_TIME:
                return decode_u64(decoder, field, at);
        case FIELD_ENUM:
                return decode_enum(decoder, field, at);
        case FIELD_TEXT:
                return decode_text(decoder, field->max, at);
        case FIELD_BYTES:
                r = decode_bytes(decoder, field->max, &bytes);
                /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): set where r is 0 */
                return r ? r : no_space(pool_bytes(decoder->pool, bytes, at));
        case FIELD_SECRET:
                return decode_secret(decoder, field, at);
        case FIELD_TEXTS:
                return decode_texts(decoder, field, at);
        case FIELD_MAP:
                return decode_map(decoder, field, at);
        case FIELD_RECORD:
                return decode_one(decoder, field, at);
        case FIELD_RECORDS:
                return decode_records(decoder, field, at);
        }
        return -EINVAL;
}

static int decode_field(Decoder *decoder, const Field *field, void *body)
{
        bool present = false;
        int r = decode_bool(decoder, &present);

        if (r == 0 && present)
                r = decode_value(decoder, field, member(field, body));
        else if (r == 0 && !(field->flags & FIELD_OPTIONAL))
                r = refuse(decoder, "is missing");
        if (r && decoder->error && !decoder->error->field[0])
                (void)snprintf(decoder->error->field, sizeof(decoder->error->field), "%s", field->name);
        return r;
}

static int decode_record(Decoder *decoder, const Schema *schema, void *body)
{
        int r = 0;

        if (decoder->depth >= SCHEMA_DEPTH_MAX)
                return -EINVAL;
        decoder->depth++;
        for (size_t i = 0; r == 0 && i < schema->n_fields; i++)
                r = decode_field(decoder, &schema->fields[i], body);
        decoder->depth--;
        return r;
}

int schema_decode(const Schema *schema, Slice bytes, Arena *arena, Pool *pool, void *body,
                  SchemaError *error)
{
        Decoder decoder = { .arena = arena, .pool = pool, .error = error };
        int r;

        reader_init(&decoder.reader, bytes);
        memset(body, 0, schema->size);
        if (error)
                *error = (SchemaError){ .reason = "" };
        r = decode_record(&decoder, schema, body);
        if (r == 0 && reader_left(&decoder.reader) > 0)
                r = refuse(&decoder, "has bytes behind its end");
        if (r)
                schema_clear(schema, body);
        return r;
}

void schema_clear(const Schema *schema, void *body)
{
        for (size_t i = 0; i < schema->n_fields; i++) {
                const Field *field = &schema->fields[i];
                void *at = member(field, body);

                if (field->kind == FIELD_SECRET)
                        secret_free(*(Secret **)at);
                else if (field->kind == FIELD_RECORD && *(void **)at)
                        schema_clear(field->record, *(void **)at);
                else if (field->kind == FIELD_RECORDS)
                        for (size_t k = 0; k < ((RecordList *)at)->n; k++)
                                schema_clear(field->record,
                                             (uint8_t *)((RecordList *)at)->items + k * field->record->size);
        }
        memset(body, 0, schema->size);
}
