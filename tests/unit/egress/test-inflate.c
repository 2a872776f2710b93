#undef NDEBUG
#include "../base/suite.h"
#include "egress/inflate.h"
#include <zlib.h>

#define OUT_MAX (8U << 20)

typedef enum Frame {
        FRAME_GZIP,
        FRAME_ZLIB,
        FRAME_RAW,
        _FRAME_N,
} Frame;

static const InflateCoding codings[_FRAME_N] = { INFLATE_GZIP, INFLATE_DEFLATE, INFLATE_DEFLATE };

static void pack(Frame frame, Slice text, Buf *out)
{
        static const int windows[_FRAME_N] = { 15 + 16, 15, -15 };
        z_stream zlib = { 0 };
        uint8_t *room;
        size_t size;

        ck_assert_int_eq(deflateInit2(&zlib, 6, Z_DEFLATED, windows[frame], 8, Z_DEFAULT_STRATEGY), Z_OK);
        size = deflateBound(&zlib, text.size) + 64;
        ck_assert_int_eq(buf_reserve(out, size, &room), 0);
        zlib.next_in = (z_const Bytef *)(uintptr_t)text.data;
        zlib.avail_in = (unsigned)text.size;
        zlib.next_out = room;
        zlib.avail_out = (unsigned)size;
        ck_assert_int_eq(deflate(&zlib, Z_FINISH), Z_STREAM_END);
        buf_commit(out, size - zlib.avail_out);
        (void)deflateEnd(&zlib);
}

/* As a caller does it: in portions, each until nothing more comes. */
static int unpack(InflateCoding coding, Slice bytes, size_t portion, Buf *out)
{
        _cleanup_(inflate_freep) Inflate *stream = NULL;
        size_t used, n;
        int r;

        if (inflate_new(&stream, coding))
                abort();
        while (bytes.size > 0) {
                for (n = MIN(portion, bytes.size); n > 0 || inflate_has_more(stream); n -= used) {
                        size_t before = out->size;

                        r = inflate_feed(stream, slice(bytes.data, n), &used, out);
                        if (r)
                                return r;
                        if (out->size - before > INFLATE_CHUNK || used > n ||
                            (used == 0 && out->size == before && n > 0))
                                abort(); /* too much, or no progress */
                        bytes = slice(bytes.data + used, bytes.size - used);
                }
        }
        return inflate_end(stream);
}

static void make_text(Buf *out, size_t size)
{
        uint64_t state = 1;

        while (out->size < size) {
                state = state * UINT64_C(6364136223846793005) + 1;
                if (buf_printf(out, "line %u of some text\n", (unsigned)(state >> 40)) < 0)
                        abort();
        }
}

START_TEST(each_frame_comes_back_at_each_split)
{
        _cleanup_(buf_deinit) Buf text = BUF_NULL(OUT_MAX), packed = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);

        make_text(&text, 700);
        pack((Frame)_i, buf_slice(&text), &packed);
        for (size_t portion = 1; portion <= packed.size; portion++) {
                buf_clear(&out);
                ck_assert_int_eq(unpack(codings[_i], buf_slice(&packed), portion, &out), 0);
                ck_assert(slice_equal(buf_slice(&text), buf_slice(&out)));
        }
}
END_TEST

START_TEST(large_text_comes_in_capped_portions)
{
        _cleanup_(buf_deinit) Buf text = BUF_NULL(OUT_MAX), packed = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);

        make_text(&text, 3U << 20);
        pack((Frame)_i, buf_slice(&text), &packed);
        ck_assert_int_eq(unpack(codings[_i], buf_slice(&packed), packed.size, &out), 0);
        ck_assert(slice_equal(buf_slice(&text), buf_slice(&out)));
}
END_TEST

START_TEST(empty_text_comes_back)
{
        _cleanup_(buf_deinit) Buf packed = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);

        pack((Frame)_i, SLICE_NULL, &packed);
        for (size_t portion = 1; portion <= packed.size; portion++)
                ck_assert_int_eq(unpack(codings[_i], buf_slice(&packed), portion, &out), 0);
        ck_assert_uint_eq(out.size, 0);
        ck_assert_int_eq(unpack(codings[_i], SLICE_NULL, 1, &out), 0); /* no body at all: a HEAD, a 304 */
}
END_TEST

START_TEST(every_cut_is_seen)
{
        _cleanup_(buf_deinit) Buf text = BUF_NULL(OUT_MAX), packed = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);

        make_text(&text, 500);
        pack((Frame)_i, buf_slice(&text), &packed);
        for (size_t cut = 1; cut < packed.size; cut++) {
                buf_clear(&out);
                ck_assert_int_eq(unpack(codings[_i], slice(packed.data, cut), 7, &out), INFLATE_E_TRUNCATED);
                ck_assert(out.size == 0 || memcmp(text.data, out.data, out.size) == 0);
        }
}
END_TEST

