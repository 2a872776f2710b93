#include "egress/sigv4.h"
#include "base/clock.h"
#include "base/text.h"
#include <sodium.h>
#include <stdio.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define SCOPE_END "aws4_request"

#define UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
#define UNSIGNED_TRAILER "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

/* Headers of a full size, a target that triples as it is encoded. */
#define CANONICAL_MAX (1024U * 1024U)
/* Of a query: more are no API's. */
#define PARAMETERS_MAX 1024U
#define SECRET_KEY_MAX 128U
#define KEY_PREFIX     "AWS4"

#define KEY_SIZE crypto_auth_hmacsha256_BYTES

static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

/* ---- text ---- */

/* Does it consist of `min` to `max` of these characters? */
static bool is_of(Slice text, const char *characters, size_t min, size_t max)
{
        if (text.size < min || text.size > max)
                return false;
        for (size_t i = 0; i < text.size; i++)
                if (!text.data[i] || !strchr(characters, text.data[i]))
                        return false;
        return true;
}

/* Takes what stands before `at`, or everything, off the front. False when nothing is left. */
static bool split(Slice *rest, char at, Slice *ret)
{
        const uint8_t *end;

        if (!rest->data)
                return false;
        end = rest->size > 0 ? memchr(rest->data, at, rest->size) : NULL;
        if (!end) {
                *ret = *rest;
                *rest = SLICE_NULL;
                return true;
        }
        *ret = slice(rest->data, (size_t)(end - rest->data));
        *rest = slice(end + 1, rest->size - ret->size - 1);
        return true;
}

static Slice trim(Slice text)
{
        while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
                text = slice(text.data + 1, text.size - 1);
        while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
                text.size--;
        return text;
}

/* Takes the prefix off, or leaves the text alone. */
static bool skip(Slice *text, const char *prefix)
{
        size_t n = strlen(prefix);

        if (text->size < n || memcmp(text->data, prefix, n) != 0)
                return false;
        *text = slice(text->data + n, text->size - n);
        return true;
}

static int compare(Slice a, Slice b)
{
        size_t n = MIN(a.size, b.size);
        int r = n > 0 ? memcmp(a.data, b.data, n) : 0;

        return r ? r : (a.size > b.size) - (a.size < b.size);
}

static int digit(uint8_t c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                return (c | 0x20) - 'a' + 10;
        return -1;
}

static int append_slice(Buf *out, Slice text)
{
        return buf_append(out, text.data, text.size);
}

static int append_encoded(Buf *out, uint8_t c, bool keep_slash)
{
        static const char digits[] = "0123456789ABCDEF";
        char text[3] = { '%', digits[c >> 4], digits[c & 15] };

        if ((c && strchr(unreserved, c)) || (keep_slash && c == '/'))
                return buf_append_u8(out, c);
        return buf_append(out, text, sizeof(text));
}

/* One byte off the front, percent-encoding undone. What is not well-formed stands for itself. */
static uint8_t take_decoded(Slice *text, bool *ret_was_encoded)
{
        uint8_t c = text->data[0];
        size_t n = 1;

        *ret_was_encoded = false;
        if (c == '%' && text->size >= 3 && digit(text->data[1]) >= 0 && digit(text->data[2]) >= 0) {
                c = (uint8_t)(digit(text->data[1]) * 16 + digit(text->data[2]));
                n = 3;
                *ret_was_encoded = true;
        }
        *text = slice(text->data + n, text->size - n);
        return c;
}

static int append_hash(Buf *out, Slice bytes)
{
        uint8_t hash[crypto_hash_sha256_BYTES];
        char hex[SIGV4_HASH_SIZE];

        (void)crypto_hash_sha256(hash, bytes.data, bytes.size);
        text_hex(slice(hash, sizeof(hash)), hex);
        return buf_append_text(out, hex);
}

/* ---- what is taken from the client ---- */

typedef struct Scope {
        Slice whole; /* "20150830/us-east-1/service/aws4_request" */
        Slice date, region, service;
        Slice signed_headers;
} Scope;

static const HeaderField *header_at(const EgressRequest *request, size_t i)
{
        return (const HeaderField *)request->headers.items + i;
}

/* NULL: there is none. Of several the last, and `ret_n` says so. */
static const char *find(const EgressRequest *request, const char *name, size_t *ret_n)
{
        const char *value = NULL;

        *ret_n = 0;
        for (size_t i = 0; i < request->headers.n; i++)
                if (strcmp(header_at(request, i)->name, name) == 0) {
                        value = header_at(request, i)->value;
                        (*ret_n)++;
                }
        return value;
}

