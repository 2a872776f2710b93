#include "rows.h"
#include <string.h>

typedef struct ListingState {
        const Listing *listing;
        bool json_wanted;
        Json json;
        Table table;
        size_t n;
} ListingState;

static int take_row(const mcpcred_row *row, void *userdata)
{
        ListingState *state = userdata;

        if (state->listing->wants && !state->listing->wants(row, state->listing->userdata))
                return 0;
        state->n++;
        if (state->json_wanted)
                json_row(&state->json, NULL, row);
        else
                state->listing->cells(&state->table, row);
        return 0;
}

static int finish_json(Cli *cli, ListingState *state)
{
        json_close_array(&state->json);
        return json_end(&state->json, stdout)
                       ? 0
                       : cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot write to stdout.");
}

int listing_run(Cli *cli, const Listing *listing, mcpcred_list what, bool all, size_t *ret_n)
{
        ListingState state = { .listing = listing,
                               .json_wanted = cli->json,
                               .table = table_new(listing->headers) };
        int r;

        if (cli->json) {
                json_begin(&state.json);
                json_open_array(&state.json, listing->array);
        }
        if (listing->selector)
                r = mcpcred_list_leases(cli->client, listing->selector, all, take_row, &state);
        else
                r = mcpcred_list_rows(cli->client, what, all, take_row, &state);
        if (ret_n)
                *ret_n = state.n;
        if (r) {
                json_discard(&state.json);
                return cli_fail(cli);
        }
        if (state.n == 0 && listing->fail_none) {
                json_discard(&state.json);
                return listing->fail_none(cli, listing->userdata);
        }
        if (cli->json)
                return finish_json(cli, &state);
        table_print(&state.table);
        if (state.n == 0 && listing->none)
                cli_note("%s", listing->none);
        return 0;
}

char *join_items(const mcpcred_row *row, const char *field)
{
        size_t n = mcpcred_row_count(row, field), size = 1;
        char *text, *end;

        for (size_t i = 0; i < n; i++)
                size += strlen(mcpcred_row_item(row, field, i)) + 2;
        text = calloc(1, size);
        end = text;
        for (size_t i = 0; text && i < n; i++) {
                end = stpcpy(end, i ? ", " : "");
                end = stpcpy(end, mcpcred_row_item(row, field, i));
        }
        return text;
}

const char *outcome_text(const mcpcred_row *row)
{
        const char *outcome = mcpcred_row_text(row, "outcome");

        return outcome && strcmp(outcome, "impossible_rotate") == 0 ? "impossible: rotate" : outcome;
}
