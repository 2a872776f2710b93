#include "cli.h"
#include "exec_child.h"
#include "exec_proxy.h"
#include "sandbox.h"
#include "sandbox_net.h"
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
        SandboxOptions sandbox;
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
        OPTION(ExecOptions, sandbox.wanted, "sandbox", FLAG, NULL,
               "run it in bubblewrap, with the session for its only way out"),
        OPTION(ExecOptions, sandbox.writable, "rw", TEXTS, "PATH",
               "let the sandbox at this file or directory"),
        OPTION(ExecOptions, sandbox.readable, "ro", TEXTS, "PATH", "the same, to read it"),
        OPTION(ExecOptions, sandbox.arguments, "sandbox-arg", TEXTS, "ARG",
               "pass this to bubblewrap as it is"),
        OPTION(ExecOptions, sandbox.bubblewrap, "bwrap", TEXT, "PATH",
               "the bubblewrap to use (/usr/bin/bwrap)"),
};

typedef struct Exec {
        Cli *cli;
        mcpcred_session *session;
        ExecEnv env;
        Sandbox sandbox;
        bool sandboxed;
        char proxy_address[32];
        int proxy;    /* listens at it, until it is handed over; -1: none */
        int lifeline; /* ours, while the child runs */
        char *id;
} Exec;

/* Where the child will find the proxy. Whether there will be one is known when the session is open,
 * and its variables are made of this before. */
static void ask_for_proxy(Exec *exec, mcpcred_open *request)
{
        if (exec->sandboxed) {
                (void)mcpcred_open_proxy(request, SANDBOX_PROXY);
                (void)mcpcred_open_sandboxed(request, 1);
                return;
        }
        exec->proxy = exec_proxy_listen(exec->proxy_address);
        if (exec->proxy >= 0)
                (void)mcpcred_open_proxy(request, exec->proxy_address);
}

static int make_request(Exec *exec, const ExecOptions *asked, const Arguments *arguments,
                        mcpcred_open **ret)
{
        Cli *cli = exec->cli;
        const char *bad = NULL;
        int r;

        if (mcpcred_open_new(ret))
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        r = add_grants(*ret, arguments->items[0], &asked->repositories, &asked->permissions, &bad);
        if (r == MCPCRED_E_MISUSE)
                return cli_usage(cli, &verb_exec,
                                 "\"%s\" is not a profile, a repository (OWNER/NAME) or a permission (NAME:LEVEL)", bad);
        if (asked->label && mcpcred_open_label(*ret, asked->label))
                return cli_usage(cli, &verb_exec,
                                 "--label takes up to 128 bytes without control characters");
        (void)mcpcred_open_lifetime(*ret, asked->ttl);
        (void)mcpcred_open_want_descriptor(*ret);
        (void)mcpcred_open_command(*ret, arguments->n_rest, (const char *const *)arguments->rest);
        ask_for_proxy(exec, *ret);
        return 0;
}

/* The port is given up where no profile of the session goes by it. */
static int serve_proxy(Exec *exec)
{
        int r = 0;

        if (exec->proxy >= 0 && mcpcred_session_proxy_socket(exec->session))
                r = mcpcred_session_serve(exec->cli->client, exec->session,
                                          MCPCRED_SERVICE_LOOPBACK, exec->proxy);
        if (exec->proxy >= 0)
                (void)close(exec->proxy);
        exec->proxy = -1;
        return r ? cli_fail(exec->cli) : 0;
}

static int build_environment(Exec *exec, const ExecOptions *asked)
{
        const char *bad = NULL;
        bool good = exec_env_build(&exec->env, exec->session, &asked->environment,
                                   !asked->no_clean_env, EXEC_SESSION_FD, &bad);

        if (bad)
                return cli_usage(exec->cli, &verb_exec,
                                 "--env %s: not a variable that can be set", bad);
        if (good && exec->sandboxed)
                good = sandbox_adapt_environment(&exec->sandbox, &exec->env);
        return good ? 0
                    : cli_fail_local(exec->cli, EXIT_FAILED, "NoMemory", "",
                                     "There is no memory.");
}

static int open_session(Exec *exec, const ExecOptions *asked, const Arguments *arguments)
{
        _cleanup_(free_open) mcpcred_open *request = NULL;
        int r = make_request(exec, asked, arguments, &request);

        if (r)
                return r;
        if (mcpcred_session_open(exec->cli->client, request, &exec->session))
                return cli_fail(exec->cli);
        exec->id = strdup(mcpcred_session_id(exec->session));
        exec->lifeline = fcntl(mcpcred_session_lifeline_fd(exec->session), F_DUPFD_CLOEXEC, 5);
        if (!exec->id || exec->lifeline < 0)
                return cli_fail_local(exec->cli, EXIT_FAILED, "System", "",
                                      "Cannot keep the lifeline: %s.", strerror(errno));
        r = build_environment(exec, asked);
        return r ? r : serve_proxy(exec);
}

