#undef NDEBUG
#include "leak_report.h"
#include "../base/suite.h"
#include <stdlib.h>
#include <string.h>

typedef struct Seen {
        size_t n;
        char values[16][128];
        char place[128], rule[64];
        uint64_t line, number;
        bool is_line, blanked;
        int answer;
} Seen;

static Seen seen;
static LeakReport report;

static int see(void *userdata, const LeakFinding *finding)
{
        Seen *into = userdata;

        if (into->n < 16 && finding->value.size < 128) {
                memcpy(into->values[into->n], finding->value.data, finding->value.size);
                into->values[into->n][finding->value.size] = '\0';
        }
        into->n++;
        strncpy(into->place, finding->place ? finding->place : "", sizeof(into->place) - 1);
        strncpy(into->rule, finding->rule ? finding->rule : "", sizeof(into->rule) - 1);
        into->line = finding->line;
        into->number = finding->number;
        into->is_line = finding->is_line;
        into->blanked = finding->blanked;
        return into->answer;
}

static int read_as(LeakFormat format, LeakText text)
{
        seen = (Seen){ 0 };
        return leak_report_read(text, format, see, &seen, &report);
}

static int reads(const char *text)
{
        return read_as(LEAK_FORMAT_AUTO, leak_text_of(text));
}

#define GITLEAKS                                                                                                       \
        "[{\"RuleID\":\"r1\",\"Match\":\"a = 'one'\",\"Secret\":\"one\",\"File\":\"a/b.c\",\"StartLine\":12,\"Tags\":[]},\n" \
        " {\"RuleID\":\"r2\",\"Match\":\"REDACTED\",\"Secret\":\"REDACTED\",\"File\":\"c\",\"StartLine\":1},\n"             \
        " {\"RuleID\":\"r3\",\"Secret\":\"t\\u0077o\\n\",\"File\":\"d\"}]\n"
