#pragma once
/*
 * One line of the audit log, and the check of whole files. Pure: bytes in, bytes out. Rotation goes on with the
 * chain: the first line of a file follows the last one of the file before.
 *
 * A line is one JSON object with its keys in a fixed order, absent ones left out:
 *   sequence time request principal session profile secret lease operation verdict reason token
 *   detail prev hash
 * `prev` is the hash of the line before (64 zeros in the first) and
 *   hash = hex(SHA-256(bytes of prev || the line up to and with prev's closing quote || "}"))
 */
#include "base/buf.h"
#include "base/pool.h"

#define AUDIT_HASH_SIZE     32U
#define AUDIT_HASH_HEX_SIZE 65U
/* Longer texts are cut at a character's end, so that no event is too long to be written. */
#define AUDIT_TEXT_MAX 512U
/* A line with its newline: two texts of that size and eight of 64, each byte escaped in six at
 * worst, and what surrounds them. */
#define AUDIT_LINE_MAX 16384U

typedef enum AuditVerdict {
        AUDIT_ALLOW,
        AUDIT_DENY,
        AUDIT_ERROR,
        _AUDIT_VERDICT_N,
} AuditVerdict;
extern const char *const audit_verdict_names[];

/* Texts are borrowed; NULL and "" are left out. None may hold a secret: see seal_audit_hash(). */
typedef struct AuditEvent {
        uint64_t sequence;   /* from 1 */
        uint64_t time;       /* wall time, microseconds */
        const char *request; /* request id */
        bool has_principal;  /* false: the broker itself */
        uint64_t principal;  /* uid */
        const char *session;
        const char *profile;
        const char *secret; /* its name */
        const char *lease;
        const char *operation; /* "session.open", "token.mint", "lease.revoke" */
        AuditVerdict verdict;
        const char *reason;
        const char *token; /* keyed hash of a token */
        const char *detail;
        bool refusal; /* of a call, which its caller can repeat at will; not part of the line */
} AuditEvent;

/* Appends the line with its newline and sets `hash` to its hash; `prev` and `hash` may be the same
 * bytes. Text that is not UTF-8 is shown with U+FFFD. -ENOBUFS, -ENOMEM. */
int audit_line_format(const AuditEvent *event, const uint8_t prev[AUDIT_HASH_SIZE],
                      uint8_t hash[AUDIT_HASH_SIZE], Buf *out) NODISCARD NONNULL(1, 4);

/* `,"key":"text"`, escaped as in a line and cut at `max` bytes; nothing for NULL and "". For other JSON of those who
 * have no library for it. -ENOBUFS, -ENOMEM. */
int audit_line_append_text(Buf *out, const char *key, const char *text, size_t max) NODISCARD NONNULL(1, 2);

enum {
        _AUDIT_LINE_E_SUCCESS,
        AUDIT_LINE_E_INVALID, /* not a line of this log */
        AUDIT_LINE_E_HASH,    /* its own hash does not fit: it was edited */
};

/* Reads what the chain needs of one line without its newline, and checks its own hash. */
int audit_line_parse(Slice line, uint64_t *ret_sequence, uint8_t ret_prev[AUDIT_HASH_SIZE],
                     uint8_t ret_hash[AUDIT_HASH_SIZE]) NODISCARD NONNULL(2);

/* What a line is about, as texts without escapes; those that are absent are NULL. */
typedef struct AuditFields {
        uint64_t sequence;
        uint64_t time;
        const char *request, *principal, *session, *profile, *secret, *lease, *operation, *verdict, *reason, *token,
                *detail;
} AuditFields;

/* Reads all of one line without its newline. It need not be chained: whoever reads it has no opinion of that.
 * Texts are the pool's. AUDIT_LINE_E_INVALID, -ENOBUFS, -ENOMEM. */
int audit_line_read(Slice line, Pool *pool, AuditFields *ret) NODISCARD NONNULL(2, 3);

/* Called for each good line, with the chain's hash after it. */
typedef void (*AuditSeen)(void *userdata, uint64_t sequence, const uint8_t hash[AUDIT_HASH_SIZE]);

typedef struct AuditReport {
        uint64_t sequence;             /* of the last good line; at first of what the file follows, 0: nothing */
        uint8_t head[AUDIT_HASH_SIZE]; /* its hash; zeros before the first */
        uint64_t lines;                /* that are good, from the start of the file */
        uint64_t bad_line;             /* number of the first bad line in the file, from 1; 0: none */
        const char *reason;            /* of it; a literal */
        bool unknown;                  /* what the file follows is not known: its first line says it */
        AuditSeen seen;                /* may be NULL */
        void *userdata;
} AuditReport;

/*
 * Reads a file of the log from the descriptor's position to its end, line by line, in constant memory, and says
 * where it first goes wrong: a line that was edited, cut, left out, added, repeated or moved. `report` has what the
 * file follows, and afterwards what the next file follows. 0 when it was read, whatever the report says; -errno. A
 * log that was cut at its end is only seen by whoever knows the head: audit_report_expect().
 */
int audit_verify_file(int fd, AuditReport *report) NODISCARD NONNULL(2);
/*
 * Compares a good report of the last file with a head known from elsewhere (Status, the journal): too short, too
 * long or another chain becomes the report's bad line. A log may lag behind the head by lines that
 * are still in the state's outbox; the caller flushes or asks again.
 */
void audit_report_expect(AuditReport *report, uint64_t sequence,
                         const uint8_t head[AUDIT_HASH_SIZE]) NONNULL(1);
