#pragma once
/*
 * A canonical request out of a fuzzer's input: lines of method, host, path, query ("-" for none), headers
 * ("name: value") up to an empty line, and then the body. A byte 0x02 stands for a line break within one.
 */
#include "base/pool.h"
#include "wire/msg_egress.h"

typedef struct FuzzRequest {
        Pool pool;
        EgressRequest request;
        HeaderField headers[LIMIT_HEADERS];
        Slice body;
} FuzzRequest;

static inline const char *fuzz_line(FuzzRequest *f, Slice *rest)
{
        const uint8_t *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;
        size_t n = end ? (size_t)(end - rest->data) : rest->size;
        char *copy;
        void *room;

        if (pool_alloc(&f->pool, n + 1, &room) < 0)
                return "";
        copy = room;
        for (size_t i = 0; i < n; i++)
                copy[i] = rest->data[i] == 2 ? '\n' : (char)rest->data[i];
        *rest = end ? slice(end + 1, rest->size - n - 1) : SLICE_NULL;
        return copy;
}

static inline void fuzz_header(FuzzRequest *f, const char *line)
{
        char *colon = strstr(line, ": "); /* of the pool's copy */
        HeaderField *header = &f->headers[f->request.headers.n];

        if (!colon || f->request.headers.n == LIMIT_HEADERS)
                return;
        *colon = '\0';
        *header = (HeaderField){ line, colon + 2 };
        f->request.headers.n++;
}

static inline void fuzz_request(FuzzRequest *f, Slice bytes)
{
        const char *line;

        *f = (FuzzRequest){ .pool = POOL_NULL(256U * 1024U) };
        f->request = (EgressRequest){ .method = fuzz_line(f, &bytes), .port = 443 };
        f->request.host = fuzz_line(f, &bytes);
        f->request.path = fuzz_line(f, &bytes);
        f->request.query = fuzz_line(f, &bytes);
        if (strcmp(f->request.query, "-") == 0)
                f->request.query = NULL;
        f->request.headers.items = f->headers;
        while (*(line = fuzz_line(f, &bytes)))
                fuzz_header(f, line);
        f->body = bytes;
        f->request.body = bytes.size > 0 ? BODY_LENGTH : BODY_NONE;
        f->request.length = bytes.size;
}
