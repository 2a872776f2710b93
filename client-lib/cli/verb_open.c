#include "cli.h"
#include "output.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct OpenOptions {
        Texts repositories, permissions;
        uint64_t ttl, pid;
        const char *label, *env_file, *proxy;
        bool shell, lifetime, sandboxed;
} OpenOptions;

static const Option options[] = {
        OPTION(OpenOptions, repositories, "repo", TEXTS, "OWNER/NAME",
               "narrow the grants to this repository"),
        OPTION(OpenOptions, permissions, "permission", TEXTS, "NAME:LEVEL",
               "narrow them to this permission"),
        OPTION(OpenOptions, ttl, "ttl", DURATION, "TIME", "end the session after this time"),
        OPTION(OpenOptions, label, "label", TEXT, "TEXT",
               "what listings and the audit log call it"),
        OPTION(OpenOptions, pid, "pid", NUMBER, "PID", "end it when this process ends"),
        OPTION(OpenOptions, lifetime, "lifetime", FLAG, NULL,
               "end it when its time is over, and not before"),
        OPTION(OpenOptions, env_file, "env-file", TEXT, "PATH",
               "write its variables to a new file of mode 0600"),
        OPTION(OpenOptions, proxy, "proxy", TEXT, "HOST:PORT",
               "where its processes will find the HTTP proxy"),
        OPTION(OpenOptions, sandboxed, "sandboxed", FLAG, NULL,
               "they have no other way out, so trust the session's CA alone"),
        OPTION(OpenOptions, shell, "shell", FLAG, NULL, "print its variables for a shell's eval"),
};

static int set_lifeline(Cli *cli, const OpenOptions *asked, mcpcred_open *request)
{
        int fd, r;

        if (asked->lifetime == (asked->pid != 0))
                return cli_usage(cli, &verb_open, "say what ends it: --pid PID, or --lifetime");
        if (asked->lifetime)
                return mcpcred_open_lifeline(request, MCPCRED_LIFELINE_LIFETIME) ? EXIT_FAILED : 0;
        fd = (int)syscall(SYS_pidfd_open, (pid_t)asked->pid, 0);
        if (fd < 0)
                return cli_fail_local(cli, errno == ESRCH ? EXIT_NO_SUCH : EXIT_FAILED, "NotFound",
                                      "", "Process %llu: %s.", (unsigned long long)asked->pid,
                                      strerror(errno));
        r = mcpcred_open_lifeline_fd(request, fd);
        (void)close(fd);
        return r ? cli_fail_local(cli, EXIT_FAILED, "System", "",
                                  "Cannot use the process as lifeline.")
                 : 0;
}

/* It becomes part of URLs. */
static bool is_address(const char *text)
{
        static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789.-";
        bool bracket = text[0] == '[';
        size_t length = bracket ? 1 + strspn(text + 1, "0123456789abcdefABCDEF:.")
                                : strspn(text, name);
        unsigned long port;
        char *end;

        if (length == 0 || (bracket && text[length++] != ']') || text[length++] != ':' ||
            text[length] < '0' || text[length] > '9')
                return false;
        port = strtoul(text + length, &end, 10);
        return *end == '\0' && port > 0 && port <= 65535;
}

static int make_request(Cli *cli, const OpenOptions *asked, const Arguments *arguments,
                        mcpcred_open **ret)
{
        const char *bad = NULL, *profiles = arguments->items[0];

        if (mcpcred_open_new(ret))
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        if (add_grants(*ret, profiles, &asked->repositories, &asked->permissions, &bad))
                return cli_usage(cli, &verb_open,
                                 "\"%s\" is not a profile, a repository (OWNER/NAME) or a permission (NAME:LEVEL)",
                                 bad ? bad : profiles);
        if (asked->label && mcpcred_open_label(*ret, asked->label))
                return cli_usage(cli, &verb_open,
                                 "--label takes up to 128 bytes without control characters");
        (void)mcpcred_open_lifetime(*ret, asked->ttl);
        if (asked->proxy && !is_address(asked->proxy))
                return cli_usage(cli, &verb_open,
                                 "--proxy takes HOST:PORT, such as 127.0.0.1:3128 or [::1]:3128");
        if (asked->proxy && mcpcred_open_proxy(*ret, asked->proxy))
                return cli_usage(cli, &verb_open, "--proxy takes up to 64 bytes");
        (void)mcpcred_open_sandboxed(*ret, asked->sandboxed);
        (void)mcpcred_open_command(*ret, arguments->n_rest, (const char *const *)arguments->rest);
        return set_lifeline(cli, asked, *ret);
}

/* 'it'\''s', safe for every shell. */
static void write_quoted(FILE *to, const char *text)
{
        (void)fputc('\'', to);
        for (; *text; text++)
                if (*text == '\'')
                        (void)fputs("'\\''", to);
                else
                        (void)fputc(*text, to);
        (void)fputc('\'', to);
}

