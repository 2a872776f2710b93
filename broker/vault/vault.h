#pragma once
/*
 * The vault: secrets, policy, sessions, leases and the audit log. It has no network; what it knows of
 * the world comes over its edges.
 *
 * This header is what the vault's own files share. Each operation is a file op_*.c; what several of
 * them need (minting, ending, revoking upstream, the epoch, bringing up the store) is one file each.
 */
#include "base/ident.h"
#include "base/list.h"
#include "ipc/role.h"
#include "vault/audit.h"
#include "vault/failure.h"
#include "vault/keyring_client.h"
#include "vault/policy.h"
#include "vault/provider_pool.h"
#include "vault/rows_secret.h"
#include "vault/rows_session.h"
#include "wire/msg_session.h"

typedef struct Vault Vault;
typedef struct CutoffWork CutoffWork;
typedef struct Egresses Egresses;
typedef struct Epoch Epoch;
typedef struct ProxyGrants ProxyGrants;
typedef struct Responses Responses;
typedef struct Revoker Revoker;
typedef struct Rotation Rotation;
typedef struct RotationSchedule RotationSchedule;
typedef struct TokenTurns TokenTurns;
typedef struct WaitingRoom WaitingRoom;
typedef struct Watchers Watchers;
typedef struct AuditJournal AuditJournal;

/* What the supervisor said at the start. */
typedef struct VaultStart {
        bool received;
        char version[LIMIT_NAME + 1];
        char runtime_directory[LIMIT_PATH + 1];
        char config_directory[LIMIT_PATH + 1];
        char epoch[65];   /* "": there was no epoch file */
        char boot_id[65]; /* "": the epoch file is memory-backed */
        uint64_t owner_uid;
        uint64_t started;
} VaultStart;

/* Where the store of secrets stands. */
typedef struct VaultStore {
        StoreKind kind;  /* in use; STORE_AUTO: none yet */
        bool opening;    /* an attempt is under way */
        bool ready;      /* secrets can be loaded and sealed columns opened */
        Failure problem; /* why not */
        Secret *key;     /* of a sealed file, so that a restarted keyring role can open it again */
        Timer *retry;
        uint64_t retries;
} VaultStore;

typedef struct RoleStatus {
        uint64_t pid;
        uint64_t restarts;
        uint64_t started;
} RoleStatus;

struct Vault {
        RoleProcess role; /* first: ipc/role.h */
        const char *state_directory;
        VaultStart start;
        VaultStore store;
        RoleStatus roles[_ROLE_N];
        Policy *policy; /* in force; NULL until the first commit */
        Policy *next_policy; /* being received */
        Pool problem_pool;
        TextList problems; /* of a configuration that was refused */
        Db *db;
        Seal *seal; /* NULL until the root key is there */
        Audit *audit;
        Watchers *watchers;
        AuditJournal *journal;
        KeyringClient *keyring;
        ProviderPool *providers;
        Epoch *epoch;
        Revoker *revoker;
        CutoffWork *cutoff_work;
        TokenTurns *turns;
        Egresses *egresses;
        ProxyGrants *proxy_grants;
        WaitingRoom *waiting_room;
        Responses *responses; /* to leaks */
        Channel *gate;
        List session_edges; /* SessionEdge (session_edge.c) */
        uint64_t n_session_edges; /* so far */
        Timer *expiry;         /* sessions and leases */
        uint64_t next_session; /* boot time of the soonest deadline of a session; UINT64_MAX: none */
        Timer *audit_flush;
        Timer *prune;
        List unclosed; /* Unclosed (mint.c): intents whose outcome could not be written yet */
        List unended; /* Unended (session_end.c): sessions whose end could not be written yet */
        List changes; /* Change: secrets that are being added, replaced or rotated */
        List rotations; /* Rotation (rotation.h) */
        RotationSchedule *schedule;
        bool recovered; /* what an earlier run left has been resolved */
};

/* ---- vault.c ---- */

int vault_init(Vault *vault) NODISCARD NONNULL(1);
void vault_deinit(Vault *vault) NONNULL(1);
/* Calls of the supervisor. */
int vault_on_supervisor(void *userdata, Channel *channel, Request *request) NODISCARD;

/* The owner of the broker, or root: who may see and end what is not his own. */
bool vault_is_owner(const Vault *vault, const Caller *caller) NONNULL(1, 2);

/* ---- vault_log.c: transactions, audit and refusals, as all operations use them ---- */

