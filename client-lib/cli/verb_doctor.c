#include "rows.h"
#include <string.h>

typedef enum Health {
        HEALTH_OK,
        HEALTH_WARN,
        HEALTH_FAIL,
} Health;

#define INDENT 6U /* "warn", and two blanks */

static const char *const health_names[] = { "ok", "warn", "fail" };

typedef struct Doctor {
        Cli *cli;
        Json json;
        bool colour;
        size_t n[3];
} Doctor;

static Health health_of(const char *status)
{
        return strcmp(status, "ok") == 0     ? HEALTH_OK
               : strcmp(status, "warn") == 0 ? HEALTH_WARN
                                             : HEALTH_FAIL;
}

static void show(Doctor *doctor, const char *id, Health health, const char *summary,
                 const char *remedy)
{
        static const char *const colours[] = { "\033[32m", "\033[33m", "\033[31m" };
        _cleanup_(free_memory) char *what = printable(summary);
        _cleanup_(free_memory) char *how = printable(remedy ? remedy : "");

        doctor->n[health]++;
        if (doctor->cli->json) {
                json_open_object(&doctor->json, NULL);
                json_text(&doctor->json, "id", id);
                json_text(&doctor->json, "status", health_names[health]);
                json_text(&doctor->json, "summary", summary);
                json_text(&doctor->json, "remedy",
                          health != HEALTH_OK && remedy && *remedy ? remedy : NULL);
                json_close_object(&doctor->json);
                return;
        }
        (void)printf("%s%-4s%s  %s: ", doctor->colour ? colours[health] : "", health_names[health],
                     doctor->colour ? "\033[0m" : "", id);
        print_wrapped(what ? what : "", INDENT, INDENT + strlen(id) + 2);
        if (health != HEALTH_OK && how && *how) {
                (void)printf("%*s", (int)INDENT, "");
                print_wrapped(how, INDENT, INDENT);
        }
}

static int take_row(const mcpcred_row *row, void *userdata)
{
        show(userdata, mcpcred_row_text(row, "id"), health_of(mcpcred_row_text(row, "status")),
             mcpcred_row_text(row, "summary"), mcpcred_row_text(row, "remedy"));
        return 0;
}

/* What can be said from here, with or without a broker. 0, or the status that its absence has. */
static int examine_client(Doctor *doctor)
{
        mcpcred *client = doctor->cli->client;
        const char *runtime = mcpcred_runtime(client);
        int r;

        show(doctor, "client.runtime", runtime ? HEALTH_OK : HEALTH_FAIL,
             runtime ? runtime : mcpcred_error_message(client), "Set HOME or XDG_RUNTIME_DIR.");
        if (mcpcred_is_marked())
                show(doctor, "client.mark", HEALTH_FAIL,
                     "This process belongs to a session, or has a finite RLIMIT_RTTIME, so the "
                     "broker refuses it.",
                     "Ask from outside the session.");
        else
                show(doctor, "client.mark", HEALTH_OK, "This process belongs to no session.", NULL);
        r = mcpcred_connect(client);
        show(doctor, "client.broker", r ? HEALTH_FAIL : HEALTH_OK,
             r ? mcpcred_error_message(client) : "A broker of this user answers.",
             mcpcred_error_remedy(client));
        return r ? mcpcred_error_exit_status(client) : 0;
}

static int report(Doctor *doctor)
{
        if (doctor->cli->json) {
                json_close_array(&doctor->json);
                json_number(&doctor->json, "ok", doctor->n[HEALTH_OK]);
                json_number(&doctor->json, "warn", doctor->n[HEALTH_WARN]);
                json_number(&doctor->json, "fail", doctor->n[HEALTH_FAIL]);
                if (!json_end(&doctor->json, stdout))
                        return EXIT_FAILED;
        } else {
                (void)printf("\n%zu ok, %zu warning%s, %zu failure%s\n", doctor->n[HEALTH_OK], doctor->n[HEALTH_WARN],
                             doctor->n[HEALTH_WARN] == 1 ? "" : "s", doctor->n[HEALTH_FAIL],
                             doctor->n[HEALTH_FAIL] == 1 ? "" : "s");
        }
        return doctor->n[HEALTH_FAIL] > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int run(Cli *cli, const void *options UNUSED, const Arguments *arguments UNUSED)
{
        Doctor doctor = { .cli = cli, .colour = use_colour() };
        int r, status;

        if (cli->json) {
                json_begin(&doctor.json);
                json_open_array(&doctor.json, "checks");
        }
        status = examine_client(&doctor);
        if (status == 0) {
                r = mcpcred_list_rows(cli->client, MCPCRED_LIST_CHECKS, 0, take_row, &doctor);
                if (r)
                        show(&doctor, "broker", HEALTH_FAIL, mcpcred_error_message(cli->client),
                             mcpcred_error_remedy(cli->client));
        }
        r = report(&doctor);
        return status ? status : r;
}

const Verb verb_doctor = {
        .name = "doctor",
        .arguments = "",
        .summary = "examine the setup, with a remedy for each fault",
        .run = run,
};
