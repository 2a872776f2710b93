#include "rows.h"

typedef struct LeasesOptions {
        bool all;
} LeasesOptions;

static const Option options[] = {
        OPTION(LeasesOptions, all, "all", FLAG, NULL, "those that are over too"),
};

static const char *const headers[] = { "LEASE", "SESSION",  "PROFILE", "STATE",
                                       "ENDS",  "UPSTREAM", "REASON",  NULL };

static void cells(Table *table, const mcpcred_row *row)
{
        char ends[32];

        table_add(table, mcpcred_row_text(row, "lease"));
        table_add(table, mcpcred_row_text(row, "session"));
        table_add(table, mcpcred_row_text(row, "profile"));
        table_add(table, mcpcred_row_text(row, "state"));
        table_add(table, relative_time(mcpcred_row_time(row, "expires"), ends));
        table_add(table, outcome_text(row));
        table_add(table, mcpcred_row_text(row, "reason"));
}

static int run(Cli *cli, const void *given, const Arguments *arguments UNUSED)
{
        const LeasesOptions *asked = given;
        const Listing listing = {
                .array = "leases", .headers = headers, .cells = cells, .none = "nothing is issued."
        };

        return listing_run(cli, &listing, MCPCRED_LIST_LEASES, asked->all, NULL);
}

const Verb verb_leases = {
        .name = "leases",
        .arguments = "[--all]",
        .summary = "list what was issued, and what its upstream says of its end",
        OPTIONS(options, LeasesOptions),
        .run = run,
};
