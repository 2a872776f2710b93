#undef NDEBUG
#include "../base/suite.h"
#include "egress/scrub_stream.h"
#include "encodings.h"
#include <time.h>

/* Like tokens, and of no known kind. */
#define SECRET_PLAIN "ghq_16C7e42F292c6912E7710c838347Ae178B4a"
#define SECRET_SLASHES "sk/+a/b+c//d++e=="
#define SECRET_ODD "p%41&amp;\\\\u0041\"'<x>%"
#define SECRET_SHORT "k3y+/_-8"
#define SECRET_SPACES "pass phrase with %20 & so"

static const char *const secrets[] = { SECRET_PLAIN, SECRET_SLASHES, SECRET_ODD, SECRET_SHORT, SECRET_SPACES };

#define OUT_MAX (1U << 22)

typedef struct Fixture {
        Arena *arena;
        Scrub *scrub;
} Fixture;

static void fixture_start(Fixture *f, const char *secret)
{
        *f = (Fixture){ 0 };
        ck_assert_int_eq(arena_new(&f->arena, 64U * 1024U), 0);
        ck_assert_int_eq(scrub_new(&f->scrub, f->arena, &(Slice){ (const uint8_t *)secret, strlen(secret) }, 1), 0);
}

static void fixture_stop(Fixture *f)
{
        f->scrub = scrub_unref(f->scrub);
        ck_assert_uint_eq(arena_used(f->arena), 0);
        f->arena = arena_free(f->arena);
}

/* In portions of `first`, then `step` bytes. */
static int feed(Fixture *f, ScrubMode mode, bool lines, Slice text, size_t first, size_t portion, Buf *out,
                uint64_t *ret_found)
{
        _cleanup_(scrub_stream_freep) ScrubStream *stream = NULL;
        size_t at = 0;
        int r = 0;

        if (scrub_stream_new(&stream, f->scrub, mode, lines))
                abort();
        while (r == 0 && at < text.size) {
                size_t n = MIN(at == 0 && first > 0 ? first : portion, text.size - at);

                r = scrub_stream_feed(stream, slice(text.data + at, n), out);
                at += n;
        }
        if (r == 0)
                r = scrub_stream_end(stream, out);
        *ret_found = scrub_stream_found(stream);
        return r;
}

/* ---- all encodings ---- */

#define N_ENCODINGS 30U

static void encode(unsigned which, const char *secret, Dice *dice, Buf *out)
{
        static const char *const before[] = { "", "u", "us", "usr", "user:", "user1:" };
        Buf plain = BUF_NULL(OUT_MAX);

        switch (which) {
        case 0:
                put_text(out, secret);
                break;
        case 1:
        case 2:
                encode_percent(secret, NULL, which == 1, out);
                break;
        case 3:
        case 4:
                encode_percent(secret, dice, which == 3, out);
                break;
        case 5:
        case 6:
                encode_json(secret, NULL, which == 5, out);
                break;
        case 7:
        case 8:
                encode_json(secret, dice, which == 7, out);
                break;
        case 9:
        case 10:
                encode_hex(secret, which == 9, out);
                break;
        case 11:
        case 12:
        case 13:
                encode_html(secret, dice, which - 11, out);
                break;
        case 14:
        case 15:
        case 16:
                encode_html(secret, NULL, which - 14, out);
                break;
        case 17:
                encode_html(secret, dice, 3, out);
                break;
        default: /* 18 to 29: Base64, at each alignment, with a little behind it */
                put_text(&plain, before[which % 6]);
                put_text(&plain, secret);
                if (dice_roll(dice, 2))
                        put_text(&plain, "\x01tail");
                encode_base64(buf_slice(&plain), which >= 24, 0, "", out);
        }
        buf_deinit(&plain);
}

/* The encoding within text that is none of it, so that its end is known. */
static void embed(unsigned which, const char *secret, Dice *dice, Buf *out)
{
        put_text(out, "{\"a\": \"");
        encode(which, secret, dice, out);
        put_text(out, "\", \"b\": 1}");
}

