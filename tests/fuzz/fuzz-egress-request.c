/*
 * A REQUEST frame of a session's process that was taken over. What is let through is one request of HTTP/1.1,
 * to the host and path that the rules were asked about, however the markers are replaced.
 */
#include "egress/request_check.h"
#include "http/writer.h"
#include "target.h"
#include <stdlib.h>

#define POOL_MAX (256U * 1024U)

static void must(bool ok)
{
        if (!ok)
                abort();
}

/* As inject.c would, with something harmless. */
static char *unmarked(const char *text)
{
        char *copy = text ? strdup(text) : NULL;

        must(!text || copy);
        for (char *c = copy; c && *c; c++)
                if (*c == SLOT_MARKER)
                        *c = 'x';
        return copy;
}

static void write_out(const EgressRequest *request, const HttpAuthority *authority, Buf *out)
{
        const HeaderField *fields = request->headers.items;
        _cleanup_(freep) char *path = unmarked(request->path), *query = unmarked(request->query);

        must(http_write_request_line(out, request->method, path, query, authority->host, authority->port) == 0);
        for (size_t i = 0; i < request->headers.n; i++) {
                _cleanup_(freep) char *value = unmarked(fields[i].value);

                must(http_write_header(out, slice_text(fields[i].name), slice_text(value)) == 0);
        }
        must(http_write_end(out) == 0);
}

static void check(const EgressRequest *request, const HttpAuthority *authority)
{
        Buf out = BUF_NULL(2U * 1024U * 1024U);
        const uint8_t *end;
        size_t lines = 0;

        write_out(request, authority, &out);
        for (size_t i = 0; i < out.size; i++)
                lines += out.data[i] == '\n';
        must(lines == 3 + request->headers.n); /* the request's own, Host, and the empty one */
        end = memmem(out.data, out.size, "\r\n\r\n", 4);
        must(end && (size_t)(end - out.data) + 4 == out.size);
        must(strcmp(authority->host, request->host) == 0 && authority->port == request->port);
        must(!strstr(request->path, "/../") && !strstr(request->path, "//") && !strchr(request->path, '\\'));
        buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Pool pool = POOL_NULL(POOL_MAX);
        EgressRequest request;
        HttpAuthority authority;

        if (schema_decode(&schema_egress_request, slice(data, size), NULL, &pool, &request, NULL) == 0 &&
            !request_check(&request, &authority))
                check(&request, &authority);
        pool_deinit(&pool);
        return 0;
}
