#undef NDEBUG
#include "../base/suite.h"
#include "base/clock.h"
#include "egress/inject_form.h"
#include <sodium.h>
#include <stdio.h>

/* Put together here, so that no scanner takes it for one. It has what each place has to encode. */
#define CREDENTIAL         "sk" "-test/a+b=c:d&e%f"
#define CREDENTIAL_ESCAPED "sk" "-test%2Fa%2Bb%3Dc%3Ad%26e%25f"
#define NOW                (UINT64_C(1440938160) * USEC_PER_SEC)

typedef struct Fixture {
        Arena *arena;
        Secret *credential;
        EgressPolicy policy;
        EgressRequest request;
        HeaderField headers[LIMIT_HEADERS + 1];
        Injection out;
} Fixture;

static void set_credential(Fixture *f, const char *text)
{
        f->credential = secret_free(f->credential);
        ck_assert_int_eq(secret_from_bytes(&f->credential, f->arena, slice_text(text)), 0);
}

static void fixture_start(Fixture *f, SlotKind slot, const char *name, const char *prefix)
{
        *f = (Fixture){ .policy = { .slot = slot, .slot_name = name, .slot_prefix = prefix },
                        .request = { .method = "GET", .host = "api.example.com", .port = 443, .path = "/v1/things" } };
        ck_assert_int_eq(arena_new(&f->arena, 64U * 1024U), 0);
        set_credential(f, CREDENTIAL);
        f->request.headers = (RecordList){ f->headers, 0 };
}

static void fixture_stop(Fixture *f)
{
        f->credential = secret_free(f->credential);
        f->arena = arena_free(f->arena);
}

static HeaderField *add_header(Fixture *f, const char *name, const char *value)
{
        f->headers[f->request.headers.n] = (HeaderField){ name, value };
        return &f->headers[f->request.headers.n++];
}

static int run(Fixture *f, const Slice *body)
{
        InjectInput input = { .policy = &f->policy,
                              .credential = f->credential,
                              .request = &f->request,
                              .now = NOW,
                              .whole = body != NULL,
                              .body = body ? *body : SLICE_NULL };

        return inject_request(&input, &f->out);
}

static void expect(Fixture *f, const char *what, int expected)
{
        int r = run(f, NULL);

        ck_assert_msg(r == expected, "%s: %d instead of %d", what, r, expected);
        if (r)
                ck_assert(!f->out.used);
        injection_deinit(&f->out);
}

/* ---- headers ---- */

typedef struct HeaderRow {
        SlotKind slot;
        const char *name, *prefix;
        const char *header, *value;
        int expected;
        const char *sent; /* "C" is the credential; behind "Basic " in clear */
} HeaderRow;

