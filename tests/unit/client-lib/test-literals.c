#undef NDEBUG
#include "../base/suite.h"
#include "scan/literals.h"
#include <stdio.h>

typedef struct Seen {
        struct {
                unsigned literal;
                size_t at;
        } items[4096];
        size_t n;
} Seen;

static void note(void *userdata, unsigned literal, size_t at)
{
        Seen *seen = userdata;

        ck_assert_uint_lt(seen->n, ARRAY_SIZE(seen->items));
        seen->items[seen->n].literal = literal;
        seen->items[seen->n++].at = at;
}

static size_t count(const Seen *seen, unsigned literal, size_t at)
{
        size_t n = 0;

        for (size_t i = 0; i < seen->n; i++)
                n += seen->items[i].literal == literal && seen->items[i].at == at;
        return n;
}

/* Of an allocation that ends where the data does, so that what reads beyond it shows itself. */
static uint8_t *exactly(Slice data)
{
        uint8_t *copy = malloc(data.size + (data.size == 0));

        ck_assert_ptr_nonnull(copy);
        memcpy(copy, data.data, data.size);
        return copy;
}

static void expect_all(const Literals *literals, const Slice *texts, size_t n, Slice data, size_t portion)
{
        Seen *seen = calloc(1, sizeof(*seen));
        size_t expected = 0;

        for (size_t from = 0; from < data.size; from += portion)
                literals_find(literals, data, from, MIN(from + portion, data.size), note, seen);
        for (size_t at = 0; at < data.size; at++)
                for (unsigned i = 0; i < n; i++) {
                        bool there = data.size - at >= texts[i].size && memcmp(data.data + at, texts[i].data, texts[i].size) == 0;

                        ck_assert_uint_eq(count(seen, i, at), there);
                        expected += there;
                }
        ck_assert_uint_eq(seen->n, expected);
        free(seen);
}

START_TEST(every_length_is_found_at_every_place)
{
        static const char text[] = "Zq3xK9wvB7mNc5rT2yUhJ8gFd4sAaP6e";

        for (size_t length = LITERAL_MIN; length <= LITERAL_MAX; length++) {
                Slice one = slice(text, length);
                Literals *literals;

                ck_assert_int_eq(literals_new(&literals, &one, 1), 0);
                if (!literals_choose(literals, (LiteralsKind)_i)) {
                        literals_free(literals);
                        return;
                }
                for (size_t at = 0; at + length <= 160; at++) {
                        uint8_t data[160], *copy;
                        size_t size = at % 3 ? sizeof(data) : at + length;
                        Seen seen = { .n = 0 };

                        memset(data, 'x', sizeof(data));
                        memcpy(data + at, text, length);
                        copy = exactly(slice(data, size));
                        literals_find(literals, slice(copy, size), 0, size, note, &seen);
                        ck_assert_uint_eq(seen.n, 1);
                        ck_assert_uint_eq(seen.items[0].at, at);
                        copy[at + length / 2] ^= 1;
                        literals_find(literals, slice(copy, size), 0, size, note, &seen);
                        ck_assert_uint_eq(seen.n, 1);
                        free(copy);
                }
                literals_free(literals);
        }
}
END_TEST

static unsigned roll(uint32_t *dice, unsigned n)
{
        *dice = *dice * 1664525U + 1013904223U;
        return (*dice >> 16) % n;
}

/* Of few letters, so that texts overlap, begin alike and contain each other. */
START_TEST(overlapping_texts_are_all_found_however_ranges_are_cut)
{
        uint32_t dice = 7;

        for (unsigned round = 0; round < 60; round++) {
                char pool[16][LITERAL_MAX];
                Slice texts[16];
                size_t n = 1 + roll(&dice, ARRAY_SIZE(texts)), size = roll(&dice, 200);
                uint8_t data[200], *copy;
                Literals *literals;

                for (size_t i = 0; i < n; i++) {
                        size_t length = LITERAL_MIN + roll(&dice, 6);

                        for (size_t j = 0; j < length; j++)
                                pool[i][j] = (char)("ab-\0"[roll(&dice, 4)]);
                        texts[i] = slice(pool[i], length);
                }
                for (size_t i = 0; i < size; i++)
                        data[i] = (uint8_t)"ab-\0"[roll(&dice, 4)];
                ck_assert_int_eq(literals_new(&literals, texts, n), 0);
                if (literals_choose(literals, (LiteralsKind)_i)) {
                        copy = exactly(slice(data, size));
                        expect_all(literals, texts, n, slice(copy, size), size + 1);
                        expect_all(literals, texts, n, slice(copy, size), 1 + roll(&dice, 100));
                        free(copy);
                }
                literals_free(literals);
        }
}
END_TEST

START_TEST(thousands_of_texts_are_found)
{
        static char pool[LITERALS_MAX][8];
        static Slice texts[LITERALS_MAX];
        static uint8_t data[LITERALS_MAX * 6];
        Literals *literals;
        size_t total = 0;

        for (size_t i = 0; i < LITERALS_MAX; i++) {
                (void)snprintf(pool[i], sizeof(pool[i]), "%04zx-x", i);
                texts[i] = slice(pool[i], 6);
                memcpy(data + 6 * i, pool[i], 6);
        }
        ck_assert_int_eq(literals_new(&literals, texts, LITERALS_MAX), 0);
        for (size_t i = 0; i < LITERALS_MAX; i += 512) {
                Seen seen = { .n = 0 };

                literals_find(literals, slice(data, sizeof(data)), i * 6, (i + 512) * 6, note, &seen);
                total += seen.n;
        }
        ck_assert_uint_eq(total, LITERALS_MAX);
        literals_free(literals);
}
END_TEST

START_TEST(what_cannot_be_looked_for_is_refused)
{
        Slice short_one = slice("ab", 2), long_one = slice("0123456789012345678901234567890123", 33);
        Literals *literals;

        ck_assert_int_eq(literals_new(&literals, &short_one, 1), -EINVAL);
        ck_assert_int_eq(literals_new(&literals, &long_one, 1), -EINVAL);
        ck_assert_int_eq(literals_new(&literals, &long_one, 0), -EINVAL);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("literals");

        tcase_add_loop_test(tcase, every_length_is_found_at_every_place, 0, _LITERALS_KIND_N);
        tcase_add_loop_test(tcase, overlapping_texts_are_all_found_however_ranges_are_cut, 0, _LITERALS_KIND_N);
        tcase_add_test(tcase, thousands_of_texts_are_found);
        tcase_add_test(tcase, what_cannot_be_looked_for_is_refused);
        return suite_run("literals", tcase);
}
