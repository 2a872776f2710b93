#include "egress/request_check.h"
#include "http/writer.h"

/* Longer than path and query may be. */
#define TARGET_MAX (2U * LIMIT_TARGET + 2U)

/* Rules are written in capital letters; a server to which "delete" is DELETE would go past them. */
static bool method_is_valid(const char *method)
{
        static const char *const refused[] = { "CONNECT", "TRACE", "TRACK", "PRI" };
        size_t size = 0;

        for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
                if (strcmp(method, refused[i]) == 0)
                        return false;
        while ((method[size] >= 'A' && method[size] <= 'Z') || method[size] == '-')
                size++;
        return size > 0 && size <= HTTP_METHOD_MAX && !method[size];
}

static bool authority_is_valid(const EgressRequest *request, HttpAuthority *ret)
{
        if (request->port == 0 || request->port > UINT16_MAX)
                return false;
        return http_parse_authority(slice_text(request->host), (uint16_t)request->port, ret) == 0 &&
               ret->port == request->port && strcmp(ret->host, request->host) == 0;
}

/* The marker is looked at as the letter that a canonical form would leave alone. */
static int append_unmarked(Buf *out, const char *text)
{
        size_t start = out->size;
        int r = buf_append_text(out, text);

        for (size_t i = start; r == 0 && i < out->size; i++)
                if (out->data[i] == SLOT_MARKER)
                        out->data[i] = 'x';
        return r;
}

static bool is_terminated_by(const Buf *canonical, const Buf *written, size_t start, size_t size)
{
        return strlen((const char *)canonical->data) == size &&
               memcmp(canonical->data, written->data + start, size) == 0;
}

static bool target_is_canonical(const EgressRequest *request)
{
        Buf written = BUF_NULL(TARGET_MAX), path = BUF_NULL(TARGET_MAX), query = BUF_NULL(TARGET_MAX);
        size_t path_size = strlen(request->path);
        bool has_query = false, ok;
        int r;

        r = append_unmarked(&written, request->path);
        if (r == 0 && request->query)
                r = buf_append_u8(&written, '?');
        if (r == 0 && request->query)
                r = append_unmarked(&written, request->query);
        if (r == 0)
                r = http_canonical_target(buf_slice(&written), &path, &query, &has_query);
        ok = r == 0 && has_query == (request->query != NULL) && is_terminated_by(&path, &written, 0, path_size);
        if (ok && request->query)
                ok = is_terminated_by(&query, &written, path_size + 1, strlen(request->query));
        buf_deinit(&written);
        buf_deinit(&path);
        buf_deinit(&query);
        return ok;
}

static bool name_is_valid(const char *name)
{
        static const HttpHead none = { 0 };

        for (const char *c = name; *c; c++)
                if (*c >= 'A' && *c <= 'Z')
                        return false;
        return http_name_is_valid(slice_text(name)) && !http_is_hop_by_hop(&none, slice_text(name)) &&
               !http_is_override(slice_text(name));
}

/* What is between the markers. */
static bool value_is_valid(const char *value)
{
        for (;;) {
                const char *marker = strchr(value, SLOT_MARKER);
                size_t size = marker ? (size_t)(marker - value) : strlen(value);

                if (size > 0 && !http_value_is_valid(slice(value, size)))
                        return false;
                if (!marker)
                        return true;
                value = marker + 1;
        }
}

static bool headers_are_valid(const EgressRequest *request)
{
        const HeaderField *fields = request->headers.items;

        for (size_t i = 0; i < request->headers.n; i++)
                if (!name_is_valid(fields[i].name) || !value_is_valid(fields[i].value))
                        return false;
        return true;
}

static bool body_is_valid(const EgressRequest *request)
{
        if (request->body != BODY_LENGTH && request->length != 0)
                return false;
        return request->body != BODY_NONE ? !request->upgrade : !request->expect;
}

const char *request_check(const EgressRequest *request, HttpAuthority *ret)
{
        if (!method_is_valid(request->method))
                return "The method is none that is passed on.";
        if (!authority_is_valid(request, ret))
                return "The host is not a canonical name.";
        if (!target_is_canonical(request))
                return "The path or the query is not in its canonical form.";
        if (!headers_are_valid(request))
                return "A header may not be in a canonical request.";
        if (!body_is_valid(request))
                return "The body is not described as it must be.";
        return NULL;
}