START_TEST(every_flipped_bit_ends_in_an_error_or_in_text)
{
        _cleanup_(buf_deinit) Buf text = BUF_NULL(OUT_MAX), packed = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);

        make_text(&text, 300);
        pack((Frame)_i, buf_slice(&text), &packed);
        for (size_t i = 0; i < packed.size * 8; i++) {
                int r;

                packed.data[i / 8] ^= (uint8_t)(1U << i % 8);
                buf_clear(&out);
                r = unpack(codings[_i], buf_slice(&packed), 11, &out);
                /* With a checksum nothing but what is beside the text can change unseen. */
                if (r < 0 || (r == 0 && _i == FRAME_GZIP && !slice_equal(buf_slice(&text), buf_slice(&out))))
                        ck_abort_msg("bit %zu: %d", i, r);
                packed.data[i / 8] ^= (uint8_t)(1U << i % 8);
        }
}
END_TEST

START_TEST(members_in_a_row_are_one_text)
{
        _cleanup_(buf_deinit) Buf packed = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);

        pack(FRAME_GZIP, slice_text("one, "), &packed);
        pack(FRAME_GZIP, SLICE_NULL, &packed);
        pack(FRAME_GZIP, slice_text("two"), &packed);
        for (size_t portion = 1; portion <= packed.size; portion++) {
                buf_clear(&out);
                ck_assert_int_eq(unpack(INFLATE_GZIP, buf_slice(&packed), portion, &out), 0);
                ck_assert(slice_is_text(buf_slice(&out), "one, two"));
        }
}
END_TEST

START_TEST(endless_empty_members_are_a_bomb)
{
        _cleanup_(buf_deinit) Buf packed = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);

        for (unsigned i = 0; i < INFLATE_MEMBERS_MAX; i++)
                pack(FRAME_GZIP, SLICE_NULL, &packed);
        ck_assert_int_eq(unpack(INFLATE_GZIP, buf_slice(&packed), 1000, &out), 0);
        pack(FRAME_GZIP, SLICE_NULL, &packed);
        ck_assert_int_eq(unpack(INFLATE_GZIP, buf_slice(&packed), 1000, &out), INFLATE_E_BOMB);
}
END_TEST

START_TEST(bytes_behind_the_end_are_refused)
{
        for (int frame = 0; frame < _FRAME_N; frame++)
                for (size_t portion = 1; portion < 40; portion += 3) {
                        Buf packed = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);

                        pack((Frame)frame, slice_text("text"), &packed);
                        ck_assert_int_eq(buf_append_text(&packed, "more"), 0);
                        ck_assert_int_eq(unpack(codings[frame], buf_slice(&packed), portion, &out), INFLATE_E_TRAILING);
                        buf_deinit(&packed);
                        buf_deinit(&out);
                }
}
END_TEST

