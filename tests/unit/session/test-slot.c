#include "../base/suite.h"
#include "handles.h"
#include "session/slot.h"
#include <stdarg.h>
#include <stdio.h>

#define POOL_MAX (256U * 1024U)

typedef struct Case {
        EgressRequest request;
        HeaderField headers[4];
        char text[4][512];
        Pool pool;
} Case;

static void case_init(Case *c, const char *path, const char *query)
{
        *c = (Case){ .pool = POOL_NULL(POOL_MAX) };
        c->request = (EgressRequest){ .method = "GET", .host = "h", .port = 443, .path = path, .query = query };
        c->request.headers = (RecordList){ c->headers, 0 };
}

static void PRINTF_LIKE(3, 4) add_header(Case *c, const char *name, const char *format, ...)
{
        size_t i = c->request.headers.n++;
        va_list args;

        va_start(args, format);
        (void)vsnprintf(c->text[i], sizeof(c->text[i]), format, args);
        va_end(args);
        c->headers[i] = (HeaderField){ name, c->text[i] };
}

static char *base64(const char *text, char out[512])
{
        return sodium_bin2base64(out, 512, (const void *)text, strlen(text), sodium_base64_VARIANT_ORIGINAL);
}

static int find(Case *c, SlotKind kind, const char *name, const char *prefix, SlotHit *hit)
{
        const SlotSpec spec = { kind, name, prefix };

        *hit = (SlotHit){ 0 };
        return slot_find(&spec, &c->request, &c->pool, hit);
}

/* It is found, and what it becomes is this. */
static void expect(Case *c, SlotKind kind, const char *name, const char *prefix, const Token *token, const char *marked)
{
        SlotHit hit;
        Slice stray;

        ck_assert_int_eq(find(c, kind, name, prefix, &hit), 0);
        ck_assert(slice_is_text(hit.token, token->text));
        ck_assert_str_eq(hit.marked, marked);
        slot_mark(&hit, &c->request);
        ck_assert_int_eq(slot_stray(&c->request, &c->pool, &stray), SLOT_E_NONE);
        pool_deinit(&c->pool);
}

static void expect_none(Case *c, SlotKind kind, const char *name, const char *prefix)
{
        SlotHit hit;

        ck_assert_int_eq(find(c, kind, name, prefix, &hit), SLOT_E_NONE);
        pool_deinit(&c->pool);
}

START_TEST(bearer)
{
        static const char *const schemes[] = { "Bearer", "bearer", "BEARER", "token", "Token" };
        Token token = token_of('a');
        Case c;

        for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
                bool is_token = schemes[i][0] == 't' || schemes[i][0] == 'T';

                case_init(&c, "/", NULL);
                add_header(&c, "accept", "x");
                add_header(&c, "authorization", "%s  %s", schemes[i], token.text);
                expect(&c, i % 2 ? SLOT_BEARER : SLOT_AUTHORIZATION, NULL, NULL, &token,
                       is_token ? "token \x01" : "Bearer \x01");
        }
}
END_TEST

START_TEST(bearer_of_another_form)
{
        static const struct {
                const char *before, *behind;
        } forms[] = { { "Bearer", "" }, { "Bearer x", "" }, { "Bearer ", "x" }, { "", "" }, { "Digest ", "" },
                      { "Bearer ", ", x" }, { "Bearer\"", "" } };
        Token token = token_of('a');
        Case c;

        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                case_init(&c, "/", NULL);
                add_header(&c, "authorization", "%s%s%s", forms[i].before, token.text, forms[i].behind);
                expect_none(&c, SLOT_BEARER, NULL, NULL);
        }
        case_init(&c, "/", NULL);
        add_header(&c, "authorization", "Bearer");
        expect_none(&c, SLOT_BEARER, NULL, NULL);
}
END_TEST

START_TEST(basic)
{
        Token token = token_of('b');
        char plain[128], encoded[512];
        Case c;

        (void)snprintf(plain, sizeof(plain), "x-access-token:%s", token.text);
        case_init(&c, "/", NULL);
        add_header(&c, "authorization", "Basic %s", base64(plain, encoded));
        expect(&c, SLOT_BASIC, NULL, NULL, &token, "Basic x-access-token:\x01");

        (void)snprintf(plain, sizeof(plain), "%s:", token.text);
        case_init(&c, "/", NULL);
        add_header(&c, "authorization", "basic %s", base64(plain, encoded));
        expect(&c, SLOT_AUTHORIZATION, NULL, NULL, &token, "Basic \x01:");

        /* Without padding, as some write it. */
        (void)snprintf(plain, sizeof(plain), "ab:%s", token.text);
        case_init(&c, "/", NULL);
        (void)base64(plain, encoded);
        encoded[strcspn(encoded, "=")] = 0;
        add_header(&c, "authorization", "Basic %s", encoded);
        expect(&c, SLOT_BASIC, NULL, NULL, &token, "Basic ab:\x01");
}
END_TEST

