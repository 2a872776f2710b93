#include "audit_cli.h"
#include "input.h"
#include "output.h"
#include <string.h>
#include <unistd.h>

static const Option options[] = {
        OPTION(AuditOptions, file, "file", TEXT, "PATH", "this log instead of the broker's; hash: the value is in it"),
        OPTION(AuditOptions, head, "head", TEXT, "N:HEX",
               "verify: this is the hash of line N, from the journal or an earlier verify"),
        OPTION(AuditOptions, journal, "journal", FLAG, NULL, "verify: compare with what the system's journal has"),
        OPTION(AuditOptions, lines, "lines", NUMBER, "N", "tail: how many lines (10)"),
        OPTION(AuditOptions, follow, "follow", FLAG, NULL, "tail: go on as lines are written"),
        OPTION(AuditOptions, since, "since", TEXT, "SEQ|TIME",
               "show, tail, export: from this line on, or since then: \"2h\" ago, or a time"),
        OPTION(AuditOptions, format, "format", TEXT, "json|ocsf", "export: as they are, or as events of OCSF"),
        OPTION(AuditOptions, from_stdin, "stdin", FLAG, NULL, "hash: read the value from stdin"),
        EVENT_FILTER_OPTIONS(AuditOptions),
};

static int run_hash(Cli *cli, const AuditOptions *asked)
{
        _cleanup_(free_value) mcpcred_value *value = NULL;
        const Source source = {
                .from_stdin = asked->from_stdin || (!asked->file && !isatty(STDIN_FILENO)),
                .file = asked->file,
        };
        char hash[64];
        Json json;
        int r = input_secret(cli, &source, "Value: ", false, &value);

        if (r)
                return r;
        if (mcpcred_audit_hash(cli->client, value, hash))
                return cli_fail(cli);
        if (!cli->json) {
                (void)puts(hash);
                return 0;
        }
        json_begin(&json);
        json_text(&json, "token", hash);
        return json_end(&json, stdout) ? 0 : EXIT_FAILED;
}

static bool has_filter(const EventFilter *filter)
{
        return filter->session || filter->profile || filter->secret || filter->operation || filter->verdict ||
               filter->token;
}

/* What would change nothing would be taken for having been heeded. 0 or an exit status. */
static int check_fits(Cli *cli, const AuditOptions *asked, const char *what)
{
        bool verify = strcmp(what, "verify") == 0, tail = strcmp(what, "tail") == 0, hash = strcmp(what, "hash") == 0;
        bool export = strcmp(what, "export") == 0, reads = tail || export || strcmp(what, "show") == 0;

        if (!verify && !reads && !hash)
                return cli_usage(cli, &verb_audit, "verify, tail, show, export or hash, not \"%s\"", what);
        if (asked->lines && !tail)
                return cli_usage(cli, &verb_audit, "--lines is for tail; `mcpcred audit show --since` begins later");
        if (asked->follow && !tail)
                return cli_usage(cli, &verb_audit, "--follow is for tail; `mcpcred watch --since 1` has all from the first line on");
        if ((asked->head || asked->journal) && !verify)
                return cli_usage(cli, &verb_audit, "--head and --journal are for verify");
        if (asked->format && !export)
                return cli_usage(cli, &verb_audit, "--format is for export");
        if (asked->from_stdin && !hash)
                return cli_usage(cli, &verb_audit, "--stdin is for hash");
        if ((asked->since || has_filter(&asked->filter)) && !reads)
                return cli_usage(cli, &verb_audit, "what selects lines is for show, tail and export: %s is of %s", what,
                                 verify ? "the whole log" : "one value");
        return 0;
}

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        const AuditOptions *asked = given;
        const char *what = arguments->items[0];
        int r = event_filter_check(cli, &verb_audit, &asked->filter);

        if (r == 0)
                r = check_fits(cli, asked, what);
        if (r)
                return r;
        if (strcmp(what, "verify") == 0)
                return audit_run_verify(cli, given);
        if (strcmp(what, "tail") == 0)
                return audit_run_tail(cli, given);
        if (strcmp(what, "show") == 0)
                return audit_run_show(cli, given);
        if (strcmp(what, "export") == 0)
                return audit_run_export(cli, given);
        return run_hash(cli, given);
}

const Verb verb_audit = {
        .name = "audit",
        .arguments = "verify|tail|show|export|hash [OPTION...]",
        .summary = "check the audit log, or read it",
        .details = "verify names the file and the first line that was edited, cut, left out, added or moved,\n"
                   "and compares the end with what the broker's state says; what is wrong is exit code 9.\n"
                   "tail prints the last lines, also why a request was refused; show prints all, or those\n"
                   "of one session, secret or operation; with --json they are as they stand in the file.\n"
                   "export writes them for other tools. hash tells how a value is written in the log's\n"
                   "\"token\", so that a leaked token's traces are found:\n"
                   "  mcpcred audit show --token \"$(mcpcred audit hash --stdin < leaked)\"",
        OPTIONS(options, AuditOptions),
        .min_arguments = 1,
        .max_arguments = 1,
        .takes_secret = true,
        .run = run,
};
