#pragma once
/* Writes heads. Names and values are checked again on their way out: what could break a line is never
 * written (-EINVAL). */
#include "base/buf.h"
#include "http/head.h"

/* "GET /path?query HTTP/1.1\r\nHost: ...\r\n": the port is written unless it is 443. */
int http_write_request_line(Buf *out, const char *method, const char *path, const char *query, const char *host,
                            uint16_t port) NODISCARD NONNULL(1, 2, 3, 5);
/* 100 to 599. */
int http_write_status_line(Buf *out, unsigned status) NODISCARD NONNULL(1);
int http_write_header(Buf *out, Slice name, Slice value) NODISCARD NONNULL(1);
/* Content-Length or Transfer-Encoding, or nothing. */
int http_write_framing(Buf *out, HttpBody body, uint64_t length) NODISCARD NONNULL(1);
/* The empty line. */
int http_write_end(Buf *out) NODISCARD NONNULL(1);
bool http_name_is_valid(Slice name);
bool http_value_is_valid(Slice value);
