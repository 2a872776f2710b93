#include "input.h"
#include "output.h"
#include "rows.h"
#include <string.h>

typedef struct RevokeOptions {
        const char *session, *profile, *secret, *token_hash;
        bool all, token, dry_run;
        Source source;
} RevokeOptions;

static const Option options[] = {
        OPTION(RevokeOptions, session, "session", TEXT, "ID", "what this session has"),
        OPTION(RevokeOptions, profile, "profile", TEXT, "NAME", "what was given by this profile"),
        OPTION(RevokeOptions, secret, "secret", TEXT, "NAME", "what was made with this secret"),
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
} Revoked;

static const char *const headers[] = { "LEASE", "SESSION", "PROFILE", "UPSTREAM", NULL };

static int take_row(const mcpcred_row *row, void *userdata)
{
        Revoked *revoked = userdata;
        const char *outcome = mcpcred_row_text(row, "outcome");
        bool rotate = strcmp(outcome, "impossible_rotate") == 0;

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
        const struct {
                const char *text;
                mcpcred_select what;
        } given[] = { { asked->session, MCPCRED_SELECT_SESSION },
                      { asked->profile, MCPCRED_SELECT_PROFILE },
                      { asked->secret, MCPCRED_SELECT_SECRET },
                      { asked->token_hash, MCPCRED_SELECT_TOKEN_HASH } };
        size_t n = asked->token + asked->all;

        for (size_t i = 0; i < ARRAY_SIZE(given); i++)
                if (given[i].text) {
                        n++;
                        (void)mcpcred_selector_set(selector, given[i].what, given[i].text);
                }
        if (n == 0)
                return cli_usage(cli, &verb_revoke, "what is to be revoked?");
        if (asked->all && n > 1)
                return cli_usage(cli, &verb_revoke, "--all excludes the others");
        if (asked->all)
                (void)mcpcred_selector_set(selector, MCPCRED_SELECT_ALL, NULL);
        return asked->token ? select_token(cli, asked, selector) : 0;
}

static int report(Cli *cli, Revoked *revoked, const mcpcred_ended *ended, bool dry_run)
{
        bool pending = !dry_run && (ended->pending || revoked->pending);

        if (cli->json) {
                json_close_array(&revoked->json);
                json_flag(&revoked->json, "dry_run", dry_run);
                json_number(&revoked->json, "sessions", ended->sessions);
                json_flag(&revoked->json, "pending", pending);
                if (!json_end(&revoked->json, stdout))
                        return EXIT_FAILED;
        } else {
                table_print(&revoked->table);
                (void)printf("%s %llu credential%s; %llu session%s %s.\n",
                             dry_run ? "Would revoke" : "Revoked",
                             (unsigned long long)ended->leases, ended->leases == 1 ? "" : "s",
                             (unsigned long long)ended->sessions, ended->sessions == 1 ? "" : "s",
                             dry_run ? "would end" : "ended");
        }
        if (pending)
                cli_note("it is over here; the upstream has yet to confirm, and the broker goes on "
                         "trying.");
        if (ended->leases + ended->sessions == 0)
                cli_note("nothing that lives was selected; `mcpcred leases` lists what does.");
        if (revoked->rotate)
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
        .arguments = "--session ID | --profile NAME | --secret NAME | --token | --token-hash HEX | "
                     "--all",
        .summary = "end credentials now",
        .details = "When it returns, nothing further leaves with what was revoked. It never asks,\n"
                   "and may be repeated. Several selectors narrow each other.\n"
                   "Status 8: over here, and the upstream has yet to confirm.\n\n"
                   "  mcpcred revoke --profile github-triage\n"
                   "  mcpcred revoke --token --stdin < leaked.txt",
        OPTIONS(options, RevokeOptions),
        .takes_secret = true,
        .run = run,
};
