#undef NDEBUG
/* The roots that are made when they are asked for, beside a store that has all of them. */
#include "egress/trust.h"
#include "../base/suite.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <unistd.h>

#define BUNDLE "/etc/ssl/certs/ca-certificates.crt"

static TrustStore *lazy;
static X509_STORE *eager;

static void setup(void)
{
        lazy = NULL;
        eager = X509_STORE_new();
        if (access(BUNDLE, R_OK) < 0)
                return;
        ck_assert_int_eq(trust_new(&lazy, NULL), 0);
        ck_assert_int_eq(X509_STORE_load_locations(eager, BUNDLE, NULL), 1);
}

static void teardown(void)
{
        lazy = trust_free(lazy);
        X509_STORE_free(eager);
}

/* 0: it leads to a root. Else why it does not. */
static int verify(X509_STORE *store, X509 *certificate)
{
        X509_STORE_CTX *context = X509_STORE_CTX_new();
        int r;

        ck_assert_int_eq(X509_STORE_CTX_init(context, store, certificate, NULL), 1);
        r = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
        X509_STORE_CTX_free(context);
        ERR_clear_error();
        return r;
}

/* Signed by itself, under the name of another. */
static X509 *forge(const X509_NAME *name)
{
        EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
        X509 *certificate = X509_new();

        ck_assert_ptr_nonnull(key);
        ck_assert_int_eq(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1), 1);
        ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notBefore(certificate), -60));
        ck_assert_ptr_nonnull(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
        ck_assert_int_eq(X509_set_subject_name(certificate, name), 1);
        ck_assert_int_eq(X509_set_issuer_name(certificate, name), 1);
        ck_assert_int_eq(X509_set_pubkey(certificate, key), 1);
        ck_assert_int_gt(X509_sign(certificate, key, EVP_sha256()), 0);
        EVP_PKEY_free(key);
        return certificate;
}

static unsigned each_root(void (*check)(X509 *root))
{
        BIO *bio = BIO_new_file(BUNDLE, "r");
        unsigned n = 0;
        X509 *root;

        while ((root = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
                check(root);
                X509_free(root);
                n++;
        }
        BIO_free(bio);
        ERR_clear_error();
        return n;
}

static void check_same(X509 *root)
{
        int expected = verify(eager, root);

        /* Again, when the store has it. */
        ck_assert_int_eq(verify(lazy, root), expected);
        ck_assert_int_eq(verify(lazy, root), expected);
}

static void check_forged(X509 *root)
{
        X509 *forged = forge(X509_get_subject_name(root));

        ck_assert_int_ne(verify(lazy, forged), X509_V_OK);
        X509_free(forged);
}

START_TEST(every_root_is_found_as_if_all_were_loaded)
{
        if (lazy)
                ck_assert_uint_gt(each_root(check_same), 0);
}
END_TEST

START_TEST(name_of_a_root_is_not_enough)
{
        if (lazy)
                ck_assert_uint_gt(each_root(check_forged), 0);
}
END_TEST

START_TEST(what_is_no_root_leads_nowhere)
{
        X509_NAME *name = X509_NAME_new();
        X509 *forged;

        if (lazy) {
                ck_assert_int_eq(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"none", -1, -1, 0), 1);
                forged = forge(name);
                ck_assert_int_ne(verify(lazy, forged), X509_V_OK);
                X509_free(forged);
        }
        X509_NAME_free(name);
}
END_TEST

START_TEST(named_file_without_certificates_is_said)
{
        TrustStore *store = NULL;

        ck_assert_int_eq(trust_new(&store, "/dev/null"), lazy ? -EBADMSG : -ENOENT);
        ck_assert_ptr_null(store);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("trust");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, every_root_is_found_as_if_all_were_loaded);
        tcase_add_test(tcase, name_of_a_root_is_not_enough);
        tcase_add_test(tcase, what_is_no_root_leads_nowhere);
        tcase_add_test(tcase, named_file_without_certificates_is_said);
        return suite_run("egress/trust", tcase);
}
