#include "egress/sigv4_canonical.h"
#include "egress/percent.h"
#include "egress/sigv4.h"
#include "http/chars.h"
#include <stdlib.h>
#include <strings.h>

/* Of a query: more are no API's. */
#define PARAMETERS_MAX 1024U

/* ---- the path ---- */

/* Without dot segments and empty ones, as all but S3 have it. */
static int append_normal_path(Buf *out, Slice path)
{
        Slice segment;
        bool slash = true; /* the path ends in one */

        while (slice_split(&path, '/', &segment)) {
                int r;

                slash = segment.size == 0 || slice_is_text(segment, ".") || slice_is_text(segment, "..");
                if (slice_is_text(segment, ".."))
                        while (out->size > 0 && out->data[--out->size] != '/')
                                ;
                if (slash)
                        continue;
                r = buf_append_u8(out, '/');
                if (r == 0)
                        r = buf_append_slice(out, segment);
                if (r < 0)
                        return r;
        }
        return slash || out->size == 0 ? buf_append_u8(out, '/') : 0;
}

/* S3 has the path as it is sent; of it only the encoding may differ. */
static int append_s3_path(Buf *out, Slice path)
{
        bool was_encoded;
        int r = 0;

        while (r == 0 && path.size > 0) {
                uint8_t c = percent_take(&path, &was_encoded);

                r = c == '/' && !was_encoded ? buf_append_u8(out, c) : percent_append(out, c);
        }
        return r;
}

static int append_path(Buf *out, Slice path)
{
        _cleanup_(buf_deinit) Buf normal = BUF_NULL(SIGV4_CANONICAL_MAX);
        int r;

        r = append_normal_path(&normal, path);
        for (size_t i = 0; r == 0 && i < normal.size; i++)
                r = normal.data[i] == '/' ? buf_append_u8(out, '/') : percent_append(out, normal.data[i]);
        return r;
}

/* ---- the query ---- */

typedef struct Parameter {
        size_t at, name, value; /* where in the buffer, and the sizes of both */
        const Buf *text;
} Parameter;

static int compare_parameters(const void *a, const void *b)
{
        const Parameter *p = a, *q = b;
        int r = slice_compare(slice(p->text->data + p->at, p->name), slice(q->text->data + q->at, q->name));

        return r ? r
                 : slice_compare(slice(p->text->data + p->at + p->name, p->value),
                                 slice(q->text->data + q->at + q->name, q->value));
}

/* "+" is a space: so it is sent, too. */
static int append_component(Buf *out, Slice text)
{
        bool was_encoded;
        int r = 0;

        while (r == 0 && text.size > 0) {
                uint8_t c = percent_take(&text, &was_encoded);

                r = percent_append(out, c == '+' && !was_encoded ? ' ' : c);
        }
        return r;
}

