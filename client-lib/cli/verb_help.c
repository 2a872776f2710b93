#include "cli.h"
#include "output.h"
#include <string.h>

static void print_options(const Option *options, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                char left[64];

                (void)snprintf(left, sizeof(left), "--%s%s%s", options[i].name,
                               options[i].argument ? " " : "",
                               options[i].argument ? options[i].argument : "");
                (void)printf("  %-22s %s\n", left, options[i].help);
        }
}

static void print_verb(const Verb *verb)
{
        (void)printf("Usage: mcpcred %s%s%s\n\n%c%s.\n", verb->name, *verb->arguments ? " " : "",
                     verb->arguments, verb->summary[0] - 'a' + 'A', verb->summary + 1);
        if (verb->details)
                (void)printf("\n%s\n", verb->details);
        if (verb->n_options > 0) {
                (void)puts("\nOptions:");
                print_options(verb->options, verb->n_options);
        }
        (void)puts("\nOf every verb:");
        print_options(global_options, n_global_options);
}

static void print_exit_codes(void)
{
        (void)puts(
                "0  done\n"
                "1  failed\n"
                "2  usage, or cancelled\n"
                "3  scan: nothing found, but not everything could be looked at\n"
                "4  the keyring is locked, absent or does not answer\n"
                "5  denied by policy\n"
                "6  there is no such thing\n"
                "7  the broker cannot be reached\n"
                "8  done here, and the upstream has yet to confirm\n"
                "9  the audit log is not what was written\n"
                "\n"
                "exec passes the command's own status through, 128 and the signal's number if a\n"
                "signal ended it, 126 and 127 if it cannot be run or is not there. 125 is a\n"
                "failure of exec itself. Of scan, 1 is that something was found.");
}

static const char *rotation_word(mcpcred_renewal rotation)
{
        switch (rotation) {
        case MCPCRED_RENEWAL_CREATE:
                return "create";
        case MCPCRED_RENEWAL_REPLACE:
                return "replace";
        case MCPCRED_RENEWAL_GUIDED:
                break;
        }
        return "guided";
}

static void print_providers_json(void)
{
        mcpcred_provider provider;
        Json json;

        json_begin(&json);
        json_open_array(&json, "providers");
        for (size_t i = 0; mcpcred_provider_get(i, &provider, sizeof(provider)) == MCPCRED_OK; i++) {
                json_open_object(&json, NULL);
                json_text(&json, "name", provider.name);
                json_text(&json, "title", provider.title);
                json_text(&json, "base_url", provider.base_url);
                json_text(&json, "preset", provider.preset);
                json_flag(&json, "verifies", provider.verifies);
                json_flag(&json, "mints", provider.mints);
                json_flag(&json, "revokes", provider.revokes);
                json_flag(&json, "ends_secret", provider.ends_secret);
                json_text(&json, "rotation", rotation_word(provider.rotation));
                json_close_object(&json);
        }
        json_close_array(&json);
        (void)json_end(&json, stdout);
}

static void print_providers(void)
{
        static const char *const headers[] = { "PROVIDER", "CHECKED", "MINTS", "ROTATION", "ENDED THERE", "WHAT IT IS", NULL };
        Table table = table_new(headers);
        mcpcred_provider provider;

        for (size_t i = 0; mcpcred_provider_get(i, &provider, sizeof(provider)) == MCPCRED_OK; i++) {
                table_add(&table, provider.name);
                table_add(&table, provider.verifies ? "yes" : "no");
                table_add(&table, provider.mints ? "yes" : "no");
                table_add(&table, rotation_word(provider.rotation));
                table_add(&table, provider.ends_secret ? "yes" : "no");
                table_add(&table, provider.title);
        }
        table_print(&table);
        (void)puts("\nCHECKED: the upstream is asked about the secret when it is stored.\n"
                   "MINTS: sessions get short-lived credentials made of it; else it serves as it is,\n"
                   "through the proxy.\n"
                   "ROTATION: create, a new value is made and the old one ended afterwards; replace,\n"
                   "making it ends the old one; guided, you make it and `mcpcred rotate` takes it.\n"
                   "ENDED THERE: a value that leaked can be ended at the upstream from here.");
}

static int run(Cli *cli, const void *options UNUSED, const Arguments *arguments)
{
        const Verb *verb = arguments->n ? verb_find(arguments->items[0]) : NULL;

        if (verb) {
                print_verb(verb);
                return 0;
        }
        if (arguments->n && strcmp(arguments->items[0], "exit-codes") == 0) {
                print_exit_codes();
                return 0;
        }
        if (arguments->n && strcmp(arguments->items[0], "providers") == 0) {
                if (cli->json)
                        print_providers_json();
                else
                        print_providers();
                return 0;
        }
        if (arguments->n)
                return cli_usage(cli, &verb_help, "there is no verb \"%s\"", arguments->items[0]);
        (void)puts("Usage: mcpcred [OPTION...] VERB [ARGUMENT...]\n\nVerbs:");
        for (size_t i = 0; verbs[i]; i++)
                (void)printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
        (void)puts("\nOptions:");
        print_options(global_options, n_global_options);
        (void)puts("\n`mcpcred help VERB` explains one; `mcpcred help exit-codes` lists the exit codes,\n"
                   "and `mcpcred help providers` what can be done with which upstream.");
        return 0;
}

const Verb verb_help = {
        .name = "help",
        .arguments = "[VERB|exit-codes|providers]",
        .summary = "explain a verb",
        .max_arguments = 1,
        .run = run,
};
