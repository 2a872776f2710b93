#include "base/fd.h"
#include "supervisor/supervisor_private.h"
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_TIMEOUT_USEC (10 * USEC_PER_SEC)
/* The vault opens its state, resolves what was under way and may wait for the keyring. */
#define START_TIMEOUT_USEC (120 * USEC_PER_SEC)
#define GROUP_MAX          256U

/* One end for each side of an edge; ours are closed once the kernel has them in flight. */
static int make_pair(int pair[2])
{
        return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? error_errno() : 0;
}

static bool both_run(const Child *a, const Child *b)
{
        return a && b && child_channel(a) && child_channel(b);
}

int edges_keyring(Supervisor *supervisor)
{
        int pair[2], r;

        if (!both_run(supervisor->vault, supervisor->keyring))
                return 0;
        r = make_pair(pair);
        if (r < 0)
                return r;
        r = child_attach(supervisor->keyring, TO_WORKER_ATTACH, &(AttachRequest){ .peer = ROLE_VAULT }, pair[0]);
        if (r == 0)
                r = child_attach(supervisor->vault, TO_VAULT_ATTACH, &(AttachRequest){ .peer = ROLE_KEYRING }, pair[1]);
        fd_close_all(pair, 2);
        return r;
}

int edges_session(void *userdata, Session *session)
{
        Supervisor *supervisor = userdata;
        Child *child = session_child(session);
        int pair[2], r;

        if (!both_run(supervisor->vault, child))
                return 0;
        r = make_pair(pair);
        if (r < 0)
                return r;
        r = child_attach(child, TO_SESSION_ATTACH, &(AttachRequest){ .peer = ROLE_VAULT }, pair[0]);
        if (r == 0)
                r = child_attach(supervisor->vault, TO_VAULT_ATTACH,
                                 &(AttachRequest){ .peer = ROLE_SESSION, .session = session_id(session) },
                                 pair[1]);
        fd_close_all(pair, 2);
        return r;
}

int edges_egress(Supervisor *supervisor, Session *session, const char *profile)
{
        Child *child = session_child(session), *egress = egresses_find(supervisor->egresses, profile);
        int pair[2], r;

        if (!both_run(child, egress))
                return EDGES_E_ABSENT;
        r = make_pair(pair);
        if (r < 0)
                return r;
        r = child_attach(egress, TO_WORKER_ATTACH,
                         &(AttachRequest){ .peer = ROLE_SESSION, .session = session_id(session) }, pair[0]);
        if (r == 0)
                r = child_attach(child, TO_SESSION_ATTACH,
                                 &(AttachRequest){ .peer = ROLE_EGRESS, .profile = profile }, pair[1]);
        fd_close_all(pair, 2);
        return r;
}

/* ---- the gate ---- */

static int on_listening(void *userdata, const Reply *reply)
{
        Supervisor *supervisor = userdata;

        if (reply->fault == FAULT_NONE) {
                supervisor->gate_up = true;
                return supervisor_check_ready(supervisor);
        }
        if (reply->fault != FAULT_UNAVAILABLE && supervisor->gate) {
                supervisor_log(supervisor, LOG_LEVEL_ERROR,
                               "the gate does not listen; it is killed");
                child_kill(supervisor->gate);
        }
        return 0;
}

/* The members of the configured group, as the gate compares them. */
static size_t group_members(const Supervisor *supervisor, char uids[][21], const char **items)
{
        const struct group *group =
                supervisor->settings->group ? getgrnam(supervisor->settings->group) : NULL;
        size_t n = 0;

        if (supervisor->settings->group && !group)
                supervisor_log(supervisor, LOG_LEVEL_ERROR,
                               "there is no group of the name in \"group\"");
        for (char **member = group ? group->gr_mem : NULL; member && *member && n < GROUP_MAX;
             member++) {
                const struct passwd *user = getpwnam(*member);

                if (!user)
                        continue;
                (void)snprintf(uids[n], 21, "%u", (unsigned)user->pw_uid);
                items[n] = uids[n];
                n++;
        }
        return n;
}

static int listen_again(Supervisor *supervisor)
{
        char uids[GROUP_MAX][21];
        const char *items[GROUP_MAX];
        ListenRequest request = { .owner_uid = geteuid() };

        if (supervisor->config.system_mode)
                request.group_uids = (TextList){ items, group_members(supervisor, uids, items) };
        return channel_call(child_channel(supervisor->gate), TO_GATE_LISTEN, &request,
                            &supervisor->config.listener, 1, LISTEN_TIMEOUT_USEC, on_listening,
                            supervisor, NULL);
}

