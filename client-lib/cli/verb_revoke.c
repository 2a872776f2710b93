#include "input.h"
#include "output.h"
#include "rows.h"
#include "selectors.h"
#include <string.h>

typedef struct RevokeOptions {
        Selectors selectors;
        const char *token_hash;
        bool all, token, dry_run;
        Source source;
} RevokeOptions;

static const Option options[] = {
        SELECTOR_OPTIONS(RevokeOptions),
        OPTION(RevokeOptions, token, "token", FLAG, NULL,
               "the token that is asked for, or read from --stdin, ..."),
        OPTION(RevokeOptions, token_hash, "token-hash", TEXT, "HEX", "the token with this SHA-256"),
        OPTION(RevokeOptions, all, "all", FLAG, NULL, "everything"),
        OPTION(RevokeOptions, dry_run, "dry-run", FLAG, NULL,
               "say what would be revoked, and change nothing"),
        SOURCE_OPTIONS(RevokeOptions),
};

typedef struct Revoked {
        Cli *cli;
        Json json;
        Table table;
        bool pending, rotate;
        uint64_t n; /* that were listed */
} Revoked;

static const char *const headers[] = { "LEASE", "SESSION", "PROFILE", "UPSTREAM", NULL };

static int take_row(const mcpcred_row *row, void *userdata)
{
        Revoked *revoked = userdata;
        const char *outcome = mcpcred_row_text(row, "outcome");
        bool rotate = strcmp(outcome, "impossible_rotate") == 0;

        revoked->n++;
        revoked->pending = revoked->pending || strcmp(outcome, "pending") == 0;
        revoked->rotate = revoked->rotate || rotate;
        if (revoked->cli->json) {
                json_row(&revoked->json, NULL, row);
                return 0;
        }
        table_add(&revoked->table, mcpcred_row_text(row, "lease"));
        table_add(&revoked->table, mcpcred_row_text(row, "session"));
        table_add(&revoked->table, mcpcred_row_text(row, "profile"));
        table_add(&revoked->table, outcome_text(row));
        return 0;
}

static int select_token(Cli *cli, const RevokeOptions *asked, mcpcred_selector *selector)
{
        _cleanup_(free_value) mcpcred_value *token = NULL;
        int r = input_secret(cli, &asked->source, "Token: ", false, &token);

        if (r == 0)
                (void)mcpcred_selector_token(selector, token);
        return r;
}

static int select_all(Cli *cli, const RevokeOptions *asked, mcpcred_selector *selector)
{
        size_t n;
        int r = selectors_apply(cli, &verb_revoke, &asked->selectors, selector, &n);

        if (r)
                return r;
        n += asked->token + asked->all + (asked->token_hash != NULL);
        if (n == 0)
                return cli_usage(cli, &verb_revoke, "what is to be revoked?");
        if (asked->all && n > 1)
                return cli_usage(cli, &verb_revoke, "--all excludes the others");
        if (asked->token && asked->token_hash)
                return cli_usage(cli, &verb_revoke, "--token and --token-hash exclude each other");
        if (asked->token_hash && mcpcred_selector_set(selector, MCPCRED_SELECT_TOKEN_HASH, asked->token_hash))
                return cli_usage(cli, &verb_revoke, "--token-hash is empty");
        if (asked->all)
                (void)mcpcred_selector_set(selector, MCPCRED_SELECT_ALL, NULL);
        return asked->token ? select_token(cli, asked, selector) : 0;
}

static bool report_json(Revoked *revoked, const mcpcred_ended *ended, bool dry_run, bool pending)
{
        Json *json = &revoked->json;

        json_close_array(json);
        json_open_object(json, "totals");
        json_number(json, "none", ended->n_none);
        json_number(json, "confirmed", ended->n_confirmed);
        json_number(json, "pending", ended->n_pending);
        json_number(json, "impossible_rotate", ended->n_rotate);
        json_close_object(json);
        json_number(json, "leases", ended->leases);
        json_number(json, "sessions", ended->sessions);
        json_flag(json, "dry_run", dry_run);
        json_flag(json, "pending", pending);
        return json_end(json, stdout);
}

