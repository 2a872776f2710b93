#include "rows.h"

static const char *const headers[] = { "NAME", "PROVIDER", "LEASES", "CHANGED", "ROTATES", "HOSTS", NULL };

static void cells(Table *table, const mcpcred_row *row)
{
        uint64_t rotated = mcpcred_row_time(row, "rotated");
        _cleanup_(free_memory) char *hosts = join_items(row, "hosts");
        char number[32], when[32], due[32];

        (void)snprintf(number, sizeof(number), "%llu",
                       (unsigned long long)mcpcred_row_number(row, "leases"));
        table_add(table, mcpcred_row_text(row, "name"));
        table_add(table, mcpcred_row_text(row, "provider"));
        table_add(table, number);
        table_add(table, mcpcred_row_text(row, "rotation")
                                 ? mcpcred_row_text(row, "rotation")
                                 : relative_time(rotated ? rotated : mcpcred_row_time(row, "added"),
                                                 when));
        table_add(table, relative_time(mcpcred_row_time(row, "due"), due));
        table_add(table, hosts && *hosts ? hosts : mcpcred_row_text(row, "base_url"));
}

static int run(Cli *cli, const void *options UNUSED, const Arguments *arguments UNUSED)
{
        const Listing listing = { .array = "secrets",
                                  .headers = headers,
                                  .cells = cells,
                                  .none = "there are no secrets; `mcpcred add` stores one." };

        return listing_run(cli, &listing, MCPCRED_LIST_SECRETS, false, NULL);
}

const Verb verb_list = {
        .name = "list",
        .arguments = "",
        .summary = "list the secrets that the broker holds, never their values",
        .run = run,
};
