#include "vault/egresses.h"
#include "vault/epoch.h"
#include "vault/mint.h"
#include "vault/proxy_grants.h"
#include "vault/cutoff_work.h"
#include "vault/revoker.h"
#include "vault/rows_lease.h"
#include "vault/session_end.h"
#include <stdio.h>

#define END_USEC (5 * USEC_PER_SEC)
#define END_MANY_USEC (60 * USEC_PER_SEC)
/* Between attempts to write an end that could not be written. */
#define REWRITE_USEC (5 * USEC_PER_SEC)

typedef struct Unended {
        List link;
        char id[IDENT_ID_SIZE + 1];
        char reason[LIMIT_TEXT + 1];
} Unended;

typedef struct Ending {
        Vault *vault;
        SessionSet sessions;
        unsigned waiting; /* for the egresses, the supervisor and the epoch, and for the function that asks them */
        SessionEndDone done;
        void *userdata;
} Ending;

static int step_done(Ending *ending)
{
        int r = 0;

        if (--ending->waiting > 0)
                return 0;
        if (ending->done)
                r = ending->done(ending->userdata);
        session_set_deinit(&ending->sessions);
        free(ending);
        return r;
}

static int on_ended(void *userdata, UNUSED const Reply *reply)
{
        return step_done(userdata); /* a supervisor that is gone has ended everything */
}

/* The epoch has moved. */
static int on_moved(void *userdata)
{
        return step_done(userdata);
}

/* Their processes, directories and lifelines. */
static int end_processes(Ending *ending)
{
        const SessionSet *sessions = &ending->sessions;
        _cleanup_(freep) const char **texts = calloc(sessions->n, sizeof(*texts));
        uint64_t patience = sessions->n > 1 ? END_MANY_USEC : END_USEC;
        int r = 0;

        if (!texts)
                return -ENOMEM;
        for (size_t i = 0; i < sessions->n; i++)
                texts[i] = sessions->ids[i];
        for (size_t i = 0; r == 0 && i < sessions->n; i += LIMIT_CUT) {
                EndSessionsRequest request = { .sessions = { texts + i, MIN(sessions->n - i, (size_t)LIMIT_CUT) } };

                ending->waiting++;
                r = channel_call(ending->vault->role.supervisor, VAULT_END_SESSIONS, &request, NULL, 0, patience,
                                 on_ended, ending, NULL);
        }
        return r;
}

/* No egress has anything of them any more. */
static int on_cut(void *userdata)
{
        Ending *ending = userdata;
        int r = ending->sessions.n > 1 ? end_processes(ending) : 0;

        return r < 0 ? r : step_done(ending);
}

/* One session everywhere at once, since whoever waits does so for all of it. Of many the egresses first: to end a
 * thousand processes would keep them from it. */
static int end_everywhere(Ending *ending)
{
        Vault *vault = ending->vault;
        int r;

        proxy_grants_forget(vault->proxy_grants, &ending->sessions);
        ending->waiting++;
        r = egresses_cut_set(vault->egresses, &ending->sessions, NULL, on_cut, ending);
        if (r == 0 && ending->sessions.n == 1)
                r = end_processes(ending);
        if (r == 0) {
                ending->waiting++;
                r = epoch_move(vault->epoch, on_moved, ending);
        }
        return r == 0 ? revoker_wake(vault->revoker) : r;
}

/* What lives of it and is not covered by the cutoff, which is worked off by itself, is over here: to the revoker, or
 * finished where nothing can be asked. */
static int end_leases(Vault *vault, const char *id, const CutoffRecord *cutoff, const char *reason)
{
        LeaseFilter filter = { .what.session = id, .states = 1U << LEASE_LIVE };
        LeaseFilter covered = { .states = 1U << LEASE_LIVE };
        Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);
        uint64_t after = 0;
        LeaseRecord *leases;
        size_t n = LIMIT_PAGE;
        int r = 0;

        if (cutoff) {
                covered.what = cutoff_selection(cutoff);
                covered.up_to = cutoff->sequence;
                if (!selection_is_partial(&covered.what)) /* up to there it has all of the session */
                        after = cutoff->sequence;
        }
        while (r == 0 && n == LIMIT_PAGE) {
                if (cutoff)
                        r = rows_lease_list_beyond(vault->db, id, &covered, after, LIMIT_PAGE, &pool, &leases, &n);
                else
                        r = rows_lease_list(vault->db, &filter, after, LIMIT_PAGE, &pool, &leases, &n);
                for (size_t i = 0; r == 0 && i < n; i++) {
                        after = leases[i].sequence;
                        r = rows_lease_end(vault->db, leases[i].id, vault_now(vault), reason);
                }
                pool_deinit(&pool);
        }
        return r;
}

