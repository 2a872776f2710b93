#include "audit_cli.h"
#include "output.h"
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A broker that starts again is waited for, with pauses that grow. */
#define RETRY_MIN_MS 100U
#define RETRY_MAX_MS 2000U
#define RETRY_FOR_MS 60000U

typedef struct WatchOptions {
        uint64_t since;
        EventFilter filter;
} WatchOptions;

static const Option options[] = {
        OPTION(WatchOptions, since, "since", NUMBER, "SEQ", "first what the log has from this line on"),
        EVENT_FILTER_OPTIONS(WatchOptions),
};

typedef struct Watching {
        const Cli *cli;
        const EventFilter *filter;
        uint64_t next;  /* line that comes next */
        bool connected; /* it was, since the last time that it was not */
        bool begun;     /* it was, ever */
} Watching;

static void print_json(const mcpcred_row *event, uint64_t lost)
{
        Json json;

        json_begin(&json);
        if (event)
                json_row_members(&json, event);
        else
                json_number(&json, "lost", lost);
        (void)json_end(&json, stdout);
}

static int on_reply(const mcpcred_row *row, void *userdata)
{
        Watching *watching = userdata;
        uint64_t lost = mcpcred_row_number(row, "lost");

        if (watching->begun && !watching->connected)
                cli_note("the broker is back");
        watching->begun = watching->connected = true;
        if (lost > 0 && watching->cli->json)
                print_json(NULL, lost);
        else if (lost > 0)
                (void)printf("-- %llu lines are not there any more\n", (unsigned long long)lost);
        watching->next += lost;
        for (size_t i = 0; i < mcpcred_row_count(row, "events"); i++) {
                const mcpcred_row *event = mcpcred_row_record(row, "events", i);

                if (!event)
                        return 1;
                watching->next = mcpcred_row_number(event, "sequence") + 1;
                if (!event_is_wanted(watching->filter, event))
                        continue;
                if (watching->cli->json)
                        print_json(event, 0);
                else
                        event_print(event);
                if (fflush(stdout) != 0)
                        return 1;
        }
        return fflush(stdout) != 0;
}

static int take_sequence(const mcpcred_row *row, void *userdata)
{
        *(uint64_t *)userdata = mcpcred_row_number(row, "audit_sequence") + 1;
        return 0;
}

/* What another attempt may mend. */
static bool is_restart(int code)
{
        return code == MCPCRED_E_UNAVAILABLE || code == MCPCRED_E_DROPPED || code == MCPCRED_E_UNREACHABLE ||
               code == MCPCRED_E_DEADLINE || code == MCPCRED_E_TIMEOUT;
}

static void sleep_ms(unsigned ms)
{
        const struct timespec span = { ms / 1000, (long)(ms % 1000) * 1000000 };

        (void)nanosleep(&span, NULL);
}

static int give_up(Cli *cli, const Watching *watching)
{
        char message[512];

        (void)snprintf(message, sizeof(message), "%s", mcpcred_error_message(cli->client));
        return cli_fail_local(cli, EXIT_UNREACHABLE, mcpcred_error_name(cli->client),
                              "Go on with --since and that line, once it runs.",
                              "The broker has not come back for a minute, and line %llu is the next one. %s",
                              (unsigned long long)watching->next, message);
}

int watch_events(Cli *cli, uint64_t since, const EventFilter *filter)
{
        Watching watching = { .cli = cli, .filter = filter, .next = since };
        unsigned pause = RETRY_MIN_MS, waited = 0;

        /* From here on by number, so that a restart is no gap. */
        if (since == 0 && mcpcred_status(cli->client, take_sequence, &watching.next))
                return cli_fail(cli);
        for (;;) {
                int code = mcpcred_watch(cli->client, watching.next, STDOUT_FILENO, on_reply, &watching);

                if (code == MCPCRED_E_STOPPED)
                        return ferror(stdout) ? EXIT_FAILED : EXIT_DONE;
                /* Only a broker that was there is waited for. */
                if (!watching.begun || !is_restart(code))
                        return cli_fail(cli);
                if (watching.connected) {
                        cli_note("the broker is gone, or a part of it; waiting for it to come back");
                        pause = RETRY_MIN_MS;
                        waited = 0;
                }
                if (waited > RETRY_FOR_MS)
                        return give_up(cli, &watching);
                watching.connected = false;
                sleep_ms(pause);
                waited += pause;
                pause = pause * 2 < RETRY_MAX_MS ? pause * 2 : RETRY_MAX_MS;
        }
}

static int run(Cli *cli, const void *given, const Arguments *arguments UNUSED)
{
        const WatchOptions *asked = given;
        int r = event_filter_check(cli, &verb_watch, &asked->filter);

        return r ? r : watch_events(cli, asked->since, &asked->filter);
}

const Verb verb_watch = {
        .name = "watch",
        .arguments = "[OPTION...]",
        .summary = "follow what happens, line by line",
        .details = "Prints each line of the audit log as it is written, until it is interrupted, and goes on\n"
                   "where it was when the broker was started again. With --json each line is an object.\n"
                   "What was written before is there with --since; `mcpcred audit show` ends at its end.",
        OPTIONS(options, WatchOptions),
        .run = run,
};