static void expect_clean(const char *secret, unsigned which, size_t at, const Buf *text, const Buf *out, uint64_t found)
{
        const char *form = reveals(out, secret);

        ck_assert_msg(!form && found > 0, "%s, encoding %u, split %zu: %s, %u found\n%.*s\n%.*s", secret, which, at,
                      form ? form : "clean", (unsigned)found, (int)text->size, (const char *)text->data, (int)out->size,
                      (const char *)out->data);
        ck_assert_uint_eq(out->size, text->size);
        ck_assert(memcmp(out->data, "{\"a\": \"", 7) == 0);
        ck_assert(memcmp(out->data + out->size - 10, "\", \"b\": 1}", 10) == 0);
}

START_TEST(each_encoding_is_found_at_each_split)
{
        const char *secret = secrets[_i];
        Dice dice = { 1 };
        Fixture f;

        fixture_start(&f, secret);
        for (unsigned which = 0; which < N_ENCODINGS; which++) {
                Buf text = BUF_NULL(OUT_MAX), whole = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);
                uint64_t found;

                embed(which, secret, &dice, &text);
                ck_assert_msg(reveals(&text, secret) || which == 8 || which == 7 || strchr(secret, '\\') ||
                              strchr(secret, '%'),
                              "the test does not see encoding %u of %s", which, secret);
                ck_assert_int_eq(feed(&f, SCRUB_MASK, false, buf_slice(&text), 1, 1, &whole, &found), 0);
                expect_clean(secret, which, 0, &text, &whole, found);
                for (size_t at = 1; at <= text.size; at++) {
                        buf_clear(&out);
                        if (feed(&f, SCRUB_MASK, at % 2, buf_slice(&text), at, text.size, &out, &found) ||
                            !slice_equal(buf_slice(&out), buf_slice(&whole)) || found == 0)
                                expect_clean(secret, which, at, &text, &out, 0);
                }
                buf_deinit(&text);
                buf_deinit(&whole);
                buf_deinit(&out);
        }
        fixture_stop(&f);
}
END_TEST

START_TEST(random_subsets_of_escapes_are_found)
{
        const char *secret = secrets[_i];
        Dice dice = { 7 };
        Fixture f;

        fixture_start(&f, secret);
        for (unsigned round = 0; round < 400; round++) {
                static const unsigned subsets[] = { 3, 4, 7, 8, 11, 12, 13, 17 };
                unsigned which = subsets[round % ARRAY_SIZE(subsets)];
                Buf text = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);
                uint64_t found;

                embed(which, secret, &dice, &text);
                ck_assert_int_eq(feed(&f, SCRUB_MASK, false, buf_slice(&text), 1 + dice_roll(&dice, 30),
                                      1 + dice_roll(&dice, 9), &out, &found),
                                 0);
                expect_clean(secret, which, round, &text, &out, found);
                buf_deinit(&text);
                buf_deinit(&out);
        }
        fixture_stop(&f);
}
END_TEST

/* One escape within another encoding: what JSON, URLs and mail make of Base64. */
START_TEST(base64_is_found_as_it_is_wrapped_and_escaped)
{
        static const char *const eols[] = { "\n", "\r\n", "\\n", "\\r\\n" };
        const char *secret = secrets[_i];
        Fixture f;

        fixture_start(&f, secret);
        for (size_t offset = 0; offset < 84; offset += 5)
                for (unsigned style = 0; style < 12; style++) {
                        Buf plain = BUF_NULL(OUT_MAX), packed = BUF_NULL(OUT_MAX), text = BUF_NULL(OUT_MAX),
                            out = BUF_NULL(OUT_MAX);
                        uint64_t found;

                        for (size_t i = 0; i < offset; i++)
                                put_text(&plain, "x");
                        put_text(&plain, secret);
                        put_text(&plain, "after");
                        encode_base64(buf_slice(&plain), style % 2, style < 8 ? (style < 4 ? 76 : 60) : 0,
                                      eols[style % 4], &packed);
                        if (style >= 10)
                                put(&packed, "\0", 1);
                        put_text(&text, "{\"a\": \"");
                        if (style == 10)
                                encode_percent((const char *)packed.data, NULL, false, &text);
                        else if (style == 11)
                                encode_json((const char *)packed.data, &(Dice){ offset }, false, &text);
                        else
                                put(&text, (const char *)packed.data, packed.size);
                        put_text(&text, "\", \"b\": 1}");
                        ck_assert_int_eq(feed(&f, SCRUB_MASK, false, buf_slice(&text), 1, 1 + offset % 7, &out,
                                              &found), 0);
                        expect_clean(secret, style, offset, &text, &out, found);
                        buf_deinit(&plain);
                        buf_deinit(&packed);
                        buf_deinit(&text);
                        buf_deinit(&out);
                }
        fixture_stop(&f);
}
END_TEST

