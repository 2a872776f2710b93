#include "vault/cutoff_work.h"
#include "vault/epoch.h"
#include "vault/known_values.h"
#include "vault/response.h"
#include "vault/revoker.h"
#include "vault/rows_meta.h"
#include "vault/session_collect.h"
#include "vault/session_end.h"
#include "vault/vault.h"
#include "vault/waiting_room.h"
#include <stdio.h>

/* Root key of the state, as it should be: a keyed hash that only the right key gives. */
#define META_ROOT_CHECK "root_check"
#define RETRY_FIRST_USEC (1 * USEC_PER_SEC)
#define RETRY_MOST_USEC (30 * USEC_PER_SEC)
#define HELD_USEC (10 * USEC_PER_SEC)

/* An attempt to open the store. */
typedef struct Opening {
        Vault *vault;
        Request *request; /* an Unlock that waits for it, or NULL */
        Secret *root;     /* freshly made, while it is being stored */
        Failure locked;   /* what Open said, while a delivered credential is tried */
        bool creating;    /* the credential is to make the file */
} Opening;

/* ---- the store ---- */

const char *vault_store_state(const Vault *vault)
{
        if (vault->store.ready)
                return "ready";
        switch (vault->store.problem.fault) {
        case FAULT_NONE:
                return "opening";
        case FAULT_KEYRING_LOCKED:
        case FAULT_WRONG_PASSPHRASE:
                return "locked";
        case FAULT_KEYRING_ABSENT:
                return "absent";
        case FAULT_KEYRING_HUNG:
                return "hung";
        case FAULT_ROLLBACK:
                return "rollback";
        case FAULT_STORE_DAMAGED:
                return "damaged";
        default:
                return "failed";
        }
}

static int answer_opening(Opening *opening, const Failure *failure)
{
        Vault *vault = opening->vault;
        StoreReply reply = { .store = store_kind_names[vault->store.kind], .store_state = vault_store_state(vault) };
        int r = 0;

        if (opening->request)
                r = failed(failure) ? failure_answer(failure, opening->request)
                                    : request_reply(opening->request, &reply, NULL, 0);
        secret_free(opening->root);
        free(opening);
        return r < 0 ? r : waiting_room_look(vault->waiting_room);
}

static int open_failed(Opening *opening, const Failure *failure)
{
        VaultStore *store = &opening->vault->store;
        uint64_t wait = RETRY_FIRST_USEC;

        if (store->problem.fault != failure->fault)
                role_log(&opening->vault->role, LOG_LEVEL_WARNING, "store: %s", failure->message);
        store->opening = false;
        store->ready = false;
        if (failure->fault != FAULT_UNAVAILABLE)
                store->problem = *failure;
        else
                store->problem = (Failure){ 0 }; /* the role is restarting, and then it is tried again */
        for (uint64_t i = 0; i < store->retries && wait < RETRY_MOST_USEC; i++)
                wait *= 2;
        store->retries++;
        timer_arm_after(store->retry, MIN(wait, RETRY_MOST_USEC));
        return answer_opening(opening, failure);
}

/*
 * A process that was killed behind a cutoff had perhaps not come to end the sessions that hold something of it. By their
 * leases that can be told at once; what they were granted beyond that only with the store open (`locked` false), and
 * nothing is issued before.
 */
static int end_cut_off(Vault *vault, bool locked)
{
        CutoffRecord cutoff = { .id = 0 };
        Failure failure = { 0 };
        int r = 0, found;

        while (r == 0 && !failed(&failure)) {
                SessionSet sessions = SESSION_SET_NULL;

                found = rows_cutoff_next(vault->db, CUTOFF_WRITTEN, cutoff.id, &cutoff);
                if (found == DB_E_NOT_FOUND)
                        return 0;
                if (found == 0)
                        found = session_collect(&sessions, vault, &cutoff, false);
                if (!vault_db_failed(vault, found, &failure))
                        r = session_ends_write(vault, &sessions, locked ? NULL : &cutoff, cutoff.reason, &failure);
                if (r == 0 && sessions.n > 0)
                        r = session_ends_cut(vault, &sessions, NULL, NULL);
                session_set_deinit(&sessions);
        }
        return r;
}