#define SARIF                                                                                                          \
        "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":" \
        "{\"name\":\"x\",\"rules\":[{\"id\":\"r\",\"results\":[1]}]}},\"results\":[{\"ruleId\":\"r\",\"locations\":[{"       \
        "\"physicalLocation\":{\"artifactLocation\":{\"uri\":\"src/x.c\"},\"region\":{\"startLine\":7,\"snippet\":{\"text\":" \
        "\"key = one\"}}}}]},{\"ruleId\":\"r\",\"locations\":[{\"physicalLocation\":{\"region\":{\"snippet\":{\"text\":"      \
        "\"REDACTED\"}}}}]},{\"ruleId\":\"r\",\"message\":{}}]},{\"results\":null}]}"
#define TRUFFLEHOG                                                                                                     \
        "{\"level\":\"info-0\",\"msg\":\"running source\"}\n"                                                           \
        "{\"SourceMetadata\":{\"Data\":{\"Git\":{\"file\":\"f.py\",\"line\":3,\"commit\":\"c\"}}},\"SourceID\":1,"           \
        "\"DetectorName\":\"Github\",\"DecoderName\":\"BASE64\",\"Verified\":true,\"Raw\":\"one\",\"RawV2\":\"two\"}\n\n"     \
        "{\"SourceMetadata\":null,\"DetectorName\":\"Github\",\"Raw\":\"\",\"RawV2\":\"two\"}\r\n"
#define PARTNER "[{\"source\":\"commit\",\"token\":\"some_token\",\"type\":\"some_type\",\"url\":\"https://example.com/base-repo-url/\"}]"
#define ALERT(action, validity)                                                                                        \
        "{\"action\":\"" action "\",\"alert\":{\"number\":42,\"secret_type\":\"kind\",\"validity\":\"" validity              \
        "\",\"html_url\":\"https://github.com/octo/hello/security/secret-scanning/42\"},\"repository\":{\"full_name\":"      \
        "\"octo/hello\"}}"
#define SECRETS "[{\"number\":1,\"secret_type\":\"kind\",\"secret\":\"one\",\"html_url\":\"https://github.com/o/r\"}]"
#define GUARDIAN                                                                                                       \
        "{\"source\":\"GitGuardian\",\"timestamp\":\"2022-06-20T07:45:32.930965Z\",\"action\":\"incident_triggered\","        \
        "\"incident\":{\"id\":31542,\"detector\":{\"name\":\"generic_password\"},\"secret_hash\":\"xxx\",\"gitguardian_url\":" \
        "\"https://dashboard.gitguardian.com/workspace/1/incidents/31542\"}}"
#define GITLAB                                                                                                         \
        "{\"version\":\"15.2.4\",\"vulnerabilities\":[{\"id\":\"1\",\"category\":\"secret_detection\",\"name\":\"n\","           \
        "\"raw_source_code_extract\":\"one\",\"scanner\":{\"id\":\"gitleaks\"},\"location\":{\"file\":\"a/b.py\",\"commit\":"     \
        "{\"sha\":\"0000000\"},\"start_line\":9},\"identifiers\":[{\"type\":\"gitleaks_rule_id\",\"value\":\"r1\"},"               \
        "{\"value\":\"r2\"}]},{\"raw_source_code_extract\":\"-----BEGIN RSA PRIVATE KEY-----\"},{\"category\":\"sast\","            \
        "\"name\":\"n\",\"raw_source_code_extract\":[\"two\\n\",\"thr\\u0065e\",4]},{\"category\":\"secret_detection\"}],"            \
        "\"scan\":{\"type\":\"secret_detection\"}}"
#define PLAIN "one\n\n  two \r\n-----BEGIN X KEY-----\nAAAA\n-----END X KEY-----\nK=\"-----BEGIN Y KEY-----\nB\n-----END Y KEY-----\"\nlast"

#define PEM "-----BEGIN X KEY-----\nAAAA\n-----END X KEY-----"

static const char *const samples[] = { GITLEAKS, SARIF, TRUFFLEHOG, PARTNER, ALERT("created", "active"), SECRETS, GUARDIAN, GITLAB,
                                       PLAIN };

START_TEST(gitleaks)
{
        ck_assert_int_eq(reads(GITLEAKS), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_GITLEAKS);
        ck_assert_uint_eq(report.findings, 3);
        ck_assert_uint_eq(report.redacted, 1);
        ck_assert_uint_eq(seen.n, 2);
        ck_assert_str_eq(seen.values[0], "one");
        ck_assert_str_eq(seen.values[1], "two\n");
        ck_assert_uint_eq(seen.number, 3);
        ck_assert_str_eq(seen.rule, "r3");
        ck_assert_str_eq(seen.place, "d");
        ck_assert_int_eq(reads(" [ ] "), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_GITLEAKS);
        ck_assert_uint_eq(report.findings, 0);
}
END_TEST

START_TEST(sarif)
{
        ck_assert_int_eq(reads(SARIF), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_SARIF);
        ck_assert_uint_eq(report.findings, 3);
        ck_assert_uint_eq(report.missing, 1);
        ck_assert_uint_eq(seen.n, 2);
        ck_assert_str_eq(seen.values[0], "key = one");
        ck_assert_str_eq(seen.values[1], "REDACTED");
        ck_assert(seen.is_line && seen.blanked);
        ck_assert_int_eq(reads("{\"runs\":[{\"results\":[{\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":"
                               "\"src/x.c\"},\"region\":{\"startLine\":7},\"contextRegion\":{\"snippet\":{\"text\":\"a b\"}}}}]}]}]}"), 0);
        ck_assert_str_eq(seen.values[0], "a b");
        ck_assert_str_eq(seen.place, "src/x.c");
        ck_assert_uint_eq(seen.line, 7);
}
END_TEST

START_TEST(trufflehog)
{
        ck_assert_int_eq(reads(TRUFFLEHOG), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_TRUFFLEHOG);
        ck_assert_uint_eq(report.findings, 2);
        ck_assert_uint_eq(seen.n, 2);
        ck_assert_str_eq(seen.values[0], "one");
        ck_assert_str_eq(seen.values[1], "two");
        ck_assert_int_eq(reads(TRUFFLEHOG "{\"Raw\":\"cut"), LEAK_E_INVALID);
        ck_assert_str_eq(report.problem, "line 5 is no JSON object, or is cut short");
}
END_TEST

/* Whoever is told that there is nothing in it does nothing. */
START_TEST(a_report_under_a_wrong_name_is_refused_and_not_empty)
{
        ck_assert_int_eq(read_as(LEAK_FORMAT_TRUFFLEHOG, leak_text_of(SARIF)), LEAK_E_INVALID);
        ck_assert_str_eq(report.problem, "line 1 is neither a finding nor a line of trufflehog's log");
        ck_assert_int_eq(read_as(LEAK_FORMAT_SARIF, leak_text_of("{\"level\":\"info-0\",\"msg\":\"x\"}")), LEAK_E_INVALID);
        ck_assert_str_eq(report.problem, "there is no \"runs\" in it");
}
END_TEST

START_TEST(partner)
{
        ck_assert_int_eq(reads(PARTNER), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_PARTNER);
        ck_assert_str_eq(seen.values[0], "some_token");
        ck_assert_str_eq(seen.rule, "some_type");
}
END_TEST

START_TEST(github_secrets)
{
        ck_assert_int_eq(reads(SECRETS), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_GITHUB_SECRETS);
        ck_assert_str_eq(seen.values[0], "one");
        ck_assert_int_eq(reads("{\"secret\":\"two\",\"secret_type\":\"k\"}"), 0);
        ck_assert_str_eq(seen.values[0], "two");
}
END_TEST

static bool alert_acts(const char *text)
{
        ck_assert_int_eq(reads(text), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_GITHUB_ALERT);
        ck_assert(report.notice.present);
        ck_assert_uint_eq(report.findings, 0);
        ck_assert_uint_eq(report.notice.number, 42);
        return report.notice.acts;
}

START_TEST(github_alerts_have_no_value_and_some_ask_for_nothing)
{
        ck_assert(alert_acts(ALERT("created", "unknown")));
        ck_assert_str_eq(report.notice.repository, "octo/hello");
        ck_assert_str_eq(report.notice.kind, "kind");
        ck_assert(alert_acts(ALERT("publicly_leaked", "active")));
        ck_assert(alert_acts(ALERT("reopened", "active")));
        ck_assert(alert_acts(ALERT("validated", "active")));
        ck_assert(!alert_acts(ALERT("validated", "inactive")));
        ck_assert(!alert_acts(ALERT("resolved", "active")));
        ck_assert(!alert_acts(ALERT("assigned", "active")));
        ck_assert(!alert_acts(ALERT("unassigned", "active")));
        /* A name that would do something in a shell is not shown. */
        ck_assert_int_eq(reads("{\"action\":\"created\",\"alert\":{\"number\":1,\"html_url\":\"https://a/$(b)\"},\"repository\":{"
                               "\"full_name\":\"o/r;id\"}}"), 0);
        ck_assert_str_eq(report.notice.repository, "");
        ck_assert_str_eq(report.notice.url, "");
        ck_assert_int_eq(reads("{\"action\":\"created\",\"alert\":7}"), LEAK_E_INVALID);
}
END_TEST

START_TEST(gitguardian)
{
        ck_assert_int_eq(reads(GUARDIAN), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_GITGUARDIAN);
        ck_assert(report.notice.acts);
        ck_assert_uint_eq(report.notice.number, 31542);
        ck_assert_str_eq(report.notice.url, "https://dashboard.gitguardian.com/workspace/1/incidents/31542");
        ck_assert_int_eq(reads("{\"source\":\"GitGuardian\",\"action\":\"incident_resolved\",\"incident\":{\"id\":1}}"), 0);
        ck_assert(!report.notice.acts);
        ck_assert_int_eq(reads("{\"policy\":\"p\",\"gitguardian_link\":\"https://a/b\",\"matches\":[{\"match\":\"one\",\"type\":\"t\"}]}"), 0);
        ck_assert_str_eq(seen.values[0], "one");
}
END_TEST

/* What GitLab's own analyzer writes of a key in PEM is its first line: no value, and no all-clear. */
START_TEST(gitlab)
{
        ck_assert_int_eq(reads(GITLAB), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_GITLAB);
        ck_assert_uint_eq(report.findings, 6);
        ck_assert_uint_eq(report.missing, 2);
        ck_assert_uint_eq(seen.n, 4);
        ck_assert_str_eq(seen.values[0], "one");
        ck_assert_str_eq(seen.values[2], "two\n");
        ck_assert_str_eq(seen.values[3], "three");
        ck_assert_str_eq(seen.rule, "n");
        ck_assert_str_eq(seen.place, "");
        ck_assert(seen.is_line && !seen.blanked);

        ck_assert_int_eq(reads("{\"scan\":{},\"vulnerabilities\":[],\"version\":\"15.0.0\"}"), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_GITLAB);
        ck_assert_uint_eq(report.findings, 0);
}
END_TEST

START_TEST(gitlabs_findings_have_a_rule_and_a_place)
{
        seen = (Seen){ .answer = 99 }; /* the first one alone */
        ck_assert_int_eq(leak_report_read(leak_text_of(GITLAB), LEAK_FORMAT_AUTO, see, &seen, &report), 99);
        ck_assert_str_eq(seen.rule, "r1");
        ck_assert_str_eq(seen.place, "a/b.py");
        ck_assert_uint_eq(seen.line, 9);
}
END_TEST

START_TEST(plain_tokens_and_keys)
{
        ck_assert_int_eq(reads(PLAIN), 0);
        ck_assert_int_eq(report.format, LEAK_FORMAT_PLAIN);
        ck_assert_uint_eq(seen.n, 5);
        ck_assert_str_eq(seen.values[2], "-----BEGIN X KEY-----\nAAAA\n-----END X KEY-----");
        ck_assert_str_eq(seen.values[3], "-----BEGIN Y KEY-----\nB\n-----END Y KEY-----");
        ck_assert_str_eq(seen.values[4], "last");
        ck_assert_uint_eq(seen.line, 10);
        ck_assert_int_eq(reads(""), 0);
        ck_assert_uint_eq(report.findings, 0);
        ck_assert_int_eq(reads("\xef\xbb\xbfone"), 0);
        ck_assert_str_eq(seen.values[0], "one");
        ck_assert(!seen.blanked);
}
END_TEST

/* Three dots behind a sentence are no reason to overlook the token in it. */
START_TEST(a_line_with_something_blanked_is_looked_at)
{
        static const char *const lines[] = { "REDACTED", "it was one, and now ...", "/****** one ******/" };

        for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
                ck_assert_int_eq(reads(lines[i]), 0);
                ck_assert_uint_eq(report.redacted, 0);
                ck_assert_uint_eq(seen.n, 1);
                ck_assert(seen.blanked);
                ck_assert_str_eq(seen.values[0], lines[i]);
        }
}
END_TEST