static void report_text(Revoked *revoked, const mcpcred_ended *ended, bool dry_run)
{
        table_print(&revoked->table);
        if (ended->leases > revoked->n)
                (void)printf("... and %llu more.\n", (unsigned long long)(ended->leases - revoked->n));
        (void)printf("%s %llu credential%s; %llu session%s %s.\n", dry_run ? "Would revoke" : "Revoked",
                     (unsigned long long)ended->leases, plural(ended->leases), (unsigned long long)ended->sessions,
                     plural(ended->sessions), dry_run ? "would end" : "ended");
        if (ended->n_confirmed + ended->n_pending + ended->n_rotate > 0)
                (void)printf("Upstream: %llu confirmed, %llu %s, %llu only by rotating the secret.\n",
                             (unsigned long long)ended->n_confirmed, (unsigned long long)ended->n_pending,
                             dry_run ? "to be asked for" : "pending", (unsigned long long)ended->n_rotate);
}

static int report(Cli *cli, Revoked *revoked, const mcpcred_ended *ended, bool dry_run)
{
        bool pending = !dry_run && (ended->pending || revoked->pending);

        if (!cli->json)
                report_text(revoked, ended, dry_run);
        else if (!report_json(revoked, ended, dry_run, pending))
                return EXIT_FAILED;
        if (pending)
                cli_note("it is over here; the upstream has yet to confirm, and the broker goes on "
                         "trying.");
        if (ended->leases + ended->sessions == 0)
                cli_note("nothing that lives was selected; `mcpcred leases` lists what does.");
        if (revoked->rotate || ended->n_rotate > 0)
                cli_note("what was delivered raw can only be ended by rotating its secret: mcpcred "
                         "rotate NAME.");
        return pending ? EXIT_PENDING : EXIT_DONE;
}

static void free_selector(mcpcred_selector **selector)
{
        mcpcred_selector_free(*selector);
}

static int run(Cli *cli, const void *given, const Arguments *arguments UNUSED)
{
        const RevokeOptions *asked = given;
        _cleanup_(free_selector) mcpcred_selector *selector = NULL;
        Revoked revoked = { .cli = cli, .table = table_new(headers) };
        mcpcred_ended ended = { 0 };
        int r;

        if (mcpcred_selector_new(&selector))
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        r = select_all(cli, asked, selector);
        if (r)
                return r;
        if (cli->json) {
                json_begin(&revoked.json);
                json_open_array(&revoked.json, "credentials");
        }
        if (mcpcred_revoke(cli->client, selector, asked->dry_run, take_row, &revoked, &ended)) {
                json_discard(&revoked.json);
                return cli_fail(cli);
        }
        return report(cli, &revoked, &ended, asked->dry_run);
}

const Verb verb_revoke = {
        .name = "revoke",
        .arguments = "[--session ID] [--profile NAME] [--secret NAME] [--provider NAME] [--principal USER] [--since TIME] "
                     "[--token | --token-hash HEX] | --all",
        .summary = "end credentials now",
        .details = "When it returns, nothing further leaves with what was revoked. It never asks, and\n"
                   "may be repeated. Several selectors narrow each other. A session that holds\n"
                   "something of it ends whole; only by --token it goes on.\n"
                   "Status 8: over here, and the upstream has yet to confirm. Status 6: what was named\n"
                   "is neither there nor on record, and nothing was done.\n\n"
                   "  mcpcred revoke --profile github-triage\n"
                   "  mcpcred revoke --provider github_app --since 2h --json\n"
                   "  mcpcred revoke --token --stdin < leaked.txt",
        OPTIONS(options, RevokeOptions),
        .takes_secret = true,
        .selects = true,
        .run = run,
};
