#include "input.h"
#include "output.h"

typedef struct RemoveOptions {
        bool yes, dry_run;
} RemoveOptions;

static const Option options[] = {
        OPTION(RemoveOptions, yes, "yes", FLAG, NULL, "do not ask"),
        OPTION(RemoveOptions, dry_run, "dry-run", FLAG, NULL,
               "say what would end, and change nothing"),
};

static int confirm(Cli *cli, const char *name)
{
        char question[256];
        mcpcred_ended would = { 0 };
        bool terminal;

        if (mcpcred_secret_remove(cli->client, name, 1, &would))
                return cli_fail(cli);
        mcpcred_disconnect(cli->client); /* a broker does not wait for people */
        (void)snprintf(
                question, sizeof(question),
                "Remove %.64s? %llu sessions and %llu leases end. It cannot be undone. (y|n) ",
                name, (unsigned long long)would.sessions, (unsigned long long)would.leases);
        if (input_confirm(question, &terminal))
                return 0;
        if (terminal)
                return cli_fail_local(cli, EXIT_USAGE, "Cancelled", "", "Nothing was removed.");
        return cli_usage(cli, &verb_remove, "without a terminal, --yes is needed");
}

static void print(Cli *cli, const char *name, const mcpcred_ended *ended, bool dry_run)
{
        Json json;

        if (cli->json) {
                json_begin(&json);
                json_text(&json, "name", name);
                json_flag(&json, "dry_run", dry_run);
                json_number(&json, "sessions", ended->sessions);
                json_number(&json, "leases", ended->leases);
                (void)json_end(&json, stdout);
                return;
        }
        (void)printf("%s %s: %llu session%s and %llu lease%s %s.\n",
                     dry_run ? "Would remove" : "Removed", name, (unsigned long long)ended->sessions,
                     plural(ended->sessions), (unsigned long long)ended->leases, plural(ended->leases),
                     dry_run ? "would end" : "ended");
}

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        const RemoveOptions *asked = given;
        const char *name = arguments->items[0];
        mcpcred_ended ended = { 0 };
        int r = asked->yes || asked->dry_run ? 0 : confirm(cli, name);

        if (r)
                return r;
        if (mcpcred_secret_remove(cli->client, name, asked->dry_run, &ended))
                return cli_fail(cli);
        print(cli, name, &ended, asked->dry_run);
        return 0;
}

const Verb verb_remove = {
        .name = "remove",
        .arguments = "NAME [--yes] [--dry-run]",
        .summary = "end what lives of a secret, and delete it",
        OPTIONS(options, RemoveOptions),
        .min_arguments = 1,
        .max_arguments = 1,
        .run = run,
};
