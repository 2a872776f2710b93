#include "../base/suite.h"
#include "session/dns.h"
#include <string.h>

static bool known(void *userdata, const char *name)
{
        unsigned *asked = userdata;

        if (asked)
                (*asked)++;
        return strcmp(name, "api.example.test") == 0;
}

static size_t put_name(uint8_t *out, const char *name)
{
        size_t n = 0;

        while (*name) {
                size_t label = strcspn(name, ".");

                out[n++] = (uint8_t)label;
                memcpy(out + n, name, label);
                n += label;
                name += label + (name[label] == '.');
        }
        out[n++] = 0;
        return n;
}

static size_t query(uint8_t out[DNS_QUERY_MAX], const char *name, unsigned type)
{
        static const uint8_t header[] = { 0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
        size_t n = sizeof(header);

        memcpy(out, header, n);
        n += put_name(out + n, name);
        out[n++] = 0;
        out[n++] = (uint8_t)type;
        out[n++] = 0;
        out[n++] = 1;
        return n;
}

static unsigned code_of(const uint8_t *answer)
{
        return answer[3] & 15;
}

START_TEST(addresses)
{
        static const uint8_t v4[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1 };
        static const uint8_t v6[] = { 0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
        uint8_t in[DNS_QUERY_MAX], out[DNS_ANSWER_MAX];
        size_t n = query(in, "API.example.TEST", 1);

        ck_assert_uint_eq(dns_answer(slice(in, n), known, NULL, out), n + sizeof(v4));
        ck_assert_mem_eq(out, in, 2);
        ck_assert_uint_eq(out[2], 0x85); /* an answer, with authority, recursion was asked for */
        ck_assert_uint_eq(out[3], 0x80);
        ck_assert_uint_eq(out[7], 1);
        ck_assert_mem_eq(out + 12, in + 12, n - 12); /* the name as it was written */
        ck_assert_mem_eq(out + n, v4, sizeof(v4));
        n = query(in, "api.example.test", 28);
        ck_assert_uint_eq(dns_answer(slice(in, n), known, NULL, out), n + sizeof(v6));
        ck_assert_mem_eq(out + n, v6, sizeof(v6));
}
END_TEST

START_TEST(no_records_of_other_types)
{
        static const uint8_t types[] = { 2, 5, 6, 12, 15, 16, 33, 64, 65, 255 };
        uint8_t in[DNS_QUERY_MAX], out[DNS_ANSWER_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                size_t n = query(in, "api.example.test", types[i]);

                ck_assert_uint_eq(dns_answer(slice(in, n), known, NULL, out), n);
                ck_assert_uint_eq(code_of(out), 0);
                ck_assert_uint_eq(out[7], 0);
        }
}
END_TEST

START_TEST(other_names)
{
        static const char *const names[] = { "example.test", "x.api.example.test", "", "api.example.test.x" };
        uint8_t in[DNS_QUERY_MAX], out[DNS_ANSWER_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                size_t n = query(in, names[i], 1);

                ck_assert_uint_eq(dns_answer(slice(in, n), known, NULL, out), n);
                ck_assert_uint_eq(code_of(out), 3);
        }
}
END_TEST

/* A label with a dot inside is not two labels. */
START_TEST(dots_in_labels)
{
        uint8_t in[DNS_QUERY_MAX], out[DNS_ANSWER_MAX];
        size_t n = query(in, "api_example.test", 1);

        in[12 + 1 + 3] = '.';
        ck_assert_uint_eq(dns_answer(slice(in, n), known, NULL, out), n);
        ck_assert_uint_eq(code_of(out), 3);
}
END_TEST

START_TEST(extensions_are_ignored)
{
        static const uint8_t opt[] = { 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0 };
        uint8_t in[DNS_QUERY_MAX], out[DNS_ANSWER_MAX];
        size_t n = query(in, "api.example.test", 1);

        in[11] = 1;
        memcpy(in + n, opt, sizeof(opt));
        ck_assert_uint_eq(dns_answer(slice(in, n + sizeof(opt)), known, NULL, out), n + 16);
        ck_assert_uint_eq(out[11], 0);
}
END_TEST

START_TEST(what_is_no_query)
{
        uint8_t in[DNS_QUERY_MAX + 1] = { 0 }, out[DNS_ANSWER_MAX];
        size_t n = query(in, "api.example.test", 1);
        unsigned asked = 0;

        in[2] |= 0x80; /* an answer, which would make two servers answer each other */
        ck_assert_uint_eq(dns_answer(slice(in, n), known, &asked, out), 0);
        in[2] = 0x10; /* another operation */
        ck_assert_uint_eq(dns_answer(slice(in, n), known, &asked, out), 12);
        ck_assert_uint_eq(code_of(out), 4);
        in[2] = 1;
        in[5] = 2; /* two questions */
        ck_assert_uint_eq(dns_answer(slice(in, n), known, &asked, out), 12);
        ck_assert_uint_eq(code_of(out), 1);
        in[5] = 1;
        in[n - 1] = 3; /* another class */
        ck_assert_uint_eq(dns_answer(slice(in, n), known, &asked, out), n);
        ck_assert_uint_eq(code_of(out), 5);
        in[n - 1] = 1;
        in[12] = 0xc0; /* a reference */
        ck_assert_uint_eq(dns_answer(slice(in, n), known, &asked, out), 12);
        ck_assert_uint_eq(code_of(out), 1);
        ck_assert_uint_eq(dns_answer(slice(in, sizeof(in)), known, &asked, out), 0);
        ck_assert_uint_eq(asked, 0);
}
END_TEST

START_TEST(truncated)
{
        uint8_t in[DNS_QUERY_MAX], out[DNS_ANSWER_MAX];
        size_t n = query(in, "api.example.test", 1);

        for (size_t i = 0; i < n; i++) {
                uint8_t *copy = malloc(i + 1); /* so that a byte too far is seen */
                size_t size;

                memcpy(copy, in, i);
                size = dns_answer(slice(copy, i), known, NULL, out);
                ck_assert_uint_eq(size, i < 12 ? 0 : 12);
                if (size > 0)
                        ck_assert_uint_eq(code_of(out), 1);
                free(copy);
        }
}
END_TEST

START_TEST(bit_flips)
{
        uint8_t in[DNS_QUERY_MAX], out[DNS_ANSWER_MAX];
        size_t n = query(in, "api.example.test", 1);

        for (size_t i = 0; i < n * 8; i++) {
                size_t size;

                in[i / 8] = (uint8_t)(in[i / 8] ^ 1 << i % 8);
                size = dns_answer(slice(in, n), known, NULL, out);
                ck_assert_uint_le(size, sizeof(out));
                in[i / 8] = (uint8_t)(in[i / 8] ^ 1 << i % 8);
        }
}
END_TEST

/* The longest name there is, and one that is longer. */
START_TEST(long_names)
{
        uint8_t in[DNS_QUERY_MAX], out[DNS_ANSWER_MAX];
        char name[300];
        size_t n;

        for (size_t i = 0; i < sizeof(name); i++)
                name[i] = i % 64 == 63 ? '.' : 'a';
        name[DNS_NAME_MAX] = 0;
        n = query(in, name, 1);
        ck_assert_uint_eq(dns_answer(slice(in, n), known, NULL, out), n);
        ck_assert_uint_eq(code_of(out), 3);
        name[DNS_NAME_MAX] = 'a';
        name[DNS_NAME_MAX + 1] = 0;
        n = query(in, name, 1);
        ck_assert_uint_eq(dns_answer(slice(in, n), known, NULL, out), 12);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("dns");

        tcase_add_test(tcase, addresses);
        tcase_add_test(tcase, no_records_of_other_types);
        tcase_add_test(tcase, other_names);
        tcase_add_test(tcase, dots_in_labels);
        tcase_add_test(tcase, extensions_are_ignored);
        tcase_add_test(tcase, what_is_no_query);
        tcase_add_test(tcase, truncated);
        tcase_add_test(tcase, bit_flips);
        tcase_add_test(tcase, long_names);
        return suite_run("dns", tcase);
}
