#include "cli.h"
#include "output.h"
#include <string.h>

static int print_json(const mcpcred_row *row, void *userdata)
{
        Json *json = userdata;

        json_flag(json, "running", true);
        json_row_members(json, row);
        return 0;
}

static void line(const char *label, const char *text)
{
        _cleanup_(free_memory) char *clean = printable(text ? text : "-");

        (void)printf("%-10s%s\n", label, clean ? clean : "");
}

static void print_roles(const mcpcred_row *row)
{
        static const char *const headers[] = { "ROLE", "PID", "RESTARTS", "STARTED", NULL };
        Table table = table_new(headers);

        for (size_t i = 0; i < mcpcred_row_count(row, "roles"); i++) {
                const mcpcred_row *role = mcpcred_row_record(row, "roles", i);
                char text[32];

                table_add(&table, mcpcred_row_text(role, "role"));
                (void)snprintf(text, sizeof(text), "%llu",
                               (unsigned long long)mcpcred_row_number(role, "pid"));
                table_add(&table, text);
                (void)snprintf(text, sizeof(text), "%llu",
                               (unsigned long long)mcpcred_row_number(role, "restarts"));
                table_add(&table, text);
                table_add(&table, relative_time(mcpcred_row_time(role, "started"), text));
        }
        if (table.n_cells > 0)
                putchar('\n');
        table_print(&table);
}

static unsigned long long number(const mcpcred_row *row, const char *field)
{
        return (unsigned long long)mcpcred_row_number(row, field);
}

static int print_text(const mcpcred_row *row, void *userdata UNUSED)
{
        char text[512], when[32];

        (void)snprintf(text, sizeof(text), "mcpcredd %s, started %s",
                       mcpcred_row_text(row, "version"),
                       relative_time(mcpcred_row_time(row, "started"), when));
        line("broker", text);
        (void)snprintf(text, sizeof(text), "%s, %s; %llu secrets", mcpcred_row_text(row, "store"),
                       mcpcred_row_text(row, "store_state"), number(row, "secrets"));
        line("store", text);
        (void)snprintf(text, sizeof(text), "%llu profiles, %llu sessions, %llu leases",
                       number(row, "profiles"), number(row, "sessions"), number(row, "leases"));
        line("in use", text);
        if (number(row, "pending")) {
                (void)snprintf(text, sizeof(text),
                               "%llu revocations that the upstream has yet to confirm",
                               number(row, "pending"));
                line("pending", text);
        }
        (void)snprintf(text, sizeof(text), "%.300s; %llu lines",
                       mcpcred_row_text(row, "audit_state"), number(row, "audit_sequence"));
        line("audit", text);
        line("", mcpcred_row_text(row, "audit_path"));
        print_roles(row);
        return 0;
}

static int run(Cli *cli, const void *options UNUSED, const Arguments *arguments UNUSED)
{
        Json json = { 0 };
        int r;

        if (cli->json)
                json_begin(&json);
        r = mcpcred_status(cli->client, cli->json ? print_json : print_text, &json);
        if (r) {
                json_discard(&json);
                return cli_fail(cli);
        }
        return !cli->json || json_end(&json, stdout) ? 0 : EXIT_FAILED;
}

const Verb verb_status = {
        .name = "status",
        .arguments = "",
        .summary = "say how the broker is",
        .run = run,
};
