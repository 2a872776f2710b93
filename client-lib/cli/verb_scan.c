#include "cli.h"
#include "output.h"
#include "scan_git.h"
#include "scan_report.h"
#include "scan_walk.h"
#include <string.h>

typedef struct ScanOptions {
        Texts git;
        bool git_history, report;
        const char *max_size;
        uint64_t threads;
} ScanOptions;

static const Option options[] = {
        OPTION(ScanOptions, git, "git", TEXTS, "REPOSITORY", "its whole history; may be given several times"),
        OPTION(ScanOptions, git_history, "git-history", FLAG, NULL, "the history of the repository here"),
        OPTION(ScanOptions, report, "report", FLAG, NULL, "report what is found, so that `on_leak` acts"),
        OPTION(ScanOptions, max_size, "max-size", TEXT, "SIZE", "leave out larger files: 10M, 2G"),
        OPTION(ScanOptions, threads, "threads", NUMBER, "N", "how many (one a processor)"),
};

/* ---- what is looked for ---- */

typedef struct Patterns {
        NeedleValue *values;
        ScanName *names;
        size_t n, room;
        char **prefixes;
        size_t n_prefixes;
        ScanTrouble *skipped;
        size_t n_skipped;
        uint8_t key[NEEDLES_KEY_SIZE];
        bool damaged; /* the broker's answer makes no sense */
        bool no_memory;
} Patterns;

static void patterns_clear(Patterns *patterns)
{
        for (size_t i = 0; i < patterns->n; i++)
                free((void *)(uintptr_t)patterns->values[i].anchor.data);
        for (size_t i = 0; i < patterns->n_prefixes; i++)
                free(patterns->prefixes[i]);
        for (size_t i = 0; i < patterns->n_skipped; i++) {
                free(patterns->skipped[i].path);
                free(patterns->skipped[i].reason);
        }
        free(patterns->values);
        free(patterns->names);
        free(patterns->prefixes);
        free(patterns->skipped);
}

static int digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly `size` bytes. */
static bool unhex(const char *hex, uint8_t *out, size_t size)
{
        if (!hex || strlen(hex) != 2 * size)
                return false;
        for (size_t i = 0; i < size; i++) {
                int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

                if (high < 0 || low < 0)
                        return false;
                out[i] = (uint8_t)(high << 4 | low);
        }
        return true;
}

static bool grow(Patterns *patterns)
{
        size_t room = patterns->room ? 2 * patterns->room : 32;
        NeedleValue *values;
        ScanName *names;

        if (patterns->n < patterns->room)
                return true;
        values = realloc(patterns->values, room * sizeof(*values));
        if (values)
                patterns->values = values;
        names = realloc(patterns->names, room * sizeof(*names));
        if (names)
                patterns->names = names;
        if (!values || !names)
                return false;
        patterns->room = room;
        return true;
}

static void take_pattern(Patterns *patterns, const mcpcred_row *row)
{
        const char *hex = mcpcred_row_text(row, "anchor");
        size_t size = hex ? strlen(hex) / 2 : 0;
        uint8_t *anchor = malloc(size + 1);
        NeedleValue *value;
        ScanName *name;

        if (!anchor || !grow(patterns)) {
                free(anchor);
                patterns->no_memory = true;
                return;
        }
        value = &patterns->values[patterns->n];
        name = &patterns->names[patterns->n++];
        *value = (NeedleValue){ .anchor = { anchor, size },
                                .offset = mcpcred_row_number(row, "offset"),
                                .length = mcpcred_row_number(row, "length") };
        patterns->damaged = patterns->damaged || !unhex(hex, anchor, size) ||
                            !unhex(mcpcred_row_text(row, "hash"), value->hash, sizeof(value->hash));
        (void)snprintf(name->secret, sizeof(name->secret), "%s", mcpcred_row_text(row, "secret"));
        (void)snprintf(name->state, sizeof(name->state), "%s", mcpcred_row_text(row, "state"));
}

