#pragma once
/*
 * The certificates that an upstream's must lead to, read once, before the process is
 * confined: libcurl would read them again for each connection, 15 ms each, and here all share one store.
 */
#include "base/error.h"
#include "base/macros.h"

/* An X509_STORE of OpenSSL, which libcurl's TLS is. */
typedef struct x509_store_st TrustStore;

/* The system's roots, and those of the file `extra` (NULL: none). -errno; -EBADMSG: no certificate in it. */
int trust_new(TrustStore **ret, const char *extra) NODISCARD NONNULL(1);
TrustStore *trust_free(TrustStore *store);

DEFINE_CLEANUP(TrustStore *, trust_free);
