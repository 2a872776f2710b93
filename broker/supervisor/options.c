#include "supervisor/options.h"
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPTION_RUNTIME = 256, OPTION_STATE, OPTION_CONFIG, OPTION_LIBEXEC };

void options_print_help(void)
{
        puts("usage: mcpcredd [OPTION]...\n"
             "Holds secrets in the keyring and gives sandboxed sessions short-lived, narrow "
             "tokens.\n"
             "\n"
             "  --foreground     do not go into the background; log to stderr\n"
             "  --check          report all problems of the configuration and exit: 0 none, 1 "
             "some\n"
             "  --system         /run/mcpcred, /var/lib/mcpcred and /etc/mcpcred, for a system "
             "service\n"
             "  --runtime DIR    sockets and sessions (default $XDG_RUNTIME_DIR/mcpcred)\n"
             "  --state DIR      state, audit log, sealed file (default $XDG_STATE_HOME/mcpcred)\n"
             "  --config DIR     mcpcred.conf and conf.d (default $XDG_CONFIG_HOME/mcpcred)\n"
             "  --libexec DIR    the role executables, for an uninstalled build\n"
             "  --help, --version\n"
             "\n"
             "SIGHUP reads the configuration again; SIGTERM ends the broker and every session.");
}

/* A relative path is the current directory's; "" and what cannot be told is NULL. */
static char *make_absolute(const char *path)
{
        char directory[4096], *made;

        if (path[0] == '/')
                return strdup(path);
        if (!*path || !getcwd(directory, sizeof(directory)) || directory[0] != '/')
                return NULL;
        return asprintf(&made, "%s/%s", directory, path) < 0 ? NULL : made;
}

static int set_path(char **slot, const char *path)
{
        free(*slot);
        *slot = make_absolute(path);
        return *slot ? 0 : -ENOENT;
}

static int read_arguments(Options *options, int argc, char **argv)
{
        static const struct option table[] = {
                { "runtime", required_argument, NULL, OPTION_RUNTIME },
                { "state", required_argument, NULL, OPTION_STATE },
                { "config", required_argument, NULL, OPTION_CONFIG },
                { "libexec", required_argument, NULL, OPTION_LIBEXEC },
                { "check", no_argument, NULL, 'c' },
                { "foreground", no_argument, NULL, 'f' },
                { "system", no_argument, NULL, 's' },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, 'V' },
                { NULL, 0, NULL, 0 },
        };
        int c, r = 0;

        while (r == 0 && (c = getopt_long(argc, argv, "h", table, NULL)) >= 0) {
                switch (c) {
                case OPTION_RUNTIME:
                        r = set_path(&options->runtime_directory, optarg);
                        break;
                case OPTION_STATE:
                        r = set_path(&options->state_directory, optarg);
                        break;
                case OPTION_CONFIG:
                        r = set_path(&options->config_directory, optarg);
                        break;
                case OPTION_LIBEXEC:
                        r = set_path(&options->libexec_directory, optarg);
                        break;
                case 'c':
                        options->check = true;
                        break;
                case 'f':
                        options->foreground = true;
                        break;
                case 's':
                        options->system_mode = true;
                        break;
                case 'h':
                        options->help = true;
                        break;
                case 'V':
                        options->version = true;
                        break;
                default:
                        return OPTIONS_E_USAGE;
                }
        }
        if (r == 0 && optind < argc) {
                fprintf(stderr, "mcpcredd: no arguments are expected: %s\n", argv[optind]);
                return OPTIONS_E_USAGE;
        }
        return r;
}

/* As the XDG base directory specification has it: what is not absolute is ignored. */
static const char *xdg(const char *variable)
{
        const char *value = getenv(variable);

        return value && value[0] == '/' ? value : NULL;
}

static const char *home(void)
{
        const char *value = xdg("HOME");
        const struct passwd *user = value ? NULL : getpwuid(geteuid());

        return value ? value : user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

/* `base`/mcpcred, or below the home directory. */
static int default_path(char **slot, const char *base, const char *below_home)
{
        const char *directory = base ? base : home();

        if (*slot)
                return 0;
        if (!directory)
                return -ENOENT;
        if (asprintf(slot, "%s%s/mcpcred", directory, base ? "" : below_home) < 0) {
                *slot = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int default_runtime(Options *options)
{
        const char *base = xdg("XDG_RUNTIME_DIR");
        char usual[64];
        struct stat st;

        if (options->runtime_directory)
                return 0;
        (void)snprintf(usual, sizeof(usual), "/run/user/%u", (unsigned)geteuid());
        if (!base && stat(usual, &st) == 0 && S_ISDIR(st.st_mode))
                base = usual;
        if (base)
                return default_path(&options->runtime_directory, base, "");
        if (asprintf(&options->runtime_directory, "%s/run", options->state_directory) < 0) {
                options->runtime_directory = NULL;
                return -ENOMEM;
        }
        return 0;
}

static int set_defaults(Options *options)
{
        int r;

        if (!options->libexec_directory)
                options->libexec_directory = strdup(MCPCRED_LIBEXECDIR);
        if (options->system_mode) {
                if (!options->runtime_directory)
                        options->runtime_directory = strdup("/run/mcpcred");
                if (!options->state_directory)
                        options->state_directory = strdup("/var/lib/mcpcred");
                if (!options->config_directory)
                        options->config_directory = strdup("/etc/mcpcred");
        }
        r = default_path(&options->state_directory, xdg("XDG_STATE_HOME"), "/.local/state");
        if (r == 0)
                r = default_path(&options->config_directory, xdg("XDG_CONFIG_HOME"), "/.config");
        if (r == 0)
                r = default_runtime(options);
        return r < 0 ? r : options->libexec_directory ? 0 : -ENOMEM;
}

int options_parse(Options *options, int argc, char **argv)
{
        int r = read_arguments(options, argc, argv);

        if (r < 0)
                fprintf(stderr, "mcpcredd: a directory was given that has no path\n");
        if (r || options->help || options->version)
                return r ? OPTIONS_E_USAGE : 0;
        r = set_defaults(options);
        if (r == -ENOENT)
                fprintf(stderr, "mcpcredd: there is no home directory: set HOME, or give --state "
                                "and --config\n");
        return r == -ENOENT ? OPTIONS_E_USAGE : r;
}

void options_deinit(Options *options)
{
        free(options->runtime_directory);
        free(options->state_directory);
        free(options->config_directory);
        free(options->libexec_directory);
        *options = OPTIONS_NULL;
}
