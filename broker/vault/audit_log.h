#pragma once
/*
 * The file <state>/audit.log: whole lines at its end, and what a crash may have left behind them;
 * and how it becomes a former one. It knows nothing of the state but the outbox, whose lines it takes over.
 */
#include "wire/audit_files.h"
#include "vault/db.h"
#include "wire/audit_line.h"

/* A place in the chain: a line's sequence and the hash after it. 0 and zeros: before the first line. */
typedef struct AuditLink {
        uint64_t sequence;
        uint8_t hash[AUDIT_HASH_SIZE];
} AuditLink;

typedef struct AuditLog {
        char *directory;
        char *path;
        int fd;             /* -1: not open, and `error` says why */
        uint64_t sequence;  /* of the last whole line in the file */
        AuditLink before;   /* what the first line of the file follows */
        uint64_t size;      /* of the file, as far as we know */
        Buf partial;        /* bytes of the next line that are in the file already */
        int error;          /* -errno of the last attempt to open or write; 0: it worked */
        char tampered[160]; /* "line 12: it was edited", in a former file with its name before; "": nothing was found */
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
 * it with; opens and compares it with the head otherwise. `base` is what the oldest file that is kept follows. A
 * file that cannot be used sets log->error, one that is not what it was sets log->tampered; both return 0. DB_E_*.
 */
int audit_log_attach(AuditLog *log, Db *db, const AuditLink *head, const AuditLink *base) NODISCARD
        NONNULL(1, 2, 3, 4);
/* Writes and syncs the outbox's lines that are not in the file. Sets log->error and returns 0 when
 * that fails; log->sequence says how far it came. DB_E_*. */
int audit_log_write(AuditLog *log, Db *db) NODISCARD NONNULL(1, 2);
/*
 * Gives the file the name of a former one and begins a new one. Everything in it must be synced. What cannot be done
 * now leaves things as they are (false), or with a log that cannot be written (log->error), which
 * audit_log_attach() mends.
 */
bool audit_log_rotate(AuditLog *log) NONNULL(1);
/* What the file follows that is the oldest once at most `keep` former ones are left. False: there are not more. */
bool audit_log_excess(const AuditLog *log, uint64_t keep, AuditLink *ret_base) NONNULL(1, 3);
/* Whether former files are missing behind `base`, or end too soon, by each one's last line: before which file. */
bool audit_log_gap(const AuditLog *log, const AuditLink *base, char out[AUDIT_FILE_NAME_SIZE]) NONNULL(1, 2, 3);
/* Removes the files that end at or before `base`: they were given up. */
void audit_log_remove(const AuditLog *log, const AuditLink *base) NONNULL(1, 2);

/*
 * Where a reader of the log is: it reads what is in the files and, behind that, what is still in the outbox. How far
 * behind it may be is decided by the files alone.
 */
typedef struct AuditCursor {
        uint64_t next;   /* sequence of the line that comes next */
        uint64_t file;   /* first sequence of the file that `offset` is in; 0: not known */
        uint64_t offset; /* where that line begins */
} AuditCursor;

/* audit_read() of what is in the files, up to log->sequence: at most what `out` has room for. What cannot be found is
 * counted in `ret_lost` and passed over; nothing is appended when nothing that was wanted is left. -errno. */
int audit_log_read(const AuditLog *log, AuditCursor *cursor, size_t max, Buf *out, uint64_t *ret_lost) NODISCARD
        NONNULL(1, 2, 4, 5);
