#include "../base/suite.h"
#include "handles.h"
#include "session/request.h"
#include <stdio.h>

#define ARENA (64U * 1024U)
#define HOST "api.example.test"

static Arena *arena;
static Grants *grants;
static Token own, other;

static Secret *secret_of(const Token *token)
{
        Secret *secret = NULL;

        ck_assert_int_eq(secret_from_bytes(&secret, arena, slice_text(token->text)), 0);
        return secret;
}

static void setup(void)
{
        const char *hosts[] = { HOST, "open.example.test" }, *credential[] = { HOST }, *ws[] = { "ws.example.test" };
        SessionGrant items[2] = { 0 };
        SessionConfigureReply reply = { .grants = { items, 2 } };

        ck_assert_int_ge(sodium_init(), 0);
        ck_assert_int_eq(arena_new(&arena, ARENA), 0);
        own = token_of('a');
        other = token_of('b');
        items[0] = (SessionGrant){ .profile = "one", .handle = secret_of(&own), .slot = SLOT_BEARER,
                                   .hosts = { hosts, 2 }, .credential_hosts = { credential, 1 }, .url_host = HOST };
        items[1] = (SessionGrant){ .profile = "two", .handle = secret_of(&other), .slot = SLOT_HEADER, .slot_name = "x-key",
                                   .hosts = { ws, 1 }, .credential_hosts = { ws, 1 }, .websocket = true };
        ck_assert_int_eq(grants_new(&grants, &reply), 0);
        ck_assert_ptr_null(items[0].handle);
}

static void teardown(void)
{
        grants = grants_unref(grants);
        arena = arena_free(arena);
}

typedef struct Taken {
        Pool pool;
        HttpHead head;
        RequestRoute route;
        EgressRequest request;
        RequestChoice choice;
} Taken;

/* From bytes to a choice; the first code that is not 0. */
static int take(Taken *taken, const char *text, const HttpAuthority *tunnel)
{
        int r;

        *taken = (Taken){ .pool = POOL_NULL(REQUEST_POOL_MAX) };
        r = http_parse_request(slice_text(text), &taken->head);
        if (r == 0)
                r = request_route(&taken->head, tunnel, grants, &taken->route);
        if (r == 0)
                r = request_build(&taken->head, &taken->route, &taken->pool, &taken->request);
        if (r == 0)
                r = request_choose(grants, &taken->route, &taken->pool, &taken->request, &taken->choice);
        return r;
}

static int code_of(const char *text, const HttpAuthority *tunnel)
{
        Taken taken;
        int r = take(&taken, text, tunnel);

        pool_deinit(&taken.pool);
        return r;
}

static const HttpAuthority tunnel = { HOST, 443 };
static const HttpAuthority elsewhere = { "elsewhere.test", 443 };
static const HttpAuthority open_host = { "open.example.test", 443 };
static const HttpAuthority ws_host = { "ws.example.test", 443 };

START_TEST(canonical)
{
        Taken taken;
        const HeaderField *headers;
        char text[512];

        (void)snprintf(text, sizeof(text),
                       "POST /%%41%%2f?a=%%7e HTTP/1.1\r\nHost: API.example.test\r\nX-One: 1\r\nConnection: x-two\r\nX-Two: 2\r\n"
                       "Authorization: Bearer %s\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
                       own.text);
        /* An encoded slash is refused, so it is taken out again. */
        ck_assert_int_eq(take(&taken, text, &tunnel), HTTP_E_TARGET);
        pool_deinit(&taken.pool);
        memcpy(strstr(text, "%2f"), "%2D", 3);
        ck_assert_int_eq(take(&taken, text, &tunnel), 0);
        ck_assert_str_eq(taken.request.host, HOST);
        ck_assert_str_eq(taken.request.path, "/A-");
        ck_assert_str_eq(taken.request.query, "a=~");
        ck_assert_uint_eq(taken.request.body, BODY_LENGTH);
        ck_assert_uint_eq(taken.request.length, 3);
        ck_assert(taken.request.expect && !taken.request.upgrade);
        ck_assert_uint_eq(taken.request.headers.n, 2);
        headers = taken.request.headers.items;
        ck_assert_str_eq(headers[0].name, "x-one");
        ck_assert_str_eq(headers[1].value, "Bearer \x01");
        ck_assert(taken.choice.credential);
        ck_assert_str_eq(taken.choice.grant->profile, "one");
        pool_deinit(&taken.pool);
}
END_TEST

