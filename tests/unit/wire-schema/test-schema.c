#undef NDEBUG
#include "wire/schema.h"
#include "wire/field.h"
#include "wire/msg_broker.h"
#include "wire/msg_keyring.h"
#include "wire/msg_provider.h"
#include "wire/msg_session.h"
#include "wire/msg_supervisor.h"
#include "../base/suite.h"
#include <sodium.h>
#include <stdio.h>

#define ARENA_SIZE (64U * 1024U)

static const char *const colour_names[] = { "red", "green", NULL };

typedef struct Inner {
        const char *name;
        Secret *secret;
} Inner;

typedef struct All {
        bool flag;
        uint64_t number;
        uint64_t when;
        uint32_t colour;
        const char *text;
        Slice bytes;
        Secret *secret;
        TextList list;
        TextMap map;
        Inner *inner;
        RecordList inners;
        const char *must;
} All;

static const Field inner_fields[] = {
        F(Inner, name, TEXT, 0, 8, 0),
        F(Inner, secret, SECRET, FIELD_OPTIONAL, 16, 0),
};
static SCHEMA(inner, "Inner", Inner);

static const Field all_fields[] = {
        F(All, flag, BOOL, 0, 0, 0),
        F(All, number, U64, 0, 0, 0),
        F(All, when, TIME, FIELD_OPTIONAL, 0, 0),
        F_ENUM(All, colour, 0, colour_names),
        F(All, text, TEXT, FIELD_OPTIONAL, 8, 0),
        F(All, bytes, BYTES, FIELD_OPTIONAL, 8, 0),
        F(All, secret, SECRET, FIELD_OPTIONAL, 16, 0),
        F(All, list, TEXTS, FIELD_OPTIONAL, 3, 8),
        F(All, map, MAP, FIELD_OPTIONAL, 3, 8),
        F_RECORD(All, inner, FIELD_OPTIONAL, inner),
        F_RECORDS(All, inners, FIELD_OPTIONAL, 3, inner),
        F(All, must, TEXT, 0, 4, 0),
};
static SCHEMA(all, "All", All);

static Arena *arena;
static Pool pool;

static void setup(void)
{
        ck_assert_int_ge(sodium_init(), 0);
        ck_assert_int_eq(arena_new(&arena, ARENA_SIZE), 0);
        pool = POOL_NULL(64U * 1024U);
}

static void teardown(void)
{
        pool_deinit(&pool);
        arena = arena_free(arena);
}

static Secret *secret_of(const char *text)
{
        Secret *secret = NULL;

        ck_assert_int_eq(secret_from_bytes(&secret, arena, slice_text(text)), 0);
        return secret;
}

/* Whatever it says, nothing may be left of it: no secret in the arena. */
static int decode(const Schema *schema, Slice bytes, void *body, SchemaError *error)
{
        int r = schema_decode(schema, bytes, arena, &pool, body, error);
        bool zero = true;

        for (size_t i = 0; r != 0 && i < schema->size; i++)
                zero = zero && ((uint8_t *)body)[i] == 0;
        if (!zero)
                ck_abort_msg("a refused %s leaves something behind", schema->name);
        return r;
}

static const char *texts[] = { "a", "", "b" };
static TextPair pairs[] = { { "k", "v" }, { "l", "" } };

/* One of everything; `inners` outlives the struct. */
static All example(Inner inners[3])
{
        inners[0] = (Inner){ "one", secret_of("s1") };
        inners[1] = (Inner){ "two", NULL };
        inners[2] = (Inner){ "three", secret_of("") };
        return (All){
                .flag = true,
                .number = UINT64_MAX,
                .when = 1234567,
                .colour = 1,
                .text = "\xc3\xa4",
                .bytes = slice("\0\xff", 2),
                .secret = secret_of("hush"),
                .list = { texts, 3 },
                .map = { pairs, 2 },
                .inner = &inners[2],
                .inners = { inners, 2 },
                .must = "must",
        };
}

static void encode_example(Buf *out)
{
        Inner inners[3];
        All body = example(inners);

        ck_assert_int_eq(schema_encode(&all, &body, out), 0);
        secret_free(body.secret);
        secret_free(inners[0].secret);
        secret_free(inners[2].secret);
        ck_assert_uint_eq(arena_used(arena), 0);
}

