/* mcpcredd: reads its options and configuration, takes its directories, and runs the supervisor. */
#include "base/fd.h"
#include "harden/harden.h"
#include "supervisor/options.h"
#include "supervisor/service.h"
#include "supervisor/supervisor.h"
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTROL_SOCKET "broker.sock"
#define LOG_FILE       "broker.log"
/* The log of a broker in the background begins anew, at a start, when it has grown beyond this. */
#define LOG_FILE_MAX (4 * 1024 * 1024)

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE };

typedef struct Broker {
        Options options;
        Log log;
        Config *settings;
        RuntimeDir *runtime, *state;
        int listener;
        bool bound; /* the control socket is ours to remove */
        int log_fd;
        int ready_fd; /* the parent waits at its other end */
        Loop *loop;
        Signals *signals;
        Supervisor *supervisor;
} Broker;

static ConfigSource source_of(const Broker *broker)
{
        return (ConfigSource){ broker->options.config_directory, broker->options.system_mode };
}

/* ---- configuration ---- */

static int load_config(Broker *broker)
{
        _cleanup_(problems_deinit) Problems problems = PROBLEMS_NULL;
        const ConfigSource source = source_of(broker);
        int r = config_load(&broker->settings, &source, &problems);

        for (size_t i = 0; i < problems.n; i++)
                fprintf(broker->options.check ? stdout : stderr, "%s\n", problems.items[i]);
        if (r < 0)
                fprintf(stderr, "mcpcredd: %s: %s\n", source.directory, strerror(-r));
        return r ? EXIT_FAILED : EXIT_OK;
}

static int check_config(Broker *broker)
{
        int r = load_config(broker);

        if (r == EXIT_OK && broker->settings->n_files == 0)
                printf("%s: there is no configuration\n", broker->options.config_directory);
        else if (r == EXIT_OK)
                printf("%s: %zu profiles, no problems\n", broker->options.config_directory,
                       broker->settings->n_profiles);
        return r;
}

/* ---- the process ---- */

/* A session's mark is inherited: a broker in there would speak for a sandbox. */
static bool is_marked(void)
{
        struct rlimit limit;

        return getrlimit(RLIMIT_RTTIME, &limit) == 0 && limit.rlim_max != RLIM_INFINITY;
}

/* Secrets are locked and edges are many: take what the system lets us have. */
static void raise_limit(int resource)
{
        struct rlimit limit;

        if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit((__rlimit_resource_t)resource, &limit) < 0)
                return;
}

static int take_directory(RuntimeDir **ret, const char *path, mode_t mode)
{
        int r = runtime_dir_new(ret, path, mode);

        if (r)
                fprintf(stderr, "mcpcredd: %s: %s\n", path,
                        r > 0 ? runtime_dir_error(r) : strerror(-r));
        return r ? EXIT_FAILED : EXIT_OK;
}

static int take_directories(Broker *broker)
{
        bool shared = broker->options.system_mode;
        int r;

        /* The state first: the runtime directory can be below it. */
        r = take_directory(&broker->state, broker->options.state_directory, 0700);
        if (r == EXIT_OK)
                r = take_directory(&broker->runtime, broker->options.runtime_directory,
                                   shared ? 0711 : 0700);
        if (r == EXIT_OK && strlen(broker->runtime->path) > RUNTIME_DIR_PATH_MAX) {
                fprintf(stderr, "mcpcredd: %s: %s\n", broker->runtime->path,
                        runtime_dir_error(RUNTIME_DIR_E_PATH));
                r = EXIT_FAILED;
        }
        return r;
}