/* The session and its leases, in the transaction that is open. DB_E_NOT_FOUND: it has ended, or never was. */
static int end_rows_in(Vault *vault, const char *id, const CutoffRecord *cutoff, const char *reason)
{
        AuditEvent event = { .session = id, .operation = "session.end", .verdict = AUDIT_ALLOW, .reason = reason };
        int r = rows_session_end(vault->db, id, vault_now(vault), reason);

        if (r == 0)
                r = end_leases(vault, id, cutoff, reason);
        return r == 0 ? vault_audit_revocation(vault, &event) : r;
}

/* The state's part of the epoch is in the same transaction. */
static int end_rows(Vault *vault, const char *id, const char *reason)
{
        int r = db_begin(vault->db);

        if (r == 0)
                r = end_rows_in(vault, id, NULL, reason);
        return r == 0 ? epoch_commit(vault->epoch) : r;
}

bool session_is_usable(const Vault *vault, const SessionRecord *session, Failure *failure)
{
        if (session_is_unended(vault, session->id))
                failure_set(failure, FAULT_EXPIRED, "The session is over.");
        else if (session->state != SESSION_LIVE)
                failure_set(failure, FAULT_EXPIRED, "The session is over: %s", session->end_reason);
        else if (session->deadline <= vault_boot(vault) || session->expires <= vault_now(vault))
                failure_set(failure, FAULT_EXPIRED, "The session's lifetime is over.");
        return !failed(failure);
}

bool session_is_unended(const Vault *vault, const char *id)
{
        LIST_FOREACH(node, &vault->unended)
                if (strcmp(container_of(node, Unended, link)->id, id) == 0)
                        return true;
        return false;
}

static int remember_unended(Vault *vault, const char *id, const char *reason)
{
        Unended *unended;

        if (session_is_unended(vault, id))
                return 0;
        unended = calloc(1, sizeof(*unended));
        if (!unended)
                return -ENOMEM;
        (void)snprintf(unended->id, sizeof(unended->id), "%s", id);
        (void)snprintf(unended->reason, sizeof(unended->reason), "%s", reason);
        list_append(&vault->unended, &unended->link);
        vault_note_deadline(vault, vault_boot(vault) + REWRITE_USEC);
        return 0;
}

static void unended_free(Unended *unended)
{
        list_remove(&unended->link);
        free(unended);
}

void session_end_forget(Vault *vault)
{
        while (vault->unended.next && !list_empty(&vault->unended))
                unended_free(container_of(vault->unended.next, Unended, link));
}

/* Nothing of these lives here any more; what is left is to write it down and to ask the upstream. */
static int end_unended(Vault *vault)
{
        bool any = false;
        Failure failure;
        int r;

        LIST_FOREACH(node, &vault->unended) {
                Unended *unended = container_of(node, Unended, link);

                r = end_rows(vault, unended->id, unended->reason);
                if (r == DB_E_NOT_FOUND)
                        db_rollback(vault->db);
                else if (vault_db_failed(vault, r, &failure))
                        break;
                unended_free(unended);
                any = true;
        }
        if (!any)
                return 0;
        r = epoch_move(vault->epoch, NULL, NULL);
        return r < 0 ? r : revoker_wake(vault->revoker);
}

int session_end(Vault *vault, const char *id, const char *reason, SessionEndDone done, void *userdata)
{
        Failure ignored = { 0 };

        return session_end_also(vault, id, reason, NULL, done, userdata, &ignored);
}

/* Takes the ids over. */
static int end_here(Vault *vault, SessionSet *sessions, SessionEndDone done, void *userdata)
{
        Ending *ending = calloc(1, sizeof(*ending));
        int r;

        if (!ending)
                return -ENOMEM;
        *ending = (Ending){ .vault = vault, .sessions = *sessions, .waiting = 1, .done = done, .userdata = userdata };
        *sessions = SESSION_SET_NULL;
        r = end_everywhere(ending);
        return r < 0 ? r : step_done(ending);
}

