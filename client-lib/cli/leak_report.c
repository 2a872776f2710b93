#include "leak_report.h"
#include "leak_candidates.h"
#include "leak_json.h"
#include "leak_notice.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const leak_format_names[_LEAK_FORMAT_N] = {
        [LEAK_FORMAT_AUTO] = "auto",
        [LEAK_FORMAT_PLAIN] = "plain",
        [LEAK_FORMAT_GITLEAKS] = "gitleaks",
        [LEAK_FORMAT_SARIF] = "sarif",
        [LEAK_FORMAT_TRUFFLEHOG] = "trufflehog",
        [LEAK_FORMAT_PARTNER] = "partner",
        [LEAK_FORMAT_GITHUB_ALERT] = "github-alert",
        [LEAK_FORMAT_GITHUB_SECRETS] = "github-secrets",
        [LEAK_FORMAT_GITGUARDIAN] = "gitguardian",
        [LEAK_FORMAT_GITLAB] = "gitlab",
};

bool leak_format_find(const char *name, LeakFormat *ret)
{
        for (unsigned i = 0; i < _LEAK_FORMAT_N; i++)
                if (strcmp(leak_format_names[i], name) == 0) {
                        *ret = (LeakFormat)i;
                        return true;
                }
        return false;
}

typedef struct Reader {
        LeakReport *report;
        LeakSink sink;
        void *userdata;
} Reader;

static int invalid(Reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int invalid(Reader *reader, const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)vsnprintf(reader->report->problem, sizeof(reader->report->problem), format, args);
        va_end(args);
        return LEAK_E_INVALID;
}

static int give(Reader *reader, const LeakFinding *finding)
{
        LeakReport *report = reader->report;
        LeakFinding numbered = *finding;

        if (report->findings == LEAK_FINDINGS_MAX)
                return LEAK_E_TOO_MANY;
        report->findings++;
        if (leak_text_trim(finding->value).size == 0) {
                report->missing++;
                return 0;
        }
        numbered.blanked = leak_is_redacted(finding->value);
        if (numbered.blanked && !finding->is_line) {
                report->redacted++;
                return 0;
        }
        numbered.number = report->findings;
        return reader->sink(reader->userdata, &numbered);
}

/* ---- one element each ---- */

static LeakText first_of(LeakText a, LeakText b)
{
        return a.size > 0 ? a : b;
}

static int read_gitleaks(Reader *reader, const json_t *element)
{
        const LeakFinding finding = {
                .value = first_of(leak_json_text(element, "Secret"), leak_json_text(element, "Match")),
                .context = leak_json_text(element, "Match"),
                .rule = leak_json_string(element, "RuleID"),
                .place = leak_json_string(element, "File"),
                .line = leak_json_number(element, "StartLine"),
        };

        return give(reader, &finding);
}

/* {"Data":{"Git":{"file":...,"line":...}}}, whatever the source is called. */
static const json_t *trufflehog_source(const json_t *element)
{
        json_t *data = json_object_get(json_object_get(element, "SourceMetadata"), "Data");

        return json_object_iter_value(json_object_iter(data));
}

static int read_trufflehog(Reader *reader, const json_t *element)
{
        const json_t *source = trufflehog_source(element);
        const LeakFinding finding = {
                .value = first_of(leak_json_text(element, "Raw"), leak_json_text(element, "RawV2")),
                .context = leak_json_text(element, "RawV2"),
                .rule = leak_json_string(element, "DetectorName"),
                .place = leak_json_string(source, "file") ? leak_json_string(source, "file") : leak_json_string(source, "link"),
                .line = leak_json_number(source, "line"),
        };

        return give(reader, &finding);
}

static int read_partner(Reader *reader, const json_t *element)
{
        const LeakFinding finding = {
                .value = leak_json_text(element, "token"),
                .rule = leak_json_string(element, "type"),
                .place = leak_json_string(element, "url"),
        };

        return give(reader, &finding);
}

