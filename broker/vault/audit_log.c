#include "vault/audit_log.h"
#include "base/fd.h"
#include "vault/rows_outbox.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "audit.log"
/* Lines that are written at once. */
#define BATCH_SIZE (64U * 1024U)

int audit_log_init(AuditLog *log, const char *directory)
{
        AuditLog new = AUDIT_LOG_NULL;

        new.directory = strdup(directory);
        if (!new.directory || asprintf(&new.path, "%s/" FILE_NAME, directory) < 0) {
                free(new.directory);
                return -ENOMEM;
        }
        *log = new;
        return 0;
}

void audit_log_deinit(AuditLog *log)
{
        if (!log)
                return;
        (void)fd_close(log->fd);
        buf_deinit(&log->partial);
        free(log->path);
        free(log->directory);
        *log = AUDIT_LOG_NULL;
}

static void set_tampered(AuditLog *log, uint64_t line, const char *reason)
{
        (void)snprintf(log->tampered, sizeof(log->tampered), "line %llu: %s",
                       (unsigned long long)line, reason);
}

/* ---- opening ---- */

/* A name that was just made must survive a power loss too. */
static int sync_directory(const AuditLog *log)
{
        _cleanup_(fd_closep) int fd = open(log->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return error_errno();
        return fsync(fd) < 0 ? error_errno() : 0;
}

static int open_file(AuditLog *log)
{
        _cleanup_(fd_closep) int fd = open(
                log->path,
                O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
        struct stat st;
        int r;

        if (fd < 0)
                return error_errno();
        if (fstat(fd, &st) < 0)
                return error_errno();
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
                return error_errno();
        r = sync_directory(log);
        if (r < 0)
                return r;
        log->fd = take_fd(&fd);
        log->size = (uint64_t)st.st_size;
        return 0;
}

/* The end of the file: its last whole line, and what is behind it. */
typedef struct Tail {
        Buf bytes;
        Slice line; /* without newline; empty when the file has no whole line */
        Slice partial;
        bool long_line; /* there is no newline where there must be one */
} Tail;

#define TAIL_SIZE (2U * AUDIT_LINE_MAX)

static int read_tail(const AuditLog *log, Tail *tail)
{
        size_t want = (size_t)MIN(log->size, (uint64_t)TAIL_SIZE), start;
        const uint8_t *data;
        uint8_t *room;
        ssize_t n;
        int r = buf_reserve(&tail->bytes, want, &room);

        if (r < 0)
                return r;
        n = pread(log->fd, room, want, (off_t)(log->size - want));
        if (n < 0)
                return error_errno();
        if ((size_t)n != want)
                return -EIO;
        buf_commit(&tail->bytes, want);
        data = tail->bytes.data;
        for (start = want; start > 0 && data[start - 1] != '\n';)
                start--;
        tail->partial = slice(data + start, want - start);
        if (start == 0) {
                tail->long_line = want == TAIL_SIZE;
                return 0;
        }
        for (want = start - 1; want > 0 && data[want - 1] != '\n';)
                want--;
        tail->line = slice(data + want, start - 1 - want);
        return 0;
}

/* What the state knows of the log. */
typedef struct Expected {
        uint64_t head_sequence;
        const uint8_t *head;
        uint64_t first; /* lowest sequence in the outbox, or head_sequence + 1 */
} Expected;

/* The chain's hash after `sequence`, which is the head, in the outbox, or just before it. */
static int expected_hash(Db *db, const Expected *expected, uint64_t sequence,
                         uint8_t hash[AUDIT_HASH_SIZE])
{
        _cleanup_(buf_deinit) Buf line = BUF_NULL(AUDIT_LINE_MAX);
        uint8_t prev[AUDIT_HASH_SIZE], own[AUDIT_HASH_SIZE];
        uint64_t found;
        int r;

        if (sequence == expected->head_sequence) {
                memcpy(hash, expected->head, AUDIT_HASH_SIZE);
                return 0;
        }
        /* The next line in the outbox says which hash it follows. */
        r = rows_outbox_next(db, sequence, &found, &line);
        if (r)
                return r == DB_E_NOT_FOUND ? DB_E_DAMAGED : r;
        if (line.size == 0 || audit_line_parse(slice(line.data, line.size - 1), &found, prev, own))
                return DB_E_DAMAGED;
        if (found != sequence + 1)
                return DB_E_DAMAGED;
        memcpy(hash, prev, AUDIT_HASH_SIZE);
        return 0;
}

/* Does what is behind the last line begin the next one? */
static int check_partial(AuditLog *log, Db *db, Slice partial, bool *ret_good)
{
        _cleanup_(buf_deinit) Buf line = BUF_NULL(AUDIT_LINE_MAX);
        uint64_t found;
        int r;

        *ret_good = true;
        if (partial.size == 0)
                return 0;
        r = rows_outbox_next(db, log->sequence, &found, &line);
        if (r && r != DB_E_NOT_FOUND)
                return r;
        *ret_good = r == 0 && found == log->sequence + 1 && partial.size < line.size &&
                    memcmp(line.data, partial.data, partial.size) == 0;
        return *ret_good ? buf_append(&log->partial, partial.data, partial.size) : 0;
}

/* Compares the end of the file. What is wrong comes as a sentence, NULL if nothing is. */
static int check_tail(AuditLog *log, Db *db, const Expected *expected, const Tail *tail,
                      const char **ret_reason)
{
        uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE] = { 0 }, wanted[AUDIT_HASH_SIZE];
        uint64_t sequence = 0;
        bool good;
        int r;

        log->sequence = expected->first - 1;
        *ret_reason = "it is not a line of this log";
        if (tail->long_line)
                return 0;
        if (log->size > tail->partial.size && audit_line_parse(tail->line, &sequence, prev, hash))
                return 0;
        *ret_reason = "lines are missing at the end";
        if (sequence < expected->first - 1)
                return 0;
        *ret_reason = "it is ahead of the state";
        if (sequence > expected->head_sequence)
                return 0;
        r = expected_hash(db, expected, sequence, wanted);
        if (r)
                return r;
        *ret_reason = "it is not the line that was written";
        if (memcmp(hash, wanted, sizeof(hash)) != 0)
                return 0;
        log->sequence = sequence;
        r = check_partial(log, db, tail->partial, &good);
        *ret_reason = good ? NULL : "what follows was not written by this broker";
        return r;
}

/* Reads every line. `reason` is what the end of the file told, or NULL. */
static int check_lines(AuditLog *log, const Expected *expected, const char *reason)
{
        AuditReport report;
        int r;

        if (lseek(log->fd, 0, SEEK_SET) < 0)
                return error_errno();
        r = audit_verify_file(log->fd, &report);
        if (r < 0)
                return r;
        log->verified = true;
        /* A line that a crash cut short is the next one of the outbox; check_partial() has seen it.
         */
        if (report.bad_line &&
            (reason || log->partial.size == 0 || report.sequence != log->sequence))
                set_tampered(log, report.bad_line, report.reason);
        else if (reason && report.sequence > expected->head_sequence)
                set_tampered(log, expected->head_sequence + 1, reason);
        else if (reason)
                set_tampered(log, report.lines + (report.sequence < expected->first - 1), reason);
        return 0;
}

static int check_file(AuditLog *log, Db *db, const Expected *expected)
{
        Tail tail = { .bytes = BUF_NULL(TAIL_SIZE) };
        const char *reason = NULL;
        int r = read_tail(log, &tail);

        if (r == 0)
                r = check_tail(log, db, expected, &tail, &reason);
        if (r == 0 && (reason || log->size <= AUDIT_LOG_VERIFY_MAX))
                r = check_lines(log, expected, reason);
        /* New lines must not continue one that is not ours. */
        if (r == 0 && reason && tail.partial.size > 0) {
                r = fd_write_all(log->fd, "\n", 1);
                log->size += r == 0;
        }
        buf_deinit(&tail.bytes);
        return r;
}

/* Still the file that is at the path, and as long as we left it? */
static bool is_unchanged(const AuditLog *log)
{
        struct stat ours, there;

        return fstat(log->fd, &ours) == 0 &&
               fstatat(AT_FDCWD, log->path, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
               ours.st_dev == there.st_dev && ours.st_ino == there.st_ino &&
               (uint64_t)ours.st_size == log->size;
}

int audit_log_attach(AuditLog *log, Db *db, uint64_t head_sequence,
                     const uint8_t head[AUDIT_HASH_SIZE])
{
        _cleanup_(buf_deinit) Buf line = BUF_NULL(AUDIT_LINE_MAX);
        Expected expected = { head_sequence, head, 0 };
        int r;

        if (log->fd >= 0 && is_unchanged(log))
                return 0;
        log->fd = fd_close(log->fd);
        buf_clear(&log->partial);
        r = rows_outbox_next(db, 0, &expected.first, &line);
        if (r == DB_E_NOT_FOUND)
                expected.first = head_sequence + 1;
        else if (r)
                return r;
        r = open_file(log);
        if (r == 0)
                r = check_file(log, db, &expected);
        if (r > 0)
                return r;
        log->error = r;
        if (r < 0)
                log->fd = fd_close(log->fd);
        return 0;
}

/* ---- writing ---- */

/* Lines behind what the file has, as they come next, into the batch. */
static int gather(AuditLog *log, Db *db, Buf *batch)
{
        uint64_t at = log->sequence, first = 0;
        int r;

        while ((r = rows_outbox_next(db, at, &at, batch)) == 0)
                first = first ? first : at;
        if (r != DB_E_NOT_FOUND && (r != DB_E_NO_SPACE || batch->size == 0))
                return r;
        /* The part of the first line that is there already. */
        if (first == log->sequence + 1)
                buf_consume(batch, log->partial.size);
        return 0;
}

/* These bytes are in the file now. */
static int account(AuditLog *log, Slice written)
{
        const uint8_t *newline;

        log->size += written.size;
        while (written.size > 0 && (newline = memchr(written.data, '\n', written.size))) {
                size_t size = (size_t)(newline - written.data) + 1;

                log->sequence++;
                buf_clear(&log->partial);
                written = slice(written.data + size, written.size - size);
        }
        return buf_append(&log->partial, written.data, written.size);
}

static int write_batch(AuditLog *log, Slice batch)
{
        while (batch.size > 0) {
                ssize_t n = write(log->fd, batch.data, batch.size);
                int r;

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return error_errno();
                r = account(log, slice(batch.data, (size_t)n));
                if (r < 0)
                        return r;
                batch = slice(batch.data + n, batch.size - (size_t)n);
        }
        return 0;
}

int audit_log_write(AuditLog *log, Db *db)
{
        _cleanup_(buf_deinit) Buf batch = BUF_NULL(BATCH_SIZE);
        uint64_t size = log->size;
        int r = 0;

        if (log->fd < 0)
                return 0;
        do {
                buf_clear(&batch);
                r = gather(log, db, &batch);
                if (r)
                        return r;
                r = write_batch(log, buf_slice(&batch));
        } while (r == 0 && batch.size > 0);
        if (r == 0 && (log->size != size || log->error) && fdatasync(log->fd) < 0)
                r = error_errno();
        log->error = r;
        return 0;
}
