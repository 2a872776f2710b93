#include "profile_canary.h"
#include "rows.h"
#include <string.h>

typedef struct ProfileOptions {
        const char *canary;
} ProfileOptions;

static const Option options[] = {
        OPTION(ProfileOptions, canary, "canary", TEXT, "VARIABLE",
               "write a canary into the configuration, and read that again"),
};

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

static bool is_named(const mcpcred_row *row, const char *name)
{
        return strcmp(mcpcred_row_text(row, "name"), name) == 0;
}

static void line(const char *label, const char *text)
{
        _cleanup_(free_memory) char *clean = text ? printable(text) : NULL;

        if (clean && *clean)
                (void)printf("%-14s%s\n", label, clean);
}

static void print_map(const mcpcred_row *row, const char *field, const char *label, const char *between)
{
        for (size_t i = 0; i < mcpcred_row_count(row, field); i++) {
                char text[1024];

                (void)snprintf(text, sizeof(text), "%.200s%s%.700s", mcpcred_row_key(row, field, i), between,
                               mcpcred_row_item(row, field, i));
                line(i ? "" : label, text);
        }
}

static void print_list(const mcpcred_row *row, const char *field, const char *label)
{
        for (size_t i = 0; i < mcpcred_row_count(row, field); i++)
                line(i ? "" : label, mcpcred_row_item(row, field, i));
}

static const char *text_of(const mcpcred_row *row, const char *field)
{
        const char *text = mcpcred_row_text(row, field);

        return text ? text : "";
}

/* "header x-api-key", as the configuration has it. */
static void print_slot(const mcpcred_row *egress)
{
        const char *kind = text_of(egress, "slot"), *name = text_of(egress, "slot_name"),
                   *prefix = text_of(egress, "slot_prefix");
        char text[256];

        (void)snprintf(text, sizeof(text), "%.20s%s%.80s%s%.80s%s", kind, *name ? " " : "", name, *prefix ? " \"" : "",
                       prefix, *prefix ? "\"" : "");
        line("key stands in", text);
}

static void print_limit(const char *label, uint64_t n, const char *unit)
{
        char text[64];

        (void)snprintf(text, sizeof(text), "%llu%s", (unsigned long long)n, unit);
        if (n > 0)
                line(label, text);
}

static void print_rate(const mcpcred_row *egress)
{
        static const struct {
                uint64_t seconds;
                const char *unit;
        } units[] = { { 1, "/s" }, { 60, "/min" }, { 3600, "/h" }, { 86400, "/d" } };
        uint64_t seconds = mcpcred_row_number(egress, "rate_seconds");

        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
                if (units[i].seconds == seconds)
                        print_limit("rate", mcpcred_row_number(egress, "rate"), units[i].unit);
}

/* What may leave by the proxy; nothing of a profile that is delivered otherwise. */
static void print_egress(const mcpcred_row *row)
{
        const mcpcred_row *egress = mcpcred_row_record(row, "egress", 0);
        const char *host = text_of(row, "url_host");
        char url[640];

        if (!egress)
                return;
        (void)snprintf(url, sizeof(url), "%.128s, for https://%.260s%.200s", text_of(row, "env_url"), host,
                       text_of(row, "url_path"));
        line("preset", mcpcred_row_text(row, "preset"));
        print_slot(egress);
        line("base URL", *host ? url : NULL);
        print_list(egress, "allow", "allow");
        print_list(egress, "deny", "deny");
        print_list(egress, "addresses", "addresses");
        print_rate(egress);
        print_limit("max uses", mcpcred_row_number(egress, "max_uses"), "");
        print_limit("max body", mcpcred_row_number(egress, "max_body"), " bytes");
        print_limit("concurrent", mcpcred_row_number(egress, "concurrent"), "");
        line("scrub", mcpcred_row_text(egress, "scrub"));
        if (mcpcred_row_flag(egress, "websocket"))
                line("websocket", "yes: what is sent there is not looked at");
        if (mcpcred_row_flag(egress, "cookies"))
                line("cookies", "yes: they reach the sandbox");
}

/* One profile, field by field. */
static int print_one(const mcpcred_row *row, void *name)
{
        const mcpcred_row *scope = mcpcred_row_record(row, "scope", 0);
        _cleanup_(free_memory) char *command = join_items(row, "command");
        _cleanup_(free_memory) char *on_leak = join_items(row, "on_leak");
        char ttl[32];

        if (!is_named(row, name))
                return 0;
        line("profile", mcpcred_row_text(row, "name"));
        line("secret", mcpcred_row_text(row, "secret"));
        line("provider", mcpcred_row_text(row, "provider"));
        line("deliver", mcpcred_row_text(row, "deliver"));
        line("variable", mcpcred_row_text(row, "env"));
        line("ttl", short_duration(mcpcred_row_number(row, "ttl"), ttl));
        print_list(scope, "repositories", "repositories");
        print_map(scope, "permissions", "permissions", ": ");
        print_egress(row);
        print_map(row, "variables", "sets", "=");
        line("command", command);
        line("caller unit", mcpcred_row_text(row, "caller_unit"));
        line("canary", mcpcred_row_text(row, "canary"));
        line("on a leak", on_leak && *on_leak ? on_leak : "none");
        if (mcpcred_row_flag(row, "expose_secret"))
                line("exposes", "the secret itself goes into the session");
        line("defined in", mcpcred_row_text(row, "source"));
        line("problem", mcpcred_row_text(row, "problem"));
        return 1;
}

static int fail_no_profile(Cli *cli, const char *name)
{
        return cli_fail_local(cli, EXIT_NO_SUCH, "NotFound", "`mcpcred profile` lists them.", "There is no profile %s.",
                              name);
}

static int show_one(Cli *cli, char *name)
{
        int r = mcpcred_list_rows(cli->client, MCPCRED_LIST_PROFILES, 0, print_one, name);

        if (r == MCPCRED_E_STOPPED)
                return 0;
        return r ? cli_fail(cli) : fail_no_profile(cli, name);
}

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        const ProfileOptions *asked = given;
        const char *name = arguments->n ? arguments->items[0] : NULL;
        const Listing listing = { .array = "profiles",
                                  .headers = headers,
                                  .cells = cells,
                                  .none = "the configuration has no profiles.",
                                  .wants = name ? is_named : NULL,
                                  .fail_none = name ? fail_no_profile : NULL,
                                  .userdata = name };
        _cleanup_(free_memory) char *copy = name ? strdup(name) : NULL;

        if (asked->canary && !name)
                return cli_usage(cli, &verb_profile, "--canary needs a profile");
        if (asked->canary)
                return profile_canary_plant(cli, name, asked->canary);
        if (copy && !cli->json)
                return show_one(cli, copy);
        return listing_run(cli, &listing, MCPCRED_LIST_PROFILES, true, NULL);
}

const Verb verb_profile = {
        .name = "profile",
        .arguments = "[NAME [--canary VARIABLE]]",
        .summary = "show what a profile gives, and why it cannot be opened now",
        .details = "A canary is a variable beside the real one, with a handle that nobody has a use for: whoever\n"
                   "uses it has collected what he found, and that is dealt with as a leak. --canary writes it\n"
                   "into the profile's section of the configuration, and leaves all else as it is.\n\n"
                   "  mcpcred profile github-triage --canary AWS_SECRET_ACCESS_KEY",
        OPTIONS(options, ProfileOptions),
        .max_arguments = 1,
        .run = run,
};