START_TEST(basic_of_another_form)
{
        Token token = token_of('b');
        const char *const forms[] = { "%s", "a\n:%s", "a:b:%s", "%s:b", ":%sx" };
        char plain[128], encoded[512];

        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                const char *at = strstr(forms[i], "%s");
                Slice stray;
                Case c;

                (void)snprintf(plain, sizeof(plain), "%.*s%s%s", (int)(at - forms[i]), forms[i], token.text, at + 2);
                case_init(&c, "/", NULL);
                add_header(&c, "authorization", "Basic %s", base64(plain, encoded));
                expect_none(&c, SLOT_BASIC, NULL, NULL);
                /* But it is seen. */
                ck_assert_int_eq(slot_stray(&c.request, &c.pool, &stray), 0);
                ck_assert(slice_is_text(stray, token.text));
                pool_deinit(&c.pool);
        }
}
END_TEST

START_TEST(header)
{
        Token token = token_of('c');
        Case c;

        case_init(&c, "/", NULL);
        add_header(&c, "x-api-key", "%s", token.text);
        expect(&c, SLOT_HEADER, "X-Api-Key", NULL, &token, "\x01");
        case_init(&c, "/", NULL);
        add_header(&c, "authorization", "Key %s", token.text);
        expect(&c, SLOT_HEADER, "Authorization", "Key ", &token, "Key \x01");
        case_init(&c, "/", NULL);
        add_header(&c, "authorization", "Key %s", token.text);
        expect_none(&c, SLOT_HEADER, "Authorization", "key ");
        expect_none(&c, SLOT_HEADER, NULL, NULL);
}
END_TEST

START_TEST(key)
{
        Token token = token_of('c');
        Slice stray;
        SlotHit hit;
        Case c;

        case_init(&c, "/", NULL);
        add_header(&c, "x-api-key", "%s", token.text);
        expect(&c, SLOT_KEY, "X-Api-Key", NULL, &token, "\x01");
        case_init(&c, "/", NULL);
        add_header(&c, "authorization", "Bearer %s", token.text);
        expect(&c, SLOT_KEY, "x-api-key", NULL, &token, "Bearer \x01");
        case_init(&c, "/", NULL);
        add_header(&c, "authorization", "Bearer %s", token.text);
        add_header(&c, "x-api-key", "%s", token.text);
        ck_assert_int_eq(find(&c, SLOT_KEY, "x-api-key", NULL, &hit), 0);
        slot_mark(&hit, &c.request);
        ck_assert_int_eq(slot_stray(&c.request, &c.pool, &stray), 0); /* not in both */
        pool_deinit(&c.pool);
        case_init(&c, "/", NULL);
        add_header(&c, "x-other", "%s", token.text);
        expect_none(&c, SLOT_KEY, "x-api-key", NULL);
}
END_TEST

START_TEST(header_that_is_there_twice)
{
        Token token = token_of('c');
        SlotHit hit;
        Case c;

        case_init(&c, "/", NULL);
        add_header(&c, "x-api-key", "%s", token.text);
        add_header(&c, "x-api-key", "other");
        ck_assert_int_eq(find(&c, SLOT_HEADER, "x-api-key", NULL, &hit), SLOT_E_TWICE);
        pool_deinit(&c.pool);
}
END_TEST

START_TEST(query)
{
        Token token = token_of('d');
        char text[256], marked[256];
        SlotHit hit;
        Case c;

        (void)snprintf(text, sizeof(text), "a=b&key=%s&c", token.text);
        case_init(&c, "/", text);
        expect(&c, SLOT_QUERY, "key", NULL, &token, "a=b&key=\x01&c");
        (void)snprintf(text, sizeof(text), "key=%s&key=x", token.text);
        case_init(&c, "/", text);
        ck_assert_int_eq(find(&c, SLOT_QUERY, "key", NULL, &hit), SLOT_E_TWICE);
        pool_deinit(&c.pool);
        for (unsigned i = 0; i < 3; i++) {
                (void)snprintf(marked, sizeof(marked), "%skey%s=%s%s", i == 0 ? "x" : "", i == 1 ? "x" : "", token.text,
                               i == 2 ? "x" : "");
                case_init(&c, "/", marked);
                expect_none(&c, SLOT_QUERY, "key", NULL);
        }
        case_init(&c, "/", NULL);
        expect_none(&c, SLOT_QUERY, "key", NULL);
}
END_TEST

