#pragma once
/*
 * The JSON form of the messages that schema.h describes. Reading is strict: duplicate keys, invalid
 * UTF-8, NUL, deep nesting, unknown fields, wrong types and what exceeds a field's limit refuse the
 * message, with the path of the field and the reason. Writing goes straight into a Buf, which wipes
 * what it held, so that a secret in a reply leaves no copy in a document tree.
 *
 * Fields marked FIELD_PRIVATE do not exist here: they are neither read nor written.
 */
#include "wire/schema.h"

struct json_t; /* jansson.h */

/* What a peer may send: the largest request is a scope of some hundred repositories. */
#define JSON_REQUEST_MAX (64U * 1024U)
/* What a broker may answer: a full frame between roles, with each byte escaped at its longest. */
#define JSON_REPLY_MAX (1024U * 1024U)
/* A request needs six; the bound keeps the parser's recursion small. */
#define JSON_DEPTH_MAX 16U
/* Integers beyond it are not the same number in every JSON parser. */
#define JSON_INTEGER_MAX (UINT64_C(1) << 53)

enum {
        JSON_LENIENT = 1 << 0, /* ignore unknown fields: for replies of a broker newer than we are */
};

/*
 * Once a process, in main and before confinement: jansson's memory is wiped when it is freed, and its
 * hash seed does not need /dev/urandom. Returns -errno.
 */
int json_setup(void) NODISCARD;

/*
 * Parses a text of at most `max` bytes that holds one object. SCHEMA_E_INVALID, -ENOMEM. The tree is
 * given back by json_release().
 */
int json_parse(struct json_t **ret, Slice text, size_t max, SchemaError *error) NODISCARD
        NONNULL(1, 4);
void json_release(struct json_t **tree) NONNULL(1);
/*
 * Fills `body` (schema->size bytes) from an object, or from an empty one when `tree` is NULL. On
 * failure it is cleared. `arena` may be NULL where there can be no secrets. SCHEMA_E_*.
 */
int json_read_tree(const Schema *schema, const struct json_t *tree, unsigned flags, Arena *arena,
                   Pool *pool, void *body, SchemaError *error) NODISCARD NONNULL(1, 5, 6, 7);
/* Both in one, with the limit of a request, or of a reply when lenient. */
int json_read(const Schema *schema, Slice text, unsigned flags, Arena *arena, Pool *pool, void *body,
              SchemaError *error) NODISCARD NONNULL(1, 5, 6, 7);

/*
 * Appends the object. Optional fields that are zero, NULL or empty are left out. The struct must fit
 * its schema, otherwise -EINVAL; -ENOBUFS at the buffer's cap. What was appended until then stays.
 */
int json_write(const Schema *schema, const void *body, Buf *out) NODISCARD NONNULL(1, 2, 3);
/*
 * The same, for an answer that came in several parts: before the items of the n-th FIELD_RECORDS of
 * the schema come those of `earlier[n]`, which json_write_items() wrote.
 */
int json_write_joined(const Schema *schema, const void *body, const Buf *earlier, size_t n_earlier, Buf *out)
        NODISCARD NONNULL(1, 2, 5);
/* Appends the items of the n-th FIELD_RECORDS of the schema, a comma behind each. */
int json_write_items(const Schema *schema, const void *body, size_t n, Buf *out) NODISCARD NONNULL(1, 2, 4);
/* Appends one string, quoted and escaped. -EINVAL when it is not UTF-8 without NUL. */
int json_write_string(Slice text, Buf *out) NODISCARD NONNULL(2);