static int read_github_secret(Reader *reader, const json_t *element)
{
        const LeakFinding finding = {
                .value = leak_json_text(element, "secret"),
                .rule = leak_json_string(element, "secret_type"),
                .place = leak_json_string(element, "html_url"),
        };

        return give(reader, &finding);
}

static int read_gitguardian_match(Reader *reader, const json_t *element)
{
        const LeakFinding finding = { .value = leak_json_text(element, "match"),
                                      .rule = leak_json_string(element, "type") };

        return give(reader, &finding);
}

static int read_extract(Reader *reader, const json_t *element, LeakText extract)
{
        const char *rule = leak_json_string(json_array_get(json_object_get(element, "identifiers"), 0), "value");
        const json_t *location = json_object_get(element, "location");
        const LeakFinding finding = {
                .value = extract,
                .is_line = true, /* of GitLab's own analyzer it is the value alone */
                .rule = rule ? rule : leak_json_string(element, "name"),
                .place = leak_json_string(location, "file"),
                .line = leak_json_number(location, "start_line"),
        };

        return give(reader, &finding);
}

/* The schema has one text; semgrep and its descendants write an array of lines. What the category is does not matter: a
 * value is no less leaked for it. */
static int read_vulnerability(Reader *reader, const json_t *element)
{
        static const char name[] = "raw_source_code_extract";
        const json_t *lines = json_object_get(element, name);
        int r = 0;

        if (json_array_size(lines) == 0)
                return read_extract(reader, element, leak_json_text(element, name));
        for (size_t i = 0; r == 0 && i < json_array_size(lines); i++)
                r = read_extract(reader, element, leak_json_item(lines, i));
        return r;
}

typedef int (*ReadElement)(Reader *reader, const json_t *element);

/* A value that is not what it should be is one finding that cannot be read, which is said, and the others count. */
static int read_element(Reader *reader, LeakText text, ReadElement read)
{
        json_t *element = leak_json_parse(text);
        int r = 0;

        if (json_is_object(element)) {
                r = read(reader, element);
        } else if (reader->report->findings == LEAK_FINDINGS_MAX) {
                r = LEAK_E_TOO_MANY;
        } else {
                reader->report->findings++;
                reader->report->unreadable++;
        }
        json_decref(element);
        return r;
}

static int read_array(Reader *reader, LeakText value, ReadElement read)
{
        LeakText key, element;
        LeakItems items;
        int more = 1, r = 0;

        if (!leak_json_array(&items, value))
                return invalid(reader, "an array is expected");
        while (r == 0 && (more = leak_json_next(&items, &key, &element)) > 0)
                r = read_element(reader, element, read);
        return r == 0 && more < 0 ? invalid(reader, "its array is not JSON behind finding %llu",
                                            (unsigned long long)reader->report->findings)
                                  : r;
}

/* ---- SARIF ---- */

static int read_location(Reader *reader, const json_t *result, const json_t *location)
{
        const json_t *physical = json_object_get(location, "physicalLocation");
        const json_t *region = json_object_get(physical, "region");
        const json_t *context = json_object_get(physical, "contextRegion");
        const LeakFinding finding = {
                .value = first_of(leak_json_text(json_object_get(region, "snippet"), "text"),
                                  leak_json_text(json_object_get(context, "snippet"), "text")),
                .is_line = true, /* of some tools it is the value alone */
                .rule = leak_json_string(result, "ruleId"),
                .place = leak_json_string(json_object_get(physical, "artifactLocation"), "uri"),
                .line = leak_json_number(region, "startLine"),
        };

        return give(reader, &finding);
}

static int read_result(Reader *reader, const json_t *result)
{
        const json_t *locations = json_object_get(result, "locations");
        int r = 0;

        if (json_array_size(locations) == 0)
                return give(reader, &(LeakFinding){ .rule = leak_json_string(result, "ruleId") });
        for (size_t i = 0; r == 0 && i < json_array_size(locations); i++)
                r = read_location(reader, result, json_array_get(locations, i));
        return r;
}

