#include "audit_cli.h"
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

static int parse_head(Cli *cli, const char *text, Head *ret)
{
        char *end;

        errno = 0;
        ret->sequence = strtoull(text, &end, 10);
        if (errno || text[0] < '0' || text[0] > '9' || ret->sequence == 0 || *end != ':' || strlen(end + 1) != 64 ||
            strspn(end + 1, "0123456789abcdef") != 64)
                return cli_usage(cli, &verb_audit, "--head takes a line's number, a colon and the hash in hex");
        (void)snprintf(ret->hash, sizeof(ret->hash), "%s", end + 1);
        return 0;
}

int audit_place(Cli *cli, const AuditOptions *asked, AuditPlace *ret)
{
        int r;

        *ret = (AuditPlace){ .sequence = 0 };
        if (asked->head) {
                r = parse_head(cli, asked->head, &ret->given);
                if (r)
                        return r;
                ret->sequence = ret->given.sequence;
                (void)snprintf(ret->head, sizeof(ret->head), "%s", ret->given.hash);
                ret->has_head = true;
        }
        if (!asked->file)
                return ask_broker(cli, ret);
        (void)snprintf(ret->path, sizeof(ret->path), "%s", asked->file);
        if (access(ret->path, R_OK) < 0)
                return cli_fail_local(cli, errno == ENOENT ? EXIT_NO_SUCH : EXIT_FAILED, "System", "", "%s: %s.",
                                      ret->path, strerror(errno));
        return 0;
}

/* What else is known of the chain. */
typedef struct Known {
        bool asked_journal;
        Heads journal;
        Heads given; /* of a line that the log has gone on behind: where the broker says how it ends */
} Known;

static void known_free(Known *known)
{
        heads_free(&known->journal);
        heads_free(&known->given);
}

static void known_see(void *userdata, uint64_t sequence, const char *hash)
{
        Known *known = userdata;

        heads_see(&known->journal, sequence, hash);
        heads_see(&known->given, sequence, hash);
}

static int verify_once(Cli *cli, const AuditPlace *place, Known *known, mcpcred_audit *ret)
{
        const mcpcred_audit_log log = {
                .path = place->path,
                .base = place->base,
                .base_head = place->has_base ? place->base_head : NULL,
                .sequence = place->sequence,
                .head = place->has_head ? place->head : NULL,
        };

        heads_rewind(&known->journal);
        heads_rewind(&known->given);
        return mcpcred_audit_verify(cli->client, &log, known_see, known, ret);
}

static int verify(Cli *cli, const AuditOptions *asked, AuditPlace *place, Known *known, mcpcred_audit *ret)
{
        AuditPlace after;
        int r = 0;

        for (unsigned i = 0; i < VERIFY_ATTEMPTS; i++) {
                int code = verify_once(cli, place, known, ret);

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

static void add_heads(Json *json, const char *key, const Heads *heads)
{
        json_open_object(json, key);
        json_number(json, "entries", heads->n);
        json_number(json, "compared", heads->compared);
        json_number(json, "bad_sequence", heads->bad);
        json_text(json, "reason", heads->bad ? heads->reason : NULL);
        json_close_object(json);
}

static int print_json(const AuditPlace *place, const mcpcred_audit *audit, const Known *known, bool good)
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
        if (known->asked_journal)
                add_heads(&json, "journal", &known->journal);
        if (known->given.n > 0)
                add_heads(&json, "given", &known->given);
        return json_end(&json, stdout);
}

static void print_chain(const AuditPlace *place, const mcpcred_audit *audit)
{
        if (audit->bad_line) {
                (void)printf("%s: line %llu: %s. The %llu lines before it are good.\n", audit->file,
                             (unsigned long long)audit->bad_line, audit->reason, (unsigned long long)audit->lines);
                return;
        }
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

static void print_journal(const Heads *heads)
{
        if (heads->bad)
                (void)printf("The journal knows line %llu, and %s.\n", (unsigned long long)heads->bad, heads->reason);
        else
                (void)printf("The journal has %zu entries of it; %zu were compared, and fit.\n", heads->n, heads->compared);
}

static void print_given(const Head *head, const Heads *heads)
{
        unsigned long long line = head->sequence;

        if (heads->bad)
                (void)printf("The head that was given is of line %llu, and %s.\n", line, heads->reason);
        else if (heads->compared == 0)
                (void)printf("The head that was given is of line %llu, with which nothing was compared.\n", line);
        else
                (void)printf("The head that was given is that of line %llu.\n", line);
}

static void print_text(const AuditPlace *place, const mcpcred_audit *audit, const Known *known)
{
        print_chain(place, audit);
        if (known->asked_journal)
                print_journal(&known->journal);
        if (known->given.n > 0)
                print_given(&place->given, &known->given);
}

/* 0 or an exit status, of which it has complained. */
static int known_load(Cli *cli, const AuditOptions *asked, const AuditPlace *place, Known *ret)
{
        int r = 0;

        ret->asked_journal = asked->journal;
        if (asked->journal)
                r = heads_load(cli, place->path, &ret->journal);
        if (r == 0 && place->given.sequence > 0 && place->has_base && !heads_add(&ret->given, &place->given))
                r = cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        return r;
}

int audit_run_verify(Cli *cli, const AuditOptions *asked)
{
        _cleanup_(known_free) Known known = { .asked_journal = false };
        AuditPlace place;
        mcpcred_audit audit = { 0 };
        bool good;
        int r = audit_place(cli, asked, &place);

        if (r == 0)
                r = known_load(cli, asked, &place, &known);
        if (r == 0)
                r = verify(cli, asked, &place, &known, &audit);
        if (r)
                return r;
        heads_finish(&known.journal, audit.first, audit.sequence);
        heads_finish(&known.given, audit.first, audit.sequence);
        good = audit.bad_line == 0 && known.journal.bad == 0 && known.given.bad == 0;
        if (cli->json && !print_json(&place, &audit, &known, good))
                return EXIT_FAILED;
        if (!cli->json)
                print_text(&place, &audit, &known);
        if (good && known.given.n > 0 && known.given.compared == 0)
                return EXIT_FAILED;
        return good ? EXIT_DONE : EXIT_TAMPERED;
}
