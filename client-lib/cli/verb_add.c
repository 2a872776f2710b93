#include "input.h"
#include "output.h"
#include <string.h>

typedef struct AddOptions {
        const char *provider, *base_url, *app_id, *installation_id, *preset;
        Texts hosts, parameters;
        bool no_verify, replace;
        Source source;
} AddOptions;

static const Option options[] = {
        OPTION(AddOptions, provider, "provider", TEXT, "NAME",
               "see `mcpcred help providers`; often clear from the others"),
        OPTION(AddOptions, app_id, "app-id", TEXT, "ID",
               "of a GitHub App: its App ID or client ID"),
        OPTION(AddOptions, installation_id, "installation-id", TEXT, "ID",
               "of a GitHub App: where it is installed"),
        OPTION(AddOptions, preset, "preset", TEXT, "NAME",
               "a well-known upstream, such as openai, for its hosts"),
        OPTION(AddOptions, hosts, "host", TEXTS, "HOST[:PORT]",
               "the secret may be sent there and nowhere else"),
        OPTION(AddOptions, base_url, "base-url", TEXT, "URL",
               "of the upstream's API, where it is not the usual one"),
        OPTION(AddOptions, parameters, "set", TEXTS, "KEY=VALUE",
               "another setting of the provider"),
        OPTION(AddOptions, replace, "replace", FLAG, NULL,
               "put it in the place of one of that name"),
        OPTION(AddOptions, no_verify, "no-verify", FLAG, NULL,
               "store it without asking the upstream"),
        SOURCE_OPTIONS(AddOptions),
};

/* What the other options leave no doubt about. */
static const char *guess_provider(const AddOptions *asked, const char *name)
{
        if (asked->provider)
                return asked->provider;
        if (asked->app_id || asked->installation_id)
                return "github_app";
        if (asked->preset || asked->hosts.n > 0)
                return "static";
        if (strcmp(name, "github") == 0)
                return "github_app";
        return strcmp(name, "gitlab") == 0 ? "gitlab" : NULL;
}

static int set_parameter(mcpcred_addition *addition, const char *text)
{
        const char *equals = strchr(text, '=');
        char key[128];

        if (!equals || (size_t)(equals - text) >= sizeof(key))
                return MCPCRED_E_MISUSE;
        (void)snprintf(key, sizeof(key), "%.*s", (int)(equals - text), text);
        return mcpcred_addition_parameter(addition, key, equals + 1);
}

/* What a person may be asked for, since without it nothing can be added. */
static int set_github(Cli *cli, mcpcred_addition *addition, const AddOptions *asked)
{
        const struct {
                const char *key, *given, *prompt;
        } needed[] = { { "app_id", asked->app_id, "GitHub App ID: " },
                       { "installation_id", asked->installation_id, "Installation ID: " } };

        for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
                _cleanup_(free_memory) char *typed = NULL;
                bool in_set = false;

                for (size_t k = 0; k < asked->parameters.n; k++)
                        in_set = in_set ||
                                 (strncmp(asked->parameters.items[k], needed[i].key,
                                          strlen(needed[i].key)) == 0 &&
                                  asked->parameters.items[k][strlen(needed[i].key)] == '=');
                if (in_set)
                        continue;
                if (!needed[i].given)
                        typed = input_line(needed[i].prompt);
                if (!needed[i].given && !typed)
                        return cli_usage(cli, &verb_add,
                                         "a GitHub App needs --app-id and --installation-id");
                (void)mcpcred_addition_parameter(addition, needed[i].key,
                                                 typed ? typed : needed[i].given);
        }
        return 0;
}

static int set_preset(Cli *cli, mcpcred_addition *addition, const char *preset)
{
        char names[512] = "";
        size_t length = 0;

        if (mcpcred_addition_preset(addition, preset) == MCPCRED_OK)
                return 0;
        for (size_t i = 0; mcpcred_preset_name(i) && length < sizeof(names); i++)
                length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
                                           i ? ", " : "", mcpcred_preset_name(i));
        return cli_usage(cli, &verb_add,
                         "\"%s\" is no preset that has hosts. There are %s; --host names "
                         "others",
                         preset, names);
}

static bool find_provider(const char *name, mcpcred_provider *ret)
{
        for (size_t i = 0; mcpcred_provider_get(i, ret, sizeof(*ret)) == MCPCRED_OK; i++)
                if (strcmp(ret->name, name) == 0)
                        return true;
        return false;
}

/* Where a secret of this provider usually goes, unless that was said. */
static const char *usual_preset(const AddOptions *asked, const char *name)
{
        mcpcred_provider provider;

        if (asked->preset || asked->hosts.n > 0)
                return asked->preset;
        return find_provider(name, &provider) ? provider.preset : NULL;
}

