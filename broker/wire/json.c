#include "wire/json.h"
#include "base/clock.h"
#include "base/text.h"
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>

/* ---- jansson's memory: a header keeps the size, so that freeing can wipe ---- */

typedef union Block {
        size_t size;
        max_align_t align;
} Block;

static void *wiping_malloc(size_t size)
{
        Block *block;

        if (size > SIZE_MAX - sizeof(*block))
                return NULL;
        block = malloc(sizeof(*block) + size);
        if (!block)
                return NULL;
        block->size = size;
        return block + 1;
}

static void wiping_free(void *data)
{
        Block *block = data;

        if (!block)
                return;
        block--;
        sodium_memzero(block, sizeof(*block) + block->size);
        free(block);
}

int json_setup(void)
{
        size_t seed;

        if (sodium_init() < 0)
                return -ENOSYS;
        randombytes_buf(&seed, sizeof(seed));
        json_set_alloc_funcs(wiping_malloc, wiping_free);
        json_object_seed(seed | 1); /* 0 would make it read a device */
        return 0;
}

/* ---- parsing ---- */

static int refuse_whole(SchemaError *error, const char *reason)
{
        *error = (SchemaError){ .reason = reason };
        return SCHEMA_E_INVALID;
}

/* Whether brackets outside of strings nest deeper than the limit. Tells nothing about validity. */
static bool is_too_deep(Slice text)
{
        unsigned depth = 0;
        bool quoted = false;

        for (size_t i = 0; i < text.size; i++) {
                uint8_t c = text.data[i];

                if (quoted && c == '\\') {
                        i++;
                } else if (c == '"') {
                        quoted = !quoted;
                } else if (!quoted && (c == '{' || c == '[')) {
                        if (++depth > JSON_DEPTH_MAX)
                                return true;
                } else if (!quoted && (c == '}' || c == ']') && depth > 0) {
                        depth--;
                }
        }
        return false;
}

static const char *parse_reason(const json_error_t *error)
{
        switch (json_error_code(error)) {
        case json_error_duplicate_key:
                return "has a key twice";
        case json_error_null_character:
        case json_error_null_byte_in_key:
                return "contains a NUL character";
        case json_error_numeric_overflow:
                return "has a number that is too large";
        case json_error_premature_end_of_input:
                return "is cut short";
        case json_error_end_of_input_expected:
                return "has bytes behind its end";
        default:
                return "is not JSON";
        }
}

int json_parse(struct json_t **ret, Slice text, size_t max, SchemaError *error)
{
        json_error_t why;
        json_t *tree;

        *error = (SchemaError){ .reason = "" };
        if (text.size > max)
                return refuse_whole(error, "is too long");
        if (!text_is_utf8(text))
                return refuse_whole(error, "is not UTF-8 without NUL");
        if (is_too_deep(text))
                return refuse_whole(error, "is nested too deeply");
        tree = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &why);
        if (!tree)
                return json_error_code(&why) == json_error_out_of_memory ? -ENOMEM
                                                                         : refuse_whole(error, parse_reason(&why));
        if (!json_is_object(tree)) {
                json_decref(tree);
                return refuse_whole(error, "is not an object");
        }
        *ret = tree;
        return 0;
}

void json_release(struct json_t **tree)
{
        json_decref(*tree); /* accepts NULL */
        *tree = NULL;
}

/* ---- reading a tree by a schema ---- */

typedef struct JsonReader {
        Arena *arena;
        Pool *pool;
        SchemaError *error;
        size_t path; /* bytes in use of error->field, which is built while going down */
        unsigned flags;
        unsigned depth;
} JsonReader;

static int read_record(JsonReader *reader, const Schema *schema, const json_t *tree, void *body);

static int refuse(JsonReader *reader, const char *reason)
{
        reader->error->reason = reason;
        return SCHEMA_E_INVALID;
}

static int no_space(int r)
{
        return r == -ENOBUFS ? SCHEMA_E_NO_SPACE : r;
}

/*
 * Goes one name down, and says where from. What a peer called its field is shown in plain letters
 * alone, and what does not fit is dropped: the path goes into messages and logs.
 */
static size_t push_name(JsonReader *reader, const char *name)
{
        size_t from = reader->path, size = sizeof(reader->error->field);

        if (reader->path > 0 && reader->path + 1 < size)
                reader->error->field[reader->path++] = '.';
        for (; *name && reader->path + 1 < size; name++) {
                bool plain = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
                             (*name >= '0' && *name <= '9') || *name == '_' || *name == '-';

                reader->error->field[reader->path++] = plain ? *name : '?';
        }
        reader->error->field[reader->path] = '\0';
        return from;
}

