#include "session/response.h"
#include "http/body.h"
#include "http/writer.h"
#include <strings.h>

static const char own_prefix[] = "x-mcpcred-";

static bool has_no_body(const EgressResponse *response, const ResponseFrame *frame)
{
        return frame->head_request || response->status == 204 || response->status == 304 || response->status < 200;
}

static void choose_framing(const EgressResponse *response, ResponseFrame *frame)
{
        frame->body = HTTP_BODY_NONE;
        frame->left = 0;
        if (has_no_body(response, frame))
                return;
        if (response->body == BODY_STREAM) {
                frame->body = frame->old ? HTTP_BODY_UNTIL_CLOSE : HTTP_BODY_CHUNKED;
                frame->closes = frame->closes || frame->old;
                return;
        }
        frame->body = HTTP_BODY_LENGTH;
        frame->left = response->body == BODY_LENGTH ? response->length : 0;
}

static int put(Buf *out, const char *name, const char *value)
{
        return http_write_header(out, slice_text(name), slice_text(value));
}

static int write_headers(const EgressResponse *response, Buf *out)
{
        const HeaderField *headers = response->headers.items;

        for (size_t i = 0; i < response->headers.n; i++) {
                int r;

                /* What we say in these is not for an upstream to say. */
                if (strncasecmp(headers[i].name, own_prefix, sizeof(own_prefix) - 1) == 0)
                        continue;
                r = put(out, headers[i].name, headers[i].value);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The length that a response to HEAD would have had. */
static int write_framing(const EgressResponse *response, const ResponseFrame *frame, Buf *out)
{
        if (frame->head_request && response->body == BODY_LENGTH)
                return http_write_framing(out, HTTP_BODY_LENGTH, response->length);
        if (frame->body == HTTP_BODY_NONE || frame->body == HTTP_BODY_UNTIL_CLOSE)
                return 0;
        return http_write_framing(out, frame->body, frame->left);
}

int response_write_head(const EgressResponse *response, ResponseFrame *frame, Buf *out)
{
        int r;

        if (response->status > 599 || response->status < (response->upgraded ? 101 : 200) ||
            (response->upgraded && response->status != 101))
                return -EINVAL;
        choose_framing(response, frame);
        r = http_write_status_line(out, (unsigned)response->status);
        if (r == 0)
                r = write_headers(response, out);
        if (r == 0 && response->upgraded)
                r = put(out, "connection", "Upgrade");
        if (r == 0 && response->upgraded)
                r = put(out, "upgrade", "websocket");
        if (r == 0 && !response->upgraded && frame->closes)
                r = put(out, "connection", "close");
        if (r == 0)
                r = write_framing(response, frame, out);
        return r < 0 ? r : http_write_end(out);
}

int response_write_data(ResponseFrame *frame, Slice data, Buf *out)
{
        char head[20];
        int r;

        switch (frame->body) {
        case HTTP_BODY_NONE:
                return -EINVAL;
        case HTTP_BODY_LENGTH:
                if (data.size > frame->left)
                        return -EINVAL;
                frame->left -= data.size;
                return buf_append(out, data.data, data.size);
        case HTTP_BODY_UNTIL_CLOSE:
                return buf_append(out, data.data, data.size);
        case HTTP_BODY_CHUNKED:
                r = buf_append(out, head, http_chunk_head(data.size, head));
                if (r == 0)
                        r = buf_append(out, data.data, data.size);
                return r < 0 ? r : buf_append_text(out, HTTP_CHUNK_END);
        }
        return -EINVAL;
}

int response_write_end(const ResponseFrame *frame, Buf *out)
{
        if (frame->body == HTTP_BODY_LENGTH && frame->left > 0)
                return -EINVAL;
        return frame->body == HTTP_BODY_CHUNKED ? buf_append_text(out, HTTP_LAST_CHUNK) : 0;
}
