#undef NDEBUG
#include "http/body.h"
#include "../base/suite.h"

#define OUT_MAX 8192U

/* What a decoder made of some bytes. */
typedef struct Outcome {
        int r; /* of feeding; then of the end */
        bool done;
        size_t used;
        size_t size;
        uint8_t data[OUT_MAX];
} Outcome;

/* Feeds until nothing is taken any more. */
static int feed_all(HttpDecoder *decoder, Slice bytes, Outcome *out)
{
        for (;;) {
                Slice data;
                size_t used;
                int r = http_decoder_feed(decoder, bytes, &used, &data);

                if (r)
                        return r;
                ck_assert_uint_le(used, bytes.size);
                ck_assert_uint_le(data.size, used);
                if (data.size > 0)
                        ck_assert(data.data >= bytes.data && data.data + data.size <= bytes.data + used);
                ck_assert_uint_le(data.size, OUT_MAX - out->size);
                if (data.size > 0)
                        memcpy(out->data + out->size, data.data, data.size);
                out->size += data.size;
                out->used += used;
                if (used == 0)
                        return 0;
                bytes = slice(bytes.data + used, bytes.size - used);
        }
}

/* Cut in three at the two places. */
static void decode(HttpBody kind, uint64_t length, Slice bytes, size_t first, size_t second, Outcome *out)
{
        const size_t cuts[] = { 0, first, second, bytes.size };
        HttpDecoder decoder;

        out->r = 0;
        out->used = out->size = 0;
        http_decoder_init(&decoder, kind, length);
        for (size_t i = 0; i < 3 && !out->r; i++) {
                size_t size = cuts[i + 1] - cuts[i];
                uint8_t *exact = malloc(size > 0 ? size : 1);

                memcpy(exact, bytes.data + cuts[i], size);
                out->r = feed_all(&decoder, slice(exact, size), out);
                free(exact);
        }
        out->done = decoder.done;
        if (!out->r)
                out->r = http_decoder_end(&decoder);
        else
                ck_assert_int_eq(http_decoder_end(&decoder), HTTP_E_FRAMING);
}

static void check_same(const Outcome *a, const Outcome *b)
{
        ck_assert_int_eq(a->r, b->r);
        if (a->r && !a->done)
                return;
        ck_assert_uint_eq(a->used, b->used);
        ck_assert_uint_eq(a->size, b->size);
        ck_assert_mem_eq(a->data, b->data, a->size);
}

static const char *const good[] = {
        "0\r\n\r\n",
        "000\r\n\r\n",
        "3\r\nabc\r\n0\r\n\r\n",
        "0003\r\nabc\r\n00000\r\n\r\n",
        "a\r\n0123456789\r\nB\r\n0123456789a\r\n1\r\nx\r\n0\r\n\r\n",
        "3;a=b;c=\"d e\"\r\nabc\r\n0;last\r\n\r\n",
        "2\r\n\r\n\r\n0\r\n\r\n",
        "1\r\n0\r\n0\r\nA: b\r\nLong-Name:\tc \xff\r\n\r\n",
};

START_TEST(any_split_gives_the_same)
{
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                Slice bytes = slice_text(good[i]);
                Outcome whole, split;

                decode(HTTP_BODY_CHUNKED, 0, bytes, bytes.size, bytes.size, &whole);
                ck_assert_int_eq(whole.r, 0);
                ck_assert(whole.done);
                ck_assert_uint_eq(whole.used, bytes.size);
                for (size_t a = 0; a <= bytes.size; a++)
                        for (size_t b = a; b <= bytes.size; b++) {
                                decode(HTTP_BODY_CHUNKED, 0, bytes, a, b, &split);
                                check_same(&whole, &split);
                        }
        }
}
END_TEST

START_TEST(a_body_that_is_cut_short_is_not_whole)
{
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                Slice bytes = slice_text(good[i]);
                Outcome out;

                for (size_t size = 0; size < bytes.size; size++) {
                        decode(HTTP_BODY_CHUNKED, 0, slice(bytes.data, size), size, size, &out);
                        ck_assert_int_eq(out.r, HTTP_E_FRAMING);
                        ck_assert(!out.done);
                }
        }
}
END_TEST