static int take_listener(Broker *broker)
{
        mode_t mode = broker->options.system_mode
                              ? 0666
                              : 0600; /* there, the gate asks the kernel who it is */
        int r = service_take_listener(&broker->listener);

        if (r == 0 && broker->listener < 0) {
                r = runtime_dir_bind(broker->runtime->fd, CONTROL_SOCKET, mode, &broker->listener);
                broker->bound = r == 0;
        }
        if (r < 0)
                fprintf(stderr, "mcpcredd: the control socket: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILED : EXIT_OK;
}

/* ---- the log ---- */

static int open_log_file(Broker *broker)
{
        struct stat st;

        broker->log_fd =
                openat(broker->state->fd, LOG_FILE,
                       O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (broker->log_fd < 0 || fstat(broker->log_fd, &st) < 0)
                return error_errno();
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        return st.st_size > LOG_FILE_MAX && ftruncate(broker->log_fd, 0) < 0 ? error_errno() : 0;
}

/* The terminal, or the pipe of whoever started us, is let go of: from here on the log is a file. */
static int leave_terminal(Broker *broker)
{
        _cleanup_(fd_closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        int r;

        if (null < 0)
                return error_errno();
        r = open_log_file(broker);
        if (r < 0)
                return r;
        broker->log.fd = broker->log_fd;
        if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
            dup2(broker->log_fd, STDERR_FILENO) < 0)
                return error_errno();
        return 0;
}

/* ---- running ---- */

static int on_ready(void *userdata)
{
        Broker *broker = userdata;
        int r = 0;

        service_notify("READY=1\nSTATUS=ready");
        if (broker->ready_fd >= 0) {
                r = leave_terminal(broker);
                if (r < 0)
                        log_line(&broker->log, LOG_LEVEL_ERROR, "supervisor",
                                 "cannot open its log: %s", strerror(-r));
                service_ready(take_fd(&broker->ready_fd));
        }
        return r;
}

static int on_signal(void *userdata, int signal)
{
        Broker *broker = userdata;

        if (signal == SIGHUP) {
                service_notify("RELOADING=1");
                supervisor_reload(broker->supervisor);
                service_notify("READY=1");
                return 0;
        }
        service_notify("STOPPING=1");
        supervisor_stop(broker->supervisor, EXIT_OK);
        return 0;
}

static int watch_signals(Broker *broker)
{
        sigset_t set;

        (void)signal(SIGPIPE, SIG_IGN);
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGHUP);
        return signals_new(&broker->signals, broker->loop, &set, on_signal, broker);
}

static int run(Broker *broker)
{
        SupervisorConfig config = {
                .log = &broker->log,
                .runtime = broker->runtime,
                .state = broker->state,
                .source = source_of(broker),
                .libexec_directory = broker->options.libexec_directory,
                .dbus_address = getenv("DBUS_SESSION_BUS_ADDRESS"),
                .credentials_directory = getenv("CREDENTIALS_DIRECTORY"),
                .listener = broker->listener,
                .system_mode = broker->options.system_mode,
                .ready = on_ready,
                .userdata = broker,
        };
        int r = loop_new(&broker->loop, &clock_system);

        if (r == 0)
                r = watch_signals(broker);
        if (r < 0)
                return r;
        config.loop = broker->loop;
        r = supervisor_new(&broker->supervisor, &config, take_ptr(broker->settings));
        if (r == 0)
                r = supervisor_start(broker->supervisor);
        return r < 0 ? r : loop_run(broker->loop);
}

static int start(Broker *broker)
{
        int r = load_config(broker);

        if (r == EXIT_OK)
                r = take_directories(broker);
        if (r == EXIT_OK)
                r = take_listener(broker);
        if (r != EXIT_OK)
                return r;
        raise_limit(RLIMIT_MEMLOCK);
        raise_limit(RLIMIT_NOFILE);
        r = sodium_init() < 0 ? -ENOSYS : error_fold(harden_process());
        if (r == 0)
                r = run(broker);
        if (r < 0)
                log_line(&broker->log, LOG_LEVEL_ERROR, "supervisor", "ends: %s", strerror(-r));
        return r < 0 ? EXIT_FAILED : r;
}

static void end(Broker *broker)
{
        supervisor_free(broker->supervisor);
        signals_free(broker->signals);
        loop_free(broker->loop);
        if (broker->bound)
                (void)unlinkat(broker->runtime->fd, CONTROL_SOCKET, 0);
        fd_close(broker->listener);
        config_free(broker->settings);
        runtime_dir_free(broker->runtime);
        runtime_dir_free(broker->state);
        fd_close(broker->ready_fd);
        fd_close(broker->log_fd);
        options_deinit(&broker->options);
}

/* What can be said before anything is touched; -1 to go on. */
static int answer_options(Broker *broker)
{
        if (broker->options.help)
                options_print_help();
        else if (broker->options.version)
                puts("mcpcredd " MCPCRED_VERSION);
        else if (broker->options.check)
                return check_config(broker);
        else if (is_marked()) {
                fprintf(stderr,
                        "mcpcredd: refuses to run inside a session (RLIMIT_RTTIME is set)\n");
                return EXIT_FAILED;
        } else
                return -1;
        return EXIT_OK;
}

int main(int argc, char **argv)
{
        Broker broker = {
                .options = OPTIONS_NULL,
                .log = { .fd = STDERR_FILENO, .minimum = LOG_LEVEL_INFO },
                .listener = -1,
                .log_fd = -1,
                .ready_fd = -1,
        };
        int r;

        if (service_fix_descriptors() < 0)
                return EXIT_FAILED;
        (void)umask(0077);
        broker.log.priorities = getenv("JOURNAL_STREAM") != NULL;
        r = options_parse(&broker.options, argc, argv);
        if (r)
                r = r > 0 ? EXIT_USAGE : EXIT_FAILED;
        else
                r = answer_options(&broker);
        if (r < 0 && !broker.options.foreground && service_detach(&broker.ready_fd) < 0)
                r = EXIT_FAILED;
        if (r < 0)
                r = start(&broker);
        end(&broker);
        return r;
}
