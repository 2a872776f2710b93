#include "cli.h"
#include "output.h"

typedef struct TokenOptions {
        const char *session;
} TokenOptions;

static const Option options[] = {
        OPTION(TokenOptions, session, "session", TEXT, "ID",
               "of this session, asked from outside it"),
};

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        const TokenOptions *asked = given;
        const char *profile = arguments->n ? arguments->items[0] : NULL;
        _cleanup_(free_token) mcpcred_token *token = NULL;
        Json json;
        int r;

        if (asked->session)
                r = mcpcred_token_get(cli->client, asked->session, profile, &token);
        else if (mcpcred_in_session())
                r = mcpcred_session_token(cli->client, profile, &token);
        else
                return cli_usage(cli, &verb_token, "outside a session, --session says which one");
        if (r)
                return cli_fail(cli);
        if (cli->json) { /* says everything but the token */
                json_begin(&json);
                json_text(&json, "profile", mcpcred_token_profile(token));
                json_time(&json, "expires", mcpcred_token_expires(token));
                return json_end(&json, stdout) ? 0 : EXIT_FAILED;
        }
        (void)setvbuf(stdout, NULL, _IONBF, 0); /* no copy in a buffer */
        (void)fwrite(mcpcred_token_value(token), 1, mcpcred_token_size(token), stdout);
        putchar('\n');
        return ferror(stdout)
                       ? cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot write to stdout.")
                       : 0;
}

const Verb verb_token = {
        .name = "token",
        .arguments = "[PROFILE] [--session ID]",
        .summary = "print the token of a session",
        .details = "Inside a session it asks the session's own socket (MCPCRED_FD, or MCPCRED_SOCK "
                   "and\n"
                   "MCPCRED_SESSION). With --json it prints profile and expiry, and not the token.",
        OPTIONS(options, TokenOptions),
        .max_arguments = 1,
        .run = run,
};
