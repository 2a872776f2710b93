#pragma once
/*
 * The file <state>/audit.log: whole lines at its end, and what a crash may have left behind them.
 * It knows nothing of the state but the outbox, whose lines it takes over.
 */
#include "vault/db.h"
#include "wire/audit_line.h"

typedef struct AuditLog {
        char *directory;
        char *path;
        int fd;             /* -1: not open, and `error` says why */
        uint64_t sequence;  /* of the last whole line in the file */
        uint64_t size;      /* of the file, as far as we know */
        Buf partial;        /* bytes of the next line that are in the file already */
        int error;          /* -errno of the last attempt to open or write; 0: it worked */
        char tampered[160]; /* "line 12: it was edited"; "": nothing was found */
        bool verified; /* every line was looked at when it was opened, not the last one alone */
} AuditLog;

#define AUDIT_LOG_NULL ((AuditLog){ .fd = -1, .partial = { .max = AUDIT_LINE_MAX } })

/* A larger log is checked at its end alone when the broker starts (60 ms for this much);
 * `mcpcred audit verify` reads all of it. */
#define AUDIT_LOG_VERIFY_MAX (16U * 1024U * 1024U)

/* Only remembers where it is. */
int audit_log_init(AuditLog *log, const char *directory) NODISCARD NONNULL(1, 2);
void audit_log_deinit(AuditLog *log);
/*
 * Makes sure that the file is open, is still the one that is at the path, and has the size we left
 * it with; opens and compares it with the head otherwise. A file that cannot be used sets
 * log->error, one that is not what it was sets log->tampered; both return 0. DB_E_*.
 */
int audit_log_attach(AuditLog *log, Db *db, uint64_t head_sequence,
                     const uint8_t head[AUDIT_HASH_SIZE]) NODISCARD NONNULL(1, 2);
/* Writes and syncs the outbox's lines that are not in the file. Sets log->error and returns 0 when
 * that fails; log->sequence says how far it came. DB_E_*. */
int audit_log_write(AuditLog *log, Db *db) NODISCARD NONNULL(1, 2);
