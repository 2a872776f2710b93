#include "input.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int no_memory(Cli *cli)
{
        return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "Raise RLIMIT_MEMLOCK (ulimit -l).",
                              "There is no memory that can be locked.");
}

static int read_value(Cli *cli, int fd, const char *what, mcpcred_value *value)
{
        int r = mcpcred_value_read_fd(value, fd);

        if (r == MCPCRED_E_MISUSE)
                return cli_fail_local(cli, EXIT_USAGE, "InvalidParameter", "",
                                      "%s is longer than %d bytes.", what, MCPCRED_VALUE_MAX);
        if (r)
                return cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot read %s: %s.", what,
                                      strerror(errno));
        mcpcred_value_trim_newline(value);
        return 0;
}

static int from_file(Cli *cli, const char *path, mcpcred_value *value)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), r;
        struct stat st;

        if (fd < 0)
                return cli_fail_local(cli, errno == ENOENT ? EXIT_NO_SUCH : EXIT_FAILED, "System",
                                      "", "%s: %s.", path, strerror(errno));
        if (fstat(fd, &st) == 0 && (st.st_mode & (S_IRGRP | S_IROTH)) && S_ISREG(st.st_mode))
                cli_note("%s can be read by others; delete it when this is done.", path);
        r = read_value(cli, fd, path, value);
        (void)close(fd);
        return r;
}

/* Takes it and leaves nothing behind, neither for children nor in /proc/self/environ. */
static int from_environment(Cli *cli, const char *name, mcpcred_value *value)
{
        char *text = getenv(name);
        int r;

        if (!text)
                return cli_fail_local(cli, EXIT_NO_SUCH, "NotFound", "", "There is no variable %s.",
                                      name);
        r = mcpcred_value_append(value, text, strlen(text));
        explicit_bzero(text, strlen(text));
        (void)unsetenv(name);
        if (r)
                return cli_fail_local(cli, EXIT_USAGE, "InvalidParameter", "",
                                      "%s is longer than %d bytes.", name, MCPCRED_VALUE_MAX);
        return 0;
}

static int spawn_shell(const char *command, int output, pid_t *ret)
{
        char shell[] = "/bin/sh", flag[] = "-c";
        char *argv[] = { shell, flag, NULL, NULL };
        posix_spawn_file_actions_t actions;
        int r = posix_spawn_file_actions_init(&actions);
        _cleanup_(free_memory) char *copy = strdup(command);

        argv[2] = copy;
        if (r == 0)
                r = copy ? posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
                         : ENOMEM;
        if (r == 0)
                r = posix_spawn(ret, shell, &actions, NULL, argv, environ);
        (void)posix_spawn_file_actions_destroy(&actions);
        return r;
}

static int from_command(Cli *cli, const char *command, mcpcred_value *value)
{
        int ends[2], status = 0, r;
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot make a pipe: %s.",
                                      strerror(errno));
        r = spawn_shell(command, ends[1], &pid);
        (void)close(ends[1]);
        if (r) {
                (void)close(ends[0]);
                return cli_fail_local(cli, EXIT_FAILED, "System", "", "Cannot run the command: %s.",
                                      strerror(r));
        }
        r = read_value(cli, ends[0], "the command's output", value);
        (void)close(ends[0]);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                continue;
        if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
                r = cli_fail_local(cli, EXIT_FAILED, "CommandFailed", "Nothing was stored.",
                                   "The command failed (status %d).",
                                   WIFEXITED(status) ? WEXITSTATUS(status)
                                                     : 128 + WTERMSIG(status));
        return r;
}

/* ---- the terminal ---- */

typedef struct Terminal {
        int fd;
        int signals; /* signalfd of what would end us with the echo off */
        struct termios before;
        sigset_t mask;
} Terminal;

typedef enum Typed {
        TYPED_DONE,
        TYPED_CANCELLED,
        TYPED_CONTROL, /* a byte that no secret has */
        TYPED_LONG,
        TYPED_FAILED,
} Typed;