/* It may be a value as well. */
START_TEST(what_stands_beside_a_block_is_looked_at_too)
{
        ck_assert_int_eq(reads("A=in_front B=\"" PEM "\", C=behind_it\n" PEM ";\nlast"), 0);
        ck_assert_uint_eq(seen.n, 5);
        ck_assert_str_eq(seen.values[0], "A=in_front B=\"");
        ck_assert_str_eq(seen.values[1], PEM);
        ck_assert_str_eq(seen.values[2], "\", C=behind_it");
        ck_assert_str_eq(seen.values[3], PEM);
        ck_assert_str_eq(seen.values[4], "last");
        ck_assert_uint_eq(seen.line, 7);
        ck_assert_int_eq(reads("-----BEGIN " PEM "\n"), 0);
        ck_assert_str_eq(seen.values[seen.n - 1], PEM);
}
END_TEST

/* Each of them once was searched to the end of the report. */
START_TEST(what_begins_blocks_and_ends_none_costs_its_length)
{
        static const char line[] = "-----BEGIN \n", end[] = "-----END \n";
        size_t n = 400000, size = n * strlen(line);
        char *text = malloc(size + sizeof(end));

        ck_assert_ptr_nonnull(text);
        for (size_t i = 0; i < n; i++)
                memcpy(text + i * strlen(line), line, strlen(line));
        memcpy(text + size, end, sizeof(end));
        ck_assert_int_eq(read_as(LEAK_FORMAT_PLAIN, leak_text(text, size)), 0);
        ck_assert_uint_eq(report.findings, n);
        ck_assert_int_eq(read_as(LEAK_FORMAT_PLAIN, leak_text(text, size + strlen(end))), 0);
        ck_assert_uint_eq(report.findings, n + 1);
        free(text);
}
END_TEST