/* ---- what is none ---- */

/* Each byte in 2 or 4, of either order. */
static void widen(Slice text, size_t size, bool big, Buf *out)
{
        for (size_t i = 0; i < text.size; i++)
                for (size_t k = 0; k < size; k++)
                        ck_assert_int_eq(buf_append_u8(out, k == (big ? size - 1 : 0) ? text.data[i] : 0), 0);
}

/* Found, unless it is longer than what is held: then nothing is promised. */
static void expect_wide(const char *secret, unsigned which, size_t size, bool big)
{
        Buf text = BUF_NULL(OUT_MAX), wide = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);
        Dice dice = { which + 1 };
        uint64_t found = 0;
        Fixture f;

        fixture_start(&f, secret);
        encode(which, secret, &dice, &text);
        widen(buf_slice(&text), size, big, &wide);
        ck_assert_int_eq(feed(&f, SCRUB_MASK, false, buf_slice(&wide), 7, 33, &out, &found), 0);
        ck_assert_msg(found > 0 || wide.size > 4 * strlen(secret), "%s, encoding %u, %zu bytes", secret, which, size);
        buf_deinit(&text);
        buf_deinit(&wide);
        buf_deinit(&out);
        fixture_stop(&f);
}

/* Of the forms without escapes. */
START_TEST(wide_characters_are_found)
{
        for (unsigned which = 0; which < N_ENCODINGS; which++)
                for (unsigned form = 0; form < 4 && (which == 0 || which == 9 || which == 10 || which >= 18); form++)
                        expect_wide(secrets[_i], which, form % 2 ? 2 : 4, form & 2);
}
END_TEST

static uint64_t cpu_nsec(void)
{
        struct timespec t;

        ck_assert_int_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
        return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* A response that consists of beginnings of the secret, each with so many characters right. */
static void put_guesses(Buf *text, size_t right)
{
        char guess[sizeof(SECRET_PLAIN) + 1];

        memset(guess, '!', sizeof(guess));
        memcpy(guess, SECRET_PLAIN, right);
        while (text->size < 200000U)
                ck_assert_int_eq(buf_append(text, guess, sizeof(guess)), 0);
}

static uint64_t time_of(Fixture *f, const Buf *text, Buf *out)
{
        uint64_t begin = cpu_nsec(), found = 0;

        buf_clear(out);
        ck_assert_int_eq(feed(f, SCRUB_MASK, false, buf_slice(text), 0, 16384, out, &found), 0);
        ck_assert_uint_eq(found, 0);
        return cpu_nsec() - begin;
}

/* It was three times as long with 38 as with 4. The best of several, and a wide margin: others use the machine. */
START_TEST(time_does_not_tell_how_much_of_a_guess_is_right)
{
        Buf texts[2] = { BUF_NULL(OUT_MAX), BUF_NULL(OUT_MAX) }, out = BUF_NULL(OUT_MAX);
        uint64_t few = UINT64_MAX, many = UINT64_MAX;
        Fixture f;

        fixture_start(&f, SECRET_PLAIN);
        put_guesses(&texts[0], 4);
        put_guesses(&texts[1], 38);
        for (unsigned i = 0; i < 15; i++) {
                few = MIN(few, time_of(&f, &texts[0], &out));
                many = MIN(many, time_of(&f, &texts[1], &out));
        }
        ck_assert_msg(many < few * 8 / 5 && few < many * 8 / 5, "%lu ns and %lu ns", (unsigned long)few,
                      (unsigned long)many);
        buf_deinit(&texts[0]);
        buf_deinit(&texts[1]);
        buf_deinit(&out);
        fixture_stop(&f);
}
END_TEST

START_TEST(innocent_text_passes_unchanged)
{
        static const char letters[] = "ABCDEFghijklmnop0123456789+/_-%&\\\"#;:x \n";
        Dice dice = { 3 };
        Fixture f;

        fixture_start(&f, SECRET_PLAIN);
        for (unsigned round = 0; round < 200; round++) {
                Buf text = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);
                uint64_t found;

                for (unsigned i = dice_roll(&dice, 2000); i > 0; i--)
                        put(&text, letters + dice_roll(&dice, sizeof(letters) - 1), 1);
                ck_assert_int_eq(feed(&f, SCRUB_MASK, round % 2, buf_slice(&text), 1 + dice_roll(&dice, 50),
                                      1 + dice_roll(&dice, 700), &out, &found),
                                 0);
                ck_assert_uint_eq(found, 0);
                ck_assert(slice_equal(buf_slice(&text), buf_slice(&out)));
                buf_deinit(&text);
                buf_deinit(&out);
        }
        fixture_stop(&f);
}
END_TEST