static size_t push_index(JsonReader *reader, size_t i)
{
        size_t from = reader->path, size = sizeof(reader->error->field);
        int n = snprintf(reader->error->field + from, size - from, "[%zu]", i);

        reader->path = MIN(from + (size_t)MAX(n, 0), size - 1);
        return from;
}

/* The path is left as it is on failure, for that is where it happened. */
static void pop(JsonReader *reader, size_t from)
{
        reader->path = from;
        reader->error->field[from] = '\0';
}

static int read_text(JsonReader *reader, const json_t *tree, uint32_t max, const char **ret)
{
        Slice text;

        if (!json_is_string(tree))
                return refuse(reader, "is not a string");
        text = slice(json_string_value(tree), json_string_length(tree));
        if (text.size > max)
                return refuse(reader, "is too long");
        if (!text_is_utf8(text))
                return refuse(reader, "contains a NUL character");
        return no_space(pool_text(reader->pool, text, ret));
}

static int read_integer(JsonReader *reader, const json_t *tree, uint64_t *ret)
{
        if (!json_is_integer(tree))
                return refuse(reader, "is not an integer");
        if (json_integer_value(tree) < 0 || (uint64_t)json_integer_value(tree) > JSON_INTEGER_MAX)
                return refuse(reader, "is not between 0 and 2^53");
        *ret = (uint64_t)json_integer_value(tree);
        return 0;
}

static int read_time(JsonReader *reader, const json_t *tree, uint64_t *ret)
{
        if (!json_is_string(tree) || text_parse_time(json_string_value(tree), ret))
                return refuse(reader, "is not a time of RFC 3339");
        return 0;
}

static int read_enum(JsonReader *reader, const Field *field, const json_t *tree, uint32_t *ret)
{
        if (!json_is_string(tree))
                return refuse(reader, "is not a string");
        for (uint32_t i = 0; field->names[i]; i++)
                if (slice_is_text(slice(json_string_value(tree), json_string_length(tree)), field->names[i])) {
                        *ret = i;
                        return 0;
                }
        return refuse(reader, "is not one of its values");
}

static int read_secret(JsonReader *reader, const Field *field, const json_t *tree, Secret **ret)
{
        int r;

        if (!json_is_string(tree))
                return refuse(reader, "is not a string");
        if (json_string_length(tree) > field->max)
                return refuse(reader, "is too long");
        if (!reader->arena)
                return refuse(reader, "carries a secret where none is expected");
        r = secret_from_bytes(ret, reader->arena, slice(json_string_value(tree), json_string_length(tree)));
        return r > 0 ? SCHEMA_E_NO_SPACE : r;
}

static int read_items(JsonReader *reader, const json_t *tree, uint32_t max, size_t item_size, void **ret)
{
        if (!json_is_array(tree))
                return refuse(reader, "is not an array");
        if (json_array_size(tree) > max)
                return refuse(reader, "has too many items");
        return no_space(pool_alloc(reader->pool, json_array_size(tree) * item_size, ret));
}

static int read_texts(JsonReader *reader, const Field *field, const json_t *tree, TextList *list)
{
        void *items;
        int r = read_items(reader, tree, field->max, sizeof(*list->items), &items);

        if (r)
                return r;
        list->items = items;
        for (size_t i = 0; i < json_array_size(tree); i++) {
                size_t from = push_index(reader, i);

                r = read_text(reader, json_array_get(tree, i), field->item_max, &list->items[i]);
                if (r)
                        return r;
                list->n = i + 1;
                pop(reader, from);
        }
        return 0;
}

static int read_pair(JsonReader *reader, const Field *field, const char *key, size_t key_size,
                     const json_t *value, TextPair *pair)
{
        if (key_size > field->item_max)
                return refuse(reader, "has a key that is too long");
        if (!text_is_utf8(slice(key, key_size)))
                return refuse(reader, "has a key with a NUL character");
        if (pool_text(reader->pool, slice(key, key_size), &pair->key) < 0)
                return SCHEMA_E_NO_SPACE;
        return read_text(reader, value, field->item_max, &pair->value);
}