START_TEST(bomb_ends_in_an_error_and_takes_no_memory)
{
        enum { ZEROS = 1 << 20 };
        static uint8_t zeros[ZEROS];
        _cleanup_(inflate_freep) Inflate *stream = NULL;
        _cleanup_(buf_deinit) Buf packed = BUF_NULL(OUT_MAX), out = BUF_NULL(2 * INFLATE_CHUNK);
        uint64_t total = 0;
        int r = 0;

        /* One stream of 128 MiB: the same block of zeros, packed again and again. */
        z_stream zlib = { 0 };
        ck_assert_int_eq(deflateInit2(&zlib, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
        for (unsigned i = 0; i < 128; i++) {
                uint8_t *room;

                ck_assert_int_eq(buf_reserve(&packed, 4096, &room), 0);
                zlib.next_in = zeros;
                zlib.avail_in = ZEROS;
                zlib.next_out = room;
                zlib.avail_out = 4096;
                ck_assert_int_eq(deflate(&zlib, i < 127 ? Z_NO_FLUSH : Z_FINISH), i < 127 ? Z_OK : Z_STREAM_END);
                buf_commit(&packed, 4096 - zlib.avail_out);
        }
        (void)deflateEnd(&zlib);
        ck_assert_int_eq(inflate_new(&stream, INFLATE_GZIP), 0);
        for (size_t at = 0, used; r == 0 && (at < packed.size || inflate_has_more(stream)); at += used) {
                buf_clear(&out);
                r = inflate_feed(stream, slice(packed.data + at, packed.size - at), &used, &out);
                total += out.size;
        }
        ck_assert_int_eq(r, INFLATE_E_BOMB);
        ck_assert_uint_le(total, INFLATE_FREE + INFLATE_CHUNK);
}
END_TEST

START_TEST(output_without_room_can_be_tried_again)
{
        for (int frame = 0; frame < _FRAME_N; frame++) {
                Buf packed = BUF_NULL(OUT_MAX), none = BUF_NULL(1), out = BUF_NULL(OUT_MAX);
                Inflate *stream;
                size_t used;

                pack((Frame)frame, slice_text("some text"), &packed);
                ck_assert_int_eq(inflate_new(&stream, codings[frame]), 0);
                ck_assert_int_eq(inflate_feed(stream, buf_slice(&packed), &used, &none), -ENOBUFS);
                ck_assert_uint_eq(used, 0);
                for (size_t at = 0; at < packed.size; at += used)
                        ck_assert_int_eq(inflate_feed(stream, slice(packed.data + at, packed.size - at), &used,
                                                      &out), 0);
                ck_assert_int_eq(inflate_end(stream), 0);
                ck_assert(slice_is_text(buf_slice(&out), "some text"));
                inflate_free(stream);
                buf_deinit(&packed);
                buf_deinit(&out);
        }
}
END_TEST

START_TEST(what_is_none_is_refused)
{
        static const char *const bad[] = { "plain text", "\x1f\x8c", "\xff\xff\xff\xff", "<html>" };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                Buf out = BUF_NULL(OUT_MAX);

                ck_assert_int_eq(unpack(INFLATE_GZIP, slice_text(bad[i]), 10, &out), INFLATE_E_DAMAGED);
                ck_assert_uint_eq(out.size, 0);
                buf_deinit(&out);
        }
}
END_TEST

START_TEST(identity_passes)
{
        _cleanup_(buf_deinit) Buf text = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);

        make_text(&text, 200000);
        ck_assert_int_eq(unpack(INFLATE_IDENTITY, buf_slice(&text), 100000, &out), 0);
        ck_assert(slice_equal(buf_slice(&text), buf_slice(&out)));
}
END_TEST

START_TEST(codings_are_known)
{
        static const struct {
                const char *value;
                InflateCoding coding;
        } rows[] = { { "", INFLATE_IDENTITY },       { "identity", INFLATE_IDENTITY }, { "gzip", INFLATE_GZIP },
                     { "GZip", INFLATE_GZIP },       { " x-gzip\t", INFLATE_GZIP },    { "deflate", INFLATE_DEFLATE },
                     { "br", INFLATE_UNKNOWN },      { "zstd", INFLATE_UNKNOWN },      { "compress", INFLATE_UNKNOWN },
                     { "gzip, br", INFLATE_UNKNOWN }, { "gzip,gzip", INFLATE_UNKNOWN }, { "gzi", INFLATE_UNKNOWN } };
        Inflate *stream;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                ck_assert_msg(inflate_coding(slice_text(rows[i].value)) == rows[i].coding, "%s", rows[i].value);
        ck_assert_int_eq(inflate_coding(SLICE_NULL), INFLATE_IDENTITY);
        ck_assert_int_eq(inflate_new(&stream, INFLATE_UNKNOWN), -EINVAL);
}
END_TEST

START_TEST(each_error_has_its_sentence)
{
        for (int r = INFLATE_E_DAMAGED; r <= INFLATE_E_BOMB; r++)
                ck_assert_str_ne(inflate_strerror(r), inflate_strerror(0));
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("inflate");

        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, each_frame_comes_back_at_each_split, 0, _FRAME_N);
        tcase_add_loop_test(tcase, large_text_comes_in_capped_portions, 0, _FRAME_N);
        tcase_add_loop_test(tcase, empty_text_comes_back, 0, _FRAME_N);
        tcase_add_loop_test(tcase, every_cut_is_seen, 0, _FRAME_N);
        tcase_add_loop_test(tcase, every_flipped_bit_ends_in_an_error_or_in_text, 0, _FRAME_N);
        tcase_add_test(tcase, members_in_a_row_are_one_text);
        tcase_add_test(tcase, endless_empty_members_are_a_bomb);
        tcase_add_test(tcase, bytes_behind_the_end_are_refused);
        tcase_add_test(tcase, bomb_ends_in_an_error_and_takes_no_memory);
        tcase_add_test(tcase, output_without_room_can_be_tried_again);
        tcase_add_test(tcase, what_is_none_is_refused);
        tcase_add_test(tcase, identity_passes);
        tcase_add_test(tcase, codings_are_known);
        tcase_add_test(tcase, each_error_has_its_sentence);
        return suite_run("inflate", tcase);
}
