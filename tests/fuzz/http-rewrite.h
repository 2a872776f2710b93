#pragma once
/* For both kinds of heads: what was parsed is within its bytes, and written again it reads the same. */
#include "http/writer.h"
#include <stdlib.h>

static inline void require(bool holds)
{
        if (!holds)
                abort();
}

static inline bool is_within(Slice part, Slice whole)
{
        return part.size == 0 || (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

/* The headers that are passed on, and framing as it is written. */
static inline void write_rest(const HttpHead *head, Slice bytes, Buf *out)
{
        require(head->n_headers <= HTTP_HEADERS_MAX);
        for (size_t i = 0; i < head->n_headers; i++) {
                const HttpHeader *header = &head->headers[i];

                require(is_within(header->name, bytes) && is_within(header->value, bytes));
                if (!http_is_hop_by_hop(head, header->name))
                        require(http_write_header(out, header->name, header->value) == 0);
        }
        require(http_write_framing(out, head->body, head->length) == 0);
        require(http_write_end(out) == 0);
        require(http_head_end(buf_slice(out)) == out->size);
}

/* Headers that are passed on are there again, in their order, and no others. */
static inline void compare_rest(const HttpHead *head, const HttpHead *again)
{
        size_t at = 0;

        for (size_t i = 0; i < head->n_headers; i++) {
                if (http_is_hop_by_hop(head, head->headers[i].name))
                        continue;
                while (at < again->n_headers && http_is_hop_by_hop(again, again->headers[at].name))
                        at++;
                require(at < again->n_headers);
                require(slice_equal(head->headers[i].name, again->headers[at].name));
                require(slice_equal(head->headers[i].value, again->headers[at].value));
                at++;
        }
        while (at < again->n_headers)
                require(http_is_hop_by_hop(again, again->headers[at++].name));
        require(again->body == head->body);
        require(head->body != HTTP_BODY_LENGTH || again->length == head->length);
}

/* Of a head that is accepted, no shorter piece is. */
static inline void check_end(Slice bytes)
{
        require(http_head_end(bytes) == bytes.size);
        require(http_head_end(slice(bytes.data, bytes.size - 1)) == 0);
}
