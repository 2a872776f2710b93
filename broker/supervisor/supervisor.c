#include "base/fd.h"
#include "base/text.h"
#include "supervisor/supervisor_private.h"
#include <fcntl.h>
#include <stdio.h>

/* What each is given to end by itself. */
#define GATE_END_USEC    (1 * USEC_PER_SEC)
#define VAULT_TOLD_USEC  (1 * USEC_PER_SEC)
#define VAULT_END_USEC   (5 * USEC_PER_SEC)
#define KEYRING_END_USEC (1 * USEC_PER_SEC)
/* After SIGKILL. */
#define KILLED_USEC (2 * USEC_PER_SEC)

int supervisor_check_ready(Supervisor *supervisor)
{
        if (supervisor->ready || !supervisor->gate_up || !supervisor->vault_up)
                return 0;
        supervisor->ready = true;
        supervisor_log(supervisor, LOG_LEVEL_INFO, "ready");
        return supervisor->config.ready ? supervisor->config.ready(supervisor->config.userdata) : 0;
}

/* ---- the end ---- */

/* Ends one role; the next step follows when it is gone, or at once if it does not run. */
static bool stop_role(Supervisor *supervisor, Phase phase, Child *child, uint64_t usec)
{
        supervisor->phase = phase;
        if (!child)
                return false;
        child_stop(child);
        timer_arm_after(supervisor->deadline, usec);
        return child_is_running(child);
}

/* However it went. The channel may be on its way out, so the next step is the loop's. */
static int on_told(void *userdata, UNUSED const Reply *reply)
{
        Supervisor *supervisor = userdata;

        if (supervisor->phase == PHASE_TELLING_VAULT)
                timer_arm_after(supervisor->deadline, 0);
        return 0;
}

static bool tell_vault(Supervisor *supervisor)
{
        Channel *channel = child_channel(supervisor->vault);

        supervisor->phase = PHASE_TELLING_VAULT;
        if (!channel)
                return false;
        timer_arm_after(supervisor->deadline, VAULT_TOLD_USEC);
        return channel_call(channel, TO_VAULT_STOP, &(Empty){ 0 }, NULL, 0, UINT64_MAX, on_told, supervisor, NULL) >= 0;
}

static void advance(Supervisor *supervisor)
{
        switch (supervisor->phase) {
        case PHASE_RUNNING:
                if (stop_role(supervisor, PHASE_STOPPING_GATE, supervisor->gate, GATE_END_USEC))
                        return;
                __attribute__((fallthrough));
        case PHASE_STOPPING_GATE:
                supervisor->sessions = sessions_free(supervisor->sessions);
                supervisor->providers = providers_free(supervisor->providers);
                supervisor->egresses = egresses_free(supervisor->egresses);
                if (tell_vault(supervisor))
                        return;
                __attribute__((fallthrough));
        case PHASE_TELLING_VAULT:
                if (stop_role(supervisor, PHASE_STOPPING_VAULT, supervisor->vault, VAULT_END_USEC))
                        return;
                __attribute__((fallthrough));
        case PHASE_STOPPING_VAULT:
                if (stop_role(supervisor, PHASE_STOPPING_KEYRING, supervisor->keyring,
                              KEYRING_END_USEC))
                        return;
                __attribute__((fallthrough));
        case PHASE_STOPPING_KEYRING:
                supervisor->phase = PHASE_STOPPED;
                timer_disarm(supervisor->deadline);
                loop_exit(supervisor->config.loop, supervisor->status);
                __attribute__((fallthrough));
        case PHASE_STOPPED:
                return;
        }
}

static Child *phase_child(const Supervisor *supervisor)
{
        return supervisor->phase == PHASE_STOPPING_GATE      ? supervisor->gate
               : supervisor->phase == PHASE_STOPPING_VAULT   ? supervisor->vault
               : supervisor->phase == PHASE_STOPPING_KEYRING ? supervisor->keyring
                                                             : NULL;
}

static int on_deadline(void *userdata)
{
        Supervisor *supervisor = userdata;
        Child *child = phase_child(supervisor);

        if (supervisor->phase == PHASE_TELLING_VAULT) {
                advance(supervisor);
                return 0;
        }
        if (!child || !child_is_running(child))
                return 0;
        if (supervisor->killed == child) { /* even so it may not die: see child.c */
                advance(supervisor);
                return 0;
        }
        log_line(supervisor->config.log, LOG_LEVEL_WARNING, child_name(child), "does not end in time; it is killed");
        child_kill(child);
        supervisor->killed = child;
        timer_arm_after(supervisor->deadline, KILLED_USEC);
        return 0;
}

