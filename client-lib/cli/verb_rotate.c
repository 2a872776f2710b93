#include "input.h"
#include "output.h"

typedef struct RotateOptions {
        bool plan, abort;
        Source source;
} RotateOptions;

static const Option options[] = {
        OPTION(RotateOptions, plan, "plan", FLAG, NULL,
               "say what to do upstream, and change nothing"),
        OPTION(RotateOptions, abort, "abort", FLAG, NULL, "drop a rotation under way"),
        SOURCE_OPTIONS(RotateOptions),
};

typedef struct Steps {
        Cli *cli;
        Json json;
} Steps;

static int print(const mcpcred_row *row, void *userdata)
{
        Steps *steps = userdata;
        _cleanup_(free_memory) char *step = printable(mcpcred_row_text(row, "step"));
        _cleanup_(free_memory) char *message = printable(mcpcred_row_text(row, "message"));

        if (steps->cli->json)
                json_row(&steps->json, NULL, row);
        else
                (void)printf("%-9s %s\n", step ? step : "", message ? message : "");
        (void)fflush(stdout);
        return 0;
}

static int run_rotation(Cli *cli, const char *name, mcpcred_rotation rotation,
                        const mcpcred_value *value)
{
        Steps steps = { .cli = cli };

        if (cli->json) {
                json_begin(&steps.json);
                json_text(&steps.json, "name", name);
                json_open_array(&steps.json, "steps");
        }
        if (mcpcred_secret_rotate(cli->client, name, rotation, value, print, &steps)) {
                json_discard(&steps.json);
                return cli_fail(cli);
        }
        if (cli->json) {
                json_close_array(&steps.json);
                return json_end(&steps.json, stdout) ? 0 : EXIT_FAILED;
        }
        return 0;
}

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        const RotateOptions *asked = given;
        const char *name = arguments->items[0];
        const Source *source = &asked->source;
        bool asks =
                !source->from_stdin && !source->file && !source->from_env && !source->from_command;
        _cleanup_(free_value) mcpcred_value *value = NULL;
        int r;

        if (asked->plan && asked->abort)
                return cli_usage(cli, &verb_rotate, "--plan and --abort exclude each other");
        if (asked->plan || asked->abort)
                return run_rotation(cli, name,
                                    asked->plan ? MCPCRED_ROTATION_PLAN : MCPCRED_ROTATION_ABORT,
                                    NULL);
        /* Whoever types it here has to be told first what to do upstream. */
        r = asks && !cli->json ? run_rotation(cli, name, MCPCRED_ROTATION_PLAN, NULL) : 0;
        if (r == 0)
                r = input_secret(cli, source, "New value: ", false, &value);
        return r ? r : run_rotation(cli, name, MCPCRED_ROTATION_RUN, value);
}

const Verb verb_rotate = {
        .name = "rotate",
        .arguments = "NAME [--plan|--abort] [OPTION...]",
        .summary = "put a new value in the place of a secret's old one",
        .details =
                "The new value is verified and stored beside the old one, then switched to; the "
                "old one is ended\n"
                "last. Open sessions go on. --plan says what has to be done at the upstream first.",
        OPTIONS(options, RotateOptions),
        .min_arguments = 1,
        .max_arguments = 1,
        .takes_secret = true,
        .run = run,
};