START_TEST(everything_survives_both_ways)
{
        Buf first = BUF_NULL(4096), second = BUF_NULL(4096);
        All body;

        encode_example(&first);
        ck_assert_int_eq(decode(&all, buf_slice(&first), &body, NULL), 0);
        ck_assert(body.flag && body.number == UINT64_MAX && body.when == 1234567 &&
                  body.colour == 1);
        ck_assert_str_eq(body.text, "\xc3\xa4");
        ck_assert(slice_equal(body.bytes, slice("\0\xff", 2)));
        ck_assert(secret_equal(body.secret, slice_text("hush")));
        ck_assert(body.list.n == 3 && body.list.items[1][0] == '\0');
        ck_assert(body.map.n == 2);
        ck_assert_str_eq(body.map.items[1].key, "l");
        ck_assert_str_eq(body.inner->name, "three");
        ck_assert_uint_eq(body.inners.n, 2);
        ck_assert(secret_equal(((Inner *)body.inners.items)[0].secret, slice_text("s1")));
        ck_assert_ptr_null(((Inner *)body.inners.items)[1].secret);
        ck_assert_int_eq(schema_encode(&all, &body, &second), 0);
        ck_assert(slice_equal(buf_slice(&first), buf_slice(&second)));
        schema_clear(&all, &body);
        ck_assert_uint_eq(arena_used(arena), 0);
        buf_deinit(&first);
        buf_deinit(&second);
}
END_TEST

START_TEST(absent_optionals_are_zero)
{
        Buf out = BUF_NULL(4096);
        const All body = { .must = "x" };
        All back;

        ck_assert_int_eq(schema_encode(&all, &body, &out), 0);
        ck_assert_int_eq(decode(&all, buf_slice(&out), &back, NULL), 0);
        ck_assert(!back.text && !back.secret && !back.inner && back.when == 0);
        ck_assert(back.list.n == 0 && back.map.n == 0 && back.inners.n == 0);
        buf_deinit(&out);
}
END_TEST

