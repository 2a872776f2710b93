#include "rows.h"
#include "selectors.h"
#include <string.h>

typedef struct LeasesOptions {
        Selectors selectors;
        bool all;
} LeasesOptions;

static const Option options[] = {
        SELECTOR_OPTIONS(LeasesOptions),
        OPTION(LeasesOptions, all, "all", FLAG, NULL, "those that are over too"),
};

static const char *const headers[] = { "LEASE", "KIND", "SESSION",  "PROFILE", "STATE",
                                       "ENDS",  "UPSTREAM", "REASON",  NULL };

static void cells(Table *table, const mcpcred_row *row)
{
        const char *state = mcpcred_row_text(row, "state"), *outcome = mcpcred_row_text(row, "outcome");
        /* What is over ends no more; where the upstream has not said so, it does by itself then. */
        bool over = strcmp(state, "revoked") == 0 && strcmp(outcome, "pending") != 0 && strcmp(outcome, "impossible_rotate") != 0;
        char ends[32];

        table_add(table, mcpcred_row_text(row, "lease"));
        table_add(table, mcpcred_row_text(row, "kind"));
        table_add(table, mcpcred_row_text(row, "session"));
        /* The value of a secret was given by no profile; its name says more. */
        table_add(table, mcpcred_row_text(row, strcmp(mcpcred_row_text(row, "kind"), "secret") == 0 ? "secret" : "profile"));
        table_add(table, mcpcred_row_text(row, "state"));
        table_add(table, over ? NULL : relative_time(mcpcred_row_time(row, "expires"), ends));
        table_add(table, outcome_text(row));
        table_add(table, mcpcred_row_text(row, "reason"));
}

static void free_selector(mcpcred_selector **selector)
{
        mcpcred_selector_free(*selector);
}

static int run(Cli *cli, const void *given, const Arguments *arguments UNUSED)
{
        const LeasesOptions *asked = given;
        _cleanup_(free_selector) mcpcred_selector *selector = NULL;
        Listing listing = {
                .array = "leases", .headers = headers, .cells = cells, .none = "nothing is issued."
        };
        size_t n;
        int r;

        if (mcpcred_selector_new(&selector))
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        r = selectors_apply(cli, &verb_leases, &asked->selectors, selector, &n);
        if (r)
                return r;
        if (n > 0)
                listing.none = asked->all ? "nothing on record is selected." : "nothing that lives is selected; --all lists what is over too.";
        listing.selector = selector;
        return listing_run(cli, &listing, MCPCRED_LIST_LEASES, asked->all, NULL);
}

const Verb verb_leases = {
        .name = "leases",
        .arguments = "[--all] [--session ID] [--profile NAME] [--secret NAME] [--provider NAME] [--principal USER] [--since TIME]",
        .summary = "list what was issued, and what its upstream says of its end",
        .details = "KIND: a credential that the upstream issued, or a stored key that was handed out raw;\n"
                   "a handle, which stands for one; the stored key in use behind a handle; a canary, which\n"
                   "nothing uses; and a secret's own value that is to die at its upstream.",
        OPTIONS(options, LeasesOptions),
        .run = run,
};
