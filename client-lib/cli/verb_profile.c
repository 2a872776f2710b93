#include "rows.h"
#include <string.h>

static const char *const headers[] = { "PROFILE", "SECRET", "DELIVER", "TTL", "PROBLEM", NULL };

static void cells(Table *table, const mcpcred_row *row)
{
        char ttl[32];

        table_add(table, mcpcred_row_text(row, "name"));
        table_add(table, mcpcred_row_text(row, "secret"));
        table_add(table, mcpcred_row_text(row, "deliver"));
        table_add(table, short_duration(mcpcred_row_number(row, "ttl"), ttl));
        table_add(table, mcpcred_row_text(row, "problem"));
}

static bool is_named(const mcpcred_row *row, const void *name)
{
        return strcmp(mcpcred_row_text(row, "name"), name) == 0;
}

static void line(const char *label, const char *text)
{
        _cleanup_(free_memory) char *clean = text ? printable(text) : NULL;

        if (clean && *clean)
                (void)printf("%-14s%s\n", label, clean);
}

static void print_map(const mcpcred_row *scope)
{
        for (size_t i = 0; i < mcpcred_row_count(scope, "permissions"); i++) {
                char text[256];

                (void)snprintf(text, sizeof(text), "%.120s: %.100s",
                               mcpcred_row_key(scope, "permissions", i),
                               mcpcred_row_item(scope, "permissions", i));
                line(i ? "" : "permissions", text);
        }
}

/* One profile, field by field. */
static int print_one(const mcpcred_row *row, void *name)
{
        const mcpcred_row *scope = mcpcred_row_record(row, "scope", 0);
        _cleanup_(free_memory) char *command = join_items(row, "command");
        char ttl[32];

        if (!is_named(row, name))
                return 0;
        line("profile", mcpcred_row_text(row, "name"));
        line("secret", mcpcred_row_text(row, "secret"));
        line("provider", mcpcred_row_text(row, "provider"));
        line("deliver", mcpcred_row_text(row, "deliver"));
        line("variable", mcpcred_row_text(row, "env"));
        line("ttl", short_duration(mcpcred_row_number(row, "ttl"), ttl));
        for (size_t i = 0; i < mcpcred_row_count(scope, "repositories"); i++)
                line(i ? "" : "repositories", mcpcred_row_item(scope, "repositories", i));
        print_map(scope);
        line("command", command);
        line("caller unit", mcpcred_row_text(row, "caller_unit"));
        if (mcpcred_row_flag(row, "expose_secret"))
                line("exposes", "the secret itself goes into the session");
        line("defined in", mcpcred_row_text(row, "source"));
        line("problem", mcpcred_row_text(row, "problem"));
        return 1;
}

static int show_one(Cli *cli, char *name)
{
        int r = mcpcred_list_rows(cli->client, MCPCRED_LIST_PROFILES, 0, print_one, name);

        if (r == MCPCRED_E_STOPPED)
                return 0;
        return r ? cli_fail(cli)
                 : cli_fail_local(cli, EXIT_NO_SUCH, "NotFound", "`mcpcred profile` lists them.",
                                  "There is no profile %s.", name);
}

static int run(Cli *cli, const void *options UNUSED, const Arguments *arguments)
{
        const char *name = arguments->n ? arguments->items[0] : NULL;
        const Listing listing = { .array = "profiles",
                                  .headers = headers,
                                  .cells = cells,
                                  .none = "the configuration has no profiles.",
                                  .wants = name ? is_named : NULL,
                                  .userdata = name };
        _cleanup_(free_memory) char *copy = name ? strdup(name) : NULL;
        size_t n;
        int r;

        if (copy && !cli->json)
                return show_one(cli, copy);
        r = listing_run(cli, &listing, MCPCRED_LIST_PROFILES, true, &n);
        return r == 0 && name && n == 0 ? EXIT_NO_SUCH : r;
}

const Verb verb_profile = {
        .name = "profile",
        .arguments = "[NAME]",
        .summary = "show what a profile gives, and why it cannot be opened now",
        .max_arguments = 1,
        .run = run,
};
