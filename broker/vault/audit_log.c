#include "vault/audit_log.h"
#include "base/fd.h"
#include "vault/rows_outbox.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lines that are written at once. */
#define BATCH_SIZE (64U * 1024U)

int audit_log_init(AuditLog *log, const char *directory)
{
        AuditLog new = AUDIT_LOG_NULL;

        new.directory = strdup(directory);
        if (!new.directory || asprintf(&new.path, "%s/" AUDIT_FILE_NAME, directory) < 0) {
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
        if (log->tampered[0])
                return; /* of an older file */
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

/* What the state knows of the log. */
typedef struct Expected {
        const AuditLink *head, *base;
        uint64_t first; /* lowest sequence in the outbox, or head->sequence + 1 */
} Expected;

/* The chain's hash after `sequence`, which is the head, in the outbox, or just before it. */
static int expected_hash(Db *db, const Expected *expected, uint64_t sequence,
                         uint8_t hash[AUDIT_HASH_SIZE])
{
        _cleanup_(buf_deinit) Buf line = BUF_NULL(AUDIT_LINE_MAX);
        uint8_t prev[AUDIT_HASH_SIZE], own[AUDIT_HASH_SIZE];
        uint64_t found;
        int r;

        if (sequence == expected->head->sequence) {
                memcpy(hash, expected->head->hash, AUDIT_HASH_SIZE);
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
static int check_tail(AuditLog *log, Db *db, const Expected *expected, const AuditTail *tail,
                      const char **ret_reason)
{
        uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE], wanted[AUDIT_HASH_SIZE];
        uint64_t sequence = log->before.sequence; /* of an empty file, too */
        bool good;
        int r;

        memcpy(hash, log->before.hash, sizeof(hash));
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
        if (sequence > expected->head->sequence)
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
        AuditReport report = { .sequence = log->before.sequence };
        int r;

        memcpy(report.head, log->before.hash, sizeof(report.head));
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
        else if (reason && report.sequence > expected->head->sequence)
                set_tampered(log, expected->head->sequence - MIN(expected->head->sequence, log->before.sequence) + 1,
                             reason);
        else if (reason)
                set_tampered(log, report.lines + (report.sequence < expected->first - 1), reason);
        return 0;
}

/* ---- former files ---- */

static void set_tampered_former(AuditLog *log, uint64_t first, const char *reason)
{
        if (!log->tampered[0])
                (void)snprintf(log->tampered, sizeof(log->tampered), AUDIT_FILE_NAME ".%llu: %s",
                               (unsigned long long)first, reason);
}

/* The last line of a former file, which had to be whole before it became one. */
static int read_end(const AuditLog *log, uint64_t first, AuditLink *ret)
{
        _cleanup_(audit_tail_deinit) AuditTail tail = AUDIT_TAIL_NULL;
        _cleanup_(fd_closep) int fd = -1;
        uint8_t prev[AUDIT_HASH_SIZE];
        uint64_t size;
        int r = audit_file_open(log->directory, first, &fd, &size);

        if (r == 0)
                r = audit_tail_read(fd, size, &tail);
        if (r < 0)
                return r;
        return tail.partial.size > 0 || audit_line_parse(tail.line, &ret->sequence, prev, ret->hash) ||
                               ret->sequence < first
                       ? AUDIT_LINE_E_INVALID
                       : 0;
}

/* What the first line of this one says that it follows. */
static int read_beginning(const AuditLog *log, uint64_t first, AuditLink *ret)
{
        _cleanup_(freep) uint8_t *text = malloc(AUDIT_LINE_MAX);
        _cleanup_(fd_closep) int fd = -1;
        uint8_t hash[AUDIT_HASH_SIZE];
        const uint8_t *newline;
        uint64_t size, sequence;
        ssize_t n;
        int r = text ? audit_file_open(log->directory, first, &fd, &size) : -ENOMEM;

        if (r < 0)
                return r;
        n = pread(fd, text, AUDIT_LINE_MAX, 0);
        if (n < 0)
                return error_errno();
        newline = memchr(text, '\n', (size_t)n);
        if (!newline || audit_line_parse(slice(text, (size_t)(newline - text)), &sequence, ret->hash, hash) ||
            (first > 0 && sequence != first))
                return AUDIT_LINE_E_INVALID;
        ret->sequence = sequence - 1;
        return 0;
}

/* Finds out what the file follows: the newest former one, or what was given up. */
static int find_before(AuditLog *log, const AuditLink *base)
{
        _cleanup_(audit_files_deinit) AuditFiles files = AUDIT_FILES_NULL;
        size_t at = 0;
        int r = audit_files_list(log->directory, &files);

        if (r < 0)
                return r;
        log->before = *base;
        while (at < files.n && files.first[at] <= base->sequence)
                at++;
        if (at > 0)
                audit_log_remove(log, base); /* they were given up, and a crash came before their end */
        if (at == files.n)
                return 0;
        if (files.first[at] != base->sequence + 1)
                set_tampered_former(log, files.first[at], "files before it are missing");
        r = read_end(log, files.first[files.n - 1], &log->before);
        if (r == 0)
                return 0;
        set_tampered_former(log, files.first[files.n - 1],
                            r < 0 ? strerrordesc_np(-r) : "its end is not a line of this log");
        /* What follows it may be good all the same. */
        r = read_beginning(log, 0, &log->before);
        if (r)
                log->before = *base;
        return 0;
}

/* Of a file that is too large to be read whole. */
static int check_beginning(AuditLog *log)
{
        AuditLink says;
        int r = read_beginning(log, 0, &says);

        if (r < 0)
                return r;
        if (r)
                set_tampered(log, 1, "it is not a line of this log");
        else if (says.sequence != log->before.sequence)
                set_tampered(log, 1, "lines are missing before it");
        else if (memcmp(says.hash, log->before.hash, sizeof(says.hash)) != 0)
                set_tampered(log, 1, "it does not follow from the line before");
        return 0;
}

static int check_file(AuditLog *log, Db *db, const Expected *expected)
{
        _cleanup_(audit_tail_deinit) AuditTail tail = AUDIT_TAIL_NULL;
        const char *reason = NULL;
        int r = find_before(log, expected->base);

        if (r == 0)
                r = audit_tail_read(log->fd, log->size, &tail);
        if (r == 0)
                r = check_tail(log, db, expected, &tail, &reason);
        if (r == 0 && (reason || log->size <= AUDIT_LOG_VERIFY_MAX))
                r = check_lines(log, expected, reason);
        else if (r == 0)
                r = check_beginning(log);
        /* New lines must not continue one that is not ours. */
        if (r == 0 && reason && tail.partial.size > 0) {
                r = fd_write_all(log->fd, "\n", 1);
                log->size += r == 0;
        }
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

int audit_log_attach(AuditLog *log, Db *db, const AuditLink *head, const AuditLink *base)
{
        _cleanup_(buf_deinit) Buf line = BUF_NULL(AUDIT_LINE_MAX);
        Expected expected = { .head = head, .base = base };
        int r;

        if (log->fd >= 0 && is_unchanged(log))
                return 0;
        log->fd = fd_close(log->fd);
        buf_clear(&log->partial);
        r = rows_outbox_next(db, 0, &expected.first, &line);
        if (r == DB_E_NOT_FOUND)
                expected.first = head->sequence + 1;
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

/* ---- rotation ---- */

/* The last line must be the one that we wrote last: a file whose end is not ours is not moved out of sight. */
static bool is_at_rest(const AuditLog *log, AuditLink *ret_end)
{
        _cleanup_(audit_tail_deinit) AuditTail tail = AUDIT_TAIL_NULL;
        uint8_t prev[AUDIT_HASH_SIZE];

        return log->fd >= 0 && log->error == 0 && log->partial.size == 0 && log->sequence > log->before.sequence &&
               audit_tail_read(log->fd, log->size, &tail) == 0 && tail.partial.size == 0 &&
               audit_line_parse(tail.line, &ret_end->sequence, prev, ret_end->hash) == 0 &&
               ret_end->sequence == log->sequence;
}

/* What was found in the file goes with its name. */
static void move_tampered(AuditLog *log, uint64_t first)
{
        char found[sizeof(log->tampered)];

        if (strncmp(log->tampered, "line ", 5) != 0)
                return;
        (void)snprintf(found, sizeof(found), "%s", log->tampered);
        (void)snprintf(log->tampered, sizeof(log->tampered), AUDIT_FILE_NAME ".%llu: %.100s",
                       (unsigned long long)first, found);
}

bool audit_log_rotate(AuditLog *log)
{
        _cleanup_(fd_closep) int directory = open(log->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        uint64_t first = log->before.sequence + 1;
        char name[AUDIT_FILE_NAME_SIZE];
        AuditLink end;
        int r;

        audit_file_name(first, name);
        if (directory < 0 || !is_at_rest(log, &end) ||
            renameat2(directory, AUDIT_FILE_NAME, directory, name, RENAME_NOREPLACE) < 0)
                return false;
        log->fd = fd_close(log->fd);
        move_tampered(log, first);
        log->before = end;
        r = open_file(log); /* and syncs both names */
        log->error = r;
        return r == 0;
}

bool audit_log_excess(const AuditLog *log, uint64_t keep, AuditLink *ret_base)
{
        _cleanup_(audit_files_deinit) AuditFiles files = AUDIT_FILES_NULL;

        return audit_files_list(log->directory, &files) == 0 && files.n > keep &&
               read_beginning(log, files.first[files.n - keep], ret_base) == 0;
}

/* 0: it cannot be told. */
static uint64_t last_of(const AuditLog *log, uint64_t first)
{
        _cleanup_(audit_tail_deinit) AuditTail tail = AUDIT_TAIL_NULL;
        _cleanup_(fd_closep) int fd = -1;
        uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
        uint64_t size, sequence;

        if (audit_file_open(log->directory, first, &fd, &size) < 0 || audit_tail_read(fd, size, &tail) < 0 ||
            audit_line_parse(tail.line, &sequence, prev, hash))
                return 0;
        return sequence;
}

bool audit_log_gap(const AuditLog *log, const AuditLink *base, char out[AUDIT_FILE_NAME_SIZE])
{
        _cleanup_(audit_files_deinit) AuditFiles files = AUDIT_FILES_NULL;
        uint64_t current = log->before.sequence + 1, next = base->sequence + 1;

        if (log->fd < 0 || audit_files_list(log->directory, &files) < 0)
                return false;
        for (size_t i = 0; i < files.n; i++) {
                if (files.first[i] <= base->sequence || files.first[i] >= current)
                        continue; /* given up, or none of ours */
                audit_file_name(files.first[i], out);
                if (files.first[i] != next)
                        return true;
                next = last_of(log, next) + 1;
        }
        audit_file_name(0, out);
        return next != current;
}

void audit_log_remove(const AuditLog *log, const AuditLink *base)
{
        _cleanup_(fd_closep) int directory = open(log->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(audit_files_deinit) AuditFiles files = AUDIT_FILES_NULL;
        char name[AUDIT_FILE_NAME_SIZE];

        if (directory < 0 || audit_files_list(log->directory, &files) < 0)
                return;
        for (size_t i = 0; i < files.n && files.first[i] <= base->sequence; i++) {
                audit_file_name(files.first[i], name);
                (void)unlinkat(directory, name, 0); /* what stays is tried again at the next start */
        }
        (void)fsync(directory);
}
