#include "cli.h"
#include <errno.h>
#include <string.h>

bool parse_duration(const char *text, uint64_t *ret_seconds)
{
        static const struct {
                char suffix;
                uint64_t seconds;
        } units[] = { { '\0', 1 }, { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
        size_t digits = strspn(text, "0123456789");
        uint64_t value;

        if (digits == 0 || digits > 9 || (text[digits] && text[digits + 1]))
                return false;
        value = strtoull(text, NULL, 10);
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (text[digits] == units[i].suffix) {
                        *ret_seconds = value * units[i].seconds;
                        return value > 0;
                }
        return false;
}

static const Option *find(const Option *table, size_t n, const char *name, size_t length)
{
        for (size_t i = 0; i < n; i++)
                if (strlen(table[i].name) == length && strncmp(table[i].name, name, length) == 0)
                        return &table[i];
        return NULL;
}

static void append(Texts *texts, const char *text)
{
        const char **grown = reallocarray(texts->items, texts->n + 1, sizeof(*grown));

        if (!grown)
                abort();
        texts->items = grown;
        texts->items[texts->n++] = text;
}

/* Stores the value. NULL, or what is wrong with it. */
static const char *store(const Option *option, void *into, const char *value)
{
        void *at = (char *)into + option->offset;
        char *end;

        switch (option->kind) {
        case OPTION_FLAG:
                *(bool *)at = true;
                return NULL;
        case OPTION_TEXT:
                if (*(const char **)at)
                        return "is given twice";
                *(const char **)at = value;
                return NULL;
        case OPTION_TEXTS:
                append(at, value);
                return NULL;
        case OPTION_DURATION:
                return parse_duration(value, at) ? NULL
                                                 : "takes a duration such as 90s, 10m, 8h or 7d";
        case OPTION_NUMBER:
                errno = 0;
                *(uint64_t *)at = strtoull(value, &end, 10);
                return *value >= '0' && *value <= '9' && !*end && !errno && *(uint64_t *)at > 0
                               ? NULL
                               : "takes a number from 1 on";
        }
        return "cannot be read";
}

typedef struct OptionReader {
        Cli *cli;
        const Verb *verb;
        void *options;
        char **argv;
        int argc;
        int at;
} OptionReader;

/* argv[at] begins with two dashes. Moves behind it and its value. */
static int read_one(OptionReader *reader)
{
        const char *word = reader->argv[reader->at] + 2, *equals = strchr(word, '='), *value = NULL,
                   *wrong;
        size_t length = equals ? (size_t)(equals - word) : strlen(word);
        void *into = reader->options;
        const Option *option =
                reader->verb ? find(reader->verb->options, reader->verb->n_options, word, length)
                             : NULL;

        if (!option) {
                option = find(global_options, n_global_options, word, length);
                into = reader->cli;
        }
        if (!option)
                return cli_usage(reader->cli, reader->verb, "there is no option --%.*s",
                                 (int)length, word);
        reader->at++;
        if (option->kind == OPTION_FLAG && equals)
                return cli_usage(reader->cli, reader->verb, "--%s takes no value", option->name);
        if (option->kind != OPTION_FLAG)
                value = equals                      ? equals + 1
                        : reader->at < reader->argc ? reader->argv[reader->at++]
                                                    : NULL;
        if (option->kind != OPTION_FLAG && (!value || !*value))
                return cli_usage(reader->cli, reader->verb, "--%s takes a value: %s", option->name,
                                 option->argument);
        wrong = store(option, into, value);
        return wrong ? cli_usage(reader->cli, reader->verb, "--%s %s", option->name, wrong) : 0;
}

static bool is_option(const char *word)
{
        return word[0] == '-' && word[1] == '-' && word[2];
}

int options_read_global(Cli *cli, int argc, char **argv, int *ret_next)
{
        OptionReader reader = { .cli = cli, .argv = argv, .argc = argc, .at = 1 };
        int r = 0;

        while (r == 0 && reader.at < argc) {
                const char *word = argv[reader.at];

                if (strcmp(word, "-h") == 0) {
                        cli->help = true;
                        reader.at++;
                } else if (is_option(word)) {
                        r = read_one(&reader);
                } else {
                        break;
                }
        }
        *ret_next = reader.at;
        return r;
}

static int check_arguments(Cli *cli, const Verb *verb, const Arguments *arguments)
{
        if (cli->help)
                return 0;
        if (arguments->n < verb->min_arguments)
                return cli_usage(cli, verb, "%.*s is missing", (int)strcspn(verb->arguments, " "),
                                 verb->arguments);
        /* The word is not repeated: it may be a secret all the same. */
        if (arguments->n > verb->max_arguments && verb->takes_secret && verb->selects)
                return cli_usage(cli, verb,
                                 "a word needs an option before it that says what it is: --session ID, --secret NAME, "
                                 "or --all for everything. A token is never an argument: --token asks for it; this one "
                                 "is in your shell's history now, if it was one");
        if (arguments->n > verb->max_arguments && verb->takes_secret)
                return cli_usage(cli, verb,
                                 "there is a word too many. A secret is never an argument: leave it "
                                 "out, and it is asked for, or use --stdin or --file; this one is in "
                                 "your shell's history now, if it was one");
        if (arguments->n > verb->max_arguments)
                return cli_usage(cli, verb, "\"%s\" is one word too many%s",
                                 arguments->items[verb->max_arguments],
                                 verb->takes_rest ? "; a command stands behind --" : "");
        if (arguments->rest && !verb->takes_rest)
                return cli_usage(cli, verb, "it takes no command");
        return 0;
}

int options_read(Cli *cli, const Verb *verb, int argc, char **argv, void *options, Arguments *ret)
{
        OptionReader reader = {
                .cli = cli, .verb = verb, .options = options, .argv = argv, .argc = argc
        };
        Texts words = { 0 };
        int r = 0;

        *ret = (Arguments){ 0 };
        while (r == 0 && reader.at < argc) {
                const char *word = argv[reader.at];

                if (strcmp(word, "--") == 0) {
                        ret->rest = argv + reader.at + 1;
                        ret->n_rest = (size_t)(argc - reader.at - 1);
                        break;
                }
                if (strcmp(word, "-h") == 0)
                        cli->help = true;
                else if (is_option(word))
                        r = read_one(&reader);
                else if (word[0] == '-' && word[1])
                        r = cli_usage(cli, verb, "there is no option %s", word);
                else
                        append(&words, word);
                if (!is_option(word))
                        reader.at++;
        }
        ret->items = words.items;
        ret->n = words.n;
        return r ? r : check_arguments(cli, verb, ret);
}

void options_free(const Verb *verb, void *options, Arguments *arguments)
{
        for (size_t i = 0; i < verb->n_options; i++)
                if (verb->options[i].kind == OPTION_TEXTS)
                        free(((Texts *)(void *)((char *)options + verb->options[i].offset))->items);
        free(arguments->items);
}
