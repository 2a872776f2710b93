#pragma once
/* Percent-encoding, RFC 3986 section 2: what is not unreserved is written "%XX", in capitals. */
#include "base/buf.h"

/* buf_append()'s errors. */
int percent_append(Buf *out, uint8_t c) NODISCARD NONNULL(1);
int percent_append_text(Buf *out, Slice text) NODISCARD NONNULL(1);
/* Bytes that percent_append_text() takes. */
size_t percent_size(Slice text);
/* One byte off the front of a text that is not empty, the encoding undone. What is not well-formed stands for
 * itself. */
uint8_t percent_take(Slice *text, bool *ret_was_encoded) NONNULL(1, 2);
