#include "cli.h"
#include "output.h"
#include "sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

const Verb *const verbs[] = {
        &verb_add,    &verb_list,    &verb_remove, &verb_exec,    &verb_open,
        &verb_token,  &verb_rotate,  &verb_revoke, &verb_status,  &verb_sessions,
        &verb_leak,   &verb_scan,    &verb_leases, &verb_profile, &verb_audit,  &verb_watch,   &verb_doctor,  &verb_unlock,
        &verb_lock,   &verb_reload,  &verb_help,   &verb_version, NULL,
};

const Option global_options[] = {
        OPTION(Cli, json, "json", FLAG, NULL, "print JSON, with errors on stdout too"),
        OPTION(Cli, runtime, "runtime", TEXT, "DIR", "the broker's runtime directory"),
        OPTION(Cli, system, "system", FLAG, NULL, "the system's broker in /run/mcpcred"),
        OPTION(Cli, timeout, "timeout", DURATION, "TIME",
               "how long the broker may take to answer (30s)"),
        OPTION(Cli, help, "help", FLAG, NULL, "explain the verb"),
        OPTION(Cli, broker, "broker", TEXT, "PATH", "the mcpcredd to start where none runs"),
        OPTION(Cli, libexec, "libexec", TEXT, "DIR", "where that finds its parts"),
        OPTION(Cli, state, "state", TEXT, "DIR", "its state directory"),
        OPTION(Cli, config, "config", TEXT, "DIR", "its configuration directory"),
};
const size_t n_global_options = ARRAY_SIZE(global_options);

const Verb *verb_find(const char *name)
{
        for (size_t i = 0; verbs[i]; i++)
                if (strcmp(verbs[i]->name, name) == 0)
                        return verbs[i];
        return NULL;
}

/* ---- how the command complains ---- */

typedef struct Complaint {
        const char *name, *message, *remedy, *field;
        uint64_t retry_after_ms;
} Complaint;

static void print_json_error(const Cli *cli, const Complaint *complaint)
{
        Json json;

        json_begin(&json);
        json_open_object(&json, "error");
        json_text(&json, "code", complaint->name);
        json_text(&json, "message", complaint->message);
        json_text(&json, "remedy",
                  complaint->remedy && *complaint->remedy ? complaint->remedy : NULL);
        if (complaint->field)
                json_text(&json, "field", complaint->field);
        if (complaint->retry_after_ms)
                json_number(&json, "retry_after_ms", complaint->retry_after_ms);
        json_close_object(&json);
        (void)json_end(&json, cli->quiet_stdout ? stderr : stdout);
}

static void complain(const Cli *cli, const Complaint *complaint)
{
        _cleanup_(free_memory) char *message = printable(complaint->message);
        _cleanup_(free_memory) char *remedy = printable(complaint->remedy ? complaint->remedy : "");
        _cleanup_(free_memory) char *field = printable(complaint->field ? complaint->field : "");

        if (cli->json)
                print_json_error(cli, complaint);
        if (cli->json && cli->quiet_stdout)
                return;
        (void)fprintf(stderr, "mcpcred: %s%s%s\n", field && *field ? field : "",
                      field && *field ? ": " : "", message ? message : "");
        if (remedy && *remedy)
                (void)fprintf(stderr, "  %s\n", remedy);
        if (complaint->retry_after_ms) {
                char span[32];

                (void)fprintf(stderr, "  Ask again in %s.\n",
                              short_duration((complaint->retry_after_ms + 999) / 1000, span));
        }
}

int cli_fail(Cli *cli)
{
        const Complaint complaint = {
                .name = mcpcred_error_name(cli->client),
                .message = mcpcred_error_message(cli->client),
                .remedy = mcpcred_error_remedy(cli->client),
                .field = mcpcred_error_field(cli->client),
                .retry_after_ms = mcpcred_error_retry_after_ms(cli->client),
        };

        complain(cli, &complaint);
        return cli->quiet_stdout ? EXIT_EXEC_SELF : mcpcred_error_exit_status(cli->client);
}

int cli_fail_local(Cli *cli, int status, const char *name, const char *remedy, const char *format,
                   ...)
{
        char message[1024];
        va_list args;
        Complaint complaint = { .name = name, .message = message, .remedy = remedy };

        va_start(args, format);
        (void)vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        complain(cli, &complaint);
        return cli->quiet_stdout ? EXIT_EXEC_SELF : status;
}

