#undef NDEBUG
#include "base/pool.h"
#include "suite.h"

START_TEST(memory_is_zeroed_aligned_and_apart)
{
        Pool pool = POOL_NULL(1U << 20);
        uint8_t *before = NULL;

        for (size_t size = 0; size < 5000; size += 37) {
                bool zero = true;
                void *data;

                ck_assert_int_eq(pool_alloc(&pool, size, &data), 0);
                ck_assert_uint_eq((uintptr_t)data % _Alignof(max_align_t), 0);
                for (size_t i = 0; i < size; i++)
                        zero = zero && ((uint8_t *)data)[i] == 0;
                ck_assert(zero);
                memset(data, 0xff, size);
                ck_assert_ptr_ne(data, before);
                before = data;
        }
        pool_deinit(&pool);
}
END_TEST

START_TEST(cap_is_kept)
{
        Pool pool = POOL_NULL(100);
        void *data;

        ck_assert_int_eq(pool_alloc(&pool, 101, &data), -ENOBUFS);
        ck_assert_int_eq(pool_alloc(&pool, SIZE_MAX, &data), -ENOBUFS);
        ck_assert_int_eq(pool_alloc(&pool, 100, &data), 0);
        ck_assert_uint_le(pool.used, pool.max);
        ck_assert_int_eq(pool_alloc(&pool, 1, &data), -ENOBUFS);
        pool_deinit(&pool);
        ck_assert_int_eq(pool_alloc(&pool, 100, &data), 0);
        pool_deinit(&pool);
        pool_deinit(NULL);
}
END_TEST

START_TEST(copies_are_terminated)
{
        Pool pool = POOL_NULL(4096);
        const char *text;
        Slice bytes;

        ck_assert_int_eq(pool_text(&pool, slice("abc", 2), &text), 0);
        ck_assert_str_eq(text, "ab");
        ck_assert_int_eq(pool_text(&pool, SLICE_NULL, &text), 0);
        ck_assert_str_eq(text, "");
        ck_assert_int_eq(pool_bytes(&pool, slice("\0x", 2), &bytes), 0);
        ck_assert_uint_eq(bytes.size, 2);
        ck_assert(bytes.data[1] == 'x' && bytes.data[2] == 0);
        ck_assert_int_eq(pool_bytes(&pool, SLICE_NULL, &bytes), 0);
        ck_assert_uint_eq(bytes.size, 0);
        pool_deinit(&pool);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("pool");

        tcase_add_test(tcase, memory_is_zeroed_aligned_and_apart);
        tcase_add_test(tcase, cap_is_kept);
        tcase_add_test(tcase, copies_are_terminated);
        return suite_run("pool", tcase);
}