static int open_done(Opening *opening)
{
        Vault *vault = opening->vault;
        Failure failure = { 0 };
        int r;

        vault->store.opening = false;
        vault->store.ready = true;
        vault->store.retries = 0;
        vault->store.problem = failure;
        timer_disarm(vault->store.retry);
        role_log(&vault->role, LOG_LEVEL_INFO, "store: %s is open", store_kind_names[vault->store.kind]);
        r = rows_meta_set_u64(vault->db, META_STORE_KIND, vault->store.kind);
        (void)vault_db_failed(vault, r, &failure);
        r = end_cut_off(vault, false);
        if (r == 0)
                r = rotate_resume_all(vault);
        if (r == 0)
                r = known_values_catch_up_all(vault);
        if (r == 0)
                r = response_resume_all(vault);
        if (r == 0)
                r = revoker_wake(vault->revoker);
        failure = (Failure){ 0 };
        return r < 0 ? r : answer_opening(opening, &failure);
}

/* The root key is there: is it the one that this state was made with? */
static int use_root(Opening *opening, const Secret *root)
{
        Vault *vault = opening->vault;
        uint8_t check[SEAL_HASH_SIZE], expected[SEAL_HASH_SIZE];
        _cleanup_(seal_freep) Seal *seal = NULL;
        Failure failure;
        int r;

        r = seal_new(&seal, vault->role.arena, root);
        if (r) {
                failure_set(&failure, r > 0 ? FAULT_STORE_DAMAGED : FAULT_INTERNAL,
                            "The state's key in the store cannot be used.");
                return open_failed(opening, &failure);
        }
        seal_token_hash(seal, slice_text(META_ROOT_CHECK), check);
        r = rows_meta_get_bytes(vault->db, META_ROOT_CHECK, expected, sizeof(expected));
        if (r == DB_E_NOT_FOUND)
                r = rows_meta_set_bytes(vault->db, META_ROOT_CHECK, slice(check, sizeof(check)));
        else if (r == 0 && memcmp(check, expected, sizeof(check)) != 0) {
                failure_set(&failure, FAULT_ROLLBACK,
                            "The key in the store is not the one that the state was made with.");
                return open_failed(opening, &failure);
        }
        if (vault_db_failed(vault, r, &failure))
                return open_failed(opening, &failure);
        db_set_seal(vault->db, NULL);
        seal_free(vault->seal);
        vault->seal = take_ptr(seal);
        db_set_seal(vault->db, vault->seal);
        return open_done(opening);
}

static int on_root_stored(void *userdata, Secret *value, const Failure *failure)
{
        Opening *opening = userdata;

        secret_free(value);
        return failed(failure) ? open_failed(opening, failure) : use_root(opening, opening->root);
}

static int on_root(void *userdata, Secret *value, const Failure *failure)
{
        _cleanup_(secret_freep) Secret *root = value;
        Opening *opening = userdata;
        uint8_t expected[SEAL_HASH_SIZE];
        Failure mine;
        int r;

        if (failed(failure))
                return open_failed(opening, failure);
        if (root)
                return use_root(opening, root);
        r = rows_meta_get_bytes(opening->vault->db, META_ROOT_CHECK, expected, sizeof(expected));
        if (r == 0) {
                failure_set(&mine, FAULT_ROLLBACK,
                            "The store (%s) has no key for this state: it is an older copy, or another store.",
                            store_kind_names[opening->vault->store.kind]);
                return open_failed(opening, &mine);
        }
        if (r != DB_E_NOT_FOUND && vault_db_failed(opening->vault, r, &mine))
                return open_failed(opening, &mine);
        r = seal_root_new(&opening->root, opening->vault->role.arena);
        if (r) {
                failure_set(&mine, FAULT_INTERNAL, NULL);
                return open_failed(opening, &mine);
        }
        return keyring_client_store(opening->vault->keyring, KEYRING_ROOT_ITEM, opening->root, on_root_stored, opening);
}

static int load_root(Opening *opening)
{
        return keyring_client_load(opening->vault->keyring, KEYRING_ROOT_ITEM, on_root, opening);
}

/* A passphrase that was refused is between the store and whoever typed it: what is open stays open, and
 * what is not stays what it was for everybody else. */
static int unlock_refused(Opening *opening, const Failure *failure)
{
        VaultStore *store = &opening->vault->store;

        store->opening = false;
        if (!store->ready) /* the timer may have found it busy; who tries again and again does not put it off */
                timer_arm_within(store->retry, RETRY_FIRST_USEC);
        return answer_opening(opening, failure);
}