START_TEST(path)
{
        Token token = token_of('e');
        char text[256];
        Case c;

        (void)snprintf(text, sizeof(text), "/bot%s/sendMessage", token.text);
        case_init(&c, text, NULL);
        expect(&c, SLOT_PATH, NULL, "bot", &token, "/bot\x01/sendMessage");
        (void)snprintf(text, sizeof(text), "/a/%s", token.text);
        case_init(&c, text, NULL);
        expect(&c, SLOT_PATH, NULL, NULL, &token, "/a/\x01");
        (void)snprintf(text, sizeof(text), "/bot%sx/a", token.text);
        case_init(&c, text, NULL);
        expect_none(&c, SLOT_PATH, NULL, "bot");
}
END_TEST

START_TEST(sigv4)
{
        Token token = token_of('f');
        char marked[256];
        Case c;

        case_init(&c, "/", NULL);
        add_header(&c, "authorization", "AWS4-HMAC-SHA256 Credential=%s/20260131/r/s/aws4_request, SignedHeaders=a", token.text);
        (void)snprintf(marked, sizeof(marked),
                       "AWS4-HMAC-SHA256 Credential=\x01/20260131/r/s/aws4_request, SignedHeaders=a");
        expect(&c, SLOT_SIGV4, NULL, NULL, &token, marked);
        case_init(&c, "/", NULL);
        add_header(&c, "authorization", "AWS4-HMAC-SHA256 xCredential=%s/20260131", token.text);
        expect_none(&c, SLOT_SIGV4, NULL, NULL);
        case_init(&c, "/", NULL);
        add_header(&c, "authorization", "AWS4-HMAC-SHA256 Credential=%s", token.text);
        expect_none(&c, SLOT_SIGV4, NULL, NULL);
}
END_TEST

START_TEST(form)
{
        const SlotSpec spec = { SLOT_FORM, "token", NULL };
        Token token = token_of('g');
        Buf out = BUF_NULL(1024);
        char text[256];
        Slice found;

        (void)snprintf(text, sizeof(text), "a=1&token=%s&b=2", token.text);
        ck_assert_int_eq(slot_find_form(&spec, slice_text(text), &found), 0);
        ck_assert_int_eq(slot_mark_form(slice_text(text), found, &out), 0);
        ck_assert(slice_is_text(buf_slice(&out), "a=1&token=\x01&b=2"));
        buf_deinit(&out);
        (void)snprintf(text, sizeof(text), "token=%s&b=\x01", token.text);
        ck_assert_int_eq(slot_find_form(&spec, slice_text(text), &found), SLOT_E_TWICE);
        ck_assert_int_eq(slot_find_form(&spec, slice_text("token="), &found), SLOT_E_NONE);
        ck_assert_int_eq(slot_find_form(&spec, SLICE_NULL, &found), SLOT_E_NONE);
}
END_TEST

START_TEST(form_types)
{
        static const struct {
                const char *type;
                bool is_form;
        } types[] = {
                { "application/x-www-form-urlencoded", true },
                { "Application/X-WWW-Form-Urlencoded; charset=utf-8", true },
                { "application/x-www-form-urlencodedx", false },
                { "application/json", false },
        };
        Case c;

        for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
                case_init(&c, "/", NULL);
                add_header(&c, "content-type", "%s", types[i].type);
                ck_assert(!slot_is_form(&c.request));
                c.request.body = BODY_LENGTH;
                ck_assert_int_eq(slot_is_form(&c.request), types[i].is_form);
                add_header(&c, "content-encoding", "gzip");
                ck_assert(!slot_is_form(&c.request));
        }
}
END_TEST

START_TEST(strays)
{
        Token token = token_of('h');
        char text[256];
        Slice stray;
        Case c;

        (void)snprintf(text, sizeof(text), "/x%sy", token.text);
        case_init(&c, text, NULL);
        ck_assert_int_eq(slot_stray(&c.request, &c.pool, &stray), 0);
        case_init(&c, "/", text);
        ck_assert_int_eq(slot_stray(&c.request, &c.pool, &stray), 0);
        case_init(&c, "/", NULL);
        add_header(&c, "x", "a mcpch_ b %s c", token.text);
        ck_assert_int_eq(slot_stray(&c.request, &c.pool, &stray), 0);
        ck_assert(slice_is_text(stray, token.text));
        case_init(&c, "/", NULL);
        add_header(&c, token.text, "x");
        ck_assert_int_eq(slot_stray(&c.request, &c.pool, &stray), 0);
        pool_deinit(&c.pool);
}
END_TEST

