#pragma once
/* The three steps of http_parse_request() and http_parse_response(), each refusing what the ones
 * before it let through: gate.c, the semantics in head.c, opinion.c. */
#include "http/head.h"

/* Splits one whole head into its lines, byte by byte: method, target, status, minor and headers.
 * Nothing but CRLF ends a line and nothing but a token is a name. */
int http_gate_request(Slice bytes, HttpHead *ret) NODISCARD NONNULL(2);
int http_gate_response(Slice bytes, HttpHead *ret) NODISCARD NONNULL(2);

/* Has llhttp read the same bytes. HTTP_E_SYNTAX where it refuses them or reads another method, target,
 * status, version or header; HTTP_E_FRAMING where it would look for another body. `head_request` as
 * for http_parse_response(), and false for requests. */
int http_opinion(Slice bytes, bool is_request, bool head_request, const HttpHead *head) NODISCARD NONNULL(4);
