#include "leak_candidates.h"
#include "leak_findings.h"
#include "leak_headers.h"
#include "leak_incidents.h"
#include "leak_input.h"
#include "leak_print.h"
#include "leak_signature.h"
#include "input.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_AGE_DEFAULT 300U

typedef struct LeakOptions {
        const char *format, *source;
        bool dry_run, all;
        const char *signature, *webhook_secret, *public_keys, *key_id, *timestamp, *headers;
        uint64_t max_age;
} LeakOptions;

static const Option options[] = {
        OPTION(LeakOptions, format, "format", TEXT, "NAME", "what it is, where that is not told by itself"),
        OPTION(LeakOptions, dry_run, "dry-run", FLAG, NULL, "say what is ours and what would be done, and do nothing"),
        OPTION(LeakOptions, all, "all", FLAG, NULL, "list what is over too"),
        OPTION(LeakOptions, source, "source", TEXT, "TEXT", "where it was found, for the log"),
        OPTION(LeakOptions, headers, "headers", TEXT, "FILE", "the headers that a webhook came with"),
        OPTION(LeakOptions, webhook_secret, "webhook-secret", TEXT, "NAME",
               "check its signature with this stored key, or do nothing"),
        OPTION(LeakOptions, public_keys, "public-keys", TEXT, "FILE",
               "check a partner report's signature with one of these, or do nothing"),
        OPTION(LeakOptions, signature, "signature", TEXT, "VALUE", "the signature, where there are no --headers"),
        OPTION(LeakOptions, key_id, "key-id", TEXT, "ID", "likewise, which of the public keys"),
        OPTION(LeakOptions, timestamp, "timestamp", TEXT, "VALUE", "likewise, the header Timestamp of GitGuardian"),
        OPTION(LeakOptions, max_age, "max-age", DURATION, "TIME", "how old that may be (5m)"),
};

static int no_memory(Cli *cli)
{
        return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
}

/* ---- what comes in ---- */

/* The path may be the token, of somebody who took it for an argument: it is not repeated. */
static int read_file(Cli *cli, const char *path, const char *what, size_t max, LeakInput *ret)
{
        int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), r;

        if (fd < 0)
                return cli_fail_local(cli, errno == ENOENT ? EXIT_NO_SUCH : EXIT_FAILED, "System",
                                      "A token is never an argument: it comes on stdin, or in a file.",
                                      "Cannot open the %s: %s.", what, strerror(errno));
        r = leak_input_read(ret, fd, max);
        if (fd != STDIN_FILENO)
                (void)close(fd);
        if (r == LEAK_INPUT_E_TOO_LONG)
                return cli_fail_local(cli, EXIT_USAGE, "InvalidParameter", "Report it in parts.",
                                      "The %s is longer than %zu MiB.", what, max / (1024U * 1024U) ? max / (1024U * 1024U) : 1);
        if (r)
                return cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot read the %s: %s.", what, strerror(-r));
        return 0;
}

/* A person types it, without echo. */
static int ask_token(Cli *cli, LeakInput *ret)
{
        const Source terminal = { 0 };
        _cleanup_(free_value) mcpcred_value *value = NULL;
        int r = input_secret(cli, &terminal, "Token: ", false, &value);

        if (r == 0 && leak_input_copy(ret, mcpcred_value_data(value), mcpcred_value_size(value)))
                r = no_memory(cli);
        return r;
}

static int read_report(Cli *cli, const Arguments *arguments, LeakInput *ret)
{
        if (arguments->n < 2 && isatty(STDIN_FILENO))
                return ask_token(cli, ret);
        return read_file(cli, arguments->n < 2 ? "-" : arguments->items[1], "report", LEAK_REPORT_MAX, ret);
}

/* ---- who sent it ---- */

/* What the headers and the options say, each the other's stand-in. */
typedef struct Claim {
        LeakHeaders headers;
        const char *hmac, *timestamp; /* NULL: there is none */
        const char *partner, *key_id;
        bool guardian; /* the HMAC is GitGuardian's */
} Claim;

