/*
 * A response body: the first byte chooses the secret and whether lines are told, the second how it is cut.
 * In the rest, bytes from 0xa0 on stand for the secret in one of its encodings. What comes out has the same
 * length, is the same however it is cut, and no decoder finds the secret in it.
 */
#include "../unit/egress/encodings.h"
#include "egress/scrub_stream.h"
#include "target.h"

#define TEXT_MAX 4096U

static const char *const secrets[] = { "ghq_16C7e42F292c6912E7710c8383", "sk/+a/b+c//d++e==", "p%41&amp;\\u0041\"'<x>%",
                                       "k3y+/_-8" };

static void encode(unsigned which, const char *secret, Dice *dice, Buf *out)
{
        static const char *const before[] = { "", "u", "us" };
        Buf plain = BUF_NULL(4096);

        if (which < 4)
                encode_percent(secret, which < 2 ? dice : NULL, which % 2, out);
        else if (which < 8)
                encode_json(secret, which < 6 ? dice : NULL, which % 2, out);
        else if (which < 16)
                encode_html(secret, which < 12 ? dice : NULL, which % 4, out);
        else if (which < 18)
                encode_hex(secret, which % 2, out);
        else if (which < 24) {
                put_text(&plain, before[which % 3]);
                put_text(&plain, secret);
                encode_base64(buf_slice(&plain), which < 21, 0, "", out);
        } else {
                put_text(out, secret);
        }
        buf_deinit(&plain);
}

static void expand(const uint8_t *data, size_t size, const char *secret, Buf *out)
{
        Dice dice = { size };

        for (size_t i = 0; i < size && out->size < TEXT_MAX; i++)
                if (data[i] >= 0xa0)
                        encode(data[i] - 0xa0U, secret, &dice, out);
                else
                        put(out, (const char *)data + i, 1);
}

static void run(Scrub *scrub, ScrubMode mode, bool lines, Slice text, size_t portion, Buf *out)
{
        ScrubStream *stream;
        int r = 0;

        if (scrub_stream_new(&stream, scrub, mode, lines))
                abort();
        while (r == 0 && text.size > 0) {
                size_t n = MIN(portion, text.size);

                r = scrub_stream_feed(stream, slice(text.data, n), out);
                text = slice(text.data + n, text.size - n);
                if (scrub_stream_held(stream) > scrub_stream_hold(scrub))
                        abort();
        }
        if (r == 0)
                r = scrub_stream_end(stream, out);
        if (r && (mode != SCRUB_STRICT || r != SCRUB_E_FOUND))
                abort();
        scrub_stream_free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Buf text = BUF_NULL(4 * TEXT_MAX), whole = BUF_NULL(4 * TEXT_MAX), cut = BUF_NULL(4 * TEXT_MAX);
        static Arena *arena;
        const char *secret;
        Slice one;
        Scrub *scrub;

        if (!arena && arena_new(&arena, 16384))
                abort();
        if (size < 2)
                return 0;
        secret = secrets[data[0] % ARRAY_SIZE(secrets)];
        one = slice_text(secret);
        if (scrub_new(&scrub, arena, &one, 1))
                abort();
        expand(data + 2, size - 2, secret, &text);
        run(scrub, SCRUB_MASK, false, buf_slice(&text), text.size + 1, &whole);
        run(scrub, SCRUB_MASK, false, buf_slice(&text), data[1] + 1U, &cut);
        if (whole.size != text.size || !slice_equal(buf_slice(&whole), buf_slice(&cut)) || reveals(&whole, secret))
                abort();
        buf_clear(&cut);
        run(scrub, data[0] & 0x80 ? SCRUB_STRICT : SCRUB_MASK, true, buf_slice(&text), data[1] + 1U, &cut);
        if (reveals(&cut, secret))
                abort();
        scrub_unref(scrub);
        buf_deinit(&text);
        buf_deinit(&whole);
        buf_deinit(&cut);
        return 0;
}
