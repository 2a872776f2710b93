#include "leak_print.h"
#include "rows.h"
#include <string.h>

/* Of one value; a token in a generated file may be in it a thousand times. */
#define PLACES_MAX 8U

static const char *const signed_names[] = { "none", "unchecked", "valid" };

void leak_print_begin(LeakPrint *print)
{
        if (!print->cli->json)
                return;
        json_begin(&print->json);
        json_open_array(&print->json, "matches");
}

void leak_print_discard(LeakPrint *print)
{
        if (print->cli->json)
                json_discard(&print->json);
}

/* ---- a match ---- */

static void json_place(void *userdata, const Finding *finding)
{
        LeakPrint *print = userdata;

        if (print->places++ >= PLACES_MAX)
                return;
        json_open_object(&print->json, NULL);
        json_number(&print->json, "finding", finding->number);
        json_text(&print->json, "rule", finding->rule);
        json_text(&print->json, "place", finding->place);
        json_number(&print->json, "line", finding->line);
        json_close_object(&print->json);
}

/* "finding 17, deploy/prod.env:12 (github-pat)"; of a list of tokens "line 12". */
static void print_place(void *userdata, const Finding *finding)
{
        LeakPrint *print = userdata;
        _cleanup_(free_memory) char *place = printable(finding->place ? finding->place : "");
        _cleanup_(free_memory) char *rule = printable(finding->rule ? finding->rule : "");

        if (print->places++ >= PLACES_MAX)
                return;
        (void)printf("  %-8s ", print->places == 1 ? "found" : "");
        if (print->report->format == LEAK_FORMAT_PLAIN)
                (void)printf("line");
        else
                (void)printf("finding %llu%s%s", (unsigned long long)finding->number, place && *place ? ", " : "", place ? place : "");
        if (finding->line)
                (void)printf(place && *place ? ":%llu" : " %llu", (unsigned long long)finding->line);
        if (rule && *rule)
                (void)printf(" (%s)", rule);
        (void)putchar('\n');
}

static void print_part(const char *label, const mcpcred_row *row, const char *field)
{
        const char *text = mcpcred_row_text(row, field);
        _cleanup_(free_memory) char *clean = text ? printable(text) : NULL;

        if (clean)
                (void)printf(", %s%s", label, clean);
}

/* "revoke: todo" of a dry run is "revoke"; a reason stays. In place. */
static void cut_todo(char *actions)
{
        static const char todo[] = ": todo";
        char *at;

        while (actions && (at = strstr(actions, todo)))
                memmove(at, at + sizeof(todo) - 1, strlen(at + sizeof(todo) - 1) + 1);
}

static void print_match(LeakPrint *print, const mcpcred_row *row)
{
        _cleanup_(free_memory) char *kind = printable(mcpcred_row_text(row, "kind"));
        _cleanup_(free_memory) char *secret = printable(mcpcred_row_text(row, "secret"));
        _cleanup_(free_memory) char *actions = join_items(row, "actions");
        _cleanup_(free_memory) char *done = printable(actions && *actions ? actions : "nothing");
        const char *incident = mcpcred_row_text(row, "incident");
        uint64_t issued = mcpcred_row_time(row, "issued");
        char when[32];

        if (kind && strcmp(kind, "secret") == 0)
                (void)printf("secret %s", secret ? secret : "");
        else
                (void)printf("%s of %s", kind ? kind : "", secret ? secret : "");
        print_part("profile ", row, "profile");
        print_part("session ", row, "session");
        print_part("lease ", row, "lease");
        print_part("", row, "state");
        if (issued)
                (void)printf(", issued %s", relative_time(issued, when));
        (void)putchar('\n');
        if (print->dry_run)
                cut_todo(done);
        print->places = 0;
        findings_match(print->findings, mcpcred_row_number(row, "index"), print_place, print);
        if (print->places > PLACES_MAX)
                (void)printf("  %-8s and %zu more\n", "", print->places - PLACES_MAX);
        (void)printf("  %-8s %s%s%s%s\n", print->dry_run ? "would do" : "done", done ? done : "",
                     incident ? " (incident " : "", incident ? incident : "", incident ? ")" : "");
}