static const char *given(const char *option, const char *header)
{
        return option ? option : *header ? header : NULL;
}

static int read_claim(Cli *cli, const LeakOptions *asked, Claim *claim)
{
        _cleanup_(leak_input_free) LeakInput text = { 0 };
        LeakHeaders *headers = &claim->headers;
        int r = asked->headers ? read_file(cli, asked->headers, "headers", LEAK_HEADERS_MAX, &text) : 0;

        if (r)
                return r;
        if (!leak_headers_read(leak_text(text.data, text.size), headers))
                return cli_fail_local(cli, EXIT_USAGE, "InvalidParameter",
                                      "Give them as they came, a line each: Name: value.",
                                      "The headers are malformed, or one of a signature is there twice.");
        claim->timestamp = given(asked->timestamp, headers->timestamp);
        claim->guardian = *headers->guardian_signature || (!*headers->hub_signature && claim->timestamp);
        claim->hmac = given(asked->signature, claim->guardian ? headers->guardian_signature : headers->hub_signature);
        claim->partner = given(asked->signature, headers->partner_signature);
        claim->key_id = given(asked->key_id, headers->partner_key);
        return 0;
}

static int forged(Cli *cli, const char *why, const char *remedy)
{
        return cli_fail_local(cli, EXIT_DENIED, "SignatureInvalid", remedy, "%s Nothing was done.", why);
}

/* Seconds since 1970, or RFC 3339. */
static bool parse_timestamp(const char *text, int64_t *ret)
{
        struct tm tm = { 0 };
        char *end;

        if (strlen(text) > 8 && text[4] == '-') {
                end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
                if (end && *end == '.')
                        end += 1 + strspn(end + 1, "0123456789");
                if (!end || (strcmp(end, "Z") != 0 && strcmp(end, "+00:00") != 0 && *end))
                        return false;
                *ret = timegm(&tm);
                return true;
        }
        errno = 0;
        *ret = strtoll(text, &end, 10);
        if (*end == '.')
                end += 1 + strspn(end + 1, "0123456789");
        return errno == 0 && *text >= '0' && *text <= '9' && !*end;
}

static int check_age(Cli *cli, const LeakOptions *asked, const char *timestamp)
{
        int64_t sent, now = time(NULL), max = (int64_t)(asked->max_age ? asked->max_age : MAX_AGE_DEFAULT);

        if (!parse_timestamp(timestamp, &sent))
                return forged(cli, "The webhook's timestamp cannot be read.", "");
        if (sent < now - max || sent > now + max)
                return forged(cli, "The webhook is too old, or this machine's clock is wrong: it may be one that was sent before.",
                              "--max-age says how old one may be.");
        return 0;
}

static int check_hmac(Cli *cli, const LeakOptions *asked, const Claim *claim, const LeakInput *body)
{
        const mcpcred_webhook webhook = {
                .secret = asked->webhook_secret,
                .scheme = claim->guardian ? MCPCRED_WEBHOOK_GITGUARDIAN : MCPCRED_WEBHOOK_GITHUB,
                .signature = claim->hmac,
                .timestamp = claim->guardian ? claim->timestamp : NULL,
                .body = body->data,
                .size = body->size,
        };
        int valid = 0;

        if (!claim->hmac)
                return forged(cli, "The report is not signed, and --webhook-secret asks for it.",
                              "Give the webhook's --headers, or its --signature.");
        if (claim->guardian && !claim->timestamp)
                return forged(cli, "The webhook has no timestamp, which is a part of its signature.", "");
        if (mcpcred_webhook_verify(cli->client, &webhook, &valid))
                return cli_fail(cli);
        if (!valid)
                return forged(cli, "The signature does not fit the report.",
                              "Is the stored key the one that the webhook is signed with, and the body as it came, byte for byte?");
        return claim->guardian ? check_age(cli, asked, claim->timestamp) : 0;
}