static const HeaderRow header_rows[] = {
        { SLOT_BEARER, NULL, NULL, "authorization", "Bearer \x01", 0, "Bearer C" },
        { SLOT_BEARER, NULL, NULL, "authorization", "bearer \x01", 0, "Bearer C" },
        { SLOT_BEARER, NULL, NULL, "authorization", "token \x01", 0, "token C" },
        { SLOT_BEARER, NULL, NULL, "authorization", "Basic u:\x01", INJECT_E_FORM, NULL },
        { SLOT_BEARER, NULL, NULL, "authorization", "Bearer  \x01", INJECT_E_FORM, NULL },
        { SLOT_BEARER, NULL, NULL, "authorization", "Bearer \x01 ", INJECT_E_FORM, NULL },
        { SLOT_BEARER, NULL, NULL, "authorization", "Bearer x\x01", INJECT_E_FORM, NULL },
        { SLOT_BEARER, NULL, NULL, "authorization", "Bearer\x01", INJECT_E_FORM, NULL },
        { SLOT_BEARER, NULL, NULL, "authorization", "\x01", INJECT_E_FORM, NULL },
        { SLOT_BEARER, NULL, NULL, "authorization", "Bearer \x01\x01", INJECT_E_PLACE, NULL },
        { SLOT_BEARER, NULL, NULL, "x-authorization", "Bearer \x01", INJECT_E_PLACE, NULL },
        { SLOT_BASIC, NULL, NULL, "authorization", "Basic user:\x01", 0, "Basic user:C" },
        { SLOT_BASIC, NULL, NULL, "authorization", "basic :\x01", 0, "Basic :C" },
        { SLOT_BASIC, NULL, NULL, "authorization", "Basic x-access-token:\x01", 0, "Basic x-access-token:C" },
        { SLOT_BASIC, NULL, NULL, "authorization", "Basic \x01:", INJECT_E_CREDENTIAL, NULL }, /* it has a colon */
        { SLOT_BASIC, NULL, NULL, "authorization", "Basic \x01:x", INJECT_E_FORM, NULL },
        { SLOT_BASIC, NULL, NULL, "authorization", "Basic \x01", INJECT_E_FORM, NULL },
        { SLOT_BASIC, NULL, NULL, "authorization", "Basic us:er:\x01", INJECT_E_USER, NULL },
        { SLOT_BASIC, NULL, NULL, "authorization", "Basic us\ter:\x01", INJECT_E_USER, NULL },
        { SLOT_BASIC, NULL, NULL, "authorization", "Basic user:x\x01", INJECT_E_FORM, NULL },
        { SLOT_BASIC, NULL, NULL, "authorization", "Bearer \x01", INJECT_E_FORM, NULL },
        { SLOT_AUTHORIZATION, NULL, NULL, "authorization", "Bearer \x01", 0, "Bearer C" },
        { SLOT_AUTHORIZATION, NULL, NULL, "authorization", "TOKEN \x01", 0, "token C" },
        { SLOT_AUTHORIZATION, NULL, NULL, "authorization", "BASIC git:\x01", 0, "Basic git:C" },
        { SLOT_AUTHORIZATION, NULL, NULL, "authorization", "Digest \x01", INJECT_E_FORM, NULL },
        { SLOT_HEADER, "X-Api-Key", NULL, "x-api-key", "\x01", 0, "C" },
        { SLOT_HEADER, "x-api-key", NULL, "x-api-key", "a\x01", INJECT_E_FORM, NULL },
        { SLOT_HEADER, "x-api-key", NULL, "x-api-key", "\x01" "a", INJECT_E_FORM, NULL },
        { SLOT_HEADER, "x-api-key", NULL, "x-api-keys", "\x01", INJECT_E_PLACE, NULL },
        { SLOT_HEADER, "authorization", "Token token=", "authorization", "Token token=\x01", 0, "Token token=C" },
        { SLOT_HEADER, "authorization", "Token token=", "authorization", "token token=\x01", INJECT_E_FORM, NULL },
        { SLOT_HEADER, "authorization", "Token token=", "authorization", "\x01", INJECT_E_FORM, NULL },
        { SLOT_KEY, "x-api-key", NULL, "x-api-key", "\x01", 0, "C" },
        { SLOT_KEY, "x-api-key", NULL, "authorization", "Bearer \x01", 0, "Bearer C" },
        { SLOT_KEY, "x-api-key", NULL, "authorization", "Basic u:\x01", INJECT_E_FORM, NULL },
        { SLOT_KEY, "x-api-key", NULL, "x-api-key", "Bearer \x01", INJECT_E_FORM, NULL },
        { SLOT_KEY, "x-api-key", NULL, "x-other", "\x01", INJECT_E_PLACE, NULL },
        { SLOT_NONE, NULL, NULL, "authorization", "Bearer \x01", INJECT_E_PLACE, NULL },
        { SLOT_FORM, "token", NULL, "authorization", "Bearer \x01", INJECT_E_PLACE, NULL },
        { SLOT_QUERY, "key", NULL, "authorization", "Bearer \x01", INJECT_E_PLACE, NULL },
        { SLOT_PATH, NULL, "bot", "authorization", "Bearer \x01", INJECT_E_PLACE, NULL },
        { SLOT_SIGV4, NULL, NULL, "authorization", "Bearer \x01", INJECT_E_CREDENTIAL, NULL },
};

/* "Basic X:C" as it is sent: written apart from the module, over libsodium's decoder. */
static void check_basic(Slice value, const char *expected)
{
        char plain[512];
        size_t size;

        ck_assert(value.size > 6 && memcmp(value.data, "Basic ", 6) == 0);
        ck_assert_int_eq(sodium_base642bin((uint8_t *)plain, sizeof(plain), (const char *)value.data + 6,
                                           value.size - 6, NULL,
                                           &size, NULL, sodium_base64_VARIANT_ORIGINAL),
                         0);
        ck_assert(slice_is_text(slice(plain, size), expected));
}

static void check_sent(const HeaderRow *row, const Fixture *f)
{
        const char *at = strrchr(row->sent, 'C');
        char expected[512];

        ck_assert(f->out.used && f->out.n_headers == 3);
        ck_assert(slice_is_text(f->out.headers[0].name, "accept") && slice_is_text(f->out.headers[0].value, "*/*"));
        ck_assert(slice_is_text(f->out.headers[1].name, row->header));
        ck_assert(slice_is_text(f->out.headers[2].value, "last"));
        snprintf(expected, sizeof(expected), "%.*s%s", (int)(at - row->sent), row->sent, CREDENTIAL);
        if (strncmp(expected, "Basic ", 6) == 0)
                check_basic(f->out.headers[1].value, expected + 6);
        else
                ck_assert(slice_is_text(f->out.headers[1].value, expected));
        ck_assert_str_eq(f->out.path, "/v1/things");
        ck_assert_ptr_null(f->out.query);
}