START_TEST(part_of_the_secret_passes)
{
        size_t size = strlen(SECRET_PLAIN);
        Fixture f;

        fixture_start(&f, SECRET_PLAIN);
        for (size_t n = 0; n < size; n++) {
                Buf out = BUF_NULL(OUT_MAX);
                uint64_t found;

                ck_assert_int_eq(feed(&f, SCRUB_MASK, false, slice(SECRET_PLAIN, n), 1, 3, &out, &found), 0);
                ck_assert(slice_equal(buf_slice(&out), slice(SECRET_PLAIN, n)));
                buf_clear(&out);
                ck_assert_int_eq(feed(&f, SCRUB_MASK, false, slice(&SECRET_PLAIN[n + 1], size - n - 1), 1, 3,
                                      &out, &found), 0);
                ck_assert_uint_eq(found, 0);
                buf_deinit(&out);
        }
        fixture_stop(&f);
}
END_TEST

/* ---- holding back ---- */

/* Sizes after each byte of the text: what is held. */
static void trace(Fixture *f, bool lines, Slice text, size_t *held)
{
        _cleanup_(scrub_stream_freep) ScrubStream *stream = NULL;
        _cleanup_(buf_deinit) Buf out = BUF_NULL(OUT_MAX);

        ck_assert_int_eq(scrub_stream_new(&stream, f->scrub, SCRUB_MASK, lines), 0);
        for (size_t i = 0; i < text.size; i++) {
                int r = scrub_stream_feed(stream, slice(text.data + i, 1), &out);

                held[i] = scrub_stream_held(stream);
                if (r || held[i] + out.size != i + 1)
                        ck_abort_msg("at %zu: %d, %zu held, %zu out", i, r, held[i], out.size);
        }
}

START_TEST(held_back_is_a_constant_whatever_the_text_is)
{
        enum { SIZE = 2000 };
        static char text[SIZE + 1];
        static size_t expected[SIZE], held[SIZE];
        const char *secret = secrets[_i];
        size_t length = strlen(secret);
        Fixture f;

        fixture_start(&f, secret);
        for (int lines = 0; lines < 2; lines++) {
                memset(text, ' ', SIZE);
                if (lines)
                        for (size_t i = 0; i < SIZE; i += 300)
                                text[i] = '\n';
                trace(&f, lines, slice(text, SIZE), expected);
                if (!lines)
                        for (size_t i = 0; i < SIZE; i++)
                                if (expected[i] != MIN(i + 1, scrub_stream_hold(f.scrub)))
                                        ck_abort_msg("%zu held at %zu", expected[i], i);
                /* A guess of each length, the right one too, and many of them. */
                for (size_t guess = 1; guess <= length; guess++) {
                        for (size_t at = 301; at + length < 599; at += length)
                                memcpy(text + at, secret, guess);
                        memcpy(text + SIZE - guess, secret, guess);
                        trace(&f, lines, slice(text, SIZE), held);
                        ck_assert(memcmp(expected, held, sizeof(held)) == 0);
                }
        }
        fixture_stop(&f);
}
END_TEST

