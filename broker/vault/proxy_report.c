/* What the way out meets and the audit log should know. Whoever reports is near a sandbox or an upstream, and
 * can be made to report at will, so all of it counts as refusals do: beyond a rate it is counted. */
#include "base/text.h"
#include "vault/proxy_grants.h"
#include "vault/report_text.h"
#include "vault/rows_lease.h"
#include "vault/vault.h"
#include <stdio.h>

int proxy_report(Vault *vault, const char *session, const char *profile, const EgressReport *report)
{
        bool denied = report->kind == REPORT_DENIED || report->kind == REPORT_REFUSED || report->kind == REPORT_MISUSE;
        char detail[LIMIT_TEXT];
        AuditEvent event = {
                .session = session,
                .profile = profile,
                .operation = report->kind == REPORT_SCRUBBED ? "proxy.response" : "proxy.request",
                .verdict = denied ? AUDIT_DENY : AUDIT_ERROR,
                .reason = report_kind_names[report->kind],
                .detail = detail,
        };

        report_text(report, detail);
        if (profile && report->kind == REPORT_UNAUTHORIZED)
                proxy_grants_hurry(vault->proxy_grants, session, profile);
        return vault_audit_refusal(vault, &event);
}

/* Whose it is, is for whoever reads the log; it is looked up by its hash. */
int proxy_misuse(Vault *vault, const char *session, const SessionMisuseNotice *notice)
{
        uint8_t hash[SEAL_HASH_SIZE];
        char token[SEAL_AUDIT_HASH_SIZE], detail[LIMIT_TEXT];
        AuditEvent event = {
                .session = session,
                .operation = "proxy.request",
                .verdict = AUDIT_DENY,
                .reason = report_kind_names[REPORT_MISUSE],
                .detail = detail,
        };
        LeaseRecord lease;
        Failure ignored;
        int r = DB_E_NOT_FOUND;

        if (vault->seal && vault->db) {
                seal_token_hash(vault->seal, secret_slice(notice->handle), hash);
                seal_audit_hash(vault->seal, secret_slice(notice->handle), token);
                event.token = token;
                r = rows_lease_get_by_token(vault->db, hash, &lease);
        }
        if (r == 0) {
                event.lease = lease.id;
                event.profile = lease.profile;
                event.secret = lease.secret;
        } else if (r != DB_E_NOT_FOUND) {
                (void)vault_db_failed(vault, r, &ignored);
        }
        (void)snprintf(detail, sizeof(detail), "a handle of %s%s in %s%s%s",
                       r != 0                                 ? "nobody's"
                       : strcmp(lease.session, session) == 0 ? "its own"
                                                              : "session ",
                       r == 0 && strcmp(lease.session, session) != 0 ? lease.session : "", notice->place,
                       notice->host ? " to " : "", notice->host ? notice->host : "");
        text_mend_end(detail);
        return vault_audit_refusal(vault, &event);
}
