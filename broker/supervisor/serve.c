#include "base/fd.h"
#include "supervisor/attest.h"
#include "supervisor/supervisor_private.h"
#include <unistd.h>

static Supervisor *supervisor_of(void *child)
{
        return child_userdata(child);
}

/* What failed on our side is the caller's to hear, and no reason to end. */
static int fail(const Supervisor *supervisor, Request *request, int r)
{
        log_line(supervisor->config.log, LOG_LEVEL_ERROR, "supervisor", "%s failed: %s",
                 request->method->name, strerror(-r));
        return request_fail(request, FAULT_INTERNAL, NULL);
}

static int fail_sessions(const Supervisor *supervisor, Request *request, int r)
{
        switch (r) {
        case SESSIONS_E_EXISTS:
                return request_fail(request, FAULT_EXISTS, "there is such a session already");
        case SESSIONS_E_NOT_FOUND:
                return request_fail(request, FAULT_NOT_FOUND, "there is no such session");
        case SESSIONS_E_FULL:
                return request_fail(request, FAULT_BUSY, "there are too many sessions");
        case SESSIONS_E_LIFELINE:
                return request_fail(request, FAULT_INVALID_PARAMETER,
                                    "the lifeline is neither a pidfd nor a connected Unix socket");
        case SESSIONS_E_NAME:
                return request_fail(request, FAULT_INVALID_PARAMETER,
                                    "not a session's id, or not a file's name");
        case SESSIONS_E_USER:
                return request_fail(request, FAULT_UNSUPPORTED,
                                    "files cannot be given to another user");
        default:
                return fail(supervisor, request, error_fold(r));
        }
}

/* ---- the vault's calls ---- */

static int start_provider(Supervisor *supervisor, Request *request)
{
        _cleanup_(fd_closep) int fd = -1;
        StartProviderReply reply;
        pid_t pid;
        int r = providers_start(supervisor->providers, &pid, &fd);

        if (r == PROVIDERS_E_BUSY)
                return request_fail(request, FAULT_BUSY,
                                    "too many operations with upstreams are under way");
        if (r < 0)
                return fail(supervisor, request, r);
        reply.pid = (uint64_t)pid;
        return request_reply(request, &reply, &fd, 1);
}

static int start_egress(Supervisor *supervisor, Request *request)
{
        static const Empty nothing = { 0 };
        const EgressProcessRequest *body = request->body;
        _cleanup_(fd_closep) int fd = -1;
        int r = egresses_start(supervisor->egresses, body->profile, &fd);

        if (r == EGRESSES_E_BUSY)
                return request_fail(request, FAULT_BUSY, "too many profiles are in use at once");
        if (r < 0)
                return fail(supervisor, request, r);
        return request_reply(request, &nothing, &fd, 1);
}

static int on_egress_stopped(void *userdata)
{
        static const Empty nothing = { 0 };

        return request_reply(userdata, &nothing, NULL, 0);
}

static int stop_egress(Supervisor *supervisor, Request *request)
{
        const EgressProcessRequest *body = request->body;

        return egresses_stop(supervisor->egresses, body->profile, on_egress_stopped, request);
}

static int join_egress(Supervisor *supervisor, Request *request)
{
        static const Empty nothing = { 0 };
        const JoinEgressRequest *body = request->body;
        Session *session = sessions_find(supervisor->sessions, body->session);
        int r = session ? edges_egress(supervisor, session, body->profile) : EDGES_E_ABSENT;

        if (r == EDGES_E_ABSENT)
                return request_fail(request, FAULT_NOT_FOUND, "one of the two does not run");
        return r < 0 ? fail(supervisor, request, r) : request_reply(request, &nothing, NULL, 0);
}

static int create_session(Supervisor *supervisor, Request *request)
{
        const CreateSessionRequest *body = request->body;
        _cleanup_(fd_closep) int descriptor = -1;
        CreateSessionReply reply;
        Session *session;
        bool wants_fd = body->lifeline != LIFELINE_LIFETIME;
        SessionSpec spec = {
                .id = body->session,
                .uid = (uid_t)body->uid,
                .connection = body->lifeline == LIFELINE_CONNECTION,
                .lifeline_fd = -1,
                .want_descriptor = body->want_descriptor,
                .proxy = body->proxy,
        };
        int r;

        if (request->n_fds != (wants_fd ? 1U : 0U) || body->uid >= UINT32_MAX)
                return fail_sessions(supervisor, request, SESSIONS_E_LIFELINE);
        if (wants_fd)
                spec.lifeline_fd = take_fd(&request->fds[0]);
        r = sessions_create(supervisor->sessions, &spec, &session, &descriptor);
        if (r)
                return fail_sessions(supervisor, request, r);
        reply = (CreateSessionReply){
                .directory = session_directory(session),
                .socket = session_socket(session),
                .proxy_socket = session_proxy_socket(session),
        };
        return request_reply(request, &reply, &descriptor, descriptor >= 0 ? 1 : 0);
}

