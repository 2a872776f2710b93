#include "cli.h"
#include "exec_child.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The upstream may be slow to revoke; the broker goes on trying, and the caller wants the status.
 */
#define CLOSE_MS 10000U

typedef struct ExecOptions {
        Texts repositories, permissions, environment;
        uint64_t ttl;
        const char *label;
        bool no_clean_env;
} ExecOptions;

static const Option options[] = {
        OPTION(ExecOptions, repositories, "repo", TEXTS, "OWNER/NAME",
               "narrow the grants to this repository"),
        OPTION(ExecOptions, permissions, "permission", TEXTS, "NAME:LEVEL",
               "narrow them to this permission"),
        OPTION(ExecOptions, ttl, "ttl", DURATION, "TIME", "end the session after this time"),
        OPTION(ExecOptions, label, "label", TEXT, "TEXT",
               "what listings and the audit log call it"),
        OPTION(ExecOptions, environment, "env", TEXTS, "NAME[=VALUE]",
               "pass a variable on, or set one"),
        OPTION(ExecOptions, no_clean_env, "no-clean-env", FLAG, NULL,
               "pass the whole environment on"),
};

typedef struct Exec {
        Cli *cli;
        mcpcred_session *session;
        ExecEnv env;
        int lifeline; /* ours, while the child runs */
        char *id;
} Exec;

static int make_request(Cli *cli, const ExecOptions *asked, const Arguments *arguments,
                        mcpcred_open **ret)
{
        const char *bad = NULL;
        int r;

        if (mcpcred_open_new(ret))
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        r = add_grants(*ret, arguments->items[0], &asked->repositories, &asked->permissions, &bad);
        if (r == MCPCRED_E_MISUSE)
                return cli_usage(cli, &verb_exec,
                                 "\"%s\" is not a profile, repository or permission", bad);
        if (asked->label && mcpcred_open_label(*ret, asked->label))
                return cli_usage(cli, &verb_exec,
                                 "--label takes up to 128 bytes without control characters");
        (void)mcpcred_open_lifetime(*ret, asked->ttl);
        (void)mcpcred_open_want_descriptor(*ret);
        (void)mcpcred_open_command(*ret, arguments->n_rest, (const char *const *)arguments->rest);
        return 0;
}

static int open_session(Exec *exec, const ExecOptions *asked, const Arguments *arguments)
{
        _cleanup_(free_open) mcpcred_open *request = NULL;
        const char *bad = NULL;
        int r = make_request(exec->cli, asked, arguments, &request);

        if (r)
                return r;
        if (mcpcred_session_open(exec->cli->client, request, &exec->session))
                return cli_fail(exec->cli);
        exec->id = strdup(mcpcred_session_id(exec->session));
        exec->lifeline = fcntl(mcpcred_session_lifeline_fd(exec->session), F_DUPFD_CLOEXEC, 5);
        if (!exec->id || exec->lifeline < 0)
                return cli_fail_local(exec->cli, EXIT_FAILED, "System", "",
                                      "Cannot keep the lifeline: %s.", strerror(errno));
        if (!exec_env_build(&exec->env, exec->session, &asked->environment, !asked->no_clean_env,
                            EXEC_SESSION_FD, &bad))
                return bad ? cli_usage(exec->cli, &verb_exec,
                                       "--env %s: not a variable that can be set", bad)
                           : cli_fail_local(exec->cli, EXIT_FAILED, "NoMemory", "",
                                            "There is no memory.");
        return 0;
}

/* The child has what it needs. The lifeline alone stays. */
static void wipe(void *userdata)
{
        Exec *exec = userdata;

        exec_env_free(&exec->env);
        exec->session = mcpcred_session_free(exec->session);
        mcpcred_disconnect(exec->cli->client);
}

/*
 * Ends the session. If the broker is gone, so is what it was to revoke at the session's end: it is
 * started once more, and revokes at its start what was left.
 */
static void end_session(Exec *exec)
{
        Cli *cli = exec->cli;
        int r;

        (void)mcpcred_set_deadline(cli->client, CLOSE_MS);
        r = exec->id ? mcpcred_close_session(cli->client, exec->id, NULL, NULL, NULL) : 0;
        if (r == MCPCRED_E_DROPPED) /* its gate may just have been restarted */
                r = mcpcred_close_session(cli->client, exec->id, NULL, NULL, NULL);
        if (r == MCPCRED_E_UNREACHABLE && broker_ensure(cli) == 0)
                r = 0;
        if (r && r != MCPCRED_E_NOT_FOUND && r != MCPCRED_E_EXPIRED && r != MCPCRED_E_REVOKED &&
            r != MCPCRED_E_UNREACHABLE)
                cli_note("the session %s could not be closed: %s The broker ends it by its "
                         "lifeline.",
                         exec->id, mcpcred_error_message(cli->client));
        if (exec->lifeline >= 0)
                (void)close(exec->lifeline);
        exec->lifeline = -1;
}

static int run_child(Exec *exec, const Arguments *arguments)
{
        const ExecChild child = { .argv = arguments->rest,
                                  .env = &exec->env,
                                  .session_fd = mcpcred_session_fd(exec->session) };
        ExecResult result = { 0 };
        int r = exec_child_run(&child, wipe, exec, &result);

        if (r < 0)
                return cli_fail_local(exec->cli, EXIT_FAILED, "System", "",
                                      "Cannot run the command: %s.", strerror(-r));
        if (result.exec_errno)
                (void)cli_fail_local(exec->cli, result.status, "System", "", "%s: %s.",
                                     arguments->rest[0], strerror(result.exec_errno));
        return result.status;
}

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        Exec exec = { .cli = cli, .lifeline = -1 };
        int r;

        if (arguments->n_rest == 0)
                return cli_usage(cli, &verb_exec, "there is no command behind --");
        r = broker_ensure(cli);
        if (r == 0)
                r = open_session(&exec, given, arguments);
        if (r == 0)
                r = run_child(&exec, arguments);
        if (exec.id)
                end_session(&exec);
        wipe(&exec);
        free(exec.id);
        return r;
}

const Verb verb_exec = {
        .name = "exec",
        .arguments = "PROFILE[,PROFILE...] [OPTION...] -- COMMAND [ARGUMENT...]",
        .summary = "run a command in a session of its own",
        .details = "Opens a session, gives its variables to the command, stays beside it, and ends "
                   "the session\n"
                   "when the command ends. Starts the broker if none is running. The command's "
                   "status is passed\n"
                   "through; a failure of exec itself is 125. The command starts with HOME LOGNAME "
                   "PATH SHELL\n"
                   "TERM USER LANG LC_* TZ TMPDIR, what --env names, and the session's variables; "
                   "stdin, stdout\n"
                   "and stderr are its own.\n\n"
                   "  mcpcred exec github-triage -- npx -y @modelcontextprotocol/server-github\n"
                   "  mcpcred exec github-triage --repo octo/hello --permission contents:read -- "
                   "gh issue list",
        OPTIONS(options, ExecOptions),
        .min_arguments = 1,
        .max_arguments = 1,
        .takes_rest = true,
        .is_exec = true,
        .run = run,
};