static int on_unlocked(void *userdata, Secret *value, const Failure *failure)
{
        Opening *opening = userdata;
        VaultStore *store = &opening->vault->store;

        if (failed(failure)) {
                secret_free(value);
                if (opening->request && (store->ready || failure->fault == FAULT_WRONG_PASSPHRASE))
                        return unlock_refused(opening, failure);
                return open_failed(opening, failure);
        }
        if (value) {
                secret_free(store->key);
                store->key = value;
                store->kind = STORE_SEALED_FILE;
        }
        return load_root(opening);
}

/* A new state, that no root key was ever made for. */
static bool is_new_state(Vault *vault)
{
        uint8_t check[SEAL_HASH_SIZE];

        return rows_meta_get_bytes(vault->db, META_ROOT_CHECK, check, sizeof(check)) == DB_E_NOT_FOUND;
}

/* A sealed file opens by itself where the service manager delivered its key, and is made with it on a
 * machine that has none yet. Without such a credential the answer stays what Open said. */
static int on_credential_tried(void *userdata, Secret *value, const Failure *failure)
{
        Opening *opening = userdata;

        if (failed(failure) && !opening->creating && is_new_state(opening->vault)) {
                opening->creating = true;
                return keyring_client_unlock(opening->vault->keyring, NULL, NULL, true, on_credential_tried, opening);
        }
        return failed(failure) ? open_failed(opening, &opening->locked) : on_unlocked(opening, value, failure);
}

static int on_opened(void *userdata, StoreKind kind, Secret *key, const Failure *failure)
{
        Opening *opening = userdata;
        VaultStore *store = &opening->vault->store;

        if (key) {
                secret_free(store->key);
                store->key = key;
        }
        if (failure->fault == FAULT_KEYRING_LOCKED && store->key)
                return keyring_client_unlock(opening->vault->keyring, NULL, store->key, false, on_unlocked, opening);
        if ((failure->fault == FAULT_KEYRING_LOCKED || failure->fault == FAULT_KEYRING_ABSENT) &&
            policy_settings(opening->vault->policy)->store == STORE_SEALED_FILE) {
                opening->locked = *failure;
                return keyring_client_unlock(opening->vault->keyring, NULL, NULL, false, on_credential_tried, opening);
        }
        if (failed(failure))
                return open_failed(opening, failure);
        store->kind = kind;
        return load_root(opening);
}

/* Marks the store as being opened. */
static int opening_new(Vault *vault, Request *request, Opening **ret)
{
        Opening *opening = calloc(1, sizeof(*opening));

        if (!opening)
                return -ENOMEM;
        opening->vault = vault;
        opening->request = request;
        vault->store.opening = true;
        *ret = opening;
        return 0;
}

static int open_store(Vault *vault)
{
        uint64_t resume = STORE_AUTO;
        Opening *opening;
        Failure failure;
        int r;

        r = rows_meta_get_u64(vault->db, META_STORE_KIND, &resume);
        if (r && r != DB_E_NOT_FOUND)
                (void)vault_db_failed(vault, r, &failure);
        if (resume > STORE_MEMORY)
                resume = STORE_AUTO;
        r = opening_new(vault, NULL, &opening);
        if (r < 0)
                return r;
        return keyring_client_open(vault->keyring, policy_settings(vault->policy)->store, (StoreKind)resume, on_opened,
                                   opening);
}

int vault_store_unlock(Vault *vault, Request *request, Secret *passphrase, bool create)
{
        Opening *opening;
        int r;

        if (vault->store.opening || !vault->db)
                return request_fail(request, FAULT_BUSY, "The store is being opened; try again in a moment.");
        r = opening_new(vault, request, &opening);
        if (r < 0)
                return r;
        return keyring_client_unlock(vault->keyring, passphrase, NULL, create, on_unlocked, opening);
}

static int on_locked(void *userdata, Secret *value, const Failure *failure)
{
        Opening *opening = userdata;
        Vault *vault = opening->vault;

        secret_free(value);
        vault->store.opening = false;
        if (failed(failure))
                return answer_opening(opening, failure);
        vault->store.ready = false;
        vault->store.key = secret_free(vault->store.key);
        failure_set(&vault->store.problem, FAULT_KEYRING_LOCKED, "The store was locked by `mcpcred lock`.");
        db_set_seal(vault->db, NULL);
        vault->seal = seal_free(vault->seal);
        return answer_opening(opening, failure);
}