void supervisor_stop(Supervisor *supervisor, int status)
{
        if (supervisor->phase != PHASE_RUNNING)
                return;
        supervisor->status = status;
        supervisor_log(supervisor, LOG_LEVEL_INFO, "ending");
        advance(supervisor);
}

/* ---- children ---- */

static int on_gone(void *userdata, Child *child)
{
        Supervisor *supervisor = userdata;

        if (supervisor->phase != PHASE_RUNNING) {
                if (child == phase_child(supervisor))
                        advance(supervisor);
                return 0;
        }
        if (child == supervisor->vault) {
                providers_stop_all(supervisor->providers); /* nobody waits for what they do */
                egresses_stop_all(supervisor->egresses);   /* nobody could revoke what they hold */
        }
        if (child == supervisor->gate && sessions_gate_gone(supervisor->sessions) < 0)
                return -ENOMEM;
        if (!supervisor->ready && child_failures(child) >= START_ATTEMPTS) {
                log_line(supervisor->config.log, LOG_LEVEL_ERROR, child_name(child),
                         "does not start; the broker gives up");
                supervisor_stop(supervisor, 1);
        }
        return 0;
}

static int on_started(void *userdata, Child *child)
{
        Supervisor *supervisor = userdata;
        int r;

        if (child == supervisor->vault)
                r = edges_vault(supervisor);
        else if (child == supervisor->keyring)
                r = edges_keyring(supervisor);
        else {
                supervisor->gate_listens = false;
                r = edges_gate(supervisor);
        }
        if (r == 0 && child != supervisor->vault)
                edges_tell_role(supervisor, child);
        if (r < 0) { /* out of descriptors or memory: with back-off once more */
                log_line(supervisor->config.log, LOG_LEVEL_ERROR, child_name(child),
                         "cannot be connected: %s", strerror(-r));
                child_kill(child);
        }
        return 0;
}

static int add_role(Supervisor *supervisor, Role role, Child **ret)
{
        static const struct {
                const Interface *in, *out;
                ChannelHandler handler;
        } speaks[_ROLE_N] = {
                [ROLE_VAULT] = { &interface_from_vault, &interface_to_vault, serve_vault },
                [ROLE_GATE] = { &interface_from_gate, &interface_to_gate, serve_gate },
                [ROLE_KEYRING] = { &interface_from_worker, &interface_to_worker, NULL },
        };
        const RoleCommand *command = &supervisor->roles.commands[role];
        const ChildConfig config = {
                .context = &supervisor->context,
                .name = role_names[role],
                .executable = command->executable,
                .arguments = command->arguments,
                .environment = role == ROLE_KEYRING ? supervisor->roles.keyring_environment
                                                    : supervisor->roles.environment,
                .in = speaks[role].in,
                .out = speaks[role].out,
                .restart = true,
                .handler = speaks[role].handler,
                .started = on_started,
                .gone = on_gone,
                .userdata = supervisor,
        };

        return child_new(ret, &config);
}

static int on_lifeline_gone(void *userdata, const char *id)
{
        Supervisor *supervisor = userdata;
        const SessionNotice notice = { .session = id };
        Channel *channel = child_channel(supervisor->vault);

        /* Without a vault: one that starts asks what is held, and this session no longer is. */
        if (channel && channel_notify(channel, TO_VAULT_LIFELINE_GONE, &notice) < 0)
                child_kill(supervisor->vault);
        return 0;
}

static int add_sessions(Supervisor *supervisor)
{
        const SessionsConfig config = {
                .context = &supervisor->context,
                .runtime = supervisor->config.runtime,
                .settings = &supervisor->settings,
                .executable = supervisor->roles.commands[ROLE_SESSION].executable,
                .arguments = supervisor->roles.commands[ROLE_SESSION].arguments,
                .environment = supervisor->roles.environment,
                .system_mode = supervisor->config.system_mode,
                .max = CONFIG_MAX_SESSIONS_LIMIT,
                .started = edges_session,
                .lifeline_gone = on_lifeline_gone,
                .userdata = supervisor,
        };
        int r = sessions_new(&supervisor->sessions, &config);

        if (r < 0)
                log_line(supervisor->config.log, LOG_LEVEL_ERROR, "supervisor", "cannot have the sessions' directory %s/s: %s",
                         supervisor->config.runtime->path, strerror(-r));
        return r;
}

static int add_providers(Supervisor *supervisor)
{
        const ProvidersConfig config = {
                .context = &supervisor->context,
                .executable = supervisor->roles.commands[ROLE_PROVIDER].executable,
                .arguments = supervisor->roles.commands[ROLE_PROVIDER].arguments,
                .environment = supervisor->roles.environment,
        };

        return providers_new(&supervisor->providers, &config);
}