START_TEST(hosts_must_agree)
{
        ck_assert_int_eq(code_of("GET / HTTP/1.1\r\nHost: " HOST ":443\r\n\r\n", &tunnel), 0);
        ck_assert_int_eq(code_of("GET / HTTP/1.1\r\nHost: " HOST ":444\r\n\r\n", &tunnel), REFUSAL_MISMATCH);
        ck_assert_int_eq(code_of("GET / HTTP/1.1\r\nHost: open.example.test\r\n\r\n", &tunnel), REFUSAL_MISMATCH);
        ck_assert_int_eq(code_of("GET https://" HOST "/ HTTP/1.1\r\nHost: " HOST "\r\n\r\n", NULL), 0);
        ck_assert_int_eq(code_of("GET https://open.example.test/ HTTP/1.1\r\nHost: open.example.test\r\n\r\n", &tunnel),
                         REFUSAL_MISMATCH);
        ck_assert_int_eq(code_of("GET http://" HOST "/ HTTP/1.1\r\nHost: " HOST "\r\n\r\n", NULL), REFUSAL_PLAIN_HTTP);
        ck_assert_int_eq(code_of("GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n", &elsewhere), REFUSAL_HOST);
        ck_assert_int_eq(code_of("GET / HTTP/1.1\r\nHost: " HOST "\r\n\r\n", NULL), REFUSAL_NOT_PROXY);
}
END_TEST

START_TEST(endpoints)
{
        Taken taken;

        ck_assert_int_eq(take(&taken, "GET /one/v1?x HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n", NULL), 0);
        ck_assert_str_eq(taken.request.host, HOST);
        ck_assert_str_eq(taken.request.path, "/v1");
        ck_assert_str_eq(taken.request.query, "x");
        pool_deinit(&taken.pool);
        ck_assert_int_eq(code_of("GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n", NULL), REFUSAL_NOT_PROXY);
        ck_assert_int_eq(code_of("GET /two/v1 HTTP/1.1\r\nHost: localhost\r\n\r\n", NULL), REFUSAL_NOT_PROXY);
        ck_assert_int_eq(code_of("GET /one/../two HTTP/1.1\r\nHost: localhost\r\n\r\n", NULL), HTTP_E_TARGET);
}
END_TEST

static int with_header(const char *name, const char *prefix, const Token *token, const HttpAuthority *authority)
{
        char text[512];

        (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: %s\r\n%s: %s%s\r\n\r\n", authority->host, name, prefix,
                       token->text);
        return code_of(text, authority);
}

START_TEST(handles)
{
        Token foreign = token_of('z');

        ck_assert_int_eq(with_header("Authorization", "Bearer ", &own, &tunnel), 0);
        ck_assert_int_eq(with_header("X-Key", "", &own, &tunnel), REFUSAL_HANDLE_PLACE);
        ck_assert_int_eq(with_header("Cookie", "a=", &own, &tunnel), REFUSAL_HANDLE_PLACE);
        ck_assert_int_eq(with_header("Authorization", "Bearer ", &own, &open_host), REFUSAL_HANDLE_HOST);
        ck_assert_int_eq(with_header("Authorization", "Bearer ", &own, &ws_host), REFUSAL_HANDLE_HOST);
        ck_assert_int_eq(with_header("Authorization", "Bearer ", &other, &tunnel), REFUSAL_HANDLE_HOST);
        ck_assert_int_eq(with_header("X-Key", "", &other, &ws_host), 0);
        ck_assert_int_eq(with_header("Authorization", "Bearer ", &foreign, &tunnel), REFUSAL_FOREIGN_HANDLE);
        ck_assert_int_eq(with_header("X-Any", "text ", &foreign, &elsewhere), REFUSAL_FOREIGN_HANDLE);
}
END_TEST

