#include "vault/egresses.h"
#include "vault/epoch.h"
#include "vault/proxy_grants.h"
#include "vault/revoke_op.h"
#include <stdio.h>

/* A grant whose credential is taken from its egress. */
typedef struct CutGrant {
        RevokeOp *op;
        char session[IDENT_ID_SIZE + 1];
        char profile[LIMIT_NAME + 1];
        bool replace; /* its handle lives on, and gets another */
} CutGrant;

/* A stored key whose value has shown up somewhere ends only with its rotation. */
static Outcome expected_of(const LeaseRecord *lease)
{
        return lease->kind == LEASE_STORED ? OUTCOME_IMPOSSIBLE_ROTATE : lease_outcome(lease);
}

/* Does it take along all else that lives of its grant? A canary has nothing behind it, and a credential has its handle
 * in front, which gets another. */
static bool takes_grant(const LeaseRecord *lease)
{
        return lease->kind == LEASE_HANDLE || lease->kind == LEASE_STORED;
}

/* Names, and ends unless it is to change nothing, all else that lives of one grant. */
static int end_grant(RevokeOp *op, const LeaseRecord *lease)
{
        LeaseFilter filter = {
                .what = { .session = lease->session, .profile = lease->profile },
                .states = 1U << LEASE_LIVE,
        };
        Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);
        LeaseRecord *leases;
        size_t n = 0;
        int r;

        /* A grant has few: its handle, and what is behind it. */
        r = rows_lease_list(op->vault->db, &filter, 0, LIMIT_PAGE, &pool, &leases, &n);
        for (size_t i = 0; r == 0 && i < n; i++)
                if (strcmp(leases[i].id, lease->id) != 0 && leases[i].kind != LEASE_CANARY) {
                        revoke_list(op, leases[i].id, lease_outcome(&leases[i]));
                        if (!op->dry_run)
                                r = rows_lease_end(op->vault->db, leases[i].id, vault_now(op->vault), "revoked");
                }
        pool_deinit(&pool);
        return r;
}

/* A handle takes along what is behind it. Of a stored key whose value has shown up somewhere, no handle may go on
 * either, and only its rotation ends it upstream. */
static int end_lease(RevokeOp *op, const LeaseRecord *lease)
{
        AuditEvent event = vault_event(&op->caller, op->operation);
        uint64_t now = vault_now(op->vault);
        int r;

        event.verdict = AUDIT_ALLOW;
        event.session = lease->session;
        event.profile = lease->profile;
        event.lease = lease->id;
        event.reason = "token";
        if (lease->kind == LEASE_STORED)
                r = rows_lease_finish(op->vault->db, lease->id, LEASE_REVOKED, OUTCOME_IMPOSSIBLE_ROTATE, now, "revoked");
        else
                r = rows_lease_end(op->vault->db, lease->id, now, "revoked");
        if (r == DB_E_NOT_FOUND)
                r = 0; /* over already */
        if (r == 0 && takes_grant(lease))
                r = end_grant(op, lease);
        return r == 0 ? vault_audit_revocation(op->vault, &event) : r;
}

static int on_cut(void *userdata)
{
        CutGrant *cut = userdata;
        CutGrant copy = *cut;

        free(cut);
        if (copy.replace)
                proxy_grants_replace(copy.op->vault->proxy_grants, copy.session, copy.profile);
        return revoke_step(copy.op);
}

/* Where it is in use by an egress; what was delivered raw is in nobody's reach. */
static int cut_grant(RevokeOp *op, const LeaseRecord *lease, bool written)
{
        bool in_use = egresses_hold(op->vault->egresses, lease->session, lease->profile);
        CutGrant *cut;

        /* Without a row that says so it would come back with the next process: the session ends instead, which is
         * made up for in the state. */
        if (lease->kind == LEASE_CANARY && written)
                return 0;
        if (!written && (in_use || lease->kind != LEASE_CREDENTIAL)) {
                op->ending++;
                return session_end(op->vault, lease->session, "revoked", revoke_step, op);
        }
        cut = calloc(1, sizeof(*cut));
        if (!cut)
                return -ENOMEM;
        cut->op = op;
        cut->replace = in_use && lease->kind == LEASE_CREDENTIAL;
        (void)snprintf(cut->session, sizeof(cut->session), "%s", lease->session);
        (void)snprintf(cut->profile, sizeof(cut->profile), "%s", lease->profile);
        op->ending++;
        return egresses_cut(op->vault->egresses, lease->session, lease->profile, on_cut, cut);
}

