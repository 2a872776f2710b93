#undef NDEBUG
#include "base/secret.h"
#include "base/fd.h"
#include "suite.h"
#include <sodium.h>
#include <unistd.h>

static Arena *arena;

static void setup(void)
{
        ck_assert_int_ge(sodium_init(), 0);
        ck_assert_int_eq(arena_new(&arena, 256U * 1024U), 0);
}

static void teardown(void)
{
        arena = arena_free(arena);
}

static Secret *secret_of(const char *text)
{
        Secret *secret = NULL;

        ck_assert_int_eq(secret_from_bytes(&secret, arena, slice_text(text)), 0);
        return secret;
}

START_TEST(holds_a_copy)
{
        char text[] = "abc";
        Secret *secret = secret_of(text);

        text[0] = 'x';
        ck_assert(slice_is_text(secret_slice(secret), "abc"));
        ck_assert_uint_eq(secret_size(secret), 3);
        ck_assert_ptr_null(secret_free(secret));
        ck_assert_uint_eq(arena_used(arena), 0);
}
END_TEST

START_TEST(null_is_an_empty_secret)
{
        ck_assert_uint_eq(secret_size(NULL), 0);
        ck_assert_uint_eq(secret_slice(NULL).size, 0);
        ck_assert(!secret_equal(NULL, SLICE_NULL));
        ck_assert_ptr_null(secret_free(NULL));
}
END_TEST

START_TEST(free_wipes)
{
        Secret *secret = secret_of("0123456789");
        const uint8_t *data = secret_slice(secret).data;

        secret_free(secret);
        for (size_t i = 0; i < 10; i++)
                ck_assert_uint_eq(data[i], 0);
}
END_TEST

START_TEST(append_stops_at_its_capacity)
{
        Secret *secret = NULL;

        ck_assert_int_eq(secret_new(&secret, arena, 5), 0);
        ck_assert_int_eq(secret_append(secret, slice_text("abc")), 0);
        ck_assert_int_eq(secret_append(secret, slice_text("def")), SECRET_E_FULL);
        ck_assert(slice_is_text(secret_slice(secret), "abc"));
        ck_assert_int_eq(secret_append(secret, slice_text("de")), 0);
        ck_assert_int_eq(secret_append(secret, SLICE_NULL), 0);
        ck_assert(slice_is_text(secret_slice(secret), "abcde"));
        secret_free(secret);
}
END_TEST

START_TEST(too_long_and_full_are_told_apart)
{
        Secret *secret = NULL, *held[8] = { 0 };
        size_t n = 0;
        int r = 0;

        ck_assert_int_eq(secret_new(&secret, arena, SECRET_MAX + 1), SECRET_E_TOO_LONG);
        while (n < ARRAY_SIZE(held) && (r = secret_new(&held[n], arena, SECRET_MAX)) == 0)
                n++;
        ck_assert_int_eq(r, SECRET_E_FULL);
        ck_assert_uint_eq(n, 4);
        while (n > 0)
                secret_free(held[--n]);
        ck_assert_uint_eq(arena_used(arena), 0);
}
END_TEST

START_TEST(newline_is_trimmed_once)
{
        static const char *const cases[][2] = {
                { "a\n", "a" }, { "a\r\n", "a" }, { "a\n\n", "a\n" }, { "a\r", "a\r" },
                { "\n", "" },   { "\r\n", "" },   { "", "" },         { "a", "a" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                Secret *secret = secret_of(cases[i][0]);

                secret_trim_newline(secret);
                ck_assert(slice_is_text(secret_slice(secret), cases[i][1]));
                secret_free(secret);
        }
}
END_TEST

START_TEST(equal_looks_at_all_bytes)
{
        Secret *secret = secret_of("abcdef"), *empty = secret_of("");

        ck_assert(secret_equal(secret, slice_text("abcdef")));
        ck_assert(!secret_equal(secret, slice_text("abcdeF")));
        ck_assert(!secret_equal(secret, slice_text("Abcdef")));
        ck_assert(!secret_equal(secret, slice_text("abcde")));
        ck_assert(!secret_equal(secret, SLICE_NULL));
        ck_assert(secret_equal(empty, SLICE_NULL));
        secret_free(secret);
        secret_free(empty);
}
END_TEST

START_TEST(shrinking_wipes_the_tail)
{
        Secret *secret = secret_of("abcdef");
        size_t capacity;
        uint8_t *data = secret_buffer(secret, &capacity);

        ck_assert_uint_eq(capacity, 6);
        secret_set_size(secret, 2);
        ck_assert(slice_is_text(secret_slice(secret), "ab"));
        for (size_t i = 2; i < 6; i++)
                ck_assert_uint_eq(data[i], 0);
        secret_set_size(secret, 100);
        ck_assert_uint_eq(secret_size(secret), 6);
        secret_free(secret);
}
END_TEST

/* Feeds a pipe and reads it into a secret of the given capacity. */
static int read_pipe(const char *text, size_t capacity, bool keep_open, Secret **ret)
{
        int pair[2], r;

        ck_assert_int_eq(pipe(pair), 0);
        ck_assert_int_eq(fd_set_nonblock(pair[0]), 0);
        ck_assert_int_eq(fd_write_all(pair[1], text, strlen(text)), 0);
        if (!keep_open)
                pair[1] = fd_close(pair[1]);
        ck_assert_int_eq(secret_new(ret, arena, capacity), 0);
        r = secret_read_fd(*ret, pair[0]);
        fd_close_all(pair, 2);
        return r;
}

START_TEST(read_fd_tells_end_from_pause_from_too_much)
{
        Secret *secret = NULL;

        ck_assert_int_eq(read_pipe("hello", 16, false, &secret), 0);
        ck_assert(slice_is_text(secret_slice(secret), "hello"));
        secret_free(secret);
        ck_assert_int_eq(read_pipe("hello", 5, false, &secret), 0);
        ck_assert(slice_is_text(secret_slice(secret), "hello"));
        secret_free(secret);
        ck_assert_int_eq(read_pipe("hello", 16, true, &secret), SECRET_E_AGAIN);
        ck_assert(slice_is_text(secret_slice(secret), "hello"));
        secret_free(secret);
        ck_assert_int_eq(read_pipe("hello!", 5, false, &secret), SECRET_E_FULL);
        secret_free(secret);
        ck_assert_int_eq(secret_new(&secret, arena, 4), 0);
        ck_assert_int_eq(secret_read_fd(secret, -1), -EBADF);
        secret_free(secret);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("secret");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, holds_a_copy);
        tcase_add_test(tcase, null_is_an_empty_secret);
        tcase_add_test(tcase, free_wipes);
        tcase_add_test(tcase, append_stops_at_its_capacity);
        tcase_add_test(tcase, too_long_and_full_are_told_apart);
        tcase_add_test(tcase, newline_is_trimmed_once);
        tcase_add_test(tcase, equal_looks_at_all_bytes);
        tcase_add_test(tcase, shrinking_wipes_the_tail);
        tcase_add_test(tcase, read_fd_tells_end_from_pause_from_too_much);
        return suite_run("secret", tcase);
}
