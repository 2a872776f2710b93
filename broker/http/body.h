#pragma once
/*
 * The body behind a head, decoded as it comes: lengths are held to, chunks are read strictly
 * (RFC 9112 section 7.1; extensions and trailers are dropped), and nothing is buffered.
 */
#include "base/buf.h"
#include "http/head.h"

#define HTTP_CHUNK_LINE_MAX    256U  /* a chunk's size with its extensions */
#define HTTP_TRAILERS_MAX      8192U /* bytes, which are read and dropped */

typedef struct HttpDecoder {
        HttpBody kind;
        uint64_t left; /* of the length, or of the chunk */
        unsigned state;
        size_t line;   /* bytes of the line that is being read */
        size_t trailers;
        bool done;
} HttpDecoder;

void http_decoder_init(HttpDecoder *decoder, HttpBody kind, uint64_t length) NONNULL(1);
/*
 * Takes from the front of `bytes`: `ret_used` says how many were taken, `ret_data` is what of these
 * is body (may be empty; borrowed). To be called again while it takes something. HTTP_E_FRAMING.
 */
int http_decoder_feed(HttpDecoder *decoder, Slice bytes, size_t *ret_used, Slice *ret_data) NODISCARD
        NONNULL(1, 3, 4);
/* The connection has ended. HTTP_E_FRAMING where the body was to be longer. */
int http_decoder_end(HttpDecoder *decoder) NODISCARD NONNULL(1);

/* "1a\r\n", to be followed by the data and "\r\n"; `out` has 20 bytes; returns how many were written. Not for 0, which
 * would end the body. */
size_t http_chunk_head(size_t size, char out[20]);
#define HTTP_CHUNK_END  "\r\n"
#define HTTP_LAST_CHUNK "0\r\n\r\n"