static void start_session(Supervisor *supervisor, Request *request)
{
        const SessionNotice *body = request->body;
        Session *session = sessions_find(supervisor->sessions, body->session);

        if (session)
                session_start(session);
        request_done(request);
}

/* Sessions that end together. */
typedef struct Ending {
        Request *request;
        size_t waiting; /* and one for the loop that ends them */
} Ending;

static int on_ended(void *userdata)
{
        static const Empty nothing = { 0 };
        Ending *ending = userdata;
        Request *request = ending->request;

        if (--ending->waiting > 0)
                return 0;
        free(ending);
        return request_reply(request, &nothing, NULL, 0);
}

static int end_sessions(Supervisor *supervisor, Request *request)
{
        const EndSessionsRequest *body = request->body;
        Ending *ending = calloc(1, sizeof(*ending));
        int r = 0;

        if (!ending)
                return fail(supervisor, request, -ENOMEM);
        *ending = (Ending){ .request = request, .waiting = body->sessions.n + 1 };
        for (size_t i = 0; i < body->sessions.n; i++) {
                int q = sessions_end(supervisor->sessions, body->sessions.items[i], on_ended, ending);

                r = r < 0 ? r : q;
        }
        return r < 0 ? r : on_ended(ending);
}

static int write_file(Supervisor *supervisor, Request *request)
{
        const WriteFileRequest *body = request->body;
        _cleanup_(freep) char *path = NULL;
        WriteFileReply reply;
        int r;

        if (body->certificate)
                r = sessions_write_certificate(supervisor->sessions, body->session, body->name, body->bundle,
                                               secret_slice(body->content), &path);
        else
                r = sessions_write_file(supervisor->sessions, body->session, body->name,
                                        secret_slice(body->content), &path);

        if (r)
                return fail_sessions(supervisor, request, r);
        reply.path = path;
        return request_reply(request, &reply, NULL, 0);
}

static int set_epoch(Supervisor *supervisor, Request *request)
{
        static const Empty nothing = { 0 };
        const SetEpochRequest *body = request->body;
        int r = runtime_dir_write_epoch(supervisor->config.runtime, body->epoch);

        return r < 0 ? fail(supervisor, request, r) : request_reply(request, &nothing, NULL, 0);
}

static int list_one(void *userdata, Session *session)
{
        TextList *list = userdata;

        if (session_is_held(session))
                list->items[list->n++] = session_id(session);
        return 0;
}

static int note_gone(void *userdata, Session *session)
{
        TextList *list = userdata;

        if (!session_is_held(session))
                list->items[list->n++] = session_id(session);
        return 0;
}

static int on_gone_ended(UNUSED void *userdata)
{
        return 0;
}

/* A vault that died may have written down that they ended, or be about to; of that it tells no more. */
static int end_gone(Supervisor *supervisor)
{
        _cleanup_(freep) const char **items = calloc(CONFIG_MAX_SESSIONS_LIMIT, sizeof(*items));
        TextList gone = { items, 0 };
        int r = items ? sessions_each(supervisor->sessions, note_gone, &gone) : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < gone.n; i++)
                r = sessions_end(supervisor->sessions, items[i], on_gone_ended, NULL);
        return r;
}

static int list_held(Supervisor *supervisor, Request *request)
{
        _cleanup_(freep) const char **items = calloc(CONFIG_MAX_SESSIONS_LIMIT, sizeof(*items));
        ListHeldReply reply = { .sessions = { items, 0 } };
        int r;

        if (!items)
                return fail(supervisor, request, -ENOMEM);
        r = end_gone(supervisor);
        if (r >= 0)
                r = sessions_each(supervisor->sessions, list_one, &reply.sessions);
        return r < 0 ? fail(supervisor, request, r) : request_reply(request, &reply, NULL, 0);
}

static int on_notified(void *userdata, uint64_t status)
{
        const NotifyReply reply = { .status = status };

        return request_reply(userdata, &reply, NULL, 0);
}

static int notify(Supervisor *supervisor, Request *request)
{
        const NotifyRequest *body = request->body;
        const TextList *command = &supervisor->settings->notify;
        int r;

        if (command->n == 0)
                return request_fail(request, FAULT_UNSUPPORTED, "no command is configured");
        r = notifier_run(supervisor->notifier, command, body->incident, body->json, on_notified, request);
        if (r == NOTIFIER_E_BUSY)
                return request_fail(request, FAULT_BUSY, "too many commands run already");
        return r < 0 ? fail(supervisor, request, r) : 0;
}