/* Those of one page, in one transaction, and then their connections. */
static int revoke_page(RevokeOp *op, const LeaseRecord *leases, size_t n, Failure *failure)
{
        bool written;
        int r;

        r = db_begin(op->vault->db);
        for (size_t i = 0; r == 0 && i < n; i++)
                r = end_lease(op, &leases[i]);
        if (r == 0)
                r = vault_commit(op->vault);
        written = !vault_db_failed(op->vault, r, failure);
        r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = cut_grant(op, &leases[i], written);
        return r;
}

/* What of a page the selection takes, moved to its front. */
static size_t take_page(const Selection *what, LeaseRecord *leases, size_t n)
{
        size_t taken = 0;

        for (size_t i = 0; i < n; i++)
                if (selection_takes(what, &leases[i]))
                        leases[taken++] = leases[i];
        return taken;
}

static int revoke_taken(RevokeOp *op, const LeaseRecord *leases, size_t n, Failure *failure)
{
        int r = 0;

        for (size_t i = 0; i < n; i++)
                revoke_list(op, leases[i].id, expected_of(&leases[i]));
        if (!op->dry_run)
                return n > 0 ? revoke_page(op, leases, n, failure) : 0;
        for (size_t i = 0; r == 0 && i < n; i++)
                if (takes_grant(&leases[i]))
                        r = end_grant(op, &leases[i]);
        (void)vault_db_failed(op->vault, r, failure);
        return 0;
}

/* A stored key can be in use by many sessions. One page that cannot be written does not save the next. */
static int revoke_live(RevokeOp *op, const uint8_t hash[SEAL_HASH_SIZE], const Selection *what, Failure *failure)
{
        uint64_t after = 0;
        LeaseRecord *leases;
        size_t n = LIMIT_PAGE;
        int r = 0;

        while (r == 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);

                n = 0;
                if (!vault_db_failed(op->vault,
                                     rows_lease_list_by_token(op->vault->db, hash, after, LIMIT_PAGE, &pool, &leases, &n),
                                     failure) &&
                    n > 0) {
                        after = leases[n - 1].sequence;
                        r = revoke_taken(op, leases, take_page(what, leases, n), failure);
                }
                pool_deinit(&pool);
        }
        return r;
}

/* What was over before is answered as it ended. */
static void list_last(RevokeOp *op, const uint8_t hash[SEAL_HASH_SIZE], const Selection *what, Failure *failure)
{
        LeaseRecord last;
        int r = rows_lease_get_by_token(op->vault->db, hash, &last);

        if (r == DB_E_NOT_FOUND) {
                failure_set(failure, FAULT_NOT_FOUND, "No credential of this value was issued here.");
                (void)snprintf(failure->remedy, sizeof(failure->remedy),
                               "`mcpcred leak report --dry-run FILE` knows stored secrets too, and a value among other text.");
        } else if (!vault_db_failed(op->vault, r, failure) && selection_takes(what, &last)) {
                revoke_list(op, last.id, lease_outcome(&last));
        }
}

int revoke_token(RevokeOp *op, const char *sha256_hex, const Selection *what, Failure *failure)
{
        uint8_t hash[SEAL_HASH_SIZE];
        int r;

        if (!op->vault->seal) {
                failure_set(failure, FAULT_KEYRING_LOCKED, "A token can be looked up only while the store is open.");
                return 0;
        }
        r = seal_token_hash_hex(op->vault->seal, sha256_hex, hash);
        if (r) {
                failure_set(failure, FAULT_INVALID_PARAMETER, "token_hash is not a SHA-256 in hex.");
                return 0;
        }
        r = revoke_live(op, hash, what, failure);
        if (r == 0 && !failed(failure) && op->n_listed == 0)
                list_last(op, hash, what, failure);
        if (r < 0 || op->dry_run || op->n_listed == 0)
                return r;
        /* Behind a page that could not be written, too: what is on the others is, and is due. */
        op->ending++;
        r = epoch_move(op->vault->epoch, revoke_step, op);
        return r < 0 ? r : revoker_wake(op->vault->revoker);
}