uint64_t vault_now(const Vault *vault) NONNULL(1);  /* wall clock */
uint64_t vault_boot(const Vault *vault) NONNULL(1); /* boot clock */
/*
 * Deals with what a db_*, rows_* or audit_* function returned. 0: returns false, and nothing else. Otherwise true, with
 * `failure` filled, and *rolls back the transaction that is open, whoever began it*: behind this a caller begins anew, or
 * gives up. What is a defect or the disk's is logged.
 *
 * DB_E_FULL and DB_E_IO are FAULT_AUDIT_UNAVAILABLE, since then nothing can be audited; DB_E_NOT_FOUND is
 * FAULT_NOT_FOUND, DB_E_EXISTS FAULT_EXISTS, DB_E_SEALED FAULT_KEYRING_LOCKED; all else, -errno too, is FAULT_INTERNAL.
 */
bool vault_db_failed(Vault *vault, int r, Failure *failure) NONNULL(1, 3);
/* Commits and sees to it that the audit file follows: a line of audit_append() without this is in the file only when
 * something else has it written. */
int vault_commit(Vault *vault) NODISCARD NONNULL(1);
/* As audit_append(), but a log that cannot take it is no failure: revocation never waits for the log. */
int vault_audit_revocation(Vault *vault, AuditEvent *event) NODISCARD NONNULL(1, 2);
/* The line of something that was refused, or failed, and that its cause can repeat at will: beyond a rate it is
 * counted. That it cannot be written is no failure either. Harmless before there is a log. */
int vault_audit_refusal(Vault *vault, AuditEvent *event) NODISCARD NONNULL(1, 2);
/* What the configuration says of its files. */
void vault_configure_audit(Vault *vault) NONNULL(1);
/* Writes the audit file now. */
int vault_flush_audit(Vault *vault) NODISCARD NONNULL(1);
/* Whether anything may be issued: recovered, store open, log writable. Fills `failure` if not. */
bool vault_may_issue(Vault *vault, Failure *failure) NONNULL(1, 2);
/* Answers a request with a failure and writes the denial, if it is one, to the audit log. `event` says
 * who asked for what; verdict and reason are filled in here. */
int vault_refuse(Vault *vault, Request *request, AuditEvent event, const Failure *failure) NODISCARD
        NONNULL(1, 2, 4);
/* An event of this principal. */
AuditEvent vault_event(const Caller *caller, const char *operation) NONNULL(2);
/* Whether the configuration is the one that the secrets were added under: what a secret may be used for
 * is sealed, and so is who says it. Fills `failure` if not. */
bool vault_config_fits(Vault *vault, Failure *failure) NONNULL(1, 2);

/* ---- bringup.c: the store and what an earlier run left ---- */

/* Goes as far as what is there allows; called whenever a part of it arrives. */
int vault_bring_up(Vault *vault) NODISCARD NONNULL(1);
int vault_store_unlock(Vault *vault, Request *request, Secret *passphrase, bool create) NODISCARD NONNULL(1, 2);
int vault_store_lock(Vault *vault, Request *request) NODISCARD NONNULL(1, 2);
/* "ready", "locked", "absent", ... for Status. */
const char *vault_store_state(const Vault *vault) NONNULL(1);

/* ---- session_end.c ---- */

typedef int (*SessionEndDone)(void *userdata);
/*
 * Ends a session here: durable first, then its credentials at every egress, its process, directory and lifeline. Its leases go to the revoker. `done` (may be NULL) is called when nothing of it is left on this machine and the epoch has
 * moved, so that no older state can bring it back. A session that has ended is no error. An end that
 * cannot be written, because the disk is full, is tried again until it can.
 */
int session_end(Vault *vault, const char *id, const char *reason, SessionEndDone done, void *userdata)
        NODISCARD NONNULL(1, 2, 3);
/* The same, with what `also` writes (of `userdata`, as `done`) in front of it in the same transaction. Where it cannot
 * be written, `failure` says so, and the session ends all the same, without that. */
int session_end_also(Vault *vault, const char *id, const char *reason, int (*also)(void *userdata), SessionEndDone done,
                     void *userdata, Failure *failure) NODISCARD NONNULL(1, 2, 3, 7);
/* What is beyond its time: sessions and leases. Arms the timer again. */
int vault_expire(void *userdata) NODISCARD;
/* Is it open, and within its time? Fills `failure` if not. */
bool session_is_usable(const Vault *vault, const SessionRecord *session, Failure *failure) NONNULL(1, 2, 3);
/* It has ended, though the state does not say so yet. */
bool session_is_unended(const Vault *vault, const char *id) NONNULL(1, 2);
/* Forgets the ends that are still to be written; the next start finds those sessions without a lifeline. */
void session_end_forget(Vault *vault) NONNULL(1);
/* Has the expiry timer consider this deadline. */
void vault_note_deadline(Vault *vault, uint64_t boot_usec) NONNULL(1);

/* ---- session_edge.c: what the sessions' processes ask and tell ---- */

/* Takes the descriptor over. */
int session_edge_attach(Vault *vault, int fd, const char *session) NODISCARD NONNULL(1, 3);
void session_edges_free(Vault *vault) NONNULL(1);

/* ---- proxy_report.c: what belongs into the log of what the way out meets ---- */

