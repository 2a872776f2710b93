#include "input.h"
#include "output.h"
#include <string.h>
#include <unistd.h>

typedef struct RotateOptions {
        bool plan, abort, now, paste, allow_wider;
        uint64_t grace;
        Source source;
} RotateOptions;

static const Option options[] = {
        OPTION(RotateOptions, plan, "plan", FLAG, NULL,
               "say what will happen, or what to do upstream, and change nothing"),
        OPTION(RotateOptions, abort, "abort", FLAG, NULL,
               "drop a rotation under way; where a person is needed: the old value works after all"),
        OPTION(RotateOptions, grace, "grace", DURATION, "TIME",
               "how long the old value lives on behind the switch"),
        OPTION(RotateOptions, now, "now", FLAG, NULL,
               "the old value dies at once, and sessions that have it itself end"),
        OPTION(RotateOptions, paste, "paste", FLAG, NULL,
               "ask for the new value, also where the provider could make it"),
        OPTION(RotateOptions, allow_wider, "allow-wider", FLAG, NULL,
               "the value that is given may do more than the old one"),
        SOURCE_OPTIONS(RotateOptions),
};

#define STEP_WIDTH 12U /* "old_revoked", and a space */

typedef struct Steps {
        Cli *cli;
        Json json;
        bool terminal;
        bool transient; /* the last line is to be written over */
        bool pending, made_by_provider;
        bool silent; /* only what the last row says is wanted */
        bool planning;
} Steps;

/* ---- what is shown ---- */

/* One line that the next one takes the place of. */
static void print_transient(Steps *steps, const char *text)
{
        size_t width = terminal_width();
        int room = width > STEP_WIDTH + 1 ? (int)(width - STEP_WIDTH - 1) : 0;

        (void)printf("\r\033[K%-*s%.*s", (int)STEP_WIDTH, "...", room, text);
        steps->transient = true;
}

static void print_step(Steps *steps, const char *step, const char *message)
{
        if (steps->transient)
                (void)printf("\r\033[K");
        steps->transient = false;
        if (steps->terminal && strcmp(step, "waiting") == 0 && !steps->pending) {
                print_transient(steps, message);
        } else {
                (void)printf("%-*s", (int)STEP_WIDTH, step);
                print_wrapped(message, STEP_WIDTH, STEP_WIDTH);
        }
        (void)fflush(stdout);
}

/* The plan of what needs nobody. What a person would do comes behind it: the upstream may be away. */
static void print_made(Steps *steps, const char *by_hand)
{
        print_step(steps, "plan", "The upstream is asked for the new value, and ends the old one: nobody has to do anything there.");
        print_step(steps, "or by hand", by_hand);
        print_step(steps, "", "Then give the new value with --paste or --file.");
}

static int take_row(const mcpcred_row *row, void *userdata)
{
        Steps *steps = userdata;
        _cleanup_(free_memory) char *step = printable(mcpcred_row_text(row, "step"));
        _cleanup_(free_memory) char *message = printable(mcpcred_row_text(row, "message"));

        steps->pending = mcpcred_row_flag(row, "pending");
        steps->made_by_provider = mcpcred_row_flag(row, "made_by_provider");
        if (steps->cli->json && !steps->silent)
                json_row(&steps->json, NULL, row);
        else if (!steps->silent && steps->planning && steps->made_by_provider)
                print_made(steps, message ? message : "");
        else if (!steps->silent)
                print_step(steps, step ? step : "", message ? message : "");
        return 0;
}

/* ---- what is asked ---- */

static int report(Steps *steps, int r)
{
        if (steps->transient) {
                (void)printf("\r\033[K");
                (void)fflush(stdout);
        }
        if (r) {
                json_discard(&steps->json);
                return cli_fail(steps->cli);
        }
        if (steps->cli->json) {
                json_close_array(&steps->json);
                json_flag(&steps->json, "pending", steps->pending);
                if (!json_end(&steps->json, stdout))
                        return EXIT_FAILED;
        }
        return steps->pending ? EXIT_PENDING : EXIT_DONE;
}