START_TEST(complete_line_is_not_held)
{
        static const char *const lines[] = { "data: {\"a\": 1}\n", "\n", "data: " SECRET_PLAIN "\n", ": x\r\n",
                                             "id: 1\r", "\r\n" };
        _cleanup_(scrub_stream_freep) ScrubStream *stream = NULL;
        _cleanup_(buf_deinit) Buf out = BUF_NULL(OUT_MAX);
        size_t total = 0;
        Fixture f;

        fixture_start(&f, SECRET_PLAIN);
        ck_assert_int_eq(scrub_stream_new(&stream, f.scrub, SCRUB_MASK, true), 0);
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                total += strlen(lines[i]);
                ck_assert_int_eq(scrub_stream_feed(stream, slice_text(lines[i]), &out), 0);
                ck_assert_uint_eq(out.size, total);
                ck_assert_uint_eq(scrub_stream_held(stream), 0);
        }
        ck_assert_uint_eq(scrub_stream_found(stream), 1);
        ck_assert(reveals(&out, SECRET_PLAIN) == NULL);
        stream = scrub_stream_free(stream);
        fixture_stop(&f);
}
END_TEST

START_TEST(line_streams_are_known)
{
        ck_assert(scrub_stream_has_lines(slice_text("text/event-stream")));
        ck_assert(scrub_stream_has_lines(slice_text("Text/Event-Stream; charset=utf-8")));
        ck_assert(scrub_stream_has_lines(slice_text("application/x-ndjson;a=b")));
        ck_assert(scrub_stream_has_lines(slice_text("application/json;stream=watch")));
        ck_assert(scrub_stream_has_lines(slice_text("application/problem+JSON; a")));
        ck_assert(!scrub_stream_has_lines(slice_text("text/event-streams")));
        ck_assert(!scrub_stream_has_lines(slice_text("application/x-json")));
        ck_assert(!scrub_stream_has_lines(slice_text("text/html; a=+json")));
        ck_assert(!scrub_stream_has_lines(slice_text("")));
        ck_assert(!scrub_stream_has_lines(slice_text("text/plain")));
        ck_assert(!scrub_stream_has_lines(SLICE_NULL));
}
END_TEST

/* ---- modes ---- */

START_TEST(strict_ends_before_the_secret)
{
        Dice dice = { 5 };
        Fixture f;

        fixture_start(&f, SECRET_PLAIN);
        for (unsigned which = 0; which < N_ENCODINGS; which++) {
                Buf text = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);
                uint64_t found;

                embed(which, SECRET_PLAIN, &dice, &text);
                for (size_t at = 1; at <= text.size; at += 3) {
                        buf_clear(&out);
                        ck_assert_int_eq(feed(&f, SCRUB_STRICT, false, buf_slice(&text), at, text.size, &out, &found),
                                         SCRUB_E_FOUND);
                        ck_assert_uint_eq(found, 1);
                        ck_assert_uint_ge(out.size, 7);
                        ck_assert_uint_le(out.size, which < 18 ? 7 : 7 + 8);
                        ck_assert(memcmp(out.data, text.data, out.size) == 0);
                }
                buf_deinit(&text);
                buf_deinit(&out);
        }
        fixture_stop(&f);
}
END_TEST

