/*
 * One message in the binary form that roles speak with each other: the first two bytes choose which of
 * all methods' requests and replies it is. What is decoded can be encoded, and reads the same then.
 */
#include "target.h"
#include "wire/msg_broker.h"
#include "wire/msg_keyring.h"
#include "wire/msg_provider.h"
#include "wire/msg_session.h"
#include "wire/msg_supervisor.h"
#include <stdlib.h>

#define FRAME_MAX (128U * 1024U)

static const Interface *const interfaces[] = {
        &interface_broker,       &interface_session,  &interface_keyring,      &interface_provider,
        &interface_from_gate,    &interface_to_gate,  &interface_from_session, &interface_to_session,
        &interface_from_worker,  &interface_to_worker, &interface_from_vault,  &interface_to_vault,
        &interface_egress,       &interface_from_egress, &interface_session_vault,
};

static Arena *arena;

static const Schema *choose(uint8_t interface, uint8_t method)
{
        const Interface *in = interfaces[interface % ARRAY_SIZE(interfaces)];
        const Method *one = &in->methods[(method / 2) % in->n_methods];

        if (method % 2 && one->reply)
                return one->reply;
        return interface == 0xff ? &schema_fault : one->request;
}

/* Decodes and appends what encoding makes of it. False: refused. What was decoded can always be encoded:
 * roles pass on what they received. */
static bool recode(const Schema *schema, Slice bytes, Buf *out)
{
        Pool pool = POOL_NULL(8U * FRAME_MAX);
        SchemaError error = { 0 };
        void *body = calloc(1, schema->size);
        int r;

        if (!body)
                abort();
        r = schema_decode(schema, bytes, arena, &pool, body, &error);
        if (r == SCHEMA_E_INVALID && !error.reason)
                abort();
        if (r == 0) {
                r = schema_encode(schema, body, out);
                if (r < 0 && r != -ENOBUFS)
                        abort();
                schema_clear(schema, body);
        }
        pool_deinit(&pool);
        free(body);
        return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Buf first = BUF_NULL(FRAME_MAX), second = BUF_NULL(FRAME_MAX);
        const Schema *schema;

        if (!arena && arena_new(&arena, 256U * 1024U))
                abort();
        if (size < 2 || size > FRAME_MAX)
                return 0;
        schema = choose(data[0], data[1]);
        /* An absent number and a zero are one, so it is the second time that must change nothing. */
        if (recode(schema, slice(data + 2, size - 2), &first) &&
            (!recode(schema, buf_slice(&first), &second) || !slice_equal(buf_slice(&first), buf_slice(&second))))
                abort();
        buf_deinit(&first);
        buf_deinit(&second);
        return 0;
}