static void json_match(LeakPrint *print, const mcpcred_row *row)
{
        json_open_object(&print->json, NULL);
        json_row_members(&print->json, row);
        json_open_array(&print->json, "places");
        print->places = 0;
        findings_match(print->findings, mcpcred_row_number(row, "index"), json_place, print);
        json_close_array(&print->json);
        json_number(&print->json, "n_places", print->places);
        json_close_object(&print->json);
}

/* "rotate: failed", "rotate: needs a person": nobody should take that for done. */
static bool says_failure(const char *action)
{
        return strstr(action, ": failed") || strstr(action, ": impossible") || strstr(action, ": needs");
}

int leak_print_row(const mcpcred_row *row, void *userdata)
{
        LeakPrint *print = userdata;

        for (size_t i = 0; i < mcpcred_row_count(row, "actions"); i++)
                print->failed = print->failed || says_failure(mcpcred_row_item(row, "actions", i));
        if (print->cli->json)
                json_match(print, row);
        else
                print_match(print, row);
        return 0;
}

/* ---- the rest ---- */

static uint64_t redacted(const LeakPrint *print)
{
        return print->report->redacted + findings_blanked(print->findings);
}

/* Findings of which it cannot be said whether they are ours. */
static uint64_t unseen(const LeakPrint *print)
{
        return redacted(print) + print->report->missing + print->report->unreadable;
}

/* How to get at the value that the webhook does not have; NULL: there is nothing to do. */
static const char *notice_remedy(const LeakPrint *print, char *out, size_t size)
{
        const LeakNotice *notice = &print->report->notice;

        if (!notice->present || !notice->acts || print->report->findings > 0)
                return NULL;
        if (print->report->format == LEAK_FORMAT_GITHUB_ALERT && *notice->repository)
                (void)snprintf(out, size,
                               "mcpcred exec PROFILE --sandbox -- gh api repos/%s/secret-scanning/alerts/%llu --jq .secret "
                               "| mcpcred leak report -",
                               notice->repository, (unsigned long long)notice->number);
        else
                (void)snprintf(out, size, "Open %s, and pipe the value into mcpcred leak report -",
                               *notice->url ? notice->url : "the incident at its sender");
        return out;
}

static void json_notice(Json *json, const LeakNotice *notice)
{
        json_open_object(json, "notice");
        json_text(json, "action", *notice->action ? notice->action : NULL);
        json_flag(json, "acts", notice->acts);
        json_number(json, "number", notice->number);
        json_text(json, "kind", *notice->kind ? notice->kind : NULL);
        json_text(json, "repository", *notice->repository ? notice->repository : NULL);
        json_text(json, "url", *notice->url ? notice->url : NULL);
        json_close_object(json);
}

static const char *unseen_remedy(const LeakPrint *print)
{
        if (redacted(print) > 0)
                return "Run the scanner without its --redact, into a pipe and not into a file, and report that; or, of a key "
                       "whose first line alone is there, the file that it was found in.";
        if (unseen(print) > 0)
                return "Have the tool put the values into its report, and report it again.";
        return print->findings->cut_lines > 0 ? "Report the values alone." : NULL;
}

static bool print_json(LeakPrint *print, const mcpcred_leaked *leaked, const char *remedy)
{
        const LeakReport *report = print->report;
        Json *json = &print->json;
        size_t matched = findings_matched(print->findings);

        json_close_array(json);
        json_text(json, "format", leak_format_names[report->format]);
        json_text(json, "signature", signed_names[print->is_signed]);
        json_flag(json, "dry_run", print->dry_run);
        json_number(json, "findings", report->findings);
        json_number(json, "matched", matched);
        json_number(json, "unknown", report->findings - unseen(print) - matched);
        json_number(json, "redacted", redacted(print));
        json_number(json, "missing", report->missing);
        json_number(json, "unreadable", report->unreadable);
        json_number(json, "cut", print->findings->cut);
        json_flag(json, "pending", leaked->pending != 0);
        if (report->notice.present)
                json_notice(json, &report->notice);
        json_text(json, "remedy", remedy);
        return json_end(json, stdout);
}