START_TEST(header_slots_take_their_forms_alone)
{
        const HeaderRow *row = &header_rows[_i];
        Fixture f;
        int r;

        fixture_start(&f, row->slot, row->name, row->prefix);
        add_header(&f, "accept", "*/*");
        add_header(&f, row->header, row->value);
        add_header(&f, "x-last", "last");
        ck_assert(inject_has_marker(&f.request));
        r = run(&f, NULL);
        ck_assert_msg(r == row->expected, "row %d (%s): %d", _i, row->value, r);
        if (r == 0)
                check_sent(row, &f);
        else
                ck_assert(!f.out.used);
        injection_deinit(&f.out);
        fixture_stop(&f);
}
END_TEST

START_TEST(basic_with_the_credential_as_user)
{
        Fixture f;

        fixture_start(&f, SLOT_BASIC, NULL, NULL);
        set_credential(&f, "credential-without-one");
        add_header(&f, "authorization", "Basic \x01:");
        ck_assert_int_eq(run(&f, NULL), 0);
        check_basic(f.out.headers[0].value, "credential-without-one:");
        injection_deinit(&f.out);
        fixture_stop(&f);
}
END_TEST

START_TEST(slot_header_twice_is_refused)
{
        static const SlotKind slots[] = { SLOT_BEARER, SLOT_BASIC, SLOT_AUTHORIZATION, SLOT_HEADER };

        for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
                for (int order = 0; order < 2; order++) {
                        Fixture f;

                        fixture_start(&f, slots[i], "authorization", "Bearer ");
                        add_header(&f, "authorization", order ? "Bearer x" : "Bearer \x01");
                        add_header(&f, "authorization", order ? "Bearer \x01" : "Bearer x");
                        expect(&f, "twice", INJECT_E_FORM);
                        fixture_stop(&f);
                }
}
END_TEST

/* ---- the one place ---- */

/* A marker anywhere else, whatever the slot is, with or without one in the slot. */
START_TEST(marker_in_any_other_place_is_refused)
{
        for (int in_slot = 0; in_slot < 2; in_slot++)
                for (int place = 0; place < 7; place++) {
                        Fixture f;

                        fixture_start(&f, (SlotKind)_i, _i == SLOT_HEADER ? "x-key" : "key", NULL);
                        if (_i == SLOT_SIGV4)
                                set_credential(&f, "AKIDEXAMPLE:secretsecret");
                        if (in_slot && _i == SLOT_HEADER)
                                add_header(&f, "x-key", "\x01");
                        else if (in_slot && _i == SLOT_QUERY)
                                f.request.query = place == 3 ? "key=\x01&b=\x01" : "key=\x01";
                        else if (in_slot && _i == SLOT_PATH)
                                f.request.path = place == 2 ? "/\x01/\x01" : "/\x01/b";
                        else if (in_slot)
                                add_header(&f, "authorization", "Bearer \x01");
                        if (place == 0)
                                f.request.method = "GE\x01T";
                        else if (place == 1)
                                f.request.host = "a\x01.example.com";
                        else if (place == 2 && !(in_slot && _i == SLOT_PATH))
                                f.request.path = "/a\x01" "b";
                        else if (place == 3 && !f.request.query)
                                f.request.query = "a=\x01";
                        else if (place == 4)
                                add_header(&f, "x-a\x01", "b");
                        else if (place == 5)
                                add_header(&f, "x-other", "\x01");
                        else if (place == 6)
                                add_header(&f, "cookie", "a=b; c=\x01");
                        if (run(&f, NULL) <= 0 || f.out.used)
                                ck_abort_msg("slot %d, in it %d, place %d", _i, in_slot, place);
                        injection_deinit(&f.out);
                        fixture_stop(&f);
                }
}
END_TEST

