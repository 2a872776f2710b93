#include "cli.h"
#include "output.h"

static int run(Cli *cli, const void *options UNUSED, const Arguments *arguments UNUSED)
{
        uint64_t profiles;
        Json json;

        if (mcpcred_reload(cli->client, &profiles))
                return cli_fail(cli);
        if (cli->json) {
                json_begin(&json);
                json_number(&json, "profiles", profiles);
                return json_end(&json, stdout) ? 0 : EXIT_FAILED;
        }
        (void)printf("%llu profile%s in force.\n", (unsigned long long)profiles,
                             profiles == 1 ? " is" : "s are");
        return 0;
}

const Verb verb_reload = {
        .name = "reload",
        .arguments = "",
        .summary = "read the configuration again; a bad one leaves the old in force",
        .run = run,
};