int vault_store_lock(Vault *vault, Request *request)
{
        Opening *opening;
        int r;

        if (vault->store.opening || !vault->db)
                return request_fail(request, FAULT_BUSY, "The store is being opened; try again in a moment.");
        r = opening_new(vault, request, &opening);
        if (r < 0)
                return r;
        timer_disarm(vault->store.retry);
        return keyring_client_lock(vault->keyring, on_locked, opening);
}

/* ---- what an earlier run left ---- */

/* Everything that the state holds is ended: it is not the state of this run. */
static int end_everything(Vault *vault, const char *reason)
{
        CutoffRecord cutoff = { .time = vault_now(vault), .step = CUTOFF_SESSIONS_ENDED };
        AuditEvent event = { .operation = "state.end-all", .verdict = AUDIT_ALLOW, .reason = reason };
        uint64_t ended = 0;
        int r;

        (void)snprintf(cutoff.reason, sizeof(cutoff.reason), "%s", reason);
        r = db_begin(vault->db);
        if (r == 0)
                r = rows_session_end_all(vault->db, vault_now(vault), reason, &ended);
        if (r == 0)
                r = rows_cutoff_insert(vault->db, &cutoff);
        if (r == 0 && ended > 0)
                r = vault_audit_revocation(vault, &event);
        return r == 0 ? vault_commit(vault) : r;
}

/* An intent of an earlier process: the upstream may have given something that nobody received. */
static int resolve_intents(Vault *vault)
{
        LeaseFilter filter = { .states = 1U << LEASE_INTENT };
        Pool pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);
        LeaseRecord *leases;
        uint64_t after = 0;
        size_t n = LIMIT_PAGE;
        int r;

        r = db_begin(vault->db);
        while (r == 0 && n == LIMIT_PAGE) {
                r = rows_lease_list(vault->db, &filter, after, LIMIT_PAGE, &pool, &leases, &n);
                for (size_t i = 0; r == 0 && i < n; i++) {
                        AuditEvent event = {
                                .session = leases[i].session,
                                .profile = leases[i].profile,
                                .secret = leases[i].secret,
                                .lease = leases[i].id,
                                .operation = "token.mint",
                                .verdict = AUDIT_ERROR,
                                .reason = "Unrecoverable",
                                .detail = "the broker stopped before the upstream's reply was written down",
                        };

                        after = leases[i].sequence;
                        r = rows_lease_finish(vault->db, leases[i].id, LEASE_UNRECOVERABLE, OUTCOME_PENDING,
                                              vault_now(vault), "the broker stopped while it was being minted");
                        if (r == 0)
                                r = audit_append(vault->audit, &event);
                }
                pool_deinit(&pool);
        }
        return r == 0 ? vault_commit(vault) : r;
}

typedef struct Recovery {
        Vault *vault;
        Pool pool;
        const char *held[4096];
        bool known[4096]; /* of those, that the state has as not ended */
        size_t n_held;
} Recovery;

static bool is_held(Recovery *recovery, const char *session)
{
        for (size_t i = 0; i < recovery->n_held; i++)
                if (strcmp(recovery->held[i], session) == 0) {
                        recovery->known[i] = true;
                        return true;
                }
        return false;
}

/* Sessions that the supervisor does not hold, and those that never got as far as being open, end. */
static int end_unheld(Recovery *recovery)
{
        Vault *vault = recovery->vault;
        SessionRecord *sessions;
        uint64_t after = 0;
        Failure failure;
        size_t n = LIMIT_PAGE;
        int r = 0;

        while (r >= 0 && n == LIMIT_PAGE) {
                Pool pool = POOL_NULL(SESSION_PAGE_POOL_MAX);

                r = rows_session_list(vault->db, false, after, LIMIT_PAGE, &pool, &sessions, &n);
                if (vault_db_failed(vault, r, &failure)) {
                        n = 0;
                        recovery->n_held = 0; /* it is not known which have ended */
                }
                r = 0;
                for (size_t i = 0; r >= 0 && i < n; i++) {
                        bool held = is_held(recovery, sessions[i].id);

                        after = sessions[i].sequence;
                        if (sessions[i].state == SESSION_OPENING)
                                r = session_end(vault, sessions[i].id, "the broker restarted while it was being opened",
                                                NULL, NULL);
                        else if (!held)
                                r = session_end(vault, sessions[i].id, "its lifeline is gone", NULL, NULL);
                }
                pool_deinit(&pool);
        }
        return r;
}

static int on_ended(UNUSED void *userdata, UNUSED const Reply *reply)
{
        return 0; /* a supervisor that is gone has ended everything */
}