int session_end_also(Vault *vault, const char *id, const char *reason, int (*also)(void *userdata), SessionEndDone done,
                     void *userdata, Failure *failure)
{
        SessionSet one = SESSION_SET_NULL;
        int r;

        r = db_begin(vault->db);
        if (r == 0 && also)
                r = also(userdata);
        if (r == 0)
                r = end_rows_in(vault, id, NULL, reason);
        if (r == 0)
                r = epoch_commit(vault->epoch);
        if (r == DB_E_NOT_FOUND) { /* it has ended, or never was */
                db_rollback(vault->db);
                return done ? done(userdata) : 0;
        }
        /* Even if the state cannot be written, the session must not go on. */
        if (vault_db_failed(vault, r, failure)) {
                r = remember_unended(vault, id, reason);
                if (r < 0)
                        return r;
        }
        r = session_set_add(&one, id);
        if (r == 0)
                r = end_here(vault, &one, done, userdata);
        session_set_deinit(&one);
        return r;
}

/* A cutoff that could not be written (it has no id) covers nothing. */
static int write_ends(Vault *vault, const SessionSet *sessions, CutoffRecord *cutoff, const char *reason)
{
        int r = db_begin(vault->db);

        if (cutoff && cutoff->id == 0)
                cutoff = NULL;

        for (size_t i = 0; r == 0 && i < sessions->n; i++) {
                r = end_rows_in(vault, sessions->ids[i], cutoff, reason);
                if (r == DB_E_NOT_FOUND)
                        r = 0;
        }
        if (r == 0 && cutoff) {
                cutoff->step = CUTOFF_SESSIONS_ENDED;
                r = rows_cutoff_set_progress(vault->db, cutoff);
        }
        return r == 0 ? epoch_commit(vault->epoch) : r;
}

int session_ends_write(Vault *vault, const SessionSet *sessions, CutoffRecord *cutoff, const char *reason,
                       Failure *failure)
{
        int r = 0;

        if (vault_db_failed(vault, write_ends(vault, sessions, cutoff, reason), failure))
                for (size_t i = 0; r == 0 && i < sessions->n; i++)
                        r = remember_unended(vault, sessions->ids[i], reason);
        else if (cutoff && cutoff->id > 0)
                cutoff_work_wake(vault->cutoff_work);
        return r;
}

int session_ends_cut(Vault *vault, SessionSet *sessions, SessionEndDone done, void *userdata)
{
        int r;

        if (sessions->n > 0)
                return end_here(vault, sessions, done, userdata);
        /* Nothing but rows; the epoch moves behind each revocation. */
        r = epoch_move(vault->epoch, done, userdata);
        return r < 0 ? r : revoker_wake(vault->revoker);
}

void vault_note_deadline(Vault *vault, uint64_t boot_usec)
{
        if (boot_usec >= vault->next_session)
                return;
        vault->next_session = boot_usec;
        timer_arm(vault->expiry, boot_usec);
}

/* The wall clock counts too, so that a clock that was set back gives no session a longer life. */
static bool is_over(const Vault *vault, const SessionRecord *session)
{
        return session->deadline <= vault_boot(vault) || session->expires <= vault_now(vault);
}

int vault_expire(void *userdata)
{
        Vault *vault = userdata;
        uint64_t after = 0, next = UINT64_MAX;
        SessionRecord *sessions;
        Failure failure;
        size_t n = LIMIT_PAGE;
        int r;

        r = end_unended(vault);
        if (r >= 0)
                r = mint_close_unclosed(vault);
        while (r >= 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(SESSION_PAGE_POOL_MAX);

                r = rows_session_list(vault->db, false, after, LIMIT_PAGE, &pool, &sessions, &n);
                if (vault_db_failed(vault, r, &failure)) {
                        pool_deinit(&pool);
                        next = vault_boot(vault) + USEC_PER_SEC;
                        r = 0;
                        break;
                }
                for (size_t i = 0; r >= 0 && i < n; i++) {
                        after = sessions[i].sequence;
                        if (session_is_unended(vault, sessions[i].id))
                                continue;
                        if (is_over(vault, &sessions[i]))
                                r = session_end(vault, sessions[i].id, "its lifetime is over", NULL, NULL);
                        else
                                next = MIN(next, sessions[i].deadline);
                }
                pool_deinit(&pool);
        }
        if (!list_empty(&vault->unended) || !list_empty(&vault->unclosed))
                next = MIN(next, vault_boot(vault) + REWRITE_USEC);
        vault->next_session = next;
        if (next != UINT64_MAX)
                timer_arm(vault->expiry, next);
        return r;
}
