#pragma once
/* Table session. The grants are one sealed column, what the proxy side needs another. */
#include "base/ident.h"
#include "vault/db.h"
#include "wire/egress_policy.h"
#include "wire/field.h"
#include "wire/msg_broker.h"

/* One profile given to one session, as it was in force at the open. Texts are the pool's. */
typedef struct GrantRecord {
        const char *profile;
        const char *secret;
        Scope *scope;     /* the profile's, narrowed; NULL: none */
        uint32_t deliver; /* Delivery */
        uint64_t ttl;     /* seconds */
        const char *env;  /* NULL: none */
        bool expose_secret;
        TextList command; /* that was pinned */
        EgressPolicy *egress; /* of proxy and endpoint; NULL: it does not go out through the broker */
        const char *env_url;  /* of endpoint: the variable that gets the base URL */
        const char *url_host; /* of endpoint: the host[:port] that the base URL stands for */
        const char *url_path; /* of endpoint: what is put behind the base URL; NULL: nothing */
        TextMap variables;    /* further ones of the child; "{handle}" in a value is the handle */
} GrantRecord;

/* The handle of one grant. */
typedef struct HandleRecord {
        const char *profile;
        Secret *handle;
} HandleRecord;

/* What a session's process is given, and again after it was started anew: the child must not notice. The
 * certificate is the pool's; the secrets are the struct's. */
typedef struct SessionProxy {
        RecordList handles; /* HandleRecord */
        Slice certificate;  /* DER */
        Secret *key;        /* DER: the certificate's */
} SessionProxy;

/* What a Pool may have to hold for one row, at the most that its column can say, and for a page of them. */
#define SESSION_POOL_MAX      (4U * 1024U * 1024U)
#define SESSION_PAGE_POOL_MAX ((size_t)LIMIT_PAGE * SESSION_POOL_MAX)

typedef struct SessionRecord {
        uint64_t sequence; /* of creation, grows; insert sets it */
        char id[IDENT_ID_SIZE + 1];
        uint64_t uid;
        char label[LIMIT_LABEL + 1];
        SessionState state;
        uint64_t opened;   /* wall time */
        uint64_t expires;  /* wall time */
        uint64_t deadline; /* boot clock; only of the boot that `opened` is in */
        uint64_t ended;    /* wall time; 0: not yet */
        char end_reason[LIMIT_TEXT + 1];
        Lifeline lifeline;
        uint8_t secret_hash[SEAL_HASH_SIZE]; /* of MCPCRED_SESSION: seal_token_hash() */
        RecordList grants;                   /* GrantRecord; the pool's */
} SessionRecord;

/* `proxy` NULL: it has no proxy side. DB_E_EXISTS, DB_E_SEALED; DB_E_NO_SPACE when the grants are too long
 * together. Sets record->sequence. */
int rows_session_insert(Db *db, SessionRecord *record, const SessionProxy *proxy) NODISCARD NONNULL(1, 2);
/* With grants: DB_E_SEALED without the key. DB_E_NOT_FOUND, DB_E_DAMAGED, DB_E_NO_SPACE. */
int rows_session_get(Db *db, const char *id, Pool *pool, SessionRecord *ret) NODISCARD
        NONNULL(1, 2, 3, 4);
/* DB_E_NOT_FOUND: no such session, or it has no proxy side. DB_E_SEALED, DB_E_DAMAGED, DB_E_NO_SPACE. */
int rows_session_proxy(Db *db, const char *id, Arena *arena, Pool *pool, SessionProxy *ret) NODISCARD
        NONNULL(1, 2, 3, 4, 5);
/* Frees the secrets and zeroes the struct. */
void session_proxy_clear(SessionProxy *proxy) NONNULL(1);
/* NULL: the profile has none. Stays the struct's. */
Secret *session_proxy_handle(const SessionProxy *proxy, const char *profile) NONNULL(1, 2);
/* The same, and the caller's from now on. */
Secret *session_proxy_take(SessionProxy *proxy, const char *profile) NONNULL(1, 2);
/* OPENING to LIVE. DB_E_NOT_FOUND when it is not opening any more. */
int rows_session_set_live(Db *db, const char *id) NODISCARD NONNULL(1, 2);
/* To ENDED. DB_E_NOT_FOUND when there is none or it has ended, so that only one call ends it. A
 * reason that is too long is cut. */
int rows_session_end(Db *db, const char *id, uint64_t now, const char *reason) NODISCARD
        NONNULL(1, 2, 4);
/* All that have not ended, in one statement: another epoch. */
int rows_session_end_all(Db *db, uint64_t now, const char *reason, uint64_t *ret_n) NODISCARD
        NONNULL(1, 3, 4);
/*
 * A page in order of creation, behind the sequence `after` (0: from the start), at most `max`;
 * those that have ended only with `all`. Zero rows is the end. Without the key of db_set_seal() the
 * grants are left empty; everything else is there.
 */
int rows_session_list(Db *db, bool all, uint64_t after, size_t max, Pool *pool, SessionRecord **ret,
                      size_t *ret_n) NODISCARD NONNULL(1, 5, 6, 7);
/* How many have not ended; of one uid, or with UINT64_MAX of all. */
int rows_session_count(Db *db, uint64_t uid, uint64_t *ret) NODISCARD NONNULL(1, 3);
/* Needs no key. False too where the state cannot be read. */
bool rows_session_exists(Db *db, const char *id) NONNULL(1, 2);
/* Did this user ever open one that is still on record? */
bool rows_session_any(Db *db, uint64_t uid) NONNULL(1);
/* Deletes what ended before `before` and has no lease left, at most `max` rows. */
int rows_session_prune(Db *db, uint64_t before, size_t max, uint64_t *ret_n) NODISCARD
        NONNULL(1, 4);
