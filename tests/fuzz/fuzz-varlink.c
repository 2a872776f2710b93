/* One varlink message, as a call of each interface and as a reply: what is read can be written again. */
#include "target.h"
#include "wire/msg_session.h"
#include "wire/varlink.h"
#include <stdlib.h>

static Arena *arena;

static void setup(void)
{
        if (!arena && (json_setup() < 0 || arena_new(&arena, 256 * 1024)))
                abort();
}

/* What was read fits its schema, so it can be written, and reads the same. */
static void round_trip(const Schema *schema, const void *body)
{
        Buf first = BUF_NULL(JSON_REPLY_MAX), second = BUF_NULL(JSON_REPLY_MAX);
        Pool pool = POOL_NULL(8U * JSON_REQUEST_MAX);
        SchemaError error;
        void *again = calloc(1, schema->size);

        if (!again || json_write(schema, body, &first) < 0)
                abort();
        if (json_read(schema, buf_slice(&first), JSON_LENIENT, arena, &pool, again, &error) ||
            json_write(schema, again, &second) < 0 || !slice_equal(buf_slice(&first), buf_slice(&second)))
                abort();
        schema_clear(schema, again);
        free(again);
        pool_deinit(&pool);
        buf_deinit(&first);
        buf_deinit(&second);
}

static void try_call(const VarlinkCall *call, const Schema *schema)
{
        Pool pool = POOL_NULL(8U * JSON_REQUEST_MAX);
        SchemaError error;
        void *body = calloc(1, schema->size);
        int r;

        if (!body)
                abort();
        r = varlink_call_read(call, schema, arena, &pool, body, &error);
        if (r < 0 || (r == SCHEMA_E_INVALID && !error.reason[0]))
                abort();
        if (r == 0)
                round_trip(schema, body);
        schema_clear(schema, body);
        free(body);
        pool_deinit(&pool);
}

static void try_reply(const VarlinkReply *reply, const Schema *schema)
{
        Pool pool = POOL_NULL(8U * JSON_REQUEST_MAX);
        SchemaError error;
        void *body = calloc(1, schema->size);

        if (!body)
                abort();
        if (varlink_reply_read(reply, schema, arena, &pool, body, &error) == 0)
                round_trip(schema, body);
        schema_clear(schema, body);
        free(body);
        pool_deinit(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const Interface *const interfaces[] = { &interface_broker, &interface_session, &interface_varlink_service };
        VarlinkCall call = { 0 };
        VarlinkReply reply = { 0 };
        SchemaError error;
        bool is_call, is_reply;

        setup();
        is_call = varlink_call_parse(&call, slice(data, size), &error) == 0;
        is_reply = varlink_reply_parse(&reply, slice(data, size), &error) == 0;
        for (size_t i = 0; i < ARRAY_SIZE(interfaces); i++)
                for (size_t k = 0; k < interfaces[i]->n_methods; k++) {
                        if (is_call)
                                try_call(&call, interfaces[i]->methods[k].request);
                        if (is_reply)
                                try_reply(&reply, interfaces[i]->methods[k].reply);
                }
        varlink_call_clear(&call);
        varlink_reply_clear(&reply);
        if (arena_used(arena) > 0)
                abort();
        return 0;
}