START_TEST(hop_by_hop_handle_is_not_the_slot)
{
        char text[512];
        Taken taken;

        /* Dropped by name before anything is looked for: no credential is used. */
        (void)snprintf(text, sizeof(text),
                       "GET / HTTP/1.1\r\nHost: " HOST "\r\nConnection: authorization\r\nAuthorization: Bearer %s\r\n\r\n",
                       own.text);
        ck_assert_int_eq(take(&taken, text, &tunnel), 0);
        ck_assert(!taken.choice.credential);
        ck_assert_uint_eq(taken.request.headers.n, 0);
        pool_deinit(&taken.pool);
}
END_TEST

START_TEST(upgrades)
{
        ck_assert_int_eq(code_of("GET / HTTP/1.1\r\nHost: " HOST "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                                 &tunnel),
                         REFUSAL_WEBSOCKET);
        ck_assert_int_eq(code_of("GET / HTTP/1.1\r\nHost: ws.example.test\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n",
                                 &ws_host),
                         0);
        ck_assert_int_eq(code_of("GET / HTTP/1.1\r\nHost: " HOST "\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", &tunnel),
                         0);
}
END_TEST

START_TEST(connects)
{
        static const struct {
                const char *text;
                int code;
        } cases[] = {
                { "CONNECT " HOST ":443 HTTP/1.1\r\nHost: " HOST ":443\r\n\r\n", 0 },
                { "CONNECT " HOST ":443 HTTP/1.1\r\nHost: " HOST "\r\n\r\n", 0 },
                { "CONNECT " HOST ":443 HTTP/1.1\r\nHost: " HOST ":443\r\nContent-Length: 1\r\n\r\n", HTTP_E_FRAMING },
                { "CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: 127.0.0.1:443\r\n\r\n", HTTP_E_HOST },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                HttpAuthority authority;
                HttpHead head;
                int r = http_parse_request(slice_text(cases[i].text), &head);

                if (r == 0)
                        r = request_connect(&head, &authority);
                ck_assert_int_eq(r != 0, cases[i].code != 0);
        }
}
END_TEST

/* Whatever is cut off or flipped: a code, and no byte beyond. */
START_TEST(sweep)
{
        char text[512];
        size_t size;

        (void)snprintf(text, sizeof(text), "GET /one/a?b=c HTTP/1.1\r\nHost: " HOST "\r\nAuthorization: Bearer %s\r\nX: %s\r\n\r\n",
                       own.text, other.text);
        size = strlen(text);
        for (size_t i = 0; i <= size; i++) {
                char *copy = strndup(text, i);

                (void)code_of(copy, i % 2 ? &tunnel : NULL);
                free(copy);
        }
        for (size_t i = 0; i < size * 8; i++) {
                char *copy = strdup(text);

                copy[i / 8] = (char)(copy[i / 8] ^ 1 << i % 8);
                if (copy[i / 8])
                        (void)code_of(copy, i % 2 ? &tunnel : NULL);
                free(copy);
        }
}
END_TEST

START_TEST(names)
{
        ck_assert(grants_name(grants, HOST));
        ck_assert(grants_name(grants, "ws.example.test"));
        ck_assert(!grants_name(grants, "example.test"));
        ck_assert(!grants_name(grants, ""));
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("request");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, canonical);
        tcase_add_test(tcase, hosts_must_agree);
        tcase_add_test(tcase, endpoints);
        tcase_add_test(tcase, handles);
        tcase_add_test(tcase, hop_by_hop_handle_is_not_the_slot);
        tcase_add_test(tcase, upgrades);
        tcase_add_test(tcase, connects);
        tcase_add_test(tcase, sweep);
        tcase_add_test(tcase, names);
        return suite_run("request", tcase);
}
