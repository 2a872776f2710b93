#include "egress/trust.h"
#include "base/fd.h"
#include <curl/curl.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

/* Debian's bundle is 220 KB. */
#define ROOTS_MAX      (4U * 1024U * 1024U)
#define ROOTS_FALLBACK "/etc/ssl/certs/ca-certificates.crt"

static void free_bio(BIO **bio)
{
        (void)BIO_free(*bio);
}

/* Adding one that is there already is no failure. */
static int add_pem(TrustStore *store, const char *text)
{
        _cleanup_(free_bio) BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
        X509 *certificate;
        size_t n = 0;
        int r = 0;

        if (!bio)
                return -ENOMEM;
        while (r == 0 && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
                r = X509_STORE_add_cert(store, certificate) == 1 ? 0 : -ENOMEM;
                X509_free(certificate);
                n++;
        }
        ERR_clear_error(); /* the end of the file is one of PEM_read_bio_X509()'s errors */
        return r == 0 && n == 0 ? -EBADMSG : r;
}

static int add_file(TrustStore *store, const char *path)
{
        _cleanup_(freep) char *text = NULL;
        int r = fd_read_file_at(AT_FDCWD, path, ROOTS_MAX, &text);

        return r < 0 ? r : add_pem(store, text);
}

/* Where libcurl was built to look. */
static int add_system(TrustStore *store)
{
        CURL *curl = curl_easy_init();
        char *path = NULL;
        int r;

        if (!curl)
                return -ENOMEM;
        if (curl_easy_getinfo(curl, CURLINFO_CAINFO, &path) != CURLE_OK || !path)
                r = add_file(store, ROOTS_FALLBACK);
        else
                r = add_file(store, path);
        curl_easy_cleanup(curl);
        return r;
}

int trust_new(TrustStore **ret, const char *extra)
{
        _cleanup_(trust_freep) TrustStore *store = X509_STORE_new();
        int r;

        if (!store)
                return -ENOMEM;
        r = add_system(store);
        if (r == -ENOENT && extra)
                r = 0; /* a machine without roots of its own, and one that was named */
        if (r == 0 && extra)
                r = add_file(store, extra);
        if (r < 0)
                return r;
        *ret = take_ptr(store);
        return 0;
}

TrustStore *trust_free(TrustStore *store)
{
        X509_STORE_free(store);
        return NULL;
}
