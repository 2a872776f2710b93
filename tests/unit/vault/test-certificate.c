#undef NDEBUG
/* Certificates as sessions get them. test-certificate.sh has others judge what is written here. */
#include "vault/certificate.h"
#include "base/clock.h"
#include "support.h"
#include <time.h>

#define SESSION "s-0123456789abcdef"

static Arena *arena;
static const char *hosts[] = { "api.github.com", "github.com", "*.example.com", "x-1.a.b" };

static void setup(void)
{
        ck_assert_int_eq(arena_new(&arena, 64U * 1024U), 0);
}

static void teardown(void)
{
        ck_assert_uint_eq(arena_used(arena), 0);
        arena = arena_free(arena);
}

static CertificateAsk example(void)
{
        uint64_t now = (uint64_t)time(NULL) * USEC_PER_SEC;

        return (CertificateAsk){
                .session = SESSION,
                .hosts = { hosts, ARRAY_SIZE(hosts) },
                .now = now,
                .expires = now + 1800 * USEC_PER_SEC,
        };
}

static int make_for(const char *host)
{
        CertificateAsk ask = example();
        Certificate made = { 0 };
        int r;

        ask.hosts = (TextList){ &host, 1 };
        r = certificate_make(&ask, arena, &made);
        certificate_deinit(&made);
        return r;
}

/* Writes what was made to where the script looks for it. */
static void save(const Certificate *made, const char *name)
{
        const char *directory = getenv("MCPCRED_TEST_OUT");
        char path[512];

        if (!directory)
                return;
        (void)snprintf(path, sizeof(path), "%s/%s-ca.pem", directory, name);
        write_file(path, buf_slice(&made->ca));
        (void)snprintf(path, sizeof(path), "%s/%s-leaf.der", directory, name);
        write_file(path, buf_slice(&made->leaf));
        (void)snprintf(path, sizeof(path), "%s/%s-key.der", directory, name);
        write_file(path, secret_slice(made->key));
}

START_TEST(one_leaf_has_all_hosts)
{
        CertificateAsk ask = example();
        Certificate made;

        ck_assert_int_eq(certificate_make(&ask, arena, &made), 0);
        ck_assert_uint_gt(secret_size(made.key), 100);
        for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
                ck_assert_ptr_nonnull(memmem(made.leaf.data, made.leaf.size, hosts[i], strlen(hosts[i])));
        save(&made, "few");
        certificate_deinit(&made);
}
END_TEST

START_TEST(hundreds_of_hosts_fit)
{
        static char names[250][40];
        const char *list[ARRAY_SIZE(names)];
        CertificateAsk ask = example();
        Certificate made;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                (void)snprintf(names[i], sizeof(names[i]), "host-%zu.of.a.longer.example.com", i);
                list[i] = names[i];
        }
        ask.hosts = (TextList){ list, ARRAY_SIZE(list) };
        ck_assert_int_eq(certificate_make(&ask, arena, &made), 0);
        save(&made, "many");
        certificate_deinit(&made);
}
END_TEST

START_TEST(more_than_tls_can_carry_is_refused)
{
        static char names[400][40];
        const char *list[ARRAY_SIZE(names)];
        CertificateAsk ask = example();
        Certificate made;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                (void)snprintf(names[i], sizeof(names[i]), "host-%zu.of.a.longer.example.com", i);
                list[i] = names[i];
        }
        ask.hosts = (TextList){ list, ARRAY_SIZE(list) };
        ck_assert_int_eq(certificate_make(&ask, arena, &made), CERTIFICATE_E_TOO_MANY);
}
END_TEST

START_TEST(only_dns_names_get_into_it)
{
        static const char *const strange[] = {
                "",           ".",          "a.",          ".a",          "*",         "*.",        "a.*.b",   "*.*.a",
                "UPPER.com",  "a,O=Evil",   "a b",         "a\nb",        "a..b",      "-a.com",    "a-.com",  "1.2.3.4",
                "[::1]",      "a:443",      "a/b",         "\xc3\xa4.de", "10.0.0.08", "a.b.0x7f ", "a_b.com",
        };
        char label[80], host[300];

        for (size_t i = 0; i < ARRAY_SIZE(strange); i++)
                ck_assert_msg(make_for(strange[i]) == CERTIFICATE_E_HOST, "\"%s\"", strange[i]);
        (void)snprintf(label, sizeof(label), "%064d.com", 1);
        ck_assert_int_eq(make_for(label), CERTIFICATE_E_HOST);
        (void)snprintf(host, sizeof(host), "%050d.%050d.%050d.%050d.%046d.com", 1, 1, 1, 1, 1);
        ck_assert_uint_eq(strlen(host), 254);
        ck_assert_int_eq(make_for(host), CERTIFICATE_E_HOST);
        ck_assert_int_eq(make_for(host + 1), 0);
        ck_assert_int_eq(make_for("xn--mnchen-3ya.de"), 0);
        ck_assert_int_eq(make_for("localhost"), 0);
}
END_TEST

START_TEST(no_hosts_no_certificate)
{
        CertificateAsk ask = example();
        Certificate made;

        ask.hosts.n = 0;
        ck_assert_int_eq(certificate_make(&ask, arena, &made), CERTIFICATE_E_HOST);
        ask = example();
        ask.session = "s-1,CN=evil";
        ck_assert_int_eq(certificate_make(&ask, arena, &made), -EINVAL);
}
END_TEST

START_TEST(full_arena_is_said)
{
        CertificateAsk ask = example();
        Certificate made;
        Secret *filler[2048];
        size_t n = 0;

        while (n < ARRAY_SIZE(filler) && secret_new(&filler[n], arena, 64) == 0)
                n++;
        ck_assert_uint_lt(n, ARRAY_SIZE(filler));
        ck_assert_int_eq(certificate_make(&ask, arena, &made), CERTIFICATE_E_FULL);
        while (n > 0)
                secret_free(filler[--n]);
}
END_TEST

START_TEST(no_two_are_alike)
{
        CertificateAsk ask = example();
        Certificate a, b;

        ck_assert_int_eq(certificate_make(&ask, arena, &a), 0);
        ck_assert_int_eq(certificate_make(&ask, arena, &b), 0);
        ck_assert(!slice_equal(secret_slice(a.key), secret_slice(b.key)));
        ck_assert(!slice_equal(buf_slice(&a.ca), buf_slice(&b.ca)));
        certificate_deinit(&a);
        certificate_deinit(&b);
}
END_TEST

int main(void)
{
        Suite *suite = suite_create("certificate");
        TCase *tests = tcase_create("certificate");

        tcase_add_checked_fixture(tests, setup, teardown);
        tcase_set_timeout(tests, 60);
        tcase_add_test(tests, one_leaf_has_all_hosts);
        tcase_add_test(tests, hundreds_of_hosts_fit);
        tcase_add_test(tests, more_than_tls_can_carry_is_refused);
        tcase_add_test(tests, only_dns_names_get_into_it);
        tcase_add_test(tests, no_hosts_no_certificate);
        tcase_add_test(tests, full_arena_is_said);
        tcase_add_test(tests, no_two_are_alike);
        suite_add_tcase(suite, tests);
        return run_suite(suite);
}
