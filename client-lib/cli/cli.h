#pragma once
/*
 * The mcpcred command, on libmcpcred alone. A verb is one file that defines one Verb; main.c lists
 * them. Options are data: a table a verb, read by options.c into a struct of the verb's own.
 */
#include "mcpcred.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define UNUSED                 __attribute__((unused))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define _cleanup_(f)           __attribute__((cleanup(f)))
#define ARRAY_SIZE(a)          (sizeof(a) / sizeof((a)[0]))

/* Of everything that --json prints. Raised when a field goes or changes its meaning. */
#define SCHEMA_VERSION 1U

/* How the command ends; `mcpcred help exit-codes` says it to people. */
enum {
        EXIT_DONE = 0,
        EXIT_FAILED = 1,
        EXIT_FOUND = 1, /* of scan */
        EXIT_USAGE = 2,
        EXIT_INCOMPLETE = 3, /* of scan: nothing found, but not all could be looked at; also when it failed */
        EXIT_KEYRING = 4,
        EXIT_DENIED = 5,
        EXIT_NO_SUCH = 6,
        EXIT_UNREACHABLE = 7,
        EXIT_PENDING = 8,
        EXIT_TAMPERED = 9, /* of audit verify */
        EXIT_EXEC_SELF = 125,    /* exec itself failed */
        EXIT_EXEC_CANNOT = 126,  /* the program is there and cannot be run */
        EXIT_EXEC_MISSING = 127, /* there is no such program */
};

typedef struct Cli {
        mcpcred *client;
        /* Global options. */
        bool json;
        bool system;
        bool help;
        const char *runtime;
        uint64_t timeout;                              /* seconds; 0: the library's own */
        const char *broker, *libexec, *state, *config; /* for starting a broker*/
        bool quiet_stdout;                             /* exec: even --json errors go to stderr */
} Cli;

typedef struct Texts {
        const char **items;
        size_t n;
} Texts;

typedef enum OptionKind {
        OPTION_FLAG,     /* bool */
        OPTION_TEXT,     /* const char * */
        OPTION_TEXTS,    /* Texts; may be given several times */
        OPTION_DURATION, /* uint64_t, seconds: "90", "30s", "10m", "8h", "7d" */
        OPTION_NUMBER,   /* uint64_t; 0: not given */
} OptionKind;

typedef struct Option {
        const char *name; /* without the dashes */
        OptionKind kind;
        size_t offset;        /* into the verb's struct */
        const char *argument; /* as help shows it; NULL for a flag */
        const char *help;
} Option;

#define OPTION(type, member, name, kind, argument, help)                                           \
        {                                                                                          \
                name, OPTION_##kind, offsetof(type, member), argument, help                        \
        }

typedef struct Arguments {
        const char **items; /* words that are no options */
        size_t n;
        char **rest; /* behind "--", NULL-terminated */
        size_t n_rest;
} Arguments;

typedef struct Verb {
        const char *name;
        const char *arguments; /* as help shows them */
        const char *summary;   /* one line */
        const char *details;   /* more, and examples; may be NULL */
        const Option *options;
        size_t n_options;
        size_t options_size; /* of the struct that the options are read into; 0: none */
        size_t min_arguments, max_arguments;
        bool takes_rest;   /* "--" may be followed by a command */
        bool selects;      /* what it is about is said by options alone */
        bool takes_secret; /* so that a word too many may be one, and is not repeated */
        bool is_exec;    /* its own failures are 125 and nothing goes to stdout */
        int (*run)(Cli *cli, const void *options, const Arguments *arguments);
} Verb;

#define OPTIONS(table, type)                                                                       \
        .options = (table), .n_options = ARRAY_SIZE(table), .options_size = sizeof(type)

extern const Verb *const verbs[];
extern const Verb verb_add, verb_list, verb_remove, verb_exec, verb_open, verb_token, verb_rotate,
        verb_revoke, verb_status, verb_sessions, verb_leases, verb_profile, verb_audit, verb_doctor,
        verb_unlock, verb_lock, verb_reload, verb_leak, verb_scan, verb_watch, verb_help, verb_version;
const Verb *verb_find(const char *name);
extern const Option global_options[];
extern const size_t n_global_options;

/*
 * Reads argv behind the verb's name. Returns 0, or the exit status of what it has complained of.
 * `options` has verb->options_size bytes, zeroed. options_free() frees what it allocates, in any
 * case.
 */
int options_read(Cli *cli, const Verb *verb, int argc, char **argv, void *options, Arguments *ret);
void options_free(const Verb *verb, void *options, Arguments *arguments);
/* Global options before the verb. `ret_next` is the index of the first word that is none. */
int options_read_global(Cli *cli, int argc, char **argv, int *ret_next);
bool parse_duration(const char *text, uint64_t *ret_seconds);

/* "error" in the manner of the command: a line on stderr, and with --json an object on stdout. They
 * return the exit status. */
int cli_fail(Cli *cli); /* the library's last error */
int cli_fail_local(Cli *cli, int status, const char *name, const char *remedy, const char *format,
                   ...) PRINTF_LIKE(5, 6);
int cli_usage(Cli *cli, const Verb *verb, const char *format, ...) PRINTF_LIKE(3, 4);
/* A hint on stderr that changes nothing. */
void cli_note(const char *format, ...) PRINTF_LIKE(1, 2);

/* Splits "a,b" and appends to the request. MCPCRED_OK or a code. */
int add_grants(mcpcred_open *request, const char *profiles, const Texts *repositories,
               const Texts *permissions, const char **ret_bad);

/* Makes sure that a broker answers: connects, and starts one if there is none. 0 or an exit status.
 */
int broker_ensure(Cli *cli);

static inline void free_memory(void *p)
{
        free(*(void **)p);
}
static inline void free_value(mcpcred_value **value)
{
        mcpcred_value_free(*value);
}
static inline void free_open(mcpcred_open **request)
{
        mcpcred_open_free(*request);
}
static inline void free_session(mcpcred_session **session)
{
        mcpcred_session_free(*session);
}
static inline void free_token(mcpcred_token **token)
{
        mcpcred_token_free(*token);
}