/* A vault that died behind a commit had not come to tell the supervisor: sockets, process and lifeline are still there,
 * and whoever holds the other end would take the session for a live one. */
static int end_forgotten(const Recovery *recovery)
{
        const char *items[LIMIT_CUT];
        EndSessionsRequest request = { .sessions = { items, 0 } };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < recovery->n_held; i++) {
                if (!recovery->known[i])
                        items[request.sessions.n++] = recovery->held[i];
                if (request.sessions.n < LIMIT_CUT && (request.sessions.n == 0 || i + 1 < recovery->n_held))
                        continue;
                r = channel_call(recovery->vault->role.supervisor, VAULT_END_SESSIONS, &request, NULL, 0, HELD_USEC, on_ended,
                                 NULL, NULL);
                request.sessions.n = 0;
        }
        return r < 0 ? r : 0;
}

static int on_moved(void *userdata)
{
        Vault *vault = userdata;
        int r;

        vault->recovered = true;
        cutoff_work_wake(vault->cutoff_work);
        role_log(&vault->role, LOG_LEVEL_INFO, "state: ready");
        r = vault_expire(vault);
        if (r == 0)
                r = revoker_wake(vault->revoker);
        return r < 0 ? r : waiting_room_look(vault->waiting_room);
}

static int on_held(void *userdata, const Reply *reply)
{
        Recovery *recovery = userdata;
        Vault *vault = recovery->vault;
        const ListHeldReply *body = reply->body;
        int r = 0;

        for (size_t i = 0; body && i < body->sessions.n && recovery->n_held < ARRAY_SIZE(recovery->held); i++) {
                r = pool_text(&recovery->pool, slice_text(body->sessions.items[i]), &recovery->held[recovery->n_held]);
                if (r < 0)
                        return r;
                recovery->n_held++;
        }
        if (reply->more)
                return 0;
        r = end_cut_off(vault, true);
        if (r == 0)
                r = end_unheld(recovery);
        if (r >= 0)
                r = end_forgotten(recovery);
        pool_deinit(&recovery->pool);
        free(recovery);
        return r < 0 ? r : epoch_move(vault->epoch, on_moved, vault);
}

static int recover(Vault *vault)
{
        Recovery *recovery;
        Empty nothing = { 0 };
        bool matches;
        int r;

        r = epoch_matches(vault->epoch, &matches);
        if (r == 0 && !matches)
                r = end_everything(vault, "the state is from before a restart, or an older copy");
        if (r == 0)
                r = resolve_intents(vault);
        if (r) {
                role_log(&vault->role, LOG_LEVEL_ERROR, "state: cannot be recovered: %s",
                         r > 0 ? db_strerror(r) : strerror(-r));
                return r > 0 ? -EIO : r;
        }
        recovery = calloc(1, sizeof(*recovery));
        if (!recovery)
                return -ENOMEM;
        recovery->vault = vault;
        recovery->pool = POOL_NULL(4U * CHANNEL_FRAME_MAX);
        return channel_call(vault->role.supervisor, VAULT_LIST_HELD, &nothing, NULL, 0, HELD_USEC, on_held, recovery,
                            NULL);
}

/* Opens the state and starts what works on it. */
static int open_state(Vault *vault)
{
        int r;

        r = db_open(&vault->db, vault->state_directory);
        if (r == 0)
                r = audit_new(&vault->audit, vault->db, vault->state_directory, loop_clock(vault->role.loop));
        if (r > 0) {
                role_log(&vault->role, LOG_LEVEL_ERROR, "state in %s: %s", vault->state_directory, db_strerror(r));
                return -EIO;
        }
        if (r == 0) {
                vault_configure_audit(vault);
                r = watchers_new(&vault->watchers, vault);
        }
        if (r == 0)
                r = audit_journal_new(&vault->journal, vault);
        if (r == 0)
                r = epoch_new(&vault->epoch, vault);
        if (r == 0)
                r = revoker_new(&vault->revoker, vault);
        if (r == 0)
                r = cutoff_work_new(&vault->cutoff_work, vault);
        if (r == 0)
                r = recover(vault);
        return r;
}

int vault_bring_up(Vault *vault)
{
        int r = 0;

        if (vault->start.received && !vault->db)
                r = open_state(vault);
        if (r == 0 && vault->db && vault->policy && keyring_client_is_attached(vault->keyring) &&
            !vault->store.ready && !vault->store.opening)
                r = open_store(vault);
        return r;
}
