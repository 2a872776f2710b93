#include "cli.h"
#include "output.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* The log and the head are read one after the other; on a busy broker they are not of one moment.
 */
#define VERIFY_ATTEMPTS 5U
#define TAIL_DEFAULT    10U

typedef struct AuditOptions {
        const char *file, *head;
        uint64_t lines;
        bool follow;
} AuditOptions;

static const Option options[] = {
        OPTION(AuditOptions, file, "file", TEXT, "PATH", "this log instead of the broker's"),
        OPTION(AuditOptions, head, "head", TEXT, "N:HEX",
               "verify: the chain's head after line N, from the journal"),
        OPTION(AuditOptions, lines, "lines", NUMBER, "N", "tail: how many lines (10)"),
        OPTION(AuditOptions, follow, "follow", FLAG, NULL, "tail: go on as lines are written"),
};

/* Where the log is and what its end should be. */
typedef struct Known {
        char path[4097];
        uint64_t sequence;
        char head[65];
        bool has_head;
} Known;

static int take_status(const mcpcred_row *row, void *userdata)
{
        Known *known = userdata;

        (void)snprintf(known->path, sizeof(known->path), "%s", mcpcred_row_text(row, "audit_path"));
        (void)snprintf(known->head, sizeof(known->head), "%s", mcpcred_row_text(row, "audit_head"));
        known->sequence = mcpcred_row_number(row, "audit_sequence");
        known->has_head = true;
        return 0;
}

/* From the broker, unless the options say it. */
static int find_out(Cli *cli, const AuditOptions *asked, Known *known)
{
        char *end;

        if (!asked->file)
                return mcpcred_status(cli->client, take_status, known) ? cli_fail(cli) : 0;
        (void)snprintf(known->path, sizeof(known->path), "%s", asked->file);
        if (!asked->head)
                return 0;
        errno = 0;
        known->sequence = strtoull(asked->head, &end, 10);
        if (errno || asked->head[0] < '0' || asked->head[0] > '9' || *end != ':' || strlen(end + 1) != 64)
                return cli_usage(cli, &verb_audit,
                                 "--head takes a line's number, a colon and the hash in hex");
        (void)snprintf(known->head, sizeof(known->head), "%s", end + 1);
        known->has_head = true;
        return 0;
}

static int open_log(Cli *cli, const char *path, int *ret)
{
        *ret = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        return *ret < 0 ? cli_fail_local(cli, errno == ENOENT ? EXIT_NO_SUCH : EXIT_FAILED,
                                         "System", "", "%s: %s.", path, strerror(errno))
                        : 0;
}

static int verify_once(Cli *cli, const Known *known, mcpcred_audit *ret)
{
        int fd, r = open_log(cli, known->path, &fd);

        if (r)
                return r;
        r = mcpcred_audit_verify(cli->client, fd, known->sequence,
                                 known->has_head ? known->head : NULL, ret);
        (void)close(fd);
        return r ? cli_fail(cli) : 0;
}

static int verify(Cli *cli, const AuditOptions *asked, Known *known, mcpcred_audit *ret)
{
        Known after;
        int r = 0;

        for (unsigned i = 0; r == 0 && i < VERIFY_ATTEMPTS; i++) {
                r = verify_once(cli, known, ret);
                if (r || ret->bad_line == 0 || asked->file)
                        break;
                r = find_out(cli, asked, &after);
                if (r || after.sequence == known->sequence)
                        break; /* nothing was written in between: so it is as it looks */
                *known = after;
        }
        return r;
}

static int report(Cli *cli, const Known *known, const mcpcred_audit *audit)
{
        Json json;

        if (cli->json) {
                json_begin(&json);
                json_text(&json, "path", known->path);
                json_flag(&json, "good", audit->bad_line == 0);
                json_number(&json, "lines", audit->lines);
                json_number(&json, "sequence", audit->sequence);
                json_text(&json, "head", audit->head);
                json_flag(&json, "head_compared", known->has_head);
                json_number(&json, "bad_line", audit->bad_line);
                json_text(&json, "reason", audit->bad_line ? audit->reason : NULL);
                if (!json_end(&json, stdout))
                        return EXIT_FAILED;
        } else if (audit->bad_line) {
                (void)printf("%s: line %llu: %s. The %llu lines before it are good.\n", known->path,
                             (unsigned long long)audit->bad_line, audit->reason,
                             (unsigned long long)audit->lines);
        } else {
                (void)printf("%s: %llu lines are good%s.\n", known->path,
                             (unsigned long long)audit->lines,
                             known->has_head ? ", and end where they should"
                                             : "; whether lines are missing at the end is not "
                                               "known without the head");
        }
        return audit->bad_line ? EXIT_FAILED : EXIT_DONE;
}

