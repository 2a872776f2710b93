#include "input.h"
#include "store.h"

typedef struct UnlockOptions {
        bool create;
        Source source;
} UnlockOptions;

static const Option options[] = {
        OPTION(UnlockOptions, create, "create", FLAG, NULL,
               "make a new sealed file with this passphrase"),
        SOURCE_OPTIONS(UnlockOptions),
};

static int run(Cli *cli, const void *given, const Arguments *arguments UNUSED)
{
        const UnlockOptions *asked = given;
        _cleanup_(free_value) mcpcred_value *passphrase = NULL;
        int r = broker_ensure(cli);

        if (r == 0)
                r = input_secret(cli, &asked->source,
                                 asked->create ? "New passphrase: " : "Passphrase: ", asked->create,
                                 &passphrase);
        if (r)
                return r;
        return mcpcred_unlock(cli->client, passphrase, asked->create, store_print, cli)
                       ? cli_fail(cli)
                       : 0;
}

const Verb verb_unlock = {
        .name = "unlock",
        .arguments = "[--create] [OPTION...]",
        .summary = "open the sealed file with its passphrase",
        OPTIONS(options, UnlockOptions),
        .takes_secret = true,
        .run = run,
};
