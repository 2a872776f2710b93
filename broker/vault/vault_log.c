#include "vault/rows_meta.h"
#include "vault/vault.h"
#include <stdio.h>

/* The audit file follows its transaction within this long, however many come, so that one sync serves several. */
#define AUDIT_FLUSH_USEC (20 * USEC_PER_MSEC)

uint64_t vault_now(const Vault *vault)
{
        return clock_wall(loop_clock(vault->role.loop));
}

uint64_t vault_boot(const Vault *vault)
{
        return clock_boot(loop_clock(vault->role.loop));
}

bool vault_db_failed(Vault *vault, int r, Failure *failure)
{
        if (r == 0)
                return false;
        if (r == DB_E_NOT_FOUND)
                failure_set(failure, FAULT_NOT_FOUND, NULL);
        else if (r == DB_E_EXISTS)
                failure_set(failure, FAULT_EXISTS, NULL);
        else if (r == DB_E_FULL || r == DB_E_IO)
                failure_set(failure, FAULT_AUDIT_UNAVAILABLE, "The state cannot be written: %s", db_strerror(r));
        else if (r == DB_E_SEALED)
                failure_set(failure, FAULT_KEYRING_LOCKED, NULL);
        else if (r > 0)
                failure_set(failure, FAULT_INTERNAL, "The state failed: %s", db_strerror(r));
        else
                failure_set(failure, FAULT_INTERNAL, NULL);
        if (r != DB_E_NOT_FOUND && r != DB_E_EXISTS && r != DB_E_SEALED)
                role_log(&vault->role, LOG_LEVEL_ERROR, "state: %s (%s)", r > 0 ? db_strerror(r) : strerror(-r),
                         db_last_error(vault->db));
        db_rollback(vault->db);
        return true;
}

int vault_commit(Vault *vault)
{
        int r = db_commit(vault->db);

        if (r == 0)
                timer_arm_within(vault->audit_flush, AUDIT_FLUSH_USEC);
        return r;
}

int vault_audit_revocation(Vault *vault, AuditEvent *event)
{
        int r = audit_append(vault->audit, event);

        return r > 0 ? 0 : r;
}

void vault_configure_audit(Vault *vault)
{
        const ConfigureRequest *settings = vault->policy ? policy_settings(vault->policy) : NULL;

        if (settings)
                audit_configure(vault->audit, settings->audit_max_size, settings->audit_keep);
}

int vault_flush_audit(Vault *vault)
{
        bool was_ready = audit_ready(vault->audit);
        uint64_t next;
        int r;

        timer_disarm(vault->audit_flush);
        r = audit_flush(vault->audit);
        if (r == 0)
                r = audit_tick(vault->audit, false);
        if (r < 0)
                return r;
        if (was_ready && !audit_ready(vault->audit))
                role_log(&vault->role, LOG_LEVEL_ERROR, "audit: %s; nothing is issued until that is mended",
                         audit_state(vault->audit));
        next = audit_next_tick(vault->audit);
        if (!audit_ready(vault->audit))
                next = MIN(next, vault_boot(vault) + USEC_PER_SEC);
        if (next != UINT64_MAX)
                timer_arm(vault->audit_flush, next);
        r = vault->watchers ? watchers_wake(vault->watchers) : 0;
        return r < 0 || !vault->journal ? r : audit_journal_wake(vault->journal);
}

bool vault_may_issue(Vault *vault, Failure *failure)
{
        if (!vault->policy || !vault->recovered) {
                failure_set(failure, FAULT_UNAVAILABLE, "The broker is still starting.");
                return false;
        }
        if (!vault->store.ready) {
                *failure = vault->store.problem;
                if (!failed(failure))
                        failure_set(failure, FAULT_UNAVAILABLE, "The store of secrets is being opened.");
                return false;
        }
        if (!audit_ready(vault->audit) && vault_flush_audit(vault) < 0) {
                failure_set(failure, FAULT_INTERNAL, NULL);
                return false;
        }
        if (!audit_ready(vault->audit)) {
                failure_set(failure, FAULT_AUDIT_UNAVAILABLE, "Nothing is issued: %s.", audit_state(vault->audit));
                return false;
        }
        return true;
}

static bool is_denial(Fault fault)
{
        return fault == FAULT_POLICY_DENIED || fault == FAULT_NOT_ALLOWED || fault == FAULT_EXPIRED ||
               fault == FAULT_REVOKED || fault == FAULT_ROLLBACK;
}

int vault_audit_refusal(Vault *vault, AuditEvent *event)
{
        int r;

        event->refusal = true;
        if (!vault->audit)
                return 0;
        r = audit_append(vault->audit, event);
        if (r < 0)
                return r;
        timer_arm_within(vault->audit_flush, AUDIT_FLUSH_USEC);
        return 0;
}

int vault_refuse(Vault *vault, Request *request, AuditEvent event, const Failure *failure)
{
        int r;

        event.verdict = is_denial(failure->fault) ? AUDIT_DENY : AUDIT_ERROR;
        event.reason = fault_info(failure->fault)->name;
        event.detail = failure->message;
        r = vault_audit_refusal(vault, &event);
        return r < 0 ? r : failure_answer(failure, request);
}

AuditEvent vault_event(const Caller *caller, const char *operation)
{
        return (AuditEvent){
                .has_principal = caller != NULL,
                .principal = caller ? caller->uid : 0,
                .operation = operation,
        };
}

bool vault_config_fits(Vault *vault, Failure *failure)
{
        char recorded[META_TEXT_MAX];
        int r;

        r = rows_meta_get_text(vault->db, META_CONFIG_DIRECTORY, recorded, sizeof(recorded));
        if (r == DB_E_NOT_FOUND || (r == 0 && strcmp(recorded, vault->start.config_directory) == 0))
                return true;
        if (!vault_db_failed(vault, r, failure)) {
                failure_set(failure, FAULT_POLICY_DENIED,
                            "The secrets were added under the configuration in %.200s, and the broker runs with %.200s.",
                            recorded, vault->start.config_directory);
                (void)snprintf(failure->remedy, sizeof(failure->remedy),
                               "Start the broker with the old directory, or accept the new one: `mcpcred add --replace`.");
        }
        return false;
}
