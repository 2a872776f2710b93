/* Reading the log's files again, for who follows it: by sequence, in pieces, and past what is damaged. */
#include "base/fd.h"
#include "base/text.h"
#include "vault/audit_log.h"
#include <unistd.h>

#define CHUNK_SIZE (64U * 1024U)
_Static_assert(CHUNK_SIZE >= 2 * AUDIT_LINE_MAX, "a chunk has a whole line");

/* Which file has the line, or the first one behind it. `name` 0: the one that is written to. */
static int pick_file(const AuditLog *log, AuditCursor *cursor, uint64_t *ret_name, uint64_t *ret_lost)
{
        _cleanup_(audit_files_deinit) AuditFiles files = AUDIT_FILES_NULL;
        uint64_t current = log->before.sequence + 1, file = current;
        int r;

        if (cursor->next < current) {
                r = audit_files_list(log->directory, &files);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < files.n && (i == 0 || files.first[i] <= cursor->next); i++)
                        if (files.first[i] < current)
                                file = files.first[i];
        }
        if (file > cursor->next) {
                *ret_lost += file - cursor->next;
                cursor->next = file;
        }
        if (file != cursor->file)
                *cursor = (AuditCursor){ .next = cursor->next, .file = file };
        *ret_name = file == current ? 0 : file;
        return 0;
}

/* The first line of the file behind this former one. */
static int next_file(const AuditLog *log, uint64_t file, uint64_t *ret)
{
        _cleanup_(audit_files_deinit) AuditFiles files = AUDIT_FILES_NULL;
        uint64_t next = log->before.sequence + 1;
        int r = audit_files_list(log->directory, &files);

        for (size_t i = files.n; r == 0 && i > 0 && files.first[i - 1] > file; i--)
                next = MIN(next, files.first[i - 1]);
        *ret = next;
        return r;
}

static int read_at(int fd, uint64_t offset, uint64_t size, Buf *chunk)
{
        size_t want = (size_t)MIN(size - MIN(offset, size), (uint64_t)CHUNK_SIZE);
        uint8_t *room;
        ssize_t n;
        int r;

        buf_clear(chunk);
        r = want > 0 ? buf_reserve(chunk, want, &room) : 0;
        if (r < 0 || want == 0)
                return r;
        n = pread(fd, room, want, (off_t)offset);
        if (n < 0)
                return error_errno();
        buf_commit(chunk, (size_t)n);
        return 0;
}

/* The first line at or behind `offset` whose sequence can be told. False: there is none in the chunk. */
static bool next_line(Slice chunk, bool at_line, size_t *ret_start, uint64_t *ret_sequence)
{
        uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
        const uint8_t *from = chunk.data, *end = chunk.data + chunk.size, *newline;

        for (; from < end && (newline = memchr(from, '\n', (size_t)(end - from))); from = newline + 1, at_line = true)
                if (at_line && audit_line_parse(slice(from, (size_t)(newline - from)), ret_sequence, prev, hash) == 0) {
                        *ret_start = (size_t)(from - chunk.data);
                        return true;
                }
        return false;
}

/* Halves the file until what is left is a chunk: where to read on from, at the beginning of a line. */
static int find_offset(int fd, uint64_t size, uint64_t sequence, uint64_t *ret)
{
        _cleanup_(buf_deinit) Buf chunk = BUF_NULL(CHUNK_SIZE);
        uint64_t low = 0, high = size;

        while (high - low > CHUNK_SIZE) {
                uint64_t middle = low + (high - low) / 2, found;
                size_t start;
                int r = read_at(fd, middle, size, &chunk);

                if (r < 0)
                        return r;
                if (!next_line(buf_slice(&chunk), false, &start, &found) || found > sequence || middle + start >= high)
                        high = middle;
                else
                        low = middle + start;
        }
        *ret = low;
        return 0;
}

typedef struct Taking {
        AuditCursor *cursor;
        uint64_t last; /* sequence behind which nothing is taken */
        size_t left;   /* lines that are wanted */
        Buf *out;
        uint64_t *lost;
} Taking;

/* Takes what is wanted out of a chunk. True: `out` has all that it can take now. */
static bool take_lines(Taking *taking, Slice chunk, bool end_of_file, size_t *ret_used)
{
        uint8_t prev[AUDIT_HASH_SIZE], hash[AUDIT_HASH_SIZE];
        const uint8_t *from = chunk.data, *end = chunk.data + chunk.size, *newline;
        AuditCursor *cursor = taking->cursor;
        size_t before = taking->out->size;

        while (from < end && (newline = memchr(from, '\n', (size_t)(end - from)))) {
                size_t size = (size_t)(newline - from) + 1;
                uint64_t sequence;
                bool good = audit_line_parse(slice(from, size - 1), &sequence, prev, hash) == 0;

                if (good && sequence > taking->last)
                        return true;
                if (good && sequence >= cursor->next) {
                        if (taking->left == 0 || (sequence > cursor->next && taking->out->size > before) ||
                            buf_append(taking->out, from, size) < 0)
                                return true;
                        *taking->lost += sequence - cursor->next;
                        cursor->next = sequence + 1;
                        taking->left--;
                }
                from += size;
                *ret_used = (size_t)(from - chunk.data);
        }
        /* What has no end is none of our lines, or still being written. */
        if (!end_of_file && *ret_used == 0)
                *ret_used = chunk.size;
        return false;
}

/* From the cursor on to the file's end, or until `out` is full (`ret_full`). */
static int read_file(const AuditLog *log, uint64_t name, Taking *taking, bool *ret_full)
{
        AuditCursor *cursor = taking->cursor;
        _cleanup_(buf_deinit) Buf chunk = BUF_NULL(CHUNK_SIZE);
        _cleanup_(fd_closep) int fd = -1;
        uint64_t size;
        int r = audit_file_open(log->directory, name, &fd, &size);

        if (r == 0 && cursor->offset == 0)
                r = find_offset(fd, size, cursor->next, &cursor->offset);
        *ret_full = false;
        while (r == 0 && !*ret_full) {
                size_t used = 0;

                r = read_at(fd, cursor->offset, size, &chunk);
                if (r < 0 || chunk.size == 0)
                        break;
                *ret_full = take_lines(taking, buf_slice(&chunk), cursor->offset + chunk.size >= size, &used);
                cursor->offset += used;
                if (used == 0)
                        break;
        }
        return r;
}

int audit_log_read(const AuditLog *log, AuditCursor *cursor, size_t max, Buf *out, uint64_t *ret_lost)
{
        Taking taking = { cursor, log->sequence, max, out, ret_lost };
        size_t before = out->size;

        while (cursor->next <= log->sequence && out->size == before) {
                uint64_t name, file;
                bool full;
                int r = pick_file(log, cursor, &name, ret_lost);

                if (r < 0)
                        return r;
                file = cursor->file;
                r = read_file(log, name, &taking, &full);
                if (r < 0 && r != -ENOENT && r != -EINVAL && r != -EACCES && r != -ELOOP)
                        return r;
                if (full || out->size > before)
                        break;
                /* The file has no more: what it should have had is lost, up to the next one's first line. */
                if (name == 0) {
                        *ret_lost += log->sequence + 1 - cursor->next;
                        *cursor = (AuditCursor){ .next = log->sequence + 1 };
                } else {
                        r = next_file(log, file, &file);
                        if (r < 0)
                                return r;
                        *ret_lost += file > cursor->next ? file - cursor->next : 0;
                        *cursor = (AuditCursor){ .next = MAX(cursor->next, file) };
                }
        }
        return 0;
}
