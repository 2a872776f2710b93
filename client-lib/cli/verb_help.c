#include "cli.h"
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
                "\n"
                "exec passes the command's own status through, 128 and the signal's number if a\n"
                "signal ended it, 126 and 127 if it cannot be run or is not there. 125 is a\n"
                "failure of exec itself. Of scan, 1 is that something was found.");
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
        if (arguments->n)
                return cli_usage(cli, &verb_help, "there is no verb \"%s\"", arguments->items[0]);
        (void)puts("Usage: mcpcred [OPTION...] VERB [ARGUMENT...]\n\nVerbs:");
        for (size_t i = 0; verbs[i]; i++)
                (void)printf("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
        (void)puts("\nOptions:");
        print_options(global_options, n_global_options);
        (void)puts("\n`mcpcred help VERB` explains one; `mcpcred help exit-codes` lists the exit "
                   "codes.");
        return 0;
}

const Verb verb_help = {
        .name = "help",
        .arguments = "[VERB|exit-codes]",
        .summary = "explain a verb",
        .max_arguments = 1,
        .run = run,
};