static bool terminal_open(Terminal *terminal)
{
        struct termios quiet;
        sigset_t caught;

        terminal->fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (terminal->fd < 0)
                return false;
        if (tcgetattr(terminal->fd, &terminal->before) < 0) {
                (void)close(terminal->fd);
                return false;
        }
        (void)sigemptyset(&caught);
        (void)sigaddset(&caught, SIGINT);
        (void)sigaddset(&caught, SIGTERM);
        (void)sigaddset(&caught, SIGHUP);
        (void)sigaddset(&caught, SIGQUIT);
        (void)sigaddset(&caught, SIGTSTP);
        (void)sigprocmask(SIG_BLOCK, &caught, &terminal->mask);
        terminal->signals = signalfd(-1, &caught, SFD_CLOEXEC);
        /* Byte by byte: a line of the terminal's own would be cut at 4096. Interrupts come as
         * bytes, so that the echo is on again before we end. */
        quiet = terminal->before;
        quiet.c_lflag &= (tcflag_t) ~(ECHO | ECHOE | ECHOK | ECHONL | ICANON | ISIG | IEXTEN);
        quiet.c_iflag |= ICRNL;
        quiet.c_cc[VMIN] = 1;
        quiet.c_cc[VTIME] = 0;
        (void)tcsetattr(terminal->fd, TCSAFLUSH, &quiet);
        return true;
}

static void terminal_close(Terminal *terminal)
{
        (void)tcsetattr(terminal->fd, TCSAFLUSH, &terminal->before);
        (void)close(terminal->signals);
        (void)close(terminal->fd);
        (void)sigprocmask(SIG_SETMASK, &terminal->mask, NULL);
}

static void terminal_say(const Terminal *terminal, const char *text)
{
        if (write(terminal->fd, text, strlen(text)) < 0)
                return; /* nobody is there to be told */
}

/* One byte; false on a signal, at the end, or on an error. */
static bool next_byte(const Terminal *terminal, unsigned char *ret)
{
        struct pollfd pollers[] = { { .fd = terminal->fd, .events = POLLIN },
                                    { .fd = terminal->signals, .events = POLLIN } };

        for (;;) {
                if (poll(pollers, ARRAY_SIZE(pollers), -1) < 0 && errno != EINTR)
                        return false;
                if (pollers[1].revents & POLLIN)
                        return false;
                if (pollers[0].revents)
                        return read(terminal->fd, ret, 1) == 1;
        }
}

static bool begins(const mcpcred_value *value, size_t at, const char *text)
{
        size_t size = mcpcred_value_size(value);

        return size - at >= strlen(text) &&
               memcmp((const char *)mcpcred_value_data(value) + at, text, strlen(text)) == 0;
}

/* Whether a newline here ends what is typed: not within a PEM block before its END line. */
static bool is_whole(const mcpcred_value *value, size_t line)
{
        return !begins(value, 0, "-----BEGIN ") || begins(value, line, "-----END ");
}

/* A byte that is no ordinary character. True: `ret` says how reading ends. */
static bool handle_control(const Terminal *terminal, unsigned char byte, mcpcred_value *value,
                           size_t line, Typed *ret)
{
        const cc_t *keys = terminal->before.c_cc;
        size_t size = mcpcred_value_size(value);

        if (byte == keys[VERASE] || byte == '\b' || byte == 0x7f) {
                while (size > line && size-- &&
                       (((const unsigned char *)mcpcred_value_data(value))[size] & 0xc0) == 0x80)
                        continue;
                mcpcred_value_truncate(value, size);
                return false;
        }
        if (byte == keys[VKILL]) {
                mcpcred_value_truncate(value, line);
                return false;
        }
        if (byte == keys[VINTR] || byte == keys[VQUIT])
                *ret = TYPED_CANCELLED;
        else if (byte == keys[VEOF])
                *ret = size > 0 ? TYPED_DONE : TYPED_CANCELLED;
        else
                *ret = TYPED_CONTROL;
        return true;
}

static Typed read_typed(const Terminal *terminal, mcpcred_value *value)
{
        unsigned char byte = 0;
        size_t line = 0;
        Typed typed = TYPED_FAILED;

        while (next_byte(terminal, &byte)) {
                if (byte == '\n' && is_whole(value, line)) {
                        typed = TYPED_DONE;
                        break;
                }
                if (byte != '\n' && (byte < 0x20 || byte == 0x7f)) {
                        if (handle_control(terminal, byte, value, line, &typed))
                                break;
                        continue;
                }
                if (mcpcred_value_append(value, &byte, 1)) {
                        typed = TYPED_LONG;
                        break;
                }
                if (byte == '\n')
                        line = mcpcred_value_size(value);
        }
        explicit_bzero(&byte, sizeof(byte));
        return typed;
}