static int read_map(JsonReader *reader, const Field *field, json_t *tree, TextMap *map)
{
        const char *key;
        size_t key_size, i = 0;
        json_t *value;
        void *items;
        int r;

        if (!json_is_object(tree))
                return refuse(reader, "is not an object");
        if (json_object_size(tree) > field->max)
                return refuse(reader, "has too many items");
        r = no_space(pool_alloc(reader->pool, json_object_size(tree) * sizeof(*map->items), &items));
        if (r)
                return r;
        map->items = items;
        json_object_keylen_foreach(tree, key, key_size, value)
        {
                size_t from = push_name(reader, key);

                r = read_pair(reader, field, key, key_size, value, &map->items[i++]);
                if (r)
                        return r;
                pop(reader, from);
        }
        map->n = i;
        return 0;
}

static int read_records(JsonReader *reader, const Field *field, const json_t *tree, RecordList *list)
{
        int r = read_items(reader, tree, field->max, field->record->size, &list->items);

        /* Counted one by one, so that what was read is cleared if the next fails. */
        for (size_t i = 0; r == 0 && i < json_array_size(tree); i++) {
                size_t from = push_index(reader, i);

                list->n = i + 1;
                r = read_record(reader, field->record, json_array_get(tree, i),
                                (uint8_t *)list->items + i * field->record->size);
                if (r == 0)
                        pop(reader, from);
        }
        return r;
}

static int read_one(JsonReader *reader, const Field *field, const json_t *tree, void **at)
{
        void *record;
        int r = no_space(pool_alloc(reader->pool, field->record->size, &record));

        if (r)
                return r;
        *at = record;
        return read_record(reader, field->record, tree, record);
}

static int read_value(JsonReader *reader, const Field *field, json_t *tree, void *at)
{
        switch (field->kind) {
        case FIELD_BOOL:
                if (!json_is_boolean(tree))
                        return refuse(reader, "is not a boolean");
                *(bool *)at = json_is_true(tree);
                return 0;
        case FIELD_U64:
                return read_integer(reader, tree, at);
        case FIELD_TIME:
                return read_time(reader, tree, at);
        case FIELD_ENUM:
                return read_enum(reader, field, tree, at);
        case FIELD_TEXT:
                return read_text(reader, tree, field->max, at);
        case FIELD_SECRET:
                return read_secret(reader, field, tree, at);
        case FIELD_TEXTS:
                return read_texts(reader, field, tree, at);
        case FIELD_MAP:
                return read_map(reader, field, tree, at);
        case FIELD_RECORD:
                return read_one(reader, field, tree, at);
        case FIELD_RECORDS:
                return read_records(reader, field, tree, at);
        case FIELD_BYTES: /* has no JSON form */
                break;
        }
        return -EINVAL;
}

static int read_field(JsonReader *reader, const Field *field, const json_t *tree, void *body)
{
        json_t *value = json_object_get(tree, field->name);
        size_t from = push_name(reader, field->name);
        int r = 0;

        if (value && !json_is_null(value))
                r = read_value(reader, field, value, (uint8_t *)body + field->offset);
        else if (!(field->flags & FIELD_OPTIONAL))
                r = refuse(reader, "is missing");
        if (r == 0)
                pop(reader, from);
        return r;
}

static bool is_known(const Schema *schema, Slice name)
{
        for (size_t i = 0; i < schema->n_fields; i++)
                if (!(schema->fields[i].flags & FIELD_PRIVATE) && slice_is_text(name, schema->fields[i].name))
                        return true;
        return false;
}

static int refuse_unknown(JsonReader *reader, const Schema *schema, json_t *tree)
{
        const char *key;
        size_t key_size;
        json_t *value;

        json_object_keylen_foreach(tree, key, key_size, value)
        {
                if (is_known(schema, slice(key, key_size)))
                        continue;
                (void)push_name(reader, key);
                return refuse(reader, "is not a field of this message");
        }
        return 0;
}

static int read_record(JsonReader *reader, const Schema *schema, const json_t *tree, void *body)
{
        int r = 0;

        if (reader->depth >= SCHEMA_DEPTH_MAX)
                return -EINVAL;
        if (tree && !json_is_object(tree))
                return refuse(reader, "is not an object");
        if (tree && !(reader->flags & JSON_LENIENT))
                r = refuse_unknown(reader, schema, (json_t *)(uintptr_t)tree);
        reader->depth++;
        for (size_t i = 0; r == 0 && i < schema->n_fields; i++)
                if (!(schema->fields[i].flags & FIELD_PRIVATE))
                        r = read_field(reader, &schema->fields[i], tree, body);
        reader->depth--;
        return r;
}

