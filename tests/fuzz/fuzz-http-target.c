/* Authorities, absolute targets and targets: what is accepted is in the one form that it has. */
#include "http/target.h"
#include "http-rewrite.h"
#include "target.h"
#include <stdio.h>

static void check_authority(const HttpAuthority *authority)
{
        char text[HTTP_HOST_MAX + 8];
        HttpAuthority again;

        require(authority->port > 0 && authority->host[0] && strlen(authority->host) <= HTTP_HOST_MAX);
        require(strspn(authority->host, "abcdefghijklmnopqrstuvwxyz0123456789-.") == strlen(authority->host));
        snprintf(text, sizeof(text), "%s:%u", authority->host, (unsigned)authority->port);
        require(http_parse_authority(slice_text(text), 1, &again) == 0);
        require(strcmp(again.host, authority->host) == 0 && again.port == authority->port);
        require(http_host_matches(text, authority));
}

static void check_target(Slice target)
{
        Buf path = BUF_NULL(4 * HTTP_TARGET_MAX), query = path, path_again = path, query_again = path, whole = path;
        bool has_query, has_again;
        int r = http_canonical_target(target, &path, &query, &has_query);

        require(r >= 0 && r <= (int)HTTP_E_OVERRIDE);
        if (r == 0) {
                const char *text = (const char *)path.data;

                require(strlen(text) == path.size && strlen((const char *)query.data) == query.size);
                require(text[0] == '/' && !strstr(text, "//") && !strstr(text, "/../") && !strstr(text, "%2F"));
                require(buf_append(&whole, path.data, path.size) == 0);
                require(!has_query || buf_append_text(&whole, "?") == 0);
                require(buf_append(&whole, query.data, query.size) == 0);
                if (whole.size <= HTTP_TARGET_MAX) {
                        require(http_canonical_target(buf_slice(&whole), &path_again, &query_again, &has_again) == 0);
                        require(slice_equal(buf_slice(&path), buf_slice(&path_again)));
                        require(slice_equal(buf_slice(&query), buf_slice(&query_again)) && has_query == has_again);
                }
        }
        buf_deinit(&path);
        buf_deinit(&query);
        buf_deinit(&path_again);
        buf_deinit(&query_again);
        buf_deinit(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Slice text = slice(data, size), rest;
        HttpAuthority authority;
        bool secure;

        if (http_parse_authority(text, 443, &authority) == 0)
                check_authority(&authority);
        if (http_parse_absolute(text, &secure, &authority, &rest) == 0) {
                check_authority(&authority);
                require(rest.size > 0 && rest.data[0] == '/');
                check_target(rest);
        }
        check_target(text);
        return 0;
}