/* Calls `read` for each member of that name. */
static int each_member(Reader *reader, LeakText object, const char *name, int (*read)(Reader *reader, LeakText value))
{
        LeakText key, value;
        LeakItems items;
        int more = 1, r = 0;

        if (!leak_json_object(&items, object))
                return invalid(reader, "an object is expected");
        while (r == 0 && (more = leak_json_next(&items, &key, &value)) > 0)
                if (leak_text_is(key, name))
                        r = read(reader, value);
        return r == 0 && more < 0 ? invalid(reader, "it is not JSON") : r;
}

static int read_results(Reader *reader, LeakText value)
{
        return leak_text_is(value, "null") ? 0 : read_array(reader, value, read_result);
}

static int read_runs(Reader *reader, LeakText value)
{
        LeakText key, run;
        LeakItems items;
        int more = 1, r = 0;

        if (!leak_json_array(&items, value))
                return invalid(reader, "\"runs\" is no array");
        while (r == 0 && (more = leak_json_next(&items, &key, &run)) > 0)
                r = each_member(reader, run, "results", read_results);
        return r == 0 && more < 0 ? invalid(reader, "\"runs\" is not JSON") : r;
}

/* ---- whole reports ---- */

static bool has_key(LeakText object, const char *name)
{
        LeakText key, value;
        LeakItems items;

        if (!leak_json_object(&items, object))
                return false;
        while (leak_json_next(&items, &key, &value) > 0)
                if (leak_text_is(key, name))
                        return true;
        return false;
}

/* The one value that the text is. */
static int take_whole(Reader *reader, LeakText text, LeakText *ret)
{
        if (!leak_json_take(&text, ret))
                return invalid(reader, "it is cut short, is not JSON, or is nested too deeply");
        return leak_text_trim(text).size > 0 ? invalid(reader, "there is something behind its end") : 0;
}

static int read_array_report(Reader *reader, LeakText text, ReadElement read)
{
        LeakText value;
        int r = take_whole(reader, text, &value);

        return r ? r : read_array(reader, value, read);
}

/* An object that has its findings in one of its members. */
static int read_object_report(Reader *reader, LeakText text, const char *name, int (*read)(Reader *reader, LeakText value))
{
        LeakText value;
        int r = take_whole(reader, text, &value);

        if (r == 0 && !has_key(value, name))
                r = invalid(reader, "there is no \"%s\" in it", name);
        return r ? r : each_member(reader, value, name, read);
}

/* What the tool logs, which it can be told to write to the same stream. */
static bool is_log_line(LeakText object)
{
        return has_key(object, "level") && has_key(object, "msg");
}

/* One object a line. */
static int read_trufflehog_lines(Reader *reader, LeakText text)
{
        LeakText line;
        uint64_t number = 0;
        int r = 0;

        while (r == 0 && leak_text_line(&text, &line)) {
                LeakText value;

                number++;
                line = leak_text_trim(line);
                if (line.size == 0)
                        continue;
                r = take_whole(reader, line, &value);
                if (r)
                        return invalid(reader, "line %llu is no JSON object, or is cut short", (unsigned long long)number);
                if (has_key(value, "Raw") || has_key(value, "DetectorName"))
                        r = read_element(reader, value, read_trufflehog);
                else if (!is_log_line(value))
                        return invalid(reader, "line %llu is neither a finding nor a line of trufflehog's log",
                                       (unsigned long long)number);
        }
        return r;
}

static int read_github_secrets(Reader *reader, LeakText text)
{
        LeakText value;
        int r = take_whole(reader, text, &value);

        if (r)
                return r;
        return *value.data == '[' ? read_array(reader, value, read_github_secret)
                                  : read_element(reader, value, read_github_secret);
}

static int read_matches(Reader *reader, LeakText value)
{
        return read_array(reader, value, read_gitguardian_match);
}

static int read_vulnerabilities(Reader *reader, LeakText value)
{
        return read_array(reader, value, read_vulnerability);
}