START_TEST(request_without_marker_passes_unchanged)
{
        for (int slot = SLOT_NONE; slot < _SLOT_KIND_N; slot++) {
                Fixture f;

                fixture_start(&f, (SlotKind)slot, "key", NULL);
                f.request.query = "a=b&key=c";
                add_header(&f, "authorization", "Bearer my-own");
                add_header(&f, "x-tab", "a\tb");
                ck_assert(!inject_has_marker(&f.request));
                ck_assert_int_eq(run(&f, NULL), 0);
                ck_assert(!f.out.used && !f.out.has_body && f.out.n_headers == 2);
                ck_assert(slice_is_text(f.out.headers[0].value, "Bearer my-own"));
                ck_assert_ptr_eq(f.out.path, f.request.path);
                ck_assert_ptr_eq(f.out.query, f.request.query);
                injection_deinit(&f.out);
                f.credential = secret_free(f.credential);
                ck_assert_int_eq(run(&f, NULL), 0); /* nor does it need a credential */
                injection_deinit(&f.out);
                fixture_stop(&f);
        }
}
END_TEST

START_TEST(marker_without_a_credential_is_refused)
{
        Fixture f;

        fixture_start(&f, SLOT_BEARER, NULL, NULL);
        f.credential = secret_free(f.credential);
        add_header(&f, "authorization", "Bearer \x01");
        expect(&f, "none", INJECT_E_CREDENTIAL);
        fixture_stop(&f);
}
END_TEST

START_TEST(malformed_requests_are_refused)
{
        for (int row = 0; row < 12; row++) {
                Fixture f;

                fixture_start(&f, SLOT_BEARER, NULL, NULL);
                switch (row) {
                case 0:
                        f.request.method = "";
                        break;
                case 1:
                        f.request.method = "GET ";
                        break;
                case 2:
                        f.request.path = "v1";
                        break;
                case 3:
                        f.request.path = "/a b";
                        break;
                case 4:
                        f.request.path = "/a\r\nx: y";
                        break;
                case 5:
                        f.request.path = "/a?b";
                        break;
                case 6:
                        f.request.query = "a\nb";
                        break;
                case 7:
                        f.request.query = "a#b";
                        break;
                case 8:
                        add_header(&f, "x-a", "b\r\nx-evil: c");
                        break;
                case 9:
                        add_header(&f, "X-Upper", "b");
                        break;
                case 10:
                        add_header(&f, "x a", "b");
                        break;
                default:
                        add_header(&f, "x-a", "b\x7f");
                }
                ck_assert_msg(run(&f, NULL) == INJECT_E_REQUEST, "row %d", row);
                injection_deinit(&f.out);
                fixture_stop(&f);
        }
}
END_TEST

START_TEST(too_many_headers_are_refused)
{
        Fixture f;

        fixture_start(&f, SLOT_BEARER, NULL, NULL);
        for (size_t i = 0; i <= LIMIT_HEADERS; i++)
                add_header(&f, "x-a", "b");
        expect(&f, "101", INJECT_E_TOO_LONG);
        fixture_stop(&f);
}
END_TEST

/* ---- the target ---- */

typedef struct TargetRow {
        SlotKind slot;
        const char *name, *prefix;
        const char *target; /* path or query */
        int expected;
        const char *sent;
} TargetRow;

static const TargetRow target_rows[] = {
        { SLOT_QUERY, "key", NULL, "key=\x01", 0, "key=" CREDENTIAL_ESCAPED },
        { SLOT_QUERY, "key", NULL, "a=b&key=\x01&c", 0, "a=b&key=" CREDENTIAL_ESCAPED "&c" },
        { SLOT_QUERY, "api key", NULL, "api+key=\x01", 0, "api+key=" CREDENTIAL_ESCAPED },
        { SLOT_QUERY, "api key", NULL, "api%20ke%79=\x01", 0, "api%20ke%79=" CREDENTIAL_ESCAPED },
        { SLOT_QUERY, "key", NULL, "keys=\x01", INJECT_E_PLACE, NULL },
        { SLOT_QUERY, "key", NULL, "ke=\x01", INJECT_E_PLACE, NULL },
        { SLOT_QUERY, "key", NULL, "Key=\x01", INJECT_E_PLACE, NULL },
        { SLOT_QUERY, "key", NULL, "akey=\x01", INJECT_E_PLACE, NULL },
        { SLOT_QUERY, "key", NULL, "\x01", INJECT_E_PLACE, NULL },
        { SLOT_QUERY, "key", NULL, "key\x01", INJECT_E_PLACE, NULL },
        { SLOT_QUERY, "key", NULL, "\x01=key", INJECT_E_PLACE, NULL },
        { SLOT_QUERY, "key", NULL, "key=a\x01", INJECT_E_FORM, NULL },
        { SLOT_QUERY, "key", NULL, "key=\x01" "a", INJECT_E_FORM, NULL },
        { SLOT_QUERY, "key", NULL, "key==\x01", INJECT_E_FORM, NULL },
        { SLOT_QUERY, "key", NULL, "key=\x01;b", INJECT_E_FORM, NULL },
        { SLOT_QUERY, "key", NULL, "key=\x01&key=\x01", INJECT_E_PLACE, NULL },
        { SLOT_PATH, NULL, "bot", "/bot\x01/getMe", 0, "/bot" CREDENTIAL_ESCAPED "/getMe" },
        { SLOT_PATH, NULL, "bot", "/file/bot\x01", 0, "/file/bot" CREDENTIAL_ESCAPED },
        { SLOT_PATH, NULL, NULL, "/hooks/\x01/", 0, "/hooks/" CREDENTIAL_ESCAPED "/" },
        { SLOT_PATH, NULL, NULL, "/\x01", 0, "/" CREDENTIAL_ESCAPED },
        { SLOT_PATH, NULL, "bot", "/\x01/getMe", INJECT_E_FORM, NULL },
        { SLOT_PATH, NULL, "bot", "/robot\x01/getMe", INJECT_E_FORM, NULL },
        { SLOT_PATH, NULL, "bot", "/bot\x01x/getMe", INJECT_E_FORM, NULL },
        { SLOT_PATH, NULL, NULL, "/a\x01", INJECT_E_FORM, NULL },
        { SLOT_PATH, NULL, NULL, "/\x01.json", INJECT_E_FORM, NULL },
        { SLOT_PATH, NULL, NULL, "/\x01/\x01", INJECT_E_PLACE, NULL },
};