static int add_egresses(Supervisor *supervisor)
{
        const EgressesConfig config = {
                .context = &supervisor->context,
                .executable = supervisor->roles.commands[ROLE_EGRESS].executable,
                .arguments = supervisor->roles.commands[ROLE_EGRESS].arguments,
                .environment = supervisor->roles.environment,
        };

        return egresses_new(&supervisor->egresses, &config);
}

static int add_notifier(Supervisor *supervisor)
{
        const NotifierConfig config = {
                .loop = supervisor->config.loop,
                .log = supervisor->config.log,
                .dbus_address = supervisor->config.dbus_address,
        };

        return notifier_new(&supervisor->notifier, &config);
}

/* ---- life ---- */

static int read_boot_id(Supervisor *supervisor)
{
        int r;

        if (supervisor->config.runtime->memory_backed)
                return 0;
        r = fd_read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, &supervisor->boot_id);
        if (r == 0)
                supervisor->boot_id[strcspn(supervisor->boot_id, "\n")] = '\0';
        return r;
}

static int prepare(Supervisor *supervisor)
{
        const RolesConfig roles = {
                .libexec_directory = supervisor->config.libexec_directory,
                .state_directory = supervisor->config.state->path,
                .dbus_address = supervisor->config.dbus_address,
                .credentials_directory = supervisor->config.credentials_directory,
        };
        int r = arena_new(&supervisor->arena, ARENA_SIZE);

        if (r)
                return r == ARENA_E_UNLOCKED ? -ENOMEM : error_fold(r);
        supervisor->context = (ChildContext){ supervisor->config.loop, supervisor->config.log,
                                              supervisor->arena };
        r = roles_init(&supervisor->roles, &roles);
        if (r < 0)
                return r;
        roles_configure(&supervisor->roles, supervisor->settings);
        return read_boot_id(supervisor);
}

int supervisor_new(Supervisor **ret, const SupervisorConfig *config, Config *settings)
{
        _cleanup_(supervisor_freep) Supervisor *supervisor = calloc(1, sizeof(*supervisor));
        int r;

        if (!supervisor) {
                config_free(settings);
                return -ENOMEM;
        }
        supervisor->config = *config;
        supervisor->journal = JOURNAL_NULL;
        supervisor->settings = settings;
        supervisor->started = clock_wall(loop_clock(config->loop));
        r = prepare(supervisor);
        if (r == 0)
                r = timer_new(&supervisor->deadline, config->loop, on_deadline, supervisor);
        if (r == 0)
                r = add_role(supervisor, ROLE_VAULT, &supervisor->vault);
        if (r == 0)
                r = add_role(supervisor, ROLE_KEYRING, &supervisor->keyring);
        if (r == 0)
                r = add_role(supervisor, ROLE_GATE, &supervisor->gate);
        if (r == 0)
                r = add_providers(supervisor);
        if (r == 0)
                r = add_egresses(supervisor);
        if (r == 0)
                r = add_sessions(supervisor);
        if (r == 0)
                r = add_notifier(supervisor);
        if (r == 0)
                r = journal_open(&supervisor->journal, JOURNAL_SOCKET);
        if (r < 0)
                return r;
        *ret = take_ptr(supervisor);
        return 0;
}

Supervisor *supervisor_free(Supervisor *supervisor)
{
        if (!supervisor)
                return NULL;
        supervisor->phase = PHASE_STOPPED;
        supervisor->sessions = sessions_free(supervisor->sessions);
        supervisor->providers = providers_free(supervisor->providers);
        supervisor->egresses = egresses_free(supervisor->egresses);
        supervisor->gate = child_free(supervisor->gate);
        supervisor->vault = child_free(supervisor->vault);
        supervisor->keyring = child_free(supervisor->keyring);
        supervisor->notifier = notifier_free(supervisor->notifier);
        journal_close(&supervisor->journal);
        timer_free(supervisor->deadline);
        roles_deinit(&supervisor->roles);
        config_free(supervisor->settings);
        arena_free(supervisor->arena);
        free(supervisor->boot_id);
        free(supervisor);
        return NULL;
}

int supervisor_start(Supervisor *supervisor)
{
        int r;

        /* The vault last: it is connected to the others before it is told to start. */
        r = child_start(supervisor->keyring);
        if (r == 0)
                r = child_start(supervisor->gate);
        if (r == 0)
                r = child_start(supervisor->vault);
        return r;
}

void supervisor_reload(Supervisor *supervisor)
{
        if (supervisor->phase == PHASE_RUNNING)
                reload_run(supervisor, NULL);
}