/* No value would be found in it, and that would look like an all-clear. */
START_TEST(utf_16_is_refused)
{
        ck_assert_int_eq(read_as(LEAK_FORMAT_AUTO, leak_text("\xff\xfeo\0n\0e\0", 8)), LEAK_E_INVALID);
        ck_assert_int_eq(read_as(LEAK_FORMAT_PLAIN, leak_text("\xfe\xff\0o\0n\0e", 8)), LEAK_E_INVALID);
        ck_assert_ptr_nonnull(strstr(report.problem, "UTF-16"));
}
END_TEST

START_TEST(what_is_cut_or_unknown_is_refused)
{
        static const char *const bad[] = { "{", "[", "{}", "{\"a\":1}", "[1]", "[{\"a\":1}]", GITLEAKS "x", "[{\"RuleID\":1,\"Secret\":2},]" };

        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                ck_assert_msg(reads(bad[i]) == LEAK_E_INVALID, "%s", bad[i]);
                ck_assert(report.problem[0]);
        }
        ck_assert_int_eq(read_as(LEAK_FORMAT_PLAIN, leak_text_of("{\"a\":1}")), 0);
        ck_assert_int_eq(read_as(LEAK_FORMAT_SARIF, leak_text_of(GITLEAKS)), LEAK_E_INVALID);
        ck_assert_int_eq(read_as(LEAK_FORMAT_GITLEAKS, leak_text_of("one")), LEAK_E_INVALID);
        ck_assert_int_eq(read_as(LEAK_FORMAT_SARIF, leak_text_of("{\"run\":[]}")), LEAK_E_INVALID);
        ck_assert_int_eq(read_as(LEAK_FORMAT_GITLAB, leak_text_of("{\"version\":\"1\"}")), LEAK_E_INVALID);
        ck_assert_int_eq(read_as(LEAK_FORMAT_GITLAB, leak_text_of("{\"vulnerabilities\":{}}")), LEAK_E_INVALID);
}
END_TEST

