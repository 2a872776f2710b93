/* One event of the log, for people. */
#include "audit_cli.h"
#include "output.h"
#include <string.h>

static bool fits(const char *wanted, const char *text)
{
        return !wanted || (text && strcmp(wanted, text) == 0);
}

/* "token" is every "token.x" too. */
static bool fits_operation(const char *wanted, const char *operation)
{
        size_t n = wanted ? strlen(wanted) : 0;

        return fits(wanted, operation) || (operation && strncmp(wanted, operation, n) == 0 && operation[n] == '.');
}

int event_filter_check(Cli *cli, const Verb *verb, const EventFilter *filter)
{
        static const char *const verdicts[] = { "allow", "deny", "error" };

        if (!filter->verdict)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++)
                if (strcmp(filter->verdict, verdicts[i]) == 0)
                        return 0;
        return cli_usage(cli, verb, "--verdict takes allow, deny or error");
}

bool event_is_wanted(const EventFilter *filter, const mcpcred_row *event)
{
        return fits(filter->session, mcpcred_row_text(event, "session")) &&
               fits(filter->profile, mcpcred_row_text(event, "profile")) &&
               fits(filter->secret, mcpcred_row_text(event, "secret")) &&
               fits(filter->token, mcpcred_row_text(event, "token")) &&
               (filter->not_before == 0 || mcpcred_row_time(event, "time") >= filter->not_before) &&
               fits(filter->verdict, mcpcred_row_text(event, "verdict")) &&
               fits_operation(filter->operation, mcpcred_row_text(event, "operation"));
}

static void print_member(const mcpcred_row *event, const char *label, const char *name)
{
        const char *text = mcpcred_row_text(event, name);
        _cleanup_(free_memory) char *clean = printable(text ? text : "");

        if (text)
                (void)printf("  %s%s", label, clean ? clean : "");
}

void event_print(const mcpcred_row *event)
{
        static const struct {
                const char *label, *name;
        } members[] = { { "uid ", "principal" }, { "session ", "session" }, { "profile ", "profile" },
                        { "secret ", "secret" }, { "lease ", "lease" },     { "token ", "token" },
                        { "", "reason" },        { "", "detail" } };
        _cleanup_(free_memory) char *operation = printable(mcpcred_row_text(event, "operation"));
        _cleanup_(free_memory) char *verdict = printable(mcpcred_row_text(event, "verdict"));
        const char *colour = use_colour() && strcmp(mcpcred_row_text(event, "verdict"), "allow") != 0 ? "\033[31m" : "";
        char when[32];

        format_time(mcpcred_row_time(event, "time"), when);
        (void)printf("%s  %s%-5s%s  %-15s", when, colour, verdict ? verdict : "", *colour ? "\033[0m" : "",
                     operation ? operation : "");
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                print_member(event, members[i].label, members[i].name);
        putchar('\n');
}
