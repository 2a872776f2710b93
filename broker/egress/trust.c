#include "egress/trust.h"
#include "base/buf.h"
#include "base/fd.h"
#include <curl/curl.h>
#include <fcntl.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

/* Debian's bundle is 220 KB. */
#define ROOTS_MAX      (4U * 1024U * 1024U)
#define ROOTS_FALLBACK "/etc/ssl/certs/ca-certificates.crt"
#define NAME           "roots in memory"
/* What ASN1_get_object() returns for what is no DER. */
#define ASN1_FAILED 0x80
#define TAG_VERSION 0xa0U /* [0], which the first version of certificates has not */

/*
 * The system's roots as they stand in the file, by their subjects. OpenSSL 3.0 takes 0.2 ms to make an object of
 * one, mostly for its key, and a connection leads to one or two of a hundred and forty: those are made when they are
 * asked for.
 */
typedef struct Root {
        unsigned long hash; /* of the subject, as X509_NAME_hash() has it */
        size_t at, size;    /* of the certificate in `der` */
} Root;

typedef struct Roots {
        X509_LOOKUP_METHOD *method;
        Buf der;
        Buf index; /* Root[] */
} Roots;

static void free_bio(BIO **bio)
{
        (void)BIO_free(*bio);
}

/* ---- the subject of a certificate ---- */

/* At the content of the next element. */
static bool enter(const uint8_t **at, const uint8_t *end, long *ret_size)
{
        int tag, class;

        return *at < end && !(ASN1_get_object(at, ret_size, &tag, &class, end - *at) & ASN1_FAILED);
}

static bool skip(const uint8_t **at, const uint8_t *end)
{
        long size;
        bool good = enter(at, end, &size);

        if (good)
                *at += size;
        return good;
}

/* Certificate { tbsCertificate { [version], serial, algorithm, issuer, validity, subject, ... NULL: it is none. */
static X509_NAME *subject_of(const uint8_t *der, long size)
{
        const uint8_t *at = der, *end = der + size;
        bool good = enter(&at, end, &size);

        good = good && enter(&at, end, &size);
        if (good && at < end && *at == TAG_VERSION)
                good = skip(&at, end);
        for (int i = 0; good && i < 4; i++)
                good = skip(&at, end);
        return good ? d2i_X509_NAME(NULL, &at, end - at) : NULL;
}

/* ---- the roots that are kept ---- */

static Roots *roots_free(Roots *roots)
{
        if (!roots)
                return NULL;
        X509_LOOKUP_meth_free(roots->method);
        buf_deinit(&roots->der);
        buf_deinit(&roots->index);
        free(roots);
        return NULL;
}
DEFINE_CLEANUP(Roots *, roots_free);

static int roots_add(Roots *roots, const uint8_t *der, long size)
{
        X509_NAME *subject = subject_of(der, size);
        Root root = { .at = roots->der.size, .size = (size_t)size };
        int r;

        if (!subject)
                return 0; /* of use to nobody */
        root.hash = X509_NAME_hash(subject);
        X509_NAME_free(subject);
        r = buf_append(&roots->der, der, root.size);
        return r == 0 ? buf_append(&roots->index, &root, sizeof(root)) : r;
}

static int roots_read(Roots *roots, const char *text)
{
        _cleanup_(free_bio) BIO *bio = BIO_new_mem_buf(text, (int)strlen(text));
        char *name, *header;
        uint8_t *der;
        long size;
        int r = 0;

        if (!bio)
                return -ENOMEM;
        while (r == 0 && PEM_read_bio(bio, &name, &header, &der, &size)) {
                if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0)
                        r = roots_add(roots, der, size);
                OPENSSL_free(name);
                OPENSSL_free(header);
                OPENSSL_free(der);
        }
        ERR_clear_error(); /* the end of the file is one of PEM_read_bio()'s errors */
        return r == 0 && roots->index.size == 0 ? -EBADMSG : r;
}

/* Into the store, if it is of that subject, and not another of the same hash. */
static void take_up(X509_STORE *store, const uint8_t *der, size_t size, const X509_NAME *name)
{
        X509 *certificate = d2i_X509(NULL, &der, (long)size);

        if (certificate && X509_NAME_cmp(X509_get_subject_name(certificate), name) == 0)
                (void)X509_STORE_add_cert(store, certificate);
        X509_free(certificate);
}

/* Whoever asks borrows what the store has, as from OpenSSL's own lookups. */
static int give(X509_STORE *store, const X509_NAME *name, X509_OBJECT *ret)
{
        X509_OBJECT *found = X509_OBJECT_retrieve_by_subject(X509_STORE_get0_objects(store), X509_LU_X509, name);
        X509 *certificate = found ? X509_OBJECT_get0_X509(found) : NULL;

        if (!certificate || !X509_OBJECT_set1_X509(ret, certificate))
                return 0;
        X509_free(certificate); /* the reference that `ret` was given */
        return 1;
}

/* All of that subject go into the store, where OpenSSL then looks for the one that fits. */
static int on_lookup(X509_LOOKUP *lookup, X509_LOOKUP_TYPE type, const X509_NAME *name, X509_OBJECT *ret)
{
        const Roots *roots = X509_LOOKUP_get_method_data(lookup);
        X509_STORE *store = X509_LOOKUP_get_store(lookup);
        unsigned long hash = X509_NAME_hash(name);
        bool any = false;

        if (type != X509_LU_X509)
                return 0;
        for (size_t i = 0; i < roots->index.size / sizeof(Root); i++) {
                Root root;

                memcpy(&root, roots->index.data + i * sizeof(root), sizeof(root));
                if (root.hash != hash)
                        continue;
                take_up(store, roots->der.data + root.at, root.size, name);
                any = true;
        }
        return any ? give(store, name, ret) : 0;
}

static void on_free(X509_LOOKUP *lookup)
{
        roots_free(X509_LOOKUP_get_method_data(lookup));
}

static int roots_new(Roots **ret)
{
        _cleanup_(roots_freep) Roots *roots = calloc(1, sizeof(*roots));

        if (!roots)
                return -ENOMEM;
        roots->der = BUF_NULL(ROOTS_MAX);
        roots->index = BUF_NULL(ROOTS_MAX);
        roots->method = X509_LOOKUP_meth_new(NAME);
        if (!roots->method || !X509_LOOKUP_meth_set_get_by_subject(roots->method, on_lookup) ||
            !X509_LOOKUP_meth_set_free(roots->method, on_free))
                return -ENOMEM;
        *ret = take_ptr(roots);
        return 0;
}

static int add_roots(TrustStore *store, const char *path)
{
        _cleanup_(roots_freep) Roots *roots = NULL;
        _cleanup_(freep) char *text = NULL;
        X509_LOOKUP *lookup;
        int r;

        r = fd_read_file_at(AT_FDCWD, path, ROOTS_MAX, &text);
        if (r == 0)
                r = roots_new(&roots);
        if (r == 0)
                r = roots_read(roots, text);
        if (r)
                return r;
        lookup = X509_STORE_add_lookup(store, roots->method);
        if (!lookup)
                return -ENOMEM;
        (void)X509_LOOKUP_set_method_data(lookup, take_ptr(roots));
        return 0;
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
                r = add_roots(store, ROOTS_FALLBACK);
        else
                r = add_roots(store, path);
        curl_easy_cleanup(curl);
        return r;
}

/* ---- those that the configuration names: few, and what is wrong with them is said at the start ---- */

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