int json_read_tree(const Schema *schema, const struct json_t *tree, unsigned flags, Arena *arena,
                   Pool *pool, void *body, SchemaError *error)
{
        JsonReader reader = { .arena = arena, .pool = pool, .error = error, .flags = flags };
        int r;

        memset(body, 0, schema->size);
        *error = (SchemaError){ .reason = "" };
        r = read_record(&reader, schema, tree, body);
        if (r)
                schema_clear(schema, body);
        return r;
}

int json_read(const Schema *schema, Slice text, unsigned flags, Arena *arena, Pool *pool, void *body,
              SchemaError *error)
{
        _cleanup_(json_release) json_t *tree = NULL;
        int r;

        memset(body, 0, schema->size);
        r = json_parse(&tree, text, flags & JSON_LENIENT ? JSON_REPLY_MAX : JSON_REQUEST_MAX, error);
        return r ? r : json_read_tree(schema, tree, flags, arena, pool, body, error);
}

/* ---- writing ---- */

static int write_escaped(uint8_t c, Buf *out)
{
        switch (c) {
        case '"':
                return buf_append_text(out, "\\\"");
        case '\\':
                return buf_append_text(out, "\\\\");
        case '\n':
                return buf_append_text(out, "\\n");
        case '\r':
                return buf_append_text(out, "\\r");
        case '\t':
                return buf_append_text(out, "\\t");
        default:
                return buf_printf(out, "\\u%04x", c);
        }
}

int json_write_string(Slice text, Buf *out)
{
        size_t from = 0;
        int r;

        if (!text_is_utf8(text))
                return -EINVAL;
        r = buf_append_u8(out, '"');
        for (size_t i = 0; r == 0 && i < text.size; i++) {
                uint8_t c = text.data[i];

                if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f)
                        continue;
                r = buf_append(out, text.data + from, i - from);
                if (r == 0)
                        r = write_escaped(c, out);
                from = i + 1;
        }
        if (r == 0)
                r = buf_append(out, text.data ? text.data + from : NULL, text.size - from);
        return r < 0 ? r : buf_append_u8(out, '"');
}

static int write_text(const char *text, uint32_t max, Buf *out)
{
        if (!text || strlen(text) > max)
                return -EINVAL;
        return json_write_string(slice_text(text), out);
}

static int write_time(uint64_t usec, Buf *out)
{
        char text[TEXT_TIME_USEC_SIZE];

        if (usec % USEC_PER_SEC == 0)
                text_time(usec, text);
        else
                text_time_usec(usec, text);
        return json_write_string(slice_text(text), out);
}

static int write_enum(const Field *field, uint32_t value, Buf *out)
{
        for (uint32_t i = 0; field->names[i]; i++)
                if (i == value)
                        return json_write_string(slice_text(field->names[i]), out);
        return -EINVAL;
}

static int write_texts(const Field *field, const TextList *list, Buf *out)
{
        int r = list->n > field->max ? -EINVAL : buf_append_u8(out, '[');

        for (size_t i = 0; r == 0 && i < list->n; i++) {
                if (i > 0)
                        r = buf_append_u8(out, ',');
                if (r == 0)
                        r = write_text(list->items[i], field->item_max, out);
        }
        return r < 0 ? r : buf_append_u8(out, ']');
}

static int write_map(const Field *field, const TextMap *map, Buf *out)
{
        int r = map->n > field->max ? -EINVAL : buf_append_u8(out, '{');

        for (size_t i = 0; r == 0 && i < map->n; i++) {
                if (i > 0)
                        r = buf_append_u8(out, ',');
                if (r == 0)
                        r = write_text(map->items[i].key, field->item_max, out);
                if (r == 0)
                        r = buf_append_u8(out, ':');
                if (r == 0)
                        r = write_text(map->items[i].value, field->item_max, out);
        }
        return r < 0 ? r : buf_append_u8(out, '}');
}

static int write_item(const Field *field, const RecordList *list, size_t i, Buf *out)
{
        return json_write(field->record, (const uint8_t *)list->items + i * field->record->size, out);
}

/* `earlier` has a comma behind its last item. */
static int write_records(const Field *field, const RecordList *list, Slice earlier, Buf *out)
{
        int r = list->n > field->max ? -EINVAL : buf_append_u8(out, '[');

        if (r == 0 && earlier.size > 0)
                r = buf_append(out, earlier.data, list->n > 0 ? earlier.size : earlier.size - 1);
        for (size_t i = 0; r == 0 && i < list->n; i++) {
                if (i > 0)
                        r = buf_append_u8(out, ',');
                if (r == 0)
                        r = write_item(field, list, i, out);
        }
        return r < 0 ? r : buf_append_u8(out, ']');
}