static int read_notice(Reader *reader, LeakText text, bool (*fill)(const json_t *, LeakNotice *))
{
        LeakText value;
        json_t *tree;
        int r = take_whole(reader, text, &value);

        if (r)
                return r;
        tree = leak_json_parse(value);
        if (!tree || !fill(tree, &reader->report->notice))
                r = invalid(reader, "it is not JSON, or lacks what such a webhook has");
        json_decref(tree);
        return r;
}

static int read_gitguardian(Reader *reader, LeakText text)
{
        int r = read_notice(reader, text, leak_notice_gitguardian);

        return r ? r : each_member(reader, leak_text_trim(text), "matches", read_matches);
}

/*
 * A PEM block is one value over many lines. Returns its size, 0: there is none at the front, or it is longer than a value can
 * be. No row of dashes stands between its marks, so what begins blocks without end is not searched to its end for each.
 */
static size_t pem_size(LeakText text)
{
        static const char begin[] = "-----BEGIN ", footer[] = "-----END ", row[] = "-----";
        size_t at = strlen(begin);

        if (!leak_text_begins(text, begin))
                return 0;
        at += leak_text_find(leak_text_skip(text, at), row) + strlen(row);
        at += leak_text_find(leak_text_skip(text, at), row);
        if (!leak_text_begins(leak_text_skip(text, at), footer))
                return 0;
        at += strlen(footer);
        at += leak_text_find(leak_text_skip(text, at), row) + strlen(row);
        return at <= text.size && at <= LEAK_VALUE_MAX ? at : 0;
}

/* Where the first block of this line begins, and its size; line.size: there is none. */
static size_t find_pem(LeakText text, LeakText line, size_t *ret_size)
{
        for (size_t at = 0; at < line.size; at++) {
                at += leak_text_find(leak_text_skip(line, at), "-----BEGIN ");
                *ret_size = at < line.size ? pem_size(leak_text_skip(text, at)) : 0;
                if (*ret_size > 0)
                        return at;
        }
        return line.size;
}

static bool may_hold_value(LeakText text)
{
        return leak_text_trim(text).size >= LEAK_RUN_MIN;
}

/* The next line, or a block that begins in it, and moves behind it. What stands beside a block is looked at too. */
static LeakText take_part(LeakText *text)
{
        LeakText start = *text, line, behind;
        size_t pem = 0, at;

        (void)leak_text_line(text, &line);
        at = find_pem(start, line, &pem);
        if (at == line.size)
                return line;
        if (may_hold_value(leak_text(start.data, at))) {
                *text = leak_text_skip(start, at);
                return leak_text(start.data, at);
        }
        *text = behind = leak_text_skip(start, at + pem);
        (void)leak_text_line(&behind, &line);
        if (!may_hold_value(line))
                *text = behind;
        return leak_text(start.data + at, pem);
}

static int read_plain(Reader *reader, LeakText text)
{
        uint64_t line = 1;
        int r = 0;

        while (r == 0 && text.size > 0) {
                const char *start = text.data;
                LeakText value = take_part(&text);

                if (leak_text_trim(value).size > 0)
                        r = give(reader, &(LeakFinding){ .value = value, .is_line = true, .line = line });
                for (; start < text.data; start++)
                        line += *start == '\n';
        }
        return r;
}

/* ---- which it is ---- */

static LeakFormat detect_object(LeakText object)
{
        static const struct {
                const char *key, *other;
                LeakFormat format;
        } signs[] = {
                { "runs", "runs", LEAK_FORMAT_SARIF },
                { "alert", "action", LEAK_FORMAT_GITHUB_ALERT },
                { "SourceMetadata", "DetectorName", LEAK_FORMAT_TRUFFLEHOG },
                { "DetectorName", "Raw", LEAK_FORMAT_TRUFFLEHOG },
                { "secret", "secret_type", LEAK_FORMAT_GITHUB_SECRETS },
                { "incident", "source", LEAK_FORMAT_GITGUARDIAN },
                { "gitguardian_link", "policy", LEAK_FORMAT_GITGUARDIAN },
                { "RuleID", "Secret", LEAK_FORMAT_GITLEAKS },
                { "token", "type", LEAK_FORMAT_PARTNER },
                { "vulnerabilities", "version", LEAK_FORMAT_GITLAB },
        };

        for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++)
                if (has_key(object, signs[i].key) && has_key(object, signs[i].other))
                        return signs[i].format;
        return LEAK_FORMAT_AUTO;
}

