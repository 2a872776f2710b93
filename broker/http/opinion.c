#include "http/parts.h"
#include <llhttp.h>

/* What llhttp saw, beside what was seen here. */
typedef struct Opinion {
        const HttpHead *head;
        bool is_request;
        bool skip_body;
        Slice part; /* the target, name or value that is being read: llhttp may hand it over in pieces */
        size_t n_names;
        size_t n_values;
        bool complete;
        int verdict; /* HttpError */
} Opinion;

static int disagree(Opinion *opinion, HttpError error)
{
        if (!opinion->verdict)
                opinion->verdict = (int)error;
        return HPE_USER;
}

static int on_part(llhttp_t *parser, const char *at, size_t size)
{
        Opinion *opinion = parser->data;

        if (opinion->part.size == 0)
                opinion->part = slice(at, size);
        else
                opinion->part.size = (size_t)((const uint8_t *)at + size - opinion->part.data);
        return HPE_OK;
}

static Slice take_part(Opinion *opinion)
{
        Slice part = opinion->part;

        opinion->part = SLICE_NULL;
        return part;
}

static int on_url_complete(llhttp_t *parser)
{
        Opinion *opinion = parser->data;

        if (!slice_equal(take_part(opinion), opinion->head->target))
                return disagree(opinion, HTTP_E_SYNTAX);
        return HPE_OK;
}

static int on_field_complete(llhttp_t *parser)
{
        Opinion *opinion = parser->data;
        const HttpHead *head = opinion->head;
        Slice name = take_part(opinion);

        if (opinion->n_names >= head->n_headers || !slice_equal(name, head->headers[opinion->n_names].name))
                return disagree(opinion, HTTP_E_SYNTAX);
        opinion->n_names++;
        return HPE_OK;
}

static int on_value_complete(llhttp_t *parser)
{
        Opinion *opinion = parser->data;
        const HttpHead *head = opinion->head;
        Slice value = take_part(opinion);

        while (value.size > 0 && (value.data[value.size - 1] == ' ' || value.data[value.size - 1] == '\t'))
                value.size--;
        if (opinion->n_values >= head->n_headers || !slice_equal(value, head->headers[opinion->n_values].value))
                return disagree(opinion, HTTP_E_SYNTAX);
        opinion->n_values++;
        return HPE_OK;
}

static bool agrees_on_start(const Opinion *opinion, const llhttp_t *parser)
{
        const HttpHead *head = opinion->head;

        if (parser->http_major != 1 || parser->http_minor != head->minor)
                return false;
        if (!opinion->is_request)
                return parser->status_code == head->status;
        return slice_is_text(head->method, llhttp_method_name((llhttp_method_t)parser->method));
}

static bool agrees_on_body(const Opinion *opinion, const llhttp_t *parser)
{
        const HttpHead *head = opinion->head;
        bool chunked = parser->flags & F_CHUNKED;
        bool length = parser->flags & F_CONTENT_LENGTH;

        switch (head->body) {
        case HTTP_BODY_CHUNKED:
                return chunked && !length;
        case HTTP_BODY_LENGTH:
                return !chunked && length && parser->content_length == head->length;
        case HTTP_BODY_UNTIL_CLOSE:
                return !chunked && !length && llhttp_message_needs_eof(parser);
        case HTTP_BODY_NONE:
                if (opinion->skip_body)
                        return true; /* what it says about a body is about one that does not come */
                return opinion->is_request ? !chunked && parser->content_length == 0
                                           : !llhttp_message_needs_eof(parser);
        }
        return false;
}

static int on_headers_complete(llhttp_t *parser)
{
        Opinion *opinion = parser->data;
        const HttpHead *head = opinion->head;

        if (!agrees_on_start(opinion, parser) || opinion->n_names != head->n_headers ||
            opinion->n_values != head->n_headers)
                return disagree(opinion, HTTP_E_SYNTAX);
        if (!agrees_on_body(opinion, parser))
                return disagree(opinion, HTTP_E_FRAMING);
        opinion->complete = true;
        return HPE_PAUSED;
}

static bool has_no_body(unsigned status)
{
        return status < 200 || status == 204 || status == 304;
}

int http_opinion(Slice bytes, bool is_request, bool head_request, const HttpHead *head)
{
        Opinion opinion = { .head = head, .is_request = is_request };
        llhttp_settings_t settings;
        llhttp_errno_t error;
        llhttp_t parser;

        opinion.skip_body = !is_request && (head_request || has_no_body(head->status));
        llhttp_settings_init(&settings);
        settings.on_url = on_part;
        settings.on_url_complete = on_url_complete;
        settings.on_header_field = on_part;
        settings.on_header_field_complete = on_field_complete;
        settings.on_header_value = on_part;
        settings.on_header_value_complete = on_value_complete;
        settings.on_headers_complete = on_headers_complete;
        llhttp_init(&parser, is_request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
        parser.data = &opinion;
        error = llhttp_execute(&parser, (const char *)bytes.data, bytes.size);
        if (opinion.verdict)
                return opinion.verdict;
        return error == HPE_PAUSED && opinion.complete ? 0 : HTTP_E_SYNTAX;
}