static int write_value(const Field *field, const void *at, Slice earlier, Buf *out)
{
        switch (field->kind) {
        case FIELD_BOOL:
                return buf_append_text(out, *(const bool *)at ? "true" : "false");
        case FIELD_U64:
                return *(const uint64_t *)at > JSON_INTEGER_MAX
                               ? -EINVAL
                               : buf_printf(out, "%llu", *(const unsigned long long *)at);
        case FIELD_TIME:
                return write_time(*(const uint64_t *)at, out);
        case FIELD_ENUM:
                return write_enum(field, *(const uint32_t *)at, out);
        case FIELD_TEXT:
                return write_text(*(const char *const *)at, field->max, out);
        case FIELD_SECRET:
                return secret_size(*(Secret *const *)at) > field->max
                               ? -EINVAL
                               : json_write_string(secret_slice(*(Secret *const *)at), out);
        case FIELD_TEXTS:
                return write_texts(field, at, out);
        case FIELD_MAP:
                return write_map(field, at, out);
        case FIELD_RECORD:
                return json_write(field->record, *(const void *const *)at, out);
        case FIELD_RECORDS:
                return write_records(field, at, earlier, out);
        case FIELD_BYTES:
                break;
        }
        return -EINVAL;
}

/* Zero, NULL or empty: what an optional field is when it is absent. */
static bool is_empty(const Field *field, const void *at)
{
        switch (field->kind) {
        case FIELD_BOOL:
                return !*(const bool *)at;
        case FIELD_U64:
        case FIELD_TIME:
                return *(const uint64_t *)at == 0;
        case FIELD_ENUM:
                return *(const uint32_t *)at == 0;
        case FIELD_TEXT:
        case FIELD_SECRET:
        case FIELD_RECORD:
                return *(const void *const *)at == NULL;
        case FIELD_TEXTS:
                return ((const TextList *)at)->n == 0;
        case FIELD_MAP:
                return ((const TextMap *)at)->n == 0;
        case FIELD_RECORDS:
                return ((const RecordList *)at)->n == 0;
        case FIELD_BYTES:
                break;
        }
        return false;
}

/* Whether a required field is there at all. */
static bool is_absent(const Field *field, const void *at)
{
        bool pointer = field->kind == FIELD_TEXT || field->kind == FIELD_SECRET || field->kind == FIELD_RECORD;

        return (pointer || field->kind == FIELD_TIME) && is_empty(field, at);
}

int json_write_joined(const Schema *schema, const void *body, const Buf *earlier, size_t n_earlier, Buf *out)
{
        const char *separator = "";
        int r = buf_append_u8(out, '{');

        for (size_t i = 0, n = 0; r == 0 && i < schema->n_fields; i++) {
                const Field *field = &schema->fields[i];
                const void *at = (const uint8_t *)body + field->offset;
                Slice before = SLICE_NULL;

                if (field->kind == FIELD_RECORDS && n++ < n_earlier)
                        before = buf_slice(&earlier[n - 1]);
                if (field->flags & FIELD_PRIVATE ||
                    (field->flags & FIELD_OPTIONAL && is_empty(field, at) && before.size == 0))
                        continue;
                r = is_absent(field, at) ? -EINVAL : buf_printf(out, "%s\"%s\":", separator, field->name);
                if (r == 0)
                        r = write_value(field, at, before, out);
                separator = ",";
        }
        return r < 0 ? r : buf_append_u8(out, '}');
}

int json_write_items(const Schema *schema, const void *body, size_t n, Buf *out)
{
        int r = 0;

        for (size_t i = 0, k = 0; i < schema->n_fields; i++) {
                const Field *field = &schema->fields[i];
                const RecordList *list = (const void *)((const uint8_t *)body + field->offset);

                if (field->kind != FIELD_RECORDS || k++ != n)
                        continue;
                for (size_t j = 0; r == 0 && j < list->n; j++) {
                        r = write_item(field, list, j, out);
                        if (r == 0)
                                r = buf_append_u8(out, ',');
                }
        }
        return r;
}

int json_write(const Schema *schema, const void *body, Buf *out)
{
        return json_write_joined(schema, body, NULL, 0, out);
}