static int fill(Cli *cli, mcpcred_addition *addition, const AddOptions *asked, const char *provider)
{
        const char *preset = usual_preset(asked, provider);
        int r = 0;

        if (strcmp(provider, "github_app") == 0)
                r = set_github(cli, addition, asked);
        for (size_t i = 0; r == 0 && i < asked->parameters.n; i++)
                if (set_parameter(addition, asked->parameters.items[i]))
                        r = cli_usage(cli, &verb_add, "--set takes KEY=VALUE");
        if (r == 0 && preset)
                r = set_preset(cli, addition, preset);
        for (size_t i = 0; r == 0 && i < asked->hosts.n; i++)
                if (mcpcred_addition_host(addition, asked->hosts.items[i]))
                        r = cli_usage(cli, &verb_add, "--host takes a host name");
        if (r == 0 && asked->base_url && mcpcred_addition_base_url(addition, asked->base_url))
                r = cli_usage(cli, &verb_add, "--base-url takes a URL");
        /* A static secret has no upstream that we could ask. */
        (void)mcpcred_addition_verify(addition,
                                      !asked->no_verify && strcmp(provider, "static") != 0);
        (void)mcpcred_addition_replace(addition, asked->replace);
        return r;
}

typedef struct Added {
        Cli *cli;
        const char *name;
} Added;

static int print(const mcpcred_row *row, void *userdata)
{
        const Added *added = userdata;
        const char *identity = mcpcred_row_text(row, "identity");
        _cleanup_(free_memory) char *clean = printable(identity ? identity : "");
        Json json;

        if (added->cli->json) {
                json_begin(&json);
                json_text(&json, "name", added->name);
                json_row_members(&json, row);
                (void)json_end(&json, stdout);
        } else {
                (void)printf("Stored %s%s%s.\n", added->name, identity ? ": " : "",
                             clean ? clean : "");
        }
        return 0;
}

static void free_addition(mcpcred_addition **addition)
{
        mcpcred_addition_free(*addition);
}

static int run(Cli *cli, const void *given, const Arguments *arguments)
{
        const AddOptions *asked = given;
        Added added = { .cli = cli, .name = arguments->items[0] };
        const char *provider = guess_provider(asked, added.name);
        _cleanup_(free_addition) mcpcred_addition *addition = NULL;
        mcpcred_provider known;
        _cleanup_(free_value) mcpcred_value *value = NULL;
        int r;

        if (!provider)
                return cli_usage(cli, &verb_add,
                                 "which --provider? `mcpcred help providers` lists them; static is "
                                 "clear from --host or --preset");
        if (!find_provider(provider, &known)) /* before anybody is asked for a secret */
                return cli_usage(cli, &verb_add, "there is no provider \"%s\"; `mcpcred help providers` lists them", provider);
        r = mcpcred_addition_new(&addition, added.name, provider);
        if (r == MCPCRED_E_MISUSE)
                return cli_usage(cli, &verb_add,
                                 "names are lower-case letters, digits, \".\", \"_\" and \"-\"");
        if (r)
                return cli_fail_local(cli, EXIT_FAILED, "NoMemory", "", "There is no memory.");
        r = fill(cli, addition, asked, provider);
        if (r == 0)
                r = broker_ensure(cli);
        if (r == 0)
                r = input_secret(cli, &asked->source,
                                 strcmp(provider, "github_app") == 0
                                         ? "Private key (paste the PEM file): "
                                         : "Secret: ",
                                 false, &value);
        if (r)
                return r;
        return mcpcred_secret_add(cli->client, addition, value, print, &added) ? cli_fail(cli) : 0;
}

const Verb verb_add = {
        .name = "add",
        .arguments = "NAME [--provider NAME] [OPTION...]",
        .summary = "store a secret",
        .details =
                "The secret is asked for on the terminal without echo, or comes from one of "
                "--stdin, --file,\n"
                "--from-env and --from-command; it is never an argument. Where it may be sent is "
                "sealed with it.\n\n"
                "  mcpcred add github --app-id 12345 --installation-id 678 --file "
                "app.private-key.pem\n"
                "  mcpcred add gitlab --base-url https://git.example.com/api/v4\n"
                "  mcpcred add gh --provider github_pat --stdin\n"
                "  mcpcred add openai --preset openai\n"
                "  mcpcred add search --host api.search.example --from-command 'pass show search'\n"
                "  mcpcred add hook --provider webhook",
        OPTIONS(options, AddOptions),
        .min_arguments = 1,
        .max_arguments = 1,
        .takes_secret = true,
        .run = run,
};