static void take_prefix(Patterns *patterns, const char *prefix)
{
        char **prefixes = realloc(patterns->prefixes, (patterns->n_prefixes + 1) * sizeof(char *));
        char *copy = strdup(prefix);

        if (prefixes)
                patterns->prefixes = prefixes;
        if (!prefixes || !copy) {
                free(copy);
                patterns->no_memory = true;
                return;
        }
        prefixes[patterns->n_prefixes++] = copy;
}

static void take_skipped(Patterns *patterns, const mcpcred_row *row)
{
        ScanTrouble *skipped = realloc(patterns->skipped, (patterns->n_skipped + 1) * sizeof(*skipped));
        ScanTrouble trouble = { .path = strdup(mcpcred_row_text(row, "secret")),
                                .reason = strdup(mcpcred_row_text(row, "reason")) };

        if (skipped)
                patterns->skipped = skipped;
        if (!skipped || !trouble.path || !trouble.reason) {
                free(trouble.path);
                free(trouble.reason);
                patterns->no_memory = true;
                return;
        }
        skipped[patterns->n_skipped++] = trouble;
}

static int take_page(const mcpcred_row *row, void *userdata)
{
        Patterns *patterns = userdata;

        patterns->damaged = patterns->damaged ||
                            !unhex(mcpcred_row_text(row, "key"), patterns->key, sizeof(patterns->key));
        for (size_t i = 0; i < mcpcred_row_count(row, "patterns"); i++)
                take_pattern(patterns, mcpcred_row_record(row, "patterns", i));
        for (size_t i = 0; i < mcpcred_row_count(row, "prefixes"); i++)
                take_prefix(patterns, mcpcred_row_item(row, "prefixes", i));
        for (size_t i = 0; i < mcpcred_row_count(row, "skipped"); i++)
                take_skipped(patterns, mcpcred_row_record(row, "skipped", i));
        return patterns->no_memory;
}

static int fetch(Cli *cli, Patterns *patterns, Needles **ret)
{
        int status;

        if (mcpcred_scan_patterns(cli->client, take_page, patterns)) {
                status = cli_fail(cli);
                return status == EXIT_FAILED ? EXIT_INCOMPLETE : status;
        }
        if (patterns->damaged || needles_new(ret, patterns->key, patterns->values, patterns->n,
                                             (const char *const *)patterns->prefixes, patterns->n_prefixes))
                return cli_fail_local(cli, EXIT_INCOMPLETE, "Protocol", "Use the mcpcred that belongs to the broker.",
                                      "What the broker says is to be looked for makes no sense here.");
        return 0;
}

/* ---- what is looked at ---- */

/* "10M". False: it is none. */
static bool parse_size(const char *text, uint64_t *ret)
{
        static const char units[] = "kmgt";
        char *end;
        uint64_t n = strtoull(text, &end, 10);
        const char *unit = *end ? strchr(units, *end | 0x20) : NULL;
        unsigned shift = unit ? 10U * (unsigned)(unit - units + 1) : 0;

        if (*text < '0' || *text > '9' || (*end && (!unit || end[1])) || n == 0 || n > UINT64_MAX >> shift)
                return false;
        *ret = n << shift;
        return true;
}

typedef struct Targets {
        const char **paths;
        size_t n;
        const char **repositories;
        size_t n_repositories;
        char source[129];
} Targets;

static void add_to_source(Targets *targets, const char *text)
{
        size_t n = strlen(targets->source);
        _cleanup_(free_memory) char *clean = printable(text);

        (void)snprintf(targets->source + n, sizeof(targets->source) - n, " %s", clean ? clean : "?");
        /* A character that was cut in two would not be text. */
        for (n = strlen(targets->source); n > 0 && (targets->source[n - 1] & 0x80); n--)
                targets->source[n - 1] = '\0';
}

