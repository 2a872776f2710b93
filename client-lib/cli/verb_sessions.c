#include "rows.h"

typedef struct SessionsOptions {
        bool all;
} SessionsOptions;

static const Option options[] = {
        OPTION(SessionsOptions, all, "all", FLAG, NULL, "those that have ended too"),
};

static const char *const headers[] = { "SESSION", "PROFILES", "STATE", "OPENED",
                                       "ENDS",    "LABEL",    "REASON", NULL };

static void cells(Table *table, const mcpcred_row *row)
{
        uint64_t ended = mcpcred_row_time(row, "ended");
        _cleanup_(free_memory) char *profiles = join_items(row, "profiles");
        char opened[32], ends[32];

        table_add(table, mcpcred_row_text(row, "session"));
        table_add(table, profiles);
        table_add(table, mcpcred_row_text(row, "state"));
        table_add(table, relative_time(mcpcred_row_time(row, "opened"), opened));
        table_add(table, relative_time(ended ? ended : mcpcred_row_time(row, "expires"), ends));
        table_add(table, mcpcred_row_text(row, "label"));
        table_add(table, mcpcred_row_text(row, "end_reason"));
}

static int run(Cli *cli, const void *given, const Arguments *arguments UNUSED)
{
        const SessionsOptions *asked = given;
        const Listing listing = { .array = "sessions",
                                  .headers = headers,
                                  .cells = cells,
                                  .none = "no session is open." };

        return listing_run(cli, &listing, MCPCRED_LIST_SESSIONS, asked->all, NULL);
}

const Verb verb_sessions = {
        .name = "sessions",
        .arguments = "[--all]",
        .summary = "list the sessions",
        OPTIONS(options, SessionsOptions),
        .run = run,
};