START_TEST(target_slots_take_their_forms_alone)
{
        const TargetRow *row = &target_rows[_i];
        bool query = row->slot == SLOT_QUERY;
        Fixture f;
        int r;

        fixture_start(&f, row->slot, row->name, row->prefix);
        *(query ? &f.request.query : &f.request.path) = row->target;
        r = run(&f, NULL);
        ck_assert_msg(r == row->expected, "row %d (%s): %d", _i, row->target, r);
        if (r == 0) {
                ck_assert(f.out.used);
                ck_assert_str_eq(query ? f.out.query : f.out.path, row->sent);
                ck_assert_str_eq(query ? f.out.path : "", query ? "/v1/things" : "");
        }
        injection_deinit(&f.out);
        fixture_stop(&f);
}
END_TEST

START_TEST(target_that_becomes_too_long_is_refused)
{
        static char query[LIMIT_TARGET + 1], credential[3001];
        Fixture f;

        fixture_start(&f, SLOT_QUERY, "key", NULL);
        memset(query, 'a', LIMIT_TARGET - 100);
        memcpy(query, "key=\x01&", 6);
        memset(credential, '/', sizeof(credential) - 1);
        set_credential(&f, credential);
        f.request.query = query;
        expect(&f, "long", INJECT_E_TOO_LONG);
        query[6] = '\0';
        expect(&f, "long credential", INJECT_E_TOO_LONG);
        fixture_stop(&f);
}
END_TEST

/* ---- SigV4 ---- */

static const Slice *header_of(const Fixture *f, const char *name)
{
        const Slice *value = NULL;

        for (size_t i = 0; i < f->out.n_headers; i++)
                if (slice_is_text(f->out.headers[i].name, name)) {
                        ck_assert_ptr_null(value);
                        value = &f->out.headers[i].value;
                }
        return value;
}

START_TEST(signed_request_has_the_real_key_and_none_of_the_clients)
{
        static const char begin[] = "AWS4-HMAC-SHA256 Credential=AKI" "DEXAMPLE/20150830/us-east-1/s3/aws4_request, "
                                    "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token, "
                                    "Signature=";
        Slice body = slice_text("Param1=value1");
        Fixture f;

        fixture_start(&f, SLOT_SIGV4, NULL, NULL);
        set_credential(&f, "AKI" "DEXAMPLE:wJalrXUtnFEMI/K7MDENG:tok/en==");
        f.request.query = "list-type=2&prefix=a+b";
        f.request.body = BODY_LENGTH;
        f.request.length = body.size;
        add_header(&f, "authorization", "AWS4-HMAC-SHA256 Credential=\x01/20150830/us-east-1/s3/aws4_request, "
                                        "SignedHeaders=host;x-amz-date, Signature="
                                        "0000000000000000000000000000000000000000000000000000000000000000");
        add_header(&f, "x-amz-security-token", "of-the-client");
        add_header(&f, "accept", "*/*");
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_WHOLE);
        ck_assert_int_eq(run(&f, NULL), -EINVAL);
        injection_deinit(&f.out);
        ck_assert_int_eq(run(&f, &body), 0);
        ck_assert(f.out.used && f.out.has_body && slice_equal(buf_slice(&f.out.body), body));
        ck_assert_uint_eq(f.out.n_headers, 5);
        ck_assert(header_of(&f, "authorization")->size == strlen(begin) + 64 &&
                  memcmp(header_of(&f, "authorization")->data, begin, strlen(begin)) == 0);
        ck_assert(slice_is_text(*header_of(&f, "x-amz-security-token"), "tok/en=="));
        ck_assert(slice_is_text(*header_of(&f, "x-amz-date"), "20150830T123600Z"));
        ck_assert_uint_eq(header_of(&f, "x-amz-content-sha256")->size, 64);
        ck_assert_str_eq(f.out.query, "list-type=2&prefix=a%20b");
        injection_deinit(&f.out);
        fixture_stop(&f);
}
END_TEST

