#include "client.h"
#include "base/fd.h"
#include "base/text.h"
#include "wire/audit_files.h"
#include "wire/audit_line.h"
#include "wire/msg_broker.h"
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_SIZE 65536U

/* The log's files are found by its name; a file of another name is the whole log. */
typedef struct Place {
        char directory[PATH_MAX], name[NAME_MAX + 1];
        bool rotates;
} Place;

static int find_place(mcpcred *client, const char *path, Place *ret)
{
        const char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        size_t n = slash ? MAX((size_t)(slash - path), (size_t)1) : 1;

        if (n >= sizeof(ret->directory) || strlen(name) >= sizeof(ret->name))
                return client_fail(client, MCPCRED_E_MISUSE, "The path is too long.");
        memcpy(ret->directory, slash ? path : ".", n);
        ret->directory[n] = '\0';
        (void)snprintf(ret->name, sizeof(ret->name), "%s", name);
        ret->rotates = strcmp(name, AUDIT_FILE_NAME) == 0;
        return 0;
}

static int list(const Place *place, AuditFiles *ret)
{
        *ret = AUDIT_FILES_NULL;
        return place->rotates ? audit_files_list(place->directory, ret) : 0;
}

/* What stands in the place of one of the log's files is none. It is not waited for, and its lines are missing. */
#define NO_FILE 1

/* `first` 0: the file itself. */
static int open_one(const Place *place, uint64_t first, int *ret_fd)
{
        char name[AUDIT_FILE_NAME_SIZE], path[2 * PATH_MAX];
        struct stat st;
        int fd;

        audit_file_name(first, name);
        (void)snprintf(path, sizeof(path), "%s/%s", place->directory, first ? name : place->name);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (place->rotates ? O_NONBLOCK : 0));
        if (fd < 0)
                return error_errno();
        if (place->rotates && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
                (void)close(fd);
                return NO_FILE;
        }
        *ret_fd = fd;
        return 0;
}

static int fail_reading(mcpcred *client, int r)
{
        return r == NO_FILE ? client_fail(client, MCPCRED_E_SYSTEM, "Cannot read the audit log: it is not a regular file.")
                            : client_fail_errno(client, r, "read the audit log");
}

/* ---- verify ---- */

typedef struct Verifying {
        mcpcred_audit_seen seen;
        void *userdata;
        uint64_t first;
} Verifying;

static void on_seen(void *userdata, uint64_t sequence, const uint8_t hash[AUDIT_HASH_SIZE])
{
        Verifying *verifying = userdata;
        char hex[AUDIT_HASH_HEX_SIZE];

        if (verifying->first == 0)
                verifying->first = sequence;
        if (!verifying->seen)
                return;
        text_hex(slice(hash, AUDIT_HASH_SIZE), hex);
        verifying->seen(verifying->userdata, sequence, hex);
}

static void name_file(const Place *place, uint64_t first, mcpcred_audit *audit)
{
        char name[AUDIT_FILE_NAME_SIZE];

        audit_file_name(first, name);
        (void)snprintf(audit->file, sizeof(audit->file), "%s/%s", strcmp(place->directory, "/") == 0 ? "" : place->directory,
                       first ? name : place->name);
}

/* File by file, until one is bad. */
static int verify_files(const Place *place, const AuditFiles *files, AuditReport *report, mcpcred_audit *audit)
{
        uint64_t before = report->sequence;
        size_t at = 0;
        int r = 0;

        /* They were given up, and are about to be removed. */
        while (!report->unknown && at < files->n && files->first[at] <= before)
                at++;
        for (; r == 0 && at <= files->n && report->bad_line == 0; at++) {
                uint64_t first = at < files->n ? files->first[at] : 0;
                _cleanup_(fd_closep) int fd = -1;

                r = open_one(place, first, &fd);
                if (r == NO_FILE && first > 0) {
                        r = 0;
                        continue;
                }
                if (r == 0)
                        r = audit_verify_file(fd, report);
                if (r)
                        break;
                audit->files++;
                audit->lines += report->lines;
                name_file(place, first, audit);
        }
        return r;
}