static bool find_targets(const ScanOptions *asked, const Arguments *arguments, Targets *targets)
{
        size_t n = arguments->n + arguments->n_rest + 1;

        targets->paths = calloc(n, sizeof(char *));
        targets->repositories = calloc(asked->git.n + 1, sizeof(char *));
        if (!targets->paths || !targets->repositories)
                return false;
        (void)snprintf(targets->source, sizeof(targets->source), "mcpcred scan");
        for (size_t i = 0; i < arguments->n; i++)
                targets->paths[targets->n++] = arguments->items[i];
        for (size_t i = 0; i < arguments->n_rest; i++)
                targets->paths[targets->n++] = arguments->rest[i];
        for (size_t i = 0; i < asked->git.n; i++)
                targets->repositories[targets->n_repositories++] = asked->git.items[i];
        if (asked->git_history)
                targets->repositories[targets->n_repositories++] = ".";
        if (targets->n + targets->n_repositories == 0)
                targets->paths[targets->n++] = ".";
        for (size_t i = 0; i < targets->n; i++)
                add_to_source(targets, targets->paths[i]);
        for (size_t i = 0; i < targets->n_repositories; i++)
                add_to_source(targets, targets->repositories[i]);
        return true;
}

static void targets_clear(Targets *targets)
{
        free(targets->paths);
        free(targets->repositories);
}

static int scan(Cli *cli, const ScanOptions *asked, ScanWalk *walk, const Targets *targets)
{
        Patterns patterns = { 0 };
        _cleanup_(needles_freep) Needles *needles = NULL;
        ScanFound found = { 0 };
        int r = fetch(cli, &patterns, &needles);

        if (r == 0) {
                const ScanReport report = {
                        .cli = cli,
                        .found = &found,
                        .names = patterns.names,
                        .n_names = patterns.n,
                        .act = asked->report,
                        .source = targets->source,
                        .not_looked_for = patterns.skipped,
                        .n_not_looked_for = patterns.n_skipped,
                };

                walk->needles = found.needles = needles;
                if (targets->n > 0)
                        scan_walk(walk, targets->paths, targets->n, &found);
                for (size_t i = 0; i < targets->n_repositories; i++)
                        scan_git(needles, targets->repositories[i], &found);
                r = scan_report(&report);
        }
        scan_found_clear(&found);
        patterns_clear(&patterns);
        return r;
}

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        const ScanOptions *asked = given;
        ScanWalk walk = { .threads = asked->threads > 1024 ? 1024 : (unsigned)asked->threads };
        Targets targets = { 0 };
        int r;

        if (asked->max_size && !parse_size(asked->max_size, &walk.max_size))
                return cli_usage(cli, &verb_scan, "--max-size takes a number of bytes, or one with k, M, G or T");
        if (find_targets(asked, arguments, &targets))
                r = scan(cli, asked, &walk, &targets);
        else
                r = cli_fail_local(cli, EXIT_INCOMPLETE, "NoMemory", "", "There is no memory.");
        targets_clear(&targets);
        return r;
}

const Verb verb_scan = {
        .name = "scan",
        .arguments = "[PATH...|-] [--git REPOSITORY]",
        .summary = "find in files what the broker stores or has issued",
        .details = "Looks through files, and everything below folders, hidden and binary ones too;\n"
                   "\"-\" is stdin, and without a PATH it is the folder here. Links are not followed.\n"
                   "--git looks through all that a repository has, in branches or not. It says where\n"
                   "and what, and never the value. What is encoded (base64) or compressed is not\n"
                   "seen.\n"
                   "Status 0: nothing found; 1: something; 3: nothing, but not everything could be\n"
                   "looked at.\n\n"
                   "  mcpcred scan ~/src --git ~/src/app\n"
                   "  mcpcred scan --git . --report\n"
                   "  journalctl -b | mcpcred scan -",
        OPTIONS(options, ScanOptions),
        .max_arguments = SIZE_MAX,
        .takes_rest = true,
        .run = run,
};
