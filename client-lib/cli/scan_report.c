#include "scan_report.h"
#include "output.h"
#include "rows.h"
#include "scan_git.h"
#include "strings.h"
#include <string.h>

/* Of one repository: each is an argument of git's. */
#define PLACES_MAX 200U

/* What a value is: one row of the broker's answer. */
typedef struct Match {
        size_t candidate; /* as mcpcred_leak counts */
        char kind[65], secret[65], profile[65], session[19], lease[19], state[65], incident[19];
        uint64_t issued;
        Strings actions;
} Match;

typedef struct Matches {
        Match *items;
        size_t n, room;
        bool no_memory;
} Matches;

/* A hit that is one of ours. */
typedef struct Finding {
        const ScanFile *file;
        const ScanHit *hit;
        const Match *match;    /* of a candidate; NULL: a stored value */
        const ScanName *name;  /* of a stored value */
        const GitPlace *place; /* of a git object; NULL: not known */
} Finding;

typedef struct Findings {
        Finding *items;
        size_t n, room;
        GitPlace *places;
        size_t n_places;
        bool no_memory;
} Findings;

/* ---- asking the broker ---- */

static void copy_text(char *out, size_t size, const mcpcred_row *row, const char *field)
{
        const char *text = mcpcred_row_text(row, field);

        (void)snprintf(out, size, "%s", text ? text : "");
}

static int take_match(const mcpcred_row *row, void *userdata)
{
        Matches *matches = userdata;
        Match *match;

        if (matches->n == matches->room) {
                size_t room = matches->room ? 2 * matches->room : 32;
                Match *items = realloc(matches->items, room * sizeof(*items));

                if (!items) {
                        matches->no_memory = true;
                        return 1;
                }
                matches->items = items;
                matches->room = room;
        }
        match = &matches->items[matches->n++];
        *match = (Match){ .candidate = mcpcred_row_number(row, "index"), .issued = mcpcred_row_time(row, "issued") };
        copy_text(match->kind, sizeof(match->kind), row, "kind");
        copy_text(match->secret, sizeof(match->secret), row, "secret");
        copy_text(match->profile, sizeof(match->profile), row, "profile");
        copy_text(match->session, sizeof(match->session), row, "session");
        copy_text(match->lease, sizeof(match->lease), row, "lease");
        copy_text(match->state, sizeof(match->state), row, "state");
        copy_text(match->incident, sizeof(match->incident), row, "incident");
        for (size_t i = 0; i < mcpcred_row_count(row, "actions"); i++)
                strings_add(&match->actions, mcpcred_row_item(row, "actions", i));
        return 0;
}

static int compare_matches(const void *a, const void *b)
{
        const Match *left = a, *right = b;

        return (left->candidate > right->candidate) - (left->candidate < right->candidate);
}

static void matches_clear(Matches *matches)
{
        for (size_t i = 0; i < matches->n; i++)
                strings_free(&matches->items[i].actions);
        free(matches->items);
}

static void free_leak(mcpcred_leak **leak)
{
        mcpcred_leak_free(*leak);
}

static int no_memory(Cli *cli)
{
        return cli_fail_local(cli, EXIT_INCOMPLETE, "NoMemory", "", "There is no memory.");
}

/* 1 would say that something was found. */
static int failed_call(Cli *cli)
{
        int status = cli_fail(cli);

        return status == EXIT_FAILED ? EXIT_INCOMPLETE : status;
}

/* Which of the candidates the broker has issued. Each of them gets its number behind those of the values. */
static int ask(const ScanReport *report, Matches *matches)
{
        _cleanup_(free_leak) mcpcred_leak *leak = NULL;
        bool any = false;

        if (mcpcred_leak_new(&leak))
                return no_memory(report->cli);
        for (size_t i = 0; i < report->found->n; i++) {
                ScanResult *result = &report->found->files[i].result;

                for (size_t j = 0; j < result->n; j++) {
                        size_t number;

                        if (result->hits[j].value != SCAN_CANDIDATE)
                                continue;
                        if (mcpcred_leak_candidate_hash(leak, result->hits[j].hash, &number))
                                return no_memory(report->cli);
                        result->hits[j].value = (uint32_t)(report->n_names + number);
                        any = true;
                }
        }
        if (any && mcpcred_leak_report(report->cli->client, leak, 1, take_match, matches, NULL))
                return failed_call(report->cli);
        if (matches->n > 0)
                qsort(matches->items, matches->n, sizeof(*matches->items), compare_matches);
        return 0;
}