/* Names that are only there when the query carries a signature. */
static bool is_presigned(Slice name)
{
        static const char *const names[] = { "x-amz-algorithm", "x-amz-credential",     "x-amz-signature",
                                             "x-amz-date",      "x-amz-security-token", "x-amz-signedheaders",
                                             "awsaccesskeyid" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (name.size == strlen(names[i]) && strncasecmp((const char *)name.data, names[i], name.size) == 0)
                        return true;
        return false;
}

static int collect_parameters(Slice query, Buf *text, Parameter *all, size_t *ret_n)
{
        Slice one, name;
        size_t n = 0;
        int r;

        while (slice_split(&query, '&', &one)) {
                Parameter *parameter = &all[n];

                if (one.size == 0)
                        continue;
                if (n++ == PARAMETERS_MAX)
                        return SIGV4_E_TOO_LONG;
                *parameter = (Parameter){ .at = text->size, .text = text };
                (void)slice_split(&one, '=', &name);
                r = append_component(text, name);
                parameter->name = text->size - parameter->at;
                if (r == 0)
                        r = append_component(text, one);
                if (r < 0)
                        return r;
                parameter->value = text->size - parameter->at - parameter->name;
                if (is_presigned(slice(text->data + parameter->at, parameter->name)))
                        return SIGV4_E_PRESIGNED;
        }
        *ret_n = n;
        return 0;
}

static int append_query(Buf *out, Slice query)
{
        _cleanup_(buf_deinit) Buf text = BUF_NULL(SIGV4_CANONICAL_MAX);
        _cleanup_(freep) Parameter *all = calloc(PARAMETERS_MAX + 1, sizeof(*all));
        uint8_t *room;
        size_t n = 0;
        int r;

        if (!all)
                return -ENOMEM;
        r = buf_reserve(&text, 1, &room); /* so that what is empty points somewhere, too */
        if (r == 0)
                r = collect_parameters(query, &text, all, &n);
        if (r)
                return r;
        qsort(all, n, sizeof(*all), compare_parameters);
        for (size_t i = 0; r == 0 && i < n; i++) {
                if (i > 0)
                        r = buf_append_u8(out, '&');
                if (r == 0)
                        r = buf_append(out, text.data + all[i].at, all[i].name);
                if (r == 0)
                        r = buf_append_u8(out, '=');
                if (r == 0)
                        r = buf_append(out, text.data + all[i].at + all[i].name, all[i].value);
        }
        return r;
}

/* ---- the headers ---- */

void sigv4_headers_add(Sigv4Headers *list, Slice name, Slice value)
{
        size_t i = list->n++;

        for (; i > 0 && slice_compare(list->items[i - 1].name, name) > 0; i--)
                list->items[i] = list->items[i - 1];
        list->items[i] = (Sigv4Header){ name, value };
}

static bool is_listed(Slice list, Slice name)
{
        Slice one;

        while (slice_split(&list, ';', &one))
                if (slice_equal(one, name))
                        return true;
        return false;
}

/* Those that we write ourselves. */
static bool is_replaced(const char *name)
{
        return strcmp(name, "authorization") == 0 || strcmp(name, "host") == 0 || strcmp(name, "x-amz-date") == 0 ||
               strcmp(name, "x-amz-content-sha256") == 0 || strcmp(name, "x-amz-security-token") == 0;
}

/* Those that somebody on the way may change, so that nobody signs them. */
static bool is_unsignable(const char *name)
{
        static const char *const names[] = { "accept-encoding", "connection", "expect", "range", "te", "trailer",
                                             "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return false;
}

/* As they are signed: in small letters. */
static bool is_name(const char *name)
{
        size_t n = 0;

        while (http_is_token((uint8_t)name[n]) && http_lower((uint8_t)name[n]) == (uint8_t)name[n])
                n++;
        return n > 0 && n <= LIMIT_HEADER_NAME && !name[n];
}

int sigv4_headers_collect(Sigv4Headers *list, const EgressRequest *request, Slice signed_names)
{
        if (request->headers.n > LIMIT_HEADERS)
                return SIGV4_E_TOO_LONG;
        for (size_t i = 0; i < request->headers.n; i++) {
                const HeaderField *header = (const HeaderField *)request->headers.items + i;

                if (is_replaced(header->name) || is_unsignable(header->name))
                        continue;
                if (strncmp(header->name, "x-amz-", 6) == 0 || strcmp(header->name, "content-type") == 0 ||
                    strcmp(header->name, "content-md5") == 0 ||
                    is_listed(signed_names, slice_text(header->name))) {
                        if (!is_name(header->name))
                                return SIGV4_E_AUTHORIZATION;
                        sigv4_headers_add(list, slice_text(header->name), slice_text(header->value));
                }
        }
        return 0;
}

static int append_value(Buf *out, Slice value)
{
        int r = 0;

        value = slice_trim(value);
        for (size_t i = 0; r == 0 && i < value.size; i++)
                if (value.data[i] != ' ' || value.data[i - 1] != ' ')
                        r = buf_append_u8(out, value.data[i]);
        return r;
}

static bool is_repeated(const Sigv4Headers *list, size_t i)
{
        return i > 0 && i < list->n && slice_equal(list->items[i].name, list->items[i - 1].name);
}

static int append_headers(Buf *out, const Sigv4Headers *list)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < list->n; i++) {
                if (!is_repeated(list, i)) {
                        r = buf_append_slice(out, list->items[i].name);
                        if (r == 0)
                                r = buf_append_u8(out, ':');
                } else {
                        r = buf_append_u8(out, ',');
                }
                if (r == 0)
                        r = append_value(out, list->items[i].value);
                if (r == 0 && !is_repeated(list, i + 1))
                        r = buf_append_u8(out, '\n');
        }
        return r;
}

int sigv4_headers_append_names(const Sigv4Headers *list, Buf *out)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < list->n; i++) {
                if (is_repeated(list, i))
                        continue;
                if (i > 0)
                        r = buf_append_u8(out, ';');
                if (r == 0)
                        r = buf_append_slice(out, list->items[i].name);
        }
        return r;
}

/* ---- all of it ---- */

int sigv4_canonical_append(const EgressRequest *request, const Sigv4Headers *list, bool s3, const char *payload,
                           Buf *out)
{
        Slice path = slice_text(request->path);
        int r;

        r = buf_append_text(out, request->method);
        if (r == 0)
                r = buf_append_u8(out, '\n');
        if (r == 0)
                r = s3 ? append_s3_path(out, path) : append_path(out, path);
        if (r == 0)
                r = buf_append_u8(out, '\n');
        if (r == 0)
                r = append_query(out, slice_text(request->query));
        if (r == 0)
                r = buf_append_u8(out, '\n');
        if (r == 0)
                r = append_headers(out, list);
        if (r == 0)
                r = buf_append_u8(out, '\n');
        if (r == 0)
                r = sigv4_headers_append_names(list, out);
        if (r == 0)
                r = buf_append_u8(out, '\n');
        return r ? r : buf_append_text(out, payload);
}
