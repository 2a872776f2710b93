#include "vault/egresses.h"
#include "vault/epoch.h"
#include "vault/mint.h"
#include "vault/proxy_grants.h"
#include "vault/revoker.h"
#include "vault/vault.h"
#include <stdio.h>

#define END_USEC (5 * USEC_PER_SEC)
/* Between attempts to write an end that could not be written. */
#define REWRITE_USEC (5 * USEC_PER_SEC)

typedef struct Unended {
        List link;
        char id[IDENT_ID_SIZE + 1];
        char reason[LIMIT_TEXT + 1];
} Unended;

typedef struct Ending {
        Vault *vault;
        char id[IDENT_ID_SIZE + 1];
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
        free(ending);
        return r;
}

static int on_ended(void *userdata, UNUSED const Reply *reply)
{
        return step_done(userdata); /* a supervisor that is gone has ended everything */
}

/* No egress has anything of it any more, or the epoch has moved. */
static int on_step(void *userdata)
{
        return step_done(userdata);
}

/* Everything at once, since whoever waits does so for all of it. */
static int end_everywhere(Ending *ending)
{
        Vault *vault = ending->vault;
        SessionNotice notice = { .session = ending->id };
        int r;

        proxy_grants_forget(vault->proxy_grants, ending->id);
        r = egresses_cut(vault->egresses, ending->id, NULL, on_step, ending);
        if (r == 0)
                r = channel_call(vault->role.supervisor, VAULT_END_SESSION, &notice, NULL, 0, END_USEC, on_ended, ending,
                                 NULL);
        if (r == 0)
                r = epoch_move(vault->epoch, on_step, ending);
        return r == 0 ? revoker_wake(vault->revoker) : r;
}

/* Everything of it that lives is over here: to the revoker, or finished where nothing can be asked. */
static int end_leases(Vault *vault, const char *id, const char *reason)
{
        LeaseFilter filter = { .session = id, .states = 1U << LEASE_LIVE };
        Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);
        uint64_t after = 0;
        LeaseRecord *leases;
        size_t n = LIMIT_PAGE;
        int r = 0;

        while (r == 0 && n == LIMIT_PAGE) {
                r = rows_lease_list(vault->db, &filter, after, LIMIT_PAGE, &pool, &leases, &n);
                for (size_t i = 0; r == 0 && i < n; i++) {
                        after = leases[i].sequence;
                        r = rows_lease_end(vault->db, leases[i].id, vault_now(vault), reason);
                }
                pool_deinit(&pool);
        }
        return r;
}

/* The session, its leases and the state's part of the epoch, in the transaction that is open. */
static int end_rows_in(Vault *vault, const char *id, const char *reason)
{
        AuditEvent event = { .session = id, .operation = "session.end", .verdict = AUDIT_ALLOW, .reason = reason };
        int r = rows_session_end(vault->db, id, vault_now(vault), reason);

        if (r == 0)
                r = end_leases(vault, id, reason);
        if (r == 0)
                r = vault_audit_revocation(vault, &event);
        return r == 0 ? epoch_commit(vault->epoch) : r;
}

static int end_rows(Vault *vault, const char *id, const char *reason)
{
        int r = db_begin(vault->db);

        return r == 0 ? end_rows_in(vault, id, reason) : r;
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

int session_end_also(Vault *vault, const char *id, const char *reason, int (*also)(void *userdata), SessionEndDone done,
                     void *userdata, Failure *failure)
{
        Ending *ending;
        int r;

        r = db_begin(vault->db);
        if (r == 0 && also)
                r = also(userdata);
        if (r == 0)
                r = end_rows_in(vault, id, reason);
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
        ending = calloc(1, sizeof(*ending));
        if (!ending)
                return -ENOMEM;
        *ending = (Ending){ .vault = vault, .waiting = 4, .done = done, .userdata = userdata };
        (void)snprintf(ending->id, sizeof(ending->id), "%s", id);
        r = end_everywhere(ending);
        return r < 0 ? r : step_done(ending);
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