static int run_rotation(Cli *cli, const char *name, mcpcred_rotation rotation,
                        const mcpcred_rotation_options *how, const mcpcred_value *value, bool planning)
{
        Steps steps = { .cli = cli, .terminal = isatty(STDOUT_FILENO), .planning = planning };

        if (cli->json) {
                json_begin(&steps.json);
                json_text(&steps.json, "name", name);
                json_open_array(&steps.json, "steps");
        }
        return report(&steps, mcpcred_secret_rotate(cli->client, name, rotation, how, value,
                                                    take_row, &steps));
}

/* Whether the provider makes the value, so that nobody has to be asked for one. 0 or an exit status. */
static int ask_plan(Cli *cli, const char *name, bool *ret_made)
{
        Steps steps = { .cli = cli, .silent = true };

        if (mcpcred_secret_rotate(cli->client, name, MCPCRED_ROTATION_PLAN, NULL, NULL, take_row,
                                  &steps))
                return cli_fail(cli);
        *ret_made = steps.made_by_provider;
        return 0;
}

/* The new value, from where it is said to be; NULL where the provider makes it. */
static int get_value(Cli *cli, const char *name, const RotateOptions *asked, mcpcred_value **ret)
{
        const Source *source = &asked->source;
        bool given = source->from_stdin || source->file || source->from_env || source->from_command;
        bool made = false;
        int r = given || asked->paste ? 0 : ask_plan(cli, name, &made);

        if (r || made)
                return r;
        /* Whoever types it here has to be told first what to do upstream. */
        if (!given && !cli->json)
                r = run_rotation(cli, name, MCPCRED_ROTATION_PLAN, NULL, NULL, false);
        return r ? r : input_secret(cli, source, "New value: ", false, ret);
}

static bool says_more(const RotateOptions *asked)
{
        const Source *source = &asked->source;

        return asked->grace || asked->now || asked->allow_wider || asked->paste || source->from_stdin || source->file ||
               source->from_env || source->from_command;
}

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        const RotateOptions *asked = given;
        const mcpcred_rotation_options how = {
                .grace = asked->grace, .now = asked->now, .allow_wider = asked->allow_wider
        };
        const char *name = arguments->items[0];
        _cleanup_(free_value) mcpcred_value *value = NULL;
        int r;

        if (asked->plan && asked->abort)
                return cli_usage(cli, &verb_rotate, "--plan and --abort exclude each other");
        if (asked->now && asked->grace)
                return cli_usage(cli, &verb_rotate, "--now and --grace exclude each other");
        if ((asked->plan || asked->abort) && says_more(asked))
                return cli_usage(cli, &verb_rotate, "%s goes with no other option", asked->plan ? "--plan" : "--abort");
        if (asked->plan || asked->abort)
                return run_rotation(cli, name,
                                    asked->plan ? MCPCRED_ROTATION_PLAN : MCPCRED_ROTATION_ABORT,
                                    NULL, NULL, asked->plan);
        r = get_value(cli, name, asked, &value);
        if (r)
                return r;
        if (asked->allow_wider && !value)
                return cli_usage(cli, &verb_rotate,
                                 "--allow-wider is for a value that you give; --paste asks for one");
        return run_rotation(cli, name, MCPCRED_ROTATION_RUN, &how, value, false);
}

const Verb verb_rotate = {
        .name = "rotate",
        .arguments = "NAME [--plan|--abort] [--grace TIME|--now] [--paste] [OPTION...]",
        .summary = "put a new value in the place of a secret's old one",
        .details =
                "Where the provider can make the new value, it is asked for it; elsewhere you are told what to\n"
                "do upstream, and asked for the value. It is stored beside the old one, verified, and switched\n"
                "to; open sessions go on. Then the old one is revoked, where the provider can do that.\n"
                "A session that was handed the old value itself (deliver = env) gets some time for that: as the\n"
                "secret's section says (10 m), --grace TIME, or none with --now, which ends it.\n"
                "Status 8: done here, and something is still to happen at the upstream.\n\n"
                "  mcpcred rotate cloudflare\n"
                "  mcpcred rotate github --file new-key.pem\n"
                "  mcpcred rotate gitlab --abort        # dropped, as long as the old value lives",
        OPTIONS(options, RotateOptions),
        .min_arguments = 1,
        .max_arguments = 1,
        .takes_secret = true,
        .run = run,
};
