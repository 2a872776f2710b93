#pragma once
/*
 * The audit log. A line is committed in the transaction that it describes, into table audit_outbox,
 * together with the chain's head; <state>/audit.log follows from there (audit_flush()). A crash in
 * between loses no line and writes none twice.
 */
#include "base/clock.h"
#include "vault/audit_log.h"

typedef struct Audit Audit;

/* Denials and other refusals of one principal in one session in one minute; further ones are counted and
 * come as one line. */
#define AUDIT_DENIALS_PER_MINUTE 20U

/*
 * Opens the log (O_NOFOLLOW, mode 0600, append only), compares it with the head in the state and
 * writes what a crash left in the outbox. What is wrong with the file is no failure of this call:
 * see audit_state(), and so is a full disk. `db` and `clock` are borrowed. DB_E_DAMAGED.
 */
int audit_new(Audit **ret, Db *db, const char *directory, const Clock *clock) NODISCARD
        NONNULL(1, 2, 3, 4);
/*
 * From here on: the size at which the log goes on in a new file, and how many former files are kept; 0: no limit. What
 * is beyond them is given up in the state first, with a line about it, and then removed, so that a file that anybody
 * else removes is missed.
 */
void audit_configure(Audit *audit, uint64_t max_size, uint64_t keep) NONNULL(1);
/* Flushes nothing. Accepts NULL. */
Audit *audit_free(Audit *audit);

/*
 * Adds a line, inside the caller's transaction (without one, in its own). event->sequence and
 * event->time are filled in here. A denial or refusal beyond the rate is counted instead. DB_E_*: nothing was
 * added, and what the line describes must not happen, revocation excepted.
 */
int audit_append(Audit *audit, AuditEvent *event) NODISCARD NONNULL(1, 2);
/*
 * Writes the outbox to the file, syncs, and empties it. Not inside a transaction (-EBUSY). A file
 * that cannot be written is no failure of the call but a state; the lines stay and the next call
 * tries again. DB_E_*.
 */
int audit_flush(Audit *audit) NODISCARD NONNULL(1);
/* Writes the summary lines of denial windows that are over; with `all`, of every one (at the stop).
 */
int audit_tick(Audit *audit, bool all) NODISCARD NONNULL(1);
/* Boot time at which audit_tick() has something to do; UINT64_MAX: nothing is counted. */
uint64_t audit_next_tick(const Audit *audit) NONNULL(1);

/* False: nothing may be issued, since the last attempt to write the log or the outbox failed.
 * Revocation proceeds. A log that was tampered with is reported and does not stop the broker. */
bool audit_ready(const Audit *audit) NONNULL(1);
/* "ready", or one line: "tampered: line 12: ...", "the log cannot be written: ...". Valid until the
 * next call on this object. */
const char *audit_state(Audit *audit) NONNULL(1);
/* The path of the log. */
const char *audit_path(const Audit *audit) NONNULL(1);
/* The last line's sequence and the chain's hash after it in hex; 0 and zeros when there is none. */
int audit_head(Audit *audit, uint64_t *ret_sequence, char ret_hash[AUDIT_HASH_HEX_SIZE]) NODISCARD
        NONNULL(1, 2);
/* The same of the last line that was given up: what the oldest file follows. */
int audit_base(Audit *audit, uint64_t *ret_sequence, char ret_hash[AUDIT_HASH_HEX_SIZE]) NODISCARD
        NONNULL(1, 2);

/* Whether a former file is missing or cut, by the files' ends alone: before which one. DB_E_*. */
int audit_gap(Audit *audit, bool *ret, char ret_file[AUDIT_FILE_NAME_SIZE]) NODISCARD NONNULL(1, 2, 3);
/* The sequence of the first line of the file that is written to: another one, once the log went on in a new file. */
uint64_t audit_file_start(const Audit *audit) NONNULL(1);

/*
 * Appends at most `max` whole lines to `out`, as many as there is room for in its cap, and moves on behind them. The cap
 * must be AUDIT_LINE_MAX at least. No line: there is none yet. `ret_lost`: lines in front of these that are not there any more or cannot be read. Not
 * inside a transaction. DB_E_*, -errno.
 */
int audit_read(Audit *audit, AuditCursor *cursor, size_t max, Buf *out, uint64_t *ret_lost) NODISCARD NONNULL(1, 2, 4, 5);

DEFINE_CLEANUP(Audit *, audit_free);