START_TEST(stream_is_over_after_strict)
{
        _cleanup_(scrub_stream_freep) ScrubStream *stream = NULL;
        _cleanup_(buf_deinit) Buf out = BUF_NULL(OUT_MAX);
        Fixture f;

        fixture_start(&f, SECRET_PLAIN);
        ck_assert_int_eq(scrub_stream_new(&stream, f.scrub, SCRUB_STRICT, true), 0);
        ck_assert_int_eq(scrub_stream_feed(stream, slice_text("a " SECRET_PLAIN " b\n"), &out), SCRUB_E_FOUND);
        ck_assert_int_lt(scrub_stream_feed(stream, slice_text("more\n"), &out), 0);
        ck_assert_int_lt(scrub_stream_end(stream, &out), 0);
        ck_assert(slice_is_text(buf_slice(&out), "a "));
        stream = scrub_stream_free(stream);
        fixture_stop(&f);
}
END_TEST

START_TEST(off_lets_everything_pass_at_once)
{
        _cleanup_(buf_deinit) Buf out = BUF_NULL(OUT_MAX);
        uint64_t found;
        Fixture f;

        fixture_start(&f, SECRET_PLAIN);
        ck_assert_int_eq(feed(&f, SCRUB_OFF, false, slice_text(SECRET_PLAIN), 1, 5, &out, &found), 0);
        ck_assert(slice_is_text(buf_slice(&out), SECRET_PLAIN));
        fixture_stop(&f);
}
END_TEST

START_TEST(full_output_is_an_error_and_loses_nothing_silently)
{
        _cleanup_(scrub_stream_freep) ScrubStream *stream = NULL;
        _cleanup_(buf_deinit) Buf out = BUF_NULL(8);
        Fixture f;

        fixture_start(&f, SECRET_PLAIN);
        ck_assert_int_eq(scrub_stream_new(&stream, f.scrub, SCRUB_MASK, true), 0);
        ck_assert_int_eq(scrub_stream_feed(stream, slice_text("0123456789\n"), &out), -ENOBUFS);
        ck_assert_int_lt(scrub_stream_feed(stream, slice_text("\n"), &out), 0);
        stream = scrub_stream_free(stream);
        fixture_stop(&f);
}
END_TEST

START_TEST(header_values_are_masked)
{
        Dice dice = { 9 };
        Fixture f;

        fixture_start(&f, SECRET_PLAIN);
        for (unsigned which = 0; which < N_ENCODINGS; which++) {
                Buf text = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);
                bool found;

                put_text(&out, "x: "); /* what is there already stays */
                encode(which, SECRET_PLAIN, &dice, &text);
                ck_assert_int_eq(scrub_text(f.scrub, buf_slice(&text), &out, &found), 0);
                ck_assert(found && out.size == text.size + 3);
                ck_assert(memcmp(out.data, "x: ", 3) == 0);
                ck_assert(reveals(&out, SECRET_PLAIN) == NULL);
                buf_deinit(&text);
                buf_deinit(&out);
        }
        fixture_stop(&f);
}
END_TEST

/* ---- many at once, in any order ---- */

START_TEST(nothing_of_a_random_mixture_reveals_it)
{
        Dice dice = { 100 + (uint64_t)_i };
        const char *secret = secrets[(unsigned)_i % ARRAY_SIZE(secrets)];
        Fixture f;

        fixture_start(&f, secret);
        for (unsigned round = 0; round < 60; round++) {
                Buf text = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);
                uint64_t found;

                for (unsigned n = 1 + dice_roll(&dice, 12); n > 0; n--) {
                        unsigned which = dice_roll(&dice, N_ENCODINGS + 6);

                        if (which < N_ENCODINGS)
                                encode(which, secret, &dice, &text);
                        else
                                put(&text, secret, dice_roll(&dice, (unsigned)strlen(secret)));
                        put(&text, &"&\\%=a1/\n"[dice_roll(&dice, 8)], dice_roll(&dice, 2));
                }
                ck_assert_int_eq(feed(&f, SCRUB_MASK, false, buf_slice(&text), 1 + dice_roll(&dice, 99),
                                      1 + dice_roll(&dice, 99), &out, &found),
                                 0);
                ck_assert_uint_eq(out.size, text.size);
                ck_assert_msg(reveals(&out, secret) == NULL, "round %u: %s\n%.*s\n%.*s", round, reveals(&out, secret),
                              (int)text.size, (const char *)text.data, (int)out.size, (const char *)out.data);
                buf_deinit(&text);
                buf_deinit(&out);
        }
        fixture_stop(&f);
}
END_TEST

