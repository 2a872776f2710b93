/* What the way out meets: into the audit log, and what of it is evidence of a leak to the response. Whoever reports is
 * near a sandbox or an upstream, and can be made to report at will, so all of it counts as refusals do in the log:
 * beyond a rate it is counted. What an upstream sends back is evidence of nothing: any server can cause it. */
#include "base/text.h"
#include "vault/proxy_grants.h"
#include "vault/report_text.h"
#include "vault/response.h"
#include "vault/rows_lease.h"
#include "vault/vault.h"
#include <stdio.h>

/* What it comes to is in the state and in the log. */
static int respond(Vault *vault, const LeakEvidence *evidence)
{
        char incident[IDENT_ID_SIZE + 1];
        Failure ignored;
        int r = response_begin(vault, evidence, incident);

        if (r < 0)
                return r;
        (void)vault_db_failed(vault, r, &ignored);
        return 0;
}

/* ---- the real credential, where only a handle should be ---- */

/* What the egress of this grant has to look for: a stored key, or what was minted with it. */
static int find_in_use(Vault *vault, const char *session, const char *profile, LeaseRecord *ret)
{
        int r = rows_lease_get_live(vault->db, session, profile, LEASE_STORED, ret);

        return r == DB_E_NOT_FOUND ? rows_lease_get_live(vault->db, session, profile, LEASE_CREDENTIAL, ret) : r;
}

/* Egress has the credential, and it alone can tell: what a session's process says is not looked at (`profile`). */
static int on_leaked(Vault *vault, const char *session, const char *profile, bool known, const char *where)
{
        LeakEvidence evidence = {
                .signal = LEAK_SIGNAL_EGRESS,
                .session = session,
                .profile = profile,
                .source = where,
        };
        LeaseRecord lease;
        Failure ignored;
        int r;

        if (!vault->db)
                return 0;
        r = find_in_use(vault, session, profile, &lease);
        if (r == 0 && !known) {
                evidence.secret = lease.secret; /* named, and without its generation not acted on */
        } else if (r == 0) {
                evidence.secret = lease.secret;
                evidence.lease = lease.kind == LEASE_STORED ? NULL : lease.id;
                evidence.generation = lease.generation;
        } else if (r != DB_E_NOT_FOUND) {
                (void)vault_db_failed(vault, r, &ignored);
        }
        return respond(vault, &evidence);
}

int proxy_report(Vault *vault, const char *session, const char *profile, const EgressReport *report)
{
        bool denied = report->kind == REPORT_DENIED || report->kind == REPORT_REFUSED || report->kind == REPORT_MISUSE ||
                      report->kind == REPORT_LEAKED || report->kind == REPORT_GUESSED;
        char detail[LIMIT_TEXT];
        AuditEvent event = {
                .session = session,
                .profile = profile,
                .operation = report->kind == REPORT_SCRUBBED ? "proxy.response" : "proxy.request",
                .verdict = denied ? AUDIT_DENY : AUDIT_ERROR,
                .reason = report_kind_names[report->kind],
                .detail = detail,
        };
        int r;

        report_text(report, detail);
        if (profile && report->kind == REPORT_UNAUTHORIZED)
                proxy_grants_hurry(vault->proxy_grants, session, profile);
        r = vault_audit_refusal(vault, &event);
        if (r < 0 || !profile || (report->kind != REPORT_LEAKED && report->kind != REPORT_GUESSED))
                return r;
        return on_leaked(vault, session, profile, report->kind == REPORT_LEAKED, detail);
}

/* ---- a handle where it may not be ---- */

/*
 * What is done acts on the session that used it, whosoever it is: two sessions that exchange their handles hurt
 * themselves. One of a session that is over says little, since programs keep tokens from one run to the next.
 */
static int on_misused(Vault *vault, const char *session, const LeaseRecord *lease, const char *detail)
{
        bool own = strcmp(lease->session, session) == 0;
        LeakEvidence evidence = {
                .signal = lease->kind == LEASE_CANARY ? LEAK_SIGNAL_CANARY
                          : own                       ? LEAK_SIGNAL_WRONG_PLACE
                                                      : LEAK_SIGNAL_FOREIGN_HANDLE,
                .session = session,
                .profile = own ? lease->profile : NULL,
                .secret = own ? lease->secret : NULL,
                .lease = lease->id,
                .source = detail,
        };

        if (lease->kind != LEASE_CANARY && lease->state != LEASE_LIVE)
                return 0;
        return respond(vault, &evidence);
}

/* Whose it is, is looked up by its hash: only what was issued counts, not what looks like it. */
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
        bool known;
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
        (void)snprintf(detail, sizeof(detail), "a %s of %s%s in %s%s%s",
                       r == 0 && lease.kind == LEASE_CANARY ? "canary" : "handle",
                       r != 0                                 ? "nobody's"
                       : strcmp(lease.session, session) == 0 ? "its own"
                                                              : "session ",
                       r == 0 && strcmp(lease.session, session) != 0 ? lease.session : "", notice->place,
                       notice->host ? " to " : "", notice->host ? notice->host : "");
        text_mend_end(detail);
        known = r == 0;
        /* Of its own handle the refusal itself is in the log. */
        r = known && lease.kind == LEASE_HANDLE && strcmp(lease.session, session) == 0
                    ? 0
                    : vault_audit_refusal(vault, &event);
        return r < 0 || !known ? r : on_misused(vault, session, &lease, detail);
}

/* Which session has asked is not known, so that the canary's own is acted on: nobody else ever had it. */
int proxy_presented(Vault *vault, const Secret *value)
{
        uint8_t hash[SEAL_HASH_SIZE];
        LeaseRecord lease;
        LeakEvidence evidence = {
                .signal = LEAK_SIGNAL_CANARY,
                .source = "a canary in the place of a session's own secret",
        };
        Failure ignored;
        int r;

        if (!value || !vault->seal || !vault->db)
                return 0;
        seal_token_hash(vault->seal, secret_slice(value), hash);
        r = rows_lease_get_by_token(vault->db, hash, &lease);
        if (r && r != DB_E_NOT_FOUND)
                (void)vault_db_failed(vault, r, &ignored);
        if (r || lease.kind != LEASE_CANARY)
                return 0;
        evidence.session = lease.session;
        evidence.profile = lease.profile;
        evidence.secret = lease.secret;
        evidence.lease = lease.id;
        return respond(vault, &evidence);
}