START_TEST(bit_flips_read_the_same_in_any_split)
{
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                size_t size = strlen(good[i]);
                uint8_t bytes[128];
                Outcome whole, split;

                memcpy(bytes, good[i], size);
                for (size_t bit = 0; bit < size * 8; bit++) {
                        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
                        decode(HTTP_BODY_CHUNKED, 0, slice(bytes, size), size, size, &whole);
                        for (size_t at = bit % 3; at < size; at += 3) {
                                decode(HTTP_BODY_CHUNKED, 0, slice(bytes, size), at, at + 1, &split);
                                check_same(&whole, &split);
                        }
                        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
                }
        }
}
END_TEST

START_TEST(chunks_of_two_readings_are_refused)
{
        static const char *const bad[] = {
                "\r\n",
                "x\r\n",
                "+3\r\nabc\r\n0\r\n\r\n",
                "-3\r\nabc\r\n0\r\n\r\n",
                "0x3\r\nabc\r\n0\r\n\r\n",
                " 3\r\nabc\r\n0\r\n\r\n",
                "3 \r\nabc\r\n0\r\n\r\n",
                "3\t\r\nabc\r\n0\r\n\r\n",
                "3 ;a\r\nabc\r\n0\r\n\r\n",
                "3\nabc\r\n0\r\n\r\n",
                "3\rabc\r\n0\r\n\r\n",
                "3\r\r\nabc\r\n0\r\n\r\n",
                ";a\r\nabc\r\n0\r\n\r\n",
                "3;a\nb\r\nabc\r\n0\r\n\r\n",
                "3;a\rb\r\nabc\r\n0\r\n\r\n",
                "3;a\x01\r\nabc\r\n0\r\n\r\n",
                "3;\xff\r\nabc\r\n0\r\n\r\n",
                "3,3\r\nabc\r\n0\r\n\r\n",
                "3_0\r\nabc\r\n0\r\n\r\n",
                "3\r\nabcd\r\n0\r\n\r\n",
                "3\r\nabc\n0\r\n\r\n",
                "3\r\nabc0\r\n\r\n",
                "3\r\nabc\r0\r\n\r\n",
                "3\r\nabc\r\n\r\n0\r\n\r\n",
                "3\r\nabcXX0\r\n\r\n",
                "0\r\n\n",
                "0\r\n\rx",
                "0\r\n b\r\n\r\n",
                "0\r\nA\r\n\r\n",
                "0\r\nA : b\r\n\r\n",
                "0\r\n: b\r\n\r\n",
                "0\r\nA: b\n\r\n",
                "0\r\nA: b\r\n c\r\n\r\n",
                "0\r\nA: b\x01\r\n\r\n",
                "8000000000000000\r\n",
                "ffffffffffffffff\r\n",
                "10000000000000003\r\nabc\r\n0\r\n\r\n",
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                Slice bytes = slice_text(bad[i]);
                HttpDecoder decoder;
                Outcome out = { 0 };

                http_decoder_init(&decoder, HTTP_BODY_CHUNKED, 0);
                ck_assert_msg(feed_all(&decoder, bytes, &out) == HTTP_E_FRAMING, "case %zu: %s", i, bad[i]);
                /* And it stays so. */
                ck_assert_int_eq(feed_all(&decoder, slice_text("0\r\n\r\n"), &out), HTTP_E_FRAMING);
                ck_assert_int_eq(http_decoder_end(&decoder), HTTP_E_FRAMING);
                ck_assert(!decoder.done);
        }
}
END_TEST

/* Feeds `head`, then `n` times `fill`, then `tail`. */
static int feed_long(const char *head, size_t n, const char *fill, const char *tail)
{
        static Outcome out;
        HttpDecoder decoder;
        int r;

        out = (Outcome){ 0 };
        http_decoder_init(&decoder, HTTP_BODY_CHUNKED, 0);
        r = feed_all(&decoder, slice_text(head), &out);
        while (!r && n-- > 0)
                r = feed_all(&decoder, slice_text(fill), &out);
        if (!r)
                r = feed_all(&decoder, slice_text(tail), &out);
        return r ? r : http_decoder_end(&decoder);
}

