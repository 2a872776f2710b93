#include "leak_incidents.h"
#include "rows.h"
#include <string.h>

static const char *signal_text(const char *signal)
{
        static const char *const texts[][2] = {
                { "report", "reported" },
                { "egress", "came out of a sandbox" },
                { "foreign_handle", "another session's handle was used" },
                { "wrong_place", "a handle in the wrong place" },
                { "canary", "a canary was used" },
        };

        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                if (strcmp(texts[i][0], signal) == 0)
                        return texts[i][1];
        return signal;
}

/* What a broker wrote, behind a label; nothing for what is not there. */
static void line(const char *label, const char *text)
{
        _cleanup_(free_memory) char *clean = text && *text ? printable(text) : NULL;

        if (clean)
                (void)printf("  %-9s %s\n", label, clean);
}

static int print_incident(const mcpcred_row *row, void *userdata)
{
        bool *any = userdata;
        const char *state = mcpcred_row_text(row, "state");
        uint64_t count = mcpcred_row_number(row, "count");
        char when[32], times[48] = "";

        if (count > 1)
                (void)snprintf(times, sizeof(times), ", %llu times", (unsigned long long)count);
        (void)printf("%s%s  %s, %s%s: %s\n", *any ? "\n" : "", mcpcred_row_text(row, "incident"),
                     relative_time(mcpcred_row_time(row, "time"), when), signal_text(mcpcred_row_text(row, "signal")), times,
                     strcmp(state, "needs_person") == 0 ? "needs a person" : state);
        *any = true;
        line("seen", mcpcred_row_text(row, "evidence"));
        line("secret", mcpcred_row_text(row, "secret"));
        line("profile", mcpcred_row_text(row, "profile"));
        line("session", mcpcred_row_text(row, "session"));
        for (size_t i = 0; i < mcpcred_row_count(row, "actions"); i++)
                line(i ? "" : "done", mcpcred_row_item(row, "actions", i));
        return 0;
}

int leak_incidents_list(Cli *cli, bool all)
{
        static const char *const headers[] = { "INCIDENT", NULL };
        const Listing listing = { .array = "incidents", .headers = headers }; /* of JSON alone */
        bool any = false;

        if (cli->json)
                return listing_run(cli, &listing, MCPCRED_LIST_INCIDENTS, all, NULL);
        if (mcpcred_list_rows(cli->client, MCPCRED_LIST_INCIDENTS, all, print_incident, &any))
                return cli_fail(cli);
        if (!any)
                cli_note("%s", all ? "nothing leaked, as far as the broker knows." : "no incident is open; --all lists what is over too.");
        return 0;
}

int leak_incidents_close(Cli *cli, const char *incident)
{
        Json json;

        if (mcpcred_leak_close(cli->client, incident))
                return cli_fail(cli);
        if (!cli->json) {
                cli_note("incident %s is closed.", incident);
                return 0;
        }
        json_begin(&json);
        json_text(&json, "incident", incident);
        json_text(&json, "state", "closed");
        return json_end(&json, stdout) ? 0
                                       : cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot write to stdout.");
}