int cli_usage(Cli *cli, const Verb *verb, const char *format, ...)
{
        char message[1024], remedy[256];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        if (verb)
                (void)snprintf(remedy, sizeof(remedy), "Usage: mcpcred %s%s%s", verb->name,
                               *verb->arguments ? " " : "", verb->arguments);
        else
                (void)snprintf(remedy, sizeof(remedy), "`mcpcred help` lists the verbs.");
        return cli_fail_local(cli, EXIT_USAGE, "Usage", remedy, "%s", message);
}

void cli_note(const char *format, ...)
{
        char message[1024];
        va_list args;
        _cleanup_(free_memory) char *clean = NULL;

        va_start(args, format);
        (void)vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        clean = printable(message);
        (void)fflush(stdout); /* what it speaks of stands before it, also where both go to one file */
        (void)fprintf(stderr, "mcpcred: %s\n", clean ? clean : "");
}

/* ---- the way to the verb ---- */

static int prepare_client(Cli *cli, const Verb *verb)
{
        int r = 0;

        if (cli->system && cli->runtime)
                return cli_usage(cli, verb, "--system and --runtime exclude each other");
        if (cli->system)
                r = mcpcred_set_system(cli->client);
        else if (cli->runtime)
                r = mcpcred_set_runtime(cli->client, cli->runtime);
        if (r == 0 && cli->timeout)
                r = mcpcred_set_deadline(
                        cli->client, (unsigned)(cli->timeout > 3600 ? 3600 : cli->timeout) * 1000);
        return r ? cli_fail(cli) : 0;
}

static int run_options(Cli *cli, const Verb *verb, const void *options, const Arguments *arguments)
{
        int r;

        if (cli->help) {
                cli->quiet_stdout = false;
                return verb_help.run(
                        cli, NULL, &(Arguments){ .items = (const char *[]){ verb->name }, .n = 1 });
        }
        r = prepare_client(cli, verb);
        if (r == 0)
                r = verb->run(cli, options, arguments);
        return r;
}

static int run_verb(Cli *cli, const Verb *verb, int argc, char **argv)
{
        _cleanup_(free_memory) void *options = calloc(1, verb->options_size + 1);
        Arguments arguments;
        int r;

        if (!options)
                return EXIT_FAILED;
        cli->quiet_stdout = verb->is_exec;
        r = options_read(cli, verb, argc, argv, options, &arguments);
        if (r == 0)
                r = run_options(cli, verb, options, &arguments);
        options_free(verb, options, &arguments);
        if (fflush(stdout) != 0 && r == 0)
                r = cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot write to stdout: %s.",
                                   strerror(errno));
        return r;
}

/* So that a mistake in front of --json is told in JSON too. */
static bool asks_for_json(int argc, char **argv)
{
        for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
                if (strcmp(argv[i], "--json") == 0)
                        return true;
        return false;
}

static int run(Cli *cli, int argc, char **argv)
{
        const Verb *verb;
        int next, r;

        cli->json = asks_for_json(argc, argv);
        if (argc == 2 && strcmp(argv[1], "--version") == 0)
                return verb_version.run(cli, NULL, &(Arguments){ 0 });
        r = options_read_global(cli, argc, argv, &next);
        if (r)
                return r;
        if (next >= argc)
                return cli->help ? verb_help.run(cli, NULL, &(Arguments){ 0 })
                                 : cli_usage(cli, NULL, "what is to be done?");
        verb = verb_find(argv[next]);
        if (!verb)
                return cli_usage(cli, NULL, "there is no verb \"%s\"", argv[next]);
        return run_verb(cli, verb, argc - next - 1, argv + next + 1);
}

/* A caller may have closed some of 0 to 2; what is opened later must not become one of them. */
static void fill_standard_descriptors(void)
{
        int fd;

        do
                fd = open("/dev/null", O_RDWR);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd >= 0)
                (void)close(fd);
}

int main(int argc, char **argv)
{
        Cli cli = { 0 };
        int r;

        if (argc > 1 && strcmp(argv[1], SANDBOX_INNER) == 0)
                return sandbox_inner(argc, argv);
        /* Secrets pass through this process: no core dump, and nobody of the same user looks in. */
        (void)prctl(PR_SET_DUMPABLE, 0);
        fill_standard_descriptors();
        if (mcpcred_process_setup() || mcpcred_new(&cli.client)) {
                (void)fputs("mcpcred: there is no memory.\n", stderr);
                return EXIT_FAILED;
        }
        r = run(&cli, argc, argv);
        mcpcred_free(cli.client);
        return r;
}
