#undef NDEBUG
#include "base/buf.h"
#include "base/reader.h"
#include "suite.h"
#include <limits.h>

START_TEST(integers_are_little_endian_and_read_back)
{
        Buf buf = BUF_NULL(64);
        static const uint8_t want[] = { 1, 3, 2, 7, 6, 5, 4, 15, 14, 13, 12, 11, 10, 9, 8 };
        Reader reader;
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;

        ck_assert_int_eq(buf_append_u8(&buf, 1), 0);
        ck_assert_int_eq(buf_append_u16(&buf, 0x0203), 0);
        ck_assert_int_eq(buf_append_u32(&buf, 0x04050607), 0);
        ck_assert_int_eq(buf_append_u64(&buf, UINT64_C(0x08090a0b0c0d0e0f)), 0);
        ck_assert(slice_equal(buf_slice(&buf), slice(want, sizeof(want))));
        reader_init(&reader, buf_slice(&buf));
        ck_assert(!reader_u8(&reader, &u8) && !reader_u16(&reader, &u16) &&
                  !reader_u32(&reader, &u32) && !reader_u64(&reader, &u64));
        ck_assert(u8 == 1 && u16 == 0x0203 && u32 == 0x04050607 &&
                  u64 == UINT64_C(0x08090a0b0c0d0e0f));
        ck_assert_uint_eq(reader_left(&reader), 0);
        buf_deinit(&buf);
}
END_TEST

START_TEST(cap_is_kept_and_failure_appends_nothing)
{
        Buf buf = BUF_NULL(10);
        uint8_t *room;

        ck_assert_int_eq(buf_append(&buf, "12345678", 8), 0);
        ck_assert_int_eq(buf_append(&buf, "901", 3), -ENOBUFS);
        ck_assert_int_eq(buf_append_u32(&buf, 1), -ENOBUFS);
        ck_assert_int_eq(buf_reserve(&buf, SIZE_MAX, &room), -ENOBUFS);
        ck_assert_uint_eq(buf.size, 8);
        ck_assert_int_eq(buf_append(&buf, "90", 2), 0);
        ck_assert_int_eq(buf_append(&buf, NULL, 0), 0);
        ck_assert_int_eq(buf_append_u8(&buf, 1), -ENOBUFS);
        ck_assert(slice_is_text(buf_slice(&buf), "1234567890"));
        buf_deinit(&buf);
        ck_assert_uint_eq(buf.max, 10);
        ck_assert_int_eq(buf_append_text(&buf, "again"), 0);
        buf_deinit(&buf);
        buf_deinit(NULL);
}
END_TEST

START_TEST(growing_keeps_the_bytes)
{
        Buf buf = BUF_NULL(1U << 20);
        bool good = true;

        for (unsigned i = 0; good && i < 100000; i++)
                good = buf_append_u32(&buf, i) == 0;
        for (unsigned i = 0; good && i < 100000; i++) {
                Reader reader;
                uint32_t value;

                reader_init(&reader, slice(buf.data + i * 4U, 4));
                good = reader_u32(&reader, &value) == 0 && value == i;
        }
        ck_assert(good);
        buf_deinit(&buf);
}
END_TEST

START_TEST(consume_moves_and_wipes)
{
        Buf buf = BUF_NULL(64);

        ck_assert_int_eq(buf_append_text(&buf, "abcdef"), 0);
        buf_consume(&buf, 0);
        buf_consume(&buf, 2);
        ck_assert(slice_is_text(buf_slice(&buf), "cdef"));
        ck_assert(buf.data[4] == 0 && buf.data[5] == 0);
        buf_consume(&buf, 100);
        ck_assert_uint_eq(buf.size, 0);
        ck_assert(buf.data[0] == 0 && buf.data[3] == 0);
        buf_deinit(&buf);
}
END_TEST

START_TEST(clear_wipes_and_keeps_memory)
{
        Buf buf = BUF_NULL(64);
        uint8_t *before;

        buf_clear(&buf);
        ck_assert_int_eq(buf_append_text(&buf, "secret"), 0);
        before = buf.data;
        buf_clear(&buf);
        ck_assert_ptr_eq(buf.data, before);
        for (size_t i = 0; i < 6; i++)
                ck_assert_uint_eq(before[i], 0);
        buf_deinit(&buf);
}
END_TEST

START_TEST(reserve_then_commit)
{
        Buf buf = BUF_NULL(16);
        uint8_t *room;

        ck_assert_int_eq(buf_reserve(&buf, 16, &room), 0);
        memcpy(room, "xyz", 3);
        buf_commit(&buf, 3);
        ck_assert(slice_is_text(buf_slice(&buf), "xyz"));
        ck_assert_int_eq(buf_reserve(&buf, 14, &room), -ENOBUFS);
        buf_deinit(&buf);
}
END_TEST

START_TEST(printf_appends)
{
        Buf buf = BUF_NULL(16);

        ck_assert_int_eq(buf_printf(&buf, "%d-%s", 42, "x"), 0);
        ck_assert_int_eq(buf_printf(&buf, "%s", ""), 0);
        ck_assert(slice_is_text(buf_slice(&buf), "42-x"));
        ck_assert_int_eq(buf_printf(&buf, "%s", "0123456789abcdef"), -ENOBUFS);
        ck_assert(slice_is_text(buf_slice(&buf), "42-x"));
        buf_deinit(&buf);
}
END_TEST

START_TEST(reader_gives_all_or_nothing)
{
        static const uint8_t bytes[7] = { 1, 2, 3, 4, 5, 6, 7 };
        Reader reader;
        uint64_t u64 = 99;
        uint32_t u32;
        Slice piece = SLICE_NULL;

        reader_init(&reader, slice(bytes, sizeof(bytes)));
        ck_assert_int_eq(reader_u64(&reader, &u64), READER_E_SHORT);
        ck_assert_uint_eq(u64, 99);
        ck_assert_uint_eq(reader_left(&reader), 7);
        ck_assert_int_eq(reader_bytes(&reader, SIZE_MAX, &piece), READER_E_SHORT);
        ck_assert_int_eq(reader_bytes(&reader, 4, &piece), 0);
        ck_assert_ptr_eq(piece.data, bytes);
        ck_assert_int_eq(reader_u32(&reader, &u32), READER_E_SHORT);
        ck_assert_int_eq(reader_bytes(&reader, 3, &piece), 0);
        ck_assert_int_eq(reader_bytes(&reader, 0, &piece), 0);
        ck_assert_int_eq(reader_bytes(&reader, 1, &piece), READER_E_SHORT);
        reader_init(&reader, SLICE_NULL);
        ck_assert_int_eq(reader_bytes(&reader, 0, &piece), 0);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("buf");

        tcase_add_test(tcase, integers_are_little_endian_and_read_back);
        tcase_add_test(tcase, cap_is_kept_and_failure_appends_nothing);
        tcase_add_test(tcase, growing_keeps_the_bytes);
        tcase_add_test(tcase, consume_moves_and_wipes);
        tcase_add_test(tcase, clear_wipes_and_keeps_memory);
        tcase_add_test(tcase, reserve_then_commit);
        tcase_add_test(tcase, printf_appends);
        tcase_add_test(tcase, reader_gives_all_or_nothing);
        return suite_run("buf", tcase);
}
