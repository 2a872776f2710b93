#include "cli.h"
#include "output.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct StatusOptions {
        bool metrics;
        const char *textfile;
} StatusOptions;

static const Option options[] = {
        OPTION(StatusOptions, metrics, "metrics", FLAG, NULL,
               "counts and ages, in Prometheus' text format"),
        OPTION(StatusOptions, textfile, "textfile", TEXT, "PATH",
               "write them to this file, whole or not at all"),
};

static int print_json(const mcpcred_row *row, void *userdata)
{
        Json *json = userdata;

        json_flag(json, "running", true);
        json_row_members(json, row);
        return 0;
}

static void line(const char *label, const char *text)
{
        _cleanup_(free_memory) char *clean = printable(text ? text : "-");

        (void)printf("%-10s%s\n", label, clean ? clean : "");
}

static void print_roles(const mcpcred_row *row)
{
        static const char *const headers[] = { "ROLE", "PID", "RESTARTS", "STARTED", NULL };
        Table table = table_new(headers);

        for (size_t i = 0; i < mcpcred_row_count(row, "roles"); i++) {
                const mcpcred_row *role = mcpcred_row_record(row, "roles", i);
                char text[32];

                table_add(&table, mcpcred_row_text(role, "role"));
                (void)snprintf(text, sizeof(text), "%llu",
                               (unsigned long long)mcpcred_row_number(role, "pid"));
                table_add(&table, text);
                (void)snprintf(text, sizeof(text), "%llu",
                               (unsigned long long)mcpcred_row_number(role, "restarts"));
                table_add(&table, text);
                table_add(&table, relative_time(mcpcred_row_time(role, "started"), text));
        }
        if (table.n_cells > 0)
                putchar('\n');
        table_print(&table);
}

static unsigned long long number(const mcpcred_row *row, const char *field)
{
        return (unsigned long long)mcpcred_row_number(row, field);
}

static int print_text(const mcpcred_row *row, void *userdata UNUSED)
{
        char text[512], when[32];

        (void)snprintf(text, sizeof(text), "mcpcredd %s, started %s",
                       mcpcred_row_text(row, "version"),
                       relative_time(mcpcred_row_time(row, "started"), when));
        line("broker", text);
        (void)snprintf(text, sizeof(text), "%s, %s; %llu secret%s", mcpcred_row_text(row, "store"),
                       mcpcred_row_text(row, "store_state"), number(row, "secrets"), plural(number(row, "secrets")));
        line("store", text);
        (void)snprintf(text, sizeof(text), "%llu profile%s, %llu session%s, %llu lease%s",
                       number(row, "profiles"), plural(number(row, "profiles")), number(row, "sessions"),
                       plural(number(row, "sessions")), number(row, "leases"), plural(number(row, "leases")));
        line("in use", text);
        if (number(row, "incidents")) {
                (void)snprintf(text, sizeof(text), "%llu; `mcpcred leak list` says what is left to do",
                               number(row, "incidents"));
                line("leaks", text);
        }
        if (number(row, "pending")) {
                (void)snprintf(text, sizeof(text),
                               "%llu revocation%s that the upstream has yet to confirm",
                               number(row, "pending"), plural(number(row, "pending")));
                line("pending", text);
        }
        (void)snprintf(text, sizeof(text), "%.300s; %llu lines",
                       mcpcred_row_text(row, "audit_state"), number(row, "audit_sequence"));
        line("audit", text);
        line("", mcpcred_row_text(row, "audit_path"));
        print_roles(row);
        return 0;
}

/* ---- metrics ---- */

static int write_metrics(const mcpcred_row *row, void *userdata)
{
        FILE *to = userdata;
        const char *text = mcpcred_row_text(row, "text");

        return text && fputs(text, to) >= 0 ? 0 : -1;
}

static int fail_file(Cli *cli, const char *path)
{
        return cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot write %s: %s.", path,
                              strerror(errno));
}

/* A collector reads it at any time: what is there is whole, and of one moment. */
static int write_textfile(Cli *cli, const char *path)
{
        _cleanup_(free_memory) char *temporary = NULL;
        FILE *file;
        int fd, r;

        if (asprintf(&temporary, "%s.%ld.tmp", path, (long)getpid()) < 0) {
                temporary = NULL;
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        }
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        file = fd < 0 ? NULL : fdopen(fd, "w");
        if (!file) {
                r = fail_file(cli, temporary);
                if (fd >= 0) {
                        (void)close(fd);
                        (void)unlink(temporary);
                }
                return r;
        }
        r = mcpcred_metrics(cli->client, write_metrics, file);
        if (r)
                r = cli_fail(cli);
        else if (fflush(file) != 0 || fsync(fd) < 0)
                r = fail_file(cli, path);
        if (fclose(file) != 0 && r == 0)
                r = fail_file(cli, path);
        if (r == 0 && rename(temporary, path) < 0)
                r = fail_file(cli, path);
        if (r)
                (void)unlink(temporary);
        return r;
}

static int run_metrics(Cli *cli, const StatusOptions *asked)
{
        if (cli->json)
                return cli_usage(cli, &verb_status, "metrics have a format of their own; --json has another");
        if (asked->textfile)
                return write_textfile(cli, asked->textfile);
        if (mcpcred_metrics(cli->client, write_metrics, stdout))
                return cli_fail(cli);
        return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int run(Cli *cli, const void *given, const Arguments *arguments UNUSED)
{
        const StatusOptions *asked = given;
        Json json = { 0 };
        int r;

        if (asked->metrics || asked->textfile)
                return run_metrics(cli, asked);
        if (cli->json)
                json_begin(&json);
        r = mcpcred_status(cli->client, cli->json ? print_json : print_text, &json);
        if (r) {
                json_discard(&json);
                return cli_fail(cli);
        }
        return !cli->json || json_end(&json, stdout) ? 0 : EXIT_FAILED;
}

const Verb verb_status = {
        .name = "status",
        .arguments = "[--metrics | --textfile PATH]",
        .summary = "say how the broker is",
        .details = "With --metrics, counts and ages for Prometheus; --textfile writes them for the\n"
                   "textfile collector of its node exporter.\n\n"
                   "  mcpcred status --textfile /var/lib/node_exporter/mcpcred.prom",
        OPTIONS(options, StatusOptions),
        .run = run,
};
