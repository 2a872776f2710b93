#include "session/slot.h"
#include <sodium.h>
#include <strings.h>

/* Longer values than this are no credentials that were decoded by hand. */
#define BASIC_MAX 1024U
#define SIGV4_ALGORITHM "AWS4-HMAC-SHA256"

static const char marker[] = { SLOT_MARKER, 0 };

/* ---- text ---- */

static bool is_blank(uint8_t c)
{
        return c == ' ' || c == '\t';
}

static Slice drop(Slice text, size_t n)
{
        return slice(text.data + n, text.size - n);
}

static Slice head_of(Slice text, size_t n)
{
        return slice(text.data, n);
}

static bool begins(Slice text, const char *prefix)
{
        size_t n = strlen(prefix);

        return text.size >= n && memcmp(text.data, prefix, n) == 0;
}

/* "Bearer x": whether the scheme is this one, in any case; what stands behind it. */
static bool has_scheme(Slice value, const char *scheme, Slice *ret)
{
        size_t n = strlen(scheme);

        if (value.size <= n || strncasecmp((const char *)value.data, scheme, n) != 0 || !is_blank(value.data[n]))
                return false;
        while (n < value.size && is_blank(value.data[n]))
                n++;
        *ret = drop(value, n);
        return true;
}

static bool is_handle(Slice text)
{
        return ident_token_is_wellformed(text, IDENT_HANDLE_PREFIX);
}

/* Three texts in a row, in the pool. */
static int join(Pool *pool, Slice a, Slice b, Slice c, const char **ret)
{
        void *text;
        char *at;
        int r = pool_alloc(pool, a.size + b.size + c.size + 1, &text);

        if (r < 0)
                return r;
        at = text;
        if (a.data)
                memcpy(at, a.data, a.size);
        if (b.data)
                memcpy(at + a.size, b.data, b.size);
        if (c.data)
                memcpy(at + a.size + b.size, c.data, c.size);
        *ret = text;
        return 0;
}

/* `text` with the marker in the place of `token`, which is a part of it. */
static int mark(Pool *pool, Slice text, Slice token, const char **ret)
{
        size_t before = (size_t)(token.data - text.data);

        return join(pool, head_of(text, before), slice_text(marker), drop(text, before + token.size), ret);
}

/* ---- handles in bytes ---- */

Slice slot_next_handle(Slice bytes)
{
        const size_t prefix = sizeof(IDENT_HANDLE_PREFIX) - 1;

        while (bytes.size >= IDENT_TOKEN_SIZE) {
                const uint8_t *at = memmem(bytes.data, bytes.size, IDENT_HANDLE_PREFIX, prefix);
                size_t before;

                if (!at)
                        break;
                before = (size_t)(at - bytes.data);
                if (bytes.size - before < IDENT_TOKEN_SIZE)
                        break;
                if (is_handle(slice(at, IDENT_TOKEN_SIZE)))
                        return slice(at, IDENT_TOKEN_SIZE);
                bytes = drop(bytes, before + 1);
        }
        return SLICE_NULL;
}

/* What of the stream a handle could have begun in. */
static void keep_tail(SlotScan *scan, Slice piece)
{
        size_t keep = sizeof(scan->tail);

        if (piece.size >= keep) {
                memcpy(scan->tail, piece.data + piece.size - keep, keep);
                scan->n_tail = keep;
                return;
        }
        if (scan->n_tail + piece.size > keep) {
                size_t old = keep - piece.size;

                memmove(scan->tail, scan->tail + scan->n_tail - old, old);
                scan->n_tail = old;
        }
        if (piece.size > 0)
                memcpy(scan->tail + scan->n_tail, piece.data, piece.size);
        scan->n_tail += piece.size;
}

bool slot_scan_feed(SlotScan *scan, Slice piece, uint8_t token[IDENT_TOKEN_SIZE])
{
        uint8_t seam[2 * sizeof(scan->tail)];
        size_t more = MIN(piece.size, sizeof(scan->tail));
        Slice found;

        memcpy(seam, scan->tail, scan->n_tail);
        if (more > 0)
                memcpy(seam + scan->n_tail, piece.data, more);
        found = slot_next_handle(slice(seam, scan->n_tail + more));
        if (found.size == 0)
                found = slot_next_handle(piece);
        if (found.size > 0)
                memcpy(token, found.data, IDENT_TOKEN_SIZE);
        sodium_memzero(seam, sizeof(seam));
        keep_tail(scan, piece);
        return found.size > 0;
}