static bool write_variables(FILE *to, const mcpcred_session *session, bool shell)
{
        for (size_t i = 0; i < mcpcred_session_environment_count(session); i++) {
                const char *name = mcpcred_session_environment_name(session, i);
                const char *value = mcpcred_session_environment_value(session, i);

                (void)fprintf(to, "%s%s=", shell ? "export " : "", name);
                if (shell)
                        write_quoted(to, value);
                else
                        (void)fputs(value, to);
                (void)fputc('\n', to);
        }
        return fflush(to) == 0 && !ferror(to);
}

static int write_file(Cli *cli, const char *path, const mcpcred_session *session)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
        bool good;

        if (!file)
                return cli_fail_local(cli, EXIT_FAILED, "System",
                                      "The session was ended again. --env-file makes a new file: name one that is not there yet.",
                                      "%s: %s.", path, strerror(errno));
        (void)setvbuf(file, NULL, _IONBF, 0);
        good = write_variables(file, session, false);
        return fclose(file) == 0 && good
                       ? 0
                       : cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot write %s.", path);
}

static void print_json(const mcpcred_session *session)
{
        Json json;
        const mcpcred_row *grant;

        json_begin(&json);
        json_text(&json, "session", mcpcred_session_id(session));
        json_time(&json, "expires", mcpcred_session_expires(session));
        json_text(&json, "socket", mcpcred_session_socket(session));
        json_text(&json, "directory", mcpcred_session_directory(session));
        json_text(&json, "proxy_socket", mcpcred_session_proxy_socket(session));
        json_text(&json, "ca", mcpcred_session_ca(session));
        json_text(&json, "ca_bundle", mcpcred_session_ca_bundle(session));
        json_open_array(&json, "hosts");
        for (size_t i = 0; mcpcred_session_host(session, i); i++)
                json_text(&json, NULL, mcpcred_session_host(session, i));
        json_close_array(&json);
        json_open_array(&json, "environment"); /* names alone: values may be secret */
        for (size_t i = 0; i < mcpcred_session_environment_count(session); i++)
                json_text(&json, NULL, mcpcred_session_environment_name(session, i));
        json_close_array(&json);
        json_open_array(&json, "grants");
        for (size_t i = 0; (grant = mcpcred_session_grant(session, i)); i++)
                json_row(&json, NULL, grant);
        json_close_array(&json);
        (void)json_end(&json, stdout);
}

static void print_line(const char *name, const char *value)
{
        _cleanup_(free_memory) char *clean = value ? printable(value) : NULL;

        if (clean)
                (void)printf("%-11s%s\n", name, clean);
}

static void print_text(const mcpcred_session *session)
{
        char when[32];

        print_line("session", mcpcred_session_id(session));
        print_line("ends", relative_time(mcpcred_session_expires(session), when));
        print_line("directory", mcpcred_session_directory(session));
        print_line("proxy", mcpcred_session_proxy_socket(session));
        print_line("ca", mcpcred_session_ca(session));
        print_line("ca bundle", mcpcred_session_ca_bundle(session));
        for (size_t i = 0; mcpcred_session_host(session, i); i++)
                print_line(i ? "" : "hosts", mcpcred_session_host(session, i));
}

static int present(Cli *cli, const OpenOptions *asked, const mcpcred_session *session)
{
        int r = asked->env_file ? write_file(cli, asked->env_file, session) : 0;

        if (r)
                return r;
        if (asked->shell) {
                (void)setvbuf(stdout, NULL, _IONBF, 0);
                return write_variables(stdout, session, true) ? 0 : EXIT_FAILED;
        }
        if (cli->json)
                print_json(session);
        else
                print_text(session);
        return 0;
}

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        const OpenOptions *asked = given;
        _cleanup_(free_open) mcpcred_open *request = NULL;
        _cleanup_(free_session) mcpcred_session *session = NULL;
        int r = make_request(cli, asked, arguments, &request);

        if (r == 0 && asked->shell && cli->json)
                r = cli_usage(cli, &verb_open, "--shell and --json exclude each other");
        if (r == 0)
                r = broker_ensure(cli);
        if (r)
                return r;
        if (mcpcred_session_open(cli->client, request, &session))
                return cli_fail(cli);
        r = present(cli, asked, session);
        if (r) /* nobody knows of it, so nobody would end it */
                (void)mcpcred_close_session(cli->client, mcpcred_session_id(session), NULL, NULL,
                                            NULL);
        return r;
}

const Verb verb_open = {
        .name = "open",
        .arguments = "PROFILE[,PROFILE...] --pid PID|--lifetime [OPTION...] [-- COMMAND]",
        .summary = "open a session that another process uses",
        .details = "Its variables hold secrets, so they are printed only where --shell asks for "
                   "it, and written to a\n"
                   "file with --env-file. With --json their names are listed. `mcpcred revoke "
                   "--session ID` ends it.\n"
                   "COMMAND is not run: it says what will be, for a profile that demands a certain "
                   "one.\n"
                   "Where a profile goes by the proxy, its Unix socket, its CA and the hosts are "
                   "printed; with --proxy\n"
                   "the variables are for a proxy that its processes will find at that "
                   "address.\n\n"
                   "  eval \"$(mcpcred open github-triage --pid $$ --shell)\"",
        OPTIONS(options, OpenOptions),
        .min_arguments = 1,
        .max_arguments = 1,
        .takes_rest = true,
        .run = run,
};
