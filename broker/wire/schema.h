#pragma once
/*
 * Messages described as data. A Schema lists the fields of a C struct; from that one table come the
 * binary form that roles speak with each other, and the JSON form of the varlink interfaces, each
 * with its limits. Parsing is strict: an unknown, missing, duplicate, oversized or wrongly typed
 * field, and any byte too many, refuses the whole message.
 *
 * What a decoded struct points at belongs to the Pool it was decoded into, except for Secrets, which
 * schema_clear() frees. A handler that wants to keep a Secret takes the pointer and leaves NULL.
 */
#include "base/buf.h"
#include "base/pool.h"
#include "base/secret.h"
#include "wire/fault.h"

typedef struct Schema Schema;

/* The C type of the member is named behind each. */
typedef enum FieldKind {
        FIELD_BOOL,    /* bool */
        FIELD_U64,     /* uint64_t; in JSON an integer up to 2^53 */
        FIELD_TIME,    /* uint64_t, wall clock in microseconds; in JSON RFC 3339; 0 is absent */
        FIELD_ENUM,    /* uint32_t, an index of Field.names; in JSON the name */
        FIELD_TEXT,    /* const char *, UTF-8 without NUL; NULL is absent */
        FIELD_BYTES,   /* Slice; binary form only */
        FIELD_SECRET,  /* Secret *; NULL is absent */
        FIELD_TEXTS,   /* TextList */
        FIELD_MAP,     /* TextMap, of texts to texts; keys differ */
        FIELD_RECORD,  /* pointer to a struct of Field.record; NULL is absent */
        FIELD_RECORDS, /* RecordList of structs of Field.record */
} FieldKind;

enum {
        FIELD_OPTIONAL = 1 << 0, /* may be absent: zero, NULL or empty */
        FIELD_PRIVATE = 1 << 1,  /* binary form only: never read from JSON nor written to it */
};

typedef struct TextList {
        const char **items;
        size_t n;
} TextList;

typedef struct TextPair {
        const char *key, *value;
} TextPair;

typedef struct TextMap {
        TextPair *items;
        size_t n;
} TextMap;

/* What stands under this key, valid as long as the map's texts; NULL: nothing. */
const char *text_map_get(const TextMap *map, const char *key) NONNULL(1, 2);

typedef struct RecordList {
        void *items; /* an array of the record's struct */
        size_t n;
} RecordList;

typedef struct Field {
        const char *name;
        FieldKind kind;
        unsigned flags;
        uint32_t max;      /* bytes of a text, secret or byte string; items of a list or map */
        uint32_t item_max; /* bytes of each text in a list or map */
        size_t offset;
        const Schema *record;
        const char *const *names; /* of an enum, NULL-terminated */
} Field;

struct Schema {
        const char *name; /* as in the .varlink file, for records */
        size_t size;      /* of the C struct */
        const Field *fields;
        size_t n_fields;
};

/* For declaring tables: SCHEMA(x, "Name", Struct) takes the fields of `x_fields`. */
#define SCHEMA(variable, label, type) \
        const Schema variable = { label, sizeof(type), variable##_fields, ARRAY_SIZE(variable##_fields) }
/* A message without fields. Its struct has one unused byte. */
typedef struct Empty {
        char unused;
} Empty;
extern const Schema schema_empty;

/* Deeper nesting than this is a mistake in a table. */
#define SCHEMA_DEPTH_MAX 4U

/* Why a message was refused: the path of the field ("grants[1].scope") and what is wrong with it. */
typedef struct SchemaError {
        char field[128];
        const char *reason;
} SchemaError;

enum {
        _SCHEMA_E_SUCCESS,
        SCHEMA_E_INVALID,  /* the input does not fit the schema; SchemaError says where */
        SCHEMA_E_NO_SPACE, /* the pool's, the buffer's or the arena's cap is reached */
};

/*
 * Appends the binary form. The struct must fit its schema; what does not (a text that is too long or
 * not UTF-8, a required pointer that is NULL) is a defect of the caller and returns -EINVAL.
 */
int schema_encode(const Schema *schema, const void *body, Buf *out) NODISCARD NONNULL(1, 2, 3);
/* Fills `body` (schema->size bytes). On failure it is cleared. SCHEMA_E_*. `error` may be NULL, and so
 * may the arena where no secret is expected. */
int schema_decode(const Schema *schema, Slice bytes, Arena *arena, Pool *pool, void *body,
                  SchemaError *error) NODISCARD NONNULL(1, 4, 5);
/* Frees the secrets in the struct and zeroes it; the pool is the caller's. */
void schema_clear(const Schema *schema, void *body) NONNULL(1, 2);