static int parse_scope(Slice text, Scope *scope)
{
        static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
        Slice marker, end;

        if (!split(&text, '/', &marker) || marker.size != 1 || marker.data[0] != SLOT_MARKER)
                return SIGV4_E_AUTHORIZATION;
        scope->whole = text;
        if (!split(&text, '/', &scope->date) || !split(&text, '/', &scope->region) ||
            !split(&text, '/', &scope->service) || !split(&text, '/', &end) || text.data ||
            !is_of(scope->date, "0123456789", 8, 8) || !is_of(scope->region, name, 1, SIGV4_NAME_MAX) ||
            !is_of(scope->service, name, 1, SIGV4_NAME_MAX) || !slice_is_text(end, SCOPE_END))
                return SIGV4_E_SCOPE;
        return 0;
}

static int parse_authorization(Slice text, Scope *scope)
{
        Slice part, credential = SLICE_NULL, signature = SLICE_NULL;

        *scope = (Scope){ 0 };
        if (!skip(&text, ALGORITHM " "))
                return SIGV4_E_AUTHORIZATION;
        while (split(&text, ',', &part)) {
                part = trim(part);
                if (skip(&part, "Credential=") && !credential.data)
                        credential = part;
                else if (skip(&part, "SignedHeaders=") && !scope->signed_headers.data)
                        scope->signed_headers = part;
                else if (skip(&part, "Signature=") && !signature.data)
                        signature = part;
                else
                        return SIGV4_E_AUTHORIZATION;
        }
        if (!credential.data || !is_of(signature, "0123456789abcdef", 64, 64) ||
            !is_of(scope->signed_headers, "abcdefghijklmnopqrstuvwxyz0123456789-_.;", 1, LIMIT_HEADER_VALUE))
                return SIGV4_E_AUTHORIZATION;
        return parse_scope(credential, scope);
}

/* "20150830T123600Z" into microseconds. */
static int parse_date(const char *text, uint64_t *ret)
{
        char full[TEXT_TIME_SIZE];

        if (strlen(text) != SIGV4_DATE_SIZE - 1)
                return SIGV4_E_DATE;
        (void)snprintf(full, sizeof(full), "%.4s-%.2s-%.2s%.1s%.2s:%.2s:%.2s%.1s", text, text + 4, text + 6, text + 8,
                       text + 9, text + 11, text + 13, text + 15);
        return text[8] == 'T' && text[15] == 'Z' && text_parse_time(full, ret) == 0 ? 0 : SIGV4_E_DATE;
}

static void write_date(uint64_t now, char out[SIGV4_DATE_SIZE])
{
        char full[TEXT_TIME_SIZE];
        size_t n = 0;

        text_time(now, full);
        for (const char *c = full; *c; c++)
                if (*c != '-' && *c != ':' && n < SIGV4_DATE_SIZE - 1)
                        out[n++] = *c;
        out[n] = '\0';
}

/* The client's date, if it is not far off; or now, where it has none. */
static int choose_date(const EgressRequest *request, uint64_t now, char out[SIGV4_DATE_SIZE])
{
        const uint64_t skew = SIGV4_SKEW_SEC * USEC_PER_SEC;
        uint64_t then;
        size_t n;
        const char *date = find(request, "x-amz-date", &n);

        if (n > 1)
                return SIGV4_E_TWICE;
        if (!date) {
                write_date(now, out);
                return 0;
        }
        if (parse_date(date, &then) || (then > now ? then - now : now - then) > skew)
                return SIGV4_E_DATE;
        memcpy(out, date, SIGV4_DATE_SIZE);
        return 0;
}

/* Services that take the path encoded once, as it is sent. */
static bool is_s3(Slice service)
{
        return slice_is_text(service, "s3") || slice_is_text(service, "s3express") ||
               slice_is_text(service, "s3-object-lambda") || slice_is_text(service, "s3-outposts");
}