START_TEST(a_finding_that_cannot_be_read_costs_no_other)
{
        ck_assert_int_eq(reads("[{\"RuleID\":\"a\",\"Secret\":\"one\"},{\"Secret\":\"x\",\"Secret\":\"y\"},{\"Secret\":tru},7,"
                               "{\"RuleID\":\"a\",\"Secret\":\"two\"}]"), 0);
        ck_assert_uint_eq(report.unreadable, 3);
        ck_assert_uint_eq(seen.n, 2);
        ck_assert_uint_eq(seen.number, 5);
}
END_TEST

START_TEST(nesting_is_bounded)
{
        static char deep[2 * 200000 + 64];
        size_t n = 200000;

        memset(deep, '[', n);
        memset(deep + n, ']', n);
        ck_assert_int_eq(read_as(LEAK_FORMAT_AUTO, leak_text(deep, 2 * n)), LEAK_E_INVALID);
        ck_assert_int_eq(read_as(LEAK_FORMAT_GITLEAKS, leak_text(deep, n)), LEAK_E_INVALID);
}
END_TEST

START_TEST(the_sink_can_stop_it)
{
        seen = (Seen){ .answer = 99 };
        ck_assert_int_eq(leak_report_read(leak_text_of(GITLEAKS), LEAK_FORMAT_AUTO, see, &seen, &report), 99);
        ck_assert_uint_eq(seen.n, 1);
}
END_TEST

