#undef NDEBUG
#include "providers/https.h"
#include "providers/provider.h"
#include "base/wipe.h"
#include <check.h>

static void url_is(const char *base_url, const char *path, const char *wanted)
{
        Buf buf = BUF_NULL(256);

        ck_assert_int_eq(https_url(&buf, base_url, path), 0);
        ck_assert(slice_is_text(buf_slice(&buf), wanted));
        buf_deinit(&buf);
}

START_TEST(urls)
{
        url_is("https://api.github.com", "/app", "https://api.github.com/app");
        url_is("https://ghe.test/api/v3", "/app", "https://ghe.test/api/v3/app");
        url_is("https://ghe.test/api/v3/", "/app", "https://ghe.test/api/v3/app");
        url_is("https://ghe.test:8443", "/a?b=1", "https://ghe.test:8443/a?b=1");
}
END_TEST

START_TEST(headers)
{
        ck_assert(https_header_is_valid(slice_text("Accept: a/b")));
        ck_assert(!https_header_is_valid(SLICE_NULL));
        ck_assert(!https_header_is_valid(slice_text("X: a\r\nY: b")));
        ck_assert(!https_header_is_valid(slice_text("X: a\nY: b")));
        ck_assert(!https_header_is_valid(slice_text("X: a\x7f")));
        ck_assert(!https_header_is_valid(slice_text("X: \xc3\xa4")));
        ck_assert(!https_header_is_valid(slice("X: a\0b", 6)));
}
END_TEST

static Https *client;
static Arena *arena;

static void setup(void)
{
        HttpsConfig config = { .watch = { -1, -1 }, .connect_timeout_usec = USEC_PER_SEC };

        ck_assert_int_eq(https_global_init(), 0);
        ck_assert_int_eq(arena_new(&arena, 64U * 1024U), 0);
        ck_assert_int_eq(https_new(&client, arena, &config), 0);
}

static void teardown(void)
{
        https_free(client);
        ck_assert_uint_eq(arena_used(arena), 0);
        arena_free(arena);
}

static int perform(const char *url, const char *bearer, const char *const *lines)
{
        HttpsResponse response = HTTPS_RESPONSE_NULL;
        _cleanup_(secret_freep) Secret *secret = NULL;
        HttpsRequest request = {
                .method = "GET",
                .url = url,
                .headers = lines,
                .response_max = 1024,
                .timeout_usec = 5 * USEC_PER_SEC,
        };
        int r;

        if (bearer)
                ck_assert_int_eq(secret_from_bytes(&secret, arena, slice_text(bearer)), 0);
        request.bearer = secret;
        r = https_perform(client, &request, &response);
        https_response_deinit(&response);
        return r;
}

START_TEST(only_https_is_spoken)
{
        ck_assert_int_eq(perform("http://localhost:1/", NULL, NULL), HTTPS_E_INVALID);
        ck_assert_int_eq(perform("file:///etc/passwd", NULL, NULL), HTTPS_E_INVALID);
        ck_assert_int_eq(perform("gopher://localhost:1/", NULL, NULL), HTTPS_E_INVALID);
        ck_assert_int_eq(perform("", NULL, NULL), HTTPS_E_INVALID);
        ck_assert_int_eq(perform("https://localhost:1/", NULL, NULL), HTTPS_E_NOT_SENT);
}
END_TEST

START_TEST(header_injection_is_refused)
{
        const char *const bad[] = { "X: a\r\nY: b", NULL };

        ck_assert_int_eq(perform("https://localhost:1/", "a\r\nX: b", NULL), HTTPS_E_INVALID);
        ck_assert_int_eq(perform("https://localhost:1/", "a b", NULL), HTTPS_E_INVALID);
        ck_assert_int_eq(perform("https://localhost:1/", "", NULL), HTTPS_E_INVALID);
        ck_assert_int_eq(perform("https://localhost:1/", NULL, bad), HTTPS_E_INVALID);
}
END_TEST

START_TEST(allocator)
{
        char *text = wipe_strdup("abc"), *zero;

        ck_assert_str_eq(text, "abc");
        text = wipe_realloc(text, 100);
        ck_assert_str_eq(text, "abc");
        ck_assert_uint_eq((uintptr_t)text % 16, 0);
        text = wipe_realloc(text, 2);
        ck_assert_int_eq(memcmp(text, "ab", 2), 0);
        wipe_free(text);
        zero = wipe_calloc(10, 10);
        for (size_t i = 0; i < 100; i++)
                ck_assert_int_eq(zero[i], 0);
        wipe_free(zero);
        wipe_free(NULL);
        wipe_free(wipe_realloc(NULL, 0));
        ck_assert_ptr_null(wipe_calloc(SIZE_MAX / 2, 3));
        ck_assert_ptr_null(wipe_malloc(SIZE_MAX - 4));
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("providers/https");
        TCase *pure = tcase_create("pure"), *requests = tcase_create("requests");
        SRunner *runner;
        int failed;

        tcase_add_test(pure, urls);
        tcase_add_test(pure, headers);
        tcase_add_test(pure, allocator);
        suite_add_tcase(suite, pure);
        tcase_add_checked_fixture(requests, setup, teardown);
        tcase_set_timeout(requests, 30);
        tcase_add_test(requests, only_https_is_spoken);
        tcase_add_test(requests, header_injection_is_refused);
        suite_add_tcase(suite, requests);
        runner = srunner_create(suite);
        srunner_set_tap(runner, "-");
        srunner_run_all(runner, CK_SILENT);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed > 0;
}