static void print_summary(const LeakPrint *print)
{
        const LeakReport *report = print->report;
        size_t matched = findings_matched(print->findings);

        if (report->findings == 0 && !report->notice.present)
                (void)printf("The report (%s) has no findings.\n", leak_format_names[report->format]);
        else if (report->findings > 0)
                (void)printf("%zu of %llu finding%s %s ours (%s).\n", matched, (unsigned long long)report->findings,
                             report->findings == 1 ? "" : "s", matched == 1 ? "is" : "are",
                             leak_format_names[report->format]);
}

static void note_notice(const LeakPrint *print, const char *remedy)
{
        const LeakNotice *notice = &print->report->notice;

        if (print->report->findings > 0)
                return;
        if (!notice->acts)
                (void)printf("\"%s\" of alert %llu%s%s: there is nothing to do.\n", notice->action,
                             (unsigned long long)notice->number, *notice->repository ? " of " : "", notice->repository);
        else
                (void)printf("Alert %llu%s%s%s%s: what was found is not in the webhook. Get it:\n  %s\n",
                             (unsigned long long)notice->number, *notice->repository ? " of " : "", notice->repository,
                             *notice->kind ? ", " : "", notice->kind, remedy);
}

static void note_unseen(uint64_t n, const char *what)
{
        if (n > 0)
                cli_note("%llu finding%s %s, so it cannot be said whether %s ours.", (unsigned long long)n,
                         n == 1 ? " has" : "s have", what, n == 1 ? "it is" : "they are");
}

static void print_notes(const LeakPrint *print, const mcpcred_leaked *leaked)
{
        const LeakReport *report = print->report;

        note_unseen(redacted(print), "the value blanked out, or only its beginning");
        note_unseen(report->missing, "no value");
        note_unseen(report->unreadable, "a form that cannot be read");
        if (unseen(print) > 0)
                cli_note("%s", unseen_remedy(print));
        if (print->is_signed == LEAK_SIGNED_UNCHECKED)
                cli_note("its signature was not checked; --webhook-secret or --public-keys does that.");
        if (print->findings->cut > 0)
                cli_note("%llu finding%s so long that not every piece was compared; report the value alone.",
                         (unsigned long long)print->findings->cut, print->findings->cut == 1 ? " is" : "s are");
        if (print->failed)
                cli_note("%s", print->dry_run ? "not everything that is to be done can be done from here; see above."
                                              : "not everything that was to be done could be; see above, and `mcpcred leak list`.");
        if (leaked->pending && !print->dry_run)
                cli_note("it is over here; something goes on, and the broker sees to it: mcpcred leases, mcpcred status.");
}

int leak_print_end(LeakPrint *print, const mcpcred_leaked *leaked)
{
        char command[768];
        const char *remedy = notice_remedy(print, command, sizeof(command));
        bool told = true;

        if (print->cli->json) {
                told = print_json(print, leaked, remedy ? remedy : unseen_remedy(print));
        } else {
                print_summary(print);
                if (print->report->notice.present)
                        note_notice(print, remedy);
                print_notes(print, leaked);
        }
        /* Of a line that was not looked through wholly the rest may be ours: no script is to take that for an all-clear. */
        if (!told || remedy || unseen(print) > 0 || print->findings->cut_lines > 0 || (print->failed && !print->dry_run))
                return EXIT_FAILED;
        return leaked->pending && !print->dry_run ? EXIT_PENDING : EXIT_DONE;
}
