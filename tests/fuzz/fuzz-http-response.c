/* The head of a response, as an upstream sends it; to a HEAD and to anything else. */
#include "http-rewrite.h"
#include "target.h"

static void rewrite(const HttpHead *head, bool head_request, Slice bytes)
{
        Buf out = BUF_NULL(4 * HTTP_HEAD_MAX);
        HttpHead again;

        require(http_write_status_line(&out, head->status) == 0);
        write_rest(head, bytes, &out);
        if (out.size <= HTTP_HEAD_MAX && head->n_headers < HTTP_HEADERS_MAX) {
                require(http_parse_response(buf_slice(&out), head_request, &again) == 0);
                require(again.status == head->status);
                compare_rest(head, &again);
        }
        buf_deinit(&out);
}

static void run(Slice bytes, bool head_request)
{
        HttpHead head;
        int r = http_parse_response(bytes, head_request, &head);

        require(r >= 0 && r <= (int)HTTP_E_OVERRIDE);
        if (r)
                return;
        check_end(bytes);
        require(head.minor <= 1 && head.status >= 100 && head.status <= 599);
        require(is_within(head.upgrade, bytes));
        require(!head_request || head.body == HTTP_BODY_NONE);
        require(head.body != HTTP_BODY_UNTIL_CLOSE || !head.keep_alive);
        rewrite(&head, head_request, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        size_t end = http_head_end(slice(data, size));

        require(end <= size);
        if (end == 0)
                end = size;
        run(slice(data, end), false);
        run(slice(data, end), true);
        return 0;
}