START_TEST(lines_and_trailers_have_limits)
{
        ck_assert_int_eq(feed_long("3;", HTTP_CHUNK_LINE_MAX - 3, "x", "\r\nabc\r\n0\r\n\r\n"), 0);
        ck_assert_int_eq(feed_long("3;", HTTP_CHUNK_LINE_MAX - 2, "x", "\r\nabc\r\n0\r\n\r\n"), HTTP_E_FRAMING);
        ck_assert_int_eq(feed_long("", HTTP_CHUNK_LINE_MAX - 2, "0", "3\r\nabc\r\n0\r\n\r\n"), 0);
        ck_assert_int_eq(feed_long("", HTTP_CHUNK_LINE_MAX - 1, "0", "3\r\nabc\r\n0\r\n\r\n"), HTTP_E_FRAMING);
        /* The limit is of one line. */
        ck_assert_int_eq(feed_long("", 100, "1;extension\r\nx\r\n", "0\r\n\r\n"), 0);
        ck_assert_int_eq(feed_long("0\r\n", HTTP_TRAILERS_MAX / 8 - 1, "A: bcd\r\n", "\r\n"), 0);
        ck_assert_int_eq(feed_long("0\r\n", HTTP_TRAILERS_MAX / 8 + 1, "A: bcd\r\n", "\r\n"), HTTP_E_FRAMING);
}
END_TEST

START_TEST(what_follows_is_left)
{
        static const char text[] = "3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
        Outcome out;

        decode(HTTP_BODY_CHUNKED, 0, slice_text(text), 0, 0, &out);
        ck_assert_int_eq(out.r, 0);
        ck_assert_uint_eq(out.used, strlen(text) - 16);
        decode(HTTP_BODY_LENGTH, 3, slice_text("abcdef"), 2, 4, &out);
        ck_assert_int_eq(out.r, 0);
        ck_assert_uint_eq(out.used, 3);
        ck_assert_mem_eq(out.data, "abc", 3);
        decode(HTTP_BODY_NONE, 0, slice_text("abc"), 1, 2, &out);
        ck_assert_int_eq(out.r, 0);
        ck_assert_uint_eq(out.used, 0);
        decode(HTTP_BODY_LENGTH, 0, slice_text("abc"), 1, 2, &out);
        ck_assert_int_eq(out.r, 0);
        ck_assert_uint_eq(out.used, 0);
}
END_TEST

START_TEST(a_length_is_held_to)
{
        Outcome out;

        decode(HTTP_BODY_LENGTH, 4, slice_text("abc"), 1, 2, &out);
        ck_assert_int_eq(out.r, HTTP_E_FRAMING);
        ck_assert_uint_eq(out.size, 3);
        decode(HTTP_BODY_LENGTH, UINT64_MAX, slice_text("abc"), 1, 2, &out);
        ck_assert_int_eq(out.r, HTTP_E_FRAMING);
        decode(HTTP_BODY_UNTIL_CLOSE, 0, slice_text("abc"), 1, 2, &out);
        ck_assert_int_eq(out.r, 0);
        ck_assert(!out.done); /* before the end is told */
        ck_assert_uint_eq(out.size, 3);
}
END_TEST

START_TEST(chunks_that_are_written_are_read)
{
        const size_t sizes[] = { 1, 9, 10, 16, 255, 4096 };
        uint8_t data[4096];

        memset(data, '\r', sizeof(data));
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
                Buf buf = BUF_NULL(8192);
                char head[20];
                Outcome out;

                ck_assert_int_eq(buf_append(&buf, head, http_chunk_head(sizes[i], head)), 0);
                ck_assert_int_eq(buf_append(&buf, data, sizes[i]), 0);
                ck_assert_int_eq(buf_append_text(&buf, HTTP_CHUNK_END HTTP_LAST_CHUNK), 0);
                decode(HTTP_BODY_CHUNKED, 0, buf_slice(&buf), 1, 2, &out);
                ck_assert_int_eq(out.r, 0);
                ck_assert_uint_eq(out.size, sizes[i]);
                ck_assert_mem_eq(out.data, data, sizes[i]);
                buf_deinit(&buf);
        }
        char largest[20];
        ck_assert_uint_eq(http_chunk_head(SIZE_MAX, largest), 18);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("body");

        tcase_add_test(tcase, any_split_gives_the_same);
        tcase_add_test(tcase, a_body_that_is_cut_short_is_not_whole);
        tcase_add_test(tcase, bit_flips_read_the_same_in_any_split);
        tcase_add_test(tcase, chunks_of_two_readings_are_refused);
        tcase_add_test(tcase, lines_and_trailers_have_limits);
        tcase_add_test(tcase, what_follows_is_left);
        tcase_add_test(tcase, a_length_is_held_to);
        tcase_add_test(tcase, chunks_that_are_written_are_read);
        return suite_run("body", tcase);
}