/* `session` is the one that it is about, as far as the edge proves it; that in the report is not looked at. */
int proxy_report(Vault *vault, const char *session, const char *profile, const EgressReport *report) NODISCARD
        NONNULL(1, 2, 4);
int proxy_misuse(Vault *vault, const char *session, const SessionMisuseNotice *notice) NODISCARD NONNULL(1, 2, 3);
/* Somebody who has not proved who he is brought this in the place of a session's own secret. `value` may be NULL. */
int proxy_presented(Vault *vault, const Secret *value) NODISCARD NONNULL(1);

/* ---- op_watch.c, audit_journal.c: who follows the log ---- */

int watchers_new(Watchers **ret, Vault *vault) NODISCARD NONNULL(1, 2);
/* Those that there are learn that the vault ends. */
Watchers *watchers_free(Watchers *watchers);
/* There are new lines. Not inside a transaction. */
int watchers_wake(Watchers *watchers) NODISCARD NONNULL(1);
int audit_journal_new(AuditJournal **ret, Vault *vault) NODISCARD NONNULL(1, 2);
AuditJournal *audit_journal_free(AuditJournal *journal);
int audit_journal_wake(AuditJournal *journal) NODISCARD NONNULL(1);
/* Sends the head and what has not been told yet, and answers the request then, or when the journal takes nothing. */
int audit_journal_finish(AuditJournal *journal, Request *request) NODISCARD NONNULL(1, 2);

/* ---- operations: each answers its request, now or later ---- */

int op_open_session(Vault *vault, Request *request) NODISCARD;
int op_close_session(Vault *vault, Request *request) NODISCARD;
int op_get_token(Vault *vault, Request *request) NODISCARD;
int op_session_token(Vault *vault, const char *session, Request *request) NODISCARD;
int op_session_prove(Vault *vault, const char *session, Request *request) NODISCARD;
/* `process` tells the session's processes apart. */
int op_session_configure(Vault *vault, const char *session, uint64_t process, Request *request) NODISCARD;
int op_add_secret(Vault *vault, Request *request) NODISCARD;
int op_remove_secret(Vault *vault, Request *request) NODISCARD;
int op_list_secrets(Vault *vault, Request *request) NODISCARD;
int op_list_sessions(Vault *vault, Request *request) NODISCARD;
int op_list_leases(Vault *vault, Request *request) NODISCARD;
int op_list_profiles(Vault *vault, Request *request) NODISCARD;
int op_rotate(Vault *vault, Request *request) NODISCARD;
int op_revoke(Vault *vault, Request *request) NODISCARD;
int op_status(Vault *vault, Request *request) NODISCARD;
int op_doctor(Vault *vault, Request *request) NODISCARD;
int op_metrics(Vault *vault, Request *request) NODISCARD;
int op_reload(Vault *vault, Request *request) NODISCARD;
int op_lock(Vault *vault, Request *request) NODISCARD;
int op_unlock(Vault *vault, Request *request) NODISCARD;
int op_report_leak(Vault *vault, Request *request) NODISCARD;
int op_list_incidents(Vault *vault, Request *request) NODISCARD;
int op_close_incident(Vault *vault, Request *request) NODISCARD;
int op_scan_patterns(Vault *vault, Request *request) NODISCARD;
int op_verify_webhook(Vault *vault, Request *request) NODISCARD;
int op_watch(Vault *vault, Request *request) NODISCARD;
int op_hash_token(Vault *vault, Request *request) NODISCARD;

/* ---- op_rotate.c, rotation.c, rotation_schedule.c: rotations that nobody waits for ---- */

/* Goes on with the rotations that an earlier run left, or that waited for the store. */
int rotate_resume_all(Vault *vault) NODISCARD NONNULL(1);
/* A rotation that nobody waits for: by schedule, or after a leak (`now`: without grace). False with `failure` where the
 * provider cannot do it by itself, or one is under way. */
bool rotate_begin(Vault *vault, const char *name, const char *reason, bool now, Failure *failure) NODISCARD
        NONNULL(1, 2, 3, 5);
/* Whether one holds a value that only this process has, or waits for one: then the store must stay open. */
bool rotate_needs_store(const Vault *vault, Failure *failure) NONNULL(1, 2);
/* Forgets them; the state knows where each is. */
void rotations_free(Vault *vault) NONNULL(1);
int rotation_schedule_new(RotationSchedule **ret, Vault *vault) NODISCARD NONNULL(1, 2);
RotationSchedule *rotation_schedule_free(RotationSchedule *schedule);
/* Looks now: the configuration, the store or a secret is another. */
void rotation_schedule_wake(RotationSchedule *schedule) NONNULL(1);
/* When the secret is to be rotated next; UINT64_MAX: never by itself. */
uint64_t rotation_due(const Vault *vault, const SecretRecord *record) NONNULL(1, 2);