static int complain_typed(Cli *cli, Typed typed)
{
        switch (typed) {
        case TYPED_DONE:
                return 0;
        case TYPED_CONTROL:
                return cli_fail_local(
                        cli, EXIT_USAGE, "InvalidParameter",
                        "Paste it again without what was copied around it, or use --file or "
                        "--stdin.",
                        "What was typed contains a control character, which no secret has.");
        case TYPED_LONG:
                return cli_fail_local(cli, EXIT_USAGE, "InvalidParameter", "",
                                      "It is longer than %d bytes.", MCPCRED_VALUE_MAX);
        default:
                return cli_fail_local(cli, EXIT_USAGE, "Cancelled", "", "Nothing was entered.");
        }
}

static int type_once(Cli *cli, const char *prompt, mcpcred_value *value)
{
        Terminal terminal;
        Typed typed;

        if (!terminal_open(&terminal))
                return cli_fail_local(
                        cli, EXIT_USAGE, "NoTerminal",
                        "Use --stdin, --file PATH, --from-env NAME or --from-command CMD.",
                        "There is no terminal to ask on.");
        terminal_say(&terminal, prompt);
        typed = read_typed(&terminal, value);
        terminal_say(&terminal, "\n");
        terminal_close(&terminal); /* and drops what else was pasted */
        return complain_typed(cli, typed);
}

static int from_terminal(Cli *cli, const char *prompt, bool twice, mcpcred_value *value)
{
        _cleanup_(free_value) mcpcred_value *again = NULL;
        int r = type_once(cli, prompt, value);

        if (r || !twice)
                return r;
        if (mcpcred_value_new(&again))
                return no_memory(cli);
        r = type_once(cli, "Once more: ", again);
        if (r)
                return r;
        if (mcpcred_value_size(value) != mcpcred_value_size(again) ||
            memcmp(mcpcred_value_data(value), mcpcred_value_data(again),
                   mcpcred_value_size(value)) != 0)
                return cli_fail_local(cli, EXIT_USAGE, "Mismatch", "Try again.", "The two differ.");
        return 0;
}

/* ---- all of them ---- */

static int fill(Cli *cli, const Source *source, const char *prompt, bool twice,
                mcpcred_value *value)
{
        if (source->from_stdin)
                return read_value(cli, STDIN_FILENO, "stdin", value);
        if (source->file)
                return from_file(cli, source->file, value);
        if (source->from_env)
                return from_environment(cli, source->from_env, value);
        if (source->from_command)
                return from_command(cli, source->from_command, value);
        return from_terminal(cli, prompt, twice, value);
}

int input_secret(Cli *cli, const Source *source, const char *prompt, bool twice,
                 mcpcred_value **ret)
{
        _cleanup_(free_value) mcpcred_value *value = NULL;
        int n = source->from_stdin + (source->file != NULL) + (source->from_env != NULL) +
                (source->from_command != NULL);
        int r;

        if (n > 1)
                return cli_fail_local(
                        cli, EXIT_USAGE, "Usage", "",
                        "--stdin, --file, --from-env and --from-command exclude each other.");
        if (mcpcred_value_new(&value))
                return no_memory(cli);
        mcpcred_disconnect(cli->client); /* a broker does not wait for people */
        r = fill(cli, source, prompt, twice, value);
        if (r)
                return r;
        if (mcpcred_value_size(value) == 0)
                return cli_fail_local(cli, EXIT_USAGE, "InvalidParameter", "",
                                      "The secret is empty.");
        *ret = value;
        value = NULL;
        return 0;
}

char *input_line(const char *prompt)
{
        FILE *terminal = fopen("/dev/tty", "r+e");
        char *line = NULL;
        size_t room = 0;
        ssize_t n = -1;

        if (!terminal)
                return NULL;
        (void)fputs(prompt, terminal);
        (void)fflush(terminal);
        n = getline(&line, &room, terminal);
        (void)fclose(terminal);
        if (n > 0 && line[n - 1] == '\n')
                line[--n] = '\0';
        if (n <= 0) {
                free(line);
                return NULL;
        }
        return line;
}

bool input_confirm(const char *question, bool *ret_terminal)
{
        _cleanup_(free_memory) char *answer = NULL;

        *ret_terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
        if (*ret_terminal)
                answer = input_line(question);
        return answer && (strcmp(answer, "y") == 0 || strcmp(answer, "yes") == 0);
}