START_TEST(splits_do_not_change_the_output)
{
        Dice dice = { 77 };
        Fixture f;

        fixture_start(&f, SECRET_SLASHES);
        for (unsigned round = 0; round < 40; round++) {
                Buf text = BUF_NULL(OUT_MAX), whole = BUF_NULL(OUT_MAX), out = BUF_NULL(OUT_MAX);
                uint64_t found, found_whole;

                for (unsigned n = 0; n < 6; n++)
                        embed(dice_roll(&dice, N_ENCODINGS), SECRET_SLASHES, &dice, &text);
                ck_assert_int_eq(feed(&f, SCRUB_MASK, false, buf_slice(&text), 0, text.size, &whole, &found_whole), 0);
                for (size_t portion = 1; portion < 200; portion += 13) {
                        buf_clear(&out);
                        ck_assert_int_eq(feed(&f, SCRUB_MASK, false, buf_slice(&text), portion, portion, &out,
                                              &found), 0);
                        ck_assert(slice_equal(buf_slice(&out), buf_slice(&whole)) && found == found_whole);
                }
                buf_deinit(&text);
                buf_deinit(&whole);
                buf_deinit(&out);
        }
        fixture_stop(&f);
}
END_TEST

/* ---- secrets ---- */

START_TEST(unfit_secrets_are_refused)
{
        static const char *const bad[] = { "", "seven77", "with\nbreak", "with\ttab in it",
                                           "um" "\xc3\xa4" "laut-secret", "nul\x7f-secret" };
        _cleanup_(arena_freep) Arena *arena = NULL;
        Slice many[SCRUB_SECRETS_MAX + 1];
        Scrub *scrub;

        ck_assert_int_eq(arena_new(&arena, 4096), 0);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                many[0] = slice_text(bad[i]);
                ck_assert_int_eq(scrub_new(&scrub, arena, many, 1), SCRUB_E_SECRET);
        }
        ck_assert_int_eq(scrub_new(&scrub, arena, many, 0), SCRUB_E_SECRET);
        for (size_t i = 0; i < ARRAY_SIZE(many); i++)
                many[i] = slice_text("long enough");
        ck_assert_int_eq(scrub_new(&scrub, arena, many, ARRAY_SIZE(many)), SCRUB_E_SECRET);
        ck_assert_uint_eq(arena_used(arena), 0);
}
END_TEST

START_TEST(arena_without_room_is_said)
{
        static char text[5000];
        _cleanup_(arena_freep) Arena *arena = NULL;
        Scrub *scrub;

        memset(text, 'a', sizeof(text));
        ck_assert_int_eq(arena_new(&arena, 4096), 0);
        ck_assert_int_eq(scrub_new(&scrub, arena, &(Slice){ (const uint8_t *)text, sizeof(text) }, 1), SCRUB_E_FULL);
        ck_assert_uint_eq(arena_used(arena), 0);
}
END_TEST

START_TEST(each_of_several_secrets_is_found)
{
        _cleanup_(buf_deinit) Buf out = BUF_NULL(OUT_MAX);
        const Slice both[] = { slice_text(SECRET_PLAIN), slice_text(SECRET_SHORT) };
        Fixture f = { 0 };
        bool found;

        ck_assert_int_eq(arena_new(&f.arena, 4096), 0);
        ck_assert_int_eq(scrub_new(&f.scrub, f.arena, both, 2), 0);
        ck_assert_int_eq(scrub_text(f.scrub, slice_text("a " SECRET_SHORT " b " SECRET_PLAIN " c"), &out, &found), 0);
        ck_assert(found);
        ck_assert(slice_is_text(buf_slice(&out), "a ******** b **************************************** c"));
        fixture_stop(&f);
}
END_TEST