START_TEST(formats_have_names)
{
        LeakFormat format;

        for (unsigned i = 0; i < _LEAK_FORMAT_N; i++) {
                ck_assert(leak_format_find(leak_format_names[i], &format));
                ck_assert_int_eq(format, i);
        }
        ck_assert(!leak_format_find("nothing", &format));
}
END_TEST

/* In memory of just its size, so that a sanitizer sees a byte too many; as what it is said to be, and as what it looks like. */
static void survive(const char *text, size_t size, LeakFormat format)
{
        char *copy = leak_scratch(size);

        memcpy(copy, text, size);
        (void)read_as(LEAK_FORMAT_AUTO, leak_text(copy, size));
        (void)read_as(format, leak_text(copy, size));
        leak_scratch_free(copy, size);
}

START_TEST(every_cut_and_flip_is_survived)
{
        char text[2048];

        for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
                size_t size = strlen(samples[i]);
                LeakFormat format;

                ck_assert_uint_lt(size, sizeof(text));
                memcpy(text, samples[i], size);
                (void)reads(samples[i]);
                format = report.format;
                for (size_t cut = 0; cut < size; cut++)
                        survive(text, cut, format);
                for (size_t bit = 0; bit < 8 * size; bit++) {
                        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
                        survive(text, size, format);
                        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
                }
        }
}
END_TEST

/* A report that is cut short is not one with fewer findings. */
START_TEST(a_json_report_that_is_cut_is_refused)
{
        for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++) {
                if (*samples[i] == 'o' || samples[i][2] == 'l')
                        continue; /* lines */
                for (size_t cut = 1; samples[i][cut] && samples[i][cut + 1] && samples[i][cut + 1] != '\n'; cut++)
                        ck_assert_msg(read_as(LEAK_FORMAT_AUTO, leak_text(samples[i], cut)) == LEAK_E_INVALID, "%.*s", (int)cut,
                                      samples[i]);
        }
}
END_TEST

int main(void)
{
        TCase *tcase = tcase_create("report");

        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, gitleaks);
        tcase_add_test(tcase, sarif);
        tcase_add_test(tcase, trufflehog);
        tcase_add_test(tcase, a_report_under_a_wrong_name_is_refused_and_not_empty);
        tcase_add_test(tcase, partner);
        tcase_add_test(tcase, github_secrets);
        tcase_add_test(tcase, github_alerts_have_no_value_and_some_ask_for_nothing);
        tcase_add_test(tcase, gitguardian);
        tcase_add_test(tcase, gitlab);
        tcase_add_test(tcase, gitlabs_findings_have_a_rule_and_a_place);
        tcase_add_test(tcase, plain_tokens_and_keys);
        tcase_add_test(tcase, what_stands_beside_a_block_is_looked_at_too);
        tcase_add_test(tcase, what_begins_blocks_and_ends_none_costs_its_length);
        tcase_add_test(tcase, utf_16_is_refused);
        tcase_add_test(tcase, a_line_with_something_blanked_is_looked_at);
        tcase_add_test(tcase, what_is_cut_or_unknown_is_refused);
        tcase_add_test(tcase, a_finding_that_cannot_be_read_costs_no_other);
        tcase_add_test(tcase, nesting_is_bounded);
        tcase_add_test(tcase, the_sink_can_stop_it);
        tcase_add_test(tcase, formats_have_names);
        tcase_add_test(tcase, every_cut_and_flip_is_survived);
        tcase_add_test(tcase, a_json_report_that_is_cut_is_refused);
        return suite_run("cli/leak_report", tcase);
}