static int choose_payload(const EgressRequest *request, const Slice *body, bool s3, Sigv4 *ret)
{
        uint8_t hash[crypto_hash_sha256_BYTES];
        size_t n;
        const char *told = find(request, "x-amz-content-sha256", &n);

        if (n > 1)
                return SIGV4_E_TWICE;
        ret->send_payload = told || s3;
        if (told) {
                if (!is_of(slice_text(told), "0123456789abcdef", 64, 64) && strcmp(told, UNSIGNED_PAYLOAD) != 0 &&
                    strcmp(told, UNSIGNED_TRAILER) != 0)
                        return SIGV4_E_PAYLOAD;
                (void)snprintf(ret->payload, sizeof(ret->payload), "%s", told);
                return 0;
        }
        if (!body && request->body != BODY_NONE)
                return SIGV4_E_BODY;
        (void)crypto_hash_sha256(hash, body ? body->data : NULL, body ? body->size : 0);
        text_hex(slice(hash, sizeof(hash)), ret->payload);
        return 0;
}

bool sigv4_needs_body(const EgressRequest *request)
{
        size_t n;

        return request->body != BODY_NONE && !find(request, "x-amz-content-sha256", &n);
}

int sigv4_parse_credential(Slice credential, Sigv4Credential *ret)
{
        static const char id[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
        static const char key[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/+=";

        *ret = (Sigv4Credential){ 0 };
        if (!split(&credential, ':', &ret->id) || !split(&credential, ':', &ret->secret) ||
            !is_of(ret->id, id, 8, 128) || !is_of(ret->secret, key, 8, SECRET_KEY_MAX))
                return SIGV4_E_CREDENTIAL;
        if (!credential.data)
                return 0;
        ret->token = credential;
        for (size_t i = 0; i < ret->token.size; i++)
                if (ret->token.data[i] <= ' ' || ret->token.data[i] > '~')
                        return SIGV4_E_CREDENTIAL;
        return ret->token.size >= 8 ? 0 : SIGV4_E_CREDENTIAL;
}

/* ---- the path ---- */

/* Without dot segments and empty ones, as all but S3 have it. */
static int append_normal_path(Buf *out, Slice path)
{
        Slice segment;
        bool slash = true; /* the path ends in one */

        while (split(&path, '/', &segment)) {
                int r;

                slash = segment.size == 0 || slice_is_text(segment, ".") || slice_is_text(segment, "..");
                if (slice_is_text(segment, ".."))
                        while (out->size > 0 && out->data[--out->size] != '/')
                                ;
                if (slash)
                        continue;
                r = buf_append_u8(out, '/');
                if (r == 0)
                        r = append_slice(out, segment);
                if (r < 0)
                        return r;
        }
        return slash || out->size == 0 ? buf_append_u8(out, '/') : 0;
}

static int append_path(Buf *out, Slice path, bool s3)
{
        _cleanup_(buf_deinit) Buf normal = BUF_NULL(CANONICAL_MAX);
        bool was_encoded;
        int r = 0;

        if (!s3) {
                r = append_normal_path(&normal, path);
                path = buf_slice(&normal);
        }
        while (r == 0 && path.size > 0) {
                if (s3) {
                        uint8_t c = take_decoded(&path, &was_encoded);

                        r = append_encoded(out, c, !was_encoded);
                } else {
                        r = append_encoded(out, path.data[0], true);
                        path = slice(path.data + 1, path.size - 1);
                }
        }
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
        int r = compare(slice(p->text->data + p->at, p->name), slice(q->text->data + q->at, q->name));

        return r ? r
                 : compare(slice(p->text->data + p->at + p->name, p->value),
                           slice(q->text->data + q->at + q->name, q->value));
}

/* "+" is a space: so it is sent, too. */
static int append_component(Buf *out, Slice text)
{
        bool was_encoded;
        int r = 0;

        while (r == 0 && text.size > 0) {
                uint8_t c = take_decoded(&text, &was_encoded);

                r = append_encoded(out, c == '+' && !was_encoded ? ' ' : c, false);
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

        while (split(&query, '&', &one)) {
                Parameter *parameter = &all[n];

                if (one.size == 0)
                        continue;
                if (n++ == PARAMETERS_MAX)
                        return SIGV4_E_TOO_LONG;
                *parameter = (Parameter){ .at = text->size, .text = text };
                (void)split(&one, '=', &name);
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
        _cleanup_(buf_deinit) Buf text = BUF_NULL(CANONICAL_MAX);
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

static int write_query(Buf *out, const char *query)
{
        int r = 0;

        for (const char *c = query; r == 0 && *c; c++)
                r = *c == '+' ? buf_append_text(out, "%20") : buf_append_u8(out, (uint8_t)*c);
        return r ? r : buf_append_u8(out, 0);
}

/* ---- the headers ---- */

typedef struct Signed {
        Slice name, value;
} Signed;

typedef struct SignedList {
        Signed items[LIMIT_HEADERS + 4];
        size_t n;
} SignedList;

/* Sorted by name; equal ones stay in their order. There is room for all. */
static void signed_add(SignedList *list, Slice name, Slice value)
{
        size_t i = list->n++;

        for (; i > 0 && compare(list->items[i - 1].name, name) > 0; i--)
                list->items[i] = list->items[i - 1];
        list->items[i] = (Signed){ name, value };
}

static bool is_listed(Slice list, Slice name)
{
        Slice one;

        while (split(&list, ';', &one))
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

static int collect_headers(const EgressRequest *request, const Scope *scope, SignedList *list)
{
        static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";

        if (request->headers.n > LIMIT_HEADERS)
                return SIGV4_E_TOO_LONG;
        for (size_t i = 0; i < request->headers.n; i++) {
                const HeaderField *header = header_at(request, i);

                if (is_replaced(header->name) || is_unsignable(header->name))
                        continue;
                if (strncmp(header->name, "x-amz-", 6) == 0 || strcmp(header->name, "content-type") == 0 ||
                    strcmp(header->name, "content-md5") == 0 ||
                    is_listed(scope->signed_headers, slice_text(header->name))) {
                        if (!is_of(slice_text(header->name), token, 1, LIMIT_HEADER_NAME))
                                return SIGV4_E_AUTHORIZATION;
                        signed_add(list, slice_text(header->name), slice_text(header->value));
                }
        }
        return 0;
}

static int append_value(Buf *out, Slice value)
{
        int r = 0;

        value = trim(value);
        for (size_t i = 0; r == 0 && i < value.size; i++)
                if (value.data[i] != ' ' || value.data[i - 1] != ' ')
                        r = buf_append_u8(out, value.data[i]);
        return r;
}

static bool is_repeated(const SignedList *list, size_t i)
{
        return i > 0 && i < list->n && slice_equal(list->items[i].name, list->items[i - 1].name);
}

static int append_headers(Buf *out, const SignedList *list)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < list->n; i++) {
                if (!is_repeated(list, i)) {
                        r = append_slice(out, list->items[i].name);
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

static int append_names(Buf *out, const SignedList *list)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < list->n; i++) {
                if (is_repeated(list, i))
                        continue;
                if (i > 0)
                        r = buf_append_u8(out, ';');
                if (r == 0)
                        r = append_slice(out, list->items[i].name);
        }
        return r;
}

/* ---- the signature ---- */

static int append_canonical(const EgressRequest *request, const SignedList *list, bool s3, Sigv4 *ret)
{
        Buf *out = &ret->canonical;
        int r;

        r = buf_append_text(out, request->method);
        if (r == 0)
                r = buf_append_u8(out, '\n');
        if (r == 0)
                r = append_path(out, slice_text(request->path), s3);
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
                r = append_names(out, list);
        if (r == 0)
                r = buf_append_u8(out, '\n');
        return r ? r : buf_append_text(out, ret->payload);
}

static void hmac(Slice key, Slice text, uint8_t out[KEY_SIZE])
{
        crypto_auth_hmacsha256_state state;

        (void)crypto_auth_hmacsha256_init(&state, key.data, key.size);
        (void)crypto_auth_hmacsha256_update(&state, text.data, text.size);
        (void)crypto_auth_hmacsha256_final(&state, out);
        sodium_memzero(&state, sizeof(state));
}

static void derive_key(Slice secret, const Scope *scope, uint8_t out[KEY_SIZE])
{
        uint8_t first[sizeof(KEY_PREFIX) - 1 + SECRET_KEY_MAX] = KEY_PREFIX, next[KEY_SIZE];
        size_t n = strlen(KEY_PREFIX);

        memcpy(first + n, secret.data, secret.size);
        hmac(slice(first, n + secret.size), scope->date, out);
        hmac(slice(out, KEY_SIZE), scope->region, next);
        hmac(slice(next, KEY_SIZE), scope->service, out);
        hmac(slice(out, KEY_SIZE), slice_text(SCOPE_END), next);
        memcpy(out, next, KEY_SIZE);
        sodium_memzero(first, sizeof(first));
        sodium_memzero(next, sizeof(next));
}

static int compute_signature(const Sigv4 *request, Slice secret, const Scope *scope, char hex[SIGV4_HASH_SIZE])
{
        _cleanup_(buf_deinit) Buf text = BUF_NULL(4096);
        uint8_t key[KEY_SIZE], signature[KEY_SIZE];
        int r;

        r = buf_printf(&text, "%s\n%s\n", ALGORITHM, request->date);
        if (r == 0)
                r = append_slice(&text, scope->whole);
        if (r == 0)
                r = buf_append_u8(&text, '\n');
        if (r == 0)
                r = append_hash(&text, buf_slice(&request->canonical));
        if (r < 0)
                return r;
        derive_key(secret, scope, key);
        hmac(slice(key, sizeof(key)), buf_slice(&text), signature);
        text_hex(slice(signature, sizeof(signature)), hex);
        sodium_memzero(key, sizeof(key));
        return 0;
}

static int append_authorization(const Sigv4Credential *credential, const Scope *scope, const SignedList *list,
                                Sigv4 *ret)
{
        Buf *out = &ret->authorization;
        char hex[SIGV4_HASH_SIZE];
        int r;

        r = compute_signature(ret, credential->secret, scope, hex);
        if (r == 0)
                r = buf_append_text(out, ALGORITHM " Credential=");
        if (r == 0)
                r = append_slice(out, credential->id);
        if (r == 0)
                r = buf_append_u8(out, '/');
        if (r == 0)
                r = append_slice(out, scope->whole);
        if (r == 0)
                r = buf_append_text(out, ", SignedHeaders=");
        if (r == 0)
                r = append_names(out, list);
        return r ? r : buf_printf(out, ", Signature=%s", hex);
}

static int choose(const EgressRequest *request, uint64_t now, const Slice *body, Scope *scope, Sigv4 *ret)
{
        size_t n;
        const char *authorization = find(request, "authorization", &n);
        int r;

        if (n != 1)
                return n > 1 ? SIGV4_E_TWICE : SIGV4_E_AUTHORIZATION;
        r = parse_authorization(slice_text(authorization), scope);
        if (r)
                return r;
        r = choose_date(request, now, ret->date);
        if (r)
                return r;
        if (memcmp(scope->date.data, ret->date, scope->date.size) != 0)
                return SIGV4_E_SCOPE;
        return choose_payload(request, body, is_s3(scope->service), ret);
}

static int sign(const EgressRequest *request, const Sigv4Credential *credential, uint64_t now, const Slice *body,
                Sigv4 *ret)
{
        char host[300];
        SignedList list = { .n = 0 };
        Scope scope;
        int r;

        r = choose(request, now, body, &scope, ret);
        if (r == 0)
                r = collect_headers(request, &scope, &list);
        if (r)
                return r;
        if ((size_t)snprintf(host, sizeof(host), request->port == 443 ? "%s" : "%s:%llu", request->host,
                             (unsigned long long)request->port) >= sizeof(host))
                return SIGV4_E_TOO_LONG;
        signed_add(&list, slice_text("host"), slice_text(host));
        signed_add(&list, slice_text("x-amz-date"), slice_text(ret->date));
        if (ret->send_payload)
                signed_add(&list, slice_text("x-amz-content-sha256"), slice_text(ret->payload));
        ret->token = credential->token;
        if (ret->token.size > 0)
                signed_add(&list, slice_text("x-amz-security-token"), ret->token);
        r = append_canonical(request, &list, is_s3(scope.service), ret);
        if (r == 0)
                r = append_authorization(credential, &scope, &list, ret);
        if (r == 0 && request->query)
                r = write_query(&ret->query, request->query);
        return r;
}

int sigv4_sign(const EgressRequest *request, const Sigv4Credential *credential, uint64_t now, const Slice *body,
               Sigv4 *ret)
{
        int r;

        *ret = (Sigv4){ .authorization = BUF_NULL(LIMIT_HEADER_VALUE),
                        .query = BUF_NULL(LIMIT_TARGET + 1),
                        .canonical = BUF_NULL(CANONICAL_MAX) };
        r = sign(request, credential, now, body, ret);
        return r == -ENOBUFS ? SIGV4_E_TOO_LONG : r;
}

void sigv4_deinit(Sigv4 *signed_request)
{
        if (!signed_request)
                return;
        buf_deinit(&signed_request->authorization);
        buf_deinit(&signed_request->query);
        buf_deinit(&signed_request->canonical);
        signed_request->token = SLICE_NULL;
}
