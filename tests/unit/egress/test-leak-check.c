#undef NDEBUG
#include "../base/suite.h"
#include "egress/leak_check.h"

/* Like a token, and of no known kind. */
#define SECRET "ghq_16C7e42F292c6912E7710c838347Ae178B4a"

typedef struct Fixture {
        Arena *arena;
        Scrub *scrub;
        LeakCheck check;
} Fixture;

static void fixture_start(Fixture *f, const char *secret)
{
        *f = (Fixture){ 0 };
        ck_assert_int_eq(arena_new(&f->arena, 64U * 1024U), 0);
        ck_assert_int_eq(scrub_new(&f->scrub, f->arena, &(Slice){ (const uint8_t *)secret, strlen(secret) }, 1), 0);
        f->check.scrub = f->scrub;
}

static void fixture_stop(Fixture *f)
{
        leak_check_deinit(&f->check);
        f->scrub = scrub_unref(f->scrub);
        f->arena = arena_free(f->arena);
}

static int in_head(const char *path, const char *query, const char *name, const char *value, bool *sure)
{
        HeaderField headers[] = { { "host", "x" }, { name, value } };
        EgressRequest request = {
                .method = "GET",
                .host = "x",
                .path = path,
                .query = query,
                .headers = { headers, ARRAY_SIZE(headers) },
        };
        Fixture f;
        int r;

        fixture_start(&f, SECRET);
        r = leak_check_head(&f.check, &request);
        *sure = f.check.sure;
        fixture_stop(&f);
        return r;
}

START_TEST(it_is_found_anywhere_in_the_head)
{
        bool sure;

        ck_assert_int_eq(in_head("/a", "b=1", "x-a", "c", &sure), 0);
        ck_assert_int_eq(in_head("/a/" SECRET, NULL, "x-a", "c", &sure), LEAK_CHECK_E_FOUND);
        ck_assert(sure);
        ck_assert_int_eq(in_head("/a", "b=" SECRET "&c", "x-a", "c", &sure), LEAK_CHECK_E_FOUND);
        ck_assert_int_eq(in_head("/a", NULL, "x-a", "token " SECRET, &sure), LEAK_CHECK_E_FOUND);
        ck_assert_int_eq(in_head("/a", NULL, "x-" SECRET, "c", &sure), LEAK_CHECK_E_FOUND);
        ck_assert_int_eq(in_head("/a", NULL, "x-a", "ghq%5f16C7e42F292c6912E7710c838347Ae178B4a", &sure),
                         LEAK_CHECK_E_FOUND);
        /* All but its last character is nothing. */
        ck_assert_int_eq(in_head("/a", NULL, "x-a", "ghq_16C7e42F292c6912E7710c838347Ae178B4", &sure), 0);
}
END_TEST

/* How many bytes of these have been let go after the last of them came. */
static size_t passed(const char *guess)
{
        EgressRequest request = { .method = "POST", .path = "/", .body = BODY_STREAM };
        _cleanup_(buf_deinit) Buf out = BUF_NULL(1U << 20);
        uint8_t filler[1000];
        Fixture f;
        size_t n;

        memset(filler, 'x', sizeof(filler));
        fixture_start(&f, SECRET);
        ck_assert_int_eq(leak_check_piece(&f.check, &request, slice(filler, sizeof(filler)), &out), 0);
        ck_assert_int_eq(leak_check_piece(&f.check, &request, slice_text(guess), &out), 0);
        n = out.size;
        fixture_stop(&f);
        return n;
}

START_TEST(what_is_held_does_not_tell_how_far_a_guess_goes)
{
        size_t right = passed("ghq_16C7e42F292c6912E7710c838347Ae178B4"), wrong = passed("abcdefghijklmnopqrstuvwxyzabcdefghijklm");

        ck_assert_uint_eq(right, wrong);
        ck_assert_uint_eq(right, passed("ghq_abcdefghijklmnopqrstuvwxyzabcdefghi"));
        ck_assert_uint_gt(right, 0);
}
END_TEST

/* At each place and cut anywhere: found, and not a byte of it let go. */
START_TEST(it_is_found_over_any_two_pieces_of_a_body)
{
        static const char body[] = "some text before " SECRET " and some behind";
        const size_t begin = strlen("some text before ");

        for (size_t cut = 1; cut < sizeof(body) - 1; cut++) {
                EgressRequest request = { .method = "POST", .path = "/", .body = BODY_STREAM };
                _cleanup_(buf_deinit) Buf out = BUF_NULL(1U << 20);
                Fixture f;
                int r;

                fixture_start(&f, SECRET);
                r = leak_check_piece(&f.check, &request, slice((const uint8_t *)body, cut), &out);
                if (r == 0)
                        r = leak_check_piece(&f.check, &request, slice((const uint8_t *)body + cut, sizeof(body) - 1 - cut), &out);
                if (r == 0)
                        r = leak_check_end(&f.check, &out);
                ck_assert_int_eq(r, LEAK_CHECK_E_FOUND);
                ck_assert(f.check.sure);
                ck_assert_uint_le(out.size, begin);
                fixture_stop(&f);
        }
}
END_TEST

START_TEST(what_is_clean_comes_out_as_it_went_in)
{
        static const char body[] = "{\"a\": \"text\"}\n{\"b\": 2}\nand a rest";
        HeaderField type = { "content-type", "application/json" };
        EgressRequest request = { .method = "POST", .path = "/", .body = BODY_STREAM, .headers = { &type, 1 } };
        _cleanup_(buf_deinit) Buf out = BUF_NULL(1U << 20);
        Fixture f;

        fixture_start(&f, SECRET);
        for (size_t i = 0; i < sizeof(body) - 1; i++)
                ck_assert_int_eq(leak_check_piece(&f.check, &request, slice((const uint8_t *)body + i, 1), &out), 0);
        ck_assert_uint_eq(out.size, strlen("{\"a\": \"text\"}\n{\"b\": 2}\n"));
        ck_assert_int_eq(leak_check_end(&f.check, &out), 0);
        ck_assert_uint_eq(out.size, sizeof(body) - 1);
        ck_assert_int_eq(memcmp(out.data, body, out.size), 0);
        fixture_stop(&f);
}
END_TEST

/* A secret of nothing but escapes cannot always be told from other text in reasonable time. Such text is refused, and
 * whoever can write it has shown no evidence that he knows the secret. */
START_TEST(what_cannot_be_told_apart_is_no_evidence)
{
        static char secret[600], text[1000];
        Fixture f;

        memset(secret, '\\', sizeof(secret) - 1);
        memset(text, '\\', sizeof(text) - 1);
        text[300] = text[600] = text[900] = 'x'; /* nowhere as many as the secret has */
        fixture_start(&f, secret);
        ck_assert_int_eq(leak_check_whole(&f.check, slice_text(text)), LEAK_CHECK_E_FOUND);
        ck_assert(!f.check.sure);
        fixture_stop(&f);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("leak-check");

        tcase_add_test(tcase, it_is_found_anywhere_in_the_head);
        tcase_add_test(tcase, what_is_held_does_not_tell_how_far_a_guess_goes);
        tcase_add_test(tcase, it_is_found_over_any_two_pieces_of_a_body);
        tcase_add_test(tcase, what_is_clean_comes_out_as_it_went_in);
        tcase_add_test(tcase, what_cannot_be_told_apart_is_no_evidence);
        return suite_run("leak-check", tcase);
}
