/* `mcpcred audit show` and `tail`. */
#include "audit_cli.h"
#include "output.h"
#include <string.h>

#define TAIL_DEFAULT 10U
#define TAIL_MAX     1000000U

typedef struct Showing {
        const Cli *cli;
        const EventFilter *filter;
} Showing;

static int show_line(const char *text, const mcpcred_row *row, void *userdata)
{
        const Showing *showing = userdata;

        if (!event_is_wanted(showing->filter, row))
                return 0;
        if (showing->cli->json)
                (void)puts(text);
        else
                event_print(row);
        return ferror(stdout);
}

/* What stopped because nobody reads it any more ended well enough. */
static int end(Cli *cli, int code)
{
        if (fflush(stdout) != 0 || ferror(stdout))
                return EXIT_FAILED;
        return code ? cli_fail(cli) : 0;
}

int audit_run_show(Cli *cli, const AuditOptions *asked)
{
        Showing showing = { cli, &asked->filter };
        AuditPlace place;
        int r = audit_place(cli, asked, &place);

        return r ? r : end(cli, mcpcred_audit_read(cli->client, place.path, asked->since, show_line, &showing, NULL));
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
        Ring ring = { .showing = { cli, &asked->filter }, .size = asked->lines ? asked->lines : TAIL_DEFAULT };
        AuditPlace place;
        uint64_t since, last = 0;
        int code, r;

        if (ring.size > TAIL_MAX)
                return cli_usage(cli, &verb_audit, "--lines is at most %u; `mcpcred audit show` has all", TAIL_MAX);
        if (asked->follow && asked->file)
                return cli_usage(cli, &verb_audit, "--follow is for the broker's own log, without --file");
        r = audit_place(cli, asked, &place);
        if (r)
                return r;
        ring.sequences = calloc(ring.size, sizeof(*ring.sequences));
        if (!ring.sequences)
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        code = mcpcred_audit_read(cli->client, place.path, 0, note_line, &ring, NULL);
        since = ring.seen == 0 ? 0 : ring.sequences[ring.seen < ring.size ? 0 : ring.seen % ring.size];
        free(ring.sequences);
        if (code == 0 && since > 0)
                code = mcpcred_audit_read(cli->client, place.path, since, show_line, &ring.showing, &last);
        r = end(cli, code);
        return r || !asked->follow ? r : watch_events(cli, (last ? last : place.sequence) + 1, &asked->filter);
}