int mcpcred_audit_verify(mcpcred *client, const mcpcred_audit_log *log, mcpcred_audit_seen seen, void *userdata,
                         mcpcred_audit *ret)
{
        _cleanup_(audit_files_deinit) AuditFiles files = AUDIT_FILES_NULL;
        Verifying verifying = { .seen = seen, .userdata = userdata };
        AuditReport report = { .unknown = log->base_head == NULL, .seen = on_seen, .userdata = &verifying };
        uint8_t head[AUDIT_HASH_SIZE];
        mcpcred_audit audit = { 0 };
        Place place = { .rotates = false };
        int r;

        client_clear_error(client);
        if ((log->head && text_unhex(log->head, head, sizeof(head))) ||
            (log->base_head && text_unhex(log->base_head, report.head, sizeof(report.head))))
                return client_fail(client, MCPCRED_E_MISUSE, "The head is not a hash in hex.");
        report.sequence = log->base_head ? log->base : 0;
        r = find_place(client, log->path, &place);
        if (r)
                return r;
        r = list(&place, &files);
        if (r == 0)
                r = verify_files(&place, &files, &report, &audit);
        if (r)
                return fail_reading(client, r);
        if (log->head && report.bad_line == 0)
                audit_report_expect(&report, log->sequence, head);
        audit.bad_line = report.bad_line;
        audit.first = verifying.first;
        audit.sequence = report.sequence;
        (void)snprintf(audit.reason, sizeof(audit.reason), "%s", report.reason ? report.reason : "");
        text_hex(slice(report.head, sizeof(report.head)), audit.head);
        *ret = audit;
        return MCPCRED_OK;
}

/* ---- read ---- */

typedef struct Reading {
        mcpcred *client;
        uint64_t next; /* sequence that is wanted */
        mcpcred_audit_line line;
        void *userdata;
} Reading;

/* One line without its newline, of the file that is read. 0, or an mcpcred_code. */
static int take_line(Reading *reading, Slice text)
{
        _cleanup_(pool_deinit) Pool pool = POOL_NULL(8U * AUDIT_LINE_MAX);
        AuditFields fields;
        const char *line;
        WatchEvent event;
        mcpcred_row row = { .schema = &schema_watch_event, .body = &event, .pool = &pool };
        int r = audit_line_read(text, &pool, &fields);

        if (r > 0 || (r == 0 && fields.sequence < reading->next))
                return 0;
        if (r == 0)
                r = pool_text(&pool, text, &line);
        if (r < 0)
                return client_fail_errno(reading->client, r, "read the audit log");
        event = (WatchEvent){ fields.sequence, fields.time,    fields.request,   fields.principal, fields.session,
                              fields.profile,  fields.secret,  fields.lease,     fields.operation, fields.verdict,
                              fields.reason,   fields.token,   fields.detail };
        reading->next = fields.sequence + 1;
        return reading->line(line, &row, reading->userdata) ? client_fail(reading->client, MCPCRED_E_STOPPED, "%s", "") : 0;
}

static int take_lines(Reading *reading, Buf *buf)
{
        Slice left = buf_slice(buf);
        const uint8_t *newline;
        int r = 0;

        while (r == 0 && left.size > 0 && (newline = memchr(left.data, '\n', left.size))) {
                size_t size = (size_t)(newline - left.data);

                r = take_line(reading, slice(left.data, size));
                left = slice(newline + 1, left.size - size - 1);
        }
        buf_consume(buf, buf->size - left.size);
        if (buf->size > AUDIT_LINE_MAX) /* no line of a log is so long */
                buf_clear(buf);
        return r;
}

