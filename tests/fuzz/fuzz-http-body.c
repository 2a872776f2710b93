/* A chunked body: in any split it is read the same; and what is accepted, llhttp reads the same. */
#include "http/body.h"
#include "http-rewrite.h"
#include "target.h"
#include <llhttp.h>

typedef struct Outcome {
        Buf data;
        size_t used;
        int r;
        bool done;
} Outcome;

/* In pieces of `step` bytes. */
static void decode(Slice bytes, size_t step, Outcome *out)
{
        HttpDecoder decoder;
        size_t at = 0;

        *out = (Outcome){ .data = BUF_NULL(SIZE_MAX) };
        http_decoder_init(&decoder, HTTP_BODY_CHUNKED, 0);
        while (at < bytes.size && !decoder.done) {
                Slice piece = slice(bytes.data + at, MIN(step, bytes.size - at)), data;
                size_t used;

                out->r = http_decoder_feed(&decoder, piece, &used, &data);
                if (out->r)
                        break;
                require(used > 0 && used <= piece.size && data.size <= used && is_within(data, piece));
                require(buf_append(&out->data, data.data, data.size) == 0);
                at += used;
        }
        out->used = at;
        out->done = decoder.done;
        require(!out->done || !out->r);
        require((http_decoder_end(&decoder) == 0) == out->done);
}

static int on_body(llhttp_t *parser, const char *at, size_t size)
{
        return buf_append(parser->data, at, size) == 0 ? HPE_OK : HPE_USER;
}

static int on_complete(llhttp_t *parser)
{
        (void)parser;
        return HPE_PAUSED;
}

static void compare_llhttp(Slice bytes, const Outcome *out)
{
        static const char head[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        Buf data = BUF_NULL(SIZE_MAX);
        llhttp_settings_t settings;
        llhttp_errno_t error;
        llhttp_t parser;

        llhttp_settings_init(&settings);
        settings.on_body = on_body;
        settings.on_message_complete = on_complete;
        llhttp_init(&parser, HTTP_REQUEST, &settings);
        parser.data = &data;
        error = llhttp_execute(&parser, head, sizeof(head) - 1);
        require(error == HPE_OK);
        /* It is stricter about extensions and trailers, which are dropped here. */
        error = llhttp_execute(&parser, (const char *)bytes.data, bytes.size);
        if (error == HPE_PAUSED)
                require(slice_equal(buf_slice(&data), buf_slice(&out->data)));
        else
                require(error != HPE_OK);
        buf_deinit(&data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const size_t steps[] = { 1, 2, 3, 7 };
        Slice bytes = slice(data, size);
        Outcome whole;

        decode(bytes, size, &whole);
        for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
                Outcome split;

                decode(bytes, steps[i], &split);
                require(split.r == whole.r && split.done == whole.done);
                if (!whole.r)
                        require(split.used == whole.used &&
                                slice_equal(buf_slice(&split.data), buf_slice(&whole.data)));
                buf_deinit(&split.data);
        }
        if (whole.done)
                compare_llhttp(slice(data, whole.used), &whole);
        buf_deinit(&whole.data);
        return 0;
}