static int check_partner(Cli *cli, const LeakOptions *asked, const Claim *claim, const LeakInput *body)
{
        _cleanup_(leak_input_free) LeakInput keys = { 0 };
        int r;

        if (!claim->partner || !claim->key_id)
                return forged(cli, "The report is not signed, and --public-keys asks for it.",
                              "Give its --headers, or --signature and --key-id.");
        r = read_file(cli, asked->public_keys, "public keys", LEAK_KEYS_MAX, &keys);
        if (r)
                return r;
        switch (leak_signature_check(leak_text(body->data, body->size), leak_text(keys.data, keys.size), claim->key_id,
                                     claim->partner)) {
        case 0:
                return 0;
        case LEAK_SIGNATURE_E_NO_KEY:
                return forged(cli, "There is no public key of the name that the report gives.",
                              "Fetch them anew: https://api.github.com/meta/public_keys/secret_scanning has GitHub's.");
        case LEAK_SIGNATURE_E_KEYS:
                return forged(cli, "The public keys are not what GitHub's or GitLab's API answers.",
                              "Fetch them anew: https://api.github.com/meta/public_keys/secret_scanning has GitHub's.");
        case LEAK_SIGNATURE_E_KEY_KIND:
                return forged(cli, "The public key is not one on P-256, or is damaged.", "");
        default:
                return forged(cli, "The signature does not fit the report.",
                              "The body has to be as it came, byte for byte.");
        }
}

/* 0 with how far it was looked at: LEAK_SIGNED_*. */
static int check_sender(Cli *cli, const LeakOptions *asked, const Claim *claim, const LeakInput *body,
                        LeakSigned *ret)
{
        int r = 0;

        if (asked->signature && !asked->webhook_secret && !asked->public_keys)
                return cli_usage(cli, &verb_leak, "a --signature is checked with --webhook-secret or --public-keys");
        if (asked->webhook_secret && asked->public_keys)
                return cli_usage(cli, &verb_leak, "--webhook-secret and --public-keys exclude each other");
        *ret = claim->hmac || claim->partner ? LEAK_SIGNED_UNCHECKED : LEAK_SIGNED_NO;
        if (asked->webhook_secret)
                r = check_hmac(cli, asked, claim, body);
        else if (asked->public_keys)
                r = check_partner(cli, asked, claim, body);
        if (r == 0 && (asked->webhook_secret || asked->public_keys))
                *ret = LEAK_SIGNED_VALID;
        return r;
}

/* ---- what it says ---- */

static int parse(Cli *cli, const LeakOptions *asked, const LeakInput *input, Findings *findings, LeakReport *report)
{
        LeakFormat format = LEAK_FORMAT_AUTO;

        if (asked->format && !leak_format_find(asked->format, &format))
                return cli_usage(cli, &verb_leak, "there is no format \"%s\"; `mcpcred leak --help` lists them", asked->format);
        switch (leak_report_read(leak_text(input->data, input->size), format, findings_add, findings, report)) {
        case 0:
                return 0;
        case LEAK_E_INVALID:
                return cli_fail_local(cli, EXIT_USAGE, "InvalidParameter",
                                      "Nothing was done. --format says what it is; --format plain takes any text as it is.",
                                      "The report%s%s cannot be read: %s.", report->format == LEAK_FORMAT_AUTO ? "" : " of the format ",
                                      report->format == LEAK_FORMAT_AUTO ? "" : leak_format_names[report->format],
                                      report->problem);
        case LEAK_E_TOO_MANY:
                return cli_fail_local(cli, EXIT_USAGE, "InvalidParameter", "Nothing was done. Report it in parts.",
                                      "The report has more than %u findings, or more than %u values in them.",
                                      LEAK_FINDINGS_MAX, MCPCRED_LEAK_MAX);
        default:
                return no_memory(cli);
        }
}

