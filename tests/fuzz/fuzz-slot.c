/*
 * A request as text: its first line is the target, each further one a header's value, and everything once
 * more a form's body. "$" stands for a well-formed handle, so that none is kept in a corpus. Whatever stands
 * there, what is found is a handle, and marking it takes it away.
 */
#include "session/slot.h"
#include "target.h"
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define LINES 6U
#define POOL_MAX (1024U * 1024U)
#define INPUT_MAX (256U * 1024U)

static const char *const names[LINES - 1] = { "authorization", "authorization", "x-api-key", "cookie", "x" };

static void require(bool is_so)
{
        if (!is_so)
                abort();
}

static void look(const EgressRequest *from, SlotKind kind, const char *name, const char *prefix, Pool *pool)
{
        const SlotSpec spec = { kind, name, prefix };
        HeaderField headers[LINES];
        EgressRequest request = *from;
        SlotHit hit = { 0 };
        int r;

        memcpy(headers, from->headers.items, from->headers.n * sizeof(HeaderField));
        request.headers.items = headers;
        r = slot_find(&spec, &request, pool, &hit);
        if (r != 0)
                return;
        require(ident_token_is_wellformed(hit.token, IDENT_HANDLE_PREFIX));
        require(strchr(hit.marked, SLOT_MARKER) != NULL);
        slot_mark(&hit, &request);
}

static void look_everywhere(const EgressRequest *request, Pool *pool)
{
        Slice stray;

        for (unsigned kind = SLOT_NONE; kind < _SLOT_KIND_N; kind++) {
                look(request, (SlotKind)kind, NULL, NULL, pool);
                look(request, (SlotKind)kind, "x-api-key", "bot", pool);
                look(request, (SlotKind)kind, "key", NULL, pool);
        }
        if (slot_stray(request, pool, &stray) == 0)
                require(ident_token_is_wellformed(stray, IDENT_HANDLE_PREFIX));
}

static void look_in_form(Slice body)
{
        const SlotSpec spec = { SLOT_FORM, "key", NULL };
        Buf out = BUF_NULL(body.size + 1);
        Slice token;

        if (slot_find_form(&spec, body, &token) == 0) {
                require(slot_mark_form(body, token, &out) == 0);
                require(out.size == body.size - IDENT_TOKEN_SIZE + 1);
        }
        buf_deinit(&out);
}

/* In one piece and in two the same is seen. */
static void look_in_stream(Slice body)
{
        uint8_t token[IDENT_TOKEN_SIZE];
        SlotScan whole = { 0 }, parts = { 0 };
        size_t half = body.size / 2;
        bool seen = slot_scan_feed(&whole, body, token), seen_in_parts;

        seen_in_parts = slot_scan_feed(&parts, slice(body.data, half), token);
        seen_in_parts = slot_scan_feed(&parts, slice(body.data + half, body.size - half), token) || seen_in_parts;
        require(seen == seen_in_parts && seen == (slot_next_handle(body).size > 0));
}

static void expand(const uint8_t *data, size_t size, Buf *out)
{
        char payload[IDENT_RANDOM_DIGITS], check[IDENT_CHECK_DIGITS + 1];

        memset(payload, 'a', sizeof(payload));
        ident_check_digits(slice(payload, sizeof(payload)), check);
        for (size_t i = 0; i < size; i++) {
                if (data[i] != '$') {
                        require(buf_append_u8(out, data[i]) == 0);
                        continue;
                }
                require(buf_append_text(out, IDENT_HANDLE_PREFIX) == 0);
                require(buf_append(out, payload, sizeof(payload)) == 0);
                require(buf_append_text(out, check) == 0);
        }
}

static void look_at(const uint8_t *data, size_t size)
{
        HeaderField headers[LINES];
        EgressRequest request = { .method = "GET", .host = "h", .port = 443, .path = "/" };
        Pool pool = POOL_NULL(POOL_MAX);
        char *text = calloc(1, size + 1), *rest = text, *line;

        require(text && sodium_init() >= 0);
        if (size > 0)
                memcpy(text, data, size);
        request.headers = (RecordList){ headers, 0 };
        if ((line = strsep(&rest, "\n"))) {
                request.path = strsep(&line, "?");
                request.query = line;
        }
        while (request.headers.n < LINES - 1 && (line = strsep(&rest, "\n"))) {
                headers[request.headers.n] = (HeaderField){ names[request.headers.n], line };
                request.headers.n++;
        }
        look_everywhere(&request, &pool);
        look_in_form(slice(data, size));
        look_in_stream(slice(data, size));
        pool_deinit(&pool);
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Buf text = BUF_NULL(INPUT_MAX);

        if (size <= INPUT_MAX / IDENT_TOKEN_SIZE) {
                expand(data, size, &text);
                look_at(text.data, text.size);
        }
        buf_deinit(&text);
        return 0;
}
