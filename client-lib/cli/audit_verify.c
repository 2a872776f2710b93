#include "audit_cli.h"
#include "audit_heads.h"
#include "output.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The log and the head are read one after the other; on a busy broker they are not of one moment. */
#define VERIFY_ATTEMPTS 5U

static int take_status(const mcpcred_row *row, void *userdata)
{
        AuditPlace *place = userdata;

        (void)snprintf(place->path, sizeof(place->path), "%s", mcpcred_row_text(row, "audit_path"));
        (void)snprintf(place->head, sizeof(place->head), "%s", mcpcred_row_text(row, "audit_head"));
        (void)snprintf(place->base_head, sizeof(place->base_head), "%s", mcpcred_row_text(row, "audit_base_head"));
        place->sequence = mcpcred_row_number(row, "audit_sequence");
        place->base = mcpcred_row_number(row, "audit_base");
        place->has_head = place->has_base = true;
        return 0;
}

/* Where mcpcredd keeps it. */
static void guess_path(const Cli *cli, char *out, size_t size)
{
        const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

        if (cli->state)
                (void)snprintf(out, size, "%s/audit.log", cli->state);
        else if (cli->system)
                (void)snprintf(out, size, "/var/lib/mcpcred/audit.log");
        else if (xdg && *xdg == '/')
                (void)snprintf(out, size, "%s/mcpcred/audit.log", xdg);
        else
                (void)snprintf(out, size, "%s/.local/state/mcpcred/audit.log", home ? home : "");
}

static int ask_broker(Cli *cli, AuditPlace *ret)
{
        int code = mcpcred_status(cli->client, take_status, ret);

        if (code != MCPCRED_E_UNREACHABLE)
                return code ? cli_fail(cli) : 0;
        guess_path(cli, ret->path, sizeof(ret->path));
        if (access(ret->path, R_OK) < 0)
                return cli_fail(cli);
        cli_note("No broker answers; this is what %s and the files beside it say.", ret->path);
        return 0;
}

int audit_place(Cli *cli, const AuditOptions *asked, AuditPlace *ret)
{
        char *end;

        *ret = (AuditPlace){ .sequence = 0 };
        if (!asked->file)
                return ask_broker(cli, ret);
        (void)snprintf(ret->path, sizeof(ret->path), "%s", asked->file);
        if (access(ret->path, R_OK) < 0)
                return cli_fail_local(cli, errno == ENOENT ? EXIT_NO_SUCH : EXIT_FAILED, "System", "", "%s: %s.",
                                      ret->path, strerror(errno));
        if (!asked->head)
                return 0;
        errno = 0;
        ret->sequence = strtoull(asked->head, &end, 10);
        if (errno || asked->head[0] < '0' || asked->head[0] > '9' || *end != ':' || strlen(end + 1) != 64)
                return cli_usage(cli, &verb_audit, "--head takes a line's number, a colon and the hash in hex");
        (void)snprintf(ret->head, sizeof(ret->head), "%s", end + 1);
        ret->has_head = true;
        return 0;
}

static int verify_once(Cli *cli, const AuditPlace *place, Heads *heads, mcpcred_audit *ret)
{
        const mcpcred_audit_log log = {
                .path = place->path,
                .base = place->base,
                .base_head = place->has_base ? place->base_head : NULL,
                .sequence = place->sequence,
                .head = place->has_head ? place->head : NULL,
        };

        if (heads)
                heads_rewind(heads);
        return mcpcred_audit_verify(cli->client, &log, heads ? heads_see : NULL, heads, ret);
}

static int verify(Cli *cli, const AuditOptions *asked, AuditPlace *place, Heads *heads, mcpcred_audit *ret)
{
        AuditPlace after;
        int r = 0;

        for (unsigned i = 0; i < VERIFY_ATTEMPTS; i++) {
                int code = verify_once(cli, place, heads, ret);

                if (code && (asked->file || i + 1 == VERIFY_ATTEMPTS))
                        return cli_fail(cli);
                if (code == 0 && (ret->bad_line == 0 || asked->file || !place->has_head))
                        break;
                r = audit_place(cli, asked, &after);
                if (r || (code == 0 && after.sequence == place->sequence && after.base == place->base))
                        break; /* nothing was written in between: so it is as it looks */
                *place = after;
        }
        return r;
}

/* ---- the report ---- */

static int print_json(const AuditPlace *place, const mcpcred_audit *audit, const Heads *heads, bool good)
{
        Json json;

        json_begin(&json);
        json_text(&json, "path", place->path);
        json_flag(&json, "good", good);
        json_number(&json, "files", audit->files);
        json_number(&json, "lines", audit->lines);
        json_number(&json, "first", audit->first);
        json_number(&json, "sequence", audit->sequence);
        json_text(&json, "head", audit->head);
        json_flag(&json, "head_compared", place->has_head);
        json_flag(&json, "base_compared", place->has_base);
        json_text(&json, "file", audit->bad_line ? audit->file : NULL);
        json_number(&json, "bad_line", audit->bad_line);
        json_text(&json, "reason", audit->bad_line ? audit->reason : NULL);
        if (heads) {
                json_open_object(&json, "journal");
                json_number(&json, "entries", heads->n);
                json_number(&json, "compared", heads->compared);
                json_number(&json, "bad_sequence", heads->bad);
                json_text(&json, "reason", heads->bad ? heads->reason : NULL);
                json_close_object(&json);
        }
        return json_end(&json, stdout);
}

static void print_text(const AuditPlace *place, const mcpcred_audit *audit, const Heads *heads)
{
        if (audit->bad_line) {
                (void)printf("%s: line %llu: %s. The %llu lines before it are good.\n", audit->file,
                             (unsigned long long)audit->bad_line, audit->reason, (unsigned long long)audit->lines);
        } else {
                (void)printf("%s: %llu lines", place->path, (unsigned long long)audit->lines);
                if (audit->files > 1)
                        (void)printf(" in %llu files", (unsigned long long)audit->files);
                (void)printf(" are good%s.\n", place->has_head ? ", and end where they should"
                                                              : "; whether lines are missing at the end is not known "
                                                                "without the head");
                if (audit->first > 1)
                        (void)printf("Lines 1 to %llu are not there any more%s.\n", (unsigned long long)audit->first - 1,
                                     place->has_base ? ": the broker gave them up (audit_keep)" : "");
        }
        if (!heads)
                return;
        if (heads->bad)
                (void)printf("The journal knows line %llu, and %s.\n", (unsigned long long)heads->bad, heads->reason);
        else
                (void)printf("The journal has %zu entries of it; %zu were compared, and fit.\n", heads->n, heads->compared);
}

int audit_run_verify(Cli *cli, const AuditOptions *asked)
{
        _cleanup_(heads_free) Heads heads = { 0 };
        AuditPlace place;
        mcpcred_audit audit = { 0 };
        bool good;
        int r = audit_place(cli, asked, &place);

        if (r == 0 && asked->journal)
                r = heads_load(cli, place.path, &heads);
        if (r == 0)
                r = verify(cli, asked, &place, asked->journal ? &heads : NULL, &audit);
        if (r)
                return r;
        if (asked->journal)
                heads_finish(&heads, audit.first, audit.sequence);
        good = audit.bad_line == 0 && heads.bad == 0;
        if (cli->json && !print_json(&place, &audit, asked->journal ? &heads : NULL, good))
                return EXIT_FAILED;
        if (!cli->json)
                print_text(&place, &audit, asked->journal ? &heads : NULL);
        return good ? EXIT_DONE : EXIT_TAMPERED;
}
