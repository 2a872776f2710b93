#pragma once
/*
 * Content-Encoding, undone as it comes: gzip (several members in a row, as RFC 1952 has it), deflate (with
 * zlib's frame as RFC 9110 says, or raw as some servers send it), identity. Output is capped with each
 * call, so that a bomb costs time in small portions and no memory, and a stream that is nothing but a bomb
 * ends in an error. zlib's memory, which holds the last 32 KiB of the text, is wiped.
 */
#include "base/buf.h"

/* Output of one call at most. */
#define INFLATE_CHUNK (64U * 1024U)
/* A stream may expand to INFLATE_RATIO_MAX times its size, once it is beyond what is free. Deflate can do
 * 1032 times; text does 20, a table of zeros 200. */
#define INFLATE_FREE      (UINT64_C(32) * 1024 * 1024)
#define INFLATE_RATIO_MAX 256U
/* Members of one gzip stream: an empty one takes 20 bytes and says nothing. */
#define INFLATE_MEMBERS_MAX 4096U

typedef enum InflateCoding {
        INFLATE_IDENTITY,
        INFLATE_GZIP,
        INFLATE_DEFLATE,
        INFLATE_UNKNOWN, /* br, zstd, compress, or more than one: cannot be looked into */
} InflateCoding;

enum {
        _INFLATE_E_SUCCESS,
        INFLATE_E_DAMAGED,   /* not what the coding says, or a wrong checksum */
        INFLATE_E_TRUNCATED, /* the body ended before the stream did */
        INFLATE_E_TRAILING,  /* bytes behind the end of the stream */
        INFLATE_E_BOMB,      /* beyond INFLATE_RATIO_MAX or INFLATE_MEMBERS_MAX */
};

typedef struct Inflate Inflate;

/* The value of Content-Encoding; empty, "identity", and a list with one entry are fine. Where there are
 * several such headers, the caller takes it for INFLATE_UNKNOWN. */
InflateCoding inflate_coding(Slice value);

/* Not for INFLATE_UNKNOWN (-EINVAL). -ENOMEM. */
int inflate_new(Inflate **ret, InflateCoding coding) NODISCARD NONNULL(1);
/* Wipes. Accepts NULL. */
Inflate *inflate_free(Inflate *stream);
/*
 * Takes from the front of `bytes` and appends to `out`, which has room for INFLATE_CHUNK: `ret_used` says how
 * many bytes were taken. To be called again with the rest while there is one (back-pressure permitting). With
 * everything taken there can still be output to come, and the call that brings it is one with no bytes:
 * inflate_has_more(). INFLATE_E_*, buf_append()'s errors.
 */
int inflate_feed(Inflate *stream, Slice bytes, size_t *ret_used, Buf *out) NODISCARD NONNULL(1, 3, 4);
bool inflate_has_more(const Inflate *stream) NONNULL(1);
/* The body has ended. An empty one is fine in each coding. INFLATE_E_TRUNCATED. */
int inflate_end(const Inflate *stream) NODISCARD NONNULL(1);
/* A sentence for a positive code. */
const char *inflate_strerror(int r);

DEFINE_CLEANUP(Inflate *, inflate_free);
