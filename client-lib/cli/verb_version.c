#include "cli.h"
#include "output.h"

static int run(Cli *cli, const void *options UNUSED, const Arguments *arguments UNUSED)
{
        Json json;

        if (cli->json) {
                json_begin(&json);
                json_text(&json, "version", MCPCRED_VERSION);
                return json_end(&json, stdout) ? 0 : EXIT_FAILED;
        }
        (void)puts("mcpcred " MCPCRED_VERSION);
        return 0;
}

const Verb verb_version = {
        .name = "version",
        .arguments = "",
        .summary = "print the version of this command",
        .run = run,
};
