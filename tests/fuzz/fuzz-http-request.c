/* The head of a request, as a sandbox sends it. What is accepted and written again as egress does it has to
 * be read the same. */
#include "http/target.h"
#include "http-rewrite.h"
#include "target.h"

/* Where the request goes; false where the target's own rules refuse what the head's let through. */
static bool read_target(const HttpHead *head, HttpAuthority *authority, Buf *path, Buf *query, bool *has_query)
{
        Slice rest = head->target;
        bool secure;

        if (head->form == HTTP_TARGET_AUTHORITY || head->form == HTTP_TARGET_ASTERISK)
                return false;
        if (head->form == HTTP_TARGET_ORIGIN) {
                if (http_parse_authority(head->host, 443, authority))
                        return false;
        } else if (http_parse_absolute(head->target, &secure, authority, &rest)) {
                return false;
        }
        return http_canonical_target(rest, path, query, has_query) == 0;
}

static void rewrite(const HttpHead *head, Slice bytes)
{
        Buf path = BUF_NULL(4 * HTTP_TARGET_MAX), query = path, out = BUF_NULL(4 * HTTP_HEAD_MAX);
        Buf path_again = path, query_again = path;
        HttpAuthority authority, authority_again;
        bool has_query, has_again;
        char method[HTTP_METHOD_MAX + 1] = "";
        HttpHead again;

        memcpy(method, head->method.data, head->method.size);
        if (read_target(head, &authority, &path, &query, &has_query)) {
                require(http_write_request_line(&out, method, (const char *)path.data,
                                                has_query ? (const char *)query.data : NULL, authority.host,
                                                authority.port) == 0);
                write_rest(head, bytes, &out);
                if (out.size <= HTTP_HEAD_MAX && path.size + query.size + 1 <= HTTP_TARGET_MAX &&
                    head->n_headers < HTTP_HEADERS_MAX) {
                        require(http_parse_request(buf_slice(&out), &again) == 0);
                        require(slice_equal(again.method, head->method) && again.form == HTTP_TARGET_ORIGIN);
                        compare_rest(head, &again);
                        require(read_target(&again, &authority_again, &path_again, &query_again, &has_again));
                        require(strcmp(authority.host, authority_again.host) == 0);
                        require(authority.port == authority_again.port && has_query == has_again);
                        require(slice_equal(buf_slice(&path), buf_slice(&path_again)));
                        require(slice_equal(buf_slice(&query), buf_slice(&query_again)));
                }
        }
        buf_deinit(&path);
        buf_deinit(&query);
        buf_deinit(&path_again);
        buf_deinit(&query_again);
        buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Slice bytes = slice(data, size);
        size_t end = http_head_end(bytes);
        HttpHead head;
        int r;

        require(end <= size);
        if (end == 0)
                end = size;
        bytes.size = end;
        r = http_parse_request(bytes, &head);
        require(r >= 0 && r <= (int)HTTP_E_OVERRIDE);
        if (r)
                return 0;
        check_end(bytes);
        require(head.minor <= 1 && head.method.size > 0 && head.method.size <= HTTP_METHOD_MAX);
        require(is_within(head.method, bytes) && is_within(head.target, bytes) && is_within(head.host, bytes));
        require(is_within(head.upgrade, bytes) && head.body != HTTP_BODY_UNTIL_CLOSE);
        rewrite(&head, bytes);
        return 0;
}