/* The child has what it needs. The lifeline alone stays. */
static void wipe(void *userdata)
{
        Exec *exec = userdata;

        exec_env_free(&exec->env);
        exec->session = mcpcred_session_free(exec->session);
        mcpcred_disconnect(exec->cli->client);
}

static int find_reason(const mcpcred_row *row, void *userdata)
{
        const Exec *exec = userdata;
        const char *reason = mcpcred_row_text(row, "end_reason");

        if (strcmp(mcpcred_row_text(row, "session"), exec->id) != 0)
                return 0;
        if (reason && strncmp(reason, "leak:", 5) == 0)
                cli_note("the broker has ended this session: %s. `mcpcred leak list --all` says what was done.",
                         reason + 5 + strspn(reason + 5, " "));
        return 1;
}

/* It had ended before its command did: whoever started it should hear why, if it was for cause. Others of the reasons
 * say themselves (its time was over, it was revoked), and whoever may not list hears nothing. */
static void explain_end(Exec *exec)
{
        (void)mcpcred_list_rows(exec->cli->client, MCPCRED_LIST_SESSIONS, 1, find_reason, exec);
}

/*
 * Ends the session. If the broker is gone, so is what it was to revoke at the session's end: it is
 * started once more, and revokes at its start what was left.
 */
static void end_session(Exec *exec)
{
        Cli *cli = exec->cli;
        mcpcred_ended ended = { .sessions = 1 };
        int r;

        (void)mcpcred_set_deadline(cli->client, CLOSE_MS);
        r = exec->id ? mcpcred_close_session(cli->client, exec->id, NULL, NULL, &ended) : 0;
        if (r == MCPCRED_E_DROPPED) /* its gate may just have been restarted */
                r = mcpcred_close_session(cli->client, exec->id, NULL, NULL, &ended);
        if (r == 0 && ended.sessions == 0)
                explain_end(exec);
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

static int run_sandbox(Exec *exec, const ExecChild *child)
{
        if (!mcpcred_session_proxy_socket(exec->session))
                cli_note("none of these profiles goes by the proxy, so the command has no network "
                         "at all; `deliver = proxy` gives it a way out");
        return sandbox_run(&exec->sandbox, child, exec->session, wipe, exec);
}

static int run_child(Exec *exec, const Arguments *arguments)
{
        const ExecChild child = { .argv = arguments->rest,
                                  .env = &exec->env,
                                  .session_fd = mcpcred_session_fd(exec->session) };
        ExecResult result = { 0 };
        int r;

        if (exec->sandboxed)
                return run_sandbox(exec, &child);
        r = exec_child_run(&child, wipe, exec, &result);
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
        const ExecOptions *asked = given;
        Exec exec = { .cli = cli, .sandboxed = asked->sandbox.wanted, .proxy = -1, .lifeline = -1 };
        int r;

        if (arguments->n_rest == 0)
                return cli_usage(cli, &verb_exec, "there is no command behind --");
        if (!exec.sandboxed && (asked->sandbox.writable.n || asked->sandbox.readable.n ||
                                asked->sandbox.arguments.n || asked->sandbox.bubblewrap))
                return cli_usage(cli, &verb_exec,
                                 "--rw, --ro, --sandbox-arg and --bwrap go with --sandbox");
        r = broker_ensure(cli);
        if (r == 0 && exec.sandboxed)
                r = sandbox_prepare(&exec.sandbox, cli, &asked->sandbox);
        if (r == 0)
                r = open_session(&exec, asked, arguments);
        if (r == 0)
                r = run_child(&exec, arguments);
        if (exec.id)
                end_session(&exec);
        wipe(&exec);
        if (exec.sandboxed)
                sandbox_free(&exec.sandbox);
        if (exec.proxy >= 0)
                (void)close(exec.proxy);
        free(exec.id);
        return r;
}

const Verb verb_exec = {
        .name = "exec",
        .arguments = "PROFILE[,PROFILE...] [OPTION...] -- COMMAND [ARGUMENT...]",
        .summary = "run a command in a session of its own",
        .details = "Opens a session, gives its variables to the command, stays beside it, and ends\n"
                   "the session when the command ends. Starts the broker if none is running. The\n"
                   "command's status is passed through; a failure of exec itself is 125. The command\n"
                   "starts with HOME LOGNAME PATH SHELL TERM USER LANG LC_* TZ TMPDIR, what --env\n"
                   "names, and the session's variables; stdin, stdout and stderr are its own.\n\n"
                   "With --sandbox it runs in bubblewrap: a read-only system, no network but the\n"
                   "session's proxy, an empty HOME, /tmp and /run, and what --rw and --ro let in.\n\n"
                   "  mcpcred exec openai --sandbox --rw . -- python3 agent.py\n"
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