static int run_verify(Cli *cli, const AuditOptions *asked)
{
        Known known = { 0 };
        mcpcred_audit audit = { 0 };
        int r = find_out(cli, asked, &known);

        if (r == 0)
                r = verify(cli, asked, &known, &audit);
        return r ? r : report(cli, &known, &audit);
}

/* ---- tail ---- */

/* The value of a key in a line of the log, whose writer escapes each quote within a text. */
static const char *value_of(const char *line, const char *key, int *ret_length)
{
        char pattern[64];
        const char *at, *end;

        (void)snprintf(pattern, sizeof(pattern), "\"%s\":", key);
        at = strstr(line, pattern);
        *ret_length = 1;
        if (!at)
                return "-";
        at += strlen(pattern);
        if (*at != '"') {
                *ret_length = (int)strcspn(at, ",}");
                return at;
        }
        for (end = ++at; *end && *end != '"'; end++)
                if (*end == '\\' && end[1])
                        end++;
        *ret_length = (int)(end - at);
        return at;
}

static void print_line(const Cli *cli, const char *line)
{
        static const char *const keys[] = { "time",    "verdict", "operation", "principal",
                                            "session", "profile", "reason" };
        const char *detail;
        int n;

        if (cli->json) {
                (void)puts(line);
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                int length;
                const char *value = value_of(line, keys[i], &length);

                if (i == 0 && length > 19)
                        length = 19;
                (void)printf("%s%.*s%s", i ? "  " : "", length, value, i ? "" : "Z");
        }
        detail = value_of(line, "detail", &n);
        if (*detail != '-' || n != 1)
                (void)printf("  %.*s", n, detail);
        putchar('\n');
}

/* Moves to the beginning of the last `n` lines. */
static void seek_lines(FILE *file, uint64_t n)
{
        long at;
        int c;

        if (fseek(file, 0, SEEK_END) < 0)
                return;
        for (at = ftell(file) - 1; at > 0; at--) {
                if (fseek(file, at - 1, SEEK_SET) < 0 || (c = fgetc(file)) == EOF)
                        return;
                if (c == '\n' && --n == 0)
                        return;
        }
        rewind(file);
}

static void print_whole_lines(const Cli *cli, FILE *file)
{
        char *line = NULL;
        size_t room = 0;
        ssize_t n;

        while ((n = getline(&line, &room, file)) > 0) {
                if (line[n - 1] != '\n') { /* still being written */
                        (void)fseek(file, -n, SEEK_CUR);
                        break;
                }
                line[n - 1] = '\0';
                print_line(cli, line);
        }
        free(line);
        clearerr(file);
        (void)fflush(stdout);
}

/* Until the reader of stdout is gone, or a signal ends us. */
static int follow(Cli *cli, const char *path, FILE *file)
{
        char events[4096] __attribute__((aligned(8)));
        int inotify = inotify_init1(IN_CLOEXEC);

        if (inotify < 0 || inotify_add_watch(inotify, path, IN_MODIFY) < 0)
                return cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot watch %s: %s.", path,
                                      strerror(errno));
        while (!ferror(stdout)) {
                struct pollfd pollers[] = { { .fd = inotify, .events = POLLIN },
                                            { .fd = STDOUT_FILENO } };

                print_whole_lines(cli, file);
                if (poll(pollers, 2, -1) < 0 && errno != EINTR)
                        break;
                if (pollers[1].revents & (POLLERR | POLLHUP))
                        break;
                if ((pollers[0].revents & POLLIN) && read(inotify, events, sizeof(events)) < 0)
                        break;
        }
        (void)close(inotify);
        return 0;
}

static int run_tail(Cli *cli, const AuditOptions *asked)
{
        Known known = { 0 };
        FILE *file;
        int fd, r = find_out(cli, asked, &known);

        if (r == 0)
                r = open_log(cli, known.path, &fd);
        if (r)
                return r;
        file = fdopen(fd, "r");
        if (!file)
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        seek_lines(file, asked->lines ? asked->lines : TAIL_DEFAULT);
        print_whole_lines(cli, file);
        if (asked->follow)
                r = follow(cli, known.path, file);
        (void)fclose(file);
        return r;
}

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        const char *what = arguments->items[0];

        if (strcmp(what, "verify") == 0)
                return run_verify(cli, given);
        if (strcmp(what, "tail") == 0)
                return run_tail(cli, given);
        return cli_usage(cli, &verb_audit, "verify or tail, not \"%s\"", what);
}

const Verb verb_audit = {
        .name = "audit",
        .arguments = "verify|tail [OPTION...]",
        .summary = "check the audit log, or read its end",
        .details = "verify names the first line that was edited, cut, left out, added or moved, and\n"
                   "compares the end with what the broker's state says. tail prints the last lines,\n"
                   "also why a request was refused; with --json as they are.",
        OPTIONS(options, AuditOptions),
        .min_arguments = 1,
        .max_arguments = 1,
        .run = run,
};
