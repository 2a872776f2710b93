#include "session/request.h"
#include "base/text.h"
#include <strings.h>

#define HTTPS_PORT 443U

static bool same_authority(const HttpAuthority *a, const HttpAuthority *b)
{
        return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* ---- where it goes ---- */

static int check_host(const HttpHead *head, const HttpAuthority *authority)
{
        HttpAuthority host;
        int r;

        if (head->host.size == 0)
                return head->minor == 0 ? 0 : HTTP_E_HOST;
        r = http_parse_authority(head->host, HTTPS_PORT, &host);
        if (r)
                return r;
        return same_authority(&host, authority) ? 0 : REFUSAL_MISMATCH;
}

/* Some send CONNECT host:443 with "Host: host", and some with "Host: host:443": both are the same. */
int request_connect(const HttpHead *head, HttpAuthority *ret)
{
        int r;

        if (head->form != HTTP_TARGET_AUTHORITY)
                return HTTP_E_TARGET;
        if (head->body != HTTP_BODY_NONE && !(head->body == HTTP_BODY_LENGTH && head->length == 0))
                return HTTP_E_FRAMING;
        r = http_parse_authority(head->target, 0, ret);
        return r ? r : check_host(head, ret);
}

static int route_absolute(const HttpHead *head, const HttpAuthority *tunnel, RequestRoute *ret)
{
        bool secure;
        int r = http_parse_absolute(head->target, &secure, &ret->authority, &ret->rest);

        if (r)
                return r;
        if (!secure)
                return REFUSAL_PLAIN_HTTP;
        r = check_host(head, &ret->authority);
        if (r)
                return r;
        return tunnel && !same_authority(tunnel, &ret->authority) ? REFUSAL_MISMATCH : 0;
}

/* "/PROFILE/rest", on a port where no host has been named. */
static int route_endpoint(const HttpHead *head, const Grants *grants, RequestRoute *ret)
{
        Slice name = slice(head->target.data + 1, head->target.size - 1);
        const uint8_t *slash = memchr(name.data, '/', name.size);

        if (!slash)
                return REFUSAL_NOT_PROXY;
        name.size = (size_t)(slash - name.data);
        ret->grant = grants_endpoint(grants, name);
        if (!ret->grant)
                return REFUSAL_NOT_PROXY;
        ret->rest = slice(slash, head->target.size - 1 - name.size);
        return http_parse_authority(slice_text(ret->grant->url_host), HTTPS_PORT, &ret->authority);
}

int request_route(const HttpHead *head, const HttpAuthority *tunnel, const Grants *grants, RequestRoute *ret)
{
        *ret = (RequestRoute){ 0 };
        switch (head->form) {
        case HTTP_TARGET_ABSOLUTE:
                return route_absolute(head, tunnel, ret);
        case HTTP_TARGET_ORIGIN:
                if (!tunnel)
                        return head->target.size > 1 ? route_endpoint(head, grants, ret) : REFUSAL_NOT_PROXY;
                ret->authority = *tunnel;
                ret->rest = head->target;
                return check_host(head, tunnel);
        case HTTP_TARGET_AUTHORITY:
        case HTTP_TARGET_ASTERISK:
                break;
        }
        return HTTP_E_TARGET;
}

/* ---- the request ---- */

static int copy_lower(Pool *pool, Slice name, const char **ret)
{
        void *text;
        char *at;
        int r = pool_alloc(pool, name.size + 1, &text);

        if (r < 0)
                return r;
        at = text;
        for (size_t i = 0; i < name.size; i++) {
                uint8_t c = name.data[i];

                at[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        }
        *ret = text;
        return 0;
}

static int build_headers(const HttpHead *head, Pool *pool, EgressRequest *ret)
{
        HeaderField *fields;
        void *items;
        int r = pool_alloc(pool, (head->n_headers + 1) * sizeof(HeaderField), &items);

        if (r < 0)
                return r;
        fields = items;
        ret->headers = (RecordList){ items, 0 };
        for (size_t i = 0; i < head->n_headers; i++) {
                const HttpHeader *header = &head->headers[i];
                HeaderField *field = &fields[ret->headers.n];

                if (http_is_hop_by_hop(head, header->name))
                        continue;
                if (!text_is_utf8(header->value))
                        return REFUSAL_ENCODING;
                r = copy_lower(pool, header->name, &field->name);
                if (r == 0)
                        r = pool_text(pool, header->value, &field->value);
                if (r < 0)
                        return r;
                ret->headers.n++;
        }
        return 0;
}

static int build_target(Slice rest, Pool *pool, EgressRequest *ret)
{
        Buf path = BUF_NULL(LIMIT_TARGET), query = BUF_NULL(LIMIT_TARGET);
        bool has_query = false;
        int r = http_canonical_target(rest, &path, &query, &has_query);

        if (r == 0)
                r = pool_text(pool, slice_text((const char *)path.data), &ret->path);
        if (r == 0 && has_query)
                r = pool_text(pool, slice_text((const char *)query.data), &ret->query);
        buf_deinit(&path);
        buf_deinit(&query);
        return r == -ENOBUFS ? HTTP_E_TOO_LARGE : r;
}

static void build_body(const HttpHead *head, EgressRequest *ret)
{
        switch (head->body) {
        case HTTP_BODY_LENGTH:
                ret->body = BODY_LENGTH;
                ret->length = head->length;
                break;
        case HTTP_BODY_CHUNKED:
                ret->body = BODY_STREAM;
                break;
        case HTTP_BODY_NONE:
        case HTTP_BODY_UNTIL_CLOSE:
                ret->body = BODY_NONE;
                break;
        }
        ret->expect = head->expect && ret->body != BODY_NONE;
}

int request_build(const HttpHead *head, const RequestRoute *route, Pool *pool, EgressRequest *ret)
{
        int r;

        *ret = (EgressRequest){ .port = route->authority.port };
        r = pool_text(pool, head->method, &ret->method);
        if (r == 0)
                r = pool_text(pool, slice_text(route->authority.host), &ret->host);
        if (r == 0)
                r = build_target(route->rest, pool, ret);
        if (r == 0)
                r = build_headers(head, pool, ret);
        if (r)
                return r;
        build_body(head, ret);
        ret->upgrade = ret->body == BODY_NONE && http_name_is(head->upgrade, "websocket");
        return 0;
}

/* ---- whose it is ---- */

/* A handle that is left anywhere once the slot is marked. */
static int check_stray(const Grants *grants, const RequestRoute *route, Slice token, RequestChoice *ret)
{
        const Grant *owner = grants_by_handle(grants, token);

        ret->misused = token;
        if (owner)
                return grant_gives(owner, &route->authority) ? REFUSAL_HANDLE_PLACE : REFUSAL_HANDLE_HOST;
        return REFUSAL_FOREIGN_HANDLE;
}

/* An endpoint's path has named its grant; elsewhere the host leaves some to choose from. */
static bool is_candidate(const Grant *grant, const RequestRoute *route)
{
        return route->grant ? grant == route->grant : grant_reaches(grant, &route->authority);
}

static int choose_by_slot(const Grants *grants, const RequestRoute *route, Pool *pool, EgressRequest *request,
                          RequestChoice *ret)
{
        for (size_t i = 0; i < grants->n; i++) {
                const Grant *grant = &grants->items[i];
                SlotHit hit = { 0 };
                int r;

                if (!is_candidate(grant, route))
                        continue;
                ret->form = ret->form || grant->slot.kind == SLOT_FORM;
                if (!ret->grant)
                        ret->grant = grant; /* unless a handle says otherwise */
                r = slot_find(&grant->slot, request, pool, &hit);
                if (r == SLOT_E_NONE)
                        continue;
                if (r < 0)
                        return r;
                if (!secret_equal(grant->handle, hit.token))
                        continue;
                if (r == SLOT_E_TWICE)
                        return REFUSAL_HANDLE_PLACE;
                if (!grant_gives(grant, &route->authority)) {
                        ret->misused = hit.token;
                        return REFUSAL_HANDLE_HOST;
                }
                slot_mark(&hit, request);
                ret->grant = grant;
                ret->credential = true;
                return 0;
        }
        return 0;
}

int request_choose(const Grants *grants, const RequestRoute *route, Pool *pool, EgressRequest *request,
                   RequestChoice *ret)
{
        Slice token;
        int r;

        *ret = (RequestChoice){ 0 };
        r = choose_by_slot(grants, route, pool, request, ret);
        if (r)
                return r;
        r = slot_stray(request, pool, &token);
        if (r == 0)
                return check_stray(grants, route, token, ret);
        if (r < 0)
                return r;
        if (!ret->grant)
                return REFUSAL_HOST;
        ret->form = ret->form && !ret->credential && slot_is_form(request);
        return request->upgrade && !ret->grant->websocket ? REFUSAL_WEBSOCKET : 0;
}

int request_choose_form(const Grants *grants, const RequestRoute *route, Slice body, RequestChoice *choice,
                        Slice *ret_token)
{
        Slice token, stray;

        *ret_token = SLICE_NULL;
        for (size_t i = 0; i < grants->n && ret_token->size == 0; i++) {
                const Grant *grant = &grants->items[i];
                int r = is_candidate(grant, route) ? slot_find_form(&grant->slot, body, &token) : SLOT_E_NONE;

                if (r == SLOT_E_NONE || !secret_equal(grant->handle, token))
                        continue;
                if (r == SLOT_E_TWICE)
                        return REFUSAL_HANDLE_PLACE;
                if (!grant_gives(grant, &route->authority)) {
                        choice->misused = token;
                        return REFUSAL_HANDLE_HOST;
                }
                choice->grant = grant;
                choice->credential = true;
                *ret_token = token;
        }
        /* Written by the client itself, egress would take it for a handle that was found here. */
        if (ret_token->size == 0 && body.size > 0 && memchr(body.data, SLOT_MARKER, body.size))
                return REFUSAL_HANDLE_PLACE;
        /* Before the one in the slot, and behind it. */
        stray = slot_next_handle(body);
        if (stray.size > 0 && stray.data == ret_token->data) {
                size_t behind = (size_t)(stray.data - body.data) + stray.size;

                stray = slot_next_handle(slice(body.data + behind, body.size - behind));
        }
        return stray.size > 0 ? check_stray(grants, route, stray, choice) : 0;
}

/* ---- the loopback port ---- */

/* "localhost", "127.0.0.1", "[::1]", with any port. */
static bool is_loopback_name(Slice host)
{
        static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                size_t n = strlen(names[i]);

                if (host.size >= n && strncasecmp((const char *)host.data, names[i], n) == 0 &&
                    (host.size == n || host.data[n] == ':'))
                        return true;
        }
        return false;
}

int request_admit_loopback(const HttpHead *head, const Grants *grants, Pool *pool, Slice *ret_foreign,
                           bool *ret_owes)
{
        const HttpHeader *header;
        size_t n;
        int r;

        *ret_foreign = SLICE_NULL;
        *ret_owes = false;
        (void)http_find(head, "Origin", &n);
        if (n > 0) /* two of them are one that somebody reads */
                return REFUSAL_ORIGIN;
        /* Another form's Host is compared with its target. */
        if (head->form == HTTP_TARGET_ORIGIN && !is_loopback_name(head->host))
                return REFUSAL_LOOPBACK_HOST;
        header = http_find(head, "Proxy-Authorization", &n);
        if (n == 0 && head->form == HTTP_TARGET_ORIGIN) {
                *ret_owes = true;
                return 0;
        }
        if (!header || n != 1)
                return REFUSAL_PROXY_AUTH;
        r = slot_basic_password(header->value, pool, ret_foreign);
        if (r)
                return r < 0 ? r : REFUSAL_PROXY_AUTH;
        if (grants_by_handle(grants, *ret_foreign)) {
                *ret_foreign = SLICE_NULL;
                return 0;
        }
        return REFUSAL_FOREIGN_HANDLE;
}
