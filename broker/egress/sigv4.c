#include "egress/sigv4.h"
#include "base/clock.h"
#include "base/text.h"
#include "egress/sigv4_canonical.h"
#include <sodium.h>
#include <stdio.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define SCOPE_END "aws4_request"

#define UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"
#define UNSIGNED_TRAILER "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

#define SECRET_KEY_MAX 128U
#define KEY_PREFIX     "AWS4"

#define KEY_SIZE crypto_auth_hmacsha256_BYTES

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

/* NULL: there is none. Of several the last, and `ret_n` says so. */
static const char *find(const EgressRequest *request, const char *name, size_t *ret_n)
{
        const HeaderField *headers = request->headers.items;
        const char *value = NULL;

        *ret_n = 0;
        for (size_t i = 0; i < request->headers.n; i++)
                if (strcmp(headers[i].name, name) == 0) {
                        value = headers[i].value;
                        (*ret_n)++;
                }
        return value;
}

static int parse_scope(Slice text, Scope *scope)
{
        static const char name[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
        Slice marker, end;

        if (!slice_split(&text, '/', &marker) || marker.size != 1 || marker.data[0] != SLOT_MARKER)
                return SIGV4_E_AUTHORIZATION;
        scope->whole = text;
        if (!slice_split(&text, '/', &scope->date) || !slice_split(&text, '/', &scope->region) ||
            !slice_split(&text, '/', &scope->service) || !slice_split(&text, '/', &end) || text.data ||
            !is_of(scope->date, "0123456789", 8, 8) || !is_of(scope->region, name, 1, SIGV4_NAME_MAX) ||
            !is_of(scope->service, name, 1, SIGV4_NAME_MAX) || !slice_is_text(end, SCOPE_END))
                return SIGV4_E_SCOPE;
        return 0;
}

static int parse_authorization(Slice text, Scope *scope)
{
        Slice part, credential = SLICE_NULL, signature = SLICE_NULL;

        *scope = (Scope){ 0 };
        if (!slice_skip(&text, ALGORITHM " "))
                return SIGV4_E_AUTHORIZATION;
        while (slice_split(&text, ',', &part)) {
                part = slice_trim(part);
                if (slice_skip(&part, "Credential=") && !credential.data)
                        credential = part;
                else if (slice_skip(&part, "SignedHeaders=") && !scope->signed_headers.data)
                        scope->signed_headers = part;
                else if (slice_skip(&part, "Signature=") && !signature.data)
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
        if (!slice_split(&credential, ':', &ret->id) || !slice_split(&credential, ':', &ret->secret) ||
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

/* ---- the signature ---- */

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
                r = buf_append_slice(&text, scope->whole);
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

static int write_query(Buf *out, const char *query)
{
        int r = 0;

        for (const char *c = query; r == 0 && *c; c++)
                r = *c == '+' ? buf_append_text(out, "%20") : buf_append_u8(out, (uint8_t)*c);
        return r ? r : buf_append_u8(out, 0);
}

static int append_authorization(const Sigv4Credential *credential, const Scope *scope, const Sigv4Headers *list,
                                Sigv4 *ret)
{
        Buf *out = &ret->authorization;
        char hex[SIGV4_HASH_SIZE];
        int r;

        r = compute_signature(ret, credential->secret, scope, hex);
        if (r == 0)
                r = buf_append_text(out, ALGORITHM " Credential=");
        if (r == 0)
                r = buf_append_slice(out, credential->id);
        if (r == 0)
                r = buf_append_u8(out, '/');
        if (r == 0)
                r = buf_append_slice(out, scope->whole);
        if (r == 0)
                r = buf_append_text(out, ", SignedHeaders=");
        if (r == 0)
                r = sigv4_headers_append_names(list, out);
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
        Sigv4Headers list = { .n = 0 };
        Scope scope;
        int r;

        r = choose(request, now, body, &scope, ret);
        if (r == 0)
                r = sigv4_headers_collect(&list, request, scope.signed_headers);
        if (r)
                return r;
        if ((size_t)snprintf(host, sizeof(host), request->port == 443 ? "%s" : "%s:%llu", request->host,
                             (unsigned long long)request->port) >= sizeof(host))
                return SIGV4_E_TOO_LONG;
        sigv4_headers_add(&list, slice_text("host"), slice_text(host));
        sigv4_headers_add(&list, slice_text("x-amz-date"), slice_text(ret->date));
        if (ret->send_payload)
                sigv4_headers_add(&list, slice_text("x-amz-content-sha256"), slice_text(ret->payload));
        ret->token = credential->token;
        if (ret->token.size > 0)
                sigv4_headers_add(&list, slice_text("x-amz-security-token"), ret->token);
        r = sigv4_canonical_append(request, &list, is_s3(scope.service), ret->payload, &ret->canonical);
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
                        .canonical = BUF_NULL(SIGV4_CANONICAL_MAX) };
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
