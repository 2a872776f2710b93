/* `mcpcred audit show` and `tail`. */
#include "audit_cli.h"
#include "output.h"
#include <errno.h>
#include <string.h>
#include <time.h>

#define TAIL_DEFAULT 10U
#define TAIL_MAX     1000000U

typedef struct Showing {
        const Cli *cli;
        const EventFilter *filter;
        bool found;
} Showing;

static int show_line(const char *text, const mcpcred_row *row, void *userdata)
{
        Showing *showing = userdata;

        if (!event_is_wanted(showing->filter, row))
                return 0;
        showing->found = true;
        if (showing->cli->json)
                (void)puts(text);
        else
                event_print(row);
        return ferror(stdout);
}

/* What stopped because nobody reads it any more ended well enough. */
static int end(Cli *cli, int code, const Showing *showing)
{
        if (fflush(stdout) != 0 || ferror(stdout))
                return EXIT_FAILED;
        if (code == 0 && !showing->found)
                cli_note("no line of the log is what was asked for.");
        return code ? cli_fail(cli) : 0;
}

static bool parse_line(const char *text, uint64_t *ret)
{
        errno = 0;
        *ret = strspn(text, "0123456789") == strlen(text) ? strtoull(text, NULL, 10) : 0;
        return *ret > 0 && errno == 0;
}

/* "2h" ago, or "2026-01-31T08:00:00Z"; microseconds. */
static bool parse_time(const char *text, uint64_t *ret)
{
        struct tm tm = { 0 };
        uint64_t seconds, now = (uint64_t)time(NULL);
        const char *end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
        time_t at = end && !*end ? timegm(&tm) : -1;

        if (at <= 0 && (!parse_duration(text, &seconds) || seconds >= now))
                return false;
        *ret = (at > 0 ? (uint64_t)at : now - seconds) * 1000000U;
        return true;
}

int audit_wanted(Cli *cli, const AuditOptions *asked, EventFilter *ret_filter, uint64_t *ret_since)
{
        *ret_filter = asked->filter;
        *ret_since = 0;
        if (!asked->since || parse_line(asked->since, ret_since) || parse_time(asked->since, &ret_filter->not_before))
                return 0;
        return cli_usage(cli, &verb_audit,
                         "--since takes a line's number, how long ago (\"2h\"), or a time as \"2026-01-31T08:00:00Z\"");
}

int audit_run_show(Cli *cli, const AuditOptions *asked)
{
        EventFilter filter;
        Showing showing = { .cli = cli, .filter = &filter };
        AuditPlace place;
        uint64_t since;
        int r = audit_wanted(cli, asked, &filter, &since);

        if (r == 0)
                r = audit_place(cli, asked, &place);
        if (r)
                return r;
        return end(cli, mcpcred_audit_read(cli->client, place.path, since, show_line, &showing, NULL), &showing);
}

/* ---- tail ---- */

/* The last lines that were seen, in a ring. */
typedef struct Ring {
        Showing showing;
        uint64_t *sequences;
        uint64_t size, seen;
} Ring;

/* Where the last lines begin that are wanted: lines can be of any length, and filters pass any of them. */
static int note_line(const char *text UNUSED, const mcpcred_row *row, void *userdata)
{
        Ring *ring = userdata;

        if (event_is_wanted(ring->showing.filter, row))
                ring->sequences[ring->seen++ % ring->size] = mcpcred_row_number(row, "sequence");
        return 0;
}

int audit_run_tail(Cli *cli, const AuditOptions *asked)
{
        EventFilter filter;
        Ring ring = { .showing = { .cli = cli, .filter = &filter }, .size = asked->lines ? asked->lines : TAIL_DEFAULT };
        AuditPlace place;
        uint64_t first, since, last = 0;
        int code, r;

        if (ring.size > TAIL_MAX)
                return cli_usage(cli, &verb_audit, "--lines is at most %u; `mcpcred audit show` has all", TAIL_MAX);
        if (asked->follow && asked->file)
                return cli_usage(cli, &verb_audit, "--follow is for the broker's own log, without --file");
        r = audit_wanted(cli, asked, &filter, &first);
        if (r == 0)
                r = audit_place(cli, asked, &place);
        if (r)
                return r;
        ring.showing.found = asked->follow; /* then there is more to come */
        ring.sequences = calloc(ring.size, sizeof(*ring.sequences));
        if (!ring.sequences)
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        code = mcpcred_audit_read(cli->client, place.path, first, note_line, &ring, NULL);
        since = ring.seen == 0 ? 0 : ring.sequences[ring.seen < ring.size ? 0 : ring.seen % ring.size];
        free(ring.sequences);
        if (code == 0 && since > 0)
                code = mcpcred_audit_read(cli->client, place.path, since, show_line, &ring.showing, &last);
        r = end(cli, code, &ring.showing);
        return r || !asked->follow ? r : watch_events(cli, (last ? last : place.sequence) + 1, &filter);
}
