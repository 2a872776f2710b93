#include "store.h"

static int run(Cli *cli, const void *options UNUSED, const Arguments *arguments UNUSED)
{
        return mcpcred_lock(cli->client, store_print, cli) ? cli_fail(cli) : 0;
}

const Verb verb_lock = {
        .name = "lock",
        .arguments = "",
        .summary = "forget the sealed file's passphrase",
        .run = run,
};