START_TEST(signature_errors_have_their_words)
{
        static const struct {
                const char *authorization, *query;
                int expected;
        } rows[] = {
                { "Credential=\x01/20150830/us-east-1/s3/aws4_request", NULL, INJECT_E_FORM },
                { "AWS4-HMAC-SHA256 Credential=\x01/20150830/US/s3/aws4_request, SignedHeaders=host, Signature="
                  "0000000000000000000000000000000000000000000000000000000000000000", NULL, INJECT_E_SCOPE },
                { "AWS4-HMAC-SHA256 Credential=\x01/20150830/us/s3/aws4_request, SignedHeaders=host, Signature="
                  "0000000000000000000000000000000000000000000000000000000000000000", "X-Amz-Signature=a",
                          INJECT_E_SCOPE },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Fixture f;

                fixture_start(&f, SLOT_SIGV4, NULL, NULL);
                set_credential(&f, "AKI" "DEXAMPLE:wJalrXUtnFEMI/K7MDENG");
                add_header(&f, "authorization", rows[i].authorization);
                f.request.query = rows[i].query;
                expect(&f, rows[i].authorization, rows[i].expected);
                add_header(&f, "x-amz-date", "20150830T133600Z");
                f.request.query = NULL;
                if (i == 2)
                        expect(&f, "an hour ahead", INJECT_E_DATE);
                fixture_stop(&f);
        }
}
END_TEST

/* ---- the credential ---- */

START_TEST(credential_is_checked_once_for_its_slot)
{
        static const struct {
                const char *text;
                bool bearer, other;
        } rows[] = {
                { CREDENTIAL, true, true },
                { "12345678", true, true },
                { "1234567", false, false },
                { "with space", false, true },
                { " leading", false, false },
                { "trailing ", false, false },
                { "line\r\nx-evil: 1", false, false },
                { "line\nfeed", false, false },
                { "tab\tcharacter", false, false },
                { "delete\x7f!!", false, false },
                { "umlaut\xc3\xa4", false, false },
                { "mark\x01" "er!!", false, false },
                { "", false, false },
        };
        static char longest[INJECT_CREDENTIAL_MAX + 1];

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (int slot = SLOT_BEARER; slot < SLOT_SIGV4; slot++) {
                        bool one_word = slot == SLOT_BEARER || slot == SLOT_AUTHORIZATION || slot == SLOT_KEY;
                        bool good = one_word ? rows[i].bearer : rows[i].other;

                        ck_assert_msg((inject_check_credential((SlotKind)slot, slice_text(rows[i].text)) == 0) == good,
                                      "%s in %s", rows[i].text, slot_kind_names[slot]);
                }
        memset(longest, 'a', sizeof(longest));
        ck_assert_int_eq(inject_check_credential(SLOT_HEADER, slice(longest, INJECT_CREDENTIAL_MAX)), 0);
        ck_assert_int_eq(inject_check_credential(SLOT_HEADER, slice(longest, INJECT_CREDENTIAL_MAX + 1)),
                         INJECT_E_CREDENTIAL);
        ck_assert_int_eq(inject_check_credential(SLOT_HEADER, slice("nul\0inside", 10)), INJECT_E_CREDENTIAL);
        ck_assert_int_eq(inject_check_credential(SLOT_NONE, slice_text(CREDENTIAL)), INJECT_E_CREDENTIAL);
        ck_assert_int_eq(inject_check_credential(SLOT_SIGV4, slice_text(CREDENTIAL)), INJECT_E_CREDENTIAL);
        ck_assert_int_eq(inject_check_credential(SLOT_SIGV4, slice_text("AKIDEXAMPLE:secretsecret")), 0);
}
END_TEST