static int journal(Supervisor *supervisor, Request *request)
{
        const JournalRequest *body = request->body;
        const JournalReply reply = { .taken = journal_send(&supervisor->journal, body) };

        return request_reply(request, &reply, NULL, 0);
}

static int dispatch_vault(Supervisor *supervisor, Request *request)
{
        const StopProviderRequest *stop = request->body;

        switch ((VaultMethod)request->id) {
        case VAULT_START_PROVIDER:
                return start_provider(supervisor, request);
        case VAULT_STOP_PROVIDER:
                if (stop->pid > 0 && stop->pid < INT32_MAX)
                        providers_stop(supervisor->providers, (pid_t)stop->pid);
                request_done(request);
                return 0;
        case VAULT_RESTART_KEYRING:
                child_kill(supervisor->keyring);
                request_done(request);
                return 0;
        case VAULT_CREATE_SESSION:
                return create_session(supervisor, request);
        case VAULT_END_SESSIONS:
                return end_sessions(supervisor, request);
        case VAULT_WRITE_FILE:
                return write_file(supervisor, request);
        case VAULT_SET_EPOCH:
                return set_epoch(supervisor, request);
        case VAULT_LIST_HELD:
                return list_held(supervisor, request);
        case VAULT_RELOAD:
                reload_run(supervisor, request);
                return 0;
        case VAULT_START_EGRESS:
                return start_egress(supervisor, request);
        case VAULT_STOP_EGRESS:
                return stop_egress(supervisor, request);
        case VAULT_JOIN_EGRESS:
                return join_egress(supervisor, request);
        case VAULT_START_SESSION:
                start_session(supervisor, request);
                return 0;
        case VAULT_NOTIFY:
                return notify(supervisor, request);
        case VAULT_JOURNAL:
                return journal(supervisor, request);
        case VAULT_LOG: /* child.c has it */
        default:
                return request_fail(request, FAULT_METHOD_NOT_FOUND, NULL);
        }
}

/* An answer that cannot be sent is that child's trouble: it is started again. */
static int contain(Child *child, int r)
{
        if (r < 0)
                child_kill(child);
        return 0;
}

int serve_vault(void *child, UNUSED Channel *channel, Request *request)
{
        Supervisor *supervisor = supervisor_of(child);

        /* By then there are no sessions, egresses and providers any more; the end of the log goes to the journal. */
        if (supervisor->phase >= PHASE_TELLING_VAULT && request->id != VAULT_JOURNAL)
                return contain(child, request_fail(request, FAULT_UNAVAILABLE, NULL));
        return contain(child, dispatch_vault(supervisor, request));
}

/* ---- the gate's ---- */

static int attest(Supervisor *supervisor, Request *request)
{
        const AttestRequest *body = request->body;
        const AttestPeer peer = {
                .uid = (uid_t)body->uid,
                .pid = body->pid < INT32_MAX ? (pid_t)body->pid : 0,
                .pidfd = request->n_fds > 0 ? request->fds[0] : -1,
        };
        AttestResult result;
        AttestReply reply;
        int r;

        if (body->uid >= UINT32_MAX)
                return request_fail(request, FAULT_NOT_ALLOWED, attest_error(ATTEST_E_UNREADABLE));
        r = attest_peer(&result, &peer, getpid());
        if (r < 0)
                log_line(supervisor->config.log, LOG_LEVEL_ERROR, "supervisor",
                         "cannot attest process %d: %s", (int)peer.pid, strerror(-r));
        if (r)
                return request_fail(request, FAULT_NOT_ALLOWED, attest_error(r));
        reply.unit = result.unit[0] ? result.unit : NULL;
        return request_reply(request, &reply, NULL, 0);
}

/* One that has ended by now is no concern. */
static int note_delivered(Supervisor *supervisor, Request *request)
{
        const SessionNotice *notice = request->body;
        Session *session = sessions_find(supervisor->sessions, notice->session);

        if (session)
                session_set_delivered(session);
        request_done(request);
        return 0;
}

int serve_gate(void *child, UNUSED Channel *channel, Request *request)
{
        switch (request->id) {
        case GATE_ATTEST:
                return contain(child, attest(supervisor_of(child), request));
        case GATE_DELIVERED:
                return contain(child, note_delivered(supervisor_of(child), request));
        default:
                return contain(child, request_fail(request, FAULT_METHOD_NOT_FOUND, NULL));
        }
}