typedef struct Adoption {
        Supervisor *supervisor;
        const LifelineWatch **adopted;
        size_t n;
} Adoption;

/* A connection can be the lifeline of several sessions; it is handed over once. */
static int adopt(void *userdata, Session *session)
{
        static const Empty nothing = { 0 };
        Adoption *adoption = userdata;
        const LifelineWatch *lifeline = session_lifeline(session);

        /* The vault may have had one made for a gate that was dead by then: it is about to be ended, and its client
         * waits for an answer that nobody has, until the connection ends. */
        if (!lifeline || !session_is_held(session) || !session_is_delivered(session) ||
            !session_holds_connection(session) || lifeline_socket(lifeline) < 0)
                return 0;
        for (size_t i = 0; i < adoption->n; i++)
                if (lifeline_same(adoption->adopted[i], lifeline))
                        return 0;
        adoption->adopted[adoption->n++] = lifeline;
        return child_command(adoption->supervisor->gate, TO_GATE_ADOPT, &nothing,
                             lifeline_socket(lifeline), LISTEN_TIMEOUT_USEC);
}

int edges_gate(Supervisor *supervisor)
{
        Adoption adoption = { .supervisor = supervisor };
        int pair[2], r;

        if (!both_run(supervisor->vault, supervisor->gate))
                return 0;
        r = make_pair(pair);
        if (r < 0)
                return r;
        r = child_attach(supervisor->gate, TO_GATE_ATTACH, &(AttachRequest){ .peer = ROLE_VAULT }, pair[0]);
        if (r == 0)
                r = child_attach(supervisor->vault, TO_VAULT_ATTACH, &(AttachRequest){ .peer = ROLE_GATE }, pair[1]);
        fd_close_all(pair, 2);
        if (r < 0 || supervisor->gate_listens || !child_channel(supervisor->gate))
                return r;
        supervisor->gate_listens = true;
        r = listen_again(supervisor);
        if (r < 0)
                return r;
        adoption.adopted = calloc(CONFIG_MAX_SESSIONS_LIMIT, sizeof(const LifelineWatch *));
        if (!adoption.adopted)
                return -ENOMEM;
        r = sessions_each(supervisor->sessions, adopt, &adoption);
        free(adoption.adopted);
        return r;
}

/* ---- the vault ---- */

void edges_tell_role(Supervisor *supervisor, const Child *child)
{
        const RoleNotice notice = {
                .role = child_name(child),
                .pid = (uint64_t)child_pid(child),
                .restarts = child_restarts(child),
                .started = child_started(child),
        };
        Channel *channel = child_channel(supervisor->vault);

        if (channel && child_is_running(child) &&
            channel_notify(channel, TO_VAULT_ROLE, &notice) < 0)
                child_kill(supervisor->vault);
}

static int tell_start(Supervisor *supervisor)
{
        _cleanup_(freep) char *epoch = NULL;
        StartRequest request = {
                .version = MCPCRED_VERSION,
                .runtime_directory = supervisor->config.runtime->path,
                .config_directory = supervisor->config.source.directory,
                .boot_id = supervisor->boot_id,
                .owner_uid = geteuid(),
                .started = supervisor->started,
                .system_mode = supervisor->config.system_mode,
        };
        int r = runtime_dir_read_epoch(supervisor->config.runtime, &epoch);

        /* No epoch at all makes the vault end and revoke everything: the safe answer to a file that
         * somebody has put there. */
        if (r < 0)
                log_line(supervisor->config.log, LOG_LEVEL_ERROR, "supervisor",
                         "the epoch file cannot be read: %s", strerror(-r));
        request.epoch = epoch;
        return child_command(supervisor->vault, TO_VAULT_START, &request, -1, START_TIMEOUT_USEC);
}

int edges_vault(Supervisor *supervisor)
{
        int r;

        r = edges_keyring(supervisor);
        if (r == 0)
                r = edges_gate(supervisor);
        if (r == 0)
                r = sessions_each(supervisor->sessions, edges_session, supervisor);
        if (r == 0)
                r = tell_start(supervisor);
        if (r == 0)
                r = reload_send(supervisor, NULL, NULL);
        if (r < 0)
                return r;
        edges_tell_role(supervisor, supervisor->vault);
        edges_tell_role(supervisor, supervisor->keyring);
        edges_tell_role(supervisor, supervisor->gate);
        return 0;
}