START_TEST(secret_with_the_masking_character_is_masked_with_another)
{
        _cleanup_(buf_deinit) Buf out = BUF_NULL(OUT_MAX);
        Fixture f;
        bool found;

        fixture_start(&f, "********");
        ck_assert_int_eq(scrub_text(f.scrub, slice_text("a ******** b"), &out, &found), 0);
        ck_assert(found && slice_is_text(buf_slice(&out), "a ######## b"));
        fixture_stop(&f);
}
END_TEST

/* Every way to read it is tried within a budget; beyond it the text is taken for a match. */
START_TEST(secret_of_nothing_but_escapes_ends_in_time)
{
        static char secret[600], text[200000];
        _cleanup_(buf_deinit) Buf out = BUF_NULL(OUT_MAX);
        Fixture f;
        bool found;

        memset(secret, '\\', sizeof(secret) - 1);
        memset(text, '\\', sizeof(text) - 1);
        fixture_start(&f, secret);
        ck_assert_int_eq(scrub_text(f.scrub, slice_text(text), &out, &found), 0);
        ck_assert(found && !has(buf_slice(&out), "\\\\\\\\\\\\\\\\"));
        fixture_stop(&f);
}
END_TEST

START_TEST(stream_outlives_the_grant)
{
        _cleanup_(scrub_stream_freep) ScrubStream *stream = NULL;
        _cleanup_(buf_deinit) Buf out = BUF_NULL(OUT_MAX);
        Fixture f;

        fixture_start(&f, SECRET_PLAIN);
        ck_assert_int_eq(scrub_stream_new(&stream, f.scrub, SCRUB_MASK, false), 0);
        f.scrub = scrub_unref(f.scrub);
        ck_assert_int_eq(scrub_stream_feed(stream, slice_text(SECRET_PLAIN), &out), 0);
        ck_assert_int_eq(scrub_stream_end(stream, &out), 0);
        ck_assert(reveals(&out, SECRET_PLAIN) == NULL);
        stream = scrub_stream_free(stream);
        fixture_stop(&f);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("scrub");

        tcase_set_timeout(tcase, 60);
        tcase_add_loop_test(tcase, each_encoding_is_found_at_each_split, 0, ARRAY_SIZE(secrets));
        tcase_add_loop_test(tcase, random_subsets_of_escapes_are_found, 0, ARRAY_SIZE(secrets));
        tcase_add_loop_test(tcase, base64_is_found_as_it_is_wrapped_and_escaped, 0, ARRAY_SIZE(secrets));
        tcase_add_loop_test(tcase, wide_characters_are_found, 0, ARRAY_SIZE(secrets));
        tcase_add_test(tcase, time_does_not_tell_how_much_of_a_guess_is_right);
        tcase_add_test(tcase, innocent_text_passes_unchanged);
        tcase_add_test(tcase, part_of_the_secret_passes);
        tcase_add_loop_test(tcase, held_back_is_a_constant_whatever_the_text_is, 0, ARRAY_SIZE(secrets));
        tcase_add_test(tcase, complete_line_is_not_held);
        tcase_add_test(tcase, line_streams_are_known);
        tcase_add_test(tcase, strict_ends_before_the_secret);
        tcase_add_test(tcase, stream_is_over_after_strict);
        tcase_add_test(tcase, off_lets_everything_pass_at_once);
        tcase_add_test(tcase, full_output_is_an_error_and_loses_nothing_silently);
        tcase_add_test(tcase, header_values_are_masked);
        tcase_add_loop_test(tcase, nothing_of_a_random_mixture_reveals_it, 0, 10);
        tcase_add_test(tcase, splits_do_not_change_the_output);
        tcase_add_test(tcase, unfit_secrets_are_refused);
        tcase_add_test(tcase, arena_without_room_is_said);
        tcase_add_test(tcase, each_of_several_secrets_is_found);
        tcase_add_test(tcase, secret_with_the_masking_character_is_masked_with_another);
        tcase_add_test(tcase, secret_of_nothing_but_escapes_ends_in_time);
        tcase_add_test(tcase, stream_outlives_the_grant);
        return suite_run("scrub", tcase);
}