/* ---- what is ours ---- */

static void add_finding(Findings *findings, const Finding *finding)
{
        if (findings->n == findings->room) {
                size_t room = findings->room ? 2 * findings->room : 32;
                Finding *items = realloc(findings->items, room * sizeof(*items));

                if (!items) {
                        findings->no_memory = true;
                        return;
                }
                findings->items = items;
                findings->room = room;
        }
        findings->items[findings->n++] = *finding;
}

/* The first match of a candidate; they are sorted. */
static size_t first_match(const Matches *matches, size_t candidate)
{
        size_t low = 0, high = matches->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (matches->items[middle].candidate < candidate)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static void sift(const ScanReport *report, const Matches *matches, Findings *findings)
{
        for (size_t i = 0; i < report->found->n; i++) {
                const ScanFile *file = &report->found->files[i];

                for (size_t j = 0; j < file->result.n; j++) {
                        Finding finding = { .file = file, .hit = &file->result.hits[j] };
                        size_t candidate = finding.hit->value - report->n_names;

                        if (finding.hit->value < report->n_names) {
                                finding.name = &report->names[finding.hit->value];
                                add_finding(findings, &finding);
                                continue;
                        }
                        for (size_t k = first_match(matches, candidate);
                             k < matches->n && matches->items[k].candidate == candidate; k++) {
                                finding.match = &matches->items[k];
                                add_finding(findings, &finding);
                        }
                }
        }
}

/* ---- where it is in a history ---- */

static const GitPlace *find_place(const Findings *findings, size_t from, const char *object)
{
        for (size_t i = from; i < findings->n_places; i++)
                if (strcmp(findings->places[i].object, object) == 0)
                        return &findings->places[i];
        return NULL;
}

/* The objects of one repository that follow each other in the list; they are sorted. Returns the next one of another. */
static size_t place_repository(Findings *findings, size_t at)
{
        const char *repository = findings->items[at].file->path;
        size_t first = findings->n_places, end;

        for (end = at; end < findings->n && findings->items[end].file->object[0] &&
                       strcmp(findings->items[end].file->path, repository) == 0;
             end++) {
                const ScanFile *file = findings->items[end].file;

                if ((strcmp(file->type, "blob") != 0 && strcmp(file->type, "tree") != 0) ||
                    find_place(findings, first, file->object) || findings->n_places - first == PLACES_MAX)
                        continue;
                memcpy(findings->places[findings->n_places++].object, file->object, sizeof(file->object));
        }
        if (findings->n_places > first && !scan_git_places(repository, findings->places + first, findings->n_places - first))
                cli_note("%s: git cannot say which commits have what was found", repository);
        for (size_t i = at; i < end; i++) {
                const GitPlace *place = find_place(findings, first, findings->items[i].file->object);

                findings->items[i].place = place && place->path ? place : NULL;
        }
        return end;
}

static void place_all(Findings *findings)
{
        findings->places = calloc(findings->n + 1, sizeof(*findings->places));
        if (!findings->places)
                return; /* the objects are named all the same */
        for (size_t i = 0; i < findings->n;)
                i = findings->items[i].file->object[0] ? place_repository(findings, i) : i + 1;
}

static void findings_clear(Findings *findings)
{
        for (size_t i = 0; i < findings->n_places; i++)
                free(findings->places[i].path);
        free(findings->places);
        free(findings->items);
}

/* ---- showing it ---- */

static const char *kind_of(const Finding *finding)
{
        return finding->match ? finding->match->kind : "secret";
}

/* "secret github (current)", "handle of session s-..., profile gh (live)" */
static void print_what(const Finding *finding)
{
        const Match *match = finding->match;

        if (!match || strcmp(match->kind, "secret") == 0) {
                (void)printf("secret %s (%s)", match ? match->secret : finding->name->secret,
                             match ? match->state : finding->name->state);
                return;
        }
        (void)printf("%s", match->kind);
        if (match->session[0])
                (void)printf(" of session %s", match->session);
        if (match->profile[0])
                (void)printf("%s profile %s", match->session[0] ? "," : " of", match->profile);
        (void)printf(", secret %s (%s)", match->secret, match->state);
}

static void print_finding(const Needles *needles, const Finding *finding)
{
        const ScanFile *file = finding->file;
        const ScanHit *hit = finding->hit;
        _cleanup_(free_memory) char *shown = scan_shown(needles, file->path);
        _cleanup_(free_memory) char *shown_inner = scan_shown(needles, finding->place ? finding->place->path : "");
        _cleanup_(free_memory) char *path = shown ? printable(shown) : NULL;
        _cleanup_(free_memory) char *inner = shown_inner ? printable(shown_inner) : NULL;

        (void)printf("%s:", path ? path : "?");
        if (file->object[0])
                (void)printf("%s %.12s:", file->type, file->object);
        if (file->result.binary || hit->line == 0)
                (void)printf("byte %llu: ", (unsigned long long)hit->offset);
        else
                (void)printf("%llu:%llu: ", (unsigned long long)hit->line, (unsigned long long)hit->column);
        print_what(finding);
        if (finding->place)
                (void)printf(", in %s since commit %.12s of %.10s", inner ? inner : "?", finding->place->commit,
                             finding->place->date);
        else if (file->object[0] && (strcmp(file->type, "blob") == 0 || strcmp(file->type, "tree") == 0))
                (void)printf(", in no commit that a branch or the reflog leads to");
        (void)putchar('\n');
}

static void json_path(Json *json, const Needles *needles, const char *name, const char *path)
{
        _cleanup_(free_memory) char *shown = path ? scan_shown(needles, path) : NULL;

        json_text(json, name, shown);
}

static void json_finding(Json *json, const Needles *needles, const Finding *finding)
{
        const ScanFile *file = finding->file;
        const ScanHit *hit = finding->hit;
        const Match *match = finding->match;
        bool is_git = file->object[0] != '\0';

        json_open_object(json, NULL);
        json_path(json, needles, "path", is_git ? finding->place ? finding->place->path : NULL : file->path);
        if (is_git) {
                json_path(json, needles, "repository", file->path);
                json_text(json, "object", file->object);
                json_text(json, "object_type", file->type);
                json_text(json, "commit", finding->place ? finding->place->commit
                                          : strcmp(file->type, "commit") == 0 ? file->object
                                                                              : NULL);
                json_text(json, "committed", finding->place ? finding->place->date : NULL);
        }
        json_number(json, "offset", hit->offset);
        if (hit->line) {
                json_number(json, "line", hit->line);
                json_number(json, "column", hit->column);
        }
        json_number(json, "length", hit->size);
        json_text(json, "kind", kind_of(finding));
        json_text(json, "secret", match ? match->secret : finding->name->secret);
        json_text(json, "state", match ? match->state : finding->name->state);
        json_text(json, "profile", match && match->profile[0] ? match->profile : NULL);
        json_text(json, "session", match && match->session[0] ? match->session : NULL);
        json_text(json, "lease", match && match->lease[0] ? match->lease : NULL);
        json_time(json, "issued", match ? match->issued : 0);
        json_close_object(json);
}

static void json_troubles(Json *json, const char *key, const char *name, const ScanTrouble *troubles, size_t n)
{
        json_open_array(json, key);
        for (size_t i = 0; i < n; i++) {
                json_open_object(json, NULL);
                json_text(json, name, troubles[i].path);
                json_text(json, "reason", troubles[i].reason);
                json_close_object(json);
        }
        json_close_array(json);
}

static void json_reported(Json *json, const Matches *reported)
{
        json_open_array(json, "reported");
        for (size_t i = 0; i < reported->n; i++) {
                const Match *match = &reported->items[i];

                json_open_object(json, NULL);
                json_text(json, "kind", match->kind);
                json_text(json, "secret", match->secret);
                json_text(json, "session", match->session[0] ? match->session : NULL);
                json_text(json, "lease", match->lease[0] ? match->lease : NULL);
                json_text(json, "incident", match->incident[0] ? match->incident : NULL);
                json_open_array(json, "actions");
                for (size_t j = 0; j < match->actions.n; j++)
                        json_text(json, NULL, match->actions.items[j]);
                json_close_array(json);
                json_close_object(json);
        }
        json_close_array(json);
}

static bool is_complete(const ScanReport *report)
{
        return report->found->all_troubles == 0 && !report->found->no_memory && report->n_not_looked_for == 0;
}

static bool show_json(const ScanReport *report, const Findings *findings, const Matches *reported)
{
        const ScanFound *found = report->found;
        Json json;

        json_begin(&json);
        json_open_array(&json, "findings");
        for (size_t i = 0; i < findings->n; i++)
                json_finding(&json, found->needles, &findings->items[i]);
        json_close_array(&json);
        if (report->act)
                json_reported(&json, reported);
        json_number(&json, "looked_at", found->looked_at);
        json_number(&json, "bytes", found->bytes);
        json_number(&json, "too_large", found->too_large);
        json_troubles(&json, "not_looked_at", "path", found->troubles, found->n_troubles);
        json_number(&json, "not_looked_at_count", found->all_troubles);
        json_troubles(&json, "not_looked_for", "secret", report->not_looked_for, report->n_not_looked_for);
        json_flag(&json, "complete", is_complete(report));
        return json_end(&json, stdout);
}

static void print_reported(const Match *match)
{
        bool is_secret = strcmp(match->kind, "secret") == 0;

        (void)printf("reported: %s%s %s%s%s:", match->kind, is_secret ? "" : " of secret", match->secret,
                     match->session[0] ? ", session " : "", match->session);
        for (size_t i = 0; i < match->actions.n; i++)
                (void)printf("%s %s", i ? "," : "", match->actions.items[i]);
        (void)printf("%s%s%s\n", match->actions.n == 0 ? " nothing is to be done" : "",
                     match->incident[0] ? "; incident " : "", match->incident);
}

static void show_text(const ScanReport *report, const Findings *findings, const Matches *reported)
{
        const ScanFound *found = report->found;
        size_t files = 0;

        for (size_t i = 0; i < findings->n; i++) {
                files += i == 0 || findings->items[i].file != findings->items[i - 1].file;
                print_finding(found->needles, &findings->items[i]);
        }
        for (size_t i = 0; i < reported->n; i++)
                print_reported(&reported->items[i]);
        (void)fflush(stdout);
        cli_note("looked at %llu file%s and object%s, %llu bytes: %zu found in %zu", (unsigned long long)found->looked_at,
                 found->looked_at == 1 ? "" : "s", found->looked_at == 1 ? "" : "s", (unsigned long long)found->bytes,
                 findings->n, files);
}

static void advise(const ScanReport *report, const Findings *findings)
{
        const ScanFound *found = report->found;

        if (found->too_large)
                cli_note("%llu files were left out, being larger than --max-size", (unsigned long long)found->too_large);
        for (size_t i = 0; i < report->n_not_looked_for; i++)
                cli_note("secret %s was not looked for: %s", report->not_looked_for[i].path,
                         report->not_looked_for[i].reason);
        if (found->no_memory || findings->no_memory)
                cli_note("there was not enough memory to look at everything");
        if (found->all_troubles)
                cli_note("%llu could not be looked at, or not whole", (unsigned long long)found->all_troubles);
        if (findings->n > 0 && !report->act)
                cli_note("with --report the broker does what `on_leak` says; `mcpcred revoke` and `mcpcred rotate` do it "
                         "by hand");
}

/* ---- acting ---- */

static int act(const ScanReport *report, const Findings *findings, Matches *reported)
{
        _cleanup_(free_leak) mcpcred_leak *leak = NULL;

        if (mcpcred_leak_new(&leak) || mcpcred_leak_source(leak, report->source))
                return no_memory(report->cli);
        for (size_t i = 0; i < findings->n; i++)
                if (mcpcred_leak_candidate_hash(leak, findings->items[i].hit->hash, NULL))
                        return no_memory(report->cli);
        if (findings->n > 0 && mcpcred_leak_report(report->cli->client, leak, 0, take_match, reported, NULL))
                return failed_call(report->cli);
        return 0;
}

static int show(const ScanReport *report, const Findings *findings, const Matches *reported)
{
        if (!report->cli->json)
                show_text(report, findings, reported);
        else if (!show_json(report, findings, reported))
                return cli_fail_local(report->cli, EXIT_INCOMPLETE, "System", "", "Cannot write to stdout.");
        advise(report, findings);
        if (findings->n > 0)
                return EXIT_FOUND;
        return is_complete(report) && !findings->no_memory ? EXIT_DONE : EXIT_INCOMPLETE;
}

int scan_report(const ScanReport *report)
{
        Matches matches = { 0 }, reported = { 0 };
        Findings findings = { 0 };
        int r, acted;

        scan_found_sort(report->found);
        r = ask(report, &matches);
        if (r == 0) {
                sift(report, &matches, &findings);
                place_all(&findings);
                /* Where it fails, what was found is all the more to be shown. */
                acted = report->act ? act(report, &findings, &reported) : 0;
                r = show(report, &findings, &reported);
                r = acted ? acted : r;
        }
        findings_clear(&findings);
        matches_clear(&matches);
        matches_clear(&reported);
        return r;
}
