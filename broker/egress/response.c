#include "egress/response.h"
#include "egress/scrub_stream.h"
#include "base/text.h"

/* A head, its copy and its table. */
#define POOL_MAX (256U * 1024U)

/* These say something about the host and not the response, to a client that speaks with us and not with it; or
 * offer what is not passed on. */
static const char *const dropped[] = {
        "alt-svc",         "strict-transport-security", "public-key-pins", "expect-ct", "nel",
        "report-to",       "reporting-endpoints",       "accept-ranges",   "alt-used",  "clear-site-data",
        "content-encoding",
};

static bool is_dropped(Slice name)
{
        for (size_t i = 0; i < ARRAY_SIZE(dropped); i++)
                if (http_name_is(name, dropped[i]))
                        return true;
        return false;
}

static bool is_cookie(Slice name)
{
        return http_name_is(name, "set-cookie") || http_name_is(name, "set-cookie2");
}

/* Not HTTP's rule alone, but what the frame can carry. */
static bool fits(const HttpHeader *header)
{
        return header->name.size <= LIMIT_HEADER_NAME && header->value.size <= LIMIT_HEADER_VALUE &&
               text_is_utf8(header->value) && !memchr(header->value.data, SLOT_MARKER, header->value.size);
}

static bool passes(const HttpHead *head, const HttpHeader *header, const EgressPolicy *policy)
{
        if (header->value.size > 0 && !fits(header))
                return false;
        if (http_is_hop_by_hop(head, header->name) || (is_cookie(header->name) && !policy->cookies))
                return false;
        return policy->scrub == SCRUB_OFF ? !http_name_is(header->name, "alt-svc") : !is_dropped(header->name);
}

static int lower(Pool *pool, Slice name, const char **ret)
{
        void *copy;
        char *text;
        int r = pool_alloc(pool, name.size + 1, &copy);

        if (r < 0)
                return r;
        text = copy;
        for (size_t i = 0; i < name.size; i++)
                text[i] = (char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] + 32 : name.data[i]);
        text[name.size] = '\0';
        *ret = text;
        return 0;
}

static int add(ResponseHead *ret, const HttpHeader *header, const Grant *grant, Buf *scratch)
{
        HeaderField *field = (HeaderField *)ret->response.headers.items + ret->response.headers.n;
        Slice value = header->value;
        bool found = false;
        int r = 0;

        buf_clear(scratch);
        if (grant->policy->scrub != SCRUB_OFF && grant->scrub) {
                bool in_name = false;

                r = scrub_text(grant->scrub, header->name, scratch, &in_name);
                buf_clear(scratch);
                if (r == 0)
                        r = scrub_text(grant->scrub, value, scratch, &found);
                ret->scrubbed = ret->scrubbed || found || in_name;
                value = buf_slice(scratch);
                if (in_name)
                        return r;
        }
        if (r == 0)
                r = lower(&ret->pool, header->name, &field->name);
        if (r == 0)
                r = pool_text(&ret->pool, value.size > 0 ? value : slice("", 0), &field->value);
        if (r == 0)
                ret->response.headers.n++;
        return r;
}

static int add_all(ResponseHead *ret, const HttpHead *head, const Grant *grant)
{
        Buf scratch = BUF_NULL(LIMIT_HEADER_VALUE + LIMIT_HEADER_NAME);
        void *items;
        int r = pool_alloc(&ret->pool, (head->n_headers + 1) * sizeof(HeaderField), &items);

        if (r < 0)
                return r;
        ret->response.headers.items = items;
        for (size_t i = 0; r == 0 && i < head->n_headers; i++)
                if (passes(head, &head->headers[i], grant->policy))
                        r = add(ret, &head->headers[i], grant, &scratch);
        buf_deinit(&scratch);
        return r;
}

static InflateCoding coding_of(const HttpHead *head)
{
        size_t n = 0;
        const HttpHeader *header = http_find(head, "content-encoding", &n);

        if (n == 0)
                return INFLATE_IDENTITY;
        return n == 1 && header ? inflate_coding(header->value) : INFLATE_UNKNOWN;
}

/* What cannot be undone keeps its label. */
static int add_coding(ResponseHead *ret, const HttpHead *head)
{
        HeaderField *fields = ret->response.headers.items;
        const HttpHeader *header = http_find(head, "content-encoding", NULL);
        int r;

        if (ret->coding != INFLATE_UNKNOWN || !header || !fits(header))
                return 0;
        fields += ret->response.headers.n;
        fields->name = "content-encoding";
        r = pool_text(&ret->pool, header->value, &fields->value);
        if (r == 0)
                ret->response.headers.n++;
        return r;
}

static void set_body(ResponseHead *ret, const HttpHead *head, bool head_request)
{
        bool inflated = ret->coding == INFLATE_GZIP || ret->coding == INFLATE_DEFLATE;

        ret->response.body = BODY_NONE;
        if (head_request && head->has_length && !inflated) { /* what a GET would have had */
                ret->response.body = BODY_LENGTH;
                ret->response.length = head->length;
        }
        if (head_request || head->body == HTTP_BODY_NONE)
                return;
        ret->response.body = head->body == HTTP_BODY_LENGTH && !inflated ? BODY_LENGTH : BODY_STREAM;
        ret->response.length = ret->response.body == BODY_LENGTH ? head->length : 0;
}

int response_head_init(ResponseHead *ret, const HttpHead *head, const Grant *grant, bool head_request)
{
        const HttpHeader *type = http_find(head, "content-type", NULL);
        bool scrubs = grant->policy->scrub != SCRUB_OFF;
        int r;

        *ret = (ResponseHead){ .pool = POOL_NULL(POOL_MAX) };
        ret->response.status = head->status;
        ret->coding = scrubs ? coding_of(head) : INFLATE_IDENTITY;
        ret->lines = type && scrub_stream_has_lines(type->value);
        set_body(ret, head, head_request);
        r = add_all(ret, head, grant);
        return r == 0 && scrubs ? add_coding(ret, head) : r;
}

void response_head_deinit(ResponseHead *head)
{
        pool_deinit(&head->pool);
}