static int ask_broker(Cli *cli, const LeakOptions *asked, const LeakReport *report, Findings *findings, LeakPrint *print)
{
        mcpcred_leaked leaked = { 0 };

        if (mcpcred_leak_source(findings->leak, asked->source ? asked->source : leak_format_names[report->format]))
                return cli_usage(cli, &verb_leak, "--source takes one line of at most 128 bytes");
        leak_print_begin(print);
        if (findings->n_candidates > 0 &&
            mcpcred_leak_report(cli->client, findings->leak, asked->dry_run, leak_print_row, print, &leaked)) {
                leak_print_discard(print);
                return cli_fail(cli);
        }
        return leak_print_end(print, &leaked);
}

static int run_report(Cli *cli, const LeakOptions *asked, const LeakInput *input, Findings *findings)
{
        Claim claim = { 0 };
        LeakReport report = { 0 };
        LeakPrint print = { .cli = cli, .report = &report, .findings = findings, .dry_run = asked->dry_run };
        int r = read_claim(cli, asked, &claim);

        if (r == 0)
                r = check_sender(cli, asked, &claim, input, &print.is_signed);
        if (r == 0)
                r = parse(cli, asked, input, findings, &report);
        return r ? r : ask_broker(cli, asked, &report, findings, &print);
}

static int run(Cli *cli, const void *asked, const Arguments *arguments)
{
        _cleanup_(leak_input_free) LeakInput input = { 0 };
        _cleanup_(findings_deinit) Findings findings = { 0 };
        int r;

        if (arguments->n == 1 && strcmp(arguments->items[0], "list") == 0)
                return leak_incidents_list(cli, ((const LeakOptions *)asked)->all);
        if (arguments->n == 1 && strcmp(arguments->items[0], "close") == 0)
                return cli_usage(cli, &verb_leak, "which incident? `mcpcred leak list` names them");
        if (arguments->n == 2 && strcmp(arguments->items[0], "close") == 0)
                return leak_incidents_close(cli, arguments->items[1]);
        if (arguments->n == 0 || strcmp(arguments->items[0], "report") != 0)
                return cli_usage(cli, &verb_leak, "what about the leak? `mcpcred leak report` reports one, `list` lists what "
                                                  "was done, `close INCIDENT` ends one");
        r = read_report(cli, arguments, &input);
        if (r)
                return r;
        if (findings_init(&findings))
                return no_memory(cli);
        return run_report(cli, asked, &input, &findings);
}

const Verb verb_leak = {
        .name = "leak",
        .arguments = "report [FILE|-] | list | close INCIDENT",
        .summary = "report what leaked, and have it dealt with",
        .details = "Reads tokens, one a line, or the report of a tool, and tells which of them were issued\n"
                   "or are stored here; the broker then does about each what `on_leak` says. Values are\n"
                   "compared by their hash, and never printed. It never asks, and may be repeated.\n\n"
                   "Formats: plain, gitleaks (JSON), gitlab (gl-secret-detection-report.json), sarif, trufflehog\n"
                   "(JSON lines), partner (GitHub's and GitLab's secret scanning), github-alert and gitguardian\n"
                   "(webhooks), github-secrets (GitHub's API of alerts). Which it is shows by itself.\n\n"
                   "Status 0: all that is ours was dealt with, or nothing is; 8: done here, and something\n"
                   "goes on upstream; 5: a signature does not fit, and nothing was done; 1: there were\n"
                   "values that could not be looked at, or something failed.\n\n"
                   "`leak list` shows what leaks have led to and what still needs a person; an incident that\n"
                   "waits for a rotation closes by itself, any other by `leak close`.\n\n"
                   "  mcpcred leak report - < leaked.txt\n"
                   "  gitleaks git --report-format json --report-path - | mcpcred leak report -\n"
                   "  mcpcred leak report --headers headers.txt --webhook-secret hook body.json",
        OPTIONS(options, LeakOptions),
        .max_arguments = 2,
        .takes_secret = true,
        .run = run,
};