START_TEST(encoding_refuses_what_does_not_fit)
{
        static const char *four[] = { "a", "b", "c", "d" };
        const All bodies[] = {
                { .must = NULL },
                { .must = "12345" },
                { .must = "x", .text = "123456789" },
                { .must = "x", .text = "\xff" },
                { .must = "x", .bytes = slice("123456789", 9) },
                { .must = "x", .list = { four, 4 } },
                { .must = "x", .colour = 2 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
                Buf out = BUF_NULL(4096);

                ck_assert_msg(schema_encode(&all, &bodies[i], &out) == -EINVAL, "body %zu", i);
                buf_deinit(&out);
        }
}
END_TEST

START_TEST(every_truncation_is_refused)
{
        Buf out = BUF_NULL(4096);
        SchemaError error;
        All body;

        encode_example(&out);
        for (size_t n = 0; n < out.size; n++) {
                /* Exactly so many bytes, so that a sanitizer sees one read too many. */
                uint8_t *copy = malloc(n ? n : 1);

                ck_assert_ptr_nonnull(copy);
                memcpy(copy, out.data, n);
                ck_assert_int_eq(decode(&all, slice(copy, n), &body, &error), SCHEMA_E_INVALID);
                ck_assert(error.reason[0] && error.field[0]);
                ck_assert_uint_eq(arena_used(arena), 0);
                pool_deinit(&pool);
                free(copy);
        }
        buf_deinit(&out);
}
END_TEST

START_TEST(trailing_byte_is_refused)
{
        Buf out = BUF_NULL(4096);
        SchemaError error;
        All body;
        Empty empty;

        encode_example(&out);
        ck_assert_int_eq(buf_append_u8(&out, 0), 0);
        ck_assert_int_eq(decode(&all, buf_slice(&out), &body, &error), SCHEMA_E_INVALID);
        ck_assert_str_eq(error.reason, "has bytes behind its end");
        ck_assert_int_eq(decode(&schema_empty, SLICE_NULL, &empty, NULL), 0);
        ck_assert_int_eq(decode(&schema_empty, slice("", 1), &empty, NULL), SCHEMA_E_INVALID);
        ck_assert_uint_eq(arena_used(arena), 0);
        buf_deinit(&out);
}
END_TEST

/* A message that is taken has one spelling: encoding it again gives the same bytes. */
static void refused_or_canonical(const Schema *schema, Slice bytes, void *body)
{
        bool good = true;

        if (decode(schema, bytes, body, NULL) == 0) {
                Buf again = BUF_NULL(1U << 20);

                good = schema_encode(schema, body, &again) == 0 &&
                       slice_equal(buf_slice(&again), bytes);
                schema_clear(schema, body);
                buf_deinit(&again);
        }
        /* Each assertion of Check is a write to a pipe, and there are hundreds of thousands. */
        if (!good || arena_used(arena) != 0)
                ck_abort_msg("%s has two spellings, or a secret stays behind", schema->name);
        pool_deinit(&pool);
}

static void flip_every_bit(const Schema *schema, Buf *out, void *body)
{
        for (size_t i = 0; i < out->size; i++) {
                for (unsigned bit = 0; bit < 8; bit++) {
                        out->data[i] ^= (uint8_t)(1U << bit);
                        refused_or_canonical(schema, buf_slice(out), body);
                        out->data[i] ^= (uint8_t)(1U << bit);
                }
        }
}

START_TEST(every_flipped_bit_is_refused_or_canonical)
{
        Buf out = BUF_NULL(4096);
        All body;

        encode_example(&out);
        flip_every_bit(&all, &out, &body);
        buf_deinit(&out);
}
END_TEST

/* Deterministic noise in place of whole bytes, several at once. */
START_TEST(random_bytes_are_refused_or_canonical)
{
        Buf out = BUF_NULL(4096);
        unsigned seed = 1;
        uint8_t copy[512];
        All body;

        encode_example(&out);
        ck_assert_uint_le(out.size, sizeof(copy));
        for (unsigned round = 0; round < 20000; round++) {
                memcpy(copy, out.data, out.size);
                for (unsigned k = 0; k < 1 + round % 4; k++)
                        copy[(size_t)rand_r(&seed) % out.size] =
                                (uint8_t)(rand_r(&seed) % 4 ? rand_r(&seed) % 3 : rand_r(&seed));
                refused_or_canonical(&all, slice(copy, out.size), &body);
        }
        buf_deinit(&out);
}
END_TEST

START_TEST(key_twice_is_refused)
{
        static TextPair twice[] = { { "k", "a" }, { "k", "b" } };
        const All body = { .must = "x", .map = { twice, 2 } };
        Buf out = BUF_NULL(4096);
        SchemaError error;
        All back;
        int r = schema_encode(&all, &body, &out);

        if (r == 0) { /* not seen when written; then it must be when read */
                ck_assert_int_eq(decode(&all, buf_slice(&out), &back, &error), SCHEMA_E_INVALID);
                ck_assert_str_eq(error.field, "map");
        }
        buf_deinit(&out);
}
END_TEST

START_TEST(present_time_of_zero_is_refused)
{
        const All body = { .must = "x", .when = 1 };
        Buf out = BUF_NULL(4096);
        SchemaError error;
        uint8_t *when;
        All back;

        ck_assert_int_eq(schema_encode(&all, &body, &out), 0);
        when = memmem(out.data, out.size, "\1\1\0\0\0\0\0\0\0", 9);
        ck_assert_ptr_nonnull(when);
        when[1] = 0;
        ck_assert_int_eq(decode(&all, buf_slice(&out), &back, &error), SCHEMA_E_INVALID);
        ck_assert_str_eq(error.field, "when");
        buf_deinit(&out);
}
END_TEST

START_TEST(secret_without_arena_is_refused)
{
        Buf out = BUF_NULL(4096);
        All body;

        encode_example(&out);
        ck_assert_int_eq(schema_decode(&all, buf_slice(&out), NULL, &pool, &body, NULL),
                         SCHEMA_E_INVALID);
        buf_deinit(&out);
}
END_TEST

START_TEST(full_pool_and_full_arena_are_said)
{
        Pool small = POOL_NULL(40);
        Buf out = BUF_NULL(4096);
        void *rest;
        All body;

        encode_example(&out);
        ck_assert_int_eq(schema_decode(&all, buf_slice(&out), arena, &small, &body, NULL),
                         SCHEMA_E_NO_SPACE);
        ck_assert_uint_eq(arena_used(arena), 0);
        pool_deinit(&small);
        ck_assert_int_eq(arena_alloc(arena, ARENA_SIZE - 128, &rest), 0);
        ck_assert_int_eq(decode(&all, buf_slice(&out), &body, NULL), SCHEMA_E_NO_SPACE);
        ck_assert_uint_eq(arena_used(arena), ARENA_SIZE - 128);
        buf_deinit(&out);
}
END_TEST

START_TEST(buffer_cap_is_an_error_of_its_own)
{
        Buf out = BUF_NULL(8);
        const All body = { .must = "x" };

        ck_assert_int_eq(schema_encode(&all, &body, &out), -ENOBUFS);
        buf_deinit(&out);
}
END_TEST

/* ---- the real tables ---- */

static void fill(const Schema *schema, void *body, unsigned depth);

static void *take(size_t size)
{
        void *data;

        ck_assert_int_eq(pool_alloc(&pool, size, &data), 0);
        return data;
}

static void fill_list(const Field *field, void *at)
{
        TextList *list = at;
        TextMap *map = at;

        if (field->kind == FIELD_TEXTS) {
                *list = (TextList){ take(2 * sizeof(char *)), MIN(field->max, 2U) };
                for (size_t i = 0; i < list->n; i++)
                        list->items[i] = i ? "b" : "a";
                return;
        }
        *map = (TextMap){ take(2 * sizeof(TextPair)), MIN(field->max, 2U) };
        for (size_t i = 0; i < map->n; i++)
                map->items[i] = (TextPair){ i ? "b" : "a", "v" };
}

static void fill_field(const Field *field, void *at, unsigned depth)
{
        RecordList *records = at;

        ck_assert_ptr_nonnull(field->name);
        switch (field->kind) {
        case FIELD_BOOL:
                *(bool *)at = true;
                return;
        case FIELD_U64:
        case FIELD_TIME:
                *(uint64_t *)at = 77;
                return;
        case FIELD_ENUM:
                ck_assert_ptr_nonnull(field->names[0]);
                *(uint32_t *)at = field->names[1] ? 1 : 0;
                return;
        case FIELD_TEXT:
                ck_assert_uint_gt(field->max, 0);
                *(const char **)at = "t";
                return;
        case FIELD_BYTES:
                *(Slice *)at = slice_text("b");
                return;
        case FIELD_SECRET:
                *(Secret **)at = secret_of("s");
                return;
        case FIELD_TEXTS:
        case FIELD_MAP:
                ck_assert(field->max > 0 && field->item_max > 0);
                fill_list(field, at);
                return;
        case FIELD_RECORD:
                *(void **)at = take(field->record->size);
                fill(field->record, *(void **)at, depth + 1);
                return;
        case FIELD_RECORDS:
                *records = (RecordList){ take(2 * field->record->size), MIN(field->max, 2U) };
                for (size_t i = 0; i < records->n; i++)
                        fill(field->record, (uint8_t *)records->items + i * field->record->size,
                             depth + 1);
                return;
        }
        ck_abort_msg("kind of %s", field->name);
}

static void fill(const Schema *schema, void *body, unsigned depth)
{
        ck_assert_uint_lt(depth, SCHEMA_DEPTH_MAX);
        for (size_t i = 0; i < schema->n_fields; i++) {
                ck_assert_uint_lt(schema->fields[i].offset, schema->size);
                fill_field(&schema->fields[i], (uint8_t *)body + schema->fields[i].offset, depth);
        }
}

/* One of every field of the message, then that message with every bit turned and every end cut. */
static void sweep(const Schema *schema)
{
        Buf out = BUF_NULL(1U << 20);
        void *body = calloc(1, schema->size), *back = calloc(1, schema->size);

        ck_assert(body && back);
        fill(schema, body, 0);
        ck_assert_msg(schema_encode(schema, body, &out) == 0, "%s", schema->name);
        schema_clear(schema, body);
        pool_deinit(&pool);
        ck_assert_uint_eq(arena_used(arena), 0);
        ck_assert_msg(decode(schema, buf_slice(&out), back, NULL) == 0, "%s", schema->name);
        schema_clear(schema, back);
        flip_every_bit(schema, &out, back);
        for (size_t n = 0; n < out.size; n++) {
                ck_assert_int_eq(decode(schema, slice(out.data, n), back, NULL), SCHEMA_E_INVALID);
                ck_assert_uint_eq(arena_used(arena), 0);
                pool_deinit(&pool);
        }
        buf_deinit(&out);
        free(body);
        free(back);
}

static const Interface *const interfaces[] = {
        &interface_keyring,     &interface_session,      &interface_from_gate,
        &interface_to_gate,     &interface_from_session, &interface_to_session,
        &interface_from_worker, &interface_to_worker,    &interface_from_vault,
        &interface_to_vault,    &interface_broker,       &interface_provider,
        &interface_egress,      &interface_from_egress,  &interface_session_vault,
};

START_TEST(real_messages_survive_the_sweep)
{
        const Interface *interface = interfaces[_i];

        for (size_t i = 0; i < interface->n_methods; i++) {
                sweep(interface->methods[i].request);
                if (interface->methods[i].reply)
                        sweep(interface->methods[i].reply);
        }
        if (_i == 0)
                sweep(&schema_fault);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("schema");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, everything_survives_both_ways);
        tcase_add_test(tcase, absent_optionals_are_zero);
        tcase_add_test(tcase, encoding_refuses_what_does_not_fit);
        tcase_add_test(tcase, every_truncation_is_refused);
        tcase_add_test(tcase, trailing_byte_is_refused);
        tcase_add_test(tcase, every_flipped_bit_is_refused_or_canonical);
        tcase_add_test(tcase, random_bytes_are_refused_or_canonical);
        tcase_add_test(tcase, key_twice_is_refused);
        tcase_add_test(tcase, present_time_of_zero_is_refused);
        tcase_add_test(tcase, secret_without_arena_is_refused);
        tcase_add_test(tcase, full_pool_and_full_arena_are_said);
        tcase_add_test(tcase, buffer_cap_is_an_error_of_its_own);
        tcase_add_loop_test(tcase, real_messages_survive_the_sweep, 0, (int)ARRAY_SIZE(interfaces));
        return suite_run("schema", tcase);
}