static int read_file(Reading *reading, int fd)
{
        _cleanup_(buf_deinit) Buf buf = BUF_NULL(READ_SIZE + AUDIT_LINE_MAX);
        int r = 0;

        while (r == 0) {
                uint8_t *room;
                ssize_t n;

                r = buf_reserve(&buf, READ_SIZE, &room);
                if (r < 0)
                        return client_fail_errno(reading->client, r, "read the audit log");
                n = read(fd, room, READ_SIZE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return client_fail_errno(reading->client, error_errno(), "read the audit log");
                if (n == 0)
                        break;
                buf_commit(&buf, (size_t)n);
                r = take_lines(reading, &buf);
        }
        return r;
}

/* The file that has the line, or the first behind it. 0: the one that is written to. */
static uint64_t pick(const AuditFiles *files, uint64_t next, uint64_t done)
{
        uint64_t picked = 0;

        for (size_t i = 0; i < files->n; i++)
                if (files->first[i] > done && (picked == 0 || files->first[i] <= next))
                        picked = files->first[i];
        return picked;
}

static bool is_still(const Place *place, int fd)
{
        _cleanup_(fd_closep) int now = -1;
        struct stat ours, there;

        return open_one(place, 0, &now) == 0 && fstat(fd, &ours) == 0 && fstat(now, &there) == 0 &&
               ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/* Former files first, and the current one until it was not rotated meanwhile. */
static int read_all(Reading *reading, const Place *place)
{
        uint64_t done = 0;

        for (;;) {
                _cleanup_(audit_files_deinit) AuditFiles files = AUDIT_FILES_NULL;
                _cleanup_(fd_closep) int fd = -1;
                uint64_t file;
                int r = list(place, &files);

                file = r == 0 ? pick(&files, reading->next, done) : 0;
                if (r == 0)
                        r = open_one(place, file, &fd);
                if ((r == -ENOENT || r == NO_FILE) && file > 0) { /* given up in between, or none */
                        done = file;
                        continue;
                }
                if (r)
                        return fail_reading(reading->client, r);
                r = read_file(reading, fd);
                if (r || (file == 0 && is_still(place, fd)))
                        return r;
                done = file > 0 ? file : done;
        }
}

int mcpcred_audit_read(mcpcred *client, const char *path, uint64_t since, mcpcred_audit_line line, void *userdata,
                       uint64_t *ret_last)
{
        Reading reading = { .client = client, .next = since ? since : 1, .line = line, .userdata = userdata };
        Place place = { .rotates = false };
        int r;

        client_clear_error(client);
        r = find_place(client, path, &place);
        if (r == 0)
                r = read_all(&reading, &place);
        if (ret_last)
                *ret_last = reading.next - 1;
        return r;
}

/* ---- with the broker ---- */

static int keep_hash(mcpcred *client UNUSED, void *body, Pool *pool UNUSED, bool more UNUSED, void *userdata)
{
        (void)snprintf(userdata, 64, "%s", ((const HashTokenReply *)body)->token);
        return 0;
}

int mcpcred_audit_hash(mcpcred *client, const mcpcred_value *value, char ret[64])
{
        uint8_t hash[crypto_hash_sha256_BYTES];
        char hex[2 * sizeof(hash) + 1];
        const HashTokenRequest request = { .token_hash = hex };
        const Call call = { CALL(BROKER_HASH_TOKEN), .request = &request, .reads_only = true, .reply = keep_hash,
                            .userdata = ret };

        client_clear_error(client);
        if (mcpcred_value_size(value) == 0)
                return client_fail(client, MCPCRED_E_MISUSE, "The value is empty.");
        (void)crypto_hash_sha256(hash, mcpcred_value_data(value), mcpcred_value_size(value));
        text_hex(slice(hash, sizeof(hash)), hex);
        return call_run(client, &call);
}

int mcpcred_watch(mcpcred *client, uint64_t since, int reader_fd, mcpcred_row_fn row, void *userdata)
{
        const WatchRequest request = { .since = since };
        RowTarget target = { .schema = interface_broker.methods[BROKER_WATCH].reply, .row = row, .userdata = userdata };
        const Call call = { CALL(BROKER_WATCH), .request = &request, .endless = true, .has_reader = reader_fd >= 0,
                            .reader = reader_fd, .reply = row_target_whole, .userdata = &target };
        int r = call_run(client, &call);

        /* More was to come on it. */
        mcpcred_disconnect(client);
        return r;
}
