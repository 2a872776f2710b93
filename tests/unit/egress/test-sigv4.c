#undef NDEBUG
#include "../base/suite.h"
#include "base/clock.h"
#include "egress/sigv4.h"
#include <stdio.h>

/*
 * The published vectors: AWS's signing test suite (case by case below), and the four worked examples of
 * the S3 API reference, "Authenticating Requests: Using the Authorization Header". A row is what is
 * signed and what must come out.
 */

#define SUITE_NOW   (UINT64_C(1440938160) * USEC_PER_SEC) /* 2015-08-30 12:36:00 */
#define SUITE_DATE  "20150830T123600Z"
#define SUITE_SCOPE "20150830/us-east-1/service/aws4_request"
#define S3_NOW      (UINT64_C(1369353600) * USEC_PER_SEC) /* 2013-05-24 00:00:00 */
#define S3_DATE     "20130524T000000Z"
#define S3_SCOPE    "20130524/us-east-1/s3/aws4_request"

#define NOTHING_SIGNED "0000000000000000000000000000000000000000000000000000000000000000"
#define EMPTY_HASH     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define FORM_HASH      "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
#define LETTERS        "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

typedef struct Vector {
        const char *name;
        const char *method, *path, *query;
        HeaderField headers[6];
        const char *signed_headers; /* what the client says */
        const char *token;
        const char *body;
        const char *signature;
} Vector;

static const char sts_token[] =
        "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeo"
        "IYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5V"
        "SXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yj"
        "c8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

