#pragma once
/* How a secret comes in: on the terminal without echo, or from one of the sources of the options.
 * Never as an argument. */
#include "cli.h"

typedef struct Source {
        bool from_stdin;
        const char *from_env;
        const char *from_command;
        const char *file;
} Source;

/* For option tables: `type` has a Source member `source`. */
#define SOURCE_OPTIONS(type)                                                                       \
        { "stdin", OPTION_FLAG, offsetof(type, source.from_stdin), NULL, "read it from stdin" },   \
                { "from-env", OPTION_TEXT, offsetof(type, source.from_env), "NAME",                \
                  "take it from this variable of the environment" },                               \
                { "from-command", OPTION_TEXT, offsetof(type, source.from_command), "CMD",         \
                  "take what this shell command prints" },                                         \
        {                                                                                          \
                "file", OPTION_TEXT, offsetof(type, source.file), "PATH", "read it from a file"    \
        }

/* 0 or an exit status; on failure it has complained. `twice`: a person has to type it twice. */
int input_secret(Cli *cli, const Source *source, const char *prompt, bool twice,
                 mcpcred_value **ret);
/* Asks yes or no on the terminal. False: no, or there is no terminal (*ret_terminal). */
bool input_confirm(const char *question, bool *ret_terminal);
/* Asks for a line on the terminal, with echo. NULL: there is no terminal, or nothing was typed. */
char *input_line(const char *prompt);
