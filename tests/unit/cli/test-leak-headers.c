#undef NDEBUG
#include "leak_headers.h"
#include "../base/suite.h"
#include <string.h>

static LeakHeaders headers;

static bool reads(const char *text)
{
        return leak_headers_read(leak_text_of(text), &headers);
}

START_TEST(names_count_in_any_case)
{
        ck_assert(reads("POST /hook HTTP/1.1\r\nHost: a\r\nX-HUB-SIGNATURE-256:  sha256=00 \r\nx-github-event: ping\r\n\r\n"
                        "timestamp: of the body\r\n"));
        ck_assert_str_eq(headers.hub_signature, "sha256=00");
        ck_assert_str_eq(headers.event, "ping");
        ck_assert_str_eq(headers.timestamp, "");
        ck_assert(reads("gitlab-public-key-identifier: k\nGitlab-Public-Key-Signature: s"));
        ck_assert_str_eq(headers.partner_key, "k");
        ck_assert_str_eq(headers.partner_signature, "s");
        ck_assert(reads("Gitguardian-Signature: sha256=1\nTimestamp: 17\n"));
        ck_assert_str_eq(headers.guardian_signature, "sha256=1");
        ck_assert_str_eq(headers.timestamp, "17");
        ck_assert(reads(""));
        ck_assert_str_eq(headers.hub_signature, "");
}
END_TEST

START_TEST(what_can_be_read_in_two_ways_is_refused)
{
        static char longer[2 * LEAK_HEADER_VALUE_MAX];

        ck_assert(!reads("Timestamp: 1\nTimestamp: 1\n"));
        ck_assert(!reads("Github-Public-Key-Identifier: a\nGitlab-Public-Key-Identifier: b\n"));
        ck_assert(!reads("Timestamp: 1\n 2\n"));
        ck_assert(!reads("Timestamp : 1\n"));
        ck_assert(!reads("no colon\n"));
        ck_assert(!reads(": value\n"));
        ck_assert(!reads("Timestamp:\n"));
        ck_assert(!reads("Timestamp: \x01\n"));
        ck_assert(!reads("Timestamp: \xc3\xa4\n"));
        memcpy(longer, "Timestamp: ", 11);
        memset(longer + 11, '1', LEAK_HEADER_VALUE_MAX);
        ck_assert(reads(longer));
        longer[11 + LEAK_HEADER_VALUE_MAX] = '1';
        ck_assert(!reads(longer));
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("headers");

        tcase_add_test(tcase, names_count_in_any_case);
        tcase_add_test(tcase, what_can_be_read_in_two_ways_is_refused);
        return suite_run("cli/leak_headers", tcase);
}