static const Vector suite[] = {
        { "get-vanilla", "GET", "/", NULL, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "get-vanilla-empty-query-key", "GET", "/", "Param1=value1", { { 0 } }, "host;x-amz-date", NULL, NULL,
          "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb" },
        { "get-vanilla-query-order-key-case", "GET", "/", "Param2=value2&Param1=value1", { { 0 } }, "host;x-amz-date",
          NULL, NULL, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
        { "get-vanilla-query-order-encoded", "GET", "/", "Param-3=Value3&Param=Value2&%E1%88%B4=Value1", { { 0 } },
          "host;x-amz-date", NULL, NULL, "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac" },
        { "get-vanilla-query-unreserved", "GET", "/", LETTERS "=" LETTERS, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
        { "get-vanilla-utf8-query", "GET", "/", "\xe1\x88\xb4=bar", { { 0 } }, "host;x-amz-date", NULL, NULL,
          "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
        { "get-utf8", "GET", "/\xe1\x88\xb4", NULL, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
        { "get-unreserved", "GET", "/" LETTERS, NULL, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
        { "get-header-key-duplicate", "GET", "/", NULL,
          { { "my-header1", "value2" }, { "my-header1", "value2" }, { "my-header1", "value1" } },
          "host;my-header1;x-amz-date", NULL, NULL,
          "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },
        { "get-header-value-order", "GET", "/", NULL,
          { { "my-header1", "value4" }, { "my-header1", "value1" }, { "my-header1", "value3" },
            { "my-header1", "value2" } },
          "host;my-header1;x-amz-date", NULL, NULL,
          "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01" },
        { "get-header-value-trim", "GET", "/", NULL, { { "my-header1", " value1" },
                                                       { "my-header2", " \"a   b   c\"" } },
          "host;my-header1;my-header2;x-amz-date", NULL, NULL,
          "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
        { "get-relative-normalized", "GET", "/example/..", NULL, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "get-relative-relative-normalized", "GET", "/example1/example2/../..", NULL, { { 0 } },
          "host;x-amz-date", NULL,
          NULL, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "get-slash-normalized", "GET", "//", NULL, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "get-slash-dot-slash-normalized", "GET", "/./", NULL, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "get-slash-pointless-dot-normalized", "GET", "/./example", NULL, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5" },
        { "get-slashes-normalized", "GET", "//example//", NULL, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84" },
        { "get-space-normalized", "GET", "/example space/", NULL, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741" },
        { "get-vanilla-with-session-token", "GET", "/", NULL, { { 0 } }, "host;x-amz-date;x-amz-security-token",
          "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267", NULL,
          "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8" },
        { "post-vanilla", "POST", "/", NULL, { { 0 } }, "host;x-amz-date", NULL, NULL,
          "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
        { "post-vanilla-query", "POST", "/", "Param1=value1", { { 0 } }, "host;x-amz-date", NULL, NULL,
          "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11" },
        { "post-header-key-sort", "POST", "/", NULL, { { "my-header1", "value1" } }, "host;my-header1;x-amz-date", NULL,
          NULL, "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
        { "post-header-value-case", "POST", "/", NULL, { { "my-header1", "VALUE1" } },
          "host;my-header1;x-amz-date", NULL,
          NULL, "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },
        { "post-sts-header-before", "POST", "/", NULL, { { 0 } }, "host;x-amz-date;x-amz-security-token",
          sts_token, NULL,
          "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead" },
        { "post-x-www-form-urlencoded", "POST", "/", NULL,
          { { "content-type", "application/x-www-form-urlencoded" },
            { "content-length", "13" },
            { "x-amz-content-sha256", FORM_HASH } },
          "content-length;content-type;host;x-amz-content-sha256;x-amz-date", NULL, "Param1=value1",
          "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b" },
        { "post-x-www-form-urlencoded-parameters", "POST", "/", NULL,
          { { "content-type", "application/x-www-form-urlencoded; charset=utf-8" },
            { "content-length", "13" },
            { "x-amz-content-sha256", FORM_HASH } },
          "content-length;content-type;host;x-amz-content-sha256;x-amz-date", NULL, "Param1=value1",
          "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422" },
};

/* Of the first example the Range header is left out: nobody on the way may keep it. */
static const Vector s3[] = {
        { "put-object", "PUT", "/test$file.text", NULL,
          { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
            { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
            { "x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072" } },
          "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", NULL, "Welcome to Amazon S3.",
          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
        { "put-object-encoded", "PUT", "/test%24file.text", NULL,
          { { "date", "Fri, 24 May 2013 00:00:00 GMT" }, { "x-amz-storage-class", "REDUCED_REDUNDANCY" } },
          "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class", NULL, "Welcome to Amazon S3.",
          "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
        { "get-bucket-lifecycle", "GET", "/", "lifecycle", { { "x-amz-content-sha256", EMPTY_HASH } },
          "host;x-amz-content-sha256;x-amz-date", NULL, NULL,
          "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
        { "get-bucket", "GET", "/", "max-keys=2&prefix=J", { { 0 } }, "host;x-amz-content-sha256;x-amz-date",
          NULL, NULL,
          "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

/* ---- what a client sends, and the credential ---- */

typedef struct Case {
        EgressRequest request;
        HeaderField headers[12];
        size_t n;
        char authorization[400], credential[800];
        Slice body;
        uint64_t now;
        Sigv4 out;
} Case;

static void add_header(Case *c, const char *name, const char *value)
{
        c->headers[c->n++] = (HeaderField){ name, value };
        c->request.headers = (RecordList){ c->headers, c->n };
}

static void set_authorization(Case *c, const char *scope, const char *signed_headers)
{
        snprintf(c->authorization, sizeof(c->authorization),
                 "AWS4-HMAC-SHA256 Credential=\x01/%s, SignedHeaders=%s, Signature=" NOTHING_SIGNED, scope,
                         signed_headers);
}

/* Put together here, so that no scanner takes it for one. */
static void set_credential(Case *c, const char *id, bool s3_form, const char *token)
{
        snprintf(c->credential, sizeof(c->credential), "AKI%s:%s%c%s%s%s", id, "wJalrXUtnFEMI/K7MDENG",
                 s3_form ? '/' : '+',
                 "bPxRfiCYEXAMPLEKEY", token ? ":" : "", token ? token : "");
}

static void case_start(Case *c, const Vector *vector, bool is_s3)
{
        *c = (Case){ .now = is_s3 ? S3_NOW : SUITE_NOW };
        c->request = (EgressRequest){ .method = vector->method,
                                      .host = is_s3 ? "examplebucket.s3.amazonaws.com" : "example.amazonaws.com",
                                      .port = 443,
                                      .path = vector->path,
                                      .query = vector->query };
        for (size_t i = 0; vector->headers[i].name; i++)
                add_header(c, vector->headers[i].name, vector->headers[i].value);
        set_authorization(c, is_s3 ? S3_SCOPE : SUITE_SCOPE, vector->signed_headers);
        add_header(c, "authorization", c->authorization);
        add_header(c, "x-amz-date", is_s3 ? S3_DATE : SUITE_DATE);
        if (vector->token)
                add_header(c, "x-amz-security-token", "of-the-client");
        set_credential(c, is_s3 ? "AIOSFODNN7EXAMPLE" : "DEXAMPLE", is_s3, vector->token);
        c->body = slice_text(vector->body);
        if (vector->body)
                c->request.body = BODY_LENGTH;
        c->request.length = c->body.size;
}

static int case_sign(Case *c)
{
        Sigv4Credential credential;

        ck_assert_int_eq(sigv4_parse_credential(slice_text(c->credential), &credential), 0);
        return sigv4_sign(&c->request, &credential, c->now, c->body.data ? &c->body : NULL, &c->out);
}

/* A plain request, with its Authorization at 0 and its date at 1. */
static void plain_start(Case *c)
{
        static const Vector vector = { "plain", "GET", "/", NULL, { { 0 } }, "host;x-amz-date", NULL, NULL, NULL };

        case_start(c, &vector, false);
}

static void expect_plain(const char *what, Case *c, int expected)
{
        int r = case_sign(c);

        ck_assert_msg(r == expected, "%s: %d instead of %d", what, r, expected);
        sigv4_deinit(&c->out);
}

static void check_vectors(const Vector *vectors, size_t n, bool is_s3)
{
        for (size_t i = 0; i < n; i++) {
                char expected[600];
                Case c;

                case_start(&c, &vectors[i], is_s3);
                ck_assert_msg(case_sign(&c) == 0, "%s", vectors[i].name);
                snprintf(expected, sizeof(expected),
                         "AWS4-HMAC-SHA256 Credential=AKI%s/%s, SignedHeaders=%s, Signature=%s",
                         is_s3 ? "AIOSFODNN7EXAMPLE" : "DEXAMPLE", is_s3 ? S3_SCOPE : SUITE_SCOPE,
                         vectors[i].signed_headers, vectors[i].signature);
                ck_assert_msg(slice_is_text(buf_slice(&c.out.authorization), expected), "%s: %.*s\n%.*s",
                              vectors[i].name,
                              (int)c.out.authorization.size, (const char *)c.out.authorization.data,
                              (int)c.out.canonical.size, (const char *)c.out.canonical.data);
                ck_assert(slice_is_text(c.out.token, vectors[i].token ? vectors[i].token : ""));
                sigv4_deinit(&c.out);
        }
}

START_TEST(suite_of_aws_is_signed)
{
        check_vectors(suite, ARRAY_SIZE(suite), false);
}
END_TEST

START_TEST(examples_of_s3_are_signed)
{
        check_vectors(s3, ARRAY_SIZE(s3), true);
}
END_TEST

/* ---- what is taken from the client, and what is refused ---- */

START_TEST(scope_is_the_clients_and_strict)
{
        static const struct {
                const char *scope;
                int expected;
        } rows[] = {
                { SUITE_SCOPE, 0 },
                { "20150830/eu-central-1/execute-api/aws4_request", 0 },
                { "20150831/us-east-1/service/aws4_request", SIGV4_E_SCOPE }, /* another day than the request's */
                { "2015083/us-east-1/service/aws4_request", SIGV4_E_SCOPE },
                { "20150830/us-east-1/service/aws4_requests", SIGV4_E_SCOPE },
                { "20150830/us-east-1/service", SIGV4_E_SCOPE },
                { "20150830/us-east-1/service/aws4_request/more", SIGV4_E_SCOPE },
                { "20150830/us-east-1/service/aws4_request/", SIGV4_E_SCOPE },
                { "20150830//service/aws4_request", SIGV4_E_SCOPE },
                { "20150830/us east 1/service/aws4_request", SIGV4_E_SCOPE },
                { "20150830/US-EAST-1/service/aws4_request", SIGV4_E_SCOPE },
                { "20150830/us-east-1/../aws4_request", SIGV4_E_SCOPE },
                { "20150830/us-east-1/servic%65/aws4_request", SIGV4_E_SCOPE },
                { "20150830/us-east-1/sssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss/aws4_request",
                  SIGV4_E_SCOPE },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Case c;

                plain_start(&c);
                set_authorization(&c, rows[i].scope, "host;x-amz-date");
                expect_plain(rows[i].scope, &c, rows[i].expected);
        }
}
END_TEST

START_TEST(authorization_of_another_form_is_refused)
{
        static const char *const bad[] = {
                "",
                "AWS4-HMAC-SHA256",
                "AWS4-ECDSA-P256-SHA256 Credential=\x01/" SUITE_SCOPE ", SignedHeaders=host, Signature=" NOTHING_SIGNED,
                "AWS4-HMAC-SHA256 Credential=\x01/" SUITE_SCOPE ", SignedHeaders=host",
                "AWS4-HMAC-SHA256 Credential=\x01/" SUITE_SCOPE ", Signature=" NOTHING_SIGNED,
                "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=" NOTHING_SIGNED,
                "AWS4-HMAC-SHA256 Credential=\x01" "a/" SUITE_SCOPE ", SignedHeaders=host, Signature=" NOTHING_SIGNED,
                "AWS4-HMAC-SHA256 Credential=/" SUITE_SCOPE ", SignedHeaders=host, Signature=" NOTHING_SIGNED,
                "AWS4-HMAC-SHA256 Credential=a/" SUITE_SCOPE ", SignedHeaders=host, Signature=\x01",
                "AWS4-HMAC-SHA256 Credential=\x01/" SUITE_SCOPE ", SignedHeaders=Host, Signature=" NOTHING_SIGNED,
                "AWS4-HMAC-SHA256 Credential=\x01/" SUITE_SCOPE ", SignedHeaders=, Signature=" NOTHING_SIGNED,
                "AWS4-HMAC-SHA256 Credential=\x01/" SUITE_SCOPE ", SignedHeaders=host, Signature=" NOTHING_SIGNED "0",
                "AWS4-HMAC-SHA256 Credential=\x01/" SUITE_SCOPE ", SignedHeaders=host, Signature=" NOTHING_SIGNED
                ", More=1",
                "AWS4-HMAC-SHA256 Credential=\x01/" SUITE_SCOPE ", Credential=\x01/" SUITE_SCOPE
                ", SignedHeaders=host, Signature=" NOTHING_SIGNED,
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                Case c;

                plain_start(&c);
                c.headers[0].value = bad[i];
                expect_plain(bad[i], &c, SIGV4_E_AUTHORIZATION);
        }
}
END_TEST

START_TEST(authorization_without_spaces_is_taken)
{
        Case c;

        plain_start(&c);
        c.headers[0].value = "AWS4-HMAC-SHA256 Credential=\x01/" SUITE_SCOPE
                             ",SignedHeaders=host;x-amz-date,Signature=" NOTHING_SIGNED;
        expect_plain("no spaces", &c, 0);
}
END_TEST

START_TEST(every_cut_and_flip_of_the_authorization_is_refused_or_harmless)
{
        char text[sizeof(((Case *)0)->authorization)];
        Case c;

        plain_start(&c);
        snprintf(text, sizeof(text), "%s", c.authorization);
        for (size_t i = 0; text[i]; i++)
                for (unsigned bit = 0; bit < 7; bit++) {
                        int r;

                        snprintf(c.authorization, sizeof(c.authorization), "%s", text);
                        c.authorization[i] = (char)(text[i] ^ (1 << bit));
                        r = case_sign(&c);
                        ck_assert_int_ge(r, 0);
                        if (r == 0) /* whatever the client's scope was, it has its form */
                                ck_assert(memchr(c.out.authorization.data, SLOT_MARKER,
                                                 c.out.authorization.size) == NULL);
                        sigv4_deinit(&c.out);
                }
        for (size_t i = 0; text[i]; i++) {
                snprintf(c.authorization, sizeof(c.authorization), "%.*s", (int)i, text);
                ck_assert_int_gt(case_sign(&c), 0);
                sigv4_deinit(&c.out);
        }
}
END_TEST

START_TEST(date_is_kept_within_a_quarter_of_an_hour)
{
        static const struct {
                const char *date;
                int expected;
        } rows[] = {
                { SUITE_DATE, 0 },
                { "20150830T122100Z", 0 },
                { "20150830T122059Z", SIGV4_E_DATE },
                { "20150830T125100Z", 0 },
                { "20150830T125101Z", SIGV4_E_DATE },
                { "20140830T123600Z", SIGV4_E_DATE },
                { "20150830 123600Z", SIGV4_E_DATE },
                { "20150830T123600", SIGV4_E_DATE },
                { "20150830T126000Z", SIGV4_E_DATE },
                { "2015-08-30T12:36:00Z", SIGV4_E_DATE },
                { "", SIGV4_E_DATE },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Case c;

                plain_start(&c);
                c.headers[1].value = rows[i].date;
                expect_plain(rows[i].date, &c, rows[i].expected);
        }
}
END_TEST

START_TEST(date_is_made_where_there_is_none)
{
        Case c;

        plain_start(&c);
        c.request.headers.n = 1;
        ck_assert_int_eq(case_sign(&c), 0);
        ck_assert_str_eq(c.out.date, SUITE_DATE);
        sigv4_deinit(&c.out);
}
END_TEST

START_TEST(payload_hash_is_the_clients_or_of_the_body)
{
        static const struct {
                const char *told;
                int expected;
        } rows[] = {
                { EMPTY_HASH, 0 },
                { "UNSIGNED-PAYLOAD", 0 },
                { "STREAMING-UNSIGNED-PAYLOAD-TRAILER", 0 },
                { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", SIGV4_E_PAYLOAD },
                { "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", SIGV4_E_PAYLOAD },
                { "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", SIGV4_E_PAYLOAD },
                { "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855", SIGV4_E_PAYLOAD },
                { "e3b0", SIGV4_E_PAYLOAD },
                { "", SIGV4_E_PAYLOAD },
                { "required", SIGV4_E_PAYLOAD },
        };
        Case c;

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                plain_start(&c);
                c.request.body = BODY_STREAM;
                add_header(&c, "x-amz-content-sha256", rows[i].told);
                ck_assert(!sigv4_needs_body(&c.request));
                ck_assert_int_eq(case_sign(&c), rows[i].expected);
                if (rows[i].expected == 0)
                        ck_assert_str_eq(c.out.payload, rows[i].told);
                sigv4_deinit(&c.out);
        }
        plain_start(&c);
        ck_assert(!sigv4_needs_body(&c.request));
        c.request.body = BODY_STREAM;
        ck_assert(sigv4_needs_body(&c.request));
        expect_plain("no body given", &c, SIGV4_E_BODY);
        c.body = slice_text("Param1=value1");
        ck_assert_int_eq(case_sign(&c), 0);
        ck_assert_str_eq(c.out.payload, FORM_HASH);
        ck_assert(!c.out.send_payload);
        sigv4_deinit(&c.out);
}
END_TEST

START_TEST(presigned_is_refused)
{
        static const char *const queries[] = {
                "X-Amz-Signature=" NOTHING_SIGNED,
                "a=b&x-amz-signature=1",
                "X-Amz-Credential=x&X-Amz-Date=" SUITE_DATE,
                "X%2DAmz%2DSignature=1",
                "X-Amz-Security-Token",
                "AWSAccessKeyId=x&Signature=y&Expires=1",
        };

        for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
                Case c;

                plain_start(&c);
                c.request.query = queries[i];
                expect_plain(queries[i], &c, SIGV4_E_PRESIGNED);
        }
}
END_TEST

START_TEST(replaced_header_twice_is_refused)
{
        static const char *const names[] = { "authorization", "x-amz-date", "x-amz-content-sha256" };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                Case c;

                plain_start(&c);
                add_header(&c, "x-amz-content-sha256", EMPTY_HASH);
                add_header(&c, names[i], "x");
                expect_plain(names[i], &c, SIGV4_E_TWICE);
        }
}
END_TEST

START_TEST(what_others_change_is_not_signed_and_what_counts_is)
{
        static const char expected[] = "content-type;host;x-amz-date;x-amz-meta-a;x-custom";
        Case c;

        plain_start(&c);
        set_authorization(&c, SUITE_SCOPE, "accept-encoding;gone;host;range;user-agent;x-custom");
        add_header(&c, "accept-encoding", "identity");
        add_header(&c, "range", "bytes=0-9");
        add_header(&c, "user-agent", "aws-cli");
        add_header(&c, "x-custom", "1");
        add_header(&c, "x-other", "2");
        add_header(&c, "content-type", "a/b");
        add_header(&c, "x-amz-meta-a", "b");
        ck_assert_int_eq(case_sign(&c), 0);
        ck_assert(memmem(c.out.authorization.data, c.out.authorization.size, expected, strlen(expected)));
        sigv4_deinit(&c.out);
}
END_TEST

START_TEST(plus_is_a_space_on_both_sides)
{
        static const char line[] = "\na=x%20y%2Bz&b=\n";
        Case c;

        plain_start(&c);
        c.request.query = "b&a=x+y%2Bz";
        ck_assert_int_eq(case_sign(&c), 0);
        ck_assert_str_eq((const char *)c.out.query.data, "b&a=x%20y%2Bz");
        ck_assert(memmem(c.out.canonical.data, c.out.canonical.size, line, strlen(line)));
        sigv4_deinit(&c.out);
}
END_TEST

START_TEST(port_is_part_of_the_host)
{
        static const char line[] = "\nhost:example.amazonaws.com:8443\n";
        Case c;

        plain_start(&c);
        c.request.port = 8443;
        ck_assert_int_eq(case_sign(&c), 0);
        ck_assert(memmem(c.out.canonical.data, c.out.canonical.size, line, strlen(line)));
        sigv4_deinit(&c.out);
}
END_TEST

START_TEST(path_is_encoded_twice_but_for_s3)
{
        static const struct {
                const char *scope, *path, *line;
        } rows[] = {
                { SUITE_SCOPE, "/a%20b/c:d", "\n/a%2520b/c%3Ad\n" },
                { "20150830/us-east-1/s3/aws4_request", "/a%20b/c:d/%E1%88%B4", "\n/a%20b/c%3Ad/%E1%88%B4\n" },
                { "20150830/us-east-1/s3/aws4_request", "/a//b/../c", "\n/a//b/../c\n" },
                { "20150830/us-east-1/s3-outposts/aws4_request", "/a%20b%zz", "\n/a%20b%25zz\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                Case c;

                plain_start(&c);
                set_authorization(&c, rows[i].scope, "host");
                c.request.path = rows[i].path;
                ck_assert_int_eq(case_sign(&c), 0);
                ck_assert_msg(memmem(c.out.canonical.data, c.out.canonical.size, rows[i].line,
                                     strlen(rows[i].line)) != NULL,
                              "%.*s", (int)c.out.canonical.size, (const char *)c.out.canonical.data);
                sigv4_deinit(&c.out);
        }
}
END_TEST

START_TEST(credential_has_two_parts_or_three)
{
        static const char *const bad[] = { "",
                                           "abc",
                                           "AKIDEXAMPLE",
                                           "AKIDEXAMPLE:",
                                           "AKIDEXAMPLE:short",
                                           ":secretsecret",
                                           "AKID/EXAMPLE:secretsecret",
                                           "AKIDEXAMPLE:secret secret",
                                           "AKIDEXAMPLE:secretsecret:",
                                           "AKIDEXAMPLE:secretsecret:tok\nen12",
                                           "AKIDEXAMPLE:secretsecret:token en" };
        Sigv4Credential credential;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                ck_assert_msg(sigv4_parse_credential(slice_text(bad[i]), &credential) == SIGV4_E_CREDENTIAL,
                              "%s", bad[i]);
        ck_assert_int_eq(sigv4_parse_credential(slice_text("AKIDEXAMPLE:secretsecret:token/en:=="), &credential), 0);
        ck_assert(slice_is_text(credential.id, "AKIDEXAMPLE"));
        ck_assert(slice_is_text(credential.secret, "secretsecret"));
        ck_assert(slice_is_text(credential.token, "token/en:=="));
}
END_TEST

START_TEST(too_many_parameters_are_refused)
{
        char query[4097];
        Case c;

        plain_start(&c);
        for (size_t i = 0; i < sizeof(query); i++)
                query[i] = i % 2 ? '&' : 'a';
        query[sizeof(query) - 1] = '\0';
        c.request.query = query;
        expect_plain("2048 parameters", &c, SIGV4_E_TOO_LONG);
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("sigv4");

        tcase_add_test(tcase, suite_of_aws_is_signed);
        tcase_add_test(tcase, examples_of_s3_are_signed);
        tcase_add_test(tcase, scope_is_the_clients_and_strict);
        tcase_add_test(tcase, authorization_of_another_form_is_refused);
        tcase_add_test(tcase, authorization_without_spaces_is_taken);
        tcase_add_test(tcase, every_cut_and_flip_of_the_authorization_is_refused_or_harmless);
        tcase_add_test(tcase, date_is_kept_within_a_quarter_of_an_hour);
        tcase_add_test(tcase, date_is_made_where_there_is_none);
        tcase_add_test(tcase, payload_hash_is_the_clients_or_of_the_body);
        tcase_add_test(tcase, presigned_is_refused);
        tcase_add_test(tcase, replaced_header_twice_is_refused);
        tcase_add_test(tcase, what_others_change_is_not_signed_and_what_counts_is);
        tcase_add_test(tcase, plus_is_a_space_on_both_sides);
        tcase_add_test(tcase, port_is_part_of_the_host);
        tcase_add_test(tcase, path_is_encoded_twice_but_for_s3);
        tcase_add_test(tcase, credential_has_two_parts_or_three);
        tcase_add_test(tcase, too_many_parameters_are_refused);
        return suite_run("sigv4", tcase);
}