/* ---- Basic ---- */

/* What is inside the Base64, in the pool; an empty slice if it is none. */
static int decode_basic(Slice value, Pool *pool, Slice *ret)
{
        Slice encoded;
        void *plain;
        size_t size;
        int r;

        *ret = SLICE_NULL;
        if (!has_scheme(value, "Basic", &encoded) || encoded.size > BASIC_MAX)
                return 0;
        r = pool_alloc(pool, encoded.size + 1, &plain);
        if (r < 0)
                return r;
        while (encoded.size > 0 && encoded.data[encoded.size - 1] == '=')
                encoded.size--; /* some leave the padding out */
        if (sodium_base642bin(plain, encoded.size + 1, (const char *)encoded.data, encoded.size, NULL, &size, NULL,
                              sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0)
                *ret = slice(plain, size);
        return 0;
}

static bool is_plain(Slice text)
{
        if (text.size > SLOT_USER_MAX)
                return false;
        for (size_t i = 0; i < text.size; i++)
                if (text.data[i] < 0x20 || text.data[i] > 0x7e)
                        return false;
        return true;
}

/* Both parts are of the plain text, in the pool. */
static int split_basic(Slice value, Pool *pool, Slice *ret_plain, Slice *ret_user, Slice *ret_password)
{
        const uint8_t *colon;
        int r = decode_basic(value, pool, ret_plain);

        if (r < 0)
                return r;
        colon = ret_plain->size > 0 ? memchr(ret_plain->data, ':', ret_plain->size) : NULL;
        if (!colon)
                return SLOT_E_NONE;
        *ret_user = head_of(*ret_plain, (size_t)(colon - ret_plain->data));
        *ret_password = drop(*ret_plain, ret_user->size + 1);
        return 0;
}

/* "user:HANDLE", or "HANDLE:". */
static int find_basic(Slice value, Pool *pool, SlotHit *hit)
{
        Slice plain, user, password, token;
        int r = split_basic(value, pool, &plain, &user, &password);

        if (r)
                return r;
        if (is_handle(password) && is_plain(user))
                token = password;
        else if (is_handle(user) && password.size == 0)
                token = user;
        else
                return SLOT_E_NONE;
        r = mark(pool, plain, token, &hit->marked);
        if (r == 0)
                r = join(pool, slice_text("Basic "), slice_text(hit->marked), SLICE_NULL, &hit->marked);
        hit->token = token;
        return r;
}

int slot_basic_password(Slice value, Pool *pool, Slice *ret)
{
        Slice plain, user;
        int r = split_basic(value, pool, &plain, &user, ret);

        return r || is_handle(*ret) ? r : SLOT_E_NONE;
}

/* ---- other headers ---- */

static int find_bearer(Slice value, Pool *pool, SlotHit *hit)
{
        const char *scheme = "Bearer ";
        Slice token;

        if (!has_scheme(value, "Bearer", &token)) {
                scheme = "token ";
                if (!has_scheme(value, "token", &token))
                        return SLOT_E_NONE;
        }
        if (!is_handle(token))
                return SLOT_E_NONE;
        hit->token = token;
        return join(pool, slice_text(scheme), slice_text(marker), SLICE_NULL, &hit->marked);
}

static int find_prefixed(const SlotSpec *spec, Slice value, Pool *pool, SlotHit *hit)
{
        Slice token = value;

        if (spec->prefix && !begins(value, spec->prefix))
                return SLOT_E_NONE;
        if (spec->prefix)
                token = drop(value, strlen(spec->prefix));
        if (!is_handle(token))
                return SLOT_E_NONE;
        hit->token = token;
        return mark(pool, value, token, &hit->marked);
}

/* "AWS4-HMAC-SHA256 Credential=HANDLE/20260131/...": the access key id. */
static int find_sigv4(Slice value, Pool *pool, SlotHit *hit)
{
        static const char name[] = "Credential=";
        Slice rest, token;
        const uint8_t *at;

        if (!has_scheme(value, SIGV4_ALGORITHM, &rest))
                return SLOT_E_NONE;
        at = memmem(rest.data, rest.size, name, sizeof(name) - 1);
        if (!at || (at > rest.data && !is_blank(at[-1]) && at[-1] != ','))
                return SLOT_E_NONE;
        rest = drop(rest, (size_t)(at - rest.data) + sizeof(name) - 1);
        if (rest.size <= IDENT_TOKEN_SIZE || rest.data[IDENT_TOKEN_SIZE] != '/')
                return SLOT_E_NONE;
        token = head_of(rest, IDENT_TOKEN_SIZE);
        if (!is_handle(token))
                return SLOT_E_NONE;
        hit->token = token;
        return mark(pool, value, token, &hit->marked);
}

static int find_in_value(const SlotSpec *spec, Slice value, Pool *pool, SlotHit *hit)
{
        int r;

        switch (spec->kind) {
        case SLOT_BEARER:
                return find_bearer(value, pool, hit);
        case SLOT_BASIC:
                return find_basic(value, pool, hit);
        case SLOT_AUTHORIZATION:
                r = find_bearer(value, pool, hit);
                return r == SLOT_E_NONE ? find_basic(value, pool, hit) : r;
        case SLOT_HEADER:
                return find_prefixed(spec, value, pool, hit);
        case SLOT_SIGV4:
                return find_sigv4(value, pool, hit);
        default:
                return SLOT_E_NONE;
        }
}

static int find_header(const SlotSpec *spec, const char *name, const EgressRequest *request, Pool *pool, SlotHit *hit)
{
        const HeaderField *headers = request->headers.items;
        size_t n = 0;
        int found = SLOT_E_NONE;

        for (size_t i = 0; i < request->headers.n; i++) {
                int r;

                if (strcasecmp(headers[i].name, name) != 0)
                        continue;
                n++;
                r = found == 0 ? 0 : find_in_value(spec, slice_text(headers[i].value), pool, hit);
                if (r < 0)
                        return r;
                if (r == 0 && found != 0) {
                        found = 0;
                        hit->header = i;
                }
        }
        hit->place = SLOT_PLACE_HEADER;
        return found == 0 && n > 1 ? SLOT_E_TWICE : found;
}

/* ---- path, query and form ---- */

/* The next piece up to `separator`; false behind the last one. */
static bool next_piece(Slice *rest, char separator, Slice *ret)
{
        const uint8_t *end;

        if (!rest->data)
                return false;
        end = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
        if (!end) {
                *ret = *rest;
                *rest = SLICE_NULL;
                return true;
        }
        *ret = head_of(*rest, (size_t)(end - rest->data));
        *rest = drop(*rest, ret->size + 1);
        return true;
}

static int find_path(const SlotSpec *spec, const EgressRequest *request, Pool *pool, SlotHit *hit)
{
        Slice rest = slice_text(request->path), segment;

        hit->place = SLOT_PLACE_PATH;
        while (next_piece(&rest, '/', &segment)) {
                Slice token = segment;

                if (spec->prefix && !begins(segment, spec->prefix))
                        continue;
                if (spec->prefix)
                        token = drop(segment, strlen(spec->prefix));
                if (!is_handle(token))
                        continue;
                hit->token = token;
                return mark(pool, slice_text(request->path), token, &hit->marked);
        }
        return SLOT_E_NONE;
}

/* "name=HANDLE" in "a=1&name=HANDLE". */
static int find_parameter(const char *name, Slice text, Slice *ret_token)
{
        size_t n = strlen(name), seen = 0;
        Slice rest = text, piece;
        int found = SLOT_E_NONE;

        while (next_piece(&rest, '&', &piece)) {
                if (!begins(piece, name) || piece.size <= n || piece.data[n] != '=')
                        continue;
                seen++;
                if (found != 0 && is_handle(drop(piece, n + 1))) {
                        *ret_token = drop(piece, n + 1);
                        found = 0;
                }
        }
        return found == 0 && seen > 1 ? SLOT_E_TWICE : found;
}

static int find_query(const SlotSpec *spec, const EgressRequest *request, Pool *pool, SlotHit *hit)
{
        int r;

        if (!request->query || !spec->name)
                return SLOT_E_NONE;
        r = find_parameter(spec->name, slice_text(request->query), &hit->token);
        if (r)
                return r;
        hit->place = SLOT_PLACE_QUERY;
        return mark(pool, slice_text(request->query), hit->token, &hit->marked);
}

/* A handle in the other place as well is a stray one. */
static int find_key(const SlotSpec *spec, const EgressRequest *request, Pool *pool, SlotHit *hit)
{
        const SlotSpec header = { .kind = SLOT_HEADER, .name = spec->name }, bearer = { .kind = SLOT_BEARER };
        int r = spec->name ? find_header(&header, spec->name, request, pool, hit) : SLOT_E_NONE;

        return r == SLOT_E_NONE ? find_header(&bearer, "authorization", request, pool, hit) : r;
}

int slot_find(const SlotSpec *spec, const EgressRequest *request, Pool *pool, SlotHit *ret)
{
        switch (spec->kind) {
        case SLOT_BEARER:
        case SLOT_BASIC:
        case SLOT_AUTHORIZATION:
        case SLOT_SIGV4:
                return find_header(spec, "authorization", request, pool, ret);
        case SLOT_HEADER:
                return spec->name ? find_header(spec, spec->name, request, pool, ret) : SLOT_E_NONE;
        case SLOT_KEY:
                return find_key(spec, request, pool, ret);
        case SLOT_QUERY:
                return find_query(spec, request, pool, ret);
        case SLOT_PATH:
                return find_path(spec, request, pool, ret);
        default:
                return SLOT_E_NONE;
        }
}

void slot_mark(const SlotHit *hit, EgressRequest *request)
{
        HeaderField *headers = request->headers.items;

        switch (hit->place) {
        case SLOT_PLACE_HEADER:
                headers[hit->header].value = hit->marked;
                break;
        case SLOT_PLACE_PATH:
                request->path = hit->marked;
                break;
        case SLOT_PLACE_QUERY:
                request->query = hit->marked;
                break;
        }
}

int slot_find_form(const SlotSpec *spec, Slice body, Slice *ret_token)
{
        int r = spec->kind == SLOT_FORM && spec->name ? find_parameter(spec->name, body, ret_token) : SLOT_E_NONE;

        if (r == 0 && memchr(body.data, SLOT_MARKER, body.size))
                return SLOT_E_TWICE; /* what egress is to replace must be one */
        return r;
}

int slot_mark_form(Slice body, Slice token, Buf *out)
{
        size_t before = (size_t)(token.data - body.data);
        int r = buf_append(out, body.data, before);

        if (r == 0)
                r = buf_append_u8(out, SLOT_MARKER);
        if (r == 0)
                r = buf_append(out, token.data + token.size, body.size - before - token.size);
        return r;
}

bool slot_is_form(const EgressRequest *request)
{
        static const char type[] = "application/x-www-form-urlencoded";
        const HeaderField *headers = request->headers.items;
        bool is_form = false;

        for (size_t i = 0; i < request->headers.n; i++) {
                if (strcasecmp(headers[i].name, "content-encoding") == 0)
                        return false;
                if (strcasecmp(headers[i].name, "content-type") != 0 ||
                    strncasecmp(headers[i].value, type, sizeof(type) - 1) != 0)
                        continue;
                is_form = headers[i].value[sizeof(type) - 1] == 0 || headers[i].value[sizeof(type) - 1] == ';' ||
                          headers[i].value[sizeof(type) - 1] == ' ';
        }
        return is_form && request->body != BODY_NONE;
}

/* ---- where none may stand ---- */

int slot_stray(const EgressRequest *request, Pool *pool, Slice *ret)
{
        const HeaderField *headers = request->headers.items;
        const Slice line[] = { slice_text(request->method), slice_text(request->path), slice_text(request->query) };

        for (size_t i = 0; i < ARRAY_SIZE(line); i++) {
                *ret = slot_next_handle(line[i]);
                if (ret->size > 0)
                        return 0;
        }
        for (size_t i = 0; i < request->headers.n; i++) {
                Slice value = slice_text(headers[i].value), plain;
                int r;

                *ret = slot_next_handle(slice_text(headers[i].name));
                if (ret->size == 0)
                        *ret = slot_next_handle(value);
                if (ret->size > 0)
                        return 0;
                r = decode_basic(value, pool, &plain);
                if (r < 0)
                        return r;
                *ret = slot_next_handle(plain);
                if (ret->size > 0)
                        return 0;
        }
        return SLOT_E_NONE;
}