/* Even one that the grant did not check ends no line. */
START_TEST(no_credential_adds_a_header)
{
        static const char *const bad[] = { "line\r\nx-evil: 1", "line\nfeed", "carriage\rreturn", "nothing\001else" };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                for (int slot = SLOT_BEARER; slot <= SLOT_HEADER; slot++) {
                        Fixture f;

                        fixture_start(&f, (SlotKind)slot, "authorization", "Bearer ");
                        set_credential(&f, bad[i]);
                        add_header(&f, "authorization", slot == SLOT_BASIC ? "Basic u:\x01" : "Bearer \x01");
                        expect(&f, bad[i], INJECT_E_CREDENTIAL);
                        fixture_stop(&f);
                }
}
END_TEST

START_TEST(secrets_of_an_aws_credential_are_key_and_token)
{
        Slice out[INJECT_SECRETS_MAX];

        ck_assert_uint_eq(inject_secrets(SLOT_BEARER, slice_text(CREDENTIAL), out), 1);
        ck_assert(slice_is_text(out[0], CREDENTIAL));
        ck_assert_uint_eq(inject_secrets(SLOT_SIGV4, slice_text("AKIDEXAMPLE:secretsecret"), out), 1);
        ck_assert(slice_is_text(out[0], "secretsecret"));
        ck_assert_uint_eq(inject_secrets(SLOT_SIGV4, slice_text("AKIDEXAMPLE:secretsecret:tokentoken"), out), 2);
        ck_assert(slice_is_text(out[0], "secretsecret") && slice_is_text(out[1], "tokentoken"));
}
END_TEST

/* ---- forms ---- */

typedef struct FormRow {
        const char *body;
        int expected;
        bool used;
        const char *sent; /* what was let through, in any case */
} FormRow;

static const FormRow form_rows[] = {
        { "token=\x01", 0, true, "token=" CREDENTIAL_ESCAPED },
        { "a=b&token=\x01&c=d", 0, true, "a=b&token=" CREDENTIAL_ESCAPED "&c=d" },
        { "to%6ben=\x01&x", 0, true, "to%6ben=" CREDENTIAL_ESCAPED "&x" },
        { "t%6Fken=\x01", 0, true, "t%6Fken=" CREDENTIAL_ESCAPED },
        { "a=b", 0, false, "a=b" },
        { "", 0, false, "" },
        { "&&=&token=x&token=\x01", 0, true, "&&=&token=x&token=" CREDENTIAL_ESCAPED },
        { "token=\x01&token=\x01", INJECT_E_PLACE, true, "token=" CREDENTIAL_ESCAPED "&token=" },
        { "token=\x01\x01", INJECT_E_PLACE, true, "token=" CREDENTIAL_ESCAPED },
        { "token=\x01x", INJECT_E_PLACE, true, "token=" CREDENTIAL_ESCAPED },
        { "token=x\x01", INJECT_E_PLACE, false, "token=x" },
        { "token\x01=x", INJECT_E_PLACE, false, "token" },
        { "\x01", INJECT_E_PLACE, false, "" },
        { "tokens=\x01", INJECT_E_PLACE, false, "tokens=" },
        { "toke=\x01", INJECT_E_PLACE, false, "toke=" },
        { "Token=\x01", INJECT_E_PLACE, false, "Token=" },
        { "token%=\x01", INJECT_E_PLACE, false, "token%=" },
        { "toke%6=\x01", INJECT_E_PLACE, false, "toke%6=" },
        { "%zztoken=\x01", INJECT_E_PLACE, false, "%zztoken=" },
        { "b=token=\x01", INJECT_E_PLACE, false, "b=token=" },
        { "text=hello \x01", INJECT_E_PLACE, false, "text=hello " },
};

START_TEST(form_is_replaced_at_each_split)
{
        const FormRow *row = &form_rows[_i];
        Slice body = slice_text(row->body);
        Fixture f;

        fixture_start(&f, SLOT_FORM, "token", NULL);
        for (size_t at = 0; at <= body.size; at++) {
                Buf out = BUF_NULL(4096);
                InjectForm form;
                int r;

                inject_form_init(&form, "token", f.credential);
                r = inject_form_feed(&form, slice(body.data, at), &out);
                if (r == 0)
                        r = inject_form_feed(&form, slice(body.data + at, body.size - at), &out);
                ck_assert_msg(r == row->expected && slice_is_text(buf_slice(&out), row->sent), "%s: %d %.*s",
                              row->body, r,
                              (int)out.size, (const char *)out.data);
                ck_assert(form.used == row->used);
                if (r == 0 && form.used)
                        ck_assert_uint_eq(out.size, inject_form_length(f.credential, body.size));
                if (r)
                        ck_assert_int_gt(inject_form_feed(&form, slice_text("&a=b"), &out), 0);
                buf_deinit(&out);
        }
        fixture_stop(&f);
}
END_TEST