#define LOG_LINES_MAX 64U

/* AUTO: it is JSON of no known kind. */
static LeakFormat detect(LeakText text)
{
        LeakText rest = text, value, key, first;
        LeakFormat format;
        LeakItems items;

        if (text.size == 0 || (*text.data != '[' && *text.data != '{'))
                return LEAK_FORMAT_PLAIN;
        if (!leak_json_take(&rest, &value))
                return LEAK_FORMAT_AUTO;
        if (!leak_json_array(&items, value)) {
                format = detect_object(value);
                /* What a tool logs before its first finding. */
                for (unsigned i = 0; format == LEAK_FORMAT_AUTO && i < LOG_LINES_MAX && leak_json_take(&rest, &value); i++)
                        format = detect_object(value);
                return format == LEAK_FORMAT_GITLEAKS || format == LEAK_FORMAT_PARTNER ? LEAK_FORMAT_AUTO : format;
        }
        if (leak_json_next(&items, &key, &first) <= 0)
                return items.rest.size == 0 ? LEAK_FORMAT_GITLEAKS : LEAK_FORMAT_AUTO; /* "[]": it found nothing */
        format = detect_object(first);
        return format == LEAK_FORMAT_GITLEAKS || format == LEAK_FORMAT_PARTNER || format == LEAK_FORMAT_GITHUB_SECRETS
                       ? format
                       : LEAK_FORMAT_AUTO;
}

int leak_report_read(LeakText text, LeakFormat format, LeakSink sink, void *userdata, LeakReport *ret)
{
        Reader reader = { .report = ret, .sink = sink, .userdata = userdata };

        *ret = (LeakReport){ .format = format };
        /* As some shells write what a tool prints; no value would be found in it. */
        if (text.size >= 2 && (memcmp(text.data, "\xff\xfe", 2) == 0 || memcmp(text.data, "\xfe\xff", 2) == 0))
                return invalid(&reader, "it is UTF-16, and UTF-8 is read: iconv -f UTF-16 -t UTF-8 makes that of it");
        if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
                text = leak_text_skip(text, 3);
        if (format == LEAK_FORMAT_AUTO)
                ret->format = detect(leak_text_trim(text));
        switch (ret->format) {
        case LEAK_FORMAT_PLAIN:
                return read_plain(&reader, text);
        case LEAK_FORMAT_GITLEAKS:
                return read_array_report(&reader, text, read_gitleaks);
        case LEAK_FORMAT_PARTNER:
                return read_array_report(&reader, text, read_partner);
        case LEAK_FORMAT_SARIF:
                return read_object_report(&reader, text, "runs", read_runs);
        case LEAK_FORMAT_TRUFFLEHOG:
                return read_trufflehog_lines(&reader, text);
        case LEAK_FORMAT_GITHUB_SECRETS:
                return read_github_secrets(&reader, text);
        case LEAK_FORMAT_GITHUB_ALERT:
                return read_notice(&reader, text, leak_notice_github);
        case LEAK_FORMAT_GITGUARDIAN:
                return read_gitguardian(&reader, text);
        case LEAK_FORMAT_GITLAB:
                return read_object_report(&reader, text, "vulnerabilities", read_vulnerabilities);
        case LEAK_FORMAT_AUTO:
        case _LEAK_FORMAT_N:
                break;
        }
        return invalid(&reader, "it is JSON of no known kind, or cut short");
}