/* A token with one changed digit is none, wherever the change is. */
START_TEST(bit_flips_make_no_handle)
{
        Token token = token_of('k');

        for (size_t i = 0; i < IDENT_TOKEN_SIZE; i++)
                for (unsigned bit = 0; bit < 8; bit++) {
                        Token other = token;

                        other.text[i] = (char)(other.text[i] ^ (1 << bit));
                        ck_assert_uint_eq(slot_next_handle(slice(other.text, IDENT_TOKEN_SIZE)).size, 0);
                }
}
END_TEST

/* However the stream is cut, the handle is found in the piece that ends it, and once. */
START_TEST(stream_in_all_pieces)
{
        enum { BEFORE = 60, BEHIND = 60, SIZE = BEFORE + IDENT_TOKEN_SIZE + BEHIND };
        Token token = token_of('l');
        uint8_t text[SIZE], found[IDENT_TOKEN_SIZE];

        memset(text, 'm', sizeof(text));
        memcpy(text + BEFORE, token.text, IDENT_TOKEN_SIZE);
        for (size_t piece = 1; piece <= SIZE; piece++) {
                SlotScan scan = { 0 };
                size_t n = 0;

                for (size_t at = 0; at < SIZE; at += piece)
                        if (slot_scan_feed(&scan, slice(text + at, MIN(piece, SIZE - at)), found)) {
                                n++;
                                ck_assert_mem_eq(found, token.text, IDENT_TOKEN_SIZE);
                                ck_assert(at + piece >= BEFORE + IDENT_TOKEN_SIZE && at < BEFORE + IDENT_TOKEN_SIZE);
                        }
                ck_assert_uint_eq(n, 1);
        }
}
END_TEST

START_TEST(stream_at_every_place)
{
        Token token = token_of('n');
        uint8_t text[300], found[IDENT_TOKEN_SIZE];

        for (size_t at = 0; at + IDENT_TOKEN_SIZE <= sizeof(text); at++)
                for (size_t cut = 0; cut <= sizeof(text); cut += 7) {
                        SlotScan scan = { 0 };
                        bool seen;

                        memset(text, '_', sizeof(text));
                        memcpy(text + at, token.text, IDENT_TOKEN_SIZE);
                        seen = slot_scan_feed(&scan, slice(text, cut), found);
                        seen = slot_scan_feed(&scan, slice(text + cut, sizeof(text) - cut), found) || seen;
                        ck_assert(seen);
                }
}
END_TEST

START_TEST(proxy_password)
{
        Token token = token_of('p');
        Pool pool = POOL_NULL(POOL_MAX);
        char plain[128], encoded[512], value[600];
        Slice found;

        (void)snprintf(plain, sizeof(plain), "x:%s", token.text);
        (void)snprintf(value, sizeof(value), "Basic %s", base64(plain, encoded));
        ck_assert_int_eq(slot_basic_password(slice_text(value), &pool, &found), 0);
        ck_assert(slice_is_text(found, token.text));
        ck_assert_int_eq(slot_basic_password(slice_text("Basic eDp5"), &pool, &found), SLOT_E_NONE);
        ck_assert_int_eq(slot_basic_password(slice_text("Basic"), &pool, &found), SLOT_E_NONE);
        ck_assert_int_eq(slot_basic_password(slice_text("Basic ===="), &pool, &found), SLOT_E_NONE);
        ck_assert_int_eq(slot_basic_password(SLICE_NULL, &pool, &found), SLOT_E_NONE);
        pool_deinit(&pool);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("slot");

        if (sodium_init() < 0)
                return EXIT_FAILURE;
        tcase_add_test(tcase, bearer);
        tcase_add_test(tcase, bearer_of_another_form);
        tcase_add_test(tcase, basic);
        tcase_add_test(tcase, basic_of_another_form);
        tcase_add_test(tcase, header);
        tcase_add_test(tcase, key);
        tcase_add_test(tcase, header_that_is_there_twice);
        tcase_add_test(tcase, query);
        tcase_add_test(tcase, path);
        tcase_add_test(tcase, sigv4);
        tcase_add_test(tcase, form);
        tcase_add_test(tcase, form_types);
        tcase_add_test(tcase, strays);
        tcase_add_test(tcase, bit_flips_make_no_handle);
        tcase_add_test(tcase, stream_in_all_pieces);
        tcase_add_test(tcase, stream_at_every_place);
        tcase_add_test(tcase, proxy_password);
        return suite_run("slot", tcase);
}