START_TEST(form_of_known_length_is_replaced_whole)
{
        Slice body = slice_text("a=b&token=\x01");
        Fixture f;

        fixture_start(&f, SLOT_FORM, "token", NULL);
        f.request.method = "POST";
        f.request.body = BODY_LENGTH;
        f.request.length = body.size;
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_AS_IS); /* not a form */
        add_header(&f, "content-type", "Application/x-www-form-urlencoded; charset=utf-8");
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_WHOLE);
        ck_assert_int_eq(run(&f, &body), 0);
        ck_assert(f.out.used && f.out.has_body);
        ck_assert(slice_is_text(buf_slice(&f.out.body), "a=b&token=" CREDENTIAL_ESCAPED));
        injection_deinit(&f.out);
        f.credential = secret_free(f.credential);
        ck_assert_int_eq(run(&f, &body), INJECT_E_CREDENTIAL);
        injection_deinit(&f.out);
        body = slice_text("a=b&token=mine");
        ck_assert_int_eq(run(&f, &body), 0);
        ck_assert(!f.out.used && slice_equal(buf_slice(&f.out.body), body));
        injection_deinit(&f.out);
        fixture_stop(&f);
}
END_TEST

START_TEST(bodies_are_treated_as_their_slot_needs)
{
        Fixture f;

        fixture_start(&f, SLOT_FORM, "token", NULL);
        add_header(&f, "content-type", "application/x-www-form-urlencoded");
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_AS_IS); /* none */
        f.request.body = BODY_STREAM;
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_FORM);
        f.request.body = BODY_LENGTH;
        f.request.length = INJECT_FORM_MAX + 1;
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_SCAN);
        f.request.length = INJECT_FORM_MAX;
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_WHOLE);
        add_header(&f, "content-encoding", "gzip");
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_AS_IS);
        f.request.headers.n--;
        f.headers[0].value = "application/x-www-form-urlencodedness";
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_AS_IS);
        f.policy.slot = SLOT_SIGV4;
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_AS_IS); /* nothing to sign */
        add_header(&f, "authorization", "\x01");
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_WHOLE);
        add_header(&f, "x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        ck_assert_int_eq(inject_body(&f.policy, &f.request), INJECT_BODY_AS_IS);
        fixture_stop(&f);
}
END_TEST

START_TEST(each_error_has_a_status_and_a_word)
{
        for (int r = INJECT_E_REQUEST; r < _INJECT_E_N; r++) {
                const InjectErrorInfo *info = inject_error_info(r);

                ck_assert(info->status >= 400 && info->status < 500 && info->reason[0] && info->sentence[0]);
                ck_assert_uint_eq(strspn(info->reason, "abcdefghijklmnopqrstuvwxyz-"), strlen(info->reason));
        }
        ck_assert_uint_eq(inject_error_info(-ENOMEM)->status, 500);
        ck_assert_uint_eq(inject_error_info(_INJECT_E_N)->status, 500);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("inject");

        tcase_add_loop_test(tcase, header_slots_take_their_forms_alone, 0, ARRAY_SIZE(header_rows));
        tcase_add_test(tcase, basic_with_the_credential_as_user);
        tcase_add_test(tcase, slot_header_twice_is_refused);
        tcase_add_loop_test(tcase, marker_in_any_other_place_is_refused, SLOT_NONE, _SLOT_KIND_N);
        tcase_add_test(tcase, request_without_marker_passes_unchanged);
        tcase_add_test(tcase, marker_without_a_credential_is_refused);
        tcase_add_test(tcase, malformed_requests_are_refused);
        tcase_add_test(tcase, too_many_headers_are_refused);
        tcase_add_loop_test(tcase, target_slots_take_their_forms_alone, 0, ARRAY_SIZE(target_rows));
        tcase_add_test(tcase, target_that_becomes_too_long_is_refused);
        tcase_add_test(tcase, signed_request_has_the_real_key_and_none_of_the_clients);
        tcase_add_test(tcase, signature_errors_have_their_words);
        tcase_add_test(tcase, credential_is_checked_once_for_its_slot);
        tcase_add_test(tcase, no_credential_adds_a_header);
        tcase_add_test(tcase, secrets_of_an_aws_credential_are_key_and_token);
        tcase_add_loop_test(tcase, form_is_replaced_at_each_split, 0, ARRAY_SIZE(form_rows));
        tcase_add_test(tcase, form_of_known_length_is_replaced_whole);
        tcase_add_test(tcase, bodies_are_treated_as_their_slot_needs);
        tcase_add_test(tcase, each_error_has_a_status_and_a_word);
        return suite_run("inject", tcase);
}
